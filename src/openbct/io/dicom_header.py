"""What a scanner says about a scan, element by element, before it finds its place in a file; and how much of it a header keeps.

Keywords are those of a classic CT image; :mod:`openbct.io.dicom_enhanced` knows where an enhanced one has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Literal, get_args
from uuid import UUID

import numpy as np
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from ..errors import OutputError
from ..records import Acquisition, Patient
from ..versions import versions
from ..volume import Volume
from .header import quiet

HeaderKind = Literal["complete", "poor", "wrong"]
"""All that a good scanner says; what the standard demands and nothing else; all of it, some of it false
(:data:`~openbct.io.dicom_wrong.FALSEHOODS`)."""
HEADERS: tuple[HeaderKind, ...] = get_args(HeaderKind)
STORED_OFFSET = 1024
"""Stored value less HU, as most scanners write it."""
DEFAULT_DATE = "20200101"
TIME = "120000"
RIGHT_ANGLE = 1e-6
"""Largest cosine between two axes of an image that DICOM planes can hold [D]."""
REVOLUTION_S = 0.5
"""One turn, one slice [s]. It only shares the tube charge between current and time [D]."""
FIELD = 500.0
"""Diameter of the field that is measured [mm], widened where the image is larger [D]."""
WINDOW = (40.0, 400.0)
"""Centre and width of a soft-tissue window [HU] [R]."""
MACHINE: Mapping[str, Any] = MappingProxyType(
    {
        "StationName": "SIMULATED",
        "DeviceSerialNumber": "simulated",
        "RotationDirection": "CW",
        "RevolutionTime": REVOLUTION_S,
        "DistanceSourceToDetector": 1040.0,
        "DistanceSourceToPatient": 570.0,
        "FocalSpots": 1.0,
        "FilterType": "FLAT",
        "FilterMaterial": "ALUMINUM",
        "ExposureModulationType": "NONE",
        "GantryDetectorTilt": 0.0,
    }
)
"""The machine that is simulated [D]: one flat filter, given as aluminium; the source as far from the axis as in the simulator's
fan-beam slices. Detector, focus and time of a turn have no part in the image; the standard asks for them."""
REGIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ABDOMEN": ("818981001", "Abdomen"),
        "ABDOMENPELVIS": ("818982008", "Abdomen and Pelvis"),
        "CHEST": ("816094009", "Chest"),
        "CHESTABDPELVIS": ("416775004", "Chest, Abdomen and Pelvis"),
        "HEAD": ("69536005", "Head"),
        "LSPINE": ("122496007", "Lumbar spine"),
        "PELVIS": ("816092008", "Pelvis"),
        "SPINE": ("421060004", "Spine"),
        "TLSPINE": ("1217256009", "Thoraco-lumbar spine"),
        "WHOLEBODY": ("38266002", "Entire body"),
    }
)
"""Regions without a side: DICOM's word, SNOMED CT code and meaning [SC: highdicom]."""


@dataclass(frozen=True)
class Technique:
    """How a simulated scanner was run, beyond what :class:`~openbct.records.Acquisition` keeps; ``None`` is unknown."""

    exposure_mas: float | None = None
    """Tube charge of each slice [mAs]."""
    table_height: float | None = None
    """Of the table's top below the axis of rotation [mm]."""
    body_part: str = "ABDOMENPELVIS"
    """One of :data:`REGIONS`."""
    protocol_name: str = "Simulated CT"


def statements(image: Volume, patient: Patient, acquisition: Acquisition, technique: Technique) -> dict[str, Any]:
    """Return all that a good scanner would say and that is known, by keyword, true; what is not known is not in it.

    Raises
    ------
    OutputError
        A body part that is not in the table, a date or a number that is none.
    """
    _check_numbers(patient, acquisition, technique)
    if technique.body_part not in REGIONS:
        raise OutputError(
            f"found the body part {technique.body_part!r}, expected one of {', '.join(REGIONS)}; choose one of these"
        )
    day = _day(acquisition.study_date, "study date") or DEFAULT_DATE
    step, field = float(image.spacing[2]), float(max(np.array(image.shape[:2]) * image.spacing[:2]))
    said: dict[str, Any] = {f"{of}Date": day for of in ("Study", "Series", "Acquisition", "Content")}
    said |= {f"{of}Time": TIME for of in ("Study", "Series", "Acquisition", "Content")}
    said |= {"StudyID": "1", "SeriesNumber": 1, "AcquisitionNumber": 1, "PatientPosition": "HFS"}
    said |= {
        **MACHINE,
        "AccessionNumber": acquisition.accession_number,
        "ReferringPhysicianName": acquisition.referring_physician,
        "Manufacturer": acquisition.manufacturer,
        "ManufacturerModelName": acquisition.model,
        "SoftwareVersions": f"openbct {versions()['openbct']}",
        "SeriesDescription": acquisition.series_description,
        "ProtocolName": technique.protocol_name,
        "BodyPartExamined": technique.body_part,
        "KVP": acquisition.kvp or None,
        "ConvolutionKernel": acquisition.kernel.split("/") if acquisition.kernel else None,
        "ContrastBolusAgent": acquisition.contrast,
        "SliceThickness": acquisition.slice_thickness or None,
        "SpacingBetweenSlices": step,
        "SingleCollimationWidth": step,
        "TotalCollimationWidth": step,
        "TableHeight": technique.table_height,
        "ReconstructionDiameter": field,
        "DataCollectionDiameter": max(FIELD, field),
        "WindowCenter": WINDOW[0],
        "WindowWidth": WINDOW[1],
        "RescaleType": "HU",
        "PatientName": patient.name,
        "PatientID": patient.identifier,
        "PatientBirthDate": _day(patient.birth_date, "birth date"),
        "PatientSex": patient.sex,
        "PatientAge": _age(patient, day),
        "PatientSize": None if patient.height_cm is None else patient.height_cm / 100,
        "PatientWeight": patient.weight_kg,
    }
    if technique.exposure_mas is not None:
        said["Exposure"] = technique.exposure_mas
        said["ExposureTime"] = 1000 * REVOLUTION_S
        said["XRayTubeCurrent"] = technique.exposure_mas / REVOLUTION_S
    return {keyword: value for keyword, value in said.items() if value is not None}


