"""Linear elasticity on a voxel grid: arrays in, a :class:`~openbct.fe.solution.Solution` out (mm, N, MPa)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import SolveError
from openbct.fe.checks import check_load_lands, check_model, check_nodal
from openbct.fe.hex8 import Orthotropy
from openbct.fe.motions import without_free_motion
from openbct.fe.multigrid import SMOOTHING_DEGREE
from openbct.fe.nodal import node_reader, node_values
from openbct.fe.rigid import RigidFace, hold_faces, solve_faces, tie
from openbct.fe.solution import Solution
from openbct.fe.system import LinearSystem, Outcome, build_system

FloatArray = NDArray[np.float64]


def solve(
    youngs_modulus: ArrayLike, *, poisson_ratio: ArrayLike = 0.3, orthotropy: Orthotropy | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0), fixed: ArrayLike, displacement: ArrayLike, force: ArrayLike | None = None,
    tolerance: float = 1e-6, max_iterations: int = 1000, bbar: bool = False, initial: ArrayLike | None = None,
    rigid: Sequence[RigidFace] = (),
    threads: int | None = None, throw: bool = True,
) -> Solution:  # fmt: skip
    """Displacement and reactions of a voxel body under prescribed displacements and forces.

    Pieces that touch nothing fixed are left out. Rigid motions that neither supports nor contacts prevent are pinned if no load
    does work on them (``stats["pinned"]``); the displacement is then the one without net motion along them.

    Parameters
    ----------
    youngs_modulus
        Modulus of each voxel ``(i j k)``; 0 or less is void [MPa].
    poisson_ratio
        One number, or one per voxel ``(i j k)`` [-].
    orthotropy
        Axes-aligned orthotropic material, scaled by the modulus of each voxel; ``poisson_ratio`` is not used then.
    spacing
        Voxel size along i j k [mm].
    fixed
        Degrees of freedom with a prescribed displacement ``(i+1 j+1 k+1 3)``, or anything that broadcasts to it.
    displacement
        The prescribed displacement, read where ``fixed`` [mm].
    force
        Prescribed nodal forces, read where not ``fixed`` [N].
    tolerance
        Euclidean norm of the residual at which to stop, relative to the one that the loads and the prescribed
        displacements cause on the undeformed rest of the body [-].
    bbar
        Mean dilatation against volumetric locking; off by default, as in most linear voxel solvers.
    initial
        First guess of the displacement ``(i+1 j+1 k+1 3)``; not used together with ``rigid`` [mm].
    rigid
        Faces that move as rigid bodies, with prescribed and free motions.
    threads
        Processor threads; by default one below half a million degrees of freedom (run small cases side by side instead), otherwise
        up to four. The result does not depend on their number, to the last bit.
    throw
        Raise when not converged; otherwise the solution says so itself.

    Raises
    ------
    ModelError
        The model has no answer: nothing stiff, nothing held, a load on a free rigid motion, values that are not finite.
    SolveError
        Not converged; the error carries the solution.
    """
    started = time.process_time()
    modulus = check_model(youngs_modulus, spacing, tolerance)
    held, values, load = check_nodal(modulus.shape, fixed, displacement, force)
    if load is not None:
        check_load_lands(modulus, held, load)
    if rigid:
        held, values = hold_faces(modulus, held, values, rigid, spacing)
    system = build_system(
        modulus, held, poisson_ratio=poisson_ratio, orthotropy=orthotropy, spacing=spacing, bbar=bbar, load=load,
        threads=threads,
    )  # fmt: skip
    prepared = time.process_time()
    x, b = _right_side(system, held, values, load)
    if rigid:
        tied = tie(rigid, system.grid.nodes, system.grid.node_shape, spacing)
        outcome, internal, motions = solve_faces(system, tied, b, x, tolerance, max_iterations)
        solution = replace(_solution(system, x, internal, held, outcome, spacing), rigid_motion=motions)
        return _finish(solution, started, prepared, throw=throw)
    scale = None
    if initial is not None:
        scale = float(np.linalg.norm(system.residual(b, x)[0]))
        guess = np.nan_to_num(node_values(initial, system.grid))
        x[:] = np.where(system.free != 0, system.pack(guess), x)
        del guess
    outcome, internal = system.solve(b, x, tolerance=tolerance, scale=scale, max_iterations=max_iterations)
    del b
    solution = _solution(system, x, internal, held, outcome, spacing)
    return _finish(solution, started, prepared, throw=throw)


def _finish(solution: Solution, started: float, prepared: float, *, throw: bool) -> Solution:
    solution.stats.update(setup_s=prepared - started, solve_s=time.process_time() - prepared)
    if throw and not solution.converged:
        raise SolveError(solution.status, solution)
    return solution


def _right_side(
    system: LinearSystem, held: ArrayLike, values: ArrayLike, load: ArrayLike | None
) -> tuple[FloatArray, FloatArray | None]:
    """Displacement with its prescribed values, and the load vector if there is a load."""
    is_held, moved = node_reader(held, system.grid), node_reader(values, system.grid)
    pushed = None if load is None else node_reader(load, system.grid)
    x = np.zeros(3 * system.stride)
    b = None if pushed is None else np.zeros_like(x)

    def fill(begin: int, end: int) -> None:
        here = is_held(begin, end) != 0
        x.reshape(3, -1)[:, begin:end] = np.where(here, moved(begin, end), 0.0).T
        if b is not None and pushed is not None:
            b.reshape(3, -1)[:, begin:end] = np.where(here, 0.0, pushed(begin, end)).T

    system.team.chunks(fill, system.grid.n_nodes)
    return x, b


def _solution(
    system: LinearSystem, x: FloatArray, internal: FloatArray, held: ArrayLike, outcome: Outcome, spacing: Sequence[float]
) -> Solution:
    grid = system.grid
    fixed = node_values(held, grid, system.team).astype(bool, copy=False)
    u, nodal = system.unpack(x), system.unpack(internal)
    reaction = np.empty_like(u, order="C")

    def fill(begin: int, end: int) -> None:
        reaction[begin:end] = np.where(fixed[begin:end], nodal[begin:end], 0.0)

    system.team.chunks(fill, grid.n_nodes)
    pinned = system.supports.modes
    lost = float(np.abs(nodal.reshape(-1)[system.supports.pins]).max()) if pinned else 0.0
    largest = max(float(nodal.max()), -float(nodal.min()))
    converged, status = outcome.converged, "converged"
    if not converged:
        reason = outcome.breakdown or "the iterations ran out"
        status = (
            f"not converged: the relative residual is {outcome.residual[-1]:.2e} after {outcome.iterations} iterations ({reason}). "
            "Raise max_iterations or tolerance, and look for parts that hang on single nodes or for extreme contrasts of modulus."
        )
    elif lost > 1e-3 * largest and lost > 100 * outcome.target:
        converged = False
        status = (
            f"not a solution: a pin on a rigid motion that was taken for free carries {lost:.3g} N. "
            "Hold more degrees of freedom, or remove the parts that hang on single nodes or edges."
        )
    if converged and pinned:
        status += f"; {pinned} free rigid motions were pinned"
    if converged and system.dropped:
        status += f"; {system.dropped} voxels that touch nothing held were left out"
    if pinned:
        u = without_free_motion(grid, u, fixed, spacing, system.team)
    cycles = outcome.iterations
    stats: dict[str, float] = {
        "n_elements": grid.n_elements,
        "n_nodes": grid.n_nodes,
        "n_dof": 3 * grid.n_nodes,
        "levels": 1 + len(system.preconditioner.levels),
        "products": system.counts["products"] + 2 * SMOOTHING_DEGREE * cycles,
        "pinned": pinned,
        "dropped_voxels": system.dropped,
        "energy": 0.5 * float(np.vdot(x, internal)),
        "pin_force": lost,
    }
    return Solution(
        grid.node_shape,
        grid.nodes,
        np.ascontiguousarray(u),
        reaction,
        converged,
        outcome.iterations,
        outcome.residual,
        status,
        stats=stats,
    )
