"""Monte Carlo beside the linear sum: the bone is solved again and again on coarse voxels, each time with another calibration, edge and pose.

What cannot be solved again on one grid (voxel, element, supports, yield surface) and noise are drawn as factors. Ratios to the coarse strength are
what counts, so that the coarse grid's own error cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..errors import OpenBCTError
from ..records import Array, BoneRegion, CalibratedVolume, ErrorBudget
from .density import STEP
from .model import ModelSpread, assumptions

SEED = 20261128
"""The same bone gives the same interval."""
COARSER = 2.0
"""Voxels of the solutions over those of the recipe [D]."""
POSE_DEG = 5.0
"""Half-width of the uniform spread of each angle, as in the study."""
FEWEST = 0.8
"""Share of the solutions that must succeed [D]."""

Solve = Callable[[BoneRegion], float]
"""Strength of a bone on coarse voxels [N]."""


@dataclass(frozen=True)
class Draws:
    """Strengths over the strength as it was read."""

    ratios: Float[Array, " n"]
    asked: int


def resample(
    region: BoneRegion, calibrated: CalibratedVolume, solve: Solve, spread: ModelSpread, budget: ErrorBudget, samples: int
) -> Draws | None:
    """Return the draws; ``None`` where the calibration does not know its own uncertainty or too many solutions fail."""
    if not np.isfinite(calibrated.covariance).all():
        return None
    generator = np.random.default_rng(SEED)
    half = float(assumptions()["edge"]["half_width_voxels"]) / STEP
    rest = math.sqrt(max(spread.relative**2 - spread.alignment**2, 0.0))
    noise = sum(part.sd for part in budget.parts if part.source == "noise") / budget.value
    try:
        base = solve(region)
        edge = [math.log(solve(_stepped(region, side)) / base) for side in (-1, 1)]
    except (OpenBCTError, ValueError):
        return None
    ratios = []
    for _ in range(samples):
        line = generator.multivariate_normal((calibrated.slope, calibrated.intercept), calibrated.covariance, method="svd")
        angles = generator.uniform(-POSE_DEG, POSE_DEG, 2)
        factor = float(np.interp(generator.uniform(-half, half), (-1.0, 0.0, 1.0), (edge[0], 0.0, edge[1])))
        factor += generator.normal(0.0, math.hypot(rest, noise))
        try:
            ratios.append(solve(_turned(_recalibrated(region, calibrated, line), angles)) / base * math.exp(factor))
        except (OpenBCTError, ValueError):
            continue
    return Draws(np.array(ratios), samples) if len(ratios) >= max(2.0, FEWEST * samples) else None


def drawn(budget: ErrorBudget, draws: Draws) -> ErrorBudget:
    """Return the budget with deviation and interval from the draws; its parts stay those of the linear sum."""
    sd = budget.value * float(np.std(draws.ratios, ddof=1))
    low, high = (budget.value * float(ratio) for ratio in np.quantile(draws.ratios, (0.025, 0.975)))
    return replace(budget, sd=sd, interval=(low, high))


def _stepped(region: BoneRegion, side: int) -> BoneRegion:
    """Return the bone with its mask one step larger or smaller."""
    change = ndimage.binary_dilation if side > 0 else ndimage.binary_erosion
    return replace(region, mask=region.mask.with_array(np.asarray(change(region.mask.array))))


def _recalibrated(region: BoneRegion, calibrated: CalibratedVolume, line: Float[Array, "2"]) -> BoneRegion:
    """Return the bone as another line reads it."""
    factor = float(line[0]) / calibrated.slope
    density = region.density.array * factor + (float(line[1]) - factor * calibrated.intercept)
    return replace(region, density=region.density.with_array(density))


def _turned(region: BoneRegion, degrees: Float[Array, "2"]) -> BoneRegion:
    """Return the bone with its frame turned about its own first and second axis."""
    (c, d), (s, t) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    second = np.array([[d, 0.0, t], [0.0, 1.0, 0.0], [-t, 0.0, d]])
    return replace(region, frame=replace(region.frame, axes=region.frame.axes @ first @ second))
