"""State and loops of a list of plastic elements: one class per kind of plasticity, all with the same five methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.fe import element_state, large_strain, von_mises_state
from openbct.fe.hex8 import GAUSS_POINTS, Orthotropy, shape_gradients
from openbct.fe.system import LinearSystem
from openbct.fe.vector_code import gradient_table
from openbct.fe.yield_criteria import Criterion

FloatArray = NDArray[np.float64]
LongArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Material:
    """Elastic constants and strength of some elements."""

    lam: FloatArray
    """Lamé's first constant [MPa]."""
    mu: FloatArray
    """Shear modulus [MPa]."""
    strength: FloatArray
    """Yield stress in uniaxial compression; infinite where elastic [MPa]."""
    criterion: Criterion
    modulus: FloatArray
    """Young's modulus [MPa]."""
    orthotropy: Orthotropy | None = None
    """Elastic constants relative to the modulus, which then stand in the place of Lamé's."""

    @classmethod
    def of(
        cls, elastic: LinearSystem, yield_stress: FloatArray, poisson_ratio: ArrayLike, criterion: Criterion,
        orthotropy: Orthotropy | None = None,
    ) -> Material:  # fmt: skip
        """The material of all elements of a system; ``yield_stress`` and ``poisson_ratio`` as the caller gave them."""
        places = elastic.grid.elements
        ratio = np.asarray(poisson_ratio, dtype=float)
        nu = np.full(places.size, float(ratio)) if ratio.ndim == 0 else ratio.ravel()[places]
        shear = elastic.modulus / (2 * (1 + nu))
        return cls(2 * shear * nu / (1 - 2 * nu), shear, yield_stress.ravel()[places], criterion, elastic.modulus, orthotropy)

    def at(self, elements: LongArray) -> Material:
        """The material of some of the elements."""
        fields = (self.lam[elements], self.mu[elements], self.strength[elements])
        return Material(*fields, self.criterion, self.modulus[elements], self.orthotropy)


class VonMisesPoints:
    """Gauss-point loops of von Mises plasticity on a list of elements; flat nodal vectors."""

    def __init__(self, first: NDArray[np.int32], material: Material, spacing: tuple[float, float, float], bbar: bool) -> None:
        self.first = first
        self.weight = float(np.prod(spacing)) / 8.0
        self.table = gradient_table(np.stack([shape_gradients(point, spacing) for point in GAUSS_POINTS]))
        self.mu, self.strength = material.mu, material.strength
        # von Mises: sqrt(3/2 s:s) with s = 2 G e
        self.limit = self.strength**2 / (6.0 * self.mu**2)

    def allocate(self, n: int) -> None:
        """Room for the tangents of ``n`` elements."""
        self.soft = np.empty((n, 7, 8), dtype=np.float32)

    def find(self, u: FloatArray, begin: int, end: int, marked: BoolArray) -> None:
        """Mark elements that yield."""
        von_mises_state.find_yielding(u, self.first, self.table, self.limit, begin, end, marked)

    def update(self, u: FloatArray, begin: int, end: int, pool: Pool, force: FloatArray) -> None:
        """Stress update; adds the plastic force."""
        von_mises_state.update_points(
            u,
            self.first,
            self.table,
            self.weight,
            self.mu,
            self.strength,
            begin,
            end,
            pool.plastic_strain,
            self.soft,
            pool.flows,
            force,
        )

    def soften(self, v: FloatArray, flowing: LongArray, begin: int, end: int, force: FloatArray) -> float:
        """Subtract the plastic part of the tangent product."""
        return float(von_mises_state.add_softening(v, self.first, self.table, flowing, begin, end, self.soft, force))

    def commit(self, u: FloatArray, before: FloatArray, begin: int, end: int, pool: Pool) -> None:
        """Accept the state at ``u``."""
        von_mises_state.commit_points(
            u,
            before,
            self.first,
            self.table,
            self.mu,
            self.strength,
            begin,
            end,
            pool.plastic_strain,
            pool.equivalent,
            pool.energy,
            pool.work,
        )


def elastic_bounds(criterion: Criterion, strength: FloatArray) -> tuple[FloatArray, bool]:
    """Numbers ``(n 3)`` of a cheap test: a point is elastic where ``b0 q**2 + b1 I1 <= b2`` (``b0 q`` if the flag is set).

    Exact for von Mises and the paraboloid; for Mohr-Coulomb the cone that touches its planes from inside.
    """
    ratio = criterion.tension_ratio
    one = np.ones_like(strength)
    if criterion.name == "von_mises":
        return np.stack([one, 0 * one, strength**2], axis=1), False
    if criterion.name == "paraboloid":
        return np.stack([one, strength * (1 - ratio), strength**2 * ratio], axis=1), False
    slope = 1.0 / ratio
    cone = 2.0 / 3.0 * np.sqrt(slope**2 + slope + 1.0)
    return np.stack([cone * one, (slope - 1.0) / 3.0 * one, strength], axis=1), True


