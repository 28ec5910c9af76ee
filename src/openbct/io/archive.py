"""Where bytes come from: a file, a nested folder or a zip archive, read in place and within limits.

Nothing is ever unpacked to disk, so a name inside an archive cannot point anywhere; an archive in an archive is held in memory.
Names of files and folders often hold a patient's name: they are used for ordering only and never enter a message; messages count
files instead.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import ScanError

MAX_FILES = 20_000
"""More files than any study of one patient holds [D]."""
MAX_FILE_BYTES = 4 * 2**30
"""Largest single file [bytes]: 8000 slices of 512 x 512 at 16 bits [D]."""
MAX_TOTAL_BYTES = 32 * 2**30
"""Largest unpacked archive [bytes] [D]."""
MAX_INNER_BYTES = 2**30
"""Archives inside an archive, all together [bytes] [D]: they are held in memory."""
MAX_RATIO = 200
"""Packed this much or more, an archive beyond :data:`MAX_INNER_BYTES` is a bomb [D]; CT packs to a half or a third, an empty image
by a factor of 1000 at most."""
MAX_DEPTH = 3
"""Archives in archives in folders [D]."""
KNOWN_SUFFIXES = {".dcm", ".ima", ".nii", ".gz", ".zip", ".txt", ".json", ".xml", ".png", ".jpg", ".pdf", ".csv", ".nrrd", ".mha"}


@dataclass(frozen=True)
class Blob:
    """One file, wherever it lies."""

    key: str
    """For ordering and for the suffix; may hold a patient's name: never shown."""
    size: int
    """[bytes]"""
    open: Callable[[], BinaryIO]


class Metered:
    """A stream that gives no more than so many bytes in all, whoever reads it: a large file cannot fill the memory."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._left, self._limit = stream, limit, limit

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; raises :class:`ScanError` beyond the limit."""
        if size is not None and size > self._left:
            # A length may lie: what is really there decides, up to the limit.
            size = self._left + 1
        content = self._stream.read(self._left + 1 if size is None or size < 0 else size)
        self._left -= len(content)
        if self._left < 0:
            raise ScanError(
                f"found a file that asks for more than {self._limit / 2**20:.0f} MiB where an image of its size has less, expected a CT"
                " image; do not trust its source"
            )
        return bytes(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        """Return the place."""
        return int(self._stream.tell())

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


@contextmanager
def open_within(blob: Blob, limit: int) -> Iterator[BinaryIO]:
    """Open a file of which no more than ``limit`` bytes will be read in all."""
    with blob.open() as stream:
        # A small file has no more to give, whatever lengths it claims.
        yield stream if blob.size <= limit else cast(BinaryIO, Metered(stream, limit))


@contextmanager
def open_files(path: Path) -> Iterator[tuple[Blob, ...]]:
    """Yield every file under a folder, in a zip archive, or the one file, in name order; archives among them are opened too.

    Raises
    ------
    ScanError
        Nothing at the path, a broken or encrypted archive, or one beyond the limits.
    """
    if path.is_dir():
        blobs = _in_folder(path)
    elif not path.is_file():
        raise ScanError("found nothing at the given path, expected a DICOM folder, a DICOM zip, a DICOM file or a NIfTI file")
    else:
        blobs = (Blob(path.name, path.stat().st_size, _opener(path)),)
        if _magic(path).startswith(b"PK\x03\x04"):
            blobs = (replace(blobs[0], key=f"{path.name}.zip"),)
    with ExitStack() as held:
        yield tuple(_Unpacking(held).unfold(blobs, 0))


class _Unpacking:
    """Opens archives among files, and keeps count of what they hold."""

    def __init__(self, held: ExitStack) -> None:
        self._held, self._inner, self._total, self._count = held, 0, 0, 0

    def unfold(self, blobs: Sequence[Blob], depth: int) -> Iterator[Blob]:
        """Yield files, and in place of each archive what it holds."""
        for blob in blobs:
            if not blob.key.lower().endswith(".zip"):
                self._count += 1
                _check_count(self._count)
                yield blob
                continue
            if depth == MAX_DEPTH:
                raise ScanError(
                    f"found archives nested more than {MAX_DEPTH} deep, expected a DICOM zip; unpack it and give the folder"
                )
            try:
                stream = self._hold(blob) if depth else blob.open()
                archive = self._held.enter_context(zipfile.ZipFile(self._held.enter_context(stream)))
                members = _in_zip(archive)
            except (zipfile.BadZipFile, OSError, zlib.error, EOFError, NotImplementedError):
                raise ScanError("found a zip archive that cannot be opened, expected a whole one; copy it again") from None
            self._total += sum(member.size for member in members)
            _check_total(self._total)
            yield from self.unfold(members, depth + 1)

    def _hold(self, blob: Blob) -> Any:
        """Return an archive that lies in another one, in memory."""
        self._inner += blob.size
        if self._inner > MAX_INNER_BYTES:
            raise ScanError(
                f"found archives of {self._inner / 2**30:.1f} GiB inside an archive, expected at most {MAX_INNER_BYTES / 2**30:.0f} GiB;"
                " unpack it and give the folder"
            )
        with blob.open() as stream:
            return io.BytesIO(Metered(stream, blob.size).read())


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


class _File(io.BufferedReader):
    """A file that makes room for what is there, not for what is asked: Python's own makes room first."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(os.fstat(self.fileno()).st_size - self.tell(), 0))
        return super().read(size)


def _opener(path: Path) -> Callable[[], BinaryIO]:
    """Bind a path for later opening."""
    return lambda: cast(BinaryIO, _File(io.FileIO(path)))


def _in_zip(archive: zipfile.ZipFile) -> tuple[Blob, ...]:
    """Return the members of an archive; a member's stream ends at its declared size, which is checked here."""
    members = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
    _check_count(len(members))
    total, packed = sum(info.file_size for info in members), sum(info.compress_size for info in members)
    _check_total(total)
    if total > max(MAX_INNER_BYTES, MAX_RATIO * packed):
        raise ScanError(
            f"found an archive that unpacks {packed / 2**20:.1f} MiB into {total / 2**30:.1f} GiB, expected images; do not trust its source"
        )
    if any(info.flag_bits & 1 for info in members):
        raise ScanError("found an encrypted archive, expected an open one; unpack it with its password and give the folder")
    return tuple(Blob(info.filename, info.file_size, _member_opener(archive, info)) for info in members)


def _check_total(total: int) -> None:
    """Refuse more than any study holds."""
    if total > MAX_TOTAL_BYTES:
        raise ScanError(
            f"found an archive of {total / 2**30:.1f} GiB unpacked, expected at most {MAX_TOTAL_BYTES / 2**30:.0f} GiB;"
            " give one series only"
        )


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
