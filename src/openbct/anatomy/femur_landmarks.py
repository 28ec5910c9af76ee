"""Head, neck, shaft and trochanters of a proximal femur, measured on its label alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import SegmentationError
from ..volume import MIRROR, Volume, crop, mirrored, to_index
from .femur_neck import Neck, crossing, find_neck, lateral_end
from .femur_shaft import AXIS_ERRORS, LEAST_BUMP, TROCHANTER_AT, FemurLabel, Shaft, find_shaft, medial_and_back
from .femur_version import anterior_angle, anteversion, trochanter_angle, trochanter_apex
from .shapes import Points, Sphere, Vector, fit_sphere, perpendicular, smooth_mask, surface_points

Array = np.ndarray

RADII = (15.0, 32.0)
"""Radius of an adult femoral head, with room at both ends [mm] [D]."""
SEARCHED_RADII = (9.0, 45.0)
"""Searched more widely, so that an impossible head is named as such [mm] [D]."""
UPPER_PART = 8.0
"""The shaft is looked for no lower than this below the head centre, in head radii [D]: 70 mm below the lowest lesser trochanter; farther down
the bone bows, and then comes the knee."""
PROXIMAL_PART = 130.0
"""The head is looked for in this much of the bone's upper end [mm]: below lie knees [D]."""
LEAST_COVERAGE = 0.6
"""Share of the head's sphere that must be bone surface; five public femora have 0.75 to 0.83 [C]."""
WHOLE_HEAD, LEAST_HEAD = 0.90, 0.85
"""Share of the inside of the head's sphere that the label holds, below which a doubt is due, and below which the head is refused; heads that were
found whole in simulated scans have 1.00, 15 labels of real anatomy 0.91 to 1.00; with 0.88 and 0.83 strength was read 13 and 33 % too low [C, D]."""
INNER_HEAD = 0.9
"""Radius of that inside over the head's, less where voxels are coarse [D]."""
ANGLES = (100.0, 160.0)
"""Neck–shaft angle of a bone that can be posed [degrees]; five public femora have 112 to 135 [C, D]."""


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
    head = _find_head(name, surface, mask)
    label = FemurLabel(name, _upper_part(mask, head), field, surface, head, left)
    shaft, level, bump = find_shaft(label)
    cautions = _judge_head(name, head, mask)
    if bump < LEAST_BUMP:
        cautions.append(
            f"{name}: no lesser trochanter stands out; it was placed {-level:.0f} mm below the head centre "
            f"({TROCHANTER_AT:g} head radii), which may be wrong by 10 mm: the lower end of total hip and of the model follows it."
        )
    neck = find_neck(label, shaft)
    angle = float(np.degrees(np.arccos(np.clip(-neck.to_head @ shaft.axis, -1, 1))))
    if not ANGLES[0] <= angle <= ANGLES[1]:
        raise SegmentationError(
            f"{name}: found a neck–shaft angle of {angle:.0f} degrees, expected {ANGLES[0]:g} to {ANGLES[1]:g}; the label is not a "
            "proximal femur in its natural form: check it in three planes"
        )
    points = _landmarks(label, shaft, neck, level)
    lengths = _lengths(label, shaft, neck, level, points) | {
        "neck_shaft_angle_deg": angle,
        "shaft_below_lesser_trochanter": level - shaft.end,
    }
    uncertainty = float(np.interp(level - shaft.end, *AXIS_ERRORS))
    back = MIRROR if left else np.ones(3)
    landmarks = {key: point * back for key, point in points.items()}
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


def _judge_head(name: str, head: Sphere, mask: Volume) -> list[str]:
    """Return the doubt where a piece of the head is missing in the label, or refuse it: most of its sphere may be seen all the same."""
    reach = head.radius - max((1.0 - INNER_HEAD) * head.radius, float(mask.spacing.max()))
    steps = np.arange(-reach, reach + 0.5)
    points = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[np.linalg.norm(points, axis=1) <= reach]
    index = np.rint(to_index(mask.affine, head.centre + points)).astype(int)
    there = ((index >= 0) & (index < mask.shape)).all(axis=1)
    held = float(mask.array[tuple(index[there].T)].sum()) / len(points)
    found = f"{name}: found {100 * held:.0f} % of the inside of the femoral head in its label"
    if held < LEAST_HEAD:
        raise SegmentationError(
            f"{found}, expected at least {100 * LEAST_HEAD:.0f} %; a piece of the head is missing: correct the outline, or fill the label"
        )
    if held < WHOLE_HEAD:
        return [
            f"{found}, usually {100 * WHOLE_HEAD:.0f} % or more: a piece of the head seems to be missing, or the head is not round; where a tenth of it "
            "was missing on a simulated scan, strength was read 13 % too low. Look at the outline."
        ]
    return []


def _upper_part(mask: Volume, head: Sphere) -> Volume:
    """Return a label without what lies far below the trochanters."""
    first = int(np.ceil(to_index(mask.affine, head.centre - [0.0, 0.0, UPPER_PART * head.radius])[2]))
    return crop(mask, [0, 0, first], mask.shape) if 0 < first < mask.shape[2] else mask


def _landmarks(label: FemurLabel, shaft: Shaft, neck: Neck, level: float) -> dict[str, Vector]:
    """Return the named points of the bone."""
    head, surface = label.head, label.surface
    medial, back = medial_and_back(label, shaft)
    height = (surface - head.centre) @ shaft.axis
    towards_head = (surface - shaft.point) @ medial
    trochanter = surface[(towards_head < 0.0) & (height > level)]
    if len(trochanter) == 0:
        raise SegmentationError(f"{label.name}: found no greater trochanter, expected one beside the neck; check the label")
    return {
        "head_centre": head.centre,
        "neck_centre": neck.centre,
        "neck_superior": neck.superior,
        "neck_inferior": neck.inferior,
        "neck_axis_lateral": lateral_end(label, neck),
        "neck_shaft_crossing": crossing(neck, shaft),
        "greater_trochanter_tip": trochanter[np.argmax((trochanter - head.centre) @ shaft.axis)],
        "greater_trochanter_lateral": trochanter[np.argmin((trochanter - shaft.point) @ medial)],
        "lesser_trochanter": trochanter_apex(label, shaft, level, (medial, back)),
        "lesser_trochanter_axis": shaft.at(level),
        "shaft_end": shaft.at(shaft.end),
    }


def _lengths(label: FemurLabel, shaft: Shaft, neck: Neck, level: float, points: Mapping[str, Vector]) -> dict[str, float]:
    """Return sizes and angles of the bone, the neck-shaft angle left out."""
    head = label.head
    lengths = {
        "head_radius": head.radius,
        "neck_anterior_angle_deg": anterior_angle(neck.to_head, shaft.axis),
        "neck_trochanter_angle_deg": trochanter_angle(neck.to_head, shaft, points["lesser_trochanter"]),
        "neck_area": neck.area,
        "neck_height": neck.height,
        "neck_depth": neck.depth,
        "neck_axis_length": float(np.linalg.norm(head.centre - points["neck_axis_lateral"])) + head.radius,
        "head_offset": float(np.linalg.norm(perpendicular(head.centre - shaft.point, shaft.axis))),
    }
    turned = anteversion(label, shaft, level, neck.to_head)
    return lengths if turned is None else lengths | {"anteversion_deg": turned}
