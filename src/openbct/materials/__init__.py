"""Material laws: one paper, one file. A law that stands in this table is under the conformance tests."""

from __future__ import annotations

from .crawford2003 import TRANSVERSE
from .keyak2005 import KEYAK_2005
from .kopperdahl2002 import KOPPERDAHL_2002
from .modifiers import side_artefact
from .morgan2003 import MORGAN_2003_NECK

MATERIALS = {law.name: law for law in (KEYAK_2005, KOPPERDAHL_2002, MORGAN_2003_NECK, side_artefact(KOPPERDAHL_2002))}

__all__ = ["KEYAK_2005", "KOPPERDAHL_2002", "MATERIALS", "MORGAN_2003_NECK", "TRANSVERSE", "side_artefact"]
