"""Planes onto the grid that they were placed on: shifted within themselves, then interpolated between each other.

Within a plane by cubic convolution (Keys, IEEE Trans. Acoust. Speech Signal Process. 29:1153 (1981), a = -1/2 [recalled]), which keeps
edges better than a linear weight does; between planes linearly, which invents nothing.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

from ..volume import Volume
from .placing import Placing

Array = np.ndarray
AIR = -1024.0
"""What lies beside a shifted plane [HU]."""
WHOLE = 1e-3
"""A shift or a place this near to a whole number is one [pixels, planes] [D]."""


def onto_grid(planes: Volume, placing: Placing) -> Volume:
    """Return an image on its placing's grid; ``planes`` has columns, rows and planes as axes, in the order of the placing.

    Values that were whole numbers stay whole numbers.
    """
    if placing.as_it_stands:
        return planes
    columns, rows, count = placing.size
    exact = planes.array.dtype == np.int16
    # (k r c) in memory, as everywhere in reading.
    grid = np.empty((count, rows, columns), dtype=np.int16 if exact else np.float32)
    below = np.clip(np.searchsorted(placing.places, np.arange(count) + WHOLE) - 1, 0, len(placing.places) - 1)
    held: dict[int, Float[Array, "r c"]] = {}

    def moved(index: int) -> Float[Array, "r c"]:
        if index not in held:
            for old in [key for key in held if key < index - 1]:
                del held[old]
            held[index] = _moved(planes.array[:, :, index].T, placing.shifts[index], (rows, columns))
        return held[index]

    for k in range(count):
        first = int(below[k])
        weight = 0.0
        if first + 1 < len(placing.places):
            weight = float((k - placing.places[first]) / (placing.places[first + 1] - placing.places[first]))
        plane = moved(first)
        if weight > WHOLE:
            plane = (1 - weight) * plane + weight * moved(first + 1)
        grid[k] = np.clip(np.rint(plane), -32768, 32767) if exact else plane
    return Volume(grid.transpose(2, 1, 0), placing.affine, planes.unit)


def _moved(plane: Shaped[Array, "r0 c0"], shift: Float[Array, "2"], size: tuple[int, int]) -> Float[Array, "r c"]:
    """Return a plane in a larger one of air, its first pixel at (column, row) ``shift``."""
    found = _shifted(plane.astype(np.float32), float(shift[1]), size[0])
    return _shifted(found.T, float(shift[0]), size[1]).T


def _shifted(values: Float[Array, "a b"], shift: float, length: int) -> Float[Array, "n b"]:
    """Return rows moved down by a fractional number of rows into ``length`` rows; air comes in from outside."""
    whole = int(np.floor(shift + WHOLE))
    part = shift - whole
    if whole == 0 and part < WHOLE and length == len(values):
        return values
    # Values relative to air, so that what lies outside is nothing.
    found = np.full((length, values.shape[1]), np.float32(AIR))
    weights = [(0, 1.0)] if part < WHOLE else list(zip((-1, 0, 1, 2), _cubic(part)))
    for offset, weight in weights:
        start = whole + offset
        low, high = max(start, 0), min(start + len(values), length)
        if high > low:
            found[low:high] += np.float32(weight) * (values[low - start : high - start] - np.float32(AIR))
    return found


def _cubic(part: float) -> tuple[float, float, float, float]:
    """Return the weights of the value moved by -1, 0, 1 and 2 rows at a shift of ``part`` (0 to 1)."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    return kernel(part + 1), kernel(part), kernel(1 - part), kernel(2 - part)
