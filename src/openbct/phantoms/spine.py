"""Simulated vertebrae: the shape of one, and how they stand on the sacrum.

Own frame of a vertebra: x left, y posterior, z along the mean endplate normal, origin at the centre of the body. Sizes are
of the order of published lumbar morphometry of women (body 40-50 mm wide, 30-35 mm deep, 25-29 mm high) [R]; the exact
numbers are our choice [D].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from .canvas import Bone, BoneField, sample_tile, texture_tile
from .shapes import Coordinates, Field, cone, ellipsoid, flat_cone, intersection, superellipse, union

Array = np.ndarray


@dataclass(frozen=True)
class VertebraShape:
    """Size, cortex and density of one vertebra; lengths in mm, densities in mg/cm³ as an ideal K2HPO4 calibration reads."""

    width: float = 43.0
    depth: float = 32.0
    height: float = 27.5
    """Between the endplate rims."""
    wedge_deg: float = 0.0
    """Angle between the endplates, positive where the front is higher [degrees]."""
    concavity: float = 2.0
    """Depth of each endplate below its rim."""
    waist: float = 0.07
    """Narrowing of the body at mid-height [-]."""
    process_reach: float = 40.0
    """Half the span of the transverse processes."""
    spinous_length: float = 30.0
    cortex: float = 0.4
    """Thickness of the shell of the body."""
    endplate: float = 0.5
    """Thickness of the bony endplates."""
    cortical_density: float = 800.0
    """Of shell and endplates."""
    trabecular_density: float = 95.0
    """Mean inside the shell, before texture and the basivertebral canal."""
    endplate_gradient: float = 0.25
    """Trabecular density at the endplates over that at mid-height, less one [-]."""
    texture: float = 0.12
    """Relative deviation of the trabecular density over distances of some millimetres [-]."""
    yellow_marrow: float = 0.55
    seed: int = 1


@dataclass(frozen=True)
class Vertebra:
    """A vertebra's field of distance and density."""

    shape: VertebraShape
    tile: Float[Array, "i j k"] = field(repr=False)

    def _limits(self, y: Field, plan: Field) -> Field:
        """Return half the local height of the body: wedge and concavity of both endplates, mirror images."""
        shape = self.shape
        wedge = np.float32(np.tan(np.radians(shape.wedge_deg / 2))) * y
        bowl = np.clip(1 - (plan + 1) ** 2, 0, 1)
        return np.asarray(np.float32(shape.height / 2) - wedge - np.float32(shape.concavity) * bowl)

    def body(self, points: Coordinates) -> tuple[Field, Field]:
        """Return the distance to the body, and relative height (-1 lower to 1 upper endplate)."""
        shape, (x, y, z) = self.shape, points
        half_width, half_depth = shape.width / 2, shape.depth / 2
        level = np.clip(z / np.float32(shape.height / 2), -1, 1)
        narrow = 1 - np.float32(shape.waist) * (1 - level**2)
        rx, ry = np.float32(half_width) * narrow, np.float32(half_depth) * narrow
        side = superellipse(x, y, rx, ry, 2.35)
        # The back wall is hollow towards the canal: a wide cylinder is taken out of it.
        hollow = np.float32(0.85 * half_width) - np.sqrt(x * x + (y - np.float32(half_depth - 3.2 + 0.85 * half_width)) ** 2)
        side = intersection(side, hollow, 2.5)
        plan = np.clip(side / np.float32(half_depth), -1, 0)
        limit = self._limits(y, plan)
        return intersection(side, np.abs(z) - limit, 1.3), np.clip(z / limit, -1, 1)

    def arch(self, points: Coordinates) -> Field:
        """Return the distance to pedicles, laminae and processes."""
        s, (x, y, z) = self.shape, points
        across = np.sqrt(x * x + np.float32(0.25))
        mirrored = (across, y, z)
        back, h = s.depth / 2, s.height
        canal = 16.0
        pedicle = flat_cone(
            mirrored, (0.30 * s.width, back - 5, 0.18 * h), (0.33 * s.width, back + 9, 0.16 * h), (3.6, 3.8), (1, 1, 1.8)
        )
        lamina = flat_cone(
            mirrored, (0.31 * s.width, back + 9, 0.02 * h), (2, back + canal + 5, -0.30 * h), (3.0, 3.2), (1, 1, 2.6)
        )
        spinous = flat_cone(
            points, (0, back + canal + 6, -0.36 * h), (0, back + canal + s.spinous_length, -0.50 * h), (2.9, 3.4), (1, 1, 2.9)
        )
        transverse = flat_cone(
            mirrored, (0.36 * s.width, back + 9, 0.14 * h), (s.process_reach, back + 15, 0.16 * h), (3.3, 2.6), (1, 1, 1.6)
        )
        superior = flat_cone(
            mirrored, (0.36 * s.width, back + 10, 0), (0.40 * s.width, back + 11, 0.62 * h), (4.2, 3.4), (1, 1.3, 1)
        )
        inferior = flat_cone(
            mirrored, (0.27 * s.width, back + 14, 0), (0.30 * s.width, back + 17, -0.80 * h), (4.0, 3.4), (1, 1.3, 1)
        )
        processes = union(union(transverse, superior, 2.0), inferior, 2.0)
        return union(union(pedicle, union(lamina, spinous, 2.5), 2.0), processes, 2.0)

    def distance(self, points: Coordinates) -> Field:
        """Return the distance to the whole vertebra."""
        return union(self.body(points)[0], self.arch(points), 1.5)

    def field(self, points: Coordinates) -> BoneField:
        """Return distance, cortex, densities and the distance to the body part."""
        s = self.shape
        body, level = self.body(points)
        arch = self.arch(points)
        distance = union(body, arch, 1.5)
        posterior = np.clip((body - arch) / np.float32(2) + np.float32(0.5), 0, 1)
        endplate = np.clip((np.abs(level) - np.float32(0.75)) / np.float32(0.2), 0, 1)
        shell = (s.cortex + (s.endplate - s.cortex) * endplate) * (1 - posterior) + np.float32(0.8) * posterior
        # Bowls of density towards the endplates, of unit mean over the height; strands run along z.
        graded = (1 + np.float32(s.endplate_gradient) * level**2) / np.float32(1 + s.endplate_gradient / 3)
        trabecular = s.trabecular_density * graded * (1 + np.float32(s.texture) * sample_tile(self.tile, points))
        vein = cone(points, (0, s.depth / 2, 0), (0, 1.0, 0), 3.2, 0.8)
        trabecular = np.where(vein < 0, np.minimum(trabecular, np.float32(-5.0)), trabecular)
        cancellous = trabecular * (1 - posterior) + np.float32(1.4 * s.trabecular_density) * posterior
        compact = np.full_like(distance, s.cortical_density)
        # The body ends at the plane of its back wall, where the pedicles begin.
        part = np.maximum(distance, points[1] - np.float32(s.depth / 2 - 0.5))
        return BoneField(distance, shell.astype(np.float32), compact, cancellous.astype(np.float32), part)

    def bone(self) -> Bone:
        """Return the vertebra as the canvas paints it."""
        s = self.shape
        reach = s.process_reach + 5
        lower = (-reach, -s.depth / 2 - 2, -1.0 * s.height - 6)
        upper = (reach, s.depth / 2 + 20 + s.spinous_length + 6, 0.8 * s.height + 6)
        return Bone(self.field, self.distance, lower, upper, s.yellow_marrow)


