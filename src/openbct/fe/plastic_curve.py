"""Numbers read off a force-travel curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openbct.errors import ModelError

FloatArray = NDArray[np.float64]


def _checked(curve: FloatArray) -> FloatArray:
    """The curve, if it is one."""
    points = np.asarray(curve, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or points.shape[0] < 2 or not np.isfinite(points).all():
        raise ModelError(f"curve has the shape {points.shape}; expected at least two finite rows of travel [mm] and force [N].")
    if not np.all(np.diff(points[:, 0]) > 0):
        raise ModelError("the travels of the curve do not rise; expected strictly increasing travels.")
    return points


def force_at(curve: FloatArray, travel: float) -> float:
    """Force at a travel, linear between the points of the curve [N].

    Raises
    ------
    ModelError
        The curve does not reach the travel.
    """
    points = _checked(curve)
    low, high = points[0, 0], points[-1, 0]
    slack = 1e-9 * (high - low)
    if not low - slack <= travel <= high + slack:
        raise ModelError(
            f"the curve runs from {low:g} to {high:g} mm of travel, but the force at {travel:g} mm was asked for; "
            "load the model that far."
        )
    return float(np.interp(travel, points[:, 0], points[:, 1]))


def offset_yield(curve: FloatArray, offset: float, gauge: float) -> float:
    """Force where the curve crosses its initial slope shifted by ``offset * gauge`` millimetres [N].

    Parameters
    ----------
    curve
        Travel [mm] and force [N], rising travel; its first two points give the initial slope.
    offset
        Offset strain, 0.002 for the 0.2 % rule [-].
    gauge
        Length that the strain refers to [mm].

    Returns
    -------
    float
        nan where the curve never crosses the line: the body did not yield in the range of the curve.
    """
    points = _checked(curve)
    if not (offset >= 0.0 and gauge > 0.0 and np.isfinite(offset * gauge)):
        raise ModelError(
            f"offset is {offset:g} and gauge is {gauge:g} mm; expected an offset of at least 0 and a positive gauge."
        )
    travel, force = points[:, 0], points[:, 1]
    slope = (force[1] - force[0]) / (travel[1] - travel[0])
    gap = force - force[0] - slope * (travel - travel[0] - offset * gauge)
    below = np.flatnonzero(gap < 0.0)
    if slope <= 0.0 or below.size == 0 or below[0] == 0:
        return float("nan")
    after = int(below[0])
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(force[after - 1] + share * (force[after] - force[after - 1]))
