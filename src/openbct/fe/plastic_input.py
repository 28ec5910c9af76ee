"""What the caller of the elastic-plastic solve gave, checked and brought to the compact numbering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import ModelError
from openbct.fe.grid import Grid
from openbct.fe.rigid import RigidFace

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Load:
    """Boundary conditions on the compact nodes ``(n_nodes 3)``."""

    held: NDArray[np.bool_]
    unit: FloatArray
    """Displacement per millimetre of travel at the held degrees of freedom, 0 elsewhere [mm]."""
    loaded: NDArray[np.bool_]
    direction: FloatArray

    def read(self, force: FloatArray) -> float:
        """Load on the loaded nodes, from the internal nodal force ``(n_nodes 3)`` [N]."""
        reaction = np.where(self.held, force, 0.0)[self.loaded].sum(axis=0)
        return float(reaction @ self.direction)


def read_strength(yield_stress: ArrayLike, modulus: NDArray[np.floating]) -> FloatArray:
    """Yield stress ``(i j k)`` of the voxels whose modulus is given [MPa].

    Raises
    ------
    ModelError
        Wrong shape, or a voxel that has stiffness and no strength, or strength beyond all stiffness.
    """
    strength = np.asarray(yield_stress, dtype=float)
    strength = np.full(modulus.shape, float(strength)) if strength.ndim == 0 else strength
    if strength.shape != modulus.shape:
        raise ModelError(
            f"yield_stress has the shape {strength.shape}; expected {modulus.shape} like youngs_modulus, or one number."
        )
    active = modulus > 0
    bad = active & ~(strength > 0)
    if bad.any():
        raise ModelError(
            f"yield_stress is NaN, zero or negative at {int(bad.sum())} voxels that have stiffness; expected more than 0 MPa. "
            "Clip the density from below, or use infinity for a material that stays elastic."
        )
    yields = active & np.isfinite(strength)
    strain = float((strength[yields] / modulus[yields]).max()) if yields.any() else 0.0
    if strain > 1.0:
        raise ModelError(
            f"yield_stress is up to {strain:.3g} times the modulus; expected both in MPa and a yield strain far below 1. "
            "Use infinity for a material that stays elastic."
        )
    return strength


def read_travels(
    travels: Sequence[float] | FloatArray, keep_travels: Sequence[float] | FloatArray | None
) -> tuple[list[float], set[float]]:
    """Travels, and those of them at which fields are kept [mm].

    Raises
    ------
    ModelError
        They do not rise, or one that is to be kept is not among them.
    """
    values = [float(t) for t in np.atleast_1d(np.asarray(travels, dtype=float))]
    rising = all(b > a for a, b in zip([0.0, *values[:-1]], values))
    if not values or not rising or not all(math.isfinite(t) for t in values):
        raise ModelError(f"travels are {values}; expected a rising list of positive travels in mm, such as [0.1, 0.2, 0.4].")
    keep = set(values if keep_travels is None else [float(t) for t in np.atleast_1d(np.asarray(keep_travels, dtype=float))])
    if not keep <= set(values):
        raise ModelError(
            f"keep_travels holds {sorted(keep - set(values))}, which are not among travels; expected some of {values}."
        )
    return values, keep


def check_combination(criterion: str, *, large_strain: bool, anisotropic: bool, rigid: Sequence[RigidFace]) -> None:
    """Refuse options that the elastic-plastic solve does not have together.

    Raises
    ------
    ModelError
        Large strain or anisotropic elements with another criterion than von Mises, or with one another; a force on a rigid face.
    """
    if (large_strain or anisotropic) and criterion != "von_mises":
        option = "large_strain" if large_strain else "orthotropy"
        raise ModelError(f"{option} with criterion '{criterion}'; expected 'von_mises', the only one that has it. Leave one out.")
    if large_strain and (anisotropic or rigid):
        raise ModelError(
            f"large_strain with {'orthotropy' if anisotropic else 'rigid faces'}; expected small strain, which alone has them. Leave one out."
        )
    if any(any(face.load) for face in rigid):
        raise ModelError(
            "a rigid face carries a force in a load history that is driven by travel; expected none. Leave `load` out."
        )


def check_supports(voxels: tuple[int, ...], fixed: Any, displacement: Any, loaded: Any, direction: Any) -> None:
    """Refuse boundary conditions that do not fit the grid.

    Raises
    ------
    ModelError
        Wrong shapes or types, or not a unit vector.
    """
    shape = tuple(n + 1 for n in voxels)
    for name, array, expected in (
        ("fixed", fixed, (*shape, 3)),
        ("displacement", displacement, (*shape, 3)),
        ("loaded", loaded, shape),
    ):
        if np.shape(array) != expected:
            raise ModelError(
                f"{name} has the shape {np.shape(array)}; expected {expected}: node arrays are one longer than the voxels."
            )
    for name, array in (("fixed", fixed), ("loaded", loaded)):
        if np.asarray(array).dtype != np.bool_:
            raise ModelError(f"{name} is {np.asarray(array).dtype}; expected a boolean array.")
    axis = np.asarray(direction, dtype=float)
    if axis.shape != (3,) or not np.isfinite(axis).all() or abs(float(np.linalg.norm(axis)) - 1.0) > 1e-6:
        raise ModelError(f"direction is {axis.tolist()}; expected a unit vector of three numbers.")


def read_load(grid: Grid, fixed: Any, displacement: Any, loaded: Any, direction: Any) -> Load:
    """The load on the compact nodes of the body.

    Raises
    ------
    ModelError
        Nothing of the body is held or moved, or there is no reaction to read.
    """
    held = np.asarray(fixed).reshape(-1, 3)[grid.nodes]
    unit = np.where(held, np.asarray(displacement, dtype=float).reshape(-1, 3)[grid.nodes], 0.0)
    marked = np.asarray(loaded).ravel()[grid.nodes]
    if not np.isfinite(unit).all():
        raise ModelError(
            "displacement is not finite at a fixed degree of freedom; expected millimetres per millimetre of travel."
        )
    if not unit.any():
        raise ModelError("displacement is 0 at every fixed degree of freedom of the body; expected a moving platen.")
    if not (held & marked[:, None]).any():
        raise ModelError(
            "no loaded node of the body is held, so there is no reaction to read; expected `loaded` to mark held nodes."
        )
    return Load(held, unit, marked, np.asarray(direction, dtype=float))
