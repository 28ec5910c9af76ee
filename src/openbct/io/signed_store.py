"""Signed interpretations in a result folder: one file for each version beside its report, none ever written over."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError
from ..signing import Signed, breaks, fixed
from .files import prepare_folder, write_bytes, write_json

FOLDER = "interpretations"
SCHEMA = "openbct-signed/1"
REPORT_ENDINGS = (".html", ".pdf")
MOST_LETTERS = 20_000
"""Longer texts are no interpretation of one scan [design]."""


def read_text(path: Path) -> str:
    """Return a physician's text.

    Raises
    ------
    InputError
        There is no such file, or it is empty, too long, or not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError:
        raise InputError(
            "found no readable file under --interpretation, expected a text file with the physician's own words; check the path"
        ) from None
    except UnicodeDecodeError:
        raise InputError("found an interpretation that is not UTF-8, expected plain text; save it as UTF-8") from None
    if not text.strip():
        raise InputError("found an empty interpretation, expected the physician's own words; write them into the file")
    if len(text) > MOST_LETTERS:
        raise InputError(f"found an interpretation of {len(text)} letters, expected at most {MOST_LETTERS}; give the text alone")
    return text.strip().replace("\r\n", "\n")


def write_version(signed: Signed, reports: dict[str, bytes], folder: Path, comparison: bytes | None = None) -> list[Path]:
    """Write a version and its reports, by ending, under ``interpretations/``; returns the files.

    Parameters
    ----------
    comparison
        The comparison with an earlier scan that the reports tell of; kept with them and fixed like them.

    Raises
    ------
    OutputError
        That version is there already, or there is no room.
    """
    place = folder / FOLDER
    prepare_folder(place)
    name = place / f"version-{signed.version}.json"
    if name.exists():
        raise OutputError(
            f"found version {signed.version} signed already, expected a number that is free; another has signed meanwhile: try again"
        )
    written = []
    for ending, content in reports.items():
        write_bytes(place / f"version-{signed.version}{ending}", content)
        written.append(place / f"version-{signed.version}{ending}")
    hashes = {f"version-{signed.version}{ending}": hashlib.sha256(content).hexdigest() for ending, content in reports.items()}
    if comparison is not None:
        beside = comparison_of(signed.version, folder)
        write_bytes(beside, comparison)
        written.append(beside)
        hashes[beside.name] = hashlib.sha256(comparison).hexdigest()
    write_json(name, {"schema": SCHEMA, **asdict(signed), "sha256": fixed(signed), "files": hashes})
    return [name, *written]


def comparison_of(version: int, folder: Path) -> Path:
    """Return where the comparison of a signed version is kept, if it has one."""
    return folder / FOLDER / f"comparison-{version}.json"


def was_compared(version: int, folder: Path) -> bool:
    """Tell whether a version was signed with a comparison; a file that was put there later is none."""
    return comparison_of(version, folder).name in dict(_tables(folder)[version - 1]["files"])


def read_versions(folder: Path) -> tuple[Signed, ...]:
    """Return every signed version of a result folder, oldest first.

    Raises
    ------
    InputError
        One is damaged or missing.
    """
    return tuple(_signed(table) for table in _tables(folder))


def check_versions(folder: Path, case: str) -> tuple[int, tuple[str, ...]]:
    """Return how many versions there are and what is not as it was signed, in sentences.

    Parameters
    ----------
    case
        SHA-256 of the stored case.

    Raises
    ------
    InputError
        A version is damaged or missing.
    """
    tables = _tables(folder)
    found = list(breaks([_signed(table) for table in tables], [str(table["sha256"]) for table in tables], case))
    for table in tables:
        beside = comparison_of(int(table["version"]), folder)
        if beside.is_file() and beside.name not in dict(table["files"]):
            found.append(f"{beside.name} was not there when the version was signed.")
        for name, stated in dict(table["files"]).items():
            path = folder / FOLDER / Path(name).name
            if not path.is_file():
                found.append(f"{path.name} is not there.")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != stated:
                found.append(f"{path.name} is not the report that was signed.")
    return len(tables), tuple(found)


def is_signed(folder: Path) -> bool:
    """Tell whether a result folder holds a signed interpretation."""
    return any((folder / FOLDER).glob("version-*.json"))


def _tables(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / FOLDER).glob("version-*.json"), key=lambda path: (len(path.name), path.name))
    tables = []
    for number, path in enumerate(paths, start=1):
        try:
            table: Any = json.loads(path.read_text(encoding="utf-8"))
            sound = table["schema"] == SCHEMA and {"sha256", "files", *(f.name for f in fields(Signed))} <= set(table)
        except (OSError, ValueError, KeyError, TypeError):
            sound = False
        if not sound or path.name != f"version-{number}.json":
            raise InputError(
                f"found signed versions of which number {number} is missing or damaged, expected each as it was written; restore the folder"
            )
        tables.append(dict(table))
    return tables


def _signed(table: dict[str, Any]) -> Signed:
    known = {f.name: table[f.name] for f in fields(Signed)}
    return Signed(**{**known, "draft": tuple(known["draft"]), "version": int(known["version"])})
