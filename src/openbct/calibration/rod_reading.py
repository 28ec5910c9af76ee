"""What each rod reads, slice by slice: the inner part of its circle, without bubbles, where all rods are whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ..errors import CalibrationError
from ..records import Array
from ..volume import Volume
from .recognition import Recognized
from .rods import LEAST_CONTRAST, Track

INNER = 0.6
"""Part of a rod's radius that is read: its edge is blurred by 1 to 3 mm [-] [design]."""
RING = (2.0, 3.0)
"""Part of the slab beside the only rod that was seen, read for one that does not stand out, over the radius [-]: away from blur and hardening
[design]."""
BUBBLE = 4.0
"""A voxel farther from the median of its circle than this many robust deviations is left out [design]."""
BUBBLE_SHARE = 0.12
"""A slice in which more of a circle must be left out does not count [-] [design]."""
WHOLE = 0.06
"""Where the rod that stands out most loses this much of its contrast, it ends [-] [design]."""
PLACE_HU = 2.0
"""Between places of one slab a scanner reads water differently by about this [HU] [R]: no mean is surer."""
FEWEST_SLICES = 3
LEAST_READ_MM = 6.0
"""A rod is read over at least three slices, or this length [mm] [design]."""


@dataclass(frozen=True)
class Readings:
    """The rods of a phantom, in the order of its model."""

    slices: Float[Array, "k n"]
    """Mean of each rod in each slice that was read [HU]."""
    heights: Float[Array, " k"]
    """Of these slices along the table [mm]."""
    mean: Float[Array, " n"]
    """[HU]"""
    spread: Float[Array, " n"]
    """One standard deviation of the mean [HU]."""
    deviation: Float[Array, " n"]
    """Of the voxels [HU]."""
    n_voxels: tuple[int, ...]
    where: tuple[Volume, ...]
    """Boolean sub-boxes of the scan."""
    bubbles: tuple[int, ...]
    """Slices of each rod that hold gas or another fault and were not read."""


def read_rods(image: Volume, found: Recognized) -> Readings:
    """Return what the rods of a phantom read.

    Raises
    ------
    CalibrationError
        Too few slices show all rods whole.
    """
    edge = float(image.spacing[2])
    seen = found.row.seen
    if found.model.layout == "column":
        spans = [_span(rod.ends, edge, image.shape[2]) for rod in found.row.rods]
    else:
        spans = [_span(found.row.ends, edge, image.shape[2])] * len(seen)
    alone = bool(np.isnan(found.row.spacing))
    parts = [
        _read(image, rod, span, ring=alone and not mine) for rod, span, mine in zip(found.row.rods, spans, seen, strict=True)
    ]
    whole = _whole(parts, found)
    if min(int(w.sum()) for w in whole) < FEWEST_SLICES and min(float(w.sum()) * edge for w in whole) < LEAST_READ_MM:
        raise CalibrationError(
            f"found {min(int(w.sum()) for w in whole)} slices in which the rods of the {found.model.title} are whole, expected "
            f"{FEWEST_SLICES} or more; scan more of the phantom, or calibrate without it"
        )
    mean = np.array([np.mean(part.means[w]) for part, w in zip(parts, whole)])
    noise = [np.std(part.means[w]) / np.sqrt(max(w.sum() - 1, 1)) for part, w in zip(parts, whole)]
    least = [PLACE_HU if mine else LEAST_CONTRAST / 2 for mine in seen]
    common = whole[0] if found.model.layout == "row" else np.zeros(0, dtype=bool)
    return Readings(
        slices=np.column_stack([part.means[common] for part in parts]) if common.any() else np.zeros((0, len(seen))),
        heights=(spans[0][0] + np.flatnonzero(common)) * edge,
        mean=mean,
        spread=np.hypot(noise, least),
        deviation=np.array([np.sqrt(np.mean(part.variances[w])) for part, w in zip(parts, whole)]),
        n_voxels=tuple(int(part.counts[w].sum()) for part, w in zip(parts, whole)),
        where=tuple(_mask(image, part, span[0], w) for part, span, w in zip(parts, spans, whole)),
        bubbles=tuple(int((~part.clean).sum()) for part in parts),
    )


@dataclass(frozen=True)
class _Part:
    """One rod over a span of slices."""

    means: Float[Array, " k"]
    variances: Float[Array, " k"]
    counts: Array
    clean: Bool[Array, " k"]
    inside: Bool[Array, "i j k"]
    low: tuple[int, int]


