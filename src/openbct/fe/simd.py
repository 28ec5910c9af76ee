"""The element product as explicit vector code: eight neighbouring voxels of a row at once.

A box element of an isotropic or axes-aligned orthotropic material is symmetric under the three reflections. In the
Walsh-Hadamard basis of its eight nodes the 24 x 24 stiffness therefore falls apart into blocks: two of 3 x 3, six of 2 x 2 and
three single numbers (:func:`walsh_blocks`), 33 numbers instead of 576, and everything happens in registers.

The code is emitted as LLVM vector instructions. Left to itself the compiler does not vectorise this loop: it would have to
prove that some thirty pointers do not overlap. LLVM lowers the eight-lane vectors to whatever the processor has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped,unused-ignore]
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from openbct.fe.jit import emitted

unpack: Any = cgutils.unpack_tuple

LANES = 8
"""Voxels per vector; rows of voxels are padded to a multiple of it."""

AXIS_BIT = (4, 2, 1)
"""Bit of a Walsh mode that an axis flips (local node number = 4a + 2b + c)."""

N_COEFFICIENTS = 33
"""Numbers that describe one element matrix in the Walsh-Hadamard basis."""


def _layout() -> list[list[tuple[int, int]]]:
    """Groups of coupled (axis, mode) pairs; translations (mode 0) carry no force and are left out."""
    groups: list[list[tuple[int, int]]] = []
    for irrep in (0, 7):
        groups.append([(axis, irrep ^ bit) for axis, bit in enumerate(AXIS_BIT)])
    for one in range(3):
        irrep = AXIS_BIT[one]
        groups.append([(axis, irrep ^ AXIS_BIT[axis]) for axis in range(3) if axis != one])
        irrep = 7 ^ AXIS_BIT[one]
        groups.append([(axis, irrep ^ AXIS_BIT[axis]) for axis in range(3) if axis != one])
        groups.append([(one, 7)])
    return groups


LAYOUT = _layout()


def walsh_blocks(element: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 33 Walsh-Hadamard coefficients of an element stiffness ``(24 24)`` that is symmetric under reflections [N/mm]."""
    parity = np.array([[bin(m & n).count("1") % 2 for n in range(8)] for m in range(8)])
    walsh = (1.0 - 2.0 * parity) / 8.0
    blocks = np.einsum("mn,naob,po->mapb", walsh, element.reshape(8, 3, 8, 3), walsh, optimize=True)
    numbers = [blocks[m, a, p, b] for group in LAYOUT for row, (a, m) in enumerate(group) for b, p in group[row:]]
    return np.asarray(numbers, dtype=np.float64)


def _vector_load(builder: Any, pointer: Any, offset: Any, vector: Any) -> Any:
    address = builder.gep(pointer, [offset])
    return builder.load(builder.bitcast(address, vector.as_pointer()), align=4 if vector.element == ir.FloatType() else 8)


def _vector_store(builder: Any, value: Any, pointer: Any, offset: Any) -> None:
    address = builder.gep(pointer, [offset])
    align = 4 if value.type.element == ir.FloatType() else 8
    builder.store(value, builder.bitcast(address, value.type.as_pointer()), align=align)


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, undefined, mask)


class _Emitter:
    """Writes the vector code of one block of eight elements."""

    def __init__(self, builder: Any, vector: Any) -> None:
        self.builder = builder
        self.vector = vector
        self.flags = ("contract",)

    def add(self, a: Any, b: Any) -> Any:
        """Sum; ``None`` stands for zero."""
        if a is None or b is None:
            return b if a is None else a
        return self.builder.fadd(a, b, flags=self.flags)

    def sub(self, a: Any, b: Any) -> Any:
        """Difference; ``None`` stands for zero."""
        if b is None:
            return a
        if a is None:
            return self.builder.fneg(b)
        return self.builder.fsub(a, b, flags=self.flags)

    def mul(self, a: Any, b: Any) -> Any:
        """Product of two vectors."""
        return self.builder.fmul(a, b, flags=self.flags)

    def butterfly(self, values: list[Any], bit: int) -> list[Any]:
        """One stage of the Walsh-Hadamard transform over the given bit of the index."""
        out = list(values)
        for index in range(len(values)):
            if not index & bit:
                out[index] = self.add(values[index], values[index | bit])
                out[index | bit] = self.sub(values[index], values[index | bit])
        return out


