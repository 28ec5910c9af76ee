"""Reference element matrices of the materials in a model.

The stiffness of an element is its Young's modulus times the reference matrix of its material group. Groups differ in Poisson
ratio or in orthotropy; the modulus itself needs no groups and is never binned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import ModelError
from openbct.fe.grid import Grid
from openbct.fe.hex8 import Orthotropy, element_stiffness, isotropic_stiffness, orthotropic_stiffness
from openbct.fe.simd import walsh_blocks

FloatArray = NDArray[np.float64]

PRECONDITIONER_GROUPS = 64
"""Poisson ratios that the coarse operators tell apart [D]: a ratio off by 1 % of its range changes them by about as much."""


@dataclass(frozen=True)
class Materials:
    """Material groups of the elements of a grid."""

    coefficients: FloatArray
    """Walsh-Hadamard numbers of each group ``(groups 33)``, per unit of modulus."""
    diagonals: FloatArray
    """Diagonal entry of each group's reference matrix along the three axes ``(groups 3)``."""
    group: NDArray[np.int32] | None
    """Group of each element; none if there is only one."""
    references: FloatArray
    """Reference matrices for the coarse operators ``(n 24 24)``."""
    reference_of: NDArray[np.int32]
    """Reference matrix of each group."""
    bound: float
    """Upper bound of the eigenvalues of D^-1 K for any map of moduli [-]."""


def _eigenvalue_bound(references: FloatArray) -> float:
    """Largest eigenvalue of D^-1 K over the reference elements; it bounds that of any assembly of them.

    References
    ----------
    Wathen, IMA J Numer Anal 7:449 (1987).
    """
    scale = 1.0 / np.sqrt(np.einsum("nii->ni", references))
    scaled = references * scale[:, :, None] * scale[:, None, :]
    return float(np.linalg.eigvalsh(scaled)[:, -1].max())


def _single(reference: FloatArray) -> Materials:
    diagonals = np.array([[reference[axis, axis] for axis in range(3)]])
    references = reference[None]
    return Materials(
        walsh_blocks(reference)[None], diagonals, None, references, np.zeros(1, np.int32), _eigenvalue_bound(references)
    )


def build_materials(
    grid: Grid, poisson_ratio: ArrayLike, orthotropy: Orthotropy | None, spacing: Sequence[float], *, bbar: bool = False
) -> Materials:
    """Material groups of a grid; ``poisson_ratio`` is one number or one per voxel ``(i j k)``.

    Raises
    ------
    ModelError
        A Poisson ratio is not between -1 and 0.5, or the array does not have the shape of the grid.
    """
    if orthotropy is not None:
        return _single(element_stiffness(orthotropic_stiffness(orthotropy), spacing, bbar=bbar))
    ratio = np.asarray(poisson_ratio, dtype=float)
    if ratio.ndim == 0:
        return _single(element_stiffness(isotropic_stiffness(float(ratio)), spacing, bbar=bbar))
    if ratio.shape != grid.shape:
        raise ModelError(
            f"poisson_ratio has the shape {ratio.shape}; expected one number or the shape of youngs_modulus {grid.shape}."
        )
    values, group = np.unique(ratio.ravel()[grid.elements], return_inverse=True)
    for extreme in (values[0], values[-1]):
        isotropic_stiffness(float(extreme))
    if values.size == 1:
        return _single(element_stiffness(isotropic_stiffness(float(values[0])), spacing, bbar=bbar))
    # The element matrix is linear in the two Lame constants: two matrices make all groups.
    lame = values / ((1 + values) * (1 - 2 * values))
    shear = 1 / (2 * (1 + values))
    volumetric = np.zeros((6, 6))
    volumetric[:3, :3] = 1.0
    parts = [element_stiffness(part, spacing, bbar=bbar) for part in (volumetric, np.diag([2.0, 2, 2, 1, 1, 1]))]
    weights = np.stack([lame, shear], axis=1)
    coefficients = weights @ np.stack([walsh_blocks(part) for part in parts])
    diagonals = weights @ np.stack([np.diag(part)[:3] for part in parts])
    edges = np.linspace(0, values.size - 1, min(values.size, PRECONDITIONER_GROUPS)).round().astype(int)
    references = np.einsum("nw,wij->nij", weights[edges], np.stack(parts))
    reference_of = np.abs(values[:, None] - values[edges][None, :]).argmin(axis=1).astype(np.int32)
    # Between two sampled ratios the bound varies by far less than this margin.
    bound = _eigenvalue_bound(references) * (1.0 if values.size == edges.size else 1.02)
    return Materials(coefficients, diagonals, group.astype(np.int32), references, reference_of, bound)
