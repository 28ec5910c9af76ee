"""Volumes in patient space: the one geometry type of OpenBCT and everything that is done to it.

Convention: array axes ``i j k`` are the affine's columns in that order; the affine maps an index to patient LPS
millimetres (x to the patient's left, y posterior, z superior); voxel centres lie at integer indices. There is no other
order anywhere in the package: files in other conventions are converted where they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from scipy import ndimage

from .errors import GeometryError

GRID_TOLERANCE = 0.05
"""Two grids are the same where no corner voxel lies farther apart than this [mm]; a tenth of a fine CT voxel."""

MIRROR = np.array([-1.0, 1.0, 1.0])
"""What a mirror between left and right does to the coordinates of a patient point."""

Array = np.ndarray
Affine = Float[Array, "4 4"]
Points = Float[Array, "*n 3"]


@dataclass(frozen=True)
class Volume:
    """A three-dimensional array with its place in the patient."""

    array: Shaped[Array, "i j k"]
    """Voxel values in ``unit``; read-only view."""
    affine: Affine
    """Index to patient LPS [mm]."""
    unit: str
    """``"HU"``, ``"mg/cm3 K2HPO4"``, ``"mg/cm3 CHA"``, ``"label"``, ``"mask"``, ``"MPa"`` ..."""

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise GeometryError(f"found an array of {self.array.ndim} dimensions, expected 3; give one 3-D image")
        affine = np.asarray(self.affine, dtype=float)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError(
                "found a singular or non-finite affine, expected an invertible 4x4 matrix [mm]; repair the header"
            )
        view = self.array.view()
        view.flags.writeable = False
        affine = affine.copy()
        affine.flags.writeable = False
        object.__setattr__(self, "array", view)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        i, j, k = self.array.shape
        return (i, j, k)

    @property
    def spacing(self) -> Float[Array, "3"]:
        """Voxel edge lengths along i, j, k [mm]."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel [mm³]."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def with_array(self, array: Shaped[Array, "i j k"], unit: str | None = None) -> Volume:
        """Return another quantity on this grid."""
        if array.shape != self.array.shape:
            raise GeometryError(f"found an array of shape {array.shape}, expected {self.array.shape}; keep the grid")
        return Volume(array, self.affine, self.unit if unit is None else unit)


def to_patient(affine: Affine, index: Points) -> Points:
    """Return patient LPS points [mm] of voxel indices."""
    return np.asarray(np.asarray(index, dtype=float) @ affine[:3, :3].T + affine[:3, 3])


def to_index(affine: Affine, point: Points) -> Points:
    """Return (fractional) voxel indices of patient LPS points [mm]."""
    inverse = np.linalg.inv(affine)
    return np.asarray(np.asarray(point, dtype=float) @ inverse[:3, :3].T + inverse[:3, 3])


def corners(volume: Volume) -> Float[Array, "8 3"]:
    """Return the eight corner voxel centres in patient LPS [mm]."""
    last = np.array(volume.shape) - 1
    index = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
    return to_patient(volume.affine, index.astype(float))


def same_grid(a: Volume, b: Volume, tolerance: float = GRID_TOLERANCE) -> bool:
    """Tell whether two volumes share shape and place; ``tolerance`` in mm at the corners."""
    return a.shape == b.shape and bool(np.abs(corners(a) - corners(b)).max() <= tolerance)


def canonical(volume: Volume) -> Volume:
    """Return the same voxels with i nearest to left, j to posterior, k to superior.

    Only axes are swapped and flipped: no value is interpolated. Ties (45° obliques) go to the first axis.
    """
    direction = volume.affine[:3, :3] / volume.spacing
    order = _best_assignment(np.abs(direction))
    array = np.transpose(volume.array, order)
    affine = volume.affine.copy()
    affine[:, :3] = volume.affine[:, list(order)]
    for axis in range(3):
        if affine[axis, axis] < 0:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return Volume(array, affine, volume.unit)


def _best_assignment(strength: Float[Array, "3 3"]) -> tuple[int, int, int]:
    """Return which column serves patient axes 0, 1, 2 so that the sum of direction cosines is largest."""
    options = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    best = max(options, key=lambda order: float(sum(strength[axis, column] for axis, column in enumerate(order))))
    return (best[0], best[1], best[2])


def mirrored(volume: Volume) -> Volume:
    """Return the mirror image of a volume: left becomes right (patient x changes its sign).

    Index i is flipped with it, so that the mirror image of a canonical volume is canonical, voxel by voxel.
    """
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    affine[0] *= -1
    return Volume(np.flip(volume.array, 0), affine, volume.unit)


