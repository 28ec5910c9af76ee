"""Inexact Newton with line search for the elastic-plastic equilibrium, and its preconditioned conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openbct.fe.plastic_model import PlasticModel

FloatArray = NDArray[np.float64]

MAX_CG = 250
"""Conjugate-gradient iterations of one linear solve: beyond it a shorter step is cheaper (fe-methods 5.3) [C]."""

MAX_NEWTON = 20
"""Newton iterations of one step before it is cut [D]."""

FORCING = 0.05
"""Loosest relative tolerance of a linear solve [C]."""


@dataclass
class Count:
    """Work done so far."""

    newton: int = 0
    cg: int = 0


def conjugate_gradients(
    apply: Callable[[FloatArray], FloatArray],
    precondition: Callable[[FloatArray], FloatArray],
    right: FloatArray,
    tolerance: float,
    count: Count,
) -> FloatArray:
    """Approximate solution of ``apply(x) = right``, which vanishes at the fixed dofs; never divides by zero, never runs away.

    Stops at the relative residual ``tolerance``, at :data:`MAX_CG` iterations, or where the operator stops being positive; what
    has been reached then is still a descent direction.
    """
    x = np.zeros_like(right)
    residual = right.copy()
    goal = tolerance * float(np.linalg.norm(right))
    search = np.zeros_like(right)
    rho_old = 0.0
    for _ in range(MAX_CG):
        z = precondition(residual)
        rho = float(np.vdot(residual, z))
        if not rho > 0.0:
            break
        search *= rho / rho_old if rho_old else 0.0
        search += z
        rho_old = rho
        product = apply(search)
        curvature = float(np.vdot(search, product))
        if not curvature > 1e-14 * rho:
            break
        count.cg += 1
        alpha = rho / curvature
        x += alpha * search
        residual -= alpha * product
        if float(np.linalg.norm(residual)) <= goal:
            break
    return x


def equilibrate(
    model: PlasticModel, start: FloatArray, free: NDArray[np.bool_], tolerance: float, count: Count
) -> tuple[FloatArray, FloatArray, str]:
    """Displacement in equilibrium near ``start``, its internal force, and why it failed ('' if it did not).

    In equilibrium the force on the free dofs is below ``tolerance`` times the reaction (Euclidean norms). The incremental energy of
    perfect plasticity is convex, so a Newton step always points downhill; it is halved until the residual or the slope falls.
    """
    u = start
    force = model.force(u)
    out = np.where(free, force, 0.0)
    norm = float(np.linalg.norm(out))
    for _ in range(MAX_NEWTON):
        scale = float(np.linalg.norm(np.where(free, 0.0, force)))
        if not np.isfinite(norm):
            return u, force, "the residual is not finite"
        if norm <= tolerance * scale or scale == 0.0:
            return u, force, ""
        forcing = max(min(FORCING, 5.0 * norm / scale), 0.3 * tolerance * scale / norm)
        step = conjugate_gradients(
            lambda v: np.where(free, model.tangent(v), 0.0), model.elastic.precondition, -out, min(forcing, 0.5), count
        )
        count.newton += 1
        slope = float(np.vdot(step, out))
        size = 1.0
        for _ in range(6):
            trial = u + size * step
            force = model.force(trial)
            out = np.where(free, force, 0.0)
            new = float(np.linalg.norm(out))
            if new <= (1.0 - 0.1 * size) * norm or abs(float(np.vdot(step, out))) <= 0.5 * abs(slope):
                break
            size *= 0.5
        else:
            return u, force, "the line search found no descent"
        u, norm = trial, new
    return u, force, f"{MAX_NEWTON} Newton iterations did not reach the tolerance"
