"""The series that a result was made of, as its header names it: what every object about it has to refer to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from ..errors import InputError
from ..volume import Affine
from .archive import open_files
from .choice import choose_series
from .files import write_json
from .header import quiet, text
from .nifti import is_nifti
from .series import find_series

SOURCE = "source.json"
SCHEMA = "openbct-source/1"
SHARED = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "ReferringPhysicianName", "AccessionNumber",
)  # fmt: skip
"""What an object shares with its images (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2): the patient and the study."""
NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
"""What a reference consists of; images without it cannot be referred to."""


@dataclass(frozen=True)
class SourceSeries:
    """A DICOM series: whose it is, and the names of its images."""

    shared: Dataset
    """Elements of :data:`SHARED`, as far as the header has them."""
    series_uid: str
    frame_of_reference_uid: str | None
    instances: tuple[tuple[str, str], ...]
    """SOP class and SOP instance of each file, in the order of the planes."""


@dataclass(frozen=True)
class SourcePlanes:
    """The same with the headers of its planes at hand."""

    headers: tuple[Dataset, ...]
    affine: Affine
    shape: tuple[int, int, int]
    """Columns, rows, planes."""
    single: bool
    """Every plane is a file of its own."""


def read_planes(scan: Path, series: str | None) -> SourcePlanes | None:
    """Return the planes of the series that :func:`~openbct.io.read_scan` reads; ``None`` for an image that is no DICOM."""
    if is_nifti(scan):
        return None
    with open_files(scan) as blobs, quiet():
        choice = choose_series(find_series(blobs), series)
        planes, affine = choice.stack.slices, choice.stack.affine
        headers = tuple(plane.header for plane in planes)
    shape = (int(planes[0].columns or 0), int(planes[0].rows or 0), len(planes))
    return SourcePlanes(headers, affine, shape, not any(plane.frame for plane in planes))


def source_series(planes: SourcePlanes | None) -> SourceSeries | None:
    """Return what objects refer to; ``None`` where the headers do not say it."""
    if planes is None or not all(header.get(keyword) for header in planes.headers for keyword in NEEDED):
        return None
    first, shared = planes.headers[0], Dataset()
    with quiet():
        for keyword in SHARED:
            value = text(first, keyword)
            if value is not None:
                try:
                    setattr(shared, keyword, str(first.get(keyword)) if keyword.endswith("Name") else first[keyword].value)
                    shared.to_json()
                except Exception:  # a value of no known form is no value
                    delattr(shared, keyword)
    instances = dict.fromkeys((str(header.SOPClassUID), str(header.SOPInstanceUID)) for header in planes.headers)
    return SourceSeries(shared, str(first.SeriesInstanceUID), text(first, "FrameOfReferenceUID"), tuple(instances))


def write_source(source: SourceSeries, folder: Path) -> Path:
    """Write ``source.json`` into a result folder; it holds patient data, as ``result.json`` does.

    Raises
    ------
    OutputError
        No room, no permission.
    """
    table = {
        "schema": SCHEMA,
        "shared": source.shared.to_json_dict(),
        "series_uid": source.series_uid,
        "frame_of_reference_uid": source.frame_of_reference_uid,
        "instances": [list(pair) for pair in source.instances],
    }
    write_json(folder / SOURCE, table)
    return folder / SOURCE


def read_source(folder: Path) -> SourceSeries | None:
    """Return the source of a result folder; ``None`` where it has none (NIfTI, density, ``--anonymous``).

    Raises
    ------
    InputError
        It is damaged.
    """
    try:
        table: Any = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        table = None
    try:
        if table["schema"] != SCHEMA:
            raise ValueError
        frame = table["frame_of_reference_uid"]
        return SourceSeries(
            Dataset.from_json(table["shared"]),
            str(table["series_uid"]),
            None if frame is None else str(frame),
            _pairs(table["instances"]),
        )
    except Exception:
        raise InputError(
            f"found a {SOURCE} that cannot be read, expected the one that the analysis wrote; analyse the scan again"
        ) from None


def _pairs(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    pairs = tuple((str(kind), str(name)) for kind, name in rows)
    if not pairs:
        raise ValueError("no instance")
    return pairs
