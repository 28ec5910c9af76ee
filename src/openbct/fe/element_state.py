"""Loops over elements for any yield criterion: stress update at the Gauss points, plastic part of forces and tangent products.

Everything here is a *correction* to the elastic product: the internal force is ``K u - P(u)`` with
``P = sum_g w B_g^T (D eps - sigma)``, summed over the few elements that yield, and the tangent product is
``K v - sum_g w B_g^T (D - D_ep) B_g v``. Elements that never yielded cost nothing.

Nodal vectors are flat as in :mod:`openbct.fe.von_mises_state`. With mean dilatation (``bbar`` 1) the volumetric strain of each point
is the mean over the element and the pressure of the correction is averaged likewise, which keeps both operators symmetric.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from openbct.fe.point_simd import point_forces, point_strains, soften_points
from openbct.fe.yield_criteria import return_stress


@njit(cache=True, nogil=True, inline="always")
def _outside(strain: Any, g: Any, old: Any, lam: Any, mu: Any, bounds: Any, linear: Any) -> Any:
    """Whether the trial stress at a point may lie outside the surface.

    ``bounds``: yields where ``bounds0 * q**2 + bounds1 * I1 > bounds2`` (or ``q`` itself if ``linear``).
    """
    a, b, c = strain[0, g] - old[0, g], strain[1, g] - old[1, g], strain[2, g] - old[2, g]
    d, e, f = strain[3, g] - old[3, g], strain[4, g] - old[4, g], strain[5, g] - old[5, g]
    mean = (a + b + c) / 3.0
    square = (a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2 + 0.5 * (d * d + e * e + f * f)
    q = 6.0 * mu * mu * square
    if linear:
        q = math.sqrt(q)
    return bounds[0] * q + bounds[1] * (9.0 * lam + 6.0 * mu) * mean > bounds[2]


@njit(cache=True, nogil=True)
def find_yielding(
    u: Any, first: Any, table: Any, bbar: Any, lam: Any, mu: Any, bounds: Any, linear: Any, begin: Any, end: Any, marked: Any
) -> None:
    """Mark the elements of a range that may leave the elastic domain at a Gauss point; marked ones are not looked at."""
    stride = u.size // 3
    strain, old = np.empty((6, 8)), np.zeros((6, 8))
    for e in range(begin, end):
        if not marked[e]:
            point_strains(table, (first[e, 0], first[e, 1], first[e, 2], first[e, 3]), stride, u, strain, bbar)
            for g in range(8):
                marked[e] |= _outside(strain, g, old, lam[e], mu[e], bounds[e], linear)


@njit(cache=True, nogil=True)
def update_points(
    u: Any,
    first: Any,
    table: Any,
    bbar: Any,
    weight: Any,
    lam: Any,
    mu: Any,
    strength: Any,
    bounds: Any,
    linear: Any,
    code: Any,
    ratio: Any,
    begin: Any,
    end: Any,
    plastic: Any,
    softened: Any,
    flows: Any,
    force: Any,
) -> None:
    """Return mapping of a range of elements.

    Adds ``P(u)`` to ``force``, stores ``weight * (D - D_ep)`` in ``softened`` ``(n, 21, 8)`` and whether the element flows in
    ``flows``. ``plastic`` holds the plastic strains ``(n, 6, 8)``.
    """
    stride = u.size // 3
    strain, scratch = np.empty((6, 8)), np.empty((6, 8))
    stress, tangent, elastic, work = np.empty(6), np.empty((6, 6)), np.empty(6), np.empty((20, 6))
    for e in range(begin, end):
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        point_strains(table, nodes, stride, u, strain, bbar)
        flows[e] = False
        for g in range(8):
            yields = False
            if _outside(strain, g, plastic[e], lam[e], mu[e], bounds[e], linear):
                for a in range(6):
                    elastic[a] = strain[a, g] - plastic[e, a, g]
                yields = return_stress(code, elastic, lam[e], mu[e], strength[e], ratio, stress, tangent, work)
            trace = plastic[e, 0, g] + plastic[e, 1, g] + plastic[e, 2, g]
            if yields:
                trace = strain[0, g] + strain[1, g] + strain[2, g]
            position = 0
            for a in range(6):
                value = strain[a, g] if yields else plastic[e, a, g]
                value = lam[e] * trace + 2.0 * mu[e] * value if a < 3 else mu[e] * value
                strain[a, g] = value - stress[a] if yields else value
                for b in range(a, 6):
                    value = 0.0
                    if yields:
                        value = -tangent[a, b]
                        if a < 3 and b < 3:
                            value += lam[e]
                        if a == b:
                            value += 2.0 * mu[e] if a < 3 else mu[e]
                    softened[e, position, g] = weight * value
                    position += 1
            flows[e] |= yields
        point_forces(table, nodes, stride, strain, force, scratch, bbar, weight)


@njit(cache=True, nogil=True)
def add_softening(
    v: Any, first: Any, table: Any, bbar: Any, flowing: Any, begin: Any, end: Any, softened: Any, force: Any
) -> Any:
    """Subtract the plastic part of the tangent product from ``force``; returns its product with ``v``."""
    stride = v.size // 3
    scratch = np.empty((6, 8))
    energy = 0.0
    for index in range(begin, end):
        e = flowing[index]
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        energy += soften_points(table, nodes, stride, v, force, softened, 168 * e, scratch, bbar)
    return energy


@njit(cache=True, nogil=True)
def commit_points(
    u: Any,
    before: Any,
    first: Any,
    table: Any,
    bbar: Any,
    lam: Any,
    mu: Any,
    strength: Any,
    bounds: Any,
    linear: Any,
    code: Any,
    ratio: Any,
    begin: Any,
    end: Any,
    plastic: Any,
    equivalent: Any,
    energy: Any,
    work: Any,
) -> None:
    """Accept the state at ``u``: new plastic strains, equivalent plastic strain, energies per element (to be scaled by the weight).

    ``energy`` gets the elastic energy less that of the total strain; ``work`` gains the plastic work along the straight
    stress path of the step, ``(sigma_old + sigma_new) / 2 : d eps_p``.
    """
    stride = u.size // 3
    strain, earlier = np.empty((6, 8)), np.empty((6, 8))
    elastic, stress, old, tangent, room = np.empty(6), np.empty(6), np.empty(6), np.empty((6, 6)), np.empty((20, 6))
    for e in range(begin, end):
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        point_strains(table, nodes, stride, u, strain, bbar)
        point_strains(table, nodes, stride, before, earlier, bbar)
        energy[e] = 0.0
        bulk, shear = lam[e] + 2.0 * mu[e] / 3.0, mu[e]
        for g in range(8):
            flows = False
            if _outside(strain, g, plastic[e], lam[e], shear, bounds[e], linear):
                for a in range(6):
                    elastic[a] = strain[a, g] - plastic[e, a, g]
                flows = return_stress(code, elastic, lam[e], shear, strength[e], ratio, stress, tangent, room)
            if flows:
                for a in range(6):
                    elastic[a] = earlier[a, g] - plastic[e, a, g]
                return_stress(code, elastic, lam[e], shear, strength[e], ratio, old, tangent, room)
                mean, square = (stress[0] + stress[1] + stress[2]) / 3.0, 0.0
                for a in range(6):
                    if a < 3:
                        new = strain[a, g] - (stress[a] - mean) / (2.0 * shear) - mean / (3.0 * bulk)
                    else:
                        new = strain[a, g] - stress[a] / shear
                    step = new - plastic[e, a, g]
                    plastic[e, a, g] = new
                    work[e] += 0.5 * (old[a] + stress[a]) * step
                    square += step * step * (1.0 if a < 3 else 0.5)
                equivalent[e, g] += math.sqrt(2.0 * square / 3.0)
            # 1/2 (eps - eps_p) D (eps - eps_p) - 1/2 eps D eps = (1/2 eps_p - eps) D eps_p
            trace = plastic[e, 0, g] + plastic[e, 1, g] + plastic[e, 2, g]
            for a in range(6):
                full = lam[e] * trace + 2.0 * shear * plastic[e, a, g] if a < 3 else shear * plastic[e, a, g]
                energy[e] += (0.5 * plastic[e, a, g] - strain[a, g]) * full
