"""One femur, many falls: the direction in which it is weakest.

A fall is one direction of many, and a bone is as strong as in its worst one. Each direction is mounted anew (the pads lie elsewhere on
the bone) and solved once, linearly; the load is scaled until a set share of the bone would pass its yield stress. That finds the
weakest direction cheaply; the nonlinear test then says in newtons what the weakest and the protocol's own direction are worth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from . import fe
from .errors import ModelError, SegmentationError, SettingsError, SolveError
from .femodel import build_model
from .loadcases import SidewaysFall
from .records import Array, BoneRegion, FEModel, MaterialLaw, Reference, Step
from .strength import MechanicalTest, measure_strength

YIELDED_SHARE = 0.15
"""Share of the bone past its yield stress at which the linear load is the strength [-]: there it equals, in the mean over directions, the
nonlinear force at 4 % on the public femur [C]; what it gives there and on a drawn femur: ``docs/validation/sweep.md``."""
TOLERANCE = 1e-5
"""Relative residual of the linear solves [D]: far below the change between neighbouring directions."""
MOST_REFUSED = 0.5
"""Share of refused directions above which the sweep says nothing [D]."""
ROUGH = 0.20
"""Kink of the strength over three neighbouring directions, as a share of the default's, above which the map is doubted [D]; the
public femur has 11 % with voxels of 1 mm and 16 % with 1.5 mm, where a pad leaves a ridge [C]."""


@dataclass(frozen=True)
class FallSweep:
    """Strength of one femur over directions of fall."""

    bone: str
    adduction_deg: Float[Array, " n"]
    internal_rotation_deg: Float[Array, " m"]
    strength: Float[Array, "n m"]
    """By the linear criterion [N]; NaN where the direction was refused."""
    stiffness: Float[Array, "n m"]
    """[N/mm]"""
    gauge_length: Float[Array, "n m"]
    """Distance of the pads' outer faces [mm]."""
    default: tuple[float, float, float]
    """Adduction and internal rotation of the protocol [degrees], and the linear strength there [N]."""
    weakest: tuple[float, float, float]
    """The same for the weakest direction of the grid."""
    nonlinear: tuple[float, float] | None
    """Strength of the nonlinear test in the default and in the weakest direction [N]; ``None``: not asked for."""
    refused: tuple[str, ...]
    """Directions without a number, with their reasons."""
    criterion: str
    voxel_mm: float
    seconds: float
    step: Step

    @property
    def relative(self) -> float:
        """Weakest over default strength, by the linear criterion [-]."""
        return self.weakest[2] / self.default[2]


def linear_strength(
    model: FEModel, *, yielded_share: float = YIELDED_SHARE, bbar: bool = True, threads: int | None = None
) -> tuple[float, float]:
    """Return strength [N] and stiffness [N/mm] from one linear solution.

    The load is scaled until ``yielded_share`` of the bone's elements have a von Mises stress, at their centre, above their yield stress
    in compression. Load is not redistributed and tension is not told from compression: good for comparing directions, no
    replacement for the nonlinear test.

    Raises
    ------
    ModelError
        The load does no work, or no element can yield.
    SolveError
        The solver stopped above its tolerance.
    """
    boundary = model.boundary
    arguments = {"poisson_ratio": model.poisson_ratio, "spacing": (model.spacing,) * 3, "bbar": bbar}
    solution = fe.solve(
        model.youngs_modulus,
        fixed=boundary.fixed,
        displacement=boundary.displacement,
        tolerance=TOLERANCE,
        threads=threads,
        **arguments,  # type: ignore[arg-type]
    )
    stiffness = float(fe.reaction(solution, boundary.loaded) @ boundary.direction)
    fields = fe.element_fields(solution, model.youngs_modulus, **arguments)  # type: ignore[arg-type]
    share = fe.von_mises(fields.stress[model.mask]) / model.yield_stress[model.mask]
    limit = float(np.quantile(share, 1.0 - yielded_share)) if share.size else 0.0
    if not (stiffness > 0 and limit > 0):
        raise ModelError(
            f"found stiffness {stiffness:.3g} N/mm and {limit:.3g} of the yield stress at the set share of {model.bone}, expected positive "
            "values; check that the load case holds and moves the bone"
        )
    return stiffness / limit, stiffness


