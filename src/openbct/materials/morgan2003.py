"""Morgan, Bayraktar & Keaveny (2003): femoral-neck trabecular bone, stiffness from apparent density."""

from __future__ import annotations

from ..records import MaterialLaw, Reference

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
