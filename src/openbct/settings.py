"""What a run is asked to do: one TOML protocol, defaults < file < flags, parsed into frozen records.

``cli`` builds the settings, ``plan`` turns them into values, ``pipeline`` carries them to the result; no stage sees them. An unknown key or a value out of
range stops the run before any work is done.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from typing import Any

from .errors import SettingsError


@dataclass(frozen=True)
class CalibrationSettings:
    """How HU become mineral density."""

    method: str = "phantomless"
    """``"phantomless"``, ``"fixed"``, ``"given"`` or ``file.py:OBJECT``."""
    mineral: str = "K2HPO4"
    slope_mg_cm3_per_hu: float | None = None
    """For ``"fixed"``, with the intercept."""
    intercept_mg_cm3: float | None = None
    energy_kev: float | None = None
    """For ``"phantomless"``: effective energy of a monoenergetic image, or one known better than from the tube voltage."""
    min_tissues: int | None = None
    """For ``"phantomless"``: fewer usable references refuse; ``None`` leaves it to the method."""


@dataclass(frozen=True)
class VertebraSettings:
    """The vertebral compression test."""

    material: str
    voxel_mm: float
    cap_mm: float
    superior: str
    strength_strain: float
    strains: tuple[float, ...]
    yield_criterion: str
    bbar: bool


@dataclass(frozen=True)
class FemurSettings:
    """The sideways fall on one hip."""

    material: str
    voxel_mm: float
    adduction_deg: float
    internal_rotation_deg: float
    strength_strain: float
    strains: tuple[float, ...]
    yield_criterion: str
    bbar: bool


@dataclass(frozen=True)
class RunSettings:
    """Which bones, with how many threads, on which scale."""

    bones: tuple[str, ...] = ("auto",)
    threads: int = 0
    scale: str = "provisional"


@dataclass(frozen=True)
class Settings:
    """One protocol."""

    name: str
    version: str
    calibration: CalibrationSettings
    vertebra: VertebraSettings
    femur: FemurSettings
    run: RunSettings

    @property
    def title(self) -> str:
        """Name and version, as results carry it."""
        return f"{self.name} {self.version}"


_RANGES: dict[str, tuple[float, float]] = {
    "voxel_mm": (0.2, 4.0),
    "cap_mm": (2.0, 20.0),
    "adduction_deg": (-60.0, 60.0),
    "internal_rotation_deg": (-60.0, 60.0),
    "strength_strain": (0.001, 0.1),
    "threads": (0, 256),
    "slope_mg_cm3_per_hu": (0.3, 1.5),
    "intercept_mg_cm3": (-200.0, 200.0),
    "energy_kev": (40.0, 150.0),
    "min_tissues": (2, 4),
}
_WHOLE = ("threads", "min_tissues")
_ONLY_FOR = {
    "slope_mg_cm3_per_hu": "fixed",
    "intercept_mg_cm3": "fixed",
    "energy_kev": "phantomless",
    "min_tissues": "phantomless",
}
"""Numbers of the calibration that one method alone reads."""
_BONES = ("auto", *(f"T{n}" for n in range(1, 14)), *(f"L{n}" for n in range(1, 7)), "femur_left", "femur_right")
"""Names that can be asked for; what is in a scan, the scan says."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "superior": ("free", "bonded"),
    "mineral": ("K2HPO4", "CHA"),
    "yield_criterion": ("von_mises", "paraboloid", "mohr_coulomb"),
    "scale": ("provisional",),
}


def protocol_names() -> tuple[str, ...]:
    """Return the names of the protocols that are built in."""
    folder = resources.files("openbct") / "data" / "protocols"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def built_in(name: str = "default") -> Settings:
    """Return a built-in protocol.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    if name not in protocol_names():
        raise SettingsError(f"found protocol {name!r}, expected one of {', '.join(protocol_names())} or a file ending in .toml")
    text = (resources.files("openbct") / "data" / "protocols" / f"{name}.toml").read_text(encoding="utf-8")
    return _build(tomllib.loads(text), name)


def parse(text: str, where: str, base: Settings | None = None) -> Settings:
    """Return the protocol in ``text`` (TOML), its gaps filled from ``base`` (the built-in default)."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where} is not TOML ({error}); compare with `openbct protocols --show default`") from error
    base = base or built_in()
    if "name" not in table:  # other newtons must not carry the default's name
        table = {"name": f"{base.name}, changed by {where}", **table}
    return override(base, table, where)


def override(settings: Settings, changes: Mapping[str, Any], where: str) -> Settings:
    """Return ``settings`` with nested tables of ``changes`` put over it.

    Where the method of calibration changes, the numbers of the former method go with it.
    """
    merged: dict[str, Any] = to_tables(settings)
    asked = changes.get("calibration")
    if isinstance(asked, Mapping) and "method" in asked:
        kept = merged["calibration"].items()
        merged["calibration"] = {k: v for k, v in kept if _ONLY_FOR.get(k, asked["method"]) == asked["method"]}
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return _build(merged, where)


