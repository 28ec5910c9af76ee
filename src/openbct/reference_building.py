"""From a cohort to a strength reference: at which newtons of a recipe do people stand whose density is at a threshold?

For each site and sex, strength is regressed on density by least squares, one point for each person, and the line is read at the two density thresholds::

      N |            . ..        normal_n   = line at T -1.0 or 120 mg/cm3
        |       . __.-'          fragile_n  = line at T -2.5 or  80 mg/cm3
        |   __.-'. .             the intervals are those of the line, not of single persons
        |.-'. .
        +------|-----|---- T or mg/cm3

Nothing is extrapolated: where too few persons lie on either side of a threshold there is no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from .errors import InputError
from .records import Array
from .strength_reference import SITES, MappedThresholds, Site

CUTS: Mapping[Site, tuple[float, float]] = {"femur": (-2.5, -1.0), "vertebra": (80.0, 120.0)}
"""Density thresholds that strengths are read at: T of the hip, trabecular density of the spine [mg/cm³] (Keaveny 2020 [S])."""
UNITS: Mapping[Site, str] = {"femur": "T", "vertebra": "mg/cm³"}
FEWEST = 40
"""Persons of one site and sex [D]."""
BEYOND = 5
"""Persons at or beyond each threshold, so that neither is read outside the cohort [D]."""
WIDEST = 0.10
"""Half of the 95 % interval of the mean strength at a threshold, over that strength, at most [D]: a tenth is what scanners add to it."""
BENT = 0.05
"""Difference between a line and a parabola at a threshold, over the strength, from which a significant bend is told [D]."""


@dataclass(frozen=True)
class Observation:
    """One person's strength and density at one site."""

    site: Site
    sex: str
    strength: float
    """Femur: lowest of both sides. Vertebra: mean of the usable levels [N]."""
    density: float
    """Femur: lowest hip T-score. Vertebra: mean trabecular density of the same levels [mg/cm³]."""
    age: float | None = None
    """[years]"""


@dataclass(frozen=True)
class Built:
    """What a cohort gave."""

    thresholds: tuple[MappedThresholds, ...]
    refused: tuple[str, ...]
    """Sites and sexes without a row, with the reason."""
    cautions: tuple[str, ...]


def build_thresholds(observations: Sequence[Observation]) -> Built:
    """Return the thresholds of every site and sex that the cohort is large enough for.

    Raises
    ------
    InputError
        It is large enough for none.
    """
    rows: list[MappedThresholds] = []
    refused: list[str] = []
    cautions: list[str] = []
    for site in SITES:
        for sex in ("F", "M"):
            mine = [one for one in observations if (one.site, one.sex) == (site, sex)]
            if not mine:
                continue
            words = f"{site}, {'women' if sex == 'F' else 'men'}"
            density, strength = np.array([one.density for one in mine]), np.array([one.strength for one in mine])
            doubt = _too_few(density, CUTS[site], UNITS[site])
            row = None if doubt else _row(site, sex, density, strength)
            doubt = doubt or _too_wide(row)
            if doubt or row is None:
                refused.append(f"{words}: {doubt}")
                continue
            rows.append(row)
            cautions += [f"{words}: {text}" for text in _bend(density, strength, row)]
    if not rows:
        raise InputError(
            f"found no site and sex that can be mapped ({'; '.join(refused) or 'no person with sex, strength and density'}); take a larger cohort that "
            "spans the thresholds"
        )
    return Built(tuple(rows), tuple(refused), tuple(cautions))


def _too_few(density: Float[Array, " n"], cuts: tuple[float, float], unit: str) -> str:
    """Return why persons are too few; empty where they are not."""
    if len(density) < FEWEST:
        return f"found {len(density)} persons, expected at least {FEWEST}"
    below, above = int((density <= cuts[0]).sum()), int((density >= cuts[1]).sum())
    if below < BEYOND or above < BEYOND:
        return (
            f"found {below} persons at or below {cuts[0]:g} {unit} and {above} at or above {cuts[1]:g}, expected at least {BEYOND} of each: a threshold is "
            "not read outside the cohort"
        )
    return ""


def _too_wide(row: MappedThresholds | None) -> str:
    """Return why thresholds are too unsure; empty where they are not."""
    if row is None:
        return ""
    for name, value, (low, high) in (("fragile", row.fragile_n, row.fragile_95_n), ("normal", row.normal_n, row.normal_95_n)):
        if value <= 0 or (high - low) / 2 > WIDEST * value:
            return f"found the {name} threshold {value:.0f} N with a 95 % interval of {low:.0f} to {high:.0f} N, expected one within {100 * WIDEST:.0f} % of it"
    if row.fragile_95_n[1] >= row.normal_95_n[0]:
        return (
            f"found thresholds of {row.fragile_n:.0f} and {row.normal_n:.0f} N whose 95 % intervals meet, expected strength to rise with density; the cohort "
            "does not tell them apart"
        )
    return ""


def _row(site: Site, sex: str, density: Float[Array, " n"], strength: Float[Array, " n"]) -> MappedThresholds:
    line = stats.linregress(density, strength)
    n = len(density)
    residual = strength - (line.intercept + line.slope * density)
    spread = float(np.sqrt((residual**2).sum() / (n - 2)))
    reach = float(stats.t.ppf(0.975, n - 2)) * spread
    scatter = float(((density - density.mean()) ** 2).sum())
    found = []
    for cut in CUTS[site]:
        mean = float(line.intercept + line.slope * cut)
        half = reach * float(np.sqrt(1 / n + (cut - density.mean()) ** 2 / scatter))
        found.append((mean, (mean - half, mean + half)))
    (fragile, fragile_95), (normal, normal_95) = found
    return MappedThresholds(
        site, "F" if sex == "F" else "M", fragile, fragile_95, normal, normal_95, n, float(line.rvalue**2), spread
    )


def _bend(density: Float[Array, " n"], strength: Float[Array, " n"], row: MappedThresholds) -> list[str]:
    """Return a caution where strength over density is no line, and what that is worth at the thresholds."""
    centred = density - density.mean()
    terms = np.stack([np.ones_like(centred), centred, centred**2], axis=1)
    fit, *_ = np.linalg.lstsq(terms, strength, rcond=None)
    residual = strength - terms @ fit
    variance = float((residual**2).sum()) / (len(density) - 3)
    error = float(np.sqrt(variance * np.linalg.inv(terms.T @ terms)[2, 2]))
    if error <= 0 or abs(fit[2]) / error < float(stats.t.ppf(0.995, len(density) - 3)):
        return []
    at = np.array(CUTS[row.site]) - density.mean()
    curved = fit[0] + fit[1] * at + fit[2] * at**2
    off = [float(value / line - 1) for value, line in zip(curved, (row.fragile_n, row.normal_n))]
    if max(map(abs, off)) < BENT:
        return []
    return [
        f"strength over density is bent (p < 0.01): a parabola has {100 * off[0]:+.0f} % at the fragile and {100 * off[1]:+.0f} % at the normal threshold; the "
        "line was used."
    ]


__all__ = ["Built", "Observation", "build_thresholds"]
