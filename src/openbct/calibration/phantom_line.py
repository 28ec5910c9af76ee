"""The makers' equations from the readings of rods to a line, with residuals, r² and covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..records import Array
from .phantom_models import PhantomModel

WATER_DISPLACED = 0.2174
"""Water that a unit of K2HPO4 displaces: QCT PRO User Guide v5.0, as given in Ogo's documentation [S]."""
WATER_HU = 999.6
"""Constant of the same equation [HU] [S]."""
LARGEST_RESIDUAL = 5.0
"""A rod farther from the line is said [mg/cm³] [R]; of tall rods, two hundredths of the tallest [design]."""


BETTER_WITHOUT = 10.0
"""A rod without which the squared misfit falls by this factor is a bad one [design]."""


@dataclass(frozen=True)
class RodLine:
    """``density = slope * HU + intercept``, from rods."""

    slope: float
    """[mg/cm³ per HU]"""
    intercept: float
    """[mg/cm³]"""
    covariance: Float[Array, "2 2"]
    """Of (slope, intercept)."""
    residuals: Float[Array, " n"]
    """Measured less certified, of every rod, used or not [mg/cm³]."""
    r_squared: float
    hu_per_mg: float
    """HU per mg/cm³ in water: the inverse of ``slope``."""
    hu_of_nothing: float
    """What zero density reads [HU]."""


def maker_line(
    model: PhantomModel, hu: Float[Array, " n"], spread: Float[Array, " n"], used: Sequence[bool] | None = None
) -> RodLine:
    """Return the line of a phantom by its maker's equation, weighted least squares.

    Rods with a water value (Mindways): ``HU - water = s * value + b``, then ``slope = 1 / (s - 0.2174)`` and zero density reads
    ``b + 999.6``. Others: ``HU = s * value + b``.

    Parameters
    ----------
    hu
        Mean of each rod [HU], in the order of the model.
    spread
        One standard deviation of each mean [HU].
    used
        Rods to fit; all where not given.

    References
    ----------
    QCT PRO User Guide, Mindways Software, v5.0 (2011), as given in the documentation of Ogo.
    """
    chosen = np.ones(len(hu), dtype=bool) if used is None else np.asarray(used, dtype=bool)
    values = np.array([rod.value for rod in model.rods])
    mindways = model.rods[0].water is not None
    waters = np.array([rod.water or 0.0 for rod in model.rods])
    target = np.asarray(hu, dtype=float) - waters
    design = np.column_stack([values, np.ones_like(values)])
    weight = 1.0 / np.square(spread)
    normal = design[chosen].T @ (weight[chosen, None] * design[chosen])
    solved = np.linalg.solve(normal, design[chosen].T @ (weight * target)[chosen])
    off = target - design @ solved
    freedom = int(chosen.sum()) - 2
    misfit = float(np.sum((weight * off**2)[chosen])) / freedom if freedom > 0 else 1.0
    covariance = np.linalg.inv(normal) * max(1.0, misfit)
    about = target[chosen] - target[chosen].mean()
    rise, zero = (solved[0] - WATER_DISPLACED, solved[1] + WATER_HU) if mindways else (solved[0], solved[1])
    jacobian = np.array([[-1.0 / rise**2, 0.0], [zero / rise**2, -1.0 / rise]])
    return RodLine(
        slope=float(1.0 / rise),
        intercept=float(-zero / rise),
        covariance=jacobian @ covariance @ jacobian.T,
        residuals=off / rise,
        r_squared=float(1.0 - np.sum(off[chosen] ** 2) / np.sum(about**2)),
        hu_per_mg=float(rise),
        hu_of_nothing=float(zero),
    )


def residual_limit(model: PhantomModel) -> float:
    """Return how far a rod may lie from the line without being said [mg/cm³]."""
    return max(LARGEST_RESIDUAL, 0.02 * max(abs(rod.value) for rod in model.rods))


def usable(model: PhantomModel, hu: Float[Array, " n"], spread: Float[Array, " n"]) -> tuple[bool, ...]:
    """Return which rods to fit: all, or, of four or more, all but the one that spoils the line of the others."""
    count = len(model.rods)
    everyone = (True,) * count
    whole = maker_line(model, hu, spread)
    if count < 4 or np.abs(whole.residuals).max() <= residual_limit(model):
        return everyone
    without = [tuple(n != left for n in range(count)) for left in range(count)]
    off = [maker_line(model, hu, spread, used).residuals[np.array(used)] for used in without]
    best = int(np.argmin([float(np.sum(one**2)) for one in off]))
    fine = np.abs(off[best]).max() <= residual_limit(model)
    return (
        without[best]
        if fine and float(np.sum(off[best] ** 2)) * BETTER_WITHOUT <= float(np.sum(whole.residuals**2))
        else everyone
    )
