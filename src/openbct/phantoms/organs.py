"""Organs, bowel with gas, vessels, discs and joint spaces of the simulated torso.

Coordinates are patient LPS from the midpoint between the femoral heads [mm]; positions are placed by eye [D].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from .canvas import Canvas
from .column import Fracture, Placed
from .labels import LABELS
from .shapes import Coordinates, Field, Point, cone, ellipsoid, intersection, sphere, tube, union
from .softtissue import bounds_of, cavity
from .spine import disc_distance

Array = np.ndarray

_ORGANS: tuple[tuple[str, str, tuple[tuple[Point, Point], ...]], ...] = (
    ("liver", "liver", (((-78, -10, 308), (52, 74, 96)), ((-14, -52, 330), (62, 34, 46)))),
    ("spleen", "liver", (((94, 22, 318), (24, 40, 44)),)),
    ("stomach", "soft_organ", (((46, -32, 318), (46, 32, 36)), ((16, -46, 284), (26, 18, 22)))),
    ("kidney_left", "kidney", (((62, 20, 252), (24, 21, 50)),)),
    ("kidney_right", "kidney", (((-62, 20, 238), (24, 21, 50)),)),
    ("", "soft_organ", (((10, -24, 258), (52, 10, 12)),)),
    ("urinary_bladder", "urine", (((0, -24, 0), (36, 26, 26)),)),
    ("", "soft_organ", (((3, 10, 30), (27, 16, 28)),)),
)
"""Name, tissue, and ellipsoids (centre, radii) whose union is the organ; the nameless are pancreas and uterus."""


_AGENT: Mapping[str, str] = MappingProxyType(
    {"liver": "liver", "spleen": "spleen", "kidney_left": "kidney", "kidney_right": "kidney", "stomach": "wall", "": "wall"}
)
"""Where an organ's contrast agent stands in the table of phases."""


def paint_organs(canvas: Canvas, seed: int, phase: Mapping[str, float] = MappingProxyType({})) -> None:
    """Paint lungs, organs, bowel with its content, and gas where it rises to: the front."""
    generator = np.random.default_rng(seed)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        centre, radii = np.array([sign * 70.0, 18.0, 438.0]), np.array([56.0, 78.0, 118.0])
        shape = partial(_organ, lobes=((centre, radii),), inside=True)
        canvas.paint(
            shape, (centre - radii - 3, centre + radii + 3), (0, "lung", LABELS[f"lung_lower_lobe_{side}"]), texture=25.0
        )
    _paint_mesentery(canvas, generator)
    _paint_bowel(canvas, generator, phase.get("bowel", 0.0))
    _paint_colon(canvas, phase.get("bowel", 0.0))
    for name, tissue, lobes in _ORGANS:
        low = np.min([np.subtract(centre, radii) for centre, radii in lobes], axis=0) - 4
        high = np.max([np.add(centre, radii) for centre, radii in lobes], axis=0) + 4
        shape = partial(_organ, lobes=lobes, inside=float(low[2]) > 60)
        agent = phase.get(_AGENT.get(name, ""), 0.0) if name != "urinary_bladder" else 0.0
        layers = ((-2.0, "adipose", 0), (0, tissue, LABELS[name] if name else 0))
        canvas.paint(shape, (low, high), *layers, texture=4.0, iodine=agent)
    _ellipsoid(canvas, (42, -52, 320), (27, 9, 24), "air", LABELS["stomach"])
    for flank, height in ((1.0, 252.0), (-1.0, 238.0)):
        # Renal sinus fat opens towards the midline.
        _ellipsoid(canvas, (flank * 47.0, 16.0, height), (12.0, 6.0, 24.0), "adipose", 0)


def _organ(points: Coordinates, lobes: Sequence[tuple[Point, Point]], inside: bool) -> Field:
    whole = ellipsoid(points, *lobes[0])
    for centre, radii in lobes[1:]:
        whole = union(whole, ellipsoid(points, centre, radii), 6.0)
    return intersection(whole, cavity(points) + np.float32(2.5), 2.0) if inside else whole


def _ellipsoid(canvas: Canvas, centre: Point, radii: Point, tissue: str, label: int) -> None:
    bounds = (np.subtract(centre, radii) - 2, np.add(centre, radii) + 2)
    canvas.paint(partial(ellipsoid, centre=centre, radii=radii), bounds, (0, tissue, label))


def _capsule(points: Coordinates, start: Point, end: Point, radius: float) -> Field:
    return cone(points, start, end, radius)


