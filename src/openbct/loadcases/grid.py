"""What every load case does on its voxel grid: keep one piece, find faces' nodes, crop, measure along a direction."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..errors import SegmentationError
from ..records import Array, Mineral
from ..volume import Affine, Volume

LOOSE_REFUSAL = 0.05
"""Share of the bone outside its largest face-connected piece that is refused: review limit of public FE code [SC]."""


def one_piece(bone: str, inside: Bool[Array, "i j k"]) -> tuple[Bool[Array, "i j k"], float]:
    """Return the largest face-connected piece and the share that was left out."""
    labels, count = ndimage.label(inside)
    if count == 0:
        raise SegmentationError(f"found no voxel of {bone} on the model grid, expected a femur; use smaller voxels")
    sizes = np.bincount(labels.ravel())[1:]
    loose = 1.0 - float(sizes.max()) / float(sizes.sum())
    if loose > LOOSE_REFUSAL:
        raise SegmentationError(
            f"found {100 * loose:.1f} % of {bone} loose on the model grid, expected at most {100 * LOOSE_REFUSAL:g} %; mend the label"
        )
    return np.asarray(labels == 1 + int(np.argmax(sizes))), loose


def along(shape: tuple[int, int, int], affine: Affine, direction: Float[Array, "3"]) -> Float[Array, "i j k"]:
    """Return every voxel centre's coordinate along a patient direction [mm]."""
    steps = direction @ affine[:3, :3]
    i, j, k = (np.arange(n) * step for n, step in zip(shape, steps))
    return np.asarray(float(direction @ affine[:3, 3]) + i[:, None, None] + j[None, :, None] + k[None, None, :])


def corners_of(face: Bool[Array, "i j"]) -> Bool[Array, "i1 j1"]:
    """Return the nodes of the marked voxel faces of one layer."""
    nodes = np.zeros((face.shape[0] + 1, face.shape[1] + 1), dtype=bool)
    for di in (0, 1):
        for dj in (0, 1):
            nodes[di : di + face.shape[0], dj : dj + face.shape[1]] |= face
    return nodes


def box_of(mask: Bool[Array, "i j k"]) -> tuple[slice, slice, slice]:
    """Return the smallest box around the true voxels."""
    found = ndimage.find_objects(mask.astype(np.int8))[0]
    return (found[0], found[1], found[2])


def mineral_of(density: Volume) -> Mineral:
    """Return the mineral that a density's unit names."""
    return "CHA" if density.unit.endswith("CHA") else "K2HPO4"
