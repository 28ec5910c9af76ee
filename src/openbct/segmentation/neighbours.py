"""Neighbouring vertebrae that labels have mixed: pieces given back, two under one label parted, boundaries that sit wrong told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Shaped
from scipy import ndimage

Array = np.ndarray
ORDER = tuple([f"C{n}" for n in range(1, 8)] + [f"T{n}" for n in range(1, 14)] + [f"L{n}" for n in range(1, 7)] + ["S1"])
"""From the head down; T13 and L6 are few people's."""
RARE = ("T13", "L6")
PIECE = 0.005
"""Part of a label from which a piece apart from the rest is looked at [-] [D]."""
TWO_PIECES = 0.25
"""Part of a label from which a second piece is another vertebra [-] [D]."""
TALL = 1.5
"""Height of a label's front over the distance of neighbouring levels from which it holds two bodies [-] [D]: one body and its disc are 1."""
FRONT = 0.45
"""Part of a whole vertebra's depth, from the front, that is its body [-] [D]."""
UNEVEN = 0.35
"""Height of a body's label off the mean of its neighbours' that is told [-] [D]: fractures rarely take more from a label's full height."""
LUMBAR_PITCH_MM = 34.0
"""Distance of neighbouring levels where a map has too few to measure it [mm] [R]."""

Where = tuple[slice, slice, slice]
Mended = tuple[Shaped[Array, "i j k"], dict[int, str], list[str]]


@dataclass(frozen=True)
class Level:
    """One vertebra's label."""

    number: int
    prefix: str
    level: str
    where: Where


def levels_of(array: Shaped[Array, "i j k"], names: Mapping[int, str]) -> list[Level]:
    """Return the labels of vertebrae that have voxels, from the head down; bodies and wholes apart."""
    boxes = ndimage.find_objects(array, max_label=max(names, default=0))
    found = []
    for number, name in names.items():
        prefix, _, level = name.rpartition("_")
        box = boxes[number - 1] if number <= len(boxes) else None
        if prefix in ("vertebrae", "vertebral_body") and level in ORDER and box is not None:
            found.append(Level(number, prefix, level, (box[0], box[1], box[2])))
    return sorted(found, key=lambda one: (one.prefix, ORDER.index(one.level)))


def pieces_given_back(array: Shaped[Array, "i j k"], names: Mapping[int, str]) -> Mended:
    """Return labels in which a piece of one vertebra's label that hangs on another vertebra, and not on its own, is the other's."""
    levels = levels_of(array, names)
    numbers = {one.number: one for one in levels}
    changed = array
    cautions = []
    for one in levels:
        pieces, count = ndimage.label(array[one.where] == one.number, structure=np.ones((3, 3, 3)))
        if count < 2:
            continue
        sizes = np.bincount(pieces.ravel())
        main = 1 + int(np.argmax(sizes[1:]))
        total = int(sizes[1:].sum())
        for piece in range(1, count + 1):
            if piece == main or sizes[piece] < PIECE * total:
                continue
            grown = tuple(slice(max(axis.start - 1, 0), axis.stop + 1) for axis in one.where)
            offset = tuple(slice(a.start - g.start, a.start - g.start + (a.stop - a.start)) for a, g in zip(one.where, grown))
            mask = np.zeros(array[grown].shape, dtype=bool)
            mask[offset] = pieces == piece
            rim = ndimage.binary_dilation(mask, structure=np.ones((3, 3, 3))) & ~mask
            touched = array[grown][rim]
            touched = touched[
                np.isin(touched, [n for n, other in numbers.items() if n != one.number and other.prefix == one.prefix])
            ]
            if len(touched) == 0:
                continue
            owner = int(np.bincount(touched).argmax())
            changed = array.copy() if changed is array else changed
            changed[grown][mask] = owner
            cautions.append(
                f"{one.level}: {100 * sizes[piece] / total:.1f} % of its label hung on {numbers[owner].level} and was given to it."
            )
    return changed, dict(names), cautions


