"""The elastic-plastic body: its internal force, its tangent product and its committed state.

Both operators are the elastic product less a correction that comes from the *pool*, the elements that have yielded (sorted by
element; it grows as the load rises). Elements that never yielded cost one cheap test per evaluation. All loops run over fixed
slabs of elements, even ones first, so that no two threads meet and the result does not depend on their number. At large strain
every element is in the pool, which then gives the whole force.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from openbct.fe.free_motions import FreeMotions
from openbct.fe.hex8 import orthotropic_stiffness, strain_matrix
from openbct.fe.orthotropic_points import OrthotropicPoints
from openbct.fe.plastic_points import GeneralPoints, LargeStrainPoints, Material, Pool, VonMisesPoints
from openbct.fe.post import CHUNK, von_mises
from openbct.fe.system import LinearSystem

FloatArray = NDArray[np.float64]
LongArray = NDArray[np.int64]

Points = VonMisesPoints | GeneralPoints | OrthotropicPoints | LargeStrainPoints

N_SLABS = 16
"""Element slabs; fixed, because the order of summation follows them [D]."""


def _kind_of(material: Material, large: bool) -> type[Points]:
    """The loops that a material needs."""
    if large:
        return LargeStrainPoints
    if material.orthotropy is not None:
        return OrthotropicPoints
    return VonMisesPoints if material.criterion.name == "von_mises" else GeneralPoints


class PlasticModel:
    """Internal force, tangent product and committed state over a linear system; nodal vectors are flat as there."""

    def __init__(
        self, elastic: LinearSystem, material: Material, spacing: tuple[float, float, float], *, bbar: bool, large: bool = False,
        motions: FreeMotions | None = None,
    ) -> None:  # fmt: skip
        grid = elastic.grid
        self.elastic, self.spacing, self.bbar, self.large, self.motions = elastic, spacing, bbar, large, motions
        self.kind = _kind_of(material, large)
        self.candidates = np.flatnonzero(np.isfinite(material.strength) | large)
        self.n_yielding = int(np.count_nonzero(np.isfinite(material.strength)))
        self.everything, self.material = material, material.at(self.candidates)
        self.first = np.ascontiguousarray(grid.element_nodes()[self.candidates][:, ::2].astype(np.int32))
        self.all: Points = self.kind(self.first, self.material, spacing, bbar)
        self.marked = np.zeros(self.candidates.size, dtype=np.bool_)
        plane = grid.elements[self.candidates] // (grid.shape[1] * grid.shape[2])
        # Slabs share planes of nodes with their neighbours only, if each is at least one voxel thick.
        edges = np.linspace(0, grid.shape[0], min(N_SLABS, grid.shape[0]) + 1).astype(np.int64)
        self.cuts = np.searchsorted(plane, edges)
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
        total = np.zeros(cuts.size - 1)

        def work(slabs: list[int]) -> Callable[[int, int], None]:
            def some(begin: int, end: int) -> None:
                for slab in slabs[begin:end]:
                    if cuts[slab + 1] > cuts[slab]:
                        total[slab] = kernel(int(cuts[slab]), int(cuts[slab + 1])) or 0.0

            return some

        for parity in (0, 1):
            slabs = list(range(parity, total.size, 2))
            self.elastic.team.each(work(slabs), len(slabs))
        return float(total.sum())

    def force(self, u: FloatArray) -> FloatArray:
        """Internal nodal force at ``u`` from the committed state [N]; prepares :meth:`product` for this point."""
        self._run(lambda a, b: self.all.find(u, a, b, self.marked), self.cuts)
        if np.count_nonzero(self.marked) > self.pool.elements.size:
            self._take(self.pool.with_elements(np.flatnonzero(self.marked)))
        plastic = np.zeros_like(u)
        self._run(lambda a, b: self.points.update(u, a, b, self.pool, plastic), self.pool_cuts)
        self._list_flowing()
        if self.large:
            return plastic
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
        if not self.large and np.count_nonzero(stay) < 0.8 * stay.size:
            self.marked[pool.elements[~stay]] = False
            self._take(pool.with_elements(pool.elements[stay]))

    def plastic_work(self) -> float:
        """Work dissipated so far [N mm]."""
        return float(self.pool.work.sum() * self.all.weight)

    def elastic_energy(self, u: FloatArray) -> float:
        """Elastic energy stored at the committed state ``u`` [N mm]."""
        if self.large:
            return float(self.pool.energy.sum() * self.all.weight)
        total = self.elastic.product(np.zeros(u.size, np.float32), 1.0, u, np.zeros_like(u))
        return float(0.5 * total + self.pool.energy.sum() * self.all.weight)

    def failed_fraction(self) -> float:
        """Gauss points with plastic strain, as a fraction of those that can yield [-]."""
        return float(np.count_nonzero(self.pool.equivalent) / max(8 * self.n_yielding, 1))

    def von_mises_stress(self, u: FloatArray) -> FloatArray:
        """Von Mises stress of each element's mean stress at the committed state ``u``, at small strain [MPa].

        The mean of an element's strain is that at its centre, with mean dilatation or without.
        """
        nodes, moved = self.elastic.grid.element_nodes(), self.elastic.unpack(u)
        centre, strain = strain_matrix((0.5, 0.5, 0.5), self.spacing).T, np.empty((len(nodes), 6))
        for begin in range(0, len(nodes), CHUNK):
            some = slice(begin, begin + CHUNK)
            strain[some] = moved[nodes[some]].reshape(-1, 24) @ centre
        strain[self.candidates[self.pool.elements]] -= self.pool.plastic_strain.mean(axis=2)
        everything = self.everything
        if everything.orthotropy is not None:
            return von_mises(everything.modulus[:, None] * (strain @ orthotropic_stiffness(everything.orthotropy)))
        # a pressure does not count
        return von_mises(everything.mu[:, None] * (strain * (2.0, 2.0, 2.0, 1.0, 1.0, 1.0)))

    def equivalent_strain(self) -> FloatArray:
        """Equivalent plastic strain of each element, mean of its Gauss points [-]."""
        out = np.zeros(self.elastic.grid.n_elements)
        out[self.candidates[self.pool.elements]] = self.pool.equivalent.mean(axis=1)
        return out
