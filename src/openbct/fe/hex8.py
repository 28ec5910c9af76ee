"""Stiffness and strain matrices of the eight-node voxel element.

The element is a box of ``spacing`` millimetres along the array axes i j k. Local node ``4a + 2b + c`` sits at the corner
``(a, b, c)`` of the unit cube (``a b c`` in {0, 1} along i j k), and degree of freedom ``3 * node + axis`` moves it::

        2 ----- 6          j
       /|      /|          |
      3 ----- 7 |          |
      | 0 ----| 4          +----- i
      |/      |/          /
      1 ----- 5          k

Strain and stress are Voigt vectors ``ii jj kk jk ik ij`` with engineering shear (twice the tensor component).
All eight Gauss points (2 x 2 x 2) are used: number ``4a + 2b + c`` is the one next to local node ``4a + 2b + c``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openbct.errors import ModelError

FloatArray = NDArray[np.float64]

CORNERS = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=np.int64)
"""Corner ``(a, b, c)`` of each local node."""

GAUSS_POINTS = (0.5 + (2 * CORNERS - 1) / (2 * np.sqrt(3.0))).astype(np.float64)
"""Positions of the eight Gauss points in the unit cube; each has the weight volume / 8."""


@dataclass(frozen=True)
class Orthotropy:
    """An orthotropic material along the array axes, relative to the element's ``youngs_modulus``.

    The stiffness of an element is its modulus times the stiffness of this material, so that one density-dependent modulus
    map can carry a fixed anisotropy: ``Orthotropy(youngs=(0.33, 0.33, 1.0), poisson=(0.4, 0.1, 0.1), shear=(0.15, 0.15, 0.12))``.
    """

    youngs: tuple[float, float, float]
    """Young's moduli along i, j, k, as multiples of the element's modulus [-]."""
    poisson: tuple[float, float, float]
    """Poisson ratios ``nu_ij, nu_ik, nu_jk``: strain along the second axis when the first one is pulled [-]."""
    shear: tuple[float, float, float]
    """Shear moduli ``G_jk, G_ik, G_ij`` as multiples of the element's modulus [-]."""


def isotropic_stiffness(poisson_ratio: float, youngs_modulus: float = 1.0) -> FloatArray:
    """Stiffness ``(6 6)`` of an isotropic material [MPa].

    Raises
    ------
    ModelError
        The Poisson ratio is not between -1 and 0.5.
    """
    if not -1.0 < poisson_ratio < 0.5:
        raise ModelError(
            f"poisson_ratio is {poisson_ratio:g}; expected more than -1 and less than 0.5. "
            "For a nearly incompressible material use 0.49 together with bbar=True."
        )
    lam = youngs_modulus * poisson_ratio / ((1 + poisson_ratio) * (1 - 2 * poisson_ratio))
    mu = youngs_modulus / (2 * (1 + poisson_ratio))
    stiffness = np.diag([2 * mu] * 3 + [mu] * 3)
    stiffness[:3, :3] += lam
    return stiffness


def orthotropic_stiffness(material: Orthotropy) -> FloatArray:
    """Stiffness ``(6 6)`` of an orthotropic material, relative to the element's modulus [-].

    Raises
    ------
    ModelError
        The constants do not make a positive definite material.
    """
    e_i, e_j, e_k = material.youngs
    nu_ij, nu_ik, nu_jk = material.poisson
    values = np.array([*material.youngs, *material.shear, *material.poisson])
    if not np.all(np.isfinite(values)) or min(*material.youngs, *material.shear) <= 0:
        raise ModelError(
            f"orthotropic moduli are {material.youngs} and {material.shear}; expected six positive finite numbers "
            "(multiples of the element's modulus). Check their order: youngs i j k, shear jk ik ij."
        )
    compliance = np.diag([1 / e_i, 1 / e_j, 1 / e_k, *(1 / g for g in material.shear)])
    compliance[0, 1] = compliance[1, 0] = -nu_ij / e_i
    compliance[0, 2] = compliance[2, 0] = -nu_ik / e_i
    compliance[1, 2] = compliance[2, 1] = -nu_jk / e_j
    smallest = float(np.linalg.eigvalsh(compliance).min())
    if smallest <= 0:
        raise ModelError(
            f"orthotropic material is not positive definite: its compliance has the eigenvalue {smallest:.3g}; "
            "expected all positive. Check that nu_ij belongs to pulling along i (nu_ij / E_i = nu_ji / E_j)."
        )
    return np.asarray(np.linalg.inv(compliance))


def shape_gradients(point: Sequence[float] | FloatArray, spacing: Sequence[float]) -> FloatArray:
    """Derivatives ``(8 3)`` of the shape functions at a point of the unit cube [1/mm]."""
    factor = np.where(CORNERS == 1, point, 1.0 - np.asarray(point))
    slope = np.where(CORNERS == 1, 1.0, -1.0) / np.asarray(spacing, dtype=float)
    return np.stack([slope[:, a] * np.prod(np.delete(factor, a, axis=1), axis=1) for a in range(3)], axis=1)


def strain_matrix(point: Sequence[float] | FloatArray, spacing: Sequence[float]) -> FloatArray:
    """Strain-displacement matrix ``(6 24)`` at a point of the unit cube [1/mm]."""
    gradient = shape_gradients(point, spacing)
    matrix = np.zeros((6, 8, 3))
    for axis in range(3):
        matrix[axis, :, axis] = gradient[:, axis]
    for row, (first, second) in enumerate(((1, 2), (0, 2), (0, 1)), start=3):
        matrix[row, :, first] = gradient[:, second]
        matrix[row, :, second] = gradient[:, first]
    return matrix.reshape(6, 24)


def gauss_strain_matrices(spacing: Sequence[float], *, bbar: bool = False) -> FloatArray:
    """Strain-displacement matrices ``(8 6 24)`` at the Gauss points [1/mm].

    With ``bbar`` the volumetric strain of each point is replaced by its mean over the element, which frees the element
    from volumetric locking (mean dilatation).

    References
    ----------
    Hughes, Int J Numer Methods Eng 15:1413 (1980).
    """
    matrices = np.stack([strain_matrix(point, spacing) for point in GAUSS_POINTS])
    if bbar:
        dilatation = matrices[:, :3].sum(axis=1)
        matrices[:, :3] += ((dilatation.mean(axis=0) - dilatation) / 3.0)[:, None, :]
    return matrices


def element_stiffness(stiffness: FloatArray, spacing: Sequence[float], *, bbar: bool = False) -> FloatArray:
    """Stiffness ``(24 24)`` of one element of the given material stiffness ``(6 6)`` [N/mm]."""
    matrices = gauss_strain_matrices(spacing, bbar=bbar)
    weight = float(np.prod(np.asarray(spacing, dtype=float))) / 8.0
    element = weight * np.einsum("gai,ab,gbj->ij", matrices, stiffness, matrices, optimize=True)
    return np.asarray(0.5 * (element + element.T))
