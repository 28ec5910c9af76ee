"""What the numbers mean for this patient: T-scores, BMD class, strength beside its thresholds, load in a fall.

All numbers live in ``data/thresholds.toml``, each with its source and mark. The rules:

- Hip: the lowest T-score of femoral neck and total hip over all femora. Spine: the mean trabecular density of T12 to L3.
  The class of the case is the worse of the two.
- T-scores and classes need sex and an age of 50 or more. Without them numbers stand alone; nobody is assumed.
- A class is given on the number as it is printed (T to 0.1, density to 1 mg/cm³), so that the two never disagree.
- Strength is shown beside published thresholds and never classified: they belong to another recipe.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from .errors import SettingsError
from .records import Assessment, BoneMeasures, Finding, Mark, Measure, Patient, Reference, Step, StrengthResult

CLASSES = ("osteoporosis", "low bone mass", "normal")
"""From worst to best."""
SITES = {"femoral_neck_abmd": "femoral neck", "total_hip_abmd": "total hip"}

NOT_DXA = "projected from CT and not compared with DXA at this site"
PROVISIONAL = "the strength scale of this recipe is provisional: thresholds shown for orientation, no class"
FOREIGN = "published thresholds belong to another test than this protocol's"


def assess(
    patient: Patient, measures: Sequence[BoneMeasures], strengths: Sequence[StrengthResult], *, scale: str = "provisional"
) -> Assessment:
    """Return findings beside their thresholds, the BMD class where one may be given, and load-to-strength of a fall.

    Parameters
    ----------
    scale
        ``"provisional"``: strength beside the published thresholds, without a class; ``"none"``: neither they nor a fall's load beside it.

    Raises
    ------
    SettingsError
        Another scale was asked for: no recipe has been mapped to the published thresholds yet.

    References
    ----------
    Keaveny et al., Osteoporos Int 31:1025 (2020); Looker et al., Osteoporos Int 8:468 (1998). Fall: see ``_fall_force``.
    """
    if scale not in ("provisional", "none"):
        raise SettingsError(
            f"found strength scale {scale!r}, expected 'provisional' or 'none': no recipe of this version is mapped to published thresholds"
        )
    alone, barrier = scale == "none", _barrier(patient)
    hip, spine = _hip_findings(measures, barrier), _spine_findings(measures, barrier)
    strength = [_strength_finding(result, patient.sex, alone=alone) for result in strengths]
    findings = (*hip, *spine, *strength)
    category, reason = _conclude(findings, barrier)
    load, doubts = _fall_force(patient)
    ratios = {
        result.bone: load / result.strength
        for result in strengths
        if load is not None
        and not alone
        and result.bone.startswith("femur")
        and math.isfinite(result.strength)
        and result.strength > 0
    }
    cautions = [*_class_doubts(measures, findings), *doubts]
    if any(finding.t_score is not None for finding in hip):
        cautions.append(f"Hip T-scores are from areal density {NOT_DXA}.")
    if strengths:
        cautions.append(f"Strength was not classified: {FOREIGN if alone else PROVISIONAL}.")
    if ratios:
        cautions.append(
            "Load-to-strength sets a fall force from a recalled formula, not checked against its papers, against a strength "
            "on a provisional scale: read it as an order of magnitude."
        )
    return Assessment(findings, category, reason, load, ratios, _describe(findings, barrier, ratios, cautions))


def _barrier(patient: Patient) -> str | None:
    """Return why this patient may get no T-score and no class; ``None`` where both may be given."""
    youngest = float(_table()["eligibility"]["youngest_years"])
    age = patient.age if patient.age is not None and 0.0 <= patient.age <= 120.0 else None
    unknown = [] if patient.sex in ("F", "M") else ["sex"]
    if age is None or unknown:
        unknown += ["age"] if age is None else []
        return f"no class: {' and '.join(unknown)} unknown"
    if age < 18.0:
        return "no class: classes are for adults, children get numbers only"
    if age < youngest:
        return f"no class: the patient is {age:g}, classes apply from {youngest:g} years"
    return None


def _hip_findings(measures: Sequence[BoneMeasures], barrier: str | None) -> list[Finding]:
    table = _table()["hip"]
    cuts = _pair(table["classes"]["t_scores"])
    findings = []
    for bone in measures:
        for quantity, site in SITES.items():
            measure = _usable(bone, quantity, "g/cm")
            if measure is None:
                continue
            young = table["young_reference"][quantity]
            score = None if barrier else round((measure.value - young["mean_g_cm2"]) / young["sd_g_cm2"], 1) + 0.0
            words = f"{CLASSES[0]} at T {cuts[0]:g} or below, {CLASSES[2]} at T {cuts[1]:g} or above ({site}, {NOT_DXA})"
            findings.append(
                Finding(
                    quantity=quantity,
                    bone=bone.bone,
                    value=measure.value,
                    unit=measure.unit,
                    t_score=score,
                    category=None if score is None else _classify(score, cuts),
                    against=barrier or words,
                    thresholds=() if score is None else cuts,
                    reference=_reference(young),
                    t_score_sd=None if score is None or measure.uncertainty is None else measure.uncertainty / young["sd_g_cm2"],
                )
            )
    return findings


def _spine_findings(measures: Sequence[BoneMeasures], barrier: str | None) -> list[Finding]:
    """Return one finding: the mean over the levels that the class is defined for."""
    table = _table()["spine"]["classes"]
    cuts = _pair(table["mg_cm3"])
    levels = _spine_levels(measures)
    if not levels:
        return []
    value = float(round(sum(measure.value for measure in levels.values()) / len(levels)))
    words = f"{CLASSES[0]} at {cuts[0]:g} mg/cm³ or below, {CLASSES[2]} at {cuts[1]:g} or above (mean of {', '.join(levels)})"
    return [
        Finding(
            quantity="trabecular_vbmd",
            bone=", ".join(levels),
            value=value,
            unit=next(iter(levels.values())).unit,
            t_score=None,
            category=None if barrier else _classify(value, cuts),
            against=barrier or words,
            thresholds=cuts,
            reference=_reference(table),
        )
    ]


def _spine_levels(measures: Sequence[BoneMeasures]) -> dict[str, Measure]:
    """Return the trabecular density of each level that counts, from T12 down."""
    by_bone = {bone.bone: _usable(bone, "trabecular_vbmd", "mg/cm") for bone in measures}
    wanted = _table()["spine"]["classes"]["levels"]
    return {level: measure for level in wanted if (measure := by_bone.get(level)) is not None}


def _strength_finding(result: StrengthResult, sex: str | None, *, alone: bool) -> Finding:
    """Return a strength beside its thresholds; never with a category."""
    table = _table()["strength"]["femur" if result.bone.startswith("femur") else "vertebra"]
    thresholds: tuple[float, ...] = ()
    if alone:
        against = f"no thresholds: {FOREIGN}"
    elif sex not in ("F", "M"):
        against = "no thresholds: they differ between women and men, and the sex is unknown"
    elif "levels" in table and result.bone not in table["levels"]:
        against = f"no thresholds: published for {table['levels'][0]} to {table['levels'][-1]} only"
    else:
        thresholds = _pair(table["women_n" if sex == "F" else "men_n"])
        against = f"fragile at {thresholds[0]:g} N or below, normal at {thresholds[1]:g} N or above, on the scale they were published for; {PROVISIONAL}"
    value = float(round(result.strength, -1)) if math.isfinite(result.strength) else result.strength
    return Finding("strength", result.bone, value, "N", None, None, against, thresholds, _reference(table))


def _conclude(findings: Sequence[Finding], barrier: str | None) -> tuple[str | None, str]:
    """Return the worst category and what decided it."""
    if barrier:
        return None, barrier
    classed = [finding for finding in findings if finding.category is not None]
    if not classed:
        return None, "no class: neither hip areal density nor trabecular density of T12 to L3 was measured"
    worst = min(classed, key=lambda finding: (CLASSES.index(finding.category or "normal"), _rank(finding)))
    others = "spine" if worst.t_score is not None else "hip"
    alone = all((finding.t_score is None) == (worst.t_score is None) for finding in classed)
    return worst.category, _in_words(worst) + (f"; the {others} was not measured" if alone else "")


def _rank(finding: Finding) -> float:
    return finding.t_score if finding.t_score is not None else 0.0


def _in_words(finding: Finding) -> str:
    if finding.t_score is not None:
        side = {"femur_left": "left ", "femur_right": "right "}.get(finding.bone, "")
        return f"lowest T-score {finding.t_score:.1f} ({side}{SITES[finding.quantity]})"
    return f"trabecular density {finding.value:.0f} mg/cm³ ({finding.bone})"


def _class_doubts(measures: Sequence[BoneMeasures], findings: Sequence[Finding]) -> list[str]:
    """Return cautions on the classes: one spinal level only, another mineral scale, intervals across a threshold."""
    cautions = _hip_interval([finding for finding in findings if finding.t_score is not None])
    levels = _spine_levels(measures)
    spine = next((finding for finding in findings if finding.quantity == "trabecular_vbmd" and finding.category), None)
    if spine is None:
        return cautions
    if len(levels) == 1:
        cautions.append(f"The spine's class rests on {spine.bone} alone; the mean of two or more levels is customary.")
    if "CHA" in spine.unit:
        cautions.append(
            "The density is in CHA equivalent; the thresholds were set on K2HPO4 scales, which read about 13 % lower in vivo "
            "(recalled): the class may be too good."
        )
    return cautions + _spine_interval(spine, [measure.uncertainty for measure in levels.values()])


def _hip_interval(scored: Sequence[Finding]) -> list[str]:
    """Return a caution where the calibration leaves the lowest T-score on both sides of a threshold."""
    ends = []
    for finding in scored:
        young, spread = _table()["hip"]["young_reference"][finding.quantity], finding.t_score_sd
        if spread is None or not math.isfinite(spread):
            return []
        score = (finding.value - young["mean_g_cm2"]) / young["sd_g_cm2"]
        ends.append((score - 1.96 * spread, score + 1.96 * spread))
    if not ends:
        return []
    # One calibration serves all sites: they move together, and the lowest of them decides at both ends.
    low, high = (round(min(end), 1) + 0.0 for end in zip(*ends))
    lowest = min(scored, key=lambda finding: finding.t_score or 0.0)
    return _crossing("lowest hip T-score", (low, high), lowest, decimals=1, unit="")


def _spine_interval(spine: Finding, spreads: Sequence[float | None]) -> list[str]:
    """Return a caution where the calibration leaves the spine's density on both sides of a threshold."""
    known = [spread for spread in spreads if spread is not None and math.isfinite(spread)]
    if not known or len(known) < len(spreads):
        return []
    # One calibration serves all levels: its error is common and does not average out.
    half = 1.96 * sum(known) / len(known)
    return _crossing("spine's density", (round(spine.value - half), round(spine.value + half)), spine, decimals=0, unit=" mg/cm³")


