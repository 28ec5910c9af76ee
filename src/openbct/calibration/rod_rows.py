"""Rods that belong together: side by side in a slab, or one behind the other along the table, at equal distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np

from .rods import Track

BELOW_MM = 35.0
"""From the axis of a rod under the body down to foam or air: slab and shell of the table, no flesh [mm] [design]."""
LEVEL_DEG = 20.0
"""A slab under the body lies flat within this [degrees] [design]."""
OFF_ROW_MM = 2.5
"""Rods of a row lie on a line within this [mm] [design]."""
ALIKE = 0.25
"""Radii of the rods of a phantom differ by less [-] [design]."""
UNEVEN = 0.06
"""Distances between neighbours differ by less, over their mean [-] [design]."""
MOST_TRACKS = 16
"""Considered together inside a body, longest first [design]."""


@dataclass(frozen=True)
class Row:
    """Places of all rods of a phantom, in order from the patient's right to left, or from below to above."""

    rods: tuple[Track, ...]
    """Those not seen stand where their neighbours say, and have the HU of what is around those."""
    seen: tuple[bool, ...]
    spacing: float
    """Between neighbours [mm]; NaN where only one rod was seen."""

    @property
    def ends(self) -> tuple[float, float]:
        """Where all rods that were seen are, along z [mm]."""
        found = [rod.ends for rod, seen in zip(self.rods, self.seen) if seen]
        return max(start for start, _ in found), min(end for _, end in found)


def rows_below(tracks: Sequence[Track]) -> list[tuple[Track, ...]]:
    """Return groups of rods that lie side by side under the body, most first; a rod alone is a group too."""
    under = [track for track in tracks if track.below <= BELOW_MM]
    groups: dict[frozenset[int], tuple[Track, ...]] = {}
    for first, second in combinations(range(len(under)), 2):
        a, b = under[first], under[second]
        height = _shared(a, b)
        if height is None or abs(a.radius / b.radius - 1) > ALIKE:
            continue
        start, along = np.array(a.at(height)), np.array(b.at(height)) - np.array(a.at(height))
        length = float(np.hypot(*along))
        if length < 1.5 * a.radius or abs(along[1]) > np.tan(np.radians(LEVEL_DEG)) * abs(along[0]):
            continue
        members = []
        for index, track in enumerate(under):
            away = np.array(track.at(height)) - start
            off = abs(along[0] * away[1] - along[1] * away[0]) / length
            if off < OFF_ROW_MM and abs(track.radius / a.radius - 1) < ALIKE and _shared(a, track) is not None:
                members.append(index)
        groups[frozenset(members)] = tuple(sorted((under[m] for m in members), key=lambda track: track.at(height)[0]))
    biggest = [key for key in groups if not any(key < other for other in groups)]
    alone = [(track,) for number, track in enumerate(under) if not any(number in key for key in biggest)]
    return sorted((groups[key] for key in biggest), key=len, reverse=True) + alone


def spread_below(group: Sequence[Track], count: int) -> Iterator[Row]:
    """Yield every way in which ``count`` equally spaced rods can have the seen ones of ``group`` among them, all of these at places."""
    z = (max(track.ends[0] for track in group) + min(track.ends[1] for track in group)) / 2
    places = np.array([track.at(z) for track in group])
    if len(group) == 1:
        if count == 2:  # the other has the HU of what is around
            other = replace(group[0], mean=group[0].around)
            yield Row((group[0], other), (True, False), float("nan"))
            yield Row((other, group[0]), (False, True), float("nan"))
        return
    for first in range(count):
        for last in range(first + len(group) - 1, count):
            step = (places[-1] - places[0]) / (last - first)
            spacing = float(np.hypot(*step))
            numbers = np.rint((places[:, 0] - places[0, 0]) / step[0]).astype(int) + first
            off = np.hypot(*(places - places[0] - (numbers - first)[:, None] * step).T)
            if spacing < 1.5 * group[0].radius or off.max() > max(1.5, UNEVEN * spacing) or len(set(numbers)) < len(group):
                continue
            around, radius = float(np.median([t.around for t in group])), float(np.median([t.radius for t in group]))
            lean = tuple(np.mean([t.lean for t in group], axis=0))
            rods = []
            for number in range(count):
                if number in numbers:
                    rods.append(group[int(np.flatnonzero(numbers == number)[0])])
                else:
                    x, y = places[0] + (number - first) * step
                    middle = (float(x), float(y), float(z))
                    below = float(np.median([t.below for t in group]))
                    rods.append(Track(middle, (float(lean[0]), float(lean[1])), group[0].ends, radius, around, around, below))
            yield Row(tuple(rods), tuple(number in numbers for number in range(count)), spacing)


def spread_inside(tracks: Sequence[Track], count: int) -> Iterator[Row]:
    """Yield every row of ``count`` rods, all of them seen, in any direction across the table."""
    for chosen in combinations(tracks[:MOST_TRACKS], count):
        height = _shared(*chosen)
        if height is None or max(t.radius for t in chosen) > (1 + ALIKE) * min(t.radius for t in chosen):
            continue
        places = np.array([track.at(height) for track in chosen])
        order = np.argsort(places @ _main_axis(places))
        places, rods = places[order], tuple(chosen[int(n)] for n in order)
        step = (places[-1] - places[0]) / (count - 1)
        spacing = float(np.hypot(*step))
        off = np.hypot(*(places - places[0] - np.arange(count)[:, None] * step).T)
        if spacing > 1.8 * rods[0].radius and off.max() <= max(1.5, UNEVEN * spacing):
            yield Row(rods, (True,) * count, spacing)


def spread_column(tracks: Sequence[Track], count: int) -> Iterator[Row]:
    """Yield every set of ``count`` rods that follow one another along the table on one axis."""
    for chosen in combinations(sorted(tracks[:MOST_TRACKS], key=lambda track: track.middle[2]), count):
        z = np.array([track.middle[2] for track in chosen])
        steps = np.diff(z)
        apart = all(a.ends[1] < b.ends[0] + 8.0 for a, b in pairwise(chosen))
        places = np.array([track.middle[:2] for track in chosen])
        alike = max(t.radius for t in chosen) < (1 + ALIKE) * min(t.radius for t in chosen)
        if apart and alike and np.ptp(places, axis=0).max() < 2 * OFF_ROW_MM and np.ptp(steps) < 0.2 * steps.mean():
            yield Row(tuple(chosen), (True,) * count, float(steps.mean()))


def _shared(*tracks: Track) -> float | None:
    """Return the middle of the heights that all rods share [mm], or ``None``."""
    low, high = max(track.ends[0] for track in tracks), min(track.ends[1] for track in tracks)
    return (low + high) / 2 if high - low > 4.0 else None


def _main_axis(places: np.ndarray) -> np.ndarray:
    """Return the direction in which points spread most, from the patient's right to left."""
    axis = np.linalg.svd(places - places.mean(axis=0))[2][0]
    return np.asarray(axis if axis[0] >= 0 else -axis)
