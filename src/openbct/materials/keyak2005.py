"""Keyak et al. (2005): human proximal femur, stiffness and strength from ash density; the plateau only."""

from __future__ import annotations

from ..records import MaterialLaw, Reference

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
        "Keyak JH et al. Clin Orthop Relat Res 437:219 (2005); constants as coded by Sas A et al. (2020), softening branch left out",
        "code",
    ),
    check=(0.5, 4104.6, 29.292),
)
