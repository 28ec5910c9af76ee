"""Compact numbering of the voxels that carry stiffness, and their rows.

Only voxels with a positive modulus become elements, only their corners become nodes, both numbered in array order
(k fastest). A whole scan therefore costs what its bone costs. A row is a run of neighbouring voxels along k of one material
group; it needs its four first nodes and its length, no connectivity table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbct.fe.jit import kernel
from openbct.fe.simd import LANES

IntArray = NDArray[np.int32]
LongArray = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """The active part of a voxel grid."""

    shape: tuple[int, int, int]
    """Number of voxels along i j k."""
    elements: IntArray | LongArray
    """Position of each element in the flattened voxel array ``(i j k)``."""
    nodes: IntArray | LongArray
    """Position of each node in the flattened node array ``(i+1 j+1 k+1)``."""
    numbering: IntArray
    """Number of each node of the flattened node array; meaningless where there is none."""

    @property
    def node_shape(self) -> tuple[int, int, int]:
        """Number of nodes of the whole grid along i j k."""
        return (self.shape[0] + 1, self.shape[1] + 1, self.shape[2] + 1)

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return int(self.elements.size)

    @property
    def n_nodes(self) -> int:
        """Number of active nodes."""
        return int(self.nodes.size)

    def cells(self) -> IntArray:
        """Voxel index ``(n_elements 3)`` of each element."""
        out = np.empty((self.n_elements, 3), np.int32)
        _find_cells(self.elements, self.shape[1], self.shape[2], out)
        return out

    def element_nodes(self) -> IntArray:
        """Node numbers ``(n_elements 8)`` of each element in the local order of :mod:`openbct.fe.hex8`."""
        out = np.empty((self.n_elements, 8), np.int32)
        _find_nodes(self.elements, self.shape[1], self.shape[2], self.numbering, out)
        return out

    def points(self, some: NDArray[np.integer] | slice = slice(None)) -> NDArray[np.float64]:
        """Grid index ``(n 3)`` of some of the nodes, or of all."""
        nodes = self.nodes[some]
        out = np.empty((nodes.size, 3), np.int32)
        _find_cells(nodes, self.node_shape[1], self.node_shape[2], out)
        return out.astype(np.float64)


@kernel()
def _count_up(marked: Any, number: Any) -> None:
    """Number of each marked item; that of the last one before it where it is not marked."""
    count = -1
    for n in range(marked.size):
        count += marked[n]
        number[n] = count


@kernel()
def _find_cells(elements: Any, size_j: Any, size_k: Any, out: Any) -> None:
    for e in range(elements.size):
        row = elements[e] // size_k
        out[e, 0] = row // size_j
        out[e, 1] = row % size_j
        out[e, 2] = elements[e] % size_k


@kernel()
def _find_nodes(elements: Any, size_j: Any, size_k: Any, numbering: Any, out: Any) -> None:
    for e in range(elements.size):
        row = elements[e] // size_k
        i = row // size_j
        first = elements[e] + row + i * (size_k + 1)
        for corner in range(4):
            at = first + ((corner >> 1) * (size_j + 1) + (corner & 1)) * (size_k + 1)
            out[e, 2 * corner] = numbering[at]
            out[e, 2 * corner + 1] = numbering[at + 1]


@dataclass(frozen=True)
class Rows:
    """Voxel rows along k, ready for the vector product."""

    nodes: LongArray
    """Nodes 00 01 10 11 (offsets along i, j) at the start of each row ``(n 4)``."""
    first: LongArray
    """Where the row starts in the padded element arrays."""
    length: LongArray
    """Number of voxels."""
    blocks: LongArray
    """Number of vector blocks: room for one zero voxel at least."""
    group: LongArray
    """Material group."""
    plane_rows: LongArray
    """First row of each plane of voxels ``(i + 1)``."""
    plane_nodes: LongArray
    """First node of each plane of nodes ``(i + 2)``."""
    place: IntArray
    """Place of each element in the padded element arrays."""
    padded: int
    """Length of the padded element arrays."""


def number_voxels(active: NDArray[np.bool_]) -> Grid:
    """Grid of the voxels that are marked ``active``."""
    shape = (active.shape[0], active.shape[1], active.shape[2])
    along_k = np.zeros((shape[0], shape[1], shape[2] + 1), dtype=bool)
    along_k[:, :, :-1] = active
    along_k[:, :, 1:] |= active
    along_j = np.zeros((shape[0], shape[1] + 1, shape[2] + 1), dtype=bool)
    along_j[:, :-1] = along_k
    along_j[:, 1:] |= along_k
    touched = np.zeros((shape[0] + 1, shape[1] + 1, shape[2] + 1), dtype=bool)
    touched[:-1] = along_j
    touched[1:] |= along_j
    numbering = np.empty(touched.size, np.int32)
    _count_up(touched.ravel(), numbering)
    elements, nodes = np.flatnonzero(active), np.flatnonzero(touched)
    if touched.size > np.iinfo(np.int32).max:
        return Grid(shape, elements, nodes, numbering)
    return Grid(shape, elements.astype(np.int32), nodes.astype(np.int32), numbering)


def find_rows(grid: Grid, group: IntArray | None = None) -> Rows:
    """Rows of a grid; a row ends where the voxels end or where the material ``group`` of the elements changes."""
    elements, shape, node_shape = grid.elements, grid.shape, grid.node_shape
    starts = np.ones(elements.size, dtype=bool)
    starts[1:] = (np.diff(elements) != 1) | (elements[1:] % shape[2] == 0)
    if group is not None:
        starts[1:] |= np.diff(group) != 0
    begin = np.flatnonzero(starts)
    length = np.diff(np.append(begin, elements.size))
    i, j, k = np.unravel_index(elements[begin], shape)
    corner = (i * node_shape[1] + j) * node_shape[2] + k
    steps = np.array([0, node_shape[2], node_shape[1] * node_shape[2], (node_shape[1] + 1) * node_shape[2]])
    nodes = grid.numbering[corner[:, None] + steps[None, :]].astype(np.int64)
    blocks = length // LANES + 1
    first = np.concatenate([[0], np.cumsum(blocks * LANES)])
    place = np.arange(elements.size, dtype=np.int32)
    place += np.repeat((first[:-1] - begin).astype(np.int32), length)
    plane_rows = np.searchsorted(i, np.arange(shape[0] + 1))
    plane_nodes = np.searchsorted(grid.nodes, np.arange(shape[0] + 2) * (node_shape[1] * node_shape[2]))
    groups = np.zeros(begin.size, dtype=np.int64) if group is None else group[begin].astype(np.int64)
    return Rows(nodes, first[:-1], length, blocks, groups, plane_rows, plane_nodes, place, int(first[-1]))
