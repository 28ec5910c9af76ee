"""The order of a follow-up: scans checked, bones laid onto each other, measured in the same regions, changes judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from ..errors import InputError, OpenBCTError
from ..measures import lacking_landmarks, measure_femur, measure_vertebra, measure_whole_vertebra
from ..records import BoneMeasures, BoneRegion, Reference, Step
from ..versions import versions
from ..visits import Alignment, Change, Comparison, FollowUp, ScanCheck, Trend, Visit, VisitBone
from .alignment import align, carried
from .change import LSC_FACTOR, Reading, change, forbidden, trend, unexplained
from .comparable import check_person, compare_scans
from .independent import independent_sd
from .tables import effects, site_of

QUANTITIES = {
    "vertebra": ("trabecular_vbmd", "integral_vbmd"),
    "femur": ("total_hip_abmd", "femoral_neck_abmd", "integral_vbmd"),
}
"""Densities that are followed; strength beside them."""
SPINE = ("T12", "L1", "L2", "L3", "L4", "L5")
"""Levels of which means are formed, where there are at least two at both dates."""
VOLUME_LIMIT = 0.10
"""Change of a bone's own volume above which its mask is doubted: a grown bone keeps its size [design]."""
WAYS_LIMIT = 0.03
"""Difference of the logarithms of both ways' changes of trabecular density, from which it is told [design]."""
ISCD = Reference("ISCD, glossary of the precision calculator: least significant change = 2.77 x precision error, 95 %", "seen")
Observer = Callable[[str, str], None]


