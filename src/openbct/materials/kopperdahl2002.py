"""Kopperdahl, Morgan & Keaveny (2002): human vertebral trabecular bone, stiffness and strength from QCT density."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..records import MaterialLaw, Reference

KOPPERDAHL_2002 = MaterialLaw(
    name="kopperdahl2002",
    density="K2HPO4",
    youngs_modulus=lambda rho: 2980.0 * rho**1.05,
    yield_stress=lambda rho: 37.4 * rho**1.39,
    # Floor: E 13.9 MPa, so that noise and fat cannot make holes; ceiling: far above any vertebral cortex at 1 mm [design].
    clip=(0.006, 1.2),
    # The range is recalled from the paper's figure, not read: a caution, never a refusal, hangs on it.
    valid=(0.05, 0.3),
    reference=Reference(
        "Kopperdahl DL, Morgan EF, Keaveny TM. J Orthop Res 20:801 (2002); coefficients as in public FE code for vertebrae",
        "code",
    ),
    check=(0.1, 265.59, 1.5236),
)

KOPPERDAHL_2002_UNCLIPPED = replace(
    KOPPERDAHL_2002,
    name="kopperdahl2002-unclipped",
    # As the public benchmark has it: no bone is lifted to a floor, but for 1e-4 MPa against singular matrices; holes may open.
    youngs_modulus=lambda rho: np.maximum(2980.0 * np.maximum(rho, 0.0) ** 1.05, 1e-4),
    yield_stress=lambda rho: np.maximum(37.4 * np.maximum(rho, 0.0) ** 1.39, 1e-4),
    clip=(-0.031, 3.0),
)
