"""Keyak, Lee & Skinner (1994): human bone, stiffness in three and strength in two branches of ash density."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..records import Array, MaterialLaw, Reference


def _modulus(rho: Float[Array, "..."]) -> Float[Array, "..."]:
    return np.where(rho < 0.27, 33900.0 * rho**2.20, np.where(rho < 0.60, 5307.0 * rho + 469.0, 10200.0 * rho**2.01))


def _strength(rho: Float[Array, "..."]) -> Float[Array, "..."]:
    return np.where(rho < 0.317, 137.0 * rho**1.88, 114.0 * rho**1.72)


KEYAK_1994 = MaterialLaw(
    name="keyak1994",
    density="ash",
    youngs_modulus=_modulus,
    # An ultimate strength, used as yield stress by programs that offer this law.
    yield_stress=_strength,
    clip=(0.02, 1.17),
    # Trabecular and cortical specimens together; recalled, not read: only a caution hangs on it.
    valid=(0.05, 1.17),
    reference=Reference("Keyak JH, Lee IY, Skinner HB. J Biomed Mater Res 28:1329 (1994), recalled", "recalled"),
    check=(0.5, 3122.5, 34.606),
    poisson_ratio=0.4,
)
