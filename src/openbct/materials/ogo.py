"""The law of Ogo, a public hip-FE program: stiffness from ash density; elastic."""

from __future__ import annotations

from ..records import MaterialLaw, Reference

OGO_HIP = MaterialLaw(
    name="ogo-hip",
    density="ash",
    youngs_modulus=lambda rho: 10500.0 * rho**2.29,
    # The program's optional strengths, 120 and 100 MPa everywhere, are no law.
    yield_stress=None,
    # Floor: its clip of -31 mg/cm³ K2HPO4, as ash; the program has no ceiling: E 24.6 GPa here [design].
    clip=(0.006, 1.45),
    # The range is that of the default femoral law [design]; only a caution hangs on it.
    valid=(0.1, 1.17),
    reference=Reference("Ogo (Bonelab), public code: E = 10500 ash density ^ 2.29", "code"),
    check=(0.5, 2146.9, None),
)
