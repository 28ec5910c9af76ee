"""Make ``src/openbct/data/ray_spectra.toml``: the spectra with which rays that pass bone are corrected.

Run by hand; needs ``spekpy`` (MIT) and ``xraylib`` (BSD), which OpenBCT itself does not::

    python tools/make_ray_spectra.py > src/openbct/data/ray_spectra.toml

Tube, filter and detector are those of ``tools/make_effective_energy.py``; no image goes into it. Bins of some keV stand for the spectrum: their
attenuation is weighed by the signal behind 20 cm of water, where readings count.
"""

from __future__ import annotations

import sys

import numpy as np
from make_effective_energy import SCINTILLATOR_CM, SCINTILLATOR_DENSITY, SOURCE, VOLTAGES, attenuation, spectrum

BIN_KEV = 5.0
BEHIND_CM = 20.0
APATITE = "Ca10P6O26H2"


def bins(kvp: float) -> dict[str, list[float]]:
    """Return share of the signal without a body, and mass attenuation of water and apatite [cm²/g], of each bin."""
    energies, photons, _ = spectrum(kvp)
    signal = photons * energies * (1.0 - np.exp(-attenuation("Gd2O2S", energies) * SCINTILLATOR_DENSITY * SCINTILLATOR_CM))
    water, apatite = attenuation("H2O", energies), attenuation(APATITE, energies)
    behind = signal * np.exp(-water * BEHIND_CM)
    number = ((energies - energies[0]) / BIN_KEV).astype(int)

    def per_bin(values: np.ndarray) -> np.ndarray:
        return np.bincount(number, values)

    share = per_bin(signal) / signal.sum()
    return {
        "share": [round(float(value), 6) for value in share],
        "water": [round(float(value), 5) for value in per_bin(behind * water) / per_bin(behind)],
        "apatite": [round(float(value), 5) for value in per_bin(behind * apatite) / per_bin(behind)],
    }


def main() -> None:
    """Write the table to standard output."""
    import spekpy
    import xraylib

    source = SOURCE.format(spekpy=spekpy.__version__, xraylib=xraylib.__version__)
    sys.stdout.write(
        "# Spectra of a CT beam in bins: share of the detected signal without a body, mass attenuation of water and apatite [cm2/g].\n"
        f'# Made by tools/make_ray_spectra.py; no image went into it.\nsource = "{source}"\nmark = "computed"\n'
    )
    for kvp in VOLTAGES:
        sys.stdout.write(f"\n[{kvp}]\n")
        for name, values in bins(kvp).items():
            sys.stdout.write(f"{name} = [{', '.join(f'{value:g}' for value in values)}]\n")


if __name__ == "__main__":
    main()
