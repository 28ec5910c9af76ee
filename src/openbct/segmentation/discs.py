"""Bodies and discs in turn along the column, cut apart at their endplates.

Three signals run along the axis: the wall (bone around the body at the sides and in front, none around a disc), the core (endplates are its
bright lines), and the pedicles (they join the upper half of a body). The best sequence of bodies and discs of plausible heights,
what is above and below left open, is found by dynamic programming over segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume
from .column import Column, sampled

BODY_OVER_DEPTH, BODY_SPREAD = 0.78, 0.17
"""Height of a body over its depth, and its deviation [-]: lumbar bodies of 28 over 34 mm, thoracic ones of 21 over 28 [R]; [D]."""
DISC_OVER_DEPTH, DISC_SPREAD = 0.24, 0.09
"""Height of a disc over the depth of its bodies, and its deviation [-] [R, D]."""
BODY_LIMITS, DISC_LIMITS = (9, 44), (2, 20)
"""Heights that are tried at all [mm] [D]."""
PRIOR_CAP = 6.0
"""Most that a height may cost: a crushed body costs no more than a missing one [-] [D]."""
WEIGHTS = {"wall": 0.18, "core": 0.12, "inside": 0.04, "edge": 2.2, "dip": 1.5, "pedicle": 2.2, "prior": 1.0, "neighbour": 16.0}
"""Of the evidence per millimetre, per endplate and per body, against one unit of the heights' prior [D]."""
LOCAL, NEAR = 35.0, 8.0
"""Deviation over which a signal is scaled, and over which the wall is compared with itself [mm]: thoracic bodies are narrow and dark in their
middle beside their rims [D]."""
SLIM = (26.0, 31.0)
"""Depth of bodies up to which the wall says nothing, and from which it says all: upper thoracic discs are so thin that rims hide them [mm] [D]."""

STOUT, RIBBED = (28.0, 33.0), 0.3
"""Depth of bodies up to which the pedicles say only the second number's share [-], and from which they say all: higher up ribs join beside
them [mm] [D]."""


@dataclass(frozen=True)
class Signals:
    """What is seen along the axis, one value for each millimetre, each as deviations from its surroundings."""

    wall: Float[Array, " n"]
    core: Float[Array, " n"]
    edge: Float[Array, " n"]
    """How much the place looks like an endplate."""
    pedicle: Float[Array, " n"]


@dataclass(frozen=True)
class Segment:
    """One body between its discs, along the axis [mm]."""

    lower: int
    upper: int
    complete: bool
    """Both endplates are in view."""
    contrast: float
    """How much darker its discs are than the body's wall, in deviations of the signal."""


def read_signals(image: Volume, column: Column) -> Signals:
    """Return the signals of a column."""
    half = column.depth / 2
    angle = np.radians(np.arange(-65.0, 65.1, 10.0))
    ways = np.arange(0.65, 1.40, 0.08)
    # Bodies are about a third wider than deep.
    ring = np.stack([1.35 * np.sin(angle)[:, None] * ways, -np.cos(angle)[:, None] * ways, 0.0 * angle[:, None] * ways], axis=-1)
    core = np.array([(x, y, 0.0) for x in np.linspace(-0.6, 0.6, 7) for y in np.linspace(-0.5, 0.5, 7)])
    wall, middle, pedicle = (np.zeros(len(half)) for _ in range(3))
    for row in range(0, len(half), 16):
        rows = slice(row, row + 16)
        size = float(half[rows].mean())
        frame = column.points[rows], column.axes[rows]
        wall[rows] = np.clip(sampled(image, *frame, ring * size), -100, 900).max(axis=2).mean(axis=1)
        middle[rows] = np.clip(sampled(image, *frame, core * size), -100, 900).mean(axis=1)
        back = float(column.canal[rows].mean())
        x, y = np.meshgrid(np.arange(9.0, 20.0, 1.5), np.arange(-9.0, 3.0, 2.0), indexing="ij")
        side = np.stack([x, back + y, 0.0 * x], axis=-1)
        left, right = (
            np.clip(sampled(image, *frame, side * (sign, 1, 1)), -100, 900).mean(axis=2).max(axis=1) for sign in (1, -1)
        )
        pedicle[rows] = np.minimum(left, right)
    fine = ndimage.gaussian_filter1d(middle, 1.0)
    edge = fine - ndimage.gaussian_filter1d(middle, 5.0)
    trust, stout = (np.clip((column.depth - low) / (high - low), 0.0, 1.0) for low, high in (SLIM, STOUT))
    return Signals(
        trust * _local(wall - ndimage.gaussian_filter1d(wall, NEAR, mode="nearest")),
        _local(middle),
        _local(edge),
        (RIBBED + (1.0 - RIBBED) * stout) * _local(ndimage.gaussian_filter1d(pedicle, 2.0)),
    )


