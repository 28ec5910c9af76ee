"""Simulated proximal femur: shape, cortex and the trabecular systems.

Own frame (drawn for the left; the right is its mirror image): origin at the centre of the head, x lateral, y posterior, z along
the shaft to proximal. The neck leaves the shaft axis at the neck-shaft angle and turns forwards by the anteversion.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from .canvas import Bone, BoneField, sample_tile, texture_tile
from .shapes import Coordinates, Field, cone, coverage, ellipsoid, sphere, union

Array = np.ndarray

NARROWEST = 0.62
"""Where the neck is narrowest, from the shaft's axis to the head [-] [D]."""


@dataclass(frozen=True)
class FemurShape:
    """Size, cortex and density of one femur; lengths in mm, densities in mg/cm³ as an ideal K2HPO4 calibration reads.

    The angles and sizes are of the order of published morphometry of women [R]; the exact numbers are our choice [D], the densities
    such that the areal densities of neck, trochanter and whole hip stand to each other as in the real femur of the test data.
    """

    head_radius: float = 22.5
    offset: float = 40.0
    """From the head centre to the shaft axis."""
    neck_shaft_angle_deg: float = 127.0
    anteversion_deg: float = 15.0
    neck_radius: float = 14.5
    """Half the height of the neck where it is narrowest; its half-width is 0.86 of that."""
    shaft_radius: float = 13.5
    shaft_length: float = 46.0
    """Of shaft below the lesser trochanter."""
    shaft_cortex: float = 4.6
    neck_cortex: float = 1.2
    """Mean at the neck: twice as thick below, half above."""
    head_cortex: float = 0.7
    cortical_density: float = 1050.0
    head_density: float = 230.0
    neck_density: float = 110.0
    trochanter_density: float = 160.0
    texture: float = 0.12
    yellow_marrow: float = 0.85
    seed: int = 2


