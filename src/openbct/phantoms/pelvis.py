"""Simulated hip bones and sacrum: enough to look right, to keep the joint spaces honest and to surround the femora.

Coordinates are patient LPS from the midpoint between the femoral heads [mm]; the hip bone is drawn for the left. Landmarks
are placed by eye on a woman's proportions [D].
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .canvas import Bone, BoneField
from .shapes import Coordinates, Field, cone, flat_cone, intersection, sphere, triangle, union

Array = np.ndarray
Point = tuple[float, float, float]

ASIS, AIIS, PSIS = (116.0, -48.0, 80.0), (90.0, -34.0, 40.0), (42.0, 80.0, 78.0)
ILIUM, NOTCH, SACROILIAC = (84.0, 8.0, 42.0), (62.0, 48.0, 34.0), (52.0, 56.0, 72.0)
CREST: tuple[Point, ...] = (ASIS, (124.0, -22.0, 116.0), (124.0, 12.0, 137.0), (98.0, 50.0, 130.0), (60.0, 76.0, 106.0), PSIS)
TUBEROSITY, TUBERCLE = (61.0, 34.0, -56.0), (20.0, -50.0, -8.0)


@dataclass(frozen=True)
class PelvisShape:
    """Cortex and density of hip bones and sacrum; mm and mg/cm³ as an ideal K2HPO4 calibration reads."""

    head_centre: tuple[float, float, float] = (84.0, 0.0, 0.0)
    """Of the left femur: the acetabulum is around it."""
    head_radius: float = 22.5
    joint_space: float = 4.0
    """Between subchondral bones of head and acetabulum."""
    cortex: float = 1.3
    cortical_density: float = 950.0
    trabecular_density: float = 110.0
    sacrum_density: float = 80.0
    yellow_marrow: float = 0.6


def hip_distance(points: Coordinates, shape: PelvisShape) -> Field:
    """Distance to the left hip bone."""
    wing = triangle(points, (ILIUM, CREST[0], CREST[1]), 3.0)
    for a, b in pairwise(CREST[1:]):
        wing = union(wing, triangle(points, (ILIUM, a, b), 2.8), 4.0)
    wing = union(wing, triangle(points, (ILIUM, AIIS, ASIS), 3.4), 4.0)
    wing = union(wing, triangle(points, (ILIUM, PSIS, NOTCH), 3.6), 4.0)
    for a, b in pairwise(CREST):
        wing = union(wing, cone(points, a, b, 5.2), 3.0)
    wing = union(wing, cone(points, ILIUM, SACROILIAC, 11.0, 7.0), 6.0)
    centre = shape.head_centre
    ischium = cone(points, (74.0, 22.0, -12.0), TUBEROSITY, 14.0, 12.5)
    ramus = flat_cone(points, TUBEROSITY, (13.0, -34.0, -38.0), (6.5, 5.5), (1, 1, 1.3))
    pubis = union(
        cone(points, (70.0, -20.0, 4.0), TUBERCLE, 9.0, 6.5), cone(points, (10.5, -47.0, -10), (9.5, -38, -34), 7.5), 4.0
    )
    lower = union(union(ischium, pubis, 4.0), ramus, 4.0)
    whole = union(union(wing, lower, 5.0), cone(points, (82.0, 4.0, 34.0), AIIS, 13.0, 8.0), 5.0)
    inner = shape.head_radius + shape.joint_space
    cup = sphere(points, centre, inner + 5.0)
    mouth = _plane(points, centre, (0.70, -0.24, -0.67)) - np.float32(3.0)
    whole = union(whole, intersection(cup, mouth, 2.0), 5.0)
    return intersection(whole, -sphere(points, centre, inner), 1.0)


def _plane(points: Coordinates, origin: Point, normal: Point) -> Field:
    x, y, z = (value - np.float32(start) for value, start in zip(points, origin))
    return np.asarray(x * np.float32(normal[0]) + y * np.float32(normal[1]) + z * np.float32(normal[2]))


_SACRUM: tuple[tuple[Point, float], ...] = (
    ((0.0, 31.0, 98.0), 15.5),
    ((0.0, 46.0, 76.0), 12.5),
    ((0.0, 62.0, 56.0), 10.5),
    ((0.0, 73.0, 37.0), 9.0),
    ((0.0, 77.0, 18.0), 7.5),
    ((0.0, 72.0, 0.0), 5.5),
    ((0.0, 62.0, -12.0), 3.5),
)
"""Centres and radii of the fused bodies, from the upper face down to the coccyx."""


def sacrum_distance(points: Coordinates) -> Field:
    """Distance to the sacrum."""
    x, y, z = points
    across = np.sqrt(x * x + np.float32(0.25))
    mirrored = (across, y, z)
    wide = (x / np.float32(1.5), y, z)
    body = cone(wide, _SACRUM[0][0], _SACRUM[1][0], _SACRUM[0][1], _SACRUM[1][1])
    for (a, ra), (b, rb) in pairwise(_SACRUM[1:]):
        body = union(body, cone(wide, a, b, ra, rb), 2.0)
    ala = union(
        triangle(mirrored, ((14.0, 40.0, 92.0), (40.0, 52.0, 84.0), (16.0, 66.0, 56.0)), 11.0),
        triangle(mirrored, ((40.0, 52.0, 84.0), (36.0, 66.0, 52.0), (16.0, 66.0, 56.0)), 10.0),
        4.0,
    )
    lower = triangle(mirrored, ((16.0, 66.0, 56.0), (36.0, 66.0, 52.0), (10.0, 78.0, 16.0)), 7.0)
    # The upper face is a plane, tilted as the column starts.
    whole = intersection(union(body, union(ala, lower, 4.0), 4.0), _plane(points, (0.0, 28.0, 102.0), (0.0, -0.588, 0.809)), 2.0)
    crest = cone(points, (0.0, 78.0, 88.0), (0.0, 90.0, 40.0), 5.0, 4.0)
    roof = triangle(mirrored, ((0.0, 76.0, 90.0), (20.0, 72.0, 80.0), (0.0, 88.0, 40.0)), 4.0)
    whole = union(whole, union(crest, roof, 3.0), 3.0)
    canal = flat_cone(points, (0.0, 62.0, 96.0), (0.0, 83.0, 34.0), (5.5, 3.5), (1.6, 1, 1))
    whole = intersection(whole, -canal, 1.0)
    for height, depth, side in ((74.0, 56.0, 22.0), (55.0, 70.0, 19.0), (37.0, 78.0, 16.0)):
        hole = cone(mirrored, (side, depth - 22, height - 4), (side - 1, depth + 24, height + 4), 4.2, 3.0)
        whole = intersection(whole, -hole, 1.0)
    return whole


def _field(distance: Field, shape: PelvisShape, trabecular: float) -> BoneField:
    deep = np.clip(-distance / np.float32(12.0), 0, 1)
    cancellous = np.float32(trabecular) * (np.float32(1.2) - np.float32(0.4) * deep)
    shell = np.full_like(distance, shape.cortex)
    return BoneField(distance, shell, np.full_like(distance, shape.cortical_density), cancellous, distance)


def hip_bone(side: str, shape: PelvisShape) -> Bone:
    """Return a hip bone as the canvas paints it; 2.5 mm of cartilage are left free beside the sacrum."""
    sign = np.float32(1 if side == "left" else -1)

    def distance(points: Coordinates) -> Field:
        left = (points[0] * sign, points[1], points[2])
        return intersection(hip_distance(left, shape), np.float32(2.5) - sacrum_distance(left))

    def field(points: Coordinates) -> BoneField:
        return _field(distance(points), shape, shape.trabecular_density)

    lower, upper = (3.0, -66.0, -78.0), (134.0, 92.0, 150.0)
    if side == "right":
        lower, upper = (-upper[0], lower[1], lower[2]), (-lower[0], upper[1], upper[2])
    return Bone(field, distance, lower, upper, shape.yellow_marrow)


def sacrum(shape: PelvisShape) -> Bone:
    """Return the sacrum with the coccyx as the canvas paints it."""

    def field(points: Coordinates) -> BoneField:
        return _field(sacrum_distance(points), shape, shape.sacrum_density)

    return Bone(field, sacrum_distance, (-64.0, 8.0, -20.0), (64.0, 100.0, 116.0), shape.yellow_marrow)
