"""From a mounted specimen to a finite-element problem: density becomes stiffness and strength, voxel by voxel."""

from __future__ import annotations

import numpy as np

from .binning import WALLE_2025, Binning
from .cortex import Cortex
from .density import convert, convert_mineral
from .errors import ModelError
from .records import (
    Array,
    Boundary,
    ElasticSymmetry,
    FEModel,
    MaterialLaw,
    Mineral,
    Pads,
    PostYield,
    Reference,
    Specimen,
    Step,
)

CEMENT = Pads()
PMMA_REFERENCE = Reference("PMMA pads 2500 MPa, Poisson ratio 0.3, as constants in public voxel-FE code", "code")
TOLD = 0.0005
"""Share of bone voxels from which the Methods text says that they were moved: 0.1 % as printed [D]."""
FLOOR_FRACTION = 0.05
"""Share of bone voxels raised to a law's floor above which a caution is due (fe-methods plausibility table, design)."""
FLOOR_REFUSAL = 0.20
"""Share above which the strength would be the floor's, not the bone's (fe-methods plausibility table, design)."""
CEILING_FRACTION = 0.05
"""Share of bone voxels lowered to a law's ceiling above which a caution is due; a public femur has 1 to 2 % [design]."""
TISSUE_VOXEL = 0.1
"""Largest voxel that a law of the tissue itself describes [mm]: trabeculae are 0.1 to 0.2 mm thick [R]."""
EXTRAPOLATED_FRACTION = 0.5
"""Share of bone voxels outside the range that a law was fitted to above which a caution is due: cortex and marrow always lie
outside a trabecular law's range, so a smaller share would caution every bone and say nothing [design]."""


def build_model(
    specimen: Specimen,
    boundary: Boundary,
    law: MaterialLaw,
    *,
    pads: Pads = CEMENT,
    symmetry: ElasticSymmetry | None = None,
    binning: Binning | None = None,
    cortex: Cortex | None = None,
) -> FEModel:
    """Return the FE problem of a specimen: one modulus and one yield stress per voxel.

    Density is interpolated and clipped before the law is applied, never the modulus: the law is not linear. Without ``binning``
    no voxel is binned and none is dropped: the model has as many bone elements as the mask has voxels.

    Raises
    ------
    ModelError
        The specimen holds no bone, its density is not finite, too much of it lies below the law's floor, or a law of the tissue
        meets voxels that hold marrow.
    SettingsError
        The law names a kind of density to which no conversion is known.
    """
    bone = specimen.mask
    n_bone = int(bone.sum())
    if n_bone == 0:
        raise ModelError(f"found no bone voxel in the specimen of {specimen.bone}, expected at least one; check the mask")
    density = specimen.density[bone] / 1000.0
    if not np.isfinite(density).all():
        raise ModelError(
            f"found {int((~np.isfinite(density)).sum())} bone voxels of {specimen.bone} without a density; check the image"
        )
    if binning is not None:
        if specimen.mineral != law.density:
            raise ModelError(
                f"found bins of {specimen.mineral} density beside {law.name}, a law of {law.density} density, expected one kind"
            )
        binned, kept = binning(1000.0 * density)
        density, bone = binned[kept] / 1000.0, bone.copy()
        bone[specimen.mask] = kept
    if law.tissue and specimen.spacing > TISSUE_VOXEL:
        raise ModelError(
            f"found voxels of {specimen.spacing:g} mm of {specimen.bone} beside {law.name}, a law of the tissue itself, expected at most "
            f"{TISSUE_VOXEL:g} mm: larger voxels hold marrow too; take a law that was fitted to apparent density"
        )
    rho, references, doubts = _in_kind(density, specimen.mineral, law)
    low = law.clip[0]
    below = float((rho < low).mean())
    if below > FLOOR_REFUSAL:
        raise ModelError(
            f"found {100 * below:.0f} % of the bone voxels of {specimen.bone} below {low:g} g/cm³ ({law.density}), expected at most "
            f"{100 * FLOOR_REFUSAL:.0f} %: too noisy or too fatty an image, or a density in another unit; check the calibration"
        )
    youngs_modulus, yield_stress = np.zeros(bone.shape), np.full(bone.shape, np.inf)
    youngs_modulus[bone], yield_stress[bone] = _by_law(rho, law)
    words, cited = _pad_words(law, pads, symmetry)
    if cortex is not None:
        plain = float(youngs_modulus[bone].sum())
        corrected = cortex.stiffen(*_by_law(cortex.densities(rho, bone), law), bone, specimen.spacing)
        youngs_modulus[bone], yield_stress[bone] = corrected
        rise = 100 * (float(youngs_modulus[bone].sum()) / plain - 1.0)
        words += f"; {cortex.words}, which raised the sum of the moduli of {specimen.bone} by {rise:.0f} %"
        cited = (*cited, cortex.reference)
    pad = specimen.pad & ~bone
    youngs_modulus[pad] = pads.youngs_modulus
    if pads.yield_stress is not None:
        yield_stress[pad] = pads.yield_stress
    return FEModel(
        bone=specimen.bone,
        youngs_modulus=youngs_modulus,
        yield_stress=yield_stress,
        tension_ratio=law.tension_ratio,
        poisson_ratio=law.poisson_ratio,
        mask=bone,
        spacing=specimen.spacing,
        gauge_length=specimen.gauge_length,
        boundary=boundary,
        to_patient=specimen.to_patient,
        step=_describe(specimen, law, rho, (*references, *_binned(binning)[1]), doubts, (words, cited), _binned(binning)[0]),
        symmetry=symmetry,
        post_yield=_after_yield(rho, law, bone, specimen.spacing),
    )


