"""The drawing of a scale bar: one SVG with real letters for the page and for print."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from . import drawing
from .content import Marker, ScaleBar

WIDTH: Final = 300.0
"""Width of the drawing in its own units; one is about a point in print."""
BAR_TOP: Final = 31.0
BAR_HEIGHT: Final = 11.0
ROW: Final = 11.0
LETTER: Final = 4.75
"""Width of a letter at 9 units, on the safe side."""
SHADES: Final = ("#5d7f8a", "#a9c3c9", "#e3ecee")
"""Zones from high risk to normal: dark to light, legible in grey."""
BAND: Final = "#d3dadf"
"""Where a value decides nothing."""


def draw_scale(bar: ScaleBar) -> str:
    """Return the scale as SVG; the text alternative is the renderer's to add."""
    places = _places(bar)
    rows = 1 + max((row for _, row in places), default=0)
    base = BAR_TOP + ROW * (rows - 1)
    height = base + BAR_HEIGHT + 14.0
    parts = [_zone(bar, index, base) for index in range(len(bar.zones))]
    parts += [_threshold(bar, index, base) for index in range(len(bar.thresholds))]
    parts += [
        _marker(bar, marker, base, place) for marker, place in sorted(zip(bar.markers, places), key=lambda pair: pair[0].main)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}" height="{height:g}" '
        f'font-family="Source Sans 3, Source Sans Pro, Helvetica, Arial, sans-serif" font-size="9">{"".join(parts)}</svg>'
    )


def _x(bar: ScaleBar, value: float) -> float:
    """Return the place of a value; values beyond the ends stand at the ends."""
    share = (value - bar.low) / (bar.high - bar.low)
    return 6.0 + (WIDTH - 12.0) * min(max(share, 0.0), 1.0)


def _zone(bar: ScaleBar, index: int, base: float) -> str:
    edges = (bar.low, *bar.thresholds, bar.high)
    left, right = _x(bar, edges[index]), _x(bar, edges[index + 1])
    plain = BAND if bar.band is not None and bar.band == (edges[index], edges[index + 1]) else "#f2f4f5"
    shade = SHADES[min(index, len(SHADES) - 1)] if bar.classified else plain
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


def _marker(bar: ScaleBar, marker: Marker, base: float, place: tuple[float, int]) -> str:
    """Draw a pointer with its label; an error line where the uncertainty is known, an arrow where it is off the scale."""
    x = _x(bar, marker.value)
    middle, row = place
    y = base - 15.0 - ROW * row
    fill = drawing.INK if marker.main else "#ffffff"
    weight = "600" if marker.main else "400"
    error = ""
    if marker.uncertainty:
        level = base + BAR_HEIGHT + 3.2
        left, right = _x(bar, marker.value - marker.uncertainty), _x(bar, marker.value + marker.uncertainty)
        error = f'<line x1="{left:.1f}" y1="{level:.1f}" x2="{right:.1f}" y2="{level:.1f}" stroke="{drawing.INK}" stroke-width="1.3"/>'
        error += "".join(
            f'<line x1="{end:.1f}" y1="{level - 1.8:.1f}" x2="{end:.1f}" y2="{level + 1.8:.1f}" stroke="{drawing.INK}" stroke-width="1"/>'
            for end in (left, right)
        )
    return (
        f'<path d="M{middle:.1f} {y + 2.5:.1f}L{x:.1f} {base - 7:.1f}" stroke="{drawing.QUIET}" stroke-width="0.6" fill="none"/>{error}'
        f'<path d="M{x - 3.8:.1f} {base - 7.5:.1f}h7.6l-3.8 7z" fill="{fill}" stroke="{drawing.INK}" stroke-width="0.8"/>'
        f'<text x="{middle:.1f}" y="{y:.1f}" text-anchor="middle" fill="{drawing.INK}" font-weight="{weight}">{escape(_label(bar, marker))}</text>'
    )


def _label(bar: ScaleBar, marker: Marker) -> str:
    outside = "◂ " if marker.value < bar.low else "▸ " if marker.value > bar.high else ""
    return f"{outside}{marker.label} {marker.text}"


def _places(bar: ScaleBar) -> list[tuple[float, int]]:
    """Return the middle and the row of each marker's label: as near to its value as its neighbours allow."""
    widths = [LETTER * len(_label(bar, marker)) + 7.0 for marker in bar.markers]
    order = sorted(range(len(bar.markers)), key=lambda index: bar.markers[index].value)
    n_rows = max(1, -(-int(sum(widths)) // int(WIDTH)))
    places: list[tuple[float, int]] = [(0.0, 0)] * len(order)
    for row in range(n_rows):
        members = order[row::n_rows]
        middles = _spread([_x(bar, bar.markers[i].value) for i in members], [widths[i] for i in members])
        for index, middle in zip(members, middles):
            places[index] = (middle, row)
    return places


def _spread(wanted: list[float], widths: list[float]) -> list[float]:
    """Return middles in the wanted order that keep labels apart and inside the drawing, each group centred on its wishes."""
    groups: list[tuple[list[float], float]] = []  # wished left edges relative to the group's start, and its width
    for middle, width in zip(wanted, widths):
        groups.append(([middle - width / 2], width))
        while len(groups) > 1 and _start(groups[-2]) + groups[-2][1] > _start(groups[-1]):
            (first, first_width), (second, second_width) = groups[-2], groups[-1]
            groups[-2:] = [(first + [edge - first_width for edge in second], first_width + second_width)]
    edges: list[float] = []
    position = 0
    for group in groups:
        left = _start(group)
        for _ in group[0]:
            edges.append(left)
            left += widths[position]
            position += 1
    return [edge + width / 2 for edge, width in zip(edges, widths)]


def _start(group: tuple[list[float], float]) -> float:
    """Return where a group of labels begins."""
    wishes, width = group
    return min(max(sum(wishes) / len(wishes), 0.0), max(WIDTH - width, 0.0))
