"""The coarse levels of a voxel body: nothing of them depends on stiffness or supports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from openbct.fe.coarsen import Coarsening, coarsen
from openbct.fe.grid import Grid

COARSEST_DOF = 480
"""Below this the coarsest level is inverted [D]: the inverse then costs less than one visit of the level above."""

MAX_ASPECT = 1.5
"""An axis is coarsened if its edges are shorter than this many times the shortest ones [D]."""

Structure = tuple[NDArray[np.int32], list[Coarsening], Iterator[Coarsening]]
"""Nodes of the voxels ``(n 8)``, the first coarse level if there is one, and the further ones, which are found when asked for."""


def find_structure(grid: Grid, spacing: Sequence[float]) -> Structure:
    """The coarse levels of a grid."""
    nodes = grid.element_nodes()
    steps = _coarsenings(grid.cells(), nodes, grid.n_nodes, spacing)
    return nodes, list(islice(steps, 1)), steps


def _coarsenings(
    cells: NDArray[np.int32], nodes: NDArray[np.int32], n_nodes: int, spacing: Sequence[float]
) -> Iterator[Coarsening]:
    edge = np.asarray(spacing, dtype=float)
    first = True
    while 3 * n_nodes > COARSEST_DOF:
        # Point smoothing only works where the coupling is strong, along short edges; long ones wait until the others catch up.
        short = edge < MAX_ASPECT * edge.min()
        factor = (1 + int(short[0]), 1 + int(short[1]), 1 + int(short[2]))
        step = coarsen(cells, nodes, n_nodes, factor, voxels=first)
        if not first and step.n_nodes > 0.75 * n_nodes and short.all():
            break
        yield step
        first = False
        cells, nodes, n_nodes = step.cells, step.nodes, step.n_nodes
        edge = np.where(short, 2 * edge, edge)