class GeneralPoints:
    """Gauss-point loops of any criterion on a list of elements; flat nodal vectors."""

    def __init__(self, first: NDArray[np.int32], material: Material, spacing: tuple[float, float, float], bbar: bool) -> None:
        self.first, self.bbar = first, float(bbar)
        self.weight = float(np.prod(spacing)) / 8.0
        self.table = gradient_table(np.stack([shape_gradients(point, spacing) for point in GAUSS_POINTS]))
        self.lam, self.mu, self.strength = material.lam, material.mu, material.strength
        self.code, self.ratio = material.criterion.code, material.criterion.tension_ratio
        self.bounds, self.linear = elastic_bounds(material.criterion, self.strength)

    def allocate(self, n: int) -> None:
        """Room for the tangents of ``n`` elements."""
        self.soft = np.empty((n, 21, 8), dtype=np.float32)

    def find(self, u: FloatArray, begin: int, end: int, marked: BoolArray) -> None:
        """Mark elements that may yield."""
        element_state.find_yielding(
            u, self.first, self.table, self.bbar, self.lam, self.mu, self.bounds, self.linear, begin, end, marked
        )

    def update(self, u: FloatArray, begin: int, end: int, pool: Pool, force: FloatArray) -> None:
        """Stress update; adds the plastic force."""
        element_state.update_points(
            u,
            self.first,
            self.table,
            self.bbar,
            self.weight,
            self.lam,
            self.mu,
            self.strength,
            self.bounds,
            self.linear,
            self.code,
            self.ratio,
            begin,
            end,
            pool.plastic_strain,
            self.soft,
            pool.flows,
            force,
        )

    def soften(self, v: FloatArray, flowing: LongArray, begin: int, end: int, force: FloatArray) -> float:
        """Subtract the plastic part of the tangent product."""
        return float(element_state.add_softening(v, self.first, self.table, self.bbar, flowing, begin, end, self.soft, force))

    def commit(self, u: FloatArray, before: FloatArray, begin: int, end: int, pool: Pool) -> None:
        """Accept the state at ``u``."""
        element_state.commit_points(
            u,
            before,
            self.first,
            self.table,
            self.bbar,
            self.lam,
            self.mu,
            self.strength,
            self.bounds,
            self.linear,
            self.code,
            self.ratio,
            begin,
            end,
            pool.plastic_strain,
            pool.equivalent,
            pool.energy,
            pool.work,
        )


class LargeStrainPoints:
    """Gauss-point loops of von Mises plasticity at large strain; every element takes part, yielding or not."""

    def __init__(self, first: NDArray[np.int32], material: Material, spacing: tuple[float, float, float], bbar: bool) -> None:
        self.first, self.bbar = first, float(bbar)
        self.weight = float(np.prod(spacing)) / 8.0
        self.table = gradient_table(np.stack([shape_gradients(point, spacing) for point in GAUSS_POINTS]))
        self.mu, self.bulk, self.strength = material.mu, material.lam + 2.0 * material.mu / 3.0, material.strength

    def allocate(self, n: int) -> None:
        """Room for the tangents of ``n`` elements."""
        self.soft = np.empty((n, 7, 8), dtype=np.float32)

    def find(self, u: FloatArray, begin: int, end: int, marked: BoolArray) -> None:
        """Mark all elements: the geometry is nonlinear everywhere."""
        marked[begin:end] = True

    def update(self, u: FloatArray, begin: int, end: int, pool: Pool, force: FloatArray) -> None:
        """Stress update; adds the internal force."""
        large_strain.update_points(
            u,
            self.first,
            self.table,
            self.bbar,
            self.weight,
            self.mu,
            self.bulk,
            self.strength,
            begin,
            end,
            pool.plastic_strain,
            self.soft,
            pool.flows,
            force,
        )

    def soften(self, v: FloatArray, flowing: LongArray, begin: int, end: int, force: FloatArray) -> float:
        """Subtract the plastic part of the small-strain tangent product."""
        return float(von_mises_state.add_softening(v, self.first, self.table, flowing, begin, end, self.soft, force))

    def commit(self, u: FloatArray, before: FloatArray, begin: int, end: int, pool: Pool) -> None:
        """Accept the state at ``u``."""
        large_strain.commit_points(
            u,
            before,
            self.first,
            self.table,
            self.bbar,
            self.mu,
            self.bulk,
            self.strength,
            begin,
            end,
            pool.plastic_strain,
            pool.equivalent,
            pool.energy,
            pool.work,
        )


class Pool:
    """State of the elements that have yielded, in ascending element order."""

    def __init__(self, elements: LongArray) -> None:
        n = elements.size
        self.elements = elements
        self.plastic_strain = np.zeros((n, 6, 8))
        self.equivalent = np.zeros((n, 8))
        self.work = np.zeros(n)
        self.energy = np.zeros(n)
        self.flows = np.zeros(n, dtype=np.bool_)

    def with_elements(self, elements: LongArray) -> Pool:
        """A pool of other elements with the state of those that were in this one."""
        other = Pool(elements)
        there = np.searchsorted(elements, self.elements)
        here = np.flatnonzero(np.append(elements, -1)[there] == self.elements)
        for name in ("plastic_strain", "equivalent", "work", "energy"):
            getattr(other, name)[there[here]] = getattr(self, name)[here]
        return other
