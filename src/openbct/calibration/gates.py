"""What phantomless calibration refuses and what it doubts: every gate looks at measured values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..errors import CalibrationError
from ..records import Array, Mineral, ReferenceSample
from .attenuation import effective_energy, expected_hu, hu_per_mineral, load_table, load_tissues
from .line import Line, fit_line
from .tissues import Found

SLOPE_GATE = 0.15
"""The line may differ from the scanner's own scale by this much [-]: clinical acceptance of the method [computed]."""
RESIDUAL_LIMIT = 40.0
"""A reference farther from the line refuses the calibration [HU] [design]."""
RESIDUAL_CAUTION = 2.5
"""A reference farther from the line than this many of its spreads is reported [design]."""
AGREEMENT = 5.0
"""Lines with one reference left out must agree at 100 mg/cm³ within this [mg/cm³]: half of what two tissues should [computed], for
the scanner's own scale holds them together."""
SCALE_AGREEMENT = 10.0
"""The line and the scanner's own scale likewise [mg/cm³] [design]."""
OPTIONAL = ("blood", "visceral fat")
"""References that many scans do without: not worth a caution."""
TYPICAL = 100.0
"""Density at which uncertainty is stated: between the clinical cuts of 80 and 120 [mg/cm³]."""


def judge(
    found: dict[str, Found], missing: dict[str, str], *, contrast: bool, energy: float
) -> tuple[list[Found], list[float], list[str]]:
    """Return the tissues to use with their spreads, and cautions.

    With contrast agent blood is no reference, and enhanced muscle a poor one.

    Raises
    ------
    CalibrationError
        Outside air is not where air is: the image is not in HU.
    """
    tissues, table = load_tissues(), load_table("phantomless.toml")["contrast"]
    cautions = [f"No {name} was used for calibration: {why}." for name, why in missing.items() if name not in OPTIONAL]
    used, spreads = [], []
    usual = effective_energy(120.0)[0]  # the windows are those of 120 kV; fat reads lower below
    for name, item in found.items():
        low, high = tissues[name].gate
        low += min(0.0, round(expected_hu(tissues[name], energy) - expected_hu(tissues[name], usual)))
        if name == "blood" and contrast:
            continue
        if low <= item.mean <= high:
            used.append(item)
            spreads.append(float(table["muscle_spread_hu"]) if name == "muscle" and contrast else tissues[name].spread)
        elif name == "air":
            raise CalibrationError(
                f"found outside air at {item.mean:.0f} HU, expected {low:g} to {high:g}; the image is not in HU or its scale is off"
            )
        else:
            cautions.append(f"{item.how.capitalize()} reads {item.mean:.0f} HU, expected {low:g} to {high:g}: it was not used.")
    return used, spreads, cautions


def fit_references(used: Sequence[Found], spreads: Sequence[float], energy: float) -> Line:
    """Return the line through the used tissues at an effective energy [keV]."""
    tissues, scanner = load_tissues(), load_table("phantomless.toml")["scanner"]
    return fit_line(
        np.array([item.mean for item in used]),
        np.array([expected_hu(tissues[item.name], energy) for item in used]),
        np.array(spreads, dtype=float),
        (float(scanner["slope_spread"]), float(scanner["offset_spread_hu"])),
    )


def check_line(line: Line, used: Sequence[Found], spreads: Sequence[float], energy: float) -> tuple[ReferenceSample, ...]:
    """Return the references beside the line.

    Raises
    ------
    CalibrationError
        The line or a residual is implausible.
    """
    tissues = load_tissues()
    if abs(line.slope - 1.0) > SLOPE_GATE:
        raise CalibrationError(
            f"found a calibration line of slope {line.slope:.3f} true per measured HU ({readings(used)}), expected 1 within "
            f"{SLOPE_GATE:g}; the image is not in HU, or the tube voltage in the header is wrong"
        )
    samples = []
    for item in used:
        target = expected_hu(tissues[item.name], energy)
        residual = line.slope * item.mean + line.offset - target
        if abs(residual) > RESIDUAL_LIMIT:
            raise CalibrationError(
                f"found {item.how} {residual:+.0f} HU from the calibration line ({readings(used)}), expected within {RESIDUAL_LIMIT:g}; "
                "check the labels and whether the scan has artefacts"
            )
        samples.append(ReferenceSample(item.name, item.mean, item.deviation, item.n_voxels, target, residual, "HU", item.where))
    return tuple(samples)


def doubt_residuals(samples: Sequence[ReferenceSample], spreads: Sequence[float]) -> list[str]:
    """Return a caution for each reference that lies far from the line."""
    return [
        f"The reference {sample.name} lies {sample.residual:+.0f} HU from the calibration line, more than {RESIDUAL_CAUTION:g} times "
        f"its spread of {spread:g} HU; the line gave it less weight."
        for sample, spread in zip(samples, spreads)
        if abs(sample.residual) > RESIDUAL_CAUTION * spread
    ]


def leave_one_out(used: Sequence[Found], spreads: Sequence[float], energy: float, mineral: Mineral) -> dict[str, float]:
    """Return by how much a typical density changes without each reference [mg/cm³]; empty for two references."""
    if len(used) < 3:
        return {}
    per_mineral = hu_per_mineral(mineral, energy)
    whole = fit_references(used, spreads, energy)
    hu = (TYPICAL * per_mineral - whole.offset) / whole.slope
    shifts = {}
    for index, item in enumerate(used):
        rest = [position for position in range(len(used)) if position != index]
        line = fit_references([used[position] for position in rest], [spreads[position] for position in rest], energy)
        shifts[f"without_{item.name.replace(' ', '_')}_mg_cm3"] = round(
            (line.slope * hu + line.offset) / per_mineral - TYPICAL, 2
        )
    return shifts


def doubt_agreement(used: Sequence[Found], spreads: Sequence[float], energy: float, mineral: Mineral) -> list[str]:
    """Return cautions where one reference alone moves a typical density much, or references leave the scanner's own scale."""
    shifts = leave_one_out(used, spreads, energy, mineral)
    name, shift = max(shifts.items(), key=lambda entry: abs(entry[1]), default=("", 0.0))
    cautions = []
    if abs(shift) > AGREEMENT:
        tissue = name.removeprefix("without_").removesuffix("_mg_cm3").replace("_", " ")
        cautions.append(
            f"Without {tissue}, a density of {TYPICAL:g} mg/cm³ would read {TYPICAL + shift:.0f}: the references disagree."
        )
    line, per_mineral = fit_references(used, spreads, energy), hu_per_mineral(mineral, energy)
    apart = ((line.slope - 1.0) * TYPICAL * per_mineral + line.offset) / per_mineral
    if abs(apart) > SCALE_AGREEMENT:
        cautions.append(
            f"By the references, {TYPICAL + apart:.0f} mg/cm³ is what the scanner's own scale reads as {TYPICAL:g}: scale and references disagree."
        )
    return cautions


def spread_at(density: float, slope: float, intercept: float, covariance: Float[Array, "2 2"]) -> float:
    """Return one standard deviation of a density that was read off the line [mg/cm³]."""
    gradient = np.array([(density - intercept) / slope, 1.0])
    return float(np.sqrt(max(gradient @ covariance @ gradient, 0.0)))


def readings(used: Sequence[Found]) -> str:
    """Return what the tissues read, in words."""
    return ", ".join(f"{item.name} {item.mean:.0f} HU" for item in used)
