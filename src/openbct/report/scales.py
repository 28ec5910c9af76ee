"""From findings to scale bars: numbers of one kind on one line with their thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..records import Case, Finding, Reference
from .content import Marker, ScaleBar
from .drawing import nice_ceiling
from .wording import Texts, clean

T_RANGE: Final = (-4.5, 1.5)
UNDECIDED: Final = (0.8, 1.2)
"""Load-to-strength that neither foretells nor excludes a fracture: Keaveny and Bouxsein, J Bone Miner Res (2008) [S]."""


def unverified(reference: Reference) -> bool:
    """Tell whether nobody has seen in the source, or in public code, what was taken from it."""
    return reference.mark not in ("seen", "code")


def load_unverified(case: Case) -> bool:
    """Tell whether the fall's load rests on an unverified source: one of the assessment's own, behind no finding."""
    behind = {finding.reference for finding in case.assessment.findings}
    return any(unverified(reference) for reference in case.assessment.step.references if reference not in behind)


def scale_bars(case: Case, texts: Texts) -> tuple[ScaleBar, ...]:
    """Return one scale for each kind of quantity that has thresholds, all bones of that kind on it."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    means = {(finding.quantity, finding.bone): finding for finding in case.assessment.findings if ", " in finding.bone}
    for finding in case.assessment.findings:
        # A single level behind a mean is drawn as part of that mean.
        part = any(kind == finding.quantity and finding.bone in bone.split(", ") for kind, bone in means)
        if not finding.thresholds or (part and ", " not in finding.bone):
            continue
        if finding.t_score is not None:
            key: tuple[object, ...] = ("t", finding.thresholds)
        else:
            key = (finding.quantity, finding.unit, finding.thresholds)
        groups.setdefault(key, []).append(finding)
    order = sorted(groups.values(), key=lambda group: group[0].category is None)
    bars = [_scale(group, case, texts) for group in order]
    ratios = case.assessment.load_to_strength
    if ratios and not any("load" in finding.quantity for finding in case.assessment.findings):
        soft = any(name in case.assessment.hip_loads for name in ratios)
        sure = {name: _half(interval) for name, interval in case.assessment.ratio_intervals.items()}
        bars.append(_load_scale(ratios, sure, texts, load_unverified(case), soft=soft))
    return tuple(bars)


def _half(interval: tuple[float, float]) -> float:
    """Return one standard deviation of a 95 % interval."""
    return (interval[1] - interval[0]) / 2 / 1.96


def _load_scale(ratios: Mapping[str, float], sure: Mapping[str, float], texts: Texts, doubtful: bool, *, soft: bool) -> ScaleBar:
    """Return load-to-strength on a scale with the band in which it decides nothing; ``sure`` holds standard deviations."""
    worst = max(ratios, key=lambda name: ratios[name])
    headline = texts.number(ratios[worst], 2)
    if worst in sure:
        headline = texts("value.sd", value=headline, sd=texts.number(sure[worst], 2))
    if len(ratios) > 1:
        headline += f" ({texts('scale.highest')}: {texts.short_bone(worst)})"
    return ScaleBar(
        title=_marked(texts("scale.load"), doubtful, texts),
        headline=headline,
        verdict=texts("scale.load_verdict_soft" if soft else "scale.load_verdict"),
        unit="",
        low=0.0,
        high=2.0,
        thresholds=UNDECIDED,
        threshold_texts=tuple(texts.number(end, 1) for end in UNDECIDED),
        zones=(texts("zone.load_below"), texts("zone.load_undecided"), texts("zone.load_above")),
        markers=tuple(
            Marker(texts.short_bone(name), ratio, texts.number(ratio, 2), sure.get(name) if name == worst else None)
            for name, ratio in ratios.items()
        ),
        classified=False,
        band=UNDECIDED,
    )


def _marked(title: str, doubtful: bool, texts: Texts) -> str:
    return f"{title} ({texts('unverified')})" if doubtful else title


