"""Whether a bone is to be believed: the confidence of its mask, and its size, angles and density beside those of adults of its sex.

Sizes that depend on the person's height or weight are published as correlations whose coefficients we have not seen: ranges here are by sex
alone, and as wide as three standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from .records import BoneMask, BoneResult, Patient

SPREAD = 3.0
"""Standard deviations from the mean beyond which a value is told [D]."""
HEAD_RADIUS = {"F": (21.3, 1.2), "M": (24.0, 1.3)}
"""Of the femoral head, mean and standard deviation [mm] [R]: half the diameters of modern European skeletons."""
NECK_SHAFT = (124.7, 133.0, 6.2)
"""Lowest and highest mean of adults' neck-shaft angle and its standard deviation [degrees] [S]: 124.7 +- 6.2 (628 persons, Carmona et al., 3D CT
analysis, J Arthroplasty 2019), 129.2 (375 femora, Toogood et al., Clin Orthop 467:876, 2009), 133.0 (466 adults, Jiang et al., Medicine 94:e891,
2015)."""
L5_HEIGHTS = {
    "anterior_height": {"F": (29.6, 1.8), "M": (30.7, 1.9)},
    "posterior_height": {"F": (25.5, 1.6), "M": (26.8, 1.9)},
}
"""Of the fifth lumbar body [mm] [S]: 196 persons, Cook and Baker, Int J Spine Surg 15:1072 (2021). Tables of the other levels were not seen."""
DENSITY_AGES = (47.0, 52.0, 57.0, 62.0, 67.0, 72.0, 77.0, 82.5)
DENSITY = {
    "F": (182.9, 162.0, 151.6, 146.6, 124.7, 115.5, 94.5, 93.0),
    "M": (183.2, 161.3, 149.0, 149.0, 156.8, 137.2, 128.3, 106.4),
}
"""Lumbar trabecular density by age [mg/cm3]: the highest mean of four ethnic groups [S] (Li et al., Acad Radiol 20, 2013)."""
DENSITY_SPREAD = 40.0
"""Standard deviation within such a group [mg/cm3] [S]: 16.6 to 50.7, of the groups with the highest means about 40."""


def too_doubtful(mask: BoneMask, least: float) -> str | None:
    """Return why a mask is not assessed, or ``None``: its confidence is below what the protocol asks for.

    A vertebra that the image cuts keeps half of its confidence; that it is cut is said by its anatomy.
    """
    if mask.confidence >= least or (mask.touches_edge and not mask.bone.startswith("femur")):
        return None
    return (
        f"found the mask of {mask.bone} with a confidence of {mask.confidence:.2f}, expected {least:g} or more: that much overlap with the bone is all "
        "that the image, the size and the neighbours let expect; look at the outline and correct the labels, or ask for less with least_confidence "
        "under [segmentation] in a protocol of your own"
    )


def judged(bones: Sequence[BoneResult], patient: Patient) -> list[BoneResult]:
    """Return the bones with a caution for each value that few adults of the patient's sex have."""
    found = []
    for bone in bones:
        doubts = tuple(_unusual(bone, patient))
        if doubts:
            bone = replace(bone, cautions=(*bone.cautions, *doubts), status="caution" if bone.status == "ok" else bone.status)
        found.append(bone)
    return found


def _unusual(bone: BoneResult, patient: Patient) -> Iterator[str]:
    lengths = bone.region.lengths if bone.region is not None else {}
    blame = "the mask, the header's millimetres or the sex may be wrong, or the bone is misshapen"
    if "head_radius" in lengths:
        low, high = _range(HEAD_RADIUS, patient.sex)
        yield from _outside(bone.bone, "radius of the femoral head", lengths["head_radius"], "mm", low, high, patient.sex, blame)
    if "neck_shaft_angle_deg" in lengths:
        low, high = NECK_SHAFT[0] - SPREAD * NECK_SHAFT[2], NECK_SHAFT[1] + SPREAD * NECK_SHAFT[2]
        cause = "the mask may be cut or leak at the neck, or the hip is misshapen"
        yield from _outside(bone.bone, "neck–shaft angle", lengths["neck_shaft_angle_deg"], "°", low, high, None, cause)
    for name, norms in L5_HEIGHTS.items():
        if bone.bone == "L5" and name in lengths:
            low, high = _range(norms, patient.sex)
            yield from _outside(bone.bone, name.replace("_", " "), lengths[name], "mm", low, high, patient.sex, blame)
    if bone.measures is not None and "trabecular_vbmd" in bone.measures.values:
        value, age = bone.measures.values["trabecular_vbmd"].value, patient.age if patient.age is not None else DENSITY_AGES[0]
        sexes = [patient.sex] if patient.sex else ["F", "M"]
        high = max(float(np.interp(age, DENSITY_AGES, DENSITY[sex])) for sex in sexes) + SPREAD * DENSITY_SPREAD
        cause = "contrast agent, cement, a sclerotic or metastatic body, or a calibration that is off reads so"
        yield from _outside(bone.bone, "trabecular density", value, "mg/cm³", -np.inf, high, patient.sex, cause)


def _range(norms: dict[str, tuple[float, float]], sex: str | None) -> tuple[float, float]:
    """Return the lowest and the highest usual value, of both sexes where it is not known."""
    chosen = [norms[sex]] if sex else list(norms.values())
    return min(mean - SPREAD * sd for mean, sd in chosen), max(mean + SPREAD * sd for mean, sd in chosen)


def _outside(
    bone: str, what: str, value: float, unit: str, low: float, high: float, sex: str | None, cause: str
) -> Iterator[str]:
    """Yield the sentence about a value outside its usual range."""
    if not low <= value <= high:
        whose = {"F": "women's", "M": "men's"}.get(sex or "", "adults'")
        usual = f"{low:.1f} to {high:.1f}" if np.isfinite(low) else f"up to {high:.0f}"
        digits = 0 if unit == "mg/cm³" else 1
        space = "" if unit == "°" else " "
        yield f"{bone}: the {what} of {value:.{digits}f}{space}{unit} is outside what is usual ({whose}: {usual}{space}{unit}); {cause}."
