"""Make ``src/openbct/data/effective_energy.toml``: what energy a scanner's beam acts like inside a body.

Run by hand; needs ``spekpy`` (MIT) and ``xraylib`` (BSD), which OpenBCT itself does not::

    python tools/make_effective_energy.py > src/openbct/data/effective_energy.toml

First principles, without a look at any image: a tungsten spectrum behind the filter of the radiation quality RQT 9, which IEC 61267
defines for CT; as much water as the body is thick; a detector that weighs photons by the energy that gadolinium oxysulphide takes up.
The effective energy is that of a single line in which K2HPO4 attenuates as much more than water as it does in that beam.
"""

from __future__ import annotations

import sys

import numpy as np
import spekpy
import xraylib

ANODE_DEG = 10.0
"""Between the 7 and 12 degrees of CT tubes [recalled]; it moves no energy by more than 0.3 keV [computed]."""
ALUMINIUM_MM, COPPER_MM = 3.1, 0.25
"""Copper of RQT 9 [recalled]; the aluminium with which the half-value layer at 120 kV is the 8.4 mm that RQT 9 must have [seen]. With the copper
of RQT 8 and RQT 10 (0.20 and 0.30 mm [recalled]) their 6.9 and 10.1 mm [seen] ask for 3.0 and 3.2 mm of aluminium [computed]."""
SCINTILLATOR_CM, SCINTILLATOR_DENSITY = 0.14, 7.34
"""Gd2O2S, thickness recalled; a detector that takes up all energy moves nothing below 130 kV by more than 0.9 keV [computed]."""
VOLTAGES = range(70, 151, 10)
WATER_CM = range(15, 46, 5)
SOURCE = (
    "spectra of SpekPy {spekpy} (Poludniowski G et al. Med Phys 48:3630, 2021), attenuation of xraylib {xraylib}, filter of RQT 9: half-value "
    "layer 8.4 mm Al at 120 kV (IEC 61267:2005)"
)


def attenuation(formula: str, energies: np.ndarray) -> np.ndarray:
    """Return mass attenuation [cm²/g] at energies [keV]."""
    return np.array([xraylib.CS_Total_CP(formula, float(energy)) for energy in energies])


def spectrum(kvp: float, aluminium: float = ALUMINIUM_MM, copper: float = COPPER_MM) -> tuple[np.ndarray, np.ndarray, float]:
    """Return energies [keV], photons, and the half-value layer [mm Al]."""
    beam = spekpy.Spek(kvp=float(kvp), th=ANODE_DEG, dk=1.0)
    beam.filter("Al", aluminium)
    if copper:
        beam.filter("Cu", copper)
    energies, photons = beam.get_spectrum()
    kept = energies > 15.0
    return energies[kept], photons[kept], float(beam.get_hvl1())


def effective(energies: np.ndarray, photons: np.ndarray, water: float) -> float:
    """Return the effective energy [keV] behind ``water`` [cm]."""
    mu_water, salt = attenuation("H2O", energies), attenuation("K2HPO4", energies)
    taken = 1.0 - np.exp(-attenuation("Gd2O2S", energies) * SCINTILLATOR_DENSITY * SCINTILLATOR_CM)
    weights = photons * energies * taken * np.exp(-mu_water * water)
    lines = np.arange(40.0, 110.0, 0.1)
    ratio = attenuation("K2HPO4", lines) / attenuation("H2O", lines)
    return float(np.interp(-(weights @ salt) / (weights @ mu_water), -ratio, lines))


def main() -> None:
    """Write the table to standard output."""
    source = SOURCE.format(spekpy=spekpy.__version__, xraylib=xraylib.__version__)
    rows = []
    for kvp in VOLTAGES:
        energies, photons, layer = spectrum(kvp)
        values = ", ".join(f"{effective(energies, photons, water):.1f}" for water in WATER_CM)
        rows.append(f"    [{values}],  # {kvp} kV, half-value layer {layer:.1f} mm Al")
    others = [
        f"#   {name}: " + ", ".join(f"{effective(*spectrum(kvp, al, cu)[:2], 25.0):.1f}" for kvp in (80, 100, 120, 140))
        for name, al, cu in (("7 mm Al alone", 7.0, 0.0), ("12 mm Al alone", 12.0, 0.0), ("3.1 mm Al, 0.4 mm Cu", 3.1, 0.4))
    ]
    sys.stdout.write(
        "# Effective energy of a CT beam inside a body, by tube voltage and by the water that the body is worth.\n"
        "# Made by tools/make_effective_energy.py; no image went into it.\n"
        "# The same at 80, 100, 120, 140 kV behind 25 cm, with other filters:\n" + "\n".join(others) + "\n"
        f'source = "{source}"\nmark = "computed"\n'
        f"kvp = [{', '.join(f'{kvp}.0' for kvp in VOLTAGES)}]\nwater_cm = [{', '.join(f'{water}.0' for water in WATER_CM)}]\n"
        "energy_kev = [\n" + "\n".join(rows) + "\n]\n"
    )


if __name__ == "__main__":
    main()
