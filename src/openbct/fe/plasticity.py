"""Elastic-plastic failure of a voxel body under a rising travel: arrays in, a force-travel curve out (mm, N, MPa)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import ModelError, SolveError
from openbct.fe.grid import Grid, number_voxels
from openbct.fe.newton import Count, conjugate_gradients, equilibrate
from openbct.fe.plastic_model import Material, PlasticModel
from openbct.fe.yield_criteria import Criterion, read_criterion

FloatArray = NDArray[np.float64]

MAX_CUTS = 6
"""A step is halved at most so often: 1/64 of the requested increment [D]."""


@dataclass(frozen=True)
class PlasticSolution:
    """A force-travel curve with the state of the body at the requested travels, and how far it can be trusted."""

    curve: FloatArray
    """Travel [mm] and force [N] ``(n 2)`` from (0, 0), with every converged point, requested or not."""
    travels: tuple[float, ...]
    """Travels at which the fields below were kept [mm]."""
    displacement: tuple[FloatArray, ...]
    """Nodal displacement ``(i+1 j+1 k+1 3)`` at each kept travel; 0 at nodes without an element [mm]."""
    plastic_strain: tuple[FloatArray, ...]
    """Equivalent plastic strain ``(i j k)`` at each kept travel, mean over the Gauss points of the element [-]."""
    failed_fraction: FloatArray
    """Gauss points that have yielded as a fraction of those that can, at each point of the curve [-]."""
    stiffness: float
    """Force over travel at the first point of the curve after the origin [N/mm]."""
    converged: bool
    """Whether every requested travel was reached."""
    status: str
    """What happened, and what to do if it did not converge."""
    newton_iterations: NDArray[np.int64]
    """Newton iterations spent on each point of the curve, failed attempts included."""
    cg_iterations: NDArray[np.int64]
    """Conjugate-gradient iterations spent on each point of the curve, failed attempts included."""
    external_work: FloatArray
    """Work of the supports up to each point of the curve, by the trapezoidal rule [N mm]."""
    elastic_energy: FloatArray
    """Elastic energy stored at each point of the curve [N mm]."""
    plastic_work: FloatArray
    """Work dissipated up to each point of the curve, by the same rule; with the elastic energy it makes the external work [N mm]."""
    stats: dict[str, float] = field(default_factory=dict)
    """Counts and CPU times: ``n_elements``, ``n_nodes``, ``n_dof``, ``n_cuts``, ``setup_s``, ``solve_s`` …"""


class _Assembled:
    """Elastic operator and preconditioner from an assembled matrix."""

    def __init__(self, grid: Grid, modulus: FloatArray, poisson_ratio: float, spacing: Any, held: NDArray[np.bool_], bbar: bool) -> None:
        import scipy.sparse as sp
        import scipy.sparse.linalg as spla

        from openbct.fe.hex8 import element_stiffness, isotropic_stiffness

        dofs = (grid.element_nodes()[:, :, None] + grid.n_nodes * np.arange(3)).reshape(-1, 24)
        values = modulus[:, None, None] * element_stiffness(isotropic_stiffness(poisson_ratio), spacing, bbar=bbar)
        n = 3 * grid.n_nodes
        self.matrix = sp.coo_matrix(
            (values.ravel(), (np.repeat(dofs, 24, axis=1).ravel(), np.tile(dofs, (1, 24)).ravel())), shape=(n, n)
        ).tocsr()
        self.free = np.flatnonzero(~held.ravel())
        inner = self.matrix[self.free][:, self.free]
        if self.free.size < 60_000:
            inner = inner + 1e-10 * sp.diags(inner.diagonal())
            self.solve: Callable[[FloatArray], FloatArray] = spla.splu(
                inner.tocsc(), permc_spec="MMD_AT_PLUS_A", options=dict(SymmetricMode=True)
            ).solve
        else:
            diagonal = inner.diagonal()
            self.solve = lambda r: r / diagonal

    def apply(self, u: FloatArray) -> FloatArray:
        """K u."""
        return np.asarray(self.matrix @ u.ravel()).reshape(u.shape)

    def precondition(self, r: FloatArray) -> FloatArray:
        """About K^-1 r on the free dofs."""
        z = np.zeros(r.size)
        z[self.free] = self.solve(r.ravel()[self.free])
        return z.reshape(r.shape)


def _check_element_array(values: ArrayLike, name: str, shape: tuple[int, ...] | None = None) -> FloatArray:
    """A three-dimensional float array of the expected shape without NaN."""
    array = np.asarray(values, dtype=float)
    if shape is not None and array.ndim == 0:
        array = np.full(shape, float(array))
    if array.ndim != 3 or (shape is not None and array.shape != shape):
        raise ModelError(f"{name} has the shape {array.shape}; expected {shape or '(i, j, k)'}. Give one number per voxel.")
    if np.isnan(array).any():
        raise ModelError(f"{name} is NaN at {int(np.isnan(array).sum())} voxels; expected numbers. Mask them to 0 modulus.")
    return array


def _check_travels(travels: Sequence[float] | FloatArray) -> list[float]:
    """Rising, positive, finite travels."""
    values = [float(t) for t in np.atleast_1d(np.asarray(travels, dtype=float))]
    rising = all(b > a for a, b in zip([0.0, *values[:-1]], values))
    if not values or not rising or not all(math.isfinite(t) for t in values):
        raise ModelError(f"travels are {values}; expected a rising list of positive travels in mm, such as [0.1, 0.2, 0.4].")
    return values


@dataclass(frozen=True)
class _Load:
    """Boundary conditions on the compact nodes, ``(3, n_nodes)``."""

    held: NDArray[np.bool_]
    unit: FloatArray
    loaded: NDArray[np.bool_]
    direction: FloatArray

    def read(self, force: FloatArray) -> float:
        """Load on the loaded nodes [N]."""
        reaction = np.where(self.held, force, 0.0)[:, self.loaded].sum(axis=1)
        return float(reaction @ self.direction)


def _read_load(grid: Grid, fixed: Any, displacement: Any, loaded: Any, direction: Any) -> _Load:
    """The load on the compact nodes, checked."""
    shape = grid.node_shape
    held, unit, marked = np.asarray(fixed), np.asarray(displacement, dtype=float), np.asarray(loaded)
    for name, array, expected in (("fixed", held, (*shape, 3)), ("displacement", unit, (*shape, 3)), ("loaded", marked, shape)):
        if array.shape != expected:
            raise ModelError(f"{name} has the shape {array.shape}; expected {expected}: node arrays are one longer than the voxels.")
    if held.dtype != np.bool_ or marked.dtype != np.bool_:
        raise ModelError(f"fixed and loaded are {held.dtype} and {marked.dtype}; expected boolean arrays.")
    held = np.ascontiguousarray(held.reshape(-1, 3)[grid.nodes].T)
    unit = np.where(held, unit.reshape(-1, 3)[grid.nodes].T, 0.0)
    marked = marked.ravel()[grid.nodes]
    axis = np.asarray(direction, dtype=float)
    if not held.any():
        raise ModelError("no degree of freedom of the body is fixed; expected supports. Check `fixed` against the mask.")
    if not np.isfinite(unit).all():
        raise ModelError("displacement is not finite at a fixed degree of freedom; expected millimetres per millimetre of travel.")
    if not unit.any():
        raise ModelError("displacement is 0 at every fixed degree of freedom of the body; expected a moving platen.")
    if not (held & marked).any():
        raise ModelError("no loaded node of the body is held, so there is no reaction to read; expected `loaded` to mark held nodes.")
    if axis.shape != (3,) or not np.isfinite(axis).all() or abs(float(np.linalg.norm(axis)) - 1.0) > 1e-6:
        raise ModelError(f"direction is {axis.tolist()}; expected a unit vector of three numbers.")
    return _Load(held, unit, marked, axis)


class _History:
    """Points of the curve, as they come."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = [(0.0, 0.0)]
        self.failed, self.external, self.elastic, self.plastic = [0.0], [0.0], [0.0], [0.0]
        self.newton, self.cg = [0], [0]
        self.cuts = 0
        self.fields: list[tuple[float, FloatArray, FloatArray]] = []
        self.status = ""


