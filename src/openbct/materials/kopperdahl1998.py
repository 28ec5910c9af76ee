"""Kopperdahl & Keaveny (1998): human vertebral trabecular bone, stiffness from apparent density; no strength."""

from __future__ import annotations

import numpy as np

from ..records import MaterialLaw, Reference

KOPPERDAHL_1998 = MaterialLaw(
    name="kopperdahl1998",
    density="apparent",
    # The line crosses zero at 0.038 g/cm³: a floor of 10 MPa [design].
    youngs_modulus=lambda rho: np.maximum(2100.0 * rho - 80.0, 10.0),
    yield_stress=None,
    clip=(0.01, 2.0),
    # The fitted range was not seen: that of vertebral trabecular bone [design]; only a caution hangs on it.
    valid=(0.1, 0.4),
    reference=Reference("Kopperdahl DL, Keaveny TM. J Biomech 31:601 (1998); coefficients as in public FE code", "code"),
    check=(0.2, 340.0, None),
)
