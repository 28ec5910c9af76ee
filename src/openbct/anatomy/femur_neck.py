"""The neck of a femur: its axis, its narrowest section, and where the axis leaves the bone.

::

             ___
       GT   /   \\  head         S, I: neck_superior, neck_inferior, on the rim of the narrowest section
        __ S     |              the axis goes from the head centre through the section's centroid; it crosses
       /  / \\___/               the shaft's axis at X (neck_shaft_crossing) and leaves the bone at L (neck_axis_lateral)
      L--X--I
      |  |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import SegmentationError
from ..volume import to_index
from .femur_shaft import FemurLabel, Shaft, medial_and_back
from .shapes import Section, Vector, cut, outline, perpendicular, unit

WAIST = 1.12
"""Sections up to this multiple of the smallest area draw the waist of the neck [D]."""
RAY_STEP, RAY_LENGTH = 0.25, 120.0
"""Sampling along the neck's axis, and how far it is followed to the lateral side [mm] [D]."""


@dataclass(frozen=True)
class Neck:
    """The narrowest section across the neck, and the axis through it."""

    centre: Vector
    """Centroid of the narrowest section, patient LPS [mm]."""
    to_head: Vector
    """Unit vector of the axis."""
    area: float
    """[mm²]"""
    superior: Vector
    inferior: Vector
    """Where the rim of the section is highest and lowest, on the line through its centroid."""
    height: float
    """Of the section, from its lowest to its highest point [mm]."""
    depth: float
    """From its foremost to its hindmost point [mm]."""


def find_neck(label: FemurLabel, shaft: Shaft) -> Neck:
    """Return the narrowest section across the neck and the axis from its centroid to the head centre.

    Raises
    ------
    SegmentationError
        No section of bone lies across the neck.
    """
    section = _narrowest(label, shaft)
    to_head = unit(label.head.centre - section.centroid)
    up = unit(perpendicular(shaft.axis, to_head))
    rim = outline(section) @ section.basis
    # the rim is made of the centres of the outermost cells: the border lies half a step farther
    heights, depths = rim @ up, rim @ np.cross(up, to_head)
    low, high = float(heights.min()) - section.step / 2, float(heights.max()) + section.step / 2
    own = float((section.centroid - section.origin) @ up)
    return Neck(
        section.centroid,
        to_head,
        section.area,
        np.asarray(section.centroid + (high - own) * up),
        np.asarray(section.centroid + (low - own) * up),
        high - low,
        float(np.ptp(depths)) + section.step,
    )


def lateral_end(label: FemurLabel, neck: Neck) -> Vector:
    """Return where the neck's axis leaves the bone on its lateral side, patient LPS [mm]."""
    distances = np.arange(0.0, RAY_LENGTH, RAY_STEP)
    points = neck.centre - distances[:, None] * neck.to_head
    values = ndimage.map_coordinates(label.field.array, to_index(label.field.affine, points).T, order=1, mode="constant")
    outside = np.flatnonzero(values < 0.5)
    last = int(outside[0]) if len(outside) else len(distances) - 1
    return np.asarray(points[max(last - 1, 0)] - 0.5 * RAY_STEP * neck.to_head)


def crossing(neck: Neck, shaft: Shaft) -> Vector:
    """Return the point of the neck's axis that is nearest to the shaft's axis, patient LPS [mm]."""
    between = neck.centre - shaft.point
    slope = float(neck.to_head @ shaft.axis)
    along = (slope * float(shaft.axis @ between) - float(neck.to_head @ between)) / (1.0 - slope**2)
    return np.asarray(neck.centre + along * neck.to_head)


def _narrowest(label: FemurLabel, shaft: Shaft) -> Section:
    """Return the smallest section across the neck axis; the axis goes from the head centre through its centroid."""
    head = label.head
    medial, _ = medial_and_back(label, shaft)
    direction = -(np.cos(np.radians(55.0)) * shaft.axis + np.sin(np.radians(55.0)) * medial)
    narrowest: Section | None = None
    distances = np.arange(0.6 * head.radius, 1.9 * head.radius, 1.0)
    for _ in range(8):
        sections = [
            cut(label.field, head.centre + distance * direction, direction, half_width=1.6 * head.radius)
            for distance in distances
        ]
        found = [section for section in sections if section is not None]
        if len(found) < len(distances):
            break
        # The area is flat about its minimum: a parabola through the waist finds the place better than the least of them.
        areas = np.array([section.area for section in found])
        waist = np.flatnonzero(areas <= WAIST * areas.min())
        at = float(distances[int(np.argmin(areas))])
        if len(waist) >= 4:
            curve = np.polyfit(distances[waist], areas[waist], 2)
            vertex = -curve[1] / (2.0 * curve[0]) if curve[0] > 0.0 else at
            at = float(np.clip(vertex, distances[waist[0]], distances[waist[-1]]))
        narrowest = cut(label.field, head.centre + at * direction, direction, half_width=1.6 * head.radius)
        if narrowest is None:
            break
        turned = unit(narrowest.centroid - head.centre)
        if turned @ direction > np.cos(np.radians(0.2)):
            return narrowest
        # Half way: two neighbouring sections must not take turns.
        direction = unit(0.5 * (direction + turned))
    if narrowest is None:
        raise SegmentationError(f"{label.name}: found no neck beside the head, expected one; check the label in three planes")
    return narrowest
