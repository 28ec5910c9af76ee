"""Densities in equal bins, as programs need them that know one material per element set; with the known slip of one of them.

Ours needs no bins: this reproduces published results that rest on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from .errors import ModelError
from .records import Array, Reference

LOWEST = -31.0
"""Densities are clipped to it before they are binned [mg/cm3] [SC]."""
WALLE_2025 = Reference(
    "Walle M, Matheson BE, Boyd SK. GigaScience giaf094 (2025): density truncated to integers, 128 bins, the next bin's material for "
    "every voxel, in the released code",
    "code",
)


@dataclass(frozen=True)
class Binning:
    """Equal bins from the least to the largest density."""

    count: int
    shift: bool = False
    """Every voxel takes the next higher bin, the highest the lowest: the slip in the released code of the benchmark."""

    def __call__(self, density: Float[Array, " n"]) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
        """Return the density of each voxel's bin [mg/cm3], and which voxels are left: those of density zero count as background.

        Raises
        ------
        ModelError
            All densities are one.
        """
        whole = np.trunc(np.maximum(density, LOWEST))
        kept = whole != 0
        if not kept.any() or float(np.ptp(whole[kept])) == 0.0:
            raise ModelError(
                f"found one density in all of {density.size} voxels, expected a range to divide into {self.count} bins"
            )
        edges = np.linspace(whole[kept].min(), whole[kept].max(), self.count + 1)
        number = np.clip(np.digitize(whole, edges), 1, self.count) - 1
        centres = (edges[:-1] + edges[1:]) / 2.0
        return (np.roll(centres, -1) if self.shift else centres)[number], kept
