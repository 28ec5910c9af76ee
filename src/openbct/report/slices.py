"""Bones in the CT: planes of the scan with the outline of what was analysed.

Planes follow the scan's own voxels (canonical order: i to the patient's left, j posterior, k superior) and are shown as
radiologists see them: the patient's right on the left of the picture, anterior on top or on the left, superior on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from scipy import ndimage

from ..records import Array, BoneRegion
from ..volume import Volume, offset_in, to_index
from . import drawing
from .landmarks import can_draw, draw_landmarks, width_needed, write_sides

HU_WINDOW: Final = (500.0, 2000.0)
"""Level and width of the bone window [HU] [design, usual bone setting]."""
DENSITY_WINDOW: Final = (400.0, 1300.0)
"""Level and width where the image is already a density [mg/cm3] [design]."""
SURROUNDINGS: Final = 28.0
"""Shown around the bone [mm] [design]."""
NAME_WIDTH: Final = 7.0
NAME_HEIGHT: Final = 3.0
"""Room of a bone's name on the overview, on paper [mm]."""
SLAB: Final = 8
"""Slices summed at a time [design]."""
OPPOSITE: Final = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}
PLANES: Final = (("axial", 2, 0, 1), ("coronal", 1, 0, 2), ("sagittal", 0, 1, 2))
"""Name, axis across, axis to the right, axis upright."""


@dataclass(frozen=True)
class Outline:
    """A region to be drawn on planes."""

    mask: Volume
    """Boolean sub-box of the scan."""
    colour: str
    label: str = ""


def window(unit: str) -> tuple[float, float]:
    """Return level and width for an image in ``unit``."""
    return HU_WINDOW if unit == "HU" else DENSITY_WINDOW


def bone_planes(image: Volume, outlines: Sequence[Outline], height: float = 52.0, region: BoneRegion | None = None) -> bytes:
    """Return a PNG of the three planes through the middle of the first outline, and of the bone's own with its landmarks.

    All have one scale, that of the plane that needs the most room; the others show more of what is around the bone.
    """
    low, high = _box(outlines[0].mask, image, SURROUNDINGS)
    centre = np.rint(_middle(outlines[0].mask, image)).astype(int)
    canvas = drawing.new_figure(1.0, height)
    own = region is not None and can_draw(region)
    count = 4 if own else 3
    width = (drawing.PAGE_WIDTH - 2.0 * (count - 1)) / count
    aspect = width / height
    size = (high - low) * image.spacing
    wide = max(max(float(size[right]), float(size[up]) * aspect) for _, _, right, up in PLANES)
    if region is not None and own:
        wide = max(wide, width_needed(region, aspect))
    for column, (name, across, right, up) in enumerate(PLANES):
        axes = drawing.place(canvas, column * (width + 2.0), 0.0, width, height)
        shown = _widened(image, low, high, {right: wide, up: wide / aspect})
        view = _View(image, across, right, up, int(centre[across]), *shown)
        middle = [((low + high - 2 * shown[0]) / 2 * image.spacing)[axis] for axis in (right, up)]
        _draw_plane(axes, view, outlines, (wide, wide / aspect), middle)
        _caption(axes, name)
    if region is not None and own:
        axes = drawing.place(canvas, 3 * (width + 2.0), 0.0, width, height)
        draw_landmarks(axes, image, region, window(image.unit), (wide, wide / aspect))
        _ruler(axes)
    return drawing.to_png(canvas)


def overview(image: Volume, outlines: Sequence[Outline], share: float = 1.0, height: float = 92.0) -> bytes:
    """Return a PNG of the whole scan summed from front to back and from side to side, like radiographs, with the bones outlined."""
    canvas = drawing.new_figure(share, height)
    whole = (np.zeros(3, dtype=int), np.array(image.shape))
    width = (share * drawing.PAGE_WIDTH - 2.0) / 2.0
    for column, (_, across, right, up) in enumerate(PLANES[1:]):
        axes = drawing.place(canvas, column * (width + 2.0), 0.0, width, height)
        view = _View(image, across, right, up, 0, *whole)
        _draw_sum(axes, view, outlines, (width, height))
    return drawing.to_png(canvas)


def clipped_mean(array: Array, axis: int, low: float, high: float) -> Float[Array, "a b"]:
    """Return the mean along an axis of an image cut to a window; slab by slab, so that memory stays that of a few slices."""
    total = np.zeros(tuple(np.delete(array.shape, axis)))
    for first in range(0, array.shape[axis], SLAB):
        slab = array[(slice(None),) * axis + (slice(first, first + SLAB),)]
        total += np.clip(slab.astype(np.float32), low, high).sum(axis=axis, dtype=np.float64)
    return np.asarray(total / array.shape[axis], dtype=np.float32)


