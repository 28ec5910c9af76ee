"""Bones in three dimensions: an orthographic software renderer in NumPy.

A bone is the half-value surface of its blurred mask. Rays step through the distance map of the mask until they meet the
surface; normals are the gradient of the blurred mask; light falls from the upper left of the picture, and hollows are
darker than hills. No mesh, no graphics library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..records import Array
from ..volume import Affine, Volume, to_index

SMOOTHING: Final = 0.9
"""Standard deviation of the blur that makes the surface [mm]: voxel steps vanish, the shape stays [design]."""
HOLLOW: Final = 3.5
"""Standard deviation of the blur that finds hollows [mm] [design]."""
MAXIMUM_STEPS: Final = 400
BUNDLE: Final = 8
"""Rays of so many samples by so many approach the bone together."""


@dataclass(frozen=True)
class Camera:
    """An orthographic view."""

    axes: Float[Array, "3 3"]
    """Columns in patient LPS: to the right of the picture, up, towards the viewer."""
    centre: Float[Array, "3"]
    """In the middle of the picture, patient LPS [mm]."""
    width: float
    """[mm]"""
    height: float
    """[mm]"""


@dataclass(frozen=True)
class Layer:
    """A quantity that colours the surface."""

    values: Volume
    depth: float
    """So far under the surface the layer is looked up [mm]."""
    colours: Callable[[Float[Array, " n"]], Float[Array, "n rgb"]]
    """From values to red, green, blue of 0 to 1."""
    average: bool = False
    """The mean down to the depth counts, instead of the largest value: smooth quantities without rings of the voxel grid."""


@dataclass(frozen=True)
class Solid:
    """A bone prepared for any number of views."""

    field: Float[Array, "i j k"]
    """Blurred mask; the surface is where it is one half."""
    distance: Float[Array, "i j k"]
    """Length that a ray may safely travel from each voxel [mm]; not above 0 near the bone."""
    slope: tuple[Float[Array, "i j k"], ...]
    """Gradient of the smoothed mask, by voxel."""
    crowd: Float[Array, "i j k"]
    """Share of bone around each voxel: high in hollows."""
    affine: Affine
    """Index to patient LPS [mm]."""


@dataclass(frozen=True)
class Seen:
    """What a camera sees."""

    hit: Bool[Array, "v u"]
    """Samples that show the bone, from the top."""
    position: Float[Array, "n 3"]
    """Of the surface, for each of those, in index coordinates of the solid."""


def prepare(mask: Volume) -> Solid:
    """Return a bone that can be rendered; the mask is closed at its border."""
    margin = np.ceil(1.5 * HOLLOW / mask.spacing).astype(int)
    solid = np.pad(mask.array.astype(np.float32), [(int(m), int(m)) for m in margin])
    affine = mask.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    spacing = mask.spacing
    field = ndimage.gaussian_filter(solid, np.maximum(SMOOTHING / spacing, 0.5))
    distance = ndimage.distance_transform_edt(field < 0.25, sampling=spacing).astype(np.float32) - 1.8 * float(spacing.max())
    smooth = ndimage.gaussian_filter(field, 1.1 / spacing)
    crowd = ndimage.gaussian_filter(solid, HOLLOW / spacing, truncate=2.5)
    return Solid(field, distance, tuple(np.gradient(smooth)), crowd, affine)


def look_from(towards: Float[Array, "3"], up: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Return camera axes that look at the bone from the direction ``towards``, with ``up`` upright."""
    viewer = towards / np.linalg.norm(towards)
    right = np.cross(up, viewer)
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(viewer, right), viewer], axis=1)


def render(
    solid: Solid, layers: Sequence[Layer], camera: Camera, pixels: int, oversampling: int = 2
) -> list[Float[Array, "v u rgba"]]:
    """Return one picture of the bone for each layer, ``pixels`` wide, transparent where there is no bone."""
    wide = pixels * oversampling
    tall = max(1, round(pixels * camera.height / camera.width)) * oversampling
    return [reduce(picture, oversampling) for picture in paint(solid, layers, camera, look(solid, camera, wide, tall))]


def paint(solid: Solid, layers: Sequence[Layer], camera: Camera, seen: Seen) -> list[Float[Array, "v u rgba"]]:
    """Return one picture for each layer of what a camera sees."""
    hit = seen.hit.ravel()
    tall, wide = seen.hit.shape
    position = seen.position
    normal, openness = _normals(solid, position)
    shade = _light(normal, openness, camera)[:, None]
    gloss = _gloss(normal, camera)[:, None]
    pictures = []
    for layer in layers:
        image = np.zeros((tall * wide, 4), dtype=np.float32)
        if hit.any():
            values = _under(layer, solid.affine, position, normal)
            image[hit, :3] = np.clip(layer.colours(values)[:, :3] * shade + gloss, 0, 1)
            image[hit, 3] = 1.0
        pictures.append(image.reshape(tall, wide, 4))
    return pictures


