"""Reference tissues found in a scan: outside air, fat under the skin and in the belly, muscle beside the spine.

Where a segmenter drew a tissue, its mask is used; otherwise rules on position and HU find it. All samples end in the
same way: the main peak of the block means is taken, and what lies far from it (septa, fat between fibres, calcified
wall, gas) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume, crop, offset_in, place_into
from .outline import Outline, fine_mask
from .spine import Spine, locate_spine

AIR_MARGIN = 12.0
"""Outside air is sampled farther than this from body and table [mm]: less scatter and partial volume [design]."""
SKIN_DEPTH = (5.0, 45.0)
"""Fat under the skin lies between these depths [mm] [design]."""
MUSCLE_SIDEWAYS = (12.0, 55.0)
"""Muscle of the back and psoas lie between these distances from the midline [mm] [design]."""
LEAN_HU = 30.0
"""Muscle below is fatty: the usual cut of body-composition CT between normal and low attenuation [recalled]."""
WINDOWS = {
    "air": (-1500.0, -400.0), "fat": (-200.0, -20.0), "visceral fat": (-200.0, -20.0), "muscle": (-40.0, 130.0), "blood": (-40.0, 700.0),
}  # fmt: skip
"""Block means considered at all [HU], wide on purpose: gates judge the result, not the search [design]."""
WALL_MM, BELLY_SIDEWAYS, BELLY_BEHIND = 14.0, 110.0, (-160.0, -30.0)
"""Fat of the belly lies deeper below the muscle of its wall than this, and within these distances of the spine's bone [mm] [design]."""
CLIPPED_SHARE = 0.05
"""More voxels of air at the least value than this: its noise was cut off there, and the median takes the mean's place. Less moves the
mean of even noise by no more than a fiftieth of its deviation [computed]."""
MIN_BLOCKS = 40
"""About two cubic centimetres [design]."""


@dataclass(frozen=True)
class Found:
    """One tissue as sampled."""

    name: str
    mean: float
    """[HU]"""
    deviation: float
    """Standard deviation of the voxels [HU]."""
    n_voxels: int
    where: Volume
    how: str
    """In words: ``"fat under the skin"``."""


def find_air(outline: Outline) -> Found | str:
    """Return outside air that the scanner measured, or why there is none."""
    candidate = outline.outside & ~outline.painted & within(outline, "air")
    if not candidate.any():
        return "no air outside the body that is not padding"
    # Away from anything that is not air: skin, table, mattress.
    clear = ndimage.distance_transform_edt(candidate, sampling=outline.spacing) > AIR_MARGIN
    if clear.sum() < MIN_BLOCKS:
        clear = ndimage.binary_erosion(candidate, np.ones((3, 3, 1)))
    return sample(outline, clear, "air", "air outside the body")


def find_fat(outline: Outline, drawn: Volume | None) -> Found | str:
    """Return fat under the skin, else any fat of the body; or why there is none."""
    eroded = ndimage.binary_erosion(within(outline, "fat") & ~outline.outside & ~outline.painted, np.ones((3, 3, 1)))
    if drawn is not None:
        found = sample(outline, eroded & drawn_blocks(outline, drawn), "fat", "labelled fat")
        if isinstance(found, Found):
            return found
    low, high = SKIN_DEPTH
    ring = eroded & (outline.depth >= low) & (outline.depth <= high)
    found = sample(outline, ring, "fat", "fat under the skin")
    return found if isinstance(found, Found) else sample(outline, eroded, "fat", "fat inside the body")


def find_visceral_fat(outline: Outline) -> Found | str:
    """Return fat before and beside the spine, inside the wall of the belly; or why there is none."""
    spine = locate_spine(outline)
    if spine is None:
        return "no spine to look for fat of the belly before"
    lean = outline.body & within(outline, "muscle") & (outline.mean > 0.0)
    inside = np.zeros_like(outline.body)
    for k in range(inside.shape[2]):  # what the ring of muscle, bowel and bone encloses
        inside[:, :, k] = ndimage.binary_fill_holes(ndimage.binary_closing(lean[:, :, k], iterations=3))
    inside &= ndimage.distance_transform_edt(inside, sampling=outline.spacing) > WALL_MM
    region = (spine.sideways <= BELLY_SIDEWAYS)[:, None, :] & (
        (spine.behind >= BELLY_BEHIND[0]) & (spine.behind <= BELLY_BEHIND[1])
    )[None, :, :]
    eroded = ndimage.binary_erosion(within(outline, "visceral fat") & ~outline.painted, np.ones((3, 3, 1)))
    return sample(outline, eroded & inside & region, "visceral fat", "fat in the belly")


def find_muscle(outline: Outline, drawn: Volume | None, *, contrast: bool) -> Found | str:
    """Return muscle from its label, else behind the spine, else beside it; or why there is none.

    The first lean muscle is taken; where all are fatty, the leanest. With contrast agent the psoas is not looked for:
    the rule that finds it may meet a vessel.
    """
    eroded = ndimage.binary_erosion(within(outline, "muscle") & outline.body, np.ones((3, 3, 1)))
    tried: list[Found | str] = []
    if drawn is not None:
        tried.append(sample(outline, eroded & drawn_blocks(outline, drawn), "muscle", "labelled muscle"))
    spine = locate_spine(outline)
    if spine is not None:
        tried.append(sample(outline, eroded & _beside(spine, (10.0, 60.0)), "muscle", "muscle behind the spine"))
        if not contrast and not any(isinstance(item, Found) and item.mean >= LEAN_HU for item in tried):
            tried.append(sample(outline, eroded & _beside(spine, (-25.0, 5.0)), "muscle", "muscle beside the spine"))
    samples = [item for item in tried if isinstance(item, Found)]
    if not samples:
        return str(tried[0]) if tried else "no spine to look for muscle beside"
    lean = [item for item in samples if item.mean >= LEAN_HU]
    return lean[0] if lean else max(samples, key=lambda item: item.mean)