def _crossing(what: str, ends: tuple[float, float], finding: Finding, *, decimals: int, unit: str) -> list[str]:
    """Return a caution where the classes of an interval's ends, as printed, and of its value are not all one."""
    low, high = ends
    # A long interval may hold a class that neither end has.
    crossed = {_classify(low, finding.thresholds), _classify(high, finding.thresholds), finding.category}
    if len(crossed) == 1:
        return []
    could = " or ".join(name for name in CLASSES if name in crossed)
    return [
        f"The calibration leaves the {what} between {low:.{decimals}f} and {high:.{decimals}f}{unit} (95 %): its class could be {could}."
    ]


def _fall_force(patient: Patient) -> tuple[float | None, list[str]]:
    """Return the impact force of a sideways fall [N], and cautions.

    ``F = v sqrt(k m)`` with ``v = 2.72 sqrt(height)`` and 7/20 of the body's mass [recalled, unverified]; soft tissue
    over the hip is not subtracted, because its thickness is not measured.
    """
    table = _table()["fall"]
    if patient.height_cm is None or patient.weight_kg is None:
        return None, []
    if patient.age is not None and patient.age < 18.0:
        return None, []
    for name, value, unit in (("height_cm", patient.height_cm, "cm"), ("weight_kg", patient.weight_kg, "kg")):
        low, high = table[name]
        if not low <= value <= high:
            return None, [
                f"No fall force was computed: found a {name.split('_')[0]} of {value:g} {unit}, expected {low:g} to {high:g}."
            ]
    velocity = table["velocity_factor"] * math.sqrt(patient.height_cm / 100.0)
    force = velocity * math.sqrt(table["stiffness_n_per_m"] * table["mass_share"] * patient.weight_kg)
    return float(force), []


