"""How a femur is turned about its shaft: by its own marks, because the leg may lie in the scanner in any way.

Seen from above along the shaft of a right femur::

        front                       a: neck_anterior_angle, against the front of the image: anteversion and rotation of the leg
          |      , head             b: neck_trochanter_angle, from the lesser trochanter T forwards to the neck: the leg's rotation
          |   a,'                      does not enter
       ---O----- medial             anteversion: the neck against the line under both condyles, where the label holds the knee
           \\ b
            T   back
"""

from __future__ import annotations

import numpy as np
from scipy import spatial

from .femur_shaft import FemurLabel, Shaft
from .shapes import Vector, cut, outline, perpendicular, unit

KNEE_AT, KNEE_PART = 9.0, 1.4
"""Least length of a label that can hold the knee, and the part of its lower end that holds the condyles behind, in head radii [D]."""
FLARE = 1.6
"""Width of the lower end over that of the shaft above it from which it is a knee; ten shapes of whole femora have more than 2 [C]."""
FACING = 45.0
"""Angle to the back of the bone within which the line under both condyles is looked for [degrees] [D]."""
APEX_ARC = (15.0, 100.0)
"""Where the apex of the lesser trochanter is looked for, from medial to the back [degrees] [D]."""


def trochanter_apex(label: FemurLabel, shaft: Shaft, level: float, directions: tuple[Vector, Vector]) -> Vector:
    """Return the point of the shaft's outline that stands out farthest between medial and back, patient LPS [mm].

    Parameters
    ----------
    level
        Of the apex, from the head centre along the shaft [mm].
    directions
        Medial, and the bone's own back.
    """
    section = cut(label.field, shaft.at(level), shaft.axis, half_width=50.0)
    if section is None:
        return shaft.at(level)
    rim = outline(section) @ section.basis
    angle = np.degrees(np.arctan2(rim @ directions[1], rim @ directions[0]))
    on_arc = (angle > APEX_ARC[0]) & (angle < APEX_ARC[1])
    if not on_arc.any():
        return shaft.at(level)
    away = np.where(on_arc, np.linalg.norm(rim, axis=1), 0.0)
    # the mean of what is within half a millimetre of the farthest: a single cell jumps
    return np.asarray(shaft.at(level) + rim[away >= away.max() - 0.5].mean(axis=0))


def anterior_angle(to_head: Vector, axis: Vector) -> float:
    """Return by how much the neck points to the front of the image [degrees]: anteversion plus rotation of the leg."""
    flat = unit(perpendicular(to_head, axis))
    return float(np.degrees(np.arcsin(np.clip(-flat[1], -1, 1))))


def trochanter_angle(to_head: Vector, shaft: Shaft, apex: Vector) -> float:
    """Return the angle about the shaft from the lesser trochanter forwards to the neck [degrees]."""
    neck = unit(perpendicular(to_head, shaft.axis))
    bump = unit(perpendicular(apex - shaft.point, shaft.axis))
    return float(np.degrees(np.arccos(np.clip(neck @ bump, -1, 1))))


def anteversion(label: FemurLabel, shaft: Shaft, level: float, to_head: Vector) -> float | None:
    """Return the angle of the neck in front of the line under both condyles [degrees]; ``None`` where the label has no knee.

    Both are seen along the bone's length, from the middle of the knee to the shaft at the lesser trochanter: the upper shaft alone is
    bowed, and seen along it the neck turns forwards by several degrees. The line is the one that a table would touch: the edge of the
    convex outline of the lower end that faces the back and bridges the notch.

    Parameters
    ----------
    level
        Of the lesser trochanter, from the head centre along the shaft [mm].
    """
    heights = (label.surface - label.head.centre) @ shaft.axis
    radius, bottom = label.head.radius, float(heights.min())
    if -bottom < KNEE_AT * radius:
        return None
    in_knee, above = heights < bottom + KNEE_PART * radius, np.abs(heights - bottom - 5.0 * radius) < 5.0
    knee = label.surface[in_knee]
    length = unit(shaft.at(level) - (knee.min(axis=0) + knee.max(axis=0)) / 2)
    medial = unit(perpendicular(to_head, length))
    back = np.cross(length, medial)
    flat = np.column_stack([label.surface @ medial, label.surface @ back])
    if not above.any() or np.ptp(flat[in_knee, 0]) < FLARE * np.ptp(flat[above, 0]):
        return None
    corners = flat[in_knee][spatial.ConvexHull(flat[in_knee]).vertices]
    edges = np.roll(corners, -1, axis=0) - corners
    # the corners go round counter-clockwise: an edge turned clockwise points outwards
    outwards = np.column_stack([edges[:, 1], -edges[:, 0]])
    lengths = np.linalg.norm(edges, axis=1)
    facing = outwards[:, 1] > np.cos(np.radians(FACING)) * lengths
    if not facing.any():
        return None
    edge = outwards[int(np.argmax(np.where(facing, lengths, 0.0)))]
    # the neck points along medial: it lies in front of the line by as much as the line's normal leans away from the neck
    return float(np.degrees(np.arctan2(-edge[0], edge[1])))
