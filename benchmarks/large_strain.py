"""Does geometric nonlinearity change the strength of a bone? Small strain against finite strain on the same coarse voxels.

Finite strain: logarithmic elastic strain, multiplicative von Mises plasticity with the same moduli and yield stress on the Kirchhoff
stress, F-bar against locking, tangents by differences, direct solves; slow and plain on purpose (de Souza Neto, Perić & Owen 2008,
chapters 14 and 15 [R]). Data: OPENBCT_TEST_DATA, else ../shared/data beside the repository.

Usage: python benchmarks/large_strain.py [vertebra|femur] [edge length of the coarse voxels in mm, default 3]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from openbct.fe import solve_plastic
from openbct.fe.grid import number_voxels
from openbct.fe.hex8 import GAUSS_POINTS, shape_gradients

FloatArray = NDArray[np.float64]
FOLDER = Path(os.environ.get("OPENBCT_TEST_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data"))
STRAINS = {
    "vertebra": np.array([0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 1.9, 2.25, 2.6, 3.0]) / 100,
    "femur": np.array([0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]) / 100,
}
GAUGE = {"vertebra": 27.5, "femur": 88.0}
NU = 0.3


def blocks(values: Any, factor: int) -> FloatArray:
    """Means over blocks of voxels."""
    n = [s // factor for s in values.shape]
    return np.asarray(values, dtype=float).reshape(n[0], factor, n[1], factor, n[2], factor).mean(axis=(1, 3, 5))


def coarse_vertebra(factor: int) -> dict[str, Any]:
    """The default recipe on block averages of the public L2 body with its caps, top free laterally."""
    labels = np.asarray(nib.load(FOLDER / "vertebra_l2" / "labels.nii.gz").dataobj).astype(int)
    density = np.asarray(nib.load(FOLDER / "vertebra_l2" / "density.nii.gz").dataobj).astype(float)
    box = tuple(slice(int(p.min()), int(p.max()) + 1) for p in np.nonzero(np.isin(labels, (1, 2, 5, 6))))
    pad = [(0, -(s.stop - s.start) % factor) for s in box]
    labels, density = np.pad(labels[box], pad), np.pad(density[box], pad)

    body, foot, head = blocks(np.isin(labels, (1, 2)), factor), blocks(labels == 5, factor), blocks(labels == 6, factor)
    rho = blocks(np.where(np.isin(labels, (1, 2)), density, 0), factor) / np.maximum(body, 1e-9) / 1000
    solid = body + foot + head >= 0.5
    bone = solid & (body >= foot + head)
    rho = np.clip(rho, 0.006, 1.2)
    top = int(np.flatnonzero((solid & (head > 0)).any(axis=(0, 1)))[-1])
    bottom = int(np.flatnonzero((solid & (foot > 0)).any(axis=(0, 1)))[0])
    solid[:, :, top + 1 :] = solid[:, :, :bottom] = False
    shape = tuple(n + 1 for n in solid.shape)
    fixed, displacement, loaded = np.zeros((*shape, 3), dtype=bool), np.zeros((*shape, 3)), np.zeros(shape, dtype=bool)
    for a in (0, 1):
        for b in (0, 1):
            part = (slice(a, a + solid.shape[0]), slice(b, b + solid.shape[1]))
            fixed[(*part, bottom)] |= solid[:, :, bottom, None]
            loaded[(*part, top + 1)] |= solid[:, :, top]
    fixed[..., 2] |= loaded
    displacement[loaded, 2] = -1.0
    return {
        "youngs_modulus": np.where(solid, np.where(bone, 3814.4 * rho**1.05, 2500.0), 0.0),
        "yield_stress": np.where(bone, 57.4464 * rho**1.39, np.inf), "spacing": (float(factor),) * 3,
        "fixed": fixed, "displacement": displacement, "loaded": loaded, "direction": (0.0, 0.0, -1.0),
    }  # fmt: skip


def coarse_femur(factor: int) -> dict[str, Any]:
    """The default recipe of the sideways fall on block averages of the public femur; density from the law of its modulus file."""
    name = FOLDER / "hip_crop" / "fe_reference" / "parosol-py_material.nii.gz"
    modulus = np.asarray(nib.load(name).dataobj).astype(float)
    modulus = np.pad(modulus, [(0, -n % factor) for n in modulus.shape])
    pad, bone = np.abs(modulus - 2500) < 1e-3, (modulus > 0) & (np.abs(modulus - 2500) >= 1e-3)
    rho = np.where(bone, (np.where(bone, modulus, 1.0) / 10500) ** (1 / 2.29), 0.0)
    bone_share, pad_share = blocks(bone, factor), blocks(pad, factor)
    rho = np.clip(blocks(rho, factor) / np.maximum(bone_share, 1e-9), 0.02, 1.17)
    solid = bone_share + pad_share >= 0.5
    bony = solid & (bone_share >= pad_share)
    ends = np.flatnonzero((solid & (pad_share > 0)).any(axis=(0, 2)))
    solid[:, : ends[0]] = solid[:, ends[-1] + 1 :] = False
    bony &= solid
    shape = tuple(n + 1 for n in solid.shape)
    fixed, displacement, loaded = np.zeros((*shape, 3), dtype=bool), np.zeros((*shape, 3)), np.zeros(shape, dtype=bool)
    shaft = np.zeros(shape, dtype=bool)
    for a in (0, 1):
        for c in (0, 1):
            part = (slice(a, a + solid.shape[0]), slice(c, c + solid.shape[2]))
            fixed[part[0], ends[0], part[1], 1] |= solid[:, ends[0]]
            loaded[part[0], ends[-1] + 1, part[1]] |= solid[:, ends[-1]]
            for b in (0, 1):
                shaft[part[0], b : b + solid.shape[1], part[1]] |= bony
    fixed[..., 1] |= loaded
    height = np.einsum("a,aijk->ijk", [0.0, -0.2588, 0.9659], np.indices(shape, dtype=float)) * factor
    height[~shaft] = np.inf
    fixed[height < height.min() + 6] |= np.array([True, False, True])
    displacement[loaded, 1] = -1.0
    return {
        "youngs_modulus": np.where(solid, np.where(bony, 14900 * rho**1.86, 2500.0), 0.0),
        "yield_stress": np.where(bony, 102 * rho**1.8, np.inf), "spacing": (float(factor),) * 3,
        "fixed": fixed, "displacement": displacement, "loaded": loaded, "direction": (0.0, -1.0, 0.0),
    }  # fmt: skip


class FiniteStrain:
    """Forces and tangents of finite-strain von Mises elements, all at once."""

    def __init__(self, model: dict[str, Any]) -> None:
        modulus = model["youngs_modulus"]
        self.grid = number_voxels(modulus > 0)
        self.nodes = self.grid.element_nodes()
        stiff = modulus.ravel()[self.grid.elements]
        self.mu = (stiff / (2 * (1 + NU)))[:, None]
        self.bulk = (stiff / (3 * (1 - 2 * NU)))[:, None]
        self.strength = model["yield_stress"].ravel()[self.grid.elements][:, None]
        spacing = model["spacing"]
        self.weight = float(np.prod(spacing)) / 8
        self.slopes = np.stack([shape_gradients(point, spacing) for point in GAUSS_POINTS])
        self.middle = shape_gradients((0.5, 0.5, 0.5), spacing)
        self.inverse_plastic = np.broadcast_to(np.eye(3), (stiff.size, 8, 3, 3)).copy()

    def forces(self, u: FloatArray, *, commit: bool = False) -> FloatArray:
        """Nodal forces ``(n 8 3)`` of the elements at the element displacements ``u`` ``(n 8 3)``."""
        gradient = np.eye(3) + np.einsum("nai,gaj->ngij", u, self.slopes, optimize=True)
        volume = np.linalg.det(gradient)
        mean = np.linalg.det(np.eye(3) + np.einsum("nai,aj->nij", u, self.middle))[:, None]
        bar = gradient * ((mean / volume) ** (1 / 3))[..., None, None]
        trial = np.einsum("ngij,ngjk,nglk->ngil", bar, self.inverse_plastic, bar, optimize=True)
        values, axes = np.linalg.eigh(trial)
        strain = 0.5 * np.log(values)
        trace = strain.sum(axis=-1)
        deviator = strain - trace[..., None] / 3
        q = 2 * self.mu * np.sqrt(1.5 * (deviator**2).sum(axis=-1))
        scale = np.where(q > self.strength, self.strength / np.maximum(q, 1e-30), 1.0)
        deviator = deviator * scale[..., None]
        stress = 2 * self.mu[..., None] * deviator + (self.bulk * trace)[..., None]
        kirchhoff = np.einsum("ngia,nga,ngja->ngij", axes, stress, axes, optimize=True)
        if commit:
            elastic = np.exp(2 * (deviator + trace[..., None] / 3))
            left = np.einsum("ngia,nga,ngja->ngij", axes, elastic, axes, optimize=True)
            back = np.linalg.inv(bar)
            self.inverse_plastic = np.einsum("ngij,ngjk,nglk->ngil", back, left, back, optimize=True)
        nominal = kirchhoff @ np.linalg.inv(gradient).swapaxes(-1, -2) * (volume / mean)[..., None, None]
        return np.asarray(self.weight * np.einsum("ngij,gaj->nai", nominal, self.slopes, optimize=True))

    def assemble(self, u: FloatArray) -> tuple[FloatArray, sp.csr_matrix]:
        """Force vector and tangent by central differences at the nodal displacements ``(n_nodes 3)``."""
        n, element = self.grid.n_nodes, u[self.nodes]
        out = np.zeros((n, 3))
        np.add.at(out, self.nodes, self.forces(element))
        step = 1e-6
        tangent = np.empty((len(self.nodes), 24, 24))
        for column in range(24):
            shift = np.zeros((8, 3))
            shift.flat[column] = step
            tangent[:, :, column] = ((self.forces(element + shift) - self.forces(element - shift)) / (2 * step)).reshape(-1, 24)
        dofs = (3 * self.nodes[:, :, None] + np.arange(3)).reshape(-1, 24)
        rows, columns = np.repeat(dofs, 24, axis=1).ravel(), np.tile(dofs, (1, 24)).ravel()
        return out.ravel(), sp.coo_matrix((tangent.ravel(), (rows, columns)), shape=(3 * n, 3 * n)).tocsr()


def finite_curve(model: dict[str, Any], travels: FloatArray, tolerance: float = 1e-4) -> FloatArray:
    """Travel and force of the finite-strain model, as far as Newton converges."""
    body = FiniteStrain(model)
    held = model["fixed"].reshape(-1, 3)[body.grid.nodes].ravel()
    unit = np.where(held, model["displacement"].reshape(-1, 3)[body.grid.nodes].ravel(), 0.0)
    loaded = model["loaded"].ravel()[body.grid.nodes]
    free = np.flatnonzero(~held)
    u, rate, reached, points = np.zeros(held.size), unit.copy(), 0.0, [(0.0, 0.0)]
    for travel in travels:
        trial = u + (travel - reached) * rate
        for _ in range(25):
            force, tangent = body.assemble(trial.reshape(-1, 3))
            norm = np.linalg.norm(force[free])
            if norm <= tolerance * np.linalg.norm(force[held]):
                break
            step = np.zeros(held.size)
            step[free] = spla.splu(tangent[free][:, free].tocsc()).solve(-force[free])
            for size in (1.0, 0.5, 0.25, 0.125):
                next_force = np.zeros((body.grid.n_nodes, 3))
                np.add.at(next_force, body.nodes, body.forces((trial + size * step).reshape(-1, 3)[body.nodes]))
                if np.linalg.norm(next_force.ravel()[free]) < norm:
                    break
            trial = trial + size * step
        else:
            print(f"finite strain stopped before {travel:g} mm")
            break
        body.forces(trial.reshape(-1, 3)[body.nodes], commit=True)
        rate, u, reached = (trial - u) / (travel - reached), trial, float(travel)
        points.append((reached, float((force.reshape(-1, 3)[loaded] @ np.asarray(model["direction"])).sum())))
    return np.array(points)


def check_bar() -> None:
    """One voxel in uniaxial compression: nominal stress min(E ln(1 / lambda) / lambda, strength / lambda)."""
    fixed, displacement, loaded = np.zeros((2, 2, 2, 3), dtype=bool), np.zeros((2, 2, 2, 3)), np.zeros((2, 2, 2), dtype=bool)
    fixed[:, :, :, 2], fixed[0, :, :, 0], fixed[:, 0, :, 1] = True, True, True
    displacement[:, :, 1, 2], loaded[:, :, 1] = -1.0, True
    model = {
        "youngs_modulus": np.full((1, 1, 1), 1000.0), "yield_stress": np.full((1, 1, 1), 8.0), "spacing": (1.0, 1.0, 1.0),
        "fixed": fixed, "displacement": displacement, "loaded": loaded, "direction": (0.0, 0.0, -1.0),
    }  # fmt: skip
    curve = finite_curve(model, np.array([0.004, 0.02, 0.04]), 1e-9)
    stretch = 1 - curve[:, 0]
    # Elastic: lateral stretch lambda^-nu, nominal area lambda^-2nu; plastic: volume kept but for the elastic part.
    elastic = -1000 * np.log(stretch) / stretch
    np.testing.assert_allclose(curve[:, 1], np.minimum(elastic, 8.0 / stretch), rtol=1e-6)


def main() -> None:
    bone = "femur" if "femur" in sys.argv else "vertebra"
    factor = int(sys.argv[-1]) if sys.argv[-1].isdigit() else 3
    check_bar()
    model = coarse_femur(factor) if bone == "femur" else coarse_vertebra(factor)
    travels = STRAINS[bone] * GAUGE[bone]
    small = solve_plastic(travels=travels, keep_travels=[], **model)
    large = finite_curve(model, travels)
    kernel = solve_plastic(travels=travels, keep_travels=[], large_strain=True, **model)
    print(f"{bone}, {factor} mm voxels, {small.stats['n_elements']} elements, {small.status}")
    print("strain %   small strain N   finite strain N   change %   kernel, large strain N")
    for (travel, a), (_, b), (_, c) in zip(small.curve[1:], large[1:], kernel.curve[1:]):
        print(f"{100 * travel / GAUGE[bone]:8.2f} {a:16.1f} {b:17.1f} {100 * (b / a - 1):10.2f} {c:17.1f}")


if __name__ == "__main__":
    main()