def _describe(findings: Sequence[Finding], barrier: str | None, ratios: Mapping[str, float], cautions: Sequence[str]) -> Step:
    table = _table()
    references = [finding.reference for finding in findings]
    parts = []
    if any(finding.t_score is not None for finding in findings):
        parts.append("T-scores are against white women of 20 to 29 years (NHANES III), for both sexes")
        references.append(_reference(table["hip"]["classes"]))
    if any(finding.category for finding in findings):
        parts.append("the class is the worse of the lowest hip T-score and the mean trabecular density of T12 to L3")
        references.append(_reference(table["eligibility"]))
    if barrier:
        parts.append(f"no T-score and no class were given ({barrier.removeprefix('no class: ')})")
        references.append(_reference(table["eligibility"]))
    if ratios:
        parts.append(
            "load-to-strength is the impact force of a sideways fall from standing height, without soft tissue, over the strength; "
            "between 0.8 and 1.2 it decides nothing"
        )
        references += [_reference(table["fall"]), _reference(table["fall"]["uncertain_band"])]
    sentence = "; ".join(parts) or "nothing was measured that could be set against a threshold"
    return Step("assessment", sentence[0].upper() + sentence[1:] + ".", tuple(dict.fromkeys(references)), tuple(cautions))


def _classify(value: float, cuts: Sequence[float]) -> str:
    """Return the class of a value as printed: both thresholds belong to the outer classes."""
    return CLASSES[0] if value <= cuts[0] else CLASSES[2] if value >= cuts[1] else CLASSES[1]


def _usable(bone: BoneMeasures, quantity: str, unit: str) -> Measure | None:
    """Return a measure that is a number in the unit that the thresholds need."""
    measure = bone.values.get(quantity)
    if measure is None or not math.isfinite(measure.value):
        return None
    if not measure.unit.startswith(unit):
        raise SettingsError(f"found {quantity} of {bone.bone} in {measure.unit}, expected {unit}²/³: thresholds have units")
    return measure


def _pair(values: Sequence[float]) -> tuple[float, float]:
    return (float(values[0]), float(values[1]))


def _reference(entry: Mapping[str, Any]) -> Reference:
    marks: tuple[Mark, ...] = ("seen", "code", "computed", "recalled", "design")
    return Reference(entry["source"], next(mark for mark in marks if mark == entry["mark"]))


@cache
def _table() -> dict[str, Any]:
    """Return the threshold table of the package."""
    return tomllib.loads(resources.files("openbct").joinpath("data", "thresholds.toml").read_text(encoding="utf-8"))
