"""Compact numbering of the voxels that carry stiffness.

Only voxels with a positive modulus become elements, only their corners become nodes, both numbered in array order
(k fastest). A whole scan therefore costs what its bone costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openbct.fe.hex8 import CORNERS

IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class Grid:
    """The active part of a voxel grid."""

    shape: tuple[int, int, int]
    """Number of voxels along i j k."""
    elements: NDArray[np.int64]
    """Position of each element in the flattened voxel array ``(i j k)``."""
    nodes: NDArray[np.int64]
    """Position of each node in the flattened node array ``(i+1 j+1 k+1)``."""

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

    def element_nodes(self) -> IntArray:
        """Node numbers ``(n_elements 8)`` of each element in the local order of :mod:`openbct.fe.hex8`."""
        shape = self.node_shape
        numbering = np.zeros(int(np.prod(shape)), dtype=np.int32)
        numbering[self.nodes] = np.arange(self.n_nodes, dtype=np.int32)
        i, j, k = np.unravel_index(self.elements, self.shape)
        first = (i * shape[1] + j) * shape[2] + k
        steps = (CORNERS[:, 0] * shape[1] + CORNERS[:, 1]) * shape[2] + CORNERS[:, 2]
        return np.asarray(numbering[first[:, None] + steps[None, :]])


def number_voxels(active: NDArray[np.bool_]) -> Grid:
    """Grid of the voxels that are marked ``active``."""
    shape = (active.shape[0], active.shape[1], active.shape[2])
    touched = np.zeros((shape[0] + 1, shape[1] + 1, shape[2] + 1), dtype=bool)
    for a, b, c in CORNERS:
        touched[a : a + shape[0], b : b + shape[1], c : c + shape[2]] |= active
    return Grid(shape, np.flatnonzero(active), np.flatnonzero(touched))
