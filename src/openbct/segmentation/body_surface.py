"""One vertebral body between its discs: endplates, wall, and the voxels inside.

In the frame of the body the endplates are surfaces over its footprint and the wall is a surface around its axis; each is where the image
falls most steeply from bone to what lies outside, which for a blurred edge is the half-way point, held together by
:mod:`smooth_surface`. Where pedicles and ribs join, no edge is seen, and the wall follows the outline of a body from its neighbours around
and below. A first round finds the frame, a second one the surfaces in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume, to_patient
from .column import sampled
from .smooth_surface import best_surface

ROUNDS = 2
ANGLES = 72
RADIAL, AXIAL, LATERAL = 0.5, 0.5, 1.5
"""Steps of the search along rays and along the axis, and of the grid of the endplates [mm] [D]."""
WIDE, DEEP = 1.38, 1.0
"""Width over depth of the outline that the wall is compared with, first guess [-]: lumbar bodies are 1.3 to 1.5 times wider than deep [R]."""
ROUNDNESS = 2.6
"""Exponent of the superellipse of the outline: 2 is an ellipse [-] [D]."""
OUTLINE = (0.62, 1.5)
"""Range of the wall, over the outline [-] [D]."""
BLUR, BLUR_OF_VOXEL = 0.4, 0.38
"""Deviation of the smoothing before slopes are taken: at least [mm], and over the voxel edge in that direction [-], without which the slope
between two thick slices is the same everywhere [D]."""
SHELL = 0.25
"""From the middle of a cortex or endplate to its surface [mm]: half of 0.3 to 0.5 mm [R]."""
EDGE_HU = 60.0
"""Slope that counts as one unit of gain [HU/mm] [D]."""
SEEN = (-50.0, 900.0)
"""Range of the image in which falls count [HU]: what falls from muscle to fat or to lung is no border of bone; 0 HU costs porous bodies
beside fat a thousandth of their overlap [C]; [D]."""
GAIN_CAP = 3.0
"""Most that one edge may count: calcified or metallic neighbours must not pull [-] [D]."""
BEND_WALL, BEND_ENDPLATE = (0.25, 0.35), (0.12, 0.12)
"""Penalties for steps of the wall (around, along) and of the endplates, per squared index [D]."""
BEHIND_ROOM = (8.0, 1.0)
"""How far the wall may lie behind the posterior wall as the column has it, and then as the first round has it [mm] [D]."""
MOST_MOVED = 7.0
"""Most that the first round may move the axis aside or to the front [mm]: contrast agent beside a body must not carry it away [D]."""
WIDTHS = (0.85, 1.25)
"""Range of the width, over the first guess [-] [D]."""


@dataclass(frozen=True)
class Start:
    """What the column says of a body before its surfaces are known."""

    centre: Float[Array, "3"]
    """Patient LPS [mm]."""
    axes: Float[Array, "3 3"]
    """Columns: left, posterior, up."""
    height: float
    depth: float
    canal: float
    """From the centre back to the middle of the canal [mm]."""
    room: tuple[float, float]
    """From the ends of the height to the middle of the disc below and above [mm]."""


@dataclass(frozen=True)
class BodySurface:
    """The surfaces of a body, in its frame."""

    start: Start
    """With the frame of the last round."""
    lower: Float[Array, "m n"]
    """Height of the endplate over the grid of the footprint [mm]."""
    upper: Float[Array, "m n"]
    x: Float[Array, " m"]
    y: Float[Array, " n"]
    wall: Float[Array, "a k"]
    """Radius around the axis, by angle from the left and height [mm]."""
    z: Float[Array, " k"]
    gains: dict[str, float]
    """Share of each surface that lies on an edge: ``"endplates"``, ``"wall"``."""


def fit_body(image: Volume, start: Start) -> BodySurface:
    """Return the surfaces of the body of an image [HU] that lies between two discs."""
    x = np.arange(-34.5, 34.6, LATERAL)
    half_width, half_depth = WIDE * start.depth / 2, DEEP * start.depth / 2
    for number in range(ROUNDS):
        y = np.arange(-np.ceil(start.depth / 2 + 6.0), np.ceil(start.depth / 2 + 6.0) + 0.1, LATERAL)
        inside = _outline(x[:, None], y[None, :], half_width, half_depth)
        ends = [_endplate(image, start, x, y, inside, side) for side in (-1, 1)]
        (lower, lower_gain), (upper, upper_gain) = ends
        z = np.arange(-start.height / 2 + 1.0, start.height / 2 - 0.5, 1.0)
        wall, wall_gain, outline = _wall(image, start, z, half_width, half_depth, BEHIND_ROOM[number])
        if number < ROUNDS - 1:
            start, half_width, half_depth = _refined(start, lower, upper, x, y, inside, wall, outline)
    core = inside < 0.9
    gains = {
        "endplates": float(np.mean([np.mean(gain[core] > 0.5) for gain in (lower_gain, upper_gain)])),
        "wall": float(np.mean(wall_gain[_free_angles()] > 0.5)),
    }
    return BodySurface(start, lower, upper, x, y, wall, z, gains)


def _outline(x: Array, y: Array, half_width: float, half_depth: float) -> Array:
    """Return 1 on the outline of a body, less inside, more outside."""
    return np.asarray((np.abs(x / half_width) ** ROUNDNESS + np.abs(y / half_depth) ** ROUNDNESS) ** (1 / ROUNDNESS))


def _angles() -> Float[Array, " a"]:
    return np.asarray(np.arange(ANGLES) * (2 * np.pi / ANGLES))


def _free_angles() -> Bool[Array, " a"]:
    """Return the directions where nothing joins the body: the front half and the middle of the back."""
    angle = np.degrees(_angles())
    return np.asarray((angle > 175.0) | (angle < 5.0) | (np.abs(angle - 90.0) < 20.0))


def _endplate(
    image: Volume, start: Start, x: Array, y: Array, inside: Array, side: int
) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
    """Return the height of one endplate over the footprint [mm], and the gain there."""
    room = start.room[(side + 1) // 2]
    out = np.arange(-min(0.42 * start.height, 11.0), room + 1.0, AXIAL)
    z = side * (start.height / 2 + out)
    grid = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    values = sampled(image, start.centre[None], start.axes[None], grid)[0]
    size = _voxel(image, start.axes[:, 2])
    smooth = _blurred(values, AXIAL, size)
    gain = _drop(smooth, AXIAL)
    # An endplate has its own disc outside: the middle of the disc is not crossed but for a reason.
    gain = gain * np.clip(1.15 - np.maximum(out, 0.0) / max(room, 2.0) * 0.6, 0.0, 1.0)
    gain = gain * np.clip((1.15 - inside) / 0.25, 0.0, 1.0)[:, :, None]
    place, found = best_surface(gain, bend=BEND_ENDPLATE)
    place = place - _inwards(smooth, place, (found > 0.5) & (inside < 0.9), AXIAL, size) / AXIAL
    return side * (start.height / 2 + out[0] + AXIAL * place), found


def _voxel(image: Volume, direction: Float[Array, "3"]) -> float:
    """Return the voxel edge along a patient direction [mm]."""
    return float(np.abs(np.linalg.inv(image.affine[:3, :3]) @ direction).max() ** -1)


def _blurred(values: Float[Array, "... h"], step: float, voxel: float) -> Float[Array, "... h"]:
    deviation = max(BLUR, BLUR_OF_VOXEL * voxel)
    return np.asarray(ndimage.gaussian_filter1d(np.clip(values, *SEEN), deviation / step, axis=-1, mode="nearest"))


def _drop(smooth: Float[Array, "... h"], step: float) -> Float[Array, "... h"]:
    """Return how steeply the image falls along its last axis, in units of :data:`EDGE_HU`, capped; what rises counts against."""
    return np.asarray(np.clip(-np.gradient(smooth, step, axis=-1) / EDGE_HU, -0.5, GAIN_CAP))


def _inwards(
    smooth: Float[Array, "m n h"], place: Float[Array, "m n"], sure: Bool[Array, "m n"], step: float, voxel: float
) -> float:
    """Return how far the steepest fall lies outside the bone [mm].

    A shell much thinner than the blur is seen as a bright line one blur wide to each side of its middle; the bone ends where the shell does.
    The line's distance from the fall is measured where edges are sure, and its median taken, at most 0.55 mm or three tenths of a voxel [C].
    """
    if not sure.any():
        return 0.0
    reach = np.arange(0.0, max(3.0, 1.2 * voxel), step)
    at = np.rint(place[sure][:, None] - reach / step).astype(int)
    profile = np.take_along_axis(smooth[sure], np.clip(at, 0, smooth.shape[-1] - 1), axis=1)
    return float(np.clip(np.median(reach[profile.argmax(axis=1)]) - SHELL, 0.0, max(0.55, 0.3 * voxel)))


def _wall(
    image: Volume, start: Start, z: Array, half_width: float, half_depth: float, room: float
) -> tuple[Float[Array, "a k"], Float[Array, "a k"], Float[Array, " a"]]:
    """Return the radius of the wall [mm] by angle and height, the gain there, and the radius of the outline by angle."""
    angle = _angles()
    outline = 1.0 / _outline(np.cos(angle), np.sin(angle), half_width, half_depth)
    count = int(np.ceil((OUTLINE[1] - OUTLINE[0]) * outline.max() / RADIAL))
    share = np.linspace(*OUTLINE, count)
    radius = outline[:, None] * share
    ring = np.stack([np.cos(angle)[:, None] * radius, np.sin(angle)[:, None] * radius], axis=-1)
    grid = np.concatenate(
        [np.repeat(ring[:, None], len(z), axis=1), np.broadcast_to(z[None, :, None, None], (ANGLES, len(z), count, 1))], axis=-1
    )
    values = sampled(image, start.centre[None], start.axes[None], grid)[0]
    step = float(outline.mean() * (share[1] - share[0]))
    ways = [start.axes @ np.array([np.cos(one), np.sin(one), 0.0]) for one in angle]
    sizes = [_voxel(image, way) for way in ways]
    smooth = np.stack([_blurred(line, step, size) for line, size in zip(values, sizes, strict=True)])
    gain = _drop(smooth, step)
    behind = grid[..., 1] - (start.depth / 2 + room)
    gain = gain - np.clip(behind, 0.0, 3.0) - 0.6 * np.abs(share - 1.0)
    place, found = best_surface(gain, bend=BEND_WALL, periodic=True)
    sure = (found > 0.5) & _free_angles()[:, None]
    place = place - _inwards(smooth, place, sure, step, float(np.median(sizes))) / step
    return outline[:, None] * (share[0] + place * (share[1] - share[0])), found, outline


def _refined(
    start: Start, lower: Array, upper: Array, x: Array, y: Array, inside: Array, wall: Array, outline: Array
) -> tuple[Start, float, float]:
    """Return the body's own frame and outline: axis normal to both endplates, centre between them and between the walls."""
    core = inside < 0.85
    at = np.column_stack([np.repeat(x, len(y)), np.tile(y, len(x)), np.ones(len(x) * len(y))])[core.ravel()]
    planes = [np.linalg.lstsq(at, surface[core], rcond=None)[0] for surface in (lower, upper)]
    tilt = (planes[0] + planes[1]) / 2
    up = start.axes @ np.array([-tilt[0], -tilt[1], 1.0])
    up /= np.linalg.norm(up)
    left = start.axes[:, 0] - up * (start.axes[:, 0] @ up)
    left /= np.linalg.norm(left)
    axes = np.column_stack([left, np.cross(up, left), up])
    angle, radius = _angles(), np.median(wall, axis=1)
    px, py = np.cos(angle) * radius, np.sin(angle) * radius
    sides = [float(np.median(px[np.abs(np.degrees(np.angle(np.exp(1j * (angle - way))))) < 25.0])) for way in (0.0, np.pi)]
    ends = [
        float(np.median(py[np.abs(np.degrees(np.angle(np.exp(1j * (angle - way))))) < 20.0])) for way in (np.pi / 2, -np.pi / 2)
    ]
    middle = np.array([(sides[0] + sides[1]) / 2, (ends[0] + ends[1]) / 2])
    x0, y0 = (float(place) for place in np.clip(middle, -MOST_MOVED, MOST_MOVED))
    bottom, top = (float(plane @ (x0, y0, 1.0)) for plane in planes)
    moved = start.centre + start.axes @ np.array([x0, y0, (bottom + top) / 2])
    half_depth = (ends[0] - ends[1]) / 2 / 0.98
    least, most = (WIDE * half_depth * share for share in WIDTHS)
    half_width = min(max((sides[0] - sides[1]) / 2 / 0.98, least), most)
    change = (start.height - (top - bottom)) / 2
    room = (max(start.room[0] + change, 2.5), max(start.room[1] + change, 2.5))
    return Start(moved, axes, top - bottom, 2 * half_depth, start.canal - y0, room), half_width, half_depth


