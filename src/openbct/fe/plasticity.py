"""Elastic-plastic failure of a voxel body under a rising travel: arrays in, a force-travel curve out (mm, N, MPa)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import SolveError
from openbct.fe.checks import check_model
from openbct.fe.free_motions import FreeMotions
from openbct.fe.grid import Grid
from openbct.fe.hex8 import Orthotropy
from openbct.fe.newton import MAX_CG, Count, dot, equilibrate, rounding_force
from openbct.fe.plastic_input import Load, check_combination, check_supports, read_load, read_strength, read_travels
from openbct.fe.plastic_model import PlasticModel
from openbct.fe.plastic_points import Material
from openbct.fe.rigid import RigidFace, hold_faces, tie
from openbct.fe.system import build_system
from openbct.fe.yield_criteria import Criterion, read_criterion

FloatArray = NDArray[np.float64]
Progress = Callable[[float], None]

MAX_CUTS = 6
"""A step is halved at most so often: 1/64 of the requested increment [D]."""

MAX_FAILURES = 30
"""Failed steps of one load history before it is given up [D]."""


@dataclass(frozen=True)
class PlasticSolution:
    """A force-travel curve with the state of the body at the requested travels, and how far it can be trusted."""

    curve: FloatArray
    """Travel [mm] and force [N] ``(n 2)`` from (0, 0), with every converged point, requested or not."""
    travels: tuple[float, ...]
    """Travels at which the fields were kept [mm]."""
    displacement: tuple[FloatArray, ...]
    """Nodal displacement ``(i+1 j+1 k+1 3)`` at each kept travel; 0 at nodes without an element [mm]."""
    plastic_strain: tuple[FloatArray, ...]
    """Equivalent plastic strain ``(i j k)`` at each kept travel, mean over the Gauss points of the element [-]."""
    stress: tuple[FloatArray, ...]
    """Von Mises stress ``(i j k)`` of each element's mean stress at each kept travel; none at large strain [MPa]."""
    failed_fraction: tuple[float, ...]
    """Gauss points that have yielded as a fraction of those that can, at each kept travel [-]."""
    failed_curve: FloatArray
    """The same at each point of the curve [-]."""
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
    """Work dissipated up to each point of the curve, by the same rule: with the elastic energy it makes the external work [N mm]."""
    stats: dict[str, float] = field(default_factory=dict)
    """Counts and CPU times: ``n_elements``, ``n_nodes``, ``n_dof``, ``n_cuts``, ``setup_s``, ``solve_s``."""


@dataclass
class _History:
    """Points of the curve, as they come."""

    points: list[tuple[float, float]]
    failed: list[float]
    external: list[float]
    elastic: list[float]
    plastic: list[float]
    newton: list[int]
    cg: list[int]
    fields: list[tuple[float, FloatArray, FloatArray, FloatArray | None, float]]
    cuts: int = 0
    status: str = ""

    @classmethod
    def begin(cls) -> _History:
        """The unloaded body."""
        return cls([(0.0, 0.0)], [0.0], [0.0], [0.0], [0.0], [0], [0], [])