def _after_yield(rho: Array, law: MaterialLaw, bone: Array, spacing: float) -> PostYield | None:
    """Return what follows yielding on the grid; pads never get there."""
    if law.post_yield is None:
        return None
    found = law.post_yield(np.clip(rho, *law.clip), spacing)
    fields = [np.full(bone.shape, far) for far in (1e9, 0.0, 0.0)]
    for field, values in zip(fields, (found.plateau, found.slope, found.residual), strict=True):
        field[bone] = values
    return PostYield(*fields)


def _by_law(rho: Array, law: MaterialLaw) -> tuple[Array, Array]:
    """Return modulus and yield stress of densities in the law's kind, clipped [MPa]."""
    clipped = np.clip(rho, *law.clip)
    strength = np.full(rho.shape, np.inf) if law.yield_stress is None else law.yield_stress(clipped)
    return law.youngs_modulus(clipped), strength


def _in_kind(density: Array, mineral: Mineral, law: MaterialLaw) -> tuple[Array, tuple[Reference, ...], tuple[str, ...]]:
    """Return the density in the kind that the law needs [g/cm³], the papers of the conversion and its cautions."""
    if law.density in ("K2HPO4", "CHA"):
        return convert_mineral(density, mineral, law.density)
    converted, references = convert(density, mineral, law.density)
    return converted, references, ()


def _describe(
    specimen: Specimen,
    law: MaterialLaw,
    rho: Array,
    references: tuple[Reference, ...],
    doubts: tuple[str, ...],
    materials: tuple[str, tuple[Reference, ...]],
    bins: str,
) -> Step:
    low, high = law.clip
    below, above = float((rho < low).mean()), float((rho > high).mean())
    outside = float(((rho < law.valid[0]) | (rho > law.valid[1])).mean())
    cautions = [f"{specimen.bone}: {doubt}" for doubt in doubts]
    if below > FLOOR_FRACTION:
        cautions.append(
            f"{specimen.bone}: {100 * below:.0f} % of the bone voxels lie below {low:g} g/cm³ and were raised to it; "
            "the strength of this bone rests partly on that floor."
        )
    if above > CEILING_FRACTION:
        cautions.append(
            f"{specimen.bone}: {100 * above:.0f} % of the bone voxels lie above {high:g} g/cm³ and were lowered to it: metal, contrast agent or a "
            "calibration that reads too high; the strength of this bone rests partly on that ceiling."
        )
    if outside > EXTRAPOLATED_FRACTION:
        cautions.append(
            f"{specimen.bone}: {100 * outside:.0f} % of the bone voxels lie outside the density range that {law.name} was fitted to "
            f"({law.valid[0]:g} to {law.valid[1]:g} g/cm³); their stiffness is extrapolated."
        )
    moved = [f"{100 * share:.1f} % {verb}" for share, verb in ((below, "were raised"), (above, "were lowered")) if share >= TOLD]
    sentence = (
        f"Voxels became eight-node hexahedra of {specimen.spacing:g} mm; density ({law.density}{bins}) was mapped to stiffness"
        f"{' and yield stress' if law.yield_stress else ''} by {law.name} within {low:g} to {high:g} g/cm³, "
        f"Poisson ratio {law.poisson_ratio:g}; {materials[0]}. "
        + (
            f"Of the voxels of {specimen.bone} {' and '.join(moved)} to these bounds."
            if moved
            else f"{specimen.bone} lies within these bounds."
        )
    )
    return Step("model", sentence, (law.reference, *references, *materials[1]), tuple(cautions))


def _binned(binning: Binning | None) -> tuple[str, tuple[Reference, ...]]:
    """Return what was done to the densities before the law, and on whose word."""
    if binning is None:
        return "", ()
    slip = ", each voxel taking the next bin" if binning.shift else ""
    return f", truncated to integers and put into {binning.count} bins{slip}", (WALLE_2025,)


def _pad_words(law: MaterialLaw, pads: Pads, symmetry: ElasticSymmetry | None) -> tuple[str, tuple[Reference, ...]]:
    """Return what the pads are made of and how the elements are elastic, with the sources."""
    common = pads.youngs_modulus == CEMENT.youngs_modulus
    elastic, yields = ("elastic ", "") if pads.yield_stress is None else ("", f", yielding at {pads.yield_stress:g} MPa,")
    words = (
        f"pads were {elastic}{'PMMA' if common else 'material'} of {pads.youngs_modulus:g} MPa{yields} and the same Poisson ratio"
    )
    references = (PMMA_REFERENCE,) if common else ()
    if symmetry is None:
        return words, references
    words = words.replace(" and the same Poisson ratio", "")
    return f"{words}; all elements, pads too, were {symmetry.name} about the load axis", (*references, symmetry.reference)
