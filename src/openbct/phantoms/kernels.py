"""Reconstruction kernels of the simulated scanner: how sharp the image is, and how its noise is made of frequencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

Array = np.ndarray
FWHM = 2.3548
"""Full width at half maximum of a Gaussian over its deviation."""


@dataclass(frozen=True)
class Kernel:
    """A point spread in the plane: a Gaussian, or a narrow one less some of a wide one, which overshoots at edges."""

    fwhm: float
    """Of the Gaussian, or of the narrow one [mm]."""
    boost: float = 0.0
    """Weight of the wide Gaussian that is taken off [-]."""
    wide_fwhm: float = 0.0
    """[mm]"""
    name: str = "STANDARD"
    """As the header of the image calls it."""

    def transfer(self, frequency: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the modulation transfer at frequencies [1/mm]; 1 at zero."""
        narrow = np.exp(-2 * (np.pi * self.fwhm / FWHM * frequency) ** 2)
        wide = np.exp(-2 * (np.pi * self.wide_fwhm / FWHM * frequency) ** 2)
        return np.asarray((1 + self.boost) * narrow - self.boost * wide)

    @property
    def noise_integral(self) -> float:
        """Integral of squared frequency times squared transfer [1/mm³].

        Pixels too coarse for the kernel fold its high frequencies back: they change the grain of noise, not its strength.
        """
        frequency = np.linspace(0.0, 4.0, 4001)
        return float(2 * np.trapezoid((frequency * self.transfer(frequency)) ** 2, frequency))

    @property
    def half(self) -> float:
        """Frequency of half modulation [1/mm]."""
        frequency = np.linspace(0.0, 3.0, 3001)
        return float(frequency[np.flatnonzero(self.transfer(frequency) >= 0.5)[-1]])


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "soft": Kernel(1.5, name="SOFT"),
        "standard": Kernel(1.1, name="STANDARD"),
        "sharp": Kernel(0.75, 0.7, 1.8, name="BONE"),
    }
)
"""Half modulation at 0.29, 0.40 and 0.82 per mm: of the order of abdominal smooth, abdominal standard and bone kernels [R]; the
numbers are ours [D]."""
