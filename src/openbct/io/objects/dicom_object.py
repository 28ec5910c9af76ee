"""What every DICOM object of ours has: the patient and the study of its images, a series of its own, who made it and when."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from ... import __version__
from ..header import quiet
from ..source_series import SourceSeries
from .codes import Code

EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName",
         "AccessionNumber")  # fmt: skip
"""Type 2: there, if empty."""


@dataclass(frozen=True)
class Making:
    """Who made an object of what, when: the same making gives the same bytes."""

    source: SourceSeries
    digest: str
    """SHA-256 of the case and its report's standing: what the UIDs follow from."""
    when: datetime
    reader: str = ""
    """The physician who signed; empty: nobody has."""

    def uid(self, *what: object) -> str:
        """Return the UID of a part of this making."""
        return str(generate_uid(entropy_srcs=[self.digest, self.when.isoformat(), __version__, *map(str, what)]))


def start(making: Making, sop_class: str, modality: str, series: tuple[int, str], number: int = 1) -> Dataset:
    """Return an object without its content.

    Parameters
    ----------
    series
        Number and description of the series that it lies in.
    number
        Its own, within the series.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in EMPTY:
        setattr(dataset, keyword, "")
    for element in making.source.shared:
        dataset[element.tag] = element
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(making.uid("instance", series[0], number))
    dataset.Modality, dataset.SeriesInstanceUID = modality, making.uid("series", series[0])
    dataset.SeriesNumber, dataset.SeriesDescription, dataset.InstanceNumber = *series, number
    dataset.InstanceCreationDate = dataset.ContentDate = dataset.SeriesDate = making.when.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = dataset.SeriesTime = making.when.strftime("%H%M%S")
    dataset.Manufacturer, dataset.ManufacturerModelName = "OpenBCT", "OpenBCT"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", __version__
    return dataset


def file_bytes(dataset: Dataset) -> bytes:
    """Return an object as a file."""
    stream = io.BytesIO()
    with quiet():
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def code_item(code: Code) -> Dataset:
    """Return a code as a sequence's item; a value too long for the short field goes into the long one."""
    item = Dataset()
    setattr(item, "CodeValue" if len(code.value) <= 16 else "LongCodeValue", code.value)
    item.CodingSchemeDesignator, item.CodeMeaning = code.scheme, code.meaning
    return item


def reference(pair: Sequence[str]) -> Dataset:
    """Return a reference to an instance by (SOP class, SOP instance)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = pair
    return item


def by_series(series_uid: str, instances: Sequence[Sequence[str]], keyword: str) -> Dataset:
    """Return references to instances of one series, under the sequence that the module calls for."""
    item = Dataset()
    item.SeriesInstanceUID = series_uid
    setattr(item, keyword, [reference(pair) for pair in instances])
    return item


def own_scheme() -> Dataset:
    """Return who answers for our private codes."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = "99OPENBCT", "OpenBCT quantities, by their names in result.json"
    item.CodingSchemeResponsibleOrganization = "OpenBCT"
    return item
