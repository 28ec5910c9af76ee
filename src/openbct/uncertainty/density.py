"""Budgets of densities: calibration, edge of the mask, noise.

Edge: the bone is measured again with its mask one voxel smaller and one larger all round, and the slope between the two is what a voxel is worth.
Noise: what differs between slices at random, over the number of independent grains in the region.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from scipy import ndimage

from ..errors import OpenBCTError
from ..records import Array, BoneMeasures, BoneRegion, CalibratedVolume, ErrorBudget, ErrorPart, Measure
from ..volume import Volume
from .budget import combined
from .model import assumptions

AREAL = ("femoral_neck_abmd", "total_hip_abmd")
BUDGETED = ("trabecular_vbmd", "integral_vbmd", *AREAL)
"""Measures that are held against thresholds, or that a strength follows."""
FEWEST = 30
"""Voxels from which noise is told [D]."""
STEP = 0.83
"""How far one step to the six neighbours moves a surface along its normal, in voxels: mean of the largest direction cosine over a sphere [C]."""
_GAUSS = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""

Measurer = Callable[[BoneRegion, CalibratedVolume], BoneMeasures]


def density_budgets(
    region: BoneRegion, measures: BoneMeasures, calibrated: CalibratedVolume, measure: Measurer
) -> dict[str, ErrorBudget]:
    """Return the budget of each density that counts; ``measure`` makes at least the densities among ``measures``, alike."""
    values = {name: measures.values[name] for name in BUDGETED if name in measures.values}
    values = {name: one for name, one in values.items() if math.isfinite(one.value)}
    if not values:
        return {}
    slopes, noise = _edge_slopes(region, calibrated, measure, values), _noise(region)
    return {name: _budget(name, one, measures, region.mask, slopes.get(name), noise) for name, one in values.items()}


def edge_sd_voxels() -> float:
    """Return one standard deviation of where a mask's surface lies, in voxels."""
    return float(assumptions()["edge"]["half_width_voxels"]) / math.sqrt(3.0)


def _budget(
    name: str, found: Measure, measures: BoneMeasures, mask: Volume, slope: float | None, noise: float | None
) -> ErrorBudget:
    table, parts, unknown = assumptions(), list[ErrorPart](), list[str]()
    if found.uncertainty is not None and math.isfinite(found.uncertainty):
        own = min(found.uncertainty, float(table["calibration"]["own_relative"]) * abs(found.value))
        parts.append(ErrorPart("calibration", found.uncertainty, own))
    else:
        unknown.append("calibration")
    if slope is not None:
        sd = edge_sd_voxels() * abs(slope)
        parts.append(ErrorPart("edge", sd, float(table["edge"]["own_share"]) * sd))
    else:
        unknown.append("edge")
    volume = _volume(name, measures, mask)
    if noise is not None and volume > 0:
        sd = noise / math.sqrt(max(volume / _grain(mask), 1.0))
        # Areal density is a mean volumetric one times a depth.
        sd *= float(table["noise"]["depth_mm"]) / 1e4 if name in AREAL else 1.0
        parts.append(ErrorPart("noise", sd, sd))
    return combined(found.value, found.unit, parts, unknown)


def _edge_slopes(
    region: BoneRegion, calibrated: CalibratedVolume, measure: Measurer, values: Mapping[str, Measure]
) -> dict[str, float]:
    """Return what a voxel of mask is worth to each measure; a mask that cannot be measured leaves the other side alone."""
    sides: list[tuple[int, Mapping[str, Measure]]] = [(0, values)]
    for side, change in ((-1, ndimage.binary_erosion), (1, ndimage.binary_dilation)):
        mask = region.mask.with_array(np.asarray(change(region.mask.array)))
        try:
            sides.append((side, measure(replace(region, mask=mask), calibrated).values))
        except (OpenBCTError, ValueError, IndexError):
            continue
    slopes = {}
    for name in values:
        known = {side: found[name].value for side, found in sides if name in found and math.isfinite(found[name].value)}
        low, high = min(known), max(known)
        if high > low:
            slopes[name] = (known[high] - known[low]) / (STEP * (high - low))
    return slopes


def _noise(region: BoneRegion) -> float | None:
    """Return the noise of a voxel [mg/cm³] from what three slices in a row do not share, inside the bone; ``None`` where too few are there.

    The bone's own texture is in it: the interval is rather too wide.
    """
    inner = ndimage.binary_erosion(region.mask.array, iterations=2)
    three: Array = inner[:, :, :-2] & inner[:, :, 1:-1] & inner[:, :, 2:]
    if int(three.sum()) < FEWEST:
        return None
    values = region.density.array.astype(float)
    curved = (values[:, :, :-2] - 2.0 * values[:, :, 1:-1] + values[:, :, 2:])[three] / math.sqrt(6.0)
    return float(_GAUSS * np.median(np.abs(curved - np.median(curved))))


def _grain(mask: Volume) -> float:
    """Return the volume within which noise is one [mm³]."""
    plane, along = assumptions()["noise"]["grain_mm"]
    spacing = mask.spacing
    return float(max(plane, spacing[0]) * max(plane, spacing[1]) * max(along, spacing[2]))


def _volume(name: str, measures: BoneMeasures, mask: Volume) -> float:
    """Return the volume that a measure is the mean of [mm³]."""
    if name in AREAL:
        area = measures.values.get(name.replace("_abmd", "_area"))
        return 100.0 * area.value * float(assumptions()["noise"]["depth_mm"]) if area else 0.0
    where = measures.regions.get("trabecular") if name == "trabecular_vbmd" else mask
    return float(where.array.sum()) * where.voxel_volume if where is not None else 0.0
