"""Strength references as files: TOML that a person can read, with nothing of single persons in it."""

from __future__ import annotations

import hashlib
import math
import tomllib
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..incidence import Incidence, incidence_from
from ..strength_reference import SITES, MappedThresholds, Site, StrengthNorm, StrengthReference
from .files import write_bytes
from .toml_text import to_toml

FORMAT = "openbct-strength-reference/1"
_SEXES: tuple[Literal["F", "M"], ...] = ("F", "M")
LARGEST = 100_000
"""Bytes, at most [design]."""


def write_reference(reference: StrengthReference, path: Path) -> None:
    """Write a reference.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    tables: dict[str, Any] = {
        "format": FORMAT,
        "protocol": reference.protocol,
        "calibration": reference.calibration,
        "version": reference.version,
        "cohort": reference.cohort,
        "recipes": dict(reference.recipes),
    }
    for row in reference.thresholds:
        tables[f"{row.site}-{row.sex}"] = {
            "fragile_n": round(row.fragile_n, 1),
            "fragile_95_n": [round(end, 1) for end in row.fragile_95_n],
            "normal_n": round(row.normal_n, 1),
            "normal_95_n": [round(end, 1) for end in row.normal_95_n],
            "persons": row.persons,
            "r_squared": round(row.r_squared, 4),
            "residual_sd_n": round(row.residual_sd_n, 1),
        }
    for norm in reference.norms:
        tables[f"age-{norm.site}-{norm.sex}"] = {
            "ages": [round(norm.youngest, 1), round(norm.oldest, 1)],
            "mean_at_70_n": round(norm.mean_at_70_n, 1),
            "slope_n_per_year": round(norm.slope_n_per_year, 2),
            "sd_n": round(norm.sd_n, 1),
            "persons": norm.persons,
        }
    write_bytes(path, to_toml(tables).encode("utf-8"))


def read_reference(path: Path) -> StrengthReference:
    """Return a reference.

    Raises
    ------
    InputError
        There is no such file, or it is none of :func:`write_reference`, or its thresholds make no sense.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(
                f"found a strength reference of more than {LARGEST} bytes, expected a file of `openbct reference build`"
            )
        content = path.read_bytes()
        tables = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise InputError(
            "found no readable file at the path of the strength reference, expected one; check --reference"
        ) from error
    except ValueError as error:
        raise InputError("found a strength reference that is not TOML, expected a file of `openbct reference build`") from error
    if tables.get("format") != FORMAT:
        raise InputError(f"found a strength reference of another format, expected {FORMAT!r}; build it again")
    try:
        rows = tuple(_row(key, tables[key]) for key in (f"{site}-{sex}" for site in SITES for sex in "FM") if key in tables)
        norms = tuple(
            _norm(site, sex, tables[f"age-{site}-{sex}"]) for site in SITES for sex in _SEXES if f"age-{site}-{sex}" in tables
        )
        words = [str(tables[key]) for key in ("protocol", "calibration", "version", "cohort")]
        recipes = {str(site): str(digest) for site, digest in tables["recipes"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"found a strength reference that is damaged ({type(error).__name__}), expected a whole one; build it again"
        ) from error
    if not rows:
        raise InputError("found a strength reference without thresholds, expected some; build it again")
    protocol, calibration, version, cohort = words
    return StrengthReference(protocol, recipes, calibration, version, cohort, rows, hashlib.sha256(content).hexdigest(), norms)


def _norm(site: Site, sex: Literal["F", "M"], table: dict[str, Any]) -> StrengthNorm:
    low, high = (float(age) for age in table["ages"])
    mean, slope, sd = numbers = [float(table[key]) for key in ("mean_at_70_n", "slope_n_per_year", "sd_n")]
    norm = StrengthNorm(site, sex, low, high, mean, slope, sd, int(table["persons"]))
    if not all(map(math.isfinite, (low, high, *numbers))) or not (
        low < high and norm.sd_n > 0 and min(map(norm.mean, (low, high))) > 0
    ):
        raise ValueError("strength over age that makes no sense")
    return norm


def _row(key: str, table: dict[str, Any]) -> MappedThresholds:
    site, _, sex = key.partition("-")
    low, high = ((float(table[name][0]), float(table[name][1])) for name in ("fragile_95_n", "normal_95_n"))
    row = MappedThresholds(
        "femur" if site == "femur" else "vertebra",
        "F" if sex == "F" else "M",
        float(table["fragile_n"]),
        low,
        float(table["normal_n"]),
        high,
        int(table["persons"]),
        float(table["r_squared"]),
        float(table["residual_sd_n"]),
    )
    rising = (0.0, low[0], row.fragile_n, low[1], high[0], row.normal_n, high[1])
    if not all(math.isfinite(value) for value in rising) or list(rising) != sorted(rising):
        raise ValueError("thresholds that do not rise")
    return row


def read_incidence(path: Path) -> Incidence:
    """Return a user's table of hip fractures by age and sex.

    Raises
    ------
    InputError
        There is no such file, or it is no TOML.
    SettingsError
        Its content makes no sense.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"found a table of incidence of more than {LARGEST} bytes, expected a small one; check [risk] table")
        return incidence_from(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(
            "found no readable file at the path of the table of incidence, expected one; check [risk] table"
        ) from error
    except ValueError as error:
        raise InputError("found a table of incidence that is not TOML, expected one as in data/hip_fracture.toml") from error
