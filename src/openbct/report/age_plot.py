"""Published densities over age with the patient's point and interval, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..records import AgeCurve
from . import drawing
from .wording import Texts

DASHES: Final[Mapping[str, Any]] = {"white": "-", "black": (0, (6, 2)), "hispanic": (0, (2, 1.5)), "chinese": (0, (6, 2, 1, 2))}
"""One for each population, the same in every picture."""
OTHERS: Final = (0, (1, 1.2))
HEIGHT: Final = 40.0
"""Of the row [mm] [design]."""
LEGEND: Final = 6.0
"""Of the line that names the curves [mm]."""
LEAST_PANELS: Final = 2
"""One curve alone takes half the line."""


def age_plots(groups: Sequence[Sequence[AgeCurve]], texts: Texts) -> bytes:
    """Return an SVG of one picture for each quantity: one population as its mean with one and two deviations, several as their means.

    Names of populations and patient stand below all of them, where no curve can cross them.
    """
    canvas = drawing.new_figure(1.0, HEIGHT)
    width = drawing.PAGE_WIDTH / max(len(groups), LEAST_PANELS)
    for column, curves in enumerate(groups):
        axes = drawing.place(canvas, column * width + 9.0, LEGEND + 5.0, width - 13.0, HEIGHT - LEGEND - 10.0)
        _draw(axes, curves, texts)
    names = list(dict.fromkeys(curve.population for curves in groups for curve in curves))
    lines = [Line2D([], [], color=drawing.ACCENT, linewidth=1.4, linestyle=DASHES.get(name, OTHERS)) for name in names]
    labels = [texts.find(f"population.{name}", name) for name in names]
    lines.append(Line2D([], [], color=drawing.SIGNAL, linewidth=1.4, marker="D", markersize=5.0, markeredgecolor="white"))
    labels.append(texts("sure.patient"))
    lines.insert(0, Line2D([], [], linestyle="none"))
    labels.insert(0, texts("sure.age"))
    room = drawing.place(canvas, 0.0, 0.0, width * len(groups), LEGEND)
    room.set_axis_off()
    room.legend(
        lines, labels, fontsize=drawing.FONT_SIZE, frameon=False, loc="center left", ncols=len(lines), handlelength=2.6, handletextpad=0.5,
        columnspacing=1.8, borderaxespad=0.0, borderpad=0.0,
    )  # fmt: skip
    return drawing.to_svg(canvas)


def _draw(axes: Axes, curves: Sequence[AgeCurve], texts: Texts) -> None:
    """Draw the curves of one quantity and the patient on them."""
    drawing.tidy(axes)
    for curve in curves:
        ages, means, sd = (np.array(values) for values in (curve.ages, curve.means, curve.deviations))
        if len(curves) == 1:
            for reach, strength in ((2.0, 0.12), (1.0, 0.2)):
                axes.fill_between(ages, means - reach * sd, means + reach * sd, color=drawing.ACCENT, alpha=strength, linewidth=0)
        axes.plot(ages, means, color=drawing.ACCENT, linewidth=1.4, linestyle=DASHES.get(curve.population, OTHERS))
    one = curves[0]
    age, value = one.point
    if one.interval is not None:
        axes.plot([age, age], list(one.interval), color=drawing.SIGNAL, linewidth=1.4, solid_capstyle="butt")
    axes.plot([age], [value], marker="D", markersize=6.0, color=drawing.SIGNAL, markeredgecolor="white", markeredgewidth=0.8)
    axes.set_xlim(min(one.ages[0], age) - 3.0, max(one.ages[-1], age) + 3.0)
    name = texts.find(f"quantity.{one.quantity}", one.quantity)
    title = f"{name} [{texts.unit(one.unit.split(' ')[0])}]"
    axes.text(
        0.0, 1.03, title, transform=axes.transAxes, fontsize=drawing.FONT_SIZE, fontweight="bold", color=drawing.INK, va="bottom"
    )
