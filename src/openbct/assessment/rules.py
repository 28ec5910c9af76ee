"""The rules: one row for each measure and sex in ``data/thresholds.toml``, and the rows that a population's profile puts in their place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ..errors import SettingsError
from ..records import Mark, Reference

CLASSES = ("osteoporosis", "low bone mass", "normal")
"""Of density, from worst to best."""
RISKS = ("high", "increased", "not increased")
"""The combined class, from worst to best."""
MARKS: tuple[Mark, ...] = ("seen", "code", "computed", "recalled", "design")
DEFAULT = "default"


@dataclass(frozen=True)
class Rule:
    """One row: where the classes of a measure begin and end."""

    measure: str
    """``"hip_t_score"``, ``"spine_vbmd"``, ``"femoral_strength"``, ``"vertebral_strength"``."""
    low: float
    """The worst class at or below."""
    high: float
    """The best class at or above."""
    classes: tuple[str, str, str]
    """From worst to best."""
    levels: tuple[str, ...]
    """Vertebrae that count; empty for the hip."""
    reference: Reference

    @property
    def cuts(self) -> tuple[float, float]:
        """Both thresholds, rising."""
        return (self.low, self.high)

    def classify(self, value: float) -> str:
        """Return the class of a value as printed: both thresholds belong to the outer classes."""
        return self.classes[rank_of(value, self.cuts)]


def rank_of(value: float, cuts: Sequence[float]) -> int:
    """Return 0 for the worst class, 1 for the middle one, 2 for the best."""
    return 0 if value <= cuts[0] else 2 if value >= cuts[1] else 1


def rule_for(measure: str, sex: str | None, profile: str = DEFAULT) -> Rule | None:
    """Return the row for a measure and a sex; ``None`` where there is none, as for a strength of unknown sex.

    Raises
    ------
    SettingsError
        There is no such profile.
    """
    rows = [*_profile_rows(profile), *thresholds()["class"]]
    for row in rows:
        if row["measure"] == measure and (sex in tuple(row["sex"]) or (sex not in ("F", "M") and row["sex"] == "FM")):
            return _rule(row)
    return None


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles, the default first."""
    return (DEFAULT, *sorted(thresholds()["profile"]))


def _profile_rows(profile: str) -> list[Mapping[str, Any]]:
    if profile not in profile_names():
        raise SettingsError(f"found the profile {profile!r}, expected one of {', '.join(profile_names())}; change it")
    return [] if profile == DEFAULT else list(thresholds()["profile"][profile]["class"])


def _rule(row: Mapping[str, Any]) -> Rule:
    classes = (str(row["worst"]), str(row["middle"]), str(row["best"]))
    return Rule(row["measure"], float(row["low"]), float(row["high"]), classes, tuple(row.get("levels", ())), reference_of(row))


def reference_of(entry: Mapping[str, Any]) -> Reference:
    """Return the source of a table's entry."""
    return Reference(entry["source"], next(mark for mark in MARKS if mark == entry["mark"]))


@cache
def thresholds() -> dict[str, Any]:
    """Return the threshold table of the package."""
    return tomllib.loads(resources.files("openbct").joinpath("data", "thresholds.toml").read_text(encoding="utf-8"))
