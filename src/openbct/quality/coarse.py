"""A coarse look at the scan: block means, the body without its table, and where the spine runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..volume import Volume

Array = np.ndarray
BLOCK_MM = 3.5
"""Blocks are as near to this as whole voxels allow, and never smaller than a voxel [mm] [D]."""
BODY_HU = -300.0
"""Blocks above are body or table; lung and air lie below [D]."""
OPENING_MM = 7.0
"""Table tops and blankets thinner than this are not body [mm] [D]."""
BONE_HU = 200.0
"""Blocks above, in the rear half of the body, are the spine's bone [D]."""


@dataclass(frozen=True)
class Look:
    """Block means of a scan, and the body in them."""

    mean: Float[Array, "i j k"]
    """[HU]"""
    body: Bool[Array, "i j k"]
    """The largest solid piece, its air filled in."""
    step: tuple[int, int, int]
    """Voxels of the scan per block."""
    spacing: Float[Array, "3"]
    """Edges of a block [mm]."""


@dataclass(frozen=True)
class SpineLine:
    """Where the spine's bone lies in each slice of blocks [mm from the first block]."""

    x: Float[Array, " k"]
    y: Float[Array, " k"]


def look_at(image: Volume) -> Look:
    """Return the coarse look at an image in HU."""
    shape, spacing = np.array(image.shape), image.spacing
    step = np.clip(np.rint(BLOCK_MM / spacing).astype(int), 1, np.maximum(shape // 4, 1))
    n = shape // step
    mean = np.zeros(tuple(n), dtype=np.float32)
    for k in range(n[2]):
        part = image.array[: n[0] * step[0], : n[1] * step[1], k * step[2] : (k + 1) * step[2]]
        blocks = part.reshape(n[0], step[0], n[1], step[1], step[2])
        mean[:, :, k] = blocks.mean(axis=(1, 3, 4), dtype=np.float32)
    edges = np.asarray(spacing * step)
    return Look(mean, _body(mean, edges), (int(step[0]), int(step[1]), int(step[2])), edges)


def blocks_of(mask: Volume, image: Volume, look: Look) -> Bool[Array, "i j k"]:
    """Return the blocks in which a sub-box of the scan has any voxel."""
    found = np.zeros(look.mean.shape, dtype=bool)
    offset = np.rint(np.linalg.solve(image.affine[:3, :3], mask.affine[:3, 3] - image.affine[:3, 3])).astype(int)
    index = (np.argwhere(mask.array) + offset) // np.array(look.step)
    inside = np.all((index >= 0) & (index < np.array(found.shape)), axis=1)
    found[tuple(index[inside].T)] = True
    return found


def spine_line(look: Look) -> SpineLine | None:
    """Return the median place of bone near the midline in the body's rear half, smoothed along it; ``None`` without a spine."""
    columns = np.flatnonzero(look.body.any(axis=(0, 2)))
    if columns.size == 0:
        return None
    bone = look.body & (look.mean > BONE_HU)
    bone[:, : int(0.5 * (columns[0] + columns[-1])), :] = False
    i, j, k = np.nonzero(bone)
    if i.size < 20:
        return None
    near = np.abs(i - np.median(i)) * look.spacing[0] <= 30.0
    i, j, k = i[near], j[near], k[near]
    reach = max(1, round(20.0 / float(look.spacing[2])))
    full, x, y = [], [], []
    for at in range(bone.shape[2]):
        rows = np.abs(k - at) <= reach
        if rows.sum() >= 5:
            full.append(at)
            x.append(float(np.median(i[rows])))
            y.append(float(np.median(j[rows])))
    if not full:
        return None
    every = np.arange(bone.shape[2])
    return SpineLine(np.interp(every, full, x) * look.spacing[0], np.interp(every, full, y) * look.spacing[1])


def ball(radius: float, spacing: Float[Array, "3"]) -> Bool[Array, "i j k"]:
    """Return a ball of a radius [mm] on a grid."""
    half = np.floor(radius / spacing).astype(int)
    axes = [np.arange(-n, n + 1) * edge for n, edge in zip(half, spacing)]
    i, j, k = np.meshgrid(*axes, indexing="ij")
    return np.asarray(i**2 + j**2 + k**2 <= radius**2)


def _body(mean: Float[Array, "i j k"], spacing: Float[Array, "3"]) -> Bool[Array, "i j k"]:
    """Return the largest solid piece, without what is thinner than a table top, filled slice by slice."""
    solid = mean > BODY_HU
    opened = ndimage.binary_opening(solid, ball(OPENING_MM, spacing))
    labels, count = ndimage.label(opened)
    if count == 0:
        return np.zeros(mean.shape, dtype=bool)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    body = solid & ndimage.binary_dilation(labels == largest, ball(OPENING_MM, spacing))
    for k in range(body.shape[2]):
        body[:, :, k] = ndimage.binary_fill_holes(body[:, :, k])
    return np.asarray(body)