def crop(volume: Volume, lower: Sequence[int], upper: Sequence[int]) -> Volume:
    """Return the box ``lower <= index < upper``, cut to the image, in its place."""
    low = np.maximum(np.asarray(lower, dtype=int), 0)
    high = np.minimum(np.asarray(upper, dtype=int), volume.shape)
    if np.any(high <= low):
        raise GeometryError(f"found an empty box {low.tolist()} to {high.tolist()}, expected at least one voxel inside the image")
    affine = volume.affine.copy()
    affine[:3, 3] = to_patient(volume.affine, low.astype(float))
    array = volume.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    return Volume(array, affine, volume.unit)


def bounding_box(mask: Volume, margin: float = 0.0) -> tuple[Array, Array]:
    """Return ``lower``, ``upper`` indices around the true voxels, widened by ``margin`` [mm], cut to the image."""
    found = [np.flatnonzero(mask.array.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    if any(len(index) == 0 for index in found):
        raise GeometryError("found an empty mask, expected at least one voxel; check the labels")
    pad = np.ceil(margin / mask.spacing).astype(int)
    lower = np.array([index[0] for index in found]) - pad
    upper = np.array([index[-1] + 1 for index in found]) + pad
    return np.maximum(lower, 0), np.minimum(upper, mask.shape)


def offset_in(part: Volume, grid: Volume) -> Array:
    """Return the index in ``grid`` of the first voxel of ``part``, a sub-box of its voxels; it may lie outside ``grid``."""
    return np.asarray(np.rint(to_index(grid.affine, part.affine[:3, 3])), dtype=int)


def along(shape: Sequence[int], affine: Affine, direction: Float[Array, "3"]) -> Float[Array, "i j k"]:
    """Return every voxel centre's coordinate along a patient direction [mm], as float64: for a box, not for a whole scan."""
    steps = direction @ affine[:3, :3]
    i, j, k = (np.arange(n) * step for n, step in zip(shape, steps))
    return np.asarray(float(direction @ affine[:3, 3]) + i[:, None, None] + j[None, :, None] + k[None, None, :])


def place_into(part: Volume, grid: Volume, fill: float | bool = 0) -> Volume:
    """Return ``part``, a sub-box of ``grid``'s voxels, on the whole grid; ``fill`` elsewhere.

    Raises
    ------
    GeometryError
        ``part`` is not made of whole voxels of ``grid``.
    """
    start = to_index(grid.affine, part.affine[:3, 3])
    lower = np.rint(start).astype(int)
    upper = lower + np.array(part.shape)
    aligned = np.allclose(part.affine[:3, :3], grid.affine[:3, :3], atol=1e-4) and np.abs(start - lower).max() < 0.05
    if not aligned or np.any(lower < 0) or np.any(upper > grid.shape):
        raise GeometryError("found a part that is not a sub-box of the grid, expected the same voxels; resample it first")
    array = np.full(grid.shape, fill, dtype=part.array.dtype)
    array[lower[0] : upper[0], lower[1] : upper[1], lower[2] : upper[2]] = part.array
    return Volume(array, grid.affine, part.unit)


def resample(
    volume: Volume, shape: Sequence[int], affine: Affine, *, order: int = 1, fill: float = 0.0, average: bool = True
) -> Volume:
    """Return ``volume`` interpolated once onto another grid, as float64.

    Parameters
    ----------
    order
        0 nearest, 1 linear, 3 cubic.
    fill
        Value outside the source image.
    average
        Where the target voxels are larger than the source's, take the mean of several samples per target voxel
        instead of one, so that mass is kept. Ignored for ``order=0``.
    """
    target_spacing = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    ratio = target_spacing / volume.spacing.min()
    samples = np.maximum(1, np.ceil(ratio - 0.01).astype(int)) if average and order > 0 else np.ones(3, dtype=int)
    to_source = np.linalg.inv(volume.affine) @ np.asarray(affine, dtype=float)
    source = volume.array.astype(np.float64)
    offsets = [(np.arange(n) + 0.5) / n - 0.5 for n in samples]
    total = np.zeros(tuple(shape))
    for di in offsets[0]:
        for dj in offsets[1]:
            for dk in offsets[2]:
                shift = to_source[:3, 3] + to_source[:3, :3] @ np.array([di, dj, dk])
                total += ndimage.affine_transform(
                    source,
                    to_source[:3, :3],
                    offset=shift,
                    output_shape=tuple(shape),
                    order=order,
                    mode="grid-constant",
                    cval=fill,
                )
    return Volume(total / float(np.prod(samples)), np.asarray(affine, dtype=float), volume.unit)
