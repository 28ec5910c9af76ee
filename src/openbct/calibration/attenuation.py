"""What tissues should read in CT, from tabulated attenuation: the physics under phantomless calibration."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from ..records import Mark, Mineral, Reference


@cache
def load_table(name: str) -> dict[str, Any]:
    """Return a data file of the package as plain tables."""
    return tomllib.loads(resources.files("openbct").joinpath("data", name).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Tissue:
    """A reference tissue: what it is made of and what it must read."""

    name: str
    density: float
    """[g/cm³]"""
    mixture: dict[str, float]
    """Materials of the attenuation table and their shares by mass."""
    spread: float
    """One standard deviation of its true HU among people [HU]."""
    gate: tuple[float, float]
    """A measured mean outside is not this tissue [HU]."""
    reference: Reference


@cache
def load_tissues() -> dict[str, Tissue]:
    """Return the reference tissues by name."""
    return {
        name: Tissue(
            name=name,
            density=entry["density_g_cm3"],
            mixture=entry["mixture"],
            spread=entry["spread_hu"],
            gate=(entry["gate_hu"][0], entry["gate_hu"][1]),
            reference=Reference(entry["source"], _mark(entry["mark"])),
        )
        for name, entry in load_table("phantomless.toml")["tissue"].items()
    }


def attenuation_reference() -> Reference:
    """Return where the attenuation coefficients come from."""
    table = load_table("attenuation.toml")
    return Reference(table["source"], _mark(table["mark"]))


def mass_attenuation(material: str, energy: float) -> float:
    """Return μ/ρ [cm²/g] at a photon energy [keV], interpolated log-log in the table.

    Raises
    ------
    ValueError
        The energy lies outside the table.
    """
    table = load_table("attenuation.toml")
    grid = np.asarray(table["energy_kev"], dtype=float)
    if not grid[0] <= energy <= grid[-1]:
        raise ValueError(f"energy {energy} keV lies outside the table, {grid[0]:g} to {grid[-1]:g} keV")
    values = np.asarray(table["cm2_per_g"][material], dtype=float)
    return float(np.exp(np.interp(np.log(energy), np.log(grid), np.log(values))))


def expected_hu(tissue: Tissue, energy: float) -> float:
    """Return what a tissue reads at a photon energy [HU]: 1000 (μ − μ_water) / μ_water."""
    share = sum(tissue.mixture.values())
    mixed = sum(part * mass_attenuation(material, energy) for material, part in tissue.mixture.items()) / share
    return 1000.0 * (tissue.density * mixed / mass_attenuation("water", energy) - 1.0)


def hu_per_mineral(mineral: Mineral, energy: float) -> float:
    """Return the rise in HU per mg/cm³ of mineral in water at a photon energy [keV].

    The mineral attenuates more, and takes the place of some water.
    """
    displaced = float(load_table("attenuation.toml")["displaced_water"][mineral])
    return mass_attenuation(mineral, energy) / mass_attenuation("water", energy) - displaced


def effective_energy(kvp: float | None, water_cm: float | None = None) -> tuple[float, float]:
    """Return the effective energy inside the body for a tube voltage, and its standard deviation [keV].

    Parameters
    ----------
    water_cm
        What the body is worth in water along a central ray; ``None`` for an adult's usual.

    An unknown voltage is taken as 120 kVp with a wider spread. Voltages and bodies outside the table get its nearest value.
    """
    table, beam = load_table("effective_energy.toml"), load_table("phantomless.toml")["beam"]
    water = float(beam["usual_water_cm"]) if water_cm is None else water_cm
    column = [float(np.interp(water, table["water_cm"], row)) for row in table["energy_kev"]]
    spread = float(beam["spread_kev"] if kvp is not None else beam["spread_unknown_kev"])
    return float(np.interp(120.0 if kvp is None else kvp, table["kvp"], column)), spread


def _mark(text: str) -> Mark:
    marks: tuple[Mark, ...] = ("seen", "code", "computed", "recalled", "design")
    return next(mark for mark in marks if mark == text)
