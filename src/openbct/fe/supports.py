"""What holds the body: loose pieces, free rigid modes and mechanisms are found before the solve, not suffered in it.

Voxels that share faces form *bodies*. A body is held by its fixed degrees of freedom and by the nodes that it shares with bodies
that are held. A rigid motion that nothing prevents is *free*: if a load does work on it the model has no answer; otherwise the
motion is undetermined but harmless, and one degree of freedom per free motion is pinned (its reaction is zero).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import ndimage

from openbct.errors import ModelError
from openbct.fe.grid import Grid
from openbct.fe.hex8 import CORNERS
from openbct.fe.motions import RANK_TOLERANCE, rigid_modes

FloatArray = NDArray[np.float64]

MAX_JOINT = 1800
"""Size of the joint eigenvalue problem of loosely attached pieces, six per piece, that is still worth its time [D]."""

INDEPENDENT = 0.1
"""Share of the motion under the best pins that pins on stiffer nodes have to catch [D]."""

PIN_CANDIDATES = 2000
"""Nodes of a body among which the pins are chosen [D]."""

PIN_SHARES = (1.0, 0.5, 0.2)
"""Shares of the stiffest nodes that are tried in turn for them [D]."""

Points = Callable[[NDArray[np.integer]], FloatArray]
"""Positions ``(n 3)`` of some nodes, centred on the body and scaled to about one."""


@dataclass(frozen=True)
class Supports:
    """Which degrees of freedom have to be pinned besides the fixed ones."""

    pins: NDArray[np.int64]
    """Degrees of freedom ``3 * node + axis`` to pin at zero."""
    modes: int
    """Free rigid modes that they take away."""


def _box(active: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The part of the grid that has anything in it: a bone fills a tenth of its image."""
    flat = np.logical_or.reduce(active, axis=0)
    whole = active.reshape(len(active), -1)
    ranges = []
    for line in (whole.any(axis=1), np.logical_or.reduce(flat, axis=1), np.logical_or.reduce(flat, axis=0)):
        used = np.flatnonzero(line)
        ranges.append(slice(int(used[0]), int(used[-1]) + 1))
    return ranges[0], ranges[1], ranges[2]


