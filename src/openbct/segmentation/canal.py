"""The spinal canal: a tube of soft tissue that bone encloses in every axial slice, followed through the scan.

A point of the canal sees bone in most directions of its slice within a canal's width, but none close by: all around at the pedicles, in
front and behind at the foramina. Rays of this length end in nothing from the middle of a vertebral body, however porous, because a body is
wider. The path through all slices that has most of this, and bends least, is found by dynamic programming.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume, crop, to_patient

BONE = 160.0
"""Of a coarse voxel that stops a ray [HU]: laminae and pedicles of porous spines still pass it [C]; [D]."""
SOFT = (-130.0, 130.0)
"""Of the canal's content in coarse voxels [HU]: fat, dura, cord, part of an edge [D]."""
REACH = 18.0
"""Length of a ray [mm]: more than half the width of a canal, less than half that of a lumbar body [D]."""
NARROW = 3.6
"""Nearness of bone at which a direction does not count [mm]: the middle of a canal is farther from bone in every direction, also where it is
narrowed to 10 mm [R], the marrow inside a joint or a lamina is not. 2.6 to 4.5 give a scan that failed the same bodies [C]; [D]."""
RAYS = 24
ALONG = 3.5
"""Deviation of the smoothing along the canal [mm]: bridges a foramen, not a vertebra [D]."""
FRONT = (14.0, 40.0)
"""Where the column lies in front of the canal's centre [mm] [D]."""
WIDE = 9.0
"""Edge of the square in a slice that is soft around the middle of a canal [mm]: thoracic canals are 15 mm wide [R]; [D]."""
BEND = 0.1
"""Penalty for a step to the side, per mm² and slice of 2.5 mm, in units of enclosure; to front or back a twenty-fifth [D]."""
STEEPEST = 3.0
"""Most that the path may move aside for each millimetre upwards [-]: the sacral canal runs backwards at up to 72° [D]."""
LEAST_ENCLOSED, LEAST_IN_POROUS = 0.3, 0.15
"""Enclosure below which a slice speaks against a canal, at first and at a second look [-]: laminae of bone of 20 mg/cm³ are seen in a fifth of
the directions [C]; [D]."""
SHORTEST = 16.0
"""Of a canal that is believed [mm]: one arch alone encloses it over the height of its pedicles and what smoothing along it adds [D]."""
SHORT, DRAWN_ON = 50.0, 18.0
"""Length of a canal that is drawn on at its ends, and by how much [mm] [D]."""


@dataclass(frozen=True)
class Canal:
    """The canal's centre line, from below."""

    points: Float[Array, "n 3"]
    """Patient LPS [mm], one for each coarse slice."""
    enclosed: Float[Array, " n"]
    """Share of directions in which bone is near [-], smoothed along the canal."""


def find_canal(coarse: Volume, least: float = LEAST_ENCLOSED) -> Canal | None:
    """Return the spinal canal of a coarse image [HU], or ``None`` where there is none of at least :data:`SHORTEST`.

    Parameters
    ----------
    least
        Enclosure below which a slice speaks against a canal [-].
    """
    coarse = _with_bone(coarse)
    score = _score(coarse)
    path, first = _best_path(score, coarse.spacing, least)
    layers = first + np.arange(len(path))
    if len(path) * coarse.spacing[2] < SHORTEST:
        return None
    index = np.column_stack([path, layers]).astype(float)
    index[:, :2] = ndimage.gaussian_filter1d(index[:, :2], 4.0 / coarse.spacing[2], axis=0, mode="nearest")
    along = score[path[:, 0], path[:, 1], layers]
    if len(path) * coarse.spacing[2] < SHORT:
        index, along = _drawn_on(index, along, coarse)
    return Canal(to_patient(coarse.affine, index), along)


def _drawn_on(
    index: Float[Array, "n 3"], along: Float[Array, " n"], coarse: Volume
) -> tuple[Float[Array, "m 3"], Float[Array, " m"]]:
    """Return a short path as an upright line, drawn on within the image.

    One arch is lower than its body and the discs beside it, and its own slope is not that of the column.
    """
    count = int(np.ceil(DRAWN_ON / coarse.spacing[2]))
    layers = np.arange(max(int(index[0, 2]) - count, 0), min(int(index[-1, 2]) + count, coarse.shape[2] - 1) + 1)
    line = np.column_stack([np.broadcast_to(index[:, :2].mean(axis=0), (len(layers), 2)), layers])
    return line, np.interp(layers, index[:, 2], along)


def _with_bone(coarse: Volume) -> Volume:
    """Return the box in the plane that holds what could be a spine: bone, less the outermost of it at the sides."""
    bone = (coarse.array > BONE).sum(axis=2)
    low, high = [], []
    for axis, share in ((0, 0.1), (1, 0.0)):
        mass = np.cumsum(bone.sum(axis=1 - axis))
        low.append(int(np.searchsorted(mass, share * mass[-1])))
        high.append(int(np.searchsorted(mass, (1 - share) * mass[-1])) + 1)
    pad = np.ceil((REACH + 5.0) / coarse.spacing).astype(int)
    lower, upper = np.array([*low, 0]) - pad, np.array([*high, coarse.shape[2]]) + pad
    return crop(coarse, lower.tolist(), upper.tolist())


