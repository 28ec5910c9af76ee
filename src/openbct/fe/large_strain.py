"""Von Mises plasticity at large strain: the same return mapping on the logarithmic strain of the reference configuration.

With ``C = F^T F`` and ``X = C - 1`` the strain is ``E = X/2 - X^2/4 + X^3/6``, the series of ``ln U`` to third order; it does not see
rotations. Stress ``T`` follows from ``E`` as in small strain (additive plasticity in logarithmic strain), and the nominal stress is
``P = F S`` with ``S = T : 2 dE/dC``. With mean dilatation the pressure comes from the mean of ``tr E`` over the element.
Newton's method keeps the small-strain tangent, which leaves out terms of the order of the strain: it converges linearly, and fast.

References
----------
Miehe, Apel & Lambrecht, Comput Methods Appl Mech Eng 191:5383 (2002): additive plasticity in the logarithmic strain space [R].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from openbct.fe.point_simd import begin_element, data_of, share_mean
from openbct.fe.vector_code import LANES, VOIGT, Emitter, Vector

Tensor = dict[tuple[int, int], Vector]


def _symmetric_product(a: Tensor, b: Tensor) -> Tensor:
    """(a b + b a) / 2 of symmetric tensors, half of it computed."""
    out: Tensor = {}
    for i, j in VOIGT:
        total: Vector | None = None
        for k in range(3):
            part = a[i, k] * b[k, j] + b[i, k] * a[k, j]
            total = part if total is None else total + part
        assert total is not None
        out[i, j] = out[j, i] = total
    half = next(iter(a.values())).same(0.5)
    return {key: value * half for key, value in out.items()}


def _stretch(slope: Tensor) -> Tensor:
    """X = F^T F - 1 from the displacement gradient."""
    out: Tensor = {}
    for i, j in VOIGT:
        total = slope[i, j] + slope[j, i]
        for k in range(3):
            total = total + slope[k, i] * slope[k, j]
        out[i, j] = out[j, i] = total
    return out


def _logarithm(x: Tensor, square: Tensor) -> list[Vector]:
    """Six components of E with engineering shear."""
    cube = _symmetric_product(x, square)
    first = x[0, 0]
    parts = []
    for i, j in VOIGT:
        value = x[i, j] * first.same(0.5) - square[i, j] * first.same(0.25) + cube[i, j] * first.same(1 / 6)
        parts.append(value if i == j else value + value)
    return parts


def _nominal(slope: Tensor, x: Tensor, square: Tensor, stress: list[Vector]) -> list[Vector]:
    """Nine components of P = F S; ``S = T - sym(X T) + (2 sym(X^2 T) + X T X) / 3``."""
    t: Tensor = {}
    for n, (i, j) in enumerate(VOIGT):
        t[i, j] = t[j, i] = stress[n]
    first, second = _symmetric_product(x, t), _symmetric_product(square, t)
    # X T X = 2 sym(X sym(X T)) - sym(X^2 T)
    around = _symmetric_product(x, first)
    one, third = x[0, 0].same(1.0), x[0, 0].same(1 / 3)
    s = {key: t[key] - first[key] + (second[key] + around[key] + around[key]) * third for key in t}
    out = []
    for i in range(3):
        for j in range(3):
            total = s[i, j] * one
            for k in range(3):
                total = total + slope[i, k] * s[k, j]
            out.append(total)
    return out


def _strain(emit: Emitter, u: Any, factor: Vector) -> tuple[list[Vector], Vector, Tensor, Tensor, Tensor]:
    """Deviator of E, its (mean) trace, and what the nominal stress needs."""
    slope = emit.gradient(u)
    x = _stretch(slope)
    square = _symmetric_product(x, x)
    strain = share_mean(emit, _logarithm(x, square), factor)
    return emit.deviator(strain), strain[0] + strain[1] + strain[2], slope, x, square


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
    bulk: Any,
    strength: Any,
    weight: Any,
    bbar: Any,
    scratch: Any,
) -> Any:
    """Return mapping; adds the internal force to ``y``, stores the small-strain tangent, returns whether a point flows."""
    signature = types.boolean(
        table, nodes, stride, u, y, plastic, offset, soft, soft_offset, shear, bulk, strength, weight, bbar, scratch
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = begin_element(context, builder, signature, args)
        u_data, y_data, old_data = (data_of(context, builder, signature, args, n) for n in (3, 4, 5))
        soft_data, scratch_data = (data_of(context, builder, signature, args, n) for n in (7, 14))
        shear, bulk, strength, weight, factor = (emit.splat(args[n]) for n in (9, 10, 11, 12, 13))
        e, trace, slope, x, square = _strain(emit, u_data, factor)
        double, one, zero = shear + shear, emit.constant(1.0), emit.constant(0.0)
        old = [emit.load(old_data, emit.shifted(args[6], LANES * n)) for n in range(6)]
        trial = [(e[n] - old[n]) * (double if n < 3 else shear) for n in range(6)]
        q2 = emit.square(trial) * emit.constant(1.5)
        flows = q2.exceeds(strength * strength)
        safe = q2.where(flows, one)
        scale = (strength / safe.root()).where(flows, one)
        length = (double * weight * scale * emit.constant(1.5) / safe).root().where(flows, zero)
        for n in range(6):
            emit.store_single(trial[n] * length, soft_data, emit.shifted(args[8], LANES * n))
        emit.store_single(double * weight * (one - scale), soft_data, emit.shifted(args[8], LANES * 6))
        stress = [(trial[n] * scale + (bulk * trace if n < 3 else zero)) * weight for n in range(6)]
        emit.add_forces(_nominal(slope, x, square, stress), y_data, scratch_data, negative=False)
        bits = builder.bitcast(flows, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return signature, codegen


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
    bulk: Any,
    strength: Any,
    bbar: Any,
) -> Any:
    """Accept the step from ``before`` to ``u``; returns the elastic energy and the plastic work."""
    signature = types.UniTuple(types.float64, 2)(  # type: ignore[no-untyped-call]
        table, nodes, stride, u, before, plastic, offset, equivalent, place, shear, bulk, strength, bbar
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = begin_element(context, builder, signature, args)
        shear, bulk, strength, factor = (emit.splat(args[n]) for n in (9, 10, 11, 12))
        plastic_data, equivalent_data = (data_of(context, builder, signature, args, n) for n in (5, 7))
        double, one, zero, half = shear + shear, emit.constant(1.0), emit.constant(0.0), emit.constant(0.5)
        stiff = [double] * 3 + [shear] * 3
        old = [emit.load(plastic_data, emit.shifted(args[6], LANES * n)) for n in range(6)]

        def returned(data: Any) -> tuple[list[Vector], Vector, list[Vector], list[Vector]]:
            """Total deviator, trace, plastic step, stress deviator."""
            e, trace, *_ = _strain(emit, data, factor)
            elastic = [e[n] - old[n] for n in range(6)]
            trial = [elastic[n] * stiff[n] for n in range(6)]
            q2 = emit.square(trial) * emit.constant(1.5)
            flows = q2.exceeds(strength * strength)
            scale = (strength / q2.where(flows, one).root()).where(flows, one)
            return e, trace, [part * (one - scale) for part in elastic], [part * scale for part in trial]

        *_, first = returned(data_of(context, builder, signature, args, 4))
        e, trace, step, last = returned(data_of(context, builder, signature, args, 3))
        work, square, energy = zero, zero, bulk * trace * trace
        for n in range(6):
            new = old[n] + step[n]
            emit.store(new, plastic_data, emit.shifted(args[6], LANES * n))
            work = work + (first[n] + last[n]) * step[n]
            energy = energy + last[n] * (e[n] - new)
            square = square + step[n] * step[n] * (one if n < 3 else half)
        size = (square * emit.constant(2.0 / 3.0)).root()
        emit.store(emit.load(equivalent_data, args[8]) + size, equivalent_data, args[8])
        parts = [(energy * half).total(), (work * half).total()]
        return context.make_tuple(builder, signature.return_type, parts)

    return signature, codegen


return_element: Any = intrinsic(_return_element)
commit_element: Any = intrinsic(_commit_element)


@njit(cache=True, nogil=True)
def update_points(
    u: Any,
    first: Any,
    table: Any,
    bbar: Any,
    weight: Any,
    mu: Any,
    bulk: Any,
    strength: Any,
    begin: Any,
    end: Any,
    plastic: Any,
    soft: Any,
    flows: Any,
    force: Any,
) -> None:
    """Return mapping of a range of elements: adds the internal force to ``force``, stores tangents in ``soft``."""
    stride = u.size // 3
    scratch = np.empty(72)
    strains, tangents = plastic.reshape(-1), soft.reshape(-1)
    for e in range(begin, end):
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        flows[e] = return_element(
            table, nodes, stride, u, force, strains, 48 * e, tangents, 56 * e, mu[e], bulk[e], strength[e], weight, bbar, scratch
        )


@njit(cache=True, nogil=True)
def commit_points(
    u: Any,
    before: Any,
    first: Any,
    table: Any,
    bbar: Any,
    mu: Any,
    bulk: Any,
    strength: Any,
    begin: Any,
    end: Any,
    plastic: Any,
    equivalent: Any,
    energy: Any,
    work: Any,
) -> None:
    """Accept the state at ``u``: plastic strains, equivalent plastic strains and energies per element."""
    stride = u.size // 3
    strains, sizes = plastic.reshape(-1), equivalent.reshape(-1)
    for e in range(begin, end):
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        energy[e], spent = commit_element(
            table, nodes, stride, u, before, strains, 48 * e, sizes, 8 * e, mu[e], bulk[e], strength[e], bbar
        )
        work[e] += spent
