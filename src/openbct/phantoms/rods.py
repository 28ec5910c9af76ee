"""Calibration phantoms: rods of known density under a body, or in a phantom of their own.

What a rod reads is never set: each rod is a material, and its HU follow from the beam as those of every tissue do.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, partial
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import SettingsError
from .canvas import Canvas
from .shapes import Coordinates, Field
from .tissues import TISSUES, Tissue, from_formula

Array = np.ndarray

FIRST_LABEL = 201
"""Integer of the first rod in label maps, above those of all structures."""
SALT_AS_APATITE = 0.96
"""K2HPO4 attenuates like this much hydroxyapatite: 0.944 to 0.977 from 40 to 100 keV [C, from tabulated coefficients]. Only for what the
rods do to rays elsewhere; what they read follows from their own composition."""
PAD_MM = 3.0
"""Between back and phantom: a gel pad without air [D]."""


@dataclass(frozen=True)
class CalibrationPhantom:
    """A phantom: values, their source, sizes [mm]."""

    name: str
    title: str
    unit: str
    """``"K2HPO4"`` or ``"CHA"``."""
    rods: Mapping[str, float]
    """Name to value [mg/cm³], in the order of their places."""
    source: str
    mark: str
    """How sure the values are: ``"S"``, ``"SC"``, ``"R"``, or ``"user"``."""
    rod_radius: float
    rod_distance: float
    """Between the axes of neighbours."""
    water: tuple[float, ...] = ()
    """Water of each phosphate rod [mg/cm³]."""
    density: tuple[float, ...] = ()
    """Mass of each apatite rod over volume [g/cm³]; empty where apatite displaces its own volume of a water-like base."""
    width: float = 0.0
    height: float = 0.0
    """Of the slab that lies under a body."""
    separate: bool = False
    """Whether it is never scanned with a body."""
    body: tuple[float, float] = (0.0, 0.0)
    """Axes of the oval, water-like body of a separate phantom."""
    stacked: bool = False
    """Rods stand one above the other along the table, each ``rod_length`` long, rather than side by side."""
    rod_length: float = 0.0
    shell: tuple[float, ...] = ()
    """Thickness of a dense wall around each rod."""
    shell_density: float = 0.0
    """[mg/cm³]"""

    def material(self, number: int) -> Tissue:
        """Return what a rod attenuates like. An equivalence may hold a negative share; attenuation adds up all the same."""
        value = list(self.rods.values())[number]
        if self.unit == "K2HPO4":
            salt = from_formula({"K": 2, "H": 1, "P": 1, "O": 4}, 1.0)
            return _by_mass({"water": self.water[number]}, salt, value)
        if self.density:
            return _by_mass({"water": 1000.0 * self.density[number] - value}, TISSUES["hydroxyapatite"], value)
        return apatite_in_water(value)


@dataclass(frozen=True)
class Rod:
    """A rod as it lies in a scan."""

    name: str
    label: int
    value: float
    """[mg/cm³] of ``unit``."""
    unit: str
    water: float | None
    """Of a phosphate rod's equivalence [mg/cm³]."""
    start: tuple[float, float, float]
    """Ends of the axis, patient LPS [mm]."""
    end: tuple[float, float, float]
    radius: float
    """[mm]"""
    hu: float
    """In the effective beam, before hardening, scatter, blur and noise."""


def apatite_in_water(value: float) -> Tissue:
    """Return apatite [mg/cm³] that displaces its own volume of water."""
    grain = TISSUES["hydroxyapatite"]
    return _by_mass({"water": 1000.0 * (1.0 - value / (1000.0 * grain.density))}, grain, value)


def _by_mass(parts: Mapping[str, float], salt: Tissue, value: float) -> Tissue:
    """Return the material with masses over volume of named tissues and of a salt [mg/cm³]."""
    total = sum(parts.values()) + value
    fractions: dict[str, float] = {}
    for tissue, mass in (*((TISSUES[name], mass) for name, mass in parts.items()), (salt, value)):
        for symbol, share in tissue.fractions.items():
            fractions[symbol] = fractions.get(symbol, 0.0) + share * mass / total
    return Tissue(fractions, total / 1000.0)


