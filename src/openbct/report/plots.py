"""Curves of the report: the virtual test and the calibration."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes

from ..records import Array, CalibratedVolume, ReferenceSample, StrengthResult
from . import drawing
from .wording import Texts

SYMBOLS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")


def force_curve(strength: StrengthResult, texts: Texts, share: float = 0.5, height: float = 54.0) -> bytes:
    """Return an SVG of force over travel with the strength point and the initial stiffness."""
    canvas = drawing.new_figure(share, height)
    axes = drawing.place(canvas, 14.0, 11.0, share * drawing.PAGE_WIDTH - 18.0, height - 14.0)
    drawing.tidy(axes)
    travel, force = strength.curve[:, 0], strength.curve[:, 1] / 1000.0
    axes.plot(travel, force, color=drawing.ACCENT, linewidth=1.6, marker="o", markersize=2.6)
    top = 1.18 * float(max(force.max(), strength.strength / 1000.0))
    right = 1.04 * float(travel.max())
    if strength.stiffness > 0:
        end = min(0.93 * top / (strength.stiffness / 1000.0), right)
        axes.plot([0, end], [0, end * strength.stiffness / 1000.0], color=drawing.QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
    at = _travel_at_strength(strength)
    if at is not None:
        point = strength.strength / 1000.0
        axes.plot([at, at, 0], [0, point, point], color=drawing.SIGNAL, linewidth=0.8, linestyle=(0, (1.5, 2)))
        axes.plot([at], [point], marker="D", markersize=5.5, color=drawing.SIGNAL, markeredgecolor="white", markeredgewidth=0.8)
        near_right = at > 0.6 * right
        axes.annotate(
            texts("curve.strength", value=texts.force(strength.strength)),
            (at, point),
            xytext=(-4 if near_right else 6, 7),
            textcoords="offset points",
            ha="right" if near_right else "left",
            fontsize=8.5,
            fontweight="bold",
            color=drawing.SIGNAL,
        )
    axes.set_xlim(0, right)
    axes.set_ylim(0, top)
    axes.set_xlabel(texts("curve.travel"), fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=2)
    axes.set_ylabel(texts("curve.force"), fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=3)
    return drawing.to_svg(canvas)


def _travel_at_strength(strength: StrengthResult) -> float | None:
    """Return the travel at which the strength was read [mm]; ``None`` where a test of another make does not say."""
    return strength.quantities.get("strength_travel_mm")


def calibration_plot(calibration: CalibratedVolume, texts: Texts, share: float = 0.56, height: float = 74.0) -> bytes:
    """Return an SVG of the references over what the scan shows, with their residuals below."""
    canvas = drawing.new_figure(share, height)
    width = share * drawing.PAGE_WIDTH - 20.0
    upper = drawing.place(canvas, 16.0, 33.0, width, height - 36.0)
    lower = drawing.place(canvas, 16.0, 11.0, width, 17.0)
    samples = calibration.samples
    means, _ = as_fitted(calibration)
    density = aims_at_density(calibration)
    unit = texts("unit.density") if density else "HU"
    span = max(float(np.ptp(means)), 50.0)
    line = np.array([means.min() - 0.08 * span, means.max() + 0.08 * span])
    # The fitted line, written in the unit that the references are expected in: measured less fitted is the residual.
    fitted = np.array([sample.expected + sample.residual for sample in samples])
    if density:
        upper.plot(line, calibration.slope * line + calibration.intercept, color=drawing.ACCENT, linewidth=1.3)
    elif len(samples) >= 2 and np.ptp(means) > 0:
        upper.plot(line, np.polyval(np.polyfit(means, fitted, 1), line), color=drawing.ACCENT, linewidth=1.3)
    for sample, at, symbol in zip(samples, means, SYMBOLS * (1 + len(samples) // len(SYMBOLS))):
        _mark(upper, lower, sample, float(at), symbol)
    lower.axhline(0, color=drawing.ACCENT, linewidth=1.0)
    limit = 1.35 * max(float(max((abs(sample.residual) for sample in samples), default=1.0)), 1.0)
    for axes in (upper, lower):
        drawing.tidy(axes)
        axes.set_xlim(*line)
    lower.set_ylim(-limit, limit)
    upper.tick_params(labelbottom=False)
    upper.set_ylabel(texts("calibration.expected", unit=unit), fontsize=drawing.FONT_SIZE, color=drawing.INK)
    lower.set_ylabel(texts("calibration.residual"), fontsize=drawing.FONT_SIZE, color=drawing.INK)
    lower.set_xlabel(texts("calibration.measured"), fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=2)
    upper.legend(fontsize=drawing.FONT_SIZE, frameon=False, loc="upper left", handletextpad=0.3, borderaxespad=0.2)
    return drawing.to_svg(canvas)


def _mark(upper: Axes, lower: Axes, sample: ReferenceSample, at: float, symbol: str) -> None:
    """Draw one reference with its own symbol, so that colour is not needed to tell them apart."""
    look: dict[str, Any] = {
        "color": drawing.INK,
        "markersize": 5.0,
        "linestyle": "none",
        "markerfacecolor": "white",
        "markeredgewidth": 1.2,
    }
    label = sample.name.replace("_", " ")
    upper.errorbar([at], [sample.expected], xerr=[sample.deviation], marker=symbol, label=label, elinewidth=0.6, **look)
    lower.plot([at], [sample.residual], marker=symbol, **look)


def as_fitted(calibration: CalibratedVolume) -> tuple[Array, bool]:
    """Return the HU of each reference as the line takes them, and whether a maker's equation made them other than those in the scan.

    Rods of salt in water hold more or less water than their place: their HU are corrected for it before the line is fitted.
    """
    measured = np.array([sample.mean for sample in calibration.samples])
    if not aims_at_density(calibration) or calibration.slope == 0:
        return measured, False
    reached = np.array([sample.expected + sample.residual for sample in calibration.samples])
    corrected = (reached - calibration.intercept) / calibration.slope
    moved = bool(np.abs(corrected - measured).max() > 1.0)
    return (corrected if moved else measured), moved


def aims_at_density(calibration: CalibratedVolume) -> bool:
    """Tell whether the references are expected in density rather than in HU, as their unit says."""
    return any(sample.unit != "HU" for sample in calibration.samples)
