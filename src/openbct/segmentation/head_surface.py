"""The surface of a femoral head against its bowl: for each direction from the centre a radius, neighbours alike.

Along a ray from the head's centre bone falls to the joint's gap, and rises again to the acetabulum. The plate of the acetabulum falls
once more, to its marrow: of two falls the inner one is the head's. Which radius each ray takes is decided for all rays together, by
passing messages between neighbours (min-sum belief propagation), so that a gap that is closed in places is bridged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from scipy.spatial import cKDTree

from ..volume import Volume, to_index
from .hip_joint import BONE_ABOVE, SOFT_BELOW, directions

Array = np.ndarray

RAYS, NEIGHBOURS = 700, 6
STEP, REACH = 0.5, 7.0
"""Radii that are tried: every so much, up to so far from the sphere [mm] [D]."""
FULL_FALL = 150.0
"""Fall across the surface that counts in full [HU over 2 mm] [D]."""
SECOND, BEFORE = 0.7, (2.0, 12.0)
"""What an earlier fall on the same ray costs, against what a fall gains [-], and how far before it counts: the joint's gap and the bowl's
thickness [mm] [D]."""
OFF_SPHERE = 0.25
"""What lying 3 mm off the sphere costs, against what a full fall gains [-] [D]."""
STIFF, LEAP = 0.06, 0.8
"""What a step between neighbouring rays costs per squared half millimetre, and at most [-] [D]."""
ROUNDS, PASSES = 4, 8
STARTS = (21.0, 24.0, 27.0)
"""Radii that the search starts from [mm]: the first look may have taken the bowl for the ball, hardly the other way round [D]."""
TABLE = 60
"""Steps of half a turn at which a surface is tabulated."""
OUTSIDE = -300.0
"""Below this there is no image, or air: no edge of bone [HU]."""
VALLEY, PLATE = (20.0, 80.0), 3.0
"""Depth of a valley between head and bowl from which it counts, and in full [HU], and how far behind it the bowl's plate is [mm] [D]."""
BARE, FREE = 0.3, 4.0
"""Share of a full rise behind the surface below which no other bone stands there, and how much such a ray counts for the sphere [-] [D]."""
ROUND = 1.5
"""A ray so far off the sphere tells a third of what one on it does [mm] [D]."""
CLEAR = 0.35
"""Share of a full fall from which a ray has seen the surface [-] [D]."""


@dataclass(frozen=True)
class HeadSurface:
    """A head, as radii around its centre."""

    centre: Float[Array, "3"]
    """Patient LPS [mm]."""
    radius: float
    """Of the sphere that fits the seen part [mm]."""
    rays: Float[Array, "n 3"]
    radii: Float[Array, " n"]
    """By ray [mm]."""
    fall: Float[Array, " n"]
    """How clearly each ray saw the surface, 0 to 1."""
    gap: Float[Array, " n"]
    """How clearly each ray saw bone again behind a gap, 0 to 1."""

    @property
    def seen(self) -> Bool[Array, " n"]:
        """Rays that saw the surface near the sphere."""
        return np.asarray((self.fall > CLEAR) & (np.abs(self.radii - self.radius) < 4.0))

    def at(self, offsets: Float[Array, "3 n"]) -> Float[Array, " n"]:
        """Return the surface's radius in the directions of some points from the centre [mm]."""
        table = self._table()
        flat = np.hypot(offsets[0], offsets[1])
        polar = np.arctan2(flat, offsets[2]) * (TABLE / np.pi)
        around = (np.arctan2(offsets[1], offsets[0]) / np.pi + 1.0) * TABLE
        return np.asarray(ndimage.map_coordinates(table, [polar, around], order=1, mode="grid-wrap"))

    def _table(self) -> Float[Array, "i j"]:
        """Return the radii by polar angle and by angle around the axis to the head."""
        polar, around = np.meshgrid(
            np.arange(TABLE + 1) * np.pi / TABLE, np.arange(2 * TABLE) * np.pi / TABLE - np.pi, indexing="ij"
        )
        where = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)
        distance, nearest = cKDTree(self.rays).query(where.reshape(-1, 3), k=4)
        weight = 1 / (distance + 0.02)
        return np.asarray(((self.radii[nearest] * weight).sum(axis=1) / weight.sum(axis=1)).reshape(polar.shape))


