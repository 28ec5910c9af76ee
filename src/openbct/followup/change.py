"""From two values of one quantity to a change and what it is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..visits import Change, Judgement, ScanCheck, Trend
from .tables import Precision, explained, implausible, precision, site_of

LSC_FACTOR = 2.77
"""Of the precision of one measurement: 1.96 times the root of two, as ISCD has it [seen]."""
SHORTEST = 1.0
"""Intervals shorter than this are taken for it where a yearly change is held against what bone does: drugs act fast at first [years] [design]."""


@dataclass(frozen=True)
class Reading:
    """One quantity at one date."""

    value: float
    sd: float | None
    """Its own uncertainty, less what it shares with the other date; ``None`` where unknown."""


def level_of(checks: Sequence[ScanCheck]) -> Literal["same", "routine", "uncontrolled"]:
    """Return whose precision two scans have."""
    found = {check.outcome for check in checks}
    return "uncontrolled" if "uncontrolled" in found else "routine" if "routine" in found else "same"


def forbidden(checks: Sequence[ScanCheck], quantity: str) -> str:
    """Return why a quantity is not comparable; empty where it is."""
    stops = ("all", "strength") if quantity == "strength" else ("all",)
    return " ".join(check.sentence for check in checks if check.outcome in stops)


def least_change(
    stated: Precision, level: Literal["same", "routine", "uncontrolled"], before: Reading, after: Reading, *, levels: int
) -> tuple[float, Literal["precision", "uncertainty"]]:
    """Return the least significant change [% of the baseline] and which of the two sources it is from."""
    from_precision = {"same": stated.same, "routine": stated.routine, "uncontrolled": stated.uncontrolled}[level]
    from_precision *= stated.alone if levels == 1 else 1.0
    if before.sd is None or after.sd is None or before.value == 0:
        return from_precision, "precision"
    own = 100.0 * 1.96 * math.hypot(before.sd, after.sd) / abs(before.value)
    return (own, "uncertainty") if own > from_precision else (from_precision, "precision")


def change(
    bone: str,
    quantity: str,
    unit: str,
    before: Reading,
    after: Reading,
    *,
    years: float | None,
    checks: Sequence[ScanCheck],
    carried: bool,
    doubt: str = "",
    fault: str = "",
) -> Change | None:
    """Return what changed; ``None`` where no precision is known for the quantity or the baseline is no positive number.

    Parameters
    ----------
    bone
        One bone, or several levels joined by commas, of which the values are means.
    doubt
        Why this bone is not comparable; empty where it is.
    fault
        Why this change is none of the bone's (:func:`unexplained`); empty where nothing says so.
    """
    levels = bone.split(",")
    site = site_of(levels[0])
    stated = precision(site, quantity)
    if stated is None or not before.value > 0 or not math.isfinite(after.value):
        return None
    least, source = least_change(stated, level_of(checks), before, after, levels=len(levels))
    difference = after.value - before.value
    percent = 100.0 * difference / before.value
    yearly = percent / years if years else None
    why = " ".join(text for text in (forbidden(checks, quantity), doubt) if text)
    judgement: Judgement = "within" if abs(percent) <= least else "increase" if percent > 0 else "decrease"
    if why:
        judgement = "not comparable"
    elif strange := fault or _strange(site, quantity, percent, years):
        judgement, why = "implausible", strange
    return Change(
        bone, quantity, unit, before.value, after.value, difference, percent, yearly, least, source, stated.reference,
        judgement, carried, why,
    )  # fmt: skip


def unexplained(site: str, strengths: tuple[Reading, Reading], densities: tuple[Reading, Reading]) -> str:
    """Return why a strength that went otherwise than its density is doubted; empty where it is not."""
    values = [reading.value for reading in (*strengths, *densities)]
    if not all(value > 0 and math.isfinite(value) for value in values):
        return ""
    power, limit = explained(site)
    strength, density = values[1] / values[0], values[3] / values[2]
    expected = density**power
    if abs(math.log(strength / expected)) <= limit:
        return ""
    percents = [100.0 * (ratio - 1.0) for ratio in (strength, density, expected)]
    return (
        "The strength changed by {:+.0f} %, the density by {:+.1f} %, which lets expect {:+.0f} %: one of the two masks lacks a piece or holds too much, "
        "the bone lay too differently in the two tests, or it is fractured; look at both masks.".format(*percents)
    )


def _strange(site: str, quantity: str, percent: float, years: float | None) -> str:
    limit = implausible(site, quantity)
    if limit is None:
        return ""
    allowed = limit * max(years or SHORTEST, SHORTEST)
    if abs(percent) <= allowed:
        return ""
    return (
        f"A change of {percent:+.0f} % is more than bone makes in that time ({allowed:.0f} %): calibration, segmentation or registration is at fault, "
        "or the scans are of two persons."
    )


def trend(
    bone: str, quantity: str, unit: str, years: Sequence[float], values: Sequence[float], deviations: Sequence[float]
) -> Trend | None:
    """Return the weighted line through all dates; ``None`` with fewer than two dates apart.

    Its interval is that of the deviations given, not of the scatter about the line: with two or three dates there is none to speak of.
    """
    t, y, sd = (np.asarray(series, dtype=float) for series in (years, values, deviations))
    if len(t) < 2 or np.ptp(t) <= 0 or not (sd > 0).all() or y[0] <= 0:
        return None
    weight = 1.0 / sd**2
    middle = float((weight * t).sum() / weight.sum())
    spread = float((weight * (t - middle) ** 2).sum())
    slope = float((weight * (t - middle) * y).sum() / spread)
    half = 1.96 / math.sqrt(spread)
    scale = 100.0 / float(y[0])
    low, high = slope - half, slope + half
    return Trend(
        bone, quantity, unit, tuple(t.tolist()), tuple(y.tolist()), tuple(sd.tolist()), slope, (low, high), slope * scale,
        (low * scale, high * scale),
    )  # fmt: skip