def to_tables(settings: Settings) -> dict[str, Any]:
    """Return plain tables, as a protocol file has them; keys without a value are left out."""
    tables = asdict(settings)
    return {
        key: {k: list(v) if isinstance(v, tuple) else v for k, v in value.items() if v is not None}
        if isinstance(value, dict)
        else value
        for key, value in tables.items()
    }


def with_bones(settings: Settings, bones: tuple[str, ...]) -> Settings:
    """Return ``settings`` for these bones."""
    return replace(settings, run=replace(settings.run, bones=bones))


_SECTIONS: dict[str, type] = {
    "calibration": CalibrationSettings,
    "vertebra": VertebraSettings,
    "femur": FemurSettings,
    "run": RunSettings,
}


def _build(tables: Mapping[str, Any], where: str) -> Settings:
    _known(tables, (*_SECTIONS, "name", "version"), where, "")
    sections = {key: _section(key, kind, tables.get(key, {}), where) for key, kind in _SECTIONS.items()}
    settings = Settings(name=str(tables.get("name", "unnamed")), version=str(tables.get("version", "0")), **sections)
    for test in (settings.vertebra, settings.femur):
        if test.strength_strain not in test.strains or list(test.strains) != sorted(set(test.strains)):
            raise SettingsError(
                f"{where}: found strains {list(test.strains)}, expected rising values that contain strength_strain {test.strength_strain}"
            )
    _check_calibration(settings.calibration, where)
    return settings


def _check_calibration(asked: CalibrationSettings, where: str) -> None:
    if asked.method == "fixed" and (asked.slope_mg_cm3_per_hu is None or asked.intercept_mg_cm3 is None):
        raise SettingsError(f'{where}: calibration "fixed" needs slope_mg_cm3_per_hu and intercept_mg_cm3; give both')
    for key, method in _ONLY_FOR.items():
        if getattr(asked, key) is not None and asked.method != method:
            raise SettingsError(
                f'{where}: found {key} = {getattr(asked, key):g} beside calibration method "{asked.method}", which does not read it; '
                f'expected it beside "{method}" only: change the method or leave the number out'
            )


def _section(name: str, kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where}: found {name} = {table!r}, expected a table [{name}]")
    known = [f.name for f in fields(kind)]
    _known(table, known, where, f"[{name}] ")
    values = {key: _value(f"[{name}] {key}", key, value, where) for key, value in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        missing = sorted(set(known) - set(values))
        raise SettingsError(f"{where}: [{name}] lacks {', '.join(missing)}; give them") from error


def _known(table: Mapping[str, Any], known: Any, where: str, section: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise SettingsError(f"{where}: found unknown setting {section}{key}; {hint}")


def _value(label: str, key: str, value: Any, where: str) -> Any:
    """Return a checked value: numbers in range, names among the choices, lists as tuples of one type."""
    default_types: dict[str, type] = {"bbar": bool, "threads": int, "bones": tuple, "strains": tuple}
    if isinstance(value, list):
        value = tuple(float(v) if isinstance(v, int | float) and not isinstance(v, bool) else v for v in value)
    numeric = key in _RANGES
    if numeric:
        low, high = _RANGES[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise SettingsError(f"{where}: found {label} = {value!r}, expected a number from {low:g} to {high:g}")
        if key in _WHOLE and value != int(value):
            raise SettingsError(f"{where}: found {label} = {value!r}, expected a whole number from {low:g} to {high:g}")
        return int(value) if key in _WHOLE else float(value)
    if key in _CHOICES and value not in _CHOICES[key]:
        raise SettingsError(f"{where}: found {label} = {value!r}, expected one of {', '.join(_CHOICES[key])}")
    expected = default_types.get(key, str)
    if not isinstance(value, expected):
        raise SettingsError(f"{where}: found {label} = {value!r}, expected {expected.__name__}")
    if key == "strains" and isinstance(value, tuple) and not all(isinstance(v, float) and 0 < v <= 0.2 for v in value):
        raise SettingsError(f"{where}: found {label} = {list(value)}, expected numbers above 0 and up to 0.2")
    if isinstance(value, tuple) and not value:
        raise SettingsError(f"{where}: found an empty {label}, expected at least one entry")
    if key == "bones" and isinstance(value, tuple) and value != ("auto",):
        _check_bones(label, value, where)
    return value


def _check_bones(label: str, bones: tuple[Any, ...], where: str) -> None:
    for bone in bones:
        if bone not in _BONES[1:]:
            near = difflib.get_close_matches(str(bone), _BONES, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near and near[0] != bone else ""
            raise SettingsError(
                f"{where}: found {label} {bone!r}, expected auto alone, or names among T1 to L6, femur_left, femur_right{hint}"
            )
