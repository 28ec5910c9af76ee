"""Products with the stiffness of all voxels, plane by plane along i.

Vectors hold the three displacement components one after the other, each padded to ``stride`` (multiple of the vector length),
so that one row of voxels reads and writes consecutive numbers. The updates of the smoother and of the conjugate gradients are
fused into the product: a plane of nodes is finished as soon as the voxels on both sides of it are done.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from openbct.fe.jit import kernel
from openbct.fe.simd import LANES, element_block


@kernel(sums=True)
def energy_product(rows: Any, first: Any, blocks: Any, group: Any, plane_rows: Any, plane_nodes: Any, modulus: Any,
                   coefficients: Any, z: Any, beta: Any, p: Any, y: Any) -> Any:
    """p = z + beta p, then y = K p; returns p'y. All vectors in double precision except ``z``."""
    stride = p.size // 3
    carry = np.empty(12 * LANES, p.dtype)
    n_planes = plane_nodes.size - 1
    energy = 0.0
    for plane in range(-1, n_planes):
        if plane + 1 < n_planes:
            for axis in range(3):
                shift = axis * stride
                for n in range(shift + plane_nodes[plane + 1], shift + plane_nodes[plane + 2]):
                    p[n] = z[n] + beta * p[n]
                    y[n] = 0
        if 0 <= plane < n_planes - 1:
            for row in range(plane_rows[plane], plane_rows[plane + 1]):
                for n in range(12 * LANES):
                    carry[n] = 0
                a, b, c, d = rows[row, 0], rows[row, 1], rows[row, 2], rows[row, 3]
                e = first[row]
                for block in range(blocks[row]):
                    s = block * LANES
                    element_block(p, y, modulus, coefficients, carry, (a + s, b + s, c + s, d + s), stride, stride, 0, 0,
                                  e + s, group[row])
        if plane >= 0:
            for axis in range(3):
                shift = axis * stride
                part = 0.0
                for n in range(shift + plane_nodes[plane], shift + plane_nodes[plane + 1]):
                    part += p[n] * y[n]
                energy += part
    return energy


@kernel()
def smooth(rows: Any, first: Any, blocks: Any, group: Any, plane_rows: Any, plane_nodes: Any, modulus: Any,
           coefficients: Any, buffer: Any, b: Any, inverse: Any, x: Any, d: Any, keep: Any, gain: Any) -> None:
    """One Chebyshev step in place, d = keep d + gain D^-1 (b - K x), x += d; with gain < 0 only d = b - K x at free dofs.

    The product lives in ``buffer``, which holds two planes of nodes.
    """
    stride = x.size // 3
    width = buffer.size // 6
    carry = np.empty(12 * LANES, x.dtype)
    n_planes = plane_nodes.size - 1
    for n in range(buffer.size):
        buffer[n] = 0
    for plane in range(n_planes):
        here = plane_nodes[plane] - (plane % 2) * 3 * width
        if plane < n_planes - 1:
            there = plane_nodes[plane + 1] - ((plane + 1) % 2) * 3 * width
            for row in range(plane_rows[plane], plane_rows[plane + 1]):
                for n in range(12 * LANES):
                    carry[n] = 0
                n00, n01, n10, n11 = rows[row, 0], rows[row, 1], rows[row, 2], rows[row, 3]
                e = first[row]
                for block in range(blocks[row]):
                    s = block * LANES
                    element_block(x, buffer, modulus, coefficients, carry, (n00 + s, n01 + s, n10 + s, n11 + s), stride,
                                  width, here, there, e + s, group[row])
        for axis in range(3):
            count = plane_nodes[plane + 1] - plane_nodes[plane]
            n = axis * stride + plane_nodes[plane]
            m = ((plane % 2) * 3 + axis) * width
            inner, rhs, scale = buffer[m : m + count], b[n : n + count], inverse[n : n + count]
            step, value = d[n : n + count], x[n : n + count]
            if gain < 0:
                for t in range(count):
                    step[t] = rhs[t] - inner[t] if scale[t] != 0 else 0
            else:
                for t in range(count):
                    step[t] = keep * step[t] + gain * scale[t] * (rhs[t] - inner[t])
                    value[t] += step[t]
            for t in range(count):
                inner[t] = 0


@kernel()
def diagonal(rows: Any, first: Any, group: Any, modulus: Any, diagonals: Any, length: Any, out: Any) -> None:
    """Diagonal of the stiffness; ``diagonals`` holds the three diagonal entries of each reference element."""
    stride = out.size // 3
    for row in range(first.size):
        for t in range(length[row]):
            value = modulus[first[row] + t]
            for axis in range(3):
                part = value * diagonals[group[row], axis]
                for corner in range(4):
                    n = axis * stride + rows[row, corner] + t
                    out[n] += part
                    out[n + 1] += part


@kernel(sums=True)
def advance(alpha: Any, p: Any, y: Any, inverse: Any, x: Any, r: Any, rough: Any) -> Any:
    """x += alpha p, r -= alpha y at free dofs; ``rough`` is r in single precision. Returns r'r."""
    total = 0.0
    for n in range(x.size):
        x[n] += alpha * p[n]
        value = r[n] - alpha * y[n] if inverse[n] != 0 else 0.0
        r[n] = value
        rough[n] = value
        total += value * value
    return total


@kernel(sums=True)
def two_dots(z: Any, r: Any, y: Any) -> Any:
    """z'r and z'y."""
    first = 0.0
    second = 0.0
    for n in range(z.size):
        first += z[n] * r[n]
        second += z[n] * y[n]
    return first, second


@kernel()
def clear_fixed(inverse: Any, x: Any) -> None:
    """x = 0 at the degrees of freedom that are held (those without an inverse diagonal)."""
    for n in range(x.size):
        if inverse[n] == 0:
            x[n] = 0
