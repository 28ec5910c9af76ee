"""From losses of height to Genant's grade and shape, and the chances of the grades."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from ..records import Reference

LIMITS = (0.20, 0.25, 0.40)
"""Loss of height from which a fracture is mild, moderate, severe [-]: 20 to 25, 25 to 40, more than 40 % [seen]."""
GENANT = Reference(
    "Genant's semiquantitative grades as tabulated in a later review (J Thorac Dis) and by the ACR/RSNA Common Data Elements project: loss of front, "
    "middle or back height of 20 to 25 % is grade 1, of 25 to 40 % grade 2, of more than 40 % grade 3",
    "seen",
)
SHAPES = Reference("Shapes of vertebral fractures: wedge (front), biconcave (middle), crush (back or the whole body)", "recalled")
Shape = Literal["wedge", "biconcave", "crush"]
CRUSHED, CRUSHED_SHARE = 0.15, 0.6
"""Loss at the back from which a fracture is a crush, if it is at least this share of the greatest loss [D]."""


def grade_of(loss: float, limits: tuple[float, ...] = LIMITS) -> int:
    """Return Genant's grade of a loss of height."""
    return sum(1 for limit in limits if loss >= limit)


def shape_of(losses: Mapping[str, float]) -> Shape:
    """Return the shape of a fracture."""
    greatest = max(losses.values())
    if losses["posterior"] >= max(CRUSHED, CRUSHED_SHARE * greatest):
        return "crush"
    return "biconcave" if losses["middle"] > losses["anterior"] else "wedge"


def chances_of(loss: float, deviation: float, limits: tuple[float, ...] = LIMITS) -> tuple[float, float, float, float]:
    """Return the chances of the grades 0 to 3 of a loss that is known to within a standard deviation."""
    above = [0.5 * math.erfc((limit - loss) / (deviation * math.sqrt(2.0))) for limit in limits]
    return (1.0 - above[0], above[0] - above[1], above[1] - above[2], above[2])
