"""The words of the pages of single bones, their pictures and curves, and the calibration. Part of the catalogue of ``texts.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BONES: Final[Mapping[str, str]] = {
    # Bones
    "bone.femur_left": "Left femur",
    "bone.femur_right": "Right femur",
    "bone.vertebra": "Vertebra {level}",
    "bone.inline.femur_left": "left femur",
    "bone.inline.femur_right": "right femur",
    "bone.short.femur_left": "left",
    "bone.short.femur_right": "right",
    "bone.side_doubtful": "{bone} (side doubtful)",
    "bone.refused": "{bone} refused",
    "bone.reached": "What had been measured before the refusal is shown for information only.",
    "bone.planes": (
        "{bone} in the CT. Orange: outline of {what}{region}. {window} R, L, A, P, S, I: right, left, anterior, posterior, "
        "superior, inferior{header}."
    ),
    "bone.planes_analysed": "what was analysed",
    "bone.planes_given": "the label that was given",
    "bone.planes_header": ", as the image header has them; its orientation is doubtful",
    "bone.planes_region": "; blue, within it: region of the density measure",
    "bone.planes_confidence": (
        "Confidence of the outline {value} (0 to 1): the overlap with the bone that the image, its thickness and the other "
        "bones let expect; below 0.85 look at it closely."
    ),
    "bone.landmarks_femur": (
        "Last picture: plane through neck and shaft, with the head's circle, the neck's axis and its narrowest section, the shaft's axis (dashed) "
        "and the tips of the trochanters, seen from the front."
    ),
    "bone.landmarks_vertebra": (
        "Last picture: mid-sagittal plane of the body, with the planes of both endplates, the plane half-way between them (dashed) and "
        "anterior, middle and posterior height."
    ),
    "bone.window": "Window: level {level}, width {width} {unit}.",
    "bone.planes_alt": "Axial, coronal and sagittal CT planes through the middle of {bone} with the outline of the bone.",
    "bone.views": "{bone} from two sides and cut through the middle, coloured by density.",
    "bone.views_vertebra": "{bone} from the front and left, and cut in the mid-sagittal plane (A anterior, P posterior), by {quantities}.",
    "bone.views_femur": "{bone} from the front, and cut through neck and shaft, by {quantities}. The shaft below the model bears no stress in it.",
    "view.told_density": "density (on the surface the mean of the outer {depth} mm)",
    "view.told_stress": "von Mises stress at the strength (likewise; in the cut that of each element)",
    "view.told_displacement": "displacement at the strength from the unloaded place",
    "view.told_failure": "equivalent plastic strain at the strength (the largest of the outer {depth} mm); {share} of the bone has yielded",
    "view.alt_density": "density, 0 to {top} mg/cm³",
    "view.alt_stress": "von Mises stress, 0 to {top} MPa",
    "view.alt_displacement": "displacement, 0 to {top} mm",
    "view.alt_failure": "plastic strain, 0 to {top} %",
    "bone.motion": "{bone} under load, from the front and cut through its middle: from unloaded to the strength and back. Movement is drawn {times} times "
    "as large as it is; dark is plastic strain. Only the last state was computed with these details: the steps before it are shares of it.",
    "bone.motion_alt": "{bone} in motion: it gives way where the strain is drawn dark.",
    "bone.views_alt": "{bone} in three dimensions and in a cut, coloured by {quantities}",
    "bone.views_alt_failure": "; {share} of the bone has yielded",
    "bone.curve": "Force over travel. Diamond: strength, {criterion}. Dashed: initial stiffness.",
    "bone.curve_alt": "Force-travel curve of {bone}: stiffness {stiffness}, strength {strength}, greatest force {maximum} at {travel} mm travel.",
    "bone.projection": (
        "{bone} projected from the front, as bone densitometry sees it. Orange: femoral neck; blue: the other regions of the total hip."
    ),
    "bone.projection_plain": "{bone} projected from the front, as bone densitometry sees it.",
    "bone.projection_alt": "Frontal density projection of {bone} with the measured regions.",
    "bone.strength": "Strength",
    "bone.stiffness": "Stiffness",
    "bone.criterion": "Criterion",
    "bone.conditions": "Load case",
    "bone.protocol": "Protocol",
    "bone.protocol_text": "{protocol}; {scale}",
    "bone.scale_provisional": "its scale is provisional, compare within it only",
    "bone.scale_mapped": "its scale is mapped by a reference file",
    "bone.scale_none": "no published threshold is meant for its test, compare within it only",
    "bone.site": "Predicted fracture site",
    "bone.site_text": "{site}, where {share} % of the plastic work is done (design rule, not validated)",
    "site.head": "Head",
    "site.neck": "Neck",
    "site.intertrochanteric": "Intertrochanteric",
    "site.subtrochanteric": "Subtrochanteric",
    "bone.mesh": "Model",
    "bone.mesh_text": "{elements} elements of {voxel} mm, solved in {seconds}",
    "bone.failed": "Bone yielded at the strength",
    "overview.caption": "The whole scan summed from front to back and from side to side, like radiographs; outlines: the bones that were found.",
    "overview.alt": "The whole scan from the front and from the side with the outlines of {bones}.",
    "overview.none": "No bone was found in the scan.",
    # Views and curves
    "view.front_left": "From the front and left",
    "view.back_right": "From behind and right",
    "view.front": "From the front",
    "view.back": "From behind",
    "view.cut.vertebra": "Mid-sagittal cut",
    "view.cut.femur": "Cut through neck and shaft",
    "view.density": "Density",
    "view.stress": "Stress (von Mises)",
    "view.displacement": "Displacement",
    "view.failure": "Plastic strain",
    "view.unit_density": "mg/cm³",
    "view.unit_stress": "MPa",
    "view.unit_displacement": "mm",
    "view.unit_failure": "%",
    "curve.travel": "travel [mm]",
    "curve.force": "force [kN]",
    "curve.strength": "{value}",
    # Directions of fall
    "sweep.rotation": "internal rotation [degrees]",
    "sweep.adduction": "adduction [degrees]",
    "sweep.bar": "strength, % of the default direction",
    "sweep.default": "default direction",
    "sweep.weakest": "weakest direction",
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
    "calibration.caption_water": " The HU of the rods are those after the maker's correction for their water; the table has those of the scan.",
    "calibration.places": "Where each reference was sampled, in the axial and the coronal plane that show most of them. Abdominal window.",
    "calibration.places_alt": "Two planes of the scan with the sampled regions: {names}.",
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
}
