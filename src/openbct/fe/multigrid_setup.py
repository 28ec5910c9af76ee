"""Setting up the multigrid cycle: the coarse matrices of a voxel body, level by level.

What depends on nothing else is given to another thread while the caller goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbct.fe import galerkin, smoother, transfer
from openbct.fe.coarsen import Coarsening
from openbct.fe.galerkin import BlockMatrix
from openbct.fe.hierarchy import Structure
from openbct.fe.materials import Materials
from openbct.fe.multigrid import Fine, Level, Multigrid, for_each_slab
from openbct.fe.team import Team

Float32Array = NDArray[np.float32]


def _links(step: Coarsening) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8], NDArray[np.int32]]:
    start = np.zeros(len(step.nodes) + 1, np.int32)
    order, place = np.zeros(step.code.size, np.int32), np.zeros(step.code.size, np.int8)
    transfer.order_nodes(step.code, start, order, place)
    return start, order, place, step.nodes


def _dense_inverse(matrix: BlockMatrix, n_nodes: int) -> Float32Array | None:
    if n_nodes > 800:
        return None
    row = np.repeat(np.arange(n_nodes), np.diff(matrix.start))
    full = np.zeros((n_nodes, 3, n_nodes, 3))
    blocks = matrix.value[:-3].reshape(-1, 3, 3)
    full[matrix.column, :, row, :] = blocks
    full[row, :, matrix.column, :] = blocks.transpose(0, 2, 1)
    compact = full.reshape(3 * n_nodes, 3 * n_nodes)
    # Single-precision rounding may have cost the matrix its definiteness: a relative shift gives it back.
    compact[np.diag_indices_from(compact)] *= 1 + 1e-6
    smoother.invert_dense(compact, 1e-7 * compact.diagonal(), np.empty(len(compact)))
    padded = np.zeros((n_nodes, 4, n_nodes, 4), dtype=np.float32)
    padded[:, :3, :, :3] = compact.reshape(n_nodes, 3, n_nodes, 3)
    return padded.reshape(4 * n_nodes, 4 * n_nodes)


def build(
    fine: Fine, structure: Callable[[], Structure], fixed: NDArray[np.bool_], materials: Materials, modulus: NDArray[np.float64]
) -> Multigrid:
    """Multigrid of the voxels; ``structure`` gives what :func:`find_structure` found, ``fixed`` is ``(n_nodes 3)``."""
    nodes, steps, further = structure()
    rest: Callable[[], list[Coarsening]] = fine.team.aside(partial(list, further))
    # The first pattern is most of the work of all: it is found beside the further levels.
    first = [galerkin.block_pattern(step.nodes, step.n_nodes) for step in steps]
    steps = steps + rest()
    group = np.zeros(1, np.int32) if materials.group is None else materials.reference_of[materials.group]
    matrices = np.zeros((0, 576), np.float32)
    sparse: list[tuple[NDArray[np.int32], NDArray[np.int32], Float32Array]] = []
    for number, step in enumerate(steps):
        start, column, slots = first.pop() if first else galerkin.block_pattern(step.nodes, step.n_nodes)
        value = np.zeros(9 * column.size + 3, np.float32)
        above = np.zeros((0, 576), np.float32)
        up: tuple[Any, ...] = (np.zeros(0, np.int32), np.zeros(0, np.int8), 0)
        if number + 1 < len(steps):
            following = steps[number + 1]
            up = (following.parent, following.place, _axes(following))
            above = np.zeros((len(following.cells), 576), np.float32)
        target = (slots, *up, value, above)
        if number == 0:
            voxels = (step.first_child, step.children, nodes, modulus, group)
            _gather_voxels(fine.team, step, voxels, materials.references, fixed, target)
            del nodes, voxels
        else:
            _gather_elements(fine.team, step, matrices, target)
        matrices = above
        sparse.append((start, column, value))
    if not sparse:
        return Multigrid(fine, (), None)
    coarsest = _level(steps[-1], sparse[-1], fine.team)
    inverse = fine.team.aside(partial(_dense_inverse, coarsest.matrix, coarsest.n_nodes))
    levels = [_level(step, matrix, fine.team) for step, matrix in zip(steps[:-1], sparse, strict=False)]
    return Multigrid(fine, (*levels, coarsest), inverse())


def _axes(step: Coarsening) -> int:
    """Bits of the axes that are coarsened."""
    return sum(bit for bit, size in zip((4, 2, 1), step.factor, strict=True) if size == 2)


def _level(step: Coarsening, sparse: tuple[NDArray[np.int32], NDArray[np.int32], Float32Array], team: Team) -> Level:
    start, column, value = sparse
    diagonal = np.zeros(12 * step.n_nodes, np.float32)
    team.chunks(partial(galerkin.invert_diagonal, start, value, diagonal), step.n_nodes)
    b, x, r = np.zeros((3, 4 * step.n_nodes), np.float32)
    return Level(BlockMatrix(start, column, value, diagonal), _links(step), step.slabs, step.n_nodes, b, x, r, team)


def _gather_voxels(
    team: Team, step: Coarsening, voxels: tuple[Any, ...], references: NDArray[np.float64], fixed: NDArray[np.bool_],
    target: tuple[Any, ...],
) -> None:  # fmt: skip
    single = references.astype(np.float32).reshape(-1, 576)
    table = galerkin.halved(references, step.factor)

    def gather(begin: int, end: int) -> None:
        work = np.zeros((3, 576), np.float32)
        galerkin.gather_first(*voxels, single, table, fixed, work, target[0], step.place, _axes(step), *target[1:], begin, end)

    for_each_slab(team, step.slabs, gather)


def _gather_elements(team: Team, step: Coarsening, matrices: Float32Array, target: tuple[Any, ...]) -> None:
    def gather(begin: int, end: int) -> None:
        galerkin.gather_next(matrices, np.zeros((3, 576), np.float32), *target, begin, end)

    for_each_slab(team, step.slabs, gather)
