"""Codes of what a result says: the standard's where it has one, ours (99OPENBCT) where it has none.

No standard code stands for a strength by a simulated test, for a volumetric density by CT, or for an areal one projected from CT: LOINC's
codes of bone density say DXA, which this is not. Ours have the name in ``result.json`` as their value.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..label_names import SCT_LEVELS, SCT_SIDES

OWN: Final = "99OPENBCT"


class Code(NamedTuple):
    """A coded concept."""

    value: str
    scheme: str
    meaning: str


def own(value: str, meaning: str = "") -> Code:
    """Return a private code."""
    return Code(value, OWN, (meaning or value.replace("_", " "))[:64])


STANDARD: Final = {
    "volume": Code("118565006", "SCT", "Volume"),
    "trabecular_hu": Code("112031", "DCM", "Attenuation Coefficient"),
}
"""Quantities that have a standard code (PS3.16, SNOMED CT), checked against pydicom's copy of PS3.16."""
MEANINGS: Final = {
    "strength": "Bone strength in a simulated test",
    "stiffness": "Stiffness in a simulated test",
    "trabecular_vbmd": "Trabecular volumetric BMD",
    "integral_vbmd": "Integral volumetric BMD",
    "femoral_neck_abmd": "Femoral-neck areal BMD projected from CT",
    "total_hip_abmd": "Total-hip areal BMD projected from CT",
    "load_to_strength": "Load-to-strength ratio, sideways fall",
    "height_loss": "Loss of vertebral height",
    "genant_grade": "Genant grade by heights",
}
STANDARD_DEVIATION: Final = Code("386136009", "SCT", "Standard Deviation")
Z_SCORE: Final = Code("121416", "DCM", "Z-Score of measurement")
T_SCORE: Final = own("t_score", "T-score")
CLASS: Final = own("class", "Class by published thresholds")
THRESHOLDS: Final = own("thresholds", "Thresholds that the class rests on")
CASE_CLASS: Final = own("case_category", "Bone density class of the case")
CASE_RISK: Final = own("case_risk", "Combined class of density and strength")
STATUS: Final = own("status", "Whether the bone could be used")
CAUTION: Final = own("caution", "Caution")
MEAN: Final = Code("373098007", "SCT", "Mean")
CT: Final = Code("25045-6", "LN", "CT unspecified body region")
METHOD: Final = own("method", "How and where it was measured")
REPORT: Final = Code("18748-4", "LN", "Diagnostic imaging study")
NO_UNIT: Final = Code("1", "UCUM", "no units")
UNITS: Final = {
    "N": Code("N", "UCUM", "N"),
    "N/mm": Code("N/mm", "UCUM", "N/mm"),
    "mg/cm3": Code("mg/cm3", "UCUM", "mg/cm3"),
    "g/cm2": Code("g/cm2", "UCUM", "g/cm2"),
    "g": Code("g", "UCUM", "g"),
    "mg": Code("mg", "UCUM", "mg"),
    "mm": Code("mm", "UCUM", "mm"),
    "mm2": Code("mm2", "UCUM", "mm2"),
    "mm3": Code("mm3", "UCUM", "mm3"),
    "cm2": Code("cm2", "UCUM", "cm2"),
    "cm3": Code("cm3", "UCUM", "cm3"),
    "HU": Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
    "%": Code("%", "UCUM", "percent"),
    "T": Code("{T-score}", "UCUM", "T-score"),
    "": NO_UNIT,
    "-": NO_UNIT,
    "1": NO_UNIT,
}
"""First word of a unit of ours to UCUM; what follows names the mineral."""
LEVELS: Final = {level: value for value, level in SCT_LEVELS.items()}
SIDES: Final = {word: code for code, word in SCT_SIDES.items()}


def quantity(name: str) -> Code:
    """Return the code of a quantity by its name in ``result.json``."""
    return STANDARD.get(name) or own(name, MEANINGS.get(name, ""))


def unit(text: str) -> Code:
    """Return the UCUM code of a unit as records write it."""
    first = text.translate(str.maketrans("²³", "23")).split(" ")[0]
    return UNITS.get(first) or Code(f"{{{first}}}", "UCUM", first)


def site(bone: str) -> Code:
    """Return the code of a bone's place in the body."""
    if bone.startswith("femur"):
        return Code("310651003", "SCT", "Proximal Femur")
    if bone in LEVELS:
        return Code(LEVELS[bone], "SCT", f"{bone} vertebra")
    return Code("51282000", "SCT", "Spine")


def side(bone: str) -> Code | None:
    """Return the code of a bone's side; ``None`` where it has none."""
    word = bone.rpartition("_")[2]
    return Code(SIDES[word], "SCT", word.capitalize()) if bone.startswith("femur") and word in SIDES else None
