"""Coarse grids that respect the topology of the bone.

A coarse cell joins 2 x 2 x 2 cells, or fewer: long voxels are first coarsened along their short edges. Two neighbouring coarse
cells share the nodes of their common face only where the material inside them touches there: a coarse node is split into as many
copies as there are separate pieces of material around it. Thin struts that pass close by each other are therefore never glued
together, which is what makes geometric multigrid fail on trabecular structures. On solid bone nothing is split and the usual
trilinear hierarchy results.

All functions work on elements given by their cell ``(n 3)`` and their nodes ``(n 8)``; see :mod:`openbct.fe.hex8` for the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbct.fe.jit import kernel
from openbct.fe.team import plane_cuts

IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class Slabs:
    """Slabs of a coarse level along i. Even ones share nothing with each other, neither do odd ones."""

    elements: NDArray[np.int64]
    """First element of each slab, and the number of elements."""
    nodes: NDArray[np.int64]
    """First node of each slab, in the order in which the nodes are numbered: even slabs, slabs 1 5 9 ..., slabs 3 7 11 ..."""
    phases: tuple[tuple[int, int], ...]
    """Ranges of that order. Within one, slabs do not even share a neighbour that they could both write to."""


@dataclass(frozen=True)
class Coarsening:
    """How the elements and nodes of one level hang together with those of the next coarser level."""

    cells: IntArray
    """Cell of each coarse element ``(n 3)``, on the coarse grid."""
    nodes: IntArray
    """Node numbers of each coarse element ``(n 8)``."""
    n_nodes: int
    """Number of coarse nodes."""
    children: IntArray
    """Fine elements, ordered by coarse element."""
    first_child: IntArray
    """Where the children of each coarse element start in ``children`` ``(n + 1)``."""
    parent: IntArray
    """Coarse element of each fine element."""
    place: NDArray[np.int8]
    """Place of each fine element in its parent: the bits of i j k."""
    code: IntArray
    """For each fine node ``27 * e + 9 * a + 3 * b + c``: it sits at ``(a b c)`` in {0, 1, 2} of coarse element ``e``."""
    factor: tuple[int, int, int]
    """2 along the axes that were coarsened, 1 along the others."""
    slabs: Slabs
    """Parts of the coarse level that can be worked on at the same time."""


@kernel(inner=True)
def _find(parent: Any, item: Any) -> Any:
    above = np.int64(parent[item])
    while above != item:
        parent[item] = parent[above]
        item = above
        above = np.int64(parent[item])
    return item


@kernel(inner=True)
def _join(parent: Any, first: Any, second: Any) -> None:
    a = _find(parent, first)
    b = _find(parent, second)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@kernel()
def _group_children(
    cells: Any, nodes: Any, halving: Any, size_j: Any, size_k: Any, plain: Any, slot: Any, order: Any, last: Any, piece: Any,
    coarse_cells: Any, first_child: Any, children: Any, parent: Any, place: Any,
) -> Any:  # fmt: skip
    """Parents of the fine elements: one per coarse cell and connected piece of material inside it; returns their number.

    ``halving`` is 1 along the axes to coarsen; ``slot`` comes in as zeros, ``last`` as -1, ``piece`` as 0 1 2 …
    """
    n_fine = cells.shape[0]
    for e in range(n_fine):
        order[e] = ((cells[e, 0] >> halving[0]) * size_j + (cells[e, 1] >> halving[1])) * size_k + (cells[e, 2] >> halving[2])
        slot[order[e]] += 1
    total = 0
    for c in range(slot.size):
        total += slot[c]
        slot[c] = total
    for e in range(n_fine - 1, -1, -1):
        slot[order[e]] -= 1
        children[slot[order[e]]] = e
    for position in range(n_fine):
        order[position] = children[position]
    for e in range(n_fine):
        place[e] = 0
        for axis in range(3):
            place[e] = 2 * place[e] + (cells[e, axis] & halving[axis])
    n_coarse = 0
    done = 0
    for cell in range(slot.size):
        begin = slot[cell]
        end = slot[cell + 1] if cell + 1 < slot.size else n_fine
        # A cell full of voxels is one piece.
        whole = plain and end - begin == 8
        if not whole:
            for position in range(begin, end):
                e = order[position]
                for n in range(8):
                    other = last[nodes[e, n]]
                    if other >= begin:
                        _join(piece, np.int64(e), np.int64(order[other]))
                    last[nodes[e, n]] = position
        for lead in range(begin, end):
            if not whole and _find(piece, np.int64(order[lead])) != order[lead]:
                continue
            first_child[n_coarse] = done
            for axis in range(3):
                coarse_cells[n_coarse, axis] = cells[order[begin], axis] >> halving[axis]
            for member in range(begin, end):
                if whole or _find(piece, np.int64(order[member])) == order[lead]:
                    children[done] = order[member]
                    parent[order[member]] = n_coarse
                    done += 1
            n_coarse += 1
            if whole:
                break
    first_child[n_coarse] = done
    return n_coarse


@kernel(inner=True)
def _join_corners(parent: Any, e: Any, place: Any, e0: Any, place0: Any) -> None:
    """Unite the corners of two coarse elements that interpolate the same fine node."""
    for corner in range(8):
        other = 0
        used = True
        unit = 9
        for axis in range(3):
            here = (place // unit) % 3
            there = (place0 // unit) % 3
            bit = (corner >> (2 - axis)) & 1
            if here == 1:
                other = 2 * other + bit
            else:
                used &= bit == here // 2
                other = 2 * other + there // 2
            unit //= 3
        if used:
            _join(parent, 8 * e + corner, 8 * e0 + other)


@kernel()
def _number_nodes(
    cells: Any, nodes: Any, halving: Any, plain: Any, first_child: Any, children: Any, code: Any, last: Any, parent: Any,
    number: Any, out: Any,
) -> Any:  # fmt: skip
    """Coarse nodes: fills the place ``code`` of every fine node and the nodes ``out`` of each coarse element; returns their number.

    ``code``, ``last`` and ``number`` come in as -1, ``parent`` as 0 1 2 …
    """
    n_coarse = first_child.size - 1
    for e in range(n_coarse):
        begin = np.int64(first_child[e])
        whole = plain and first_child[e + 1] - begin == 8
        for step in range(27 if whole else 8 * (first_child[e + 1] - begin)):
            if whole:
                # The children are in the order of their bits: each place is a corner of one of them.
                place = step
                a, b, c = step // 9, step // 3 % 3, step % 3
                fine = children[begin + 4 * (a >> 1) + 2 * (b >> 1) + (c >> 1)]
                node = nodes[fine, 4 * (a - (a >> 1)) + 2 * (b - (b >> 1)) + c - (c >> 1)]
                at_corner = (a | b | c) & 1 == 0
            else:
                fine, n = children[begin + (step >> 3)], step & 7
                node = nodes[fine, n]
                if last[node] == e:
                    continue
                last[node] = e
                place = 0
                for axis in range(3):
                    bit = (n >> (2 - axis)) & 1
                    place = 3 * place + ((cells[fine, axis] & 1) + bit if halving[axis] else 2 * bit)
                at_corner = False
            if code[node] < 0:
                code[node] = 27 * e + place
                continue
            other = np.int64(code[node] // 27)
            # Two whole neighbours share the corners of their common edge or face too: joining these is enough.
            if at_corner or not whole or first_child[other + 1] - first_child[other] != 8:
                _join_corners(parent, e, place, other, np.int64(code[node] % 27))
    count = 0
    for e in range(n_coarse):
        for corner in range(8):
            root = _find(parent, 8 * e + corner)
            if number[root] < 0:
                number[root] = count
                count += 1
            out[e, corner] = number[root]
    return count


@kernel()
def _renumber(cells: Any, nodes: Any, position: Any, number: Any, cuts: Any, following: Any) -> None:
    """Number the nodes by the ``position`` of their slab, otherwise in their old order; ``cuts`` comes in as zeros."""
    for e in range(cells.shape[0]):
        for corner in range(8):
            number[nodes[e, corner]] = position[cells[e, 0] + (corner >> 2)]
    for n in range(number.size):
        cuts[number[n] + 1] += 1
    for slab in range(cuts.size - 1):
        cuts[slab + 1] += cuts[slab]
        following[slab] = cuts[slab]
    for n in range(number.size):
        slab = number[n]
        number[n] = following[slab]
        following[slab] += 1
    for e in range(cells.shape[0]):
        for corner in range(8):
            nodes[e, corner] = number[nodes[e, corner]]


def _cut(cells: IntArray, nodes: IntArray, n_nodes: int) -> Slabs:
    """Slabs of a level; ``nodes`` is renumbered."""
    planes = int(cells[-1, 0]) + 2
    ends = np.searchsorted(cells[:, 0], np.arange(planes + 1))
    cuts = plane_cuts(ends, planes)
    count = cuts.size - 1
    order = [*range(0, count, 2), *range(1, count, 4), *range(3, count, 4)]
    place = np.empty(count, np.int32)
    place[order] = np.arange(count)
    node_cuts = np.zeros(count + 1, np.int64)
    _renumber(cells, nodes, np.repeat(place, np.diff(cuts)), np.empty(n_nodes, np.int32), node_cuts, np.empty_like(node_cuts))
    borders = [0, len(range(0, count, 2)), len(range(0, count, 2)) + len(range(1, count, 4)), count]
    phases = tuple((a, b) for a, b in pairwise(borders) if b > a)
    return Slabs(ends[cuts].astype(np.int64), node_cuts, phases)


def coarsen(
    cells: IntArray, nodes: IntArray, n_nodes: int, factor: tuple[int, int, int] = (2, 2, 2), *, voxels: bool = False
) -> Coarsening:
    """The next coarser level of a set of elements; ``factor`` is 2 along the axes to coarsen and 1 along the others.

    ``voxels`` tells that there is one element at most in a cell and that neighbours share all nodes of their common face.
    """
    halving = np.array(factor, dtype=np.int32) - 1
    plain = voxels and factor == (2, 2, 2)
    size = [int(n) for n in (cells.max(axis=0) >> halving) + 1]
    n_fine = len(cells)
    order, children = np.empty(n_fine, np.int32), np.empty(n_fine, np.int32)
    last, piece = np.full(n_nodes, -1, np.int32), np.arange(n_fine, dtype=np.int32)
    coarse_cells, first_child = np.empty((n_fine, 3), np.int32), np.empty(n_fine + 1, np.int32)
    slot = np.zeros(size[0] * size[1] * size[2], np.int32)
    above, place = np.empty(n_fine, np.int32), np.empty(n_fine, np.int8)
    grown = (coarse_cells, first_child, children, above, place)
    n_coarse = int(_group_children(cells, nodes, halving, size[1], size[2], plain, slot, order, last, piece, *grown))
    first_child, coarse_cells = first_child[: n_coarse + 1].copy(), coarse_cells[:n_coarse].copy()
    last[:] = -1
    code, number = np.full(n_nodes, -1, np.int32), np.full(8 * n_coarse, -1, np.int32)
    coarse_nodes, parent = np.empty((n_coarse, 8), np.int32), np.arange(8 * n_coarse, dtype=np.int32)
    count = int(_number_nodes(cells, nodes, halving, plain, first_child, children, code, last, parent, number, coarse_nodes))
    slabs = _cut(coarse_cells, coarse_nodes, count)
    return Coarsening(coarse_cells, coarse_nodes, count, children, first_child, above, place, code, factor, slabs)
