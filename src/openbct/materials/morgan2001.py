"""Morgan & Keaveny (2001): yield strains of human trabecular bone by site, the same at every density of a site."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from ..records import Mark, MaterialLaw, Reference


@dataclass(frozen=True)
class YieldStrain:
    """Yield strains of one site [-]."""

    name: str
    compression: float
    tension: float
    reference: Reference


_PAPER = "Morgan EF, Keaveny TM. J Biomech 34:569 (2001): yield strains"
VERTEBRA_STRAIN = YieldStrain("morgan2001-vertebra", 0.0077, 0.0070, Reference(f"{_PAPER} of the vertebra, recalled", "recalled"))
NECK_STRAIN = YieldStrain(
    "morgan2001-neck", 0.0085, 0.0061, Reference(f"{_PAPER} of the femoral neck, as in public FE code", "code")
)
TROCHANTER_STRAIN = YieldStrain(
    "morgan2001-trochanter", 0.0070, 0.0061, Reference(f"{_PAPER} of the greater trochanter, as in public FE code", "code")
)


def with_yield_strain(law: MaterialLaw, strain: YieldStrain) -> MaterialLaw:
    """Return ``law`` with a yield stress of ``strain`` times its modulus, and the tensile one in proportion.

    References
    ----------
    Morgan & Keaveny, J Biomech 34:569 (2001).
    """
    rho, modulus, _ = law.check
    marks = get_args(Mark)  # from the surest to the least sure
    weaker = max((law.reference.mark, strain.reference.mark), key=marks.index)
    return replace(
        law,
        name=f"{law.name}+{strain.name}",
        yield_stress=lambda density: strain.compression * law.youngs_modulus(density),
        reference=Reference(f"{law.reference.text}; {strain.reference.text}", weaker),
        check=(rho, modulus, strain.compression * modulus),
        tension_ratio=strain.tension / strain.compression,
    )
