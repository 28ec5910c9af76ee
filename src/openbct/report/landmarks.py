"""The plane in which a bone's frame lies, with the landmarks that were found: what its lengths and angles rest on."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from scipy import ndimage

from ..records import Array, BoneRegion
from ..volume import Volume, bounding_box, crop, offset_in, to_index
from . import drawing

STEP: Final = 0.5
"""Sampling of the plane [mm]."""
ROOM: Final = 14.0
"""Shown around bone and landmarks [mm] [design]."""
NEEDED: Final = {
    "femur": ("head_centre", "neck_centre", "neck_superior", "neck_inferior", "neck_axis_lateral", "shaft_end"),
    "vertebra": ("superior_plane_front", "inferior_plane_back", "mid_plane", "superior_middle"),
}
"""Without these there is nothing to draw."""

Plane = Float[Array, "n 2"]


def can_draw(region: BoneRegion) -> bool:
    """Tell whether a bone has the landmarks that its picture needs."""
    return all(name in region.landmarks for name in NEEDED[region.kind])


def cut_frame(region: BoneRegion) -> tuple[Float[Array, "3"], Float[Array, "3"], Float[Array, "3"]]:
    """Return right, up and centre of the cut: mid-sagittal in a vertebra, through neck and shaft in a femur."""
    left, posterior, up = region.frame.axes.T
    if region.kind == "vertebra":
        return posterior, up, region.frame.origin
    head, neck = region.landmarks.get("head_centre"), region.landmarks.get("neck_centre")
    right = left
    if head is not None and neck is not None:
        across = (neck - head) - ((neck - head) @ up) * up
        if np.linalg.norm(across) > 1.0:
            right = across / np.linalg.norm(across)
            right = right if right @ left > 0 else -right
    return right, up, region.frame.origin


def width_needed(region: BoneRegion, aspect: float) -> float:
    """Return the width of a picture of bone and landmarks in the bone's own plane [mm], ``aspect`` times as wide as it is tall."""
    low, high = _extent(region, *cut_frame(region))
    return max(float(high[0] - low[0]), float(high[1] - low[1]) * aspect)


def draw_landmarks(axes: Axes, image: Volume, region: BoneRegion, window: tuple[float, float], size: tuple[float, float]) -> None:
    """Draw the image in the bone's own plane, the outline of the bone, and its landmarks, as seen along the plane's normal.

    ``size`` is how much is shown, to the right and up [mm].
    """
    right, up, centre = cut_frame(region)
    flat = {name: np.array([(point - centre) @ right, (point - centre) @ up]) for name, point in region.landmarks.items()}
    low, high = _extent(region, right, up, centre)
    middle = (low + high) / 2
    u = np.arange(-size[0] / 2, size[0] / 2, STEP) + middle[0]
    v = np.arange(-size[1] / 2, size[1] / 2, STEP) + middle[1]
    points = centre + u[None, :, None] * right + v[:, None, None] * up
    extent = (u[0], u[-1], v[0], v[-1])
    level, width = window
    axes.set_facecolor("black")
    axes.imshow(
        _sample(_around(image, region, points), points, level - width), cmap="gray", vmin=level - width / 2, vmax=level + width / 2,
        extent=extent, origin="lower", interpolation="bicubic",
    )  # fmt: skip
    inside = ndimage.gaussian_filter(_sample(region.mask, points, 0.0), 1.0)
    if inside.max() > 0.5:
        axes.contour(u, v, inside, levels=[0.5], colors=[drawing.CONTOUR], linewidths=0.9).set_path_effects(drawing.halo())
    (_draw_femur if region.kind == "femur" else _draw_vertebra)(axes, flat, region)
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.set_aspect("auto")
    write_sides(axes, ("A", "P", "S", "I") if region.kind == "vertebra" else ("R", "L", "S", "I"))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def write_sides(axes: Axes, letters: tuple[str, str, str, str]) -> None:
    """Write letters at the middle of the left, right, upper and lower edge."""
    edges = (
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5, 0.975, "center", "top"),
        (0.5, 0.025, "center", "bottom"),
    )
    places = [(x, y, letter, horizontal, vertical) for letter, (x, y, horizontal, vertical) in zip(letters, edges, strict=True)]
    for x, y, letter, horizontal, vertical in places:
        axes.text(
            x, y, letter, transform=axes.transAxes, color="white", fontsize=9, fontweight="bold",
            ha=horizontal, va=vertical, path_effects=drawing.halo(width=3.0),
        )  # fmt: skip


