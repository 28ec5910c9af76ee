"""The six rigid motions of a body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from openbct.fe.grid import Grid
from openbct.fe.team import ALONE, Team

FloatArray = NDArray[np.float64]

RANK_TOLERANCE = 1e-10
"""Eigenvalue of a Gram matrix of rigid motions, relative to its largest, below which a motion is free [D]."""


def rigid_modes(points: FloatArray) -> FloatArray:
    """The six rigid motions at some points ``(n 3)``: three translations, three rotations ``(n 3 6)``."""
    modes = np.zeros((len(points), 3, 6))
    modes[:, :, :3] = np.eye(3)
    x, y, z = points.T
    modes[:, 1, 3], modes[:, 2, 3] = -z, y
    modes[:, 0, 4], modes[:, 2, 4] = z, -x
    modes[:, 0, 5], modes[:, 1, 5] = -y, x
    return modes


def without_free_motion(
    grid: Grid, u: FloatArray, fixed: NDArray[np.bool_], spacing: Sequence[float], team: Team = ALONE
) -> FloatArray:
    """A displacement ``(n 3)`` less its mean motion along the rigid motions that ``fixed`` ``(n 3)`` leaves to the whole body."""
    n = grid.n_nodes
    parts: dict[int, tuple[FloatArray, FloatArray]] = {}

    def measure(begin: int, end: int) -> None:
        both = np.empty((end - begin, 4))
        both[:, 0] = 1.0
        both[:, 1:] = grid.points(slice(begin, end))
        parts[begin] = both.T @ both, both.T @ u[begin:end]

    team.chunks(measure, n)
    # Always in the same order: the sums must not depend on who came first.
    moments, pull = (np.asarray(sum(some)) for some in zip(*(parts[begin] for begin in sorted(parts)), strict=True))
    centre = moments[0, 1:] / n
    step = np.asarray(spacing, dtype=float)
    second = (moments[1:, 1:] - n * np.outer(centre, centre)) * np.outer(step, step)
    # Lengths about one, or the rank of the supports would depend on the unit of length.
    size = max(float(np.sqrt(np.trace(second) / n)), 1e-300)
    step /= size

    def points(some: NDArray[np.integer] | slice) -> FloatArray:
        return np.asarray((grid.points(some) - centre) * step)

    free = _free_modes(points, fixed)
    if free.shape[1] == 0:
        return u
    motion = _mean_motion(n, second / size**2, (pull[1:] - np.outer(centre, pull[0])) * step[:, None], pull[0], free)
    out = np.empty((n, 3))

    def take_off(begin: int, end: int) -> None:
        out[begin:end] = _less_motion(points(slice(begin, end)), u[begin:end], motion)

    team.chunks(take_off, n)
    node, axis = np.nonzero(fixed)
    out[node, axis] = u[node, axis]
    return out


def _free_modes(points: Callable[[NDArray[np.integer]], FloatArray], fixed: NDArray[np.bool_]) -> FloatArray:
    """Rigid motions ``(6 modes)`` that move no fixed degree of freedom."""
    node = np.flatnonzero(fixed[:, 0] | fixed[:, 1] | fixed[:, 2])
    rows = rigid_modes(points(node))[fixed[node]]
    value, vector = np.linalg.eigh(rows.T @ rows)
    return np.asarray(vector[:, value <= RANK_TOLERANCE * max(float(value[-1]), 1e-300)])


def _mean_motion(count: int, second: FloatArray, product: FloatArray, total: FloatArray, free: FloatArray) -> FloatArray:
    """The part of a displacement that is a rigid motion out of the span of ``free`` ``(6 modes)``, by least squares.

    Parameters
    ----------
    count
        Number of points; they are centred on their mean.
    second, product, total
        Sums over the points: of x x', of x u', and of u.
    """
    gram = np.zeros((6, 6))
    gram[:3, :3] = count * np.eye(3)
    gram[3:, 3:] = np.trace(second) * np.eye(3) - second
    turned = [product[1, 2] - product[2, 1], product[2, 0] - product[0, 2], product[0, 1] - product[1, 0]]
    moved = np.concatenate([total, turned])
    return np.asarray(free @ np.linalg.solve(free.T @ gram @ free, free.T @ moved))


def _less_motion(points: FloatArray, u: FloatArray, motion: FloatArray) -> FloatArray:
    """A displacement less a rigid motion (three translations, three rotations)."""
    a, b, c = motion[3:]
    out = points @ np.array([[0.0, c, -b], [-c, 0.0, a], [b, -a, 0.0]])
    np.subtract(u, out, out=out)
    out -= motion[:3]
    return np.asarray(out)