def _beside(spine: Spine, behind: tuple[float, float]) -> Array:
    """Return the blocks at muscle's distance from the midline, and between two distances behind the spine's bone [mm]."""
    columns = (spine.sideways >= MUSCLE_SIDEWAYS[0]) & (spine.sideways <= MUSCLE_SIDEWAYS[1])
    rows = (spine.behind >= behind[0]) & (spine.behind <= behind[1])
    return np.asarray(columns[:, None, :] & rows[None, :, :])


def within(outline: Outline, name: str) -> Array:
    """Return the blocks whose mean may be that of a tissue."""
    low, high = WINDOWS[name]
    return np.asarray((outline.mean > low) & (outline.mean < high))


def drawn_blocks(outline: Outline, drawn: Volume) -> Array:
    """Return the blocks that a drawn mask fills for the most part."""
    whole = _on_grid(drawn, outline.image)
    ni, nj, nk = outline.mean.shape
    si, sj, sk = outline.step
    filled = whole[: ni * si, : nj * sj, : nk * sk].reshape(ni, si, nj, sj, nk, sk).mean(axis=(1, 3, 5), dtype=np.float32)
    return np.asarray(filled > 0.5)


def _on_grid(drawn: Volume, grid: Volume) -> Array:
    """Return a drawn sub-box on the outline's slices, where it may stick out below or above."""
    shift = offset_in(drawn, grid)
    first, last = max(0, -shift[2]), min(drawn.shape[2], grid.shape[2] - shift[2])
    if last <= first:
        return np.zeros(grid.shape, dtype=bool)
    affine = drawn.affine.copy()
    affine[:3, 3] = affine[:3, 3] + affine[:3, 2] * first
    part = Volume(drawn.array[:, :, first:last].astype(bool), affine, "mask")
    return np.asarray(place_into(part, grid, fill=False).array)


def sample(outline: Outline, blocks: Array, name: str, how: str) -> Found | str:
    """Return the main peak of the block means, or why it cannot be had."""
    if blocks.sum() < MIN_BLOCKS:
        return f"only {int(blocks.sum())} blocks of {name} ({how}), at least {MIN_BLOCKS} are needed"
    values = outline.mean[blocks]
    # The peak of air may stand at the least value that the image can hold, where its noise was cut off; its median does not.
    peak = float(np.median(values)) if name == "air" else _mode(values)
    keep = blocks & (np.abs(outline.mean - peak) <= _width(values, peak))
    middle = _unclipped(outline, blocks) if name == "air" else None
    where = fine_mask(outline, keep if middle is None else blocks)
    mean, deviation, count = _statistics(outline.image, where)
    return Found(name, mean if middle is None else middle, deviation, count, where, how)


def _unclipped(outline: Outline, blocks: Array) -> float | None:
    """Return the median of the blocks' voxels [HU] where the image cuts their noise off at its least value, else ``None``."""
    where = fine_mask(outline, blocks)
    start = offset_in(where, outline.image)
    box = crop(outline.image, start.tolist(), (start + np.array(where.shape)).tolist()).array
    thin = tuple(slice(None, None, max(1, n // 120)) for n in box.shape)  # a sample is enough
    values = box[thin][where.array[thin]]
    if values.size == 0 or np.count_nonzero(values == values.min()) <= CLIPPED_SHARE * values.size:
        return None
    return float(np.median(values))


def _mode(values: Float[Array, " n"]) -> float:
    """Return the position of the main peak [HU]: 2 HU bins smoothed by 6 HU."""
    edges = np.arange(np.floor(values.min()) - 1.0, np.ceil(values.max()) + 3.0, 2.0)
    counts, _ = np.histogram(values, bins=edges)
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 3.0, mode="constant")
    return float(edges[smooth.argmax()] + 1.0)


def _width(values: Float[Array, " n"], peak: float) -> float:
    """Return how far from the peak a block may lie [HU]: twice the robust spread on the tighter side, 10 to 40."""
    sides = [side for side in (values[values <= peak], values[values >= peak]) if side.size >= MIN_BLOCKS // 4]
    spread = min(float(np.median(np.abs(side - peak))) for side in sides) * 1.4826
    return float(np.clip(2.0 * spread, 10.0, 40.0))


def _statistics(image: Volume, where: Volume) -> tuple[float, float, int]:
    """Return mean, standard deviation and number of the marked voxels; slice by slice, because air is half of a scan."""
    start = offset_in(where, image)
    box = crop(image, start.tolist(), (start + np.array(where.shape)).tolist()).array
    slowest = int(np.argmax(np.abs(box.strides)))  # slices that lie together in memory
    values, marks = np.moveaxis(box, slowest, 0), np.moveaxis(where.array, slowest, 0)
    count = int(np.count_nonzero(marks))
    mean = sum(float(one[mark].sum(dtype=np.float64)) for one, mark in zip(values, marks)) / count
    square = sum(float(np.square(one[mark].astype(np.float64) - mean).sum()) for one, mark in zip(values, marks))
    return mean, float(np.sqrt(square / count)), count
