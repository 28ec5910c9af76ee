"""From measures and strengths to what they mean: findings, classes, loads, doubts.

All numbers live in ``data/thresholds.toml``, each with its source and mark. The rules:

- Hip: the lowest T-score of femoral neck and total hip over all femora. Spine: the mean trabecular density of the usable levels of T12
  to L3; a level that is fractured, fused or cemented is left out. The class of density is the worse of the two.
- T-scores and classes need sex and an age of 50 or more. Without them numbers stand alone; nobody is assumed.
- A class is given on the number as it is printed (T to 0.1, density to 1 mg/cm³, strength to 10 N), so that the two never disagree.
- Strength has a class only where a reference file of its very recipe says at which newtons the thresholds lie; else it stands beside the
  published ones without a class, and takes no part in the combined one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import SettingsError
from ..records import Assessment, BoneMeasures, Finding, FractureAssessment, Patient, Reference, Step, StrengthResult
from .age_curves import age_curves
from .chances import NOTHING as NO_BUDGETS
from .chances import Budgets, case_chances, mean_deviation, ratio_intervals
from .combined import combined_class, density_class, moderate_fractures, raised_by_fracture
from .density import NOT_DXA, SITES, hip_findings, spine_findings, spine_levels, t_score
from .doubts import class_doubts
from .dxa import beside_dxa
from .eligibility import barrier
from .loads import fall_force, load_references, ratios, softened, spine_loads
from .norms import norm_reference
from .rules import reference_of, rule_for, thresholds
from .standards import DxaLine, Standards
from .strength import strength_doubts, strength_findings

NOTHING: Mapping[str, str] = {}


def assess(
    patient: Patient,
    measures: Sequence[BoneMeasures],
    strengths: Sequence[StrengthResult],
    *,
    standards: Standards = Standards(),  # noqa: B008  frozen
    unfit: Mapping[str, str] = NOTHING,
    fractures: FractureAssessment | None = None,
    budgets: Budgets = NO_BUDGETS,
) -> Assessment:
    """Return findings beside their thresholds, the classes that may be given, and the loads beside strengths.

    Parameters
    ----------
    standards
        Scale of the strengths, reference file, population, a site's lines to DXA.
    unfit
        Levels that do not stand for the spine, with the reason.
    fractures
        Grades of the scan's vertebrae: a moderate fracture beside low bone mass is high risk.
    budgets
        How sure each bone's measures are; where one is not there, the calibration's own deviation is taken.

    Raises
    ------
    SettingsError
        A scale, profile or population that does not exist, or a measure in another unit than its thresholds.

    References
    ----------
    Keaveny et al., Osteoporos Int 31:1025 (2020); Looker et al., Osteoporos Int 8:468 (1998). Fall: see :mod:`.loads`.
    """
    if standards.scale not in ("provisional", "none"):
        raise SettingsError(
            f"found strength scale {standards.scale!r}, expected 'provisional' or 'none': a scale is mapped by a reference file of its recipe alone"
        )
    alone, why = standards.scale == "none", barrier(patient)
    levels = spine_levels(measures, unfit, patient, standards.profile)
    sd = mean_deviation([one for one in measures if one.bone in levels], "trabecular_vbmd", budgets)
    hip = hip_findings(measures, patient, why, standards, budgets)
    spine = spine_findings(levels, patient, why, standards, sd)
    findings = (*hip, *spine, *strength_findings(strengths, patient, why, standards, unfit))
    category, reason = density_class(findings, why)
    by_measures = combined_class(findings, why)
    (risk, risk_reason), broken = raised_by_fracture(by_measures, category, () if why else moderate_fractures(fractures))
    load, doubts = fall_force(patient)
    softer = softened(load, measures)
    over = {} if alone else ratios(strengths, load, softer)
    said, contradictions = beside_dxa(findings, patient, why)
    seen = {one.bone for one in measures} | {one.bone for one in strengths}
    left_out = {level: text for level, text in unfit.items() if level in seen}
    cautions = [*class_doubts(findings, levels, standards), *contradictions, *doubts, *_unfit_doubts(left_out, spine), *broken]
    if any(finding.t_score is not None and not standards.dxa_lines.get(finding.quantity, DxaLine()).source for finding in hip):
        cautions.append(f"Hip T-scores are from areal density {NOT_DXA}.")
    cautions += strength_doubts(findings, patient, standards)
    if over:
        cautions.append(
            "Load-to-strength sets a fall force, by a formula that was not verified in its papers, against a strength "
            "on a provisional scale: read it as an order of magnitude."
            if standards.reference is None
            else "Load-to-strength sets a fall force, by a formula that was not verified in its papers, against the newtons of this recipe: "
            "read it as an order of magnitude."
        )
    bending = spine_loads(patient) if any(not one.bone.startswith("femur") for one in strengths) and not alone else {}
    soft = any(bone in softer for bone in over)
    kinds = {"fall": bool(over), "soft": soft, "spine": bool(bending), "dxa": bool(said), "fracture": risk != by_measures[0]}
    step = Step(
        "assessment",
        _sentence(findings, why, over, standards, soft=soft, spine=bool(bending)),
        tuple(dict.fromkeys(_references(findings, why, standards, **kinds))),
        tuple(cautions),
    )
    return Assessment(
        findings,
        category,
        reason,
        load,
        over,
        step,
        risk,
        risk_reason,
        softer if over else {},
        bending,
        said,
        left_out,
        chances=case_chances(findings, lambda one: _unrounded(one, standards)) if category else {},
        ratio_intervals=ratio_intervals(over, strengths),
        curves=age_curves((*hip, *spine), patient, standards.population),
    )


def _unrounded(finding: Finding, standards: Standards) -> float:
    return t_score(finding.quantity, finding.value, standards.dxa_lines.get(finding.quantity, DxaLine()))


def _unfit_doubts(left_out: Mapping[str, str], spine: Sequence[Finding]) -> list[str]:
    """Return one caution for each level that was left out of the spine's means."""
    rest = f"of {spine[0].bone}" if spine else "of no level at all"
    return [f"{level} was left out of the spine's means, which are {rest}: {text}" for level, text in left_out.items()]


