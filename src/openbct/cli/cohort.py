"""A cohort as observations: from the results of many runs, or from a table like ``batch.csv``.

One person gives one point at most for a site: of a hip the lowest strength and the lowest T-score of both sides, of a spine the mean
strength and the mean density of the levels that have both and stand for it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..assessment import DxaLine
from ..assessment.density import SITES as HIP_SITES
from ..assessment.density import t_score
from ..assessment.rules import rule_for
from ..errors import InputError, SettingsError
from ..records import SIMULATOR
from ..reference_building import Observation
from ..settings import to_tables
from .request import Request, make_settings

COLUMNS = ("scan", "bone", "sex", "strength_n")
DENSITIES = {
    "trabecular_vbmd": "trabecular_vbmd_mg_cm3", "femoral_neck_abmd": "femoral_neck_abmd_g_cm2", "total_hip_abmd": "total_hip_abmd_g_cm2",
}  # fmt: skip
"""Measure to its column."""
YOUNGEST = 20.0
"""Years: children are not on an adult's scale [design]."""


@dataclass(frozen=True)
class Cohort:
    """Who was measured with what."""

    protocol: str
    settings: Mapping[str, Any]
    """Plain tables of the protocol."""
    version: str
    observations: tuple[Observation, ...]
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bone:
    """What is needed of one bone of one person."""

    bone: str
    strength: float
    measures: Mapping[str, float]


def from_results(folder: Path) -> Cohort:
    """Return the cohort of a folder that holds one result folder for each person.

    Raises
    ------
    InputError
        No result, or a damaged one.
    SettingsError
        Results of several protocols or program versions.
    """
    from ..io import read_result

    found: list[Observation] = []
    kinds: dict[tuple[str, str], Mapping[str, Any]] = {}
    persons: set[str] = set()
    simulated = 0
    minerals: set[str] = set()
    twice = 0
    for path in sorted(folder.glob("*/result.json")):
        result = read_result(path.parent)
        try:
            kinds[(str(result["protocol"]), str(result["versions"]["openbct"]))] = result["settings"]
            simulated += _simulated(result)
            person = str(result["patient"].get("identifier") or result["input"]["sha256"])
            if person in persons:
                twice += 1
                continue
            persons.add(person)
            bones = _bones(result)
            minerals |= {one["mineral"] for one in result["bones"] if one.get("mineral")}
            found += _observations(result["patient"].get("sex"), result["patient"].get("age_years"), bones)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"found a result.json that is damaged ({type(error).__name__}), expected a whole one; analyse that scan again"
            ) from error
    _refuse_simulated(simulated)
    if len(minerals) > 1:
        raise SettingsError(
            f"found densities of {' and '.join(sorted(minerals))}, expected those of one mineral: thresholds of the two are not one another's"
        )
    if not kinds:
        raise InputError(
            "found no result.json one level below the given folder, expected one folder for each person; check the path"
        )
    if len(kinds) > 1:
        raise SettingsError(
            f"found results of {len(kinds)} protocols or program versions ({'; '.join(' by '.join(kind) for kind in sorted(kinds)[:4])}), expected one: "
            "a reference belongs to one recipe"
        )
    ((protocol, version), settings), *_ = kinds.items()
    cautions = (f"{twice} results were of a person who was there already, and were left out.",) if twice else ()
    return Cohort(protocol, settings, version, tuple(found), cautions)


def _simulated(result: Mapping[str, Any]) -> bool:
    """Return whether a result is of a simulated scan; results of earlier versions say it by their scanner alone."""
    scanner = result.get("acquisition", {})
    return bool(result["input"].get("simulated")) or (scanner.get("manufacturer"), scanner.get("model")) == SIMULATOR


def _refuse_simulated(count: int) -> None:
    if count:
        raise SettingsError(
            f"found {count} simulated scans in the cohort, expected scans of people: how strong a drawn bone is at a given density follows from how it "
            "was drawn, so that thresholds of it would be those of the drawing; leave simulated scans out"
        )


