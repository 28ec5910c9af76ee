"""Fields and sums that follow from a linear solution."""

from __future__ import annotations

import numpy as np
import pytest

from openbct import fe
from openbct.errors import ModelError
from openbct.fe.post import critical_volume, element_fields, energy_imbalance, reaction


def nodes(shape, *, dtype=float):
    return np.zeros((*(n + 1 for n in shape), 3), dtype=dtype)


def compressed(shape, strain, *, length=None):
    fixed, displacement = nodes(shape, dtype=bool), nodes(shape)
    fixed[:, :, 0, 2] = fixed[:, :, -1, 2] = True
    displacement[:, :, -1, 2] = -strain * (length or shape[2])
    return fixed, displacement


def test_wrong_grids_and_constants_are_refused():
    fixed, displacement = compressed((2, 2, 2), 0.01)
    solution = fe.solve(np.ones((2, 2, 2)), fixed=fixed, displacement=displacement)
    with pytest.raises(ModelError, match="one node more than voxels"):
        element_fields(solution, np.ones((3, 2, 2)))
    with pytest.raises(ModelError, match="node grid"):
        reaction(solution, np.ones((2, 2, 2)))
    with pytest.raises(ModelError, match="fraction"):
        critical_volume(np.ones(5), critical_fraction=2.0)
    with pytest.raises(ModelError, match="none of 0"):
        critical_volume(np.zeros((2, 2, 2)))


@pytest.mark.parametrize("per_element", [False, True])
def test_uniaxial_stress_has_the_textbook_fields(per_element):
    shape, spacing, nu, stiff = (3, 4, 5), (0.5, 1.0, 2.0), 0.3, 800.0
    fixed, displacement = compressed(shape, 0.01, length=10.0)
    ratio = np.full(shape, nu) if per_element else nu
    modulus = np.full(shape, stiff)
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement, spacing=spacing, poisson_ratio=ratio, tolerance=1e-12)
    fields = element_fields(solution, modulus, spacing=spacing, poisson_ratio=ratio)
    np.testing.assert_allclose(fields.strain, np.broadcast_to([0.003, 0.003, -0.01, 0, 0, 0], (*shape, 6)), atol=1e-10)
    np.testing.assert_allclose(fields.stress, np.broadcast_to([0, 0, -8.0, 0, 0, 0], (*shape, 6)), atol=1e-6)
    np.testing.assert_allclose(fields.principal_strain, np.broadcast_to([-0.01, 0.003, 0.003], (*shape, 3)), atol=1e-10)
    np.testing.assert_allclose(fields.energy_density, 0.5 * 8.0 * 0.01, rtol=1e-8)
    np.testing.assert_allclose(fields.effective_strain, 0.01, rtol=1e-8)
    top = np.zeros(solution.node_shape, bool)
    top[:, :, -1] = True
    np.testing.assert_allclose(reaction(solution, top), [0, 0, -8.0 * 1.5 * 4.0], atol=1e-6)


def test_orthotropic_stress_is_the_stiffness_times_the_strain():
    material = fe.Orthotropy(youngs=(0.4, 0.6, 1.0), poisson=(0.35, 0.15, 0.2), shear=(0.25, 0.2, 0.15))
    shape = (3, 3, 3)
    fixed, displacement = compressed(shape, 0.01)
    solution = fe.solve(np.full(shape, 100.0), orthotropy=material, fixed=fixed, displacement=displacement, tolerance=1e-12)
    fields = element_fields(solution, np.full(shape, 100.0), orthotropy=material)
    np.testing.assert_allclose(fields.stress, np.broadcast_to([0, 0, -1.0, 0, 0, 0], (*shape, 6)), atol=1e-7)


def test_energy_of_the_voxels_is_the_energy_of_the_body_and_the_work_of_the_loads():
    rng = np.random.default_rng(4)
    shape = (5, 6, 7)
    modulus = rng.uniform(1, 100, shape) * (rng.random(shape) < 0.8)
    ratio = rng.uniform(0.1, 0.4, shape)
    fixed, displacement, force = nodes(shape, dtype=bool), nodes(shape), nodes(shape)
    fixed[:, :, 0] = True
    displacement[:, :, 0] = (0.01, 0, -0.02)
    active = np.zeros(tuple(n + 1 for n in shape), bool)
    for corner in np.ndindex(2, 2, 2):
        active[tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))] |= modulus > 0
    force[:, :, 4][active[:, :, 4]] = rng.normal(size=(int(active[:, :, 4].sum()), 3))
    solution = fe.solve(
        modulus, fixed=fixed, displacement=displacement, force=force, poisson_ratio=ratio, tolerance=1e-11, throw=False, bbar=True
    )
    fields = element_fields(solution, modulus, poisson_ratio=ratio, bbar=True)
    assert solution.converged
    assert fields.energy_density.sum() == pytest.approx(solution.stats["energy"], rel=1e-8)
    assert abs(energy_imbalance(solution, force)) < 1e-8


def test_critical_volume_scales_the_load_to_the_quantile_and_leaves_pads_out():
    strain = np.linspace(0.0, 0.01, 101)
    assert critical_volume(strain[1:], critical_fraction=0.02) == pytest.approx(0.007 / np.quantile(strain[1:], 0.98))
    pads = np.concatenate([strain[1:], np.full(50, 0.5)])
    mask = np.arange(150) < 100
    assert critical_volume(pads, mask=mask) == pytest.approx(critical_volume(strain[1:]))
    assert critical_volume(2 * strain) == pytest.approx(critical_volume(strain) / 2)
