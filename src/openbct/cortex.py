"""Thin cortex on voxels that are thicker than it: two options, of which the default recipes take neither.

A vertebra's shell is 0.3 to 0.5 mm thick: in a voxel of 1 mm it shares its place with marrow and soft tissue, and its density carries it.
``"surface"`` gives a voxel of the surface at least the mean density of the inner voxels that touch it, which undoes the share of soft
tissue; ``"shell"`` gives it at least the stiffness and strength of a shell of given thickness. Voxels at pads belong to the surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from .errors import SettingsError
from .records import Array, Reference

SHELL_YOUNGS_MODULUS = 10_000.0
"""Least modulus of the shell in models that have one [MPa]: Bessho et al. 2007, as in comments of public code [SC]."""
SHELL_YIELD_STRESS = 70.0
"""The same at a yield strain of 0.7 %, about that of cortical bone in compression [MPa] [R, D]."""
HELGASON_2008 = Reference(
    "Helgason B et al. Med Eng Phys 30:444 (2008): surface takes its properties from inside, recalled; mean over inner neighbours by design",
    "recalled",
)
BESSHO_2007 = Reference(
    "Bessho M et al. J Biomech 40:1745 (2007): shell of 0.4 mm and at least 10 GPa, as in public code; as a least share of a voxel and its "
    "strength by design",
    "code",
)


@dataclass(frozen=True)
class Cortex:
    """How the surface of a bone is corrected."""

    kind: Literal["surface", "shell"]
    thickness: float = 0.4
    """Of the shell [mm]."""

    def __post_init__(self) -> None:
        if self.kind not in ("surface", "shell") or not 0.05 <= self.thickness <= 3.0:
            raise SettingsError(
                f"found cortex {self.kind!r} of {self.thickness:g} mm, expected 'surface', or 'shell' of 0.05 to 3 mm"
            )

    @property
    def reference(self) -> Reference:
        """What it follows."""
        return HELGASON_2008 if self.kind == "surface" else BESSHO_2007

    @property
    def words(self) -> str:
        """What it does, for the Methods text."""
        if self.kind == "surface":
            return "voxels of the surface took at least the mean density of the inner voxels that touch them"
        return (
            f"voxels of the surface had at least the stiffness and strength of a shell of {self.thickness:g} mm "
            f"({SHELL_YOUNGS_MODULUS:g} MPa, yielding at {SHELL_YIELD_STRESS:g} MPa)"
        )

    def densities(self, density: Float[Array, " n"], mask: Bool[Array, "i j k"]) -> Float[Array, " n"]:
        """Return the densities of the bone's voxels, in the mask's order, corrected at the surface."""
        if self.kind != "surface":
            return density
        inner = mask & ~surface_of(mask)
        field = np.zeros(mask.shape)
        field[mask] = density
        near = np.ones((3, 3, 3))
        count = ndimage.convolve(inner.astype(float), near, mode="constant")
        mean = ndimage.convolve(np.where(inner, field, 0.0), near, mode="constant") / np.maximum(count, 1.0)
        raised = np.where(surface_of(mask) & (count > 0.5), np.maximum(field, mean), field)
        return np.asarray(raised[mask])

    def stiffen(
        self, youngs_modulus: Float[Array, " n"], yield_stress: Float[Array, " n"], mask: Bool[Array, "i j k"], spacing: float
    ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Return modulus and yield stress of the bone's voxels, at least those of a shell at the surface [MPa]."""
        if self.kind != "shell":
            return youngs_modulus, yield_stress
        share = min(self.thickness / spacing, 1.0)
        surface = surface_of(mask)[mask]
        modulus = np.where(surface, np.maximum(youngs_modulus, share * SHELL_YOUNGS_MODULUS), youngs_modulus)
        return modulus, np.where(surface, np.maximum(yield_stress, share * SHELL_YIELD_STRESS), yield_stress)


def surface_of(mask: Bool[Array, "i j k"]) -> Bool[Array, "i j k"]:
    """Return the voxels of the bone with a face that is not shared with bone."""
    inner: Array = np.asarray(ndimage.binary_erosion(np.pad(mask, 1)))
    return np.asarray(mask & ~inner[1:-1, 1:-1, 1:-1])
