"""How noisy the image is around the bones: the scatter of soft tissue within small squares of a slice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy import ndimage, stats

from ..acquisition import rule
from ..records import BoneMask, Check
from ..volume import Volume, bounding_box, offset_in
from .checks import check

Array = np.ndarray
SQUARE_MM = 12.0
"""Edge of the squares [mm]: many grains of noise, few edges of organs [D]."""
REACH_MM = 60.0
"""Around the bone's box in the slice [mm] [D]."""
SOFT_HU = (-20.0, 120.0)
"""Means of squares that are muscle or organ, also with contrast agent [HU] [D]."""
PLAIN = 0.2
"""Of the squares, the quietest fifth holds no edge [D]; checked on simulated scans of known noise."""
SLICES = 9
FEWEST = 200
"""Squares (they overlap)."""


def check_noise(image: Volume, bones: Mapping[str, BoneMask]) -> list[Check]:
    """Return the noise at each bone; none where there is no soft tissue around it."""
    found = []
    for name, bone in bones.items():
        value = noise_at(image, bone)
        if value is not None:
            said = (
                f"The noise of soft tissue beside the bone is {value:.0f} HU, above {rule('noise').limit():g} HU: {rule('noise').effect()}; more "
                "dose, thicker slices or a softer kernel lower it."
            )
            found.append(check("noise", value, said, name))
    return found


def noise_at(image: Volume, bone: BoneMask) -> float | None:
    """Return the noise beside a bone [HU], one standard deviation; ``None`` where it cannot be measured."""
    start = offset_in(bone.mask, image)
    lower, upper = (edge + start for edge in bounding_box(bone.mask))
    reach = np.rint(REACH_MM / image.spacing[:2]).astype(int)
    low, high = np.maximum(lower[:2] - reach, 0), np.minimum(upper[:2] + reach, image.shape[:2])
    edge = [max(3, round(SQUARE_MM / float(spacing))) for spacing in image.spacing[:2]]
    deviations = []
    for k in np.unique(np.linspace(lower[2], upper[2] - 1, SLICES).astype(int)):
        plane = np.asarray(image.array[low[0] : high[0], low[1] : high[1], k], dtype=np.float64)
        if min(plane.shape) > 2 * max(edge):
            deviations.append(_squares(plane, edge))
    every = np.concatenate(deviations) if deviations else np.zeros(0)
    if every.size < FEWEST:
        return None
    # The quiet squares of even noise are quiet by chance too, the more so the fewer voxels they have.
    free = max(edge[0] * edge[1] - 3, 1)
    return float(np.quantile(every, PLAIN) / np.sqrt(stats.chi2.ppf(PLAIN, free) / free))


def _squares(plane: Float[Array, "i j"], edge: list[int]) -> Float[Array, " n"]:
    """Return the deviation within each square of soft tissue [HU], its slope taken off."""
    mean, square = (ndimage.uniform_filter(values, edge, mode="nearest") for values in (plane, plane**2))
    variance = np.maximum(square - mean**2, 0.0)
    # A slope across a square is tissue, not noise.
    for axis, size in enumerate(edge):
        variance -= np.gradient(mean, axis=axis) ** 2 * (size**2 - 1) / 12.0
    n = edge[0] * edge[1]
    inner = np.zeros(plane.shape, dtype=bool)
    inner[edge[0] : -edge[0], edge[1] : -edge[1]] = True
    soft = inner & (mean > SOFT_HU[0]) & (mean < SOFT_HU[1])
    return np.asarray(np.sqrt(np.maximum(variance[soft], 0.0) * n / max(n - 3, 1)))
