"""The elastic-plastic body as compact arrays, its internal force and its tangent product.

Holds the committed plastic state of the elements that have yielded (the *pool*, sorted by element) and grows it as the load
rises. All loops run over fixed slabs of elements, even ones first, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbct.fe.element_state import add_softening, commit_points, find_yielding, update_points
from openbct.fe.grid import Grid
from openbct.fe.hex8 import GAUSS_POINTS, shape_gradients
from openbct.fe.yield_criteria import Criterion

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

N_SLABS = 16
"""Element slabs; fixed, because the order of summation follows them [D]."""


@dataclass(frozen=True)
class Material:
    """Elastic constants and strength of each element."""

    youngs_modulus: FloatArray
    """[MPa]"""
    yield_stress: FloatArray
    """In uniaxial compression; infinite where elastic [MPa]."""
    poisson_ratio: float
    criterion: Criterion

    @property
    def lam(self) -> FloatArray:
        """Lamé's first constant of each element [MPa]."""
        nu = self.poisson_ratio
        return np.asarray(self.youngs_modulus * (nu / ((1 + nu) * (1 - 2 * nu))))

    @property
    def mu(self) -> FloatArray:
        """Shear modulus of each element [MPa]."""
        return np.asarray(self.youngs_modulus / (2 * (1 + self.poisson_ratio)))


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


class Pool:
    """State of the elements that have yielded, in ascending element order."""

    def __init__(self, elements: IntArray) -> None:
        n = elements.size
        self.elements = elements
        self.plastic_strain = np.zeros((n, 8, 6))
        self.equivalent = np.zeros((n, 8))
        self.work = np.zeros(n)
        self.energy = np.zeros(n)
        self.softened = np.empty((n, 8, 21), dtype=np.float32)
        self.yields = np.zeros((n, 8), dtype=np.bool_)

    def grown(self, elements: IntArray) -> Pool:
        """The pool with more elements."""
        larger = Pool(np.sort(np.concatenate([self.elements, elements])))
        place = np.searchsorted(larger.elements, self.elements)
        for name in ("plastic_strain", "equivalent", "work", "energy"):
            getattr(larger, name)[place] = getattr(self, name)
        return larger


