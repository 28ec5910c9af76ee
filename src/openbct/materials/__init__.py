"""Material laws: one paper, one file. A law that stands in this table is under the conformance tests."""

from __future__ import annotations

from .bayraktar2004 import BAYRAKTAR_2004_CORTICAL, BAYRAKTAR_2004_TRABECULAR
from .crawford2003 import TRANSVERSE
from .hfe import HFE_TRABECULAR
from .keaveny1997 import KEAVENY_1997
from .keller1994 import KELLER_1994
from .keyak1994 import KEYAK_1994
from .keyak2005 import KEYAK_2005
from .kopperdahl1998 import KOPPERDAHL_1998
from .kopperdahl2002 import KOPPERDAHL_2002, KOPPERDAHL_2002_UNCLIPPED
from .kopperdahl2002_linear import KOPPERDAHL_2002_LINEAR
from .modifiers import side_artefact
from .morgan2001 import VERTEBRA_STRAIN, with_yield_strain
from .morgan2003 import MORGAN_2003_NECK, MORGAN_2003_TIBIA, MORGAN_2003_TROCHANTER, MORGAN_2003_VERTEBRA
from .ogo import OGO_HIP
from .parosol_hip import PAROSOL_HIP_NECK, PAROSOL_HIP_TROCHANTER

_LAWS = (
    KOPPERDAHL_2002,
    KOPPERDAHL_2002_UNCLIPPED,
    side_artefact(KOPPERDAHL_2002),
    KOPPERDAHL_2002_LINEAR,
    side_artefact(KOPPERDAHL_2002_LINEAR),
    MORGAN_2003_VERTEBRA,
    KEAVENY_1997,
    with_yield_strain(KEAVENY_1997, VERTEBRA_STRAIN),
    KOPPERDAHL_1998,
    with_yield_strain(KOPPERDAHL_1998, VERTEBRA_STRAIN),
    KELLER_1994,
    KEYAK_1994,
    KEYAK_2005,
    MORGAN_2003_NECK,
    MORGAN_2003_TROCHANTER,
    MORGAN_2003_TIBIA,
    PAROSOL_HIP_NECK,
    PAROSOL_HIP_TROCHANTER,
    OGO_HIP,
    HFE_TRABECULAR,
    BAYRAKTAR_2004_TRABECULAR,
    BAYRAKTAR_2004_CORTICAL,
)
MATERIALS = {law.name: law for law in _LAWS}

__all__ = ["KEYAK_2005", "KOPPERDAHL_2002", "MATERIALS", "MORGAN_2003_NECK", "TRANSVERSE", "side_artefact", "with_yield_strain"]
