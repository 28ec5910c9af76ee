"""Smoothing, residual and the direct solve on the coarse levels (block-sparse matrices, four floats per node)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped,unused-ignore]
from numba import types
from numba.core import cgutils

from openbct.fe.jit import emitted, kernel

once: Any = cgutils.alloca_once_value
VECTOR = ir.VectorType(ir.FloatType(), 4)
I64 = ir.IntType(64)


def load_four(builder: Any, pointer: Any, offset: Any) -> Any:
    """The four floats at an offset."""
    return builder.load(builder.bitcast(builder.gep(pointer, [offset]), VECTOR.as_pointer()), align=4)


def store_four(builder: Any, value: Any, pointer: Any, offset: Any) -> None:
    """Store four floats at an offset."""
    builder.store(value, builder.bitcast(builder.gep(pointer, [offset]), VECTOR.as_pointer()), align=4)


def _times(builder: Any, matrix: Any, first: Any, height: int, vector: Any, totals: list[Any]) -> list[Any]:
    """Add the product of the block at ``first`` and a vector to three partial sums, one per block column.

    Columns are ``height`` numbers apart; with three, the last lane reads the next column and means nothing.
    """
    out = []
    for axis in range(3):
        column = load_four(builder, matrix, builder.add(first, ir.Constant(I64, height * axis)))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), [axis] * 4)
        spread = builder.shuffle_vector(vector, ir.Constant(VECTOR, ir.Undefined), mask)
        out.append(builder.fadd(totals[axis], builder.fmul(column, spread, flags=("contract",)), flags=("contract",)))
    return out


def _row_sum(builder: Any, value: Any, column: Any, x: Any, begin: Any, end: Any, backward: Any = None) -> Any:
    """Sum of block times vector over the blocks ``begin`` to ``end`` of a row; ``backward`` starts at the end.

    A backward sweep that read its rows forward would defeat the memory prefetcher (four times slower, measured).
    """
    zero = ir.Constant(VECTOR, [0.0] * 4)
    totals = [once(builder, zero) for _ in range(3)]
    for total in totals:
        builder.store(zero, total)
    with cgutils.for_range_slice(builder, begin, end, ir.Constant(I64, 1), I64) as (position, _):
        block = position
        if backward is not None:
            mirrored = builder.sub(builder.sub(builder.add(begin, end), ir.Constant(I64, 1)), position)
            block = builder.select(backward, mirrored, position)
        node = builder.sext(builder.load(builder.gep(column, [block])), I64)
        vector = load_four(builder, x, builder.mul(node, ir.Constant(I64, 4)))
        partial = [builder.load(total) for total in totals]
        for total, result in zip(totals, _times(builder, value, builder.mul(block, ir.Constant(I64, 9)), 3, vector, partial)):
            builder.store(result, total)
    first, second, third = (builder.load(total) for total in totals)
    return builder.fadd(builder.fadd(first, second), third)


def pointers(context: Any, builder: Any, signature: Any, args: Any, count: int) -> list[Any]:
    """Data pointers of the first ``count`` arguments, which are arrays."""
    return [context.make_array(signature.args[n])(context, builder, args[n]).data for n in range(count)]


@emitted
def _sweep_row(
    typingctx: Any, value: Any, column: Any, inverse: Any, b: Any, x: Any, begin: Any, end: Any, row: Any, fresh: Any, backward: Any
) -> Any:
    """x_row += D^-1 (b - A x)_row over the given blocks; ``fresh`` sets x_row instead.

    Everything stays in four-lane vectors: a vector load right after scalar stores to the same place would stall.
    """
    signature = types.void(value, column, inverse, b, x, types.int64, types.int64, types.int64, types.boolean, types.boolean)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, columns, inverses, rhs, solution = pointers(context, builder, signature, args, 5)
        begin, end, row, fresh, backward = args[5:]
        total = _row_sum(builder, values, columns, solution, begin, end, backward)
        at = builder.mul(row, ir.Constant(I64, 4))
        gap = builder.fsub(load_four(builder, rhs, at), total)
        old = builder.select(fresh, ir.Constant(VECTOR, [0.0] * 4), load_four(builder, solution, at))
        zero = ir.Constant(VECTOR, [0.0] * 4)
        parts = _times(builder, inverses, builder.mul(row, ir.Constant(I64, 12)), 4, gap, [old, zero, zero])
        store_four(builder, builder.fadd(builder.fadd(parts[1], parts[2]), parts[0]), solution, at)
        return context.get_dummy_value()

    return signature, codegen


@emitted
def _residual_row(
    typingctx: Any, value: Any, column: Any, b: Any, x: Any, r: Any, begin: Any, end: Any, row: Any, swept: Any
) -> Any:
    """r_row = b - A x over the given blocks; ``swept`` leaves b out."""
    signature = types.void(value, column, b, x, r, types.int64, types.int64, types.int64, types.boolean)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, columns, rhs, solution, out = pointers(context, builder, signature, args, 5)
        begin, end, row, swept = args[5:]
        total = _row_sum(builder, values, columns, solution, begin, end)
        at = builder.mul(row, ir.Constant(I64, 4))
        source = builder.select(swept, ir.Constant(VECTOR, [0.0] * 4), load_four(builder, rhs, at))
        store_four(builder, builder.fsub(source, total), out, at)
        return context.get_dummy_value()

    return signature, codegen


@kernel()
def sweep(start: Any, middle: Any, column: Any, value: Any, inverse: Any, b: Any, x: Any, direction: Any) -> None:
    """One block Gauss-Seidel sweep: direction 1 forward, -1 backward, 0 forward from x = 0 (reads the lower half only)."""
    n_nodes = middle.size
    for position in range(n_nodes):
        row = n_nodes - 1 - position if direction < 0 else position
        end = middle[row] if direction == 0 else start[row + 1]
        _sweep_row(value, column, inverse, b, x, start[row], end, row, direction == 0, direction < 0)


@kernel()
def residual(start: Any, middle: Any, column: Any, value: Any, b: Any, x: Any, r: Any, swept: Any) -> None:
    """r = b - A x; after a forward sweep from zero (``swept``) only the upper half is left to subtract."""
    for row in range(middle.size):
        begin = middle[row] + 1 if swept else start[row]
        _residual_row(value, column, b, x, r, begin, start[row + 1], row, swept)


@kernel()
def invert_dense(a: Any, limit: Any, scaled: Any) -> None:
    """Inverse of a symmetric positive definite matrix in place (sweep operator); a dependent row and column become 0.

    ``limit`` is the smallest pivot that counts as independent; ``scaled`` is room for one row.
    """
    n = a.shape[0]
    for k in range(n):
        pivot = a[k, k]
        dependent = not pivot > limit[k]
        for j in range(n):
            if dependent:
                a[k, j] = 0
                a[j, k] = 0
            scaled[j] = a[k, j] / pivot
        if dependent:
            continue
        for i in range(n):
            factor = a[i, k]
            if i != k and factor != 0:
                for j in range(n):
                    a[i, j] -= factor * scaled[j]
                a[i, k] = factor / pivot
        for j in range(n):
            a[k, j] = scaled[j]
        a[k, k] = -1.0 / pivot
    for i in range(n):
        for j in range(n):
            a[i, j] = -a[i, j]


@kernel(sums=True)
def dense_product(a: Any, b: Any, x: Any) -> None:
    """x = A b with a symmetric matrix."""
    for i in range(b.size):
        x[i] = 0
    for i in range(b.size):
        value = b[i]
        if value != 0:
            for j in range(b.size):
                x[j] += value * a[i, j]
