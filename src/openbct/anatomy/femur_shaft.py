"""Shaft axis and lesser trochanter of a proximal femur: each is found with the other's help, in a few rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import SegmentationError
from ..volume import Volume, to_patient
from .shapes import Points, Section, Sphere, Vector, cut, fit_circle, fit_line, highest_bump, outline, perpendicular, unit

Array = np.ndarray

TROCHANTER_AT = 2.33
"""Lesser trochanter's apex below the head centre, in head radii: mean of five public femora, 2.13 to 2.50 [C]."""
SEARCHED = (1.3, 4.0)
"""The lesser trochanter is looked for between these below the head centre, in head radii: drawn femora with neck-shaft angles up to
142 degrees have theirs at 3.5 [C, D]."""
LEAST_BUMP = 2.0
"""Height from which a bulge is a lesser trochanter [mm]; five public femora have 5 to 20 [C]."""
LONGEST_WINDOW = 70.0
"""The shaft axis is fitted no lower than this below the lesser trochanter [mm]: the shaft bows [D]."""
WINDOW_TOP = ((20.0, 50.0), (5.0, -10.0))
"""Shaft available below the lesser trochanter [mm], and the window's upper end from it [mm] [D]."""
OUTER_ARC = (100.0, 340.0)
"""Part of the outline that is used, from medial over the back [degrees]: trochanter and neck bulge on the rest [D]."""
AXIS_ERRORS = ((10.0, 20.0, 30.0, 40.0, 50.0, 70.0), (6.0, 4.5, 3.0, 2.0, 1.3, 0.7))
"""Shaft below the lesser trochanter [mm], and root mean square angle between its axis and that of 100 mm and more of the same
bone [degrees]: four public femora, cut shorter and shorter [C]."""


MOST_ROUNDS, SETTLED = 5, 0.3
"""Rounds of axis and trochanter, and the turn of the axis [degrees] below which they are done [D]."""


@dataclass(frozen=True)
class FemurLabel:
    """A femur's label, ready for measuring; a left one comes as its mirror image, so that both sides are measured alike."""

    name: str
    mask: Volume
    field: Volume
    """The smoothed mask."""
    surface: Points
    head: Sphere
    left: bool
    """The bone is a left one, seen in the mirror."""


@dataclass(frozen=True)
class Shaft:
    """The axis of a shaft, and where it ends."""

    point: Vector
    """On the axis, level with the head centre."""
    axis: Vector
    """To proximal."""
    end: float
    """Lowest complete section, from the head centre along the axis [mm]."""

    def at(self, height: float) -> Vector:
        """Return the point on the axis at a height from the head centre [mm]."""
        return np.asarray(self.point + height * self.axis)


def find_shaft(label: FemurLabel) -> tuple[Shaft, float, float]:
    """Return the shaft, the level of the lesser trochanter's apex from the head centre along it, and its height [mm].

    Where no lesser trochanter stands out (height under :data:`LEAST_BUMP`), its level is estimated from the head's radius.

    Raises
    ------
    SegmentationError
        The bone ends above the shaft, has the wrong side, or its lesser trochanter lies in front.
    """
    shaft = _first_shaft(label)
    _check_side(label, shaft)
    level, bump = 0.0, 0.0
    for _ in range(MOST_ROUNDS):
        level, bump = _lesser_trochanter(label, shaft)
        if bump < LEAST_BUMP:
            level = -TROCHANTER_AT * label.head.radius
        before = shaft.axis
        shaft = _fit_shaft(label, shaft, level)
        if before @ shaft.axis > np.cos(np.radians(SETTLED)):
            break
    return shaft, level, bump


def medial_and_back(label: FemurLabel, shaft: Shaft) -> tuple[Vector, Vector]:
    """Return the direction from the shaft to the head across the shaft, and the direction of the bone's own back."""
    medial = unit(perpendicular(label.head.centre - shaft.point, shaft.axis))
    return medial, np.asarray(np.cross(shaft.axis, medial))


def _check_side(label: FemurLabel, shaft: Shaft) -> None:
    """Raise where the head does not point to the middle of the body."""
    medial = float(perpendicular(label.head.centre - shaft.point, shaft.axis)[0])
    if medial <= 0.0:
        found = "left" if label.left else "right"
        raise SegmentationError(
            f"{label.name}: found the head on the patient's {found} of the shaft ({-medial:.0f} mm), expected it medial; "
            "the label has the wrong side or the image is mirrored: rename the label or repair the header"
        )


def _first_shaft(label: FemurLabel) -> Shaft:
    """Return a first shaft axis from the centroids of the lowest slices."""
    lowest = int(np.flatnonzero(label.mask.array.any(axis=(0, 1)))[0])
    reach = max(3, int(np.ceil(20.0 / label.mask.spacing[2])))
    points = []
    for k in range(lowest, min(lowest + reach, label.mask.shape[2])):
        i, j = np.nonzero(label.mask.array[:, :, k])
        if len(i):
            points.append([i.mean(), j.mean(), float(k)])
    centroids = to_patient(label.mask.affine, np.array(points))
    if label.head.centre[2] - centroids[0, 2] < 1.5 * label.head.radius:
        raise SegmentationError(
            f"{label.name}: found the end of the bone {label.head.centre[2] - centroids[0, 2]:.0f} mm below the head centre, expected the "
            "trochanters and at least 10 mm of shaft; extend the scan or the label downwards"
        )
    middle, axis = fit_line(centroids)
    axis = axis if axis[2] > 0 else -axis
    if axis[2] < np.cos(np.radians(45.0)):  # a short or ragged end: the image's own axis is the better start
        axis = np.array([0.0, 0.0, 1.0])
    return _shaft(label, middle, axis)


