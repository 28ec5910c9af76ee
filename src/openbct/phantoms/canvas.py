"""Painting tissues and bones into an image with partial volume, and keeping the truth while doing so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, Integer, Shaped
from scipy import ndimage

from ..errors import SettingsError
from ..volume import to_index
from .beam import Beam, scanner_beam
from .shapes import Coordinates, Field, Point, coverage
from .tissues import MATRIX_MINERAL, TISSUES, Tissue, iodinated, mix

Array = np.ndarray
Shape = Callable[[Coordinates], Field]
"""Signed distance [mm] of points in patient LPS [mm]."""


@dataclass(frozen=True)
class BoneField:
    """What a bone is at some points."""

    distance: Field
    """To the outer surface, negative inside [mm]."""
    shell: Field
    """Thickness of the cortex [mm]."""
    compact: Field
    """Density of the cortex as an ideal K2HPO4 calibration reads it in the reference beam (120 kVp, slim trunk) [mg/cm³]."""
    cancellous: Field
    """The same inside the cortex [mg/cm³]; marrow without bone reads below zero where it is fatty. What the bone is made of
    follows from it, and from that what any other beam reads."""
    part: Field
    """Signed distance to a named part of the bone, such as the vertebral body [mm]."""


@dataclass(frozen=True)
class Bone:
    """A bone in its own frame."""

    field: Callable[[Coordinates], BoneField]
    distance: Shape
    """The outer distance alone, for a first look; may be off by some millimetres far away."""
    lower: tuple[float, float, float]
    """Corner of a box around it, own frame [mm]."""
    upper: tuple[float, float, float]
    yellow: float
    """Fatty share of its marrow by volume [-]."""
    iodine: float = 0.0
    """Contrast agent in its marrow [mg/cm³]."""


@dataclass(frozen=True)
class Canvas:
    """The image while it is painted; the only thing in the simulator that changes in place."""

    affine: Float[Array, "4 4"]
    hu: Float[Array, "i j k"]
    """Noise-free, before blur [HU]."""
    mineral: Float[Array, "i j k"]
    """Hydroxyapatite mass over volume [mg/cm³]."""
    labels: Integer[Array, "i j k"]
    beam: Beam
    traces: dict[str, Float[Array, "i j k"]] = field(default_factory=dict)
    """What bends the spectrum beside mineral: ``"iodine"`` and ``"titanium"``, where there is any [mg/cm³]."""

    def trace(self, name: str) -> Float[Array, "i j k"]:
        """Return the image of a trace, empty at first [mg/cm³]."""
        if name not in self.traces:
            self.traces[name] = np.zeros(self.hu.shape, dtype=np.float32)
        return self.traces[name]

    def water_like(self, part: tuple[slice | int, ...]) -> Float[Array, "..."]:
        """Return what attenuates as water does in a part of the image, that of water being 1."""
        out = 1.0 + self.hu[part] / np.float32(1000) - np.float32(self.beam.relative("hydroxyapatite")) * self.mineral[part]
        for name, image in self.traces.items():
            out -= np.float32(self.beam.relative(name)) * image[part]
        return np.asarray(out)

    @property
    def spacing(self) -> Float[Array, "3"]:
        """Voxel edges [mm]."""
        return np.asarray(np.diag(self.affine)[:3])

    def box(self, lower: Point, upper: Point) -> tuple[slice, slice, slice] | None:
        """Return the voxels whose centres lie within a box in patient LPS [mm], or ``None`` where there are none."""
        ends = to_index(self.affine, np.array([lower, upper], dtype=float))
        low = np.maximum(np.floor(ends[0]).astype(int), 0)
        high = np.minimum(np.ceil(ends[1]).astype(int) + 1, self.hu.shape)
        if np.any(high <= low):
            return None
        return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])

    def axes(self, box: tuple[slice, slice, slice]) -> Coordinates:
        """Return open x, y, z coordinate arrays of a box [mm]."""
        x, y, z = (
            (self.affine[axis, 3] + self.spacing[axis] * np.arange(part.start, part.stop)).astype(np.float32)
            for axis, part in enumerate(box)
        )
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def paint(
        self,
        shape: Shape,
        bounds: tuple[Point, Point],
        *layers: tuple[float, str | Tissue, int],
        texture: float = 0.0,
        iodine: float = 0.0,
        mineral: float = 0.0,
    ) -> None:
        """Blend soft tissues over what is there.

        Parameters
        ----------
        bounds
            Box that holds the shape, patient LPS [mm].
        layers
            From outside to inside: depth below the surface [mm], tissue, label. The label overwrites where more than half
            of the voxel is covered.
        texture
            Amplitude of slow variations within the tissues [HU].
        iodine
            Dissolved in the innermost layer [mg/cm³]; only where that is a tissue by name.
        mineral
            Hydroxyapatite in the innermost layer, part of its tissue already [mg/cm³].
        """
        box = self.box(*bounds)
        if box is None:
            return
        # Slabs keep the temporary arrays of body-sized shapes small.
        for start in range(box[2].start, box[2].stop, 24):
            part = (box[0], box[1], slice(start, min(start + 24, box[2].stop)))
            points = self.axes(part)
            distance = shape(points)
            ripple = np.float32(texture) * _ripple(points) if texture else np.float32(0)
            for order, (depth, tissue, label) in enumerate(layers):
                share = coverage(distance + np.float32(depth), float(self.spacing[0]) * 1.2)
                innermost = order == len(layers) - 1
                inner = iodine if innermost else 0.0
                target = self.hu[part]
                target += share * (np.float32(self._reading(tissue, inner)) + ripple - target)
                stone = self.mineral[part]
                stone += share * (np.float32(mineral if innermost else 0.0) - stone)
                if inner > 0:
                    self.trace("iodine")
                for name, image in self.traces.items():
                    image[part] += share * (np.float32(inner if name == "iodine" else 0.0) - image[part])
                np.copyto(self.labels[part], np.uint8(label), where=share > 0.5)

    def _reading(self, tissue: str | Tissue, iodine: float) -> float:
        return self.beam.hounsfield(iodinated(tissue, iodine) if iodine > 0 and isinstance(tissue, str) else tissue)

    def paint_metal(self, shape: Shape, bounds: tuple[Point, Point], label: int = 0) -> None:
        """Put titanium over what is there."""
        box = self.box(*bounds)
        if box is None:
            return
        share = coverage(shape(self.axes(box)), float(self.spacing[0]) * 1.2)
        metal = TISSUES["titanium"]
        self.hu[box] += share * (np.float32(self.beam.hounsfield("titanium")) - self.hu[box])
        self.mineral[box] *= 1 - share
        trace = self.trace("titanium")
        for name, image in self.traces.items():
            image[box] *= 1 - share
            if name == "titanium":
                trace[box] += share * np.float32(1000.0 * metal.density)
        np.copyto(self.labels[box], np.uint8(label), where=share > 0.5)

    def paint_bone(self, bone: Bone, frame: Float[Array, "4 4"], label: int, *, supersample: Sequence[int] = (2, 2, 3)) -> Array:
        """Paint a bone placed by ``frame`` (own frame to patient) and return the share of its part in each voxel.

        Far voxels are skipped after a coarse look; voxels near the outer or inner surface of the cortex are the mean of
        ``supersample`` points along each axis, each of which knows its own share of bone, shell and inside.

        Returns
        -------
        Array
            Boolean mask of the named part on the whole grid.
        """
        part = np.zeros(self.hu.shape, dtype=bool)
        corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (
            np.array(bone.upper) - bone.lower
        ) + np.array(bone.lower)
        placed = corners @ frame[:3, :3].T + frame[:3, 3]
        box = self.box(placed.min(axis=0) - 2, placed.max(axis=0) + 2)
        if box is None:
            return part
        index = self._near(bone, frame, box)
        known = scanner_beam()
        painter = _BonePainter(
            self, bone, np.linalg.inv(frame), tuple(supersample), np.float32(known.phosphate_slope),
            _marrow_and_matrix(known, bone.yellow), _marrow_and_matrix(self.beam, bone.yellow),
        )  # fmt: skip
        hu, mineral, share, inside = painter.voxels(index)
        where = (index[0], index[1], index[2])
        marrow = np.maximum(share - mineral / np.float32(MATRIX_MINERAL), 0) * np.float32(bone.iodine)
        if bone.iodine > 0:
            hu = hu + marrow * np.float32(1000.0 * self.beam.relative("iodine"))
            self.trace("iodine")
        self.hu[where] = self.hu[where] * (1 - share) + hu
        self.mineral[where] = self.mineral[where] * (1 - share) + mineral
        for name, image in self.traces.items():
            image[where] = image[where] * (1 - share) + (marrow if name == "iodine" else np.float32(0))
        self.labels[where] = np.where(share > 0.5, label, self.labels[where])
        part[where] = inside & (share > 0.5)
        return part

    def _near(self, bone: Bone, frame: Float[Array, "4 4"], box: tuple[slice, slice, slice]) -> Int[Array, "3 n"]:
        """Return the indices of voxels of a box that are inside the bone or near it."""
        stride = np.maximum(1, np.rint(4.0 / self.spacing).astype(int))
        shape = tuple(part.stop - part.start for part in box)
        samples = [np.arange(part.start, part.stop + step, step) for part, step in zip(box, stride)]
        grid = np.meshgrid(*[self.affine[a, 3] + self.spacing[a] * samples[a] for a in range(3)], indexing="ij")
        local = _transform(np.linalg.inv(frame), (grid[0], grid[1], grid[2]))
        distance = bone.distance(local)
        look: list[Array] = [np.arange(size) / step for size, step in zip(shape, stride)]
        for axis, position in enumerate(look):
            base = np.minimum(position.astype(int), distance.shape[axis] - 2)
            weight = (position - base).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
            distance = np.take(distance, base, axis) * (1 - weight) + np.take(distance, base + 1, axis) * weight
        found = np.array(np.nonzero(distance < 4.0))
        return np.asarray(found + np.array([[part.start] for part in box]))


@dataclass(frozen=True)
class _BonePainter:
    canvas: Canvas
    bone: Bone
    to_bone: Float[Array, "4 4"]
    supersample: tuple[int, ...]
    slope: np.float32
    """HU per mg/cm³ of K2HPO4 in the reference beam."""
    reference: tuple[np.float32, np.float32]
    """Marrow and what matrix has more [HU], in the reference beam."""
    own: tuple[np.float32, np.float32]
    """The same in the beam of the canvas."""

    def voxels(self, index: Int[Array, "3 n"]) -> tuple[Array, Array, Array, Array]:
        """Return HU and mineral (both times share), share of bone, and whether the centre lies in the part."""
        spacing = self.canvas.spacing
        centres = self.canvas.affine[:3, 3:4] + spacing[:, None] * index
        local = _transform(self.to_bone, (centres[0], centres[1], centres[2]))
        field = self.bone.field(local)
        hu, mineral, share = self._mixture(field, float(spacing.mean()))
        band = float(np.linalg.norm(spacing)) * 0.6
        fine = np.flatnonzero((field.distance < band) & (field.distance > -(field.shell + band)))
        offsets = [((np.arange(n) + 0.5) / n - 0.5) * step for n, step in zip(self.supersample, spacing)]
        width = float(np.mean([step / n for n, step in zip(self.supersample, spacing)]))
        total = np.zeros((3, fine.size), dtype=np.float32)
        for dx in offsets[0]:
            for dy in offsets[1]:
                for dz in offsets[2]:
                    x, y, z = (centres[axis, fine] + shift for axis, shift in enumerate((dx, dy, dz)))
                    total += np.array(self._mixture(self.bone.field(_transform(self.to_bone, (x, y, z))), width))
        total /= np.prod(self.supersample)
        hu[fine], mineral[fine], share[fine] = total
        return hu, mineral, share, field.part < 0

    def _mixture(self, field: BoneField, width: float) -> tuple[Array, Array, Array]:
        outer = coverage(field.distance, width)
        inner = coverage(field.distance + field.shell, width)
        reading = (outer - inner) * field.compact + inner * field.cancellous
        # Matrix by volume, such that the reference beam reads the density asked for; below zero where marrow is fattier still.
        marrow, gain = self.reference
        share = (reading * self.slope - outer * marrow) / gain
        marrow, gain = self.own
        hu = outer * marrow + share * gain
        return hu, np.maximum(share, 0) * np.float32(MATRIX_MINERAL), outer


def _marrow_and_matrix(beam: Beam, yellow: float) -> tuple[np.float32, np.float32]:
    """Return the HU of marrow with a fatty share of ``yellow``, and how much more bone matrix has."""
    marrow = beam.hounsfield(mix({"yellow_marrow": yellow, "red_marrow": 1 - yellow}))
    return np.float32(marrow), np.float32(beam.hounsfield("bone_matrix") - marrow)


def _ripple(points: Coordinates) -> Field:
    """Return a slow wavy pattern between -1 and 1, so that soft tissues are not flat."""
    x, y, z = points
    return np.asarray(np.sin(x / 2.6 + np.sin(y / 7)) * np.sin(y / 3.1 + 2 * np.sin(z / 9)) * np.cos(z / 4.2 + x / 11))


def _transform(matrix: Float[Array, "4 4"], points: Coordinates) -> Coordinates:
    m = matrix
    x, y, z = points
    out = [(m[a, 0] * x + m[a, 1] * y + m[a, 2] * z + m[a, 3]).astype(np.float32) for a in range(3)]
    return out[0], out[1], out[2]


def texture_tile(seed: int, stretch: float, size: int = 64) -> Float[Array, "i j k"]:
    """Return a periodic random field of zero mean and unit deviation, 1 mm voxels, stretched ``stretch`` times along z."""
    noise = np.random.default_rng(seed).standard_normal((size, size, size)).astype(np.float32)
    field = ndimage.gaussian_filter(noise, (0.9, 0.9, 0.9 * stretch), mode="wrap")
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def sample_tile(tile: Float[Array, "i j k"], points: Coordinates) -> Field:
    """Return the tile's value at the nearest of its voxels, repeated without end."""
    size = tile.shape[0]
    x, y, z = (np.rint(value).astype(np.int32) % size for value in points)
    return np.asarray(tile[x, y, z])


def empty(shape: tuple[int, int, int], affine: Float[Array, "4 4"], beam: Beam) -> Canvas:
    """Return a canvas of air.

    Raises
    ------
    SettingsError
        The grid does not run along the patient's axes: painting goes by x, y and z alone.
    """
    edges = np.diag(affine)[:3]
    if not np.allclose(affine[:3, :3], np.diag(edges)) or not (edges > 0).all():
        raise SettingsError("found a turned or mirrored grid, expected one along the patient's axes; paint so, then resample")
    air = np.float32(beam.hounsfield("air"))
    zeros: Shaped[Array, "i j k"] = np.zeros(shape, dtype=np.float32)
    return Canvas(affine, np.full(shape, air, dtype=np.float32), zeros, np.zeros(shape, dtype=np.uint8), beam)
