"""Every word that the report adds to its content, in one catalogue: another language is another mapping.

What stages say themselves (Methods sentences, cautions, reasons) arrives finished and is printed as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .texts_bones import BONES
from .texts_draft import DRAFT
from .texts_scan import SCAN

ENGLISH: Final[Mapping[str, str]] = {
    **DRAFT,
    **SCAN,
    **BONES,
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
    "fact.accession_number": "Accession",
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
    "verdict.risk_note": "Combined class (density and strength): {risk}; {reason}",
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
    "section.followup": "Follow-up",
    "earlier.lead": "Beside the scan of {first}, {years} years earlier, in the comparison that was given.",
    "earlier.lead_undated": "Beside {first}, in the comparison that was given; the time between them is not known.",
    "earlier.undated": "an earlier scan without a date",
    "earlier.since": "Since {first}",
    "earlier.what": "{bone}, {quantity}",
    "earlier.brief": "{what}: {percent} %, {judged} (least significant change {least} %).",
    "earlier.within": "no change beyond the measurement",
    "earlier.more": "and {count} more, listed under “Follow-up”",
    "earlier.nothing": "Nothing could be compared.",
    "earlier.rules": "Rules that speak against the comparison",
    "earlier.sources": " Sources of the precision:{marks}.",
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
        "Last six columns: one standard deviation in %. Edge: of the mask, within half a voxel. Model: voxel, element, supports, yield surface; how far "
        "newtons are from a testing machine’s is not in it. “?”: not known, the true deviation is larger; without the calibration’s no ± and no interval "
        "is given, of load-to-strength neither. Between two scans of one patient most of calibration, pose and model cancels."
    ),
    "sure.no_strength": (
        "No interval of the strength is known for: {bones}. What modelling choices are worth was studied for the recipes of the default protocol alone."
    ),
    "sure.curves": "Over age: {quantities}. Diamond: the patient, with the 95 % interval.",
    "sure.curves_several": "Lines: means of participants of populations, none of which is taken to be the patient’s.",
    "sure.curves_one": "Bands: one and two standard deviations of {population} participants.",
    "sure.curve_note": "By other scanners and calibrations. Strength has no curve: none is published in this recipe's newtons.",
    "sure.curve_alt": "{quantity} of {value} at {age} years beside published means.",
    "sure.patient": "patient",
    "sure.age": "Across: age [years]",
    "population.white": "white",
    "population.black": "black",
    "population.chinese": "Chinese",
    "population.hispanic": "Hispanic",
    "verdict.see": " (why: “Adequacy and location”)",
    "unverified": "unverified",
    "summary.no_cautions": "No cautions were raised.",
    "summary.nothing": "No bone could be measured for density or strength, so that this report says nothing of either.",
    "summary.only_heights": "Heights of {count} vertebrae were graded: see the cautions below and “Vertebral fractures”.",
    "summary.why": "Why, and what to do",
    "summary.unplaced": "Areal density of the hip, on no scale because no threshold applies: {values}.",
    "verdict.nothing_label": "Result",
    "verdict.nothing": "No density, no strength",
    "summary.no_numbers": "There is no number to place on a scale.",
    "research.title": "Research use",
    "research.text": (
        "OpenBCT is not cleared as a medical device in any country. Its numbers are for research and for methods "
        "development; they must not be used alone to diagnose or to treat."
    ),
    "research.unread": "This report was made by software and has not yet been interpreted by a physician.",
    # Results
    "results.caption": "Measures of each bone",
    "results.measure": "Measure",
    "results.value": "Value",
    "results.t": "T-score",
    "results.class": "Class",
    "results.against": "Note",
    "results.note": (
        "± is one standard deviation, from the sources in the table “How sure the numbers are”; of numbers that are not "
        "in it, from the calibration alone. Strength is from a simulated test, in newtons of this "
        "recipe: published thresholds are shown beside it and give no class."
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
    "quantity.trabecular_hu": "Mean HU (no density)",
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
