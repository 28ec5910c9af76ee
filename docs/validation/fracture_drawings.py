# ruff: noqa: E501  (the sentences of the module that draws for a page)
"""Spines drawn body by body for docs/validation/fractures.md: cheap, with a density image, and with a truth that the drawing's own formula gives.

The upper endplate of a fractured body is the sound one lowered by a share of the whole height, different in front, in the middle and at the back (:class:`openbct.phantoms.spine.VertebraShape`). So
the share itself is the loss of height at 15, 50 and 85 % of the depth, in the body's own frame: nothing is measured for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from openbct.fractures.proportions import LEVELS
from openbct.phantoms.canvas import BoneField, texture_tile
from openbct.phantoms.column import LEVELS as DRAWN
from openbct.phantoms.column import Fracture
from openbct.phantoms.shapes import coverage
from openbct.phantoms.spine import Vertebra, VertebraShape
from openbct.records import BoneMask, CalibratedVolume, Step
from openbct.volume import Volume

KINDS: tuple[Literal["wedge", "biconcave", "crush"], ...] = ("wedge", "biconcave", "crush")
UPPER = {
    "T9": (36.0, 28.0, 22.5, -3.0), "T8": (34.5, 27.0, 21.8, -3.0), "T7": (33.0, 26.0, 21.0, -3.0),
    "T6": (31.5, 25.0, 20.2, -3.0), "T5": (30.0, 24.0, 19.5, -3.0), "T4": (29.0, 23.0, 18.8, -3.0),
}  # fmt: skip
"""Levels above the simulator's: width, depth, height [mm], higher in front [degrees] [D]."""
IN_PLANE, FINE = 1.0, 0.5
"""Voxel edge in the plane, and distance of the fine layers that slices are made of [mm]."""
BLUR, NOISE = 0.6, 18.0
"""Deviation of the blur [mm], and of the noise in slices of 1 mm [mg/cm3]."""
SOFT, DISC = 40.0, 75.0
"""Around a body, and in the discs [mg/cm3]."""
DISC_HEIGHT, PLATE, NEXT = 0.30, 0.7, 110.0
"""Height of a disc over that of the body, thickness of the next body's endplate [mm], and its inside [mg/cm3]; the discs of T4 to T9 are half as high [D]."""
LOSSES = (0.155, 0.225, 0.29, 0.31, 0.34, 0.36, 0.445, 0.49)
"""Losses that are drawn, each moved by up to 0.01 but the second, which lies between two limits; the others are 0.03 and more from one."""


@dataclass(frozen=True)
class DrawnSpine:
    """One person's bodies, some of them fractured."""

    shapes: Mapping[str, VertebraShape]
    fractures: Mapping[str, Fracture]
    slices: float
    """[mm]"""


