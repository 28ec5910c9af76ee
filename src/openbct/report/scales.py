"""Numbers on a line with their thresholds: from findings to scale bars, and from a scale bar to its drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from ..records import Case, Finding
from . import drawing
from .content import Marker, ScaleBar
from .texts import Texts, clean

WIDTH: Final = 300.0
"""Width of the drawing in its own units (one is 0.353 mm in print)."""
BAR_TOP: Final = 33.0
BAR_HEIGHT: Final = 11.0
SHADES: Final = ("#5d7f8a", "#a9c3c9", "#e3ecee")
"""Zones from high risk to normal: dark to light, legible in grey."""
T_RANGE: Final = (-4.5, 1.5)
BMD_CLASSES: Final = ("osteoporosis", "low bone mass", "normal")


def scale_bars(case: Case, texts: Texts) -> tuple[ScaleBar, ...]:
    """Return one scale for each kind of quantity that has thresholds, all bones of that kind on it."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in case.assessment.findings:
        if not finding.thresholds:
            continue
        if finding.t_score is not None:
            key: tuple[object, ...] = ("t", finding.thresholds)
        else:
            key = (finding.quantity, finding.unit, finding.thresholds)
        groups.setdefault(key, []).append(finding)
    order = sorted(groups.values(), key=lambda group: group[0].category is None)
    return tuple(_scale(group, case, texts) for group in order)


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
    headline = ("T " if by_t else "") + texts.quantity(values[lowest], unit) + shown_unit
    if several:
        headline += f" ({texts('scale.lowest')}: {_label(first, texts, by_t)})"
    strength = "strength" in first.quantity
    verdict = texts.find(f"class.{first.category}", clean(first.category)) if first.category is not None else ""
    if not verdict:
        verdict = texts("scale.unclassified") if strength else texts("scale.no_class")
    return ScaleBar(
        title=_title(first, by_t, texts),
        headline=headline,
        verdict=verdict,
        unit="" if by_t else texts.unit(unit),
        low=low,
        high=high,
        thresholds=thresholds,
        threshold_texts=tuple(texts.quantity(value, unit) for value in thresholds),
        zones=_zones(len(thresholds), strength, texts),
        markers=tuple(
            Marker(_label(finding, texts, by_t), value, texts.quantity(value, unit), None if by_t else _deviation(finding, case))
            for finding, value in zip(group, values)
        ),
        classified=classified,
        note="" if classified else clean(first.against),
    )


def _range(values: Sequence[float], thresholds: Sequence[float], by_t: bool) -> tuple[float, float]:
    """Return the ends of the scale: round numbers well beyond the thresholds, and beyond the values within reason."""
    if by_t:
        return T_RANGE
    span = 2.0 * thresholds[-1]
    top = min(max(span, 1.1 * max(values)), 3.0 * thresholds[-1])
    return 0.0, drawing.nice_ceiling(top)


def _zones(n_thresholds: int, strength: bool, texts: Texts) -> tuple[str, ...]:
    if n_thresholds == 2:
        names = ("fragile", "low_strength", "normal_strength") if strength else ("osteoporosis", "low", "normal")
        return tuple(texts(f"zone.{name}") for name in names)
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
    bone = texts.short_bone(finding.bone)
    return f"{bone} {texts.find(f'short.{finding.quantity}', finding.quantity)}" if by_t else bone


def _deviation(finding: Finding, case: Case) -> float | None:
    """Return one standard deviation of a finding, where its bone's measure knows it."""
    for bone in case.bones:
        if bone.bone == finding.bone and bone.measures is not None:
            measure = bone.measures.values.get(finding.quantity)
            return measure.uncertainty if measure is not None else None
    return None


# Drawing -----------------------------------------------------------------------------------------------------


def draw_scale(bar: ScaleBar) -> str:
    """Return the scale as SVG with real letters; the text alternative is the renderer's to add."""
    levels = _stagger(bar)
    top = 11.0 * max(levels.values(), default=0)
    height = top + BAR_TOP + BAR_HEIGHT + 14.0
    base = top + BAR_TOP
    parts = [_zone(bar, index, base) for index in range(len(bar.zones))]
    parts += [_threshold(bar, index, base) for index in range(len(bar.thresholds))]
    parts += [_marker(bar, marker, base, levels[index]) for index, marker in enumerate(bar.markers)]
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}" height="{height:g}" '
        f'font-family="Source Sans 3, Source Sans Pro, Helvetica, Arial, sans-serif" font-size="9">{body}</svg>'
    )


