"""Strength from one linear solution, by one of three published rules; load is not redistributed after yield.

``"height"``: a strain times stiffness and gauge length; ``"critical_volume"``: a share of the bone passes an effective strain;
``"principal_strain"``: the bone's surface passes a strain in tension or in compression at one place.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from . import fe
from .bounds import Bounds, doubt_bounds, refuse_bounds
from .errors import ModelError
from .records import Array, FEModel, Reference, Step, StrengthResult
from .solver_terms import orthotropy_of, platens_of
from .strength import kept_stress, least_rigidity, mesh_of

TOLERANCE = 1e-6
"""Relative residual of the solve [D]: forces are then right to a few millionths."""
CRAWFORD_2003 = Reference(
    "Strain of 0.0068 times stiffness and height: Crawford et al. 2003, coefficient as in public FE code", "code"
)
PISTOIA_2002 = Reference("Pistoia W et al. Bone 30:842 (2002): share of the bone beyond an effective strain", "seen")
SCHILEO_2014 = Reference(
    "Schileo E et al. J Biomech 47:3531 (2014): principal strains at the surface of 0.73 % and 1.04 %, limits seen in the abstract",
    "seen",
)
PATCH_MARGIN = 5.0
"""Surface nearer than this to a pad or a held node is load patch, not bone under test [mm] [D]."""


@dataclass(frozen=True)
class LinearTest:
    """A linear virtual test and the rule that makes a strength of it."""

    rule: Literal["height", "critical_volume", "principal_strain"]
    criterion: str
    """In words, stored with the result."""
    reference: Reference
    coefficient: float = 0.0068
    """``"height"``: strength over stiffness times gauge length [-]; elsewhere only the strain of the neighbouring estimate."""
    critical_strain: float = 0.007
    """``"critical_volume"``: effective strain [-] that ``critical_share`` of the bone passes at the strength."""
    critical_share: float = 0.02
    tension_strain: float = 0.0073
    """``"principal_strain"``: limits of the largest and of the smallest principal strain [-], each averaged over a sphere."""
    compression_strain: float = 0.0104
    averaging: float = 3.0
    """Diameter of that sphere [mm]; 0: none."""
    bbar: bool = True
    plausible: tuple[Bounds, ...] = ()


def measure_linear(model: FEModel, test: LinearTest, *, threads: int | None = None) -> StrengthResult:
    """Return strength and stiffness of one linear solution; the curve is a straight line to the strength.

    Raises
    ------
    SolveError
        The solver stopped above its tolerance.
    ModelError
        The load does no work, or the result is not that of a bone.

    References
    ----------
    Crawford et al., Bone 33:744 (2003); Pistoia et al., Bone 30:842 (2002); Schileo et al., J Biomech 47:3531 (2014).
    """
    begin = time.perf_counter()
    boundary = model.boundary
    fixed, faces = platens_of(model)
    solution = fe.solve(
        model.youngs_modulus, poisson_ratio=model.poisson_ratio, orthotropy=orthotropy_of(model), spacing=(model.spacing,) * 3,
        fixed=fixed, displacement=boundary.displacement, tolerance=TOLERANCE, bbar=test.bbar, rigid=faces, threads=threads,
    )  # fmt: skip
    stiffness = float(fe.reaction(solution, boundary.loaded) @ boundary.direction)
    if not stiffness > 0:
        raise ModelError(
            f"found stiffness {stiffness:.3g} N/mm for {model.bone}, expected a positive value: the platen does no work; check that the "
            "load case holds and moves the bone"
        )
    fields = fe.element_fields(
        solution, model.youngs_modulus, poisson_ratio=model.poisson_ratio, orthotropy=orthotropy_of(model),
        spacing=(model.spacing,) * 3, bbar=test.bbar,
    )  # fmt: skip
    strength, more = _strength(model, test, fields, stiffness)
    quantities = _quantities(model, test, strength, stiffness) | more | {"energy_imbalance": abs(fe.energy_imbalance(solution))}
    travel = strength / stiffness
    return StrengthResult(
        bone=model.bone,
        strength=strength,
        stiffness=stiffness,
        curve=np.array([[0.0, 0.0], [travel, strength]]),
        criterion=test.criterion,
        boundary_conditions=boundary.description,
        quantities=quantities,
        failed=np.zeros(model.mask.shape),
        displacement=travel * solution.displacement,
        mesh=mesh_of(model),
        stress=kept_stress(model, travel * fe.von_mises(fields.stress)),
        seconds=time.perf_counter() - begin,
        step=_describe(model, test, quantities),
    )


def _strength(model: FEModel, test: LinearTest, fields: fe.ElementFields, stiffness: float) -> tuple[float, dict[str, float]]:
    """Return the strength by the rule [N], and what the rule saw on its way."""
    if test.rule == "height":
        return test.coefficient * stiffness * model.gauge_length, {}
    if test.rule == "critical_volume":
        factor = fe.critical_volume(
            fields.effective_strain, critical_strain=test.critical_strain, critical_fraction=test.critical_share, mask=model.mask
        )
        return factor * stiffness, {}
    surface = free_surface(model)
    if not surface.any():
        raise ModelError(
            f"found no surface of {model.bone} farther than {PATCH_MARGIN:g} mm from pads and supports, expected most of it; check the mask"
        )
    principal = averaged(fields.principal_strain, model.mask, test.averaging / model.spacing)
    tension = float(principal[..., 2][surface].max()) / test.tension_strain
    compression = -float(principal[..., 0][surface].min()) / test.compression_strain
    worst = max(tension, compression)
    if not worst > 0:
        raise ModelError(f"found no strain on the surface of {model.bone}, expected a loaded bone; check the load case")
    return stiffness / worst, {"tension_share": tension / worst, "compression_share": compression / worst}


def free_surface(model: FEModel) -> Bool[Array, "i j k"]:
    """Return the bone's surface elements away from pads and held nodes."""
    pad = (model.youngs_modulus > 0) & ~model.mask
    held: Array = np.asarray(model.boundary.fixed.any(axis=-1))
    near = np.zeros(model.mask.shape, dtype=bool)
    for corner in np.ndindex(2, 2, 2):
        near |= held[tuple(slice(c, c + n) for c, n in zip(corner, model.mask.shape, strict=True))]
    patch = pad | (near & model.mask)
    inner: Array = np.asarray(ndimage.binary_erosion(np.pad(model.mask, 1)))
    surface = np.asarray(model.mask & ~inner[1:-1, 1:-1, 1:-1])
    if patch.any():
        surface &= ndimage.distance_transform_edt(~patch) * model.spacing > PATCH_MARGIN
    return surface


