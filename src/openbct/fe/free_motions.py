"""Free motions of rigid faces in elastic-plastic equilibrium: a platen that tilts as the yielding body lets it.

The nodes of a face are held for the linear solver. In each Newton iteration the body is solved once for the forces out of balance
and once for a unit of each free motion, with the same tangent; how much of each motion is taken follows from the balance of the
platen. The motions are orthonormal on the nodes, so that a moment out of balance is measured by the nodal forces that make it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openbct.fe.krylov import pcg
from openbct.fe.rigid import Tied
from openbct.fe.system import LinearSystem

FloatArray = NDArray[np.float64]
TangentProduct = Callable[[NDArray[np.floating], float, FloatArray, FloatArray], float]

ACCURACY = 1e-3
"""Residual of a unit motion's solution relative to that of the lifted face alone [D]: what it leaves goes into the next Newton iteration."""
SINGULAR = 1e-12
"""Stiffness against a combination of motions, relative to the largest, below which it is left alone [D]."""


@dataclass
class FreeMotions:
    """Unit motions of faces, and how the body follows them."""

    lifts: list[FloatArray]
    """Flat nodal vectors, zero off the faces, orthonormal [-]."""
    fields: list[FloatArray]
    """The body's answer to each, from the last tangent: where the next solution begins."""

    @classmethod
    def of(cls, elastic: LinearSystem, tied: Sequence[Tied]) -> FreeMotions:
        """The free motions of faces on a system in which their nodes are held."""
        lifts = []
        for part in tied:
            free = np.flatnonzero(np.isnan(part.face.motion))
            columns, _ = np.linalg.qr(part.rows[:, free])
            for column in columns.T:
                nodal = np.zeros((elastic.grid.n_nodes, 3))
                nodal.reshape(-1)[part.dofs] = column
                lifts.append(elastic.pack(nodal))
        return cls(lifts, [lift.copy() for lift in lifts])

    def spread(self, force: FloatArray, out: FloatArray) -> float:
        """Add the part of ``force`` that works on the motions to ``out``; returns its squared norm [N²]."""
        gain = 0.0
        for lift in self.lifts:
            share = float(np.vdot(lift, force))
            out += share * lift
            gain += share * share
        return gain

    def follow(
        self, product: TangentProduct, elastic: LinearSystem, force: FloatArray, step: FloatArray, max_iterations: int
    ) -> tuple[FloatArray, int]:
        """Add to ``step``, which balances the body with its faces held, what the faces do; returns it and the iterations spent."""
        spent, pulls = 0, []
        for field in self.fields:
            pull = np.zeros_like(field)
            product(np.zeros(field.size, np.float32), 1.0, field, pull)
            r = np.where(elastic.free != 0, -pull, 0.0)
            scale = float(np.linalg.norm(np.where(elastic.free != 0, 0.0, pull)))
            outcome = pcg(
                product, elastic.preconditioner.cycle, elastic.free, r, field, target=ACCURACY * scale, scale=scale,
                max_iterations=max_iterations, team=elastic.team,
            )  # fmt: skip
            spent += outcome.iterations
            product(np.zeros(field.size, np.float32), 1.0, field, pull)
            pulls.append(pull)
        held = np.zeros_like(step)
        product(np.zeros(step.size, np.float32), 1.0, step, held)
        stiffness = np.array([[float(np.vdot(field, pull)) for pull in pulls] for field in self.fields])
        missing = np.array([-float(np.vdot(field, force) + np.vdot(field, held)) for field in self.fields])
        values, vectors = np.linalg.eigh(0.5 * (stiffness + stiffness.T))
        kept = values > SINGULAR * max(float(values[-1]), 0.0)
        amounts = vectors[:, kept] @ ((vectors[:, kept].T @ missing) / values[kept])
        for amount, field in zip(amounts, self.fields, strict=True):
            step = step + amount * field
        return step, spent
