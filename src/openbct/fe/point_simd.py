"""Von Mises plasticity as explicit vector code: the eight Gauss points of an element are the eight lanes.

With von Mises flow everything plastic is deviatoric: the correction of force and tangent is the same with and without mean
dilatation, and the tangent of a flowing point is two terms, ``D - D_ep = c P_dev + m m^T`` with one number and one deviator.
Like :mod:`openbct.fe.simd` the code is emitted as LLVM vectors, because the compiler does not find them in loops of eight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

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
        return Vector(self.builder, self.builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES)))

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

    def strains(self, u: Any) -> list[Vector]:
        """The six strains with engineering shear."""
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
        return [
            derivative[a, a] if a == b else derivative[a, b] + derivative[b, a]
            for a, b in VOIGT
        ]

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
        """Add (or subtract) ``sum_g B_g^T stress_g`` to the nodal forces."""
        zero = ir.Constant(I64, 0)
        for number, part in enumerate(stress):
            self.store(part, scratch, self.shifted(zero, LANES * number))
        places = {(a, b): n for n, (a, b) in enumerate(VOIGT)} | {(b, a): n for n, (a, b) in enumerate(VOIGT)}
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


def gradient_table(gradients: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Shape function gradients ``(8 points, 8 nodes, 3)`` twice: lanes over points, then lanes over nodes [1/mm]."""
    return np.concatenate([gradients.transpose(1, 2, 0).ravel(), gradients.transpose(0, 2, 1).ravel()])


def _data(context: Any, builder: Any, signature: Any, args: Any, index: int) -> Any:
    """Data pointer of an array argument."""
    return context.make_array(signature.args[index])(context, builder, args[index]).data


def _begin(context: Any, builder: Any, signature: Any, args: Any) -> Emitter:
    """Emitter of an element; the arguments begin with the gradient table, the four nodes and the stride."""
    corners = cgutils.unpack_tuple(builder, args[1], 4)  # type: ignore[no-untyped-call]
    nodes = [builder.sext(node, I64) for node in corners]
    return Emitter(builder, _data(context, builder, signature, args, 0), nodes, args[2])


def _largest_deviator(typingctx: Any, table: Any, nodes: Any, stride: Any, u: Any, limit: Any) -> Any:
    """Whether ``e : e`` (tensor product of the strain deviator with itself) exceeds ``limit`` at some Gauss point."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _begin(context, builder, signature, args)
        e = emit.deviator(emit.strains(_data(context, builder, signature, args, 3)))
        half = emit.constant(0.5)
        e = e[:3] + [part * half for part in e[3:]]
        over = emit.square(e).exceeds(emit.splat(args[4]))
        bits = builder.bitcast(over, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(table, nodes, stride, u, limit), codegen


def _return_element(
    typingctx: Any, table: Any, nodes: Any, stride: Any, u: Any, y: Any, plastic: Any, offset: Any, soft: Any, soft_offset: Any,
    shear: Any, strength: Any, weight: Any, scratch: Any,
) -> Any:
    """Radial return at the eight points; adds the plastic force to ``y``, stores the tangent, returns whether a point flows."""
    signature = types.boolean(
        table, nodes, stride, u, y, plastic, offset, soft, soft_offset, shear, strength, weight, scratch
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _begin(context, builder, signature, args)
        u_data, y_data, old_data = (_data(context, builder, signature, args, n) for n in (3, 4, 5))
        soft_data, scratch_data = (_data(context, builder, signature, args, n) for n in (7, 12))
        shear, strength, weight = (emit.splat(args[n]) for n in (9, 10, 11))
        e = emit.deviator(emit.strains(u_data))
        old = [emit.load(old_data, emit.shifted(args[6], LANES * n)) for n in range(6)]
        double = shear + shear
        trial = [(e[n] - old[n]) * (double if n < 3 else shear) for n in range(6)]
        square = emit.square(trial)
        q2 = square * emit.constant(1.5)
        flows = q2.exceeds(strength * strength)
        one = emit.constant(1.0)
        safe = q2.where(flows, one)
        scale = (strength / safe.root()).where(flows, one)
        rest = one - scale
        force = [weight * (trial[n] * rest + old[n] * (double if n < 3 else shear)) for n in range(6)]
        # m = sqrt(2 G w scale) n with the unit deviator n = trial / sqrt(trial : trial), and trial : trial = q2 / 1.5
        length = (double * weight * scale * emit.constant(1.5) / safe).root().where(flows, emit.constant(0.0))
        for n in range(6):
            emit.store_single(trial[n] * length, soft_data, emit.shifted(args[8], LANES * n))
        emit.store_single(double * weight * rest, soft_data, emit.shifted(args[8], LANES * 6))
        emit.add_forces(force, y_data, scratch_data, negative=False)
        bits = builder.bitcast(flows, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return signature, codegen


def _soften_element(
    typingctx: Any, table: Any, nodes: Any, stride: Any, v: Any, y: Any, soft: Any, soft_offset: Any, scratch: Any
) -> Any:
    """Subtract the plastic part of the tangent product from ``y``; returns its product with ``v``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _begin(context, builder, signature, args)
        v_data, y_data, soft_data = (_data(context, builder, signature, args, n) for n in (3, 4, 5))
        e = emit.deviator(emit.strains(v_data))
        m = [emit.load_single(soft_data, emit.shifted(args[6], LANES * n)) for n in range(6)]
        c = emit.load_single(soft_data, emit.shifted(args[6], LANES * 6))
        along = m[0] * e[0]
        for n in range(1, 6):
            along = along + m[n] * e[n]
        half = c * emit.constant(0.5)
        stress = [m[n] * along + e[n] * (c if n < 3 else half) for n in range(6)]
        energy = stress[0] * e[0]
        for n in range(1, 6):
            energy = energy + stress[n] * e[n]
        emit.add_forces(stress, y_data, _data(context, builder, signature, args, 7), negative=True)
        return energy.total()

    return types.float64(table, nodes, stride, v, y, soft, soft_offset, scratch), codegen


