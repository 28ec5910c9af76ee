"""One bone looked at: in three dimensions and cut open, coloured by density, stress, displacement and failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from scipy import ndimage

from ..records import Array, BoneRegion, BoneResult
from ..volume import Volume, bounding_box, crop, to_index, to_patient
from . import drawing
from .landmarks import cut_frame
from .quantities import Moved, Quantity, moved_of, quantities_of
from .surface import Camera, Layer, Seen, Solid, look, look_from, paint, prepare, reduce
from .wording import Texts

PIXELS: Final = 340
"""Width of a picture in three dimensions [pixels] [design]."""
OVERSAMPLING: Final = 2
HEIGHTS: Final[Mapping[str, float]] = {"vertebra": 92.0, "femur": 78.0}
"""Of all pictures of a tested bone [mm]: a femur's page holds its projection and its regions too."""
ALONE: Final[Mapping[str, float]] = {"vertebra": 41.0, "femur": 34.0}
"""Of the pictures of a bone without a test [mm]."""
TITLE, BAR = 5.0, 8.5
"""Height of the line above the pictures, and of the scale under them [mm]."""
ROOM: Final = 0.16
"""Part of a picture kept free under the bone for scale and directions."""
CUT_STEP: Final = 0.4
"""Sampling of cut planes [mm]."""
VIEWS: Final[Mapping[str, tuple[tuple[str, tuple[float, float, float]], ...]]] = {
    "vertebra": (("view.front_left", (0.55, -1.0, 0.42)), ("view.back_right", (-0.55, 1.0, 0.42))),
    "femur": (("view.front", (0.0, -1.0, 0.08)), ("view.back", (0.0, 1.0, 0.08))),
}
"""Text key and direction towards the viewer in the bone's frame (x left, y posterior, z superior or proximal). A tested bone is seen from the
first, by each quantity; one without a test from both."""


@dataclass(frozen=True)
class Scene:
    """A bone as its first view shows it, before samples become pixels."""

    camera: Camera
    seen: Seen
    pictures: tuple[Float[Array, "v u rgba"], ...]
    """One for each quantity."""
    plain: Float[Array, "v u rgba"] | None
    """As if nothing had failed; ``None`` where nothing could."""


@dataclass(frozen=True)
class Subject:
    """What is drawn of one bone."""

    region: BoneRegion
    mask: Volume
    solid: Solid
    """The mask, prepared for any number of views."""
    quantities: tuple[Quantity, ...]
    """Density first."""
    moved: Moved | None

    @property
    def failure(self) -> Quantity | None:
        """The plastic strain, where there is one."""
        return next((one for one in self.quantities if one.key == "failure"), None)

    @property
    def panel(self) -> tuple[float, float]:
        """Width and height of one picture [mm]."""
        count, kind = len(self.quantities), self.region.kind
        if count == 1:
            return (drawing.PAGE_WIDTH - 17.0) / 3.0, ALONE[kind]
        return drawing.PAGE_WIDTH / count, (HEIGHTS[kind] - TITLE - BAR) / 2.0

    @cached_property
    def scene(self) -> Scene:
        """The bone from its first side: what takes the time, and what a picture and a motion share."""
        width, height = self.panel
        camera = camera_of(self.region, self.mask, VIEWS[self.region.kind][0][1], width / height)
        wide, tall = OVERSAMPLING * PIXELS, OVERSAMPLING * max(1, round(PIXELS * height / width))
        seen = look(self.solid, camera, wide, tall)
        layers, failure = [one.surface for one in self.quantities], self.failure
        if failure is not None:
            colours = failure.surface.colours
            layers.append(Layer(failure.cut, 0.3, lambda values: colours(np.zeros_like(values))))
        pictures = paint(self.solid, layers, camera, seen)
        count = len(self.quantities)
        return Scene(camera, seen, tuple(pictures[:count]), pictures[count] if failure is not None else None)


