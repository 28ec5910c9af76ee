"""Inexact Newton with line search for the elastic-plastic equilibrium, preconditioned by the elastic multigrid throughout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openbct.fe.krylov import pcg
from openbct.fe.plastic_model import PlasticModel

FloatArray = NDArray[np.float64]

MAX_CG = 250
"""Conjugate-gradient iterations of one linear solve: beyond it a shorter step is cheaper (fe-methods 5.3) [C]."""

MAX_NEWTON = 20
"""Newton iterations of one step before it is cut [D]."""

ROUNDING = 1e-13
"""Rounding error of a nodal force relative to diagonal stiffness times displacement [C]."""

FORCING = 0.1
"""Loosest relative tolerance of a linear solve [C]."""


@dataclass
class Count:
    """Work done so far."""

    newton: int = 0
    cg: int = 0
    force: int = 0


@dataclass(frozen=True)
class Equilibrium:
    """Where Newton's iteration ended."""

    u: FloatArray
    force: FloatArray
    """Internal nodal force at ``u`` [N]."""
    reason: str
    """Why it failed; empty if it did not."""


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def split_force(force: Any, free: Any, out: Any) -> Any:
    """out = force where free, 0 elsewhere; returns the squared norms of both parts (compiled: BLAS would wake its threads)."""
    inner = 0.0
    outer = 0.0
    for n in range(force.size):
        value = force[n]
        if free[n] != 0:
            out[n] = value
            inner += value * value
        else:
            out[n] = 0.0
            outer += value * value
    return inner, outer


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def dot(a: Any, b: Any) -> Any:
    """a'b."""
    total = 0.0
    for n in range(a.size):
        total += a[n] * b[n]
    return total


def rounding_force(model: PlasticModel, u: FloatArray) -> float:
    """Size of the rounding errors in the internal force at ``u``: what no iteration gets below [N]."""
    free = model.elastic.free
    with np.errstate(divide="ignore", invalid="ignore"):
        large = np.where(free != 0, u / free, 0.0)
    return ROUNDING * math.sqrt(dot(large, large))


def equilibrate(model: PlasticModel, start: FloatArray, tolerance: float, count: Count) -> Equilibrium:
    """Displacement in equilibrium near ``start``, which holds the prescribed values.

    In equilibrium the force on the free dofs is below ``tolerance`` times the reaction (Euclidean norms). The incremental energy of
    perfect plasticity is convex, so a Newton step always points downhill; it is halved until the residual or the slope falls.
    """
    free, cycle = model.elastic.free, model.elastic.preconditioner.cycle
    u, force = start, model.force(start)
    out = np.empty_like(force)
    norm, scale = _norms(model, force, out)
    count.force += 1
    floor = rounding_force(model, u)
    for _ in range(MAX_NEWTON):
        if not math.isfinite(norm):
            return Equilibrium(u, force, "the residual is not finite")
        if norm <= max(tolerance * scale, floor):
            return Equilibrium(u, force, "")
        forcing = min(max(min(FORCING, 5.0 * norm / scale), 0.3 * tolerance * scale / norm), 0.5)
        step = np.zeros_like(u)
        gap = -out if model.motions is None else np.where(free != 0, -out, 0.0)
        outcome = pcg(
            model.product, cycle, free, gap, step, target=forcing * norm, scale=norm, max_iterations=MAX_CG,
            team=model.elastic.team,
        )  # fmt: skip
        count.newton += 1
        count.cg += outcome.iterations
        if model.motions is not None:
            step, more = model.motions.follow(model.product, model.elastic, force, step, MAX_CG)
            count.cg += more
        slope = dot(step, out)
        size = 1.0
        for _ in range(6):
            trial = u + size * step
            force = model.force(trial)
            count.force += 1
            new, scale = _norms(model, force, out)
            if new <= (1.0 - 0.1 * size) * norm or abs(dot(step, out)) <= 0.5 * abs(slope):
                break
            size *= 0.5
        else:
            return Equilibrium(u, force, "the line search found no descent")
        u, norm = trial, new
    if norm <= max(tolerance * scale, floor):
        return Equilibrium(u, force, "")
    return Equilibrium(u, force, f"{MAX_NEWTON} Newton iterations did not reach the tolerance")


def _norms(model: PlasticModel, force: FloatArray, out: FloatArray) -> tuple[float, float]:
    """Norms of the force out of balance, which goes to ``out``, and of the reaction [N]."""
    inner, outer = split_force(force, model.elastic.free, out)
    moved = 0.0 if model.motions is None else model.motions.spread(force, out)
    return math.sqrt(inner + moved), math.sqrt(max(outer - moved, 0.0))
