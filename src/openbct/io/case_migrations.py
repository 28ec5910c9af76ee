"""What stored cases of earlier versions lack, and what that meant when they were written.

A field with a default needs no entry: its default is what it meant before there was one. A field without a default that a record gains
gets an entry here; a change of meaning raises :data:`~openbct.io.case_file.FORMAT` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ADDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "ReferenceSample": {"unit": "HU or mg/cm3"},  # the first cases left it to the calibrator's sentence
}
"""Record to its fields that came later, with the value that stands for their absence."""


def completed(record: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record with those that a later version added."""
    return {**ADDED.get(record, {}), **stated}
