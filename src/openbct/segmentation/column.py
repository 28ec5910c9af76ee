"""The vertebral column made straight: its axis in front of the canal, and the image along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume, to_index
from .canal import Canal

STEP = 1.0
"""Of everything along the axis [mm]."""
WALL_BEHIND, WALL_BEFORE = (3.0, 17.0), (24.0, 62.0)
"""Where posterior and anterior wall are looked for in front of the canal's centre [mm]: canals are 12 to 25 mm deep, adult bodies from the
upper thoracic ones down 18 to 45 mm [R]; [D]."""
MIDLINE = 6.0
"""Half-width of the strip in which walls are looked for [mm] [D]."""
STIFFNESS = 6.0
"""Weight of a step of the wall of one millimetre against one deviation of the wall's edge [-] [D]."""
SMOOTH = 9.0
"""Deviation of the smoothing of the axis along itself [mm]: a third of a vertebra [D]."""


@dataclass(frozen=True)
class Column:
    """The axis through the middle of bodies and discs, from below, one point for each millimetre."""

    points: Float[Array, "n 3"]
    """Patient LPS [mm]."""
    axes: Float[Array, "n 3 3"]
    """Columns: left, posterior, upwards along the axis."""
    depth: Float[Array, " n"]
    """Between anterior and posterior wall [mm]."""
    canal: Float[Array, " n"]
    """From the axis back to the middle of the canal [mm]."""


def find_column(image: Volume, canal: Canal) -> Column:
    """Return the axis of the column of an image [HU] in front of its canal."""
    points, axes = _framed(_even(canal.points), 6.0)
    distance = np.arange(0.0, WALL_BEFORE[1] + 8.0, 1.0)
    offsets = np.stack(np.meshgrid(np.arange(-MIDLINE, MIDLINE + 0.1, 2.0), -distance, [0.0], indexing="ij"), axis=-1)[:, :, 0]
    strip = sampled(image, points, axes, offsets).mean(axis=1)
    strip = ndimage.gaussian_filter(strip, (2.0, 1.0), mode="nearest")
    slope = np.gradient(np.clip(strip, -100.0, 400.0), axis=1)
    scale = float(slope.std()) + 1e-6
    behind = _wall(slope / scale, distance, WALL_BEHIND)
    before = _wall(-slope / scale, distance, WALL_BEFORE)
    middle, depth = (behind + before) / 2, before - behind
    middle, depth = (ndimage.gaussian_filter1d(values, SMOOTH / STEP, mode="nearest") for values in (middle, depth))
    centres = points - axes[:, :, 1] * middle[:, None]
    even, back = _even(centres, np.column_stack([depth, middle]))
    points, axes = _framed(even, SMOOTH)
    return Column(points, axes, back[:, 0], back[:, 1])


def sampled(
    image: Volume, points: Float[Array, "n 3"], axes: Float[Array, "n 3 3"], offsets: Float[Array, "... 3"]
) -> Float[Array, "n ..."]:
    """Return the image, interpolated, at ``offsets`` [mm] from every point in its own axes; outside it, its nearest value."""
    flat = offsets.reshape(-1, 3)
    places = points[:, None, :] + np.einsum("nij,mj->nmi", axes, flat)
    index = to_index(image.affine, places.reshape(-1, 3))
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, np.array(image.shape) - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 2, 1, image.shape)
    high = np.maximum(high, low + 1)
    part = image.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)
    values = ndimage.map_coordinates(part, (index - low).T, order=1, mode="nearest")
    return np.asarray(values.reshape((len(points), *offsets.shape[:-1])))


def _wall(cost: Float[Array, "n m"], distance: Float[Array, " m"], limits: tuple[float, float]) -> Float[Array, " n"]:
    """Return the distance of the smoothest strong edge at each place along the canal."""
    window = (distance >= limits[0]) & (distance <= limits[1])
    gain, places = cost[:, window], distance[window]
    jump = STIFFNESS * 0.05 * (places[:, None] - places[None, :]) ** 2
    total = gain[0].copy()
    came = np.zeros(gain.shape, dtype=int)
    for row in range(1, len(gain)):
        options = total[None, :] - jump
        came[row] = options.argmax(axis=1)
        total = options.max(axis=1) + gain[row]
    path = np.zeros(len(gain), dtype=int)
    path[-1] = int(total.argmax())
    for row in range(len(gain) - 1, 0, -1):
        path[row - 1] = came[row, path[row]]
    return np.asarray(places[path])


def _even(points: Float[Array, "n 3"], values: Float[Array, "n m"] | None = None):  # type: ignore[no-untyped-def]
    """Return points at equal steps along a line, with values carried along where there are any."""
    smooth = ndimage.gaussian_filter1d(points, 2.0, axis=0, mode="nearest")
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(smooth, axis=0), axis=1))])
    at = np.arange(0.0, length[-1], STEP)
    even = np.column_stack([np.interp(at, length, smooth[:, axis]) for axis in range(3)])
    if values is None:
        return even
    return even, np.column_stack([np.interp(at, length, column) for column in values.T])


def _framed(points: Float[Array, "n 3"], smooth: float) -> tuple[Float[Array, "n 3"], Float[Array, "n 3 3"]]:
    """Return the smoothed line with its frames: upwards along it, left as near to the patient's left as can be."""
    line = ndimage.gaussian_filter1d(points, smooth / STEP, axis=0, mode="nearest")
    up = np.gradient(line, axis=0)
    up = ndimage.gaussian_filter1d(up, smooth / STEP, axis=0, mode="nearest")
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    left = np.array([1.0, 0.0, 0.0]) - up * up[:, :1]
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return line, np.stack([left, np.cross(up, left), up], axis=2)
