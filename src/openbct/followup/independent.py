"""What of a number's uncertainty two scans of one person do not share."""

from __future__ import annotations

from ..records import Measure, StrengthResult


def independent_sd(value: Measure | StrengthResult) -> float | None:
    """Return one standard deviation, in the value's unit, of what differs between two scans of one person; ``None`` where unknown.

    What the same calibration, recipe and bone do at both dates cancels in a change.
    """
    found: float | None = getattr(value, "independent", None)
    return found
