"""The hip as bone densitometry sees it: the projected density that was measured, with the borders of its regions."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from scipy import ndimage

from ..records import Array, BoneResult
from ..volume import Volume
from . import drawing

PICTURE: Final = "projection"
"""Key of the projected density among a bone's regions [g/cm2]."""
MARGIN: Final = 4.0
"""Dark border around the bone [mm]."""


def projection(bone: BoneResult, share: float = 0.25, height: float = 54.0) -> tuple[bytes, int] | None:
    """Return a PNG of the hip's projected density with the measured regions, and how many; ``None`` where there is none."""
    regions = bone.measures.regions if bone.measures is not None else {}
    picture = regions.get(PICTURE)
    if picture is None or picture.shape[1] != 1 or not np.any(picture.array > 0):
        return None
    plane = _flat(picture)
    outlines = {
        name: _flat(region)
        for name, region in regions.items()
        if name != PICTURE and region.shape == picture.shape and region.array.dtype == bool and region.array.any()
    }
    canvas = drawing.new_figure(share, height)
    axes = drawing.place(canvas, 0, 0, share * drawing.PAGE_WIDTH, height)
    axes.set_facecolor("black")
    step = (float(picture.spacing[0]), float(picture.spacing[2]))
    extent = (0.0, plane.shape[1] * step[0], 0.0, plane.shape[0] * step[1])
    top = float(np.percentile(plane[plane > 0], 99))
    axes.imshow(plane, cmap="gray", vmin=0, vmax=top, extent=extent, origin="lower", interpolation="bicubic")
    u = (np.arange(plane.shape[1]) + 0.5) * step[0]
    v = (np.arange(plane.shape[0]) + 0.5) * step[1]
    # Total hip first: its parts are drawn over it.
    for name in sorted(outlines, key=lambda key: -float(outlines[key].sum())):
        colour = drawing.CONTOUR if "neck" in name else drawing.REGION
        smooth = ndimage.gaussian_filter(outlines[name].astype(float), 0.6)
        axes.contour(u, v, smooth, levels=[0.5], colors=[colour], linewidths=1.2 if "neck" in name else 0.9)
    _frame(axes, plane, step, share * drawing.PAGE_WIDTH / height)
    for x, side, where in ((0.03, "R", "left"), (0.97, "L", "right")):
        axes.text(x, 0.5, side, transform=axes.transAxes, color="white", fontsize=9, fontweight="bold", ha=where, va="center")
    return drawing.to_png(canvas), len(outlines)


def _flat(picture: Volume) -> Array:
    """Return the picture with rows up the shaft and the patient's right on the left."""
    plane = picture.array[:, 0, :]
    plane = plane if picture.affine[0, 0] > 0 else plane[::-1]
    plane = plane.T
    return plane if picture.affine[2, 2] > 0 else plane[::-1]


def _frame(axes: Axes, plane: Float[Array, "v u"], step: tuple[float, float], aspect: float) -> None:
    """Show the bone with a border, pixels square in millimetres."""
    rows, columns = np.flatnonzero(plane.max(axis=1) > 0), np.flatnonzero(plane.max(axis=0) > 0)
    box = (
        columns[0] * step[0] - MARGIN,
        (columns[-1] + 1) * step[0] + MARGIN,
        rows[0] * step[1] - MARGIN,
        (rows[-1] + 1) * step[1] + MARGIN,
    )
    tall = max(box[3] - box[2], (box[1] - box[0]) / aspect)
    middle = ((box[0] + box[1]) / 2, (box[2] + box[3]) / 2)
    axes.set_xlim(middle[0] - tall * aspect / 2, middle[0] + tall * aspect / 2)
    axes.set_ylim(middle[1] - tall / 2, middle[1] + tall / 2)
    axes.set_aspect("auto")
    axes.set_xticks([])
    axes.set_yticks([])