@dataclass(frozen=True)
class Femur:
    """A femur's field of distance and density, in the frame of the left side."""

    shape: FemurShape
    tile: Float[Array, "i j k"] = field(repr=False)

    @property
    def neck_axis(self) -> Float[Array, "3"]:
        """Unit vector from the shaft to the head centre."""
        s = self.shape
        angle, turn = np.radians(s.neck_shaft_angle_deg), np.radians(s.anteversion_deg)
        return np.array([-np.sin(angle) * np.cos(turn), -np.sin(angle) * np.sin(turn), -np.cos(angle)])

    @property
    def neck_frame(self) -> tuple[Float[Array, "3"], Float[Array, "3"], Float[Array, "3"]]:
        """Unit vectors along the neck, across it from back to front, and up."""
        n = self.neck_axis
        across = np.cross(n, [0.0, 0.0, 1.0])
        across /= np.linalg.norm(across)
        return n, across, np.cross(across, n)

    def neck_areal_density(self, step: float = 0.5) -> float:
        """Return mass over area of the narrowest 15 mm of the neck, seen across it, marrow counted as nothing [g/cm²]."""
        n, across, above = self.neck_frame
        along = NARROWEST * self.neck_length + np.arange(-7.5 + step / 2, 7.5, step)
        rest = np.arange(-30.0 + step / 2, 30.0, step)
        grid = np.meshgrid(along, rest, rest, indexing="ij")
        points = self.crossing[:, None] + sum(v[:, None] * value.ravel() for v, value in zip((n, above, across), grid))
        x, y, z = (row.astype(np.float32) for row in points)
        field = self.field((x, y, z))
        outer = coverage(field.distance, step)
        inner = coverage(field.distance + field.shell, step)
        density = (outer - inner) * field.compact + inner * np.maximum(field.cancellous, 0)
        areal = density.reshape(grid[0].shape).sum(axis=2) * step / 10.0 / 1000.0
        seen = outer.reshape(grid[0].shape).max(axis=2) > 0.5
        return float(areal[seen].mean())

    @property
    def neck_length(self) -> float:
        """From the shaft axis to the head centre [mm]."""
        return self.shape.offset / float(np.sin(np.radians(self.shape.neck_shaft_angle_deg)))

    @property
    def crossing(self) -> Float[Array, "3"]:
        """Where neck axis and shaft axis meet, own frame [mm]."""
        return -self.neck_axis * self.neck_length

    @property
    def landmarks(self) -> dict[str, Float[Array, "3"]]:
        """Named points, own frame [mm]; those of the trochanters lie on the surface."""
        o = self.crossing
        return {
            "head_centre": np.zeros(3),
            "neck_centre": -0.5 * self.neck_length * self.neck_axis,
            "neck_shaft_crossing": o,
            "greater_trochanter_tip": o + np.array([9.0, 8.0, 33.0]),
            "lesser_trochanter": o + np.array([-16.0, 14.0, -29.0]),
            "distal_end": o + np.array([0.0, 0.0, -39.0 - self.shape.shaft_length]),
        }

    def neck(self, points: Coordinates) -> tuple[Field, Field, Field]:
        """Return distance to the neck, position along it (0 shaft, 1 head centre) and height across it (-1 to 1)."""
        s, o = self.shape, self.crossing
        n, across, above = self.neck_frame
        x, y, z = (value - np.float32(start) for value, start in zip(points, o))
        along, width, height = ((x * np.float32(v[0]) + y * np.float32(v[1]) + z * np.float32(v[2])) for v in (n, across, above))
        t = along / np.float32(self.neck_length)
        # Narrowest at two thirds of the way to the head, widening to the trochanters and to the head.
        flare = 1 + np.float32(1.0) * (np.clip(t, -0.2, 1) - np.float32(NARROWEST)) ** 2
        r_height, r_width = s.neck_radius * flare, np.float32(0.86 * s.neck_radius) * flare
        level = np.sqrt((height / r_height) ** 2 + (width / r_width) ** 2) + np.float32(1e-3)
        slope = np.sqrt((height / r_height**2) ** 2 + (width / r_width**2) ** 2) / level
        side = (level - 1) / np.maximum(slope, np.float32(1e-3))
        ends = np.maximum(-along - 2, along - np.float32(self.neck_length + 2))
        return np.maximum(side, ends), t, height / r_height

    def distance(self, points: Coordinates) -> Field:
        """Return the distance to the outer surface."""
        return self._outer(points, self.neck(points)[0])

    def _outer(self, points: Coordinates, neck: Field) -> Field:
        s, o = self.shape, self.crossing
        r = s.shaft_radius
        local = (points[0] - np.float32(o[0]), points[1] - np.float32(o[1]), points[2] - np.float32(o[2]))
        head = sphere(points, (0, 0, 0), s.head_radius)
        bottom = -39.0 - s.shaft_length
        shaft = cone(local, (0, 0, -28), (0, 0, bottom - 40), r + 1.5, r - 0.5)
        linea = cone(local, (0, r - 2.5, -55), (0, r - 2.5, bottom - 40), 3.0)
        metaphysis = cone(local, (2, 1, 6), (0, 0, -42), 17.5, r + 0.5)
        greater = union(cone(local, (9, 3, -12), (13, 5, 16), 14.0, 10.5), cone(local, (12, 6, 14), (9, 8, 25), 10.0, 8.0), 4.0)
        lesser = ellipsoid(local, (-12, 10, -29), (8.5, 8.0, 11.0))
        crest = cone(local, (7, 12, 18), (-8, 12, -24), 6.5, 6.0)
        upper = union(union(metaphysis, greater, 6.0), union(lesser, crest, 4.0), 5.0)
        whole = union(union(upper, union(shaft, linea, 2.0), 5.0), neck, 7.0)
        return union(whole, head, 3.0)

    def field(self, points: Coordinates) -> BoneField:
        """Return distance, cortex and densities; the named part is the whole bone."""
        neck, along, height = self.neck(points)
        distance = self._outer(points, neck)
        cancellous = self._cancellous(points, along, height, distance)
        compact = np.full_like(distance, self.shape.cortical_density)
        return BoneField(distance, self._cortex(points, along, height), compact, cancellous, distance)

    def _cortex(self, points: Coordinates, along: Field, height: Field) -> Field:
        """Thick in the shaft, thicker at the calcar, thin over head, neck above and trochanters [mm]."""
        s, o = self.shape, self.crossing
        x, _, z = (value - np.float32(start) for value, start in zip(points, o))
        shaft = _step(-z, 8.0, 62.0)
        medial = _step(-x, -4.0, 8.0)
        trochanter = s.neck_cortex * 0.75
        low = trochanter + (s.shaft_cortex - trochanter) * np.clip(shaft * (1 + 0.6 * medial), 0, 1)
        neck = s.neck_cortex * (np.float32(1.25) - np.float32(0.75) * np.clip(height, -1, 1))
        to_head = _step(along, 0.62, 0.92)
        upper = neck * (1 - to_head) + s.head_cortex * to_head
        on_neck = _step(along, 0.12, 0.40)
        return np.asarray(low * (1 - on_neck) + upper * on_neck, dtype=np.float32)

    def _cancellous(self, points: Coordinates, along: Field, height: Field, distance: Field) -> Field:
        """Head, neck and trochanter densities, the compressive and tensile bands, Ward's triangle, the empty canal."""
        s, o = self.shape, self.crossing
        x, y, z = (value - np.float32(start) for value, start in zip(points, o))
        local = (x, y, z)
        in_head, in_neck = _step(along, 0.60, 0.85), _step(along, 0.15, 0.40)
        density = s.trochanter_density + (s.neck_density - s.trochanter_density) * in_neck
        density = density + (s.head_density - density) * in_head
        head = self.neck_axis * self.neck_length
        calcar = (-15.0, -2.0, -16.0)
        compressive = cone(local, calcar, tuple(head + np.array([-1.0, 0.0, 14.0])), 2.0, 6.0)
        density = density + np.float32(0.45 * s.neck_density) * np.exp(-(np.maximum(compressive, 0) ** 2) / np.float32(40.0))
        arch = np.sqrt((x + 4) ** 2 + (z + 20) ** 2) - np.float32(38.0)
        tensile = np.exp(-(arch**2) / np.float32(20.0)) * _step(x, -30.0, -5.0)
        density = density + np.float32(0.30 * s.neck_density) * tensile
        ward = sphere(local, tuple(0.28 * head + np.array([0.0, 0.0, 1.0])), 0.0)
        density = density - np.float32(0.62) * density * np.exp(-(ward**2) / np.float32(70.0))
        # Below the trochanters the marrow has no bone and reads below zero.
        canal = _step(-z, 14.0, 50.0) * _step(-distance, 2.0, 6.0)
        density = density * (1 + np.float32(s.texture) * sample_tile(self.tile, points))
        return np.asarray(density * (1 - canal) + np.float32(-32.0) * canal, dtype=np.float32)

    def bone(self, side: str) -> Bone:
        """Return the femur as the canvas paints it; the right one is mirrored in x."""
        o = self.crossing
        lower = (-self.shape.head_radius - 3, -40.0, o[2] - 39.0 - self.shape.shaft_length - 45)
        upper = (o[0] + 32.0, o[1] + 32.0, self.shape.head_radius + 12)
        if side == "left":
            return Bone(self.field, self.distance, lower, upper, self.shape.yellow_marrow)

        def mirrored(points: Coordinates) -> BoneField:
            return self.field((-points[0], points[1], points[2]))

        def distance(points: Coordinates) -> Field:
            return self.distance((-points[0], points[1], points[2]))

        flipped_lower, flipped_upper = (-upper[0], lower[1], lower[2]), (-lower[0], upper[1], upper[2])
        return Bone(mirrored, distance, flipped_lower, flipped_upper, self.shape.yellow_marrow)


def femur(shape: FemurShape) -> Femur:
    """Return a femur with its own trabecular texture."""
    return Femur(shape, texture_tile(shape.seed, 1.5))


def femur_frame(side: str, centre: tuple[float, float, float], shaft_tilt_deg: float) -> Float[Array, "4 4"]:
    """Return own frame to patient: the lower end of the shaft leans towards the midline by ``shaft_tilt_deg``."""
    tilt = np.radians(shaft_tilt_deg) * (1 if side == "left" else -1)
    c, s = np.cos(tilt), np.sin(tilt)
    frame = np.eye(4)
    frame[:3, :3] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    frame[:3, 3] = centre
    return frame


def _step(value: Field, start: float, end: float) -> Field:
    """Smooth step from 0 at ``start`` to 1 at ``end``."""
    t = np.clip((value - np.float32(start)) / np.float32(end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)