def subject_of(bone: BoneResult) -> Subject:
    """Return a bone ready to be drawn."""
    region = bone.region
    assert region is not None
    low, high = bounding_box(region.mask, 6.0)
    mask, density = (crop(part, low.tolist(), high.tolist()) for part in (region.mask, region.density))
    moved = moved_of(bone)
    return Subject(region, mask, prepare(mask), quantities_of(bone, mask, density, moved), moved)


def bone_views(subject: Subject, texts: Texts) -> bytes:
    """Return a PNG with the bone from one side and cut through its middle by each quantity; by density alone, from two sides and cut."""
    if len(subject.quantities) == 1:
        return _untested(subject, texts)
    width, panel = subject.panel
    scene, kind = subject.scene, subject.region.kind
    canvas = drawing.new_figure(1.0, HEIGHTS[kind])
    for column, (quantity, picture) in enumerate(zip(subject.quantities, scene.pictures, strict=True)):
        axes = drawing.place(canvas, column * width, BAR + panel, width, panel)
        axes.imshow(
            drawing.as_image(reduce(picture, OVERSAMPLING)), extent=(0, scene.camera.width, 0, scene.camera.height), interpolation="lanczos"
        )  # fmt: skip
        _bare(axes, f"{texts(f'view.{quantity.key}')} [{texts(f'view.unit_{quantity.key}')}]")
        cut = drawing.place(canvas, column * width, BAR, width, panel)
        wide = _draw_cut(cut, subject, quantity, width / panel, scene.camera.height)
        if column == 0:  # the others look from the same places at the same scale
            _draw_axes(axes, scene.camera, subject.region.frame.axes)
            _sides(cut, kind)
        for part, size in ((axes, scene.camera.width), (cut, wide)):
            (_ruler if column == 0 else _fit)(part, size)
        _draw_bar(canvas, quantity, (column * width + 3.0, 4.4, width - 12.0, 2.2), texts)
    return drawing.to_png(canvas)


def _untested(subject: Subject, texts: Texts) -> bytes:
    """Return a PNG of a bone by its density."""
    (density,), kind = subject.quantities, subject.region.kind
    width, panel = subject.panel
    canvas = drawing.new_figure(1.0, panel + TITLE)
    for column, (key, direction) in enumerate(VIEWS[kind]):
        camera = camera_of(subject.region, subject.mask, direction, width / panel)
        seen = look(subject.solid, camera, OVERSAMPLING * PIXELS, OVERSAMPLING * max(1, round(PIXELS * panel / width)))
        (picture,) = paint(subject.solid, [density.surface], camera, seen)
        axes = drawing.place(canvas, column * width, 0.0, width, panel)
        axes.imshow(
            drawing.as_image(reduce(picture, OVERSAMPLING)), extent=(0, camera.width, 0, camera.height), interpolation="lanczos"
        )
        _bare(axes, texts(key))
        _draw_axes(axes, camera, subject.region.frame.axes)
        _ruler(axes, camera.width)
    axes = drawing.place(canvas, 2 * width, 0.0, width, panel)
    wide = _draw_cut(axes, subject, density, width / panel)
    _bare(axes, texts(f"view.cut.{kind}"))
    _sides(axes, kind)
    _ruler(axes, wide)
    _draw_bar(canvas, density, (drawing.PAGE_WIDTH - 14.5, 5.0, 3.2, panel - 12.0), texts)
    return drawing.to_png(canvas)


def camera_of(region: BoneRegion, mask: Volume, direction: tuple[float, float, float], aspect: float) -> Camera:
    """Return a view of the whole bone from a direction in the bone's frame, patient's head up."""
    towards = region.frame.axes @ np.array(direction)
    axes = look_from(towards, region.frame.axes[:, 2])
    low, high = _extent(mask, axes)
    middle = axes @ ((low + high) / 2)
    tall = max((high[1] - low[1]) * 1.06 / (1.0 - ROOM), (high[0] - low[0]) * 1.08 / aspect)
    return Camera(axes, middle - ROOM / 2 * tall * axes[:, 1], tall * aspect, tall)