def averaged(strain: Float[Array, "i j k n"], mask: Bool[Array, "i j k"], diameter: float) -> Float[Array, "i j k n"]:
    """Return the mean over the bone's elements within a sphere of ``diameter`` [voxels] around each."""
    reach = int(diameter / 2.0)
    if reach == 0:
        return strain
    grid = np.indices((2 * reach + 1,) * 3) - reach
    ball = np.asarray((grid**2).sum(axis=0) <= (diameter / 2.0) ** 2, dtype=float)
    count = ndimage.convolve(mask.astype(float), ball, mode="constant")
    found = np.zeros_like(strain)
    for n in range(strain.shape[-1]):
        total = ndimage.convolve(np.where(mask, strain[..., n], 0.0), ball, mode="constant")
        found[..., n] = np.where(mask, total / np.maximum(count, 1.0), 0.0)
    return found


def _quantities(model: FEModel, test: LinearTest, strength: float, stiffness: float) -> dict[str, float]:
    gauge = model.gauge_length
    area = float(model.mask.sum()) * model.spacing**3 / gauge
    return {
        "strength_n": strength,
        "stiffness_n_per_mm": stiffness,
        "strength_travel_mm": strength / stiffness,
        "gauge_length_mm": gauge,
        "strength_strain_ratio": strength / (stiffness * gauge),
        "strength_over_area_mpa": strength / area,
        "strength_over_rigidity": strength / (test.coefficient * least_rigidity(model)),
        "minimum_axial_rigidity_n": least_rigidity(model),
    }


def _describe(model: FEModel, test: LinearTest, quantities: dict[str, float]) -> Step:
    refuse_bounds(model.bone, test.plausible, quantities)
    elements = f"eight-node hexahedra{' with mean dilatation (B-bar)' if test.bbar else ''}"
    sentence = f"Strength was the {test.criterion}; one linear elastic solution of {elements}, small strain: no load was redistributed by yielding."
    return Step("strength", sentence, (test.reference,), tuple(doubt_bounds(model.bone, test.plausible, quantities)))