def _pipe(
    canvas: Canvas,
    ends: tuple[Point, Point],
    radius: float,
    *layers: tuple[float, str, int],
    texture: float = 0.0,
    iodine: float = 0.0,
) -> None:
    bounds = (np.minimum(*ends) - radius - 4, np.maximum(*ends) + radius + 4)
    canvas.paint(partial(_capsule, start=ends[0], end=ends[1], radius=radius), bounds, *layers, texture=texture, iodine=iodine)


def _paint_mesentery(canvas: Canvas, generator: np.random.Generator) -> None:
    """Paint small vessels that fan out from before the spine."""
    root = np.array([4.0, -22.0, 205.0])
    for _ in range(70):
        end = np.array([generator.uniform(-82, 82), generator.uniform(-72, -20), generator.uniform(90, 262)])
        start = root + (end - root) * generator.uniform(0.0, 0.6)
        _pipe(canvas, (start, end), float(generator.uniform(0.9, 2.0)), (0, "blood", 0))


def _paint_bowel(canvas: Canvas, generator: np.random.Generator, iodine: float) -> None:
    label = LABELS["small_bowel"]
    for _ in range(64):
        angle, reach = generator.uniform(0, 2 * np.pi), np.sqrt(generator.uniform(0, 1))
        height = generator.uniform(48, 250)
        squeeze = 0.55 if height < 80 else 1.0
        centre = np.array([70 * squeeze * reach * np.cos(angle), -48 + 26 * squeeze * reach * np.sin(angle), height])
        turn = generator.uniform(-1, 1, 3) * (26 * squeeze, 10 * squeeze, 18)
        radius = float(generator.uniform(8, 12.5))
        layers = ((-1.0, "adipose", 0), (0.0, "soft_organ", label), (2.5, "bowel_content", label))
        _pipe(canvas, (centre - turn, centre + turn), radius, *layers, texture=5.0, iodine=iodine)
        if generator.uniform() < 0.3:
            size = float(generator.uniform(3, 0.6 * radius))
            _ellipsoid(canvas, centre - (0.0, 0.4 * radius, 0.0), (size, 0.7 * size, size), "air", label)


_COLON: tuple[tuple[Point, Point, float], ...] = (
    ((-88.0, 0.0, 128.0), (-90.0, 2.0, 226.0), 20.0),
    ((-90.0, -12.0, 226.0), (-40.0, -66.0, 226.0), 16.0),
    ((-40.0, -66.0, 226.0), (50.0, -66.0, 232.0), 15.0),
    ((50.0, -66.0, 232.0), (92.0, -10.0, 268.0), 14.0),
    ((92.0, -4.0, 268.0), (92.0, 10.0, 128.0), 13.0),
    ((92.0, 8.0, 128.0), (44.0, -6.0, 70.0), 12.0),
    ((44.0, -6.0, 70.0), (0.0, 34.0, 46.0), 12.0),
    ((0.0, 42.0, 46.0), (0.0, 48.0, -52.0), 14.0),
)
"""Caecum to rectum: ends and radius of each stretch [mm]."""


def _paint_colon(canvas: Canvas, iodine: float) -> None:
    label = LABELS["colon"]
    for start, end, radius in _COLON:
        layers = ((-1.0, "adipose", 0), (0.0, "soft_organ", label), (2.5, "faeces", label))
        _pipe(canvas, (start, end), radius, *layers, texture=70.0, iodine=iodine)
    for start, end, radius in _COLON[1:4]:
        shift = np.array([0.0, -0.5 * radius, 0.0])
        length = np.subtract(end, start)
        _pipe(canvas, (start + 0.25 * length + shift, start + 0.7 * length + shift), 0.35 * radius, (0, "air", label))
    _ellipsoid(canvas, (-90.0, -8.0, 205.0), (12.0, 7.0, 18.0), "air", label)
    _ellipsoid(canvas, (0.0, 40.0, 8.0), (7.0, 4.0, 14.0), "air", label)


