"""Standard tests of a block of material: what a testing machine would measure on it.

The block is the bounding box of the voxels with a positive modulus; its platens touch the first and the last layer of voxels
along an axis. Apparent numbers refer to the whole cross-section and the whole length of that box, pores included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.fe.block import Block, find_block, linear_field, pressed, slid
from openbct.fe.solution import Solution
from openbct.fe.solve import solve

FloatArray = NDArray[np.float64]

STRAIN_CASES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Axes of the strain component of each Voigt number ``ii jj kk jk ik ij``."""


@dataclass(frozen=True)
class StandardTest:
    """What one test measured."""

    solution: Solution
    """Displacement, reactions and status of the whole block."""
    force: FloatArray
    """Force that the moving platen exerts on the block ``(3)`` [N]."""
    travel: float
    """Displacement of the moving platen along its direction [mm]."""
    area: float
    """Cross-section of the bounding box [mm²]."""
    length: float
    """Distance of the platens [mm]."""
    stiffness: float
    """Force along the travel over the travel [N/mm]."""
    apparent_modulus: float
    """Stress over strain along the travel: a Young's, oedometric or shear modulus, as the test says [MPa]."""


@dataclass(frozen=True)
class StiffnessTensor:
    """Apparent stiffness from six strain cases with the displacement of the whole surface prescribed."""

    tensor: FloatArray
    """Mean stress per unit of strain ``(6 6)``, Voigt order ``ii jj kk jk ik ij`` with engineering shear [MPa]."""
    asymmetry: float
    """Largest difference between the tensor and its transpose, over its largest entry: the error of the solver [-]."""
    engineering: dict[str, float]
    """Moduli [MPa] and Poisson ratios [-] of the inverse of the tensor: ``E_i``, ``G_jk``, ``nu_ij`` …"""
    solutions: tuple[Solution, ...]
    """One for each column."""


def _measure(
    block: Block, fixed: NDArray[np.bool_], displacement: FloatArray, axis: int, direction: int, strain: float, options: dict[str, Any]
) -> StandardTest:  # fmt: skip
    """Solve and read the platen at the upper end of ``axis``, which moved along ``direction``."""
    solution = solve(block.modulus, spacing=block.spacing.tolist(), fixed=fixed, displacement=displacement, **options)
    face = np.zeros(solution.node_shape, dtype=bool)
    face[block.plane(axis, 1)] = True
    force = np.asarray(solution.nodal_force[face.ravel()[solution.nodes]].sum(axis=0))
    length = float(block.size[axis])
    area = float(np.prod(np.delete(block.size, axis)))
    travel = strain * length
    along = float(force[direction])
    return StandardTest(solution, force, travel, area, length, along / travel, along / area / strain)


def uniaxial(
    youngs_modulus: ArrayLike, *, axis: int = 2, strain: float = -0.01, clamped: bool = False,
    spacing: Sequence[float] = (1.0, 1.0, 1.0), **options: Any,
) -> StandardTest:  # fmt: skip
    """Compression (negative strain) or tension between two platens, the sides free.

    Parameters
    ----------
    youngs_modulus
        Modulus of each voxel ``(i j k)``; 0 or less is void [MPa].
    axis
        Array axis along which the platens stand apart.
    strain
        Travel of the platen over the length of the block [-].
    clamped
        Glued to the platens; otherwise they let it slide without friction.
    spacing
        Voxel size along i j k [mm].
    options
        Passed on to :func:`openbct.fe.solve`: ``poisson_ratio``, ``orthotropy``, ``bbar``, ``tolerance``, ``threads``, ``throw`` …

    Raises
    ------
    ModelError
        Nothing stiff, nothing that a platen touches, or a value out of range.
    SolveError
        Not converged.
    """
    block = find_block(youngs_modulus, spacing, axis, strain)
    fixed, displacement = pressed(block, axis, strain, "clamped" if clamped else "uniaxial")
    return _measure(block, fixed, displacement, axis, axis, strain, options)


def confined(
    youngs_modulus: ArrayLike, *, axis: int = 2, strain: float = -0.01, spacing: Sequence[float] = (1.0, 1.0, 1.0), **options: Any
) -> StandardTest:
    """Compression in a smooth rigid chamber: the apparent modulus is the oedometric one. See :func:`uniaxial`."""
    block = find_block(youngs_modulus, spacing, axis, strain)
    fixed, displacement = pressed(block, axis, strain, "confined")
    return _measure(block, fixed, displacement, axis, axis, strain, options)


