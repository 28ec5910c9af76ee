"""The preconditioner: one multigrid cycle in single precision.

Level 0 works on the voxels themselves (Chebyshev smoothing of the fourth kind, whose only parameter is a rigorous bound of the
largest eigenvalue); the coarse levels are block-sparse matrices with block Gauss-Seidel, forward before and backward after
the coarse correction, so that the cycle is symmetric; the coarsest level is solved by its dense inverse.

References
----------
Lottes, Numer Linear Algebra Appl 30:e2518 (2023): Chebyshev polynomials of the fourth kind for multigrid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from openbct.fe import smoother, transfer, voxel
from openbct.fe.coarsen import Slabs
from openbct.fe.galerkin import BlockMatrix
from openbct.fe.grid import Rows
from openbct.fe.simd import LANES
from openbct.fe.team import ALONE, Team, part_count, plane_cuts

Float32Array = NDArray[np.float32]

SMOOTHING_DEGREE = 2
"""Chebyshev steps before and after the coarse correction on level 0 [C]."""


@dataclass(frozen=True)
class Fine:
    """Level 0: the voxels."""

    rows: Rows
    modulus: NDArray[np.float64]
    """Modulus in the padded order of the rows [MPa]."""
    coefficients: Float32Array
    inverse: Float32Array
    """Inverse diagonal, 0 at fixed and unused places [mm/N]."""
    bound: float
    """Upper bound of the eigenvalues of D^-1 K [-]."""
    cuts: NDArray[np.int64]
    """Slabs of node planes."""
    step: Float32Array
    buffers: Float32Array
    edges: Float32Array
    team: Team = ALONE

    @classmethod
    def of(
        cls, rows: Rows, modulus: NDArray[np.float64], coefficients: Float32Array, inverse: Float32Array, bound: float, team: Team
    ) -> Fine:
        """Level 0 with its work space."""
        cuts = slab_cuts(rows)
        width = int(np.diff(rows.plane_nodes).max()) + 2 * LANES
        slabs = cuts.size - 1
        # One thread uses the first buffer for all slabs.
        buffers = np.zeros((slabs if team.threads > 1 else 1, 6 * width), np.float32)
        edges = np.zeros((slabs, 6 * width), np.float32)
        return cls(rows, modulus, coefficients, inverse, bound, cuts, np.zeros_like(inverse), buffers, edges, team)

    def each(self, work: Callable[[int, int], object]) -> None:
        """Call ``work(begin, end)`` for all degrees of freedom."""
        size = self.inverse.size
        parts = part_count(size)
        self.team.each(lambda begin, end: work(size * begin // parts, size * end // parts), parts)

    def smooth(self, b: Float32Array, x: Float32Array, keep: float, gain: float) -> None:
        """One step of :func:`openbct.fe.voxel.smooth_slabs`."""
        rows = self.rows
        body = (
            rows.nodes,
            rows.first,
            rows.blocks,
            rows.group,
            rows.plane_rows,
            rows.plane_nodes,
            self.modulus,
            self.coefficients,
        )
        slabs = self.cuts.size - 1
        self.team.each(lambda begin, end: voxel.smooth_edges(*body, x, self.cuts, begin, end, self.edges), slabs - 1)
        self.team.each(
            lambda begin, end: voxel.smooth_slabs(
                *body, self.buffers, b, self.inverse, x, self.step, np.float32(keep), np.float32(gain), self.cuts, begin, end,
                self.edges,
            ),
            slabs,
        )  # fmt: skip

    def relax(self, b: Float32Array, x: Float32Array, *, from_zero: bool) -> None:
        """Chebyshev steps of the fourth kind."""
        for degree in range(1, SMOOTHING_DEGREE + 1):
            keep = (2 * degree - 3) / (2 * degree + 1) if degree > 1 else 0.0
            gain = (8 * degree - 4) / ((2 * degree + 1) * self.bound)
            if degree == 1 and from_zero:
                self.each(partial(voxel.begin_smoothing, self.inverse, b, np.float32(gain), x, self.step))
            else:
                self.smooth(b, x, keep, gain)


def slab_cuts(rows: Rows) -> NDArray[np.int64]:
    """Slabs of node planes with about equal numbers of nodes."""
    return plane_cuts(rows.plane_nodes, rows.plane_nodes.size - 1)


@dataclass(frozen=True)
class Level:
    """A coarse level."""

    matrix: BlockMatrix
    links: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8], NDArray[np.int32]]
    """Interpolation of the finer level: start, order and place of its nodes (:mod:`openbct.fe.transfer`), element nodes."""
    slabs: Slabs
    n_nodes: int
    b: Float32Array
    x: Float32Array
    r: Float32Array
    team: Team = ALONE

    def sweep(self, *, backward: bool) -> None:
        """Forward Gauss-Seidel from zero, which leaves the residual in ``r``; or backward from ``x``."""
        m = self.matrix
        self.r[:] = 0

        def work(begin: int, end: int) -> None:
            smoother.sweep(m.start, m.column, m.value, m.inverse, self.b, self.r, self.x, begin, end, backward)

        self._rows(work, backward=backward)

    def take_off(self) -> None:
        """b -= A x."""
        m = self.matrix
        self._rows(lambda begin, end: smoother.subtract_product(m.start, m.column, m.value, self.x, self.b, begin, end))

    def _rows(self, work: Callable[[int, int], object], *, backward: bool = False) -> None:
        """Call ``work`` for all rows, so that rows worked on at the same time have nothing to do with each other."""
        cuts = self.slabs.nodes
        if self.team.threads < 2:
            work(0, self.n_nodes)
            return
        for first, last in self.slabs.phases[:: -1 if backward else 1]:
            phase = cuts[first : last + 1].tolist()
            self.team.each(partial(_call_between, work, phase), last - first)

    def restrict(self, r: Float32Array, node_stride: int, axis_stride: int) -> None:
        """b = P' r."""
        self.b[:] = 0
        for_each_slab(
            self.team,
            self.slabs,
            lambda begin, end: transfer.restrict(*self.links, r, node_stride, axis_stride, self.b, begin, end),
        )

    def prolong(self, x: Float32Array, node_stride: int, axis_stride: int) -> None:
        """x += P (this level's x)."""
        cuts = self.slabs.elements
        self.team.each(
            lambda begin, end: transfer.prolong(
                *self.links, self.x, node_stride, axis_stride, x, int(cuts[begin]), int(cuts[end])
            ),
            cuts.size - 1,
        )  # fmt: skip


