"""Morgan, Bayraktar & Keaveny (2003): trabecular bone of four sites, stiffness from apparent density; yield strains of 2001."""

from __future__ import annotations

from dataclasses import replace

from ..records import MaterialLaw, Reference
from .morgan2001 import TROCHANTER_STRAIN, VERTEBRA_STRAIN, with_yield_strain

_PAPER = "Morgan EF, Bayraktar HH, Keaveny TM. J Biomech 36:897 (2003)"

MORGAN_2003_NECK = MaterialLaw(
    name="morgan2003-neck",
    density="apparent",
    youngs_modulus=lambda rho: 6850.0 * rho**1.49,
    # Yield strain 0.85 % in compression, 0.61 % in tension: Morgan & Keaveny (2001).
    yield_stress=lambda rho: 0.0085 * 6850.0 * rho**1.49,
    clip=(0.03, 2.05),
    valid=(0.26, 0.75),
    reference=Reference(
        "Morgan EF, Bayraktar HH, Keaveny TM. J Biomech 36:897 (2003); yield strains of J Biomech 34:569 (2001)", "code"
    ),
    check=(0.5, 2438.7, 20.729),
    tension_ratio=0.61 / 0.85,
)

MORGAN_2003_TROCHANTER = replace(
    with_yield_strain(
        MaterialLaw(
            name="morgan2003-trochanter",
            density="apparent",
            youngs_modulus=lambda rho: 15010.0 * rho**2.18,
            yield_stress=None,
            # Floor: E 7 MPa; ceiling: E 20 GPa [design].
            clip=(0.03, 1.14),
            # Recalled.
            valid=(0.14, 0.28),
            reference=Reference(f"{_PAPER}, greater trochanter", "seen"),
            check=(0.2, 449.39, None),
        ),
        TROCHANTER_STRAIN,
    ),
    name="morgan2003-trochanter",
)

MORGAN_2003_VERTEBRA = replace(
    with_yield_strain(
        MaterialLaw(
            name="morgan2003-vertebra",
            density="apparent",
            youngs_modulus=lambda rho: 4730.0 * rho**1.56,
            yield_stress=None,
            # Floor: E 20 MPa; ceiling: cortex [design].
            clip=(0.03, 2.0),
            # Recalled.
            valid=(0.11, 0.35),
            reference=Reference(f"{_PAPER}, vertebra, as in a handbook", "seen"),
            check=(0.2, 384.12, None),
        ),
        VERTEBRA_STRAIN,
    ),
    name="morgan2003-vertebra",
)

MORGAN_2003_TIBIA = MaterialLaw(
    name="morgan2003-tibia",
    density="apparent",
    youngs_modulus=lambda rho: 15490.0 * rho**1.93,
    # Its yield strains were not seen.
    yield_stress=None,
    # Floor: E 18 MPa; ceiling: E 20 GPa [design].
    clip=(0.03, 1.14),
    # Recalled.
    valid=(0.09, 0.41),
    reference=Reference(f"{_PAPER}, proximal tibia", "seen"),
    check=(0.2, 693.49, None),
)
