"""What of a number's uncertainty two scans of one person do not share."""

from __future__ import annotations

import math

from ..visits import VisitBone
from .tables import repeat, site_of

CANCELS = "edge"
"""Source that is the same at both dates where the same regions were measured."""
OF_THE_TEST = ("model", "alignment", "edge", "solver")
"""Sources of a strength that the scatter of the test between two scans stands for."""


def independent_sd(bone: VisitBone, quantity: str, *, carried: bool) -> float | None:
    """Return one standard deviation, in the quantity's unit, of what differs between two scans of one person; ``None`` where unknown.

    What one calibration, recipe and bone do at both dates cancels in a change; with regions that were carried over, the edge of the mask too.
    """
    budget = bone.budgets.get(quantity)
    if budget is None:
        return None
    if quantity == "strength":
        parts = [part.own_sd for part in budget.parts if part.source not in OF_THE_TEST]
        return math.hypot(repeat(site_of(bone.bone)) * budget.value, *parts)
    return math.hypot(*(part.own_sd for part in budget.parts if not (carried and part.source == CANCELS)))