def _extent(mask: Volume, axes: Float[Array, "3 3"]) -> tuple[Float[Array, "3"], Float[Array, "3"]]:
    """Return where the bone begins and ends along three directions [mm], to the corners of its outermost voxels."""
    rim = mask.array & ~ndimage.binary_erosion(mask.array)
    inside = to_patient(mask.affine, np.argwhere(rim).astype(float)) @ axes
    corner = np.abs(mask.affine[:3, :3].T @ axes).sum(axis=0) / 2
    return inside.min(axis=0) - corner, inside.max(axis=0) + corner


def _draw_axes(axes: Axes, camera: Camera, frame: Float[Array, "3 3"]) -> None:
    """Draw small axes in the corner: the bone's own, as its names and the cut's letters have them."""
    length = 0.055 * camera.width
    arrows = triad(frame, camera)
    # The letters need room to the left and below: the corner moves with the arrow that goes farthest there.
    reach = np.minimum(0.0, np.array(list(arrows.values())).min(axis=0)) * 1.55 * length
    corner = 0.045 * camera.width - reach
    for letter, arrow in arrows.items():
        tip = corner + length * arrow
        axes.plot([corner[0], tip[0]], [corner[1], tip[1]], color=drawing.QUIET, linewidth=0.9)
        label = corner + 1.55 * length * arrow
        axes.text(
            float(label[0]), float(label[1]), letter, fontsize=drawing.FONT_SIZE, color=drawing.INK, ha="center", va="center"
        )


def triad(frame: Float[Array, "3 3"], camera: Camera) -> dict[str, Float[Array, "2"]]:
    """Return where the bone's left, front and top point in a picture, those that do not point at the viewer."""
    directions = {"L": frame[:, 0], "A": -frame[:, 1], "S": frame[:, 2]}
    arrows = {letter: direction @ camera.axes[:, :2] for letter, direction in directions.items()}
    return {letter: arrow for letter, arrow in arrows.items() if np.linalg.norm(arrow) >= 0.3}


def cut_plane(
    subject: Subject, aspect: float, least: float = 0.0
) -> tuple[Float[Array, "v u 3"], Float[Array, "3"], Float[Array, "3"], Bool[Array, "v u"]]:
    """Return points of the plane through the middle of a bone, from below, where it goes to the right and up, and what of it is bone.

    The plane is at least ``least`` tall [mm].
    """
    right, up, centre = cut_frame(subject.region)
    across = np.stack([right, up, np.cross(right, up)], axis=1)
    low, high = (end - centre @ across for end in _extent(subject.mask, across))
    middle = (low + high) / 2
    tall = max((high[1] - low[1]) * 1.06 / (1.0 - ROOM), (high[0] - low[0]) * 1.24 / aspect, least)
    middle[1] -= ROOM / 2 * tall
    wide = tall * aspect
    u = np.arange(-wide / 2, wide / 2, CUT_STEP) + middle[0]
    v = np.arange(-tall / 2, tall / 2, CUT_STEP) + middle[1]
    plane = centre + u[None, :, None] * right + v[:, None, None] * up
    return plane, right, up, np.asarray(sample(subject.mask, plane, 1) > 0.5)


