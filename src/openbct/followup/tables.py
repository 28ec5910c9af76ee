"""What ``data/followup.toml`` says: rules, precision, what no bone does, what treatments did."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ..records import Mark, Reference
from ..visits import Effect, Outcome


@dataclass(frozen=True)
class Rule:
    """One row of the rules."""

    name: str
    title: str
    outcome: Outcome
    unknown: Outcome
    """Where a value is not known."""
    effect: str
    limit: float
    """Of a ratio; infinite where any difference counts."""
    reference: Reference


@dataclass(frozen=True)
class Precision:
    """Least significant change of one quantity, stated [%]."""

    same: float
    routine: float
    uncontrolled: float
    alone: float
    """Factor for one level, where the source speaks of a mean."""
    reference: Reference


def site_of(bone: str) -> str:
    """Return the kind of a bone."""
    return "femur" if bone.startswith("femur") else "vertebra"


@cache
def _tables() -> Mapping[str, Any]:
    text = resources.files("openbct").joinpath("data", "followup.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _reference(row: Mapping[str, Any]) -> Reference:
    mark: Mark = row["mark"]
    return Reference(row["source"], mark)


def rules() -> Mapping[str, Rule]:
    """Return the rules by name."""
    return {
        name: Rule(
            name, row["title"], row["outcome"], row["unknown"], row["effect"], float(row.get("limit", "inf")), _reference(row)
        )
        for name, row in _tables()["rule"].items()
    }


def precision(site: str, quantity: str) -> Precision | None:
    """Return the stated precision of a quantity; ``None`` where no row speaks of it."""
    for row in _tables()["precision"]:
        if row["site"] == site and quantity in row["quantities"]:
            return Precision(row["same"], row["routine"], row["uncontrolled"], row.get("alone", 1.0), _reference(row))
    return None


def repeat(site: str) -> float:
    """Return one standard deviation of a strength's test on the same bone in another scan [-]."""
    return float(_tables()["repeat"][site])


def explained(site: str) -> tuple[float, float]:
    """Return the power of density that a strength follows, and the difference of logarithms from which a change is none of the bone's."""
    table = _tables()["unexplained"]
    return float(table[site]), float(table["limit"])


def implausible(site: str, quantity: str) -> float | None:
    """Return the change in a year that no bone makes [%]."""
    rows = (row for row in _tables()["implausible"] if row["site"] == site and row["quantity"] == quantity)
    return next((float(row["percent_per_year"]) for row in rows), None)


def effects(site: str) -> tuple[Effect, ...]:
    """Return the published mean changes at a site."""
    return tuple(
        Effect(
            row["treatment"],
            row["months"],
            row["site"],
            row["quantity"],
            float(row["percent"]),
            row.get("note", ""),
            _reference(row),
        )
        for row in _tables()["effect"]
        if row["site"] == site
    )
