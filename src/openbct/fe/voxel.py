"""Products with the stiffness of all voxels, plane by plane along i.

Vectors hold the three displacement components one after the other, each padded to ``stride`` (multiple of the vector length),
so that one row of voxels reads and writes consecutive numbers. The updates of the smoother and of the conjugate gradients are
fused into the product: a plane of nodes is finished as soon as the voxels on both sides of it are done.

The planes of nodes are cut into slabs that can be worked on at the same time (``cuts``). The voxels between two slabs are an *edge*;
they are done on their own, before or after the slabs. The last vector of a row adds zeros to a few nodes past its end, which may
belong to the next slab: where slabs write to one common vector, even and odd ones must not run at the same time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from openbct.fe.jit import kernel
from openbct.fe.simd import LANES, element_block


@kernel(sums=True, inner=True)
def _plane_energy(plane_nodes: Any, plane: Any, p: Any, y: Any) -> Any:
    stride = p.size // 3
    energy = 0.0
    for axis in range(3):
        shift = axis * stride
        part = 0.0
        for n in range(shift + plane_nodes[plane], shift + plane_nodes[plane + 1]):
            part += p[n] * y[n]
        energy += part
    return energy


@kernel(part=True)
def _add_plane(
    rows: Any,
    first: Any,
    blocks: Any,
    group: Any,
    begin: Any,
    end: Any,
    modulus: Any,
    coefficients: Any,
    carry: Any,
    u: Any,
    y: Any,
    y_stride: Any,
    lower: Any,
    upper: Any,
) -> None:
    """y += K u for the rows ``begin`` to ``end``; ``lower`` and ``upper`` shift the two planes of nodes in ``y``."""
    stride = u.size // 3
    for row in range(begin, end):
        for n in range(12 * LANES):
            carry[n] = 0
        a, b, c, d = rows[row, 0], rows[row, 1], rows[row, 2], rows[row, 3]
        e = first[row]
        for block in range(blocks[row]):
            s = block * LANES
            element_block(
                u,
                y,
                modulus,
                coefficients,
                carry,
                (a + s, b + s, c + s, d + s),
                stride,
                y_stride,
                lower,
                upper,
                e + s,
                group[row],
            )


@kernel(sums=True)
def energy_slabs(
    rows: Any,
    first: Any,
    blocks: Any,
    group: Any,
    plane_rows: Any,
    plane_nodes: Any,
    modulus: Any,
    coefficients: Any,
    z: Any,
    beta: Any,
    p: Any,
    y: Any,
    cuts: Any,
    begin: Any,
    end: Any,
    sums: Any,
) -> None:
    """p = z + beta p, then y = K p without the edges, for every other slab; ``sums`` gets the p'y of the planes that are finished.

    All vectors in double precision except ``z``.
    """
    stride = p.size // 3
    carry = np.empty(12 * LANES, p.dtype)
    n_slabs = cuts.size - 1
    for slab in range(begin, end, 2):
        energy = 0.0
        for plane in range(cuts[slab] - 1, cuts[slab + 1]):
            if plane + 1 < cuts[slab + 1]:
                for axis in range(3):
                    shift = axis * stride
                    for n in range(shift + plane_nodes[plane + 1], shift + plane_nodes[plane + 2]):
                        p[n] = z[n] + beta * p[n]
                        y[n] = 0
            if plane < cuts[slab]:
                continue
            if plane + 1 < cuts[slab + 1]:
                _add_plane(
                    rows,
                    first,
                    blocks,
                    group,
                    plane_rows[plane],
                    plane_rows[plane + 1],
                    modulus,
                    coefficients,
                    carry,
                    p,
                    y,
                    stride,
                    0,
                    0,
                )
            if (plane > cuts[slab] or slab == 0) and (plane + 1 < cuts[slab + 1] or slab == n_slabs - 1):
                energy += _plane_energy(plane_nodes, plane, p, y)
        sums[slab] = energy


@kernel()
def energy_edges(
    rows: Any,
    first: Any,
    blocks: Any,
    group: Any,
    plane_rows: Any,
    plane_nodes: Any,
    modulus: Any,
    coefficients: Any,
    p: Any,
    y: Any,
    cuts: Any,
    begin: Any,
    end: Any,
    sums: Any,
) -> None:
    """Add every other edge to y = K p; ``sums`` gets the p'y of the two planes at each edge."""
    carry = np.empty(12 * LANES, p.dtype)
    for edge in range(begin, end, 2):
        plane = cuts[edge + 1] - 1
        _add_plane(
            rows,
            first,
            blocks,
            group,
            plane_rows[plane],
            plane_rows[plane + 1],
            modulus,
            coefficients,
            carry,
            p,
            y,
            p.size // 3,
            0,
            0,
        )
        sums[edge] = _plane_energy(plane_nodes, plane, p, y) + _plane_energy(plane_nodes, plane + 1, p, y)


