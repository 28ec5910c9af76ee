"""Simulated vertebrae: the shape of one.

Own frame of a vertebra: x left, y posterior, z along the mean endplate normal, origin at the centre of the body. Sizes are
of the order of published lumbar morphometry of women (body 40-50 mm wide, 30-35 mm deep, 25-29 mm high) [R]; the exact
numbers are our choice [D].
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from .canvas import Bone, BoneField, sample_tile, texture_tile
from .shapes import Coordinates, Field, cone, ellipsoid, flat_cone, intersection, superellipse, union

Array = np.ndarray


LOSS_PLACES = (0.0, 0.2, 0.5, 0.8, 1.0)
"""Along the body from front to back [-]: front and back heights hold over a fifth each, where six-point morphometry reads them [D]."""


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
    osteophytes: float = 0.0
    """How far lips of bone stand out from the rims of both endplates, in front and at the sides."""
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
    losses: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Height that the upper endplate has lost to a fracture in front, in the middle and behind, as a share of the whole
    height there [-]."""
    yellow_marrow: float = 0.55
    iodine: float = 0.0
    """In the marrow [mg/cm³]."""
    seed: int = 1

    @property
    def endplates(self) -> dict[str, Float[Array, "3"]]:
        """Points on both endplates, own frame [mm]: the middle of the rims' planes, and where six-point morphometry reads heights."""
        half, slope = self.height / 2, np.tan(np.radians(self.wedge_deg / 2))
        found = {"inferior_endplate": np.array([0.0, 0.0, -half])}
        found["superior_endplate"] = np.array([0.0, 0.0, half - self.height * (self.losses[0] + self.losses[2]) / 2])
        for name, place, lost in (
            ("anterior", 0.15, self.losses[0]),
            ("middle", 0.5, self.losses[1]),
            ("posterior", 0.85, self.losses[2]),
        ):
            y = (place - 0.5) * self.depth
            sunk = self.concavity if name == "middle" else 0.0
            edge = half - slope * y - sunk
            found[f"{name}_superior"] = np.array([0.0, y, edge * (1 - 2 * lost)])
            found[f"{name}_inferior"] = np.array([0.0, y, -edge])
        return found

    @property
    def compaction(self) -> float:
        """What the trabecular density is multiplied by where a fracture has pressed the bone together: its mass is kept."""
        front, middle, back = self.losses
        return 1.0 / (1.0 - (front + 2 * middle + back) / 4)


@dataclass(frozen=True)
class Vertebra:
    """A vertebra's field of distance and density."""

    shape: VertebraShape
    tile: Float[Array, "i j k"] = field(repr=False)

    def _limits(self, y: Field, plan: Field) -> tuple[Field, Field]:
        """Return the local height above and below the centre: wedge and concavity of both endplates, and what a fracture took."""
        shape = self.shape
        wedge = np.float32(np.tan(np.radians(shape.wedge_deg / 2))) * y
        bowl = np.clip(1 - (plan + 1) ** 2, 0, 1)
        whole = np.float32(shape.height / 2) - wedge - np.float32(shape.concavity) * bowl
        if not any(shape.losses):
            return whole, whole
        place = (y + np.float32(shape.depth / 2)) / np.float32(shape.depth)
        lost = np.interp(place, LOSS_PLACES, np.repeat(shape.losses, (2, 1, 2))).astype(np.float32)
        return np.asarray(whole * (1 - 2 * lost)), np.asarray(whole)

    def body(self, points: Coordinates) -> tuple[Field, Field]:
        """Return the distance to the body, and relative height (-1 lower to 1 upper endplate)."""
        shape, (x, y, z) = self.shape, points
        half_width, half_depth, half_height = shape.width / 2, shape.depth / 2, shape.height / 2
        level = np.clip(z / np.float32(half_height), -1, 1)
        narrow = 1 - np.float32(shape.waist) * (1 - level**2)
        rx, ry = np.float32(half_width) * narrow, np.float32(half_depth) * narrow
        side = superellipse(x, y, rx, ry, 2.35)
        # The back wall is hollow towards the canal: a wide cylinder is taken out of it.
        hollow = np.float32(0.85 * half_width) - np.sqrt(x * x + (y - np.float32(half_depth - 3.2 + 0.85 * half_width)) ** 2)
        side = intersection(side, hollow, 2.5)
        if shape.osteophytes:
            # A lip is highest at the rim, gone 7 mm from it, and leaves the back wall free.
            rim = np.clip((np.float32(half_height) - np.abs(z)) / np.float32(7.0), 0, 1)
            free = np.clip((np.float32(0.25 * shape.depth) - y) / np.float32(4.0), 0, 1)
            side = side - np.float32(shape.osteophytes) * (1 - rim) ** 2 * free
        plan = np.clip(side / np.float32(half_depth), -1, 0)
        upper, lower = self._limits(y, plan)
        ends = np.maximum(z - upper, -z - lower)
        relative = (2 * z - upper + lower) / np.maximum(upper + lower, np.float32(1e-3))
        return intersection(side, ends, 1.3), np.asarray(np.clip(relative, -1, 1))

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
        trabecular = s.trabecular_density * s.compaction * graded * (1 + np.float32(s.texture) * sample_tile(self.tile, points))
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
        lower = (-reach, -s.depth / 2 - 2 - s.osteophytes, -1.0 * s.height - 6)
        upper = (reach, s.depth / 2 + 20 + s.spinous_length + 6, 0.8 * s.height + 6)
        return Bone(self.field, self.distance, lower, upper, s.yellow_marrow, s.iodine)


def vertebra(shape: VertebraShape) -> Vertebra:
    """Return a vertebra with its own trabecular texture."""
    return Vertebra(shape, texture_tile(shape.seed, 3.0))


def disc_distance(size: tuple[float, float, float], points: Coordinates) -> Field:
    """Return the distance to a disc in its own frame; it bulges into the endplates' hollows."""
    x, y, _ = points
    side = superellipse(x, y, np.float32(size[0]) * np.ones_like(x), np.float32(size[1]) * np.ones_like(x), 2.35)
    return intersection(side, ellipsoid(points, (0, 0, 0), (size[0] * 1.6, size[1] * 1.6, size[2] + 3.5)), 1.0)
