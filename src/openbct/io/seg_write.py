"""Labels out as a DICOM Segmentation (binary) that names the slices it was drawn on: what a viewer lays over the CT."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Bool
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from .. import __version__
from ..records import LabelMap
from ..volume import Affine
from .dicom_header import decimal_string
from .header import quiet
from .label_names import SCT_LEVELS, SCT_SIDES, SCT_STRUCTURES
from .label_write import colour
from .source_series import SourcePlanes

Array = np.ndarray
SEGMENTATION_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.4")
COPIED = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime",
    "StudyDescription",
    "ReferringPhysicianName", "StudyID", "AccessionNumber", "FrameOfReferenceUID", "PositionReferenceIndicator",
    "SpecificCharacterSet",
)  # fmt: skip
"""What a segmentation shares with its images (PS3.3 A.51): patient, study, frame of reference."""
NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
"""What a segmentation refers to; images without it have none."""
EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
         "PositionReferenceIndicator")  # fmt: skip
"""Type 2: there, if empty."""


def segmentation_bytes(labels: LabelMap, planes: SourcePlanes | None) -> bytes | None:
    """Return a DICOM SEG of labels on the slices of the series that they were made from; ``None`` where these are not its grid,
    or their headers lack what a segmentation refers to.

    Parameters
    ----------
    planes
        Those of :func:`~openbct.io.read_planes`; an image that is no DICOM series of single slices has no SEG.
    """
    if planes is None or not planes.single:
        return None
    array = _on_source(labels, planes.affine, planes.shape)
    if array is None or not array.any():
        return None
    if not all(header.get(keyword) for header in planes.headers for keyword in NEEDED):
        return None
    try:
        return _bytes(array, labels.names, planes.headers, planes.affine)
    except Exception:  # a name in no known character set, a value of no known form: the map in NIfTI says the same without them
        return None


def _on_source(labels: LabelMap, affine: Affine, shape: tuple[int, int, int]) -> Array | None:
    """Return labels in the axes of the source (column, row, plane); ``None`` where they lie on other voxels."""
    turn = np.linalg.inv(labels.volume.affine) @ affine
    steps = np.rint(turn[:3, :3])
    if np.abs(turn[:3, :3] - steps).max() > 1e-3 or not (np.abs(steps).sum(axis=0) == 1).all():
        return None
    order = [int(np.argmax(np.abs(steps[:, axis]))) for axis in range(3)]
    array = np.transpose(labels.volume.array, order)
    for axis in range(3):
        if steps[order[axis], axis] < 0:
            array = np.flip(array, axis)
    first = turn[:3, 3]
    expected = np.array([0.0 if steps[order[axis], axis] > 0 else labels.volume.shape[order[axis]] - 1.0 for axis in range(3)])
    there = np.array([first[order[axis]] for axis in range(3)])
    return array if array.shape == shape and np.abs(there - expected).max() < 0.05 else None


def _bytes(array: Array, names: Mapping[int, str], headers: Sequence[Dataset], affine: Affine) -> bytes:
    """Return the object as a file."""
    dataset = _described(headers[0])
    numbers = [number for number in sorted(names) if (array == number).any()]
    dataset.SegmentSequence = [_segment(n, names[number], number) for n, number in enumerate(numbers, start=1)]
    dataset.Rows, dataset.Columns = array.shape[1], array.shape[0]
    frames: list[Bool[Array, "rows columns"]] = []
    groups = []
    for n, number in enumerate(numbers, start=1):
        for k in np.flatnonzero((array == number).any(axis=(0, 1))):
            frames.append((array[:, :, k] == number).T)
            groups.append(_frame(n, int(k), headers[int(k)], affine))
    dataset.NumberOfFrames = len(frames)
    _functional_groups(dataset, groups, affine)
    dataset.ReferencedSeriesSequence = [_referenced(headers)]
    packed = pack_bits(np.stack(frames).astype(np.uint8), pad=True)
    dataset.PixelData = packed
    dataset["PixelData"].VR = "OB"
    stream = io.BytesIO()
    with quiet():
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _described(source: Dataset) -> Dataset:
    """Return the object without its frames."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SEGMENTATION_STORAGE
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword in COPIED:
        if keyword in source:
            dataset[keyword] = source[keyword]
        elif keyword in EMPTY:
            setattr(dataset, keyword, None if keyword.endswith(("Date", "Time")) else "")
    if "SpecificCharacterSet" not in dataset:
        dataset.SpecificCharacterSet = "ISO_IR 192"
    now = datetime.now()
    dataset.Modality, dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.InstanceNumber = "SEG", generate_uid(), 9000, 1
    dataset.SeriesDescription = "OpenBCT bones, research use only"
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = now.strftime("%H%M%S")
    dataset.Manufacturer, dataset.ManufacturerModelName = "OpenBCT", "OpenBCT"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", __version__
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ContentLabel, dataset.ContentDescription, dataset.ContentCreatorName = "BONES", "Bones to be analysed", ""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit, dataset.LossyImageCompression, dataset.SegmentationType = 0, "00", "BINARY"
    dataset.SegmentsOverlap = "NO"
    return dataset


