"""Strength of a bone whose voxels soften after a plateau: a secant-modulus load history, as in public code around a voxel solver.

Each increment is a few linear solutions. A voxel's von Mises stress over its present secant modulus is the strain at which the law's uniaxial curve
is read; the secant to that point is the voxel's next modulus and never rises again. The source takes one solution an increment; the force then lies
above the curve by what the moduli lag behind, hence ours repeats it until the force stands still. Softening gathers in one layer of voxels, so the
law's curve depends on their edge (a crack band), and the strength still depends a little on it: a protocol fixes the voxel.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from . import fe
from .bounds import Bounds, doubt_bounds, refuse_bounds
from .errors import ModelError, SolveError
from .records import Array, FEModel, PostYield, Reference, Step, StrengthResult
from .strength import kept_stress, mesh_of

TOLERANCE = 1e-6
"""Relative residual of each solve [D]."""
LEAST_SECANT = 1e-3
"""Secant modulus is kept at this share of the elastic one: solves stay well posed, and a floor of the law's residual stress lies far above it [D]."""
SETTLED = 1e-3
"""Relative change of the force at which an increment is repeated no more [D]."""
MOST_REPEATS = 25
"""Solutions of one increment at most; while the bone collapses it need not settle, and the force is then the last one's [D]."""
DROP = 0.15
"""Fall below the greatest force at which the history is broken off: the strength is then behind it [D]."""
CONTACT = 6.0
"""Bone nearer than this to a pad yields but does not soften [mm] [D]: on coarse voxels the edge of a pad would crush it before the bone fails (the
source stiffens the bone below its cup instead)."""
SAS_2020 = Reference(
    "Sas A et al. (2020): secant modulus of each voxel from its von Mises stress, updated after each increment, as in the authors' public code",
    "code",
)


@dataclass(frozen=True)
class SofteningTest:
    """A displacement-controlled test of a softening bone; the strength is the greatest force."""

    criterion: str
    """In words, stored with the result."""
    travel: float = 4.0
    """How far at most [mm]."""
    increment: float = 0.025
    """[mm]"""
    bbar: bool = False
    plausible: tuple[Bounds, ...] = ()


@dataclass(frozen=True)
class _State:
    """Where each element stands on its curve."""

    secant: Float[Array, "i j k"]
    """Modulus of the next increment [MPa]."""
    strain: Float[Array, "i j k"]
    """Greatest equivalent strain so far [-]."""


def stress_at(
    strain: Float[Array, "..."], modulus: Float[Array, "..."], yield_stress: Float[Array, "..."], after: PostYield
) -> Array:
    """Return the stress of the uniaxial curve: elastic, plateau, falling line, residual [MPa]."""
    softened = yield_stress + after.slope * (strain - after.plateau)
    beyond = np.where(strain > after.plateau, np.maximum(softened, after.residual), yield_stress)
    return np.asarray(np.minimum(modulus * strain, beyond))


def measure_softening(
    model: FEModel, test: SofteningTest, *, threads: int | None = None, progress: Callable[[float], None] | None = None
) -> StrengthResult:
    """Return the greatest force of the load history, and what the bone looks like there.

    Raises
    ------
    ModelError
        The law says nothing of what follows yielding, the force still rises at the end, or the result is not that of a bone.
    SolveError
        An increment did not converge.

    References
    ----------
    Keyak et al., Clin Orthop Relat Res 437:219 (2005); Sas et al. (2020), as coded.
    """
    begin, after = time.perf_counter(), model.post_yield
    if after is None or model.symmetry is not None or model.boundary.tilts:
        what = "no law of what follows yielding" if after is None else "anisotropic elements or a tilting platen"
        raise ModelError(
            f"found {what} in the model of {model.bone}, expected isotropic elements that soften; take a law that has it"
        )
    after = _spared(model, after)
    model = replace(model, post_yield=after)
    state = _State(model.youngs_modulus.copy(), np.zeros(model.mask.shape))
    curve, best, kept = [(0.0, 0.0)], 0.0, state
    held: fe.Solution | None = None
    initial: Array | None = None
    n_steps = round(test.travel / test.increment)
    for n in range(1, n_steps + 1):
        travel = n * test.increment
        state, solution, force = _increment(model, test, state, travel, initial, threads)
        curve.append((travel, force))
        if force > best:
            best, kept, held = force, state, solution
        initial = solution.displacement * ((n + 1) / n)
        if progress is not None:
            progress(n / n_steps)
        if force < (1 - DROP) * best or not force > 0:
            break
    points = np.array(curve)
    if held is None:
        raise ModelError(f"found a greatest force of {best:.3g} N for {model.bone}, expected a positive one; check the load case")
    if best == points[-1, 1]:
        raise ModelError(
            f"the force of {model.bone} still rises at {points[-1, 0]:g} mm of travel, expected a maximum before; raise travel_mm"
        )
    quantities = _quantities(model, points)
    return StrengthResult(
        bone=model.bone,
        strength=best,
        stiffness=quantities["stiffness_n_per_mm"],
        curve=points,
        criterion=test.criterion,
        boundary_conditions=model.boundary.description,
        quantities=quantities | {"softened_fraction": float((kept.strain > after.plateau)[model.mask].mean())},
        failed=_inelastic(model, after, kept),
        displacement=np.asarray(held.displacement),
        stress=kept_stress(model, fe.von_mises(_stress(model, kept, held))),
        mesh=mesh_of(model),
        seconds=time.perf_counter() - begin,
        step=_describe(model, test, quantities),
    )