@cache
def _packaged() -> Mapping[str, CalibrationPhantom]:
    text = resources.files(__package__).joinpath("calibration_phantoms.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: phantom_from_table(name, table) for name, table in tomllib.loads(text).items()})


def calibration_phantoms() -> Mapping[str, CalibrationPhantom]:
    """Return the phantoms whose values have a source, by name."""
    return _packaged()


def calibration_phantom(name: str) -> CalibrationPhantom:
    """Return a packaged phantom.

    Raises
    ------
    SettingsError
        An unknown name.
    """
    if name not in _packaged():
        raise SettingsError(
            f"found the calibration phantom {name!r}, expected one of {', '.join(_packaged())}, or a TOML file with the values of its "
            "certificate; choose one of these"
        )
    return _packaged()[name]


def phantom_from_table(name: str, table: Mapping[str, Any]) -> CalibrationPhantom:
    """Return a phantom from a plain table, as ``calibration_phantoms.toml`` holds them.

    Raises
    ------
    SettingsError
        Unknown or missing keys, values of the wrong kind or number.
    """
    known = {item.name for item in fields(CalibrationPhantom)} - {"name"}
    needed = {"title", "unit", "rods", "rod_radius", "rod_distance"}
    if set(table) - known or needed - set(table) or not isinstance(table["rods"], Mapping):
        raise SettingsError(
            f"found a calibration phantom with the keys {', '.join(sorted(table))}, expected {', '.join(sorted(needed))} and any of "
            f"{', '.join(sorted(known - needed))}; correct the table {name}"
        )
    _check_kinds(name, table)
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    phantom = CalibrationPhantom(name=name, **({"source": "given by the user", "mark": "user"} | values))
    _check(phantom)
    return phantom


def _check_kinds(name: str, table: Mapping[str, Any]) -> None:
    """Refuse values that no field of a phantom can hold."""

    def number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))

    wrong = []
    for key, value in table.items():
        if key in ("title", "unit", "source", "mark"):
            good = isinstance(value, str)
        elif key in ("separate", "stacked"):
            good = isinstance(value, bool)
        elif key == "rods":
            good = all(number(entry) for entry in value.values())
        elif key in ("water", "density", "shell", "body"):
            good = isinstance(value, list | tuple) and all(number(entry) for entry in value)
        else:
            good = number(value)
        if not good or (key == "body" and len(value) != 2):
            wrong.append(key)
    if wrong:
        raise SettingsError(
            f"found the phantom {name} with {', '.join(f'{key} = {table[key]!r}' for key in wrong)}, expected numbers, lists of them (two for "
            "body), texts for title and unit, true or false for separate and stacked; correct it"
        )


def _check(phantom: CalibrationPhantom) -> None:
    n = len(phantom.rods)
    if phantom.unit not in ("K2HPO4", "CHA") or not 1 <= n <= 20:
        raise SettingsError(
            f"found the phantom {phantom.name} with {n} rods in {phantom.unit!r}, expected 1 to 20 rods in K2HPO4 or CHA; correct it"
        )
    counts = {"water": phantom.water, "density": phantom.density, "shell": phantom.shell}
    bad = [key for key, given in counts.items() if given and len(given) != n]
    if bad or (phantom.unit == "K2HPO4" and not phantom.water):
        raise SettingsError(
            f"found the phantom {phantom.name} with {n} rods and another number of values for {', '.join(bad) or 'water'}, expected one for "
            "each rod (phosphate rods have a water value on their certificate); add them"
        )
    across = phantom.rod_distance * (0 if phantom.stacked else n - 1) + 2 * phantom.rod_radius
    deep, wide = (phantom.body[1], phantom.body[0]) if phantom.separate else (phantom.height, phantom.width)
    apart = n == 1 or phantom.stacked or phantom.rod_distance >= 2 * phantom.rod_radius
    if not (1 <= phantom.rod_radius <= 60 and apart and across <= wide <= 450 and 2 * phantom.rod_radius <= deep <= 400):
        raise SettingsError(
            f"found the phantom {phantom.name} of {wide:g} x {deep:g} mm with rods of {phantom.rod_radius:g} mm radius every "
            f"{phantom.rod_distance:g} mm, expected rods that fit into it side by side; correct the sizes"
        )
    low, high = (-200.0, 1500.0) if phantom.unit == "K2HPO4" else (0.0, 2000.0)
    if not all(low <= value <= high for value in phantom.rods.values()):
        raise SettingsError(
            f"found rods of {dict(phantom.rods)} mg/cm3, expected {low:g} to {high:g}; correct the table {phantom.name}"
        )


def paint_slab(canvas: Canvas, phantom: CalibrationPhantom, top: float, *, true_size: float = 1.0) -> None:
    """Paint pad, slab and rods under a back at ``top`` [mm], in the canvas' own coordinates, where lengths are the patient's over
    ``true_size``."""
    low, middle = _depths(phantom, top, true_size)
    half = phantom.width / 2 / true_size

    def box(points: Coordinates, upper: float, lower: float) -> Field:
        x, y, _ = points
        across = np.maximum(np.abs(x) - np.float32(half), np.maximum(np.float32(upper) - y, y - np.float32(lower)))
        return np.asarray(across + 0 * points[2])

    bounds = (np.array([-half - 3, top - 3, -1e4]), np.array([half + 3, low + 3, 1e4]))
    pad = PAD_MM / true_size
    canvas.paint(partial(box, upper=top, lower=top + pad), bounds, (0, "soft_organ", 0))
    canvas.paint(partial(box, upper=top + pad, lower=low), bounds, (0, "water", 0))
    for number, x in enumerate(_places(phantom)):
        _paint_rod(canvas, phantom, number, (x / true_size, middle), (-1e4, 1e4), true_size)