def paint_vessels(
    canvas: Canvas, column: Sequence[Placed], phase: Mapping[str, float] = MappingProxyType({}), *, plaque: bool = True
) -> None:
    """Paint aorta and vena cava in front of the column, and their branches to the thighs."""
    artery, vein = phase.get("artery", 0.0), phase.get("vein", 0.0)
    chain = column[1:]
    heights = [float(placed.frame[2, 3]) for placed in chain] + [420.0]
    heights[0] -= 8
    front = [float(placed.frame[1, 3]) - placed.disc_size[1] for placed in chain]
    front += [front[-1] + 22]
    for name, x, reach, rx, ry in (("aorta", 11.0, 11.5, 9.0, 9.0), ("inferior_vena_cava", -13.0, 10.5, 11.5, 8.0)):
        rows = [(x, y - reach, rx, ry) for y in front]
        shape = partial(tube, heights=heights, rows=rows)
        layers = ((-2.0, "adipose", 0), (0, "blood", LABELS[name]))
        canvas.paint(shape, bounds_of(heights, rows), *layers, texture=1.5, iodine=artery if name == "aorta" else vein)
    # Plaque in the wall of the aorta, as is usual at a higher age.
    for height, turn in ((176.0, 1.0), (190.0, -0.8), (214.0, 0.4), (240.0, 1.2)) if plaque else ():
        y = float(np.interp(height, heights, front)) - 11.5
        _ellipsoid(canvas, (11.0 + 8.4 * np.sin(turn), y + 8.4 * np.cos(turn), height), (1.6, 1.2, 3.0), "plaque", 0)
    fork = (heights[0] + 2, front[0])
    for side, sign in (("left", 1), ("right", -1)):
        for kind, x, radius, shift in (("artery", 11.0, 6.0, -11.5), ("vena", -13.0, 7.0, -9.5)):
            knots = [
                (x, fork[1] + shift, fork[0]),
                (sign * 40.0, -14.0, 98.0),
                (sign * 52.0, -40.0, 40.0),
                (sign * 66.0, -64.0, -10.0),
            ]
            if kind == "vena":
                knots = [knots[0]] + [(a - sign * 13, b + 6, c) for a, b, c in knots[1:]]
            knots.append((knots[-1][0] + sign * 4, -58.0, -260.0))
            for start, end in pairwise(knots):
                label = LABELS[f"iliac_{kind}_{side}"] if end[2] > -20 else 0
                agent = artery if kind == "artery" else vein
                _pipe(canvas, (start, end), radius, (-1.3, "adipose", 0), (0, "blood", label), iodine=agent)


def paint_column_surroundings(
    canvas: Canvas, column: Sequence[Placed], fractures: Mapping[str, Fracture] = MappingProxyType({})
) -> None:
    """Paint discs, also into the hollows of biconcave fractures, and the spinal canal with fat around the dural sac."""
    heights = [60.0] + [float(placed.frame[2, 3]) for placed in column] + [420.0]
    back = [66.0] + [float(placed.frame[1, 3]) + placed.disc_size[1] + 8.0 for placed in column]
    back.append(back[-1] + 22)
    aside = [0.0] + [float(placed.frame[0, 3]) for placed in column] + [0.0]
    for tissue, width, depth in (("adipose", 11.5, 9.0), ("cerebrospinal", 7.5, 6.5)):
        rows = [(x, y, width, depth) for x, y in zip(aside, back)]
        canvas.paint(partial(tube, heights=heights, rows=rows), bounds_of(heights, rows), (0, tissue, 0))
    for placed in column:
        centre, reach = placed.disc[:3, 3], placed.disc_size[0] + 4
        shape = partial(_disc, to_disc=np.linalg.inv(placed.disc), size=placed.disc_size)
        canvas.paint(shape, (centre - reach, centre + reach), (0, "disc", 0), texture=4.0)
        fracture = fractures.get(placed.level)
        if fracture is not None and fracture.losses[1] > max(fracture.losses[0], fracture.losses[2]):
            # Where the upper endplate was, down to the middle of the body: bone is painted over what does not become disc.
            frame = placed.frame @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, placed.size.height / 4], [0, 0, 0, 1]])
            shape = partial(_disc, to_disc=np.linalg.inv(frame), size=(*placed.disc_size[:2], placed.size.height / 4))
            canvas.paint(shape, (frame[:3, 3] - reach, frame[:3, 3] + reach), (0, "disc", 0), texture=4.0)


def _disc(points: Coordinates, to_disc: Float[Array, "4 4"], size: tuple[float, float, float]) -> Field:
    m = to_disc.astype(np.float32)
    x, y, z = (m[a, 0] * points[0] + m[a, 1] * points[1] + m[a, 2] * points[2] + m[a, 3] for a in range(3))
    return disc_distance(size, (x, y, z))


def paint_joints(canvas: Canvas, head_centre: tuple[float, float, float], radius: float) -> None:
    """Paint cartilage and fluid around both femoral heads to ``radius`` [mm], and the disc between the pubic bones."""
    for sign in (1.0, -1.0):
        centre = np.array([sign * head_centre[0], head_centre[1], head_centre[2]])
        canvas.paint(partial(sphere, centre=centre, radius=radius), (centre - radius - 2, centre + radius + 2), (0, "disc", 0))
    _pipe(canvas, ((0.0, -47.0, -8.0), (0.0, -38.0, -36.0)), 7.5, (0, "cartilage", 0))
