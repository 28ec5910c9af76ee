"""From the numbered nodes, elements and supports of a file to arrays on a voxel grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...errors import InputError
from ...records import Array
from .model import VoxelModel, find_grid

Dofs = tuple[Int[Array, "n"], Int[Array, "n"], Float[Array, "n"]]
"""Node number, axis (0, 1, 2) and value."""


@dataclass(frozen=True)
class Parts:
    """What a file says."""

    name: str
    node_numbers: Int[Array, "n"]
    coordinates: Float[Array, "n 3"]
    """[mm]"""
    elements: Int[Array, "m 8"]
    """Node numbers of each element, in any order of its corners."""
    youngs_modulus: Float[Array, "m"]
    poisson_ratio: Float[Array, "m"]
    yield_stress: Float[Array, "m"]
    supports: Dofs
    """[mm]"""
    forces: Dofs
    """[N]"""
    loaded: Int[Array, "l"]
    """Numbers of the nodes whose reaction is the load; empty where the file does not say: those that move."""
    tension_ratio: float = 1.0
    notes: tuple[str, ...] = ()


def assemble(parts: Parts) -> VoxelModel:
    """Return the model on its grid, with the node numbers of the file.

    Raises
    ------
    InputError
        No voxel grid, an element without a material, a number that no node has, or one support with two values.
    """
    row_of = np.full(int(parts.node_numbers.max(initial=0)) + 1, -1)
    row_of[parts.node_numbers] = np.arange(len(parts.node_numbers))

    def rows(numbers: Int[Array, "..."]) -> Int[Array, "..."]:
        known = (numbers > 0) & (numbers < len(row_of))
        found = np.where(known, row_of[np.where(known, numbers, 0)], -1)
        if (found < 0).any():
            raise InputError(f"found node number {int(numbers[found < 0].flat[0])}, which the file does not define; check the file")
        return found

    mesh = find_grid(parts.coordinates, rows(parts.elements))
    bad = ~((parts.youngs_modulus > 0) & np.isfinite(parts.youngs_modulus))
    if bad.any():
        raise InputError(f"found {int(bad.sum())} of {len(bad)} elements without a positive modulus, expected one each; check the materials")
    cells = tuple(mesh.cells.T)
    modulus, ratio, strength = np.zeros(mesh.shape), np.full(mesh.shape, 0.3), np.full(mesh.shape, np.inf)
    modulus[cells], ratio[cells], strength[cells] = parts.youngs_modulus, parts.poisson_ratio, parts.yield_stress
    if int((modulus > 0).sum()) != len(parts.youngs_modulus):
        raise InputError("found two elements in one voxel, expected one; check the mesh")
    nodes = tuple(n + 1 for n in mesh.shape)
    numbers = np.zeros(nodes, dtype=np.int64)
    on = mesh.nodes[:, 0] >= 0
    numbers[tuple(mesh.nodes[on].T)] = parts.node_numbers[on]

    def spread(dofs: Dofs) -> tuple[np.ndarray, np.ndarray]:
        where, value = np.zeros((*nodes, 3), dtype=bool), np.zeros((*nodes, 3))
        place = mesh.nodes[rows(dofs[0])]
        mine = place[:, 0] >= 0
        index = (*place[mine].T, dofs[1][mine])
        where[index], value[index] = True, dofs[2][mine]
        if np.abs(value[index] - dofs[2][mine]).max(initial=0.0) > 1e-9 * np.abs(dofs[2]).max(initial=1.0):
            raise InputError("found two values for one degree of freedom, expected one; check the supports")
        return where, value

    fixed, displacement = spread(parts.supports)
    _, force = spread(parts.forces)
    moved = fixed & (displacement != 0)
    loaded = moved.any(axis=-1)
    if len(parts.loaded):
        loaded = np.zeros(nodes, dtype=bool)
        loaded[tuple(mesh.nodes[rows(parts.loaded)].T)] = True
    total = np.where(moved, displacement, 0.0)[loaded].sum(axis=0)
    length = float(np.linalg.norm(total))
    return VoxelModel(
        name=parts.name, youngs_modulus=modulus, yield_stress=strength, tension_ratio=parts.tension_ratio, poisson_ratio=ratio,
        spacing=mesh.spacing, fixed=fixed, displacement=displacement, loaded=loaded,
        direction=total / length if length > 0 else np.array([0.0, 0.0, -1.0]), force=force, numbers=numbers, notes=parts.notes,
    )  # fmt: skip
