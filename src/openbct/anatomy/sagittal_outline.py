"""The outline of a vertebral body in its mid-sagittal third: four corners, and both endplates between them.

The corners are those of the largest quadrilateral within the convex hull of the outline, so that a wedge, a hollow endplate or a tilt moves none
of them. Heights are read along rulings, which join the endplates at the same share of each one's length, as a reader joins six points::

      AS ──────────── PS        share 0 ─── 0.15 ─── 0.5 ─── 0.85 ─── 1
       │ ╲__    __╱   │           z          │        │        │
       │    ╲__╱      │           └─ y posterior      rulings
      AI ──────────── PI
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from ..errors import SegmentationError
from ..records import Array, Frame
from ..volume import Volume, to_index
from .endplates import Columns, points_in

STEP = 0.5
"""Distance of samples in the plane [mm] [D]."""
THIRD = 1 / 6
"""Half-width of the mid-sagittal third over the width of the body [-]."""
LINES = 7
"""Sagittal lines that the outline is the mean of [D]."""
SHARES = np.linspace(0.04, 0.96, 47)
"""Places along the endplates where rulings stand [-]."""
BEYOND = 4.0
"""How far beyond the corners' chords the body is looked for [mm] [D]."""
LONG = 0.5
"""By how much it speaks for a pair of sides that it is the longer one: endplates are longer than walls [-] [D]."""


@dataclass(frozen=True)
class Outline:
    """Both endplates in the mid-sagittal plane, in a frame's millimetres (y, z)."""

    frame: Frame
    x: float
    """Of the plane in the frame [mm]."""
    half_width: float
    """Of the strip that the outline is the mean of [mm]."""
    corners: Float[Array, "4 2"]
    """Front above, back above, back below, front below."""
    upper: Float[Array, "n 2"]
    """By :data:`SHARES`."""
    lower: Float[Array, "n 2"]

    def in_patient(self, point: Float[Array, "2"]) -> Float[Array, "3"]:
        """Return a point of the plane in patient LPS [mm]."""
        return np.asarray(self.frame.origin + self.frame.axes @ np.array([self.x, *point]))


def outline_of(mask: Volume, frame: Frame, columns: Columns) -> Outline:
    """Return the mid-sagittal outline of a body.

    Parameters
    ----------
    mask
        The body, with empty voxels about it.
    frame
        Its x says which planes are sagittal and its y where the back is; its tilt in these planes does not matter.

    Raises
    ------
    SegmentationError
        The mask is too small or too thin to have four corners.
    """
    across = columns.x[columns.footprint.any(axis=1)]
    middle, half = float(across.mean()), THIRD * float(np.ptp(across))
    local = points_in(mask, frame)
    low, high = local[:, 1:].min(axis=0) - BEYOND, local[:, 1:].max(axis=0) + BEYOND
    y, z = (np.arange(a, b, STEP) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(middle + half * np.linspace(-1, 1, LINES), y, z, indexing="ij"), axis=-1)
    index = to_index(mask.affine, grid.reshape(-1, 3) @ frame.axes.T + frame.origin).T
    share = ndimage.map_coordinates(mask.array.astype(np.float32), index, order=1, mode="constant")
    plane = share.reshape(grid.shape[:3]).mean(axis=0)
    corners = _named(_corners(plane >= 0.5, low), frame)
    upper, lower = _ends(plane, low, _between(corners[0], corners[1]), _between(corners[3], corners[2]))
    return Outline(frame, middle, half, corners, upper, lower)


def _corners(inside: Bool[Array, "ny nz"], low: Float[Array, "2"]) -> Float[Array, "4 2"]:
    """Return the corners of the largest quadrilateral within the hull of what is inside, in turn."""
    points = low + STEP * np.argwhere(inside & ~ndimage.binary_erosion(inside))
    try:
        hull = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        hull = points[:0]
    if len(hull) < 4:
        raise SegmentationError(
            "found no outline with four corners in the middle of a vertebral body, expected one; check the mask"
        )
    along = hull[None, :, :] - hull[:, None, :]
    # area[i, j, k]: twice that of the triangle on the diagonal from i to j, positive to its left
    area = along[:, :, None, 0] * along[:, None, :, 1] - along[:, :, None, 1] * along[:, None, :, 0]
    left, right = area.argmax(axis=2), area.argmin(axis=2)
    size = area.max(axis=2) - area.min(axis=2)
    i, j = np.unravel_index(int(size.argmax()), size.shape)
    found = hull[[i, right[i, j], j, left[i, j]]]
    return np.asarray(found)


def _named(corners: Float[Array, "4 2"], frame: Frame) -> Float[Array, "4 2"]:
    """Return four corners in turn as front above, back above, back below, front below: as upright as the image, and endplates the longer sides."""
    up = frame.axes[:, 1:].T @ np.array([0.0, 0.0, 1.0])
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    back = np.array([up[1], -up[0]])
    best, most = corners, -np.inf
    for way in (1, -1):
        for start in range(4):
            order = corners[(start + way * np.arange(4)) % 4]
            rise = (order[0] + order[1] - order[2] - order[3]) / 2
            run = (order[1] + order[2] - order[0] - order[3]) / 2
            if run[0] * rise[1] - run[1] * rise[0] <= 0:
                continue
            lengths = float(np.linalg.norm(run)), float(np.linalg.norm(rise))
            score = rise @ up / lengths[1] + run @ back / lengths[0] + LONG * (lengths[0] - lengths[1]) / sum(lengths)
            if score > most:
                best, most = order, score
    return np.asarray(best)


def _between(start: Float[Array, "2"], end: Float[Array, "2"]) -> Float[Array, "n 2"]:
    return np.asarray(start + SHARES[:, None] * (end - start))


def _ends(
    plane: Float[Array, "ny nz"], low: Float[Array, "2"], above: Float[Array, "n 2"], below: Float[Array, "n 2"]
) -> tuple[Float[Array, "n 2"], Float[Array, "n 2"]]:
    """Return where each ruling from one chord to the other, and some way beyond both, leaves the body above and below, to a fraction of a sample."""
    length = np.linalg.norm(above - below, axis=1)
    unit = (above - below) / np.maximum(length, 1e-6)[:, None]
    reach = np.arange(-BEYOND, float(length.max()) + BEYOND, STEP / 2)
    at = (below[:, None, :] + reach[None, :, None] * unit[:, None, :] - low) / STEP
    share = ndimage.map_coordinates(plane, np.moveaxis(at, -1, 0), order=1, mode="constant")
    share[reach[None, :] > length[:, None] + BEYOND] = 0.0
    upper = reach[0] + _last(share) * (STEP / 2)
    lower = reach[-1] - _last(share[:, ::-1]) * (STEP / 2)
    return np.asarray(below + upper[:, None] * unit), np.asarray(below + lower[:, None] * unit)


def _last(share: Float[Array, "n m"]) -> Float[Array, " n"]:
    """Return the fractional index at which each row falls below one half for the last time."""
    inside = share >= 0.5
    last = np.clip(share.shape[1] - 1 - np.argmax(inside[:, ::-1], axis=1), 0, share.shape[1] - 2)
    rows = np.arange(len(share))
    here, after = share[rows, last], share[rows, last + 1]
    return np.asarray(last + np.clip((here - 0.5) / np.maximum(here - after, 1e-6), 0.0, 1.0))
