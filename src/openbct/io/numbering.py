"""Telling numberings apart by anatomy: vertebrae lie in order from head to foot, one body height apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..errors import SegmentationError
from ..volume import Volume, to_patient

Array = np.ndarray
LEVELS = tuple([f"C{i}" for i in range(1, 8)] + [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 7)] + ["S1"])
BONES = ("vertebrae_", "vertebral_body_", "femur_")
PARTS, BODY_PARTS = range(41, 51), (49, 50)
"""Numbers of the parts of vertebrae in SPINEPS' semantic map, and those of the bodies [SC]."""
STEP_MM = (8.0, 60.0)
"""Distance of neighbouring vertebral centres [mm] [D]: from small cervical to large lumbar ones, labels cut by the image included."""
PITCH_MM = {"C3": 16.0, "C7": 17.0, "T4": 22.0, "T9": 26.0, "T12": 31.0, "L2": 35.0, "S1": 35.0}
"""Distance of a vertebral centre from the next in adults [mm], linear between these levels [R]; real label maps: 33 to 37 from
T12 to L5."""
PITCH_MARGIN = math.log(1.1)
"""How much nearer to that one numbering must lie than another, as a ratio [D]: people differ by some 15 %, T4 to T8 from L1
to L5 by half."""
BODY_DEPTH_MM = 52.0
"""Front-to-back extent that tells a body from a whole vertebra, T4 to L5 [mm] [D]: bodies are about 20 to 45 mm deep, whole
vertebrae with their spinous processes 60 to 95 mm (real label maps: 42 against 75 to 90)."""


def recognise(volume: Volume, found: list[int], tables: Mapping[str, Mapping[int, str]]) -> tuple[dict[int, str], str]:
    """Return the names under the numbering that fits the anatomy, and in words which that is.

    Raises
    ------
    SegmentationError
        No numbering fits, or there is nothing to tell them apart by.
    """
    listed = ", ".join(map(str, found[:20])) + (" ..." if len(found) > 20 else "")
    known = {name: table for name, table in tables.items() if all(number in table for number in found)}
    if not known:
        raise SegmentationError(
            f"found labels {listed}, which no known numbering ({', '.join(tables)}) covers; say what they are with --label-map"
        )
    if _are_parts(volume, found) and "spineps" in known:
        parts = known["spineps"]
        return dict(parts), "spineps numbering recognised by parts of vertebrae that run along the whole spine side by side"
    centres = find_centres(volume, found)
    lengths = {name: _chain_length({number: table[number] for number in found}, centres) for name, table in known.items()}
    best = max(lengths.values())
    if best >= 2:
        tied = _unlike({name: known[name] for name, length in lengths.items() if length == best}, found)
        chosen = next(iter(tied)) if len(tied) == 1 else _by_pitch(found, tied, centres)
        how = "" if len(tied) == 1 else " and by the distance between them"
        return dict(known[chosen]), f"{chosen} numbering recognised by {best} vertebrae in order{how}"
    # Without a chain as proof the superseded numbering (total_v1, until 2023) is not considered.
    newer = {name: table for name, table in known.items() if name != "total_v1"}
    holding = _unlike({name: t for name, t in newer.items() if any(t[n].startswith(BONES) for n in found)}, found)
    if len(holding) == 1 and set(holding) <= {"total", "openbct"}:
        name, table = next(iter(holding.items()))
        return dict(table), f"{name} numbering, the only one in which these numbers hold a bone that is analysed"
    meanings = "; ".join(f"{name}: {', '.join(table[number] for number in found[:3])}" for name, table in known.items())
    raise SegmentationError(
        f"found labels {listed}, which mean different things ({meanings}) and too few vertebrae to tell; say what they are with"
        f" --label-map (a TOML file, or {', '.join(tables)})"
    )


def _unlike(tables: Mapping[str, Mapping[int, str]], found: list[int]) -> dict[str, Mapping[int, str]]:
    """Return the tables that give these numbers different names, the first of those that agree."""
    meanings: dict[tuple[str, ...], str] = {}
    for name, table in tables.items():
        meanings.setdefault(tuple(table[number] for number in found), name)
    return {name: tables[name] for name in meanings.values()}


def _are_parts(volume: Volume, found: list[int]) -> bool:
    """Tell parts of all vertebrae together from levels: three or more of them reach over the same heights."""
    boxes = ndimage.find_objects(volume.array, max_label=max(PARTS))
    heights = [boxes[n - 1][2] for n in found if n in PARTS and boxes[n - 1] is not None]
    if len(heights) < 3 or not any(n in found for n in BODY_PARTS):
        return False
    low, high = max(one.start for one in heights), min(one.stop for one in heights)
    return bool(2 * (high - low) > max(one.stop for one in heights) - min(one.start for one in heights))


