"""A block of material between platens: its bounding box, and what each standard test holds and moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from openbct.errors import ModelError
from openbct.fe.checks import check_model

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """Bounding box of what is stiff."""

    modulus: NDArray[np.floating]
    spacing: FloatArray
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]

    @property
    def size(self) -> FloatArray:
        """Edge lengths of the box [mm]."""
        return np.asarray((self.upper - self.lower) * self.spacing)

    def nodes(self) -> tuple[int, int, int, int]:
        """Shape of a nodal vector array."""
        i, j, k = self.modulus.shape
        return (i + 1, j + 1, k + 1, 3)

    def plane(self, axis: int, end: int) -> tuple[slice | int, ...]:
        """Index of the nodes of one face: ``end`` 0 is the lower, 1 the upper one."""
        where: list[slice | int] = [slice(None)] * 3
        where[axis] = int((self.lower, self.upper)[end][axis])
        return tuple(where)

    def held(self, faces: Sequence[int], components: Sequence[int]) -> NDArray[np.bool_]:
        """Some components fixed at both faces along some axes."""
        fixed = np.zeros(self.nodes(), dtype=bool)
        for axis in faces:
            for end in (0, 1):
                fixed[(*self.plane(axis, end), list(components))] = True
        return fixed


def find_block(youngs_modulus: ArrayLike, spacing: Sequence[float], axis: int, strain: float) -> Block:
    """Return the block of what is stiff, if axis and strain make sense.

    Raises
    ------
    ModelError
        Nothing stiff, or a value out of range.
    """
    modulus = check_model(youngs_modulus, spacing, 0.5)
    if axis not in (0, 1, 2):
        raise ModelError(f"axis is {axis}; expected 0, 1 or 2: the array axis along which the platens stand apart.")
    if not (np.isfinite(strain) and 0 < abs(strain) <= 0.5):
        raise ModelError(
            f"strain is {strain:g}; expected a small number other than 0, such as -0.01 for one per cent of compression."
        )
    solid = np.nonzero(modulus > 0)
    if solid[0].size == 0:
        raise ModelError("no voxel has a positive modulus; expected at least one. Check that the moduli are in MPa.")
    lower = np.array([places.min() for places in solid])
    upper = np.array([places.max() + 1 for places in solid])
    return Block(modulus, np.asarray(spacing, dtype=float), lower, upper)


def pressed(block: Block, axis: int, strain: float, test: str) -> tuple[NDArray[np.bool_], FloatArray]:
    """Supports of a block whose upper platen moves along ``axis``: smooth, glued to it, or in a smooth chamber."""
    fixed = block.held((axis,), (0, 1, 2) if test == "clamped" else (axis,))
    for side in range(3) if test == "confined" else ():
        fixed |= block.held((side,), (side,))
    displacement = np.zeros(block.nodes())
    displacement[(*block.plane(axis, 1), axis)] = strain * block.size[axis]
    return fixed, displacement


def slid(block: Block, axis: int, strain: float, direction: int | None) -> tuple[NDArray[np.bool_], FloatArray, int]:
    """Supports of a block in simple shear, and the axis along which its upper platen slides."""
    along = (axis + 1) % 3 if direction is None else direction
    if along == axis or along not in (0, 1, 2):
        raise ModelError(f"direction is {along} and axis {axis}; expected two different array axes out of 0, 1, 2.")
    gradient = np.zeros((3, 3))
    gradient[along, axis] = strain
    return block.held((0, 1, 2), (0, 1, 2)), linear_field(block, gradient), along


def linear_field(block: Block, gradient: FloatArray) -> FloatArray:
    """Nodal displacement of a uniform displacement gradient, zero at the lower corner of the block [mm]."""
    steps = [(np.arange(n) - low) * h for n, low, h in zip(block.nodes()[:3], block.lower, block.spacing, strict=True)]
    place = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    return np.asarray(place @ gradient.T)


def prescribe(
    youngs_modulus: ArrayLike, test: str, *, axis: int = 2, strain: float = -0.01, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> tuple[NDArray[np.bool_], FloatArray, NDArray[np.bool_], FloatArray]:
    """What a standard test prescribes, for a solver of another program.

    Smooth platens leave a block free to slide and turn on them; here each piece is pinned against that at two nodes, which carry no
    force. Our own solver needs no pins: its displacement is the one without net motion.

    Parameters
    ----------
    test
        ``uniaxial``, ``clamped``, ``confined`` or ``shear``; see the function of that name for the rest.

    Returns
    -------
    tuple
        Fixed degrees of freedom and their displacement ``(i+1 j+1 k+1 3)`` [mm], the nodes of the moving platen
        ``(i+1 j+1 k+1)``, and the unit vector along which it moves ``(3)``.

    Raises
    ------
    ModelError
        Nothing stiff, or a value out of range.
    """
    block = find_block(youngs_modulus, spacing, axis, strain)
    if test == "shear":
        fixed, displacement, along = slid(block, axis, strain, None)
    else:
        (fixed, displacement), along = pressed(block, axis, strain, test), axis
    if test == "uniaxial":
        _pin(block, fixed, axis)
    platen = np.zeros(block.nodes()[:3], dtype=bool)
    platen[block.plane(axis, 1)] = True
    return fixed, displacement, platen, np.eye(3)[along] * np.sign(strain)


def _pin(block: Block, fixed: NDArray[np.bool_], axis: int) -> None:
    """Hold each piece in the plane of a platen: one corner along both axes, another, away from it along the first, along the second."""
    first, second = (a for a in range(3) if a != axis)
    pieces, count = ndimage.label(block.modulus > 0, structure=np.ones((3, 3, 3)))
    for piece in range(1, count + 1):
        for layer, node in ((block.lower[axis], block.lower[axis]), (block.upper[axis] - 1, block.upper[axis])):
            voxels = np.argwhere(np.take(pieces, layer, axis=axis) == piece)
            if len(voxels) == 0:
                continue
            for corner, held in (
                (voxels[voxels[:, 0].argmin()], (first, second)),
                (voxels[voxels[:, 0].argmax()] + 1, (second,)),
            ):
                place = np.insert(corner, axis, node)
                fixed[(*place, list(held))] = True
            break
