"""Every word that the report adds to its content, in one catalogue: another language is another mapping.

What stages say themselves (Methods sentences, cautions, reasons) arrives finished and is printed as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .texts_draft import DRAFT

ENGLISH: Final[Mapping[str, str]] = {
    **DRAFT,
    "language": "en",
    "title": "Biomechanical CT: bone strength and density",
    "subtitle.study": "CT of {date}",
    "subtitle.made": "report of {date}",
    "subtitle.protocol": "protocol {protocol}",
    "running.scan": "scan {digest}",
    "page": "Page {page} of {pages}",
    "statement": "Research use only: OpenBCT is not a cleared medical device. Not yet interpreted by a physician.",
    "contents": "Contents",
    "unknown": "not known",
    "none": "none",
    "more": "and {count} more, listed under “Cautions”",
    # Units and values
    "unit.density": "mg/cm³",
    "unit.percent": "{value} %",
    "value.sd": "{value} ± {sd}",
    # Headings
    "section.summary": "Summary",
    "section.adequacy": "Adequacy and location",
    "section.results": "Results",
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
    "class.fragile bone strength": "Fragile bone strength",
    "class.low bone strength": "Low bone strength",
    "class.normal bone strength": "Normal bone strength",
    "risk.high": "High risk",
    "risk.increased": "Increased risk",
    "risk.not increased": "Risk not increased",
    "verdict.combined": "Combined class of density and strength",
    "verdict.risk_note": "Combined class: {risk}; {reason}",
    "verdict.density_note": "Bone density class: {category}; {reason}",
    "zone.fragile": "fragile",
    "zone.osteoporosis": "osteoporosis",
    "zone.low": "low",
    "zone.normal": "normal",
    "scale.unclassified": (
        "Shown, not classified: the cut values are published for another program’s newtons; this scale is uncertain by about ±40 %"
    ),
    "scale.no_class": "no class",
    "scale.lowest": "lowest",
    "scale.t": "T-score, hip",
    "scale.vbmd": "Trabecular density, spine",
    "scale.load": "Load-to-strength, sideways fall",
    "scale.load_verdict": "Without soft tissue, provisional: estimated load over simulated strength",
    "scale.load_verdict_soft": "With the soft tissue seen over the hip, provisional: estimated load over simulated strength",
    "zone.load_below": "load below strength",
    "zone.load_undecided": "undecided",
    "zone.load_above": "load reaches strength",
    "scale.mean": "mean",
    "scale.highest": "highest",
    "scale.strength_spine": "Vertebral strength",
    "scale.strength_hip": "Femoral strength, sideways fall",
    "summary.cautions": "Main cautions",
    "summary.brackets": (
        "± and the bracket under a scale: one standard deviation, from the sources in “How sure the numbers are”, else from the calibration alone; of "
        "strengths, within their recipe: how far its newtons are from a testing machine's is not in it. A 95 % interval is twice as wide."
    ),
    "verdict.chances": "Chance of each class, from the uncertainty of the densities: {chances}",
    "section.sureness": "How sure the numbers are",
    "sure.caption": "Uncertainty by source",
    "sure.interval": "95 %",
    "sure.calibration": "calibration",
    "sure.edge": "edge",
    "sure.noise": "noise",
    "sure.alignment": "pose",
    "sure.model": "model",
    "sure.all": "all",
    "sure.note": (
        "Last six columns: one standard deviation in % of the number. Edge: of the mask, within half a voxel. Model: voxel, element, supports, yield surface, "
        "within this recipe; that its newtons are not a testing machine’s is not in it. Between two scans of one patient most of calibration, pose and model "
        "cancels."
    ),
    "sure.curve_one": "{quantity} over age, {population} participants {reference}: mean, one and two standard deviations; the patient with the 95 % interval.",
    "sure.curve_several": (
        "{quantity} over age {reference}: means of {population} participants, none of which is taken to be the patient’s; the patient with the 95 % interval."
    ),
    "sure.curve_note": "Published densities, by other scanners and calibrations. Strength has no curve: none is published in this recipe's newtons.",
    "sure.curve_alt": "{quantity} of {value} at {age} years beside published means.",
    "sure.patient": "patient",
    "sure.age": "Age [years]",
    "population.white": "white",
    "population.black": "black",
    "population.chinese": "Chinese",
    "population.hispanic": "Hispanic",
    "verdict.see": " (why: “Adequacy and location”)",
    "unverified": "unverified",
    "summary.no_cautions": "No cautions were raised.",
    "summary.nothing": "No bone could be analysed. The reasons are listed below; no number in this report describes bone strength.",
    "summary.no_numbers": "There is no number to place on a scale.",
    "research.title": "Research use",
    "research.text": (
        "OpenBCT is not cleared as a medical device in any country. Its numbers are for research and for methods "
        "development; they must not be used alone to diagnose or to treat."
    ),
    "research.unread": "This report was made by software and has not yet been interpreted by a physician.",
    # Acquisition sheet
    "sheet.title": "CT for bone density and strength: what to ask the scanner for",
    "sheet.for_hip": "hip",
    "sheet.for_spine": "spine",
    "sheet.for_both": "hip and spine",
    "sheet.table": "Acquisition",
    "sheet.lead": "For a CT made for this purpose, ask for the second column. A CT made for another reason is accepted within the third.",
    "sheet.what": "What",
    "sheet.ask": "Ask for",
    "sheet.accept": "Accepted",
    "sheet.source": "Source",
    "sheet.statement": "Research use only: OpenBCT is not a cleared medical device. Dose and indication are the radiologist’s.",
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
    "adequacy.checks": "How the scan was made, as measured in the image",
    "adequacy.check": "What",
    "adequacy.found": "Found",
    "adequacy.limit": "Caution above",
    "adequacy.where": "At",
    "adequacy.check.ok": "✓ fine",
    "adequacy.check.caution": "▲ caution",
    "adequacy.check.refused": "✗ refused",
    "adequacy.scan_only": "Doubts about the scan as a whole apply; see “Cautions”.",
    # Fractures
    "section.fractures": "Vertebral fractures",
    "fractures.title": "Heights speak for a fracture",
    "fractures.item": "{level}: {what}; {loss} ± {sd} % of the height lost",
    "fractures.left_out": "Left out of the means of density and strength: {levels}. Their own values are given.",
    "fractures.none_title": "No vertebral fracture of grade 1 or more",
    "fractures.none": "{count} vertebrae, {first} to {last}, were looked at.",
    "fractures.grade_1": "grade 1, possible: to be confirmed by a physician",
    "fractures.grade_2": "grade 2, moderate",
    "fractures.grade_3": "grade 3, severe",
    "fractures.wedge": "wedge",
    "fractures.biconcave": "biconcave",
    "fractures.crush": "crush",
    "fractures.caption": "Heights of the vertebral bodies in mm (expected without a fracture)",
    "fractures.col_level": "Level",
    "fractures.col_anterior": "Front",
    "fractures.col_middle": "Middle",
    "fractures.col_posterior": "Back",
    "fractures.col_loss": "Loss, %",
    "fractures.col_grade": "Grade",
    "fractures.note": (
        "Heights are those at 15 and 85 % of the depth of each body and the least between; what was to be expected follows from the level and from this "
        "person’s other vertebrae. Loss: the greatest of the three, ± one standard deviation. Grade after Genant: 1 from 20 %, 2 from 25 %, 3 from 40 % "
        "(limits of the protocol), with the chance that it is this one. Heights alone do not tell a fracture from Scheuermann’s disease, Schmorl’s nodes "
        "or a vertebra short by nature: see “Cautions”."
    ),
    "fractures.ungraded": "Not graded: {reasons}",
    "fractures.picture": "The spine from the side, cut along its curve, with the three heights of each vertebral body; grades by colour, line and number.",
    "fractures.picture_alt": "Sagittal picture of the spine with heights drawn. Found: {found}",
    # Results
    "results.caption": "Measures of each bone",
    "results.measure": "Measure",
    "results.value": "Value",
    "results.t": "T-score",
    "results.class": "Class",
    "results.against": "Note",
    "results.note": (
        "± is one standard deviation, from the sources in the table “How sure the numbers are”; of numbers that are not "
        "in it, from the calibration alone. Strength is from a simulated test; its newtons are those of this "
        "recipe, so that published thresholds are shown beside it and give no class."
    ),
    "results.note_alone": (
        "± is one standard deviation, from the sources in the table “How sure the numbers are”; of numbers that are not "
        "in it, from the calibration alone. Strength is from a simulated test; no published threshold is meant for this "
        "test, so that it stands alone."
    ),
    "results.note_mapped": (
        "± is one standard deviation, from the sources in the table “How sure the numbers are”; of numbers that are not "
        "in it, from the calibration alone. Strength is from a simulated test; a reference file says at which newtons of this recipe the "
        "thresholds of density lie, and its classes rest on that."
    ),
    "results.mean_of": "{bones}: mean",
    "results.none": "No measure was obtained.",
    "results.dxa": "Beside DXA",
    "results.left_out": "Left out of the spine’s means",
    "results.spine_loads": (
        "Loads on L3, illustrative: {loads}. Compression by our own balance of moments (bent by 30°, and by 90° to lift); no published limit belongs to it."
    ),
    "task.standing": "standing",
    "task.bending": "bending forwards",
    "task.lifting": "lifting 10 kg",
    "results.z": "Z-score {value}",
    "results.t_and_z": "{t}; Z {z}",
    "results.load_tissue": "Soft tissue",
    "results.load_caption": "Load-to-strength in a sideways fall",
    "results.load_hip": "Hip",
    "results.load_force": "Load",
    "results.load_strength": "Strength",
    "results.load_ratio": "Load-to-strength",
    "results.load_note": (
        "The load is estimated from height and weight. A ratio of 1 or more means that the estimated load reaches the simulated strength; "
        "between 0.8 and 1.2 it decides nothing. Soft tissue "
        "over the hip lowers the load where it is seen in the image; on a provisional strength scale the ratio is provisional too. In brackets: 95 %, from "
        "the strength alone."
    ),
    "results.load_unknown": "Load-to-strength was not computed: height, weight or a femoral strength is not known.",
    "results.load_foreign": "Load-to-strength was not computed: the protocol's strength is not one that a load in a fall may be set against.",
    "quantity.trabecular_vbmd": "Trabecular vBMD",
    "quantity.integral_vbmd": "Integral vBMD",
    "quantity.inner_vbmd": "Inner vBMD",
    "quantity.whole_vbmd": "vBMD with the arch",
    "quantity.trabecular_hu": "Attenuation of the same (HU; opportunistic, no density)",
    "hip.wards": "Ward’s",
    "quantity.mean_area": "Mean cross-section",
    "quantity.femoral_neck_abmd": "Femoral-neck aBMD",
    "quantity.total_hip_abmd": "Total-hip aBMD",
    "quantity.volume": "Volume",
    "quantity.strength": "Strength",
    "quantity.stiffness": "Stiffness",
    "hip.caption": "Projected regions of the hip",
    "hip.region": "Region",
    "hip.area": "Area [cm²]",
    "hip.bmc": "Mineral [g]",
    "hip.abmd": "aBMD [g/cm²]",
    "hip.vbmd": "vBMD [mg/cm³]",
    "hip.cortex": "Cortex [mm]",
    "hip.femoral_neck": "Femoral neck",
    "hip.trochanteric": "Trochanteric",
    "hip.intertrochanteric": "Intertrochanteric",
    "hip.total_hip": "Total hip",
    "short.femoral_neck_abmd": "neck",
    "short.total_hip_abmd": "total",
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
    "bone.planes_region": "; blue: region of the density measure",
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
    "bone.views_failure": (
        "{bone} from two sides and cut through the middle. Top: density. Bottom: equivalent plastic strain at the strength; {share} of the "
        "bone has yielded."
    ),
    "bone.views_note": "Surfaces show the mean density within {density} mm and the largest strain within {failure} mm under them.",
    "bone.motion": "{bone} under load, from the front and cut through its middle: from unloaded to the strength and back. Movement is drawn {times} times "
    "as large as it is; dark is plastic strain. Only the last state was computed with these details: the steps before it are shares of it.",
    "bone.motion_alt": "{bone} in motion: it gives way where the strain is drawn dark.",
    "bone.views_alt": "{bone} in three dimensions and in a cut, coloured by density from 0 to {top} mg/cm³",
    "bone.views_alt_failure": " and by plastic strain; {share} of the bone has yielded",
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
    "view.bar_density": "mg/cm³",
    "view.bar_failure": "strain, %",
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
    # Cautions
    "cautions.refused": "Refused",
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
    "methods.marks": (
        "Each reference says how sure we are of what was taken from it: seen in the source’s text; seen as a constant in public code. "
        "Marked “unverified”: computed by us, recalled without the text at hand, or our own design choice."
    ),
    "mark.seen": "seen in the source",
    "mark.code": "seen in public code",
    "mark.computed": "unverified: computed from sources",
    "mark.recalled": "unverified: recalled",
    "mark.design": "unverified: design choice",
    "stage.input": "Input",
    "stage.reading": "Reading",
    "stage.segmentation": "Segmentation",
    "stage.calibration": "Calibration",
    "stage.anatomy": "Anatomy",
    "stage.measures": "Density measures",
    "stage.loadcase": "Mounting",
    "stage.model": "Finite-element model",
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
    # Hip fracture
    "hip_fracture.title": "Strength and hip fractures",
    "hip_fracture.caption": "Probability of a hip fracture, by the strength of the {bone}",
    "hip_fracture.within": "Within",
    "hip_fracture.year": "{value} year",
    "hip_fracture.probability": "Probability",
    "hip_fracture.low": "95 % from",
    "hip_fracture.high": "to",
    "hip_fracture.alone": (
        "A population's estimate ({population}), moved by strength alone and as if nobody died of anything else; not FRAX, and no other "
        "risk factor is in it."
    ),
    "hip_fracture.competing": (
        "A population's estimate ({population}), moved by strength alone, with death by any cause as the other end; not FRAX, and no other "
        "risk factor is in it."
    ),
    "missing_glyphs": "□ stands for a character that no typeface at hand can show; the HTML report shows it.",
}
