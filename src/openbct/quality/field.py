"""What of the body the image holds, and how large the body is."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from ..acquisition import rule
from ..records import Check
from .checks import check
from .coarse import Look

Array = np.ndarray
TOUCHING_MM = 30.0
"""Body along the border of a slice from which the slice counts as cut: hands and arms touch less [mm] [D]."""


def check_field(look: Look, slices: Bool[Array, " k"]) -> list[Check]:
    """Return whether the field cuts the body in the bones' slices, and the body's size where it does not."""
    if not look.body.any() or not slices.any():
        return []
    cut = np.array([_border(look, int(k)) > TOUCHING_MM for k in np.flatnonzero(slices)])
    share = 100.0 * float(cut.mean())
    said = (
        f"The field of the image cuts the body in {share:.0f} % of the slices of the bones: fat under the skin and air outside are missing there "
        "as references of calibration, and how large the body is, which hardens the beam, is not known; its effect was not measured."
    )
    found = [check("body_cut", share, said)]
    if share <= rule("body_cut").limit():
        width = water_equivalent(look, slices)
        said = (
            f"The body at the bones is as much as {width:.0f} mm of water across, above {rule('body_size').limit():g} mm: noise and beam hardening "
            f"are larger than usual; {rule('body_size').effect()}."
        )
        found.append(check("body_size", width, said))
    return found


def water_equivalent(look: Look, slices: Bool[Array, " k"]) -> float:
    """Return the diameter of the water cylinder that attenuates as the body does, mean over slices [mm].

    References
    ----------
    AAPM Report 220 (2014), water-equivalent diameter [R].
    """
    body = look.body[:, :, slices]
    relative = np.where(body, look.mean[:, :, slices] / 1000.0 + 1.0, 0.0)
    areas = relative.sum(axis=(0, 1)) * float(look.spacing[0] * look.spacing[1])
    return float(np.mean(2.0 * np.sqrt(np.maximum(areas, 0.0) / np.pi)))


def _border(look: Look, k: int) -> float:
    """Return the length of the border of what was measured along which the body lies [mm]."""
    body = look.body[:, :, k]
    dx, dy = (float(edge) for edge in look.spacing[:2])
    edges = float((body[0].sum() + body[-1].sum()) * dy + (body[:, 0].sum() + body[:, -1].sum()) * dx)
    return edges + _padded_border(look.mean[:, :, k], body, min(dx, dy))


def _padded_border(mean: Float[Array, "i j"], body: Bool[Array, "i j"], edge: float) -> float:
    """Return the length along which the body ends at padding instead of air [mm]: a circle in the square that cuts it."""
    padding = mean <= -1023.5
    if not padding[0, 0] and not padding[-1, 0]:
        return 0.0
    beside = np.zeros(body.shape, dtype=bool)
    for axis in (0, 1):
        for way in (1, -1):
            beside |= np.roll(padding, 2 * way, axis)
    return float((beside & body & (mean > -200.0)).sum()) * edge if padding.mean() > 0.05 else 0.0
