"""A robust straight line through a few references, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..records import Array

HUBER = 1.5
"""References farther from the line than this many of their spreads count less [design]."""


@dataclass(frozen=True)
class Line:
    """``target = slope * measured + offset``."""

    slope: float
    offset: float
    covariance: Float[Array, "2 2"]
    """Of (slope, offset)."""


def fit_line(
    measured: Float[Array, " n"], target: Float[Array, " n"], spread: Float[Array, " n"], prior_spread: tuple[float, float]
) -> Line:
    """Return the line by iteratively reweighted least squares (Huber), with the identity as a weak prior.

    Parameters
    ----------
    spread
        One standard deviation of each target.
    prior_spread
        One standard deviation of (slope - 1) and of the offset before any reference was seen: the scanner's own scale.
    """
    design = np.column_stack([measured, np.ones_like(measured)])
    prior = np.diag(1.0 / np.square(prior_spread))
    solution = np.array([1.0, 0.0])
    weight = 1.0 / np.square(spread)
    for _ in range(50):
        scaled = np.abs(target - design @ solution) / spread
        weight = np.minimum(1.0, HUBER / np.maximum(scaled, 1e-12)) / np.square(spread)
        normal = design.T @ (weight[:, None] * design) + prior
        updated = np.linalg.solve(normal, design.T @ (weight * target) + prior @ np.array([1.0, 0.0]))
        done = bool(np.abs(updated - solution).max() < 1e-10)
        solution = updated
        if done:
            break
    normal = design.T @ (weight[:, None] * design) + prior
    misfit = float(np.sum(weight * np.square(target - design @ solution))) / max(len(measured) - 1, 1)
    return Line(float(solution[0]), float(solution[1]), np.linalg.inv(normal) * max(1.0, misfit))
