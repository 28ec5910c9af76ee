"""A coarse look at the scan: block means, painted padding, outside air, the body's inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume

BLOCK_MM = (3.0, 3.0, 6.0)
"""Blocks are as near to this along i, j, k as whole voxels allow, never larger unless a voxel is [mm]: fine enough for a
ring of fat in the slice, coarser along the body, where tissues change slowly [design]."""
SOLID_HU = -300.0
"""Blocks above are body, table or blanket; lung and air lie below [design]."""
OPENING_MM = 6.0
"""Table shells and blankets thinner than this are not body [design]."""


@dataclass(frozen=True)
class Outline:
    """Block means of a scan and what is where, all on the grid of blocks."""

    image: Volume
    """The scan itself [HU]."""
    step: tuple[int, int, int]
    """Voxels per block along i, j, k."""
    mean: Float[Array, "i j k"]
    """[HU]"""
    painted: Bool[Array, "i j k"]
    """Constant over a block and its neighbours: padding that no detector measured."""
    outside: Bool[Array, "i j k"]
    """Air and padding that reach the front or back of the image, and loose solids in them: table, blanket."""
    body: Bool[Array, "i j k"]
    """The largest solid piece, table removed; lungs and bowel gas are not in it."""
    depth: Float[Array, "i j k"]
    """Distance from the outside [mm]; 0 there; infinite where nothing is outside."""

    @property
    def spacing(self) -> Float[Array, "3"]:
        """Block edges [mm]."""
        return np.asarray(self.image.spacing * np.array(self.step))


def draw_outline(image: Volume, keep_k: slice) -> Outline:
    """Return the coarse look at the slices ``keep_k`` of a scan."""
    step_i, step_j, step_k = (max(1, int(wanted / edge + 1e-6)) for wanted, edge in zip(BLOCK_MM, image.spacing))
    part = image.array[:, :, keep_k]
    lower, affine = keep_k.indices(image.shape[2])[0], image.affine.copy()
    affine[:3, 3] = affine[:3, 3] + affine[:3, 2] * lower
    image = Volume(part, affine, image.unit)
    step = (step_i, step_j, min(step_k, part.shape[2]))
    mean, painted = _reduce(part, step)
    spacing = image.spacing * np.array(step)
    solid = (mean > SOLID_HU) & ~painted
    open_air = _touching_front_or_back(~solid)
    body = _largest(ndimage.binary_opening(solid, _ball(OPENING_MM, spacing)))
    # What the opening shaved off the skin comes back; the table does not, it is farther away.
    body = solid & ndimage.binary_dilation(body, _ball(OPENING_MM, spacing))
    outside = open_air | _pieces_beside(solid & ~body, open_air)
    depth = ndimage.distance_transform_edt(~outside, sampling=spacing) if outside.any() else np.full(mean.shape, np.inf)
    return Outline(image, step, mean, painted, outside, body, np.asarray(depth, dtype=np.float32))


def fine_mask(outline: Outline, blocks: Bool[Array, "i j k"]) -> Volume:
    """Return chosen blocks as a boolean sub-box of the scan's own voxels."""
    found = [np.flatnonzero(blocks.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    lower = np.array([index[0] for index in found])
    upper = np.array([index[-1] + 1 for index in found])
    box = blocks[lower[0] : upper[0], lower[1] : upper[1], lower[2] : upper[2]]
    for axis, n in enumerate(outline.step):
        box = np.repeat(box, n, axis=axis)
    affine = outline.image.affine.copy()
    affine[:3, 3] = affine[:3, 3] + affine[:3, :3] @ (lower * np.array(outline.step))
    return Volume(box, affine, "mask")


def _reduce(array: Array, step: tuple[int, int, int]) -> tuple[Array, Array]:
    """Return block means and the blocks that are constant together with their neighbours in the slice."""
    ni, nj, nk = (length // n for length, n in zip(array.shape, step))
    mean = np.empty((ni, nj, nk), dtype=np.float32)
    lowest, highest = np.empty_like(mean), np.empty_like(mean)
    for k in range(nk):  # slab by slab, so that memory stays bounded by one slab
        slab = array[: ni * step[0], : nj * step[1], k * step[2] : (k + 1) * step[2]]
        blocks = slab.reshape(ni, step[0], nj, step[1], step[2])
        mean[:, :, k] = blocks.mean(axis=(1, 3, 4), dtype=np.float32)
        lowest[:, :, k] = blocks.min(axis=(1, 3, 4))
        highest[:, :, k] = blocks.max(axis=(1, 3, 4))
    lowest = ndimage.minimum_filter(lowest, size=(3, 3, 1), mode="nearest")
    highest = ndimage.maximum_filter(highest, size=(3, 3, 1), mode="nearest")
    # A block beside padding is part padding: it goes with it.
    return mean, ndimage.binary_dilation(highest == lowest, np.ones((3, 3, 1)), iterations=2)


def _ball(radius: float, spacing: Array) -> Array:
    """Return a solid ellipsoid of blocks with a radius in mm; at least the six neighbours in the slice plane."""
    half = np.maximum(np.floor(radius / spacing).astype(int), (1, 1, 0))
    grids = np.ogrid[tuple(slice(-n, n + 1) for n in half)]
    return np.asarray(sum((grid / max(n, 1)) ** 2 for grid, n in zip(grids, half)) <= 1.0)


def _largest(mask: Array) -> Array:
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _touching_front_or_back(mask: Array) -> Array:
    """Return the pieces of ``mask`` that reach the front or back face.

    Not the side faces: where the body is cut there, lung and gas reach them too.
    """
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros_like(mask)
    faces = np.concatenate([labels[:, 0, :].ravel(), labels[:, -1, :].ravel()])
    touching = np.zeros(count + 1, dtype=bool)
    touching[np.unique(faces)] = True
    touching[0] = False
    return np.asarray(touching[labels])


def _pieces_beside(mask: Array, other: Array) -> Array:
    """Return the pieces of ``mask`` that touch ``other``: table, blanket and arms touch the outside air, lung vessels do not."""
    labels, count = ndimage.label(mask)
    touching = np.zeros(count + 1, dtype=bool)
    touching[np.unique(labels[ndimage.binary_dilation(other)])] = True
    touching[0] = False
    return np.asarray(touching[labels])
