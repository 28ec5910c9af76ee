"""A valid Enhanced CT image: the whole scan in one file, what is common to its frames said once, the place of each frame its own."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import EnhancedCTImageStorage

from ..records import Acquisition, Patient
from ..volume import Volume
from .dicom_header import (
    REGIONS,
    REVOLUTION_S,
    STORED_OFFSET,
    TIME,
    HeaderKind,
    Technique,
    check_image,
    derived_uid,
    file_meta,
    make_uids,
    set_element,
    statements,
)
from .dicom_write import describe_pixels, stored_plane
from .dicom_wrong import chosen_statements
from .files import write_bytes
from .header import quiet
from .kernels import is_sharp

Array = np.ndarray
STACK = "1"
GROUPS: Mapping[str, Mapping[str, str]] = {
    "FrameVOILUTSequence": {"WindowCenter": "WindowCenter", "WindowWidth": "WindowWidth"},
    "CTAcquisitionDetailsSequence": {
        name: name
        for name in (
            "RotationDirection", "RevolutionTime", "SingleCollimationWidth", "TotalCollimationWidth", "TableHeight",
            "GantryDetectorTilt", "DataCollectionDiameter",
        )
    },
    "CTGeometrySequence": {
        "DistanceSourceToDetector": "DistanceSourceToDetector",
        "DistanceSourceToPatient": "DistanceSourceToDataCollectionCenter",
    },
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel", "ReconstructionDiameter": "ReconstructionDiameter"},
    "CTExposureSequence": {
        "Exposure": "ExposureInmAs",
        "ExposureTime": "ExposureTimeInms",
        "XRayTubeCurrent": "XRayTubeCurrentInmA",
        "ExposureModulationType": "ExposureModulationType",
    },
    "CTXRayDetailsSequence": {name: name for name in ("KVP", "FilterType", "FocalSpots", "FilterMaterial")},
}  # fmt: skip
"""Functional group, the classic element, its name there [SC: highdicom's tables of the standard]. A group that cannot be told whole
is left out."""
ELSEWHERE = {
    "SliceThickness",
    "SpacingBetweenSlices",
    "ContrastBolusAgent",
    "RescaleType",
    "AcquisitionDate",
    "AcquisitionTime",
    *(k for g in GROUPS.values() for k in g),
}
"""Statements that do not stand at the top of an enhanced file."""
ALWAYS_THERE = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "SeriesNumber", "PatientName", "PatientID",
    "PatientBirthDate", "PatientSex", "PatientPosition",
)  # fmt: skip
"""Elements that the file must have and that may be empty (type 2) [R]."""
NEVER_EMPTY = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "ContentDate", "ContentTime")
"""Elements of the equipment and of the content that must have a value, however poor the header [SC: as above]."""
UNKNOWN = "unknown"
ORIGINAL_NEEDS = ("KVP", "ConvolutionKernel", "SliceThickness", "Exposure", "TableHeight")
"""What a frame must say before it may call itself original [SC: as above]; frames that cannot are called derived."""
CONTRAST_AGENT, INTRAVENOUS, IODINE = ("7140000", "Contrast agent"), ("47625008", "Intravenous route"), ("44588005", "Iodine")
"""SNOMED CT codes [SC: pydicom's tables of the standard]."""


def write_enhanced_ct(
    image: Volume,
    path: Path | str,
    *,
    patient: Patient,
    acquisition: Acquisition,
    technique: Technique | None = None,
    seed: int = 0,
    header: HeaderKind = "complete",
) -> Path:
    """Write an image in HU as one Enhanced CT multi-frame file, a frame per plane along its third axis; returns the file.

    HU are rounded to whole numbers. The same image and seed give the same bytes.

    Parameters
    ----------
    patient, acquisition, technique
        What goes into the header; what is ``None`` stays out. Frames are called original only where kVp, kernel, slice thickness,
        exposure and table height are known, as the standard asks; else derived.
    seed
        Of the UIDs, where ``acquisition`` brings none: scans that meet in one archive need different ones.
    header
        As in :func:`~openbct.io.write_ct_series`. The standard demands a slice thickness, maker, model, serial number and software
        even of a poor header: where they are unknown, the distance of the planes and "unknown" stand there.

    Raises
    ------
    OutputError
        Values beyond 16 bits, axes off right angles, an unknown body part, a date, number, UID or text that DICOM cannot
        hold, no room, no permission.
    SettingsError
        An unknown kind of header.
    """
    check_image(image)
    path, technique = Path(path), technique or Technique()
    uids = make_uids(acquisition, seed)
    known = statements(image, patient, acquisition, technique)
    said = chosen_statements(known, header)
    kind = _frame_kind(said, acquisition)
    dataset = Dataset()
    _identify(dataset, acquisition, uids, kind)
    _say(dataset, known, said, image.shape[2])
    shared = _shared_groups(image, known, said, kind, uids["series"])
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_frame_groups(image, said, k) for k in range(image.shape[2])]
    _describe_dimensions(dataset, uids["series"])
    describe_pixels(dataset, image)
    dataset.NumberOfFrames = image.shape[2]
    pixels = np.empty((image.shape[2], image.shape[1], image.shape[0]), dtype="<i2")
    for k in range(image.shape[2]):
        pixels[k] = stored_plane(image, k)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = file_meta(EnhancedCTImageStorage, dataset.SOPInstanceUID)
    stream = io.BytesIO()
    with quiet():
        dcmwrite(stream, dataset, enforce_file_format=True)
    write_bytes(path, stream.getvalue())
    return path


def _frame_kind(said: Mapping[str, Any], acquisition: Acquisition) -> list[str]:
    """Return the frames' type: original only with all that the standard then asks for."""
    original = "DERIVED" not in acquisition.image_type and all(keyword in said for keyword in ORIGINAL_NEEDS)
    return ["ORIGINAL" if original else "DERIVED", "PRIMARY", "VOLUME", "NONE"]


def _identify(dataset: Dataset, acquisition: Acquisition, uids: Mapping[str, str], kind: list[str]) -> None:
    """Fill in what the file is and where it belongs."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.Modality = EnhancedCTImageStorage, "CT"
    dataset.SOPInstanceUID = derived_uid(uids["series"], "enhanced")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (
        uids["study"],
        uids["series"],
        uids["frame"],
    )
    dataset.PositionReferenceIndicator = ""
    dataset.InstanceNumber = 1
    dataset.AcquisitionContextSequence = []
    dataset.ImageType = kind
    _describe_pixel_kind(dataset)
    dataset.BurnedInAnnotation, dataset.LossyImageCompression, dataset.PresentationLUTShape = "NO", "00", "IDENTITY"
    dataset.ContentQualification = "RESEARCH"


def _describe_pixel_kind(dataset: Dataset) -> None:
    """Say of a file or of its frames that they are undistorted sections in grey."""
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"


def _say(dataset: Dataset, known: Mapping[str, Any], said: Mapping[str, Any], n_slices: int) -> None:
    """Fill in patient, study, equipment and acquisition at the top of the file."""
    for keyword in ALWAYS_THERE:
        set_element(dataset, keyword, said.get(keyword))
    for keyword, value in said.items():
        if keyword not in ELSEWHERE:
            set_element(dataset, keyword, value)
    for keyword in NEVER_EMPTY:
        set_element(dataset, keyword, said.get(keyword) or _least(keyword, known))
    if said:
        dataset.AcquisitionDateTime = _moment(said, 0)
        dataset.AcquisitionDuration = n_slices * REVOLUTION_S
    if "ContrastBolusAgent" in said:
        agent = _coded(CONTRAST_AGENT)
        agent.ContrastBolusAgentNumber = 1
        agent.ContrastBolusAdministrationRouteSequence = [_coded(INTRAVENOUS)]
        agent.ContrastBolusIngredientCodeSequence = [_coded(IODINE)] if "iod" in said["ContrastBolusAgent"].lower() else []
        agent.ContrastBolusVolume = agent.ContrastBolusIngredientConcentration = None
        dataset.ContrastBolusAgentSequence = [agent]


def _least(keyword: str, known: Mapping[str, Any]) -> Any:
    """Return what stands in an element that must not be empty where the header says nothing."""
    return known[keyword] if keyword in ("ContentDate", "ContentTime") else UNKNOWN


def _coded(code: tuple[str, str]) -> Dataset:
    """Return the item of a SNOMED CT code."""
    found = Dataset()
    found.CodeValue, found.CodingSchemeDesignator, found.CodeMeaning = code[0], "SCT", code[1]
    return found


def _moment(said: Mapping[str, Any], k: int) -> str:
    """Return when a slice was taken: one turn after the other."""
    start = datetime.strptime(said["AcquisitionDate"] + TIME, "%Y%m%d%H%M%S")
    return (start + timedelta(seconds=k * REVOLUTION_S)).strftime("%Y%m%d%H%M%S.%f")


def _shared_groups(image: Volume, known: Mapping[str, Any], said: Mapping[str, Any], kind: list[str], series: str) -> Dataset:
    """Return what holds for every frame."""
    axes: Float[Array, "3 3"] = image.affine[:3, :3] / image.spacing
    groups: dict[str, Dataset] = {"PixelMeasuresSequence": _measures(image, known, said)}
    for name, elements in GROUPS.items():
        if all(classic in said for classic in elements):
            groups[name] = group = Dataset()
            for classic, keyword in elements.items():
                set_element(group, keyword, said[classic])
    groups["PlaneOrientationSequence"] = orientation = Dataset()
    set_element(orientation, "ImageOrientationPatient", [*axes[:, 0], *axes[:, 1]])
    groups["PixelValueTransformationSequence"] = rescale = Dataset()
    rescale.RescaleIntercept, rescale.RescaleSlope, rescale.RescaleType = -STORED_OFFSET, 1, "HU"
    groups["FrameAnatomySequence"] = anatomy = Dataset()
    anatomy.AnatomicRegionSequence = [_coded(REGIONS[said.get("BodyPartExamined", "WHOLEBODY")])]
    anatomy.FrameLaterality = "U"
    groups["IrradiationEventIdentificationSequence"] = event = Dataset()
    event.IrradiationEventUID = derived_uid(series, "event")
    groups["CTImageFrameTypeSequence"] = frame = Dataset()
    frame.FrameType = kind
    _describe_pixel_kind(frame)
    if said:
        _describe_reconstruction(image, said, groups)
    if "ContrastBolusAgent" in said:
        groups["ContrastBolusUsageSequence"] = usage = Dataset()
        usage.ContrastBolusAgentNumber, usage.ContrastBolusAgentAdministered = 1, "YES"
        usage.ContrastBolusAgentDetected = usage.ContrastBolusAgentPhase = None
    shared = Dataset()
    for name, group in groups.items():
        setattr(shared, name, [group])
    return shared


def _measures(image: Volume, known: Mapping[str, Any], said: Mapping[str, Any]) -> Dataset:
    """Return the sizes of pixels and slices; a thickness must stand there, the planes' distance where it is not known."""
    measures = Dataset()
    set_element(measures, "PixelSpacing", [image.spacing[1], image.spacing[0]])
    thickness = said.get("SliceThickness", known.get("SliceThickness", known["SpacingBetweenSlices"]))
    set_element(measures, "SliceThickness", thickness)
    if "SpacingBetweenSlices" in said:
        set_element(measures, "SpacingBetweenSlices", said["SpacingBetweenSlices"])
    return measures


def _describe_reconstruction(image: Volume, said: Mapping[str, Any], groups: dict[str, Dataset]) -> None:
    """Fill in how slices were taken, one turn each, and reconstructed."""
    groups["CTAcquisitionTypeSequence"] = acquired = Dataset()
    acquired.AcquisitionType, acquired.ConstantVolumeFlag, acquired.FluoroscopyFlag = "SEQUENCED", "NO", "NO"
    groups["CTTableDynamicsSequence"] = table = Dataset()
    table.TableSpeed = 0.0  # the table stands while a slice is taken
    if "ConvolutionKernel" in said:
        made = groups["CTReconstructionSequence"]
        made.ReconstructionAlgorithm, made.ReconstructionAngle, made.ImageFilter = "FILTER_BACK_PROJ", 360.0, "NONE"
        set_element(made, "ReconstructionPixelSpacing", [image.spacing[1], image.spacing[0]])
        sharp = is_sharp(said.get("Manufacturer"), "/".join(np.atleast_1d(said["ConvolutionKernel"])))
        made.ConvolutionKernelGroup = "BONE" if sharp else "SOFT_TISSUE"


def _frame_groups(image: Volume, said: Mapping[str, Any], k: int) -> Dataset:
    """Return what holds for one frame: its place in the patient and in the stack."""
    origin = image.affine[:3, 3] + image.affine[:3, 2] * k
    content, position, frame = Dataset(), Dataset(), Dataset()
    content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = STACK, k + 1, [1, k + 1]
    set_element(position, "ImagePositionPatient", list(origin))
    if said:
        middle = origin + image.affine[:3, :2] @ ((np.array(image.shape[:2]) - 1) / 2)
        content.FrameAcquisitionDateTime = content.FrameReferenceDateTime = _moment(said, k)
        content.FrameAcquisitionDuration = 1000 * REVOLUTION_S
        place = Dataset()
        place.DataCollectionCenterPatient = place.ReconstructionTargetCenterPatient = [float(x) for x in middle]
        place.TablePosition = float(image.spacing[2] * k)
        frame.CTPositionSequence = [place]
    frame.FrameContentSequence, frame.PlanePositionSequence = [content], [position]
    return frame


def _describe_dimensions(dataset: Dataset, series: str) -> None:
    """Say that frames are ordered by stack and by their place in it."""
    organisation = Dataset()
    organisation.DimensionOrganizationUID = derived_uid(series, "dimensions")
    dataset.DimensionOrganizationSequence, dataset.DimensionOrganizationType = [organisation], "3D"
    dataset.DimensionIndexSequence = []
    for keyword in ("StackID", "InStackPositionNumber"):
        index = Dataset()
        index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
        index.DimensionIndexPointer = tag_for_keyword(keyword)
        index.FunctionalGroupPointer = tag_for_keyword("FrameContentSequence")
        index.DimensionDescriptionLabel = keyword
        dataset.DimensionIndexSequence.append(index)
