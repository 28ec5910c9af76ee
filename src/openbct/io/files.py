"""Writing files whole or not at all: a temporary file beside the target, then a rename."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError
from ..volume import Volume
from .nifti import nifti_bytes


def prepare_folder(folder: Path) -> None:
    """Make a folder and prove that it can be written.

    Raises
    ------
    OutputError
        It cannot be made or written, or there is a file in its place.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"found no way to write into the output folder ({_say(error)}), expected a writable folder; choose another with -o"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file at once: whoever looks sees the old file or the whole new one.

    Raises
    ------
    OutputError
        No room, no permission.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"found no way to write {path.name} of {len(content) / 1e6:.1f} MB ({_say(error)}), expected room and permission; free"
            " some space or choose another folder"
        ) from error


def _say(error: OSError) -> str:
    """Return the system's word for a failure, without the path."""
    return error.strerror or type(error).__name__


def write_json(path: Path, content: Any) -> None:
    """Write JSON as UTF-8, indented; numbers that are not finite become ``null``, as JSON has none."""
    text = json.dumps(plain(content), ensure_ascii=False, indent=1, allow_nan=False)
    write_bytes(path, (text + "\n").encode("utf-8"))


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NumPy numbers and arrays made plain, NaN and infinity ``None``."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) + 0.0 if math.isfinite(value) else None  # the sum turns -0.0 into 0.0
    return None if value is None else str(value)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV (UTF-8, comma, point); columns in the order in which they first appear, unknown cells empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    write_bytes(path, stream.getvalue().encode("utf-8"))


def _cell(value: Any) -> Any:
    """Return a cell; text that a spreadsheet would run as a formula is defused."""
    value = plain(value)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    if isinstance(value, float):
        return f"{value:.9g}"
    return "" if value is None else value


def write_volume(volume: Volume, path: Path, *, description: str = "") -> None:
    """Write a volume as compressed NIfTI, LPS turned to the file's RAS; ``description`` goes into its header.

    Raises
    ------
    OutputError
        No room, no permission.
    """
    write_bytes(path, nifti_bytes(volume, description=description))
