"""A case as plain tables: the content of result.json, and the rows of results.csv.

Here the unit stands in every key, because there is no docstring beside a number in a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ..records import Acquisition, BoneResult, CalibratedVolume, Case, Measure, Patient, Reference, Step
from .fracture_tables import fracture_columns, fractures_to_table

SCHEMA = "openbct-result/1"
"""Raised by one where a field changes its meaning or leaves."""
MEASURE_COLUMNS = {
    "trabecular_vbmd": ("trabecular_vbmd_mg_cm3", "mg/cm3"),
    "integral_vbmd": ("integral_vbmd_mg_cm3", "mg/cm3"),
    "inner_vbmd": ("inner_vbmd_mg_cm3", "mg/cm3"),
    "femoral_neck_abmd": ("femoral_neck_abmd_g_cm2", "g/cm2"),
    "total_hip_abmd": ("total_hip_abmd_g_cm2", "g/cm2"),
    "volume": ("volume_cm3", "cm3"),
}
"""Measure to its column of results.csv and the unit that the column stands for; other measures stay in result.json."""


def anonymise(case: Case) -> Case:
    """Return the case without what tells whose it is: names, numbers, dates, UIDs and free text; sex, age and size stay."""
    patient = replace(case.scan.patient, name=None, identifier=None, birth_date=None)
    kept = {key: value for key, value in patient.sources.items() if key not in ("name", "identifier", "birth_date")}
    scanned = case.scan.acquisition
    acquisition = replace(
        scanned,
        contrast="named in the header" if scanned.contrast else scanned.contrast,  # free text may hold anything
        study_date=None,
        series_description=None,
        study_uid=None,
        series_uid=None,
        frame_of_reference_uid=None,
        accession_number=None,
        referring_physician=None,
    )
    return replace(case, scan=replace(case.scan, patient=replace(patient, sources=kept), acquisition=acquisition))


def case_to_tables(case: Case, *, created: str, files: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return everything about a case as plain tables, large arrays left to the files beside it.

    Parameters
    ----------
    created
        When, as an ISO time.
    files
        For each bone, what was written of it: kind to path within the result folder.
    """
    references: list[Reference] = []
    methods = [_step_to_table(step, references) for step in case.steps]
    image = case.scan.image
    return {
        "schema": SCHEMA,
        "created": created,
        "research_use_only": True,
        "protocol": case.protocol,
        "settings": dict(case.settings),
        "versions": dict(case.versions),
        "patient": _patient_to_table(case.scan.patient),
        "acquisition": _acquisition_to_table(case.scan.acquisition),
        "acquisition_checks": [asdict(check) for check in case.examination.checks] if case.examination else [],
        "input": {
            "source": case.scan.source,
            "simulated": case.scan.acquisition.simulated,
            "sha256": case.scan.digest,
            "labels": [{"source": source, "sha256": digest} for source, digest in case.segmentation.inputs],
            "unit": image.unit,
            "shape": list(image.shape),
            "spacing_mm": image.spacing.tolist(),
            "affine_lps_mm": image.affine.tolist(),
            "gaps": [{"normal_lps": gap.normal.tolist(), "lower_mm": gap.lower, "upper_mm": gap.upper} for gap in case.scan.gaps],
        },
        "calibration": calibration_to_json(case.calibration) if case.calibration else None,
        "segmentation": {
            "found": [
                {"name": name, "part": mask.part, "confidence": mask.confidence, "touches_edge": mask.touches_edge}
                for name, mask in case.segmentation.bones.items()
            ],
            "absent": dict(case.segmentation.absent),
        },
        "bones": [bone_to_table(bone, files.get(bone.bone, {}), _mineral(case)) for bone in case.bones],
        "fractures": fractures_to_table(case.fractures),
        "assessment": _assessment_to_table(case),
        "cautions": list(case.cautions),
        "methods": methods,
        "references": [{"number": n, "text": ref.text, "mark": ref.mark} for n, ref in enumerate(references, start=1)],
        "seconds": dict(case.seconds),
    }


def _step_to_table(step: Step, references: list[Reference]) -> dict[str, Any]:
    """Return one step; its references are added to the list once and cited by number."""
    cited = []
    for reference in step.references:
        if reference not in references:
            references.append(reference)
        cited.append(references.index(reference) + 1)
    return {"stage": step.stage, "sentence": step.sentence, "references": cited, "cautions": list(step.cautions)}


