"""Every record that flows through OpenBCT, and every plug-in type: reading these pages is reading the architecture.

::

    Scan ──segmenter──▶ Segmentation ──calibrator(scan, segmentation)──▶ CalibratedVolume
      both:      quality ▶ Examination, which may refuse a bone
      per bone:  anatomy ▶ BoneRegion ──loadcase.mount──▶ Specimen ──femodel(law, loadcase)──▶ FEModel
                 strength(fe.solve) ▶ StrengthResult;  measures ▶ BoneMeasures
      then:      fractures ▶ FractureAssessment;  assessment ▶ Assessment;  Case = all of these;  report ▶ pages

A record is frozen, has no behaviour, and its arrays are read-only by convention. A stage is a pure function from record
to record. ``step`` has no default: a stage that does not say what it did cannot build its record. Units are mm, N, MPa,
HU and mg/cm³ unless a field's name says otherwise.
"""

from __future__ import annotations

from .bone import (
    BoneMeasures,
    BoneRegion,
    Boundary,
    ElasticSymmetry,
    ErrorBudget,
    ErrorPart,
    FEModel,
    Frame,
    Measure,
    Pads,
    PostYield,
    Specimen,
    StrengthResult,
)
from .case import BoneResult, Case
from .meaning import AgeCurve, Assessment, Finding, FractureAssessment, HipFractureRisk, VertebraGrade
from .origin import Array, DensityKind, Mark, Mineral, Reference, Status, Step
from .plugin_types import Calibrator, LoadCase, MaterialLaw, Segmenter
from .scan import (
    SIMULATOR,
    Acquisition,
    BoneMask,
    CalibratedVolume,
    Check,
    Examination,
    Gap,
    LabelMap,
    Patient,
    ReferenceSample,
    Scan,
    Segmentation,
)

__all__ = [
    "SIMULATOR",
    "Acquisition",
    "AgeCurve",
    "Array",
    "Assessment",
    "BoneMask",
    "BoneMeasures",
    "BoneRegion",
    "BoneResult",
    "Boundary",
    "CalibratedVolume",
    "Calibrator",
    "Case",
    "Check",
    "DensityKind",
    "ElasticSymmetry",
    "ErrorBudget",
    "ErrorPart",
    "Examination",
    "FEModel",
    "Finding",
    "FractureAssessment",
    "Frame",
    "Gap",
    "HipFractureRisk",
    "LabelMap",
    "LoadCase",
    "Mark",
    "MaterialLaw",
    "Measure",
    "Mineral",
    "Pads",
    "Patient",
    "PostYield",
    "Reference",
    "ReferenceSample",
    "Scan",
    "Segmentation",
    "Segmenter",
    "Specimen",
    "Status",
    "Step",
    "StrengthResult",
    "VertebraGrade",
]