def look(solid: Solid, camera: Camera, wide: int, tall: int) -> Seen:
    """Return what of the bone each of so many samples shows."""
    hit, position = _cast(solid, camera, wide, tall)
    return Seen(hit.reshape(tall, wide), position[hit])


def _screen(camera: Camera, wide: int, tall: int) -> Float[Array, "n 3"]:
    """Return the starting points of the rays in patient LPS, row by row from the top."""
    u = ((np.arange(wide) + 0.5) / wide - 0.5) * camera.width
    v = (0.5 - (np.arange(tall) + 0.5) / tall) * camera.height
    grid = camera.centre + u[None, :, None] * camera.axes[:, 0] + v[:, None, None] * camera.axes[:, 1]
    return np.asarray(grid.reshape(-1, 3))


def _cast(solid: Solid, camera: Camera, wide: int, tall: int) -> tuple[Bool[Array, " n"], Float[Array, "n 3"]]:
    """Return which rays meet the surface, and where (index coordinates).

    Bundles of rays approach first: what is free for the whole bundle is free for each of its rays.
    """
    rough = (-(-wide // BUNDLE), -(-tall // BUNDLE))
    start, step = _rays(solid, camera, *rough)
    radius = float(np.hypot(camera.width / rough[0], camera.height / rough[1]))
    near, far = _box(start, step, solid.field.shape)
    travel = _approach(solid, start, step, (near, far), radius)
    rows = np.minimum(np.arange(tall) * rough[1] // tall, rough[1] - 1)
    columns = np.minimum(np.arange(wide) * rough[0] // wide, rough[0] - 1)
    first = travel.reshape(rough[1], rough[0])[np.ix_(rows, columns)].ravel()
    start, step = _rays(solid, camera, wide, tall)
    near, far = _box(start, step, solid.field.shape)
    return _meet(solid, start, step, (np.maximum(near, first), far))


def _rays(solid: Solid, camera: Camera, wide: int, tall: int) -> tuple[Float[Array, "n 3"], Float[Array, "3"]]:
    """Return where rays start and how far they go per mm, both in index coordinates."""
    start = to_index(solid.affine, _screen(camera, wide, tall)).astype(np.float32)
    return start, (np.linalg.inv(solid.affine[:3, :3]) @ -camera.axes[:, 2]).astype(np.float32)


def _approach(
    solid: Solid,
    start: Float[Array, "n 3"],
    step: Float[Array, "3"],
    limits: tuple[Float[Array, " n"], Float[Array, " n"]],
    radius: float,
) -> Float[Array, " n"]:
    """Return how far each bundle of ``radius`` [mm] may go before it comes near the bone; infinite where it never does."""
    near, far = limits
    travel = np.full(len(start), np.inf, dtype=np.float32)
    # A bundle that only grazes the box may hold rays that enter it: it starts outside, where distances are still known.
    alive = np.arange(len(start))
    here = np.where(near < far, near, 0.0).astype(np.float32) - np.float32(radius)
    last = np.where(near < far, far, np.inf).astype(np.float32)
    touching = near >= far
    travel[touching] = -np.inf
    alive = alive[~touching]
    for _ in range(MAXIMUM_STEPS):
        if alive.size == 0:
            break
        gap = _distance(solid, start[alive] + here[alive, None] * step) - radius
        stopped = gap <= 0
        travel[alive[stopped]] = here[alive[stopped]]
        alive, gap = alive[~stopped], gap[~stopped]
        here[alive] += np.maximum(gap, 0.1)
        alive = alive[here[alive] < last[alive] + radius]
    return travel


def _distance(solid: Solid, position: Float[Array, "n 3"]) -> Float[Array, " n"]:
    """Return the free length at the voxel nearest to each position."""
    shape = solid.distance.shape
    index = [np.clip(np.rint(position[:, axis]).astype(np.int32), 0, shape[axis] - 1) for axis in range(3)]
    return np.asarray(solid.distance.ravel()[(index[0] * shape[1] + index[1]) * shape[2] + index[2]])


def _meet(
    solid: Solid, start: Float[Array, "n 3"], step: Float[Array, "3"], limits: tuple[Float[Array, " n"], Float[Array, " n"]]
) -> tuple[Bool[Array, " n"], Float[Array, "n 3"]]:
    """Return which rays meet the surface between their limits, and where."""
    near, far = limits
    fine = 0.6 * float(np.linalg.norm(solid.affine[:3, :3], axis=0).min())
    hit = np.zeros(len(start), dtype=bool)
    where = np.zeros_like(start)
    alive = np.flatnonzero(near < far)
    travel, before, last = near.copy(), np.zeros(len(start), dtype=np.float32), near.copy()
    for _ in range(MAXIMUM_STEPS):
        if alive.size == 0:
            break
        position = start[alive] + travel[alive, None] * step
        gap = _distance(solid, position)
        value = np.zeros(alive.size, dtype=np.float32)
        close = gap <= 0
        value[close] = ndimage.map_coordinates(solid.field, position[close].T, order=1, prefilter=False)
        inside = value > 0.5
        found = alive[inside]
        share = (0.5 - before[found]) / np.maximum(value[inside] - before[found], 1e-6)
        reached = last[found] + np.clip(share, 0, 1) * (travel[found] - last[found])
        where[found] = start[found] + reached[:, None] * step
        hit[found] = True
        keep = ~inside
        alive, gap = alive[keep], gap[keep]
        before[alive], last[alive] = value[keep], travel[alive]
        travel[alive] += np.maximum(gap, fine)
        alive = alive[travel[alive] < far[alive]]
    return hit, where


def _box(
    start: Float[Array, "n 3"], step: Float[Array, "3"], shape: tuple[int, ...]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Return where each ray enters and leaves the array, in mm along it."""
    safe = np.where(np.abs(step) < 1e-7, np.float32(1e-7), step)
    first = (0.0 - start) / safe
    second = (np.array(shape, dtype=np.float32) - 1.0 - start) / safe
    near = np.minimum(first, second).max(axis=1) + 1e-3
    far = np.maximum(first, second).min(axis=1) - 1e-3
    return near.astype(np.float32), far.astype(np.float32)


def _normals(solid: Solid, position: Float[Array, "n 3"]) -> tuple[Float[Array, "n 3"], Float[Array, " n"]]:
    """Return outward normals in patient LPS, and how open to light each point is (1 on hills, lower in hollows)."""
    inverse = np.linalg.inv(solid.affine[:3, :3])
    slope = [ndimage.map_coordinates(part, position.T, order=1, prefilter=False) for part in solid.slope]
    normal = -np.stack(slope, axis=1) @ inverse
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    outside = position + 2.0 * normal @ inverse.T
    around = ndimage.map_coordinates(solid.crowd, outside.T, order=1, prefilter=False)
    return normal, np.clip(1.15 - 1.6 * np.maximum(around - 0.16, 0.0), 0.45, 1.0)


def _under(layer: Layer, affine: Affine, position: Float[Array, "n 3"], normal: Float[Array, "n 3"]) -> Float[Array, " n"]:
    """Return the largest value of the layer, or its mean, from the surface down to its depth."""
    volume = layer.values
    point = position @ affine[:3, :3].T + affine[:3, 3]
    values = volume.array.astype(np.float32)
    found = np.full(len(point), 0.0 if layer.average else -np.inf, dtype=np.float32)
    stride = max(0.5, 0.7 * float(volume.spacing.min()))
    depths = np.arange(0.3, layer.depth + 1e-6, stride)
    for depth in depths:
        index = to_index(volume.affine, point - depth * normal)
        here = ndimage.map_coordinates(values, index.T, order=1, prefilter=False, mode="nearest")
        found = found + here if layer.average else np.maximum(found, here)
    return found / np.float32(len(depths)) if layer.average else found


def _light(normal: Float[Array, "n 3"], openness: Float[Array, " n"], camera: Camera) -> Float[Array, " n"]:
    """Return brightness: a key light from the upper left, a weak fill from the right, less in hollows."""
    key = camera.axes @ np.array([-0.45, 0.6, 0.66])
    fill = camera.axes @ np.array([0.7, 0.0, 0.7])
    brightness = 0.42 + 0.58 * np.clip(normal @ key, 0, 1) + 0.16 * np.clip(normal @ fill, 0, 1)
    return np.asarray(brightness * openness)


def _gloss(normal: Float[Array, "n 3"], camera: Camera) -> Float[Array, " n"]:
    """Return a faint highlight."""
    half = camera.axes @ np.array([-0.25, 0.33, 0.91])
    return np.asarray(0.10 * np.clip(normal @ half, 0, 1) ** 24)


def reduce(image: Float[Array, "v u rgba"], factor: int) -> Float[Array, "v_out u_out rgba"]:
    """Return the mean of each block of samples, colours weighted by their cover."""
    tall, wide = image.shape[0] // factor, image.shape[1] // factor
    blocks = image[: tall * factor, : wide * factor].reshape(tall, factor, wide, factor, 4)
    cover = blocks[..., 3].mean(axis=(1, 3))
    colour = (blocks[..., :3] * blocks[..., 3:]).mean(axis=(1, 3)) / np.maximum(cover, 1e-6)[..., None]
    return np.concatenate([colour, cover[..., None]], axis=2)
