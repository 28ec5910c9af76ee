"""The energy fit of Michalski 2020: the photon energy at which tissues' attenuation lies straightest over their HU.

From that energy each HU gets a mass attenuation and a density by two straight lines, and each voxel is split into fat and mineral. The
energy is a number of the fit and no physics: with HU of air, fat, blood, cortical bone and muscle it came to 97 keV in a published scan whose
beam cannot have been above 80. It is searched between :data:`BOUNDS`, and an end of the search refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import CalibrationError
from ..records import Array, Reference
from .attenuation import mass_attenuation

MICHALSKI_2020 = Reference("Michalski AS et al. Med Eng Phys 78:55 (2020): internal calibration on the patient's tissues", "seen")
BOUNDS = (40.0, 140.0)
"""Energies that are searched [keV]: effective energies of CT beams are 50 to 85, fitted ones up to about 100 [computed]."""
STEP = 0.5
"""[keV], as in the public code of the method [code]."""
LEAST_STRAIGHT = 0.99
"""Least squared correlation of attenuation over HU [design]."""
LEAST_RANGE = 100.0
"""Of the references [HU] [design]."""
ICRU_44 = {
    "fat": "adipose",
    "visceral fat": "adipose",
    "air": "air",
    "blood": "blood",
    "bone": "cortical_bone",
    "muscle": "muscle",
}
"""A reference to its material of the attenuation table."""

Attenuation = Callable[[str, float], float]
"""Material and energy [keV] to mass attenuation [cm²/g]."""


@dataclass(frozen=True)
class EnergyFit:
    """Two straight lines over HU, at one energy."""

    energy: float
    """[keV]"""
    straightness: float
    """Squared correlation of mass attenuation over HU [-]."""
    attenuation: tuple[float, float]
    """Mass attenuation over HU: slope and intercept [cm²/g]."""
    mass: tuple[float, float]
    """Density of mass over HU: slope and intercept [g/cm³]."""
    ends: tuple[float, float]
    """Mass attenuation of fat and of mineral, K2HPO4 [cm²/g]."""

    def mineral(self, hu: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Return K2HPO4 [mg/cm³]: what is not fat in the split of a voxel's mass; no straight line over HU."""
        over = self.attenuation[0] * hu + self.attenuation[1]
        mass = self.mass[0] * hu + self.mass[1]
        return np.asarray(1000.0 * mass * (over - self.ends[0]) / (self.ends[1] - self.ends[0]))


def fit_energy(readings: Mapping[str, float], attenuation: Attenuation = mass_attenuation) -> EnergyFit:
    """Return the fit to the mean HU of at least three references.

    Parameters
    ----------
    readings
        Names of :data:`ICRU_44` to HU.
    attenuation
        The table; the default is interpolated log-log.

    Raises
    ------
    CalibrationError
        Fewer than three references (two are straight at any energy), an energy at an end of the search, or references off any line.

    References
    ----------
    Michalski et al., Med Eng Phys 78:55 (2020), as coded in Ogo. That code searches 1 to 200 keV in a linearly interpolated table; there,
    two references gave 1.5 keV with a perfect correlation.
    """
    if len(readings) < 3:
        raise CalibrationError(
            f"found {len(readings)} references for the energy fit, expected at least 3: two lie on a line at every energy; give more tissues"
        )
    hu = np.array(list(readings.values()), dtype=float)
    if np.ptp(hu) < LEAST_RANGE:
        raise CalibrationError(
            f"found references between {hu.min():.0f} and {hu.max():.0f} HU for the energy fit, expected them at least {LEAST_RANGE:g} HU apart; "
            "check the labels"
        )
    materials = [ICRU_44[name] for name in readings]
    energies = np.arange(BOUNDS[0], BOUNDS[1] + STEP / 2, STEP)
    straight = [_correlation(hu, np.array([attenuation(name, energy) for name in materials])) for energy in energies]
    best = int(np.argmax(straight))
    energy = float(energies[best])
    if best in (0, len(energies) - 1) or straight[best] < LEAST_STRAIGHT:
        raise CalibrationError(
            f"found no energy between {BOUNDS[0]:g} and {BOUNDS[1]:g} keV at which the references' attenuation is straight over their HU (best "
            f"{energy:g} keV, squared correlation {straight[best]:.3f}), expected one inside with at least {LEAST_STRAIGHT:g}; use the tube "
            "voltage's energy instead (method 'phantomless')"
        )
    values = np.array([attenuation(name, energy) for name in materials])
    water = attenuation("water", energy)
    over, mass = np.polyfit(hu, values, 1), np.polyfit(hu, (hu / 1000.0 + 1.0) * water / values, 1)
    ends = (attenuation("triglyceride", energy), attenuation("K2HPO4", energy))
    lines = ((float(over[0]), float(over[1])), (float(mass[0]), float(mass[1])))
    return EnergyFit(energy, float(straight[best]), lines[0], lines[1], ends)


def _correlation(hu: Float[Array, " n"], values: Float[Array, " n"]) -> float:
    return float(np.corrcoef(hu, values)[0, 1] ** 2)
