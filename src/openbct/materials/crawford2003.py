"""Crawford, Cann & Keaveny (2003): transverse isotropy of vertebral bone about the axis of the spine."""

from __future__ import annotations

from ..records import ElasticSymmetry, Reference

TRANSVERSE = ElasticSymmetry(
    name="transversely isotropic",
    youngs=(1 / 3, 1 / 3, 1.0),
    poisson=(0.381, 0.104, 0.104),
    shear=(0.157, 0.157, 0.121),
    reference=Reference(
        "Transverse isotropy after Crawford RP, Cann CE, Keaveny TM. Bone 33:744 (2003): ratios of the moduli as in public FE code, "
        "Poisson ratios recalled",
        "recalled",
    ),
)
