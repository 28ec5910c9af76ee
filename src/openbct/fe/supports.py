"""What holds the body: loose pieces, free rigid modes and mechanisms are found before the solve, not suffered in it.

Voxels that share faces form *bodies*. A body is held by its fixed degrees of freedom and by the nodes that it shares with bodies
that are held. A rigid motion that nothing prevents is *free*: if a load does work on it the model has no answer; otherwise the
motion is undetermined but harmless, and one degree of freedom per free motion is pinned (its reaction is zero).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import ndimage

from openbct.errors import ModelError
from openbct.fe.grid import Grid

FloatArray = NDArray[np.float64]

RANK_TOLERANCE = 1e-10
"""Eigenvalue of a Gram matrix of rigid motions, relative to its largest, below which a motion is free [D]."""

PIN_CANDIDATES = 2000
"""Nodes of a body among which the pins are chosen [D]."""


@dataclass(frozen=True)
class Supports:
    """Which degrees of freedom have to be pinned besides the fixed ones."""

    pins: NDArray[np.int64]
    """Degrees of freedom ``3 * node + axis`` to pin at zero."""
    modes: int
    """Free rigid modes that they take away."""


def face_bodies(active: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Label of the face-connected body of each voxel ``(i j k)``, and the number of bodies."""
    label, count = ndimage.label(active)
    return label, int(count)