def shape_head(image: Volume, centre: Float[Array, "3"], radius: float) -> HeadSurface:
    """Return the surface of the head around a first centre: the best of several that start at different radii.

    Parameters
    ----------
    image
        Cubes along the patient's axes, about 1 mm, slightly smoothed [HU].
    centre, radius
        First guess: patient LPS [mm], [mm].
    """
    rays = directions(RAYS)
    _, near = cKDTree(rays).query(rays, k=NEIGHBOURS + 1)
    tried = [_grow(image, np.asarray(centre, dtype=float), start, rays, near[:, 1:]) for start in STARTS if start < radius + 3.0]
    return max(tried, key=lambda one: one[1])[0]


def _grow(
    image: Volume, centre: Float[Array, "3"], radius: float, rays: Float[Array, "n 3"], near: Array
) -> tuple[HeadSurface, float]:
    """Return the surface that is reached from a sphere, and how good it is."""
    for _ in range(ROUNDS):
        at = radius + np.arange(-REACH - BEFORE[1], REACH + STEP / 2, STEP)
        fall, rise = _edges(image, centre, rays, near, at)
        first = int(BEFORE[1] / STEP)
        earlier = _earlier(fall)[:, first:]
        at, fall, rise = at[first:], fall[:, first:], rise[:, first:]
        cost = -fall + SECOND * earlier + OFF_SPHERE * ((at - radius) / 3.0) ** 2
        chosen = _settle(cost, near)[:, None]
        radii = at[chosen[:, 0]]
        took, gap, before = (np.take_along_axis(one, chosen, axis=1)[:, 0] for one in (fall, rise, earlier))
        # where nothing stands before the head its surface cannot be mistaken: there it tells the sphere
        free = np.where(gap < BARE, FREE, 1.0)
        shift, fitted = _fit_sphere(rays * radii[:, None], took * free * (np.abs(radii - radius) < 5.0))
        surface = HeadSurface(centre, fitted, rays, radii, took, gap)
        if float(np.linalg.norm(shift)) < 0.4 and abs(fitted - radius) < 0.4:
            break
        centre, radius = centre + np.clip(shift, -5, 5), float(np.clip(fitted, 16.0, 34.0))
    upper = rays[:, 2] > 0.0
    good = took * np.exp(-(((radii - fitted) / ROUND) ** 2)) - SECOND * before
    return surface, float(good.mean() + 0.5 * (good * gap)[upper].mean())


def _edges(
    image: Volume, centre: Float[Array, "3"], rays: Float[Array, "n 3"], near: Array, at: Float[Array, " m"]
) -> tuple[Float[Array, "n m"], Float[Array, "n m"]]:
    """Return for each ray and radius the fall outwards, and the rise within 6 mm behind it, as shares of full ones."""
    wide = np.arange(at[0] - 2.0, at[-1] + 7.1, STEP)
    points = centre + rays[:, None, :] * wide[None, :, None]
    profile = ndimage.map_coordinates(image.array, np.moveaxis(to_index(image.affine, points), -1, 0), order=1, mode="nearest")
    # along the surface neighbours are alike, noise and trabeculae are not
    profile = (profile + profile[near].sum(axis=1)) / (1 + near.shape[1])
    first = round(2.0 / STEP)
    n = len(at)
    inner = (profile[:, first - 2 : first - 2 + n] + profile[:, first - 3 : first - 3 + n]) / 2
    outer = (profile[:, first + 2 : first + 2 + n] + profile[:, first + 3 : first + 3 + n]) / 2
    behind = np.lib.stride_tricks.sliding_window_view(profile, int(6.0 / STEP), axis=1)[:, first + 2 : first + 2 + n].max(axis=-1)
    soft = np.clip((BONE_ABOVE - outer) / (BONE_ABOVE - SOFT_BELOW), 0, 1) * (outer > OUTSIDE)
    fall = soft * np.clip((inner - outer) / FULL_FALL, 0, 1)
    # a joint narrower than the blur is no soft tissue any more, but a valley between two plates
    shell = np.max([profile[:, first - back : first - back + n] for back in range(4)], axis=0)
    floor = np.mean([profile[:, first + on : first + on + n] for on in (1, 2, 3)], axis=0)
    plate = np.lib.stride_tricks.sliding_window_view(profile, int(PLATE / STEP), axis=1)[:, first + 3 : first + 3 + n].max(
        axis=-1
    )
    valley = np.clip((np.minimum(shell, plate) - floor - VALLEY[0]) / (VALLEY[1] - VALLEY[0]), 0, 1)
    return np.maximum(fall, valley), np.clip((behind - outer) / FULL_FALL, 0, 1)