def _emit_block(builder: Any, vector: Any, u: Any, y: Any, modulus: Any, coefficients: Any, carry: Any, offsets: Any) -> None:
    """Emit y += K u for eight elements; ``carry`` holds the part that belongs to the next block of the row."""
    emit = _Emitter(builder, vector)
    u_rows, y_rows, u_stride, y_stride, element, coefficient = offsets
    i64 = ir.IntType(64)
    one = ir.Constant(i64, 1)
    modes: dict[tuple[int, int], Any] = {}
    for axis in range(3):
        shift = builder.mul(u_stride, ir.Constant(i64, axis))
        rows: list[Any] = []
        for row in range(4):
            start = builder.add(u_rows[row], shift)
            rows += [_vector_load(builder, u, start, vector), _vector_load(builder, u, builder.add(start, one), vector)]
        for bit in (1, 2, 4):
            rows = emit.butterfly(rows, bit)
        modes.update({(axis, mode): rows[mode] for mode in range(8)})
    stiff = _vector_load(builder, modulus, element, ir.VectorType(ir.DoubleType(), LANES))
    if vector.element == ir.FloatType():
        stiff = builder.fptrunc(stiff, vector)
    forces: dict[tuple[int, int], Any] = {(axis, 0): None for axis in range(3)}
    position = 0
    for group in LAYOUT:
        table: dict[tuple[int, int], Any] = {}
        for row in range(len(group)):
            for column in range(row, len(group)):
                address = builder.gep(coefficients, [builder.add(coefficient, ir.Constant(i64, position))])
                table[row, column] = table[column, row] = _splat(builder, builder.load(address), vector)
                position += 1
        for row, key in enumerate(group):
            total = None
            for column, other in enumerate(group):
                total = emit.add(total, emit.mul(table[row, column], modes[other]))
            forces[key] = emit.mul(total, stiff)
    shifted = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(range(LANES - 1, 2 * LANES - 1)))
    for axis in range(3):
        values = [forces[axis, mode] for mode in range(8)]
        for bit in (4, 2, 1):
            values = emit.butterfly(values, bit)
        shift = builder.mul(y_stride, ir.Constant(i64, axis))
        for row in range(4):
            slot = ir.Constant(i64, (4 * axis + row) * LANES)
            before = _vector_load(builder, carry, slot, vector)
            _vector_store(builder, values[2 * row + 1], carry, slot)
            upper = builder.shuffle_vector(before, values[2 * row + 1], shifted)
            start = builder.add(y_rows[row], shift)
            old = _vector_load(builder, y, start, vector)
            _vector_store(builder, emit.add(old, emit.add(values[2 * row], upper)), y, start)


@emitted
def element_block(
    typingctx: Any,
    u: Any,
    y: Any,
    modulus: Any,
    coefficients: Any,
    carry: Any,
    rows: Any,
    u_stride: Any,
    y_stride: Any,
    y_lower: Any,
    y_upper: Any,
    element: Any,
    group: Any,
) -> Any:
    """Add the forces of eight elements of one row to ``y``.

    ``rows`` are the four node numbers (00 01 10 11) at the start of the block; ``y_lower`` and ``y_upper`` are subtracted from
    the first two and the last two of them to find their place in ``y``.
    """
    signature = types.void(u, y, modulus, coefficients, carry, rows, *([types.int64] * 6))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scalar = context.get_data_type(signature.args[0].dtype)
        vector = ir.VectorType(scalar, LANES)
        pointers = [context.make_array(signature.args[n])(context, builder, args[n]).data for n in range(5)]
        row_list = unpack(builder, args[5], 4)
        stride_u, stride_y, lower, upper, first, which = args[6:]
        y_rows = [builder.sub(row, lower if n < 2 else upper) for n, row in enumerate(row_list)]
        start = builder.mul(which, ir.Constant(ir.IntType(64), N_COEFFICIENTS))
        offsets = (row_list, y_rows, stride_u, stride_y, first, start)
        u_data, y_data, stiff, table, kept = pointers
        _emit_block(builder, vector, u_data, y_data, stiff, table, kept, offsets)
        return context.get_dummy_value()

    return signature, codegen
