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

from openbct.fe.coarsen import Coarsening
from openbct.fe.jit import kernel

Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class BlockMatrix:
    """Symmetric sparse matrix of 3 x 3 blocks, columns ascending in each row."""

    start: IntArray
    """First block of each row ``(n + 1)``."""
    middle: IntArray
    """The diagonal block of each row ``(n)``."""
    column: IntArray
    """Column of each block."""
    value: Float32Array
    """Blocks, flattened, twelve numbers each: three columns padded to four."""
    inverse: Float32Array
    """Inverses of the diagonal blocks, stored in the same way."""


@kernel()
def _halve(k: Any, place: Any, axes: Any, work: Any) -> None:
    """k := P' k P for the child at ``place`` (bits i j k) of its parent, coarsened along the bits of ``axes``; k is symmetric."""
    for _ in range(2):
        for bit in (4, 2, 1):
            if not axes & bit:
                continue
            upper = place & bit
            for node in range(8):
                if node & bit:
                    continue
                a = 3 * node
                b = 3 * (node | bit)
                if upper:
                    for row in range(3):
                        for n in range(24):
                            half = np.float32(0.5) * k[a + row, n]
                            k[a + row, n] = half
                            k[b + row, n] += half
                else:
                    for row in range(3):
                        for n in range(24):
                            half = np.float32(0.5) * k[b + row, n]
                            k[b + row, n] = half
                            k[a + row, n] += half
        for m in range(24):
            for n in range(24):
                work[n, m] = k[m, n]
        for m in range(24):
            for n in range(24):
                k[m, n] = work[m, n]


@kernel()
def halve_table(references: Any, axes: Any, out: Any) -> None:
    """P' K P of every reference matrix ``(groups 24 24)`` for the eight places of a child ``(groups 8 24 24)``."""
    work = np.empty((24, 24), np.float32)
    for group in range(references.shape[0]):
        for place in range(8):
            out[group, place] = references[group]
            _halve(out[group, place], place, axes, work)


@kernel()
def _scatter(k: Any, slots: Any, value: Any) -> None:
    for a in range(8):
        for b in range(8):
            at = 12 * slots[8 * a + b]
            for column in range(3):
                for row in range(3):
                    value[at + 4 * column + row] += k[3 * a + row, 3 * b + column]


@kernel()
def gather_first(
    first_child: Any, children: Any, nodes: Any, modulus: Any, group: Any, references: Any, table: Any,
    fixed: Any, slots: Any, place_of: Any, axes: Any, parent: Any, parent_place: Any, parent_axes: Any, value: Any, above: Any,
) -> None:
    """Assemble level 1 from the voxels, and add its element matrices to those of level 2 (``above``)."""
    k = np.empty((24, 24), np.float32)
    one = np.empty((24, 24), np.float32)
    work = np.empty((24, 24), np.float32)
    for e in range(first_child.size - 1):
        k[:] = 0
        for position in range(first_child[e], first_child[e + 1]):
            fine = children[position]
            place = place_of[fine]
            scale = np.float32(modulus[fine])
            touched = False
            for n in range(8):
                for axis in range(3):
                    touched |= fixed[nodes[fine, n], axis]
            if not touched:
                source = table[group[fine], place]
                for m in range(24):
                    for n in range(24):
                        k[m, n] += scale * source[m, n]
                continue
            one[:] = references[group[fine]]
            for n in range(8):
                for axis in range(3):
                    if fixed[nodes[fine, n], axis]:
                        one[3 * n + axis, :] = 0
                        one[:, 3 * n + axis] = 0
            _halve(one, place, axes, work)
            for m in range(24):
                for n in range(24):
                    k[m, n] += scale * one[m, n]
        _scatter(k, slots[e], value)
        if above.shape[0] > 0:
            _halve(k, parent_place[e], parent_axes, work)
            above[parent[e]] += k


@kernel()
def gather_next(matrices: Any, slots: Any, parent: Any, parent_place: Any, parent_axes: Any, value: Any, above: Any) -> None:
    """Assemble one level from its element matrices, and add these to the next level's (``above``)."""
    work = np.empty((24, 24), np.float32)
    for e in range(matrices.shape[0]):
        _scatter(matrices[e], slots[e], value)
        if above.shape[0] > 0:
            _halve(matrices[e], parent_place[e], parent_axes, work)
            above[parent[e]] += matrices[e]