def sweep_fall(
    region: BoneRegion,
    loadcase: SidewaysFall,
    law: MaterialLaw,
    *,
    span_deg: float = 30.0,
    directions: int = 10,
    test: MechanicalTest | None = None,
    elements: Mapping[str, Any] | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> FallSweep:
    """Return the strength of a femur over a square of fall directions around the load case's own.

    Parameters
    ----------
    loadcase
        The fall in its default direction, with the voxel size of the sweep.
    span_deg
        Half the side of the square of adduction and internal rotation [degrees].
    directions
        Directions along each side; their square is solved.
    test
        The nonlinear test, done in the default and in the weakest direction; ``None`` leaves it out.
    elements
        What beside the law makes the elements: keywords of :func:`openbct.femodel.build_model`.
    progress
        Called with directions done and in all.

    Raises
    ------
    SettingsError
        The square leaves the angles that the load case knows, or has fewer than two directions a side.
    SegmentationError, ModelError
        The default direction, or more than half of the directions, cannot be mounted.
    """
    begin = time.perf_counter()
    if not (2 <= directions <= 50 and 1.0 <= span_deg <= 45.0):
        raise SettingsError(
            f"found {directions} directions over ±{span_deg:g} degrees, expected 2 to 50 a side over ±1 to ±45 degrees; change them"
        )
    adduction = np.linspace(loadcase.adduction_deg - span_deg, loadcase.adduction_deg + span_deg, directions)
    rotation = np.linspace(loadcase.internal_rotation_deg - span_deg, loadcase.internal_rotation_deg + span_deg, directions)
    poses = [[replace(loadcase, adduction_deg=float(a), internal_rotation_deg=float(r)) for r in rotation] for a in adduction]
    found = np.full((3, directions, directions), np.nan)
    refused: list[str] = []

    def model(case: SidewaysFall) -> FEModel:
        specimen = case.mount(region)
        return build_model(specimen, case.constrain(specimen), law, **(elements or {}))

    own = _one(model(loadcase), threads)
    for number, (i, j) in enumerate(np.ndindex(directions, directions)):
        progress(number, directions**2)
        try:
            found[:, i, j] = _one(model(poses[i][j]), threads)
        except (SegmentationError, ModelError, SolveError) as error:
            refused.append(f"adduction {adduction[i]:.0f}, internal rotation {rotation[j]:.0f} degrees: {error}")
    if len(refused) > MOST_REFUSED * directions**2:
        raise ModelError(
            f"found {len(refused)} of {directions**2} directions of fall of {region.bone} that cannot be mounted, expected most to be; the "
            f"first: {refused[0]}"
        )
    i, j = np.unravel_index(int(np.nanargmin(found[0])), found[0].shape)
    nonlinear = None
    if test is not None:
        nonlinear = (
            measure_strength(model(loadcase), test, threads=threads).strength,
            measure_strength(model(poses[int(i)][int(j)]), test, threads=threads).strength,
        )
    default = (loadcase.adduction_deg, loadcase.internal_rotation_deg, own[0])
    weakest = (float(adduction[i]), float(rotation[j]), float(found[0, i, j]))
    return FallSweep(
        bone=region.bone,
        adduction_deg=adduction,
        internal_rotation_deg=rotation,
        strength=found[0],
        stiffness=found[1],
        gauge_length=found[2],
        default=default,
        weakest=weakest,
        nonlinear=nonlinear,
        refused=tuple(refused),
        criterion=f"linear load at which {100 * YIELDED_SHARE:g} % of the bone passes its yield stress (von Mises)",
        voxel_mm=loadcase.voxel,
        seconds=time.perf_counter() - begin,
        step=_describe(region, found[0], default, weakest, refused, span_deg),
    )


def _one(model: FEModel, threads: int | None) -> tuple[float, float, float]:
    return (*linear_strength(model, threads=threads), model.gauge_length)


def roughness(strength: Float[Array, "n m"], scale: float) -> float:
    """Return the largest second difference over three neighbouring directions in a line, as a share of ``scale`` [-]."""
    kinks = [np.abs(np.diff(strength, n=2, axis=axis)) for axis in (0, 1)]
    return max(float(np.nanmax(kink)) if np.isfinite(kink).any() else 0.0 for kink in kinks) / scale


def _describe(
    region: BoneRegion,
    strength: Array,
    default: tuple[float, float, float],
    weakest: tuple[float, float, float],
    refused: list[str],
    span: float,
) -> Step:
    cautions = [caution.replace("is worth about", "is worth, in one direction, about") for caution in region.step.cautions]
    if refused:
        cautions.append(f"{region.bone}: {len(refused)} of {strength.size} directions have no number ({refused[0]}).")
    kink = roughness(strength, default[2])
    if kink > ROUGH:
        cautions.append(
            f"{region.bone}: strength jumps by {100 * kink:.0f} % of the default's out of line with the neighbouring directions (expected up to "
            f"{100 * ROUGH:g} %): a pad meets or leaves a ridge of the bone there; take smaller voxels before the weakest direction is used."
        )
    rows, columns = strength.shape
    place = np.argwhere(strength == weakest[2])[0]
    if place[0] in (0, rows - 1) or place[1] in (0, columns - 1):
        cautions.append(
            f"{region.bone}: the weakest direction lies on the border of the ±{span:g} degrees that were swept; beyond it the bone may be "
            "weaker still."
        )
    sentence = (
        f"The fall was swept over {rows} x {columns} directions within ±{span:g} degrees of adduction and internal rotation; each was "
        f"mounted anew and solved linearly, its strength being the load at which {100 * YIELDED_SHARE:g} % of the bone would pass its "
        "yield stress."
    )
    references = (
        Reference("Lowest strength over a cone of fall directions: BBCT group, cohort of Qasim et al. 2016", "seen"),
        Reference(
            "Share of yielded bone set so that the linear strength equals the nonlinear one in the mean over directions of a public femur",
            "computed",
        ),
    )
    return Step("sweep", sentence, references, tuple(cautions))
