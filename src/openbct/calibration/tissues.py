"""Reference tissues found in a scan: outside air, fat under the skin, muscle beside the spine, blood in the aorta.

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

AIR_MARGIN = 12.0
"""Outside air is sampled farther than this from body and table [mm]: less scatter and partial volume [design]."""
SKIN_DEPTH = (5.0, 45.0)
"""Fat under the skin lies between these depths [mm] [design]."""
MUSCLE_SIDEWAYS = (12.0, 55.0)
"""Muscle of the back and psoas lie between these distances from the midline [mm] [design]."""
LEAN_HU = 30.0
"""Muscle below is fatty: the usual cut of body-composition CT between normal and low attenuation [recalled]."""
WINDOWS = {"air": (-1500.0, -400.0), "fat": (-200.0, -20.0), "muscle": (-40.0, 130.0), "blood": (-40.0, 700.0)}
"""Block means considered at all [HU], wide on purpose: gates judge the result, not the search [design]."""
VESSEL_STRETCH, VESSEL_SHARE = 60.0, 0.75
"""Length in which a bright vessel must be seen [mm], and in what share of its slices [design]: 1.0 in a real scan with contrast
agent; at most 0.5 in three without and in the simulated torso [computed]."""
MIN_BLOCKS = 40
"""About two cubic centimetres [design]."""
BONE_HU = 200.0


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


@dataclass(frozen=True)
class Spine:
    """Distances from the spine's bone, by block and slice."""

    sideways: Float[Array, "i k"]
    """From the midline [mm]."""
    behind: Float[Array, "j k"]
    """Behind the middle of the bone [mm]; negative in front."""


def find_air(outline: Outline) -> Found | str:
    """Return outside air that the scanner measured, or why there is none."""
    candidate = outline.outside & ~outline.painted & _within(outline, "air")
    if not candidate.any():
        return "no air outside the body that is not padding"
    # Away from anything that is not air: skin, table, mattress.
    clear = ndimage.distance_transform_edt(candidate, sampling=outline.spacing) > AIR_MARGIN
    if clear.sum() < MIN_BLOCKS:
        clear = ndimage.binary_erosion(candidate, np.ones((3, 3, 1)))
    return _sample(outline, clear, "air", "air outside the body")


def find_fat(outline: Outline, drawn: Volume | None) -> Found | str:
    """Return fat under the skin, else any fat of the body; or why there is none."""
    eroded = ndimage.binary_erosion(_within(outline, "fat") & ~outline.outside & ~outline.painted, np.ones((3, 3, 1)))
    if drawn is not None:
        found = _sample(outline, eroded & _coarse(outline, drawn), "fat", "labelled fat")
        if isinstance(found, Found):
            return found
    low, high = SKIN_DEPTH
    ring = eroded & (outline.depth >= low) & (outline.depth <= high)
    found = _sample(outline, ring, "fat", "fat under the skin")
    return found if isinstance(found, Found) else _sample(outline, eroded, "fat", "fat inside the body")


def find_muscle(outline: Outline, drawn: Volume | None, *, contrast: bool) -> Found | str:
    """Return muscle from its label, else behind the spine, else beside it; or why there is none.

    The first lean muscle is taken; where all are fatty, the leanest. With contrast agent the psoas is not looked for:
    the rule that finds it may meet a vessel.
    """
    eroded = ndimage.binary_erosion(_within(outline, "muscle") & outline.body, np.ones((3, 3, 1)))
    tried: list[Found | str] = []
    if drawn is not None:
        tried.append(_sample(outline, eroded & _coarse(outline, drawn), "muscle", "labelled muscle"))
    spine = _spine(outline)
    if spine is not None:
        tried.append(_sample(outline, eroded & _beside(spine, (10.0, 60.0)), "muscle", "muscle behind the spine"))
        if not contrast and not any(isinstance(item, Found) and item.mean >= LEAN_HU for item in tried):
            tried.append(_sample(outline, eroded & _beside(spine, (-25.0, 5.0)), "muscle", "muscle beside the spine"))
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


