"""The class of density, and the combined class of density and strength."""

from __future__ import annotations

from collections.abc import Sequence

from ..records import Finding
from .density import SITES
from .rules import CLASSES, RISKS, rule_for

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
    kinds = {"density" if finding.quantity != "strength" else "strength" for _, finding in ranked}
    reason = "all that has a class is normal" if worst == 2 else "; ".join(dict.fromkeys(map(in_words, deciding)))
    # Without a class of one kind the rule was applied to the other alone, and the reader must know.
    missing = {"density", "strength"} - kinds
    return RISKS[worst], reason + "".join(f"; by {next(iter(kinds))} alone, without a class of {kind}" for kind in missing)


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