def _march(
    model: PlasticModel, load: _Load, travels: list[float], keep: set[float], grid: Grid, tolerance: float,
    progress: Callable[[float, str], None] | None,
) -> _History:
    """Follow the load from travel to travel, with shorter steps where one does not converge."""
    history = _History()
    free = ~load.held
    count = Count()
    rate = load.unit.copy()
    right = np.where(free, -model.elastic.apply(load.unit), 0.0)
    rate += conjugate_gradients(
        lambda v: np.where(free, model.elastic.apply(v), 0.0), model.elastic.precondition, right, 0.01 * tolerance, count
    )
    u, travel, spent = np.zeros_like(rate), 0.0, Count()
    power_old = 0.0
    for target in travels:
        limit = target - travel
        smallest = limit / 2**MAX_CUTS
        while travel < target:
            step = min(limit, target - travel)
            if target - travel - step < 0.01 * smallest:
                step = target - travel
            trial, force, reason = equilibrate(model, u + step * rate, free, tolerance, count)
            if reason:
                history.cuts += 1
                limit = 0.5 * step
                if limit < smallest:
                    history.status = reason
                    return history
                continue
            model.commit(trial, u)
            rate = (trial - u) / step
            u = trial
            travel = target if step == target - travel else travel + step
            limit *= 2.0
            power = float(np.vdot(load.unit, np.where(free, 0.0, force)))
            history.external.append(history.external[-1] + 0.5 * step * (power + power_old))
            power_old = power
            history.points.append((travel, load.read(force)))
            history.failed.append(model.failed_fraction())
            history.elastic.append(model.elastic_energy(u))
            history.plastic.append(model.plastic_work())
            history.newton.append(count.newton - spent.newton)
            history.cg.append(count.cg - spent.cg)
            spent = Count(count.newton, count.cg)
            if progress is not None:
                progress(travel / travels[-1], f"travel {travel:.3g} mm: {history.points[-1][1]:.4g} N")
        if target in keep:
            history.fields.append((target, u.copy(), model.equivalent_strain(grid.n_elements)))
    return history


def solve_plastic(
    youngs_modulus: ArrayLike,
    *,
    yield_stress: ArrayLike,
    tension_ratio: float = 1.0,
    criterion: str | Criterion = "von_mises",
    poisson_ratio: float = 0.3,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    fixed: NDArray[np.bool_],
    displacement: ArrayLike,
    travels: Sequence[float] | FloatArray,
    loaded: NDArray[np.bool_],
    direction: ArrayLike,
    bbar: bool = True,
    tolerance: float = 1e-4,
    keep_travels: Sequence[float] | None = None,
    threads: int | None = None,
    throw: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> PlasticSolution:
    """Force-travel curve of an elastic-perfectly plastic voxel body.

    Small strains; the travel is prescribed and rises; every point is in equilibrium. Newton's method with the consistent tangent,
    warm started along the last increment; where it does not converge the step is halved and restarted from the last good point.

    Parameters
    ----------
    youngs_modulus
        Modulus of each voxel ``(i j k)``; 0 or less is void [MPa].
    yield_stress
        Yield stress in uniaxial compression of each voxel ``(i j k)``; infinite where the material stays elastic [MPa].
    tension_ratio
        Tensile over compressive yield stress [-].
    criterion
        ``"von_mises"``, ``"paraboloid"``, ``"mohr_coulomb"`` (Tresca at a tension ratio of 1), or a value of
        :mod:`openbct.fe.yield_criteria`.
    poisson_ratio
        Poisson ratio of all voxels [-].
    spacing
        Voxel size along i j k [mm].
    fixed
        Degrees of freedom with a prescribed displacement ``(i+1 j+1 k+1 3)``.
    displacement
        The prescribed displacement per millimetre of travel, read where ``fixed`` [mm].
    travels
        Rising travels at which points are wanted [mm].
    loaded
        Nodes whose reaction is the load ``(i+1 j+1 k+1)``.
    direction
        Unit vector along which the reaction is read ``(3,)``; choose it so that the load is positive.
    bbar
        Mean dilatation, without which plastic flow locks.
    tolerance
        Force out of balance at which a step is accepted, relative to the reaction [-].
    keep_travels
        Travels at which the fields are kept, some of ``travels``; all of them if None.
    threads
        Threads; one per case up to about half a million degrees of freedom if None.
    throw
        Raise when a step does not converge; otherwise the curve ends there and ``converged`` is False.
    progress
        Called with the fraction of the travel done and a sentence after each point.

    Raises
    ------
    ModelError
        The arrays do not make a well-posed problem.
    SolveError
        A step did not converge and ``throw`` is set; the error carries the solution.
    """
    started = time.process_time()
    modulus = _check_element_array(youngs_modulus, "youngs_modulus")
    strength = _check_element_array(yield_stress, "yield_stress", modulus.shape)
    active = modulus > 0
    if not active.any():
        raise ModelError("no voxel has a positive modulus; expected at least one. Check the mask and the units (MPa).")
    if not (strength[active] > 0).all():
        raise ModelError(
            f"yield_stress is {strength[active].min():g} MPa at its lowest in a voxel with stiffness; expected more than 0. "
            "Clip the density from below, or use infinity for a material that stays elastic."
        )
    if not tolerance > 0:
        raise ModelError(f"tolerance is {tolerance:g}; expected more than 0, such as 1e-4.")
    steps = _check_travels(travels)
    keep = set(steps if keep_travels is None else [float(t) for t in keep_travels])
    if not keep <= set(steps):
        raise ModelError(f"keep_travels holds {sorted(keep - set(steps))}, which are not among travels; expected some of {steps}.")
    box = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    if not all(math.isfinite(h) and h > 0 for h in box):
        raise ModelError(f"spacing is {box}; expected three positive lengths in mm.")
    grid = number_voxels(active)
    load = _read_load(grid, fixed, displacement, loaded, direction)
    stiff = modulus.ravel()[grid.elements]
    material = Material(stiff, strength.ravel()[grid.elements], poisson_ratio, read_criterion(criterion, tension_ratio))
    elastic = _Assembled(grid, stiff, poisson_ratio, box, load.held, bbar)
    model = PlasticModel(grid, material, box, bbar=bbar, elastic=elastic, threads=threads or 1)
    setup = time.process_time()
    history = _march(model, load, steps, keep, grid, tolerance, progress)
    solution = _solution(history, grid, {"setup_s": setup - started, "solve_s": time.process_time() - setup})
    if throw and not solution.converged:
        raise SolveError(solution.status, solution)
    return solution


def _solution(history: _History, grid: Grid, stats: dict[str, float]) -> PlasticSolution:
    """The record of what was reached."""
    curve = np.array(history.points)
    fields = []
    for _, u, strain in history.fields:
        full, failed = np.zeros((int(np.prod(grid.node_shape)), 3)), np.zeros(int(np.prod(grid.shape)))
        full[grid.nodes] = u.T
        failed[grid.elements] = strain
        fields.append((full.reshape(*grid.node_shape, 3), failed.reshape(grid.shape)))
    reached = float(curve[-1, 0])
    status = f"converged: {len(curve) - 1} points to {reached:g} mm"
    if history.status:
        status = (
            f"stopped at {reached:g} mm after {history.cuts} shortened steps: {history.status}. The curve up to there is in equilibrium. "
            "Ask for smaller steps near the plateau, or a looser tolerance."
        )
    stats |= {"n_elements": grid.n_elements, "n_nodes": grid.n_nodes, "n_dof": 3 * grid.n_nodes, "n_cuts": history.cuts}
    return PlasticSolution(
        curve=curve,
        travels=tuple(t for t, _, _ in history.fields),
        displacement=tuple(f[0] for f in fields),
        plastic_strain=tuple(f[1] for f in fields),
        failed_fraction=np.array(history.failed),
        stiffness=float(curve[1, 1] / curve[1, 0]) if len(curve) > 1 else float("nan"),
        converged=not history.status,
        status=status,
        newton_iterations=np.array(history.newton, dtype=np.int64),
        cg_iterations=np.array(history.cg, dtype=np.int64),
        external_work=np.array(history.external),
        elastic_energy=np.array(history.elastic),
        plastic_work=np.array(history.plastic),
        stats=stats,
    )
