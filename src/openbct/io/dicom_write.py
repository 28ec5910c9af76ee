"""A valid CT series out of an image: what the simulator and the tests read back as if a scanner had sent it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage

from ..errors import OutputError
from ..records import Acquisition, Patient
from ..volume import Volume
from .dicom_header import (
    STORED_OFFSET,
    HeaderKind,
    Technique,
    check_image,
    decimal_string,
    derived_uid,
    file_meta,
    make_uids,
    set_element,
    statements,
)
from .dicom_wrong import chosen_statements
from .header import quiet

Array = np.ndarray
ALWAYS_THERE = (
    "StudyDate", "StudyTime", "AccessionNumber", "Manufacturer", "ReferringPhysicianName", "StudyID", "SeriesNumber",
    "AcquisitionNumber", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientPosition", "KVP", "SliceThickness",
)  # fmt: skip
"""Elements that a CT image must have and that may be empty (type 2) [R]."""
ENHANCED_ONLY = ("FilterMaterial",)
"""Statements that a classic CT image has no place for."""


def write_ct_series(
    image: Volume,
    folder: Path | str,
    *,
    patient: Patient,
    acquisition: Acquisition,
    technique: Technique | None = None,
    seed: int = 0,
    header: HeaderKind = "complete",
    extra: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write an image in HU as a DICOM CT series, one file per plane along its third axis; returns the files.

    HU are rounded to whole numbers, as scanners do. The same image and seed give the same bytes.

    Parameters
    ----------
    patient, acquisition, technique
        What goes into the header; what is ``None`` stays out, or empty where the standard asks for the element.
    seed
        Of the UIDs, where ``acquisition`` brings none: scans that meet in one archive need different ones.
    header
        ``"complete"``: all that is known. ``"poor"``: what the standard demands, with no word about patient and scanner.
        ``"wrong"``: complete, with the false values of :func:`~openbct.io.false_statements`.
    extra
        Further elements by keyword, the same in every slice; they win over all others (``None`` removes one).

    Raises
    ------
    OutputError
        Values beyond 16 bits, axes off right angles, an unknown body part, a date, number, UID or text that DICOM cannot
        hold, no room, no permission.
    SettingsError
        An unknown kind of header.
    """
    check_image(image)
    uids = make_uids(acquisition, seed)
    said = chosen_statements(statements(image, patient, acquisition, technique or Technique()), header)
    folder = Path(folder)
    paths = [folder / f"slice_{k + 1:04d}.dcm" for k in range(image.shape[2])]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():  # once: to be quiet at every element takes as long as the writing
            for k, path in enumerate(paths):
                dataset = _plane(image, k)
                _describe(dataset, said, acquisition, uids)
                dataset.SOPInstanceUID = derived_uid(uids["series"], str(k))
                if header != "poor":
                    dataset.SliceLocation = decimal_string(_location(image, k))
                _set_extra(dataset, extra or {})
                dataset.file_meta = file_meta(CTImageStorage, dataset.SOPInstanceUID)
                with path.open("wb") as stream:
                    dcmwrite(stream, dataset, enforce_file_format=True)
    except OSError as error:
        raise OutputError(
            f"found no way to write a DICOM series ({error.strerror}), expected a writable folder with room; choose another"
        ) from error
    return paths


def _set_extra(dataset: Dataset, extra: Mapping[str, Any]) -> None:
    """Set further elements; values that the standard would not have are allowed, for tests need them."""
    for keyword, value in extra.items():
        dataset.pop(keyword, None)
        if value is not None:
            setattr(dataset, keyword, value)


def _location(image: Volume, k: int) -> float:
    """Return the place of a plane along the normal [mm]."""
    origin = image.affine[:3, 3] + image.affine[:3, 2] * k
    return float(image.affine[:3, 2] @ origin / image.spacing[2])


def _plane(image: Volume, k: int) -> Dataset:
    """Return the pixels of one plane and its place."""
    origin = image.affine[:3, 3] + image.affine[:3, 2] * k
    axes: Float[Array, "3 3"] = image.affine[:3, :3] / image.spacing
    dataset = Dataset()
    dataset.ImagePositionPatient = [decimal_string(x) for x in origin]
    dataset.ImageOrientationPatient = [decimal_string(x) for x in (*axes[:, 0], *axes[:, 1])]
    dataset.PixelSpacing = [decimal_string(image.spacing[1]), decimal_string(image.spacing[0])]
    dataset.InstanceNumber = k + 1
    dataset.RescaleIntercept, dataset.RescaleSlope = -STORED_OFFSET, 1
    describe_pixels(dataset, image)
    dataset.PixelData = stored_plane(image, k).tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def describe_pixels(dataset: Dataset, image: Volume) -> None:
    """Say how pixels are stored: 16 bits, signed, grey."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.shape[1], image.shape[0]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1


def stored_plane(image: Volume, k: int) -> Array:
    """Return the stored values of one plane, rows first."""
    stored = np.rint(image.array[:, :, k].T.astype(np.float64)) + STORED_OFFSET
    return np.ascontiguousarray(stored.astype("<i2"))


def _describe(dataset: Dataset, said: Mapping[str, Any], acquisition: Acquisition, uids: Mapping[str, str]) -> None:
    """Fill in what identifies the image, and what is said about it."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = list(acquisition.image_type) or ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (
        uids["study"],
        uids["series"],
        uids["frame"],
    )
    dataset.PositionReferenceIndicator = ""
    for keyword in ALWAYS_THERE:
        set_element(dataset, keyword, said.get(keyword))
    for keyword, value in said.items():
        if keyword not in ENHANCED_ONLY:
            set_element(dataset, keyword, value)
    if "BodyPartExamined" not in said:
        dataset.Laterality = ""  # asked for where the body part may be one of a pair
