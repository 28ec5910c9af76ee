"""Published densities over age, and where the patient stands.

Curves are those of the asked population, or, where none was asked for, of every population of the table: nobody's is assumed. A strength has no published
curve in the newtons of our recipes.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from ..records import AgeCurve, Finding, Patient
from .eligibility import known_age
from .rules import reference_of

WIDEST = 10.0
"""A last group without an end is drawn as wide as a decade [years]."""
HIP = ("femoral_neck_abmd", "total_hip_abmd")


def age_curves(findings: Sequence[Finding], patient: Patient, population: str | None) -> tuple[AgeCurve, ...]:
    """Return the curves of each density that was found; of both hips the lower value stands on it."""
    age = known_age(patient)
    if age is None or patient.sex not in ("F", "M"):
        return ()
    spine = [finding for finding in findings if finding.quantity == "trabecular_vbmd" and math.isfinite(finding.value)]
    curves = list(_curves(spine, _table("norms_spine.toml"), patient.sex, age, population))
    for quantity in HIP:
        hips = sorted(
            (one for one in findings if one.quantity == quantity and math.isfinite(one.value)), key=lambda one: one.value
        )
        curves += _curves(hips, _table("norms_hip.toml")[quantity], patient.sex, age, population)
    return tuple(curves)


def _curves(
    found: Sequence[Finding], table: Mapping[str, Any], sex: str, age: float, population: str | None
) -> Iterable[AgeCurve]:
    """Yield the curves of one density."""
    if not found:
        return
    starts = table["ages"]
    middles = tuple((low + min(high, low + WIDEST)) / 2 for low, high in itertools.pairwise(starts))
    for name, norm in table.get(sex, {}).items():
        if population in (None, name):
            yield AgeCurve(
                found[0].quantity, found[0].unit, name, middles, tuple(norm["mean"]), tuple(norm["sd"]), (age, found[0].value), found[0].interval,
                reference_of(table),
            )  # fmt: skip


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("openbct").joinpath("data", name).read_text(encoding="utf-8"))
