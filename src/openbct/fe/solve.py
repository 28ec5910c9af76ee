"""Linear elasticity on a voxel grid: arrays in, a :class:`~openbct.fe.solution.Solution` out (mm, N, MPa)."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import ArrayLike, NDArray

from openbct.errors import ModelError, SolveError
from openbct.fe.grid import number_voxels
from openbct.fe.hex8 import element_stiffness, isotropic_stiffness
from openbct.fe.solution import Solution


def solve(
    youngs_modulus: ArrayLike,
    *,
    poisson_ratio: float = 0.3,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    fixed: NDArray[np.bool_],
    displacement: ArrayLike,
    force: ArrayLike | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 20000,
    bbar: bool = False,
    initial: ArrayLike | None = None,
    threads: int | None = None,
    throw: bool = True,
) -> Solution:
    """Displacement and reactions of a voxel body under prescribed displacements and forces.

    Parameters
    ----------
    youngs_modulus
        Modulus of each voxel ``(i j k)``; 0 or less is void [MPa].
    poisson_ratio
        Poisson ratio [-].
    spacing
        Voxel size along i j k [mm].
    fixed
        Degrees of freedom with a prescribed displacement ``(i+1 j+1 k+1 3)``.
    displacement
        The prescribed displacement, read where ``fixed`` [mm].
    force
        Prescribed nodal forces, read where not ``fixed`` [N].
    tolerance
        Residual at which to stop, relative to the load-induced residual [-].
    bbar
        Mean dilatation against volumetric locking.
    initial
        First guess of the displacement [mm].
    throw
        Raise when not converged; otherwise the solution says so itself.

    Raises
    ------
    ModelError
        Nothing is stiff or nothing is held.
    SolveError
        Not converged; the error carries the solution.
    """
    started = time.process_time()
    modulus = np.asarray(youngs_modulus, dtype=float)
    grid = number_voxels(modulus > 0)
    if grid.n_elements == 0:
        raise ModelError("no voxel has a positive modulus; expected at least one. Check the mask and the units (MPa).")
    shape = (*grid.node_shape, 3)
    n_dof = 3 * grid.n_nodes
    held = np.asarray(fixed, dtype=bool).reshape(-1, 3)[grid.nodes].ravel()
    if not held.any():
        raise ModelError("no degree of freedom of the body is fixed; expected at least six. Check `fixed`.")
    dofs = (3 * grid.element_nodes()[:, :, None] + np.arange(3)).reshape(-1, 24)
    reference = element_stiffness(isotropic_stiffness(poisson_ratio), spacing, bbar=bbar)
    values = modulus.ravel()[grid.elements][:, None, None] * reference
    rows, columns = np.repeat(dofs, 24, axis=1).ravel(), np.tile(dofs, (1, 24)).ravel()
    matrix = sp.coo_matrix((values.ravel(), (rows, columns)), shape=(n_dof, n_dof)).tocsr()

    u = np.zeros(n_dof)
    if initial is not None:
        u[:] = np.broadcast_to(np.asarray(initial, dtype=float), shape).reshape(-1, 3)[grid.nodes].ravel()
    u[held] = np.broadcast_to(np.asarray(displacement, dtype=float), shape).reshape(-1, 3)[grid.nodes].ravel()[held]
    load = np.zeros(n_dof)
    if force is not None:
        load[:] = np.broadcast_to(np.asarray(force, dtype=float), shape).reshape(-1, 3)[grid.nodes].ravel()
    load[held] = 0.0
    free = np.flatnonzero(~held)
    setup = time.process_time()

    lift = np.where(held, u, 0.0)
    right = (load - matrix @ lift)[free]
    inner = matrix[free][:, free].tocsr()
    scale = float(np.linalg.norm(right))
    history: list[float] = [1.0]
    iterations = 0
    if scale > 0 and free.size:
        diagonal = inner.diagonal()
        precondition = spla.LinearOperator(inner.shape, matvec=lambda x: x / diagonal)

        def count(_: NDArray[np.float64]) -> None:
            nonlocal iterations
            iterations += 1

        u[free], _ = spla.cg(
            inner, right, x0=u[free], rtol=tolerance, maxiter=max_iterations, M=precondition, callback=count
        )
        history.append(float(np.linalg.norm(right - inner @ u[free]) / scale))
    elif initial is None:
        u[free] = 0.0
    internal = matrix @ u
    converged = history[-1] <= 2 * tolerance or scale == 0
    status = "converged" if converged else f"stopped at {history[-1]:.2e} after {iterations} iterations; raise max_iterations."
    full, reaction = np.zeros(shape).reshape(-1, 3), np.zeros(shape).reshape(-1, 3)
    full[grid.nodes] = u.reshape(-1, 3)
    reaction[grid.nodes] = np.where(held, internal, 0.0).reshape(-1, 3)
    stats = {
        "n_elements": grid.n_elements,
        "n_nodes": grid.n_nodes,
        "n_dof": n_dof,
        "setup_s": setup - started,
        "solve_s": time.process_time() - setup,
    }
    solution = Solution(full.reshape(shape), reaction.reshape(shape), converged, iterations, tuple(history), status, stats)
    if throw and not converged:
        raise SolveError(status, solution)
    return solution