@kernel()
def block_pattern(nodes: Any, n_nodes: Any) -> Any:
    """Rows, diagonal places and columns of the block matrix, and the block ``(n 64)`` of each pair of an element's nodes."""
    n_elements = nodes.shape[0]
    first = np.zeros(n_nodes + 1, np.int32)
    for e in range(n_elements):
        for n in range(8):
            first[nodes[e, n] + 1] += 1
    for n in range(n_nodes):
        first[n + 1] += first[n]
    fill = first[:-1].copy()
    touching = np.empty(8 * n_elements, np.int32)
    for e in range(n_elements):
        for n in range(8):
            touching[fill[nodes[e, n]]] = 8 * e + n
            fill[nodes[e, n]] += 1
    start = np.zeros(n_nodes + 1, np.int32)
    middle = np.zeros(n_nodes, np.int32)
    column = np.empty(64 * n_elements, np.int32)
    slots = np.empty((n_elements, 64), np.int32)
    mark = np.full(n_nodes, -1, np.int32)
    total = 0
    for row in range(n_nodes):
        begin = total
        for t in range(first[row], first[row + 1]):
            for b in range(8):
                other = nodes[touching[t] // 8, b]
                if mark[other] < begin:
                    mark[other] = total
                    at = total
                    while at > begin and column[at - 1] > other:
                        column[at] = column[at - 1]
                        at -= 1
                    column[at] = other
                    total += 1
        for at in range(begin, total):
            mark[column[at]] = at
        middle[row] = mark[row]
        for t in range(first[row], first[row + 1]):
            e = touching[t] // 8
            a = touching[t] % 8
            for b in range(8):
                slots[e, 8 * a + b] = mark[nodes[e, b]]
        start[row + 1] = total
    return start, middle, column[:total].copy(), slots


@kernel()
def invert_diagonal(middle: Any, value: Any, inverse: Any) -> None:
    """Inverses of the diagonal blocks; directions without stiffness get a unit diagonal in both."""
    for row in range(middle.size):
        at = 12 * middle[row]
        largest = np.float32(0)
        for axis in range(3):
            largest = max(largest, value[at + 5 * axis])
        small = max(largest * np.float32(1e-6), np.float32(1e-30))
        for axis in range(3):
            if value[at + 5 * axis] <= small:
                value[at + 5 * axis] = largest if largest > 0 else np.float32(1)
        a, b, c = np.float64(value[at]), np.float64(value[at + 4]), np.float64(value[at + 8])
        d, e, f = np.float64(value[at + 5]), np.float64(value[at + 9]), np.float64(value[at + 10])
        aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
        determinant = a * aa + b * bb + c * cc
        if determinant <= 1e-9 * a * d * f:
            # Nearly singular block (a node that hangs on one corner): fall back to the diagonal, which is safe.
            aa, bb, cc, determinant = d * f, 0 * b, 0 * c, a * d * f
            dd, ee, ff = a * f, 0 * e, a * d
        else:
            dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
        at = 12 * row
        inverse[at], inverse[at + 5], inverse[at + 10] = aa / determinant, dd / determinant, ff / determinant
        inverse[at + 1] = inverse[at + 4] = bb / determinant
        inverse[at + 2] = inverse[at + 8] = cc / determinant
        inverse[at + 6] = inverse[at + 9] = ee / determinant


def parents(step: Coarsening, cells: IntArray) -> tuple[IntArray, IntArray, int]:
    """Coarse element of each fine element, its place (bits i j k) in it, and the bits of the axes that are coarsened."""
    parent = np.empty(len(cells), np.int32)
    parent[step.children] = np.repeat(np.arange(len(step.cells), dtype=np.int32), np.diff(step.first_child))
    bits = np.array([4, 2, 1], dtype=np.int32)
    factor = np.array(step.factor, dtype=np.int32)
    return parent, np.asarray((cells % factor) @ bits, dtype=np.int32), int((factor - 1) @ bits)
