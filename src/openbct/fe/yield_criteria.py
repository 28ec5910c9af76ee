"""Yield criteria of perfectly plastic materials, each with its return mapping and consistent tangent at one point.

A criterion is a value: ``VonMises()``, ``Paraboloid(tension_ratio)``, ``MohrCoulomb(tension_ratio)``. All of them share one
uniaxial compressive yield stress ``sc`` per element and the ratio of tensile to compressive yield stress ``st / sc``; flow is
associated, elasticity isotropic. :func:`return_stress` is the map from a trial elastic strain to stress and tangent.

Strain and stress are Voigt vectors ``ii jj kk jk ik ij`` with engineering shear, as in :mod:`openbct.fe.hex8`.

References
----------
de Souza Neto, Perić & Owen, Computational Methods for Plasticity, Wiley (2008): return mappings in principal stresses [R].
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
from openbct.fe.mohr_coulomb import return_mohr_coulomb

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
        # surface the climb is slow: where pressure does not help, start from the root of the deviatoric part alone if that is left of it.
        start = math.sqrt(trial / limit) - 1.0
        if start > 0.0 and slope * (invariant - softening * start) > 0.0:
            x = start
        for _ in range(100):
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


@numba.njit(cache=True, nogil=True)
def return_stress(code, strain, lam, mu, strength, ratio, stress, tangent, work):  # type: ignore[no-untyped-def]
    """Stress (and consistent tangent ``d stress / d strain`` where True is returned) of a trial elastic strain.

    ``tangent`` is left alone where the point is elastic. ``lam`` and ``mu`` are Lamé's constants [MPa], ``strength`` the uniaxial
    compressive yield stress [MPa], ``ratio`` tensile over compressive; ``work`` is scratch memory ``(20, 6)``.
    """
    if code == 0:
        return _von_mises(strain, lam, mu, strength, stress, tangent)
    if code == 1:
        return _paraboloid(strain, lam, mu, strength, ratio, stress, tangent)
    return return_mohr_coulomb(strain, lam, mu, strength, ratio, stress, tangent, work)


def point_stress(
    criterion: Criterion, strain: FloatArray, *, youngs_modulus: float, poisson_ratio: float, yield_stress: float
) -> tuple[FloatArray, FloatArray]:
    """Stress ``(6,)`` and consistent tangent ``(6 6)`` after the return of a trial elastic strain ``(6,)`` [MPa]."""
    lam = youngs_modulus * poisson_ratio / ((1 + poisson_ratio) * (1 - 2 * poisson_ratio))
    mu = youngs_modulus / (2 * (1 + poisson_ratio))
    stress, tangent = np.zeros(6), np.diag([2 * mu] * 3 + [mu] * 3)
    tangent[:3, :3] += lam
    return_stress(
        criterion.code,
        np.asarray(strain, dtype=float),
        lam,
        mu,
        float(yield_stress),
        criterion.tension_ratio,
        stress,
        tangent,
        np.empty((20, 6)),
    )
    return stress, tangent
