"""Doubts about classes of density: one level alone, another mineral, intervals across a threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..records import Finding, Measure
from .density import t_score
from .rules import CLASSES, rank_of
from .standards import DxaLine, Standards


def class_doubts(findings: Sequence[Finding], levels: Mapping[str, Measure], standards: Standards) -> list[str]:
    """Return cautions on the classes of hip and spine."""
    cautions = _hip_interval([finding for finding in findings if finding.t_score is not None], standards)
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
    return cautions + _spine_interval(spine)


def _hip_interval(scored: Sequence[Finding], standards: Standards) -> list[str]:
    """Return a caution where its uncertainty leaves the lowest T-score on both sides of a threshold."""
    ends = []
    for finding in scored:
        spread = finding.t_score_sd
        if spread is None or not math.isfinite(spread):
            return []
        score = t_score(finding.quantity, finding.value, standards.dxa_lines.get(finding.quantity, DxaLine()))
        ends.append((score - 1.96 * spread, score + 1.96 * spread))
    if not ends:
        return []
    # One calibration serves all sites: they move together, and the lowest of them decides at both ends.
    low, high = (round(min(end), 1) + 0.0 for end in zip(*ends))
    lowest = min(scored, key=lambda finding: finding.t_score or 0.0)
    return _crossing("lowest hip T-score", (low, high), lowest, decimals=1, unit="")


def _spine_interval(spine: Finding) -> list[str]:
    """Return a caution where its uncertainty leaves the spine's density on both sides of a threshold."""
    if spine.interval is None:
        return []
    low, high = (round(end) for end in spine.interval)
    return _crossing("spine's density", (low, high), spine, decimals=0, unit=" mg/cm³")


def _crossing(what: str, ends: tuple[float, float], finding: Finding, *, decimals: int, unit: str) -> list[str]:
    """Return a caution where the classes of an interval's ends, as printed, and of its value are not all one."""
    low, high = ends
    # A long interval may hold a class that neither end has.
    crossed = {CLASSES[rank_of(low, finding.thresholds)], CLASSES[rank_of(high, finding.thresholds)], finding.category}
    if len(crossed) == 1:
        return []
    could = " or ".join(name for name in CLASSES if name in crossed)
    likely = " and ".join(f"{100 * finding.chances.get(name, 0.0):.0f}" for name in CLASSES if name in crossed)
    return [
        f"Uncertainty leaves the {what} between {low:.{decimals}f} and {high:.{decimals}f}{unit} (95 %): its class could be {could} "
        f"(chances of {likely} %)."
    ]