def _check_numbers(patient: Patient, acquisition: Acquisition, technique: Technique) -> None:
    """Refuse what is no number; values stay unnamed, for they may be a patient's."""
    numbers = {
        "tube voltage": acquisition.kvp,
        "slice thickness": acquisition.slice_thickness,
        "exposure": technique.exposure_mas,
        "patient's age": patient.age,
        "patient's height": patient.height_cm,
        "patient's weight": patient.weight_kg,
    }
    bad = [name for name, value in numbers.items() if value is not None and not (math.isfinite(value) and value >= 0)]
    bad += ["table height"] if not math.isfinite(technique.table_height or 0.0) else []
    if bad:
        raise OutputError(f"found no usable number for {', '.join(bad)}, expected one of at least 0, or none; correct it")


def _day(iso: str | None, name: str) -> str | None:
    """Return a date as DICOM writes it."""
    try:
        return date.fromisoformat(iso).strftime("%Y%m%d") if iso else None
    except ValueError:
        raise OutputError(f"found a {name} that is none, expected year-month-day; correct it") from None


def _age(patient: Patient, day: str) -> str | None:
    """Return the age at the scan as DICOM writes it, from the birth date where the age itself is not known."""
    age = patient.age
    if age is None and patient.birth_date:
        born, scanned = date.fromisoformat(patient.birth_date), date.fromisoformat(day)
        age = scanned.year - born.year - ((scanned.month, scanned.day) < (born.month, born.day))
    return f"{int(age):03d}Y" if age is not None and 0 <= age < 1000 else None


def set_element(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an element, numbers in the form that its type has in DICOM; ``None`` leaves it empty.

    Raises
    ------
    OutputError
        A text that is too long for the element, or of characters that it cannot hold.
    """
    kind = dictionary_VR(keyword)
    if kind in ("DS", "IS") and value is not None:
        write = decimal_string if kind == "DS" else lambda number: str(round(number))
        value = [write(number) for number in value] if isinstance(value, (list, tuple)) else write(value)
    try:
        for one in value if isinstance(value, (list, tuple)) else [value]:
            # A backslash would begin a second value.
            if isinstance(one, str) and ("\\" in one or not one.isprintable()):
                raise ValueError
            validate_value(kind, one, RAISE)
    except ValueError:
        raise OutputError(
            f"found a text for {keyword} that is too long for DICOM ({kind}) or has characters that it does not allow, expected a"
            " shorter or plainer one; change it"
        ) from None
    with quiet():
        setattr(dataset, keyword, value)


def decimal_string(value: float) -> str:
    """Return a decimal string of at most 16 characters, the standard's limit."""
    value = float(value) + 0.0  # no minus before a zero
    for digits in range(16, 5, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.6g}"


def check_image(image: Volume) -> None:
    """Refuse what a CT series cannot hold.

    Raises
    ------
    OutputError
        Values that are no HU within 16 bits, axes that are skew or mirrored.
    """
    if image.array.size == 0:
        raise OutputError(f"found an image of shape {image.shape}, expected at least one voxel; give an image")
    low, high = float(image.array.min()), float(image.array.max())
    if image.unit != "HU" or not np.isfinite([low, high]).all() or low + STORED_OFFSET < -32768 or high + STORED_OFFSET > 32767:
        raise OutputError(f"found values from {low:g} to {high:g} {image.unit}, expected HU within 16 bits; clip them")
    axes = image.affine[:3, :3] / image.spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > RIGHT_ANGLE or np.linalg.det(axes) < 0:
        raise OutputError("found image axes that are skew or mirrored, expected a right-handed straight grid; resample the image")


def make_uids(acquisition: Acquisition, seed: int) -> dict[str, str]:
    """Return the UIDs of study, series and frame of reference.

    Raises
    ------
    OutputError
        A given one that is none.
    """
    given = {
        "study": acquisition.study_uid,
        "series": acquisition.series_uid,
        "frame": acquisition.frame_of_reference_uid,
    }
    with quiet():
        wrong = [name for name, uid in given.items() if uid and not UID(uid).is_valid]
    if wrong:
        raise OutputError(
            f"found a UID of {wrong[0]} that is none, expected digits and points, at most 64; leave it out or correct it"
        )
    return {name: uid or derived_uid("openbct", str(seed), name) for name, uid in given.items()}


def derived_uid(*parts: str) -> UID:
    """Return the UID that some texts always give, below 2.25 (a UUID as a number), which needs no registered root."""
    digest = sha256("\0".join(parts).encode()).digest()[:16]
    return UID(f"2.25.{UUID(bytes=digest, version=5).int}")


def file_meta(sop_class: UID, instance: UID) -> FileMetaDataset:
    """Return the file header."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta
