"""Make ``src/openbct/phantoms/attenuation.csv``: mass attenuation of the elements that the simulator needs.

Run by hand when an element or an energy is missing; needs ``xraylib`` (BSD), which OpenBCT itself does not::

    python tools/make_attenuation_table.py > src/openbct/phantoms/attenuation.csv
"""

from __future__ import annotations

import sys

import xraylib

ELEMENTS = ("H", "C", "N", "O", "Na", "Mg", "Al", "P", "S", "Cl", "K", "Ca", "Ti", "Fe", "Cu", "I", "Ba", "Gd", "W")
ENERGIES = range(10, 151)
"""[keV]"""


def main() -> None:
    """Write the table to standard output."""
    lines = [
        "# Total mass attenuation coefficient with coherent scattering [cm2/g], by element, computed with xraylib "
        f"{xraylib.__version__} (CS_Total) by tools/make_attenuation_table.py",
        "energy_kev," + ",".join(ELEMENTS),
    ]
    for energy in ENERGIES:
        values = (xraylib.CS_Total(xraylib.SymbolToAtomicNumber(symbol), float(energy)) for symbol in ELEMENTS)
        lines.append(f"{energy}," + ",".join(f"{value:.5g}" for value in values))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