def find_blood(outline: Outline, drawn: Volume | None) -> Found | str:
    """Return the blood inside the labelled aorta, or why there is none."""
    if drawn is None:
        return "the aorta is not labelled"
    inside = ndimage.binary_erosion(_coarse(outline, drawn), np.ones((3, 3, 1)))
    return _sample(outline, inside & _within(outline, "blood"), "blood", "blood in the labelled aorta")


def enhanced_vessel(outline: Outline, threshold: float) -> float | None:
    """Return the HU of a bright vessel in front of the spine, for scans without an aorta label; ``None`` if there is none.

    Between 10 and 60 mm in front of the vertebral bodies and within 45 mm of the midline, a blob above ``threshold`` and
    below bone that survives an erosion must be in most slices, or in nearly all of a stretch: the scan may go on to the knees.
    """
    spine = _spine(outline)
    if spine is None:
        return None
    # The bodies' front edge lies about 30 to 40 mm before the median of the spine's bone.
    region = outline.body & (spine.sideways <= 45.0)[:, None, :] & ((spine.behind <= -40.0) & (spine.behind >= -95.0))[None, :, :]
    blob = ndimage.binary_erosion(region & (outline.mean > threshold) & (outline.mean < 600.0), np.ones((3, 3, 1)))
    per_slice = blob.sum(axis=(0, 1)) >= 2
    stretch = min(per_slice.size, max(1, round(VESSEL_STRETCH / float(outline.spacing[2]))))
    fullest = np.convolve(per_slice, np.ones(stretch) / stretch, mode="valid").max()
    if per_slice.sum() < 3 or (per_slice.mean() < 0.5 and fullest < VESSEL_SHARE):
        return None
    return float(np.median(outline.mean[blob]))


def _spine(outline: Outline) -> Spine | None:
    """Return where the spine's bone lies in each slice, from bone in the body's rear half; ``None`` without a spine.

    The median position of bone near the midline is smoothed along the body, so that a slice through a disc or a rib
    borrows from its neighbours.
    """
    if not outline.body.any():
        return None
    depth = np.flatnonzero(outline.body.any(axis=(0, 2)))
    bone = outline.body & (outline.mean > BONE_HU)
    bone[:, : int(0.5 * (depth[0] + depth[-1])), :] = False
    i, j, k = np.nonzero(bone)
    if i.size < MIN_BLOCKS:
        return None
    near = np.abs(i - np.median(i)) * outline.spacing[0] <= 30.0
    i, j, k = i[near], j[near], k[near]
    n_slices, reach = bone.shape[2], max(1, round(15.0 / float(outline.spacing[2])))
    rows = [np.abs(k - at) <= reach for at in range(n_slices)]
    full = np.array([at for at in range(n_slices) if rows[at].sum() >= 5])
    if full.size == 0:
        return None
    every = np.arange(n_slices)
    middle = np.interp(every, full, [np.median(i[rows[at]]) for at in full])
    back = np.interp(every, full, [np.median(j[rows[at]]) for at in full])
    columns, lines = np.arange(bone.shape[0]), np.arange(bone.shape[1])
    return Spine(
        np.abs(columns[:, None] - middle[None, :]) * outline.spacing[0], (lines[:, None] - back[None, :]) * outline.spacing[1]
    )


def _within(outline: Outline, name: str) -> Array:
    low, high = WINDOWS[name]
    return np.asarray((outline.mean > low) & (outline.mean < high))


def _coarse(outline: Outline, drawn: Volume) -> Array:
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


def _sample(outline: Outline, blocks: Array, name: str, how: str) -> Found | str:
    """Return the main peak of the block means, or why it cannot be had."""
    if blocks.sum() < MIN_BLOCKS:
        return f"only {int(blocks.sum())} blocks of {name} ({how}), at least {MIN_BLOCKS} are needed"
    keep = blocks & (np.abs(outline.mean - (peak := _mode(outline.mean[blocks]))) <= _width(outline.mean[blocks], peak))
    where = fine_mask(outline, keep)
    return Found(name, *_statistics(outline.image, where), where, how)


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
