"""What calibration by a phantom refuses and what it doubts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import CalibrationError
from .phantom_line import RodLine, maker_line, residual_limit
from .phantom_models import PhantomModel
from .recognition import Recognized, slope_window
from .rod_reading import Readings

LEAST_R_SQUARED = 0.99
"""Below, the rods are not on a line [R]."""
DRIFT_LIMIT = 2.0
"""Change of the slope over the slices that is said [%] [design]."""
DRIFT_SURE = 3.0
"""... where it is this many of its standard errors [design]."""


def refuse_line(found: Recognized, line: RodLine, readings: Readings, kvp: float | None) -> None:
    """Refuse a line that rods or tube voltage speak against.

    Raises
    ------
    CalibrationError
        r² below 0.99, or a slope that the voltage does not allow.
    """
    table = ", ".join(f"{rod.name} {hu:.0f}" for rod, hu in zip(found.model.rods, readings.mean))
    if line.r_squared < LEAST_R_SQUARED:
        raise CalibrationError(
            f"found rods of the {found.model.title} off a line (r² {line.r_squared:.3f}; HU {table}), expected {LEAST_R_SQUARED:g} or more; check "
            "which phantom it is, its certificate, and the scan for artefacts"
        )
    low, high = slope_window(found.model.mineral, kvp)
    if not low <= line.hu_per_mg <= high:
        raise CalibrationError(
            f"found {line.hu_per_mg:.2f} HU per mg/cm³ from the rods of the {found.model.title} (HU {table}), expected {low:.2f} to {high:.2f} at this "
            "tube voltage; check which phantom it is, and the voltage in the header"
        )


def doubt_model(model: PhantomModel) -> list[str]:
    """Return the caution of values that belong to another phantom of the same model."""
    if not model.serial or model.certified:
        return []
    alike = f" (a {model.alike} looks alike and has other values)" if model.alike else ""
    return [
        f"The rods were taken for a {model.title}{alike} with the values of {model.source}; each phantom has its own, and a difference of 2 % "
        "is one of 2 % in every density: give its certificate with --phantom-certificate."
    ]


def doubt_rods(found: Recognized, line: RodLine, readings: Readings, used: Sequence[bool]) -> list[str]:
    """Return cautions of rods that are few, unseen, off the line, or hold bubbles."""
    model = found.model
    cautions = [
        f"Rod {rod.name} reads {error:+.0f} mg/cm³ off the line of the other {sum(used)} and was not used: check it for gas, a leak or a crack."
        for rod, error, fine in zip(model.rods, line.residuals, used)
        if not fine
    ]
    if sum(used) == 2:
        cautions.append(
            "Two rods, no redundancy: two points always fit a line, so that nothing shows a rod that is faulty, taken for another, or "
            "changed by an artefact; an error of 5 HU in one is one of about "
            f"{500 / (abs(model.rods[-1].value - model.rods[0].value) * line.hu_per_mg):.0f} % in every density."
        )
    unseen = [rod.name for rod, seen in zip(model.rods, found.row.seen) if not seen]
    if unseen:
        cautions.append(
            f"Rod {' and '.join(unseen)} of the {model.title} does not stand out from the material around it and was read where it should be; "
            "an error of its reading by 7 HU was allowed for."
        )
    limit = residual_limit(model)
    off = [(r.name, e) for r, e, u in zip(model.rods, line.residuals, used) if u and abs(e) > limit]
    if off:
        rods = ", ".join(f"{name} ({error:+.0f})" for name, error in off)
        cautions.append(f"More than {limit:.0f} mg/cm³ off the line: rod {rods}; the interval was widened by the misfit.")
    gas = [(rod.name, count) for rod, count in zip(model.rods, readings.bubbles) if count]
    if gas:
        rods = ", ".join(f"{name} in {count} slices" for name, count in gas)
        cautions.append(f"A rod is not even inside ({rods}): gas or a flaw; those slices were not read.")
    return cautions


def drift_percent(model: PhantomModel, readings: Readings, used: Sequence[bool]) -> tuple[float, float] | None:
    """Return by how much the slope changes over the slices that were read, and its standard error [%]; ``None`` for a few slices."""
    count = len(readings.heights)
    if count < 6:
        return None
    slopes = np.array([maker_line(model, hu, readings.spread, used).slope for hu in readings.slices])
    z = readings.heights - readings.heights.mean()
    rate = float(z @ (slopes - slopes.mean()) / (z @ z))
    off = slopes - slopes.mean() - rate * z
    error = float(np.sqrt(off @ off / (count - 2) / (z @ z)))
    scale = 100.0 * float(np.ptp(z)) / float(slopes.mean())
    return rate * scale, error * scale


def doubt_drift(drift: tuple[float, float] | None) -> list[str]:
    """Return the caution of a slope that changes along the table."""
    if drift is None or abs(drift[0]) <= DRIFT_LIMIT or abs(drift[0]) < DRIFT_SURE * drift[1]:
        return []
    return [
        f"The line of the rods changes by {drift[0]:+.1f} % from the lowest to the highest slice; one mean line was used, so that densities at the "
        f"two ends are off by about {abs(drift[0]) / 2:.0f} % each way."
    ]