def _shaft(label: FemurLabel, middle: Vector, axis: Vector) -> Shaft:
    """Return the shaft with its point level with the head, and with its lowest complete section."""
    areas = label.mask.array.sum(axis=(0, 1)).astype(float)
    filled = np.flatnonzero(areas)
    # A label may end in a ragged slice: the lowest slice with a real section is the end.
    typical = float(np.median(areas[filled[: max(3, int(15.0 / label.mask.spacing[2]))]]))
    lowest = int(filled[np.argmax(areas[filled] > 0.6 * typical)])
    index = np.argwhere(label.mask.array[:, :, lowest : lowest + 1]).astype(float) + [0, 0, lowest - 0.5]
    ends = (to_patient(label.mask.affine, index) - label.head.centre) @ axis
    point = middle + axis * float((label.head.centre - middle) @ axis)
    return Shaft(point, axis, float(ends.max()))


def _fit_shaft(label: FemurLabel, shaft: Shaft, level: float) -> Shaft:
    """Return the shaft refitted to circles in sections below the lesser trochanter.

    Only the front, the lateral side and the outer back of an outline are used, so that a window which has to reach up to the
    trochanter, because the image ends soon below it, still sees the shaft.
    """
    available = level - shaft.end
    if available < 0.0:
        return shaft
    low, high = max(-available, -LONGEST_WINDOW), float(np.interp(available, *WINDOW_TOP))
    medial, back = medial_and_back(label, shaft)
    middles = []
    for height in np.linspace(level + low, level + high, 21):
        section = cut(label.field, shaft.at(height), shaft.axis, half_width=45.0, step=0.75)
        if section is None:
            continue
        rim = outline(section)
        away = (rim - rim.mean(axis=0)) @ section.basis
        angle = np.degrees(np.arctan2(away @ back, away @ medial)) % 360.0
        centre, _ = fit_circle(rim[(angle > OUTER_ARC[0]) & (angle < OUTER_ARC[1])], 1.0)
        middles.append(shaft.at(height) + centre @ section.basis)
    if len(middles) < 5:
        raise SegmentationError(
            f"{label.name}: found no shaft below the trochanters, expected one; check the label in three planes"
        )
    middle, axis = fit_line(np.array(middles))
    return _shaft(label, middle, axis if axis @ shaft.axis > 0 else -axis)


def _lesser_trochanter(label: FemurLabel, shaft: Shaft) -> tuple[float, float]:
    """Return the level of the lesser trochanter's apex from the head centre along the axis, and its height [mm].

    Between the medial side, which flares to the neck, and the back, the shaft's outline bulges only there.
    """
    medial, back = medial_and_back(label, shaft)
    upper, lower = (-label.head.radius * radii for radii in SEARCHED)
    heights = np.arange(max(shaft.end, lower), upper, 1.5)
    if len(heights) < 5:
        raise SegmentationError(
            f"{label.name}: found the end of the bone {-shaft.end:.0f} mm below the head centre, expected the trochanters and at least "
            "10 mm of shaft; extend the scan or the label downwards"
        )
    angles = np.radians([30.0, 40.0, 50.0, 60.0, 70.0, -30.0, -40.0, -50.0, -60.0, -70.0])
    profiles = np.zeros((len(angles), len(heights)))
    for n, height in enumerate(heights):
        section = cut(label.field, shaft.at(height), shaft.axis, half_width=50.0, step=1.0)
        if section is not None:
            profiles[:, n] = _reach(section, medial, back, angles)
    bumps = [highest_bump(profile) for profile in profiles]
    at, height = max(bumps[:5], key=lambda bump: bump[1])
    in_front = max(bump[1] for bump in bumps[5:])
    if in_front > max(LEAST_BUMP, 1.5 * height):
        raise SegmentationError(
            f"{label.name}: found the lesser trochanter in front ({in_front:.0f} mm high; {height:.0f} mm behind), expected it behind; "
            "the image is mirrored or left and right are swapped: check the header and the label"
        )
    return float(np.interp(at, np.arange(len(heights)), heights)), height


def _reach(section: Section, medial: Vector, back: Vector, angles: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return how far a section reaches from its plane's origin at angles from medial to the back [mm]."""
    rim = outline(section) @ section.basis
    away, angle = np.linalg.norm(rim, axis=1), np.arctan2(rim @ back, rim @ medial)
    near = np.abs(angle[:, None] - angles) < np.radians(7.0)
    return np.asarray(np.where(near, away[:, None], 0.0).max(axis=0))