def _draw_cut(axes: Axes, subject: Subject, quantity: Quantity, aspect: float, least: float = 0.0) -> float:
    """Show the plane through the middle of the bone; returns how wide it is [mm]."""
    plane, _, _, inside = cut_plane(subject, aspect, least)
    tall, wide = CUT_STEP * plane.shape[0], CUT_STEP * plane.shape[1]
    values = sample(quantity.cut, plane, quantity.order)
    rgb = quantity.surface.colours(values.ravel()).reshape(*values.shape, -1)[..., :3]
    image = np.where(inside[..., None], rgb, 1.0)
    axes.imshow(drawing.as_image(image), extent=(0.0, wide, 0.0, tall), origin="lower", interpolation="nearest")
    axes.contour(
        np.linspace(0, wide, plane.shape[1]), np.linspace(0, tall, plane.shape[0]), ndimage.gaussian_filter(inside.astype(float), 1.0),
        levels=[0.5], colors=[drawing.INK], linewidths=0.8,
    )  # fmt: skip
    axes.set_axis_off()
    axes.set_aspect("auto")
    return float(wide)


def _sides(axes: Axes, kind: str) -> None:
    """Write the sides of a cut at its edges."""
    sides = ("A", "P") if kind == "vertebra" else ("R", "L")
    for x, side, where in ((0.02, sides[0], "left"), (0.98, sides[1], "right")):
        axes.text(x, 0.55, side, transform=axes.transAxes, fontsize=drawing.FONT_SIZE, ha=where, va="center", color=drawing.INK)


def sample(volume: Volume, points: Float[Array, "v u 3"], order: int) -> Float[Array, "v u"]:
    """Return values at patient points, 0 outside."""
    index = to_index(volume.affine, points.reshape(-1, 3)).T
    values = ndimage.map_coordinates(volume.array.astype(np.float32), index, order=order, prefilter=False)
    return np.asarray(values.reshape(points.shape[:2]))


def _draw_bar(canvas: Canvas, quantity: Quantity, place: tuple[float, float, float, float], texts: Texts) -> None:
    """Draw a colour scale with its unit, upright or lying as its place is."""
    upright, top = place[3] > place[2], quantity.shown_top
    axes = drawing.place(canvas, *place)
    ramp = np.linspace(0, 1, 128)
    axes.imshow(
        ramp[:, None] if upright else ramp[None], cmap=quantity.palette, aspect="auto", origin="lower",
        extent=(0, 1, 0, top) if upright else (0, top, 0, 1),
    )  # fmt: skip
    labels = ["0", f"{top / 2:g}", f"≥ {top:g}"]
    axes.tick_params(labelsize=drawing.FONT_SIZE, length=2, width=0.6, color=drawing.QUIET, pad=1.5)
    if upright:
        axes.set_xticks([])
        axes.yaxis.tick_right()
        axes.set_yticks([0, top / 2, top], labels=labels)
        axes.set_title(
            texts(f"view.unit_{quantity.key}"), fontsize=drawing.FONT_SIZE, color=drawing.INK, pad=4, loc="left", linespacing=1.05
        )
    else:
        axes.set_yticks([])
        axes.set_xticks([0, top / 2, top], labels=labels)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color(drawing.QUIET)


def _bare(axes: Axes, title: str) -> None:
    axes.set_axis_off()
    axes.set_aspect("auto")
    axes.text(0.02, 1.005, title, transform=axes.transAxes, fontsize=8.5, fontweight="bold", color=drawing.INK, va="bottom")


def _ruler(axes: Axes, wide: float) -> None:
    """Draw a round length at the lower right."""
    length = max((n for n in (5, 10, 20, 50) if n <= 0.3 * wide), default=5)
    tall = axes.get_ylim()[1]
    right, base = 0.97 * wide, 0.03 * tall
    axes.plot([right - length, right], [base, base], color=drawing.INK, linewidth=1.4, solid_capstyle="butt")
    axes.text(
        right - length / 2,
        base + 0.015 * tall,
        f"{length} mm",
        fontsize=drawing.FONT_SIZE,
        color=drawing.INK,
        ha="center",
        va="bottom",
    )
    _fit(axes, wide)


def _fit(axes: Axes, wide: float) -> None:
    """Show the whole picture, whatever was drawn on it."""
    axes.set_xlim(0, wide)
    axes.set_ylim(0, axes.images[0].get_extent()[3])
