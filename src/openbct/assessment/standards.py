"""What a run's numbers are held against, beside the table: a strength reference, a population, a site's own line to DXA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..strength_reference import StrengthReference


@dataclass(frozen=True)
class DxaLine:
    """A site's own line from areal density by CT to that of its DXA scanner: offset + factor x aBMD."""

    factor: float = 1.0
    offset: float = 0.0
    """[g/cm²]"""
    source: str = ""
    """Where it comes from, in the site's words; empty: nobody has compared the two."""


@dataclass(frozen=True)
class Standards:
    """Settings of the assessment."""

    scale: str = "provisional"
    """``"provisional"``: strength beside the published thresholds, without a class; ``"none"``: neither they nor a fall's load beside it."""
    reference: StrengthReference | None = None
    """Makes the scale of its recipe mapped."""
    reference_cautions: tuple[str, ...] = ()
    profile: str = "default"
    population: str | None = None
    """Of the table of norms for Z-scores; ``None``: none."""
    dxa_lines: Mapping[str, DxaLine] = field(default_factory=dict)
    """By quantity, ``"femoral_neck_abmd"`` and ``"total_hip_abmd"``; missing: the identity."""

    def scale_of(self, site: str) -> str:
        """Return a site's scale: ``"mapped"`` where the reference has thresholds for it."""
        return "mapped" if self.reference is not None and self.reference.covers(site) else self.scale
