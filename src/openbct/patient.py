"""Who the patient is, when the header and the user both speak: the user wins, and a contradiction is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .errors import SettingsError
from .records import Patient

RANGES = {"age": (0.0, 120.0), "height_cm": (40.0, 230.0), "weight_kg": (2.0, 350.0)}
DXA_SITES = {"femoral_neck": "femoral neck", "total_hip": "total hip", "lumbar_spine": "lumbar spine"}
DXA_RANGE = (-8.0, 6.0)
"""Beyond these a value is a typing error, not a person [design]."""
TOLERANCE = {"age": 1.0, "height_cm": 5.0, "weight_kg": 10.0}
"""Differences between header and user that are no contradiction: birthdays, shoes, an old measurement [design]."""
NO_DXA: Mapping[str, float] = {}
WORDS = {"age": "age [years]", "height_cm": "height [cm]", "weight_kg": "weight [kg]", "sex": "sex"}


def combine(
    header: Patient,
    *,
    sex: str | None,
    age: float | None,
    height_cm: float | None,
    weight_kg: float | None,
    dxa_t: Mapping[str, float] = NO_DXA,
) -> tuple[Patient, tuple[str, ...]]:
    """Return the patient as known from both, and a caution for each contradiction.

    Raises
    ------
    SettingsError
        A value that the user gave is none of a person.
    """
    given: dict[str, Any] = {"sex": _sex(sex), "age": age, "height_cm": height_cm, "weight_kg": weight_kg}
    cautions: list[str] = []
    changes: dict[str, Any] = {}
    sources = dict(header.sources)
    for field, value in given.items():
        if value is None:
            continue
        if field in RANGES and not RANGES[field][0] <= value <= RANGES[field][1]:
            low, high = RANGES[field]
            raise SettingsError(f"found {WORDS[field]} = {value:g}, expected {low:g} to {high:g}; check the number and its unit")
        known = getattr(header, field)
        differs = known is not None and (abs(known - value) > TOLERANCE[field] if field in TOLERANCE else known != value)
        if differs:
            word, _, unit = WORDS[field].rstrip("]").partition(" [")
            shown = [f"{v:g} {unit}" if isinstance(v, float | int) else str(v) for v in (known, value)]
            cautions.append(
                f"The image header says {word} {shown[0]}, the user {shown[1]}; the user's was used: make sure that scan and patient belong together."
            )
        changes[field] = value
        sources[field] = "user"
    return replace(header, sources=sources, dxa_t={**header.dxa_t, **_dxa(dxa_t)}, **changes), tuple(cautions)


def _dxa(given: Mapping[str, float]) -> dict[str, float]:
    """Return T-scores by DXA, checked."""
    low, high = DXA_RANGE
    for site, score in given.items():
        if not low <= score <= high:
            raise SettingsError(
                f"found a T-score by DXA of {score:g} for the {DXA_SITES[site]}, expected {low:g} to {high:g}; a T-score is no density"
            )
    return dict(given)


def _sex(text: str | None) -> str | None:
    if text is None:
        return None
    letter = text.strip().upper()[:1]
    if letter not in ("F", "M"):
        raise SettingsError(f"found sex {text!r}, expected F or M; leave it out where it is unknown")
    return letter
