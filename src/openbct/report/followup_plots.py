"""The trend of one quantity over all dates, with its intervals."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..visits import Trend
from . import drawing
from .followup_names import signed
from .wording import Texts

SHARE: Final = 0.48
HEIGHT: Final = 52.0
"""Of the picture [mm]."""
STEPS: Final = 60


def trend_plot(trend: Trend, least: float, texts: Texts, *, first: str) -> bytes:
    """Return an SVG of the values by year, the weighted line with its 95 % band, and the least significant change about the first.

    Parameters
    ----------
    least
        Least significant change [%].
    first
        Date of the baseline in words.
    """
    canvas = drawing.new_figure(SHARE, HEIGHT)
    axes = drawing.place(canvas, 14.0, 11.0, SHARE * drawing.PAGE_WIDTH - 17.0, HEIGHT - 18.0)
    drawing.tidy(axes)
    years, values, deviations = (np.asarray(series) for series in (trend.years, trend.values, trend.deviations))
    scale = 1e-3 if trend.unit == "N" else 1.0
    margin = 0.12 * float(np.ptp(years))
    along = np.linspace(years.min() - margin, years.max() + margin, STEPS)
    weight = 1.0 / deviations**2
    middle = float((weight * years).sum() / weight.sum())
    level = float((weight * values).sum() / weight.sum())
    line = level + trend.slope * (along - middle)
    spread = float((weight * (years - middle) ** 2).sum())
    half = 1.96 * np.sqrt(1.0 / weight.sum() + (along - middle) ** 2 / spread)
    axes.fill_between(along, scale * (line - half), scale * (line + half), color=drawing.ACCENT, alpha=0.15, linewidth=0)
    axes.plot(along, scale * line, color=drawing.ACCENT, linewidth=1.3)
    for side in (-1.0, 1.0):
        axes.axhline(scale * values[0] * (1 + side * least / 100.0), color=drawing.QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.errorbar(
        years,
        scale * values,
        yerr=1.96 * scale * deviations,
        fmt="o",
        color=drawing.INK,
        markersize=4.5,
        elinewidth=0.9,
        capsize=2.2,
    )
    axes.set_xlim(float(along[0]), float(along[-1]))
    slope = texts(
        "followup.trend.slope",
        value=signed(trend.percent_per_year, texts),
        low=texts.number(trend.percent_95[0], 1),
        high=texts.number(trend.percent_95[1], 1),
    )
    axes.set_title(slope, fontsize=drawing.FONT_SIZE + 0.5, color=drawing.INK, loc="left", pad=4)
    unit = texts("curve.force") if trend.unit == "N" else texts.unit(trend.unit.split(" ")[0])
    axes.set_ylabel(unit, fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=3)
    axes.set_xlabel(texts("followup.trend.axis", first=first), fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=2)
    return drawing.to_svg(canvas)
