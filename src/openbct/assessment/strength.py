"""Strengths beside their thresholds. A class is given on a mapped scale alone, and there on thresholds of that very recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..records import Finding, Patient, Reference, StrengthResult
from ..strength_reference import MappedThresholds
from .chances import class_chances, interval
from .rules import Rule, rank_of, rule_for, thresholds
from .standards import Standards

PROVISIONAL = "the strength scale of this recipe is provisional: thresholds shown for orientation, no class"
FOREIGN = "published thresholds belong to another test than this protocol's"


def strength_findings(
    strengths: Sequence[StrengthResult], patient: Patient, why: str | None, standards: Standards, unfit: Mapping[str, str]
) -> list[Finding]:
    """Return one finding for each bone, and one for the mean of the usable levels of the spine where there are several.

    Femora are classified one by one, the spine by its mean; ``why`` holds the reason for which there may be no class.
    """
    spine = _spine(strengths, unfit)
    several = len(spine) > 1
    findings = []
    for result in strengths:
        own = result.bone.startswith("femur") or (not several and any(result is one for one in spine))
        found = _finding(result.bone, result.strength, patient, why, standards, classed=own, unfit=unfit.get(result.bone))
        findings.append(_sure(found, result.strength, result.uncertainty, patient, standards))
    if several and standards.reference is not None:
        mean, known = sum(one.strength for one in spine) / len(spine), [one.uncertainty for one in spine]
        # One recipe and one calibration serve all levels: most of what is not known is common.
        sd = None if None in known else sum(one for one in known if one is not None) / len(known)
        found = _finding(", ".join(one.bone for one in spine), mean, patient, why, standards, classed=True)
        findings.append(_sure(found, mean, sd, patient, standards))
    return findings


def _sure(found: Finding, newton: float, sd: float | None, patient: Patient, standards: Standards) -> Finding:
    """Return the finding with its interval and, where it has a class, the chance of each."""
    rule = rule_for(
        "femoral_strength" if found.bone.startswith("femur") else "vertebral_strength", patient.sex, standards.profile
    )
    chances = class_chances([(newton, sd, found.thresholds)], rule.classes) if found.category and rule else {}
    return replace(found, interval=interval(newton, sd) if math.isfinite(newton) else None, chances=chances)


def _spine(strengths: Sequence[StrengthResult], unfit: Mapping[str, str]) -> list[StrengthResult]:
    """Return the strengths that stand for the spine, from T12 down."""
    by_bone = {result.bone: result for result in strengths if result.bone not in unfit and math.isfinite(result.strength)}
    return [by_bone[level] for level in _levels() if level in by_bone]


def _levels() -> tuple[str, ...]:
    rows = [row for row in thresholds()["class"] if row["measure"] == "vertebral_strength"]
    return tuple(rows[0]["levels"])


def _finding(
    bone: str, newton: float, patient: Patient, why: str | None, standards: Standards, *, classed: bool, unfit: str | None = None
) -> Finding:
    site = "femur" if bone.startswith("femur") else "vertebra"
    rule = rule_for("femoral_strength" if site == "femur" else "vertebral_strength", patient.sex, standards.profile)
    value = float(round(newton, -1)) if math.isfinite(newton) else newton
    mapped = standards.reference.thresholds_for(site, patient.sex) if standards.reference is not None else None
    outside = site == "vertebra" and not set(bone.split(", ")) <= set(_levels())
    source = rule.reference if rule is not None else Reference(_published()["source"], "seen")
    if standards.scale == "none":
        return Finding("strength", bone, value, "N", None, None, f"no thresholds: {FOREIGN}", (), source)
    if rule is None:
        return Finding(
            "strength",
            bone,
            value,
            "N",
            None,
            None,
            "no thresholds: they differ between women and men, and the sex is unknown",
            (),
            source,
        )
    if outside:
        words = f"no thresholds: published for {_levels()[0]} to {_levels()[-1]} only"
        return Finding("strength", bone, value, "N", None, None, words, (), source)
    if mapped is None:
        lacking = "" if standards.reference is None else "; the reference file has no thresholds for this site and sex"
        words = f"fragile at {rule.low:g} N or below, normal at {rule.high:g} N or above, on the scale they were published for; {PROVISIONAL}{lacking}"
        return Finding("strength", bone, value, "N", None, None, words, rule.cuts, source)
    assert standards.reference is not None
    return _mapped(bone, value, rule, mapped, why or unfit, standards.reference.cohort, classed=classed)


def _mapped(
    bone: str, value: float, rule: Rule, mapped: MappedThresholds, why: str | None, cohort: str, *, classed: bool
) -> Finding:
    """Return a strength beside the thresholds of its own recipe."""
    cuts = (round(mapped.fragile_n, -1), round(mapped.normal_n, -1))
    words = (
        f"fragile at {cuts[0]:g} N or below, normal at {cuts[1]:g} N or above: strengths of this recipe at the density thresholds, from {mapped.persons} "
        f"persons ({cohort})"
    )
    able = classed and not why and math.isfinite(value)
    category = rule.classes[rank_of(value, cuts)] if able else None
    if not classed:
        words += "; the class of the spine is that of its mean"
    reference = Reference(
        f"Strength reference built from {mapped.persons} persons by correspondence with density ({cohort})", "computed"
    )
    return Finding("strength", bone, value, "N", None, category, f"{why}; {words}" if why else words, cuts, reference)


def _published() -> Mapping[str, str]:
    row: Mapping[str, str] = next(row for row in thresholds()["class"] if row["measure"] == "vertebral_strength")
    return row


def strength_doubts(findings: Sequence[Finding], patient: Patient, standards: Standards) -> list[str]:
    """Return why strengths have no class, or how sure their class is."""
    strengths = [finding for finding in findings if finding.quantity == "strength"]
    if not strengths:
        return []
    if standards.scale == "none":
        return [f"Strength was not classified: {FOREIGN}."]
    classed = [finding for finding in strengths if finding.category is not None]
    if standards.reference is None:
        return [f"Strength was not classified: {PROVISIONAL}."]
    doubts = list(standards.reference_cautions)
    if not classed:
        doubts.append("Strength was not classified: see the note beside each strength for the reason.")
    for finding in classed:
        site = "femur" if finding.bone.startswith("femur") else "vertebra"
        mapped = standards.reference.thresholds_for(site, patient.sex)
        assert mapped is not None and finding.category is not None
        low = (mapped.fragile_95_n[0], mapped.normal_95_n[0])
        high = (mapped.fragile_95_n[1], mapped.normal_95_n[1])
        ranks = {rank_of(finding.value, cuts) for cuts in (low, high, finding.thresholds)}
        if len(ranks) > 1:
            doubts.append(
                f"{finding.bone}: its strength of {finding.value:.0f} N lies within the 95 % interval of a threshold of the reference "
                f"({mapped.fragile_95_n[0]:.0f} to {mapped.fragile_95_n[1]:.0f} and {mapped.normal_95_n[0]:.0f} to {mapped.normal_95_n[1]:.0f} N): its "
                "class could be the next one."
            )
    return doubts
