"""The smoothest strong surface in a field of gains: one height for every place of a grid, neighbours alike.

Costs are aggregated along the rows of the grid in every direction, as in semi-global matching, and each place takes its best height.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array, Reference

SEMI_GLOBAL = Reference("Hirschmüller, IEEE Trans Pattern Anal Mach Intell 30:328 (2008): semi-global matching", "recalled")


def best_surface(
    gain: Float[Array, "m n h"], *, bend: tuple[float, float], reach: int = 4, periodic: bool = False
) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
    """Return for each place of the grid its height, as a fractional index, and the gain there.

    Parameters
    ----------
    gain
        How well each height suits each place; 0 where nothing is known.
    bend
        Penalty for a step of one index between neighbours along the first and the second axis of the grid, squared.
    reach
        Largest step that is tried.
    periodic
        The first axis closes on itself.
    """
    cost = -gain.astype(np.float32)
    total = np.zeros_like(cost)
    for axis, weight in ((0, bend[0]), (1, bend[1])):
        rows = np.moveaxis(cost, axis, 0)
        wound = axis == 0 and periodic
        run = np.concatenate([rows, rows, rows]) if wound else rows
        both = _swept(run, weight, reach) + _swept(run[::-1], weight, reach)[::-1] - run
        total += np.moveaxis(both[len(rows) : 2 * len(rows)] if wound else both, 0, axis)
    place = total.argmin(axis=2)
    inner = np.clip(place, 1, gain.shape[2] - 2)
    low, middle, high = (np.take_along_axis(total, (inner + step)[:, :, None], axis=2)[:, :, 0] for step in (-1, 0, 1))
    curve = np.maximum(low - 2 * middle + high, 1e-6)
    fine = np.clip(0.5 * (low - high) / curve, -0.5, 0.5)
    height = np.where(place == inner, inner + fine, place)
    padded = np.pad(height, ((4, 4), (0, 0)), mode="wrap" if periodic else "edge")
    padded = ndimage.gaussian_filter(ndimage.median_filter(padded, 3, mode="nearest"), 0.7, mode="nearest")
    height = padded[4:-4]
    at = np.clip(np.rint(height).astype(int), 0, gain.shape[2] - 1)
    return height, np.take_along_axis(gain, at[:, :, None], axis=2)[:, :, 0]


def _swept(rows: Float[Array, "m n h"], weight: float, reach: int) -> Float[Array, "m n h"]:
    """Return the cheapest cost of every height at every place of a path that comes from the first row."""
    out = np.empty_like(rows)
    out[0] = rows[0]
    height = rows.shape[2]
    for number in range(1, len(rows)):
        before = out[number - 1]
        least = before.min(axis=1, keepdims=True)
        best = np.minimum(before, least + weight * (reach + 1) ** 2)
        for step in range(1, min(reach, height - 1) + 1):
            penalty = weight * step**2
            best[:, step:] = np.minimum(best[:, step:], before[:, :-step] + penalty)
            best[:, :-step] = np.minimum(best[:, :-step], before[:, step:] + penalty)
        out[number] = rows[number] + best - least
    return out
