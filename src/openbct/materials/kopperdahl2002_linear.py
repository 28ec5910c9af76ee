"""Kopperdahl, Morgan & Keaveny (2002): the straight lines through the same vertebral data as :mod:`.kopperdahl2002`."""

from __future__ import annotations

import numpy as np

from ..records import MaterialLaw, Reference

KOPPERDAHL_2002_LINEAR = MaterialLaw(
    name="kopperdahl2002-linear",
    density="K2HPO4",
    # The lines cross zero at 0.0107 and 0.0301 g/cm³, inside real bone: floors of 10 MPa and 0.05 MPa [design].
    youngs_modulus=lambda rho: np.maximum(3230.0 * rho - 34.7, 10.0),
    yield_stress=lambda rho: np.maximum(24.9 * rho - 0.750, 0.05),
    clip=(0.006, 1.2),
    # As for the power law of the same paper, recalled.
    valid=(0.05, 0.3),
    reference=Reference(
        "Kopperdahl DL, Morgan EF, Keaveny TM. J Orthop Res 20:801 (2002), linear fits; coefficients as in public FE code for vertebrae",
        "code",
    ),
    check=(0.1, 288.3, 1.74),
)