def _draw_femur(axes: Axes, flat: dict[str, Array], region: BoneRegion) -> None:
    """Draw head, neck axis with its narrowest section, shaft axis and trochanters."""
    head, radius = flat["head_centre"], region.lengths["head_radius"]
    turn = np.linspace(0.0, 2.0 * np.pi, 90)
    _line(axes, head + radius * np.column_stack([np.cos(turn), np.sin(turn)]))
    along = (head - flat["neck_centre"]) / np.linalg.norm(head - flat["neck_centre"])
    _line(axes, np.array([flat["neck_axis_lateral"], head + radius * along]))
    _line(axes, np.array([flat["neck_superior"], flat["neck_inferior"]]), width=1.6)
    tip = flat.get("greater_trochanter_tip")
    top = float(head[1]) if tip is None else float(tip[1])
    foot = flat["shaft_end"]
    _line(axes, np.array([foot, [foot[0], top]]), style=(0, (5, 2.5)))
    _points(axes, [head], "o")
    _points(
        axes,
        [flat[name] for name in ("greater_trochanter_tip", "greater_trochanter_lateral", "lesser_trochanter") if name in flat],
        "D",
    )


def _draw_vertebra(axes: Axes, flat: dict[str, Array], region: BoneRegion) -> None:
    """Draw the planes of both endplates, the plane half-way between them, and the three heights."""
    for name in ("superior", "inferior"):
        _line(axes, np.array([flat[f"{name}_plane_front"], flat[f"{name}_plane_back"]]))
    ends = np.array([flat["superior_plane_front"][0], flat["superior_plane_back"][0]])
    _line(axes, np.column_stack([ends, np.full(2, flat["mid_plane"][1])]), style=(0, (5, 2.5)))
    for name in ("anterior", "middle", "posterior"):
        pair = np.array([flat[f"superior_{name}"], flat[f"inferior_{name}"]])
        _line(axes, pair, width=1.6)
        _points(axes, list(pair), "D")


def _line(axes: Axes, points: Plane, width: float = 1.0, style: str | tuple[int, tuple[float, ...]] = "-") -> None:
    axes.plot(
        points[:, 0], points[:, 1], color=drawing.REGION, linewidth=width, linestyle=style,
        path_effects=drawing.halo(width=width + 1.0), solid_capstyle="butt",
    )  # fmt: skip


def _points(axes: Axes, points: list[Array], marker: str) -> None:
    for point in points:
        axes.plot(
            *point, marker=marker, markersize=3.4, markerfacecolor=drawing.REGION, markeredgecolor="black", markeredgewidth=0.6
        )


def _extent(region: BoneRegion, right: Array, up: Array, centre: Array) -> tuple[Array, Array]:
    """Return the box of bone and landmarks in the plane, with room [mm]; of a long shaft no more than its landmarks need."""
    low, high = bounding_box(region.mask)
    corners = np.array([[a, b, c] for a in (low[0], high[0]) for b in (low[1], high[1]) for c in (low[2], high[2])], dtype=float)
    offsets = corners @ region.mask.affine[:3, :3].T + region.mask.affine[:3, 3] - centre
    flat = np.column_stack([offsets @ right, offsets @ up])
    first, last = flat.min(axis=0), flat.max(axis=0)
    if region.kind == "femur":
        marks = np.array([[(point - centre) @ right, (point - centre) @ up] for point in region.landmarks.values()])
        reach = region.lengths["head_radius"]
        first, last = np.minimum(marks.min(axis=0), -reach), np.maximum(marks.max(axis=0), reach)
        first[1] = max(first[1], -5.0 * reach)
    return first - ROOM, last + ROOM


def _around(image: Volume, region: BoneRegion, points: Float[Array, "v u 3"]) -> Volume:
    """Return the part of the image that the plane meets: a whole scan need not be copied."""
    index = to_index(image.affine, points[:: len(points) - 1, :: points.shape[1] - 1].reshape(-1, 3))
    start = offset_in(region.mask, image)
    low = np.minimum(np.floor(index.min(axis=0)).astype(int), start) - 1
    high = np.maximum(np.ceil(index.max(axis=0)).astype(int), start + np.array(region.mask.shape)) + 2
    return crop(image, low.tolist(), high.tolist())


def _sample(volume: Volume, points: Float[Array, "v u 3"], fill: float) -> Float[Array, "v u"]:
    index = to_index(volume.affine, points.reshape(-1, 3)).T
    array = volume.array.astype(np.float32)
    return np.asarray(ndimage.map_coordinates(array, index, order=1, mode="constant", cval=fill).reshape(points.shape[:2]))
