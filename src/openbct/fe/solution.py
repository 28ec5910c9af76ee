"""What a solve returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """Displacement and forces of one linear solve, with its status.

    The values are kept at the nodes of the body only; :attr:`displacement` and :attr:`force` spread them over the whole grid when
    they are asked for.
    """

    node_shape: tuple[int, int, int]
    """Number of nodes of the grid along i j k."""
    nodes: NDArray[np.integer]
    """Position of each node of the body in the flattened node array."""
    nodal_displacement: FloatArray
    """Displacement of these nodes ``(n 3)`` [mm]."""
    nodal_force: FloatArray
    """Force that the supports exert on these nodes ``(n 3)``; 0 at free degrees of freedom [N]."""
    converged: bool
    """Whether the residual fell below the tolerance."""
    iterations: int
    """Iterations of the conjugate-gradient method."""
    residual: tuple[float, ...]
    """Residual before each iteration and at the end, relative to the load-induced residual; the last one is recomputed [-]."""
    status: str
    """What happened, and what to do if it did not converge."""
    rigid_motion: tuple[tuple[float, ...], ...] = ()
    """The six motions of each rigid face, in the order in which they were given [mm, rad]."""
    stats: dict[str, float] = field(default_factory=dict)
    """Counts and CPU times: ``n_elements``, ``n_nodes``, ``n_dof``, ``setup_s``, ``solve_s``, ``levels``, ``products`` (fine-grid
    products in double and single precision together), ``pinned`` (free rigid motions), ``dropped_voxels``, ``energy`` [N mm] …"""

    def _spread(self, values: FloatArray) -> FloatArray:
        full = np.zeros((int(np.prod(self.node_shape)), 3))
        full[self.nodes] = values
        return full.reshape(*self.node_shape, 3)

    @cached_property
    def displacement(self) -> FloatArray:
        """Nodal displacement ``(i+1 j+1 k+1 3)``; 0 at nodes without an element [mm]."""
        return self._spread(self.nodal_displacement)

    @cached_property
    def force(self) -> FloatArray:
        """Reaction ``(i+1 j+1 k+1 3)`` that the supports exert on the body at the fixed degrees of freedom; 0 elsewhere [N]."""
        return self._spread(self.nodal_force)