def body_mask(image: Volume, surface: BodySurface) -> Volume:
    """Return the voxels of an image whose centres lie within a body's surfaces, on the box that holds them."""
    start = surface.start
    reach = np.array([surface.x[-1], surface.y[-1], max(np.abs(surface.lower).max(), np.abs(surface.upper).max()) + 1.0])
    signs = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    inverse = np.linalg.inv(image.affine)
    corner = (start.centre + (signs * reach) @ start.axes.T) @ inverse[:3, :3].T + inverse[:3, 3]
    low = np.maximum(np.floor(corner.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(corner.max(axis=0)).astype(int) + 1, image.shape)
    shape = np.maximum(high - low, 1)
    affine = image.affine.copy()
    affine[:3, 3] = to_patient(image.affine, low.astype(float))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    local = (to_patient(affine, index.reshape(-1, 3).astype(float)) - start.centre) @ start.axes
    inside = _within(surface, local).reshape(tuple(shape))
    return Volume(inside, affine, "mask")


def _within(surface: BodySurface, local: Float[Array, "n 3"]) -> Bool[Array, " n"]:
    x, y, z = local.T
    place = np.array([(x - surface.x[0]) / LATERAL, (y - surface.y[0]) / LATERAL])
    lower, upper = (ndimage.map_coordinates(values, place, order=1, mode="nearest") for values in (surface.lower, surface.upper))
    turn = np.mod(np.arctan2(y, x), 2 * np.pi) / (2 * np.pi / ANGLES)
    wound = np.concatenate([surface.wall, surface.wall[:1]])
    radius = ndimage.map_coordinates(wound, np.array([turn, z - surface.z[0]]), order=1, mode="nearest")
    return np.asarray((z > lower) & (z < upper) & (np.hypot(x, y) < radius))