def _draw_sum(axes: Axes, view: _View, outlines: Sequence[Outline], paper: tuple[float, float]) -> None:
    """Draw the image summed across the view, the shadows of the outlines, the letters and a scale."""
    level, width = window(view.image.unit)
    low = 0.0 if view.image.unit != "HU" else -300.0
    summed = clipped_mean(view.image.array, view.across, low, level + width / 2).T
    dark, bright = np.percentile(summed, (2.0, 99.7))
    axes.set_facecolor("black")
    axes.imshow(
        _enlarged(summed), cmap="gray", vmin=dark, vmax=max(bright, dark + 1e-6), extent=view.extent, origin="lower",
        interpolation="bicubic",
    )  # fmt: skip
    for outline in outlines:
        mask = view.take(outline.mask, project=True)
        if mask.any():
            _draw_outline(axes, mask, view.extent, outline, named=True)
    _fit(axes, view.extent, paper[0] / paper[1])
    _spread_names(axes, paper[0])
    _letters(axes, view)
    _ruler(axes)


@dataclass(frozen=True)
class _View:
    """One plane of the image, cut to a box."""

    image: Volume
    across: int
    right: int
    up: int
    index: int
    low: Array
    high: Array

    def take(self, volume: Volume, project: bool = False) -> Float[Array, "u r"]:
        """Return the plane of a sub-box of the image inside this view's box, rows along ``up``."""
        start = offset_in(volume, self.image)
        plane = np.zeros((self.high[self.up] - self.low[self.up], self.high[self.right] - self.low[self.right]))
        level = self.index - start[self.across]
        if project:
            part = np.asarray(volume.array.any(axis=self.across))
        elif 0 <= level < volume.shape[self.across]:
            part = np.take(volume.array, level, axis=self.across)
        else:
            return plane
        part = part.T if self.right < self.up else part
        target, source = [], []
        for axis, size in ((self.up, part.shape[0]), (self.right, part.shape[1])):
            first = max(start[axis], self.low[axis])
            last = min(start[axis] + size, self.high[axis])
            if last <= first:
                return plane
            target.append(slice(first - self.low[axis], last - self.low[axis]))
            source.append(slice(first - start[axis], last - start[axis]))
        plane[tuple(target)] = part[tuple(source)]
        return plane

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of the plane [mm]."""
        spacing = self.image.spacing
        wide = float((self.high[self.right] - self.low[self.right]) * spacing[self.right])
        tall = float((self.high[self.up] - self.low[self.up]) * spacing[self.up])
        return (0.0, wide, 0.0, tall)


def _draw_plane(axes: Axes, view: _View, outlines: Sequence[Outline], size: tuple[float, float], middle: Sequence[float]) -> None:
    """Draw the image in its window, the outlines, the letters and a scale: ``size`` around ``middle``, to the right and up [mm]."""
    level, width = window(view.image.unit)
    plane = view.take(view.image)
    flip = view.up == 1  # axial: anterior on top, and j runs posterior
    plane = plane[::-1] if flip else plane
    extent = view.extent
    axes.set_facecolor("black")
    axes.imshow(
        _enlarged(plane), cmap="gray", vmin=level - width / 2, vmax=level + width / 2, extent=extent, origin="lower",
        interpolation="bicubic",
    )  # fmt: skip
    for outline in outlines:
        mask = view.take(outline.mask)
        if mask.any():
            _draw_outline(axes, mask[::-1] if flip else mask, extent, outline, named=False)
    height = extent[3] - middle[1] if flip else middle[1]
    _show(axes, (middle[0] - size[0] / 2, middle[0] + size[0] / 2), (height - size[1] / 2, height + size[1] / 2))
    _letters(axes, view)
    _ruler(axes)


def _draw_outline(
    axes: Axes, mask: Float[Array, "u r"], extent: tuple[float, float, float, float], outline: Outline, named: bool
) -> None:
    """Draw a contour with a dark edge, so that it stands out in print without colour too."""
    rows = (np.arange(mask.shape[0]) + 0.5) * extent[3] / mask.shape[0]
    columns = (np.arange(mask.shape[1]) + 0.5) * extent[1] / mask.shape[1]
    padded = np.pad(mask, 1)
    step = (columns[1] - columns[0] if len(columns) > 1 else 1.0, rows[1] - rows[0] if len(rows) > 1 else 1.0)
    u = np.concatenate([[columns[0] - step[0]], columns, [columns[-1] + step[0]]])
    v = np.concatenate([[rows[0] - step[1]], rows, [rows[-1] + step[1]]])
    contours = axes.contour(
        u, v, ndimage.gaussian_filter(padded.astype(float), 0.5), levels=[0.5], colors=[outline.colour], linewidths=0.8 if named else 1.1
    )  # fmt: skip
    contours.set_path_effects(drawing.halo(width=1.6 if named else 2.1))
    if named and outline.label:
        v0, u0 = ndimage.center_of_mass(padded)
        axes.text(
            float(np.interp(u0, np.arange(len(u)), u)),
            float(np.interp(v0, np.arange(len(v)), v)),
            outline.label,
            color="white",
            fontsize=drawing.FONT_SIZE,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=drawing.halo(),
        )


def _spread_names(axes: Axes, width: float) -> None:
    """Move names of neighbours apart, from top to bottom, so that each can be read."""
    scale = (axes.get_xlim()[1] - axes.get_xlim()[0]) / width
    placed: list[tuple[float, float]] = []
    for text in sorted(axes.texts, key=lambda item: -item.get_position()[1]):
        u, v = text.get_position()
        beside = [level for where, level in placed if abs(where - u) < NAME_WIDTH * scale]
        v = min([v, *(level - NAME_HEIGHT * scale for level in beside)])
        text.set_position((u, v))
        placed.append((u, v))


def _fit(axes: Axes, extent: tuple[float, float, float, float], aspect: float) -> None:
    """Centre the plane in its panel, black around it, pixels square in millimetres."""
    wide, tall = extent[1], extent[3]
    width = max(wide, tall * aspect)
    height = width / aspect
    _show(axes, (wide / 2 - width / 2, wide / 2 + width / 2), (tall / 2 - height / 2, tall / 2 + height / 2))


def _show(axes: Axes, across: tuple[float, float], upright: tuple[float, float]) -> None:
    """Show just this part, without a frame."""
    axes.set_xlim(*across)
    axes.set_ylim(*upright)
    axes.set_aspect("auto")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _letters(axes: Axes, view: _View) -> None:
    """Write the side of the patient at the middle of each edge."""
    toward = [_letter(view.image, view.right), _letter(view.image, view.up)]
    top = OPPOSITE[toward[1]] if view.up == 1 else toward[1]
    write_sides(axes, (OPPOSITE[toward[0]], toward[0], top, OPPOSITE[top]))


def _letter(image: Volume, axis: int) -> str:
    """Return the side of the patient to which an array axis runs."""
    direction = image.affine[:3, axis]
    main = int(np.abs(direction).argmax())
    return ("L", "P", "S")[main] if direction[main] > 0 else ("R", "A", "I")[main]


def _ruler(axes: Axes, colour: str = "white") -> None:
    """Draw a scale of a round length at the lower right."""
    low, high = axes.get_xlim()
    bottom, top = axes.get_ylim()
    room = (high - low) * 0.36
    length = max((n for n in (5, 10, 20, 50, 100, 200) if n <= room), default=5)
    right, base = high - 0.05 * (high - low), bottom + 0.055 * (top - bottom)
    outline = drawing.halo() if colour == "white" else []
    axes.plot([right - length, right], [base, base], color=colour, linewidth=1.6, path_effects=outline, solid_capstyle="butt")
    axes.text(
        right - length / 2, base + 0.015 * (top - bottom), f"{length} mm", color=colour, fontsize=drawing.FONT_SIZE,
        ha="center", va="bottom", path_effects=outline,
    )  # fmt: skip


def _caption(axes: Axes, text: str) -> None:
    """Name a plane in its upper left corner."""
    axes.text(
        0.02, 0.975, text, transform=axes.transAxes, color="white", fontsize=drawing.FONT_SIZE, ha="left", va="top",
        path_effects=drawing.halo(),
    )  # fmt: skip


def _enlarged(plane: Float[Array, "u r"]) -> Float[Array, "u r"]:
    """Return large planes thinned to what print can show."""
    step = max(1, min(plane.shape) // 700)
    return plane[::step, ::step]


def _middle(mask: Volume, image: Volume) -> Float[Array, "3"]:
    """Return the centre of a mask in the image's indices."""
    where: Bool[Array, "i j k"] = mask.array
    own = np.array(ndimage.center_of_mass(where)) if where.any() else np.array(mask.shape) / 2.0
    return np.asarray(own + to_index(image.affine, mask.affine[:3, 3]))


def _widened(image: Volume, low: Array, high: Array, sizes: dict[int, float]) -> tuple[Array, Array]:
    """Return an index box grown about its middle to some sizes [mm] along some axes, as far as the image goes."""
    low, high = low.copy(), high.copy()
    for axis, size in sizes.items():
        more = max(0, int(np.ceil((size / image.spacing[axis] - (high[axis] - low[axis])) / 2)))
        low[axis], high[axis] = max(low[axis] - more, 0), min(high[axis] + more, image.shape[axis])
    return low, high


def _box(mask: Volume, image: Volume, margin: float) -> tuple[Array, Array]:
    """Return the image's index box around a mask, widened by ``margin`` [mm]."""
    start = offset_in(mask, image)
    found = [np.flatnonzero(mask.array.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    pad = np.ceil(margin / image.spacing).astype(int)
    low = start + np.array([index[0] if len(index) else 0 for index in found]) - pad
    high = start + np.array([index[-1] + 1 if len(index) else size for index, size in zip(found, mask.shape)]) + pad
    return np.maximum(low, 0), np.minimum(high, image.shape)
