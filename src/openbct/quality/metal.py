"""Metal in the slices of a bone, but not in it: its streaks and shadows change what the bone reads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..acquisition import rule
from ..records import BoneMask, Check
from ..volume import Volume, bounding_box, offset_in
from .checks import check

Array = np.ndarray
METAL_HU = 2500.0
"""Above cortical bone at any tube voltage of CT [HU] [D]; the limit of the femur's own check."""
LEAST_MM3 = 200.0
"""Smaller pieces are clips, markers or calcifications [mm³] [D]."""
NEAR_SLICES_MM = 5.0
"""Streaks run within the slice; its profile reaches this far [mm] [D]."""
INSIDE_MM = 2.0
"""Metal nearer than this is the bone's own, which anatomy judges [mm] [D]."""


def check_metal(image: Volume, bones: Mapping[str, BoneMask]) -> list[Check]:
    """Return the metal in each bone's slices [cm³]; metal in the bone itself is left to anatomy."""
    metal = _pieces(image)
    found = []
    for name, bone in bones.items():
        value, distance = _beside(metal, image, bone) if metal is not None else (0.0, 0.0)
        said = (
            f"Metal of {value:.1f} cm³ lies in the slices of the bone, {distance:.0f} mm from it: its streaks and shadows reach the bone. Of metal in the "
            f"other hip: {rule('metal_beside').effect()}; nearer metal was not measured."
        )
        found.append(check("metal_beside", value, said, name))
    return found


def _pieces(image: Volume) -> Volume | None:
    """Return pieces of metal that are no mere clips, in their box; ``None`` without any."""
    planes = [k for k in range(image.shape[2]) if image.array[:, :, k].max() > METAL_HU]
    if not planes:
        return None
    first, last = planes[0], planes[-1] + 1
    bright = np.asarray(image.array[:, :, first:last] > METAL_HU)
    labels, count = ndimage.label(bright, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * image.voxel_volume
    sizes[0] = 0.0
    keep = (sizes >= LEAST_MM3)[labels]
    if not keep.any():
        return None
    affine = image.affine.copy()
    affine[:3, 3] = affine[:3, 3] + affine[:3, 2] * first
    return Volume(keep, affine, "mask")


def _beside(metal: Volume, image: Volume, bone: BoneMask) -> tuple[float, float]:
    """Return volume [cm³] and distance [mm] of the metal in the slices of a bone."""
    start, below = offset_in(bone.mask, image), offset_in(metal, image)[2]
    lower, upper = (edge + start for edge in bounding_box(bone.mask))
    reach = round(NEAR_SLICES_MM / float(image.spacing[2]))
    first = max(int(lower[2]) - reach - int(below), 0)
    part = metal.array[:, :, first : max(int(upper[2]) + reach - int(below), 0)]
    if not part.any():
        return 0.0, 0.0
    index = np.argwhere(part) + np.array([0, 0, first + below])
    inner = ndimage.binary_erosion(bone.mask.array)
    surface = np.argwhere(bone.mask.array & ~inner)[::7] + start

    distances, _ = cKDTree(surface * image.spacing).query(index * image.spacing)
    own = bone.mask.array
    local = index - start
    within = np.all((local >= 0) & (local < np.array(own.shape)), axis=1)
    mine = np.zeros(len(index), dtype=bool)
    mine[within] = own[tuple(local[within].T)]
    beside = ~mine & (distances > INSIDE_MM)
    return float(beside.sum() * image.voxel_volume / 1000.0), float(distances[beside].min(initial=np.inf))
