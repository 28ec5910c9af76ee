"""One bone looked at: in three dimensions, cut open, and as a projection, coloured by density and by failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas
from scipy import ndimage

from ..records import Array, BoneRegion, BoneResult
from ..volume import Volume, bounding_box, crop, to_index, to_patient
from . import drawing
from .landmarks import cut_frame
from .surface import Camera, Layer, Solid, look_from, prepare, render
from .wording import Texts

DENSITY_COLOURS: Final = LinearSegmentedColormap.from_list("density", ["#1f3a63", "#3f7f9f", "#a9d3c4", "#fffbe6"])
"""Dense is bright, as in CT; brightness rises evenly, so that it reads in grey."""
FAILURE_COLOURS: Final = LinearSegmentedColormap.from_list("failure", ["#e9e7e0", "#f3c27a", "#d9641e", "#8d1508", "#3d0202"])
"""Failed is dark; brightness falls evenly, so that it reads in grey."""
DENSITY_DEPTH: Final = 3.0
FAILURE_DEPTH: Final = 4.0
"""How far under the surface a picture in three dimensions looks [mm] [design]."""
PIXELS: Final = 340
PANELS: Final[Mapping[str, float]] = {"vertebra": 41.0, "femur": 34.0}
"""Height of one panel [mm]: a femur's page holds its projection and its regions too."""
TOP_PERCENTILE: Final = 92.0
"""Colour scales end at the next round number above this percentile; what is beyond shares the last colour [design]."""
ROOM: Final = 0.16
"""Part of a picture kept free under the bone for scale and directions."""
BLUR: Final = 1.0
"""Standard deviation of the blur of the density that colours a surface [mm]; at least 0.7 of a voxel [design]."""
CUT_STEP: Final = 0.4
"""Sampling of cut planes [mm]."""
VIEWS: Final[Mapping[str, tuple[tuple[str, tuple[float, float, float]], ...]]] = {
    "vertebra": (("view.front_left", (0.55, -1.0, 0.42)), ("view.back_right", (-0.55, 1.0, 0.42))),
    "femur": (("view.front", (0.0, -1.0, 0.08)), ("view.back", (0.0, 1.0, 0.08))),
}
"""Text key and direction towards the viewer in the bone's frame (x left, y posterior, z superior or proximal)."""


@dataclass(frozen=True)
class Subject:
    """What is drawn of one bone."""

    region: BoneRegion
    mask: Volume
    solid: Solid
    """The mask, prepared for any number of views."""
    density: Layer
    """For the cut: as measured."""
    skin: Layer
    """For the surface: smooth."""
    failure: Layer | None
    density_top: float
    failure_top: float


def bone_views(subject: Subject, texts: Texts) -> bytes:
    """Return a PNG with the bone from two sides and cut through its middle, by density and, where solved, by failure."""
    rows = 2 if subject.failure is not None else 1
    bar, top, panel = 17.0, 5.0, PANELS[subject.region.kind]
    width = (drawing.PAGE_WIDTH - bar) / 3.0
    height = panel + top
    canvas = drawing.new_figure(1.0, rows * height)
    layers = [subject.density] + ([subject.failure] if subject.failure else [])
    skins = [subject.skin, *layers[1:]]
    for column, (key, direction) in enumerate(VIEWS[subject.region.kind]):
        camera = camera_of(subject.region, subject.mask, direction, width / panel)
        for row, image in enumerate(render(subject.solid, skins, camera, PIXELS)):
            axes = drawing.place(canvas, column * width, (rows - 1 - row) * height, width, panel)
            _draw_render(axes, image, camera, subject.region.frame.axes, texts(key))
    for row, layer in enumerate(layers):
        axes = drawing.place(canvas, 2 * width, (rows - 1 - row) * height, width, panel)
        _draw_cut(axes, subject, layer, texts, width / panel)
        _draw_bar(canvas, subject, row, rows - 1 - row, texts)
    return drawing.to_png(canvas)


def failed_share(bone: BoneResult) -> float | None:
    """Return the share of the bone that has yielded at the strength, as the test counted it; ``None`` where it does not say."""
    return bone.strength.quantities.get("failed_fraction") if bone.strength else None


def subject_of(bone: BoneResult) -> Subject:
    """Return a bone ready to be drawn: layers with ranges that end at round numbers."""
    region = bone.region
    assert region is not None
    low, high = bounding_box(region.mask, 6.0)
    mask, density = (crop(part, low.tolist(), high.tolist()) for part in (region.mask, region.density))
    inside = density.array[mask.array]
    top = drawing.nice_ceiling(float(np.percentile(inside, TOP_PERCENTILE)))
    colour = _scaled(DENSITY_COLOURS, top)
    failure, failure_top = None, 0.0
    # A linear test has no failure to show.
    if bone.strength is not None and bone.specimen is not None and (failed_share(bone) is not None or bone.strength.failed.any()):
        failed = bone.strength.failed
        yielded = failed[failed > 0]
        failure_top = drawing.nice_ceiling(max(float(np.percentile(yielded, TOP_PERCENTILE)), 0.002)) if yielded.size else 0.01
        volume = Volume(np.where(bone.specimen.mask, failed, 0.0), bone.specimen.to_patient, "strain")
        failure = Layer(volume, FAILURE_DEPTH, _scaled(FAILURE_COLOURS, failure_top))
    skin = Layer(_smooth(density, mask), DENSITY_DEPTH, colour, average=True)
    return Subject(region, mask, prepare(mask), Layer(density, DENSITY_DEPTH, colour), skin, failure, top, failure_top)