def _bones(result: Mapping[str, Any]) -> list[Bone]:
    """Return the bones of a result that have a strength and stand for their site."""
    left_out = result["assessment"].get("left_out", {})
    found = []
    for one in result["bones"]:
        if one["status"] == "refused" or one["strength_n"] is None or one["name"] in left_out:
            continue
        values = {name: float(measure["value"]) for name, measure in one["measures"].items() if measure["value"] is not None}
        found.append(Bone(str(one["name"]), float(one["strength_n"]), values))
    return found


def from_table(table: Path, protocol: str) -> Cohort:
    """Return the cohort of a CSV table with a row for each bone, as ``openbct batch`` writes it.

    Raises
    ------
    SettingsError
        The table cannot be read, lacks columns, or names another protocol.
    """
    from ..versions import versions

    settings = make_settings(Request(scan=table, out=table, protocol=protocol))
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = tuple(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(
            f"found a table that cannot be read ({type(error).__name__}), expected a CSV table in UTF-8; save it again"
        ) from error
    missing = [name for name in COLUMNS if name not in columns]
    if missing or not any(name in columns for name in DENSITIES.values()):
        raise SettingsError(
            f"found a table without {', '.join(missing) or 'a density'}, expected {', '.join(COLUMNS)} and any of {', '.join(DENSITIES.values())}"
        )
    others = {row["protocol"] for row in rows if row.get("protocol")} - {settings.title}
    if others:
        raise SettingsError(
            f"found rows of protocol {sorted(others)[0]!r}, expected {settings.title!r} alone: a reference belongs to one recipe"
        )
    _refuse_simulated(len({row["scan"] for row in rows if (row.get("simulated") or "").strip().lower() == "true"}))
    people: dict[str, list[tuple[dict[str, Any], int]]] = {}
    for number, row in enumerate(rows, start=2):
        if row.get("status") not in ("refused", "failed") and row.get("strength_n") and row["scan"] and row["bone"]:
            people.setdefault(row["scan"], []).append((row, number))
    found: list[Observation] = []
    for mine in people.values():
        first, line = mine[0]
        bones = [
            Bone(
                row["bone"],
                _number(row["strength_n"], "strength_n", number),
                {name: _number(row[column], column, number) for name, column in DENSITIES.items() if row.get(column)},
            )
            for row, number in mine
        ]
        age = _number(first["age_years"], "age_years", line) if first.get("age_years") else None
        found += _observations(first["sex"], age, bones)
    return Cohort(settings.title, to_tables(settings), versions()["openbct"], tuple(found), _version_doubt())


def _version_doubt() -> tuple[str, ...]:
    return ("A table does not say which version of the program made its strengths; this version was noted.",)


def _number(text: str, column: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingsError(f"line {line} of the table: found a {column} that is no number, expected one with a decimal point")
    return value


def _observations(sex: Any, age: Any, bones: Iterable[Bone]) -> list[Observation]:
    """Return what one person adds: at most one point for each site."""
    if sex not in ("F", "M") or (age is not None and float(age) < YOUNGEST):
        return []
    bones = [bone for bone in bones if math.isfinite(bone.strength) and bone.strength > 0]
    hips = [(bone.strength, _lowest_t(bone)) for bone in bones if bone.bone.startswith("femur")]
    scored = [(strength, score) for strength, score in hips if score is not None]
    years = None if age is None else float(age)
    found = []
    if scored:
        found.append(Observation("femur", sex, min(one for one, _ in scored), min(score for _, score in scored), years))
    rule = rule_for("spine_vbmd", sex)
    levels = rule.levels if rule is not None else ()
    spine = [
        (one.strength, one.measures["trabecular_vbmd"])
        for one in bones
        if one.bone in levels and "trabecular_vbmd" in one.measures
    ]
    if spine:
        strength, density = (sum(column) / len(spine) for column in zip(*spine))
        found.append(Observation("vertebra", sex, strength, density, years))
    return found


def _lowest_t(bone: Bone) -> float | None:
    scores = [t_score(name, bone.measures[name], DxaLine()) for name in HIP_SITES if name in bone.measures]
    return min(scores) if scores else None