def _local(values: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return a signal as deviations from its own running mean."""
    mean = ndimage.gaussian_filter1d(values, LOCAL, mode="nearest")
    spread = np.sqrt(ndimage.gaussian_filter1d((values - mean) ** 2, LOCAL, mode="nearest"))
    return np.asarray(np.clip((values - mean) / (spread + 8.0), -2.5, 2.5))


def find_bodies(signals: Signals, depth: Float[Array, " n"]) -> list[Segment]:
    """Return the bodies along the axis from below; those at the ends may be incomplete."""
    n = len(depth)
    # Going down, bodies get no smaller: where the front of the sacrum misleads, the depth above counts.
    depth = np.maximum(depth, 0.9 * np.array([depth[row : row + 60].max() for row in range(n)]))
    wall, core, pedicle = (np.concatenate([[0.0], np.cumsum(s)]) for s in (signals.wall, signals.core, signals.pedicle))
    edge, dip = ndimage.maximum_filter1d(signals.edge, 3), np.concatenate([[0.0], np.cumsum(signals.edge)])
    heights = np.arange(BODY_LIMITS[0], BODY_LIMITS[1] + 1)
    unlike = WEIGHTS["neighbour"] * np.minimum(np.log(heights[:, None] / heights[None, :]) ** 2, 0.25)
    # body[e, h]: best sequence whose last part is a body of height h that ends at e; disc[e, h]: the same with a disc after it.
    # The last column of disc stands for a first disc: what lies below it is free.
    body, body_from = np.full((n + 1, len(heights)), -np.inf), np.zeros((n + 1, len(heights)), dtype=int)
    disc, disc_from = np.full((n + 1, len(heights) + 1), -np.inf), np.zeros((n + 1, len(heights) + 1), dtype=int)
    for end in range(DISC_LIMITS[0], n + 1):
        for length in range(DISC_LIMITS[0], min(DISC_LIMITS[1], end) + 1):
            start = end - length
            value = -WEIGHTS["wall"] * (wall[end] - wall[start]) - WEIGHTS["core"] * (core[end] - core[start])
            value -= WEIGHTS["dip"] * (dip[end] - dip[start]) / length
            value -= WEIGHTS["prior"] * _prior(length / depth[min((start + end) // 2, n - 1)], DISC_OVER_DEPTH, DISC_SPREAD)
            # A first disc has an endplate below it too, of what is cut or of the sacrum.
            first = WEIGHTS["edge"] * edge[start - 1] if start > 0 else 0.0
            candidate = np.append(body[start], first) + value
            better = candidate > disc[end]
            disc[end][better], disc_from[end][better] = candidate[better], start
        for number, length in enumerate(heights[heights <= end - DISC_LIMITS[0]]):
            start, half = end - length, end - length + int(0.45 * length)
            value = WEIGHTS["wall"] * (wall[end] - wall[start]) + WEIGHTS["edge"] * (edge[start] + edge[end - 1])
            value += WEIGHTS["inside"] * (core[end] - core[start])
            upper, lower = pedicle[end] - pedicle[half], pedicle[half] - pedicle[start]
            value += WEIGHTS["pedicle"] * (upper / (end - half) - lower / (half - start))
            value -= WEIGHTS["prior"] * _prior(length / depth[(start + end) // 2], BODY_OVER_DEPTH, BODY_SPREAD)
            options = disc[start] - np.append(unlike[number], 0.0)
            best = int(np.argmax(options))
            body[end, number], body_from[end, number] = options[best] + value, best
    return _traced(disc, body_from, disc_from, heights, signals)


def _prior(ratio: float, expected: float, spread: float) -> float:
    return min(0.5 * ((ratio - expected) / spread) ** 2, PRIOR_CAP)


def _traced(disc: Array, body_from: Array, disc_from: Array, heights: Array, signals: Signals) -> list[Segment]:
    """Return the bodies of the best sequence that ends with a disc, with what is cut below and above it."""
    last = disc + np.append(WEIGHTS["edge"] * ndimage.maximum_filter1d(signals.edge, 3), 0.0)[:, None]
    end, state = (int(place) for place in np.unravel_index(int(np.argmax(last)), disc.shape))
    if not np.isfinite(disc[end, state]):
        return []
    n, discs = len(signals.wall), []
    while True:
        start = int(disc_from[end, state])
        discs.append((start, end))
        if state == len(heights):
            break
        end, state = start - int(heights[state]), int(body_from[start, state])
    discs.reverse()
    dark = [float(signals.wall[a:b].mean()) for a, b in discs]
    # Below the lowest disc there is always something, also where the canal, and with it the axis, is lost in the sacrum just there.
    found = [Segment(0, max(discs[0][0], 1), False, 0.0)]
    for (below, above), (low, high) in zip(pairwise(discs), pairwise(dark), strict=True):
        lower, upper = below[1], above[0]
        found.append(Segment(lower, upper, True, float(signals.wall[lower:upper].mean()) - max(low, high)))
    if n - discs[-1][1] >= 4:
        found.append(Segment(discs[-1][1], n, False, 0.0))
    return found