def _patient_to_table(patient: Patient) -> dict[str, Any]:
    """Return the patient with where each fact came from."""
    table = asdict(replace(patient, sources={}))
    del table["sources"]
    table["age_years"] = table.pop("age")
    table["dxa_t"] = dict(patient.dxa_t)
    table["sources"] = dict(patient.sources)
    return table


def _acquisition_to_table(acquisition: Acquisition) -> dict[str, Any]:
    """Return how the scan was made."""
    table = asdict(acquisition)
    table["kvp_kv"], table["slice_thickness_mm"] = table.pop("kvp"), table.pop("slice_thickness")
    return table


def calibration_to_json(calibration: CalibratedVolume) -> dict[str, Any]:
    """Return a calibration as plain tables, without its image."""
    return {
        "method": calibration.method,
        "mineral": calibration.mineral,
        "unit": calibration.density.unit,
        "slope_mg_cm3_per_hu": calibration.slope,
        "intercept_mg_cm3": calibration.intercept,
        "covariance": calibration.covariance.tolist(),
        "samples": [
            {
                "name": sample.name,
                "mean_hu": sample.mean,
                "deviation_hu": sample.deviation,
                "n_voxels": sample.n_voxels,
                "expected": sample.expected,
                "residual": sample.residual,
                "unit": sample.unit,
            }
            for sample in calibration.samples
        ],
        "quantities": dict(calibration.quantities),
        "sentence": calibration.step.sentence,
        "cautions": list(calibration.step.cautions),
    }


def _mineral(case: Case) -> str | None:
    """Return the mineral in whose equivalent the case's densities are."""
    return case.calibration.mineral if case.calibration else None


def describe_bone(result: BoneResult) -> dict[str, str | None]:
    """Return kind, side and level of a bone: those of its name; no side where the image shows another than the label says."""
    name, region = result.bone, result.region
    side = name.rsplit("_", 1)[-1] if name.endswith(("_left", "_right")) else None
    level = name if re.fullmatch(r"[CTLS]\d{1,2}", name) else None
    kind = "vertebra" if level else name.removesuffix(f"_{side}")
    shown = region.side if region else None
    return {"kind": kind, "side": None if shown and shown != side else side, "level": level}


def _sizes(lengths: Mapping[str, float]) -> dict[str, float]:
    """Return a region's lengths, angles, areas and volumes with the unit in each name."""
    sizes = {}
    for name, value in lengths.items():
        if name.endswith(("_deg", "_ratio")):
            sizes[name] = value
        elif name == "volume" or name.endswith("_volume"):
            sizes[f"{name}_cm3"] = value / 1000.0
        else:
            sizes[f"{name}_mm2" if name == "area" or name.endswith("_area") else f"{name}_mm"] = value
    return sizes


def bone_to_table(result: BoneResult, files: Mapping[str, str], mineral: str | None) -> dict[str, Any]:
    """Return one bone, refused ones with what was reached; ``mineral`` is that of its densities."""
    region, strength, measures = result.region, result.strength, result.measures
    values = measures.values if measures else {}
    vbmd = _vbmd(values)
    return {
        "name": result.bone,
        **describe_bone(result),
        "status": result.status,
        "reason": result.reason,
        "cautions": list(result.cautions),
        "unfit": result.unfit,
        "strength_n": strength.strength if strength else None,
        "strength_sd_n": strength.uncertainty if strength else None,
        "uncertainty": {name: asdict(budget) for name, budget in result.budgets.items()},
        "stiffness_n_per_mm": strength.stiffness if strength else None,
        "curve": {"travel_mm": strength.curve[:, 0].tolist(), "force_n": strength.curve[:, 1].tolist()} if strength else None,
        "failure_criterion": strength.criterion if strength else None,
        "strength_protocol": (strength.protocol or None) if strength else None,
        "strength_scale": (strength.scale or None) if strength else None,
        "fracture_site": strength.site if strength else None,
        "boundary_conditions": strength.boundary_conditions if strength else None,
        "quantities": dict(strength.quantities) if strength else {},
        "vbmd_mg_cm3": vbmd.value if vbmd else None,
        "vbmd_region": vbmd.region if vbmd else None,
        "mineral": mineral,
        "measures": {name: asdict(measure) for name, measure in values.items()},
        "landmarks_lps_mm": {name: point.tolist() for name, point in region.landmarks.items()} if region else {},
        "sizes": _sizes(region.lengths) if region else {},
        "frame_lps_mm": {"origin": region.frame.origin.tolist(), "axes": region.frame.axes.tolist()} if region else None,
        "mesh": dict(strength.mesh) if strength else {},
        "seconds": dict(result.seconds),
        "files": dict(files),
    }


