"""Which vertebra is which: counted up from the sacrum and down from the last rib.

The sacrum is the first vertebra from above whose wings go on to the hip bones at both sides. A rib is bone that runs without a gap from beside
a vertebra to farther out than any transverse process. Where both ends are in view, both counts must agree; where neither is, nobody can
know the names, and none is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume, to_index
from .column import Column, sampled
from .discs import Segment

WING_BONE, RIB_BONE = 110.0, 150.0
"""Of a coarse voxel that counts as bone of a wing, whose inside is seen, or of a rib [HU] [D]."""
GRID = 2.0
"""Of the straightened surroundings [mm] [D]."""
WING_X, WING_Y = (30.0, 48.0), (-8.0, 14.0)
"""Box beside the middle of a vertebra where the sacrum has its wings: from the axis to the side, and to the back [mm] [D]."""
WING_SHARE = 0.12
"""Of that box that is bone in the sacrum, at both sides: three real sacra have 0.20 to 0.59, a simulated one 0.13, fifth lumbar vertebrae 0.00 to
0.10 [C]; [D]."""
RIB_INNER, RIB_OUTER, RIB_LEAST = 34.0, 58.0, 50.0
"""A rib comes from nearer to the axis than the first and reaches the second, or the border of the image where that is nearer but not nearer
than the third [mm]: transverse processes end at 35 to 50 mm [R]; [D]."""
WING_DENSE, DENSE_SHARE = 250.0, 0.01
"""Of a coarse voxel that holds cortex [HU], and its share of the box: kidneys full of contrast agent lie there too and have none [-] [D]."""
RIB_SECTION = 500.0
"""Cross-section of a rib, cut in sagittal planes, that is never reached [mm²]: kidneys and liver with contrast agent have thousands [D]."""
NO_DISC, LOW_SHARE = 0.15, 0.82
"""Contrast of a disc that is none, in deviations, and height of a part of S1 over those of the vertebrae above [-] [D]."""
BEYOND = 24.0
"""How far the axis is drawn on below its lower end, where the canal was lost in the sacrum [mm] [D]."""
LUMBAR = 5


@dataclass(frozen=True)
class Naming:
    """The names of the bodies along a column, and how they were come by."""

    names: tuple[str | None, ...]
    """One for each segment, from below; ``None`` where nobody can know."""
    ground: str
    """A sentence: what was counted from what, and how far it can be trusted."""
    cautions: tuple[str, ...]
    agreement: float
    """1 where two counts agree, less where there is one, 0.3 where they disagree [-]."""
    sacrum: int | None
    """Which segment is S1."""
    last_rib: int | None
    """Which segment bears the lowest pair of ribs."""


def name_levels(coarse: Volume, column: Column, segments: Sequence[Segment]) -> Naming:
    """Return the names of the segments of a column of a coarse image [HU]."""
    around = _straightened(coarse, column)
    sacrum = _sacrum(around, column, segments)
    last_rib = _last_rib(around, coarse, column, segments, sacrum)
    return _counted(len(segments), sacrum, last_rib)


@dataclass(frozen=True)
class _Around:
    values: Float[Array, "n m p"]
    """Along the axis, to the left, to the back."""
    x: Float[Array, " m"]
    y: Float[Array, " p"]

    def rows(self, low: float, high: float) -> slice:
        """Return the rows between two places along the axis [mm]."""
        return slice(max(int((low + BEYOND) / GRID), 0), int((high + BEYOND) / GRID) + 1)


def _straightened(coarse: Volume, column: Column) -> _Around:
    x, y = np.arange(-80.0, 80.1, GRID), np.arange(-24.0, 80.1, GRID)
    plane = np.stack(np.meshgrid(x, y, [0.0], indexing="ij"), axis=-1)[:, :, 0]
    step = int(GRID)
    below = column.points[0] - column.axes[0, :, 2] * np.arange(BEYOND, 0.0, -GRID)[:, None]
    points = np.concatenate([below, column.points[::step]])
    axes = np.concatenate([np.repeat(column.axes[:1], len(below), axis=0), column.axes[::step]])
    return _Around(sampled(coarse, points, axes, plane), x, y)


def _sacrum(around: _Around, column: Column, segments: Sequence[Segment]) -> int | None:
    """Return which segment is S1: the highest of those with wings that follow one another at the lower end of the column."""
    found = None
    for number, segment in enumerate(segments):
        share, dense = _wings(around, column, segments, number, segment)
        if share >= WING_SHARE and dense >= DENSE_SHARE:
            found = number
        elif found is not None or number >= 2:
            break
    while found is not None and found + 2 < len(segments) and _is_part_of_sacrum(segments[found + 1 :]):
        found += 1
    return found


def _is_part_of_sacrum(segments: Sequence[Segment]) -> bool:
    """Tell whether the first of the segments is no vertebra but the upper part of S1, split where no disc is: low, with no dark disc."""
    heights = [segment.upper - segment.lower for segment in segments[:4] if segment.complete]
    return len(heights) > 2 and segments[0].contrast < NO_DISC and heights[0] < LOW_SHARE * float(np.median(heights[1:]))


def _wings(around: _Around, column: Column, segments: Sequence[Segment], number: int, segment: Segment) -> tuple[float, float]:
    """Return the shares of bone and of dense bone in the box of the wings, at the side with less of it."""
    # The lower half: transverse processes of L5, which can be broad, leave its upper half.
    lower = segment.lower if number > 0 or segment.complete else min(segment.lower, segment.upper - 0.75 * column.depth[0])
    middle, half = (2 * lower + segment.upper) / 3, max((segment.upper - lower) / 4, 2.0)
    rows = around.rows(middle - half, middle + half)
    y = (around.y >= WING_Y[0]) & (around.y <= WING_Y[1])
    boxes = [around.values[rows][:, (sign * around.x >= WING_X[0]) & (sign * around.x <= WING_X[1])][:, :, y] for sign in (-1, 1)]
    share, dense = (min(float((box > limit).mean()) for box in boxes) for limit in (WING_BONE, WING_DENSE))
    return share, dense


def _last_rib(around: _Around, coarse: Volume, column: Column, segments: Sequence[Segment], sacrum: int | None) -> int | None:
    """Return the lowest segment above the sacrum from which a rib goes out."""
    first = 0 if sacrum is None else sacrum + 1
    lowest: int | None = None
    for sign in (-1, 1):
        room = _room(coarse, column, sign) - 4.0
        if room < RIB_LEAST:
            continue
        beside = (sign * around.x >= RIB_INNER - 4.0) & (sign * around.x <= 78.0)
        bone = around.values[:, beside] > RIB_BONE
        out = np.abs(around.x[beside])
        labels, _ = ndimage.label(bone, structure=np.ones((3, 3, 3)))
        for number, where in enumerate(ndimage.find_objects(labels), start=1):
            piece = labels[where] == number
            reach = out[where[1]][piece.any(axis=(0, 2))]
            # What goes on beside the sacrum, or below what is in view, is a hip bone.
            bottom = 2.0 if sacrum is None else float(segments[sacrum].upper)
            if reach.min() > RIB_INNER or reach.max() < min(RIB_OUTER, room) or GRID * where[0].start - BEYOND < bottom:
                continue
            if float(np.median(piece.sum(axis=(0, 2))[piece.any(axis=(0, 2))])) * GRID**2 > RIB_SECTION:
                continue
            inner = piece[:, np.abs(out[where[1]] - reach.min()) <= GRID]
            height = GRID * (where[0].start + np.average(np.arange(piece.shape[0]), weights=inner.sum(axis=(1, 2)))) - BEYOND
            level = _beside(height, segments)
            if level is not None and level >= first and (lowest is None or level < lowest):
                lowest = level
    return lowest


def _room(coarse: Volume, column: Column, sign: int) -> float:
    """Return how far the image reaches to one side of the column's middle [mm]."""
    middle = column.points[len(column.points) // 2]
    place = float(to_index(coarse.affine, middle[None])[0, 0])
    return float((place if sign * coarse.affine[0, 0] < 0 else coarse.shape[0] - 1 - place) * coarse.spacing[0])


def _beside(height: float, segments: Sequence[Segment]) -> int | None:
    """Return the vertebra whose rib comes out at a height along the axis: from its own middle to that of its upper neighbour."""
    for number, segment in enumerate(segments):
        above = segments[number + 1] if number + 1 < len(segments) else None
        top = segment.upper + 12.0 if above is None else (above.lower + above.upper) / 2
        if (segment.lower + segment.upper) / 2 - 4.0 <= height < top - 4.0:
            return number
    return None


def _counted(count: int, sacrum: int | None, last_rib: int | None) -> Naming:
    """Return the names that the counts give."""
    if sacrum is None and last_rib is None:
        ground = "neither the sacrum nor a rib is in view, so that the vertebrae cannot be counted"
        return Naming((None,) * count, ground, (), 0.0, None, None)
    below = 0 if sacrum is None else sacrum + 1
    if sacrum is not None:
        names = _from_sacrum(count, sacrum)
    else:
        assert last_rib is not None
        names = tuple(_numbered(last_rib - number) for number in range(count))
    if sacrum is None or last_rib is None:
        seen, other = ("the sacrum", "no rib") if last_rib is None else ("the last rib", "no sacrum")
        # One in about ten: persons with four or six lumbar vertebrae and with transitional ones together [R].
        ground = (
            f"Levels were counted from {seen}, assuming five lumbar vertebrae; {other} was found as a second ground, and a person in about ten "
            "has another number or a transitional vertebra."
        )
        return Naming(names, ground, (), 0.7, sacrum, last_rib)
    lumbar = last_rib - below
    if lumbar == LUMBAR:
        ground = "Levels were counted up from the sacrum and down from the last rib; both agree on five lumbar vertebrae."
        return Naming(names, ground, (), 1.0, sacrum, last_rib)
    caution = (
        f"The last rib was found {lumbar} vertebrae above the sacrum, expected {LUMBAR}: short or missing twelfth ribs, a transitional vertebra or "
        "another number of vertebrae; levels were counted up from the sacrum and may be one off, which exchanges neighbours' results and little else."
    )
    ground = f"Levels were counted up from the sacrum; counting down from the last rib gives {lumbar} lumbar vertebrae."
    return Naming(names, ground, (caution,), 0.3 if abs(lumbar - LUMBAR) > 1 else 0.5, sacrum, last_rib)


def _from_sacrum(count: int, sacrum: int) -> tuple[str | None, ...]:
    below: list[str | None] = [f"S{sacrum - number + 1}" for number in range(sacrum + 1)]
    above: list[str | None] = [_numbered(LUMBAR - (number - sacrum - 1)) for number in range(sacrum + 1, count)]
    return tuple(below + above)


def _numbered(place: int) -> str | None:
    """Return the level that is ``place`` below T12: 0 is T12, 1 is L1, -1 is T11."""
    if place > LUMBAR + 1:
        return None
    if place > 0:
        return f"L{place}"
    return f"T{12 + place}" if place > -12 else None