def _x(bar: ScaleBar, value: float) -> float:
    """Return the place of a value; values beyond the ends stand at the ends."""
    share = (value - bar.low) / (bar.high - bar.low)
    return 6.0 + (WIDTH - 12.0) * min(max(share, 0.0), 1.0)


def _zone(bar: ScaleBar, index: int, base: float) -> str:
    edges = (bar.low, *bar.thresholds, bar.high)
    left, right = _x(bar, edges[index]), _x(bar, edges[index + 1])
    shade = SHADES[min(index, len(SHADES) - 1)] if bar.classified else "#f2f4f5"
    line = "none" if bar.classified else drawing.HAIRLINE
    text = bar.zones[index]
    fits = len(text) * 4.6 < right - left
    ink = "#ffffff" if bar.classified and index == 0 else "#3a4650"
    label = (
        f'<text x="{(left + right) / 2:.1f}" y="{base + 8.4:.1f}" text-anchor="middle" fill="{ink}" font-size="8.5">{escape(text)}</text>'
        if fits and text
        else ""
    )
    return f'<rect x="{left:.1f}" y="{base:.1f}" width="{right - left:.1f}" height="{BAR_HEIGHT}" fill="{shade}" stroke="{line}" stroke-width="0.6"/>{label}'


def _threshold(bar: ScaleBar, index: int, base: float) -> str:
    x = _x(bar, bar.thresholds[index])
    dash = "" if bar.classified else ' stroke-dasharray="2 1.6"'
    return (
        f'<line x1="{x:.1f}" y1="{base - 2:.1f}" x2="{x:.1f}" y2="{base + BAR_HEIGHT + 3:.1f}" stroke="{drawing.INK}" stroke-width="0.8"{dash}/>'
        f'<text x="{x:.1f}" y="{base + BAR_HEIGHT + 11.5:.1f}" text-anchor="middle" fill="{drawing.INK}" font-size="8.5">'
        f"{escape(bar.threshold_texts[index])}</text>"
    )


def _marker(bar: ScaleBar, marker: Marker, base: float, level: int) -> str:
    """Draw a pointer with its label; an error line where the uncertainty is known, an arrow where it is off the scale."""
    x = _x(bar, marker.value)
    outside = "◂ " if marker.value < bar.low else "▸ " if marker.value > bar.high else ""
    y = base - 14.0 - 11.0 * level
    text = f"{outside}{marker.label} {marker.text}"
    half = len(text) * 2.3
    place = min(max(x, half), WIDTH - half)
    error = ""
    if marker.uncertainty:
        left, right = _x(bar, marker.value - marker.uncertainty), _x(bar, marker.value + marker.uncertainty)
        error = f'<line x1="{left:.1f}" y1="{base - 1.6:.1f}" x2="{right:.1f}" y2="{base - 1.6:.1f}" stroke="{drawing.INK}" stroke-width="1.6"/>'
    return (
        f'<line x1="{x:.1f}" y1="{y + 2:.1f}" x2="{x:.1f}" y2="{base - 5:.1f}" stroke="{drawing.QUIET}" stroke-width="0.6"/>{error}'
        f'<path d="M{x - 4:.1f} {base - 7.5:.1f}h8l-4 7z" fill="{drawing.INK}"/>'
        f'<text x="{place:.1f}" y="{y:.1f}" text-anchor="middle" fill="{drawing.INK}" font-weight="600">{escape(text)}</text>'
    )


def _stagger(bar: ScaleBar) -> Mapping[int, int]:
    """Return a level for each marker so that labels do not overlap."""
    levels: dict[int, int] = {}
    ends: list[float] = []
    for index in sorted(range(len(bar.markers)), key=lambda i: bar.markers[i].value):
        marker = bar.markers[index]
        half = (len(marker.label) + len(marker.text) + 3) * 2.3
        middle = min(max(_x(bar, marker.value), half), WIDTH - half)
        level = next((n for n, end in enumerate(ends) if end <= middle - half), len(ends))
        if level == len(ends):
            ends.append(0.0)
        ends[level] = middle + half
        levels[index] = level
    return levels
