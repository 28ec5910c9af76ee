"""What the command line says of a calibration phantom: its name, its certificate, the scan in which it lies."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..errors import InputError, SettingsError
from ..records import Scan


def phantom_settings(name: str | None, certificate: Path | None) -> dict[str, Any]:
    """Return what goes into ``[calibration]``; the certificate's values go with the protocol, so that it repeats the run.

    Raises
    ------
    SettingsError
        The certificate cannot be read.
    """
    changes: dict[str, Any] = {"method": "phantom", "phantom": name or "auto"}
    if certificate is not None:
        changes["certificate"] = read_certificate(certificate)
    return changes


def read_certificate(path: Path) -> dict[str, Any]:
    """Return the table of a phantom's certificate.

    Raises
    ------
    SettingsError
        There is no such file, or it is not TOML.
    """
    if not path.is_file():
        raise SettingsError(
            "found no file at the path of --phantom-certificate, expected the certificate's values in TOML; check it"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            "found a phantom's certificate that cannot be read, expected TOML in UTF-8; compare with the documentation"
        ) from error


def check_phantom_scan(path: Path | None) -> None:
    """Refuse a path of a phantom's scan that leads nowhere.

    Raises
    ------
    InputError
        There is nothing.
    """
    if path is not None and not path.exists():
        raise InputError("found nothing at the path of --phantom-scan, expected a DICOM folder, zip or NIfTI file; check it")


def read_phantom_scan(path: Path | None) -> Scan | None:
    """Return the scan in which the phantom lies; ``None`` where it lies in the scan itself.

    Raises
    ------
    InputError
        There is nothing at the path, or no scan.
    """
    check_phantom_scan(path)
    if path is None:
        return None
    from ..io import read_scan

    return read_scan(path)