@kernel()
def smooth_edges(
    rows: Any,
    first: Any,
    blocks: Any,
    group: Any,
    plane_rows: Any,
    plane_nodes: Any,
    modulus: Any,
    coefficients: Any,
    x: Any,
    cuts: Any,
    begin: Any,
    end: Any,
    edges: Any,
) -> None:
    """K x of the voxels between two slabs, for :func:`smooth_slabs`; ``edges`` holds two planes of nodes for each."""
    carry = np.empty(12 * LANES, x.dtype)
    width = edges.shape[1] // 6
    for edge in range(begin, end):
        out = edges[edge]
        for n in range(out.size):
            out[n] = 0
        plane = cuts[edge + 1] - 1
        _add_plane(
            rows,
            first,
            blocks,
            group,
            plane_rows[plane],
            plane_rows[plane + 1],
            modulus,
            coefficients,
            carry,
            x,
            out,
            width,
            plane_nodes[plane],
            plane_nodes[plane + 1] - 3 * width,
        )


@kernel()
def smooth_slabs(
    rows: Any,
    first: Any,
    blocks: Any,
    group: Any,
    plane_rows: Any,
    plane_nodes: Any,
    modulus: Any,
    coefficients: Any,
    buffers: Any,
    b: Any,
    inverse: Any,
    x: Any,
    d: Any,
    keep: Any,
    gain: Any,
    cuts: Any,
    begin: Any,
    end: Any,
    edges: Any,
) -> None:
    """One Chebyshev step in place, d = keep d + gain D^-1 (b - K x), x += d; with gain < 0 only d = b - K x at free dofs.

    The product lives in the buffer of the first slab, which holds two planes of nodes.
    """
    stride = x.size // 3
    buffer = buffers[begin]
    width = buffer.size // 6
    carry = np.empty(12 * LANES, x.dtype)
    n_slabs = cuts.size - 1
    for slab in range(begin, end):
        for n in range(buffer.size):
            buffer[n] = 0
        if slab > 0:
            m = (cuts[slab] % 2) * 3 * width
            for t in range(3 * width):
                buffer[m + t] = edges[slab - 1, 3 * width + t]
        for plane in range(cuts[slab], cuts[slab + 1]):
            here = plane_nodes[plane] - (plane % 2) * 3 * width
            if plane + 1 < cuts[slab + 1]:
                there = plane_nodes[plane + 1] - ((plane + 1) % 2) * 3 * width
                _add_plane(
                    rows,
                    first,
                    blocks,
                    group,
                    plane_rows[plane],
                    plane_rows[plane + 1],
                    modulus,
                    coefficients,
                    carry,
                    x,
                    buffer,
                    width,
                    here,
                    there,
                )
            elif slab + 1 < n_slabs:
                m = (plane % 2) * 3 * width
                inner, other = buffer[m : m + 3 * width], edges[slab, : 3 * width]
                for t in range(3 * width):
                    inner[t] += other[t]
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


@kernel()
def begin_smoothing(inverse: Any, b: Any, gain: Any, x: Any, d: Any, begin: Any, end: Any) -> None:
    """x = d = gain D^-1 b: the first Chebyshev step from zero, for some of the degrees of freedom."""
    scale, rhs, value, step = inverse[begin:end], b[begin:end], x[begin:end], d[begin:end]
    for n in range(scale.size):
        value[n] = gain * scale[n] * rhs[n]
        step[n] = value[n]


@kernel(sums=True)
def advance(
    alpha: Any, p: Any, y: Any, inverse: Any, x: Any, r: Any, gain: Any, rough: Any, begin: Any, end: Any, sums: Any
) -> None:
    """x += alpha p, r -= alpha y at free dofs, ``rough`` = gain r in single precision; r'r to ``sums``. For some of ``sums.size`` parts."""
    for part in range(begin, end):
        total = 0.0
        for n in range(x.size * part // sums.size, x.size * (part + 1) // sums.size):
            x[n] += alpha * p[n]
            value = r[n] - alpha * y[n] if inverse[n] != 0 else 0.0
            r[n] = value
            rough[n] = gain * value
            total += value * value
        sums[part] = total


@kernel(sums=True)
def two_dots(gain: Any, z: Any, r: Any, y: Any, begin: Any, end: Any, sums: Any) -> None:
    """z := gain z, then z'r and z'y to ``sums``, for some of its parts."""
    parts = sums.shape[0]
    for part in range(begin, end):
        first = 0.0
        second = 0.0
        for n in range(z.size * part // parts, z.size * (part + 1) // parts):
            z[n] = gain * z[n]
            first += z[n] * r[n]
            second += z[n] * y[n]
        sums[part, 0] = first
        sums[part, 1] = second


def clear_fixed(inverse: Any, x: Any, begin: int, end: int) -> None:
    """x = 0 at the degrees of freedom that are held (those without an inverse diagonal), for some of them."""
    np.copyto(x[begin:end], 0, where=inverse[begin:end] == 0)
