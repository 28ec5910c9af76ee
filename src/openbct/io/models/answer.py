"""What a solver answered to a model, on the model's grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ...errors import InputError
from ...records import Array
from .model import VoxelModel, node_index

SUPPORTS_AGREE = 1e-4
"""Difference between prescribed and answered displacements of supports, as a share of the largest, that digits may explain [design]."""


@dataclass(frozen=True)
class SolverResult:
    """What a solver answered, on the grid of its model."""

    solver: str
    displacement: Float[Array, "i1 j1 k1 3"]
    """0 where the file says nothing [mm]."""
    reaction: Float[Array, "i1 j1 k1 3"] | None
    """Force that the supports exert on the body at the fixed degrees of freedom; ``None`` where the file has none [N]."""
    known: Bool[Array, "i1 j1 k1"]
    """Nodes whose displacement the file tells."""
    notes: tuple[str, ...] = ()

    def load(self, model: VoxelModel) -> float | None:
        """Reaction of the loaded nodes along the direction of the load [N]; ``None`` where the file or the model has none."""
        if self.reaction is None or not model.loaded.any():
            return None
        return float(np.einsum("na,a->", self.reaction[model.loaded], model.direction))


def on_grid(
    table: Float[Array, "n 4"], model: VoxelModel, name: str
) -> tuple[Float[Array, "i1 j1 k1 3"], Bool[Array, "i1 j1 k1"]]:
    """Return a table of node numbers and vectors on the grid of the model, and where it says something.

    Raises
    ------
    InputError
        A node that the model does not have, or a number that is not finite.
    """
    if not np.isfinite(table).all():
        raise InputError(
            f"found numbers in {name!r} that are not finite, expected a converged result; look into the solver's log"
        )
    places = node_index(model)
    known = model.numbers[tuple(places.T)]
    wanted = table[:, 0].astype(np.int64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    if (known[at] != wanted).any():
        raise InputError(
            f"found a node in {name!r} that the model does not have, expected the result of this model; check both paths"
        )
    field, told = np.zeros((*model.numbers.shape, 3)), np.zeros(model.numbers.shape, dtype=bool)
    index = tuple(places[at].T)
    field[index], told[index] = table[:, 1:], True
    return field, told


def answer(
    solver: str,
    model: VoxelModel,
    time: float,
    displacement: Float[Array, "i1 j1 k1 3"],
    known: Bool[Array, "i1 j1 k1"],
    *,
    reaction: Float[Array, "i1 j1 k1 3"] | None,
) -> SolverResult:
    """Return a result with what must be known of it: reactions at supports alone; how far the load went, which nodes are told.

    Raises
    ------
    InputError
        The supports moved otherwise than the model says: it is the answer to another model; or its time is no number.
    """
    if not np.isfinite(time):
        raise InputError(f"found an answer of {solver} at the time {time}, expected a share of the travel; run it again")
    told = model.fixed & known[..., None]
    expected = time * model.displacement
    scale = max(float(np.abs(expected).max()), 1e-2 * float(np.abs(displacement).max()))
    if np.abs(displacement - expected)[told].max(initial=0.0) > SUPPORTS_AGREE * scale:
        raise InputError(
            f"found an answer of {solver} whose supports move otherwise than those of the model, expected the answer to this model; "
            "check both paths"
        )
    notes = []
    if abs(time - 1.0) > 1e-6:
        notes.append(f"{solver} stopped at {time:g} of the travel: its load is not that of the whole travel.")
    missing = int(((model.numbers > 0) & ~known).sum())
    if missing:
        notes.append(f"The displacement of {missing} nodes is not in the file and stands as 0.")
    held_forces = None if reaction is None else np.where(model.fixed, reaction, 0.0)
    if held_forces is not None and not model.force.any() and float(np.vdot(held_forces, displacement)) < 0:
        # Supports alone do work on such a body, and it only takes work in: the file gives the forces on the supports.
        held_forces = -held_forces
    return SolverResult(solver, displacement, held_forces, known, tuple(notes))
