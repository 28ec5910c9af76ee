"""The preconditioner: one multigrid cycle in single precision.

Level 0 works on the voxels themselves (Chebyshev smoothing of the fourth kind, whose only parameter is a rigorous bound of the
largest eigenvalue); the coarse levels are block-sparse matrices with block Gauss-Seidel, forward before and backward after
the coarse correction, so that the cycle is symmetric; the coarsest level is solved by its dense inverse.

References
----------
Lottes, Numer Linear Algebra Appl 30:e2518 (2023): Chebyshev polynomials of the fourth kind for multigrid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbct.fe import galerkin, smoother, transfer, voxel
from openbct.fe.coarsen import Coarsening, coarsen
from openbct.fe.galerkin import BlockMatrix
from openbct.fe.grid import Rows

Float32Array = NDArray[np.float32]

COARSEST_DOF = 480
"""Below this the coarsest level is inverted [D]: the inverse then costs less than one visit of the level above."""

MAX_ASPECT = 1.5
"""An axis is coarsened if its edges are shorter than this many times the shortest ones [D]."""

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
    step: Float32Array
    buffer: Float32Array

    def smooth(self, b: Float32Array, x: Float32Array, keep: float, gain: float) -> None:
        """One step of :func:`openbct.fe.voxel.smooth`."""
        rows = self.rows
        voxel.smooth(
            rows.nodes, rows.first, rows.blocks, rows.group, rows.plane_rows, rows.plane_nodes, self.modulus,
            self.coefficients, self.buffer, b, self.inverse, x, self.step, np.float32(keep), np.float32(gain),
        )  # fmt: skip

    def relax(self, b: Float32Array, x: Float32Array, *, from_zero: bool) -> None:
        """Chebyshev steps of the fourth kind."""
        for degree in range(1, SMOOTHING_DEGREE + 1):
            keep = (2 * degree - 3) / (2 * degree + 1) if degree > 1 else 0.0
            gain = (8 * degree - 4) / ((2 * degree + 1) * self.bound)
            if degree == 1 and from_zero:
                np.multiply(self.inverse, b, out=x)
                x *= np.float32(gain)
                self.step[:] = x
            else:
                self.smooth(b, x, keep, gain)


@dataclass(frozen=True)
class Level:
    """A coarse level."""

    matrix: BlockMatrix
    links: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8], NDArray[np.int32]]
    """Interpolation of the finer level: start, order and place of its nodes (:mod:`openbct.fe.transfer`), element nodes."""
    n_nodes: int
    b: Float32Array
    x: Float32Array
    r: Float32Array


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
            transfer.restrict(*first.links, fine.step, 1, stride, first.b)
            self._visit(0)
            transfer.prolong(*first.links, first.x, 1, stride, x)
            # The correction must not move a support.
            voxel.clear_fixed(fine.inverse, x)
        fine.relax(b, x, from_zero=False)

    def _visit(self, number: int, *, again: bool = False) -> None:
        level = self.levels[number]
        m = level.matrix
        if number == len(self.levels) - 1 and self.inverse is not None:
            smoother.dense_product(self.inverse, level.b, level.x)
            return
        direction = 1 if again else 0
        smoother.sweep(m.start, m.middle, m.column, m.value, m.inverse, level.b, level.x, direction)
        if number == len(self.levels) - 1:
            for _ in range(10):
                smoother.sweep(m.start, m.middle, m.column, m.value, m.inverse, level.b, level.x, 1)
                smoother.sweep(m.start, m.middle, m.column, m.value, m.inverse, level.b, level.x, -1)
        else:
            coarse = self.levels[number + 1]
            smoother.residual(m.start, m.middle, m.column, m.value, level.b, level.x, level.r, not again)
            transfer.restrict(*coarse.links, level.r, 4, 1, coarse.b)
            last = number + 1 == len(self.levels) - 1
            for visit in range(1 if last else 2):
                self._visit(number + 1, again=visit > 0)
            transfer.prolong(*coarse.links, coarse.x, 4, 1, level.x)
        smoother.sweep(m.start, m.middle, m.column, m.value, m.inverse, level.b, level.x, -1)


def _coarsenings(
    cells: NDArray[np.int32], nodes: NDArray[np.int32], n_nodes: int, spacing: Sequence[float]
) -> list[tuple[Coarsening, Any]]:
    steps: list[tuple[Coarsening, Any]] = []
    edge = np.asarray(spacing, dtype=float)
    while 3 * n_nodes > COARSEST_DOF:
        # Point smoothing only works where the coupling is strong, along short edges; long ones wait until the others catch up.
        short = edge < MAX_ASPECT * edge.min()
        step = coarsen(cells, nodes, n_nodes, (1 + int(short[0]), 1 + int(short[1]), 1 + int(short[2])))
        if steps and step.n_nodes > 0.75 * n_nodes and short.all():
            break
        steps.append((step, galerkin.parents(step, cells)))
        cells, nodes, n_nodes = step.cells, step.nodes, step.n_nodes
        edge = np.where(short, 2 * edge, edge)
    return steps


def _links(step: Coarsening) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8], NDArray[np.int32]]:
    start = np.zeros(len(step.nodes) + 1, np.int32)
    order, place = np.zeros(step.code.size, np.int32), np.zeros(step.code.size, np.int8)
    transfer.order_nodes(step.code, start, order, place)
    return start, order, place, step.nodes


def _dense_inverse(matrix: BlockMatrix, n_nodes: int) -> Float32Array | None:
    if n_nodes > 800:
        return None
    row = np.repeat(np.arange(n_nodes), np.diff(matrix.start))
    full = np.zeros((n_nodes, 4, n_nodes, 4))
    full[row, :3, matrix.column, :3] = matrix.value[:-3].reshape(-1, 3, 3).transpose(0, 2, 1)
    compact = full[:, :3, :, :3].reshape(3 * n_nodes, 3 * n_nodes)
    # Single-precision rounding may have cost the matrix its definiteness: a relative shift gives it back.
    compact[np.diag_indices_from(compact)] *= 1 + 1e-6
    smoother.invert_dense(compact, 1e-7 * compact.diagonal(), np.empty(len(compact)))
    padded = np.zeros((n_nodes, 4, n_nodes, 4), dtype=np.float32)
    padded[:, :3, :, :3] = compact.reshape(n_nodes, 3, n_nodes, 3)
    return padded.reshape(4 * n_nodes, 4 * n_nodes)


def build(
    fine: Fine, cells: NDArray[np.int32], nodes: NDArray[np.int32], fixed: NDArray[np.bool_], references: NDArray[np.float64],
    modulus: NDArray[np.float64], group: NDArray[np.int32], spacing: Sequence[float],
) -> Multigrid:  # fmt: skip
    """Multigrid of the voxels; ``fixed`` is ``(n_nodes 3)``, ``references`` the element matrices of the groups."""
    steps = _coarsenings(cells, nodes, len(fixed), spacing)
    levels: list[Level] = []
    inverse = None
    single = references.astype(np.float32).reshape(-1, 576)
    work = np.zeros((3, 576), np.float32)
    matrices = np.zeros((0, 576), np.float32)
    for number, (step, (_, place, axes)) in enumerate(steps):
        start, middle, column, slots = galerkin.block_pattern(step.nodes, step.n_nodes)
        value = np.zeros(9 * column.size + 3, np.float32)
        above = np.zeros((0, 576), np.float32)
        up: tuple[Any, ...] = (np.zeros(0, np.int32), np.zeros(0, np.int32), 0)
        if number + 1 < len(steps):
            following, up = steps[number + 1]
            above = np.zeros((len(following.cells), 576), np.float32)
        if number == 0:
            table = np.zeros((8 * len(single), 576), np.float32)
            galerkin.halve_table(single, axes, work[0], table)
            galerkin.gather_first(
                step.first_child, step.children, nodes, modulus, group, single, table, fixed, work, slots, place, axes, *up,
                value, above,
            )  # fmt: skip
        else:
            galerkin.gather_next(matrices, work, slots, *up, value, above)
        matrices = above
        diagonal = np.zeros(12 * step.n_nodes, np.float32)
        galerkin.invert_diagonal(middle, value, diagonal)
        matrix = BlockMatrix(start, middle, column, value, diagonal)
        if number + 1 == len(steps):
            inverse = _dense_inverse(matrix, step.n_nodes)
        vectors = np.zeros((3, 4 * step.n_nodes), np.float32)
        levels.append(Level(matrix, _links(step), step.n_nodes, *vectors))
    return Multigrid(fine, tuple(levels), inverse)
