"""Published numbers on real bones, from their published models (materials as in the publication: in this test only)."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from openbct import fe

pytestmark = pytest.mark.data


def law(density):
    """Young's modulus of the published vertebra [MPa] at a density [mg/cm3]."""
    return np.maximum(2980 * np.maximum(density / 1000, 0.0) ** 1.05, 1e-4)


def binned(density, bone, *, shifted):
    """The publication's 128 bins of integer densities; ``shifted`` gives every voxel the next bin, as its code does."""
    whole = np.where(bone, np.trunc(np.maximum(density, -31)), 0)
    kept = bone & (whole != 0)
    edges = np.linspace(whole[kept].min(), whole[kept].max(), 129)
    number = np.clip(np.digitize(whole, edges), 1, 128)
    modulus = law((edges[:-1] + edges[1:]) / 2)
    if shifted:
        modulus = np.roll(modulus, -1)
    return np.where(kept, modulus[number - 1], 0.0)


@pytest.mark.parametrize(
    ("material", "elements", "stiffness"),
    [("unbinned", 67186, 10547), ("binned", 67126, 10442), ("shifted", 67126, 12363)],
)
def test_vertebra_has_the_published_stiffness(data_dir, material, elements, stiffness):
    label = np.asarray(nib.load(data_dir / "vertebra_l2" / "labels.nii.gz").dataobj)
    density = np.asarray(nib.load(data_dir / "vertebra_l2" / "density.nii.gz").dataobj).astype(float)
    bone = (label >= 1) & (label <= 4)
    modulus = law(density) if material == "unbinned" else binned(density, bone, shifted=material == "shifted")
    modulus = np.where(bone, modulus, np.where(label >= 5, 2500.0, 0.0))
    piece, _ = ndimage.label(modulus > 0)
    modulus[piece != np.bincount(piece[piece > 0]).argmax()] = 0.0
    fixed = np.zeros((*(n + 1 for n in modulus.shape), 3), dtype=bool)
    displacement = np.zeros(fixed.shape)
    levels = np.flatnonzero((label == 5).any(axis=(0, 1)))[0], np.flatnonzero((label == 6).any(axis=(0, 1)))[-1] + 1
    for plane, cap, travel in ((levels[0], label[:, :, levels[0]] == 5, 0.0), (levels[1], label[:, :, levels[1] - 1] == 6, -0.2)):
        i, j = np.nonzero(cap)
        for corner in np.ndindex(2, 2):
            fixed[i + corner[0], j + corner[1], plane, 2] = True
            displacement[i + corner[0], j + corner[1], plane, 2] = travel
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement)
    assert solution.stats["n_elements"] == elements
    assert solution.stats["pinned"] == 3
    assert solution.iterations <= 20
    assert -solution.force[:, :, levels[1], 2].sum() / 0.2 == pytest.approx(stiffness, rel=5e-4)
    assert solution.force[:, :, levels[0], 2].sum() / 0.2 == pytest.approx(stiffness, rel=5e-4)


def test_hip_has_the_reaction_of_another_solver(data_dir):
    modulus = np.asarray(nib.load(data_dir / "hip_crop" / "fe_reference" / "parosol-py_material.nii.gz").dataobj).astype(float)
    shape = tuple(n + 1 for n in modulus.shape)
    node = np.zeros(shape, dtype=bool)
    for corner in np.ndindex(2, 2, 2):
        node[tuple(slice(c, c + n) for c, n in zip(corner, modulus.shape, strict=True))] |= modulus > 0
    height = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) @ np.array([0, -0.2588, 0.9659])
    distal = node & (height <= height[node].min() + 6)
    fixed = np.zeros((*shape, 3), dtype=bool)
    fixed[:, [0, -1], :, 1] = True
    fixed[distal, 0] = fixed[distal, 2] = True
    displacement = np.zeros(fixed.shape)
    displacement[:, -1, :, 1] = -3.52
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement)
    assert int(node[:, -1].sum()) == 720
    assert int(node[:, 0].sum()) == 1097
    assert solution.force[:, -1, :, 1].sum() == pytest.approx(-5637.6, rel=5e-3)


def test_trabecular_structure_converges_as_fast_as_solid_bone(data_dir):
    """Thin struts that pass close by each other: at most 40 iterations is the goal on such a cube."""
    image = np.asarray(nib.load(data_dir / "trabecular_microct" / "cube.nii.gz").dataobj)[:80, :80, :80]
    modulus = np.where(image >= 84.668, 1e4, 0.0)
    fixed = np.zeros((*(n + 1 for n in modulus.shape), 3), dtype=bool)
    fixed[:, :, [0, -1]] = True
    displacement = np.zeros(fixed.shape)
    displacement[:, :, -1, 2] = -0.8
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement)
    assert solution.iterations <= 30
    above, below = solution.force[:, :, -1, 2].sum(), solution.force[:, :, 0, 2].sum()
    assert above + below == pytest.approx(0.0, abs=1e-4 * abs(above))
