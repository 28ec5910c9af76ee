"""The six rigid motions of a body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def rigid_modes(points: FloatArray) -> FloatArray:
    """The six rigid motions at some points ``(n 3)``: three translations, three rotations ``(n 3 6)``."""
    modes = np.zeros((len(points), 3, 6))
    modes[:, :, :3] = np.eye(3)
    x, y, z = points.T
    modes[:, 1, 3], modes[:, 2, 3] = -z, y
    modes[:, 0, 4], modes[:, 2, 4] = z, -x
    modes[:, 0, 5], modes[:, 1, 5] = -y, x
    return modes


def mean_motion(points: FloatArray, u: FloatArray, free: FloatArray) -> FloatArray:
    """The part of a displacement ``(n 3)`` that is a rigid motion out of the span of ``free`` ``(6 modes)``, by least squares.

    ``points`` are centred on their mean.
    """
    second, product = points.T @ points, points.T @ u
    gram = np.zeros((6, 6))
    gram[:3, :3] = len(points) * np.eye(3)
    gram[3:, 3:] = np.trace(second) * np.eye(3) - second
    turned = [product[1, 2] - product[2, 1], product[2, 0] - product[0, 2], product[0, 1] - product[1, 0]]
    moved = np.concatenate([u.sum(axis=0), turned])
    return np.asarray(free @ np.linalg.solve(free.T @ gram @ free, free.T @ moved))


def less_motion(points: FloatArray, u: FloatArray, motion: FloatArray) -> FloatArray:
    """A displacement less a rigid motion (three translations, three rotations)."""
    a, b, c = motion[3:]
    out = points @ np.array([[0.0, c, -b], [-c, 0.0, a], [b, -a, 0.0]])
    np.subtract(u, out, out=out)
    out -= motion[:3]
    return np.asarray(out)