def _earlier(fall: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """Return the largest fall nearer to the centre on the same ray, at a distance within :data:`BEFORE`."""
    earlier = np.zeros_like(fall)
    for back in range(int(BEFORE[0] / STEP), int(BEFORE[1] / STEP) + 1):
        earlier[:, back:] = np.maximum(earlier[:, back:], fall[:, :-back])
    return earlier


def _settle(cost: Float[Array, "n m"], near: Array) -> Array:
    """Return for each ray the radius (index) that is cheapest for all together."""
    count, many = near.shape
    # messages[i, k]: what ray near[i, k] tells ray i
    messages = np.zeros((count, many, cost.shape[1]), dtype=np.float32)
    back = _answers(near)
    belief = cost.astype(np.float32)
    for _ in range(PASSES):
        # what the neighbour believes, less what it has from here
        said = np.where(back[..., None] >= 0, messages[near, np.maximum(back, 0)], 0)
        told = belief[near] - said
        fresh = np.minimum(told, told.min(axis=-1, keepdims=True) + np.float32(LEAP))
        for step in range(1, int((LEAP / STIFF) ** 0.5) + 1):
            charge = np.float32(STIFF * step * step)
            fresh[..., step:] = np.minimum(fresh[..., step:], told[..., :-step] + charge)
            fresh[..., :-step] = np.minimum(fresh[..., :-step], told[..., step:] + charge)
        fresh -= fresh.min(axis=-1, keepdims=True)
        messages = np.float32(0.5) * (messages + fresh)
        belief = cost + messages.sum(axis=1)
    return np.asarray(np.argmin(belief, axis=1))


def _answers(near: Array) -> Array:
    """Return for each ray and neighbour as which of the neighbour's neighbours the ray stands there; -1 where it does not."""
    found = np.full(near.shape, -1)
    for k in range(near.shape[1]):
        same = near[near[:, k]] == np.arange(len(near))[:, None]
        found[:, k] = np.where(same.any(axis=1), same.argmax(axis=1), -1)
    return found


def _fit_sphere(points: Float[Array, "n 3"], weight: Float[Array, " n"]) -> tuple[Float[Array, "3"], float]:
    """Return centre and radius of the sphere through most of the points [mm]; far points lose their weight."""
    centre, radius = np.zeros(3), float(np.median(np.linalg.norm(points, axis=1)))
    for _ in range(8):
        off = np.abs(np.linalg.norm(points - centre, axis=1) - radius)
        w = weight / (1 + (off / 1.5) ** 2) ** 2 + 1e-6
        matrix = np.column_stack([2 * points, np.ones(len(points))]) * w[:, None]
        solution, *_ = np.linalg.lstsq(matrix, w * (points**2).sum(axis=1), rcond=None)
        centre = solution[:3]
        radius = float(np.sqrt(max(solution[3] + centre @ centre, 1.0)))
    return centre, radius
