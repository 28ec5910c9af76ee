"""Yield criteria of perfectly plastic materials, each with its return mapping and consistent tangent at one point.

A criterion is a value: ``VonMises()``, ``Paraboloid(tension_ratio)``, ``MohrCoulomb(tension_ratio)``. All of them share one
uniaxial compressive yield stress ``sc`` per element and the ratio of tensile to compressive yield stress ``st / sc``; flow is
associated, elasticity isotropic. :func:`return_stress` is the map from a trial elastic strain to stress and tangent.

Strain and stress are Voigt vectors ``ii jj kk jk ik ij`` with engineering shear, as in :mod:`openbct.fe.hex8`.

References
----------
de Souza Neto, Perić & Owen, Computational Methods for Plasticity, Wiley (2008): return mappings in principal stresses [R].
Clausen, Damkilde & Andersen, Comput Struct 85:1795 (2007): planes, edges and apex of Mohr-Coulomb as linear sets [R].
Raghava, Caddell & Yeh, J Mater Sci 8:225 (1973); Stassi-D'Alia, Meccanica 2:178 (1967): the paraboloid [R].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

from openbct.errors import ModelError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class VonMises:
    """The same strength in tension and compression, whatever the pressure."""

    name = "von_mises"
    code = 0
    tension_ratio = 1.0


@dataclass(frozen=True)
class Paraboloid:
    """A smooth surface with different tensile and compressive strength: ``q**2 + (sc - st) I1 = sc st``."""

    tension_ratio: float = 1.0
    """Tensile over compressive yield stress [-]."""
    name = "paraboloid"
    code = 1


@dataclass(frozen=True)
class MohrCoulomb:
    """Six planes ``(sc / st) s1 - s3 = sc`` in principal stresses, with edges and apex; Tresca at a ratio of one."""

    tension_ratio: float = 1.0
    """Tensile over compressive yield stress [-]."""
    name = "mohr_coulomb"
    code = 2


Criterion: TypeAlias = VonMises | Paraboloid | MohrCoulomb
CRITERIA = ("von_mises", "paraboloid", "mohr_coulomb")


def read_criterion(criterion: str | Criterion, tension_ratio: float) -> Criterion:
    """The criterion that a name and a tension ratio stand for; a value is returned as it is.

    Raises
    ------
    ModelError
        The name is unknown, or the criterion cannot have that tension ratio.
    """
    if isinstance(criterion, str):
        if criterion not in CRITERIA:
            raise ModelError(f"criterion is '{criterion}'; expected one of {', '.join(CRITERIA)}.")
        if criterion == "von_mises" and tension_ratio != 1.0:
            raise ModelError(
                f"tension_ratio is {tension_ratio:g} with criterion 'von_mises', which knows one strength only; "
                "expected 1. Use 'paraboloid' or 'mohr_coulomb' for a material that is weaker in tension."
            )
        value: Criterion = VonMises()
        if criterion == "paraboloid":
            value = Paraboloid(tension_ratio)
        if criterion == "mohr_coulomb":
            value = MohrCoulomb(tension_ratio)
    else:
        value = criterion
    if not (math.isfinite(value.tension_ratio) and 0.0 < value.tension_ratio <= 1.0):
        raise ModelError(
            f"tension_ratio is {value.tension_ratio:g}; expected more than 0 and at most 1 "
            "(tensile over compressive yield stress)."
        )
    return value


@numba.njit(cache=True, nogil=True, inline="never")
def _von_mises(strain, lam, mu, strength, stress, tangent):  # type: ignore[no-untyped-def]
    """Radial return; False where the point stays elastic."""
    mean = (strain[0] + strain[1] + strain[2]) / 3.0
    pressure = (3.0 * lam + 2.0 * mu) * mean
    square = 0.0
    for a in range(6):
        stress[a] = 2.0 * mu * (strain[a] - mean) if a < 3 else mu * strain[a]
        square += stress[a] * stress[a] * (1.0 if a < 3 else 2.0)
    q = math.sqrt(1.5 * square)
    plastic = q > strength
    if plastic:
        scale = strength / q
        for a in range(6):
            for b in range(6):
                tangent[a, b] = -2.0 * mu * scale * stress[a] * stress[b] / square
        for a in range(3):
            for b in range(3):
                tangent[a, b] += lam + 2.0 * mu / 3.0 - 2.0 * mu * scale / 3.0
            tangent[a, a] += 2.0 * mu * scale
            tangent[a + 3, a + 3] += mu * scale
        for a in range(6):
            stress[a] *= scale
    for a in range(3):
        stress[a] += pressure
    return plastic


@numba.njit(cache=True, nogil=True, inline="never")
def _paraboloid(strain, lam, mu, strength, ratio, stress, tangent):  # type: ignore[no-untyped-def]
    """Return along ``3 s + (sc - st) 1``; one scalar equation for x = 6 G gamma, convex and falling."""
    bulk = lam + 2.0 * mu / 3.0
    trace = strain[0] + strain[1] + strain[2]
    square = 0.0
    for a in range(6):
        stress[a] = 2.0 * mu * (strain[a] - trace / 3.0) if a < 3 else mu * strain[a]
        square += stress[a] * stress[a] * (1.0 if a < 3 else 2.0)
    slope = strength * (1.0 - ratio)
    limit = strength * strength * ratio
    trial = 1.5 * square
    invariant = 3.0 * bulk * trace
    softening = 1.5 * bulk * slope / mu
    x = 0.0
    plastic = trial + slope * invariant > limit
    if plastic:
        # Newton from the left of the root of a convex falling function climbs to it and never passes it. Far outside the
        # surface it would climb slowly: start where the deviatoric or the volumetric part alone would vanish, if that is left of it.
        start = math.sqrt(trial / limit) - 1.0 if slope * invariant >= 0.0 else 0.0
        for _ in range(100):
            if _ == 0 and start > 0.0 and trial / (1.0 + start) ** 2 + slope * (invariant - softening * start) > limit:
                x = start
            value = trial / (1.0 + x) ** 2 + slope * (invariant - softening * x) - limit
            step = value / (2.0 * trial / (1.0 + x) ** 3 + slope * softening)
            x += step
            if abs(step) <= 1e-15 * (1.0 + x):
                break
        shrink = 1.0 / (1.0 + x)
        for a in range(6):
            stress[a] *= shrink
        q2 = trial * shrink * shrink
        normal = 6.0 * mu / (2.0 * q2 * shrink + slope * softening)
        for a in range(6):
            ga = stress[a] * shrink + (softening / 3.0 if a < 3 else 0.0)
            for b in range(6):
                gb = stress[b] * shrink + (softening / 3.0 if b < 3 else 0.0)
                tangent[a, b] = -normal * ga * gb
        for a in range(3):
            for b in range(3):
                tangent[a, b] += bulk - 2.0 * mu * shrink / 3.0
            tangent[a, a] += 2.0 * mu * shrink
            tangent[a + 3, a + 3] += mu * shrink
    pressure = (invariant - softening * x) / 3.0
    for a in range(3):
        stress[a] += pressure
    return plastic


@numba.njit(cache=True, nogil=True, inline="never")
def _principal(strain, values, axes):  # type: ignore[no-untyped-def]
    """Principal strains, largest first, and their axes in the columns; cyclic Jacobi rotations."""
    m = np.empty((3, 3))
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
def _return_to_planes(trial, lam, mu, slope, strength, side, block, out):  # type: ignore[no-untyped-def]
    """Closest point on one plane (``side`` 0), on the edge s1 = s2 (1) or s2 = s3 (-1), in the metric of elasticity.

    Fills the principal stresses ``out`` and the principal tangent ``block``; False where the point leaves the wedge.
    """
    normals = np.zeros((2, 3))
    normals[0, 0], normals[0, 2] = slope, -1.0
    if side > 0:
        normals[1, 1], normals[1, 2] = slope, -1.0
    else:
        normals[1, 0], normals[1, 1] = slope, -1.0
    n = 2 if side != 0 else 1
    pulled = np.empty((2, 3))
    gap = np.empty(2)
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
def _mohr_coulomb(strain, lam, mu, strength, ratio, stress, tangent):  # type: ignore[no-untyped-def]
    """Return in principal stresses: plane, then the edge that was passed, then the apex."""
    values, axes = np.empty(3), np.empty((3, 3))
    _principal(strain, values, axes)
    trace = values[0] + values[1] + values[2]
    trial, final, block = np.empty(3), np.empty(3), np.zeros((3, 3))
    for a in range(3):
        trial[a] = lam * trace + 2.0 * mu * values[a]
        final[a] = trial[a]
    slope = 1.0 / ratio
    plastic = slope * trial[0] - trial[2] > strength
    if plastic and not _return_to_planes(trial, lam, mu, slope, strength, 0, block, final):
        side = 1 if final[1] > final[0] else -1
        if not _return_to_planes(trial, lam, mu, slope, strength, side, block, final) and not _return_to_planes(
            trial, lam, mu, slope, strength, -side, block, final
        ):
            for a in range(3):
                final[a] = strength / (slope - 1.0) if slope > 1.0 else final[a]
                for b in range(3):
                    block[a, b] = 0.0
    dyads = np.empty((6, 6))
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
    spin = np.empty(3)
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


@numba.njit(cache=True, nogil=True)
def return_stress(code, strain, lam, mu, strength, ratio, stress, tangent):  # type: ignore[no-untyped-def]
    """Stress (and consistent tangent ``d stress / d strain`` where True is returned) of a trial elastic strain.

    ``tangent`` is left alone where the point is elastic. ``lam`` and ``mu`` are Lamé's constants [MPa], ``strength`` the uniaxial
    compressive yield stress [MPa], ``ratio`` tensile over compressive.
    """
    if code == 0:
        return _von_mises(strain, lam, mu, strength, stress, tangent)
    if code == 1:
        return _paraboloid(strain, lam, mu, strength, ratio, stress, tangent)
    return _mohr_coulomb(strain, lam, mu, strength, ratio, stress, tangent)


def point_stress(
    criterion: Criterion, strain: FloatArray, *, youngs_modulus: float, poisson_ratio: float, yield_stress: float
) -> tuple[FloatArray, FloatArray]:
    """Stress ``(6,)`` and consistent tangent ``(6 6)`` after the return of a trial elastic strain ``(6,)`` [MPa]."""
    lam = youngs_modulus * poisson_ratio / ((1 + poisson_ratio) * (1 - 2 * poisson_ratio))
    mu = youngs_modulus / (2 * (1 + poisson_ratio))
    stress, tangent = np.zeros(6), np.diag([2 * mu] * 3 + [mu] * 3)
    tangent[:3, :3] += lam
    return_stress(
        criterion.code, np.asarray(strain, dtype=float), lam, mu, float(yield_stress), criterion.tension_ratio, stress, tangent
    )
    return stress, tangent
