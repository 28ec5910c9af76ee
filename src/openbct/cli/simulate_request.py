"""What `openbct simulate` is asked to do: a file of settings with the flags put over it, checked before anything is drawn."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError, SettingsError
from ..phantoms import (
    CalibrationPhantom,
    Fracture,
    Person,
    ScannerSettings,
    calibration_phantom,
    parts_from_tables,
    phantom_from_table,
)
from ..phantoms.column import LEVELS

FORMATS = ("dicom", "enhanced", "nifti")
HEADERS = ("complete", "poor", "wrong")
REGIONS = ("torso", "spine", "hip", *LEVELS)
LOW_RESOLUTION = (2.0, 2.0, 5.0)
MOST_SEED = 2**53
"""Large enough for every person of a cohort, and a whole number in any JSON."""
T = TypeVar("T")
TABLES = ("person", "scanner", "image", "phantom", "labels", "output", "seed")


@dataclass(frozen=True)
class ImageRequest:
    """Which part of a person is scanned, and in what voxels."""

    region: str = "torso"
    """``torso``, ``spine``, ``hip`` or a level."""
    spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)
    """[mm]"""
    field_of_view: float | None = None
    """Edge of the square image [mm]; ``None`` holds the body."""


@dataclass(frozen=True)
class LabelRequest:
    """A label map of the user's that is scanned instead of a person."""

    file: str
    body: str = ""
    """Label map that is not zero within the skin; empty: everything is within."""
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Integer to name and tissue, or to the properties of a bone."""
    spacing: tuple[float, float, float] | None = None
    filling: str = "adipose"
    joint_gap: float = 3.0
    smoothing: float = 0.5


@dataclass(frozen=True)
class OutputRequest:
    """How the scan is written."""

    format: str = "dicom"
    """``dicom`` (one file per slice), ``enhanced`` (one multi-frame file) or ``nifti``."""
    header: str = "complete"
    """What a DICOM header says: ``complete``, ``poor`` or ``wrong``."""
    fault: str = ""


@dataclass(frozen=True)
class Simulation:
    """One scan, or the first of a cohort."""

    person: Person
    scanner: ScannerSettings
    image: ImageRequest
    output: OutputRequest
    phantom: CalibrationPhantom | None = None
    alone: bool = False
    """The phantom is scanned without a person."""
    labels: LabelRequest | None = None
    seed: int = 0


def read_settings(path: Path) -> dict[str, Any]:
    """Return the tables of a settings file; files that it names are found beside it.

    Raises
    ------
    InputError
        No such file, or no TOML.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(
            f"found no way to read {path.name} ({error.strerror}), expected settings in TOML; check the path"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"found settings that are no TOML in UTF-8 ({error}), expected both; correct {path.name}") from error
    labels = tables.get("labels")
    if isinstance(labels, dict):
        for key in ("file", "body"):
            if isinstance(labels.get(key), str) and labels[key] and not Path(labels[key]).is_absolute():
                labels[key] = str(path.parent / labels[key])
    return tables


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables with others put over them; ``None`` changes nothing."""
    out = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merged(out[key], value)
        elif isinstance(value, Mapping):
            out.setdefault(key, merged({}, value))  # what is no table already stays, to be refused
        elif value is not None:
            out[key] = value
    return out


def make_simulation(tables: Mapping[str, Any]) -> Simulation:
    """Return what tables ask for.

    Raises
    ------
    SettingsError
        Unknown tables or keys, values of the wrong kind, an unknown phantom, region or format.
    """
    unknown = sorted(set(tables) - set(TABLES))
    if unknown:
        raise SettingsError(f"found the settings {', '.join(unknown)}, expected {', '.join(TABLES)}; rename them")
    seed = tables.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
        raise SettingsError(f"found the seed {seed!r}, expected a whole number from 0 to {MOST_SEED}; change it")
    image = _record(ImageRequest, tables.get("image", {}), "image")
    output = _record(OutputRequest, tables.get("output", {}), "output")
    if image.region not in REGIONS:
        raise SettingsError(f"found the region {image.region!r}, expected one of {', '.join(REGIONS)}; choose one of these")
    if output.format not in FORMATS:
        raise SettingsError(f"found the format {output.format!r}, expected one of {', '.join(FORMATS)}; choose one of these")
    if output.header not in HEADERS:
        raise SettingsError(f"found the header {output.header!r}, expected one of {', '.join(HEADERS)}; choose one of these")
    if output.fault and output.format != "dicom":
        raise SettingsError("found a fault for a scan that is not a DICOM series, expected --format dicom; leave one of them out")
    if output.header != "complete" and output.format == "nifti":
        raise SettingsError(
            "found a poor or wrong header for NIfTI, which says nothing about a scan; expected a DICOM format; choose one"
        )
    labels = tables.get("labels")
    phantom, alone = _phantom(tables.get("phantom", {}))
    if labels is not None and phantom is not None:
        raise SettingsError("found a label map and a calibration phantom, expected one of them; leave one out")
    person = dict(_table(tables.get("person", {}), "person"))
    person["fractures"] = {
        level: _fracture(level, given) for level, given in _table(person.get("fractures", {}), "fractures").items()
    }
    return Simulation(
        person=_record(Person, {**person, "seed": person.get("seed", seed)}, "person"),
        scanner=_record(ScannerSettings, {"seed": seed, **_table(tables.get("scanner", {}), "scanner")}, "scanner"),
        image=image,
        output=output,
        phantom=phantom,
        alone=alone,
        labels=_labels(labels) if labels is not None else None,
        seed=seed,
    )


def as_tables(simulation: Simulation) -> dict[str, Any]:
    """Return the complete settings as tables that :func:`make_simulation` takes; unset values are left out."""
    phantom = simulation.phantom
    tables: dict[str, Any] = {
        "seed": simulation.seed,
        "scanner": asdict(simulation.scanner),
        "output": asdict(simulation.output),
    }
    if simulation.labels is not None:
        tables["labels"] = asdict(simulation.labels)
        return _given(tables)
    tables["image"] = asdict(simulation.image)
    if phantom is not None:
        tables["phantom"] = {**asdict(phantom), "alone": simulation.alone}
    if not simulation.alone:
        tables["person"] = simulation.person.as_tables()
    return _given(tables)


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _given(value) if isinstance(value, Mapping) else value for key, value in table.items() if value is not None}


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"found {name} = {value!r}, expected a table; write it as [{name}]")
    return value


def _record(kind: type[T], given: Any, name: str) -> T:
    """Return a record out of a plain table; what is absent keeps its default."""
    table = _table(given, name)
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise SettingsError(f"found {', '.join(unknown)} in [{name}], expected any of {', '.join(known)}; rename them")
    values: dict[str, Any] = {}
    for key, value in table.items():
        item = known[key]
        like = item.default_factory() if item.default_factory is not MISSING else item.default
        values[key] = _value(value, None if like is MISSING else like, f"{key} in [{name}]", str(item.type))
    return kind(**values)


def _value(value: Any, like: Any, name: str, kind: str) -> Any:
    """Return a value as its field holds it, refusing other kinds."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind.startswith(("Mapping", "dict")) and isinstance(value, Mapping):
        return value
    if kind.startswith("tuple"):
        whole, texts = kind.startswith("tuple[int"), kind.startswith("tuple[str")
        wanted = str if texts else int if whole else int | float
        length = None if texts else kind.split("]")[0].count(",") + 1
        listed = isinstance(value, list | tuple) and length in (None, len(value))
        if listed and all(isinstance(entry, wanted) and not isinstance(entry, bool) for entry in value):
            return tuple(value)
    elif isinstance(like, bool):
        if isinstance(value, bool):
            return value
    elif isinstance(like, str) or kind.startswith(("str", "Literal")):
        if isinstance(value, str):
            return value
    elif isinstance(like, int) and not isinstance(like, bool) and kind == "int":
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif number:
        return float(value)
    raise SettingsError(f"found {value!r} for {name}, expected {_in_words(kind)}; change it")