def shear(
    youngs_modulus: ArrayLike, *, axis: int = 2, direction: int | None = None, strain: float = 0.01,
    spacing: Sequence[float] = (1.0, 1.0, 1.0), **options: Any,
) -> StandardTest:  # fmt: skip
    """Simple shear: the platen normal to ``axis`` slides along ``direction``, and every outer face follows the uniform strain.

    ``direction`` is by default the array axis after ``axis``. See :func:`uniaxial` for the rest.
    """
    block = find_block(youngs_modulus, spacing, axis, strain)
    fixed, displacement, along = slid(block, axis, strain, direction)
    # The platen takes the reactions of its own plane alone: its rim also belongs to the side faces.
    test = _measure(block, fixed, displacement, axis, along, strain, options)
    stress = mean_stress(test.solution, block.spacing.tolist(), float(np.prod(block.size)))
    traction = stress[:, axis]
    return StandardTest(
        test.solution, traction * test.area, test.travel, test.area, test.length,
        float(traction[along]) * test.area / test.travel, float(traction[along]) / strain,
    )  # fmt: skip


def mean_stress(solution: Solution, spacing: Sequence[float], volume: float) -> FloatArray:
    """Mean stress ``(3 3)`` over a volume from the support forces on its surface: their first moments over the volume [MPa].

    Exact for any body in equilibrium that nothing but these forces loads.
    """
    place = np.stack(np.unravel_index(solution.nodes, solution.node_shape), axis=1) * np.asarray(spacing, dtype=float)
    moment = solution.nodal_force.T @ (place - place.mean(axis=0))
    return np.asarray(0.5 * (moment + moment.T) / volume)


def stiffness_tensor(
    youngs_modulus: ArrayLike, *, strain: float = 0.001, spacing: Sequence[float] = (1.0, 1.0, 1.0), **options: Any
) -> StiffnessTensor:
    """Apparent stiffness of a block from six strain cases; the surface of the block follows the uniform strain.

    These kinematic boundary conditions bound the effective stiffness of a material from above; the smaller the pores against the
    block, the closer they are. ``options`` are passed on to :func:`openbct.fe.solve`.

    Raises
    ------
    ModelError
        Nothing stiff, or a value out of range.
    SolveError
        Not converged.

    References
    ----------
    Hazanov & Huet, J Mech Phys Solids 42:1995 (1994).
    """
    block = find_block(youngs_modulus, spacing, 2, strain)
    fixed = block.held((0, 1, 2), (0, 1, 2))
    volume = float(np.prod(block.size))
    tensor, solutions = np.zeros((6, 6)), []
    for column, (one, other) in enumerate(STRAIN_CASES):
        gradient = np.zeros((3, 3))
        gradient[one, other] = gradient[other, one] = strain if one == other else 0.5 * strain
        solution = solve(
            block.modulus, spacing=block.spacing.tolist(), fixed=fixed, displacement=linear_field(block, gradient), **options
        )
        stress = mean_stress(solution, block.spacing.tolist(), volume)
        tensor[:, column] = [stress[a, b] / strain for a, b in STRAIN_CASES]
        solutions.append(solution)
    asymmetry = float(np.abs(tensor - tensor.T).max() / np.abs(tensor).max())
    tensor = 0.5 * (tensor + tensor.T)
    return StiffnessTensor(tensor, asymmetry, engineering_constants(tensor), tuple(solutions))


def engineering_constants(tensor: ArrayLike) -> dict[str, float]:
    """Young's and shear moduli [MPa] and Poisson ratios [-] of a stiffness ``(6 6)``; empty where it is not positive definite."""
    stiffness = np.asarray(tensor, dtype=float)
    smallest, largest = np.linalg.eigvalsh(0.5 * (stiffness + stiffness.T))[[0, -1]]
    if not smallest > 1e-12 * largest:
        return {}
    compliance = np.linalg.inv(stiffness)
    names = "ijk"
    constants = {f"E_{names[a]}": 1 / float(compliance[a, a]) for a in range(3)}
    constants |= {f"G_{names[a]}{names[b]}": 1 / float(compliance[n, n]) for n, (a, b) in enumerate(STRAIN_CASES[3:], start=3)}
    pairs = ((0, 1), (0, 2), (1, 2))
    constants |= {f"nu_{names[a]}{names[b]}": float(-compliance[b, a] / compliance[a, a]) for a, b in pairs}
    return constants
