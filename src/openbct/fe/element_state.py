"""Loops over elements for any yield criterion: stress update at the Gauss points, plastic part of forces and tangent products.

Everything here is a *correction* to the elastic product: the internal force is ``K u - P(u)`` with
``P = sum_g w B_g^T (D eps - sigma)``, summed over the few elements that yield, and the tangent product is
``K v - sum_g w B_g^T (D - D_ep) B_g v``. Elements that never yielded cost nothing.

Nodal fields are ``(3, n_nodes)``. An element is four node numbers: the ones at its four edges along k; the second node of an edge
follows the first. With mean dilatation (``bbar``) the volumetric strain of each point is the mean over the element and the
pressure of the correction is averaged likewise, which makes both operators symmetric.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from openbct.fe.yield_criteria import return_stress


@numba.njit(cache=True, nogil=True, inline="always")
def _strains(u, first, grad, bbar, strain):  # type: ignore[no-untyped-def]
    """Strains ``(8, 6)`` at the Gauss points of one element."""
    mean = 0.0
    for g in range(8):
        xx = yy = zz = yz = xz = xy = 0.0
        for n in range(8):
            node = first[n >> 1] + (n & 1)
            a, b, c = u[0, node], u[1, node], u[2, node]
            gx, gy, gz = grad[g, n, 0], grad[g, n, 1], grad[g, n, 2]
            xx += gx * a
            yy += gy * b
            zz += gz * c
            yz += gz * b + gy * c
            xz += gz * a + gx * c
            xy += gy * a + gx * b
        strain[g, 0], strain[g, 1], strain[g, 2] = xx, yy, zz
        strain[g, 3], strain[g, 4], strain[g, 5] = yz, xz, xy
        mean += (xx + yy + zz) / 24.0
    if bbar:
        for g in range(8):
            shift = mean - (strain[g, 0] + strain[g, 1] + strain[g, 2]) / 3.0
            for a in range(3):
                strain[g, a] += shift


@numba.njit(cache=True, nogil=True, inline="always")
def _add_forces(stress, first, grad, bbar, weight, force):  # type: ignore[no-untyped-def]
    """Add ``weight * sum_g B_g^T stress_g`` of one element to the nodal forces; changes ``stress`` if ``bbar``."""
    if bbar:
        mean = 0.0
        for g in range(8):
            mean += (stress[g, 0] + stress[g, 1] + stress[g, 2]) / 24.0
        for g in range(8):
            shift = mean - (stress[g, 0] + stress[g, 1] + stress[g, 2]) / 3.0
            for a in range(3):
                stress[g, a] += shift
    for n in range(8):
        x = y = z = 0.0
        for g in range(8):
            gx, gy, gz = weight * grad[g, n, 0], weight * grad[g, n, 1], weight * grad[g, n, 2]
            x += gx * stress[g, 0] + gy * stress[g, 5] + gz * stress[g, 4]
            y += gx * stress[g, 5] + gy * stress[g, 1] + gz * stress[g, 3]
            z += gx * stress[g, 4] + gy * stress[g, 3] + gz * stress[g, 2]
        node = first[n >> 1] + (n & 1)
        force[0, node] += x
        force[1, node] += y
        force[2, node] += z


@numba.njit(cache=True, nogil=True)
def find_yielding(u, first, grad, bbar, lam, mu, bounds, linear, begin, end, marked):  # type: ignore[no-untyped-def]
    """Mark the elements of a range that leave the elastic domain at a Gauss point; marked ones are not looked at.

    ``bounds`` ``(n, 3)`` per element: yields where ``bounds0 * q**2 + bounds1 * I1 > bounds2`` (or ``q`` itself if ``linear``).
    """
    strain = np.empty((8, 6))
    for e in range(begin, end):
        if marked[e]:
            continue
        _strains(u, first[e], grad, bbar, strain)
        shear, bulk = mu[e], 3.0 * lam[e] + 2.0 * mu[e]
        for g in range(8):
            s = strain[g]
            mean = (s[0] + s[1] + s[2]) / 3.0
            square = (s[0] - mean) ** 2 + (s[1] - mean) ** 2 + (s[2] - mean) ** 2
            square += 0.5 * (s[3] * s[3] + s[4] * s[4] + s[5] * s[5])
            q = 6.0 * shear * shear * square
            if linear:
                q = math.sqrt(q)
            if bounds[e, 0] * q + bounds[e, 1] * 3.0 * bulk * mean > bounds[e, 2]:
                marked[e] = True
                break


@numba.njit(cache=True, nogil=True)
def update_points(  # type: ignore[no-untyped-def]
    u, first, grad, bbar, weight, lam, mu, strength, code, ratio, begin, end, plastic_strain, softened, yields, flows, force
):
    """Return mapping at all points of a range of elements.

    Adds ``P(u)`` to ``force``, stores ``D - D_ep`` in ``softened`` ``(n, 8, 21)``, whether the point flows in ``yields`` and whether
    the element does in ``flows``. ``plastic_strain`` is ``(n, 6, 8)``.
    """
    strain, stress, tangent, elastic = np.empty((8, 6)), np.empty(6), np.empty((6, 6)), np.empty(6)
    for e in range(begin, end):
        _strains(u, first[e], grad, bbar, strain)
        flows[e] = False
        for g in range(8):
            for a in range(6):
                elastic[a] = strain[g, a] - plastic_strain[e, a, g]
            yields[e, g] = return_stress(code, elastic, lam[e], mu[e], strength[e], ratio, stress, tangent)
            flows[e] |= yields[e, g]
            trace = strain[g, 0] + strain[g, 1] + strain[g, 2]
            for a in range(6):
                full = lam[e] * trace + 2.0 * mu[e] * strain[g, a] if a < 3 else mu[e] * strain[g, a]
                strain[g, a] = full - stress[a]
            if yields[e, g]:
                position = 0
                for a in range(6):
                    for b in range(a, 6):
                        value = -tangent[a, b]
                        if a < 3 and b < 3:
                            value += lam[e]
                        if a == b:
                            value += 2.0 * mu[e] if a < 3 else mu[e]
                        softened[e, g, position] = value
                        position += 1
        _add_forces(strain, first[e], grad, bbar, weight, force)


@numba.njit(cache=True, nogil=True)
def add_softening(v, first, grad, bbar, weight, flowing, begin, end, softened, yields, force):  # type: ignore[no-untyped-def]
    """Subtract the plastic part of the tangent product, ``sum_g w B_g^T (D - D_ep) B_g v``, from ``force``.

    Returns its product with ``v``.
    """
    strain = np.empty((8, 6))
    stress = np.empty((8, 6))
    energy = 0.0
    for index in range(begin, end):
        e = flowing[index]
        _strains(v, first[e], grad, bbar, strain)
        for g in range(8):
            for a in range(6):
                stress[g, a] = 0.0
            if yields[e, g]:
                position = 0
                for a in range(6):
                    stress[g, a] += softened[e, g, position] * strain[g, a]
                    position += 1
                    for b in range(a + 1, 6):
                        value = softened[e, g, position]
                        stress[g, a] += value * strain[g, b]
                        stress[g, b] += value * strain[g, a]
                        position += 1
                for a in range(6):
                    energy += weight * stress[g, a] * strain[g, a]
        _add_forces(stress, first[e], grad, bbar, -weight, force)
    return energy


@numba.njit(cache=True, nogil=True)
def commit_points(  # type: ignore[no-untyped-def]
    u, u_old, first, grad, bbar, lam, mu, strength, code, ratio, begin, end, plastic_strain, equivalent, energy, work
):
    """Accept the state at ``u``: new plastic strains, equivalent plastic strain, energies per element (to be scaled by the weight).

    ``energy`` gets the elastic energy less that of the total strain; ``work`` gains the plastic work along the straight
    stress path of the step, ``(sigma_old + sigma_new) / 2 : d eps_p``.
    """
    strain, before = np.empty((8, 6)), np.empty((8, 6))
    elastic, stress, old, tangent = np.empty(6), np.empty(6), np.empty(6), np.empty((6, 6))
    for e in range(begin, end):
        _strains(u, first[e], grad, bbar, strain)
        _strains(u_old, first[e], grad, bbar, before)
        energy[e] = 0.0
        bulk, shear = lam[e] + 2.0 * mu[e] / 3.0, mu[e]
        for g in range(8):
            for a in range(6):
                elastic[a] = before[g, a] - plastic_strain[e, a, g]
            return_stress(code, elastic, lam[e], shear, strength[e], ratio, old, tangent)
            for a in range(6):
                elastic[a] = strain[g, a] - plastic_strain[e, a, g]
            if not return_stress(code, elastic, lam[e], shear, strength[e], ratio, stress, tangent):
                for a in range(6):
                    full = lam[e] * (strain[g, 0] + strain[g, 1] + strain[g, 2]) if a < 3 else 0.0
                    full += 2.0 * shear * strain[g, a] if a < 3 else shear * strain[g, a]
                    energy[e] += 0.5 * (stress[a] * (strain[g, a] - plastic_strain[e, a, g]) - full * strain[g, a])
                continue
            mean = (stress[0] + stress[1] + stress[2]) / 3.0
            trace = strain[g, 0] + strain[g, 1] + strain[g, 2]
            square = 0.0
            for a in range(6):
                if a < 3:
                    new = strain[g, a] - (stress[a] - mean) / (2.0 * shear) - mean / (3.0 * bulk)
                    full = lam[e] * trace + 2.0 * shear * strain[g, a]
                else:
                    new = strain[g, a] - stress[a] / shear
                    full = shear * strain[g, a]
                energy[e] += 0.5 * (stress[a] * (strain[g, a] - new) - full * strain[g, a])
                step = new - plastic_strain[e, a, g]
                plastic_strain[e, a, g] = new
                work[e] += 0.5 * (old[a] + stress[a]) * step
                square += step * step * (1.0 if a < 3 else 0.5)
            equivalent[e, g] += math.sqrt(2.0 * square / 3.0)