def _span(ends: tuple[float, float], edge: float, count: int) -> tuple[int, int]:
    """Return the first slice and the one after the last that lie between two heights."""
    return max(0, int(np.ceil(ends[0] / edge))), min(count, int(np.floor(ends[1] / edge)) + 1)


def _read(image: Volume, rod: Track, span: tuple[int, int], *, ring: bool) -> _Part:
    edge = image.spacing
    heights = np.arange(span[0], span[1]) * float(edge[2])
    centres = np.array([rod.at(float(z)) for z in heights])
    reach = rod.radius * (RING[1] if ring else INNER) + float(edge[:2].max())
    low = np.maximum(np.floor((centres.min(axis=0) - reach) / edge[:2]).astype(int), 0)
    high = np.minimum(np.ceil((centres.max(axis=0) + reach) / edge[:2]).astype(int) + 1, image.shape[:2])
    box = image.array[low[0] : high[0], low[1] : high[1], span[0] : span[1]].astype(np.float32)
    x, y = ((np.arange(a, b)) * float(e) for a, b, e in zip(low, high, edge[:2]))
    aside, up = x[:, None, None] - centres[:, 0], y[None, :, None] - centres[:, 1]
    away = np.hypot(aside, up)
    if ring:
        inside = (away > RING[0] * rod.radius) & (away < RING[1] * rod.radius) & (np.abs(up) < 0.6 * rod.radius)
    else:
        inside = away < INNER * rod.radius
    middle = np.array([np.median(box[:, :, k][inside[:, :, k]]) for k in range(box.shape[2])])
    robust = 1.4826 * float(np.median([np.median(np.abs(box[:, :, k][inside[:, :, k]] - m)) for k, m in enumerate(middle)]))
    good = inside & (np.abs(box - middle) <= BUBBLE * max(robust, 1.0))
    counts = good.sum(axis=(0, 1))
    means = np.where(good, box, 0.0).sum(axis=(0, 1)) / np.maximum(counts, 1)
    variances = (np.where(good, box - means, 0.0) ** 2).sum(axis=(0, 1)) / np.maximum(counts, 1)
    clean = counts >= (1 - BUBBLE_SHARE) * inside.sum(axis=(0, 1))
    return _Part(means, variances, counts, clean, good, (int(low[0]), int(low[1])))


def _whole(parts: list[_Part], found: Recognized) -> list[Bool[Array, " k"]]:
    """Return in which slices each rod is whole and without bubbles: for a row the same for all, for a column each rod's own."""
    if found.model.layout == "column":
        return [_level(part, rod) & part.clean for part, rod in zip(parts, found.row.rods)]
    contrast = [abs(rod.mean - rod.around) if seen else 0.0 for rod, seen in zip(found.row.rods, found.row.seen)]
    tallest = int(np.argmax(contrast))
    whole = _plateau(parts[tallest], found.row.rods[tallest])
    for part in parts:
        whole = whole & part.clean
    return [whole] * len(parts)


def _plateau(part: _Part, rod: Track) -> Bool[Array, " k"]:
    contrast = (part.means - rod.around) * np.sign(rod.mean - rod.around)
    noise = np.sqrt(part.variances / np.maximum(part.counts, 1))
    top = float(np.percentile(contrast, 80))
    return np.asarray(contrast >= (1 - WHOLE) * top - 3 * noise)


def _level(part: _Part, rod: Track) -> Bool[Array, " k"]:
    """Return the slices as bright as the middle of a rod: neither its ends nor a lid."""
    middle = len(part.means) // 2
    level = float(np.median(part.means[max(middle - 1, 0) : middle + 2]))
    noise = np.sqrt(part.variances / np.maximum(part.counts, 1))
    return np.asarray(np.abs(part.means - level) <= WHOLE * abs(level - rod.around) + 3 * noise)


def _mask(image: Volume, part: _Part, first: int, whole: Bool[Array, " k"]) -> Volume:
    """Return the voxels that were read, as a sub-box of the scan."""
    affine = image.affine.copy()
    affine[:3, 3] = affine[:3, 3] + affine[:3, :3] @ np.array([*part.low, first], dtype=float)
    return Volume(part.inside & whole, affine, "mask")
