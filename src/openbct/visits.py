"""The records of a follow-up: scans of one person at several dates, and what changed between them.

::

    Case ──visit_of──▶ Visit ─┐
    Case ──visit_of──▶ Visit ─┴─follow──▶ FollowUp (checks, alignments, changes, trends) ──▶ report

Units are those of :mod:`openbct.records`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from .records import (
    Acquisition,
    BoneMeasures,
    BoneRegion,
    CalibratedVolume,
    ErrorBudget,
    Patient,
    Reference,
    Step,
    StrengthResult,
)
from .volume import Volume

Array = np.ndarray
Outcome = Literal["ok", "caution", "routine", "uncontrolled", "strength", "all"]
"""Of a rule: nothing; a doubt; the precision of routine or of uncontrolled scans; strengths, or all, are not comparable."""
Judgement = Literal["increase", "decrease", "within", "not comparable", "implausible"]
"""Beyond the least significant change, upwards or downwards; within it; not to be compared; beyond what bone does."""


@dataclass(frozen=True)
class VisitBone:
    """One bone at one date: what a comparison needs of its result."""

    bone: str
    region: BoneRegion
    measures: BoneMeasures
    surroundings: Volume
    """Density in a wider box than that of ``region`` [mg/cm3]."""
    strength: StrengthResult | None
    """Its fields of single elements left out."""
    unfit: str | None = None
    """Why the level stands for nothing: fractured, fused, cemented."""
    cautions: tuple[str, ...] = ()
    budgets: Mapping[str, ErrorBudget] = field(default_factory=dict)
    """How sure each number is, by source."""


@dataclass(frozen=True)
class Visit:
    """One scan of a person, without its image."""

    date: str | None
    """ISO date of the scan."""
    patient: Patient
    acquisition: Acquisition
    digest: str
    """SHA-256 of the scan."""
    calibration: CalibratedVolume
    """With an image of one voxel: the bones hold their own densities."""
    bones: Mapping[str, VisitBone]
    missing: Mapping[str, str]
    """Bones without a result, with the reason."""
    protocol: str
    settings: Mapping[str, object]
    version: str
    """Of the program."""
    spacing: tuple[float, float, float]
    """Of the scan's voxels [mm]."""
    contrast_seen: bool = False
    """The image itself shows contrast agent."""
    doubts: tuple[str, ...] = ()
    """Cautions of the scan that bear on a comparison: levels that may be named wrongly."""


@dataclass(frozen=True)
class ScanCheck:
    """One rule on whether two scans may be compared; the rules stand in ``data/followup.toml``."""

    rule: str
    outcome: Outcome
    baseline: str
    followup: str
    sentence: str
    """What differs and what it does; empty where all is well."""


@dataclass(frozen=True)
class Alignment:
    """A bone of the baseline laid onto the same bone of a follow-up."""

    bone: str
    transform: Float[Array, "4 4"]
    """Patient LPS of the baseline to that of the follow-up [mm]."""
    turned_deg: float
    """Angle of its rotation [degrees]."""
    moved: float
    """Distance that the bone's centre was moved [mm]."""
    overlap: float
    """Dice of the baseline's mask, carried over, with the follow-up's own [-]."""
    correlation: float
    """Of the two densities in and around the bone [-]."""
    used: bool
    """The baseline's regions were measured in the follow-up."""
    sentence: str = ""
    """Why they were not; empty where they were."""


@dataclass(frozen=True)
class Change:
    """One quantity of one bone at two dates."""

    bone: str
    """Or several levels joined by commas, of which it is the mean."""
    quantity: str
    unit: str
    baseline: float
    followup: float
    difference: float
    percent: float
    """Of the baseline."""
    percent_per_year: float | None
    """``None`` where a date is unknown or both are the same."""
    least: float
    """Least significant change (95 %) [%]."""
    least_from: Literal["precision", "uncertainty"]
    """Which of the two was larger."""
    precision: Reference
    """Source of the stated precision."""
    judgement: Judgement
    carried: bool
    """Measured in the baseline's regions at both dates."""
    why: str = ""
    """Reason, where it is not comparable or implausible."""


@dataclass(frozen=True)
class Trend:
    """A weighted line through all dates."""

    bone: str
    quantity: str
    unit: str
    years: tuple[float, ...]
    """Since the baseline."""
    values: tuple[float, ...]
    deviations: tuple[float, ...]
    """One standard deviation of each, from precision or uncertainty, the larger."""
    slope: float
    """[unit per year]"""
    slope_95: tuple[float, float]
    percent_per_year: float
    percent_95: tuple[float, float]
    """Of the first value."""


@dataclass(frozen=True)
class Effect:
    """What a treatment did on average in a published trial."""

    treatment: str
    months: int
    site: Literal["vertebra", "femur"]
    quantity: str
    percent: float
    """Mean change from baseline."""
    note: str
    reference: Reference


@dataclass(frozen=True)
class Comparison:
    """One follow-up beside the baseline."""

    number: int
    """1 for the first follow-up."""
    years: float | None
    """Since the baseline."""
    checks: tuple[ScanCheck, ...]
    alignments: tuple[Alignment, ...]
    changes: tuple[Change, ...]
    absent: Mapping[str, str]
    """Bones that cannot be compared, with the reason."""
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Earlier:
    """What a comparison says of one scan beside the baseline: what that scan's own report needs of it."""

    baseline: str | None
    """ISO date of the baseline."""
    date: str | None
    """ISO date of the scan itself."""
    comparison: Comparison
    """Without its alignments."""


@dataclass(frozen=True)
class FollowUp:
    """All dates of one person."""

    visits: tuple[Visit, ...]
    """By date, the baseline first."""
    comparisons: tuple[Comparison, ...]
    trends: tuple[Trend, ...]
    effects: tuple[Effect, ...]
    step: Step
    versions: Mapping[str, str] = field(default_factory=dict)