def merged_parted(array: Shaped[Array, "i j k"], names: Mapping[int, str], spacing: Shaped[Array, "3"]) -> Mended:
    """Return labels in which two vertebrae under one name are parted, where a level beside it is free to take the other's name."""
    levels = levels_of(array, names)
    named, cautions = dict(names), []
    changed = array
    for prefix in ("vertebral_body", "vertebrae"):
        ours = [one for one in levels if one.prefix == prefix]
        pitch = _pitch(array, ours, float(spacing[2]))
        for one in ours:
            mask = array[one.where] == one.number
            cut = _cut(mask, one, pitch / float(spacing[2]), shape=array.shape)
            if cut is None:
                continue
            other, below = _free_level(one.level, {each.level for each in ours})
            if other is None:
                continue
            changed = array.copy() if changed is array else changed
            new = max(named) + 1
            if new > 255 and changed.dtype == np.uint8:
                changed = changed.astype(np.int32)
            part = mask.copy()
            part[:, :, cut:] &= not below
            part[:, :, :cut] &= below
            changed[one.where][part] = new
            named[new] = f"{prefix}_{other}"
            cautions.append(
                f"The label of {one.level} held two vertebrae, {mask.any(axis=(0, 1)).sum() * float(spacing[2]):.0f} mm high where levels lie {pitch:.0f} mm "
                f"apart; it was parted where it is narrowest, into {one.level} and {other}: check both, and their names."
            )
    return changed, named, cautions


def _pitch(array: Shaped[Array, "i j k"], levels: list[Level], step: float) -> float:
    """Return the median distance of neighbouring levels [mm]."""
    middles = {one.level: step * _middle(array[one.where] == one.number, one) for one in levels}
    steps = []
    for upper, lower in pairwise(levels):
        apart = ORDER.index(lower.level) - ORDER.index(upper.level)
        if apart == 1:
            steps.append(abs(middles[upper.level] - middles[lower.level]))
    return float(np.median(steps)) if len(steps) >= 2 else LUMBAR_PITCH_MM


def _middle(mask: Bool[Array, "i j k"], one: Level) -> float:
    """Return the slice that halves a label's front."""
    layers = np.count_nonzero(_front(mask), axis=(0, 1)).astype(float)
    return float(one.where[2].start + np.searchsorted(np.cumsum(layers), 0.5 * layers.sum()))


def _front(mask: Bool[Array, "i j k"]) -> Bool[Array, "i front k"]:
    """Return the front of a label: all of a body, and of a whole vertebra what is not its processes."""
    return mask[:, : max(int(np.ceil(FRONT * mask.shape[1])), 1)]


def _cut(mask: Bool[Array, "i j k"], one: Level, pitch: float, *, shape: tuple[int, ...]) -> int | None:
    """Return the slice within the box that parts two vertebrae; ``None`` where the label holds one."""
    if one.where[2].start == 0 or one.where[2].stop == shape[2]:
        return None  # cut by the image: its height tells nothing
    area = np.count_nonzero(_front(mask), axis=(0, 1)).astype(float)
    there = np.flatnonzero(area > 0.1 * area.max())
    height = int(there[-1] - there[0] + 1)
    if height <= TALL * pitch:
        return None
    smooth = ndimage.uniform_filter1d(area, 3)
    low, high = there[0] + height // 3, there[0] + height - height // 3
    at = int(low + np.argmin(smooth[low:high]))
    above, below = float(area[at:].sum()), float(area[:at].sum())
    return at if min(above, below) > TWO_PIECES * (above + below) else None


def _free_level(level: str, taken: set[str]) -> tuple[str | None, bool]:
    """Return the level that the other vertebra has, and whether it is the lower one: the one that nobody has while its other side is held."""
    usual = [one for one in ORDER if one not in RARE or one in taken]
    at = usual.index(level)
    upper, lower = usual[at - 1] if at else None, usual[at + 1] if at + 1 < len(usual) else None
    if lower not in taken and (upper in taken or lower is None or upper is None):
        return lower, True
    if upper not in taken and lower in taken:
        return upper, False
    return None, True


def uneven_heights(array: Shaped[Array, "i j k"], names: Mapping[int, str], step: float) -> list[str]:
    """Return doubts about levels whose label is far lower or higher than its neighbours': its border may sit in a disc or a body."""
    cautions = []
    for prefix in ("vertebral_body", "vertebrae"):
        ours = [one for one in levels_of(array, names) if one.prefix == prefix]
        heights = {}
        for one in ours:
            area = np.count_nonzero(_front(array[one.where] == one.number), axis=(0, 1)).astype(float)
            if one.where[2].start > 0 and one.where[2].stop < array.shape[2]:
                heights[one.level] = step * int(np.count_nonzero(area > 0.25 * area.max()))
        for level, height in heights.items():
            at = ORDER.index(level)
            near = [heights[other] for other in ORDER[max(at - 1, 0) : at + 2] if other in heights and other != level]
            if len(near) == 2 and abs(height / np.mean(near) - 1) > UNEVEN:
                cautions.append(
                    f"{level}: its label is {height:.0f} mm high and its neighbours' {np.mean(near):.0f} mm: the border between them may run "
                    "through a disc or a body, or the body is crushed; look before its strength is used."
                )
    return cautions