def slab_height(phantom: CalibrationPhantom) -> float:
    """Return by how much the table lies deeper with a phantom on it [mm]."""
    return phantom.height + PAD_MM


def slab_rods(canvas: Canvas, phantom: CalibrationPhantom, top: float, *, true_size: float = 1.0) -> tuple[Rod, ...]:
    """Return the rods that :func:`paint_slab` paints, in patient LPS; ``canvas`` is at its true size, ``top`` is not."""
    _, middle = _depths(phantom, top, true_size)
    low, high = _ends(canvas)
    return tuple(_rod(canvas, phantom, number, (x, middle * true_size), (low, high)) for number, x in enumerate(_places(phantom)))


def paint_separate(canvas: Canvas, phantom: CalibrationPhantom) -> tuple[Rod, ...]:
    """Paint the rods of a separate phantom around the origin and return them."""
    rods = []
    ends = _ends(canvas)
    for number, place in enumerate(_places(phantom)):
        half = phantom.rod_length / 2
        where, along = ((0.0, 0.0), (place - half, place + half)) if phantom.stacked else ((place, 0.0), ends)
        _paint_rod(canvas, phantom, number, where, along if phantom.stacked else (-1e4, 1e4), 1.0)
        rods.append(_rod(canvas, phantom, number, where, along))
    return tuple(rods)


def _depths(phantom: CalibrationPhantom, top: float, true_size: float) -> tuple[float, float]:
    """Return lower face and axis of a slab, in the canvas' coordinates."""
    upper = top + PAD_MM / true_size
    return upper + phantom.height / true_size, upper + phantom.height / 2 / true_size


def _places(phantom: CalibrationPhantom) -> Float[Array, " n"]:
    """Return the places of the rods along their row, around the middle [mm]."""
    n = len(phantom.rods)
    return np.asarray(phantom.rod_distance * (np.arange(n) - (n - 1) / 2))


def _ends(canvas: Canvas) -> tuple[float, float]:
    """Return where the image begins and ends along z [mm]."""
    low, step = float(canvas.affine[2, 3]), float(canvas.spacing[2])
    return low - step / 2, low + step * (canvas.hu.shape[2] - 0.5)


def _rod(canvas: Canvas, phantom: CalibrationPhantom, number: int, where: tuple[float, float], along: tuple[float, float]) -> Rod:
    name, value = list(phantom.rods.items())[number]
    return Rod(
        name, FIRST_LABEL + number, value, phantom.unit, phantom.water[number] if phantom.water else None, (*where, along[0]),
        (*where, along[1]), phantom.rod_radius, canvas.beam.hounsfield(phantom.material(number)),
    )  # fmt: skip


def _paint_rod(
    canvas: Canvas,
    phantom: CalibrationPhantom,
    number: int,
    where: tuple[float, float],
    along: tuple[float, float],
    true_size: float,
) -> None:
    """Paint one rod along z, with its wall."""
    value, wall = list(phantom.rods.values())[number], phantom.shell[number] if phantom.shell else 0.0

    def cylinder(points: Coordinates, radius: float, more: float) -> Field:
        x, y, z = points
        aside = np.sqrt((x - np.float32(where[0])) ** 2 + (y - np.float32(where[1])) ** 2) - np.float32(radius)
        ends = np.maximum(np.float32(along[0] - more) - z, z - np.float32(along[1] + more))
        return np.asarray(np.maximum(aside, ends))

    radius = phantom.rod_radius / true_size
    reach = radius + wall + 3
    bounds = (np.array([where[0] - reach, where[1] - reach, along[0] - wall - 3]),
              np.array([where[0] + reach, where[1] + reach, along[1] + wall + 3]))  # fmt: skip
    if wall > 0:
        shape = partial(cylinder, radius=radius + wall, more=wall)
        canvas.paint(shape, bounds, (0, apatite_in_water(phantom.shell_density), 0), mineral=phantom.shell_density)
    as_apatite = value if phantom.unit == "CHA" else SALT_AS_APATITE * max(value, 0.0)
    shape = partial(cylinder, radius=radius, more=0.0)
    canvas.paint(shape, bounds, (0, phantom.material(number), FIRST_LABEL + number), mineral=as_apatite)
