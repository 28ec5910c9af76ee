"""Head, neck, shaft and trochanters of a proximal femur, measured on its label alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import SegmentationError
from ..volume import MIRROR, Volume, mirrored
from .femur_shaft import AXIS_ERRORS, LEAST_BUMP, TROCHANTER_AT, FemurLabel, Shaft, find_shaft, medial_and_back
from .shapes import Points, Section, Sphere, Vector, cut, fit_sphere, perpendicular, smooth_mask, surface_points, unit

Array = np.ndarray

RADII = (15.0, 32.0)
"""Radius of an adult femoral head, with room at both ends [mm] [D]."""
SEARCHED_RADII = (9.0, 45.0)
"""Searched more widely, so that an impossible head is named as such [mm] [D]."""
PROXIMAL_PART = 130.0
"""The head is looked for in this much of the bone's upper end [mm]: below lie knees [D]."""
LEAST_COVERAGE = 0.6
"""Share of the head's sphere that must be bone surface; five public femora have 0.75 to 0.83 [C]."""
ANGLES = (100.0, 160.0)
"""Neck–shaft angle of a bone that can be posed [degrees]; five public femora have 112 to 135 [C, D]."""
WAIST = 1.12
"""Sections up to this multiple of the smallest area draw the waist of the neck [D]."""


@dataclass(frozen=True)
class FemurGeometry:
    """What a label tells about a proximal femur."""

    axis: Vector
    """Shaft axis, to proximal."""
    landmarks: Mapping[str, Vector]
    lengths: Mapping[str, float]
    axis_uncertainty: float
    """Of the shaft axis [degrees]."""
    cautions: list[str]


def measure_geometry(name: str, mask: Volume, *, left: bool) -> FemurGeometry:
    """Return the geometry of a proximal femur from its label.

    Raises
    ------
    SegmentationError
        Head, neck or shaft cannot be found, or contradict the side or the orientation of the image.
    """
    if left:
        mask = mirrored(mask)
    field = smooth_mask(mask)
    surface = surface_points(field)
    label = FemurLabel(name, mask, field, surface, _find_head(name, surface, mask), left)
    shaft, level, bump = find_shaft(label)
    cautions = []
    if bump < LEAST_BUMP:
        cautions.append(
            f"{name}: no lesser trochanter stands out; it was placed {-level:.0f} mm below the head centre "
            f"({TROCHANTER_AT:g} head radii), which may be wrong by 10 mm: the lower end of total hip and of the model follows it."
        )
    neck = _narrowest_neck(label, shaft)
    to_head = unit(label.head.centre - neck.centroid)
    angle = float(np.degrees(np.arccos(np.clip(-to_head @ shaft.axis, -1, 1))))
    if not ANGLES[0] <= angle <= ANGLES[1]:
        raise SegmentationError(
            f"{name}: found a neck–shaft angle of {angle:.0f} degrees, expected {ANGLES[0]:g} to {ANGLES[1]:g}; the label is not a "
            "proximal femur in its natural form: check it in three planes"
        )
    lengths = {
        "head_radius": label.head.radius,
        "neck_shaft_angle_deg": angle,
        "neck_anterior_angle_deg": _anterior_angle(to_head, shaft.axis),
        "neck_area": neck.area,
        "head_offset": float(np.linalg.norm(perpendicular(label.head.centre - shaft.point, shaft.axis))),
        "shaft_below_lesser_trochanter": level - shaft.end,
    }
    uncertainty = float(np.interp(level - shaft.end, *AXIS_ERRORS))
    back = MIRROR if left else np.ones(3)
    landmarks = {key: point * back for key, point in _landmarks(label, shaft, neck, level).items()}
    return FemurGeometry(shaft.axis * back, landmarks, lengths, uncertainty, cautions)


def _find_head(name: str, surface: Points, mask: Volume) -> Sphere:
    """Return the sphere of the femoral head, or refuse a head that is not whole."""
    top, bottom = float(surface[:, 2].max()), float(surface[:, 2].min())
    near = surface[surface[:, 2] > top - PROXIMAL_PART]
    tolerance = max(0.8, 0.4 * float(mask.spacing.max()))
    head = fit_sphere(near, radii=SEARCHED_RADII, tolerance=tolerance)
    if top - bottom < 2.0 * PROXIMAL_PART and head.centre[2] < 0.5 * (top + bottom):
        raise SegmentationError(
            f"{name}: found the femoral head {top - head.centre[2]:.0f} mm below the upper end of a label of {top - bottom:.0f} mm, "
            "expected it at the upper end; the shaft is missing or the image is upside down: check the orientation and the label"
        )
    if not RADII[0] <= head.radius <= RADII[1]:
        raise SegmentationError(
            f"{name}: found a head of radius {head.radius:.1f} mm, expected {RADII[0]:g} to {RADII[1]:g} mm; check the label, "
            "the voxel size and the units of the image"
        )
    above = head.centre[2] + head.radius - top
    if head.coverage < LEAST_COVERAGE or above > 0.2 * head.radius:
        raise SegmentationError(
            f"{name}: found {100 * head.coverage:.0f} % of the surface of the femoral head, expected at least "
            f"{100 * LEAST_COVERAGE:.0f} %; the head is cut by the image or missing in the label: use a scan that holds it whole"
        )
    return head


def _narrowest_neck(label: FemurLabel, shaft: Shaft) -> Section:
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


def _landmarks(label: FemurLabel, shaft: Shaft, neck: Section, level: float) -> dict[str, Vector]:
    """Return the named points of the bone."""
    head, surface = label.head, label.surface
    medial, _ = medial_and_back(label, shaft)
    height = (surface - head.centre) @ shaft.axis
    towards_head = (surface - shaft.point) @ medial
    trochanter = surface[(towards_head < 0.0) & (height > level)]
    if len(trochanter) == 0:
        raise SegmentationError(f"{label.name}: found no greater trochanter, expected one beside the neck; check the label")
    return {
        "head_centre": head.centre,
        "neck_centre": neck.centroid,
        "greater_trochanter_tip": trochanter[np.argmax((trochanter - head.centre) @ shaft.axis)],
        "greater_trochanter_lateral": trochanter[np.argmin((trochanter - shaft.point) @ medial)],
        "lesser_trochanter_axis": shaft.at(level),
        "shaft_end": shaft.at(shaft.end),
    }


def _anterior_angle(to_head: Vector, axis: Vector) -> float:
    """Return by how much the neck points to the front of the patient [degrees]: anteversion plus rotation of the leg."""
    flat = unit(perpendicular(to_head, axis))
    return float(np.degrees(np.arcsin(np.clip(-flat[1], -1, 1))))
