"""A protocol's plan, with the files that it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..plan import Plan, make_plan
from ..records import Scan
from ..risk import RiskStandards
from ..settings import RiskSettings, Settings


def planned(settings: Settings, *, phantom_scan: Scan | None = None) -> Plan:
    """Return the plan of a protocol.

    Raises
    ------
    InputError
        The reference file or the table of incidence cannot be read.
    SettingsError
        An unknown name, or a reference of another recipe.
    """
    from ..io import read_incidence, read_reference

    asked = settings.assessment.reference
    reference = read_reference(Path(asked)) if asked is not None else None
    table, competing = settings.risk.table, settings.risk.competing_mortality
    if not table.endswith(".toml"):
        return make_plan(settings, phantom_scan=phantom_scan, reference=reference)
    own = RiskStandards(read_incidence(Path(table)), competing)
    packaged = replace(settings, risk=RiskSettings(competing_mortality=competing))
    return replace(make_plan(packaged, phantom_scan=phantom_scan, reference=reference), risk=own)
