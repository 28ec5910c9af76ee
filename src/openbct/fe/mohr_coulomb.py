"""Return mapping of Mohr-Coulomb and Tresca plasticity in principal stresses: planes, edges, apex.

The surface is ``k s1 - s3 = sc`` in ordered principal stresses with ``k = sc / st``; with associated flow the returned stress is the
closest point of a cone of six planes in the metric of elasticity, which linear algebra finds exactly. The caller lends the scratch
memory ``work`` ``(20, 6)``: allocating it at every point would cost more than the arithmetic.

References
----------
de Souza Neto, Perić & Owen, Computational Methods for Plasticity, Wiley (2008): order of plane, edge, apex [R].
Clausen, Damkilde & Andersen, Comput Struct 85:1795 (2007): planes, edges and apex as linear sets, rotation part of the tangent [R].
"""

from __future__ import annotations

import math

import numba


@numba.njit(cache=True, nogil=True, inline="never")
def _principal(strain, values, axes, m):  # type: ignore[no-untyped-def]
    """Principal strains, largest first, and their axes in the columns; cyclic Jacobi rotations."""
    for a in range(3):
        m[a, a] = strain[a]
        for b in range(3):
            axes[a, b] = 1.0 if a == b else 0.0
    m[1, 2] = m[2, 1] = 0.5 * strain[3]
    m[0, 2] = m[2, 0] = 0.5 * strain[4]
    m[0, 1] = m[1, 0] = 0.5 * strain[5]
    scale = 0.0
    for a in range(3):
        for b in range(3):
            scale = max(scale, abs(m[a, b]))
    for _ in range(30):
        if abs(m[0, 1]) + abs(m[0, 2]) + abs(m[1, 2]) <= 1e-17 * scale:
            break
        for pair in range(3):
            p = 0 if pair < 2 else 1
            r = pair + 1 if pair < 2 else 2
            if m[p, r] == 0.0:
                continue
            theta = (m[r, r] - m[p, p]) / (2.0 * m[p, r])
            t = (1.0 if theta >= 0.0 else -1.0) / (abs(theta) + math.sqrt(theta * theta + 1.0))
            c = 1.0 / math.sqrt(t * t + 1.0)
            s = t * c
            for a in range(3):
                x, y = m[a, p], m[a, r]
                m[a, p], m[a, r] = c * x - s * y, s * x + c * y
            for a in range(3):
                x, y = m[p, a], m[r, a]
                m[p, a], m[r, a] = c * x - s * y, s * x + c * y
                x, y = axes[a, p], axes[a, r]
                axes[a, p], axes[a, r] = c * x - s * y, s * x + c * y
            m[p, r] = m[r, p] = 0.0
    for a in range(3):
        values[a] = m[a, a]
    for first in range(2):
        for second in range(2 - first):
            if values[second] < values[second + 1]:
                values[second], values[second + 1] = values[second + 1], values[second]
                for a in range(3):
                    axes[a, second], axes[a, second + 1] = axes[a, second + 1], axes[a, second]


