"""Bayraktar et al. (2004): the tissue itself, trabecular and cortical, for images that resolve it."""

from __future__ import annotations

import numpy as np

from ..records import MaterialLaw, Reference

BAYRAKTAR_2004_TRABECULAR = MaterialLaw(
    name="bayraktar2004-trabecular",
    density="ash",
    youngs_modulus=lambda rho: np.full_like(rho, 18_000.0),
    yield_stress=lambda rho: np.full_like(rho, 134.0),
    clip=(0.02, 1.5),
    # Mineralised tissue [design].
    valid=(0.8, 1.4),
    reference=Reference(
        "Bayraktar HH et al. J Biomech 37:27 (2004), femoral trabecular tissue: 18 GPa, 83 MPa in tension, 134 MPa in compression, as in "
        "public FE code",
        "code",
    ),
    check=(1.0, 18_000.0, 134.0),
    tension_ratio=83.0 / 134.0,
    tissue=True,
)

BAYRAKTAR_2004_CORTICAL = MaterialLaw(
    name="bayraktar2004-cortical",
    density="ash",
    youngs_modulus=lambda rho: np.full_like(rho, 19_900.0),
    # Yield strains of about 0.4 % in tension and 0.7 % in compression, recalled.
    yield_stress=lambda rho: np.full_like(rho, 0.007 * 19_900.0),
    clip=(0.02, 1.5),
    valid=(0.8, 1.4),
    reference=Reference("Bayraktar HH et al. J Biomech 37:27 (2004), femoral cortical tissue, recalled", "recalled"),
    check=(1.0, 19_900.0, 139.3),
    tension_ratio=0.4 / 0.7,
    tissue=True,
)
