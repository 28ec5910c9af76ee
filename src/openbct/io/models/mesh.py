"""From nodes and bricks in any order to the voxel grid that they lie on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...errors import InputError
from ...records import Array

MOST_VOXELS = 1e9
"""Largest box of voxels that is made of a file [design]: one of 8 GB for each field."""
GRID_TOLERANCE = 1e-3
"""How far a node may lie from its place in the grid, in voxels; single precision at 500 voxels is 3e-5 [design]."""


@dataclass(frozen=True)
class Mesh:
    """Nodes and bricks of a file that should be voxels."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    nodes: Int[Array, "n 3"]
    """Place of each node of the file in the grid; -1 for a node of no element."""
    cells: Int[Array, "m 3"]
    """Voxel of each element."""


def find_grid(coordinates: Float[Array, "n 3"], elements: Int[Array, "m 8"]) -> Mesh:
    """Return the voxel grid that a mesh of bricks lies on, whatever the order of its nodes.

    Parameters
    ----------
    coordinates
        Of each node [mm].
    elements
        Row of each element's nodes in ``coordinates``.

    Raises
    ------
    InputError
        The elements are no equal bricks along the axes.
    """
    if len(elements) == 0:
        raise InputError("found a mesh without eight-node elements, expected voxels; export hexahedra")
    places = coordinates[elements]
    low = places.min(axis=1)
    sizes = places.max(axis=1) - low
    spacing = np.median(sizes, axis=0)
    if not (spacing > 0).all() or np.abs(sizes - spacing).max() > 2 * GRID_TOLERANCE * spacing.max():
        raise InputError(
            f"found elements of {sizes.min(axis=0)} to {sizes.max(axis=0)} mm, expected voxels: equal bricks along the axes; "
            "only voxel models can be read"
        )
    origin = low.min(axis=0)
    spacing = _refine(low - origin, spacing)
    scaled = (low - origin) / spacing
    if not float(np.prod(scaled.max(axis=0) + 1)) <= MOST_VOXELS:
        raise InputError(
            f"found elements that lie {scaled.max():.3g} voxels apart, expected one body of at most {MOST_VOXELS:.0e} voxels with its void; check "
            "the coordinates"
        )
    cells = np.rint(scaled).astype(int)
    corner = np.rint((places - low[:, None, :]) / spacing).astype(int)
    codes = np.sort(corner @ np.array([1, 2, 4]), axis=1)
    if np.abs(scaled - cells).max() > GRID_TOLERANCE * 2 or not (codes == np.arange(8)).all():
        raise InputError(
            "found bricks that do not lie on one grid of equal voxels, expected a voxel model; only voxel models can be read"
        )
    nodes = np.full((len(coordinates), 3), -1)
    nodes[elements] = cells[:, None, :] + corner
    top = cells.max(axis=0) + 1
    return Mesh((int(top[0]), int(top[1]), int(top[2])), (float(spacing[0]), float(spacing[1]), float(spacing[2])), nodes, cells)


def _refine(offset: Float[Array, "m 3"], spacing: Float[Array, "3"]) -> Float[Array, "3"]:
    """Return the voxel size from the whole span, which single precision blurs less than one element."""
    count = np.rint(offset.max(axis=0) / spacing)
    return np.where(count > 0, offset.max(axis=0) / np.maximum(count, 1), spacing)
