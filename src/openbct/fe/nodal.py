"""Values at the nodes of the body, a stretch of nodes at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.fe.grid import Grid
from openbct.fe.team import ALONE, Team


def node_reader(values: ArrayLike, grid: Grid) -> Callable[[int, int], NDArray[Any]]:
    """Function of a first and a last node that gives the values ``(n 3)`` of those between them.

    ``values`` is a node array ``(i+1 j+1 k+1 3)``, or anything that broadcasts to it.
    """
    given = np.asarray(values)
    full = np.broadcast_to(given, (*grid.node_shape, 3))
    if given.shape == full.shape and given.flags.c_contiguous:
        flat = given.reshape(-1, 3)
        return lambda begin, end: flat.take(grid.nodes[begin:end], axis=0)
    return lambda begin, end: full[np.unravel_index(grid.nodes[begin:end], grid.node_shape)]


def node_values(values: ArrayLike, grid: Grid, team: Team = ALONE) -> NDArray[Any]:
    """Rows of a node array ``(i+1 j+1 k+1 3)``, or of anything that broadcasts to it, at the active nodes ``(n_nodes 3)``."""
    read = node_reader(values, grid)
    out = np.empty((grid.n_nodes, 3), np.asarray(values).dtype)

    def copy(begin: int, end: int) -> None:
        out[begin:end] = read(begin, end)

    team.chunks(copy, grid.n_nodes)
    return out
