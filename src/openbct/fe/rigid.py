"""Rigid faces: a platen that moves as one body, with some of its six motions prescribed and the others free.

The nodes of a face are held for the solver; the body is solved once for the prescribed motions and once for each free one, and
the free motions follow from the balance of forces and moments on the platen. This is exact, and the matrix and its preconditioner
are built once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import ModelError
from openbct.fe.grid import number_voxels
from openbct.fe.motions import rigid_modes
from openbct.fe.system import LinearSystem, Outcome

FloatArray = NDArray[np.float64]

FREE = float("nan")
"""A motion that the face chooses itself."""

SINGULAR = 1e-9
"""Stiffness against a free motion, relative to the stiffest one, below which nothing resists it [D]."""


@dataclass(frozen=True)
class RigidFace:
    """Nodes that move as one rigid body.

    A platen that presses down by 0.1 mm and may tilt: ``RigidFace(top, motion=(0, 0, -0.1, FREE, FREE, 0))``. One without friction
    moves only the normal component of its nodes: ``follows=(False, False, True)``.
    """

    nodes: NDArray[np.bool_]
    """The nodes ``(i+1 j+1 k+1)``; those without an element are ignored."""
    motion: tuple[float, float, float, float, float, float]
    """Translation along i j k [mm] and small rotation about i j k [rad]; ``FREE`` (NaN) where it follows from the balance."""
    follows: tuple[bool, bool, bool] = (True, True, True)
    """Components of the displacement of the nodes that the face dictates."""
    centre: tuple[float, float, float] | None = None
    """Point about which it turns, from the corner of the grid; by default the mean of its nodes [mm]."""
    load: tuple[float, float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Force [N] and moment [N mm] on the face along its free motions."""


@dataclass(frozen=True)
class Tied:
    """A face on the nodes of the body."""

    face: RigidFace
    dofs: NDArray[np.int64]
    """Tied degrees of freedom ``3 * node + axis``."""
    rows: FloatArray
    """Displacement of these per unit of the six motions ``(n 6)``."""


def tie(
    faces: Sequence[RigidFace], nodes: NDArray[np.integer], node_shape: tuple[int, int, int], spacing: Sequence[float]
) -> list[Tied]:
    """The degrees of freedom of each face among the active ``nodes`` (positions in the flattened node array).

    Raises
    ------
    ModelError
        A face has no node of the body, a wrong shape, or shares a degree of freedom with another face.
    """
    tied: list[Tied] = []
    taken = np.zeros(3 * nodes.size, dtype=bool)
    for number, face in enumerate(faces):
        marked = np.asarray(face.nodes, dtype=bool)
        if marked.shape != node_shape:
            raise ModelError(f"rigid face {number} has the shape {marked.shape}; expected the node grid {node_shape}.")
        here = np.flatnonzero(marked.ravel()[nodes])
        if here.size == 0 or not any(face.follows):
            raise ModelError(
                f"rigid face {number} ties no degree of freedom of the body; expected some. Check its nodes and `follows`."
            )
        points = np.stack(np.unravel_index(nodes[here], node_shape), axis=1) * np.asarray(spacing, dtype=float)
        points -= points.mean(axis=0) if face.centre is None else np.asarray(face.centre, dtype=float)
        follows = np.flatnonzero(face.follows)
        dofs = (3 * here[:, None] + follows).ravel()
        if taken[dofs].any():
            raise ModelError(
                f"rigid face {number} shares {int(taken[dofs].sum())} degrees of freedom with another face; expected faces apart. "
                "Give each node to one face."
            )
        taken[dofs] = True
        tied.append(Tied(face, dofs, rigid_modes(points)[:, follows].reshape(-1, 6)))
    return tied


def prescribed(tied: Sequence[Tied], values: FloatArray) -> None:
    """Write the prescribed part of the motions into nodal values ``(n_nodes 3)``."""
    for part in tied:
        values.reshape(-1)[part.dofs] = part.rows @ np.nan_to_num(np.asarray(part.face.motion, dtype=float))