def _vbmd(values: Mapping[str, Measure]) -> Measure | None:
    """Return the volumetric density that stands for a bone: trabecular where measured, else integral [mg/cm³]."""
    return values.get("trabecular_vbmd") or values.get("integral_vbmd")


def _assessment_to_table(case: Case) -> dict[str, Any]:
    """Return what the numbers mean."""
    assessment = case.assessment
    return {
        "category": assessment.category,
        "reason": assessment.reason,
        "fall_load_n": assessment.load,
        "load_to_strength": dict(assessment.load_to_strength),
        "risk": assessment.risk,
        "risk_reason": assessment.risk_reason,
        "hip_loads_n": dict(assessment.hip_loads),
        "spine_loads_n": dict(assessment.spine_loads),
        "beside_dxa": list(assessment.beside_dxa),
        "left_out": dict(assessment.left_out),
        "hip_fracture": asdict(assessment.hip_fracture) if assessment.hip_fracture else None,
        "chances": dict(assessment.chances),
        "load_to_strength_95": {bone: list(ends) for bone, ends in assessment.ratio_intervals.items()},
        "age_curves": [asdict(curve) for curve in assessment.curves],
        "findings": [{**asdict(finding), "thresholds": list(finding.thresholds)} for finding in assessment.findings],
    }


def csv_rows(case: Case) -> list[dict[str, Any]]:
    """Return one row per bone with the same columns always, units in their names; unknown values are ``None``."""
    return [_csv_row(case, bone) for bone in case.bones]


def _csv_row(case: Case, result: BoneResult) -> dict[str, Any]:
    """Return one bone's row."""
    strength, calibration = result.strength, case.calibration
    values = result.measures.values if result.measures else {}
    scores = {f.quantity: f.t_score for f in case.assessment.findings if f.bone == result.bone and f.t_score is not None}
    row: dict[str, Any] = {
        "bone": result.bone,
        **describe_bone(result),
        "status": result.status,
        "reason": result.reason,
        "strength_n": strength.strength if strength else None,
        "strength_sd_n": strength.uncertainty if strength else None,
        "stiffness_n_per_mm": strength.stiffness if strength else None,
        "failure_criterion": strength.criterion if strength else None,
    }
    for name, (column, unit) in MEASURE_COLUMNS.items():
        measure = values.get(name)
        row[column] = measure.value if measure and _same_unit(measure.unit, unit) else None
    for name in ("femoral_neck", "total_hip"):
        row[f"{name}_t_score"] = next((score for quantity, score in scores.items() if quantity.startswith(name)), None)
    row |= {
        **fracture_columns(case.fractures, result.bone),
        "load_to_strength": case.assessment.load_to_strength.get(result.bone),
        "case_category": case.assessment.category,
        "case_risk": case.assessment.risk,
        "sex": case.scan.patient.sex,
        "age_years": case.scan.patient.age,
        "height_cm": case.scan.patient.height_cm,
        "weight_kg": case.scan.patient.weight_kg,
        "calibration": calibration.method if calibration else None,
        "mineral": _mineral(case),
        "slope_mg_cm3_per_hu": calibration.slope if calibration else None,
        "intercept_mg_cm3": calibration.intercept if calibration else None,
        "n_elements": strength.mesh.get("n_elements") if strength else None,
        "voxel_mm": strength.mesh.get("voxel_mm") if strength else None,
        "seconds": sum(result.seconds.values()),
        "protocol": case.protocol,
        "strength_scale": (strength.scale or None) if strength else None,
        "input_sha256": case.scan.digest,
        "simulated": case.scan.acquisition.simulated,
        "cautions": " | ".join(dict.fromkeys((*result.cautions, *case.cautions))),
    }
    return row


def _same_unit(found: str, wanted: str) -> bool:
    """Tell whether a unit is the column's, however its exponents are written and whatever mineral follows."""
    return found.translate(str.maketrans("²³", "23")).split(" ")[0] == wanted