def _sentence(
    findings: Sequence[Finding], why: str | None, over: Mapping[str, float], standards: Standards, *, soft: bool, spine: bool
) -> str:
    parts = []
    if any(finding.t_score is not None for finding in findings):
        parts.append("T-scores are against white women of 20 to 29 years (NHANES III), for both sexes")
        lines = [standards.dxa_lines[quantity] for quantity in SITES if quantity in standards.dxa_lines]
        parts += [
            f"areal densities were brought onto the site's DXA scale ({line.source})"
            for line in dict.fromkeys(lines)
            if line.source
        ][:1]
    if any(finding.z_score is not None for finding in findings):
        parts.append(f"Z-scores are against {standards.population} people of that age and sex")
    if any(finding.category and finding.quantity != "strength" for finding in findings):
        parts.append("the class is the worse of the lowest hip T-score and the mean trabecular density of T12 to L3")
    if any(finding.category and finding.quantity == "strength" for finding in findings):
        parts.append("strength was classified by a reference built for this very recipe")
    if why:
        parts.append(f"no T-score and no class were given ({why.removeprefix('no class: ')})")
    if over:
        tissue = "less what the soft tissue seen over the hip takes off it" if soft else "without soft tissue"
        parts.append(
            f"load-to-strength is the impact force of a sideways fall from standing height, {tissue}, over the strength; "
            "between 0.8 and 1.2 it decides nothing"
        )
    if spine:
        parts.append("loads on the spine are illustrative: a balance of moments about L3")
    sentence = "; ".join(parts) or "nothing was measured that could be set against a threshold"
    return sentence[0].upper() + sentence[1:] + "."


def _references(
    findings: Sequence[Finding],
    why: str | None,
    standards: Standards,
    *,
    fall: bool,
    soft: bool,
    spine: bool,
    dxa: bool,
    fracture: bool,
) -> list[Reference]:
    table = thresholds()
    references = [finding.reference for finding in findings]
    rule = rule_for("hip_t_score", None)
    if rule is not None and (dxa or any(finding.t_score is not None for finding in findings)):
        references.append(rule.reference)
    if why or any(finding.category for finding in findings):
        references.append(reference_of(table["eligibility"]))
    if any(finding.category for finding in findings):
        references.append(reference_of(table["combined"]))
    if fracture:
        references.append(reference_of(table["combined"]["fracture"]))
    references += [norm_reference(finding.quantity) for finding in findings if finding.z_score is not None]
    references += [reference_of(table["dxa"])] if dxa else []
    return references + load_references(fall=fall, soft=soft, spine=spine)
