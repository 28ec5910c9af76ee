"""A scan on its way to density: patient, image, labels and bones, how it was made, references, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float

from ..volume import Volume
from .origin import Array, Mineral, Status, Step


@dataclass(frozen=True)
class Patient:
    """Who was scanned; every field may be unknown."""

    name: str | None = None
    identifier: str | None = None
    birth_date: str | None = None
    """ISO date."""
    sex: Literal["F", "M"] | None = None
    age: float | None = None
    """At the scan [years]."""
    height_cm: float | None = None
    weight_kg: float | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    """Field name to where it came from: ``"image header"`` or ``"user"``."""
    dxa_t: Mapping[str, float] = field(default_factory=dict)
    """T-scores of a DXA: ``"femoral_neck"``, ``"total_hip"``, ``"lumbar_spine"``."""


SIMULATOR = ("OpenBCT", "Simulator")
"""Manufacturer and model that our own simulated scans name."""


@dataclass(frozen=True)
class Acquisition:
    """How the scan was made, in DICOM's words; every field may be unknown."""

    kvp: float | None = None
    kernel: str | None = None
    slice_thickness: float | None = None
    """[mm]"""
    manufacturer: str | None = None
    model: str | None = None
    contrast: str | None = None
    """Contrast agent or phase as the header names it; ``None`` says that the header is silent."""
    study_date: str | None = None
    """ISO date."""
    image_type: tuple[str, ...] = ()
    series_description: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    frame_of_reference_uid: str | None = None
    accession_number: str | None = None
    referring_physician: str | None = None

    @property
    def simulated(self) -> bool:
        """Made by our own simulator, as its header says."""
        return (self.manufacturer, self.model) == SIMULATOR


@dataclass(frozen=True)
class Gap:
    """A slab of the image without data: planes are absent there, and what stands in their place was interpolated."""

    normal: Float[Array, "3"]
    """Unit vector across the slab, patient LPS."""
    lower: float
    upper: float
    """Where along the normal the last plane before the slab and the first after it lie [mm]."""


@dataclass(frozen=True)
class Scan:
    """A CT image in canonical orientation, with what its header knows."""

    image: Volume
    """[HU]; or [mg/cm3 ...] where an already calibrated image was given."""
    patient: Patient
    acquisition: Acquisition
    source: str
    """What was read: ``"DICOM series of 120 slices"``; no path, no name."""
    digest: str
    """SHA-256 over the pixel data and the affine."""
    step: Step
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class LabelMap:
    """Structures drawn by a segmenter or a person, in one naming."""

    volume: Volume
    """Integers; 0 is background."""
    names: Mapping[int, str]
    """Integer to structure: ``"vertebrae_L1"``, ``"vertebral_body_L1"``, ``"femur_left"`` ... as in TotalSegmentator."""
    source: str
    digest: str = ""
    """SHA-256 over the labels, their names and the affine; empty where they were not read from a file."""
    cautions: tuple[str, ...] = ()
    """What was doubtful in reading them."""
    moved: bool = False
    """They were drawn on another grid and brought onto the scan's."""


@dataclass(frozen=True)
class BoneMask:
    """One bone found in the scan."""

    bone: str
    """``"C1"`` ... ``"L5"``, ``"femur_left"``, ``"femur_right"``."""
    mask: Volume
    """Boolean, a sub-box of the scan's own voxels."""
    part: Literal["body", "whole"]
    """A vertebral body, or the whole bone."""
    confidence: float
    """0 to 1: how far the mask can be trusted."""
    touches_edge: bool
    """The bone is cut by the border of the image."""
    pads: tuple[Volume, Volume] | None = None
    """Cement drawn with a vertebra, inferior and superior: boolean sub-boxes of the scan."""


@dataclass(frozen=True)
class Segmentation:
    """Where the bones and the reference tissues are."""

    bones: Mapping[str, BoneMask]
    tissues: Mapping[str, Volume]
    """``"aorta"``, ``"muscle"`` ... boolean sub-boxes of the scan, for calibration."""
    step: Step
    absent: Mapping[str, str] = field(default_factory=dict)
    """Bones that were asked for, or are expected, and are not there, with the reason in plain words."""
    inputs: tuple[tuple[str, str], ...] = ()
    """What the bones were taken from, beside the scan: a source in words and its SHA-256."""
    others: Mapping[str, BoneMask] = field(default_factory=dict)
    """Whole vertebrae that nobody asked for: looked at for fractures, neither measured nor loaded."""


@dataclass(frozen=True)
class Check:
    """One rule on how a scan was made, as it turned out; the rules stand in ``data/acquisition.toml``."""

    rule: str
    outcome: Status
    bone: str | None
    """``None``: the scan as a whole."""
    value: float
    """What was measured, in ``unit``."""
    unit: str
    sentence: str
    """What was found and what it does; empty where all is well."""


@dataclass(frozen=True)
class Examination:
    """What the image itself says of how it was made."""

    checks: tuple[Check, ...]
    step: Step
    """With the cautions of the scan as a whole."""
    bones: Mapping[str, Step]
    """With the cautions of each bone."""
    refused: Mapping[str, str]
    """Bones that must not be assessed in this image, with the reason."""


@dataclass(frozen=True)
class ReferenceSample:
    """One reference (tissue or rod) as measured in the scan."""

    name: str
    mean: float
    """[HU]"""
    deviation: float
    """Standard deviation of the voxels [HU]."""
    n_voxels: int
    expected: float
    """What the fit aims at, in ``unit``."""
    residual: float
    """Measured less fitted, in ``unit``."""
    unit: str
    """``"HU"``, or that of the density: ``"mg/cm3 K2HPO4"`` ..."""
    where: Volume | None = None
    """Boolean sub-box of the scan: where it was sampled."""


@dataclass(frozen=True)
class CalibratedVolume:
    """The scan in mineral density: ``density = slope * HU + intercept``."""

    density: Volume
    """[mg/cm3] of ``mineral`` equivalent; the unit string names it."""
    mineral: Mineral
    method: str
    slope: float
    """[mg/cm3 per HU]"""
    intercept: float
    """[mg/cm3]"""
    covariance: Float[Array, "2 2"]
    """Of (slope, intercept)."""
    samples: tuple[ReferenceSample, ...]
    step: Step
    quantities: Mapping[str, float] = field(default_factory=dict)
    """What the method says of itself: ``"r_squared"``, ``"slope_drift_percent"`` ..."""
