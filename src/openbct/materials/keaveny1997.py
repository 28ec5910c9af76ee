"""Keaveny et al. (1997): trabecular bone, stiffness from apparent density; no strength."""

from __future__ import annotations

import numpy as np

from ..records import MaterialLaw, Reference

KEAVENY_1997 = MaterialLaw(
    name="keaveny1997",
    density="apparent",
    # The line crosses zero at 0.038 g/cm³: a floor of 10 MPa [design].
    youngs_modulus=lambda rho: np.maximum(1540.0 * rho - 58.0, 10.0),
    yield_stress=None,
    clip=(0.01, 2.0),
    # The fitted range was not seen: that of vertebral trabecular bone [design]; only a caution hangs on it.
    valid=(0.1, 0.4),
    reference=Reference("Keaveny TM et al. J Orthop Res 15:101 (1997); coefficients as in public FE code", "code"),
    check=(0.2, 250.0, None),
)
