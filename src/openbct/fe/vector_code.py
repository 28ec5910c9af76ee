"""Vector code for one element whose eight Gauss points (or eight nodes) are the eight lanes: strains and nodal forces.

Like :mod:`openbct.fe.simd` it is emitted as LLVM vectors, because the compiler does not find them in loops of eight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numpy.typing import NDArray

LANES = 8
F64 = ir.DoubleType()
F32 = ir.FloatType()
I64 = ir.IntType(64)
I32 = ir.IntType(32)
VECTOR = ir.VectorType(F64, LANES)
SINGLE = ir.VectorType(F32, LANES)
PAIR = ir.VectorType(F64, 2)
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Tensor places of the six components ii jj kk jk ik ij."""
FLAGS = ("contract", "nsz")


class Vector:
    """Eight numbers in a register, with arithmetic."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=FLAGS))

    def __sub__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.fsub(self.value, other.value, flags=FLAGS))

    def __mul__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.fmul(self.value, other.value, flags=FLAGS))

    def __truediv__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.fdiv(self.value, other.value))

    def same(self, value: float) -> Vector:
        """The same number in all lanes."""
        return Vector(self.builder, ir.Constant(VECTOR, [value] * LANES))

    def exceeds(self, other: Vector) -> Any:
        """Lanes that are greater; False for NaN."""
        return self.builder.fcmp_ordered(">", self.value, other.value)

    def where(self, mask: Any, other: Vector) -> Vector:
        """These lanes where ``mask``, the others elsewhere."""
        return Vector(self.builder, self.builder.select(mask, self.value, other.value))

    def root(self) -> Vector:
        """Square root."""
        kind = ir.FunctionType(VECTOR, [VECTOR])
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            self.builder.module, kind, f"llvm.sqrt.v{LANES}f64"
        )
        return Vector(self.builder, self.builder.call(function, [self.value]))

    def total(self) -> Any:
        """Sum of the lanes, always in the same order."""
        builder, value, width = self.builder, self.value, LANES
        while width > 1:
            width //= 2
            undefined = ir.Constant(value.type, ir.Undefined)
            halves = [
                builder.shuffle_vector(value, undefined, ir.Constant(ir.VectorType(I32, width), list(range(s, s + width))))
                for s in (0, width)
            ]
            value = builder.fadd(*halves)
        return builder.extract_element(value, ir.Constant(I32, 0))


class Emitter:
    """Loads, stores and the element's strain and force operators."""

    def __init__(self, builder: Any, pointers: Any, nodes: Any, stride: Any) -> None:
        self.builder = builder
        self.gradients = pointers
        self.nodes = nodes
        self.stride = stride

    def constant(self, value: float) -> Vector:
        """The same number in all lanes."""
        return Vector(self.builder, ir.Constant(VECTOR, [value] * LANES))

    def splat(self, scalar: Any) -> Vector:
        """A scalar in all lanes."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        single = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        return Vector(
            self.builder, self.builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))
        )

    def address(self, pointer: Any, offset: Any, kind: Any) -> Any:
        """Pointer to a vector at an offset counted in scalars."""
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), kind.as_pointer())

    def load(self, pointer: Any, offset: Any) -> Vector:
        """Eight doubles."""
        return Vector(self.builder, self.builder.load(self.address(pointer, offset, VECTOR), align=8))

    def store(self, value: Vector, pointer: Any, offset: Any) -> None:
        """Eight doubles."""
        self.builder.store(value.value, self.address(pointer, offset, VECTOR), align=8)

    def load_single(self, pointer: Any, offset: Any) -> Vector:
        """Eight singles, widened."""
        value = self.builder.load(self.address(pointer, offset, SINGLE), align=4)
        return Vector(self.builder, self.builder.fpext(value, VECTOR))

    def store_single(self, value: Vector, pointer: Any, offset: Any) -> None:
        """Eight doubles, rounded to single."""
        self.builder.store(self.builder.fptrunc(value.value, SINGLE), self.address(pointer, offset, SINGLE), align=4)

    def shifted(self, offset: Any, amount: int) -> Any:
        """An offset plus a constant."""
        return self.builder.add(offset, ir.Constant(I64, amount))

    def place(self, axis: int, edge: int) -> Any:
        """Offset of the two nodes of an edge, in one component."""
        return self.builder.add(self.nodes[edge], self.builder.mul(self.stride, ir.Constant(I64, axis)))

    def gradient(self, u: Any) -> dict[tuple[int, int], Vector]:
        """Displacement gradient: derivative of a component along an axis."""
        derivative: dict[tuple[int, int], Vector] = {}
        for node in range(8):
            gradient = [self.load(self.gradients, ir.Constant(I64, LANES * (3 * node + axis))) for axis in range(3)]
            for component in range(3):
                place = self.shifted(self.place(component, node >> 1), node & 1)
                value = self.splat(self.builder.load(self.builder.gep(u, [place])))
                for axis in range(3):
                    part = gradient[axis] * value
                    key = (component, axis)
                    derivative[key] = derivative[key] + part if key in derivative else part
        return derivative

    def strains(self, u: Any) -> list[Vector]:
        """The six strains with engineering shear."""
        slope = self.gradient(u)
        return [slope[a, b] if a == b else slope[a, b] + slope[b, a] for a, b in VOIGT]

    def deviator(self, strain: list[Vector]) -> list[Vector]:
        """Strain less its mean; shear stays engineering shear."""
        mean = (strain[0] + strain[1] + strain[2]) * self.constant(1.0 / 3.0)
        return [part - mean for part in strain[:3]] + strain[3:]

    def square(self, stress: list[Vector]) -> Vector:
        """Tensor product of a stress with itself."""
        normal = stress[0] * stress[0] + stress[1] * stress[1] + stress[2] * stress[2]
        shear = stress[3] * stress[3] + stress[4] * stress[4] + stress[5] * stress[5]
        return normal + shear + shear

    def add_forces(self, stress: list[Vector], y: Any, scratch: Any, *, negative: bool) -> None:
        """Add (or subtract) ``sum_g B_g^T stress_g`` to the nodal forces; six components, or nine of a stress that is not symmetric."""
        for number, part in enumerate(stress):
            self.store(part, scratch, ir.Constant(I64, LANES * number))
        places = {(a, b): n for n, (a, b) in enumerate(VOIGT)} | {(b, a): n for n, (a, b) in enumerate(VOIGT)}
        if len(stress) == 9:
            places = {(a, b): 3 * a + b for a in range(3) for b in range(3)}
        force: list[Vector | None] = [None, None, None]
        for point in range(8):
            for axis in range(3):
                gradient = self.load(self.gradients, ir.Constant(I64, LANES * (24 + 3 * point + axis)))
                for component in range(3):
                    place = ir.Constant(I64, LANES * places[component, axis] + point)
                    part = gradient * self.splat(self.builder.load(self.builder.gep(scratch, [place])))
                    old = force[component]
                    force[component] = part if old is None else old + part
        for component in range(3):
            total = force[component]
            assert total is not None
            undefined = ir.Constant(VECTOR, ir.Undefined)
            for edge in range(4):
                both = ir.Constant(ir.VectorType(I32, 2), [2 * edge, 2 * edge + 1])
                part = self.builder.shuffle_vector(total.value, undefined, both)
                address = self.address(y, self.place(component, edge), PAIR)
                old = self.builder.load(address, align=8)
                new = self.builder.fsub(old, part) if negative else self.builder.fadd(old, part)
                self.builder.store(new, address, align=8)


def gradient_table(gradients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape function gradients ``(8 points, 8 nodes, 3)`` twice: lanes over points, then lanes over nodes [1/mm]."""
    return np.concatenate([gradients.transpose(1, 2, 0).ravel(), gradients.transpose(0, 2, 1).ravel()])
