"""Everything about one bone, and about one scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .bone import BoneMeasures, BoneRegion, ErrorBudget, FEModel, Specimen, StrengthResult
from .meaning import Assessment, FractureAssessment
from .origin import Status, Step
from .scan import CalibratedVolume, Examination, Scan, Segmentation


@dataclass(frozen=True)
class BoneResult:
    """Everything about one bone; what was reached before a refusal is kept."""

    bone: str
    status: Status
    reason: str | None
    """Why it was refused."""
    cautions: tuple[str, ...]
    steps: tuple[Step, ...]
    region: BoneRegion | None = None
    specimen: Specimen | None = None
    model: FEModel | None = None
    strength: StrengthResult | None = None
    measures: BoneMeasures | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by stage [s]."""
    budgets: Mapping[str, ErrorBudget] = field(default_factory=dict)
    """Of measures by their name, of ``"strength"`` and ``"stiffness"``."""
    unfit: str | None = None
    """Why this level's density and strength do not stand for the spine: fractured, fused, cemented; ``None``: they do."""


@dataclass(frozen=True)
class Case:
    """One scan, from image to meaning."""

    scan: Scan
    segmentation: Segmentation
    calibration: CalibratedVolume | None
    bones: tuple[BoneResult, ...]
    assessment: Assessment
    protocol: str
    """Name and version of the protocol."""
    settings: Mapping[str, object]
    """Plain tables, as the protocol file has them: repeats the run."""
    versions: Mapping[str, str]
    seconds: Mapping[str, float]
    """Wall time by stage [s]."""
    cautions: tuple[str, ...] = ()
    """Those of the case as a whole."""
    examination: Examination | None = None
    fractures: FractureAssessment | None = None
    """``None``: no vertebra was looked at."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step in the order in which it was done; those that say the same are one, with the cautions of all."""
        collected = [self.scan.step, self.segmentation.step]
        collected += [self.examination.step] if self.examination else []
        collected += [self.calibration.step] if self.calibration else []
        for bone in self.bones:
            collected += bone.steps
        collected += [self.fractures.step] if self.fractures else []
        collected.append(self.assessment.step)
        unique: dict[str, Step] = {}
        for step in collected:
            known = unique.get(step.sentence)
            cautions = (*known.cautions, *(c for c in step.cautions if c not in known.cautions)) if known else step.cautions
            unique[step.sentence] = replace(step, cautions=cautions)
        return tuple(unique.values())
