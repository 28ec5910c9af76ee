"""The body's outline, fat and muscles, and the table under it.

Coordinates are patient LPS from the midpoint between the femoral heads [mm]. All positions and sizes are placed by eye on a
slim woman's proportions [D]; what matters is that reference tissues are where they are in a person, and in similar amounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .canvas import Canvas
from .labels import LABELS
from .shapes import Coordinates, Field, Point, intersection, triangle, tube, union

Array = np.ndarray
Row = tuple[float, float, float, float]

BACK = 103.0
"""Where the table flattens the back of the slim body [mm]."""
BACK_SHARE, THIGH_SHARE = 0.4, 0.6
"""Of the fat added around the belly, what lies under the back and around the thighs [D]."""
_TORSO_Z = (-92.0, -80.0, -60.0, -40.0, 20.0, 80.0, 130.0, 190.0, 250.0, 300.0, 420.0)
_TORSO: tuple[Row, ...] = (
    (0, -4, 20, 30), (0, -4, 90, 74), (0, -2, 158, 97), (0, 0, 174, 105), (0, -1, 168, 110), (0, -4, 157, 112), (0, -8, 147, 114),
    (0, -10, 140, 114), (0, -8, 143, 113), (0, -4, 148, 112), (0, 0, 156, 112),
)  # fmt: skip
_THIGH_Z = (-260.0, -120.0, -60.0, -10.0)
_THIGH: tuple[Row, ...] = ((82, 0, 77, 80), (86, 0, 84, 91), (87, 0, 86, 100), (80, 2, 86, 100))
_WALL_Z = (35.0, 110.0, 150.0, 200.0, 260.0, 420.0)
_WALL: tuple[Row, ...] = (
    (0, -6, 128, 80), (0, -8, 126, 84), (0, -10, 123, 86), (0, -12, 118, 86), (0, -8, 124, 88), (0, 0, 136, 92),
)  # fmt: skip
_CAVITY_Z = (45.0, 110.0, 150.0, 200.0, 260.0, 420.0)
_CAVITY: tuple[Row, ...] = (
    (0, -20, 100, 54), (0, -22, 108, 58), (0, -22, 108, 62), (0, -22, 104, 65), (0, -18, 111, 67), (0, -8, 125, 74),
)  # fmt: skip
_BUTTOCK_Z = (-100.0, -60.0, -20.0, 20.0, 60.0, 100.0)
_BUTTOCK: tuple[Row, ...] = (
    (0, 12, 140, 60), (0, 14, 146, 66), (0, 14, 150, 72), (0, 14, 144, 73), (0, 14, 134, 74), (0, 14, 126, 73),
)  # fmt: skip
_PELVIS_Z = (-60.0, -48.0, -20.0, 20.0, 70.0, 110.0)
_PELVIS: tuple[Row, ...] = (
    (0, 10, 24, 40), (0, 6, 46, 52), (0, 2, 54, 60), (0, -4, 56, 64), (0, -12, 70, 62), (0, -16, 96, 56),
)  # fmt: skip

_MUSCLES: tuple[tuple[str, tuple[float, ...], tuple[Row, ...]], ...] = (
    ("gluteus_maximus", (-95, -50, 0, 50, 95),
     ((94, 56, 40, 30), (86, 62, 62, 27), (82, 72, 64, 20), (76, 82, 52, 13), (62, 88, 26, 7))),
    ("gluteus_medius", (-38, 10, 60, 100, 130),
     ((136, 8, 9, 20), (128, 10, 18, 40), (114, 16, 24, 48), (122, 22, 13, 38), (126, 22, 5, 16))),
    ("iliopsoas", (30, 70, 126), ((86, -24, 16, 14), (98, -10, 14, 28), (112, 4, 6, 26))),
    ("", (138, 160, 230, 262), ((70, 38, 10, 7), (66, 40, 15, 10), (56, 40, 12, 8), (50, 46, 7, 6))),
    ("iliopsoas", (-58, -20, 20, 70, 110, 150, 190, 232),
     ((96, -8, 9, 10), (86, -36, 15, 12), (74, -40, 16, 13), (58, -20, 17, 16), (47, -4, 18, 19), (40, 8, 16, 20), (33, 13, 11, 15),
      (28, 16, 4, 6))),
    ("autochthon", (45, 100, 130, 170, 220, 260, 300, 420),
     ((12, 92, 8, 4), (27, 84, 20, 13), (31, 70, 27, 20), (34, 65, 30, 22), (34, 64, 30, 22), (33, 66, 28, 21), (32, 70, 26, 19),
      (30, 82, 24, 14))),
    # Obturator internus, the thigh as one, tensor and sartorius, rectus abdominis.
    ("", (-50, -20, 15), ((60, 16, 8, 18), (60, 14, 8, 24), (58, 20, 6, 20))),
    ("", (-260, -120, -75, -35, 5, 40),
     ((86, 3, 60, 63), (92, 3, 62, 68), (96, -2, 58, 64), (106, -12, 42, 44), (110, -30, 28, 18), (112, -44, 14, 8))),
    ("", (-90, -40, 0, 50), ((68, -62, 12, 9), (82, -66, 12, 9), (98, -62, 11, 9), (112, -54, 8, 7))),
    ("", (-20, 20, 60), ((22, -80, 20, 5), (26, -84, 28, 6), (28, -86, 32, 6))),
)  # fmt: skip
"""Name (empty: muscle without a label), knots in z, and rows of the left side: centre x, y, half-width, half-depth."""
_SKIN, _PLANE = 1.8, 1.3
"""Thickness of the skin, and of the fat around each muscle [mm]."""


@dataclass(frozen=True)
class Girth:
    """Fat beyond that of the slim body that is drawn [mm]; negative for less."""

    subcutaneous: float = 0.0
    visceral: float = 0.0
    """By which the wall of the belly stands further in front."""

    @property
    def back(self) -> float:
        """Where the table flattens the back [mm]: fat gives way under the weight."""
        return BACK + BACK_SHARE * max(self.subcutaneous, 0.0)


SLIM = Girth()


def outline(points: Coordinates, girth: Girth = SLIM) -> Field:
    """Distance to the skin."""
    mirrored = (np.abs(points[0]), points[1], points[2])
    body = union(tube(points, _TORSO_Z, _TORSO, 2.4), tube(mirrored, _THIGH_Z, _THIGH, 2.1), 10.0)
    if girth.subcutaneous or girth.visceral:
        body = body - np.float32(girth.subcutaneous) * (np.float32(THIGH_SHARE) + np.float32(1 - THIGH_SHARE) * _high(points))
        body = body - _pushed(points, girth)
    return intersection(body, points[1] - np.float32(girth.back) + 0 * body, 14.0)


def _high(points: Coordinates) -> Field:
    """1 in the belly, 0 in the hips."""
    return np.asarray(np.clip((points[2] - np.float32(10)) / np.float32(80), 0, 1))


def _pushed(points: Coordinates, girth: Girth) -> Field:
    """By how much visceral fat pushes skin and wall outwards: fully at the front of the belly, not at its back [mm]."""
    front = np.clip((np.float32(25) - points[1]) / np.float32(70), 0, 1)
    return np.asarray(np.float32(girth.visceral) * _high(points) * front)


def wall(points: Coordinates, girth: Girth = SLIM) -> Field:
    """Distance to the outside of the abdominal wall."""
    return np.asarray(tube(points, _WALL_Z, _WALL, 2.3) - _pushed(points, girth))


def cavity(points: Coordinates, girth: Girth = SLIM) -> Field:
    """Distance to the inside of the abdominal wall."""
    return np.asarray(tube(points, _CAVITY_Z, _CAVITY, 2.3) - _pushed(points, girth))


def _muscle(points: Coordinates, heights: Sequence[float], rows: Sequence[Row], girth: Girth) -> Field:
    # However slim the body, no muscle and none of the fat around it leaves the skin.
    return intersection(tube(points, heights, rows, 2.2), outline(points, girth) + np.float32(_SKIN + _PLANE))


def _hips(points: Coordinates) -> Field:
    # Of the slim body, whatever the fat around it.
    return intersection(tube(points, _BUTTOCK_Z, _BUTTOCK, 2.3), outline(points) + np.float32(14), 4.0)


def paint_table(canvas: Canvas, top: float = BACK) -> None:
    """Paint the mattress and the table under a back at ``top`` [mm]: a shallow trough of two thin skins around foam."""

    def sag(points: Coordinates) -> Field:
        return np.asarray(points[1] - np.float32(top + 1) + (points[0] / np.float32(190)) ** 2 * np.float32(42))

    def slab(points: Coordinates, top: float, bottom: float) -> Field:
        depth = sag(points) + 0 * points[2]
        across = np.abs(points[0]) - np.float32(195)
        return np.asarray(np.maximum(np.maximum(np.float32(top) - depth, depth - np.float32(bottom)), across))

    bounds = ((-200.0, top - 63.0, -1000.0), (200.0, top + 97.0, 1000.0))
    canvas.paint(partial(slab, top=-18, bottom=20), bounds, (0, "mattress", 0))
    canvas.paint(partial(slab, top=20, bottom=60), bounds, (0, "table_skin", 0), (1.8, "table_core", 0))


def paint_body(canvas: Canvas, girth: Girth = SLIM, iodine: float = 0.0) -> None:
    """Paint skin, fat, the abdominal wall, the cavities and the muscles; ``iodine`` [mg/cm³] is that of the muscles."""
    wide, deep = 220.0 + max(girth.subcutaneous, 0.0), 140.0 + max(girth.subcutaneous, 0.0) + girth.visceral
    everything = ((-wide, -deep, -1000.0), (wide, girth.back + 3, 1000.0))
    canvas.paint(partial(outline, girth=girth), everything, (0, "skin", 0), (_SKIN, "adipose", 0), texture=3.0)
    canvas.paint(_hips, bounds_of(_BUTTOCK_Z, _BUTTOCK), (0, "muscle", 0), texture=7.0, iodine=iodine)
    # Three flat muscles with fat between them.
    sheets = ((0, "muscle", 0), (4.0, "adipose", 0), (4.9, "muscle", 0), (8.2, "adipose", 0), (9.0, "muscle", 0))
    forwards, aside = np.array([girth.visceral, girth.visceral, 0.0]), np.array([girth.visceral, 0.0, 0.0])
    low, high = bounds_of(_WALL_Z, _WALL)
    canvas.paint(partial(wall, girth=girth), (low - forwards, high + aside), *sheets, texture=5.0)
    low, high = bounds_of(_CAVITY_Z, _CAVITY)
    canvas.paint(partial(cavity, girth=girth), (low - forwards, high + aside), (0, "adipose", 0), texture=4.0)
    pelvis = partial(tube, heights=_PELVIS_Z, rows=_PELVIS, exponent=2.2)
    canvas.paint(pelvis, bounds_of(_PELVIS_Z, _PELVIS), (0, "adipose", 0), texture=4.0)
    for name, heights, rows in _MUSCLES:
        for side, sign in (("left", 1), ("right", -1)):
            placed = [(sign * x, y, rx, ry) for x, y, rx, ry in rows]
            label = LABELS[f"{name}_{side}"] if name else 0
            shape = partial(_muscle, heights=heights, rows=placed, girth=girth)
            canvas.paint(
                shape, bounds_of(heights, placed), (-_PLANE, "adipose", 0), (0, "muscle", label), texture=7.0, iodine=iodine
            )
    for sign in (1, -1):
        _paint_planes(canvas, sign)


def bounds_of(heights: Sequence[float], rows: Sequence[Row]) -> tuple[Array, Array]:
    """Return a box around a tube [mm]."""
    table = np.array(rows, dtype=float)
    low = (table[:, :2] - table[:, 2:]).min(axis=0) - 4
    high = (table[:, :2] + table[:, 2:]).max(axis=0) + 4
    return np.array([*low, heights[0] - 4]), np.array([*high, heights[-1] + 4])


def _paint_planes(canvas: Canvas, sign: int) -> None:
    """Paint the fat between the muscles of one thigh: sheets from the femur outwards."""
    axis = np.array([sign * 112.0, 8.0])
    top, bottom = -66.0, -260.0
    for angle in (20, 95, 150, 215, 265, 320):
        u = np.array([np.cos(np.radians(angle)) * sign, np.sin(np.radians(angle))])
        inner, outer = axis + 20 * u, axis + 85 * u
        a, b = (inner[0], inner[1], top), (outer[0], outer[1], top)
        c, d = (outer[0], outer[1], bottom), (inner[0], inner[1], bottom)
        low, high = np.minimum(inner, outer) - 3, np.maximum(inner, outer) + 3
        bounds = (np.array([*low, bottom]), np.array([*high, top]))
        canvas.paint(partial(_sheet, first=(a, b, c), second=(a, c, d), sign=sign), bounds, (0, "adipose", 0))


def _sheet(points: Coordinates, first: Sequence[Point], second: Sequence[Point], sign: int) -> Field:
    both = union(triangle(points, first, 0.8), triangle(points, second, 0.8))
    thigh = tube((points[0] * np.float32(sign), points[1], points[2]), _THIGH_Z, _THIGH, 2.1)
    return intersection(both, thigh + np.float32(6))
