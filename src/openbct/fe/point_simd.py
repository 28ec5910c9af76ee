"""Plasticity of one element as explicit vector code: its eight Gauss points are the eight lanes.

With von Mises flow everything plastic is deviatoric: the correction of force and tangent is the same with and without mean
dilatation, and the tangent of a flowing point is two terms, ``D - D_ep = c P_dev + m m^T`` with one number and one deviator.
Other criteria get their strains, forces and tangent products here and their return mapping point by point.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from openbct.fe.vector_code import I64, LANES, Emitter, Vector


def data_of(context: Any, builder: Any, signature: Any, args: Any, index: int) -> Any:
    """Data pointer of an array argument."""
    return context.make_array(signature.args[index])(context, builder, args[index]).data


def begin_element(context: Any, builder: Any, signature: Any, args: Any) -> Emitter:
    """Emitter of an element; the arguments begin with the gradient table, the four nodes and the stride."""
    corners = cgutils.unpack_tuple(builder, args[1], 4)  # type: ignore[no-untyped-call]
    nodes = [builder.sext(node, I64) for node in corners]
    return Emitter(builder, data_of(context, builder, signature, args, 0), nodes, args[2])


def _largest_deviator(typingctx: Any, table: Any, nodes: Any, stride: Any, u: Any, limit: Any) -> Any:
    """Whether ``e : e`` (tensor product of the strain deviator with itself) exceeds ``limit`` at some Gauss point."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = begin_element(context, builder, signature, args)
        e = emit.deviator(emit.strains(data_of(context, builder, signature, args, 3)))
        half = emit.constant(0.5)
        e = e[:3] + [part * half for part in e[3:]]
        over = emit.square(e).exceeds(emit.splat(args[4]))
        bits = builder.bitcast(over, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(table, nodes, stride, u, limit), codegen


def _return_element(
    typingctx: Any,
    table: Any,
    nodes: Any,
    stride: Any,
    u: Any,
    y: Any,
    plastic: Any,
    offset: Any,
    soft: Any,
    soft_offset: Any,
    shear: Any,
    strength: Any,
    weight: Any,
    scratch: Any,
) -> Any:
    """Radial return at the eight points; adds the plastic force to ``y``, stores the tangent, returns whether a point flows."""
    signature = types.boolean(table, nodes, stride, u, y, plastic, offset, soft, soft_offset, shear, strength, weight, scratch)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = begin_element(context, builder, signature, args)
        u_data, y_data, old_data = (data_of(context, builder, signature, args, n) for n in (3, 4, 5))
        soft_data, scratch_data = (data_of(context, builder, signature, args, n) for n in (7, 12))
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
        emit = begin_element(context, builder, signature, args)
        v_data, y_data, soft_data = (data_of(context, builder, signature, args, n) for n in (3, 4, 5))
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
        emit.add_forces(stress, y_data, data_of(context, builder, signature, args, 7), negative=True)
        return energy.total()

    return types.float64(table, nodes, stride, v, y, soft, soft_offset, scratch), codegen


def _commit_element(
    typingctx: Any,
    table: Any,
    nodes: Any,
    stride: Any,
    u: Any,
    before: Any,
    plastic: Any,
    offset: Any,
    equivalent: Any,
    place: Any,
    shear: Any,
    strength: Any,
) -> Any:
    """Accept the step from ``before`` to ``u``; returns the elastic energy less that of the total strain, and the plastic work."""
    signature = types.UniTuple(types.float64, 2)(  # type: ignore[no-untyped-call]
        table, nodes, stride, u, before, plastic, offset, equivalent, place, shear, strength
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = begin_element(context, builder, signature, args)
        shear, strength = emit.splat(args[9]), emit.splat(args[10])
        plastic_data, equivalent_data = (data_of(context, builder, signature, args, n) for n in (5, 7))
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

        _, _, first = returned(data_of(context, builder, signature, args, 4))
        e, step, last = returned(data_of(context, builder, signature, args, 3))
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


def share_mean(emit: Emitter, parts: list[Vector], factor: Vector) -> list[Vector]:
    """The three normal components with ``factor`` times the way from their mean to its mean over the element."""
    mean = (parts[0] + parts[1] + parts[2]) * emit.constant(1.0 / 3.0)
    shift = (emit.splat(mean.total()) * emit.constant(1.0 / LANES) - mean) * factor
    return [part + shift for part in parts[:3]] + parts[3:]


def _point_strains(typingctx: Any, table: Any, nodes: Any, stride: Any, u: Any, out: Any, bbar: Any) -> Any:
    """Strains at the Gauss points, ``out`` ``(6, 8)`` flat; ``bbar`` is 1 with mean dilatation, else 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = begin_element(context, builder, signature, args)
        strain = share_mean(emit, emit.strains(data_of(context, builder, signature, args, 3)), emit.splat(args[5]))
        out_data = data_of(context, builder, signature, args, 4)
        for n in range(6):
            emit.store(strain[n], out_data, ir.Constant(I64, LANES * n))
        return context.get_dummy_value()

    return types.void(table, nodes, stride, u, out, bbar), codegen


def _point_forces(
    typingctx: Any, table: Any, nodes: Any, stride: Any, stress: Any, y: Any, scratch: Any, bbar: Any, weight: Any
) -> Any:
    """Add ``weight * sum_g B_g^T stress_g`` to ``y``; ``stress`` ``(6, 8)`` flat."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = begin_element(context, builder, signature, args)
        data = data_of(context, builder, signature, args, 3)
        weight = emit.splat(args[7])
        parts = [emit.load(data, ir.Constant(I64, LANES * n)) * weight for n in range(6)]
        parts = share_mean(emit, parts, emit.splat(args[6]))
        y_data, scratch_data = (data_of(context, builder, signature, args, n) for n in (4, 5))
        emit.add_forces(parts, y_data, scratch_data, negative=False)
        return context.get_dummy_value()

    return types.void(table, nodes, stride, stress, y, scratch, bbar, weight), codegen


def _soften_points(
    typingctx: Any, table: Any, nodes: Any, stride: Any, v: Any, y: Any, soft: Any, offset: Any, scratch: Any, bbar: Any
) -> Any:
    """Subtract ``sum_g B_g^T S_g B_g v`` from ``y`` with 21 numbers ``S`` per point; returns its product with ``v``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = begin_element(context, builder, signature, args)
        v_data, y_data, soft_data, scratch_data = (data_of(context, builder, signature, args, n) for n in (3, 4, 5, 7))
        factor = emit.splat(args[8])
        strain = share_mean(emit, emit.strains(v_data), factor)
        stress = [emit.constant(0.0)] * 6
        position = 0
        for row in range(6):
            for column in range(row, 6):
                value = emit.load_single(soft_data, emit.shifted(args[6], LANES * position))
                stress[row] = stress[row] + value * strain[column]
                if column > row:
                    stress[column] = stress[column] + value * strain[row]
                position += 1
        energy = stress[0] * strain[0]
        for n in range(1, 6):
            energy = energy + stress[n] * strain[n]
        emit.add_forces(share_mean(emit, stress, factor), y_data, scratch_data, negative=True)
        return energy.total()

    return types.float64(table, nodes, stride, v, y, soft, offset, scratch, bbar), codegen


point_strains: Any = intrinsic(_point_strains)
point_forces: Any = intrinsic(_point_forces)
soften_points: Any = intrinsic(_soften_points)
largest_deviator: Any = intrinsic(_largest_deviator)
return_element: Any = intrinsic(_return_element)
soften_element: Any = intrinsic(_soften_element)
commit_element: Any = intrinsic(_commit_element)
