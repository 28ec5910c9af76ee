"""One check: a measured value held against the limits of its rule."""

from __future__ import annotations

from ..acquisition import rule
from ..records import Check, Status


def check(key: str, value: float, said: str, bone: str | None = None, *, below: bool = False) -> Check:
    """Return the outcome of a rule for a value.

    Parameters
    ----------
    said
        What was found and what it does, for a caution or a refusal.
    below
        The rule doubts low values.
    """
    asked = rule(key)
    outcome: Status = "ok"
    for name, limit in (("caution", asked.caution), ("refused", asked.refused)):
        if limit is not None and (value < limit if below else value > limit):
            outcome = "caution" if name == "caution" else "refused"
    return Check(key, outcome, bone, float(value), asked.unit, said if outcome != "ok" else "")