def _spared(model: FEModel, after: PostYield) -> PostYield:
    """Return the law with a plateau without end where a pad is near."""
    pad = (model.youngs_modulus > 0) & ~model.mask
    if not pad.any():
        return after
    near = ndimage.distance_transform_edt(~pad) * model.spacing <= CONTACT
    return replace(after, plateau=np.where(near, 1e9, after.plateau))


def _increment(
    model: FEModel, test: SofteningTest, state: _State, travel: float, initial: Array | None, threads: int | None
) -> tuple[_State, fe.Solution, float]:
    """Return state, solution and force [N] after an increment."""
    assert model.post_yield is not None
    before = np.inf
    for _ in range(MOST_REPEATS):
        solution = _solve(model, test, state, travel, initial, threads)
        force = float(fe.reaction(solution, model.boundary.loaded) @ model.boundary.direction)
        softer = _updated(model, model.post_yield, state, solution)
        settled = bool(np.array_equal(softer.secant, state.secant)) or abs(before - force) < SETTLED * abs(force)
        state, before, initial = softer, force, solution.displacement
        if settled:
            break
    return state, solution, force


def _solve(
    model: FEModel, test: SofteningTest, state: _State, travel: float, initial: Array | None, threads: int | None
) -> fe.Solution:
    try:
        return fe.solve(
            state.secant, poisson_ratio=model.poisson_ratio, spacing=(model.spacing,) * 3, fixed=model.boundary.fixed,
            displacement=travel * model.boundary.displacement, tolerance=TOLERANCE, bbar=test.bbar, initial=initial, threads=threads,
        )  # fmt: skip
    except SolveError as error:
        raise SolveError(
            f"the load history of {model.bone} stopped at {travel:g} mm of travel: {error}", error.solution
        ) from error


def _updated(model: FEModel, after: PostYield, state: _State, solution: fe.Solution) -> _State:
    """Return the state after an increment: the curve is followed outwards, never back."""
    stress = _stress(model, state, solution)
    active = model.youngs_modulus > 0
    secant = np.where(active, state.secant, 1.0)
    strain = np.maximum(state.strain, np.where(active, fe.von_mises(stress) / secant, 0.0))
    elastic = np.where(active, model.youngs_modulus, 1.0)
    on_curve = stress_at(strain, elastic, model.yield_stress, after) / np.maximum(strain, 1e-12)
    softer = np.where(strain > 0, np.minimum(on_curve, state.secant), state.secant)
    return replace(state, secant=np.where(active, np.maximum(softer, LEAST_SECANT * elastic), 0.0), strain=strain)


def _stress(model: FEModel, state: _State, solution: fe.Solution) -> Array:
    """Return the stress of each element, by its secant modulus [MPa]."""
    return fe.element_fields(solution, state.secant, poisson_ratio=model.poisson_ratio, spacing=(model.spacing,) * 3).stress


def _inelastic(model: FEModel, after: PostYield, state: _State) -> Array:
    """Return the part of the equivalent strain that is not elastic [-]."""
    elastic = np.where(model.mask, model.youngs_modulus, 1.0)
    stress = stress_at(state.strain, elastic, model.yield_stress, after)
    return np.where(model.mask & (state.strain * elastic > stress * (1 + 1e-9)), state.strain - stress / elastic, 0.0)


def _quantities(model: FEModel, curve: Float[Array, "n 2"]) -> dict[str, float]:
    top = int(np.argmax(curve[:, 1]))
    strength, stiffness = float(curve[top, 1]), float(curve[1, 1] / curve[1, 0])
    return {
        "strength_n": strength,
        "stiffness_n_per_mm": stiffness,
        "strength_travel_mm": float(curve[top, 0]),
        "maximum_force_n": strength,
        "final_force_n": float(curve[-1, 1]),
        "gauge_length_mm": model.gauge_length,
        "reached_strain": float(curve[-1, 0]) / model.gauge_length,
    }


def _describe(model: FEModel, test: SofteningTest, quantities: dict[str, float]) -> Step:
    refuse_bounds(model.bone, test.plausible, quantities)
    sentence = (
        f"Strength was the {test.criterion}; the load history had increments of {test.increment:g} mm, each of linear solutions of eight-node "
        "hexahedra with the secant modulus that its von Mises stress gave each voxel, repeated until the force stood still, small strain; "
        f"bone within {CONTACT:g} mm of a pad did not soften."
    )
    return Step("strength", sentence, (SAS_2020,), tuple(doubt_bounds(model.bone, test.plausible, quantities)))