def drop_loose_pieces(active: NDArray[np.bool_], anchored: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Voxels without the pieces that share no node with anything anchored, and how many voxels were dropped.

    ``anchored`` marks the nodes ``(i+1 j+1 k+1)`` that carry a fixed degree of freedom.
    """
    label, count = ndimage.label(active, structure=np.ones((3, 3, 3), dtype=bool))
    if count <= 1:
        return active, 0
    held = np.zeros(count + 1, dtype=bool)
    for a in (0, 1):
        for b in (0, 1):
            for c in (0, 1):
                part = anchored[a : a + active.shape[0], b : b + active.shape[1], c : c + active.shape[2]]
                held[np.unique(label[part])] = True
    held[0] = False
    kept = held[label]
    return kept, int(active.sum() - kept.sum())


def rigid_modes(points: FloatArray) -> FloatArray:
    """The six rigid motions at some points ``(n 3)``: three translations, three rotations ``(n 3 6)``."""
    modes = np.zeros((len(points), 3, 6))
    modes[:, :, :3] = np.eye(3)
    x, y, z = points.T
    modes[:, 1, 3], modes[:, 2, 3] = -z, y
    modes[:, 0, 4], modes[:, 2, 4] = z, -x
    modes[:, 0, 5], modes[:, 1, 5] = -y, x
    return modes


def _gram(rows: FloatArray, owner: NDArray[np.int64], count: int) -> FloatArray:
    """Sum of the outer products of the rows of each owner ``(count 6 6)``."""
    total = np.zeros((count, 6, 6))
    np.add.at(total, owner, np.einsum("na,nb->nab", rows, rows))
    return total


def _free_modes(gram: FloatArray) -> FloatArray:
    value, vector = np.linalg.eigh(gram)
    return np.asarray(vector[:, value <= RANK_TOLERANCE * max(float(value[-1]), 1e-300)])


def _normalised(grid: Grid, spacing: FloatArray) -> FloatArray:
    """Node positions, centred and scaled to about one."""
    points = np.stack(np.unravel_index(grid.nodes, grid.node_shape), axis=1) * spacing
    points -= points.mean(axis=0)
    return np.asarray(points / max(float(np.abs(points).max()), 1e-300))


def _choose_pins(nodes: NDArray[np.int64], modes: FloatArray, points: FloatArray, stiffness: FloatArray) -> NDArray[np.int64]:
    """As many degrees of freedom as there are free modes, on stiff nodes far apart."""
    stiff = nodes[stiffness[nodes] >= np.median(stiffness[nodes])]
    for candidates in (stiff, nodes):
        chosen = candidates[:: max(1, len(candidates) // PIN_CANDIDATES)]
        motion = (rigid_modes(points[chosen]) @ modes).reshape(-1, modes.shape[1])
        _, triangle, order = scipy.linalg.qr(motion.T, mode="economic", pivoting=True)
        if abs(triangle[-1, -1]) > 1e-6 * abs(triangle[0, 0]):
            break
    best = order[: modes.shape[1]]
    return np.asarray(3 * chosen[best // 3] + best % 3)


def _check_load(modes: FloatArray, nodes: NDArray[np.int64], points: FloatArray, load: FloatArray) -> None:
    if not load.any():
        return
    work = np.einsum("na,nam->m", load[nodes], rigid_modes(points[nodes]) @ modes)
    largest = float(np.abs(load[nodes]).sum())
    if largest > 0 and np.abs(work).max() > 1e-8 * largest:
        raise ModelError(
            f"a load of {largest:.6g} N acts on a part of {len(nodes)} nodes that {modes.shape[1]} free rigid motions can carry away; "
            "expected supports or contacts that resist it. Hold more degrees of freedom there, or remove the load or the part."
        )


def find_supports(
    grid: Grid, active: NDArray[np.bool_], fixed: NDArray[np.bool_], load: FloatArray, stiffness: FloatArray, spacing: FloatArray
) -> Supports:
    """Pins for every rigid motion that nothing prevents.

    Parameters
    ----------
    fixed, load
        Fixed degrees of freedom and nodal forces ``(n_nodes 3)``.
    stiffness
        Stiffness at each node; pins go to stiff ones.

    Raises
    ------
    ModelError
        A load does work on a free motion.
    """
    points = _normalised(grid, spacing)
    node, axis = np.nonzero(fixed)
    held_rows = rigid_modes(points[node])[np.arange(node.size), axis]
    label, count = face_bodies(active)
    if count == 1:
        modes = _free_modes(held_rows.T @ held_rows)
        if modes.shape[1] == 0:
            return Supports(np.zeros(0, np.int64), 0)
        nodes = np.arange(grid.n_nodes)
        _check_load(modes, nodes, points, load)
        return Supports(_choose_pins(nodes, modes, points, stiffness), modes.shape[1])
    body = label.ravel()[grid.elements].astype(np.int64) - 1
    main = int(np.bincount(body).argmax())
    table = grid.element_nodes()
    of_main = np.zeros(grid.n_nodes, dtype=bool)
    of_main[table[body == main]] = True
    others = body != main
    members = np.unique(table[others].ravel().astype(np.int64) * count + np.repeat(body[others], 8))
    node = np.concatenate([members // count, np.flatnonzero(of_main)])
    owner = np.concatenate([members % count, np.full(int(of_main.sum()), main)])
    return _many_bodies(node, owner, fixed, load, points, stiffness)


def _many_bodies(
    node: NDArray[np.int64], body: NDArray[np.int64], fixed: NDArray[np.bool_], load: FloatArray, points: FloatArray,
    stiffness: FloatArray,
) -> Supports:  # fmt: skip
    """Hold body after body: always the one that is held best by its supports and by the bodies already held."""
    count = int(body.max()) + 1
    anchored = fixed[node]
    member, axis = np.nonzero(anchored)
    gram = _gram(rigid_modes(points[node[member]])[np.arange(member.size), axis], body[member], count)
    by_body = np.split(node[np.argsort(body, kind="stable")], np.cumsum(np.bincount(body, minlength=count))[:-1])
    shared = np.bincount(node, minlength=len(points)) > 1
    at_contact = shared[node]
    sharing: dict[int, list[int]] = {}
    for one, other in zip(node[at_contact].tolist(), body[at_contact].tolist(), strict=True):
        sharing.setdefault(one, []).append(other)
    rank = [6 - _free_modes(g).shape[1] if g.any() else 0 for g in gram]
    waiting = np.ones(count, dtype=bool)
    # Six certain constraints first, then the largest body: a pin is never put where none is needed.
    queue = [(-rank[n], -len(by_body[n]), n) for n in range(count)]
    heapq.heapify(queue)
    fast = np.zeros(len(points), dtype=bool)
    pins: list[NDArray[np.int64]] = []
    while queue:
        negative_rank, _, best = heapq.heappop(queue)
        if not waiting[best] or -negative_rank != rank[best]:
            continue
        waiting[best] = False
        nodes = by_body[best]
        if rank[best] < 6:
            modes = _free_modes(gram[best]) if gram[best].any() else np.eye(6)
            _check_load(modes, nodes, points, np.where(fixed, 0.0, load))
            pins.append(_choose_pins(nodes, modes, points, stiffness))
        touched: set[int] = set()
        for contact in nodes[shared[nodes] & ~fast[nodes]].tolist():
            fast[contact] = True
            mode = rigid_modes(points[contact : contact + 1])[0]
            for other in sharing[contact]:
                if waiting[other]:
                    gram[other] += mode.T @ mode
                    touched.add(other)
        for other in touched:
            rank[other] = 6 - _free_modes(gram[other]).shape[1]
            heapq.heappush(queue, (-rank[other], -len(by_body[other]), other))
    chosen = np.concatenate(pins) if pins else np.zeros(0, np.int64)
    return Supports(chosen, int(chosen.size))
