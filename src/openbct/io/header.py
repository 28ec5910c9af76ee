"""What a DICOM header says: values read safely, the frames of a file, the patient, the acquisition.

A header is written by others: a value that cannot be read counts as absent, and pydicom's warnings, which quote values and
with them names, are silenced while we read.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..records import Acquisition, Patient
from .archive import Blob

Array = np.ndarray
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
"""Enhanced CT Image Storage and Legacy Converted Enhanced CT Image Storage (DICOM PS3.4 B.5)."""
# fmt: off
TAGS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "SeriesInstanceUID", "StudyInstanceUID",
    "FrameOfReferenceUID", "SeriesNumber", "SeriesDescription", "StudyDate", "SeriesDate", "AcquisitionDate",
    "InstanceNumber", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing", "ImageOrientationPatient",
    "ImagePositionPatient", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "LossyImageCompression", "SliceThickness", "SpacingBetweenSlices", "GantryDetectorTilt",
    "KVP", "ConvolutionKernel", "Manufacturer", "ManufacturerModelName", "ContrastBolusAgent",
    "ContrastBolusAgentSequence", "ContrastBolusVolume", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "PatientAge", "PatientSize", "PatientWeight", "AccessionNumber", "ReferringPhysicianName", "IssuerOfPatientID", "StudyTime", "StudyID",
    "StudyDescription", "PositionReferenceIndicator",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "SpecificCharacterSet",
)
# fmt: on
"""Everything that is ever read from a header."""
TALKERS = ("pydicom", "pylibjpeg", "openjpeg", "rle", "jpeg_ls", "nibabel")
"""Loggers of the libraries that read files."""


@dataclass(frozen=True)
class Slice:
    """One image plane; ``None`` where the header is silent or unreadable."""

    blob: Blob
    frame: int
    header: Dataset
    rows: int | None
    columns: int | None
    position: Float[Array, "3"] | None
    """Centre of the first pixel, patient LPS [mm]."""
    orientation: Float[Array, "2 3"] | None
    """Unit vectors along a row and along a column."""
    pixel_spacing: tuple[float, float] | None
    """Between rows, between columns [mm]."""
    slope: float | None
    intercept: float | None
    rescaled_to: str | None
    """What the rescale leads to, in the header's word: ``"HU"``."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's and its decoders' warnings, which may quote a patient's data, from reaching the screen or a log."""
    loggers = [logging.getLogger(name) for name in TALKERS]
    levels = [logger.level for logger in loggers]
    if min(levels) > logging.CRITICAL:  # quiet already: every change of a level costs
        yield
        return
    try:
        # A level, unlike a filter, also holds for the loggers below.
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def text(dataset: Dataset, keyword: str) -> str | None:
    """Return a value as stripped text; several values are joined by ``/``."""
    try:
        value = dataset.get(keyword)
        if value is None:
            return None
        parts = value if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else [value]
        joined = "/".join(str(part).strip() for part in parts)
    except Exception:
        return None
    return joined or None


def numbers(dataset: Dataset, keyword: str, count: int) -> list[float] | None:
    """Return ``count`` finite numbers, or ``None``."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return None
        values = [float(part) for part in (value if count > 1 else [value])]
    except Exception:
        return None
    return values if len(values) == count and all(math.isfinite(v) for v in values) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return one finite number, or ``None``; the first where several stand."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def item(dataset: Dataset, *path: str) -> Dataset:
    """Return the first item down a path of sequences, empty where one is missing."""
    for keyword in path:
        try:
            dataset = dataset[keyword].value[0]
        except Exception:
            return Dataset()
    return dataset


def stated(header: Dataset, keyword: str, group: str) -> float | None:
    """Return one number of a header: from its top, or from a functional group."""
    found = number(header, keyword)
    return number(functional_group(header, group), keyword) if found is None else found


def functional_group(header: Dataset, name: str) -> Dataset:
    """Return a functional group that all frames share, or else the first frame's."""
    shared = item(header, "SharedFunctionalGroupsSequence", name)
    return shared if len(shared) else item(header, "PerFrameFunctionalGroupsSequence", name)


def slices_of(header: Dataset, blob: Blob) -> list[Slice]:
    """Return every image plane of one file."""
    frames = int(number(header, "NumberOfFrames") or 1)
    if frames <= 1 and text(header, "SOPClassUID") not in ENHANCED_CT:
        return [_slice(header, blob, 0, (header, header, header, header))]
    shared = item(header, "SharedFunctionalGroupsSequence")
    try:
        groups = list(header["PerFrameFunctionalGroupsSequence"].value)
    except Exception:
        groups = []
    found = []
    for index in range(min(frames, 100_000)):
        own = groups[index] if index < len(groups) else Dataset()
        found.append(_slice(header, blob, index, tuple(_macro(own, shared, name) for name in MACROS)))
    return found


MACROS = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence")


def _macro(own: Dataset, shared: Dataset, name: str) -> Dataset:
    """Return a functional group of one frame, or the shared one."""
    return item(own, name) if name in own else item(shared, name)


def _slice(header: Dataset, blob: Blob, frame: int, groups: tuple[Dataset, ...]) -> Slice:
    """Build one plane from the datasets that hold position, orientation, spacing and rescale."""
    position, orientation = numbers(groups[0], "ImagePositionPatient", 3), numbers(groups[1], "ImageOrientationPatient", 6)
    spacing = numbers(groups[2], "PixelSpacing", 2)
    rows, columns = number(header, "Rows"), number(header, "Columns")
    return Slice(
        blob,
        frame,
        header,
        int(rows) if rows else None,
        int(columns) if columns else None,
        np.array(position) if position else None,
        np.array(orientation).reshape(2, 3) if orientation else None,
        (spacing[0], spacing[1]) if spacing else None,
        number(groups[3], "RescaleSlope"),
        number(groups[3], "RescaleIntercept"),
        text(groups[3], "RescaleType"),
    )