def solve_faces(
    system: LinearSystem, tied: Sequence[Tied], b: FloatArray | None, x: FloatArray, tolerance: float, max_iterations: int
) -> tuple[Outcome, FloatArray, tuple[tuple[float, ...], ...]]:
    """Solve for the body and the free motions of its faces; ``x`` holds the prescribed values and receives the answer.

    Returns the outcome, the internal force and the six motions of each face.

    Raises
    ------
    ModelError
        Nothing resists a free motion.
    """
    free = [(part, motion) for part in tied for motion in np.flatnonzero(np.isnan(part.face.motion))]
    lift = x.copy()
    outcome, force = system.solve(b, x, tolerance=tolerance, max_iterations=max_iterations)
    iterations, converged = outcome.iterations, outcome.converged
    amounts: FloatArray = np.zeros(len(free))
    if free:
        fields: list[FloatArray] = []
        lifts: list[FloatArray] = []
        forces: list[FloatArray] = []
        for part, motion in free:
            nodal = np.zeros((system.grid.n_nodes, 3))
            nodal.reshape(-1)[part.dofs] = part.rows[:, motion]
            field = system.pack(nodal)
            lifts.append(field.copy())
            one, pull = system.solve(None, field, tolerance=tolerance, max_iterations=max_iterations)
            iterations += one.iterations
            converged &= one.converged
            fields.append(field)
            forces.append(pull)
        # Reactions along the free motions, per free motion and for the prescribed ones.
        balance = np.array([[float(np.vdot(there, pull)) for pull in forces] for there in lifts])
        wanted = np.array([part.face.load[motion] for part, motion in free])
        missing = wanted - np.array([float(np.vdot(there, force)) for there in lifts])
        amounts = _balance(0.5 * (balance + balance.T), missing)
        for amount, field, there in zip(amounts, fields, lifts, strict=True):
            x += amount * field
            lift += amount * there
        scale = float(np.linalg.norm(system.residual(b, lift)[0]))
        last, force = system.solve(b, x, tolerance=tolerance, scale=scale or None, max_iterations=max_iterations)
        outcome = replace(
            last, converged=bool(converged and last.converged), iterations=iterations + last.iterations,
            residual=outcome.residual + last.residual,
        )  # fmt: skip
    motions = {id(part): np.nan_to_num(np.asarray(part.face.motion, dtype=float)) for part in tied}
    for (part, motion), amount in zip(free, amounts, strict=True):
        motions[id(part)][motion] = amount
    return outcome, force, tuple(tuple(float(m) for m in motions[id(part)]) for part in tied)


def _balance(stiffness: FloatArray, missing: FloatArray) -> FloatArray:
    """Amounts of the free motions that balance the faces."""
    scale = np.sqrt(np.maximum(np.diag(stiffness), 0.0))
    largest = float(scale.max())
    if not largest > 0:
        raise ModelError("nothing resists the free motions of the rigid faces; expected supports that do. Prescribe them.")
    scale = np.where(scale > 0, scale, largest)
    value, vector = np.linalg.eigh(stiffness / np.outer(scale, scale))
    if value[0] < SINGULAR * value[-1]:
        raise ModelError(
            f"{int((value < SINGULAR * value[-1]).sum())} combinations of the {len(missing)} free motions of the rigid faces meet no "
            "resistance; expected all of them to. Prescribe a motion, or hold the body."
        )
    return np.asarray(vector @ ((vector.T @ (missing / scale)) / value) / scale)


def check_ties(tied: Sequence[Tied], fixed: NDArray[np.bool_]) -> None:
    """Refuse degrees of freedom that are fixed and belong to a face.

    Raises
    ------
    ModelError
        There are some.
    """
    for number, part in enumerate(tied):
        both = int(fixed.reshape(-1)[part.dofs].sum())
        if both:
            raise ModelError(
                f"{both} degrees of freedom of rigid face {number} are also fixed; expected one or the other. Clear `fixed` there."
            )


def hold_faces(
    modulus: NDArray[np.floating], held: ArrayLike, values: ArrayLike, rigid: Sequence[RigidFace], spacing: Sequence[float]
) -> tuple[NDArray[np.bool_], FloatArray]:
    """``fixed`` and ``displacement`` with the nodes of the rigid faces held at their prescribed motion."""
    nodes = number_voxels(np.asarray(modulus > 0)).nodes
    fixed, moved = np.array(held, dtype=bool), np.array(values, dtype=float)
    node_shape = (fixed.shape[0], fixed.shape[1], fixed.shape[2])
    tied = tie(rigid, nodes, node_shape, spacing)
    some, amount = fixed.reshape(-1, 3)[nodes], moved.reshape(-1, 3)[nodes]
    check_ties(tied, some)
    prescribed(tied, amount)
    for part in tied:
        some.reshape(-1)[part.dofs] = True
    fixed.reshape(-1, 3)[nodes], moved.reshape(-1, 3)[nodes] = some, amount
    return fixed, moved
