"""Local hollows in the endplates: a spot that lies lower than what is in front of it, behind it, and at both sides of it.

A fracture lowers an endplate from side to side, a Schmorl's node in one spot; a slope, a bowl or a kink has lower ground on one side at least.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array
from .endplates import COLUMN_STEP, Columns, central

REACH = 8.0
"""From a spot to where it is held against its surroundings [mm]: about the radius of a large node [D]."""
INNER = 0.85
"""Innermost share of the footprint that counts: the rim falls away by itself [D]."""
SMOOTH = 1.5
"""Deviation of the Gaussian that evens the steps of voxels [mm] [D]."""


def hollows(columns: Columns) -> dict[str, float]:
    """Return ``"superior_hollow"`` and ``"inferior_hollow"``: greatest depth of a spot below all four sides of it [mm]."""
    ends = (("superior", columns.upper), ("inferior", -columns.lower))
    return {f"{name}_hollow": _deepest(outwards, columns) for name, outwards in ends}


def _deepest(outwards: Float[Array, "nx ny"], columns: Columns) -> float:
    inner = central(columns.footprint, INNER).astype(float)
    weight = ndimage.gaussian_filter(inner, SMOOTH / COLUMN_STEP, mode="constant")
    mean = ndimage.gaussian_filter(np.where(inner > 0, outwards, 0.0), SMOOTH / COLUMN_STEP, mode="constant")
    surface = np.where(inner > 0, mean / np.maximum(weight, 1e-6), np.nan)
    away = round(REACH / COLUMN_STEP)
    room = np.pad(surface, away, constant_values=np.nan)
    i, j = surface.shape
    sides = [room[away + a : away + a + i, away + b : away + b + j] for a, b in ((away, 0), (-away, 0), (0, away), (0, -away))]
    depth = np.min(sides, axis=0) - surface
    return float(max(np.nanmax(depth), 0.0)) if np.isfinite(depth).any() else 0.0
