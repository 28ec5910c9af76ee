"""From files to series: which DICOM images lie there, sorted into series, with what was passed over and why."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian

from ..errors import ScanError
from .archive import MAX_FILE_BYTES, Blob, describe_files, open_within
from .header import ENHANCED_CT, TAGS, Slice, number, quiet, slices_of, text

DICOMDIR = "1.2.840.10008.1.3.10"
MAX_DATASET_BYTES = 2**30
"""A deflated file may not inflate beyond this [bytes] [D]; a 298 KB file was seen to inflate to 300 MB."""
MAX_HEADER_BYTES = 128 * 2**20
"""A header takes no more than this to read [bytes] [D]: the groups of 8000 frames take some 10 MB."""
MAX_PLANES = 100_000
"""More planes than any study of one patient holds [D]."""


@dataclass(frozen=True)
class Series:
    """The image planes that share a SeriesInstanceUID, localizers set aside."""

    name: str
    """For ``--series``: the SeriesNumber where it is unique, else ``#`` and the index."""
    index: int
    """From 1, in the order found."""
    slices: tuple[Slice, ...]
    localizers: int
    """Planes set aside as localizers."""
    modality: str | None

    @property
    def header(self) -> Dataset:
        """The first plane's header."""
        return self.slices[0].header


@dataclass(frozen=True)
class Found:
    """What lies in a folder or archive."""

    series: tuple[Series, ...]
    passed_over: tuple[str, ...]
    """What else was there, counted, with the reason."""


def find_series(blobs: Sequence[Blob]) -> Found:
    """Return every series of images among some files.

    Raises
    ------
    ScanError
        No DICOM image among them.
    """
    passed: Counter[str] = Counter()
    groups: dict[str, list[Slice]] = {}
    n_planes = 0
    for ordinal, blob in enumerate(blobs, start=1):
        header, reason = read_header(blob, f"file {ordinal} of {len(blobs)}")
        if header is None:
            passed[reason] += 1
            continue
        frames = number(header, "NumberOfFrames") or 1.0
        n_planes += int(frames)
        if frames > blob.size or n_planes > MAX_PLANES:
            raise ScanError(
                f"file {ordinal} of {len(blobs)} in name order: found a claim of {frames:.0f} frames in {blob.size} bytes, {n_planes} planes so"
                f" far, expected at most {MAX_PLANES} in all; give one series"
            )
        with quiet():
            planes = slices_of(header, blob)
        if planes[0].rows is None:
            passed[_without_image(header, f"file {ordinal} of {len(blobs)}")] += 1
            continue
        groups.setdefault(text(header, "SeriesInstanceUID") or "", []).extend(planes)
    notes = tuple(f"{count} {reason}" for reason, count in passed.items())
    if not groups:
        said = f"; among them {', '.join(notes)}" if notes else ""
        seen = f"{describe_files(blobs)} without a DICOM image{said}" if blobs else "no files in the folder or zip"
        raise ScanError(
            f"found {seen}; expected a CT series; give the folder or zip that holds the series, or a NIfTI file by its own name"
        )
    return Found(_name_series(list(groups.values())), notes)


def _without_image(header: Dataset, place: str) -> str:
    """Return what a file is that has no image, or refuse what should have one."""
    kind = text(header, "SOPClassUID") or text(getattr(header, "file_meta", Dataset()), "MediaStorageSOPClassUID")
    if kind in (CTImageStorage, *ENHANCED_CT) and text(header, "Modality") in (None, "CT"):
        raise ScanError(
            f"{place} in name order: found a CT image without its size, expected a whole file; copy the series again from its source"
        )
    return "DICOM objects without an image (reports, dose records)" if kind else "DICOM files that end within their header"


def _name_series(groups: list[list[Slice]]) -> tuple[Series, ...]:
    """Return series with names that choose exactly one each."""
    series_numbers = [number(planes[0].header, "SeriesNumber") for planes in groups]
    counted = Counter(series_numbers)
    series = []
    for index, (planes, value) in enumerate(zip(groups, series_numbers), start=1):
        name = f"{value:g}" if value is not None and counted[value] == 1 else f"#{index}"
        images = tuple(plane for plane in planes if not _is_localizer(plane))
        series.append(Series(name, index, images or tuple(planes), len(planes) - len(images), text(planes[0].header, "Modality")))
    return tuple(series)


def _is_localizer(plane: Slice) -> bool:
    """Tell a projection (scout, topogram) from a section."""
    return "LOCALIZER" in (text(plane.header, "ImageType") or "").upper()


def read_header(blob: Blob, place: str) -> tuple[Dataset | None, str]:
    """Return the wanted elements of one file, or ``None`` and the reason why it was passed over.

    Raises
    ------
    ScanError
        The file begins as DICOM but cannot be read: it may be one of the slices.
    """
    if blob.size > MAX_FILE_BYTES:
        raise ScanError(
            f"{place}: found {blob.size / 2**30:.1f} GiB, expected at most {MAX_FILE_BYTES / 2**30:.0f} GiB; give one series"
        )
    try:
        with blob.open() as stream:
            start = stream.read(2000)
        part10 = start[128:132] == b"DICM"
        if not part10 and not _is_bare(start):
            return None, "files that are not DICOM"
        deflated = DeflatedExplicitVRLittleEndian.encode() in start
        if deflated:
            check_deflated(blob, place)
        with open_within(blob, MAX_DATASET_BYTES if deflated else MAX_HEADER_BYTES) as stream, quiet():
            header = dcmread(stream, stop_before_pixels=True, specific_tags=list(TAGS), force=not part10)
            kind = str(header.file_meta.get("MediaStorageSOPClassUID", "")) if hasattr(header, "file_meta") else ""
    except ScanError:
        raise
    except Exception:
        # Readers of damaged bytes fail in every way there is, and their texts may quote values: none is told.
        raise ScanError(
            f"{place} in name order: found a DICOM file that cannot be read, expected a whole file;"
            " copy the series again from its source"
        ) from None
    if kind == DICOMDIR:
        return None, "index of a medium (DICOMDIR)"
    return header, ""


def _is_bare(start: bytes) -> bool:
    """Tell whether bytes begin like a DICOM data set without its file header: an element of group 0008."""
    return len(start) >= 8 and start[:2] == b"\x08\x00" and start[3] == 0 and (start[4:6].isalpha() or start[6:8] == b"\0\0")


def check_deflated(blob: Blob, place: str) -> None:
    """Inflate a deflated file piece by piece up to a limit, because pydicom inflates without one.

    Raises
    ------
    ScanError
        The data inflate beyond :data:`MAX_DATASET_BYTES`.
    """
    with blob.open() as stream:
        _inflate_within_limit(stream, place)


def _inflate_within_limit(stream: BinaryIO, place: str) -> None:
    """Count what the stream's deflated part inflates to."""
    stream.seek(140)
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(144 + length)
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while chunk := stream.read(2**16):
        while chunk:
            total += len(inflater.decompress(chunk, 2**22))
            if total > MAX_DATASET_BYTES:
                raise ScanError(
                    f"{place} in name order: found a deflated file beyond {MAX_DATASET_BYTES / 2**30:.0f} GiB, expected an"
                    " image; do not trust its source"
                )
            chunk = inflater.unconsumed_tail
