"""Loads: the impact of a sideways fall on each hip, and illustrative loads on the spine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..records import BoneMeasures, Patient, Reference, StrengthResult
from .rules import reference_of, thresholds

SOFT_TISSUE = "trochanteric_soft_tissue"
"""Key of its thickness among a femur's measures [mm]."""


def fall_force(patient: Patient) -> tuple[float | None, list[str]]:
    """Return the impact force of a sideways fall [N] without soft tissue, and cautions.

    ``F = v sqrt(k m)`` with ``v = 2.72 sqrt(height)`` and 7/20 of the body's mass [recalled, unverified].
    """
    table = thresholds()["fall"]
    if patient.height_cm is None or patient.weight_kg is None:
        return None, []
    if patient.age is not None and patient.age < 18.0:
        return None, []
    for name, value, unit in (("height_cm", patient.height_cm, "cm"), ("weight_kg", patient.weight_kg, "kg")):
        low, high = table[name]
        if not low <= value <= high:
            return None, [
                f"No fall force was computed: found a {name.split('_')[0]} of {value:g} {unit}, expected {low:g} to {high:g}."
            ]
    velocity = table["velocity_factor"] * math.sqrt(patient.height_cm / 100.0)
    force = velocity * math.sqrt(table["stiffness_n_per_m"] * table["mass_share"] * patient.weight_kg)
    return float(force), []


def softened(force: float | None, measures: Sequence[BoneMeasures]) -> dict[str, float]:
    """Return the impact on each femur whose soft tissue was measured: less 71 N for each mm of its thickness in standing [N]."""
    if force is None:
        return {}
    table, loads = thresholds()["fall"], {}
    for bone in measures:
        thickness = bone.values.get(SOFT_TISSUE)
        if thickness is not None and math.isfinite(thickness.value) and thickness.value >= 0.0:
            standing = thickness.value / table["supine"]["factor"]
            loads[bone.bone] = max(
                force - table["soft_tissue"]["newton_per_mm"] * standing, float(table["soft_tissue"]["floor_n"])
            )
    return loads


def ratios(strengths: Sequence[StrengthResult], force: float | None, softer: Mapping[str, float]) -> dict[str, float]:
    """Return load over strength of each femur: with its soft tissue where that is known [-]."""
    if force is None:
        return {}
    return {
        result.bone: softer.get(result.bone, force) / result.strength
        for result in strengths
        if result.bone.startswith("femur") and math.isfinite(result.strength) and result.strength > 0
    }


def spine_loads(patient: Patient) -> dict[str, float]:
    """Return the compression of L3 in standing, bending and lifting [N]: illustrative, our own balance of moments."""
    if fall_force(patient)[0] is None:  # the same limits of size and age
        return {}
    assert patient.height_cm is not None and patient.weight_kg is not None
    table, gravity = thresholds()["spine_load"], 9.81
    upper, height = table["upper_body_share"] * patient.weight_kg * gravity, patient.height_cm / 100.0
    loads = {}
    for name, degrees, held in table["tasks"]:
        sine, cosine, weight = math.sin(math.radians(degrees)), math.cos(math.radians(degrees)), held * gravity
        moment = upper * table["body_arm"] * height * sine + weight * table["object_arm"] * height * sine
        loads[str(name)] = moment / table["extensor_arm_m"] + (upper + weight) * cosine
    return loads


def load_references(*, fall: bool, soft: bool, spine: bool) -> list[Reference]:
    """Return the sources of the loads that were computed."""
    table = thresholds()
    chosen = [table["fall"], table["fall"]["uncertain_band"]] if fall else []
    chosen += [table["fall"]["soft_tissue"], table["fall"]["supine"]] if fall and soft else []
    chosen += [table["spine_load"]] if spine else []
    return [reference_of(entry) for entry in chosen]