@numba.njit(cache=True, nogil=True, inline="never")
def _return_to_planes(trial, lam, mu, slope, strength, side, block, out, room):  # type: ignore[no-untyped-def]
    """Closest point on one plane (``side`` 0), on the edge s1 = s2 (1) or s2 = s3 (-1), in the metric of elasticity.

    Fills the principal stresses ``out`` and the principal tangent ``block``; False where the point leaves the wedge.
    """
    normals, pulled, gap = room[0:2, 0:3], room[0:2, 3:6], room[2]
    normals[0, 0], normals[0, 1], normals[0, 2] = slope, 0.0, -1.0
    normals[1, 0], normals[1, 1], normals[1, 2] = (0.0, slope, -1.0) if side > 0 else (slope, -1.0, 0.0)
    n = 2 if side != 0 else 1
    for row in range(n):
        total = normals[row, 0] + normals[row, 1] + normals[row, 2]
        gap[row] = -strength
        for a in range(3):
            pulled[row, a] = lam * total + 2.0 * mu * normals[row, a]
            gap[row] += normals[row, a] * trial[a]
    m00 = m01 = m11 = 0.0
    for a in range(3):
        m00 += normals[0, a] * pulled[0, a]
        if n == 2:
            m01 += normals[0, a] * pulled[1, a]
            m11 += normals[1, a] * pulled[1, a]
    if n == 1:
        i00, i01, i11 = 1.0 / m00, 0.0, 0.0
    else:
        det = m00 * m11 - m01 * m01
        i00, i01, i11 = m11 / det, -m01 / det, m00 / det
    g0 = gap[0]
    g1 = gap[1] if n == 2 else 0.0
    x0, x1 = i00 * g0 + i01 * g1, i01 * g0 + i11 * g1
    for a in range(3):
        pa0 = pulled[0, a]
        pa1 = pulled[1, a] if n == 2 else 0.0
        out[a] = trial[a] - pa0 * x0 - pa1 * x1
        for b in range(3):
            pb0 = pulled[0, b]
            pb1 = pulled[1, b] if n == 2 else 0.0
            block[a, b] = lam + (2.0 * mu if a == b else 0.0)
            block[a, b] -= pa0 * (i00 * pb0 + i01 * pb1) + pa1 * (i01 * pb0 + i11 * pb1)
    slack = 1e-12 * strength
    inside = out[0] >= out[1] - slack and out[1] >= out[2] - slack
    return inside and x0 >= -slack / mu and x1 >= -slack / mu


@numba.njit(cache=True, nogil=True, inline="never")
def return_mohr_coulomb(strain, lam, mu, strength, ratio, stress, tangent, work):  # type: ignore[no-untyped-def]
    """Return in principal stresses: plane, then the edge that was passed, then the apex."""
    values, axes, trial, final = work[0, 0:3], work[1:4, 0:3], work[4, 0:3], work[5, 0:3]
    block, dyads, spin, room = work[6:9, 0:3], work[9:15], work[15, 0:3], work[16:20]
    _principal(strain, values, axes, room[0:3, 0:3])
    trace = values[0] + values[1] + values[2]
    for a in range(3):
        trial[a] = lam * trace + 2.0 * mu * values[a]
        final[a] = trial[a]
    slope = 1.0 / ratio
    plastic = slope * trial[0] - trial[2] > strength
    if plastic and not _return_to_planes(trial, lam, mu, slope, strength, 0, block, final, room):
        side = 1 if final[1] > final[0] else -1
        if not _return_to_planes(trial, lam, mu, slope, strength, side, block, final, room) and not _return_to_planes(
            trial, lam, mu, slope, strength, -side, block, final, room
        ):
            for a in range(3):
                final[a] = strength / (slope - 1.0) if slope > 1.0 else final[a]
                for b in range(3):
                    block[a, b] = 0.0
    for pair in range(6):
        p = pair if pair < 3 else (1 if pair == 3 else 0)
        r = pair if pair < 3 else (1 if pair == 5 else 2)
        for a in range(6):
            c = a if a < 3 else (1 if a == 3 else 0)
            d = a if a < 3 else (1 if a == 5 else 2)
            dyads[pair, a] = 0.5 * (axes[c, p] * axes[d, r] + axes[c, r] * axes[d, p])
    for a in range(6):
        stress[a] = 0.0
        for p in range(3):
            stress[a] += final[p] * dyads[p, a]
    if not plastic:
        return False
    size = abs(values[0]) + abs(values[2])
    for pair in range(3):
        p = 1 if pair == 0 else 0
        r = 1 if pair == 2 else 2
        apart = values[p] - values[r]
        spin[pair] = (final[p] - final[r]) / apart if apart > 1e-10 * size else block[p, p] - block[p, r]
    for a in range(6):
        for b in range(6):
            total = 0.0
            for p in range(3):
                total += 2.0 * spin[p] * dyads[p + 3, a] * dyads[p + 3, b]
                for r in range(3):
                    total += block[p, r] * dyads[p, a] * dyads[r, b]
            tangent[a, b] = total
    return True
