"""Loops over elements for von Mises plasticity of anisotropic elasticity: the same corrections as in :mod:`openbct.fe.element_state`.

All elements share one elastic stiffness up to their modulus, ``D = E M^T M``. The rows of ``M`` also make the yield surface diagonal,
``M P M^T = diag(lam)`` with ``s : s = sigma^T P sigma``, so the closest point to a trial stress in the metric of elasticity is one scalar
equation: ``sum lam_i (E z_i)^2 / (1 + x lam_i)^2 = 2/3 sigma_y^2`` with ``z = M eps``.

References
----------
Simo & Hughes, Computational Inelasticity, Springer (1998): closest-point projection of a quadratic surface in the joint eigenbasis of
elasticity and surface [R].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from openbct.fe.point_simd import point_forces, point_strains


@njit(cache=True, nogil=True, inline="always")
def _into_basis(strain: Any, g: Any, basis: Any, weights: Any, modulus: Any, z: Any) -> Any:
    """``z = E M eps`` of a point; returns ``s : s`` of its elastic stress."""
    square = 0.0
    for i in range(6):
        value = 0.0
        for a in range(6):
            value += basis[i, a] * strain[a, g]
        z[i] = modulus * value
        square += weights[i] * z[i] * z[i]
    return square


@njit(cache=True, nogil=True)
def find_yielding(
    u: Any,
    first: Any,
    table: Any,
    bbar: Any,
    basis: Any,
    weights: Any,
    modulus: Any,
    limit: Any,
    begin: Any,
    end: Any,
    marked: Any,
) -> None:
    """Mark the elements of a range whose elastic stress leaves the surface at a Gauss point; marked ones are not looked at."""
    stride = u.size // 3
    strain, z = np.empty((6, 8)), np.empty(6)
    for e in range(begin, end):
        if not marked[e]:
            point_strains(table, (first[e, 0], first[e, 1], first[e, 2], first[e, 3]), stride, u, strain, bbar)
            for g in range(8):
                marked[e] |= _into_basis(strain, g, basis, weights, modulus[e], z) > limit[e]


@njit(cache=True, nogil=True)
def return_point(z: Any, weights: Any, square: Any, limit: Any) -> Any:
    """Multiplier ``x`` at which the trial ``z``, of ``s : s = square > limit``, is back on the surface.

    Newton on ``1 / |s(x)|``, which is concave and nearly straight: it climbs to the root and never passes it.
    """
    x = 0.0
    for _ in range(60):
        slope = 0.0
        square = 0.0
        for i in range(6):
            part = weights[i] * z[i] * z[i] / (1.0 + x * weights[i]) ** 2
            square += part
            slope += part * weights[i] / (1.0 + x * weights[i])
        step = square * (math.sqrt(square / limit) - 1.0) / slope
        x += step
        if abs(step) <= 1e-15 * (1.0 + x):
            break
    return x


@njit(cache=True, nogil=True)
def _stiffness_times(strain: Any, g: Any, basis: Any, modulus: Any, z: Any, out: Any) -> None:
    """``out[:, g] = D strain[:, g]``."""
    for i in range(6):
        value = 0.0
        for a in range(6):
            value += basis[i, a] * strain[a, g]
        z[i] = modulus * value
    _from_basis(z, basis, out, g)


@njit(cache=True, nogil=True)
def _from_basis(z: Any, basis: Any, out: Any, g: Any) -> None:
    """``out[:, g] = M^T z``."""
    for a in range(6):
        value = 0.0
        for i in range(6):
            value += basis[i, a] * z[i]
        out[a, g] = value


@njit(cache=True, nogil=True)
def update_points(
    u: Any,
    first: Any,
    table: Any,
    bbar: Any,
    weight: Any,
    basis: Any,
    weights: Any,
    modulus: Any,
    limit: Any,
    begin: Any,
    end: Any,
    plastic: Any,
    softened: Any,
    flows: Any,
    force: Any,
) -> None:
    """Return mapping of a range of elements: adds ``sum w B^T (D eps - sigma)`` to ``force``, stores ``w (D - D_ep)`` in ``softened``."""
    stride = u.size // 3
    strain, elastic, scratch = np.empty((6, 8)), np.empty((6, 8)), np.empty((6, 8))
    z, v = np.empty(6), np.empty(6)
    for e in range(begin, end):
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        point_strains(table, nodes, stride, u, strain, bbar)
        flows[e] = False
        for g in range(8):
            for a in range(6):
                elastic[a, g] = strain[a, g] - plastic[e, a, g]
            square = _into_basis(elastic, g, basis, weights, modulus[e], z)
            if square <= limit[e]:
                _stiffness_times(plastic[e], g, basis, modulus[e], v, elastic)
                softened[e, :, g] = 0.0
                continue
            flows[e] = True
            x = return_point(z, weights, square, limit[e])
            along = 0.0
            for i in range(6):
                shrink = 1.0 / (1.0 + x * weights[i])
                v[i] = weights[i] * z[i] * shrink * shrink
                along += weights[i] * z[i] * shrink * v[i]
            position = 0
            for a in range(6):
                for b in range(a, 6):
                    rest, left, right = 0.0, 0.0, 0.0
                    for i in range(6):
                        rest += basis[i, a] * basis[i, b] * x * weights[i] / (1.0 + x * weights[i])
                        left += basis[i, a] * v[i]
                        right += basis[i, b] * v[i]
                    softened[e, position, g] = weight * modulus[e] * (rest + left * right / along)
                    position += 1
            # D eps - sigma = D eps_p + (trial - returned)
            for i in range(6):
                v[i] = z[i] * x * weights[i] / (1.0 + x * weights[i])
                for a in range(6):
                    v[i] += modulus[e] * basis[i, a] * plastic[e, a, g]
            _from_basis(v, basis, elastic, g)
        point_forces(table, nodes, stride, elastic, force, scratch, bbar, weight)


@njit(cache=True, nogil=True)
def _stress(z: Any, weights: Any, square: Any, limit: Any, basis: Any, out: Any) -> Any:
    """Returned stress of a trial, into ``out[:, 0]``; returns the multiplier, 0 where the point is elastic. ``z`` is overwritten."""
    x = return_point(z, weights, square, limit) if square > limit else 0.0
    for i in range(6):
        z[i] /= 1.0 + x * weights[i]
    _from_basis(z, basis, out, 0)
    return x


@njit(cache=True, nogil=True)
def commit_points(
    u: Any,
    before: Any,
    first: Any,
    table: Any,
    bbar: Any,
    basis: Any,
    weights: Any,
    modulus: Any,
    limit: Any,
    begin: Any,
    end: Any,
    plastic: Any,
    equivalent: Any,
    energy: Any,
    work: Any,
) -> None:
    """Accept the state at ``u``; energies as in :func:`openbct.fe.element_state.commit_points`."""
    stride = u.size // 3
    strain, earlier, elastic = np.empty((6, 8)), np.empty((6, 8)), np.empty((6, 8))
    stress, old, full, z = np.empty((6, 1)), np.empty((6, 1)), np.empty((6, 8)), np.empty(6)
    for e in range(begin, end):
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        point_strains(table, nodes, stride, u, strain, bbar)
        point_strains(table, nodes, stride, before, earlier, bbar)
        energy[e] = 0.0
        for g in range(8):
            for a in range(6):
                elastic[a, g] = strain[a, g] - plastic[e, a, g]
            square = _into_basis(elastic, g, basis, weights, modulus[e], z)
            x = _stress(z, weights, square, limit[e], basis, stress)
            if x > 0.0:
                for a in range(6):
                    elastic[a, g] = earlier[a, g] - plastic[e, a, g]
                square = _into_basis(elastic, g, basis, weights, modulus[e], z)
                _stress(z, weights, square, limit[e], basis, old)
                mean, size = (stress[0, 0] + stress[1, 0] + stress[2, 0]) / 3.0, 0.0
                for a in range(6):
                    step = x / modulus[e] * (stress[a, 0] - mean if a < 3 else 2.0 * stress[a, 0])
                    plastic[e, a, g] += step
                    work[e] += 0.5 * (old[a, 0] + stress[a, 0]) * step
                    size += step * step * (1.0 if a < 3 else 0.5)
                equivalent[e, g] += math.sqrt(2.0 * size / 3.0)
            _stiffness_times(plastic[e], g, basis, modulus[e], z, full)
            for a in range(6):
                energy[e] += (0.5 * plastic[e, a, g] - strain[a, g]) * full[a, g]
