"""Smoothing, residual and the direct solve on the coarse levels (block-sparse matrices, four floats per node).

Only the lower half of a matrix is stored, diagonal block last in its row. A block ``L`` of row i and column j serves twice while it
is in the cache: it is gathered into row i, and its transpose is scattered from row i to row j. One pass over half a matrix is
therefore a forward sweep from zero together with the residual that it leaves, or a whole backward sweep.
"""

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


def _mask(*lanes: int) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), 4), list(lanes))


def _pair_sums(builder: Any, a: Any, b: Any) -> Any:
    """(a0 + a1, b0 + b1, a2 + a3, b2 + b3)."""
    even, odd = builder.shuffle_vector(a, b, _mask(0, 4, 2, 6)), builder.shuffle_vector(a, b, _mask(1, 5, 3, 7))
    return builder.fadd(even, odd)


def _scatter(builder: Any, value: Any, column: Any, vector: Any, out: Any, begin: Any, end: Any) -> None:
    """Subtract transposed block times vector from ``out`` at the columns of the blocks ``begin`` to ``end``.

    The last lane of the vector is zero, which makes up for the number that a three-number column reads too many.
    """
    zero = ir.Constant(VECTOR, [0.0] * 4)
    with cgutils.for_range_slice(builder, begin, end, ir.Constant(I64, 1), I64) as (block, _):
        at = builder.mul(builder.sext(builder.load(builder.gep(column, [block])), I64), ir.Constant(I64, 4))
        first = builder.mul(block, ir.Constant(I64, 9))
        parts = []
        for axis in range(3):
            part = load_four(builder, value, builder.add(first, ir.Constant(I64, 3 * axis)))
            parts.append(builder.fmul(part, vector))
        low, high = _pair_sums(builder, parts[0], parts[1]), _pair_sums(builder, parts[2], zero)
        left, right = builder.shuffle_vector(low, high, _mask(0, 1, 4, 5)), builder.shuffle_vector(low, high, _mask(2, 3, 6, 7))
        total = builder.fadd(left, right)
        store_four(builder, builder.fsub(load_four(builder, out, at), total), out, at)


@emitted
def _sweep_row(
    typingctx: Any, value: Any, column: Any, inverse: Any, b: Any, r: Any, x: Any, begin: Any, end: Any, row: Any, backward: Any
) -> Any:
    """x_row = D^-1 (b + r - L x)_row, then r -= L_row' x_row, over the given blocks left of the diagonal.

    Everything stays in four-lane vectors: a vector load right after scalar stores to the same place would stall.
    """
    signature = types.void(value, column, inverse, b, r, x, types.int64, types.int64, types.int64, types.boolean)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, columns, inverses, rhs, rest, solution = pointers(context, builder, signature, args, 6)
        begin, end, row, backward = args[6:]
        total = _row_sum(builder, values, columns, solution, begin, end, backward)
        at = builder.mul(row, ir.Constant(I64, 4))
        gap = builder.fsub(builder.fadd(load_four(builder, rhs, at), load_four(builder, rest, at)), total)
        zero = ir.Constant(VECTOR, [0.0] * 4)
        parts = _times(builder, inverses, builder.mul(row, ir.Constant(I64, 12)), 4, gap, [zero, zero, zero])
        new = builder.fadd(builder.fadd(parts[1], parts[2]), parts[0])
        store_four(builder, new, solution, at)
        _scatter(builder, values, columns, new, rest, begin, end)
        return context.get_dummy_value()

    return signature, codegen


@emitted
def _subtract_row(typingctx: Any, value: Any, column: Any, x: Any, r: Any, begin: Any, end: Any, row: Any) -> Any:
    """r -= A x as far as the blocks of one row go; the last of them, at ``end``, is the diagonal one."""
    signature = types.void(value, column, x, r, types.int64, types.int64, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, columns, solution, out = pointers(context, builder, signature, args, 4)
        begin, end, row = args[4:]
        total = _row_sum(builder, values, columns, solution, begin, builder.add(end, ir.Constant(I64, 1)))
        # Lane by lane the sum may carry garbage in the last one, which would then spread.
        clean = builder.insert_element(total, ir.Constant(ir.FloatType(), 0.0), ir.Constant(ir.IntType(32), 3))
        at = builder.mul(row, ir.Constant(I64, 4))
        store_four(builder, builder.fsub(load_four(builder, out, at), clean), out, at)
        _scatter(builder, values, columns, load_four(builder, solution, at), out, begin, end)
        return context.get_dummy_value()

    return signature, codegen


@kernel()
def sweep(start: Any, column: Any, value: Any, inverse: Any, b: Any, r: Any, x: Any, begin: Any, end: Any, backward: Any) -> None:
    """Block Gauss-Seidel over the rows ``begin`` to ``end``; ``r`` comes in as zeros before the first of them.

    Forward from x = 0, whatever ``x`` holds, and r becomes b - A x; or backward from ``x``, and r means nothing.
    """
    for position in range(begin, end):
        row = begin + end - 1 - position if backward else position
        _sweep_row(value, column, inverse, b, r, x, start[row], start[row + 1] - 1, row, backward)


@kernel()
def subtract_product(start: Any, column: Any, value: Any, x: Any, r: Any, begin: Any, end: Any) -> None:
    """r -= A x, the part of the rows ``begin`` to ``end``."""
    for row in range(begin, end):
        _subtract_row(value, column, x, r, start[row], start[row + 1] - 1, row)


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