@dataclass
class _Series:
    """One quantity of one bone over the dates."""

    unit: str
    points: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Visit to value and its deviation."""


@dataclass
class _Bone:
    """What one bone gave in one comparison."""

    alignment: Alignment
    before: BoneMeasures
    after: BoneMeasures
    doubt: str
    cautions: list[str]


def follow(visits: Sequence[Visit], *, observe: Observer = lambda stage, bone: None) -> FollowUp:
    """Return what changed between the first date and each later one, and the line through all.

    Raises
    ------
    InputError
        Fewer than two visits, several persons, one scan twice, or no bone that the dates share.
    """
    if len(visits) < 2:
        raise InputError(
            f"found {len(visits)} result, expected a baseline and at least one follow-up; give two result folders or more"
        )
    check_person(visits)
    ordered = _by_date(visits)
    series: dict[tuple[str, str], _Series] = {}
    comparisons = tuple(_compare(ordered, number, series, observe) for number in range(1, len(ordered)))
    if not any(comparison.changes for comparison in comparisons):
        reasons = "; ".join(f"{bone}: {why}" for bone, why in comparisons[0].absent.items()) or "they share none"
        raise InputError(
            f"found no bone that can be compared ({reasons}), expected the same bones in the results; analyse the same bones"
        )
    sites = {site_of(bone.split(",")[0]) for bone, _ in series}
    known = tuple(effect for site in sorted(sites) for effect in effects(site))
    return FollowUp(ordered, comparisons, _trends(ordered, series, comparisons), known, _step(comparisons), versions())


def _by_date(visits: Sequence[Visit]) -> tuple[Visit, ...]:
    """Return the visits by date; as they were given where a date is unknown."""
    if any(visit.date is None for visit in visits):
        return tuple(visits)
    return tuple(sorted(visits, key=lambda visit: visit.date or ""))


def _years(baseline: Visit, followup: Visit) -> float | None:
    try:
        days = (date.fromisoformat(followup.date or "") - date.fromisoformat(baseline.date or "")).days
    except ValueError:
        return None
    return days / 365.25 if days > 0 else None


def _compare(visits: tuple[Visit, ...], number: int, series: dict[tuple[str, str], _Series], observe: Observer) -> Comparison:
    baseline, followup = visits[0], visits[number]
    checks, years = compare_scans(baseline, followup), _years(visits[0], visits[number])
    absent = {bone: f"not at the baseline ({why})" for bone, why in baseline.missing.items() if bone in followup.bones}
    found: dict[str, _Bone] = {}
    for name, before in baseline.bones.items():
        if name not in followup.bones:
            absent[name] = f"not at the follow-up ({followup.missing.get(name, 'it was not asked for')})"
            continue
        observe("aligning", name)
        found[name] = _measured(before, followup.bones[name], baseline, followup)
    changes: list[Change] = []
    for name, bone in found.items():
        changes += _changes(name, bone, visits, number, years, checks, series)
    changes = [*_means(found, visits, number, years, checks, series), *changes]
    cautions = [check.sentence for check in checks if check.sentence]
    cautions += [text for bone in found.values() for text in bone.cautions]
    cautions += [*baseline.doubts, *followup.doubts]
    cautions += [f"{change.bone}, {change.quantity}: {change.why}" for change in changes if change.judgement == "implausible"]
    if years is None:
        cautions.append("A date is not known, or both are the same: no change by year is given.")
    alignments = tuple(bone.alignment for bone in found.values())
    return Comparison(number, years, checks, alignments, tuple(changes), absent, tuple(dict.fromkeys(cautions)))


def _measured(before: VisitBone, after: VisitBone, baseline: Visit, followup: Visit) -> _Bone:
    """Return both dates' measures in the same regions, or in each date's own where these cannot be carried over."""
    alignment = align(before, after)
    cautions = [alignment.sentence] if alignment.sentence else []
    measures = after.measures
    if alignment.used:
        try:
            measures, doubt = _in_same_regions(before, after, alignment, baseline, followup)
            cautions += [doubt] if doubt else []
        except OpenBCTError as error:
            said = f"{before.bone}: the regions of one date could not be measured in the other ({error}); each scan's own are compared."
            alignment = replace(alignment, used=False, sentence=said)
            cautions.append(said)
    doubt = " ".join(
        f"At the {when} {bone.bone} stands for nothing: {bone.unfit}."
        for when, bone in (("baseline", before), ("follow-up", after))
        if bone.unfit
    )
    volumes = [bone.measures.values.get("volume") for bone in (before, after)]
    if all(volumes) and volumes[0] and volumes[1] and abs(volumes[1].value / volumes[0].value - 1.0) > VOLUME_LIMIT:
        cautions.append(
            f"{before.bone}: its volume is {volumes[0].value:.1f} cm³ at the baseline and {volumes[1].value:.1f} cm³ at the follow-up; a grown bone keeps "
            "its size: one of the masks is wrong, the image ends elsewhere, or it is fractured, and its strength is doubtful."
        )
    return _Bone(alignment, before.measures, measures, doubt, cautions)


def _in_same_regions(
    before: VisitBone, after: VisitBone, alignment: Alignment, baseline: Visit, followup: Visit
) -> tuple[BoneMeasures, str]:
    """Return the follow-up's measures as the baseline's times the change in the same regions, and a doubt where the two ways disagree.

    The baseline's regions are measured in the follow-up, and the follow-up's in the baseline; the change is the geometric mean of the two.
    Interpolation lowers the density at the cortex of the image that is interpolated: in the mean it cancels, as the masks do in each.

    Raises
    ------
    InputError
        A region lacks a landmark that measures of today start from.
    """
    there = _measure(carried(before.region, after, alignment.transform), followup, before).values
    back = _measure(carried(after.region, before, np.linalg.inv(alignment.transform)), baseline, after).values
    values, doubt = {}, ""
    for name, first in before.measures.values.items():
        own, four = after.measures.values.get(name), (first, there.get(name), back.get(name))
        if own is None or any(one is None or one.value <= 0 for one in (*four, own)):
            continue
        ways = there[name].value / first.value, own.value / back[name].value
        values[name] = replace(own, value=first.value * math.sqrt(ways[0] * ways[1]))
        if name == "trabecular_vbmd" and abs(math.log(ways[0] / ways[1])) > WAYS_LIMIT:
            there_percent, back_percent = (100.0 * (way - 1.0) for way in ways)
            doubt = (
                f"{before.bone}: its trabecular density changed by {there_percent:+.1f} % in the baseline's region and by {back_percent:+.1f} % "
                "in the follow-up's; their mean is given. One of the two regions touches the cortex: look at both masks."
            )
    return replace(after.measures, values=values), doubt


def _measure(region: BoneRegion, visit: Visit, before: VisitBone) -> BoneMeasures:
    """Return the measures of a carried region, by the same function as the baseline's."""
    calibration = replace(visit.calibration, density=region.density)
    whole = "whole_vbmd" in before.measures.values
    if not whole and lacking_landmarks(region):
        raise InputError("an earlier version of the program found it; analyse that scan again to have both measured alike")
    if region.kind == "femur":
        return measure_femur(region, calibration)
    return measure_whole_vertebra(region, calibration) if whole else measure_vertebra(region, calibration)


def _readings(bone: _Bone, name: str, visits: tuple[Visit, ...], number: int) -> dict[str, tuple[Reading, Reading, str]]:
    """Return every followed quantity of a bone at both dates, with its unit."""
    rows: dict[str, tuple[Reading, Reading, str]] = {}
    first, second = (visits[at].bones[name] for at in (0, number))
    for quantity in QUANTITIES[site_of(name)]:
        one, other = bone.before.values.get(quantity), bone.after.values.get(quantity)
        if one is not None and other is not None:
            deviations = (independent_sd(visit, quantity, carried=bone.alignment.used) for visit in (first, second))
            before, after = (Reading(m.value, sd) for m, sd in zip((one, other), deviations))
            rows[quantity] = (before, after, one.unit)
    if first.strength is not None and second.strength is not None:
        before, after = (
            Reading(visit.strength.strength, independent_sd(visit, "strength", carried=False))
            for visit in (first, second)
            if visit.strength is not None
        )
        rows["strength"] = (before, after, "N")
    return rows


