"""Densities beside their thresholds: T-scores of the hip, mean trabecular density of the spine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..errors import SettingsError
from ..records import BoneMeasures, Finding, Measure, Patient
from .chances import NOTHING, Budgets, class_chances, deviation, interval
from .norms import z_score
from .rules import Rule, reference_of, rule_for, thresholds
from .standards import DxaLine, Standards

SITES = {"femoral_neck_abmd": "femoral neck", "total_hip_abmd": "total hip"}
NOT_DXA = "projected from CT and not compared with DXA at this site"


def hip_findings(
    measures: Sequence[BoneMeasures], patient: Patient, why: str | None, standards: Standards, budgets: Budgets = NOTHING
) -> list[Finding]:
    """Return one finding for each femur and site; ``why`` holds the reason for which there may be no T-score."""
    rule = _needed(rule_for("hip_t_score", patient.sex, standards.profile))
    findings = []
    for bone in measures:
        for quantity, site in SITES.items():
            measure = usable(bone, quantity, "g/cm")
            if measure is None:
                continue
            young = thresholds()["hip"]["young_reference"][quantity]
            line = standards.dxa_lines.get(quantity, DxaLine())
            score = None if why else round(t_score(quantity, measure.value, line), 1) + 0.0
            scale = told(line)
            words = (
                f"{rule.classes[0]} at T {rule.low:g} or below, {rule.classes[2]} at T {rule.high:g} or above ({site}, {scale})"
            )
            sd = deviation(bone, quantity, budgets)
            spread = None if score is None or sd is None else abs(line.factor) * sd / young["sd_g_cm2"]
            findings.append(
                Finding(
                    quantity=quantity,
                    bone=bone.bone,
                    value=measure.value,
                    unit=measure.unit,
                    t_score=score,
                    category=None if score is None else rule.classify(score),
                    against=why or words,
                    thresholds=() if score is None else rule.cuts,
                    reference=reference_of(young),
                    t_score_sd=spread,
                    z_score=z_score(line.offset + line.factor * measure.value, patient, standards.population, quantity),
                    interval=interval(measure.value, sd),
                    chances={}
                    if score is None
                    else class_chances([(t_score(quantity, measure.value, line), spread, rule.cuts)], rule.classes),
                )
            )
    return findings


def t_score(quantity: str, value: float, line: DxaLine) -> float:
    """Return the T-score of an areal density by CT [g/cm²], through a site's line to DXA."""
    young = thresholds()["hip"]["young_reference"][quantity]
    return float((line.offset + line.factor * value - young["mean_g_cm2"]) / young["sd_g_cm2"])


def told(line: DxaLine) -> str:
    """Return what an areal density's scale is, in words."""
    if not line.source:
        return NOT_DXA
    return (
        f"projected from CT, on the site's DXA scale by {line.offset:+.3f} g/cm² and a factor of {line.factor:g}: {line.source}"
    )


def spine_findings(
    levels: Mapping[str, Measure], patient: Patient, why: str | None, standards: Standards, sd: float | None = None
) -> list[Finding]:
    """Return one finding: the mean over the usable levels that the class is defined for; ``sd`` is one standard deviation of it."""
    if not levels:
        return []
    rule = _needed(rule_for("spine_vbmd", patient.sex, standards.profile))
    value = float(round(sum(measure.value for measure in levels.values()) / len(levels)))
    words = f"{rule.classes[0]} at {rule.low:g} mg/cm³ or below, {rule.classes[2]} at {rule.high:g} or above (mean of {', '.join(levels)})"
    if standards.profile != "default":
        words += f"; profile {standards.profile}"
    return [
        Finding(
            quantity="trabecular_vbmd",
            bone=", ".join(levels),
            value=value,
            unit=next(iter(levels.values())).unit,
            t_score=None,
            category=None if why else rule.classify(value),
            against=why or words,
            thresholds=rule.cuts,
            reference=rule.reference,
            z_score=z_score(value, patient, standards.population),
            interval=interval(value, sd),
            chances={} if why else class_chances([(value, sd, rule.cuts)], rule.classes),
        )
    ]


def spine_levels(
    measures: Sequence[BoneMeasures], unfit: Mapping[str, str], patient: Patient, profile: str
) -> dict[str, Measure]:
    """Return the trabecular density of each level that counts, from T12 down; fractured, fused and cemented ones do not."""
    by_bone = {bone.bone: usable(bone, "trabecular_vbmd", "mg/cm") for bone in measures if bone.bone not in unfit}
    wanted = _needed(rule_for("spine_vbmd", patient.sex, profile)).levels
    return {level: measure for level in wanted if (measure := by_bone.get(level)) is not None}


def usable(bone: BoneMeasures, quantity: str, unit: str) -> Measure | None:
    """Return a measure that is a number in the unit that the thresholds need."""
    measure = bone.values.get(quantity)
    if measure is None or not math.isfinite(measure.value):
        return None
    if not measure.unit.startswith(unit):
        raise SettingsError(f"found {quantity} of {bone.bone} in {measure.unit}, expected {unit}²/³: thresholds have units")
    return measure


def _needed(rule: Rule | None) -> Rule:
    assert rule is not None, "the table has a row for both sexes"
    return rule