def read_patient(header: Dataset) -> tuple[Patient, tuple[str, ...]]:
    """Return the patient of a header, and doubts about what it says (no identifying value among them)."""
    stated_sex = (text(header, "PatientSex") or "").upper()
    sex = {"F": "F", "M": "M"}.get(stated_sex)
    birth, study = _iso(text(header, "PatientBirthDate")), _iso(text(header, "StudyDate") or text(header, "SeriesDate"))
    age, cautions = _age(text(header, "PatientAge"), birth, study)
    if stated_sex and sex is None:
        cautions.append("the header gives a sex other than F and M, for which there are no reference values: not used")
    height = number(header, "PatientSize") or None
    if height is not None:
        if 50 <= height <= 250:
            cautions.append(
                f"the header gives the patient's size as {height:g}, where the standard asks for metres: read as centimetres;"
                " check the height, which scales the fall load"
            )
        else:
            height *= 100
        if not 30 <= height <= 250:
            cautions.append(f"the header gives a height of {height:g} cm, which no patient has: not used")
            height = None
    weight = number(header, "PatientWeight") or None
    if weight is not None and not 1 <= weight <= 500:
        cautions.append(f"the header gives a weight of {weight:g} kg, which no patient has: not used")
        weight = None
    facts: dict[str, Any] = {
        "name": text(header, "PatientName"),
        "identifier": text(header, "PatientID"),
        "birth_date": birth,
        "sex": sex,
        "age": age,
        "height_cm": round(height, 2) if height else None,
        "weight_kg": weight,
    }
    sources = {key: "image header" for key, value in facts.items() if value is not None}
    return Patient(**facts, sources=sources), tuple(cautions)


def _age(stated: str | None, birth: str | None, study: str | None) -> tuple[float | None, list[str]]:
    """Return the age at the scan [years]; dates win over the age string, and a contradiction is a caution."""
    age = None
    match = re.fullmatch(r"(\d{1,3})([DWMY])", (stated or "").upper())
    if match:
        age = int(match.group(1)) / {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}[match.group(2)]
    if not (birth and study):
        return age, []
    exact = (date.fromisoformat(study) - date.fromisoformat(birth)).days / 365.25
    if not 0 <= exact <= 130:
        return age, [f"birth date and study date give an age of {exact:.0f} years, which cannot be: not used"]
    if age is not None and abs(exact - age) > 1.1:
        return exact, [f"the header states an age of {age:g} years but its dates give {exact:.1f}: the dates were used"]
    return exact, []


def _iso(value: str | None) -> str | None:
    """Return an ISO date of a DICOM date, or ``None``."""
    digits = (value or "").replace(".", "").replace("-", "")[:8]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).isoformat()
    except ValueError:
        return None


def read_acquisition(header: Dataset) -> Acquisition:
    """Return how a scan was made, as its header says."""
    reconstruction = functional_group(header, "CTReconstructionSequence")
    kernel = text(header, "ConvolutionKernel") or text(reconstruction, "ConvolutionKernel")
    kvp = number(header, "KVP") or number(functional_group(header, "CTXRayDetailsSequence"), "KVP")
    measures = functional_group(header, "PixelMeasuresSequence")
    thickness = number(header, "SliceThickness") or number(measures, "SliceThickness")
    return Acquisition(
        kvp=kvp if kvp and kvp > 0 else None,
        kernel=kernel,
        slice_thickness=thickness if thickness and thickness > 0 else None,
        manufacturer=text(header, "Manufacturer"),
        model=text(header, "ManufacturerModelName"),
        contrast=_contrast(header),
        study_date=_iso(text(header, "StudyDate") or text(header, "SeriesDate") or text(header, "AcquisitionDate")),
        image_type=tuple((text(header, "ImageType") or "").upper().split("/")) if text(header, "ImageType") else (),
        series_description=text(header, "SeriesDescription"),
        study_uid=_uid(header, "StudyInstanceUID"),
        series_uid=_uid(header, "SeriesInstanceUID"),
        frame_of_reference_uid=_uid(header, "FrameOfReferenceUID"),
        accession_number=text(header, "AccessionNumber"),
        referring_physician=text(header, "ReferringPhysicianName"),
    )


def _contrast(header: Dataset) -> str | None:
    """Return the contrast agent as the header names it; words for "none" count as silence."""
    agent = text(header, "ContrastBolusAgent")
    if agent and agent.upper() not in {"NO", "NONE", "N", "NON", "0", "WITHOUT", "UNENHANCED", "NO CONTRAST"}:
        return agent
    if agent is None and item(header, "ContrastBolusAgentSequence"):
        coded = item(header, "ContrastBolusAgentSequence")
        return text(coded, "CodeMeaning") or "agent given, not named"
    if agent is None and (number(header, "ContrastBolusVolume") or 0) > 0:
        return f"{number(header, 'ContrastBolusVolume'):g} ml of an unnamed agent"
    return None


def _uid(header: Dataset, keyword: str) -> str | None:
    """Return a UID only where it is one: free text in its place could carry a name."""
    value = text(header, keyword)
    return value if value and UID(value).is_valid else None
