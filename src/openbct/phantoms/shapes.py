"""Smooth shapes as signed distances: negative inside, [mm], exact or right to first order near the surface.

Every function takes coordinate arrays that broadcast together and returns their distance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Array = np.ndarray
Field = Float[Array, "..."]
Coordinates = tuple[Field, Field, Field]
"""x, y, z [mm]; arrays that broadcast together."""
Point = Sequence[float] | Array
"""Three numbers along x, y, z."""


def _vector(points: Coordinates, origin: Point) -> Coordinates:
    x, y, z = points
    return x - np.float32(origin[0]), y - np.float32(origin[1]), z - np.float32(origin[2])


def sphere(points: Coordinates, centre: Point, radius: float) -> Field:
    """Distance to a sphere."""
    x, y, z = _vector(points, centre)
    return np.asarray(np.sqrt(x * x + y * y + z * z) - np.float32(radius))


def ellipsoid(points: Coordinates, centre: Point, radii: Point) -> Field:
    """Distance to an ellipsoid along the axes, to first order."""
    x, y, z = _vector(points, centre)
    a, b, c = (np.float32(radius) for radius in radii)
    level = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    slope = np.sqrt((x / (a * a)) ** 2 + (y / (b * b)) ** 2 + (z / (c * c)) ** 2)
    return np.asarray(level * (level - 1) / np.maximum(slope, np.float32(1e-6)) - _core(level, float(min(radii))))


def _core(level: Field, radius: float) -> Field:
    # The first-order form is 0/0 at the centre, where the true distance is the least radius.
    return np.asarray(np.where(level < 0.05, np.float32(radius), np.float32(0)))


def cone(points: Coordinates, start: Point, end: Point, radius_start: float, radius_end: float | None = None) -> Field:
    """Distance to a capsule from ``start`` to ``end`` whose radius goes from one value to another."""
    x, y, z = _vector(points, start)
    axis = np.asarray(end, dtype=float) - np.asarray(start, dtype=float)
    ax, ay, az = (np.float32(value) for value in axis)
    t = np.clip((x * ax + y * ay + z * az) / np.float32(axis @ axis), 0, 1)
    radius = np.float32(radius_start) + t * np.float32((radius_start if radius_end is None else radius_end) - radius_start)
    return np.asarray(np.sqrt((x - t * ax) ** 2 + (y - t * ay) ** 2 + (z - t * az) ** 2) - radius)


def flat_cone(points: Coordinates, start: Point, end: Point, radii: Sequence[float], flat: Sequence[float]) -> Field:
    """Distance to a capsule flattened along axes: coordinates are divided by ``flat`` first.

    ``radii`` are those at ``start`` and ``end`` in the divided space; the thinnest axis should have ``flat`` of 1.
    """
    scaled = (points[0] / np.float32(flat[0]), points[1] / np.float32(flat[1]), points[2] / np.float32(flat[2]))
    a = [value / factor for value, factor in zip(start, flat)]
    b = [value / factor for value, factor in zip(end, flat)]
    return cone(scaled, a, b, radii[0], radii[1]) * np.float32(min(flat))


def triangle(points: Coordinates, corners: Sequence[Point], half_thickness: float) -> Field:
    """Distance to a rounded plate over a triangle."""
    a, b, c = (np.asarray(corner, dtype=float) for corner in corners)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal)
    x, y, z = _vector(points, a)
    above = x * np.float32(normal[0]) + y * np.float32(normal[1]) + z * np.float32(normal[2])
    inside = np.ones(np.shape(above), dtype=bool)
    for start, end in ((a, b), (b, c), (c, a)):
        inward = np.cross(normal, end - start)
        ex, ey, ez = _vector(points, start)
        inside = inside & (ex * np.float32(inward[0]) + ey * np.float32(inward[1]) + ez * np.float32(inward[2]) >= 0)
    edge = np.minimum(np.minimum(cone(points, a, b, 0.0), cone(points, b, c, 0.0)), cone(points, c, a, 0.0))
    return np.asarray(np.where(inside, np.abs(above), edge) - np.float32(half_thickness))


def tube(points: Coordinates, heights: Sequence[float], rows: Sequence[Sequence[float]], exponent: float = 2.0) -> Field:
    """Distance, within horizontal planes, to a tube of superelliptic cross-section.

    Parameters
    ----------
    heights
        z of the knots, rising [mm]. The tube ends flat at the first and last.
    rows
        At each knot: centre x, centre y, half-width, half-depth [mm]; linear between.
    """
    x, y, z = points
    table = np.asarray(rows, dtype=float)
    cx, cy, rx, ry = (np.interp(z, heights, table[:, column]).astype(np.float32) for column in range(4))
    side = superellipse(x - cx, y - cy, rx, ry, exponent)
    ends = np.maximum(np.float32(heights[0]) - z, z - np.float32(heights[-1]))
    return np.asarray(np.maximum(side, ends))


def superellipse(x: Field, y: Field, rx: Field | float, ry: Field | float, exponent: float) -> Field:
    """Distance in the plane to ``|x/rx|^n + |y/ry|^n = 1``, to first order."""
    u, v = np.abs(x / rx) + np.float32(1e-4), np.abs(y / ry) + np.float32(1e-4)
    n = np.float32(exponent)
    if exponent == 2.0:
        level = np.sqrt(u * u + v * v)
        slope = np.sqrt((u / rx) ** 2 + (v / ry) ** 2) / level
    else:
        level = (u**n + v**n) ** (1 / n)
        slope = np.sqrt((u ** (n - 1) / rx) ** 2 + (v ** (n - 1) / ry) ** 2) * level ** (1 - n)
    return np.asarray((level - 1) / slope)


def union(a: Field, b: Field, blend: float = 0.0) -> Field:
    """Distance to the union; ``blend`` [mm] rounds the seam."""
    if blend <= 0:
        return np.asarray(np.minimum(a, b))
    mix = np.clip(np.float32(0.5) + (b - a) / np.float32(2 * blend), 0, 1)
    return np.asarray(b + (a - b) * mix - np.float32(blend) * mix * (1 - mix))


def intersection(a: Field, b: Field, blend: float = 0.0) -> Field:
    """Distance to the common part; ``blend`` [mm] rounds the edge."""
    return np.asarray(-union(-a, -b, blend))


def coverage(distance: Field, width: Field | float) -> Field:
    """Return the share of a voxel of size ``width`` [mm] that lies inside a surface at ``distance`` from its centre."""
    return np.asarray(np.clip(np.float32(0.5) - distance / width, 0, 1))
