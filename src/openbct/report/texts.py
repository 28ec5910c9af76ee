"""Every word that the report adds to its content, in one catalogue: another language is another mapping.

What stages say themselves (Methods sentences, cautions, reasons) arrives finished and is printed as it is.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ENGLISH: Final[Mapping[str, str]] = {
    "language": "en",
    "title": "Biomechanical CT: bone strength and density",
    "subtitle.study": "CT of {date}",
    "subtitle.made": "report of {date}",
    "subtitle.protocol": "protocol {protocol}",
    "page": "Page {page} of {pages}",
    "statement": "Research use only: OpenBCT is not a cleared medical device. Not yet interpreted by a physician.",
    "contents": "Contents",
    "unknown": "not known",
    "none": "none",
    "more": "and {count} more, listed under “Cautions”",
    "and": " and ",
    # Units and values
    "unit.density": "mg/cm³",
    "unit.percent": "{value} %",
    "value.sd": "{value} ± {sd}",
    # Headings
    "section.summary": "Summary",
    "section.patient": "Patient and scan",
    "section.adequacy": "Adequacy",
    "section.results": "Results",
    "section.location": "Where the bones were found",
    "section.bone": "{bone}",
    "section.calibration": "Density calibration",
    "section.cautions": "Cautions",
    "section.interpretation": "Interpretation",
    "section.methods": "Methods",
    "section.references": "References",
    "section.provenance": "Software, settings and input",
    # Patient and scan
    "fact.name": "Name",
    "fact.identifier": "Patient ID",
    "fact.birth_date": "Date of birth",
    "fact.sex": "Sex",
    "fact.age": "Age at the scan",
    "fact.height_cm": "Height",
    "fact.weight_kg": "Weight",
    "fact.study_date": "Date of the scan",
    "fact.scanner": "Scanner",
    "fact.kvp": "Tube voltage",
    "fact.kernel": "Kernel",
    "fact.slice_thickness": "Slice thickness",
    "fact.contrast": "Contrast",
    "fact.accession_number": "Accession number",
    "fact.referring_physician": "Referred by",
    "fact.series_description": "Series",
    "fact.input": "Input",
    "fact.voxel": "Voxel size",
    "sex.F": "female",
    "sex.M": "male",
    "source.image header": "header",
    "source.user": "entered",
    "years": "{value} years",
    "contrast.silent": "not stated in the header",
    # Summary
    "verdict.label": "Bone density class",
    "verdict.none": "No class",
    "class.osteoporosis": "Osteoporosis",
    "class.low bone mass": "Low bone mass (osteopenia)",
    "class.normal": "Normal",
    "zone.osteoporosis": "osteoporosis",
    "zone.low": "low",
    "zone.normal": "normal",
    "zone.fragile": "fragile",
    "zone.low_strength": "low",
    "zone.normal_strength": "normal",
    "scale.unclassified": "Shown, not classified: provisional scale",
    "scale.no_class": "no class",
    "scale.lowest": "lowest",
    "scale.t": "T-score, hip",
    "scale.vbmd": "Trabecular density, spine",
    "scale.load": "Load-to-strength, sideways fall",
    "scale.load_verdict": "Provisional: estimated load over simulated strength",
    "zone.load_below": "load below strength",
    "zone.load_above": "load reaches strength",
    "scale.mean": "mean",
    "scale.highest": "highest",
    "scale.strength_spine": "Vertebral strength",
    "scale.strength_hip": "Femoral strength, sideways fall",
    "summary.analysed": "Analysed",
    "summary.cautions": "Main cautions",
    "summary.no_cautions": "No cautions were raised.",
    "summary.nothing": "No bone could be analysed. The reasons are listed below; no number in this report describes bone strength.",
    "summary.no_numbers": "There is no number to place on a scale.",
    "summary.key": "Key numbers",
    "research.title": "Research use",
    "research.text": (
        "OpenBCT is not cleared as a medical device in any country. Its numbers are for research and for methods "
        "development; they must not be used alone to diagnose or to treat."
    ),
    "research.unread": "This report was made by software and has not yet been interpreted by a physician.",
    # Adequacy
    "adequacy.caption": "Each bone that was asked for or expected",
    "adequacy.bone": "Bone",
    "adequacy.status": "Status",
    "adequacy.reason": "Why",
    "status.ok": "✓ used",
    "status.caution": "▲ used with caution",
    "status.refused": "✗ refused",
    "status.absent": "– not assessed",
    "adequacy.fine": "No objection.",
    "adequacy.scan_only": "Doubts about the scan as a whole apply; see “Cautions”.",
    # Results
    "results.caption": "Measures of each bone",
    "results.measure": "Measure",
    "results.value": "Value",
    "results.t": "T-score",
    "results.class": "Class",
    "results.against": "Note",
    "results.note": (
        "± is one standard deviation from the calibration alone. Strength is from a simulated test; its newtons are those of this "
        "recipe, so that published thresholds are shown beside it and give no class."
    ),
    "results.mean_of": "{bones}: mean",
    "results.none": "No measure was obtained.",
    "results.load": "Load in a sideways fall",
    "results.load_caption": "Load-to-strength in a sideways fall",
    "results.load_hip": "Hip",
    "results.load_force": "Load",
    "results.load_strength": "Strength",
    "results.load_ratio": "Load-to-strength",
    "results.load_note": (
        "The load is estimated from height and weight. A ratio of 1 or more means that the estimated load reaches the simulated strength; "
        "on a provisional strength scale the ratio is provisional too."
    ),
    "results.load_unknown": "Load-to-strength was not computed: height, weight or a femoral strength is not known.",
    "quantity.trabecular_vbmd": "Trabecular vBMD",
    "quantity.integral_vbmd": "Integral vBMD",
    "quantity.cortical_vbmd": "Cortical vBMD",
    "quantity.femoral_neck_abmd": "Femoral-neck aBMD",
    "quantity.total_hip_abmd": "Total-hip aBMD",
    "quantity.femoral_neck_bmc": "Femoral-neck BMC",
    "quantity.total_hip_bmc": "Total-hip BMC",
    "quantity.volume": "Volume",
    "quantity.strength": "Strength",
    "quantity.vertebral_strength": "Strength",
    "quantity.femoral_strength": "Strength",
    "quantity.stiffness": "Stiffness",
    "quantity.load_to_strength": "Load-to-strength",
    "short.femoral_neck_abmd": "neck",
    "short.total_hip_abmd": "total",
    "region": "{region}",
    # Bones
    "bone.femur_left": "Left femur",
    "bone.femur_right": "Right femur",
    "bone.vertebra": "Vertebra {level}",
    "bone.inline.femur_left": "left femur",
    "bone.inline.femur_right": "right femur",
    "bone.short.femur_left": "left",
    "bone.short.femur_right": "right",
    "bone.refused": "{bone} was refused",
    "bone.reached": "What had been measured before the refusal is shown for information only.",
    "bone.planes": (
        "{bone} in the CT. Orange: outline of what was analysed{region}. {window} R, L, A, P, S, I: right, left, anterior, posterior, "
        "superior, inferior."
    ),
    "bone.planes_region": "; blue: region of the density measure",
    "bone.window": "Window: level {level}, width {width} {unit}.",
    "bone.planes_alt": "Axial, coronal and sagittal CT planes through the middle of {bone} with the outline of the analysed bone.",
    "bone.views": "{bone} from two sides and cut through the middle, coloured by density.",
    "bone.views_failure": (
        "{bone} from two sides and cut through the middle. Top: density. Bottom: equivalent plastic strain at the strength; {share} of the "
        "bone has yielded."
    ),
    "bone.views_note": "Surfaces show the largest value within {density} mm (density) and {failure} mm (strain) under them.",
    "bone.views_alt": "{bone} in three dimensions and in a cut, coloured by density from 0 to {top} mg/cm³",
    "bone.views_alt_failure": " and by plastic strain; {share} of the bone has yielded",
    "bone.curve": "Force over travel. Diamond: strength, {criterion}. Dashed: initial stiffness.",
    "bone.curve_alt": "Force-travel curve of {bone}: stiffness {stiffness}, strength {strength}, greatest force {maximum} at {travel} mm travel.",
    "bone.projection": (
        "{bone} projected from the front, as bone densitometry sees it. Orange: femoral neck; blue: total hip."
    ),
    "bone.projection_plain": "{bone} projected from the front, as bone densitometry sees it.",
    "bone.projection_alt": "Frontal density projection of {bone} with the measured regions.",
    "bone.strength": "Strength",
    "bone.stiffness": "Stiffness",
    "bone.criterion": "Criterion",
    "bone.conditions": "Load case",
    "bone.mesh": "Model",
    "bone.mesh_text": "{elements} elements of {voxel} mm, solved in {seconds}",
    "bone.failed": "Bone yielded at the strength",
    "overview.caption": "The scan from the front and from the side; outlines: bones that were found, projected onto the plane. {window}",
    "overview.alt": "Coronal and sagittal plane of the whole scan with the outlines of {bones}.",
    "overview.none": "No bone was found in the scan.",
    # Views and curves
    "view.front_left": "From the front and left",
    "view.back_right": "From behind and right",
    "view.front": "From the front",
    "view.back": "From behind",
    "view.cut_vertebra": "Mid-sagittal cut",
    "view.cut_femur": "Cut through neck and shaft",
    "view.bar_density": "mg/cm³",
    "view.bar_failure": "strain, %",
    "curve.travel": "travel [mm]",
    "curve.force": "force [kN]",
    "curve.strength": "{value}",
    # Calibration
    "calibration.method": "Method",
    "calibration.line": "Line",
    "calibration.line_text": "{slope} mg/cm³ per HU × HU {intercept} mg/cm³",
    "calibration.mineral": "Density means",
    "calibration.mineral_text": "{mineral} equivalent",
    "calibration.uncertainty": "Standard deviation at 100 mg/cm³",
    "calibration.none": "No calibration was reached, so that no density and no strength is given.",
    "calibration.given": "The input was density already: there is no reference to plot.",
    "calibration.caption": "References in the scan (mean ± standard deviation of the voxels) and their residuals from the fit.",
    "calibration.alt": "Calibration plot of {count} references: {points}.",
    "calibration.point": "{name} measured {mean} HU, residual {residual}",
    "calibration.expected": "expected [{unit}]",
    "calibration.residual": "residual",
    "calibration.measured": "measured in the scan [HU]",
    "calibration.table": "References",
    "calibration.col_name": "Reference",
    "calibration.col_mean": "Measured [HU]",
    "calibration.col_expected": "Expected [{unit}]",
    "calibration.col_residual": "Residual",
    "calibration.col_voxels": "Voxels",
    # Cautions
    "cautions.none": "No cautions were raised for this case.",
    "cautions.case": "The scan as a whole",
    # Interpretation
    "interpretation.text": (
        "The findings above are measurements. Their meaning for this patient, and any recommendation, are for the physician who reads them."
    ),
    "interpretation.title": "Interpretation by a physician",
    "interpretation.name": "Name and title",
    "interpretation.date": "Date",
    "interpretation.signature": "Signature",
    # Methods
    "methods.stage": "{stage}",
    "methods.marks": (
        "Each reference says how sure we are of what was taken from it: seen in the source’s text; seen as a constant in public code. "
        "Marked “unverified”: computed by us, recalled without the text at hand, or our own design choice."
    ),
    "mark.seen": "seen in the source",
    "mark.code": "seen in public code",
    "mark.computed": "unverified: computed from sources",
    "mark.recalled": "unverified: recalled",
    "mark.design": "unverified: design choice",
    "stage.read": "Reading",
    "stage.reading": "Reading",
    "stage.scan": "Reading",
    "stage.segmentation": "Segmentation",
    "stage.calibration": "Calibration",
    "stage.anatomy": "Anatomy",
    "stage.measures": "Density measures",
    "stage.mount": "Mounting",
    "stage.loadcase": "Mounting",
    "stage.model": "Finite-element model",
    "stage.femodel": "Finite-element model",
    "stage.strength": "Strength",
    "stage.assessment": "Assessment",
    # Provenance
    "provenance.digest": "Input digest (SHA-256)",
    "provenance.source": "Input",
    "provenance.study": "Study UID",
    "provenance.series": "Series UID",
    "provenance.protocol": "Protocol",
    "provenance.versions": "Software",
    "provenance.settings": "Settings",
    "provenance.seconds": "Time by stage",
    "provenance.seconds_text": "{stage} {seconds}",
    "missing_glyphs": "□ stands for a character that no typeface at hand can show; the HTML report shows it.",
}


@dataclass(frozen=True)
class Texts:
    """A language: its catalogue and how it writes numbers."""

    catalogue: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values in place."""
        return self.catalogue[key].format(**values) if values else self.catalogue[key]

    def find(self, key: str, fallback: str) -> str:
        """Return a text, or the fallback in readable words where the catalogue lacks it."""
        return self.catalogue.get(key, fallback.replace("_", " "))

    def bone(self, name: str) -> str:
        """Return a bone's name."""
        return self.find(f"bone.{name}", name) if name.startswith("femur") else self("bone.vertebra", level=clean(name))

    def inline_bone(self, name: str) -> str:
        """Return a bone's name within a sentence or a list."""
        return self.find(f"bone.inline.{name}", clean(name))

    def short_bone(self, name: str) -> str:
        """Return a bone's name for the lettering of a scale."""
        return self.find(f"bone.short.{name}", clean(name))

    def number(self, value: float, digits: int = 0) -> str:
        """Return a rounded number: true minus sign, thin spaces from 10 000 upwards."""
        if not math.isfinite(value):
            return "–"
        rounded = round(value, digits) + 0.0
        text = f"{rounded:,.{max(digits, 0)}f}" if abs(rounded) >= 10000 else f"{rounded:.{max(digits, 0)}f}"
        return text.replace(",", "\u202f").replace("-", "\u2212")

    def force(self, newton: float) -> str:
        """Return a force to 10 N, as published reports give it."""
        return f"{self.number(newton, -1)}\u00a0N"

    def quantity(self, value: float, unit: str) -> str:
        """Return a value with the digits that its unit deserves, without the unit."""
        digits = {"N": -1, "N/mm": -1, "mg/cm3": 0, "g/cm2": 3, "g": 2, "mm": 1, "mm3": -1, "cm3": 1, "HU": 0, "T": 1, "mm2": 0}
        plain = unit.split(" ")[0]
        if plain in digits:
            return self.number(value, digits[plain])
        size = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
        return self.number(value, max(0, 2 - size))

    def unit(self, unit: str) -> str:
        """Return a unit with its exponents raised."""
        return unit.replace("cm3", "cm³").replace("cm2", "cm²").replace("mm3", "mm³").replace("mm2", "mm²").replace("K2HPO4", "K₂HPO₄")

    def seconds(self, value: float) -> str:
        """Return a duration."""
        return f"{self.number(value, 0 if value >= 10 else 1 if value >= 1 else 2)}\u00a0s"


def clean(text: str) -> str:
    """Return foreign text without control characters and without marks that change the direction of what follows."""
    kept = [" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text]
    plain = [letter for letter in kept if letter not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff" and unicodedata.category(letter) not in ("Cs", "Cn")]
    return " ".join("".join(plain).split())


def person(name: str) -> str:
    """Return a name as people write it: DICOM's components apart, ideographic and phonetic forms in brackets."""
    groups = [", ".join(part for part in (clean(p) for p in group.split("^")) if part) for group in name.split("=")]
    groups = [group for group in groups if group]
    return groups[0] + "".join(f" ({group})" for group in groups[1:]) if groups else ""
