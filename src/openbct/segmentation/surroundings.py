"""What lies around a mask: the border of the image, and tissue that is darker than the bone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from ..volume import Volume, offset_in

FULL_CONTRAST = 60.0
"""Mean of a bone above its surroundings from which a label is not doubted [HU]: osteoporotic bodies show this much [D]."""
SHELL_MM = (2.0, 6.0)
"""Where a bone's surroundings are sampled: distance from the label [mm] [D]."""


def touches_edge(mask: Volume, image: Volume) -> bool:
    """Tell whether a mask reaches the outermost voxels of the image."""
    start = offset_in(mask, image)
    for axis in range(3):
        used = np.flatnonzero(mask.array.any(axis=tuple(other for other in range(3) if other != axis)))
        if start[axis] + used[0] <= 0 or start[axis] + used[-1] >= image.shape[axis] - 1:
            return True
    return False


def contrast_of(mask: Volume, image: Volume) -> float:
    """Return how much brighter the image is inside a mask than around it: mean against median."""
    pad = np.ceil(SHELL_MM[1] / image.spacing).astype(int)
    start = offset_in(mask, image)
    low, high = np.maximum(start - pad, 0), np.minimum(start + np.array(mask.shape) + pad, image.shape)
    part = image.array[tuple(slice(int(a), int(b)) for a, b in zip(low, high))]
    inside: Bool[np.ndarray, "i j k"] = np.zeros(part.shape, dtype=bool)
    at = start - low
    inside[tuple(slice(int(a), int(a) + n) for a, n in zip(at, mask.shape))] = mask.array
    away = ndimage.distance_transform_edt(~inside, sampling=image.spacing)
    around = part[(away > SHELL_MM[0]) & (away <= SHELL_MM[1])]
    if around.size == 0:
        return FULL_CONTRAST
    return float(part[inside].mean() - np.median(around))
