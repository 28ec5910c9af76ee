"""Simulated lower ribs: enough to look right beside the liver and the last thoracic vertebrae."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np

from .canvas import Bone, BoneField
from .shapes import Coordinates, Field, cone, union

_RIBS: dict[str, tuple[tuple[tuple[float, float, float], ...], float]] = {
    "10": (((20.0, 56.0, 372.0), (62.0, 74.0, 356.0), (112.0, 40.0, 322.0), (128.0, -10.0, 296.0), (112.0, -58.0, 282.0)), 5.0),
    "11": (((20.0, 50.0, 342.0), (58.0, 72.0, 326.0), (104.0, 48.0, 296.0), (120.0, 12.0, 276.0)), 4.6),
    "12": (((20.0, 44.0, 312.0), (52.0, 66.0, 300.0), (84.0, 60.0, 278.0)), 4.0),
}
"""Points along the left rib and its radius [mm], placed by eye in the abdominal wall [D]."""
_CORTEX, _COMPACT, _CANCELLOUS = 1.0, 800.0, 110.0
"""[mm] and [mg/cm³] [D]."""


def rib(number: str, side: str) -> Bone:
    """Return rib ``"10"``, ``"11"`` or ``"12"`` as the canvas paints it."""
    knots, _ = _RIBS[number]
    table = np.array(knots)
    lower, upper = table.min(axis=0) - 8, table.max(axis=0) + 8
    if side == "right":
        lower[0], upper[0] = -upper[0], -lower[0]
    distance = partial(_distance, number=number, sign=1 if side == "left" else -1)

    def field(points: Coordinates) -> BoneField:
        outer = distance(points)
        values = (np.full_like(outer, value) for value in (_CORTEX, _COMPACT, _CANCELLOUS))
        shell, compact, cancellous = values
        return BoneField(outer, shell, compact, cancellous, outer)

    low, high = (float(lower[0]), float(lower[1]), float(lower[2])), (float(upper[0]), float(upper[1]), float(upper[2]))
    return Bone(field, distance, low, high, 0.5)


def _distance(points: Coordinates, number: str, sign: int) -> Field:
    knots, radius = _RIBS[number]
    # Ribs are taller than thick.
    squeezed = (points[0] * np.float32(sign), points[1], points[2] / np.float32(1.3))
    chain = [cone(squeezed, (a[0], a[1], a[2] / 1.3), (b[0], b[1], b[2] / 1.3), radius) for a, b in pairwise(knots)]
    whole = chain[0]
    for piece in chain[1:]:
        whole = union(whole, piece, 3.0)
    return whole
