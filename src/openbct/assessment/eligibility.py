"""Who may get a T-score and a class: adults of 50 years and over whose sex and age are known."""

from __future__ import annotations

from ..records import Patient
from .rules import thresholds


def barrier(patient: Patient) -> str | None:
    """Return why this patient may get no T-score and no class; ``None`` where both may be given."""
    youngest = float(thresholds()["eligibility"]["youngest_years"])
    age = known_age(patient)
    unknown = [] if patient.sex in ("F", "M") else ["sex"]
    if age is None or unknown:
        unknown += ["age"] if age is None else []
        return f"no class: {' and '.join(unknown)} unknown"
    if age < 18.0:
        return "no class: classes are for adults, children get numbers only"
    if age < youngest:
        return f"no class: the age used is {age:g}, classes apply from {youngest:g} years"
    return None


def known_age(patient: Patient) -> float | None:
    """Return an age that a person can have."""
    return patient.age if patient.age is not None and 0.0 <= patient.age <= 120.0 else None
