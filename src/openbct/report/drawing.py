"""Blank figures and finished bytes: what every drawing of the report shares.

Matplotlib is used through its object interface only; sizes are those of the printed page, so that a font of 8 pt is 8 pt
on paper.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from PIL import Image

from ..records import Array

PAGE_WIDTH: Final = 174.0
"""Width of the text on the printed page [mm]."""
MILLIMETRES: Final = 25.4
DPI: Final = 240
"""Resolution of pictures at print size; crisp from 200 upwards [design]."""
FONT_SIZE: Final = 8.0
"""Smallest lettering in a picture [pt] [design]."""
INK: Final = "#1c2733"
QUIET: Final = "#5b6875"
HAIRLINE: Final = "#c9d1d8"
ACCENT: Final = "#0f5c6e"
SIGNAL: Final = "#a8480f"
CONTOUR: Final = "#ffb000"
"""Outline of what was analysed: bright enough to stand out of bone in colour and in grey."""
REGION: Final = "#56d3ff"


def new_figure(share: float, height: float) -> Canvas:
    """Return an empty figure of ``share`` of the line and ``height`` [mm]."""
    return Canvas(figsize=(share * PAGE_WIDTH / MILLIMETRES, height / MILLIMETRES), facecolor="white")


def place(canvas: Canvas, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes at a place given in millimetres from the lower left corner."""
    full = canvas.get_size_inches() * MILLIMETRES
    return canvas.add_axes((left / full[0], bottom / full[1], width / full[0], height / full[1]))


def tidy(axes: Axes) -> None:
    """Give plot axes the quiet look of the report."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
        axes.spines[side].set_linewidth(0.7)
    axes.tick_params(colors=INK, labelsize=FONT_SIZE, width=0.7, length=3, color=QUIET)
    axes.grid(color=HAIRLINE, linewidth=0.4)
    axes.set_axisbelow(True)


def halo(colour: str = "black", width: float = 1.6) -> list[patheffects.AbstractPathEffect]:
    """Return an outline that keeps a letter or a line legible on any picture."""
    return [patheffects.withStroke(linewidth=width, foreground=colour)]


def to_svg(canvas: Canvas) -> bytes:
    """Return the figure as SVG, the same bytes every time."""
    _letter(canvas)
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "openbct", "svg.fonttype": "path"}):
        canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": "OpenBCT"})
    return stream.getvalue()


def to_png(canvas: Canvas) -> bytes:
    """Return the figure as PNG of 256 colours chosen for it: a third of the size, no visible difference in print."""
    _letter(canvas)
    canvas.set_dpi(DPI)
    agg = FigureCanvasAgg(canvas)
    agg.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(agg.buffer_rgba())  # type: ignore[no-untyped-call]
    # Every third pixel of every third row is enough to choose the colours by, and choosing is what takes the time.
    colours = Image.fromarray(pixels[::3, ::3, :3].copy()).quantize(255, Image.Quantize.MEDIANCUT)
    coded = Image.fromarray(pixels[..., :3].copy()).quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
    # Colours are looked up by a few of their bits; the ground must be the white of the paper all the same.
    index = np.array(coded)
    index[(pixels[..., :3] == 255).all(axis=-1)] = 255
    picture = Image.fromarray(index)
    palette = np.full((256, 3), 255, dtype=np.uint8)
    chosen = np.array(coded.getpalette(), dtype=np.uint8).reshape(-1, 3)
    palette[: len(chosen)] = chosen
    palette[255] = 255
    picture.putpalette(palette.ravel().tolist())
    stream = io.BytesIO()
    picture.save(stream, "PNG", dpi=(DPI, DPI), compress_level=7)
    return stream.getvalue()


def nice_ceiling(value: float) -> float:
    """Return the next of 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten at or above ``value``."""
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]) * power
    return float(steps[steps >= value * (1 - 1e-9)][0])


def as_image(values: Array) -> Array:
    """Return red, green, blue, alpha of 0 to 1 as bytes."""
    return np.asarray(np.clip(values * 255.0 + 0.5, 0, 255), dtype=np.uint8)


@cache
def _face(weight: str) -> FontProperties:
    """Return the packaged typeface; matplotlib's global font list stays as it is."""
    name = "SourceSans3-Semibold.ttf" if weight == "bold" else "SourceSans3-Regular.ttf"
    with resources.as_file(resources.files("openbct.report") / "fonts" / name) as path:
        return FontProperties(fname=str(path))


def _letter(canvas: Canvas) -> None:
    """Set all lettering in the packaged typeface."""
    for text in _texts(canvas):
        size = max(float(text.get_fontsize()), FONT_SIZE - 0.5)
        face = _face(str(text.get_fontweight())).copy()
        face.set_size(size)
        text.set_fontproperties(face)


def _texts(canvas: Canvas) -> Iterator[Text]:
    """Yield all lettering. Axes that are switched off are not asked for their ticks, which would have to be made first."""
    for child in canvas.get_children():
        bare = isinstance(child, Axes) and not child.axison
        parts = [p for p in child.get_children() if not isinstance(p, Axis)] if bare else [child]
        for part in parts:
            for text in part.findobj(Text):
                assert isinstance(text, Text)
                yield text
