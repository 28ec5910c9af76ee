"""Preconditioned conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openbct.fe import voxel
from openbct.fe.team import ALONE, Team, part_count

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

Product = Callable[[Float32Array, float, FloatArray, FloatArray], float]
"""``product(z, beta, p, y)``: p = z + beta p, y = K p, returns p'y."""


@dataclass(frozen=True)
class Outcome:
    """How an iteration ended."""

    converged: bool
    iterations: int
    residual: tuple[float, ...]
    """Residual norm before each iteration and at the end, relative to ``scale``."""
    breakdown: str
    """Empty, or what went wrong."""
    target: float = 0.0
    """Residual norm at which the iteration was to stop [N]."""


def pcg(
    product: Product, cycle: Callable[[Float32Array, Float32Array], None], free: Float32Array, r: FloatArray, x: FloatArray, *,
    target: float, scale: float, max_iterations: int, team: Team = ALONE,
) -> Outcome:  # fmt: skip
    """Improve ``x`` in place by preconditioned conjugate gradients until the residual norm is below ``target``.

    This differs from the textbook in two points: the next direction uses the flexible (Polak-Ribiere) coefficient, because
    the preconditioner works in single precision; and a non-positive curvature ends the iteration with a message instead of
    a division by zero.

    Parameters
    ----------
    product
        The operator, fused with the update of the direction.
    cycle
        ``cycle(b, x)``: the preconditioner, in single precision.
    free
        Non-zero where a degree of freedom is free.
    r
        Residual of ``x``; overwritten.
    team
        Threads for the vector updates.
    """
    z, rough = np.zeros(r.size, np.float32), np.zeros(r.size, np.float32)
    p, y = np.zeros_like(r), np.zeros_like(r)
    sums, dots = np.zeros(part_count(r.size)), np.zeros((part_count(r.size), 2))

    def advance(alpha: float, gain: float) -> float:
        team.each(lambda begin, end: voxel.advance(alpha, p, y, free, x, r, np.float32(gain), rough, begin, end, sums), sums.size)
        return float(np.sqrt(sums.sum()))

    def two_dots(gain: float) -> tuple[float, float]:
        team.each(lambda begin, end: voxel.two_dots(np.float32(gain), z, r, y, begin, end, dots), len(dots))
        return float(dots[:, 0].sum()), float(dots[:, 1].sum())

    norm = advance(0.0, 1.0)
    history = [norm / scale]
    previous, alpha, beta = 0.0, 0.0, 0.0
    breakdown = ""
    size = norm
    rough *= np.float32(1.0 / norm) if norm > 0 else np.float32(1.0)
    while norm > target and len(history) <= max_iterations:
        # Single precision spans 1e-38..1e38: the cycle is linear, so it runs on the residual scaled to about one.
        cycle(rough, z)
        rz, yz = two_dots(size)
        if not rz > 0:
            breakdown = f"the preconditioner is not positive (r'z = {rz:.3g})"
            break
        beta = max(-alpha * yz / previous, 0.0) if previous > 0 else 0.0
        energy = product(z, beta, p, y)
        if not energy > 0:
            breakdown = f"the stiffness is not positive in the search direction (p'Kp = {energy:.3g})"
            break
        alpha, previous = rz / energy, rz
        size = norm
        norm = advance(alpha, 1.0 / size)
        history.append(norm / scale)
    return Outcome(norm <= target, len(history) - 1, tuple(history), breakdown)