class PlasticModel:
    """Internal force, tangent product and committed state; nodal fields are ``(3, n_nodes)``."""

    def __init__(
        self, grid: Grid, material: Material, spacing: tuple[float, float, float], *, bbar: bool, elastic: Any, threads: int = 1
    ) -> None:
        self.elastic = elastic
        self.bbar = bbar
        self.code = material.criterion.code
        self.ratio = material.criterion.tension_ratio
        self.weight = float(np.prod(spacing)) / 8.0
        self.gradients = np.stack([shape_gradients(point, spacing) for point in GAUSS_POINTS])
        may_yield = np.flatnonzero(np.isfinite(material.yield_stress))
        self.candidates = may_yield
        self.first = np.ascontiguousarray(grid.element_nodes()[may_yield][:, ::2].astype(np.int32))
        self.lam, self.mu = material.lam[may_yield], material.mu[may_yield]
        self.strength = material.yield_stress[may_yield]
        self.bounds, self.linear = elastic_bounds(material.criterion, self.strength)
        self.marked = np.zeros(may_yield.size, dtype=np.bool_)
        self.pool = Pool(np.zeros(0, dtype=np.int64))
        self.flowing: IntArray = np.zeros(0, dtype=np.int64)
        self.n_flowing_points = 0
        plane = grid.elements[may_yield] // (grid.shape[1] * grid.shape[2])
        cuts = np.searchsorted(plane, np.linspace(0, grid.shape[0], min(N_SLABS, grid.shape[0]) + 1).astype(np.int64))
        self.cuts = np.unique(cuts)
        self.workers = ThreadPoolExecutor(threads) if threads > 1 else None
        self._refresh()

    def _refresh(self) -> None:
        """Arrays of the pool's elements, gathered once per growth."""
        chosen = self.pool.elements
        self.pool_first = self.first[chosen]
        self.pool_lam, self.pool_mu, self.pool_strength = self.lam[chosen], self.mu[chosen], self.strength[chosen]

    def _slabs(self, elements: IntArray | None = None) -> list[tuple[int, int]]:
        """Ranges of a list of elements, slab by slab, the even ones first."""
        cuts = self.cuts if elements is None else np.searchsorted(elements, self.cuts)
        ranges = [(int(a), int(b)) for a, b in pairwise(cuts)]
        return [r for r in ranges[::2] + [(-1, -1)] + ranges[1::2] if r[1] > r[0] or r[0] < 0]

    def _run(self, kernel: Any, ranges: list[tuple[int, int]]) -> None:
        """Call ``kernel(begin, end)`` for all ranges; neighbours never at the same time."""
        if self.workers is None:
            for begin, end in ranges:
                if end > begin:
                    kernel(begin, end)
            return
        wall = ranges.index((-1, -1))
        for part in (ranges[:wall], ranges[wall + 1 :]):
            list(self.workers.map(lambda r: kernel(r[0], r[1]), part))

    def force(self, u: FloatArray) -> FloatArray:
        """Internal nodal force at ``u`` from the committed state [N]; prepares :meth:`tangent` for this point."""
        self._run(
            lambda a, b: find_yielding(
                u, self.first, self.gradients, self.bbar, self.lam, self.mu, self.bounds, self.linear, a, b, self.marked
            ),
            self._slabs(),
        )
        n_marked = int(np.count_nonzero(self.marked))
        if n_marked > self.pool.elements.size:
            known = np.zeros(self.marked.size, dtype=np.bool_)
            known[self.pool.elements] = True
            self.pool = self.pool.grown(np.flatnonzero(self.marked & ~known))
            self._refresh()
        pool = self.pool
        plastic = np.zeros_like(u)
        self._run(
            lambda a, b: update_points(
                u, self.pool_first, self.gradients, self.bbar, self.weight, self.pool_lam, self.pool_mu, self.pool_strength,
                self.code, self.ratio, a, b, pool.plastic_strain, pool.softened, pool.yields, plastic,
            ),
            self._slabs(pool.elements),
        )
        self.flowing = np.flatnonzero(pool.yields.any(axis=1))
        self.flowing_slabs = self._slabs(pool.elements[self.flowing])
        internal = np.asarray(self.elastic.apply(u))
        internal -= plastic
        return internal

    def tangent(self, v: FloatArray) -> FloatArray:
        """Tangent product at the point of the last :meth:`force` [N]."""
        out = np.asarray(self.elastic.apply(v))
        pool = self.pool
        self._run(
            lambda a, b: add_softening(
                v, self.pool_first, self.gradients, self.bbar, self.weight, self.flowing, a, b, pool.softened, pool.yields, out
            ),
            self.flowing_slabs,
        )
        return out

    def commit(self, u: FloatArray, u_old: FloatArray) -> None:
        """Accept the state at ``u``; elements that only yielded on the way leave the pool."""
        pool = self.pool
        self._run(
            lambda a, b: commit_points(
                u, u_old, self.pool_first, self.gradients, self.bbar, self.pool_lam, self.pool_mu, self.pool_strength,
                self.code, self.ratio, a, b, pool.plastic_strain, pool.equivalent, pool.energy, pool.work,
            ),
            self._slabs(pool.elements),
        )

    def plastic_work(self) -> float:
        """Work dissipated so far [N mm]."""
        return float(self.pool.work.sum() * self.weight)

    def elastic_energy(self, u: FloatArray) -> float:
        """Elastic energy stored at the committed state ``u`` [N mm]."""
        return float(0.5 * np.vdot(u, self.elastic.apply(u)) + self.pool.energy.sum() * self.weight)

    def failed_fraction(self) -> float:
        """Gauss points with plastic strain, as a fraction of those that can yield [-]."""
        return float(np.count_nonzero(self.pool.equivalent) / max(8 * self.candidates.size, 1))

    def equivalent_strain(self, n_elements: int) -> FloatArray:
        """Equivalent plastic strain of each element, mean of its Gauss points [-]."""
        out = np.zeros(n_elements)
        out[self.candidates[self.pool.elements]] = self.pool.equivalent.mean(axis=1)
        return out
