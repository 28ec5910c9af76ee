"""Keyak et al. (2005): human proximal femur, stiffness and strength from ash density, and what follows yielding."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..records import Array, MaterialLaw, PostYield, Reference

CORTICAL = 0.6
"""Ash density from which a voxel follows the cortical curve after yielding [g/cm³]: where Keyak's earlier law changes its branch [R]."""


def _post_yield(rho: Float[Array, "..."], edge: float) -> PostYield:
    """Return plateau, slope and residual stress of a voxel of ``edge`` mm.

    The tested cores were 15 mm (trabecular) and 5 mm (cortical) long; the plateau's strain is gathered in one voxel, and the falling line is what
    remains of the core's when the rest of it unloads elastically.
    """
    cortical = rho >= CORTICAL
    length = np.where(cortical, 5.0, 15.0)
    modulus, strength = 14900.0 * rho**1.86, 102.0 * rho**1.80
    plateau = np.where(cortical, 0.0184 - 0.0100 * rho, 0.00189 + 0.0241 * rho) * length / edge
    core = np.where(cortical, -1000.0, -2080.0 * rho**1.45)
    slope = edge * modulus * core / (length * modulus - (length - edge) * core)
    return PostYield(strength / modulus + plateau, slope, 43.1 * rho**1.81)


KEYAK_2005 = MaterialLaw(
    name="keyak2005",
    density="ash",
    youngs_modulus=lambda rho: 14900.0 * rho**1.86,
    yield_stress=lambda rho: 102.0 * rho**1.80,
    # Floor: E 10.3 MPa, of the size used by Helgason-type models; ceiling: E 19 950 MPa, about cortical tissue [design].
    clip=(0.02, 1.17),
    # Trabecular and cortical specimens together; recalled, not read: only a caution hangs on it.
    valid=(0.1, 1.17),
    reference=Reference(
        "Keyak JH et al. Clin Orthop Relat Res 437:219 (2005); constants as coded by Sas A et al. (2020); tests without softening take the plateau only",
        "code",
    ),
    check=(0.5, 4104.6, 29.292),
    post_yield=_post_yield,
)