def vertebra(shape: VertebraShape) -> Vertebra:
    """Return a vertebra with its own trabecular texture."""
    return Vertebra(shape, texture_tile(shape.seed, 3.0))


@dataclass(frozen=True)
class _Level:
    width: float
    depth: float
    height: float
    wedge_deg: float
    disc: float
    """Height of the disc below [mm]."""
    disc_deg: float
    """Wedge of the disc below [degrees]."""
    reach: float


LEVELS: Mapping[str, _Level] = MappingProxyType(
    {
        "L5": _Level(50.0, 34.0, 27.0, 8.0, 10.0, 12.0, 44.0),
        "L4": _Level(48.0, 34.0, 27.5, 2.0, 11.5, 8.0, 41.0),
        "L3": _Level(46.0, 33.5, 28.0, 0.0, 10.5, 8.0, 45.0),
        "L2": _Level(44.0, 33.0, 28.0, -1.0, 9.5, 6.0, 42.0),
        "L1": _Level(42.5, 32.0, 27.5, -2.0, 8.5, 4.0, 38.0),
        "T12": _Level(41.0, 31.0, 26.0, -3.0, 7.0, 2.0, 26.0),
        "T11": _Level(39.0, 30.0, 24.5, -3.0, 6.0, 1.0, 26.0),
    }
)
"""From below; a woman's spine [D]."""
SACRAL_ENDPLATE = (0.0, 28.0, 102.0)
"""Centre of the upper face of S1, from the midpoint between the femoral heads [mm] [D]."""
SACRAL_SLOPE_DEG = 36.0


@dataclass(frozen=True)
class Placed:
    """One level of the column, in patient LPS less the origin between the femoral heads."""

    level: str
    frame: Float[Array, "4 4"]
    """Own frame of the vertebra to patient."""
    disc: Float[Array, "4 4"]
    """Frame at the centre of the disc below."""
    disc_size: tuple[float, float, float]
    """Half-width, half-depth, half-height [mm]."""


def _frame(centre: Array, tilt_deg: float) -> Float[Array, "4 4"]:
    """Return a frame tilted forwards about x by ``tilt_deg``."""
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    frame = np.eye(4)
    frame[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    frame[:3, 3] = centre
    return frame


def column(scale: float = 1.0) -> tuple[Placed, ...]:
    """Return the levels from L5 up to T11, standing on the sacrum with lumbar lordosis; ``scale`` sizes everything."""
    centre, tilt = np.array(SACRAL_ENDPLATE) * scale, SACRAL_SLOPE_DEG
    placed = []
    for level, size in LEVELS.items():
        centre, tilt, disc = _advance(centre, tilt, size.disc * scale, size.disc_deg)
        centre, tilt, frame = _advance(centre, tilt, size.height * scale, size.wedge_deg)
        half = (size.width * scale / 2, size.depth * scale / 2, size.disc * scale / 2)
        placed.append(Placed(level, frame, disc, half))
    return tuple(placed)


def _advance(start: Array, tilt: float, height: float, wedge: float) -> tuple[Array, float, Float[Array, "4 4"]]:
    """Return the far end, its tilt, and the frame at the middle of a block that bends by ``wedge`` degrees."""
    middle = _frame(np.zeros(3), tilt - wedge / 2)
    up = middle[:3, 2]
    return start + up * height, tilt - wedge, _frame(start + up * height / 2, tilt - wedge / 2)


def disc_distance(size: tuple[float, float, float], points: Coordinates) -> Field:
    """Return the distance to a disc in its own frame; it bulges into the endplates' hollows."""
    x, y, _ = points
    side = superellipse(x, y, np.float32(size[0]) * np.ones_like(x), np.float32(size[1]) * np.ones_like(x), 2.35)
    return intersection(side, ellipsoid(points, (0, 0, 0), (size[0] * 1.6, size[1] * 1.6, size[2] + 3.5)), 1.0)
