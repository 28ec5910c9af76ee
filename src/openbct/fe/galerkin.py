"""Coarse operators: the exact Galerkin product, element by element, gathered into a block-sparse matrix.

With ``P`` the trilinear interpolation from a coarse element to one of its children, the coarse element matrix is the sum of
``P' K P`` over the children. Rows and columns of fixed degrees of freedom are cleared first, so that a coarse function never
moves a support. No global sparse triple product is needed, and element matrices are kept from the second coarse level on only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbct.fe.jit import kernel

Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class BlockMatrix:
    """Lower half of a symmetric sparse matrix of 3 x 3 blocks, columns ascending in each row, so that the diagonal comes last."""

    start: IntArray
    """First block of each row ``(n + 1)``."""
    column: IntArray
    """Column of each block."""
    value: Float32Array
    """Blocks, flattened, column after column, and three more numbers so that a vector may read past the end."""
    inverse: Float32Array
    """Inverses of the diagonal blocks, twelve numbers each: three columns padded to four."""


@kernel(inner=True)
def _halve_rows(k: Any, place: Any, axes: Any) -> None:
    """k := P' k for the child at ``place`` (bits i j k) of its parent, coarsened along the bits of ``axes``; k is ``(24 * 24)``."""
    half = np.float32(0.5)
    for bit in (4, 2, 1):
        if not axes & bit:
            continue
        for node in range(8):
            if node & bit:
                continue
            a = 72 * node
            b = 72 * (node | bit)
            if place & bit:
                a, b = b, a
            # Half of the node in the middle of the parent goes to each of its two ends; the other node stays.
            for n in range(72):
                part = half * k[b + n]
                k[b + n] = part
                k[a + n] += part


@kernel(inner=True)
def _halve(k: Any, place: Any, axes: Any, out: Any) -> None:
    """out = P' k P for a symmetric element matrix; k is used up."""
    _halve_rows(k, place, axes)
    for m in range(24):
        for n in range(24):
            out[24 * n + m] = k[24 * m + n]
    _halve_rows(out, place, axes)


def halved(references: NDArray[np.float64], factor: tuple[int, int, int]) -> Float32Array:
    """P' K P of every reference matrix ``(groups 24 24)`` for the eight places of a child ``(groups * 8, 576)``.

    As :func:`_halve` does it, in single precision, for all groups at once.
    """
    table = np.empty((len(references), 8, 576), np.float32)
    for place in range(8):
        k = references.astype(np.float32)
        for _ in range(2):
            rows = k.reshape(-1, 8, 72)
            for bit, size in zip((4, 2, 1), factor, strict=True):
                for node in range(8):
                    if size == 2 and not node & bit:
                        a, b = (node | bit, node) if place & bit else (node, node | bit)
                        rows[:, b] *= np.float32(0.5)
                        rows[:, a] += rows[:, b]
            k = np.ascontiguousarray(k.transpose(0, 2, 1))
        table[:, place] = k.transpose(0, 2, 1).reshape(-1, 576)
    return table.reshape(-1, 576)


@kernel(inner=True)
def _scatter(k: Any, slots: Any, value: Any) -> None:
    pair = 0
    for a in range(8):
        for b in range(a, 8):
            slot = np.int64(slots[pair])
            pair += 1
            source = 72 * a + 3 * b
            if slot >= 0:
                at = 9 * slot
                for column in range(3):
                    for row in range(3):
                        value[at + 3 * column + row] += k[source + 24 * row + column]
            else:
                at = 9 * ~slot
                for column in range(3):
                    for row in range(3):
                        value[at + 3 * column + row] += k[source + 24 * column + row]


