"""The spine from the side, cut along its own curve, with the heights of every vertebra drawn in.

Each row of the picture is one height of the scan; from left to right it runs from front to back through the middle of the bodies there, so that a spine
that bends sideways stays in the picture.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from scipy import ndimage

from ..records import Array, FractureAssessment, VertebraGrade
from ..volume import Volume, to_index
from . import drawing
from .slices import DENSITY_WINDOW

STEP: Final = 0.6
"""Sampling of the picture [mm]."""
HU_WINDOW: Final = (300.0, 1200.0)
"""Level and width [HU]: narrower than a bone window, so that discs and endplates of light bones stand out [design]."""
ABOVE, FRONT, BEHIND = 14.0, 46.0, 30.0
"""Shown around the outermost points [mm]: in front there is room for the names [design]."""
MARKS: Final = {0: ("#ffffff", 0.8, "-"), 1: ("#f0e442", 1.3, (0, (3, 1.5))), 2: ("#e69f00", 1.9, "-"), 3: ("#ff6a3d", 2.6, "-")}
"""Colour, width and style by grade: told apart by colour-blind readers and in grey by width, style and words [design]."""
ORDER: Final = ("anterior", "middle", "posterior")


def spine_side(image: Volume, found: FractureAssessment, names: dict[str, str], share: float, highest: float) -> bytes:
    """Return a PNG of the spine with heights and grades, ``share`` of the line wide and at most ``highest`` [mm].

    ``names`` holds what is written beside each level.
    """
    points = np.concatenate([np.array(list(one.points.values())) for one in found.vertebrae])
    y = np.arange(points[:, 1].min() - FRONT, points[:, 1].max() + BEHIND, STEP)
    z = np.arange(points[:, 2].min() - ABOVE, points[:, 2].max() + ABOVE, STEP)
    width = share * drawing.PAGE_WIDTH
    height = min(highest, width * (z[-1] - z[0]) / (y[-1] - y[0]))
    canvas = drawing.new_figure(share, height)
    axes = drawing.place(canvas, 0, 0, width, height)
    level, range_ = HU_WINDOW if image.unit == "HU" else DENSITY_WINDOW
    axes.set_facecolor("black")
    axes.imshow(
        _curved(image, found, y, z, level - range_), cmap="gray", vmin=level - range_ / 2, vmax=level + range_ / 2,
        extent=(y[0], y[-1], z[0], z[-1]), origin="lower", interpolation="bicubic",
    )  # fmt: skip
    for one in found.vertebrae:
        _draw(axes, one, names[one.level], float(y[0]) + 3.0)
    _fit(axes, (y[0], y[-1]), (z[0], z[-1]), width / height)
    for x, side in ((0.04, "A"), (0.96, "P")):  # in the corners: the middle of the edge belongs to the names
        axes.text(
            x, 0.015, side, transform=axes.transAxes, color="white", fontsize=9, fontweight="bold", ha="left" if x < 0.5 else "right",
            va="bottom", path_effects=drawing.halo(width=3.0),
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return drawing.to_png(canvas)


def _curved(image: Volume, found: FractureAssessment, y: Array, z: Array, fill: float) -> Float[Array, "v u"]:
    """Return the image along the curve through the middles of the bodies."""
    centres = np.array(
        sorted((np.mean(list(one.points.values()), axis=0) for one in found.vertebrae), key=lambda point: point[2])
    )
    x = np.interp(z, centres[:, 2], centres[:, 0])
    points = np.stack(np.broadcast_arrays(x[:, None], y[None, :], z[:, None]), axis=-1)
    index = to_index(image.affine, points.reshape(-1, 3)).T
    low = np.maximum(np.floor(index.min(axis=1)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(index.max(axis=1)).astype(int) + 2, image.shape)
    part = image.array[tuple(slice(a, b) for a, b in zip(low, np.maximum(high, low + 1), strict=True))].astype(np.float32)
    values = ndimage.map_coordinates(part, index - low[:, None], order=1, mode="constant", cval=fill)
    return np.asarray(values.reshape(points.shape[:2]))


def _draw(axes: Axes, one: VertebraGrade, name: str, left: float) -> None:
    """Draw one vertebra's outline through the ends of its heights, the heights, and its name in front."""
    colour, width, style = MARKS[one.grade]
    flat = {key: point[1:] for key, point in one.points.items()}
    around = [flat[f"superior_{place}"] for place in ORDER] + [flat[f"inferior_{place}"] for place in ORDER[::-1]]
    outline = np.array([*around, around[0]])
    axes.plot(
        outline[:, 0],
        outline[:, 1],
        color=colour,
        linewidth=0.6 * width,
        linestyle=style,
        path_effects=drawing.halo(width=width + 0.6),
    )
    for place in ORDER:
        pair = np.array([flat[f"superior_{place}"], flat[f"inferior_{place}"]])
        axes.plot(
            pair[:, 0],
            pair[:, 1],
            color=colour,
            linewidth=width,
            path_effects=drawing.halo(width=width + 1.0),
            solid_capstyle="butt",
        )
    axes.text(
        left, float(np.mean([point[1] for point in flat.values()])), name, color=colour, fontsize=drawing.FONT_SIZE,
        fontweight="bold" if one.grade else "normal", ha="left", va="center", path_effects=drawing.halo(width=2.2),
    )  # fmt: skip


def _fit(axes: Axes, across: tuple[float, float], along: tuple[float, float], aspect: float) -> None:
    """Centre the picture in its panel, its names at the panel's edge, pixels square in millimetres."""
    wide, tall = across[1] - across[0], along[1] - along[0]
    full = max(wide, tall * aspect)
    room = full / aspect - tall
    axes.set_xlim(across[0], across[0] + full)
    axes.set_ylim(along[0] - room / 2, along[1] + room / 2)
    axes.set_aspect("auto")
