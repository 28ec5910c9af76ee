"""The class of density, and the combined class of density and strength."""

from __future__ import annotations

from collections.abc import Sequence

from ..records import Finding, FractureAssessment
from .density import SITES
from .rules import CLASSES, RISKS, rule_for, thresholds

Verdict = tuple[str | None, str]
"""A class and what decided it, or ``None`` and why."""


def density_class(findings: Sequence[Finding], why: str | None) -> Verdict:
    """Return the worst class of density and what decided it."""
    if why:
        return None, why
    classed = [finding for finding in findings if finding.category in CLASSES]
    if not classed:
        return None, "no class: neither hip areal density nor trabecular density of T12 to L3 was measured"
    worst = min(classed, key=lambda finding: (CLASSES.index(finding.category or "normal"), _t_or_zero(finding)))
    others = "spine" if worst.t_score is not None else "hip"
    alone = all((finding.t_score is None) == (worst.t_score is None) for finding in classed)
    return worst.category, in_words(worst) + (f"; the {others} was not measured" if alone else "")


def combined_class(findings: Sequence[Finding], why: str | None) -> Verdict:
    """Return the combined class: high if anything is in its worst class, not increased only if everything is in its best one.

    What has no class, as a strength on a provisional scale, takes no part.
    """
    if why:
        return None, why
    ranked = [(rank, finding) for finding in findings if (rank := _rank(finding)) is not None]
    if not ranked:
        return None, "no class: nothing that was measured has one"
    worst = min(rank for rank, _ in ranked)
    deciding = [finding for rank, finding in ranked if rank == worst]
    scored = [finding for finding in deciding if finding.t_score is not None]
    lowest = min(scored, key=_t_or_zero, default=None)
    deciding = [finding for finding in deciding if finding.t_score is None or finding is lowest]  # one of them is the lowest
    kinds = {"density" if finding.quantity != "strength" else "strength" for _, finding in ranked}
    reason = "all that has a class is normal" if worst == 2 else "; ".join(dict.fromkeys(map(in_words, deciding)))
    # Without a class of one kind the rule was applied to the other alone, and the reader must know.
    missing = {"density", "strength"} - kinds
    return RISKS[worst], reason + "".join(f"; by {next(iter(kinds))} alone, without a class of {kind}" for kind in missing)


def moderate_fractures(fractures: FractureAssessment | None) -> tuple[str, ...]:
    """Return the levels whose fracture may raise the combined class."""
    least = int(thresholds()["combined"]["fracture"]["least_grade"])
    return tuple(one.level for one in fractures.vertebrae if one.grade >= least) if fractures is not None else ()


def raised_by_fracture(verdict: Verdict, category: str | None, levels: Sequence[str]) -> tuple[Verdict, tuple[str, ...]]:
    """Return the combined class with fractured vertebrae beside a class of density, and what must be said of it.

    Low bone mass and a fracture are high risk; beside normal density, or none, the fracture is said and changes nothing.
    """
    row, (risk, reason) = thresholds()["combined"]["fracture"], verdict
    if not levels or risk == row["risk"]:
        return verdict, ()
    names = ", ".join(levels)
    if category != row["beside"]:
        why = f"density is {category}" if category else "density has no class"
        return verdict, (
            f"The fracture found in {names} (grade {row['least_grade']} or more) takes no part in the combined class, because {why}: whether it "
            "stands for osteoporosis is for a physician to decide.",
        )
    raised = f"fracture of grade {row['least_grade']} or more ({names}) with {row['beside']}; without it {risk}: {reason}"
    return (row["risk"], raised), (
        f"The combined class is {row['risk']} because of the fracture found in {names} beside {row['beside']}; it holds only where a physician confirms the "
        f"fracture and no accident explains it, otherwise the class is {risk}.",
    )


def _rank(finding: Finding) -> int | None:
    """Return 0 for the worst class of a measure, 2 for its best, ``None`` without a class."""
    if finding.category is None:
        return None
    for rule in filter(None, (rule_for(name, "F") for name in ("hip_t_score", "femoral_strength"))):
        if finding.category in rule.classes:
            return rule.classes.index(finding.category)
    raise AssertionError(f"{finding.category} is no class of the table")


def in_words(finding: Finding) -> str:
    """Return a finding with its value."""
    side = {"femur_left": "left ", "femur_right": "right "}.get(finding.bone, "")
    if finding.t_score is not None:
        return f"lowest T-score {finding.t_score:.1f} ({side}{SITES[finding.quantity]})"
    if finding.quantity == "strength":
        return f"{finding.category} ({finding.value:.0f} N, {side + 'femur' if side else finding.bone})"
    return f"trabecular density {finding.value:.0f} mg/cm³ ({finding.bone})"


def _t_or_zero(finding: Finding) -> float:
    return finding.t_score if finding.t_score is not None else 0.0
