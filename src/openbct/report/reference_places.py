"""Where the references of a calibration were sampled: the axial and the coronal plane that show most of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from scipy import ndimage

from ..records import Array, ReferenceSample
from ..volume import Volume, offset_in
from . import drawing
from .slices import PLANES, Outline, _draw_outline, _enlarged, _fit, _letters, _ruler, _View

WINDOW: Final = (40.0, 500.0)
"""Level and width [HU]: fat, muscle and rods apart [design, usual abdominal setting, wider]."""
COLOURS: Final = ("#ffb000", "#56d3ff", "#ff7a9c", "#7ee787", "#c9a3ff", "#ffffff")
"""Bright on grey, apart for eyes that see few colours; each region carries its name as well [design]."""
GAP: Final = 2.0
"""Between the planes, on paper [mm]."""
LETTER, LINE = 1.7, 3.2
"""Width of a letter and height of a line, on paper [mm]."""
LETTERED = 5.4
"""From the upper edge to the foot of the letter of a side, on paper [mm]."""


def reference_places(image: Volume, samples: Sequence[ReferenceSample], height: float = 62.0) -> bytes | None:
    """Return a PNG of two planes of the scan with the sampled regions; ``None`` where no sample says where it lies in this scan."""
    placed = [(sample, sample.where) for sample in samples if sample.where is not None and sample.where.array.any()]
    if not placed:
        return None
    canvas = drawing.new_figure(1.0, height)
    width = (drawing.PAGE_WIDTH - GAP) / 2
    whole = (np.zeros(3, dtype=int), np.array(image.shape))
    outlines = [Outline(where, COLOURS[n % len(COLOURS)], short_name(sample.name)) for n, (sample, where) in enumerate(placed)]
    for column, (_, across, right, up) in enumerate(PLANES[:2]):
        axes = drawing.place(canvas, column * (width + GAP), 0.0, width, height)
        index = fullest_plane(image, [outline.mask for outline in outlines], across)
        _draw(axes, _View(image, across, right, up, index, *whole), outlines, width, height)
    return drawing.to_png(canvas)


def short_name(name: str) -> str:
    """Return a reference's name as it fits beside its region: rods without the word."""
    return name.removeprefix("rod ").replace("_", " ")


def fullest_plane(image: Volume, masks: Sequence[Volume], axis: int) -> int:
    """Return the index along an axis at which most of the regions are seen, each as near to its own largest cut as can be."""
    seen = np.zeros(image.shape[axis])
    others = tuple(other for other in range(3) if other != axis)
    for mask in masks:
        area = mask.array.sum(axis=others).astype(float)
        start = int(offset_in(mask, image)[axis])
        first, last = max(start, 0), min(start + len(area), len(seen))
        seen[first:last] += np.sqrt(area[first - start : last - start] / area.max())
    best = np.flatnonzero(seen >= 0.98 * seen.max())
    return int(best[len(best) // 2])


def _draw(axes: Axes, view: _View, outlines: Sequence[Outline], paper: float, height: float) -> None:
    """Draw the plane, every region filled, outlined and named, the letters and a scale."""
    level, width = WINDOW
    flip = view.up == 1
    plane = view.take(view.image)
    axes.set_facecolor("black")
    axes.imshow(
        _enlarged(plane[::-1] if flip else plane),
        cmap="gray",
        vmin=level - width / 2,
        vmax=level + width / 2,
        extent=view.extent,
        origin="lower",
        interpolation="bicubic",
    )
    for outline in outlines:
        mask = view.take(outline.mask)
        mask = mask[::-1] if flip else mask
        if mask.any():
            _fill(axes, mask, view.extent, outline.colour)
            _draw_outline(axes, mask, view.extent, outline, named=False)
    _fit(axes, view.extent, paper / height)
    for outline in outlines:
        mask = view.take(outline.mask)
        if mask.any():
            _name(axes, mask[::-1] if flip else mask, view.extent, outline)
    _apart(axes, paper)
    _letters(axes, view)
    _ruler(axes)


def _fill(axes: Axes, mask: Float[Array, "u r"], extent: tuple[float, float, float, float], colour: str) -> None:
    shown = np.ma.masked_equal(mask > 0, 0)
    axes.imshow(shown, cmap=ListedColormap([colour]), alpha=0.35, extent=extent, origin="lower", interpolation="nearest")


def _name(axes: Axes, mask: Float[Array, "u r"], extent: tuple[float, float, float, float], outline: Outline) -> None:
    """Write a region's name above its largest piece."""
    pieces, count = ndimage.label(mask > 0)
    sizes = ndimage.sum_labels(mask > 0, pieces, np.arange(1, count + 1))
    piece = np.argwhere(pieces == int(np.argmax(sizes)) + 1)
    up, right = extent[3] / mask.shape[0], extent[1] / mask.shape[1]
    # Above the piece; of one that fills the picture, in its upper corner, clear of the letter of the side.
    wide = np.ptp(piece[:, 1]) > 0.6 * mask.shape[1] and piece[:, 0].max() > 0.9 * mask.shape[0]
    column = float(np.percentile(piece[:, 1], 12) if wide else piece[:, 1].mean())
    top = min((piece[:, 0].max() + 1.5) * up, 0.9 * extent[3])
    axes.text(
        (column + 0.5) * right,
        float(top),
        outline.label,
        color=outline.colour,
        fontsize=drawing.FONT_SIZE,
        fontweight="bold",
        ha="center",
        va="bottom",
        path_effects=drawing.halo(width=2.0),
    )


def _apart(axes: Axes, paper: float) -> None:
    """Move names that would overlap below one another, and below the letters of the sides."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    scale, half = (right - left) / paper, (bottom + top) / 2
    letter = half - 0.5 * LINE * scale
    placed: list[tuple[float, float, int]] = [
        ((left + right) / 2, top - LETTERED * scale, 2),
        (left, letter, 5),
        (right, letter, 5),
    ]
    for text in sorted(axes.texts, key=lambda item: -item.get_position()[1]):
        (u, v), letters = text.get_position(), len(text.get_text())
        for where, level, other in placed:
            if abs(where - u) < LETTER * scale * (letters + other) / 2 and abs(level - v) < LINE * scale:
                v = level - LINE * scale
        text.set_position((u, v))
        placed.append((u, v, letters))
