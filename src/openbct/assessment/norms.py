"""Z-scores of the spine: against people of the same age, sex and population, from a table of norms that was seen."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from ..errors import SettingsError
from ..records import Patient, Reference
from .eligibility import known_age
from .rules import reference_of


def populations() -> tuple[str, ...]:
    """Return the populations of the table."""
    return tuple(_table()["F"])


def z_score(value: float, patient: Patient, population: str | None) -> float | None:
    """Return how many deviations a lumbar trabecular density [mg/cm³] lies from that of the patient's peers.

    ``None`` without a population, a sex or an age, and outside the ages of the table: nothing is extrapolated.

    Raises
    ------
    SettingsError
        The table has no such population.
    """
    if population is None:
        return None
    if population not in populations():
        raise SettingsError(f"found the population {population!r}, expected one of {', '.join(populations())}; change it")
    age, ages = known_age(patient), _table()["ages"]
    if patient.sex not in ("F", "M") or age is None or not ages[0] <= age < ages[-1]:
        return None
    row = sum(age >= start for start in ages[1:])
    norm = _table()[patient.sex][population]
    return float(round((value - norm["mean"][row]) / norm["sd"][row], 1) + 0.0)


def norm_reference() -> Reference:
    """Return where the norms come from."""
    return reference_of(_table())


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("openbct").joinpath("data", "norms_spine.toml").read_text(encoding="utf-8"))
