"""Who was scanned, as the command line tells it: options, and a JSON file that they win over."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..errors import InputError, SettingsError
from .request import Request

NUMBERS = ("age", "height_cm", "weight_kg")
DXA = {"dxa_t_fn": "femoral_neck", "dxa_t_th": "total_hip", "dxa_t_ls": "lumbar_spine"}
LARGEST = 100_000
"""Bytes of a file about one person, at most [design]."""


def told(request: Request) -> dict[str, Any]:
    """Return the keywords of :func:`openbct.patient.combine`.

    Raises
    ------
    InputError, SettingsError
        The file cannot be read, or holds something else than was asked for.
    """
    options = {"sex": request.sex, "age": request.age, "height_cm": request.height_cm, "weight_kg": request.weight_kg}
    options |= dict(zip(DXA, request.dxa, strict=True))
    stated = _from_file(request.patient) if request.patient is not None else {}
    merged = {key: stated.get(key) if value is None else value for key, value in options.items()}
    scores = {site: merged.pop(key) for key, site in DXA.items()}
    return {**merged, "dxa_t": {site: score for site, score in scores.items() if score is not None}}


def _from_file(path: Path) -> dict[str, Any]:
    """Return what a JSON file says of the patient, checked for its kind."""
    try:
        if path.stat().st_size > LARGEST:
            raise SettingsError(f"found a --patient file of more than {LARGEST} bytes, expected a few numbers; check the path")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError("found no readable file at the path of --patient, expected a JSON file; check it") from error
    except ValueError as error:  # without its text, which may quote the file
        raise SettingsError(
            'found a --patient file that is not JSON, expected an object such as {"sex": "F", "age": 72}'
        ) from error
    known = ("sex", *NUMBERS, *DXA)
    if not isinstance(content, dict) or set(content) - set(known):
        raise SettingsError(f"found something else in the --patient file, expected one object with any of {', '.join(known)}")
    for key in (*NUMBERS, *DXA):
        value = content.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)):
            raise SettingsError(
                f"found {key} in the --patient file that is no number, expected one, or nothing where it is unknown"
            )
    if content.get("sex") is not None and not isinstance(content["sex"], str):
        raise SettingsError("found a sex in the --patient file that is no text, expected F or M, or nothing where it is unknown")
    return content
