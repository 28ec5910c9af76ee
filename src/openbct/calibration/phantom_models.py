"""Calibration phantoms as their makers or certificates describe them: one data file for each model, the same table for a certificate."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

from ..errors import SettingsError
from ..records import Mineral

LIMITS = {
    "value_mg_cm3": (-200.0, 2000.0),
    "water_mg_cm3": (500.0, 1500.0),
    "spacing_mm": (8.0, 150.0),
    "diameter_mm": (6.0, 60.0),
}
"""What a certificate may say: a slip of a comma or a value in g/cm³ lies outside [design]."""
MARKS = {"S": "seen", "SC": "code", "C": "computed", "R": "recalled", "D": "design"}
_ROD = ("name", "value_mg_cm3", "water_mg_cm3")
_TEXTS = ("title", "source", "mark", "alike", "serial_number")
_CHOICES = {"mineral": ("K2HPO4", "CHA"), "place": ("below", "inside"), "layout": ("row", "column")}
_KNOWN = (*_TEXTS, *_CHOICES, "model", "serial", "rods", "spacing_mm", "diameter_mm")


@dataclass(frozen=True)
class RodValue:
    """What one rod is worth."""

    name: str
    value: float
    """[mg/cm³] of the phantom's mineral."""
    water: float | None = None
    """Water that goes with it in the maker's equivalence [mg/cm³]; ``None`` where the maker's equation has none."""


@dataclass(frozen=True)
class PhantomModel:
    """A calibration phantom."""

    name: str
    title: str
    mineral: Mineral
    rods: tuple[RodValue, ...]
    """In the order of their places; empty where no source gives values: a certificate must."""
    source: str
    mark: str
    """How sure the values are: ``"S"``, ``"SC"``, ``"R"``; ``"certificate"`` where the user gave them."""
    place: Literal["below", "inside"] = "below"
    """Under the body, or in a body of its own."""
    layout: Literal["row", "column"] = "row"
    """Side by side, or one behind the other along the table."""
    serial: bool = False
    """Each phantom has values of its own, so that those of another are a guess."""
    spacing: float | None = None
    """Between the axes of neighbours [mm]; ``None``: no source, any equal spacing will do."""
    diameter: float | None = None
    """[mm]; ``None``: no source."""
    alike: str = ""
    """A model that looks the same in the image and has other values."""
    serial_number: str = ""

    @property
    def certified(self) -> bool:
        """Whether the values are those of a certificate that the user gave."""
        return self.mark == "certificate"


def phantom_names() -> tuple[str, ...]:
    """Return the names of the models that are built in."""
    folder = resources.files("openbct").joinpath("data", "phantoms")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


@cache
def load_phantom(name: str) -> PhantomModel:
    """Return a built-in model.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    if name not in phantom_names():
        raise SettingsError(
            f"found calibration phantom {name!r}, expected auto or one of {', '.join(phantom_names())}; for another one give its "
            "certificate (--phantom-certificate)"
        )
    text = resources.files("openbct").joinpath("data", "phantoms", f"{name}.toml").read_text(encoding="utf-8")
    return _build(name, tomllib.loads(text), "data file")


def certified_phantom(table: Mapping[str, Any]) -> PhantomModel:
    """Return the phantom that a certificate describes; what it leaves open is that of its ``model``.

    Raises
    ------
    SettingsError
        An unknown key, a value out of range, or nothing that says what the rods are worth.
    """
    where = "the phantom's certificate"
    _check_keys(table, where)
    name = table.get("model")
    if not table.get("rods"):
        raise SettingsError(
            f"found {where} without rods, expected [[rods]] with name and value_mg_cm3, in the order of their places"
        )
    if name is None:
        missing = [key for key in ("title", "mineral") if key not in table]
        if missing:
            raise SettingsError(f"found {where} without {' and '.join(missing)}, expected them, or the model that it belongs to")
        return _build("certificate", {**table, "mark": "certificate"}, where)
    base = load_phantom(str(name))
    own = {"title": base.title, "mineral": base.mineral, "place": base.place, "layout": base.layout, "source": "certificate"}
    given = _build(base.name, {**own, **table, "mark": "certificate"}, where)
    if base.rods and len(base.rods) != len(given.rods):
        raise SettingsError(
            f"found {len(given.rods)} rods in {where}, expected the {len(base.rods)} of a {base.title}; give every rod, in the order of places"
        )
    return replace(given, spacing=given.spacing or base.spacing, diameter=given.diameter or base.diameter)


def _build(name: str, table: Mapping[str, Any], where: str) -> PhantomModel:
    _check_keys(table, where)
    rods = tuple(_rod(entry, where) for entry in table.get("rods", ()))
    waters = {rod.water is None for rod in rods}
    if len(waters) > 1:
        raise SettingsError(f"found water_mg_cm3 for some rods of {where} only, expected it for all or for none; complete it")
    if len({rod.name for rod in rods}) != len(rods):
        raise SettingsError(f"found two rods of one name in {where}, expected different names; rename one")
    if len(rods) == 1 or len({rod.value for rod in rods}) == 1:
        raise SettingsError(f"found rods of one value in {where}, expected at least two different ones; one value is no line")
    return PhantomModel(
        name=name,
        title=str(table["title"]),
        mineral="CHA" if table["mineral"] == "CHA" else "K2HPO4",
        rods=rods,
        source=str(table.get("source", "certificate")),
        mark=str(table.get("mark", "certificate")),
        place="inside" if table.get("place") == "inside" else "below",
        layout="column" if table.get("layout") == "column" else "row",
        serial=bool(table.get("serial", False)),
        spacing=table.get("spacing_mm"),
        diameter=table.get("diameter_mm"),
        alike=str(table.get("alike", "")),
        serial_number=str(table.get("serial_number", "")),
    )


def _check_keys(table: Mapping[str, Any], where: str) -> None:
    unknown = [key for key in table if key not in _KNOWN]
    if unknown:
        raise SettingsError(
            f"found unknown {', '.join(map(repr, unknown))} in {where}, expected among {', '.join(_KNOWN)}; correct it"
        )
    for key, choices in _CHOICES.items():
        if key in table and table[key] not in choices:
            raise SettingsError(f"found {key} = {table[key]!r} in {where}, expected one of {', '.join(choices)}")
    for key in _TEXTS:
        if key in table and not isinstance(table[key], str):
            raise SettingsError(f"found {key} = {table[key]!r} in {where}, expected a text")
    if not isinstance(table.get("rods", []), list | tuple):
        raise SettingsError(f"found rods = {table['rods']!r} in {where}, expected [[rods]], one table for each")
    for key in ("spacing_mm", "diameter_mm"):
        if key in table:
            _number(key, table[key], where)


def _rod(entry: Any, where: str) -> RodValue:
    if not isinstance(entry, Mapping) or not {"name", "value_mg_cm3"} <= set(entry) or set(entry) - set(_ROD):
        raise SettingsError(f"found a rod {entry!r} in {where}, expected name, value_mg_cm3 and, for Mindways, water_mg_cm3")
    water = entry.get("water_mg_cm3")
    return RodValue(
        str(entry["name"]),
        _number("value_mg_cm3", entry["value_mg_cm3"], where),
        None if water is None else _number("water_mg_cm3", water, where),
    )


def _number(key: str, value: Any, where: str) -> float:
    low, high = LIMITS[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise SettingsError(f"found {key} = {value!r} in {where}, expected a number from {low:g} to {high:g}; check the unit")
    return float(value)
