"""Homogenised trabecular bone without fabric, as coded for nonlinear voxel models of vertebrae and femora (Schwiedrzik, Pahr, Zysset and co-workers)."""

from __future__ import annotations

from ..records import MaterialLaw, Reference

TISSUE = 2.0
"""Apparent density of bone without pores [g/cm³] [R]: the code takes bone volume fraction, which images give through it."""

HFE_TRABECULAR = MaterialLaw(
    name="hfe-trabecular",
    density="apparent",
    youngs_modulus=lambda rho: 8534.64 * (rho / TISSUE) ** 1.63,
    # Ultimate stress in compression: the code yields at 0.7 of it and hardens towards it; a perfectly plastic voxel takes the end.
    yield_stress=lambda rho: 89.24 * (rho / TISSUE) ** 1.686,
    # Floor: E 4.7 MPa, where marrow alone is meant; ceiling: no pores [design].
    clip=(0.02, TISSUE),
    # Trabecular bone of 5 to 40 % volume; recalled, only a caution hangs on it.
    valid=(0.1, 0.8),
    reference=Reference(
        "Isotropic trabecular constants of a public user material of the homogenised-FE group (Schwiedrzik & Zysset 2013; Panyasantisuk et al. 2015)",
        "code",
    ),
    check=(0.5, 890.897, 8.61959),
    poisson_ratio=0.246,
    tension_ratio=61.43 / 89.24,
)
