"""A valid CT series out of an image: what the simulator and the tests read back as if a scanner had sent it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from ..errors import OutputError
from ..records import Acquisition, Patient
from ..volume import Volume
from .header import quiet

Array = np.ndarray
STORED_OFFSET = 1024
"""Stored value less HU, as most scanners write it."""
DEFAULT_DATE = "20200101"
RIGHT_ANGLE = 1e-6
"""Largest cosine between two axes of an image that DICOM planes can hold [D]."""


def write_ct_series(
    image: Volume,
    folder: Path | str,
    *,
    patient: Patient,
    acquisition: Acquisition,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write an image in HU as a DICOM CT series, one file per plane along its third axis; returns the files.

    HU are rounded to whole numbers, as scanners do. The same image and seed give the same bytes.

    Parameters
    ----------
    patient, acquisition
        What goes into the header; what is ``None`` stays out, or empty where the standard asks for the element.
    seed
        Of the UIDs, where ``acquisition`` brings none.
    extra
        Further elements by keyword, the same in every slice; they win over all others (``None`` removes one).

    Raises
    ------
    OutputError
        Values beyond 16 bits, axes off right angles, no room, no permission.
    """
    _check_image(image)
    uids = _make_uids(acquisition, seed)
    folder = Path(folder)
    paths = [folder / f"slice_{k + 1:04d}.dcm" for k in range(image.shape[2])]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for k, path in enumerate(paths):
            dataset = _plane(image, k)
            _describe_series(dataset, acquisition, uids, float(image.spacing[2]))
            _describe_patient(dataset, patient)
            dataset.SOPInstanceUID = derived_uid(uids["series"], str(k))
            _set_extra(dataset, extra or {})
            dataset.file_meta = _file_meta(dataset.SOPInstanceUID)
            with quiet(), path.open("wb") as stream:
                dcmwrite(stream, dataset, enforce_file_format=True)
    except OSError as error:
        raise OutputError(
            f"found no way to write a DICOM series ({error.strerror}), expected a writable folder with room; choose another"
        ) from error
    return paths


def _set_extra(dataset: Dataset, extra: Mapping[str, Any]) -> None:
    """Set further elements; values that the standard would not have are allowed, for tests need them."""
    for keyword, value in extra.items():
        with quiet():
            dataset.pop(keyword, None)
            if value is not None:
                setattr(dataset, keyword, value)


def _check_image(image: Volume) -> None:
    """Refuse what a CT series cannot hold."""
    low, high = float(image.array.min()), float(image.array.max())
    if image.unit != "HU" or not np.isfinite([low, high]).all() or low + STORED_OFFSET < -32768 or high + STORED_OFFSET > 32767:
        raise OutputError(f"found values from {low:g} to {high:g} {image.unit}, expected HU within 16 bits; clip them")
    axes = image.affine[:3, :3] / image.spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > RIGHT_ANGLE or np.linalg.det(axes) < 0:
        raise OutputError("found image axes that are skew or mirrored, expected a right-handed straight grid; resample the image")


def _make_uids(acquisition: Acquisition, seed: int) -> dict[str, str]:
    """Return the UIDs of study, series and frame of reference."""
    given = {
        "study": acquisition.study_uid,
        "series": acquisition.series_uid,
        "frame": acquisition.frame_of_reference_uid,
    }
    return {name: uid or derived_uid("openbct", str(seed), name) for name, uid in given.items()}


def derived_uid(*parts: str) -> UID:
    """Return the UID that some texts always give, below 2.25 (a UUID as a number), which needs no registered root."""
    digest = sha256("\0".join(parts).encode()).digest()[:16]
    return UID(f"2.25.{UUID(bytes=digest, version=5).int}")


def _file_meta(instance: UID) -> FileMetaDataset:
    """Return the file header."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _ds(value: float) -> str:
    """Return a decimal string of at most 16 characters, the standard's limit."""
    for digits in range(16, 5, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.6g}"


def _plane(image: Volume, k: int) -> Dataset:
    """Return the pixels of one plane and its place."""
    origin = image.affine[:3, 3] + image.affine[:3, 2] * k
    axes: Float[Array, "3 3"] = image.affine[:3, :3] / image.spacing
    dataset = Dataset()
    dataset.ImagePositionPatient = [_ds(x) for x in origin]
    dataset.ImageOrientationPatient = [_ds(x + 0.0) for x in (*axes[:, 0], *axes[:, 1])]
    dataset.PixelSpacing = [_ds(float(image.spacing[1])), _ds(float(image.spacing[0]))]
    dataset.SliceLocation = _ds(float(axes[:, 2] @ origin))
    dataset.InstanceNumber = k + 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.shape[1], image.shape[0]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -STORED_OFFSET, 1, "HU"
    stored = np.rint(image.array[:, :, k].T.astype(np.float64)) + STORED_OFFSET
    dataset.PixelData = np.ascontiguousarray(stored.astype("<i2")).tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _describe_series(dataset: Dataset, acquisition: Acquisition, uids: Mapping[str, str], step: float) -> None:
    """Fill in study, series, equipment and acquisition."""
    day = (acquisition.study_date or "").replace("-", "") or DEFAULT_DATE
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = list(acquisition.image_type) or ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (
        uids["study"],
        uids["series"],
        uids["frame"],
    )
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, keyword, day)
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(dataset, keyword, "120000")
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber = "1", 1, 1
    dataset.PatientPosition, dataset.PositionReferenceIndicator = "HFS", ""
    # Type 2 elements stand empty where nothing is known.
    dataset.AccessionNumber = acquisition.accession_number or ""
    dataset.ReferringPhysicianName = acquisition.referring_physician or ""
    dataset.Manufacturer = acquisition.manufacturer or ""
    dataset.KVP = _ds(acquisition.kvp) if acquisition.kvp else None
    dataset.SliceThickness = _ds(acquisition.slice_thickness) if acquisition.slice_thickness else None
    optional = {
        "ManufacturerModelName": acquisition.model,
        "ConvolutionKernel": acquisition.kernel.split("/") if acquisition.kernel else None,
        "ContrastBolusAgent": acquisition.contrast,
        "SeriesDescription": acquisition.series_description,
        "SpacingBetweenSlices": _ds(step),
    }
    for keyword, value in optional.items():
        if value is not None:
            setattr(dataset, keyword, value)


def _describe_patient(dataset: Dataset, patient: Patient) -> None:
    """Fill in who was scanned."""
    dataset.PatientName, dataset.PatientID = patient.name or "", patient.identifier or ""
    dataset.PatientBirthDate, dataset.PatientSex = (patient.birth_date or "").replace("-", ""), patient.sex or ""
    if patient.age is not None:
        dataset.PatientAge = f"{int(patient.age):03d}Y"
    if patient.height_cm is not None:
        dataset.PatientSize = _ds(patient.height_cm / 100)
    if patient.weight_kg is not None:
        dataset.PatientWeight = _ds(patient.weight_kg)