class _March:
    """Follows the load from travel to travel, with shorter steps where one does not converge."""

    def __init__(self, model: PlasticModel, load: Load, tolerance: float, progress: Callable[[float], None]) -> None:
        self.model, self.load, self.tolerance, self.progress = model, load, tolerance, progress
        self.history = _History.begin()
        self.count, self.spent = Count(), Count()
        self.travel, self.power = 0.0, 0.0
        self.pull = model.elastic.pack(load.unit)
        self.u = np.zeros_like(self.pull)
        self.rate = self._elastic_rate()

    def _elastic_rate(self) -> FloatArray:
        """Elastic displacement per millimetre of travel [-]."""
        rate = self.pull.copy()
        none, tolerance = np.zeros_like(rate), max(0.01 * self.tolerance, 1e-10)
        out, _ = self.model.elastic.residual(none, rate)
        norm, floor = math.sqrt(dot(out, out)), rounding_force(self.model, rate)
        if norm <= floor:
            return rate
        outcome, _ = self.model.elastic.solve(
            none, rate, tolerance=tolerance, scale=max(norm, floor / tolerance), max_iterations=4 * MAX_CG
        )
        self.count.cg += outcome.iterations
        if not outcome.converged and outcome.residual[-1] > 0.1:
            self.history.status = (
                f"the elastic solution stopped at a residual of {outcome.residual[-1]:.1e} after {outcome.iterations} iterations "
                f"{outcome.breakdown}"
            )
        if self.model.motions is not None:
            force = self.model.elastic.apply(rate)
            step, more = self.model.motions.follow(self.model.product, self.model.elastic, force, none, 4 * MAX_CG)
            rate, self.count.cg = rate + step, self.count.cg + more
        return rate

    def advance(self, target: float) -> bool:
        """Reach a travel; False where even the smallest step does not converge."""
        limit = target - self.travel
        smallest = limit / 2**MAX_CUTS
        while self.travel < target and not self.history.status:
            left = target - self.travel
            step = left if left <= 1.01 * limit else limit
            end = equilibrate(self.model, self.u + step * self.rate, self.tolerance, self.count)
            if not end.reason:
                self._accept(end.u, end.force, target if step == left else self.travel + step)
                limit = 2.0 * step
                continue
            self.history.cuts += 1
            limit = 0.5 * step
            if limit < smallest or self.history.cuts >= MAX_FAILURES:
                self.history.status = end.reason
        return not self.history.status

    def _accept(self, u: FloatArray, force: FloatArray, travel: float) -> None:
        """Commit a point and note it."""
        model, history = self.model, self.history
        model.commit(u, self.u)
        step = travel - self.travel
        self.rate = (u - self.u) / step
        self.u, self.travel = u, travel
        power = float(dot(self.pull, force))
        history.external.append(history.external[-1] + 0.5 * step * (power + self.power))
        self.power = power
        history.points.append((travel, self.load.read(model.elastic.unpack(force))))
        history.failed.append(model.failed_fraction())
        history.elastic.append(model.elastic_energy(u))
        history.plastic.append(model.plastic_work())
        history.newton.append(self.count.newton - self.spent.newton)
        history.cg.append(self.count.cg - self.spent.cg)
        self.spent = Count(self.count.newton, self.count.cg)

    def run(self, travels: list[float], keep: set[float]) -> _History:
        """All travels, or as many as converge."""
        for target in travels:
            if not self.advance(target):
                break
            if target in keep:
                nodal = self.model.elastic.unpack(self.u).copy()
                stress = None if self.model.large else self.model.von_mises_stress(self.u)
                self.history.fields.append((target, nodal, self.model.equivalent_strain(), stress, self.history.failed[-1]))
            self.progress(target / travels[-1])
        return self.history


def solve_plastic(
    youngs_modulus: ArrayLike,
    *,
    yield_stress: ArrayLike,
    tension_ratio: float = 1.0,
    criterion: str | Criterion = "von_mises",
    poisson_ratio: ArrayLike = 0.3,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    fixed: NDArray[np.bool_],
    displacement: ArrayLike,
    travels: Sequence[float] | FloatArray,
    loaded: NDArray[np.bool_],
    direction: ArrayLike,
    bbar: bool = True,
    large_strain: bool = False,
    orthotropy: Orthotropy | None = None,
    rigid: Sequence[RigidFace] = (),
    tolerance: float = 1e-4,
    keep_travels: Sequence[float] | FloatArray | None = None,
    threads: int | None = None,
    throw: bool = False,
    progress: Progress | None = None,
) -> PlasticSolution:
    """Force-travel curve of an elastic-perfectly plastic voxel body.

    Small strains by default; the travel is prescribed and rises; every point is in equilibrium. Newton's method with the consistent tangent,
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
        One number, or one per voxel ``(i j k)`` [-].
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
    large_strain
        Equilibrium in the deformed shape, logarithmic strains, von Mises only; slower, and past the peak of the force much slower.
        It raises the 1.9 % strength of the public vertebra by 1.6 to 2.2 % (the cross-section grows) and the 4 % strength of the
        public femur by 0.7 % (``benchmarks/large_strain.py``).
    orthotropy
        Elastic symmetry that all voxels share; ``youngs_modulus`` scales it and ``poisson_ratio`` is not read. Yielding stays isotropic:
        von Mises, small strain.
    rigid
        Faces that move as rigid bodies per millimetre of travel; their free motions carry no force. Small strain.
    tolerance
        Force out of balance at which a step is accepted, relative to the reaction [-].
    keep_travels
        Travels at which the fields are kept, some of ``travels``; all of them if None.
    threads
        Threads; one per case up to about half a million degrees of freedom if None.
    throw
        Raise when a step does not converge; otherwise the curve ends there and ``converged`` is False.
    progress
        Called with the fraction of the travels done after each of them.

    Raises
    ------
    ModelError
        The arrays do not make a well-posed problem.
    SolveError
        A step did not converge and ``throw`` is set; the error carries the solution.
    """
    started = time.process_time()
    modulus = check_model(youngs_modulus, spacing, tolerance)
    strength = read_strength(yield_stress, modulus)
    steps, keep = read_travels(travels, keep_travels)
    value = read_criterion(criterion, tension_ratio)
    check_combination(value.name, large_strain=large_strain, anisotropic=orthotropy is not None, rigid=rigid)
    check_supports(modulus.shape, fixed, displacement, loaded, direction)
    held, unit = hold_faces(modulus, fixed, displacement, rigid, spacing) if rigid else (fixed, displacement)
    elastic = build_system(
        modulus, held, poisson_ratio=poisson_ratio, orthotropy=orthotropy, spacing=spacing, bbar=bbar, threads=threads
    )
    load = read_load(elastic.grid, held, unit, loaded, direction)
    material = Material.of(elastic, strength, poisson_ratio, value, orthotropy)
    box = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    tied = tie(rigid, elastic.grid.nodes, elastic.grid.node_shape, spacing)
    motions = FreeMotions.of(elastic, tied) if tied else None
    model = PlasticModel(elastic, material, box, bbar=bbar, large=large_strain, motions=motions)
    setup = time.process_time()
    history = _March(model, load, tolerance, progress or (lambda _: None)).run(steps, keep)
    solution = _solution(history, elastic.grid, {"setup_s": setup - started, "solve_s": time.process_time() - setup})
    if throw and not solution.converged:
        raise SolveError(solution.status, solution)
    return solution


def _solution(history: _History, grid: Grid, stats: dict[str, float]) -> PlasticSolution:
    """The record of what was reached."""
    curve = np.array(history.points)

    def spread(places: NDArray[np.integer], values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
        full = np.zeros((int(np.prod(shape)), *values.shape[1:]))
        full[places] = values
        return full.reshape(*shape, *values.shape[1:])

    reached = float(curve[-1, 0])
    status = f"converged: {len(curve) - 1} points to {reached:g} mm"
    if history.status:
        status = (
            f"stopped at {reached:g} mm after {history.cuts} shortened steps: {history.status}. The curve up to there is in "
            "equilibrium. Ask for smaller steps near the plateau, or a looser tolerance."
        )
    stats |= {"n_elements": grid.n_elements, "n_nodes": grid.n_nodes, "n_dof": 3 * grid.n_nodes, "n_cuts": history.cuts}
    return PlasticSolution(
        curve=curve,
        travels=tuple(entry[0] for entry in history.fields),
        displacement=tuple(spread(grid.nodes, entry[1], grid.node_shape) for entry in history.fields),
        plastic_strain=tuple(spread(grid.elements, entry[2], grid.shape) for entry in history.fields),
        stress=tuple(spread(grid.elements, entry[3], grid.shape) for entry in history.fields if entry[3] is not None),
        failed_fraction=tuple(entry[4] for entry in history.fields),
        failed_curve=np.array(history.failed),
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
