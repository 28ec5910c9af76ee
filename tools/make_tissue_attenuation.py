"""Make ``src/openbct/data/attenuation.toml``: mass attenuation of the reference tissues and minerals of phantomless calibration.

Run by hand; needs ``xraylib`` (BSD), which OpenBCT itself does not::

    python tools/make_tissue_attenuation.py > src/openbct/data/attenuation.toml

``tests/test_calibration.py`` holds the table against NIST's values. Compositions are those of ICRU Report 44 as NIST prints them, in percent by mass.
"""

from __future__ import annotations

import sys

import xraylib

COMPOSITIONS: dict[str, dict[str, float]] = {
    "adipose": {"H": 11.4, "C": 59.8, "N": 0.7, "O": 27.8, "Na": 0.1, "S": 0.1, "Cl": 0.1},
    "air": {"C": 0.0124, "N": 75.5268, "O": 23.1781, "Ar": 1.2827},
    "blood": {"H": 10.2, "C": 11.0, "N": 3.3, "O": 74.5, "Na": 0.1, "P": 0.1, "S": 0.2, "Cl": 0.3, "K": 0.2, "Fe": 0.1},
    "cortical_bone": {"H": 3.4, "C": 15.5, "N": 4.2, "O": 43.5, "Na": 0.1, "Mg": 0.2, "P": 10.3, "S": 0.3, "Ca": 22.5},
    "muscle": {"H": 10.2, "C": 14.3, "N": 3.4, "O": 71.0, "Na": 0.1, "P": 0.2, "S": 0.3, "Cl": 0.1, "K": 0.4},
    "iodine": {"I": 100.0},
}
FORMULAE = {"K2HPO4": "K2HPO4", "CHA": "Ca10P6O26H2", "triglyceride": "C55H98O6", "water": "H2O"}
ENERGIES = (*range(40, 101, 5), *range(110, 151, 10))
"""[keV]; an exponent is all but constant between neighbours, no edge lies between."""


def mixture(parts: dict[str, float], energy: float) -> float:
    """Return mass attenuation [cm²/g] of a mixture of elements."""
    total = sum(parts.values())
    return sum(part * xraylib.CS_Total(xraylib.SymbolToAtomicNumber(name), energy) for name, part in parts.items()) / total


def main() -> None:
    """Write the table to standard output."""
    lines = [
        "# Mass attenuation coefficients [cm2/g] at photon energies [keV]; interpolated log-log between the rows.",
        "# Made by tools/make_tissue_attenuation.py; held against NIST's tables by tests/test_calibration.py.",
        "# Tissues: ICRU Report 44 composition; compounds by formula (triglyceride C55H98O6, CHA Ca10(PO4)6(OH)2).",
        f'source = "xraylib {xraylib.__version__} (Schoonjans T et al. Spectrochim Acta B 66:776, 2011), tissues of ICRU Report 44"',
        'mark = "computed"',
        "",
        f"energy_kev    = [{', '.join(f'{energy:7.1f}' for energy in ENERGIES)}]",
        "[cm2_per_g]",
    ]
    for name in sorted({*COMPOSITIONS, *FORMULAE}):
        values = (
            mixture(COMPOSITIONS[name], float(energy))
            if name in COMPOSITIONS
            else xraylib.CS_Total_CP(FORMULAE[name], float(energy))
            for energy in ENERGIES
        )
        lines.append(f"{name:13} = [{', '.join(f'{value:7.5f}' for value in values)}]")
    lines += [
        "",
        "[displaced_water]",
        "# cm3 of water that one gram of the mineral takes the place of.",
        "K2HPO4 = 0.2174      # Mindways QCT PRO manual v5.0, as quoted in Ogo's documentation [seen]",
        "CHA    = 0.316857    # 1 / 3.156 g/cm3 [computed]",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
