"""Cubic voxels along the patient's axes to look for bones on: cheap for a whole scan, fine for a box."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped
from scipy import ndimage

from ..volume import Volume, corners, to_index

Array = np.ndarray

HU_PER_DENSITY = 1.3
"""HU of a calibrated image [HU per mg/cm³ K2HPO4]: the slope of an ideal phosphate calibration at 120 kVp is near 0.8 [D]; it only sets
where thresholds lie."""
AIR = -1000.0
"""What lies outside the image [HU]."""


def in_hounsfield(image: Volume) -> Volume:
    """Return the image in HU; a calibrated one is turned back roughly, good enough for thresholds."""
    return image if image.unit == "HU" else image.with_array(image.array * np.float32(HU_PER_DENSITY), "HU")


def coarse(image: Volume, edge: float) -> Volume:
    """Return a whole scan as float32 on cubes of ``edge`` [mm] along the patient's axes, block means first."""
    blocks = np.maximum(1, np.floor(edge / image.spacing + 1e-6)).astype(int)
    small = block_mean(image, blocks)
    ends = corners(image)
    return sample(small, ends.min(axis=0), ends.max(axis=0), edge)


def block_mean(image: Volume, blocks: Shaped[Array, "3"]) -> Volume:
    """Return the means over blocks of voxels; what is left over at the far ends is dropped."""
    blocks = np.minimum(blocks, image.shape)
    if np.all(blocks == 1):
        return image
    counts = np.array(image.shape) // blocks
    whole = image.array[tuple(slice(0, int(n * b)) for n, b in zip(counts, blocks))]
    planes = []
    for k in range(int(counts[2])):  # slice by slice: a float copy of a whole scan is large
        part = whole[:, :, k * blocks[2] : (k + 1) * blocks[2]].mean(axis=2, dtype=np.float32)
        planes.append(part.reshape(counts[0], blocks[0], counts[1], blocks[1]).mean(axis=(1, 3), dtype=np.float32))
    affine = image.affine.copy()
    affine[:3, :3] *= blocks
    affine[:3, 3] += image.affine[:3, :3] @ ((blocks - 1) / 2)
    return Volume(np.stack(planes, axis=2), affine, image.unit)


def sample(image: Volume, lower: Float[Array, "3"], upper: Float[Array, "3"], edge: float) -> Volume:
    """Return a box in patient LPS [mm] on cubes of ``edge`` [mm] along the patient's axes, interpolated linearly, as float32."""
    shape = np.maximum(1, np.round((upper - lower) / edge).astype(int) + 1)
    affine = np.diag([edge, edge, edge, 1.0])
    affine[:3, 3] = lower
    inverse = np.linalg.inv(image.affine)
    # only the part that is needed is turned into floats
    ends = to_index(image.affine, np.array([[lower[a] if c >> a & 1 else upper[a] for a in range(3)] for c in range(8)]))
    low = np.clip(np.floor(ends.min(axis=0)).astype(int) - 1, 0, np.array(image.shape) - 1)
    high = np.clip(np.ceil(ends.max(axis=0)).astype(int) + 2, low + 1, image.shape)
    part = image.array[tuple(slice(int(a), int(b)) for a, b in zip(low, high))].astype(np.float32)
    at = inverse[:3, :3] @ lower + inverse[:3, 3] - low
    array = ndimage.affine_transform(
        part,
        inverse[:3, :3] * edge,
        offset=at,
        output_shape=tuple(int(n) for n in shape),
        order=1,
        mode="grid-constant",
        cval=AIR,
    )
    return Volume(array, affine, image.unit)
