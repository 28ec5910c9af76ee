"""What the real path of each ray does to the signal: beam hardening after the scanner's water correction, scatter and quanta.

The scanner corrects each reading as if all that it met were water; behind bone, contrast agent or metal it reads too little. A
residue of scattered radiation adds to readings behind much body. Few quanta behind much body make noise. All three follow from
the lengths of four substances along the ray: what attenuates as water does, hydroxyapatite, iodine and titanium.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .beam import Beam, detected, linear_attenuation
from .tissues import TISSUES

Array = np.ndarray

SUBSTANCES = ("water", "hydroxyapatite", "iodine", "titanium")
BIN_KEV = 4
"""Width of the energy bins that stand for the spectrum in line integrals [keV]: half of it changes no reading by more than 0.02 % [C]."""
LONGEST_MM = 900.0
"""Of water, that the correction is tabulated for [D]."""
YIELD = 1.8e6
"""Quanta that count per mm² at the axis and mAs at 120 kVp without a body [D]: a 20 cm water phantom then has about 5 HU of noise at
200 mAs, 5 mm and the standard kernel, as such phantoms have [R]."""
ELECTRONIC = 12.0
"""Noise of one reading's electronics, in quanta [D]."""
VIEWS = 1000
"""Readings per turn, over which the quanta are spread: only electronic noise depends on it [R]."""
FEWEST = 4.0
"""Quanta below which a scanner's filter for starved readings keeps them from growing noisier [D]."""


@dataclass(frozen=True)
class Rays:
    """The spectrum as rays through a body see it."""

    beam: Beam
    """The effective beam, in which the body was drawn."""
    spectrum: Float[Array, " e"]
    """Share of the signal of each bin without a body; sums to one."""
    attenuation: Float[Array, "m e"]
    """Of the substances: water [1/mm], the others [1/mm per mg/cm³]."""
    quanta: float
    """Per mm² and mAs without a body."""
    scatter: float
    """Scattered signal that the scanner's correction leaves, over the geometric mean of the primary behind the body."""

    def readings(self, lengths: Float[Array, "a d m"]) -> Float[Array, "a d"]:
        """Return the logarithmic readings, before any correction.

        ``lengths`` are integrals along rays: of water's share [mm], of the others' densities [mg/cm³ x mm].
        """
        flat = lengths.reshape(-1, lengths.shape[2])
        used = flat.any(axis=1)
        inside = flat[used].astype(np.float32)
        signal = np.zeros(inside.shape[0], dtype=np.float32)
        for share, row in zip(self.spectrum.astype(np.float32), self.attenuation.T.astype(np.float32)):
            signal += share * np.exp(-(inside @ row))
        out = np.zeros(len(flat))
        out[used] = -np.log(np.maximum(signal, np.float32(1e-12)))
        return out.reshape(lengths.shape[:2])

    def with_scatter(self, readings: Float[Array, "a d"]) -> Float[Array, "a d"]:
        """Return readings with the residue of scatter: one offset for each view."""
        if self.scatter <= 0:
            return readings
        behind = readings > 0.3
        mean = np.where(behind, readings, 0.0).sum(axis=1) / np.maximum(behind.sum(axis=1), 1)
        offset = np.where(behind.any(axis=1), self.scatter * np.exp(-mean), 0.0)
        return np.asarray(-np.log(np.exp(-readings) + offset[:, None]))

    def water_correction(self) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Return readings behind water, rising, and what the correction turns each into: length times the effective attenuation."""
        lengths = np.linspace(0.0, LONGEST_MM, 1801)
        paths = np.zeros((1, lengths.size, len(SUBSTANCES)))
        paths[0, :, 0] = lengths
        return self.readings(paths)[0], lengths * self.beam.water

    def corrected(self, readings: Float[Array, "a d"]) -> Float[Array, "a d"]:
        """Return readings after the water correction; beyond its table it goes on along its last slope."""
        known, wanted = self.water_correction()
        slope = (wanted[-1] - wanted[-2]) / (known[-1] - known[-2])
        return np.asarray(np.interp(readings, known, wanted) + slope * np.maximum(readings - known[-1], 0))

    def ideal(self, lengths: Float[Array, "a d m"]) -> Float[Array, "a d"]:
        """Return what the effective beam alone would read."""
        gain = np.array([1.0, *(self.beam.relative(name) for name in SUBSTANCES[1:])])
        return np.asarray(lengths @ gain * self.beam.water)

    def variance(self, readings: Float[Array, "a d"], dose: float) -> Float[Array, "a d"]:
        """Return the variance of corrected readings for one quantum per mm² of detector and turn, ``dose`` being mAs x mm of slice.

        Multiply by pi² and the kernel's noise integral for the variance in the image.
        """
        whole = self.quanta * dose
        counts = np.maximum(whole / VIEWS * np.exp(-readings), FEWEST)
        known, wanted = self.water_correction()
        gain = np.interp(readings, known[1:], np.diff(wanted) / np.diff(known))
        return np.asarray(gain**2 * (1.0 / counts + ELECTRONIC**2 / counts**2) / VIEWS)


def rays(beam: Beam, scatter: float) -> Rays:
    """Return the rays of a beam's tube voltage."""
    energies, signal = detected(beam.kvp)
    edges = np.arange(0, energies.size, BIN_KEV)
    total = np.add.reduceat(signal, edges)
    table = [linear_attenuation(TISSUES["water"], energies) / 10.0]
    for name in SUBSTANCES[1:]:
        tissue = TISSUES[name]
        table.append(linear_attenuation(tissue, energies) / (10.0 * 1000.0 * tissue.density))
    # Bins weigh their attenuation by the signal behind half the body, where the readings count.
    weight = signal * np.exp(-table[0] * 100.0)
    rows = [np.add.reduceat(row * weight, edges) / np.add.reduceat(weight, edges) for row in table]
    reference = detected(120.0)[1].sum()
    return Rays(beam, total / total.sum(), np.array(rows), YIELD * float(signal.sum() / reference), scatter)
