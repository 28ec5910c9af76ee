"""A protocol's plan, with the reference file that it names."""

from __future__ import annotations

from pathlib import Path

from ..plan import Plan, make_plan
from ..records import Scan
from ..settings import Settings


def planned(settings: Settings, *, phantom_scan: Scan | None = None) -> Plan:
    """Return the plan of a protocol.

    Raises
    ------
    InputError
        The reference file cannot be read.
    SettingsError
        An unknown name, or a reference of another recipe.
    """
    from ..io import read_reference

    asked = settings.assessment.reference
    reference = read_reference(Path(asked)) if asked is not None else None
    return make_plan(settings, phantom_scan=phantom_scan, reference=reference)
