"""Leaks: what hangs on a bone's mask by a thin bridge only."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

Array = np.ndarray
BRIDGE_MM = 2.0
"""Half the thickness of a bridge that is cut [mm] [D]: necks and pedicles are thicker."""
NECK_MM2 = 50.0
"""Largest cross-section of such a bridge [mm²] [D]: a femoral neck has 500 and more, a body crushed to 3 mm in its middle 80."""
LEAK = 0.005
"""Part of a mask from which what hangs on it is cut off [-] [D]."""


def without_leaks(mask: Bool[Array, "i j k"], spacing: Float[Array, "3"]) -> tuple[Bool[Array, "i j k"], float]:
    """Return a mask without what hangs on it by a bridge of at most 4 mm and 50 mm², and the part of it that was cut off [-]."""
    radius = max(BRIDGE_MM, 0.75 * float(spacing.max()))
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    cores, count = ndimage.label(depth > radius)
    if count < 2:
        return mask, 0.0
    sizes = np.bincount(cores.ravel())[1:]
    main = 1 + int(np.argmax(sizes))
    nearest = ndimage.distance_transform_edt(cores == 0, sampling=spacing, return_distances=False, return_indices=True)
    owner = np.where(mask, cores[tuple(nearest)], 0)
    total = int(np.count_nonzero(mask))
    kept = mask
    for piece in range(1, count + 1):
        part = owner == piece
        if piece == main or np.count_nonzero(part) < LEAK * total:
            continue
        if _neck(part, owner == main, spacing) <= NECK_MM2:
            kept = kept & ~part
    return kept, 1.0 - float(np.count_nonzero(kept)) / total


def _neck(part: Bool[Array, "i j k"], main: Bool[Array, "i j k"], spacing: Float[Array, "3"]) -> float:
    """Return the area of the faces that two parts of a mask share [mm²]."""
    area = 0.0
    for axis in range(3):
        face = float(np.prod(spacing) / spacing[axis])
        first, last = [slice(None)] * 3, [slice(None)] * 3
        first[axis], last[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(first), tuple(last)
        area += face * int(np.count_nonzero((part[a] & main[b]) | (main[a] & part[b])))
    return area
