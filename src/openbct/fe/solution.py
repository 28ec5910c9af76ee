"""What a solve returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Solution:
    """Displacement and forces of one linear solve, with its status."""

    displacement: NDArray[np.float64]
    """Nodal displacement ``(i+1 j+1 k+1 3)``; 0 at nodes without an element [mm]."""
    force: NDArray[np.float64]
    """Reaction ``(i+1 j+1 k+1 3)`` that the supports exert on the body at the fixed degrees of freedom; 0 elsewhere [N]."""
    converged: bool
    """Whether the residual fell below the tolerance."""
    iterations: int
    """Iterations of the conjugate-gradient method."""
    residual: tuple[float, ...]
    """Relative residual before each iteration and at the end, measured against the load-induced residual [-]."""
    status: str
    """What happened, and what to do if it did not converge."""
    stats: dict[str, float] = field(default_factory=dict)
    """Counts and CPU times: ``n_elements``, ``n_nodes``, ``n_dof``, ``setup_s``, ``solve_s``, ``levels`` …"""
