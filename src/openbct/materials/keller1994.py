"""Keller (1994): human vertebral trabecular bone, stiffness and strength from ash density."""

from __future__ import annotations

from ..records import MaterialLaw, Reference

KELLER_1994 = MaterialLaw(
    name="keller1994",
    density="ash",
    youngs_modulus=lambda rho: 1890.0 * rho**1.92,
    # An ultimate strength, used as yield stress by programs that offer this law.
    yield_stress=lambda rho: 284.0 * rho**2.27,
    # Floor: E 1 MPa; ceiling: cortical ash density [design].
    clip=(0.02, 1.2),
    # The fitted range was not seen: that of vertebral trabecular bone [design]; only a caution hangs on it.
    valid=(0.05, 0.3),
    reference=Reference(
        "Keller TS. J Biomech 27:1159 (1994), vertebral fit; modulus as in public FE code, strength recalled", "recalled"
    ),
    check=(0.2, 85.988, 7.3562),
)