def _changes(
    name: str,
    bone: _Bone,
    visits: tuple[Visit, ...],
    number: int,
    years: float | None,
    checks: tuple[ScanCheck, ...],
    series: dict[tuple[str, str], _Series],
) -> list[Change]:
    found, readings = [], _readings(bone, name, visits, number)
    fault = _fault(name, readings)
    for quantity, (before, after, unit) in readings.items():
        same = bone.alignment.used and quantity != "strength"
        wrong = fault if quantity == "strength" else ""
        row = change(name, quantity, unit, before, after, years=years, checks=checks, carried=same, doubt=bone.doubt, fault=wrong)
        if row is not None:
            found.append(row)
            _note(series, row, number)
    return found


def _fault(name: str, readings: dict[str, tuple[Reading, Reading, str]]) -> str:
    """Return why the change of a bone's strength is none of the bone's; empty where nothing says so."""
    if "strength" not in readings or "integral_vbmd" not in readings:
        return ""
    return unexplained(site_of(name), readings["strength"][:2], readings["integral_vbmd"][:2])


def _means(
    found: dict[str, _Bone],
    visits: tuple[Visit, ...],
    number: int,
    years: float | None,
    checks: tuple[ScanCheck, ...],
    series: dict[tuple[str, str], _Series],
) -> list[Change]:
    """Return the changes of the means of the spine's sound levels, for quantities that at least two of them have."""
    sound = [level for level in SPINE if level in found and not found[level].doubt]
    rows = {level: _readings(found[level], level, visits, number) for level in sound}
    changes = []
    for quantity in (*QUANTITIES["vertebra"], "strength"):
        levels = [level for level in sound if quantity in rows[level]]
        if quantity == "strength" and not forbidden(checks, quantity):
            levels = [level for level in levels if not _fault(level, rows[level])]
        if len(levels) < 2:
            continue
        before, after = (_mean([rows[level][quantity][at] for level in levels]) for at in (0, 1))
        same = quantity != "strength" and all(found[level].alignment.used for level in levels)
        unit = rows[levels[0]][quantity][2]
        row = change(",".join(levels), quantity, unit, before, after, years=years, checks=checks, carried=same)
        if row is not None:
            changes.append(row)
            _note(series, row, number)
    return changes


def _mean(readings: Sequence[Reading | str]) -> Reading:
    """Return the mean of several levels; their own uncertainty is mostly the calibration's and does not average out."""
    values = [reading for reading in readings if isinstance(reading, Reading)]
    deviations = [reading.sd for reading in values]
    known = [deviation for deviation in deviations if deviation is not None]
    count = len(values)
    return Reading(sum(reading.value for reading in values) / count, sum(known) / count if len(known) == count else None)


def _note(series: dict[tuple[str, str], _Series], row: Change, number: int) -> None:
    """Keep both values for the line through all dates, each with the deviation that its least significant change stands for."""
    if row.judgement in ("not comparable", "implausible"):
        return
    kept = series.setdefault((row.bone, row.quantity), _Series(row.unit))
    deviation = row.least / 100.0 * row.baseline / LSC_FACTOR
    kept.points.setdefault(0, (row.baseline, deviation))
    kept.points[number] = (row.followup, deviation)


def _trends(
    visits: tuple[Visit, ...], series: dict[tuple[str, str], _Series], comparisons: tuple[Comparison, ...]
) -> tuple[Trend, ...]:
    years = {0: 0.0} | {one.number: one.years for one in comparisons if one.years is not None}
    lines = []
    for (bone, quantity), kept in series.items():
        used = [(years[at], *kept.points[at]) for at in sorted(kept.points) if at in years]
        line = trend(bone, quantity, kept.unit, *zip(*used)) if len(used) > 1 else None
        lines += [line] if line is not None else []
    return tuple(lines)


def _step(comparisons: tuple[Comparison, ...]) -> Step:
    """Return what was done, with the sources of the precision that was used."""
    used = {change.precision: None for one in comparisons for change in one.changes}
    both = {change.carried for one in comparisons for change in one.changes if change.quantity != "strength"}
    where = (
        "Each bone of the baseline was laid onto the follow-up's by a rigid registration of the densities in and around it; the regions of each date were "
        "measured at both, and a change of density is the geometric mean of the two."
    )
    if both == {False}:
        where = "Each scan was measured in its own regions, because they could not be carried over."
    sentence = (
        f"{where} Strengths are those of each scan's own virtual test. A change counts where it is larger than the least significant change (95 %): the "
        "larger of that by the stated precision and of 1.96 times the two scans' own uncertainties, less what they share, added as squares. Dates "
        "are joined by a weighted line."
    )
    return Step("followup", sentence, (ISCD, *used))
