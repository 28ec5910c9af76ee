"""Streaks and shadows of metal around a bone: soft tissue that reads darker than any tissue does."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from scipy import ndimage

from ..acquisition import rule
from ..records import BoneMask, Check
from ..volume import Volume, bounding_box, offset_in
from .checks import check

Array = np.ndarray
FAT_HU = -100.0
"""Fat, the darkest tissue, at 120 kV [HU] [seen: data/phantomless.toml]; 20 HU darker at 80 kV [computed]."""
NEAR_MM = (4.0, 40.0)
"""Where around the bone's surface it is looked, beyond the blur of its edge [mm] [D]."""
SMOOTH_MM = 5.0
"""Cubes whose mean counts: noise goes, streaks stay [mm] [D]."""
GAS_HU, DENSE_HU = -400.0, 250.0
"""Gas and dense things, at whose edges means are mixed [HU] [D]."""
EDGE_MM = 5.0
DARKEST = 0.005
"""Share of the tissue around the bone that is judged by its brightest voxel [D]."""
FEWEST = 1000


def check_streaks(image: Volume, bones: Mapping[str, BoneMask], beside_metal: Collection[str]) -> list[Check]:
    """Return how much darker than fat the darkest soft tissue around each bone reads [HU]; 0 where no metal lies in its slices."""
    found = []
    for name, bone in bones.items():
        value = max(0.0, FAT_HU - darkest(image, bone)) if name in beside_metal else 0.0
        said = (
            f"Streaks of metal cross the soft tissue around the bone: its darkest 0.5 % reads {FAT_HU - value:.0f} HU or less, {value:.0f} HU darker than "
            f"fat, so that the bone's own values are off as well. Of a prosthesis in the other hip (22 HU): {rule('streaks').effect()}; deeper "
            "streaks were not measured."
        )
        found.append(check("streaks", value, said, name))
    return found


def darkest(image: Volume, bone: BoneMask) -> float:
    """Return what the darkest share of the soft tissue around a bone reads at most [HU]; that of fat where there is too little of it."""
    start = offset_in(bone.mask, image)
    lower, upper = (edge + start for edge in bounding_box(bone.mask))
    reach = np.ceil((NEAR_MM[1] + EDGE_MM) / image.spacing[:2]).astype(int)
    low = np.maximum([*(lower[:2] - reach), lower[2]], 0)
    high = np.minimum([*(upper[:2] + reach), upper[2]], image.shape)
    box = image.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)
    away = ndimage.distance_transform_edt(~_inside(bone.mask, start, low, high), sampling=image.spacing)
    steps = max(1, round(EDGE_MM / float(image.spacing[0])))
    mixed = ndimage.binary_dilation((box < GAS_HU) | (box > DENSE_HU), iterations=steps)
    smooth = ndimage.uniform_filter(box, [max(1, round(SMOOTH_MM / float(edge))) for edge in image.spacing])
    tissue = smooth[(away > NEAR_MM[0]) & (away < NEAR_MM[1]) & ~mixed]
    return float(np.quantile(tissue, DARKEST)) if tissue.size >= FEWEST else FAT_HU


def _inside(mask: Volume, start: Array, low: Array, high: Array) -> Array:
    """Return a bone's voxels within a box of the image."""
    inside = np.zeros(high - low, dtype=bool)
    first, last = np.maximum(start, low), np.minimum(start + mask.shape, high)
    target = tuple(slice(int(a), int(b)) for a, b in zip(first - low, last - low))
    source = tuple(slice(int(a), int(b)) for a, b in zip(first - start, last - start))
    inside[target] = mask.array[source]
    return inside