def _in_words(kind: str) -> str:
    """Return what a kind of value is called."""
    if kind.startswith("tuple[str"):
        return "a list of texts"
    if kind.startswith("tuple"):
        return f"a list of {kind.split(']')[0].count(',') + 1} {'whole ' if 'int' in kind else ''}numbers"
    words = {"str": "text", "Literal": "text", "bool": "true or false", "int": "a whole number", "float": "a number"}
    return next((word for start, word in words.items() if kind.startswith(start)), "a table")


def _fracture(level: str, given: Any) -> Fracture:
    table = given if isinstance(given, Mapping) else {}
    kind, loss = table.get("kind"), table.get("loss")
    known = kind in ("wedge", "biconcave", "crush") and set(table) == {"kind", "loss"}
    if not known or isinstance(loss, bool) or not isinstance(loss, int | float):
        raise SettingsError(
            f"found the fracture {given!r} of {level}, expected kind = wedge, biconcave or crush, and loss = a share of its height; "
            "on the command line L1:wedge:0.3"
        )
    return Fracture(kind, float(loss))  # type: ignore[arg-type]  # one of three, as was just seen


def _phantom(given: Any) -> tuple[CalibrationPhantom | None, bool]:
    """Return the phantom that a table names or describes, and whether it is scanned alone."""
    table = dict(_table(given, "phantom"))
    alone = table.pop("alone", None)
    if alone is not None and not isinstance(alone, bool):
        raise SettingsError(f"found alone = {alone!r} in [phantom], expected true or false; change it")
    if not table:
        if alone:
            raise SettingsError("found no phantom to scan alone, expected its name; give --phantom")
        return None, False
    name = table.pop("name", "phantom")
    if not isinstance(name, str):
        raise SettingsError(f"found the phantom {name!r}, expected its name as text; change it")
    if name.endswith(".toml") and not table:
        path = Path(name)
        table = read_settings(path)
        if "name" in table:
            table.pop("name")
        return phantom_from_table(path.stem, table), bool(alone)
    phantom = calibration_phantom(name) if not table else phantom_from_table(name, table)
    return phantom, bool(alone) or phantom.separate


def _labels(given: Any) -> LabelRequest:
    table = dict(_table(given, "labels"))
    if not isinstance(table.get("file"), str):
        raise SettingsError("found a table [labels] without a file, expected file = a label map; add it")
    request = _record(LabelRequest, table, "labels")
    parts_from_tables(request.parts)
    return request
