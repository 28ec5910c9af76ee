"""Which changes a follow-up is read by, and how one is written in a table."""

from __future__ import annotations

from typing import Final

from ..visits import Change
from .followup_names import quantity_name, signed
from .wording import Texts

MAIN: Final = ("trabecular_vbmd", "total_hip_abmd", "strength")
"""Quantities that a follow-up is read by, the first ones first."""


def main_changes(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes of the first page: means of the spine and hips; single levels where there is no mean."""
    means = {change.quantity for change in changes if "," in change.bone}
    hips = any(change.bone.startswith("femur") for change in changes)
    chosen = [
        change
        for change in changes
        if change.quantity in MAIN and ("," in change.bone or change.bone.startswith("femur") or change.quantity not in means)
    ]
    return tuple(chosen or changes) if chosen or not hips else changes


def cells(change: Change, texts: Texts) -> tuple[str, ...]:
    """Return the row of a change after the name of its bone."""
    unit = texts.unit(change.unit.split(" ")[0])
    star = "" if change.carried or change.quantity == "strength" else " *"
    yearly = f"{signed(change.percent_per_year, texts)} %" if change.percent_per_year is not None else ""
    source = "p" if change.least_from == "precision" else "u"
    told = (f"{signed(change.percent, texts)} %", yearly, f"{texts.number(change.least, 1)} % {source}")
    if change.judgement == "not comparable":  # a percentage would be read as a change
        told = ("–", "–", "–")
    return (
        f"{quantity_name(change.quantity, texts)} [{unit}]{star}",
        valued(change.baseline, change.unit, texts),
        valued(change.followup, change.unit, texts),
        *told,
        texts(f"followup.judgement.{change.judgement}"),
    )


def valued(value: float, unit: str, texts: Texts) -> str:
    """Return a value with the digits that a change of some percent needs."""
    return texts.number(value, 1) if unit.startswith("mg/cm3") else texts.quantity(value, unit)
