"""From a protocol's words to what the numbers are held against."""

from __future__ import annotations

from .assessment import DxaLine, Standards
from .settings import AssessmentSettings, Settings, to_tables
from .strength_reference import StrengthReference, check_reference
from .versions import versions


def standards_of(settings: Settings, reference: StrengthReference | None) -> Standards:
    """Return scale, reference, population and lines to DXA.

    Raises
    ------
    SettingsError
        The reference belongs to another recipe.
    """
    asked = settings.assessment
    cautions: tuple[str, ...] = ()
    if reference is not None:
        cautions = check_reference(reference, settings.title, to_tables(settings), versions()["openbct"])
    return Standards(settings.run.scale, reference, cautions, asked.profile, asked.population, _dxa_lines(asked))


def _dxa_lines(asked: AssessmentSettings) -> dict[str, DxaLine]:
    """Return a site's lines to DXA, for the regions that it has one for."""
    given = {
        "femoral_neck_abmd": (asked.neck_dxa_factor, asked.neck_dxa_offset_g_cm2),
        "total_hip_abmd": (asked.total_dxa_factor, asked.total_dxa_offset_g_cm2),
    }
    return {
        name: DxaLine(1.0 if factor is None else factor, offset or 0.0, asked.dxa_source or "")
        for name, (factor, offset) in given.items()
        if factor is not None or offset is not None
    }
