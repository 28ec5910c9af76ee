"""Movement between slices: how far the picture of a bone jumps sideways from one slice to the next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..acquisition import rule
from ..records import BoneMask, Check
from ..volume import Volume, bounding_box, offset_in
from .checks import check

Array = np.ndarray
MARGIN_MM = 30.0
"""Around the bone: its neighbourhood moves with it, and outweighs what changes its shape from slice to slice [mm] [D]."""
WINDOW_HU = (-150.0, 300.0)
"""Fat, muscle and bone; metal and gas would outweigh them [HU] [D]."""
NEIGHBOURS = 4
"""Slices before and after that tell the course of the anatomy [D]."""
ROUNDS = 6
"""Of moving a slice back, for jumps wider than edges are [D]."""
STILL_MM, STILL_SLICES = 1.0, 0.7
"""A still scan shows less than this, or than this share of the slice distance: at 3 mm real and simulated ones show up to 0.53 [C]."""


def check_motion(image: Volume, bones: Mapping[str, BoneMask]) -> list[Check]:
    """Return the largest jump at each bone; none where the slices are too few."""
    found = []
    for name, bone in bones.items():
        jump, still = jump_at(image, bone), max(STILL_MM, STILL_SLICES * float(image.spacing[2]))
        if jump is not None:
            said = (
                f"The picture of the bone jumps sideways by {jump:.1f} mm between two slices, more than the {still:.1f} mm of still scans: the "
                f"patient moved, or slices of two scans were joined; {rule('motion').effect()}."
            )
            found.append(check("motion", jump / still, said, name))
    return found


def jump_at(image: Volume, bone: BoneMask) -> float | None:
    """Return the largest jump between neighbouring slices of a bone, off the course of its neighbours [mm]."""
    start = offset_in(bone.mask, image)
    lower, upper = (edge + start for edge in bounding_box(bone.mask, MARGIN_MM))
    lower, upper = np.maximum(lower, 0), np.minimum(upper, image.shape)
    box = np.clip(image.array[lower[0] : upper[0], lower[1] : upper[1], lower[2] : upper[2]], *WINDOW_HU).astype(np.float32)
    if box.shape[2] < 2 * NEIGHBOURS + 2 or min(box.shape[:2]) < 8:
        return None
    shifts = np.array([_shift(box[:, :, k], box[:, :, k + 1], image.spacing) for k in range(box.shape[2] - 1)])
    jumps = [
        float(np.linalg.norm(shifts[k] - np.median(shifts[max(0, k - NEIGHBOURS) : k + NEIGHBOURS + 1], axis=0)))
        for k in range(1, len(shifts) - 1)
    ]
    return max(jumps, default=None)


def _shift(before: Float[Array, "i j"], after: Float[Array, "i j"], spacing: Float[Array, "3"]) -> Float[Array, "2"]:
    """Return the sideways shift from one slice to the next [mm]; where it is more than half a voxel, the slice is moved back and asked again."""
    total = np.zeros(2)
    moved = after
    for _ in range(ROUNDS):
        step = _small_shift(before, moved, spacing)
        total += step
        if np.all(np.abs(step) < 0.5 * spacing[:2]):
            break
        moved = ndimage.shift(after, -total / spacing[:2], order=1, mode="nearest")
    return total


def _small_shift(before: Float[Array, "i j"], after: Float[Array, "i j"], spacing: Float[Array, "3"]) -> Float[Array, "2"]:
    """Return a shift of less than the width of edges by least squares on the mean gradient [mm]."""
    middle, change = (before + after) / 2, after - before
    gx, gy = np.gradient(middle, float(spacing[0]), float(spacing[1]))
    a, b, c = float((gx * gx).sum()), float((gx * gy).sum()), float((gy * gy).sum())
    right = -np.array([float((gx * change).sum()), float((gy * change).sum())])
    matrix = np.array([[a, b], [b, c]])
    return np.linalg.solve(matrix, right) if np.linalg.det(matrix) > 1e-6 * max(a, c, 1.0) ** 2 else np.zeros(2)
