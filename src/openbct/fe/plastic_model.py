"""The elastic-plastic body: its internal force, its tangent product and its committed state.

Both operators are the elastic product less a correction that comes from the *pool*, the elements that have yielded (sorted by
element; it grows as the load rises). Elements that never yielded cost one cheap test per evaluation. All loops run over fixed
slabs of elements, even ones first, so that no two threads meet and the result does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.fe import element_state, von_mises_state
from openbct.fe.hex8 import GAUSS_POINTS, shape_gradients
from openbct.fe.system import LinearSystem
from openbct.fe.vector_code import gradient_table
from openbct.fe.yield_criteria import Criterion

FloatArray = NDArray[np.float64]
LongArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

N_SLABS = 16
"""Element slabs; fixed, because the order of summation follows them [D]."""


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

    @classmethod
    def of(cls, elastic: LinearSystem, yield_stress: FloatArray, poisson_ratio: ArrayLike, criterion: Criterion) -> Material:
        """The material of all elements of a system; ``yield_stress`` and ``poisson_ratio`` as the caller gave them."""
        places = elastic.grid.elements
        ratio = np.asarray(poisson_ratio, dtype=float)
        nu = np.full(places.size, float(ratio)) if ratio.ndim == 0 else ratio.ravel()[places]
        shear = elastic.modulus / (2 * (1 + nu))
        return cls(2 * shear * nu / (1 - 2 * nu), shear, yield_stress.ravel()[places], criterion)

    def at(self, elements: LongArray) -> Material:
        """The material of some of the elements."""
        return Material(self.lam[elements], self.mu[elements], self.strength[elements], self.criterion)


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
            u, self.first, self.table, self.weight, self.mu, self.strength, begin, end, pool.plastic_strain, self.soft, pool.flows,
            force,
        )

    def soften(self, v: FloatArray, flowing: LongArray, begin: int, end: int, force: FloatArray) -> float:
        """Subtract the plastic part of the tangent product."""
        return float(von_mises_state.add_softening(v, self.first, self.table, flowing, begin, end, self.soft, force))

    def commit(self, u: FloatArray, before: FloatArray, begin: int, end: int, pool: Pool) -> None:
        """Accept the state at ``u``."""
        von_mises_state.commit_points(
            u, before, self.first, self.table, self.mu, self.strength, begin, end, pool.plastic_strain, pool.equivalent, pool.energy,
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
            u, self.first, self.table, self.bbar, self.weight, self.lam, self.mu, self.strength, self.bounds, self.linear, self.code,
            self.ratio, begin, end, pool.plastic_strain, self.soft, pool.flows, force,
        )

    def soften(self, v: FloatArray, flowing: LongArray, begin: int, end: int, force: FloatArray) -> float:
        """Subtract the plastic part of the tangent product."""
        return float(element_state.add_softening(v, self.first, self.table, self.bbar, flowing, begin, end, self.soft, force))

    def commit(self, u: FloatArray, before: FloatArray, begin: int, end: int, pool: Pool) -> None:
        """Accept the state at ``u``."""
        element_state.commit_points(
            u, before, self.first, self.table, self.bbar, self.lam, self.mu, self.strength, self.bounds, self.linear, self.code,
            self.ratio, begin, end, pool.plastic_strain, pool.equivalent, pool.energy, pool.work,
        )


Points = VonMisesPoints | GeneralPoints


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


class PlasticModel:
    """Internal force, tangent product and committed state over a linear system; nodal vectors are flat as there."""

    def __init__(
        self, elastic: LinearSystem, material: Material, spacing: tuple[float, float, float], *, bbar: bool, threads: int = 1
    ) -> None:
        grid = elastic.grid
        self.elastic, self.spacing, self.bbar = elastic, spacing, bbar
        self.kind = VonMisesPoints if material.criterion.name == "von_mises" else GeneralPoints
        self.candidates = np.flatnonzero(np.isfinite(material.strength))
        self.material = material.at(self.candidates)
        self.first = np.ascontiguousarray(grid.element_nodes()[self.candidates][:, ::2].astype(np.int32))
        self.all: Points = self.kind(self.first, self.material, spacing, bbar)
        self.marked = np.zeros(self.candidates.size, dtype=np.bool_)
        plane = grid.elements[self.candidates] // (grid.shape[1] * grid.shape[2])
        # Slabs share planes of nodes with their neighbours only, if each is at least one voxel thick.
        edges = np.linspace(0, grid.shape[0], min(N_SLABS, grid.shape[0]) + 1).astype(np.int64)
        self.cuts = np.searchsorted(plane, edges)
        self.workers = ThreadPoolExecutor(threads) if threads > 1 else None
        self._take(Pool(np.zeros(0, dtype=np.int64)))

    def _take(self, pool: Pool) -> None:
        """Work with another pool."""
        self.pool = pool
        self.points: Points = self.kind(self.first[pool.elements], self.material.at(pool.elements), self.spacing, self.bbar)
        self.points.allocate(pool.elements.size)
        self.pool_cuts = np.searchsorted(pool.elements, self.cuts)
        self._list_flowing()

    def _list_flowing(self) -> None:
        """The elements of the pool that flow now."""
        self.flowing = np.flatnonzero(self.pool.flows)
        self.flowing_cuts = np.searchsorted(self.flowing, self.pool_cuts)

    def _run(self, kernel: Callable[[int, int], float | None], cuts: LongArray) -> float:
        """Sum of ``kernel(begin, end)`` over the slabs, the even ones first."""
        ranges = [(int(a), int(b)) for a, b in pairwise(cuts)]
        total = 0.0
        for part in (ranges[::2], ranges[1::2]):
            busy = [r for r in part if r[1] > r[0]]
            run = map if self.workers is None else self.workers.map
            total += sum(value or 0.0 for value in run(lambda r: kernel(*r), busy))
        return total

    def force(self, u: FloatArray) -> FloatArray:
        """Internal nodal force at ``u`` from the committed state [N]; prepares :meth:`product` for this point."""
        self._run(lambda a, b: self.all.find(u, a, b, self.marked), self.cuts)
        if np.count_nonzero(self.marked) > self.pool.elements.size:
            self._take(self.pool.with_elements(np.flatnonzero(self.marked)))
        plastic = np.zeros_like(u)
        self._run(lambda a, b: self.points.update(u, a, b, self.pool, plastic), self.pool_cuts)
        self._list_flowing()
        internal = self.elastic.apply(u)
        internal -= plastic
        return internal

    def product(self, z: NDArray[np.floating], beta: float, p: FloatArray, y: FloatArray) -> float:
        """p = z + beta p, y = K_t p with the tangent at the point of the last :meth:`force`; returns p'y."""
        energy = self.elastic.product(z, beta, p, y)
        return energy - self._run(lambda a, b: self.points.soften(p, self.flowing, a, b, y), self.flowing_cuts)

    def commit(self, u: FloatArray, before: FloatArray) -> None:
        """Accept the step from ``before`` to ``u``; elements that yielded only on the way leave the pool."""
        pool = self.pool
        self._run(lambda a, b: self.points.commit(u, before, a, b, pool), self.pool_cuts)
        stay = pool.equivalent.any(axis=1)
        # Throwing out a few is dearer than carrying them along.
        if np.count_nonzero(stay) < 0.8 * stay.size:
            self.marked[pool.elements[~stay]] = False
            self._take(pool.with_elements(pool.elements[stay]))

    def plastic_work(self) -> float:
        """Work dissipated so far [N mm]."""
        return float(self.pool.work.sum() * self.all.weight)

    def elastic_energy(self, u: FloatArray) -> float:
        """Elastic energy stored at the committed state ``u`` [N mm]."""
        total = self.elastic.product(np.zeros(u.size, np.float32), 1.0, u, np.zeros_like(u))
        return float(0.5 * total + self.pool.energy.sum() * self.all.weight)

    def failed_fraction(self) -> float:
        """Gauss points with plastic strain, as a fraction of those that can yield [-]."""
        return float(np.count_nonzero(self.pool.equivalent) / max(8 * self.candidates.size, 1))

    def equivalent_strain(self) -> FloatArray:
        """Equivalent plastic strain of each element, mean of its Gauss points [-]."""
        out = np.zeros(self.elastic.grid.n_elements)
        out[self.candidates[self.pool.elements]] = self.pool.equivalent.mean(axis=1)
        return out
