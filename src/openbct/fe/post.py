"""Fields and sums that follow from a solution: strain, stress, energy, reactions, a linear failure criterion.

Element arrays lie on the voxel grid ``(i j k …)`` and are 0 where there is no element. Strain and stress are Voigt vectors
``ii jj kk jk ik ij`` with engineering shear, at the centre of the voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import ModelError
from openbct.fe.hex8 import Orthotropy, element_stiffness, isotropic_stiffness, orthotropic_stiffness, strain_matrix
from openbct.fe.solution import Solution

FloatArray = NDArray[np.float64]

CHUNK = 65536
"""Elements treated at a time, which bounds the memory [D]."""


@dataclass(frozen=True)
class ElementFields:
    """Fields of one solution, one value per voxel."""

    strain: FloatArray
    """Strain at the centre ``(i j k 6)`` [-]."""
    stress: FloatArray
    """Stress at the centre ``(i j k 6)`` [MPa]."""
    principal_strain: FloatArray
    """Principal strains at the centre, ascending ``(i j k 3)`` [-]."""
    energy_density: FloatArray
    """Strain energy of the voxel over its volume; its sum times the volume is the energy of the body ``(i j k)`` [MPa]."""
    effective_strain: FloatArray
    """sqrt(2 U / E), with U the energy density and E the modulus ``(i j k)`` [-]."""


def _tensor(voigt: FloatArray) -> FloatArray:
    """Symmetric tensors ``(n 3 3)`` of strain vectors ``(n 6)``."""
    half = 0.5 * voigt[:, 3:]
    out = np.empty((len(voigt), 3, 3))
    out[:, 0, 0], out[:, 1, 1], out[:, 2, 2] = voigt[:, 0], voigt[:, 1], voigt[:, 2]
    out[:, 1, 2] = out[:, 2, 1] = half[:, 0]
    out[:, 0, 2] = out[:, 2, 0] = half[:, 1]
    out[:, 0, 1] = out[:, 1, 0] = half[:, 2]
    return out


def _parts(
    ratio: FloatArray | None, orthotropy: Orthotropy | None, poisson_ratio: float
) -> tuple[tuple[FloatArray, FloatArray | None], ...]:
    """Material stiffnesses ``(6 6)`` per unit of modulus and their weight in each element (none: 1)."""
    if orthotropy is not None:
        return ((orthotropic_stiffness(orthotropy), None),)
    if ratio is None:
        return ((isotropic_stiffness(poisson_ratio), None),)
    volumetric = np.zeros((6, 6))
    volumetric[:3, :3] = 1.0
    shear = np.diag([2.0, 2, 2, 1, 1, 1])
    return ((volumetric, ratio / ((1 + ratio) * (1 - 2 * ratio))), (shear, 1 / (2 * (1 + ratio))))


def element_fields(
    solution: Solution, youngs_modulus: ArrayLike, *, poisson_ratio: ArrayLike = 0.3, orthotropy: Orthotropy | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0), bbar: bool = False,
) -> ElementFields:  # fmt: skip
    """Strain, stress and energy of every voxel; the material arguments are those that were given to the solve.

    Raises
    ------
    ModelError
        The modulus does not lie on the grid of the solution.
    """
    modulus = np.asarray(youngs_modulus, dtype=float)
    if tuple(n + 1 for n in modulus.shape) != solution.node_shape:
        raise ModelError(
            f"youngs_modulus has the shape {modulus.shape} but the solution has the nodes {solution.node_shape}; "
            "expected one node more than voxels along each axis. Give the array that was solved."
        )
    elements = np.flatnonzero(modulus > 0)
    ratio = np.asarray(poisson_ratio, dtype=float)
    per_element = np.broadcast_to(ratio, modulus.shape).ravel()[elements] if ratio.ndim else None
    parts = _parts(per_element, orthotropy, float(ratio) if ratio.ndim == 0 else 0.0)
    matrices = [element_stiffness(part, spacing, bbar=bbar) for part, _ in parts]
    centre = strain_matrix((0.5, 0.5, 0.5), spacing)
    u = solution.displacement.reshape(-1, 3)
    volume = float(np.prod(np.asarray(spacing, dtype=float)))
    flat = {
        name: np.zeros((modulus.size, width)) for name, width in (("strain", 6), ("stress", 6), ("principal", 3), ("energy", 1))
    }
    for begin in range(0, elements.size, CHUNK):
        some = elements[begin : begin + CHUNK]
        stiff = modulus.ravel()[some]
        corners = np.stack(np.unravel_index(some, modulus.shape), axis=1)
        moved = np.stack(
            [
                u[np.ravel_multi_index(tuple((corners + (a, b, c)).T), solution.node_shape)]
                for a in (0, 1)
                for b in (0, 1)
                for c in (0, 1)
            ],
            axis=1,
        ).reshape(-1, 24)
        strain = moved @ centre.T
        stress, energy = np.zeros_like(strain), np.zeros(len(some))
        for (material, weight), matrix in zip(parts, matrices, strict=True):
            factor = stiff if weight is None else stiff * weight[begin : begin + CHUNK]
            stress += factor[:, None] * (strain @ material)
            energy += factor * np.einsum("ni,ni->n", moved @ matrix, moved)
        flat["strain"][some], flat["stress"][some] = strain, stress
        flat["principal"][some] = np.linalg.eigvalsh(_tensor(strain))
        flat["energy"][some, 0] = np.maximum(energy, 0.0) / (2 * volume)
    density = flat["energy"].reshape(modulus.shape)
    effective = np.sqrt(2 * np.divide(density, modulus, out=np.zeros_like(density), where=modulus > 0))
    shape = modulus.shape
    return ElementFields(
        flat["strain"].reshape(*shape, 6),
        flat["stress"].reshape(*shape, 6),
        flat["principal"].reshape(*shape, 3),
        density,
        effective,
    )


def von_mises(stress: ArrayLike) -> FloatArray:
    """Von Mises stress of Voigt vectors ``(... 6)``, in their unit."""
    a, b, c, d, e, f = np.moveaxis(np.asarray(stress, dtype=float), -1, 0)
    return np.asarray(np.sqrt(0.5 * ((a - b) ** 2 + (b - c) ** 2 + (c - a) ** 2) + 3.0 * (d**2 + e**2 + f**2)))


def reaction(solution: Solution, nodes: ArrayLike) -> FloatArray:
    """Sum ``(3)`` of the support forces on some nodes ``(i+1 j+1 k+1)`` [N]."""
    marked = np.asarray(nodes, dtype=bool)
    if marked.shape != solution.node_shape:
        raise ModelError(f"nodes has the shape {marked.shape}; expected the node grid {solution.node_shape}.")
    return np.asarray(solution.nodal_force[marked.ravel()[solution.nodes]].sum(axis=0))


def energy_imbalance(solution: Solution, force: ArrayLike | None = None) -> float:
    """Difference between the work of all outer forces and twice the strain energy, relative to that energy [-].

    Zero for an exact solution; ``force`` are the nodal forces that were prescribed ``(i+1 j+1 k+1 3)`` [N].
    """
    work = float(np.vdot(solution.nodal_force, solution.nodal_displacement))
    if force is not None:
        full = np.broadcast_to(np.asarray(force, dtype=float), (*solution.node_shape, 3))
        values = full[np.unravel_index(solution.nodes, solution.node_shape)]
        work += float(np.vdot(np.where(solution.nodal_force == 0, values, 0.0), solution.nodal_displacement))
    stored = 2 * solution.stats["energy"]
    return (work - stored) / stored if stored > 0 else 0.0


def critical_volume(
    effective_strain: ArrayLike, *, critical_strain: float = 0.007, critical_fraction: float = 0.02, mask: ArrayLike | None = None
) -> float:
    """Factor by which the load can grow until a fraction of the bone exceeds the critical effective strain [-].

    Multiply the reaction of the linear solution by it. Fitted to the strength of distal forearms with one tissue modulus at 165 um voxels; for
    other bones, voxel sizes or density-dependent moduli the two constants must be calibrated again. It knows neither
    redistribution of load after yield nor a difference between tension and compression.

    Parameters
    ----------
    effective_strain
        Effective strain of each voxel ``(i j k)``, see :class:`ElementFields`; voxels with 0 are not bone [-].
    critical_strain
        Effective strain at which tissue fails [-].
    critical_fraction
        Fraction of the bone volume that must exceed it [-].
    mask
        The bone, without pads ``(i j k)``; by default everything that is strained.

    Raises
    ------
    ModelError
        Nothing is strained, or a constant is out of range.

    References
    ----------
    Pistoia et al., Bone 30:842 (2002).
    """
    strain = np.asarray(effective_strain, dtype=float)
    bone = strain[strain > 0] if mask is None else strain[np.asarray(mask, dtype=bool)]
    if not (0 < critical_fraction < 1 and critical_strain > 0):
        raise ModelError(
            f"critical_strain is {critical_strain:g} and critical_fraction {critical_fraction:g}; expected a positive strain and a "
            "fraction between 0 and 1, such as 0.007 and 0.02."
        )
    limit = float(np.quantile(bone, 1 - critical_fraction)) if bone.size else 0.0
    if not limit > 0:
        raise ModelError(
            f"none of {bone.size} bone voxels is strained at the critical quantile; expected a loaded bone. Check the mask."
        )
    return critical_strain / limit
