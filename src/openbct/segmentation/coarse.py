"""A scan in coarse voxels: where things are, before how they look exactly."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..records import Array
from ..volume import Volume, to_patient

COARSE_MM = 2.75
"""Edge that coarse voxels do not exceed where the scan's own are smaller [mm] [D]."""
HU_RANGE = (-1024.0, 1500.0)
"""Values are held to this range: metal must not outweigh a block [HU] [D]."""


def coarsen(image: Volume) -> Volume:
    """Return block means of an image [HU], in float32, on blocks of whole voxels of at most :data:`COARSE_MM`.

    Rows that fill no block at the upper ends are left out. The scan is read one block layer at a time: no second scan in memory.
    """
    factors = np.maximum(np.floor(COARSE_MM / image.spacing + 1e-6).astype(int), 1)
    counts = np.maximum(np.array(image.shape) // factors, 1)
    factors = np.minimum(factors, image.shape)
    array: Float[Array, "i j k"] = np.empty(tuple(counts), dtype=np.float32)
    (a, b, c), (m, n, _) = factors, counts
    for k in range(counts[2]):
        layer = image.array[: m * a, : n * b, k * c : (k + 1) * c].astype(np.float32)
        np.clip(layer, *HU_RANGE, out=layer)
        array[:, :, k] = layer.mean(axis=2).reshape(m, a, n, b).mean(axis=(1, 3))
    affine = image.affine.copy()
    affine[:3, :3] = image.affine[:3, :3] * factors
    affine[:3, 3] = to_patient(image.affine, (factors - 1) / 2)
    return Volume(array, affine, image.unit)
