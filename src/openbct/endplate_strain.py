"""Load histories told by the shortening of the bone itself: for pads so soft, like discs, that the platens' travel says little of the bone.

The history is run twice: first with the platens' travels that a linear solution asks for, which overshoot as soon as the bone yields, then with those
that the first curve asks for. The travel of each point is replaced by how much nearer the bone's two ends have come to each other, and the points
that were wanted are read between those that were solved, which lie close to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from . import fe
from .errors import ModelError
from .records import Array, FEModel

TOLERANCE = 1e-4
"""Relative residual of the linear solution, which only sets the steps [D]."""
BEYOND = 0.1
"""The second history goes this share of the last travel beyond it, in case the first one's forces lay a little high [D]."""


def shortening(
    model: FEModel, displacement: Float[Array, "i j k 3"], ends: tuple[Bool[Array, "i j k"], Bool[Array, "i j k"]]
) -> float:
    """Return how much nearer the bone's ends have come along the load [mm]; ``ends`` are nodes at the held and at the loaded side."""
    along = displacement @ model.boundary.direction
    held, loaded = (float(along[end].mean()) for end in ends)
    return loaded - held


def bone_ends(model: FEModel) -> tuple[Bool[Array, "i j k"], Bool[Array, "i j k"]]:
    """Return the nodes that bone and pad share, at the held and at the loaded side.

    Raises
    ------
    ModelError
        The model has no pad at one of its sides.
    """
    pad = (model.youngs_modulus > 0) & ~model.mask
    shared = _nodes_of(model.mask) & _nodes_of(pad)
    axis = int(np.argmax(np.abs(model.boundary.direction)))
    layer = np.arange(shared.shape[axis])
    middle = float(np.nonzero(model.mask)[axis].mean()) + 0.5
    upper = np.moveaxis(np.broadcast_to(layer > middle, np.moveaxis(shared, axis, -1).shape), -1, axis)
    loaded_above = float(np.nonzero(model.boundary.loaded)[axis].mean()) > middle
    first, second = shared & ~upper, shared & upper
    if not (first.any() and second.any()):
        raise ModelError(
            f"found a pad at only one side of {model.bone} or at none, expected one at each end: strain is read between them"
        )
    return (first, second) if loaded_above else (second, first)


def between_ends(model: FEModel, solver: Callable[..., fe.PlasticSolution]) -> Callable[..., fe.PlasticSolution]:
    """Return a solver of the same form whose travels are those of the bone's ends; its curve ends with the last travel that was asked for."""
    ends = bone_ends(model)

    def solve(
        youngs_modulus: Any, *, travels: Sequence[float], keep_travels: Sequence[float], **given: Any
    ) -> fe.PlasticSolution:
        elastic = fe.solve(
            youngs_modulus, poisson_ratio=given["poisson_ratio"], spacing=given["spacing"], fixed=given["fixed"],
            displacement=given["displacement"], tolerance=TOLERANCE, bbar=given["bbar"], threads=given["threads"],
            orthotropy=given["orthotropy"], rigid=given["rigid"],
        )  # fmt: skip
        share = shortening(model, elastic.displacement, ends)
        if not 0 < share <= 1.001:
            raise ModelError(
                f"found that the ends of {model.bone} come {share:.3g} mm nearer for each millimetre of travel, expected a share between 0 and 1"
            )
        squash = (1.0 - share) / float(fe.reaction(elastic, model.boundary.loaded) @ model.boundary.direction)
        driven = [travel / share for travel in travels]
        first = solver(youngs_modulus, travels=driven, keep_travels=driven, **given)
        near, rows = _solved(model, first, ends)
        force = np.interp(travels, near, first.curve[rows, 1])
        driven = np.maximum.accumulate(np.array(travels) + squash * force).tolist()
        driven.append(driven[-1] + BEYOND * travels[-1])
        driven = [travel for n, travel in enumerate(driven) if n == 0 or travel > driven[n - 1] * (1 + 1e-9)]
        solution = solver(youngs_modulus, travels=driven, keep_travels=driven, **given)
        return _told_by_the_bone(model, solution, ends, list(travels), list(keep_travels))

    return solve


def _solved(
    model: FEModel, solution: fe.PlasticSolution, ends: tuple[Bool[Array, "i j k"], Bool[Array, "i j k"]]
) -> tuple[Array, list[int]]:
    """Return the bone's shortening at each kept point, the unloaded state first [mm], and where these stand in the curve."""
    near = np.array([0.0, *(shortening(model, moved, ends) for moved in solution.displacement)])
    return near, [0, *(int(np.argmin(np.abs(solution.curve[:, 0] - travel))) for travel in solution.travels)]


def _told_by_the_bone(
    model: FEModel,
    solution: fe.PlasticSolution,
    ends: tuple[Bool[Array, "i j k"], Bool[Array, "i j k"]],
    travels: list[float],
    keep: list[float],
) -> fe.PlasticSolution:
    """Return the solution with the bone's shortening in the place of the platens' travel, up to the last travel that was asked for."""
    near, rows = _solved(model, solution, ends)
    force = solution.curve[rows, 1]
    last = min(travels[-1], float(near[-1]))
    inside = [travel for travel in travels if travel <= last * (1 + 1e-9)]
    points = np.unique(np.array([0.0, *inside, last]).round(12))
    kept = [travel for travel in keep if travel <= last * (1 + 1e-9)]
    fields = [_between(travel, near, solution) for travel in kept]

    def at(values: Array) -> Array:
        return np.asarray(np.interp(points, near, values[rows]))

    return replace(
        solution,
        curve=np.column_stack([points, np.interp(points, near, force)]),
        travels=tuple(kept),
        displacement=tuple(field[0] for field in fields),
        plastic_strain=tuple(field[1] for field in fields),
        stress=tuple(field[2] for field in fields),
        failed_fraction=tuple(field[3] for field in fields),
        failed_curve=at(solution.failed_curve),
        converged=solution.converged or last >= travels[-1] * (1 - 1e-9),
        external_work=at(solution.external_work),
        elastic_energy=at(solution.elastic_energy),
        plastic_work=at(solution.plastic_work),
    )


def _between(travel: float, near: Float[Array, " n"], solution: fe.PlasticSolution) -> tuple[Array, Array, Array, float]:
    """Return displacement, plastic strain, stress and failed fraction at a shortening, between the two solved points around it."""
    n = int(np.clip(np.searchsorted(near, travel), 1, len(near) - 1))
    weight = float((travel - near[n - 1]) / (near[n] - near[n - 1]))

    def mix(values: tuple[Any, ...]) -> Any:
        after = values[n - 1]
        return weight * after if n == 1 else weight * after + (1 - weight) * values[n - 2]

    return mix(solution.displacement), mix(solution.plastic_strain), mix(solution.stress), mix(solution.failed_fraction)


def _nodes_of(elements: Bool[Array, "i j k"]) -> Array:
    """Return the nodes of some elements."""
    nodes = np.zeros(tuple(n + 1 for n in elements.shape), dtype=bool)
    for i, j, k in np.ndindex(2, 2, 2):
        nodes[i : i + elements.shape[0], j : j + elements.shape[1], k : k + elements.shape[2]] |= elements
    return nodes