def drawn_spines(seed: int, slices: float, lowest: tuple[str, ...]) -> Iterator[DrawnSpine]:
    """Yield eight persons, six bodies in a row of each, three of them fractured: every kind with every loss once; in every fourth the three lie in a row.

    ``lowest`` are the levels from which the lowest body is drawn by lot.
    """
    random = np.random.default_rng([seed, int(10 * slices)])
    cells = [(kind, loss) for kind in KINDS for loss in LOSSES]
    cells = [cells[n] for n in random.permutation(len(cells))]
    for number in range(len(cells) // 3):
        shapes = _person(random, LEVELS.index(lowest[int(random.integers(len(lowest)))]))
        first = int(random.integers(4))
        where = list(range(first, first + 3)) if number % 4 == 3 else sorted(random.choice(6, 3, replace=False))
        mine = zip(where, cells[3 * number : 3 * number + 3], strict=True)
        fractures = {
            list(shapes)[place]: Fracture(kind, loss + float(random.uniform(-0.01, 0.01) if loss != LOSSES[1] else 0.0))
            for place, (kind, loss) in mine
        }
        yield DrawnSpine(shapes, fractures, slices)


def _person(random: np.random.Generator, last: int) -> dict[str, VertebraShape]:
    """Return six sound bodies in a row; heights differ by 3 % and wedging by 1.5 degrees from level to level."""
    sizes = {level: (s.width, s.depth, s.height, s.wedge_deg) for level, s in DRAWN.items() if level in LEVELS} | UPPER
    scale, concavity, density = random.uniform(0.9, 1.12), random.uniform(1.2, 2.4), random.uniform(60.0, 130.0)
    shapes = {}
    for level in LEVELS[last - 5 : last + 1]:
        width, depth, height, wedge = sizes[level]
        shapes[level] = VertebraShape(
            width=scale * width, depth=scale * depth, height=scale * height * (1 + random.normal(0, 0.03)), wedge_deg=wedge + random.normal(0, 1.5),
            concavity=scale * concavity * height / 27.5 + random.normal(0, 0.15), trabecular_density=density, seed=int(random.integers(1000)),
        )  # fmt: skip
    return shapes


def drawn_body(level: str, spine: DrawnSpine, random: np.random.Generator) -> tuple[BoneMask, CalibratedVolume]:
    """Return the label and the image of one body that lies turned: tilted by 8°, turned and bent sideways by 3° (standard deviations), at most by twice these."""
    fracture = spine.fractures.get(level)
    shape = spine.shapes[level]
    shape = replace(shape, losses=fracture.losses) if fracture else shape
    angles = np.clip(random.normal(0, 1, 3), -2, 2) * (8.0, 3.0, 3.0)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    half = np.array([shape.width, shape.depth, 1.15 * shape.height]) / 2 + 6.0
    reach = np.abs(turn) @ half
    layers = round(spine.slices / FINE)
    shift = random.uniform(0, 1, 3) * (IN_PLANE, IN_PLANE, spine.slices)
    count = np.ceil((2 * reach + shift) / (IN_PLANE, IN_PLANE, spine.slices)).astype(int) + 2
    step = np.array([IN_PLANE, IN_PLANE, FINE])
    first = -reach - shift
    size = (int(count[0]), int(count[1]), int(count[2]) * layers)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1).reshape(-1, 3)
    x, y, z = ((index * step + first) @ turn).T.astype(np.float32)
    bone = Vertebra(shape, texture_tile(shape.seed, 3.0)).field((x, y, z))
    disc = DISC_HEIGHT * spine.shapes[level].height * (0.5 if level in UPPER else 1.0)
    fine = _density(bone, shape, disc, (x, y, z)).reshape(size)
    fine = ndimage.gaussian_filter(fine, BLUR / step)
    blocks = fine.reshape(size[0], size[1], int(count[2]), layers).mean(axis=3)
    noise = ndimage.gaussian_filter(random.standard_normal(blocks.shape), (0.8, 0.8, 0.0))
    blocks += noise / noise.std() * NOISE / np.sqrt(spine.slices)
    affine = np.diag([IN_PLANE, IN_PLANE, spine.slices, 1.0])
    affine[:3, 3] = first + (0, 0, (layers - 1) / 2 * FINE)
    middle = np.stack(np.meshgrid(*(np.arange(n) for n in count), indexing="ij"), axis=-1).reshape(-1, 3)
    px, py, pz = ((middle @ affine[:3, :3] + affine[:3, 3]) @ turn).T.astype(np.float32)
    inside = np.maximum(Vertebra(shape, np.zeros((1, 1, 1))).body((px, py, pz))[0], py - np.float32(shape.depth / 2 - 0.5)) < 0
    image = Volume(blocks.astype(np.float32), affine, "mg/cm3 K2HPO4")
    line = CalibratedVolume(image, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "given"))
    return BoneMask(level, Volume(inside.reshape(tuple(count)), affine, "mask"), "body", 1.0, False), line


def _density(bone: BoneField, shape: VertebraShape, disc: float, points: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the density at points, edges half covered: the body, discs of the height of ``disc`` and the next bodies behind them [mg/cm3]."""
    x, y, z = points
    whole, core = (coverage(d, 0.6) for d in (bone.distance, bone.distance + bone.shell))
    place, slope = y / shape.depth + 0.5, np.tan(np.radians(shape.wedge_deg / 2))
    rim = shape.height / 2 - slope * y
    lost = shape.losses[0] + np.clip(place, 0, 1) * (shape.losses[2] - shape.losses[0])
    beyond = np.maximum(z - rim * (1 - 2 * lost), -z - rim) - disc  # of the next endplate, which follows the rims
    column = (x / (shape.width / 2)) ** 2 + (y / (shape.depth / 2)) ** 2 < 1.0
    behind = np.where(beyond < PLATE, shape.cortical_density, NEXT)
    outside = np.where(column, np.where(beyond < 0, DISC, behind), SOFT)
    return np.asarray(outside * (1 - whole) + bone.compact * (whole - core) + bone.cancellous * core)
