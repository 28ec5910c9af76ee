"""Metal and cement in simulated bones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from ..errors import SettingsError
from ..volume import to_patient
from .canvas import Canvas
from .column import LEVELS, Fracture, Placed
from .shapes import Coordinates, Field, cone, ellipsoid, sphere, union

Array = np.ndarray

KINDS = ("nail_left", "nail_right", "prosthesis_left", "prosthesis_right", *(f"screws_{level}" for level in LEVELS),
         *(f"cement_{level}" for level in LEVELS))  # fmt: skip
"""Names of implants: a femoral nail with its neck screw, a hip prosthesis, pedicle screws, cement in a vertebral body. Sizes are of the
order of common devices [D]; all metal is titanium."""


def check_implants(names: Sequence[str]) -> None:
    """Refuse unknown implants.

    Raises
    ------
    SettingsError
        A name that is not in :data:`KINDS`, or two devices in one place.
    """
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        raise SettingsError(
            f"found the implants {', '.join(unknown)}, expected nail_SIDE, prosthesis_SIDE, screws_LEVEL or cement_LEVEL; rename them"
        )
    for side in ("left", "right"):
        if {f"nail_{side}", f"prosthesis_{side}"} <= set(names):
            raise SettingsError(f"found a nail and a prosthesis in the {side} femur, expected one of them; leave one out")


def paint_implants(
    canvas: Canvas,
    names: Sequence[str],
    column: Sequence[Placed],
    landmarks: Mapping[str, Float[Array, "3"]],
    fractures: Mapping[str, Fracture] = MappingProxyType({}),
) -> None:
    """Paint implants into a finished body; ``landmarks`` are in the coordinates of the canvas."""
    for name in names:
        kind, place = name.split("_")
        if kind in ("nail", "prosthesis"):
            marks = {
                key.removeprefix(f"femur_{place}_"): value for key, value in landmarks.items() if key.startswith(f"femur_{place}")
            }
            (_nail if kind == "nail" else _prosthesis)(canvas, marks)
        else:
            placed = next(item for item in column if item.level == place)
            if kind == "screws":
                _screws(canvas, placed)
            else:
                _cement(canvas, placed, max(fractures[place].losses) if place in fractures else 0.0)


def _rod(canvas: Canvas, start: Array, end: Array, radius: float) -> None:
    shape = partial(cone, start=start, end=end, radius_start=radius)
    canvas.paint_metal(shape, (np.minimum(start, end) - radius - 2, np.maximum(start, end) + radius + 2))


def _nail(canvas: Canvas, marks: Mapping[str, Array]) -> None:
    crossing, tip = marks["neck_shaft_crossing"], marks["greater_trochanter_tip"]
    down = marks["distal_end"] - crossing
    down = down / np.linalg.norm(down)
    _rod(canvas, crossing - 18.0 * down, crossing + 200.0 * down, 5.5)
    neck = marks["head_centre"] - crossing
    aside = np.sign(tip[0] - marks["head_centre"][0])
    _rod(canvas, crossing - 0.45 * neck + np.array([aside, 0.0, -2.0]), crossing + 0.95 * neck, 4.5)


def _prosthesis(canvas: Canvas, marks: Mapping[str, Array]) -> None:
    head, crossing = marks["head_centre"], marks["neck_shaft_crossing"]
    down = marks["distal_end"] - crossing
    down = down / np.linalg.norm(down)
    _resect(canvas, head, crossing)
    canvas.paint_metal(partial(sphere, centre=head, radius=16.0), (head - 20, head + 20))
    _rod(canvas, head, crossing, 6.5)
    _rod(canvas, crossing, crossing + 95.0 * down, 7.0)


def _resect(canvas: Canvas, head: Array, crossing: Array) -> None:
    """Put soft tissue where the head and the upper part of the neck were."""
    cut = head + 0.35 * (crossing - head)

    def taken(points: Coordinates) -> Field:
        return union(sphere(points, head, 23.0), cone(points, head, cut, 18.0))

    canvas.paint(taken, (np.minimum(head, cut) - 25, np.maximum(head, cut) + 25), (0, "soft_organ", 0), texture=4.0)


def _screws(canvas: Canvas, placed: Placed) -> None:
    width, depth, _ = placed.disc_size
    for sign in (-1.0, 1.0):
        ends = np.array([[sign * 0.66 * width, depth + 14.0, 5.0], [sign * 0.36 * width, -0.45 * depth, 3.0]])
        start, end = to_patient(placed.frame, ends)
        _rod(canvas, start, end, 3.0)


def _cement(canvas: Canvas, placed: Placed, lost: float) -> None:
    """Paint two lobes of cement, as flat as a fracture that took the share ``lost`` of the height has left the body."""
    width, depth, _ = placed.disc_size
    sunk = np.float32(lost * placed.size.height / 2)
    inverse = np.linalg.inv(placed.frame).astype(np.float32)

    def blob(points: Coordinates) -> Field:
        m = inverse
        x, y, z = (m[a, 0] * points[0] + m[a, 1] * points[1] + m[a, 2] * points[2] + m[a, 3] for a in range(3))
        local = (x, y, (z + sunk) / np.float32(1 - lost))
        left = ellipsoid(local, (0.30 * width, -0.15 * depth, 1.0), (0.42 * width, 0.5 * depth, 8.0))
        return union(left, ellipsoid(local, (-0.35 * width, 0.0, -2.0), (0.36 * width, 0.42 * depth, 7.0)), 3.0)

    centre = placed.frame[:3, 3]
    canvas.paint(blob, (centre - 32, centre + 32), (0, "cement", 0), texture=120.0)
