"""Strength over age in a cohort, by one recipe: the mean and the spread that a person's strength is held against.

The line is that of least squares over one point for each person; nothing is read outside the ages of the cohort.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .reference_building import Observation
from .strength_reference import SITES, StrengthNorm

FEWEST = 40
"""Persons of one site and sex with an age [design]: as for thresholds."""


def build_norms(persons: Sequence[Observation]) -> tuple[StrengthNorm, ...]:
    """Return the norm of every site and sex that the cohort is large enough for."""
    sexes: tuple[Literal["F", "M"], ...] = ("F", "M")
    found = []
    for site in SITES:
        for sex in sexes:
            mine = [(one.age, one.strength) for one in persons if (one.site, one.sex) == (site, sex) and one.age is not None]
            age, strength = (np.array(column) for column in zip(*mine)) if mine else (np.zeros(0), np.zeros(0))
            if len(mine) < FEWEST or np.ptp(age) <= 0:
                continue
            slope, at_zero = np.polyfit(age, strength, 1)
            residual = strength - (at_zero + slope * age)
            sd = float(np.sqrt((residual**2).sum() / (len(mine) - 2)))
            low, high = (float(end) for end in np.quantile(age, (0.025, 0.975)))
            norm = StrengthNorm(site, sex, low, high, float(at_zero + 70.0 * slope), float(slope), sd, len(mine))
            if sd > 0 and min(norm.mean(low), norm.mean(high)) > 0:
                found.append(norm)
    return tuple(found)