def face_bodies(active: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number of the face-connected body of each active voxel, in array order, and how many there are."""
    box = _box(active)
    label, count = ndimage.label(active[box])
    return np.asarray(label[active[box]] - 1), int(count)


def drop_loose_pieces(active: NDArray[np.bool_], anchored: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int, bool]:
    """Voxels without the pieces that share no node with anything anchored, how many were dropped, and whether one body is left.

    ``anchored`` marks the nodes ``(i+1 j+1 k+1)`` that carry a fixed degree of freedom.
    """
    box = _box(active)
    some = active[box]
    label, count = ndimage.label(some)
    whole = count == 1
    if count > 1:
        label, count = ndimage.label(some, structure=np.ones((3, 3, 3), dtype=bool))
    held = np.zeros(count + 1, dtype=bool)
    for corner in CORNERS:
        part = anchored[tuple(slice(s.start + c, s.stop + c) for s, c in zip(box, corner.tolist(), strict=True))]
        held[label[part]] = True
        if held[1:].all():
            return active, 0, whole
    held[0] = False
    kept = np.zeros_like(active)
    kept[box] = held[label]
    return kept, int(some.sum() - kept.sum()), whole


def _gram(rows: FloatArray, owner: NDArray[np.int64], count: int) -> FloatArray:
    """Sum of the outer products of the rows of each owner ``(count 6 6)``."""
    total = np.zeros((count, 6, 6))
    np.add.at(total, owner, np.einsum("na,nb->nab", rows, rows))
    return total


def _free_modes(gram: FloatArray) -> FloatArray:
    value, vector = np.linalg.eigh(gram)
    return np.asarray(vector[:, value <= RANK_TOLERANCE * max(float(value[-1]), 1e-300)])


def _normalised(grid: Grid, spacing: FloatArray, box: tuple[slice, slice, slice], some: NDArray[np.integer]) -> FloatArray:
    """Positions of some nodes, centred on the ``box`` of the body and scaled to about one."""
    low, high = (np.array([getattr(s, end) for s in box]) * spacing for end in ("start", "stop"))
    points = grid.points(some)
    points *= spacing
    points -= (low + high) / 2
    points /= (high - low).max() / 2
    return points


def _spread(nodes: NDArray[np.int64], stiffness: FloatArray, count: int) -> list[NDArray[np.int64]]:
    """Some of the stiffest nodes (all, half, a fifth of them), spread over all of them."""
    values = stiffness[nodes]
    stiff = [nodes[values >= least] for least in np.quantile(values, [1 - share for share in PIN_SHARES])]
    return [some[:: max(1, len(some) // count)] for some in stiff]


def _pins(pieces: list[NDArray[np.int64]], modes: FloatArray, points: Points, stiffness: FloatArray) -> Supports:
    """As many degrees of freedom as there are free modes ``(pieces 6 modes)``, as independent as possible.

    A pin on a soft tip would hold the body through a spring and spoil the convergence: stiff nodes are preferred.
    """
    count = max(20, PIN_CANDIDATES // len(pieces))
    n_modes = modes.shape[2]
    reach = 0.0
    chosen = np.zeros(0, np.int64)
    for nodes in zip(*(_spread(piece, stiffness, count) for piece in pieces), strict=True):
        rows = np.concatenate([(rigid_modes(points(some)) @ mode).reshape(-1, n_modes) for some, mode in zip(nodes, modes)])
        if len(rows) < n_modes:
            break
        _, triangle, order = scipy.linalg.qr(rows.T, mode="economic", pivoting=True)
        smallest = float(np.abs(np.diag(triangle)).min())
        # Stiffer nodes are taken as long as they hold the motions nearly as well as all nodes do.
        if smallest < INDEPENDENT * reach:
            break
        reach = max(reach, smallest)
        best = order[:n_modes]
        chosen = np.unique(3 * np.concatenate(nodes)[best // 3] + best % 3)
    return Supports(chosen, n_modes)


def _check_load(modes: FloatArray, nodes: NDArray[np.int64], points: Points, load: FloatArray) -> None:
    if not load.any():
        return
    work = np.einsum("na,nam->m", load[nodes], rigid_modes(points(nodes)) @ modes)
    largest = float(np.abs(load[nodes]).sum())
    if largest > 0 and np.abs(work).max() > 1e-8 * largest:
        raise ModelError(
            f"a load of {largest:.6g} N acts on a part of {len(nodes)} nodes that {modes.shape[1]} free rigid motions can carry away; "
            "expected supports or contacts that resist it. Hold more degrees of freedom there, or remove the load or the part."
        )


def find_supports(
    grid: Grid, active: NDArray[np.bool_], fixed: NDArray[np.bool_], load: FloatArray, stiffness: FloatArray, spacing: FloatArray,
    *, whole: bool = False,
) -> Supports:  # fmt: skip
    """Pins for every rigid motion that nothing prevents.

    Parameters
    ----------
    fixed, load
        Fixed degrees of freedom and nodal forces ``(n_nodes 3)``.
    stiffness
        Stiffness at each node; pins go to stiff ones.
    whole
        Known to be one face-connected body.

    Raises
    ------
    ModelError
        A load does work on a free motion.
    """
    points = partial(_normalised, grid, spacing, _box(active))
    count = 1
    if not whole:
        label, count = face_bodies(active)
    if count == 1:
        node = np.flatnonzero(fixed[:, 0] | fixed[:, 1] | fixed[:, 2])
        held_rows = rigid_modes(points(node))[fixed[node]]
        modes = _free_modes(held_rows.T @ held_rows)
        if modes.shape[1] == 0:
            return Supports(np.zeros(0, np.int64), 0)
        nodes = np.arange(grid.n_nodes)
        _check_load(modes, nodes, points, load)
        return _pins([nodes], modes[None], points, stiffness)
    body = label.astype(np.int64)
    main = int(np.bincount(body).argmax())
    table = grid.element_nodes()
    of_main = np.zeros(grid.n_nodes, dtype=bool)
    of_main[table[body == main]] = True
    others = body != main
    members = np.unique(table[others].ravel().astype(np.int64) * count + np.repeat(body[others], 8))
    node = np.concatenate([members // count, np.flatnonzero(of_main)])
    owner = np.concatenate([members % count, np.full(int(of_main.sum()), main)])
    # So many single nodes are asked for there that it pays to have them all.
    return _many_bodies(node, owner, fixed, load, points(np.arange(grid.n_nodes)).__getitem__, stiffness)


def _many_bodies(
    node: NDArray[np.int64], body: NDArray[np.int64], fixed: NDArray[np.bool_], load: FloatArray, points: Points,
    stiffness: FloatArray,
) -> Supports:  # fmt: skip
    """Pins for bodies that touch in nodes: first everything that moves as one with the largest body, then the rest together."""
    count = int(body.max()) + 1
    held = fixed[node]
    member, axis = np.nonzero(held)
    own = _gram(rigid_modes(points(node[member]))[np.arange(member.size), axis], body[member], count)
    by_body = np.split(node[np.argsort(body, kind="stable")], np.cumsum(np.bincount(body, minlength=count))[:-1])
    sharing: dict[int, list[int]] = {}
    at_contact = (np.bincount(node, minlength=len(stiffness)) > 1)[node]
    for one, other in zip(node[at_contact].tolist(), body[at_contact].tolist(), strict=True):
        sharing.setdefault(one, []).append(other)
    main = int(np.argmax([len(nodes) for nodes in by_body]))
    attached, total = _attach(main, by_body, sharing, own, points)
    cluster = np.where(attached, 0, np.cumsum(~attached))
    n_clusters = int(cluster.max()) + 1
    if 6 * n_clusters > MAX_JOINT:
        raise ModelError(
            f"{n_clusters - 1} pieces hang on single nodes or edges; expected at most {MAX_JOINT // 6}. "
            "Keep the largest face-connected piece of the mask only."
        )
    gram = np.zeros((n_clusters, 6, n_clusters, 6))
    gram[0, :, 0, :] = total
    for loose in np.flatnonzero(~attached):
        gram[cluster[loose], :, cluster[loose], :] += own[loose]
    for contact, pieces in sharing.items():
        groups = sorted({int(cluster[piece]) for piece in pieces})
        mode = rigid_modes(points(np.array([contact])))[0]
        square = mode.T @ mode
        for group in groups[1:]:
            gram[groups[0], :, groups[0], :] += square
            gram[group, :, group, :] += square
            gram[groups[0], :, group, :] -= square
            gram[group, :, groups[0], :] -= square
    modes = _free_modes(gram.reshape(6 * n_clusters, 6 * n_clusters)).reshape(n_clusters, 6, -1)
    if modes.shape[2] == 0:
        return Supports(np.zeros(0, np.int64), 0)
    moved = np.flatnonzero(np.abs(modes).max(axis=(1, 2)) > 1e-7)
    parts: list[NDArray[np.int64]] = []
    for group in moved.tolist():
        mine = np.zeros(len(stiffness), dtype=bool)
        for piece in np.flatnonzero(cluster == group).tolist():
            mine[by_body[piece]] = True
        nodes = np.flatnonzero(mine)
        _check_load(modes[group], nodes, points, np.where(fixed, 0.0, load))
        # A node of several pieces moves with each of them alike, so any of them may speak for it.
        parts.append(nodes)
    return _pins(parts, modes[moved], points, stiffness)


def _attach(
    main: int, by_body: list[NDArray[np.int64]], sharing: dict[int, list[int]], own: FloatArray, points: Points
) -> tuple[NDArray[np.bool_], FloatArray]:
    """Bodies that cannot move relative to the main one, and the Gram matrix of what holds them all.

    Once they are held firmly, bodies that their own supports hold count as attached too: none of them moves.
    """
    attached = np.zeros(len(by_body), dtype=bool)
    contact = np.zeros((len(by_body), 6, 6))
    total = np.zeros((6, 6))
    firm = False
    waiting = [main]
    while waiting:
        piece = waiting.pop()
        if attached[piece]:
            continue
        attached[piece] = True
        total += own[piece]
        touched: set[int] = set()
        for node in (
            by_body[piece].tolist() if len(sharing) > len(by_body[piece]) else [n for n in sharing if piece in sharing[n]]
        ):
            others = [other for other in sharing.get(node, ()) if not attached[other]]
            if others:
                mode = rigid_modes(points(np.array([node])))[0]
                for other in others:
                    contact[other] += mode.T @ mode
                    touched.add(other)
        if not firm and total.any() and _free_modes(total).shape[1] == 0:
            firm = True
            touched = set(np.flatnonzero(~attached).tolist())
        for other in touched:
            hold = contact[other] + (own[other] if firm else 0.0)
            if hold.any() and _free_modes(hold).shape[1] == 0:
                waiting.append(other)
    return attached, total
