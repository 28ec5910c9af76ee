"""Where bytes come from: a file, a nested folder or a zip archive, read in place and within limits.

Nothing is ever unpacked to disk, so a name inside an archive cannot point anywhere. Names of files and folders often hold
a patient's name: they are used for ordering only and never enter a message; messages count files instead.
"""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import ScanError

MAX_FILES = 20_000
"""More files than any study of one patient holds [D]."""
MAX_FILE_BYTES = 4 * 2**30
"""Largest single file [bytes]: 8000 slices of 512 x 512 at 16 bits [D]."""
MAX_TOTAL_BYTES = 32 * 2**30
"""Largest unpacked archive [bytes] [D]."""
KNOWN_SUFFIXES = {".dcm", ".ima", ".nii", ".gz", ".zip", ".txt", ".json", ".xml", ".png", ".jpg", ".pdf", ".csv", ".nrrd", ".mha"}


@dataclass(frozen=True)
class Blob:
    """One file, wherever it lies."""

    key: str
    """For ordering and for the suffix; may hold a patient's name: never shown."""
    size: int
    """[bytes]"""
    open: Callable[[], BinaryIO]


@contextmanager
def open_files(path: Path) -> Iterator[tuple[Blob, ...]]:
    """Yield every file under a folder, in a zip archive, or the one file, in name order.

    Raises
    ------
    ScanError
        Nothing at the path, a broken or encrypted archive, or one beyond the limits.
    """
    if path.is_dir():
        yield _in_folder(path)
    elif not path.is_file():
        raise ScanError("found nothing at the given path, expected a DICOM folder, a DICOM zip, a DICOM file or a NIfTI file")
    elif _magic(path).startswith(b"PK\x03\x04") or path.suffix.lower() == ".zip":
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError):
            raise ScanError("found a zip archive that cannot be opened, expected a whole one; copy it again") from None
        with archive:
            yield _in_zip(archive)
    else:
        yield (Blob(path.name, path.stat().st_size, lambda: path.open("rb")),)


def _magic(path: Path) -> bytes:
    """Return the first four bytes."""
    try:
        with path.open("rb") as stream:
            return stream.read(4)
    except OSError:
        raise ScanError("found a file that may not be read, expected read permission; check who owns it") from None


def _in_folder(folder: Path) -> tuple[Blob, ...]:
    """Return the files under a folder; links to folders are not followed, so a loop cannot trap us."""
    blobs: list[Blob] = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file():
                blobs.append(Blob(str(path.relative_to(folder)), path.stat().st_size, _opener(path)))
            _check_count(len(blobs))
    return tuple(blobs)


def _opener(path: Path) -> Callable[[], BinaryIO]:
    """Bind a path for later opening."""
    return lambda: path.open("rb")


def _in_zip(archive: zipfile.ZipFile) -> tuple[Blob, ...]:
    """Return the members of an archive; a member's stream ends at its declared size, which is checked here."""
    members = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
    _check_count(len(members))
    total = sum(info.file_size for info in members)
    if total > MAX_TOTAL_BYTES:
        raise ScanError(
            f"found an archive of {total / 2**30:.1f} GiB unpacked, expected at most {MAX_TOTAL_BYTES / 2**30:.0f} GiB;"
            " give one series only"
        )
    if any(info.flag_bits & 1 for info in members):
        raise ScanError("found an encrypted archive, expected an open one; unpack it with its password and give the folder")
    return tuple(Blob(info.filename, info.file_size, _member_opener(archive, info)) for info in members)


def _member_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    """Bind an archive member for later opening."""
    return lambda: cast(BinaryIO, archive.open(info))


def _check_count(count: int) -> None:
    """Refuse a file count no study has."""
    if count > MAX_FILES:
        raise ScanError(f"found more than {MAX_FILES} files, expected one study; give the folder of one series")


def describe_files(blobs: Sequence[Blob]) -> str:
    """Return how many files of which kind there are, without their names."""
    if not blobs:
        return "no files"
    suffixes = [Path(blob.key).suffix.lower() for blob in blobs]
    kinds = Counter(suffix if suffix in KNOWN_SUFFIXES else "of other kinds" for suffix in suffixes)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    return f"{len(blobs)} file{'s' if len(blobs) != 1 else ''} ({listed})"
