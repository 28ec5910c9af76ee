"""Blood as a reference: in the labelled aorta, else in a large vessel that is found before the spine; and contrast agent in it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..records import Array
from ..volume import Volume
from .outline import Outline
from .spine import locate_spine
from .tissues import Found, drawn_blocks, sample, within

VESSEL_STRETCH, VESSEL_SHARE = 60.0, 0.75
"""Length in which a bright vessel must be seen [mm], and in what share of its slices [design]: 1.0 in a real scan with contrast
agent; at most 0.5 in three without and in the simulated torso [computed]."""
LEFTWARDS, BEFORE = (-12.0, 38.0), (-90.0, -36.0)
"""Where the aorta's middle lies: from the midline to the left, and before the middle of the spine's bone [mm] [design]."""
BLOOD_HU = (10.0, 85.0)
"""Block means that may be blood without contrast agent [HU] [design]."""
RADIUS_MM = (6.5, 17.0)
"""Of the largest disc that fits in a slice of the aorta, which is 15 to 30 mm wide [mm] [design]."""
RIM_MM = 3.5
"""What is left out of that disc, for wall and partial volume [mm] [design]."""
STRAIGHT_MM, DRIFT_MM, GROWTH_MM = 45.0, 8.0, 5.0
"""Length that a vessel must be followed, and how far its middle and its radius may go from slice to slice [mm] [design]."""
ALIKE_HU = 10.0
"""How far the mean of one slice may lie from that of the vessel [HU] [design]."""
FEWEST_BLOCKS, EVEN_HU = 8, 25.0
"""Of a piece of an enhanced vessel: blocks after the erosion, and their standard deviation [HU] [design]."""

Disc = tuple[int, Array, float, float]
"""Slice, middle [mm], radius [mm], mean of its core [HU]."""


def find_blood(outline: Outline, drawn: Volume | None) -> Found | str:
    """Return the blood inside the labelled aorta, else in a large vessel before the spine; or why there is none."""
    if drawn is None:
        return _unlabelled(outline)
    inside = ndimage.binary_erosion(drawn_blocks(outline, drawn), np.ones((3, 3, 1)))
    return sample(outline, inside & within(outline, "blood"), "blood", "blood in the labelled aorta")


def _unlabelled(outline: Outline) -> Found | str:
    """Return the blood in the longest straight, round, even vessel before the spine, or why there is none.

    In each slice the largest discs that fit into blood-like blocks are candidates; a vessel goes on in the next slice at the same place,
    with the same width and reading.
    """
    spine = locate_spine(outline)
    if spine is None:
        return "no spine to look for the aorta before"
    region = ((spine.leftwards >= LEFTWARDS[0]) & (spine.leftwards <= LEFTWARDS[1]))[:, None, :]
    region = region & ((spine.behind >= BEFORE[0]) & (spine.behind <= BEFORE[1]))[None, :, :]
    smooth = ndimage.uniform_filter(outline.mean, (3, 3, 1))
    lumen = outline.body & (smooth > BLOOD_HU[0]) & (smooth < BLOOD_HU[1])
    paths: list[list[Disc]] = []
    for k in range(lumen.shape[2]):
        for disc in _discs(lumen[:, :, k], region[:, :, k], outline, k):
            near = [path for path in paths if path[-1][0] == k - 1 and _goes_on(path, disc)]
            longest = max(near, key=len, default=None)
            if longest is None:
                paths.append([disc])
            else:
                longest.append(disc)
    best = max(paths, key=len, default=[])
    if len(best) * outline.spacing[2] < STRAIGHT_MM:
        return "no vessel without a label could be told from its surroundings"
    blocks = np.zeros_like(lumen)
    for k, middle, radius, _ in best:
        blocks[:, :, k] = _core(lumen[:, :, k], middle, radius, outline)
    return sample(outline, blocks, "blood", "blood in the vessel before the spine")


def _discs(lumen: Array, region: Array, outline: Outline, k: int) -> list[Disc]:
    """Return the discs of a vessel's width that fit into a slice's blood-like blocks, with their middle in the region."""
    edge = outline.spacing[:2]
    depth = ndimage.distance_transform_edt(lumen, sampling=edge)
    peaks = (depth == ndimage.maximum_filter(depth, size=5)) & region & (depth >= RADIUS_MM[0]) & (depth <= RADIUS_MM[1])
    found: list[Disc] = []
    for at in np.argwhere(peaks):
        radius = float(depth[tuple(at)])
        core = _core(lumen, at * edge, radius, outline)
        found.append((k, at * edge, radius, float(outline.mean[:, :, k][core].mean())))
    return found


def _core(lumen: Array, middle: Array, radius: float, outline: Outline) -> Array:
    """Return the blocks of a disc without its rim."""
    x, y = (np.arange(n) * step - at for n, step, at in zip(lumen.shape, outline.spacing, middle))
    return np.asarray(np.hypot(x[:, None], y[None, :]) <= radius - RIM_MM)


def _goes_on(path: list[Disc], disc: Disc) -> bool:
    """Return whether a disc continues a vessel: near, of like width, of like reading."""
    _, at, radius, _ = path[-1]
    alike = abs(disc[3] - float(np.median([entry[3] for entry in path]))) <= ALIKE_HU
    return bool(np.linalg.norm(disc[1] - at) <= DRIFT_MM and abs(disc[2] - radius) <= GROWTH_MM and alike)


def enhanced_vessel(outline: Outline, threshold: float) -> float | None:
    """Return the HU of a bright vessel in front of the spine, for scans without an aorta label; ``None`` if there is none.

    Between 10 and 60 mm in front of the vertebral bodies and within 45 mm of the midline, a blob above ``threshold`` and
    below bone that survives an erosion must be in most slices, or in nearly all of a stretch: the scan may go on to the knees.
    Enhanced liver and bowel may lie there too: the reading is that of the brightest even piece where the aorta runs, else of all.
    """
    spine = locate_spine(outline)
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
    pieces, count = ndimage.label(blob)
    readings = [float(np.median(outline.mean[blob]))]
    for number in range(1, count + 1):
        piece = pieces == number
        i, _, k = np.nonzero(piece)
        aside = float(spine.leftwards[i, k].mean())
        if i.size >= FEWEST_BLOCKS and LEFTWARDS[0] <= aside <= LEFTWARDS[1] and float(outline.mean[piece].std()) < EVEN_HU:
            readings.append(float(np.median(outline.mean[piece])))
    return max(readings)