def _by_pitch(found: list[int], tied: Mapping[str, Mapping[int, str]], centres: Mapping[int, Float[Array, "3"]]) -> str:
    """Return the numbering whose levels are as far apart as the vertebrae: lumbar ones are half as far again as thoracic.

    Raises
    ------
    SegmentationError
        Two fit nearly as well.
    """
    fits: dict[str, tuple[float, float, float]] = {}
    ends: dict[str, str] = {}
    levels = np.array([LEVELS.index(level) for level in PITCH_MM])
    for name, table in tied.items():
        places, numbers = zip(*_in_order({number: table[number] for number in found}))
        measured = sum(float(np.linalg.norm(centres[a] - centres[b])) for a, b in pairwise(numbers))
        # S1 follows L5 in most people.
        gaps = np.array([place for place in range(places[0], places[-1]) if LEVELS[place] != "L6" or place in places])
        expected = float(np.interp(gaps + 0.5, levels, list(PITCH_MM.values())).sum())
        fits[name] = (abs(math.log(measured / expected)), measured / len(gaps), expected / len(gaps))
        ends[name] = f"{table[numbers[0]]} to {table[numbers[-1]]}"
    first, second, *_ = sorted(fits, key=lambda name: fits[name][0])
    if fits[second][0] - fits[first][0] >= PITCH_MARGIN:
        return first
    meanings = " or ".join(
        f"{ends[name]} by {name} ({fits[name][1]:.0f} mm apart, about {fits[name][2]:.0f} expected)" for name in tied
    )
    raise SegmentationError(
        f"found labels {', '.join(map(str, found[:20]))}, which may be {meanings}, and the distances do not tell; say what they are with "
        "--label-map (a TOML file, or the name of one)"
    )


def find_centres(volume: Volume, numbers: list[int]) -> dict[int, Float[Array, "3"]]:
    """Return the centre of each label in patient LPS [mm], plane by plane so that a large map costs no copy."""
    size = max(numbers) + 1
    count, sums = np.zeros(size), np.zeros((3, size))
    for k in range(volume.shape[2]):
        plane = volume.array[:, :, k]
        i, j = np.nonzero(plane)
        labels = plane[i, j].astype(np.int64)
        known = labels < size
        here = np.bincount(labels[known], minlength=size)
        count += here
        sums[0] += np.bincount(labels[known], weights=i[known], minlength=size)
        sums[1] += np.bincount(labels[known], weights=j[known], minlength=size)
        sums[2] += here * k
    centres = (sums[:, numbers] / count[numbers]).T
    return dict(zip(numbers, to_patient(volume.affine, centres)))


def _in_order(names: Mapping[int, str]) -> list[tuple[int, int]]:
    """Return (place in the spine, label) of the vertebrae, from head to foot."""
    levels = {
        number: name.rsplit("_", 1)[-1] for number, name in names.items() if name.startswith(("vertebrae_", "vertebral_body_"))
    }
    return sorted((LEVELS.index(level), number) for number, level in levels.items() if level in LEVELS)


def _chain_length(names: Mapping[int, str], centres: Mapping[int, Float[Array, "3"]]) -> int:
    """Return how many vertebrae a numbering has in the image, 0 where any lies out of order."""
    chain = _in_order(names)
    for (place, number), (next_place, next_number) in pairwise(chain):
        steps = max(1, next_place - place)
        down = float(centres[number][2] - centres[next_number][2])
        apart = float(np.linalg.norm(centres[number] - centres[next_number]))
        if down <= 0 or not STEP_MM[0] * steps <= apart <= STEP_MM[1] * steps:
            return 0
    return len(chain)


def check_order(volume: Volume, names: Mapping[int, str]) -> None:
    """Refuse vertebrae that are not in order from head to foot: a flipped map, or the wrong names.

    Raises
    ------
    SegmentationError
        One lies above a neighbour that should be above it.
    """
    for prefix in ("vertebrae_", "vertebral_body_"):
        chain = _in_order({number: name for number, name in names.items() if name.startswith(prefix)})
        if len(chain) < 2:
            continue
        centres = find_centres(volume, [number for _, number in chain])
        for (_, upper), (_, lower) in pairwise(chain):
            down = float(centres[upper][2] - centres[lower][2])
            if down <= 0:
                raise SegmentationError(
                    f"found {names[upper]} {-down:.0f} mm below {names[lower]}, expected it above: the labels are upside down or their"
                    " numbers mean something else; check their orientation and --label-map"
                )


def name_bodies(volume: Volume, names: Mapping[int, str]) -> tuple[dict[int, str], str]:
    """Return the names with vertebrae that have no processes called bodies, and in words why.

    Some programs give vertebral bodies the plain names of vertebrae. A body is half as deep as its vertebra.
    """
    boxes = ndimage.find_objects(volume.array)
    depths = []
    for place, number in _in_order({number: name for number, name in names.items() if name.startswith("vertebrae_")}):
        box = boxes[number - 1] if number <= len(boxes) else None
        if box is None or not LEVELS.index("T4") <= place <= LEVELS.index("L5"):
            continue
        if box[1].start == 0 or box[1].stop == volume.shape[1] or box[2].start == 0 or box[2].stop == volume.shape[2]:
            continue  # cut by the image: its depth says nothing
        depths.append((box[1].stop - box[1].start) * float(volume.spacing[1]))
    if len(depths) < 2 or np.median(depths) >= BODY_DEPTH_MM:
        return dict(names), ""
    bodies = {number: name.replace("vertebrae_", "vertebral_body_") for number, name in names.items()}
    return bodies, f"; vertebrae {np.median(depths):.0f} mm deep are bodies without processes"