def _code(scheme: str, value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _segment(n: int, name: str, number: int) -> Dataset:
    """Return a segment's description: our name as its label, the standard's code as its type."""
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = n, name
    item.SegmentAlgorithmType, item.SegmentAlgorithmName = "SEMIAUTOMATIC", "OpenBCT"
    item.SegmentedPropertyCategoryCodeSequence = [_code("SCT", "123037004", "Anatomical Structure")]
    item.SegmentedPropertyTypeCodeSequence = [_type_code(name)]
    item.RecommendedDisplayCIELabValue = _cielab(colour(number))
    return item


def _type_code(name: str) -> Dataset:
    levels = {level: value for value, level in SCT_LEVELS.items()}
    level = name.rpartition("_")[2]
    if name.startswith("vertebra"):
        # L6 and T13 have no code of their own.
        return _code("SCT", levels[level], f"{level} vertebra") if level in levels else _code("SCT", "51282000", "Vertebra")
    base, _, side = name.rpartition("_")
    structures = {structure: value for value, structure in reversed(list(SCT_STRUCTURES.items()))}
    value = structures.get(base if side in ("left", "right") else name, "272673000")
    item = _code("SCT", value, (base if side in ("left", "right") else name).replace("_", " ").capitalize())
    sides = {word: code for code, word in SCT_SIDES.items()}
    if side in sides:
        item.SegmentedPropertyTypeModifierCodeSequence = [_code("SCT", sides[side], side.capitalize())]
    return item


def _cielab(rgb: tuple[int, int, int]) -> list[int]:
    """Return a colour in DICOM's scaled CIELab (PS3.3 C.10.7.1.1) [R]."""
    linear = [(c / 255 / 12.92) if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ linear / np.array([0.9505, 1.0, 1.089])
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in ratio)
    lab = (116 * y - 16, 500 * (x - y), 200 * (y - z))
    return [round(lab[0] * 655.35), round((lab[1] + 128) * 257), round((lab[2] + 128) * 257)]


def _frame(segment: int, plane: int, source: Dataset, affine: Affine) -> Dataset:
    """Return what belongs to one frame: its segment, its place, and the slice that it was drawn on."""
    group, content, place, which = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [segment, plane + 1]
    origin = affine[:3, 3] + affine[:3, 2] * plane
    place.ImagePositionPatient = [decimal_string(x) for x in origin]
    which.ReferencedSegmentNumber = segment
    derived, image, purpose = Dataset(), _reference(source), _code("DCM", "121322", "Source image for image processing operation")
    image.PurposeOfReferenceCodeSequence, image.SpatialLocationsPreserved = [purpose], "YES"
    derived.SourceImageSequence = [image]
    derived.DerivationCodeSequence = [_code("DCM", "113076", "Segmentation")]
    group.FrameContentSequence, group.PlanePositionSequence = [content], [place]
    group.SegmentIdentificationSequence, group.DerivationImageSequence = [which], [derived]
    return group


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    return item


def _referenced(headers: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = headers[0].SeriesInstanceUID
    item.ReferencedInstanceSequence = [_reference(header) for header in headers]
    return item


def _functional_groups(dataset: Dataset, groups: list[Dataset], affine: Affine) -> None:
    """Add the frames' groups, what they share, and how they are ordered."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    shared, measures, turn = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [decimal_string(spacing[1]), decimal_string(spacing[0])]
    measures.SliceThickness = measures.SpacingBetweenSlices = decimal_string(spacing[2])
    axes = affine[:3, :3] / spacing
    turn.ImageOrientationPatient = [decimal_string(x) for x in (*axes[:, 0], *axes[:, 1])]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turn]
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], groups
    uid = generate_uid()
    organisation = Dataset()
    organisation.DimensionOrganizationUID = uid
    dataset.DimensionOrganizationSequence = [organisation]
    dataset.DimensionIndexSequence = [
        _dimension(uid, 0x0062000B, 0x0062000A, "Segment number"),
        _dimension(uid, 0x00200032, 0x00209113, "Plane position"),
    ]


def _dimension(uid: str, pointer: int, group: int, words: str) -> Any:
    item = Dataset()
    item.DimensionOrganizationUID, item.DimensionIndexPointer, item.FunctionalGroupPointer = uid, pointer, group
    item.DimensionDescriptionLabel = words
    return item
