"""From the numbered nodes, elements and supports of a file to arrays on a voxel grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...errors import InputError
from ...records import Array, ElasticSymmetry, Reference
from .mesh import find_grid
from .model import VOID_RATIO, VoxelModel, where_loaded

SAME_SYMMETRY = 1e-5
"""Relative difference between constants that single precision may explain [design]."""
Dofs = tuple[Int[Array, " _"], Int[Array, " _"], Float[Array, " _"]]
"""Node number, axis (0, 1, 2) and value."""


@dataclass(frozen=True)
class Parts:
    """What a file says."""

    name: str
    node_numbers: Int[Array, " n"]
    coordinates: Float[Array, "n 3"]
    """[mm]"""
    elements: Int[Array, "m 8"]
    """Node numbers of each element, in any order of its corners."""
    youngs_modulus: Float[Array, " m"]
    poisson_ratio: Float[Array, " m"]
    yield_stress: Float[Array, " m"]
    supports: Dofs
    """[mm]"""
    forces: Dofs
    """[N]"""
    loaded: Int[Array, " l"]
    """Numbers of the nodes whose reaction is the load; empty where the file does not say: those that move."""
    tension_ratio: float = 1.0
    symmetry: ElasticSymmetry | None = None
    notes: tuple[str, ...] = ()


def common_symmetry(constants: Float[Array, "n 9"]) -> tuple[Float[Array, " n"], ElasticSymmetry]:
    """Return the modulus along the third axis of each row of engineering constants, and the symmetry that all rows share.

    Parameters
    ----------
    constants
        E1, E2, E3 [MPa], nu12, nu13, nu23 [-], G12, G13, G23 [MPa].

    Raises
    ------
    InputError
        A row that is not finite and positive in its moduli, or rows that are no multiples of one another.
    """
    moduli = [0, 1, 2, 6, 7, 8]
    if not np.isfinite(constants).all() or not (constants[:, moduli] > 0).all():
        raise InputError("found isotropic beside orthotropic materials, or one without nine constants, expected all with nine")
    factors = constants.copy()
    factors[:, moduli] /= constants[:, 2:3]
    if not np.allclose(factors, factors[0], rtol=SAME_SYMMETRY):
        raise InputError(
            "found orthotropic materials that are no multiples of one another, expected one symmetry for all elements"
        )
    one, two, three, ij, ik, jk, g_ij, g_ik, g_jk = map(float, np.median(factors, axis=0))
    how = ElasticSymmetry(
        "orthotropic", (one, two, three), (ij, ik, jk), (g_jk, g_ik, g_ij), Reference("Constants of the file", "seen")
    )
    return constants[:, 2], how


def assemble(parts: Parts) -> VoxelModel:
    """Return the model on its grid, with the node numbers of the file.

    Raises
    ------
    InputError
        No voxel grid, an element without a material, a number that no node has, or one support with two values.
    """
    order = np.argsort(parts.node_numbers, kind="stable")
    known = parts.node_numbers[order]
    if len(known) and (known[0] < 1 or (np.diff(known) == 0).any()):
        raise InputError("found a node number below 1, or one that is given twice, expected numbers from 1; check the file")

    def rows(numbers: Int[Array, "..."]) -> Int[Array, "..."]:
        at = np.minimum(np.searchsorted(known, numbers), max(len(known) - 1, 0))
        strange = numbers[known[at] != numbers] if len(known) else numbers
        if strange.size:
            raise InputError(f"found node number {int(strange.flat[0])}, which the file does not define; check the file")
        return np.asarray(order[at])

    mesh = find_grid(parts.coordinates, rows(parts.elements))
    bad = ~((parts.youngs_modulus > 0) & np.isfinite(parts.youngs_modulus))
    if bad.any():
        raise InputError(
            f"found {int(bad.sum())} of {len(bad)} elements without a positive modulus, expected one each; check the materials"
        )
    if parts.symmetry is not None and np.isfinite(parts.yield_stress).any():
        raise InputError(
            "found yield stresses of orthotropic elements, expected isotropic ones: the kernel has no such plasticity"
        )
    cells = tuple(mesh.cells.T)
    modulus, ratio, strength = np.zeros(mesh.shape), np.full(mesh.shape, VOID_RATIO), np.full(mesh.shape, np.inf)
    modulus[cells], ratio[cells], strength[cells] = parts.youngs_modulus, parts.poisson_ratio, parts.yield_stress
    if int((modulus > 0).sum()) != len(parts.youngs_modulus):
        raise InputError("found two elements in one voxel, expected one; check the mesh")
    nodes = tuple(n + 1 for n in mesh.shape)
    numbers = np.zeros(nodes, dtype=np.int64)
    on = mesh.nodes[:, 0] >= 0
    numbers[tuple(mesh.nodes[on].T)] = parts.node_numbers[on]
    if int((numbers > 0).sum()) != int(on.sum()):
        raise InputError("found two nodes in one place, expected one: a voxel model has no cracks; merge the nodes")

    def spread(dofs: Dofs, what: str) -> tuple[np.ndarray, np.ndarray]:
        where, value = np.zeros((*nodes, 3), dtype=bool), np.zeros((*nodes, 3))
        if len(dofs[1]) and not 0 <= dofs[1].min() <= dofs[1].max() <= 2:
            raise InputError(f"found a {what} along the axis {int(dofs[1].max()) + 1}, expected 1 to 3; check the file")
        place = mesh.nodes[rows(dofs[0])]
        mine = place[:, 0] >= 0
        index = (*place[mine].T, dofs[1][mine])
        where[index], value[index] = True, dofs[2][mine]
        twice = np.abs(value[index] - dofs[2][mine]).max(initial=0.0) > 1e-9 * np.abs(dofs[2]).max(initial=0.0)
        if twice or (what == "force" and int(where.sum()) != int(mine.sum())):
            raise InputError(f"found a second {what} at one degree of freedom, expected one; write each once")
        return where, value

    fixed, displacement = spread(parts.supports, "prescribed displacement")
    _, force = spread(parts.forces, "force")
    loaded = None
    if len(parts.loaded):
        loaded, place = np.zeros(nodes, dtype=bool), mesh.nodes[rows(parts.loaded)]
        loaded[tuple(place[place[:, 0] >= 0].T)] = True
    loaded, direction = where_loaded(fixed, displacement, loaded)
    return VoxelModel(
        name=parts.name, youngs_modulus=modulus, yield_stress=strength, tension_ratio=parts.tension_ratio, poisson_ratio=ratio,
        spacing=mesh.spacing, fixed=fixed, displacement=displacement, loaded=loaded,
        direction=direction, force=np.where(fixed, 0.0, force), numbers=numbers, notes=parts.notes, symmetry=parts.symmetry,
    )  # fmt: skip