def _commit_element(
    typingctx: Any, table: Any, nodes: Any, stride: Any, u: Any, before: Any, plastic: Any, offset: Any, equivalent: Any,
    place: Any, shear: Any, strength: Any,
) -> Any:
    """Accept the step from ``before`` to ``u``; returns the elastic energy less that of the total strain, and the plastic work."""
    signature = types.UniTuple(types.float64, 2)(  # type: ignore[no-untyped-call]
        table, nodes, stride, u, before, plastic, offset, equivalent, place, shear, strength
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _begin(context, builder, signature, args)
        shear, strength = emit.splat(args[9]), emit.splat(args[10])
        plastic_data, equivalent_data = (_data(context, builder, signature, args, n) for n in (5, 7))
        double, one, zero, half = shear + shear, emit.constant(1.0), emit.constant(0.0), emit.constant(0.5)
        stiff = [double] * 3 + [shear] * 3
        old = [emit.load(plastic_data, emit.shifted(args[6], LANES * n)) for n in range(6)]

        def returned(data: Any) -> tuple[list[Vector], list[Vector], list[Vector]]:
            """Total deviator, trial elastic deviator, stress deviator."""
            e = emit.deviator(emit.strains(data))
            elastic = [e[n] - old[n] for n in range(6)]
            trial = [elastic[n] * stiff[n] for n in range(6)]
            q2 = emit.square(trial) * emit.constant(1.5)
            flows = q2.exceeds(strength * strength)
            scale = (strength / q2.where(flows, one).root()).where(flows, one)
            return e, [part * (one - scale) for part in elastic], [part * scale for part in trial]

        _, _, first = returned(_data(context, builder, signature, args, 4))
        e, step, last = returned(_data(context, builder, signature, args, 3))
        work, energy, square = zero, zero, zero
        for n in range(6):
            new = old[n] + step[n]
            emit.store(new, plastic_data, emit.shifted(args[6], LANES * n))
            work = work + (first[n] + last[n]) * step[n]
            energy = energy + last[n] * (e[n] - new) - stiff[n] * e[n] * e[n]
            square = square + step[n] * step[n] * (one if n < 3 else half)
        size = (square * emit.constant(2.0 / 3.0)).root()
        emit.store(emit.load(equivalent_data, args[8]) + size, equivalent_data, args[8])
        parts = [(energy * half).total(), (work * half).total()]
        return context.make_tuple(builder, signature.return_type, parts)

    return signature, codegen


largest_deviator: Any = intrinsic(_largest_deviator)
return_element: Any = intrinsic(_return_element)
soften_element: Any = intrinsic(_soften_element)
commit_element: Any = intrinsic(_commit_element)
