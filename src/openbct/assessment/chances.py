"""How sure a finding is, and the chance of each class.

A class is that of the worst site. The sites of one scan share its calibration, which is most of what is not known, so that they are moved together: by
the same number of deviations, over all that a normal distribution gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist

from ..records import BoneMeasures, ErrorBudget, Finding, StrengthResult
from .rules import CLASSES, rank_of

Budgets = Mapping[str, Mapping[str, ErrorBudget]]
"""By bone, by measure or ``"strength"``."""
NOTHING: Budgets = {}
Z95 = 1.96
POINTS = 400
DEVIATIONS = tuple(NormalDist().inv_cdf((n + 0.5) / POINTS) for n in range(POINTS))
"""Equally likely deviations of a normal distribution."""


def deviation(bone: BoneMeasures, quantity: str, budgets: Budgets) -> float | None:
    """Return one standard deviation of a measure; ``None`` where the calibration does not know its own."""
    budget = budgets.get(bone.bone, {}).get(quantity)
    if budget is None:
        sd = bone.values[quantity].uncertainty
        return sd if sd is not None and math.isfinite(sd) else None
    return budget.known_sd


def mean_deviation(bones: Sequence[BoneMeasures], quantity: str, budgets: Budgets) -> float | None:
    """Return one standard deviation of the mean over bones: what the calibration gives is common to all, the rest each one's own."""
    common, own = [], []
    for bone in bones:
        whole, calibration = deviation(bone, quantity, budgets), bone.values[quantity].uncertainty
        if whole is None or calibration is None or not math.isfinite(calibration):
            return None
        common.append(calibration)
        own.append(max(whole**2 - calibration**2, 0.0))
    return math.hypot(sum(common) / len(bones), math.sqrt(sum(own)) / len(bones)) if bones else None


def interval(value: float, sd: float | None) -> tuple[float, float] | None:
    """Return the 95 % interval of a number."""
    return None if sd is None else (value - Z95 * sd, value + Z95 * sd)


def class_chances(
    sites: Sequence[tuple[float, float | None, tuple[float, ...]]], names: Sequence[str] = CLASSES
) -> dict[str, float]:
    """Return the chance of each class of the worst site; nothing where a site's deviation is not known.

    Parameters
    ----------
    sites
        Value, its standard deviation and its rising thresholds.
    """
    if not sites or any(sd is None or not math.isfinite(sd) for _, sd, _ in sites):
        return {}
    ranks = [min(rank_of(value + z * float(sd or 0.0), cuts) for value, sd, cuts in sites) for z in DEVIATIONS]
    return {name: ranks.count(rank) / POINTS for rank, name in enumerate(names) if rank in ranks}


def case_chances(findings: Sequence[Finding], score: Callable[[Finding], float]) -> dict[str, float]:
    """Return the chance of each class of density of the case; ``score`` gives a hip's T-score before it was rounded."""
    classed = [finding for finding in findings if finding.category and finding.quantity != "strength"]
    sites = []
    for finding in classed:
        if finding.interval is None:
            return {}
        half = (finding.interval[1] - finding.interval[0]) / 2 / Z95
        scored = finding.t_score is not None
        sites.append((score(finding) if scored else finding.value, finding.t_score_sd if scored else half, finding.thresholds))
    return class_chances(sites)


def ratio_intervals(over: Mapping[str, float], strengths: Sequence[StrengthResult]) -> dict[str, tuple[float, float]]:
    """Return 95 % of each load over strength, log-normal: a strength is never nothing."""
    found = {}
    for one in strengths:
        if one.bone in over and one.uncertainty is not None and one.strength > 0:
            factor = math.exp(Z95 * one.uncertainty / one.strength)
            found[one.bone] = (over[one.bone] / factor, over[one.bone] * factor)
    return found
