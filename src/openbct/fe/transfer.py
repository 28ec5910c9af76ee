"""Interpolation between the levels: one coarse element at a time, its 27 places in a small buffer.

Coarse vectors hold four floats per node (the last one unused). The fine layout is given by its strides, so that the same code
serves the voxel level (axis after axis) and the coarse levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped,unused-ignore]
from numba import types

from openbct.fe.jit import emitted, kernel
from openbct.fe.smoother import I64, VECTOR, load_four, pointers, store_four

HALF = ir.Constant(VECTOR, [0.5] * 4)
AXES = (9, 3, 1)


def _corner_places() -> list[int]:
    return [18 * a + 6 * b + 2 * c for a in (0, 1) for b in (0, 1) for c in (0, 1)]


def _midpoints(axis: int) -> list[tuple[int, int, int]]:
    """Triples (lower, middle, upper) of places along an axis; axes already done run over 0 1 2, the others over 0 2."""
    step = AXES[axis]
    ranges = [(0,) if other == axis else (0, 1, 2) if other < axis else (0, 2) for other in range(3)]
    places = [9 * a + 3 * b + c for a in ranges[0] for b in ranges[1] for c in ranges[2]]
    return [(place, place + step, place + 2 * step) for place in places]


def _coarse_offset(builder: Any, nodes: Any, element: Any, corner: int) -> Any:
    at = builder.add(builder.mul(element, ir.Constant(I64, 8)), ir.Constant(I64, corner))
    return builder.mul(builder.sext(builder.load(builder.gep(nodes, [at])), I64), ir.Constant(I64, 4))


@emitted
def _expand(typingctx: Any, coarse: Any, nodes: Any, work: Any, element: Any) -> Any:
    """work = the 27 values that the corners of an element interpolate."""
    signature = types.void(coarse, nodes, work, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors, table, out = pointers(context, builder, signature, args, 3)
        values: dict[int, Any] = {}
        for corner, place in enumerate(_corner_places()):
            values[place] = load_four(builder, vectors, _coarse_offset(builder, table, args[3], corner))
        for axis in range(3):
            for lower, middle, upper in _midpoints(axis):
                values[middle] = builder.fmul(HALF, builder.fadd(values[lower], values[upper]))
        for place, value in values.items():
            store_four(builder, value, out, ir.Constant(I64, 4 * place))
        return context.get_dummy_value()

    return signature, codegen


@emitted
def _collapse(typingctx: Any, coarse: Any, nodes: Any, work: Any, element: Any) -> Any:
    """Add the 27 values of ``work`` to the corners of an element (the transpose of :func:`_expand`) and clear them."""
    signature = types.void(coarse, nodes, work, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors, table, source = pointers(context, builder, signature, args, 3)
        values = {place: load_four(builder, source, ir.Constant(I64, 4 * place)) for place in range(27)}
        for place in range(27):
            store_four(builder, ir.Constant(VECTOR, [0.0] * 4), source, ir.Constant(I64, 4 * place))
        for axis in (2, 1, 0):
            for lower, middle, upper in _midpoints(axis):
                part = builder.fmul(HALF, values[middle])
                values[lower] = builder.fadd(values[lower], part)
                values[upper] = builder.fadd(values[upper], part)
        for corner, place in enumerate(_corner_places()):
            at = _coarse_offset(builder, table, args[3], corner)
            store_four(builder, builder.fadd(load_four(builder, vectors, at), values[place]), vectors, at)
        return context.get_dummy_value()

    return signature, codegen


@kernel()
def prolong(
    start: Any, order: Any, place: Any, nodes: Any, coarse: Any, node_stride: Any, axis_stride: Any, x: Any, begin: Any, end: Any
) -> None:
    """x += P coarse for the elements ``begin`` to ``end``; e interpolates the fine nodes ``order[start[e] : start[e + 1]]``."""
    work = np.empty(108, np.float32)
    for e in range(begin, end):
        if start[e] == start[e + 1]:
            continue
        _expand(coarse, nodes, work, e)
        for s in range(start[e], start[e + 1]):
            n = np.uint64(np.int64(order[s]) * node_stride)
            q = np.uint64(4 * place[s])
            x[n] += work[q]
            x[n + np.uint64(axis_stride)] += work[q + np.uint64(1)]
            x[n + np.uint64(2 * axis_stride)] += work[q + np.uint64(2)]


@kernel()
def restrict(
    start: Any, order: Any, place: Any, nodes: Any, r: Any, node_stride: Any, axis_stride: Any, out: Any, begin: Any, end: Any
) -> None:
    """out += P' r for the elements ``begin`` to ``end``."""
    work = np.empty(108, np.float32)
    for lane in range(work.size):
        work[lane] = 0
    for e in range(begin, end):
        if start[e] == start[e + 1]:
            continue
        for s in range(start[e], start[e + 1]):
            n = np.uint64(np.int64(order[s]) * node_stride)
            q = np.uint64(4 * place[s])
            work[q] = r[n]
            work[q + np.uint64(1)] = r[n + np.uint64(axis_stride)]
            work[q + np.uint64(2)] = r[n + np.uint64(2 * axis_stride)]
        _collapse(out, nodes, work, e)


@kernel()
def order_nodes(code: Any, start: Any, order: Any, place: Any) -> None:
    """Fine nodes by the coarse element that interpolates them; ``start`` comes in as zeros ``(n + 1)``."""
    for n in range(code.size):
        start[code[n] // 27 + 1] += 1
    for e in range(start.size - 1):
        start[e + 1] += start[e]
    for n in range(code.size - 1, -1, -1):
        # Filling from the end leaves the starts one element early, where the last line puts them right again.
        e = code[n] // 27
        start[e + 1] -= 1
        order[start[e + 1]] = n
        place[start[e + 1]] = code[n] % 27
    for e in range(start.size - 1):
        start[e] = start[e + 1]
    start[start.size - 1] = code.size