def _smooth(density: Volume, mask: Volume) -> Volume:
    """Return the density blurred within the bone; what lies outside does not count."""
    width = np.maximum(BLUR / mask.spacing, 0.7)
    cover = ndimage.gaussian_filter(mask.array.astype(np.float32), width)
    summed = ndimage.gaussian_filter(np.where(mask.array, density.array, 0.0).astype(np.float32), width)
    return density.with_array(np.where(cover > 1e-3, summed / np.maximum(cover, 1e-3), 0.0).astype(np.float32))


def _scaled(colours: LinearSegmentedColormap, top: float) -> Callable[[Float[Array, " n"]], Float[Array, "n rgb"]]:
    """Return a function from values of 0 to ``top`` to colours."""
    return lambda values: np.asarray(colours(np.clip(values / top, 0.0, 1.0)))[..., :3]


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


def _draw_render(axes: Axes, image: Float[Array, "v u rgba"], camera: Camera, frame: Float[Array, "3 3"], title: str) -> None:
    """Show a rendered bone with its title, a scale and small axes: the bone's own, as the title and the cut's letters have them."""
    axes.imshow(drawing.as_image(image), extent=(0, camera.width, 0, camera.height), interpolation="lanczos")
    _bare(axes, title)
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
    _ruler(axes, camera.width)


def triad(frame: Float[Array, "3 3"], camera: Camera) -> dict[str, Float[Array, "2"]]:
    """Return where the bone's left, front and top point in a picture, those that do not point at the viewer."""
    directions = {"L": frame[:, 0], "A": -frame[:, 1], "S": frame[:, 2]}
    arrows = {letter: direction @ camera.axes[:, :2] for letter, direction in directions.items()}
    return {letter: arrow for letter, arrow in arrows.items() if np.linalg.norm(arrow) >= 0.3}


def cut_plane(
    subject: Subject, aspect: float
) -> tuple[Float[Array, "v u 3"], Float[Array, "3"], Float[Array, "3"], Bool[Array, "v u"]]:
    """Return points of the plane through the middle of a bone, from below, where it goes to the right and up, and what of it is bone."""
    right, up, centre = cut_frame(subject.region)
    across = np.stack([right, up, np.cross(right, up)], axis=1)
    low, high = (end - centre @ across for end in _extent(subject.mask, across))
    middle = (low + high) / 2
    tall = max((high[1] - low[1]) * 1.06 / (1.0 - ROOM), (high[0] - low[0]) * 1.24 / aspect)
    middle[1] -= ROOM / 2 * tall
    wide = tall * aspect
    u = np.arange(-wide / 2, wide / 2, CUT_STEP) + middle[0]
    v = np.arange(-tall / 2, tall / 2, CUT_STEP) + middle[1]
    plane = centre + u[None, :, None] * right + v[:, None, None] * up
    return plane, right, up, np.asarray(sample(subject.mask, plane, 1) > 0.5)


def _draw_cut(axes: Axes, subject: Subject, layer: Layer, texts: Texts, aspect: float) -> None:
    """Show the plane through the middle of the bone."""
    plane, _, _, inside = cut_plane(subject, aspect)
    tall, wide = CUT_STEP * plane.shape[0], CUT_STEP * plane.shape[1]
    values = sample(layer.values, plane, 0 if layer is subject.failure else 1)
    rgb = layer.colours(values.ravel()).reshape(*values.shape, -1)[..., :3]
    image = np.where(inside[..., None], rgb, 1.0)
    extent = (0.0, wide, 0.0, tall)
    axes.imshow(drawing.as_image(image), extent=extent, origin="lower", interpolation="nearest")
    axes.contour(
        np.linspace(0, wide, plane.shape[1]), np.linspace(0, tall, plane.shape[0]), ndimage.gaussian_filter(inside.astype(float), 1.0),
        levels=[0.5], colors=[drawing.INK], linewidths=0.8,
    )  # fmt: skip
    _bare(axes, texts(f"view.cut.{subject.region.kind}"))
    sides = ("A", "P") if subject.region.kind == "vertebra" else ("R", "L")
    for x, side, where in ((0.02, sides[0], "left"), (0.98, sides[1], "right")):
        axes.text(x, 0.55, side, transform=axes.transAxes, fontsize=drawing.FONT_SIZE, ha=where, va="center", color=drawing.INK)
    _ruler(axes, wide)


def sample(volume: Volume, points: Float[Array, "v u 3"], order: int) -> Float[Array, "v u"]:
    """Return values at patient points, 0 outside."""
    index = to_index(volume.affine, points.reshape(-1, 3)).T
    values = ndimage.map_coordinates(volume.array.astype(np.float32), index, order=order, prefilter=False)
    return np.asarray(values.reshape(points.shape[:2]))


def _draw_bar(canvas: Canvas, subject: Subject, kind: int, row: int, texts: Texts) -> None:
    """Draw the colour scale of one row at its right."""
    panel = PANELS[subject.region.kind]
    axes = drawing.place(canvas, drawing.PAGE_WIDTH - 14.5, row * (panel + 5.0) + 5.0, 3.2, panel - 12.0)
    colours, top = (DENSITY_COLOURS, subject.density_top) if kind == 0 else (FAILURE_COLOURS, 100 * subject.failure_top)
    axes.imshow(np.linspace(0, 1, 128)[:, None], cmap=colours, aspect="auto", origin="lower", extent=(0, 1, 0, top))
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([0, top / 2, top], labels=["0", f"{top / 2:g}", f"≥ {top:g}"])
    axes.tick_params(labelsize=drawing.FONT_SIZE, length=2, width=0.6, color=drawing.QUIET)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color(drawing.QUIET)
    title = texts("view.bar_density") if kind == 0 else texts("view.bar_failure")
    axes.set_title(title, fontsize=drawing.FONT_SIZE, color=drawing.INK, pad=4, loc="left", linespacing=1.05)


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
    axes.set_xlim(0, wide)
    axes.set_ylim(0, tall)
