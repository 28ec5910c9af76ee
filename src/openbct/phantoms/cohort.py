"""A cohort of simulated persons: age, size, density and geometry drawn from published distributions.

Spine density is drawn from the MESA community norms, the density of the femoral neck from NHANES III, both by sex and age; what
the femur's drawing must be for that areal density is read off a relation that was made with the drawing itself (:data:`NECK_ABMD`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from ..errors import SettingsError
from .body import DRAWN_HEIGHT_CM
from .column import Fracture
from .persons import Person

Sex = Literal["F", "M"]

MESA_AGES = (47.0, 52.0, 57.0, 62.0, 67.0, 72.0, 77.0, 82.5)
MESA: Mapping[Sex, tuple[tuple[float, ...], tuple[float, ...]]] = MappingProxyType(
    {
        "F": ((139.2, 131.3, 114.0, 115.1, 103.6, 91.8, 75.4, 74.8), (39.2, 26.4, 27.8, 29.5, 30.4, 33.4, 21.8, 24.5)),
        "M": ((133.6, 135.3, 123.9, 115.1, 105.1, 105.8, 90.3, 79.6), (25.4, 31.6, 25.6, 32.1, 28.7, 30.6, 29.0, 34.2)),
    }
)
"""Lumbar trabecular density of white participants, mean and deviation by the middle of each age group [mg/cm³] (Li et al., Acad Radiol 20(5),
2013 [S]); the mineral unit was not seen and is taken for that of our readings."""
NHANES_AGES = (25.0, 35.0, 45.0, 55.0, 65.0, 75.0, 85.0)
NHANES: Mapping[Sex, tuple[tuple[float, ...], tuple[float, ...]]] = MappingProxyType(
    {
        "F": ((0.858, 0.825, 0.791, 0.737, 0.681, 0.619, 0.573), (0.120, 0.120, 0.125, 0.121, 0.119, 0.110, 0.108)),
        "M": ((0.934, 0.887, 0.857, 0.827, 0.799, 0.767, 0.708), (0.137, 0.128, 0.125, 0.125, 0.126, 0.127, 0.128)),
    }
)
"""Areal density of the femoral neck, white persons, mean and deviation by decade [g/cm²] (Looker et al., Osteoporos Int 8:468, 1998; women
from a public data file [SC], men recalled [R])."""
SIZES: Mapping[Sex, tuple[float, float, float, float]] = MappingProxyType(
    {"F": (161.0, 6.5, 27.5, 5.0), "M": (175.0, 7.0, 28.0, 4.5)}
)
"""Height, its deviation [cm], body-mass index, its deviation [kg/m²]: of older US adults [R]."""
CORRELATION = 0.5
"""Of spine and hip density, as deviations from the mean of their age [R]."""
GEOMETRY: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "neck_shaft_angle_deg": (127.0, 5.0, 114.0, 140.0),
        "anteversion_deg": (13.0, 8.0, -8.0, 35.0),
        "neck_width": (1.0, 0.06, 0.85, 1.18),
        "joint_space": (4.0, 0.7, 1.8, 5.8),
    }
)
"""Mean, deviation and limits: of the order of published morphometry [R]; limits are what can be drawn [D]."""
CORTEX_SHARE = 0.5
"""Exponent with which cortical thickness follows the hip's density: half of a change is cortical [D]."""
FRACTURE_RATE = (0.01, 0.08)
"""Chance of one fractured vertebra at 50 and at 80 [R, of the order of prevalences], twice that below 80 mg/cm³ [D]."""
SCOLIOSIS_CHANCE = 0.15
"""Of a curve of 10 to 30 degrees [R]."""

MOST_SEED = 2**31 - 1
"""Of a cohort: those of its persons are 100 000 times that, and still whole numbers everywhere."""

NECK_ABMD: tuple[tuple[float, ...], tuple[float, ...]] = (
    (0.25, 0.5, 0.75, 1.0, 1.3, 1.7, 2.2),
    (0.3338, 0.5091, 0.6556, 0.7854, 0.9269, 1.098, 1.2914),
)
"""Factor on the femur's densities, its cortices following, and the areal density of the drawn neck from the true density
[g/cm²] [C]; computed again by its test."""


