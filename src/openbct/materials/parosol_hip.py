"""A public voxel-FE program's hip laws: those of Morgan et al. (2003) times 1.28, fed with ash density."""

from __future__ import annotations

from ..records import MaterialLaw, Reference

_SOURCE = (
    "parosol-py, public code: 1.28 times Morgan EF et al. J Biomech 36:897 (2003), {place}; yield strains of J Biomech 34:569 (2001). The "
    "program names apparent density and its workflow feeds ash density, as is done here"
)

PAROSOL_HIP_NECK = MaterialLaw(
    name="parosol-hip-neck",
    density="ash",
    youngs_modulus=lambda rho: 8768.0 * rho**1.49,
    yield_stress=lambda rho: 0.0085 * 8768.0 * rho**1.49,
    # Floor and ceiling as for keyak2005 [design].
    clip=(0.02, 1.17),
    # The paper's range of apparent densities, taken as ash densities as the program does.
    valid=(0.26, 0.75),
    reference=Reference(_SOURCE.format(place="femoral neck"), "code"),
    check=(0.5, 3121.5, 26.533),
    tension_ratio=0.61 / 0.85,
)

PAROSOL_HIP_TROCHANTER = MaterialLaw(
    name="parosol-hip-trochanter",
    density="ash",
    youngs_modulus=lambda rho: 19212.8 * rho**2.18,
    yield_stress=lambda rho: 0.0070 * 19212.8 * rho**2.18,
    # Ceiling: E 23.6 GPa [design].
    clip=(0.02, 1.1),
    valid=(0.14, 0.28),
    reference=Reference(_SOURCE.format(place="greater trochanter"), "code"),
    check=(0.5, 4239.8, 29.679),
    tension_ratio=0.61 / 0.70,
)
