"""The X-ray beam of the simulated scanner, and the HU that it gives to a tissue.

A tungsten spectrum by Kramers' law with its K lines, filtered by aluminium and weighed by an energy-integrating scintillator.
The body is drawn in one effective beam, hardened by a fixed length of water: its weights do not depend on the place, so HU are
linear in volume fractions. What the real path of each ray does beyond that is added by :mod:`openbct.phantoms.rays`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from jaxtyping import Float

from ..errors import SettingsError
from .tissues import TISSUES, Tissue, from_formula

Array = np.ndarray

ALUMINIUM_MM = 11.0
"""Filtration of tube, housing and shaped filter at the centre of the fan, aluminium equivalent [D]: the half-value layer at 120 kVp
is then 8.0 mm [C], of 7 to 9 mm that CT scanners have [R]; with it a 200 mg/cm³ apatite rod in a thorax phantom stands 284 HU
above water, as in the public scan of one (280 HU) [C]."""
BODY_CM = 25.0
"""Water that hardens the effective beam: between the depth and the width of a slim trunk [D]."""
ANODE_MM = 0.010
"""Depth at which photons arise in the tungsten, seen along the exit path [D]: softens Kramers' low energies."""
SCINTILLATOR_MM = 1.4
"""Gadolinium oxysulfide of a CT detector [R]."""
K_LINES = ((59.3, 0.50), (58.0, 0.29), (67.2, 0.15), (69.1, 0.06))
"""Tungsten lines: energy [keV] and share among them [R]."""
K_EDGE_KEV = 69.5
K_SHARE = 0.10
"""Photons in K lines over continuum photons at 120 kVp after filtration [R], zero at the edge."""
DISPLACED_WATER = 0.22
"""Water that dissolved K2HPO4 displaces [cm³/g]: apparent specific volume near 0.1 g/cm³ [R]."""


@dataclass(frozen=True)
class Beam:
    """Energies and normalised weights with which the scanner averages attenuation."""

    kvp: float
    energies: Float[Array, " energies"]
    """[keV]"""
    weights: Float[Array, " energies"]
    """Sum to one."""

    def hounsfield(self, tissue: str | Tissue) -> float:
        """Return the HU that a homogeneous tissue has in this beam."""
        material = TISSUES[tissue] if isinstance(tissue, str) else tissue
        water = float(self.weights @ linear_attenuation(TISSUES["water"], self.energies))
        return 1000.0 * (float(self.weights @ linear_attenuation(material, self.energies)) / water - 1.0)

    def relative(self, substance: str) -> float:
        """Return the attenuation of 1 mg/cm³ of a substance, that of water being 1."""
        material = TISSUES[substance]
        water = float(self.weights @ linear_attenuation(TISSUES["water"], self.energies))
        return float(self.weights @ linear_attenuation(material, self.energies)) / (1000.0 * material.density * water)

    @property
    def water(self) -> float:
        """Attenuation of water [1/mm]."""
        return float(self.weights @ linear_attenuation(TISSUES["water"], self.energies)) / 10.0

    @property
    def mean_energy(self) -> float:
        """Mean of the weights [keV]."""
        return float(self.weights @ self.energies)

    @property
    def phosphate_slope(self) -> float:
        """HU per mg/cm³ of K2HPO4 in water, as a line through rods of 0 to 200 mg/cm³ in this beam reads it."""
        rods = np.array([0.0, 50.0, 100.0, 200.0])
        readings = [self.hounsfield(phosphate_solution(rod)) for rod in rods]
        return float(np.polyfit(rods, readings, 1)[0])

    @property
    def apatite_slope(self) -> float:
        """HU per mg/cm³ of hydroxyapatite that displaces water by its own volume."""
        grain = TISSUES["hydroxyapatite"]
        return self.hounsfield(grain) / (1000.0 * grain.density)


@cache
def attenuation_table() -> tuple[Float[Array, " energies"], dict[str, Float[Array, " energies"]]]:
    """Return energies [keV] and mass attenuation [cm²/g] by element, from the packaged table."""
    text = resources.files(__package__).joinpath("attenuation.csv").read_text(encoding="ascii")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = lines[0].split(",")
    values = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    return values[:, 0], {name: values[:, column] for column, name in enumerate(names) if column > 0}


def linear_attenuation(tissue: Tissue, energies: Float[Array, " energies"]) -> Float[Array, " energies"]:
    """Return the linear attenuation of a tissue [1/cm] at energies [keV], log-log between the table's rows."""
    grid, elements = attenuation_table()
    mass = sum(
        fraction * np.exp(np.interp(np.log(energies), np.log(grid), np.log(elements[symbol])))
        for symbol, fraction in tissue.fractions.items()
    )
    return np.asarray(tissue.density * mass)


def phosphate_solution(concentration: float) -> Tissue:
    """Return aqueous K2HPO4 at a concentration [mg/cm³]."""
    salt = from_formula({"K": 2, "H": 1, "P": 1, "O": 4}, 1.0).fractions
    grams = concentration / 1000.0
    water = 1.0 - DISPLACED_WATER * grams
    density = grams + water
    fractions = {symbol: share * water / density for symbol, share in TISSUES["water"].fractions.items()}
    for symbol, share in salt.items():
        fractions[symbol] = fractions.get(symbol, 0.0) + share * grams / density
    return Tissue(fractions, density)


@cache
def scanner_beam(kvp: float = 120.0, water_cm: float = BODY_CM) -> Beam:
    """Return the effective beam of a scanner at a tube voltage, behind ``water_cm`` of patient.

    Raises
    ------
    SettingsError
        A voltage outside 70 to 150 kV or a negative length.
    """
    if not 70.0 <= kvp <= 150.0 or not water_cm >= 0:
        raise SettingsError(f"found {kvp} kVp behind {water_cm} cm of water, expected 70 to 150 kVp and 0 cm or more")
    energies, weights = detected(kvp)
    weights = weights * np.exp(-linear_attenuation(TISSUES["water"], energies) * water_cm)
    return Beam(kvp, energies, weights / weights.sum())


@cache
def detected(kvp: float) -> tuple[Float[Array, " energies"], Float[Array, " energies"]]:
    """Return energies [keV] and the signal that each leaves in the detector without a body, per charge of the tube.

    The unit is arbitrary, but the same at all voltages: the sums are to each other as the tube's yields.

    References
    ----------
    Kramers, Philos Mag 46:836 (1923): photons per energy and charge fall as (E0 - E) / E.
    """
    energies = np.arange(10.5, kvp, 1.0)
    photons = (kvp - energies) / energies
    photons *= np.exp(-linear_attenuation(TISSUES["tungsten"], energies) * ANODE_MM / 10.0)
    photons *= np.exp(-linear_attenuation(TISSUES["aluminium"], energies) * ALUMINIUM_MM / 10.0)
    if kvp > K_EDGE_KEV:
        # Overvoltage law with the exponent 1.63 for K ionisation, scaled to K_SHARE at 120 kVp.
        lines = K_SHARE * photons.sum() * ((kvp / K_EDGE_KEV - 1.0) / (120.0 / K_EDGE_KEV - 1.0)) ** 1.63
        for energy, share in K_LINES:
            photons[np.argmin(np.abs(energies - energy))] += share * lines
    scintillator = TISSUES["gadolinium_oxysulfide"]
    absorbed = 1.0 - np.exp(-linear_attenuation(scintillator, energies) * SCINTILLATOR_MM / 10.0)
    return energies, photons * energies * absorbed
