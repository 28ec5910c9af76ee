"""How often hips break, and people die, by age and sex: one table of a population, the packaged one or a user's."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, get_args

import numpy as np

from .errors import SettingsError
from .records import Mark, Reference

PACKAGED = "us-white-2006"
SEXES = ("F", "M")
HIGHEST = 200.0
"""Hip fractures by 1000 persons and year, above which a table is in another unit [design]: 35 at 95 years is the most that was seen."""


@dataclass(frozen=True)
class Rates:
    """One number by age and sex."""

    ages: tuple[float, ...]
    """[years]"""
    values: Mapping[str, tuple[float, ...]]
    """``"F"``, ``"M"``."""
    reference: Reference


@dataclass(frozen=True)
class Incidence:
    """A population."""

    population: str
    fractures: Rates
    """Hip fractures by 1000 persons and year; each value holds from its age on, the last is open."""
    counted: Mapping[str, tuple[float, ...]]
    """Fractures that each rate rests on; empty where the table does not say."""
    mortality: Rates | None
    """Chance of dying within the year at each age, joined by lines of its logarithm."""

    def rate(self, sex: str, age: float) -> float:
        """Return hip fractures by person and year at an age."""
        return self.fractures.values[sex][self._row(age)] / 1000.0

    def relative_sd(self, sex: str, age: float) -> float:
        """Return the relative standard deviation of that rate, from the number of fractures; 0 where it is not known."""
        counted = self.counted.get(sex)
        return 1.0 / math.sqrt(counted[self._row(age)]) if counted else 0.0

    def dying(self, sex: str, age: float) -> float:
        """Return the chance of dying within the year at an age; 0 where the table holds none."""
        if self.mortality is None:
            return 0.0
        return float(np.exp(np.interp(age, self.mortality.ages, np.log(self.mortality.values[sex]))))

    def _row(self, age: float) -> int:
        return max(int(np.searchsorted(self.fractures.ages, age, side="right")) - 1, 0)


def packaged_incidence(name: str = PACKAGED) -> Incidence:
    """Return a table of the package.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    tables = hip_fracture_data()["tables"]
    if name not in tables:
        raise SettingsError(f"found the incidence table {name!r}, expected one of {', '.join(tables)} or a file ending in .toml")
    return incidence_from(tables[name])


@cache
def hip_fracture_data() -> Mapping[str, Any]:
    """Return ``data/hip_fracture.toml``."""
    text = resources.files("openbct").joinpath("data", "hip_fracture.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def incidence_from(table: Mapping[str, Any]) -> Incidence:
    """Return a population from its plain table.

    Raises
    ------
    SettingsError
        A key is missing, an age does not rise, a number is none or is in another unit.
    """
    try:
        fractures = _rates(table, "hip fractures", 0.0, HIGHEST)
        mortality = _rates(table["mortality"], "mortality", 1e-9, 1.0) if "mortality" in table else None
        population = " ".join(str(table["population"]).split())
        counted = {sex: tuple(float(n) for n in table[f"counted_{sex}"]) for sex in SEXES if f"counted_{sex}" in table}
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"found an incidence table that is not whole ({type(error).__name__}: {error}), expected population, source, mark, ages, F and M as in "
            "data/hip_fracture.toml"
        ) from error
    for numbers in counted.values():
        if len(numbers) != len(fractures.ages) or min(numbers) < 1:
            raise SettingsError("found counts of fractures that do not belong to the ages, expected one of at least 1 for each")
    return Incidence(population, fractures, counted, mortality)


def _rates(table: Mapping[str, Any], what: str, low: float, high: float) -> Rates:
    ages = tuple(float(age) for age in table["ages"])
    values = {sex: tuple(float(value) for value in table[sex]) for sex in SEXES}
    mark = str(table["mark"])
    if mark not in get_args(Mark):
        raise SettingsError(f"found the mark {mark!r} in the table of {what}, expected one of {', '.join(get_args(Mark))}")
    if not ages or list(ages) != sorted(set(ages)):
        raise SettingsError(f"found ages {list(ages)} in the table of {what}, expected rising ones")
    for sex, row in values.items():
        if len(row) != len(ages) or not all(math.isfinite(value) and low <= value <= high for value in row):
            raise SettingsError(
                f"found {what} of {sex} {list(row)}, expected one number for each age between {low:g} and {high:g}"
            )
    return Rates(ages, values, Reference(_words(table["source"]), mark))  # type: ignore[arg-type]


def _words(value: Sequence[str] | str) -> str:
    text = " ".join(str(value).split())
    if not text:
        raise SettingsError("found an incidence table without a source, expected one: no number rests on nobody's word")
    return text
