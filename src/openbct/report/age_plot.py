"""A published density over age with the patient's point and interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..records import AgeCurve
from . import drawing
from .wording import Texts

DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)))


def age_plot(curves: Sequence[AgeCurve], texts: Texts, share: float = 1.0, height: float = 52.0) -> bytes:
    """Return an SVG: one population as its mean with one and two deviations, several as their means."""
    canvas = drawing.new_figure(share, height)
    axes = drawing.place(canvas, 16.0, 11.0, share * drawing.PAGE_WIDTH - 20.0, height - 14.0)
    drawing.tidy(axes)
    for curve, dashes in zip(curves, DASHES * len(curves)):
        ages, means, sd = (np.array(values) for values in (curve.ages, curve.means, curve.deviations))
        if len(curves) == 1:
            for reach, strength in ((2.0, 0.12), (1.0, 0.2)):
                axes.fill_between(ages, means - reach * sd, means + reach * sd, color=drawing.ACCENT, alpha=strength, linewidth=0)
        label = texts.find(f"population.{curve.population}", curve.population)
        axes.plot(ages, means, color=drawing.ACCENT, linewidth=1.4, linestyle=dashes, label=label)
    one = curves[0]
    age, value = one.point
    if one.interval is not None:
        axes.plot([age, age], list(one.interval), color=drawing.SIGNAL, linewidth=1.4, solid_capstyle="butt")
    axes.plot([age], [value], marker="D", markersize=6.0, color=drawing.SIGNAL, markeredgecolor="white", markeredgewidth=0.8)
    axes.annotate(
        texts("sure.patient"),
        (age, value),
        xytext=(7, 4),
        textcoords="offset points",
        fontsize=8.5,
        fontweight="bold",
        color=drawing.SIGNAL,
    )
    axes.set_xlim(min(one.ages[0], age) - 3.0, max(one.ages[-1], age) + 6.0)
    axes.set_xlabel(texts("sure.age"), fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=2)
    name = texts.find(f"quantity.{one.quantity}", one.quantity)
    axes.set_ylabel(f"{name} [{texts.unit(one.unit.split(' ')[0])}]", fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=3)
    axes.legend(fontsize=drawing.FONT_SIZE, frameon=False, loc="upper right", handletextpad=0.5, borderaxespad=0.2)
    return drawing.to_svg(canvas)