def _scale(group: Sequence[Finding], case: Case, texts: Texts) -> ScaleBar:
    """Return the scale of one kind of quantity; its headline is the lowest value."""
    by_t = group[0].t_score is not None
    values = [float(finding.t_score) if by_t and finding.t_score is not None else finding.value for finding in group]
    unit = "T" if by_t else group[0].unit
    lowest = min(range(len(group)), key=lambda index: values[index])
    first = group[lowest]
    classified = first.category is not None
    thresholds = group[0].thresholds
    low, high = _range(values, thresholds, by_t)
    several = len(group) > 1
    shown_unit = "" if by_t else f" {texts.unit(unit.split(' ')[0])}"
    deviation = first.t_score_sd if by_t else _deviation(first, case)
    number = texts.quantity(values[lowest], unit)
    if deviation:
        number = texts("value.sd", value=number, sd=texts.quantity(deviation, unit))
    headline = ("T " if by_t else "") + number + shown_unit
    if ", " in first.bone:
        headline += f" ({texts('scale.mean')} {clean(first.bone)})"
    elif several:
        headline += f" ({texts('scale.lowest')}: {_label(first, texts, by_t)})"
    strength = "strength" in first.quantity
    verdict = texts.find(f"class.{first.category}", clean(first.category)) if first.category is not None else ""
    if not verdict and strength and not _is_mapped(first):
        verdict = texts("scale.unclassified")
    elif not verdict:
        verdict = texts.statement(first.against) if first.against.startswith("no class: ") else texts("scale.no_class")
    return ScaleBar(
        title=_marked(_title(first, by_t, texts), any(unverified(finding.reference) for finding in group), texts),
        headline=headline,
        verdict=verdict,
        unit="" if by_t else texts.unit(unit),
        low=low,
        high=high,
        thresholds=thresholds,
        threshold_texts=tuple(texts.quantity(value, unit) for value in thresholds),
        zones=_zones(len(thresholds), strength, texts, named=classified and (not strength or _is_mapped(first))),
        markers=tuple(
            Marker(
                _label(finding, texts, by_t),
                value,
                texts.quantity(value, unit),
                _bracket(finding, case, decides=finding is first),
            )
            for finding, value in zip(group, values)
        )
        + tuple(marker for finding in group for marker in _parts(finding, case, texts)),
        classified=classified,
    )


def _bracket(finding: Finding, case: Case, *, decides: bool) -> float | None:
    """Return what is drawn under a value: of T-scores, which lie close together, for the deciding one alone."""
    if finding.t_score is None:
        return _deviation(finding, case)
    return finding.t_score_sd if decides else None


def _is_mapped(finding: Finding) -> bool:
    """Tell whether a strength stands beside thresholds of its own recipe: those of a reference are computed, published ones seen."""
    return finding.quantity == "strength" and finding.reference.mark == "computed"


def _range(values: Sequence[float], thresholds: Sequence[float], by_t: bool) -> tuple[float, float]:
    """Return the ends of the scale: round numbers well beyond the thresholds, and beyond the values within reason."""
    if by_t:
        return T_RANGE
    span = 2.0 * thresholds[-1]
    top = min(max(span, 1.1 * max(values)), 3.0 * thresholds[-1])
    return 0.0, nice_ceiling(top)


def _zones(n_thresholds: int, strength: bool, texts: Texts, *, named: bool) -> tuple[str, ...]:
    # Cut values of strength belong to another program's newtons, those of density to another age: without a class the zones have no names.
    if n_thresholds == 2 and named:
        return tuple(texts(f"zone.{name}") for name in ("fragile" if strength else "osteoporosis", "low", "normal"))
    return ("",) * (n_thresholds + 1)


def _title(finding: Finding, by_t: bool, texts: Texts) -> str:
    if by_t:
        return texts("scale.t")
    if "strength" in finding.quantity and "load" not in finding.quantity:
        return texts("scale.strength_hip" if finding.bone.startswith("femur") else "scale.strength_spine")
    if finding.quantity == "trabecular_vbmd":
        return texts("scale.vbmd")
    return texts.find(f"quantity.{finding.quantity}", clean(finding.quantity))


def _label(finding: Finding, texts: Texts, by_t: bool) -> str:
    bone = texts("scale.mean") if ", " in finding.bone else texts.short_bone(finding.bone)
    return f"{bone} {texts.find(f'short.{finding.quantity}', finding.quantity)}" if by_t else bone


def _parts(finding: Finding, case: Case, texts: Texts) -> tuple[Marker, ...]:
    """Return the single bones behind a finding that is a mean over several."""
    names = finding.bone.split(", ")
    if finding.quantity == "strength" and len(names) > 1:
        tested = [bone.strength for bone in case.bones if bone.bone in names and bone.strength is not None]
        return tuple(
            Marker(texts.short_bone(one.bone), one.strength, texts.quantity(one.strength, "N"), main=False) for one in tested
        )
    measured = {bone.bone: bone.measures for bone in case.bones if bone.bone in names and bone.measures is not None}
    if len(names) < 2:
        return ()
    found = [(name, measures.values.get(finding.quantity)) for name, measures in measured.items()]
    return tuple(
        Marker(texts.short_bone(name), measure.value, texts.quantity(measure.value, measure.unit), main=False)
        for name, measure in found
        if measure is not None
    )


def _deviation(finding: Finding, case: Case) -> float | None:
    """Return one standard deviation of a finding: of its interval, else what its bone's strength or measure knows."""
    if finding.interval is not None:
        return _half(finding.interval)
    names = finding.bone.split(", ")
    if "strength" in finding.quantity:
        return next((bone.strength.uncertainty for bone in case.bones if bone.bone in names and bone.strength is not None), None)
    found = [
        bone.measures.values.get(finding.quantity) for bone in case.bones if bone.bone in names and bone.measures is not None
    ]
    # The calibration is common to all levels, so that a mean is as uncertain as its levels are.
    known = [measure.uncertainty for measure in found if measure is not None and measure.uncertainty is not None]
    return sum(known) / len(known) if known else None
