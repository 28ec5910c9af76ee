"""The six rigid motions of a body."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbct.fe.jit import kernel

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


@kernel()
def sum_motion(points: Any, centre: Any, scale: Any, u: Any, gram: Any, moved: Any) -> None:
    """Gram matrix of the six rigid motions over all nodes, and their products with a displacement; both come in as zeros."""
    for n in range(points.shape[0]):
        x = (points[n, 0] - centre[0]) * scale[0]
        y = (points[n, 1] - centre[1]) * scale[1]
        z = (points[n, 2] - centre[2]) * scale[2]
        moved[0] += u[n, 0]
        moved[1] += u[n, 1]
        moved[2] += u[n, 2]
        moved[3] += y * u[n, 2] - z * u[n, 1]
        moved[4] += z * u[n, 0] - x * u[n, 2]
        moved[5] += x * u[n, 1] - y * u[n, 0]
        gram[3, 3] += y * y + z * z
        gram[4, 4] += x * x + z * z
        gram[5, 5] += x * x + y * y
        gram[3, 4] -= x * y
        gram[3, 5] -= x * z
        gram[4, 5] -= y * z
    for a in range(3):
        gram[a, a] = points.shape[0]
        for b in range(a):
            gram[3 + a, 3 + b] = gram[3 + b, 3 + a]


@kernel()
def take_off_motion(points: Any, centre: Any, scale: Any, motion: Any, fixed: Any, u: Any) -> None:
    """Take a rigid motion (:func:`rigid_modes`) off a displacement, but not off its fixed degrees of freedom."""
    for n in range(points.shape[0]):
        x = (points[n, 0] - centre[0]) * scale[0]
        y = (points[n, 1] - centre[1]) * scale[1]
        z = (points[n, 2] - centre[2]) * scale[2]
        if not fixed[n, 0]:
            u[n, 0] -= motion[0] + motion[4] * z - motion[5] * y
        if not fixed[n, 1]:
            u[n, 1] -= motion[1] + motion[5] * x - motion[3] * z
        if not fixed[n, 2]:
            u[n, 2] -= motion[2] + motion[3] * y - motion[4] * x
