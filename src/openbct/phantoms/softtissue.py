"""Everything around the bones: outline, fat, muscles, vessels, organs, gas, table.

Coordinates are patient LPS from the midpoint between the femoral heads [mm]. All positions and sizes are placed by eye on a
slim woman's proportions [D]; what matters is that reference tissues are where they are in a person, and in similar amounts.
Labels are TotalSegmentator's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from .canvas import Canvas
from .shapes import Coordinates, Field, cone, ellipsoid, intersection, sphere, triangle, tube, union
from .spine import Placed, disc_distance

Array = np.ndarray
Row = tuple[float, float, float, float]

LABELS: Mapping[str, int] = MappingProxyType(
    {
        "spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 5, "stomach": 6, "small_bowel": 18, "colon": 20,
        "urinary_bladder": 21, "sacrum": 25, "vertebrae_L5": 27, "vertebrae_L4": 28, "vertebrae_L3": 29, "vertebrae_L2": 30,
        "vertebrae_L1": 31, "vertebrae_T12": 32, "vertebrae_T11": 33, "aorta": 52, "inferior_vena_cava": 63,
        "iliac_artery_left": 65, "iliac_artery_right": 66, "iliac_vena_left": 67, "iliac_vena_right": 68, "femur_left": 75,
        "femur_right": 76, "hip_left": 77, "hip_right": 78, "gluteus_maximus_left": 80, "gluteus_maximus_right": 81,
        "gluteus_medius_left": 82, "gluteus_medius_right": 83, "autochthon_left": 86, "autochthon_right": 87,
        "iliopsoas_left": 88, "iliopsoas_right": 89,
    }
)  # fmt: skip

BACK = 103.0
"""Where the table flattens the back [mm]."""
_TORSO_Z = (-70, -40, 20, 80, 130, 190, 250, 300, 420)
_TORSO: tuple[Row, ...] = (
    (0, -2, 160, 95), (0, 0, 174, 105), (0, -1, 168, 110), (0, -4, 157, 112), (0, -8, 147, 114), (0, -10, 140, 114),
    (0, -8, 143, 113), (0, -4, 148, 112), (0, 0, 156, 112),
)  # fmt: skip
_THIGH_Z = (-260, -120, -60, -10)
_THIGH: tuple[Row, ...] = ((82, 0, 77, 80), (86, 0, 84, 91), (87, 0, 86, 100), (80, 2, 86, 100))
_WALL_Z = (35, 110, 150, 200, 260, 420)
_WALL: tuple[Row, ...] = (
    (0, -6, 128, 80),
    (0, -8, 126, 84),
    (0, -10, 123, 86),
    (0, -12, 118, 86),
    (0, -8, 124, 88),
    (0, 0, 136, 92),
)
_CAVITY_Z = (45, 110, 150, 200, 260, 420)
_CAVITY: tuple[Row, ...] = (
    (0, -20, 100, 54),
    (0, -22, 108, 58),
    (0, -22, 108, 62),
    (0, -22, 104, 65),
    (0, -18, 111, 67),
    (0, -8, 125, 74),
)
_PELVIS_Z = (-48, -20, 20, 70, 110)
_PELVIS: tuple[Row, ...] = ((0, 4, 40, 40), (0, 4, 52, 48), (0, 4, 54, 52), (0, -8, 66, 50), (0, -16, 92, 52))

_MUSCLES: tuple[tuple[str, tuple[float, ...], tuple[Row, ...]], ...] = (
    ("gluteus_maximus", (-95, -50, 0, 50, 95),
     ((94, 58, 36, 26), (84, 62, 58, 25), (82, 74, 58, 17), (74, 84, 44, 11), (60, 88, 22, 6))),
    ("gluteus_medius", (-38, 10, 60, 100, 130),
     ((136, 8, 9, 20), (126, 10, 18, 38), (112, 16, 24, 46), (122, 22, 13, 36), (126, 22, 5, 16))),
    ("iliopsoas", (30, 70, 126), ((86, -24, 16, 14), (98, -10, 14, 28), (112, 4, 6, 26))),
    ("iliopsoas", (-58, -20, 20, 70, 110, 150, 190, 232),
     ((96, -8, 9, 10), (86, -36, 15, 12), (74, -40, 16, 13), (58, -20, 17, 16), (47, -4, 18, 19), (40, 9, 16, 20), (33, 15, 11, 15),
      (28, 20, 4, 6))),
    ("autochthon", (45, 100, 130, 170, 220, 260, 300, 420),
     ((12, 92, 8, 4), (27, 84, 20, 13), (31, 70, 27, 20), (34, 65, 30, 22), (34, 66, 30, 21), (33, 72, 28, 20), (32, 78, 26, 17),
      (30, 88, 24, 13))),
    ("", (138, 160, 230, 262), ((70, 38, 10, 7), (66, 40, 15, 10), (56, 40, 12, 8), (50, 46, 7, 6))),
    ("", (-50, -20, 15), ((60, 16, 8, 18), (60, 14, 8, 24), (58, 20, 6, 20))),
    ("", (-260, -120, -75, -35, 5, 40),
     ((86, 3, 60, 63), (92, 3, 62, 68), (96, -2, 58, 64), (106, -12, 42, 44), (110, -30, 28, 18), (112, -44, 14, 8))),
    ("", (-20, 20, 60), ((22, -80, 20, 5), (26, -84, 28, 6), (28, -86, 32, 6))),
)  # fmt: skip
"""Name (empty: muscle without a label), knots in z, and rows of the left side: centre x, y, half-width, half-depth."""


def outline(points: Coordinates) -> Field:
    """Distance to the skin."""
    mirrored = (np.abs(points[0]), points[1], points[2])
    body = union(tube(points, _TORSO_Z, _TORSO, 2.4), tube(mirrored, _THIGH_Z, _THIGH, 2.1), 10.0)
    return intersection(body, points[1] - np.float32(BACK) + 0 * body, 14.0)


def paint_table(canvas: Canvas) -> None:
    """Paint the mattress and the table top: a shallow trough of two thin skins around foam."""

    def sag(points: Coordinates) -> Field:
        return np.asarray(points[1] - np.float32(BACK + 1) + (points[0] / np.float32(190)) ** 2 * np.float32(42))

    def slab(points: Coordinates, top: float, bottom: float) -> Field:
        depth = sag(points) + 0 * points[2]
        across = np.abs(points[0]) - np.float32(195)
        return np.asarray(np.maximum(np.maximum(np.float32(top) - depth, depth - np.float32(bottom)), across))

    bounds = ((-200.0, 40.0, -1000.0), (200.0, 200.0, 1000.0))
    canvas.paint(partial(slab, top=-18, bottom=20), bounds, (0, "mattress", 0))
    canvas.paint(partial(slab, top=20, bottom=60), bounds, (0, "table_skin", 0), (1.6, "table_core", 0))


def paint_body(canvas: Canvas) -> None:
    """Paint skin, fat, the abdominal wall, the cavities and the muscles."""
    everything = ((-220.0, -140.0, -1000.0), (220.0, BACK + 3, 1000.0))
    canvas.paint(outline, everything, (0, "skin", 0), (1.8, "adipose", 0), texture=3.0)
    canvas.paint(lambda p: tube(p, _WALL_Z, _WALL, 2.3), everything, (0, "muscle", 0), texture=5.0)
    canvas.paint(lambda p: tube(p, _CAVITY_Z, _CAVITY, 2.3), everything, (0, "adipose", 0), texture=4.0)
    canvas.paint(lambda p: tube(p, _PELVIS_Z, _PELVIS, 2.2), everything, (0, "adipose", 0), texture=4.0)
    for name, heights, rows in _MUSCLES:
        for side, sign in (("left", 1), ("right", -1)):
            placed = [(sign * x, y, rx, ry) for x, y, rx, ry in rows]
            label = LABELS[f"{name}_{side}"] if name else 0
            bounds = _bounds(heights, placed)
            canvas.paint(lambda p, h=heights, r=placed: tube(p, h, r, 2.2), bounds, (0, "muscle", label), texture=6.0)  # type: ignore[misc]
    for sign in (1, -1):
        _paint_planes(canvas, sign)


def _bounds(heights: Sequence[float], rows: Sequence[Row]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    table = np.array(rows)
    low = (table[:, :2] - table[:, 2:]).min(axis=0) - 3
    high = (table[:, :2] + table[:, 2:]).max(axis=0) + 3
    return (float(low[0]), float(low[1]), heights[0] - 3), (float(high[0]), float(high[1]), heights[-1] + 3)


def _paint_planes(canvas: Canvas, sign: int) -> None:
    """Paint the fat between the muscles of one thigh: sheets from the femur outwards."""
    axis = (sign * 112.0, 8.0)
    for angle in (20, 95, 150, 215, 265, 320):
        u = np.array([np.cos(np.radians(angle)) * sign, np.sin(np.radians(angle))])
        inner, outer = axis + 20 * u, axis + 85 * u
        for top, bottom in ((-70.0, -260.0),):
            a, b = (inner[0], inner[1], top), (outer[0], outer[1], top)
            c, d = (outer[0], outer[1], bottom), (inner[0], inner[1], bottom)

            def sheet(p: Coordinates, first: object = (a, b, c), second: object = (a, c, d)) -> Field:
                both = union(triangle(p, first, 0.9), triangle(p, second, 0.9))  # type: ignore[arg-type]
                thigh = tube((p[0] * np.float32(sign), p[1], p[2]), _THIGH_Z, _THIGH, 2.1)
                return intersection(both, thigh + np.float32(6))

            low, high = np.minimum(inner, outer) - 3, np.maximum(inner, outer) + 3
            canvas.paint(sheet, ((low[0], low[1], bottom), (high[0], high[1], top)), (0, "adipose", 0))


_ORGANS: tuple[tuple[str, str, tuple[float, float, float], tuple[float, float, float]], ...] = (
    ("liver", "liver", (-58, -14, 318), (70, 66, 92)),
    ("spleen", "liver", (90, 22, 318), (26, 38, 44)),
    ("stomach", "soft_organ", (46, -30, 318), (46, 34, 38)),
    ("kidney_left", "kidney", (60, 22, 252), (24, 22, 50)),
    ("kidney_right", "kidney", (-60, 22, 240), (24, 22, 50)),
    ("urinary_bladder", "urine", (0, -26, -6), (34, 26, 24)),
    ("", "soft_organ", (3, 6, 26), (26, 17, 26)),
)


def paint_organs(canvas: Canvas, seed: int) -> None:
    """Paint organs, bowel with its content, and gas where it rises to: the front."""

    def cavity(points: Coordinates) -> Field:
        return np.asarray(tube(points, _CAVITY_Z, _CAVITY, 2.3) + np.float32(3))

    for name, tissue, centre, radii in _ORGANS:
        bounds = (np.subtract(centre, radii) - 2, np.add(centre, radii) + 2)

        def organ(p: Coordinates, c: object = centre, r: object = radii, inside: bool = centre[2] > 60) -> Field:
            whole = ellipsoid(p, c, r)  # type: ignore[arg-type]
            return intersection(whole, cavity(p), 2.0) if inside else whole

        canvas.paint(organ, bounds, (0, tissue, LABELS[name] if name else 0), texture=4.0)
    canvas.paint(lambda p: ellipsoid(p, (42, -52, 318), (26, 10, 24)), ((10, -70, 290), (75, -35, 345)), (0, "air", 6))
    for side in (1, -1):
        # Renal sinus fat opens towards the midline.
        z = 252.0 if side > 0 else 240.0
        sinus = (side * 46.0, 18.0, z)
        canvas.paint(lambda p, c=sinus: ellipsoid(p, c, (11, 6, 22)), ((-70, 0, 200), (70, 40, 290)), (0, "adipose", 0))  # type: ignore[misc]
    _paint_bowel(canvas, seed)


def _paint_bowel(canvas: Canvas, seed: int) -> None:
    generator = np.random.default_rng(seed)
    label = LABELS["small_bowel"]
    for _ in range(46):
        height = generator.uniform(60, 262)
        angle, reach = generator.uniform(0, 2 * np.pi), np.sqrt(generator.uniform(0, 1))
        centre = np.array([66 * reach * np.cos(angle), -46 + 24 * reach * np.sin(angle), height])
        turn = generator.uniform(-1, 1, 3) * (26, 10, 20)
        start, end, radius = centre - turn, centre + turn, generator.uniform(9, 13.5)
        bounds = (np.minimum(start, end) - radius - 2, np.maximum(start, end) + radius + 2)
        loop = partial(_capsule, start=tuple(start), end=tuple(end), radius=radius)
        canvas.paint(loop, bounds, (0, "soft_organ", label), (2.5, "bowel_content", label), texture=5.0)
        if generator.uniform() < 0.35:
            gas = tuple(centre + (0, -0.4 * radius, 0))
            size = generator.uniform(3, 0.6 * radius)
            canvas.paint(partial(sphere, centre=gas, radius=size), (np.subtract(gas, 15), np.add(gas, 15)), (0, "air", label))
    colon = LABELS["colon"]
    for x, y, low, high, radius in ((-90.0, -8.0, 96.0, 232.0, 19.0), (92.0, 6.0, 110.0, 262.0, 13.0)):

        def haustra(p: Coordinates, x: float = x, y: float = y, low: float = low, high: float = high, r: float = radius) -> Field:
            return np.asarray(cone(p, (x, y, low), (x, y, high), r) + np.float32(1.6) * np.sin(p[2] / 5))

        bounds = (np.array([x, y, low]) - radius - 3, np.array([x, y, high]) + radius + 3)
        canvas.paint(haustra, bounds, (0, "soft_organ", colon), (2.5, "faeces", colon), texture=60.0)
        bubble = partial(
            _capsule, start=(x, y - 0.45 * radius, low + 20), end=(x, y - 0.45 * radius, high - 30), radius=0.4 * radius
        )
        canvas.paint(bubble, bounds, (0, "air", colon))
    rectum = partial(_capsule, start=(0.0, 46.0, -40.0), end=(0.0, 44.0, 24.0), radius=14.0)
    canvas.paint(rectum, ((-20, 25, -60), (20, 65, 45)), (0, "soft_organ", colon), (3, "faeces", colon), texture=60.0)


def _capsule(points: Coordinates, start: Sequence[float], end: Sequence[float], radius: float) -> Field:
    return cone(points, start, end, radius)


def paint_vessels(canvas: Canvas, column: Sequence[Placed]) -> None:
    """Paint aorta and vena cava in front of the column, and their branches to the thighs."""
    chain = sorted(column, key=lambda placed: placed.frame[2, 3])
    heights = [float(placed.frame[2, 3]) for placed in chain if placed.level != "L5"] + [420.0]
    front = [float(placed.frame[1, 3]) - placed.disc_size[1] for placed in chain if placed.level != "L5"]
    front += [front[-1] + 22]
    heights[0] -= 8
    for name, x, reach, rx, ry in (("aorta", 11.0, 10.5, 9.0, 9.0), ("inferior_vena_cava", -13.0, 9.5, 11.5, 8.0)):
        rows = [(x, y - reach, rx, ry) for y in front]
        canvas.paint(lambda p, r=rows: tube(p, heights, r), _bounds(heights, rows), (0, "blood", LABELS[name]), texture=1.5)  # type: ignore[misc]
    fork = (heights[0] + 2, front[0])
    for side, sign in (("left", 1), ("right", -1)):
        for kind, x, radius, shift in (("artery", 11.0, 6.0, -10.5), ("vena", -13.0, 7.0, -8.5)):
            knots = [
                (x, fork[1] + shift, fork[0]),
                (sign * 40.0, -14.0, 98.0),
                (sign * 52.0, -38.0, 40.0),
                (sign * 66.0, -62.0, -10.0),
            ]
            if kind == "vena":
                knots = [knots[0]] + [(x - sign * 12, y + 6, z) for x, y, z in knots[1:]]
            knots.append((knots[-1][0] + sign * 4, -58.0, -260.0))
            for a, b in pairwise(knots):
                bounds = (np.minimum(a, b) - 12, np.maximum(a, b) + 12)
                pipe = partial(_capsule, start=a, end=b, radius=radius)
                canvas.paint(pipe, bounds, (0, "blood", LABELS[f"iliac_{kind}_{side}"] if b[2] > -20 else 0))


def paint_column_surroundings(canvas: Canvas, column: Sequence[Placed]) -> None:
    """Paint discs, and the spinal canal with fat around the dural sac."""
    chain = sorted(column, key=lambda placed: placed.frame[2, 3])
    heights = [60.0] + [float(placed.frame[2, 3]) for placed in chain] + [420.0]
    back = [66.0] + [float(placed.frame[1, 3]) + placed.disc_size[1] + 8.0 for placed in chain]
    back.append(back[-1] + 22)
    rows = [(0.0, y, 11.5, 9.0) for y in back]
    sac = [(0.0, y, 7.5, 6.5) for y in back]
    canvas.paint(lambda p: tube(p, heights, rows), _bounds(heights, rows), (0, "adipose", 0))
    canvas.paint(lambda p: tube(p, heights, sac), _bounds(heights, sac), (0, "cerebrospinal", 0))
    for placed in column:
        inverse = np.linalg.inv(placed.disc)

        def disc(p: Coordinates, m: Array = inverse, size: tuple[float, float, float] = placed.disc_size) -> Field:
            x, y, z = ((m[a, 0] * p[0] + m[a, 1] * p[1] + m[a, 2] * p[2] + m[a, 3]).astype(np.float32) for a in range(3))
            return disc_distance(size, (x, y, z))

        reach = placed.disc_size[0] + 4
        centre = placed.disc[:3, 3]
        canvas.paint(disc, (centre - reach, centre + reach), (0, "disc", 0), texture=4.0)


def paint_joint(canvas: Canvas, centre: tuple[float, float, float], radius: float) -> None:
    """Paint the cartilage and fluid between a femoral head and its socket."""
    bounds = (np.subtract(centre, radius + 2), np.add(centre, radius + 2))
    canvas.paint(partial(sphere, centre=centre, radius=radius), bounds, (0, "disc", 0))