def _call_between(work: Callable[[int, int], object], cuts: list[int], begin: int, end: int) -> None:
    work(cuts[begin], cuts[end])


def for_each_slab(team: Team, slabs: Slabs, work: Callable[[int, int], object]) -> None:
    """Call ``work(begin, end)`` for the elements of the even slabs, then for those of the odd ones."""
    cuts = slabs.elements.tolist()
    for odd in (0, 1):
        ranges = [(cuts[n], cuts[n + 1]) for n in range(odd, len(cuts) - 1, 2)]

        def some(begin: int, end: int, ranges: list[tuple[int, int]] = ranges) -> None:
            for one in ranges[begin:end]:
                work(*one)

        team.each(some, len(ranges))


@dataclass(frozen=True)
class Multigrid:
    """A symmetric multigrid cycle; :meth:`cycle` is the preconditioner."""

    fine: Fine
    levels: tuple[Level, ...]
    inverse: Float32Array | None
    """Dense inverse of the coarsest matrix (four numbers per node)."""

    def cycle(self, b: Float32Array, x: Float32Array) -> None:
        """x = M b."""
        fine = self.fine
        fine.relax(b, x, from_zero=True)
        if self.levels:
            fine.smooth(b, x, 0.0, -1.0)
            stride = x.size // 3
            first = self.levels[0]
            first.restrict(fine.step, 1, stride)
            self._visit(0)
            first.prolong(x, 1, stride)
            # The correction must not move a support.
            fine.each(lambda begin, end: voxel.clear_fixed(fine.inverse, x, begin, end))
        fine.relax(b, x, from_zero=False)

    def _visit(self, number: int) -> None:
        """x = about A^-1 b on a coarse level; ``b`` is kept."""
        level = self.levels[number]
        if number == len(self.levels) - 1:
            self._solve_coarsest(level)
            return
        level.sweep(backward=False)
        coarse = self.levels[number + 1]
        coarse.restrict(level.r, 4, 1)
        self._visit(number + 1)
        if number + 2 < len(self.levels):
            # The second half of the W: the same again for what is left.
            before = coarse.x.copy()
            coarse.take_off()
            self._visit(number + 1)
            np.add(coarse.x, before, out=coarse.x)
        coarse.prolong(level.x, 4, 1)
        level.sweep(backward=True)

    def _solve_coarsest(self, level: Level) -> None:
        if self.inverse is not None:
            smoother.dense_product(self.inverse, level.b, level.x)
            return
        total = np.zeros_like(level.x)
        for _ in range(11):
            level.sweep(backward=False)
            level.sweep(backward=True)
            np.add(total, level.x, out=total)
            level.take_off()
        level.x[:] = total
