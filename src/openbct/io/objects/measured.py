"""What a case measured, once, in coded form: the list that the structured report, the FHIR bundle and the table of values are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...records import BoneResult, Case, Finding, Measure, VertebraGrade
from . import codes
from .codes import Code

STRENGTHS = ("strength", "vertebral_strength", "femoral_strength")


@dataclass(frozen=True)
class Value:
    """One number with its code."""

    name: str
    """As in ``result.json``."""
    concept: Code
    value: float
    unit: Code
    deviation: float | None
    """One standard deviation, in ``unit``."""
    method: str
    """How or where, in words: criterion, region."""
    finding: Finding | None
    """What it was held against."""


@dataclass(frozen=True)
class Group:
    """The values of one bone, or of several together."""

    bone: str
    """``"L1"``, ``"femur_left"``; ``"L1, L2"`` where a value is a mean of several."""
    site: Code
    side: Code | None
    status: str
    values: tuple[Value, ...]
    cautions: tuple[str, ...]


def groups(case: Case) -> tuple[Group, ...]:
    """Return every bone with what was measured of it, then the means of several, then vertebrae looked at for fractures alone."""
    graded = {one.level: one for one in case.fractures.vertebrae} if case.fractures else {}
    found = [_bone(bone, case, graded.get(bone.bone)) for bone in case.bones]
    known = {bone.bone for bone in case.bones}
    for name in dict.fromkeys(finding.bone for finding in case.assessment.findings if finding.bone not in known):
        values = tuple(
            _value(f.quantity, Measure(f.value, f.unit, "mean of these bones"), f)
            for f in case.assessment.findings
            if f.bone == name
        )
        found.append(Group(name, codes.site(name), codes.side(name), "ok", values, ()))
    for level, one in graded.items():
        if level not in known:
            found.append(Group(level, codes.site(level), None, "ok", _heights(one), one.cautions))
    return tuple(found)


def _bone(bone: BoneResult, case: Case, graded: VertebraGrade | None) -> Group:
    findings = {finding.quantity: finding for finding in case.assessment.findings if finding.bone == bone.bone}
    values = []
    if bone.strength is not None:
        strength = bone.strength
        words = "; ".join(
            part for part in (strength.criterion, f"protocol {strength.protocol}" if strength.protocol else "") if part
        )
        finding = next((findings[key] for key in STRENGTHS if key in findings), None)
        values.append(_value("strength", Measure(strength.strength, "N", words, strength.uncertainty), finding))
        values.append(_value("stiffness", Measure(strength.stiffness, "N/mm", words), None))
    for name, measure in (bone.measures.values if bone.measures else {}).items():
        values.append(_value(name, measure, findings.get(name)))
    ratio = case.assessment.load_to_strength.get(bone.bone)
    if ratio is not None:
        values.append(_value("load_to_strength", Measure(ratio, "", "load of a sideways fall over simulated strength"), None))
    heights = _heights(graded) if graded is not None else ()
    reason = (bone.reason,) if bone.reason else ()
    return Group(
        bone.bone, codes.site(bone.bone), codes.side(bone.bone), bone.status, (*values, *heights), (*reason, *bone.cautions)
    )


def _heights(one: VertebraGrade) -> tuple[Value, ...]:
    """Return a vertebra's grade and loss of height."""
    words = one.shape or "no deformity"
    return (
        _value("genant_grade", Measure(float(one.grade), "", words), None),
        _value("height_loss", Measure(100.0 * one.loss, "%", words, 100.0 * one.loss_sd), None),
    )


def _value(name: str, measure: Measure, finding: Finding | None) -> Value:
    return Value(
        name, codes.quantity(name), measure.value, codes.unit(measure.unit), measure.uncertainty, _words(measure), finding
    )


def _words(measure: Measure) -> str:
    """Return the region, and the mineral that the unit names."""
    mineral = measure.unit.partition(" ")[2]
    return "; ".join(part for part in (measure.region, f"{mineral} equivalent" if mineral else "") if part)


def value_rows(case: Case) -> list[dict[str, Any]]:
    """Return one row for each value: for registries that want long tables; no name and no number of the patient."""
    return [
        {
            "bone": group.bone,
            "site_code": f"{group.site.scheme}:{group.site.value}",
            "side": group.side.meaning.lower() if group.side else None,
            "status": group.status,
            "quantity": value.name,
            "code": f"{value.concept.scheme}:{value.concept.value}",
            "meaning": value.concept.meaning,
            "value": value.value,
            "ucum": value.unit.value,
            "sd": value.deviation,
            "t_score": value.finding.t_score if value.finding else None,
            "z_score": value.finding.z_score if value.finding else None,
            "class": value.finding.category if value.finding else None,
            "method": value.method,
            "protocol": case.protocol,
            "input_sha256": case.scan.digest,
        }
        for group in groups(case)
        for value in group.values
    ]