@kernel()
def gather_first(
    first_child: Any, children: Any, nodes: Any, modulus: Any, group: Any, references: Any, table: Any,
    fixed: Any, work: Any, slots: Any, place_of: Any, axes: Any, parent: Any, parent_place: Any, parent_axes: Any, value: Any,
    above: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """Assemble the elements ``begin`` to ``end`` of level 1 from the voxels, and add their matrices to those of level 2 (``above``).

    ``work`` are three element matrices; ``fixed`` marks the degrees of freedom ``(n_nodes 3)``.
    """
    k, one, other = work[0], work[1], work[2]
    for e in range(begin, end):
        for n in range(576):
            k[n] = 0
        for position in range(first_child[e], first_child[e + 1]):
            fine = children[position]
            scale = np.float32(modulus[fine])
            kind = group[fine] if group.size > 1 else group[0]
            touched = False
            for n in range(8):
                node = nodes[fine, n]
                touched |= fixed[node, 0] | fixed[node, 1] | fixed[node, 2]
            if not touched:
                source = table[8 * kind + place_of[fine]]
                for n in range(576):
                    k[n] += scale * source[n]
                continue
            for n in range(576):
                one[n] = references[kind, n]
            for dof in range(24):
                if fixed[nodes[fine, dof // 3], dof % 3]:
                    for n in range(24):
                        one[24 * dof + n] = 0
                        one[24 * n + dof] = 0
            _halve(one, np.int64(place_of[fine]), axes, other)
            for n in range(576):
                k[n] += scale * other[n]
        _scatter(k, slots[e], value)
        if above.shape[0] > 0:
            _halve(k, np.int64(parent_place[e]), parent_axes, other)
            target = above[parent[e]]
            for n in range(576):
                target[n] += other[n]


@kernel()
def gather_next(
    matrices: Any, work: Any, slots: Any, parent: Any, parent_place: Any, parent_axes: Any, value: Any, above: Any, begin: Any,
    end: Any,
) -> None:  # fmt: skip
    """Assemble the elements ``begin`` to ``end`` of a level from their matrices ``(n 576)``, and add these to the next level's (``above``)."""
    other = work[2]
    for e in range(begin, end):
        k = matrices[e]
        _scatter(k, slots[e], value)
        if above.shape[0] > 0:
            _halve(k, np.int64(parent_place[e]), parent_axes, other)
            target = above[parent[e]]
            for n in range(576):
                target[n] += other[n]


@kernel()
def _fill_pattern(
    nodes: Any, n_nodes: Any, first: Any, touching: Any, start: Any, column: Any, slots: Any, mark: Any, pair_of: Any
) -> None:
    n_elements = nodes.shape[0]
    for e in range(n_elements):
        for n in range(8):
            first[nodes[e, n] + 1] += 1
    for n in range(n_nodes):
        first[n + 1] += first[n]
        start[n] = first[n]
    for e in range(n_elements):
        for n in range(8):
            touching[start[nodes[e, n]]] = 8 * e + n
            start[nodes[e, n]] += 1
    total = 0
    start[0] = 0
    for row in range(n_nodes):
        begin = total
        for t in range(first[row], first[row + 1]):
            for b in range(8):
                other = nodes[touching[t] >> 3, b]
                if other <= row and mark[other] < begin:
                    mark[other] = total
                    at = total
                    while at > begin and column[at - 1] > other:
                        column[at] = column[at - 1]
                        at -= 1
                    column[at] = other
                    total += 1
        for at in range(begin, total):
            mark[column[at]] = at
        for t in range(first[row], first[row + 1]):
            e = touching[t] >> 3
            a = touching[t] & 7
            for b in range(8):
                other = nodes[e, b]
                if other <= row:
                    # The pair of nodes is stored with the smaller local number first: ~ tells that the block is transposed.
                    slots[e, pair_of[a, b]] = mark[other] if a <= b else ~mark[other]
        start[row + 1] = total


PAIRS = 36
"""Pairs of nodes of an element, each with itself included."""


def _pair_table() -> IntArray:
    table = np.zeros((8, 8), np.int32)
    table[np.triu_indices(8)] = np.arange(PAIRS)
    return np.asarray(np.maximum(table, table.T), dtype=np.int32)


def block_pattern(nodes: IntArray, n_nodes: int) -> tuple[IntArray, IntArray, IntArray]:
    """Rows and columns of the lower half of the block matrix, and the block ``(n 36)`` of each pair of an element's nodes."""
    first, touching = np.zeros(n_nodes + 1, np.int32), np.empty(nodes.size, np.int32)
    start, mark = np.zeros(n_nodes + 1, np.int32), np.full(n_nodes, -1, np.int32)
    # An upper bound; the operating system provides only the part that is used.
    column, slots = np.empty(PAIRS * len(nodes), np.int32), np.empty((len(nodes), PAIRS), np.int32)
    _fill_pattern(nodes, n_nodes, first, touching, start, column, slots, mark, _pair_table())
    return start, column[: start[-1]].copy(), slots


def invert_diagonal(start: IntArray, value: Float32Array, inverse: Float32Array, begin: int, end: int) -> None:
    """Inverses of the diagonal blocks of some rows; directions without stiffness get a unit diagonal in both."""
    at = 9 * (start[begin + 1 : end + 1].astype(np.int64) - 1)
    diagonal = value[at[:, None] + np.array([0, 4, 8])]
    largest = diagonal.max(axis=1, keepdims=True, initial=0)
    small = np.maximum(largest * np.float32(1e-6), np.float32(1e-30))
    diagonal = np.where(diagonal <= small, np.where(largest > 0, largest, np.float32(1)), diagonal)
    value[at[:, None] + np.array([0, 4, 8])] = diagonal
    a, d, f = diagonal.T.astype(np.float64)
    b, c, e = value[at[:, None] + np.array([3, 6, 7])].T.astype(np.float64)
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * aa + b * bb + c * cc
    # Nearly singular block (a node that hangs on one corner): fall back to the diagonal, which is safe.
    flat = determinant <= 1e-9 * a * d * f
    if flat.any():
        determinant = np.where(flat, a * d * f, determinant)
        aa, dd, ff = np.where(flat, d * f, aa), np.where(flat, a * f, dd), np.where(flat, a * d, ff)
        bb, cc, ee = (np.where(flat, 0.0, part) for part in (bb, cc, ee))
    table = inverse.reshape(-1, 3, 4)[begin:end]
    for (row, column), part in {(0, 0): aa, (1, 1): dd, (2, 2): ff, (0, 1): bb, (0, 2): cc, (1, 2): ee}.items():
        table[:, row, column] = part / determinant
        table[:, column, row] = table[:, row, column]
