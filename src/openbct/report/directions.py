"""Map of a femur's strength over the directions of fall."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LinearSegmentedColormap

from ..records import Array
from . import drawing
from .texts import ENGLISH
from .wording import Texts

SHARE, HEIGHT = 0.62, 92.0
COLOURS = LinearSegmentedColormap.from_list("strength", ["#7a2f08", "#d98a4a", "#f4ead9", "#8fbcc4", "#0f5c6e"])
"""Weak to strong around the default; told apart in grey by the lines and their numbers."""


def direction_map(
    adduction: Float[Array, " n"],
    rotation: Float[Array, " m"],
    strength: Float[Array, "n m"],
    *,
    default: tuple[float, float, float],
    weakest: tuple[float, float, float],
    texts: Texts = Texts(ENGLISH),  # noqa: B008  frozen
) -> bytes:
    """Return a PNG of strength in per cent of the default direction's, with both directions marked.

    Parameters
    ----------
    strength
        [N]; directions that are not finite stay blank.
    default, weakest
        Adduction, internal rotation [degrees] and strength [N].
    """
    canvas = drawing.new_figure(SHARE, HEIGHT)
    width = SHARE * drawing.PAGE_WIDTH
    axes = drawing.place(canvas, 15.0, 13.0, width - 40.0, HEIGHT - 20.0)
    share = np.ma.masked_invalid(100.0 * strength / default[2])
    reach = max(5.0, float(np.abs(share - 100.0).max()))
    mesh = axes.contourf(rotation, adduction, share, levels=np.linspace(100 - reach, 100 + reach, 41), cmap=COLOURS)
    lines = axes.contour(rotation, adduction, share, levels=_levels(float(share.min()), float(share.max())), colors=drawing.INK)
    lines.set_linewidth(0.6)
    axes.clabel(lines, fmt="%.0f %%", fontsize=drawing.FONT_SIZE)
    for (down, across, _), marker, key in ((default, "o", "sweep.default"), (weakest, "v", "sweep.weakest")):
        axes.plot([across], [down], marker=marker, markersize=8, color="white", markeredgecolor=drawing.INK, linestyle="none", clip_on=False,
                  label=texts(key))  # fmt: skip
    drawing.tidy(axes)
    axes.grid(visible=False)
    axes.set_xlabel(texts("sweep.rotation"), fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=2)
    axes.set_ylabel(texts("sweep.adduction"), fontsize=drawing.FONT_SIZE, color=drawing.INK, labelpad=2)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, fontsize=drawing.FONT_SIZE, handletextpad=0.2
    )
    bar = canvas.colorbar(mesh, cax=drawing.place(canvas, width - 21.0, 13.0, 4.0, HEIGHT - 20.0))
    bar.set_ticks([float(tick) for tick in _levels(100 - reach, 100 + reach)])
    bar.set_label(texts("sweep.bar"), fontsize=drawing.FONT_SIZE, color=drawing.INK)
    return drawing.to_png(canvas)


def _levels(low: float, high: float) -> list[float]:
    """Return the multiples of a round step within a range, three at least where it is not flat."""
    step = next((step for step in (20.0, 10.0, 5.0, 2.0, 1.0) if (high - low) / step >= 3.0), 0.5)
    return [float(level) for level in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step] or [100.0]
