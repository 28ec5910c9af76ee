"""An image without its metal: screws and cement shine through a vertebra like endplates, and would be taken for them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..volume import Volume, bounding_box

BRIGHT = 2000.0
"""HU that no bone has: metal or cement; with sharp kernels the hip bones' cortex passes 1500 [D]."""
AROUND, FILLED_ABOVE, FILL = 3.0, 350.0, 150.0
"""How far what is bright shines around [mm], from which value a voxel there is taken for its shine, and what stands there instead: the inside
of a vertebra [HU] [D]."""
LEAST_MM3 = 20.0
"""Volume of bright voxels below which nothing is changed [mm³]: calcium in a vessel [D]."""


def without_metal(image: Volume) -> Volume:
    """Return an image [HU] in which metal and cement, with what they shine upon, read as the inside of a vertebra does."""
    bright = image.array > BRIGHT
    if float(bright.sum()) * image.voxel_volume < LEAST_MM3:
        return image
    first, last = bounding_box(image.with_array(bright, "mask"))
    pad = np.ceil(AROUND / image.spacing).astype(int)
    low, high = np.maximum(first - pad, 0), np.minimum(last + pad, image.shape)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    near = ndimage.uniform_filter(bright[box].astype(np.float32), (2 * pad + 1).tolist(), mode="constant") > 1e-4
    array = image.array.copy()
    array[box][bright[box] | (near & (array[box] > FILLED_ABOVE))] = FILL
    return image.with_array(array)
