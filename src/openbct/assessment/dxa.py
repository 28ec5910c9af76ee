"""DXA beside CT: what strength or QCT found that DXA missed, and the reverse."""

from __future__ import annotations

from collections.abc import Sequence

from ..records import Finding, Patient
from .combined import in_words
from .rules import CLASSES, rule_for, thresholds

WORDS = {"femoral_neck": "femoral neck", "total_hip": "total hip", "lumbar_spine": "lumbar spine"}
SAME_SITE = {"femoral_neck": "femoral_neck_abmd", "total_hip": "total_hip_abmd"}


def beside_dxa(findings: Sequence[Finding], patient: Patient, why: str | None) -> tuple[tuple[str, ...], list[str]]:
    """Return what CT and DXA say of each other, and cautions where they contradict each other at one site."""
    scores = {site: patient.dxa_t[site] for site in WORDS if site in patient.dxa_t}
    if not scores:
        return (), []
    given = ", ".join(f"{WORDS[site]} {score:.1f}" for site, score in scores.items())
    if why:
        return (f"DXA (T-scores as given): {given}. They were not compared ({why.removeprefix('no class: ')}).",), []
    rule = rule_for("hip_t_score", patient.sex)
    assert rule is not None
    lowest = min(scores.values())
    by_dxa = rule.classify(round(lowest, 1))
    said = [f"DXA (T-scores as given): {given}; lowest {lowest:.1f}: {by_dxa}."]
    worse = [finding for finding in findings if _is_worst(finding)]
    if by_dxa != CLASSES[0] and worse:
        found = "; ".join(dict.fromkeys(map(in_words, worse)))
        said.append(f"Found by CT and missed by DXA: {found}. DXA alone would have said {by_dxa}.")
    classed = [finding for finding in findings if finding.category is not None]
    if by_dxa == CLASSES[0] and classed and not worse:
        said.append(
            "Found by DXA and missed by CT: osteoporosis. Nothing that CT measured is in its worst class; the worse of the two counts."
        )
    if by_dxa == CLASSES[0] and worse:
        said.append("CT and DXA agree: both find a worst class.")
    if by_dxa != CLASSES[0] and classed and not worse:
        said.append("CT and DXA agree: neither finds a worst class.")
    if not classed:
        said.append("CT gave nothing with a class to compare it with.")
    return tuple(said), _contradictions(findings, scores)


def _is_worst(finding: Finding) -> bool:
    return finding.category in (CLASSES[0], "fragile bone strength")


def _contradictions(findings: Sequence[Finding], scores: dict[str, float]) -> list[str]:
    table, doubts = thresholds()["dxa"], []
    limit = 2.0 * float(table["residual_sd"])
    for site, quantity in SAME_SITE.items():
        found = [finding.t_score for finding in findings if finding.quantity == quantity and finding.t_score is not None]
        # DXA reports the lower side, or the side it measured: held against the nearer of the two.
        if site not in scores or not found:
            continue
        nearest = min(found, key=lambda score: abs(score - scores[site]))
        if abs(nearest - scores[site]) > limit + 1e-9:
            doubts.append(
                f"DXA gave T {scores[site]:.1f} at the {WORDS[site]}, CT {nearest:.1f}: farther apart than {limit:.1f}, twice the deviation between the two "
                "in a published comparison; one of them, or the patient they belong to, may be wrong, and with it the class."
            )
    return doubts
