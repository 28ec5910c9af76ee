"""Z-scores: against people of the same age, sex and population, from tables of norms whose source was seen."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from ..errors import SettingsError
from ..records import Patient, Reference
from .eligibility import known_age
from .rules import reference_of

SPINE = "trabecular_vbmd"


def populations() -> tuple[str, ...]:
    """Return the populations of the tables."""
    return tuple(_tables()[SPINE]["F"])


def z_score(value: float, patient: Patient, population: str | None, quantity: str = SPINE) -> float | None:
    """Return how many deviations a density lies from that of the patient's peers.

    Parameters
    ----------
    value
        Lumbar trabecular density [mg/cm³], or areal density of the hip on the scale of the T-scores [g/cm²].
    quantity
        ``"trabecular_vbmd"``, ``"femoral_neck_abmd"``, ``"total_hip_abmd"``.

    ``None`` without a population, a sex or an age, where the table has no such row, and outside its ages: nothing is extrapolated.

    Raises
    ------
    SettingsError
        No table has such a population.
    """
    if population is None:
        return None
    if population not in populations():
        raise SettingsError(f"found the population {population!r}, expected one of {', '.join(populations())}; change it")
    table, age = _tables()[quantity], known_age(patient)
    norm, ages = table.get(patient.sex or "", {}).get(population), table["ages"]
    if norm is None or age is None or not ages[0] <= age < ages[-1]:
        return None
    row = sum(age >= start for start in ages[1:])
    return float(round((value - norm["mean"][row]) / norm["sd"][row], 1) + 0.0)


def norm_reference(quantity: str) -> Reference:
    """Return where the norms of a quantity come from."""
    return reference_of(_tables()[quantity])


@cache
def _tables() -> Mapping[str, Any]:
    spine, hip = (
        tomllib.loads(resources.files("openbct").joinpath("data", name).read_text(encoding="utf-8"))
        for name in ("norms_spine.toml", "norms_hip.toml")
    )
    return {SPINE: spine, **hip}