def spine_density(sex: Sex, age: float, deviations: float) -> float:
    """Return lumbar trabecular density at an age, a number of deviations from the mean [mg/cm³]."""
    mean, spread = MESA[sex]
    return float(np.interp(age, MESA_AGES, mean) + deviations * np.interp(age, MESA_AGES, spread))


def neck_density(sex: Sex, age: float, deviations: float) -> float:
    """Return the areal density of the femoral neck [g/cm²]."""
    mean, spread = NHANES[sex]
    return float(np.interp(age, NHANES_AGES, mean) + deviations * np.interp(age, NHANES_AGES, spread))


def hip_factor(abmd: float, size: float) -> float:
    """Return the factor on the drawn densities that gives an areal density of the neck [g/cm²]; a larger body projects more."""
    factors, known = NECK_ABMD
    return float(np.interp(abmd / size, known, factors))


def cohort(n: int, *, seed: int = 0, women: float = 0.5, ages: tuple[float, float] = (50.0, 85.0)) -> Iterator[Person]:
    """Yield ``n`` persons; the same seed gives the same ones, whatever ``n``.

    Parameters
    ----------
    women
        Their share.
    ages
        Limits between which ages are even.

    Raises
    ------
    SettingsError
        A number, share or range that makes no cohort.
    """
    if not 0 <= seed <= MOST_SEED:
        raise SettingsError(f"found the seed {seed} of a cohort, expected 0 to {MOST_SEED}; change it")
    if not 1 <= n <= 100_000 or not 0 <= women <= 1 or not 20 <= ages[0] <= ages[1] <= 100:
        raise SettingsError(
            f"found {n} persons, {women:g} women, ages {ages[0]:g} to {ages[1]:g}; expected 1 to 100 000, 0 to 1, and rising ages within 20 to 100"
        )
    for number in range(n):
        yield _person(np.random.default_rng([seed, number]), seed * 100_000 + number, women, ages)


def _person(generator: np.random.Generator, own_seed: int, women: float, ages: tuple[float, float]) -> Person:
    sex: Sex = "F" if generator.uniform() < women else "M"
    age = float(np.round(generator.uniform(*ages), 1))
    mean, spread, index, index_spread = SIZES[sex]
    height = float(np.clip(np.round(generator.normal(mean, spread)), 140, 200))
    weight = float(np.clip(np.round(generator.normal(index, index_spread) * (height / 100) ** 2), 38, 160))
    common = generator.normal()
    spine = float(np.clip(spine_density(sex, age, _mixed(generator, common)), 10.0, 320.0))
    neck = float(np.clip(neck_density(sex, age, _mixed(generator, common)), 0.35, 1.5))
    factor = hip_factor(neck, height / DRAWN_HEIGHT_CM)
    shape = {name: float(np.clip(generator.normal(m, s), low, high)) for name, (m, s, low, high) in GEOMETRY.items()}
    chance = float(np.interp(age, (50, 80), FRACTURE_RATE)) * (2.0 if spine < 80 else 1.0)
    fractures: dict[str, Fracture] = {}
    if generator.uniform() < chance:
        kind = ("wedge", "biconcave", "crush")[generator.integers(3)]
        level = ("T11", "T12", "L1", "L2", "L3", "L4")[generator.integers(6)]
        fractures[level] = Fracture(kind, float(np.round(generator.uniform(0.2, 0.5), 2)))  # type: ignore[arg-type]
    curve = (
        float(np.round(generator.uniform(10, 30) * generator.choice([-1, 1]))) if generator.uniform() < SCOLIOSIS_CHANCE else 0.0
    )
    return Person(
        sex=sex, age=age, height_cm=height, weight_kg=weight, trabecular_density=round(spine, 1), hip_density=round(factor, 3),
        cortex=round(float(np.clip(factor**CORTEX_SHARE, 0.4, 1.8)), 3), cobb_deg=curve, fractures=fractures, seed=own_seed,
        neck_shaft_angle_deg=round(shape["neck_shaft_angle_deg"], 2), anteversion_deg=round(shape["anteversion_deg"], 2),
        neck_width=round(shape["neck_width"], 3), joint_space=round(shape["joint_space"], 2),
    )  # fmt: skip


def _mixed(generator: np.random.Generator, common: float) -> float:
    """Return a deviate that shares ``common`` with others, so that their correlation is :data:`CORRELATION`."""
    return float(np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * generator.normal())
