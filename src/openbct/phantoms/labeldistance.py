"""Smooth signed distances to the surfaces of a label map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage, special

from ..errors import SettingsError
from .shapes import Coordinates, Field

Array = np.ndarray

MARGIN_MM = 10.0
"""Around each label, within which its distance is known [D]."""
REACH = 1.5
"""Deviations of the Gaussian within which the smoothed label tells the distance; beyond, it is measured from there [D]."""


@dataclass(frozen=True)
class LabelDistance:
    """Signed distance to the surface of a label, known on its own voxels and interpolated between them [mm]."""

    values: Float[Array, "i j k"]
    start: Float[Array, "3"]
    spacing: Float[Array, "3"]

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Corners of the box within which it is known [mm]."""
        return self.start - self.spacing / 2, self.start + self.spacing * (np.array(self.values.shape) - 0.5)

    def __call__(self, points: Coordinates) -> Field:
        """Return the distance at some points."""
        full = np.broadcast_arrays(*points)
        index = np.array([(value - s) / step for value, s, step in zip(full, self.start, self.spacing)], dtype=np.float32)
        found = np.asarray(ndimage.map_coordinates(self.values, index, order=1, mode="nearest"))
        # Beyond the box of known values the distance to that box comes on top; half a voxel is still the label map's own.
        beyond = np.zeros(found.shape, dtype=np.float32)
        for i, n, step in zip(index, self.values.shape, self.spacing):
            beyond += (np.maximum(np.maximum(-0.5 - i, i - n + 0.5), 0) * np.float32(step)) ** 2
        return np.asarray(found + np.sqrt(beyond), dtype=np.float32)


def label_distance(name: str, mask: Bool[Array, "i j k"], affine: Float[Array, "4 4"], smoothing: float) -> LabelDistance:
    """Return the distance to a mask whose axes are those of the patient.

    A mask blurred by a Gaussian is, near a flat face, the normal distribution of the distance to it over the Gaussian's deviation;
    that gives the face below the size of a voxel.

    Parameters
    ----------
    smoothing
        Deviation of the Gaussian over the longest edge of a voxel.

    Raises
    ------
    SettingsError
        A structure so thin that smoothing removes it.
    """
    spacing = np.diag(affine)[:3].copy()
    sigma = smoothing * float(spacing.max())
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        raise SettingsError(f"found no voxels of {name}, expected some; leave it out")
    pads = np.ceil((MARGIN_MM + 2 * sigma) / spacing).astype(int)
    wide = tuple(slice(max(part.start - pad, 0), part.stop + pad) for part, pad in zip(boxes[0], pads))
    inside = mask[wide]
    share = ndimage.gaussian_filter(inside.astype(np.float32), sigma / spacing, mode="nearest")
    if share.max() <= 0.5:
        raise SettingsError(
            f"found {name} nowhere thicker than about {1.35 * sigma:.1f} mm, expected more to be left by smoothing; lower the smoothing"
        )
    near = np.abs(share - 0.5) < special.ndtr(REACH) - 0.5
    start = affine[:3, 3] + spacing * [part.start for part in wide]
    if not near.any():
        # The mask fills its grid: there is no surface.
        return LabelDistance(np.full(inside.shape, np.float32(-MARGIN_MM)), start, spacing)
    known = np.where(near, -sigma * special.ndtri(np.where(near, share, 0.5)), 0).astype(np.float32)
    away, nearest = ndimage.distance_transform_edt(~near, sampling=spacing, return_indices=True)
    values = known[tuple(nearest)] + np.where(share > 0.5, -away, away)
    return LabelDistance(values.astype(np.float32), start, spacing)