def _score(coarse: Volume) -> Float[Array, "i j k"]:
    """Return how much each voxel looks like the middle of the canal: enclosure, where soft and with a column in front."""
    image = coarse.array
    bone = image > BONE
    hits = []
    for direction in np.arange(RAYS) * (2 * np.pi / RAYS):
        hit, near = np.zeros(image.shape, dtype=bool), np.zeros(image.shape, dtype=bool)
        seen: set[tuple[int, int]] = set()
        for distance in np.arange(2.0, REACH + 0.1, 1.0):
            step = (
                round(float(distance * np.cos(direction) / coarse.spacing[0])),
                round(float(distance * np.sin(direction) / coarse.spacing[1])),
            )
            if step != (0, 0) and step not in seen:
                seen.add(step)
                length = np.hypot(step[0] * coarse.spacing[0], step[1] * coarse.spacing[1])
                _or_shifted(near if length <= NARROW else hit, bone, step)
        hits.append(hit & ~near)
    enclosed = np.zeros(image.shape, dtype=np.float32)
    for number in range(RAYS // 2):
        one, other = hits[number], hits[number + RAYS // 2]
        enclosed += 0.25 * one
        enclosed += 0.25 * other
        enclosed += 0.5 * (one & other)
    enclosed /= RAYS // 2
    soft = (image > SOFT[0]) & (image < SOFT[1])
    # The canal is wide: inside laminae and joints a voxel can be as soft, and as enclosed, but not its surroundings.
    size = np.maximum(np.round(WIDE / coarse.spacing[:2]).astype(int), 1)
    wide = np.clip(ndimage.uniform_filter(soft.astype(np.float32), (*size.tolist(), 1), mode="nearest") / 0.8, 0.0, 1.0)
    smooth = ndimage.gaussian_filter1d((0.3 + 0.7 * wide) * enclosed, ALONG / coarse.spacing[2], axis=2, mode="nearest")
    return np.asarray(smooth * _column_in_front(coarse))


def _or_shifted(target: Array, source: Array, step: tuple[int, int]) -> None:
    """Set ``target`` where ``source`` is true at the place moved by ``step``."""
    (a, b), (m, n) = step, source.shape[:2]
    if abs(a) >= m or abs(b) >= n:
        return
    here = (slice(max(0, -a), m - max(0, a)), slice(max(0, -b), n - max(0, b)))
    there = (slice(max(0, a), m - max(0, -a)), slice(max(0, b), n - max(0, -b)))
    target[here] |= source[there]


def _column_in_front(coarse: Volume) -> Float[Array, "i j k"]:
    """Return 0 to 1: how much of the box in front is as dense as bodies and discs over a vertebra's height."""
    dense = np.clip((coarse.array - 50.0) / 80.0, 0.0, 1.0)
    size = np.maximum(np.round(np.array([24.0, FRONT[1] - FRONT[0], 30.0]) / coarse.spacing).astype(int), 1)
    mean = ndimage.uniform_filter(dense, size.tolist(), mode="nearest")
    ahead = round(float((FRONT[0] + FRONT[1]) / 2 / coarse.spacing[1]))
    moved = np.zeros_like(mean)
    moved[:, ahead:] = mean[:, : mean.shape[1] - ahead] if ahead < mean.shape[1] else 0.0
    return np.asarray(np.clip(moved / 0.35, 0.0, 1.0))


def _best_path(score: Float[Array, "i j k"], spacing: Float[Array, "3"], least: float) -> tuple[Array, int]:
    """Return for each slice of the best path its (i, j), and the first of these slices.

    The path may begin and end anywhere: it holds the slices that together give most of the score above ``least``, less bending.
    """
    reach = np.maximum(np.ceil(STEEPEST * spacing[2] / spacing[:2]).astype(int), 1)
    reach[0] = max(1, int(np.ceil(0.6 * spacing[2] / spacing[0])))
    moves = [(a, b) for a in range(-reach[0], reach[0] + 1) for b in range(-reach[1], reach[1] + 1)]
    gain = score - np.float32(least)
    totals = np.empty_like(gain)
    totals[:, :, 0] = gain[:, :, 0]
    choices = np.full(score.shape, -1, dtype=np.int8)
    per_slice = BEND * 2.5 / spacing[2]
    for k in range(1, score.shape[2]):
        best = np.zeros(score.shape[:2], dtype=np.float32)  # to begin here is worth nothing
        for number, (a, b) in enumerate(moves):
            penalty = per_slice * ((a * spacing[0]) ** 2 + 0.04 * (b * spacing[1]) ** 2)
            _keep_better(best, choices[:, :, k], totals[:, :, k - 1], (a, b), penalty, number)
        totals[:, :, k] = best + gain[:, :, k]
    i, j, k = (int(place) for place in np.unravel_index(int(np.argmax(totals)), totals.shape))
    path = [(i, j)]
    while k > 0 and (number := choices[path[-1][0], path[-1][1], k]) >= 0:
        path.append((path[-1][0] + moves[number][0], path[-1][1] + moves[number][1]))
        k -= 1
    return np.array(path[::-1]), k


def _keep_better(best: Array, choice: Array, before: Array, move: tuple[int, int], penalty: float, number: int) -> None:
    (a, b), (m, n) = move, best.shape
    if abs(a) >= m or abs(b) >= n:
        return
    here = (slice(max(0, -a), m - max(0, a)), slice(max(0, -b), n - max(0, b)))
    there = (slice(max(0, a), m - max(0, -a)), slice(max(0, b), n - max(0, -b)))
    candidate = before[there] - penalty
    better = candidate > best[here]
    best[here][better] = candidate[better]
    choice[here][better] = number
