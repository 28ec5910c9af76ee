"""State and loops of plastic elements whose elasticity is anisotropic and whose strength is not: von Mises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openbct.fe import element_state, orthotropic_state
from openbct.fe.hex8 import GAUSS_POINTS, Orthotropy, orthotropic_stiffness, shape_gradients
from openbct.fe.plastic_points import Material, Pool
from openbct.fe.vector_code import gradient_table

FloatArray = NDArray[np.float64]
LongArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

DEVIATOR = np.diag([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
"""``P`` in ``s : s = sigma^T P sigma`` of Voigt stresses."""
DEVIATOR[:3, :3] -= 1.0 / 3.0


def joint_basis(orthotropy: Orthotropy) -> tuple[FloatArray, FloatArray]:
    """``M`` ``(6 6)`` and ``lam`` ``(6,)`` with ``D = M^T M`` and ``M P M^T = diag(lam)``, for a modulus of one.

    Raises
    ------
    ModelError
        The constants do not make a positive definite material.
    """
    root = np.linalg.cholesky(orthotropic_stiffness(orthotropy))
    values, vectors = np.linalg.eigh(root.T @ DEVIATOR @ root)
    return np.ascontiguousarray(vectors.T @ root.T), np.maximum(values, 0.0)


class OrthotropicPoints:
    """Gauss-point loops on a list of elements; flat nodal vectors."""

    def __init__(self, first: NDArray[np.int32], material: Material, spacing: tuple[float, float, float], bbar: bool) -> None:
        assert material.orthotropy is not None
        self.first, self.bbar = first, float(bbar)
        self.weight = float(np.prod(spacing)) / 8.0
        self.table = gradient_table(np.stack([shape_gradients(point, spacing) for point in GAUSS_POINTS]))
        self.basis, self.weights = joint_basis(material.orthotropy)
        self.modulus = material.modulus
        self.limit = 2.0 / 3.0 * material.strength**2

    def allocate(self, n: int) -> None:
        """Room for the tangents of ``n`` elements."""
        self.soft = np.empty((n, 21, 8), dtype=np.float32)

    def find(self, u: FloatArray, begin: int, end: int, marked: BoolArray) -> None:
        """Mark elements that yield."""
        orthotropic_state.find_yielding(
            u, self.first, self.table, self.bbar, self.basis, self.weights, self.modulus, self.limit, begin, end, marked
        )

    def update(self, u: FloatArray, begin: int, end: int, pool: Pool, force: FloatArray) -> None:
        """Stress update; adds the plastic force."""
        orthotropic_state.update_points(
            u, self.first, self.table, self.bbar, self.weight, self.basis, self.weights, self.modulus, self.limit, begin, end,
            pool.plastic_strain, self.soft, pool.flows, force,
        )  # fmt: skip

    def soften(self, v: FloatArray, flowing: LongArray, begin: int, end: int, force: FloatArray) -> float:
        """Subtract the plastic part of the tangent product."""
        return float(element_state.add_softening(v, self.first, self.table, self.bbar, flowing, begin, end, self.soft, force))

    def commit(self, u: FloatArray, before: FloatArray, begin: int, end: int, pool: Pool) -> None:
        """Accept the state at ``u``."""
        orthotropic_state.commit_points(
            u, before, self.first, self.table, self.bbar, self.basis, self.weights, self.modulus, self.limit, begin, end,
            pool.plastic_strain, pool.equivalent, pool.energy, pool.work,
        )  # fmt: skip
