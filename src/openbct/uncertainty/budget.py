"""Parts to a budget: the sum, and the 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..records import ErrorBudget, ErrorPart

Z95 = 1.96
"""Deviations of a normal distribution that hold 95 % of it."""


def combined(value: float, unit: str, parts: Iterable[ErrorPart], unknown: Iterable[str] = ()) -> ErrorBudget:
    """Return the budget of a number: parts added in the square, interval symmetric about the value."""
    kept = tuple(parts)
    sd, own = (math.sqrt(sum(one**2 for one in column)) for column in ([p.sd for p in kept], [p.own_sd for p in kept]))
    return ErrorBudget(value, unit, sd, own, (value - Z95 * sd, value + Z95 * sd), kept, tuple(unknown))
