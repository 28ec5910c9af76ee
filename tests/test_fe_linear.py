"""The linear kernel against closed forms, a dense direct solution, symmetry, and input that cannot be solved."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from openbct import fe
from openbct.errors import ModelError, SolveError
from openbct.fe.hex8 import element_stiffness, isotropic_stiffness, orthotropic_stiffness
from openbct.fe.simd import walsh_blocks

SHEARED = fe.Orthotropy(youngs=(0.4, 0.6, 1.0), poisson=(0.35, 0.15, 0.2), shear=(0.25, 0.2, 0.15))


def nodes(shape, *, dtype=float):
    return np.zeros((*(n + 1 for n in shape), 3), dtype=dtype)


def positions(shape, spacing=(1, 1, 1)):
    grid = np.meshgrid(*(np.arange(n + 1) * h for n, h in zip(shape, spacing, strict=True)), indexing="ij")
    return np.stack(grid, axis=-1)


def uniaxial(shape, travel, *, axis=2, clamp=False):
    """Both faces along an axis held, the far one moved; the rest held just enough."""
    fixed, displacement = nodes(shape, dtype=bool), nodes(shape)
    near, far = [slice(None)] * 3, [slice(None)] * 3
    near[axis], far[axis] = 0, -1
    fixed[(*near, axis)] = fixed[(*far, axis)] = True
    displacement[(*far, axis)] = travel
    if clamp:
        fixed[tuple(near)] = fixed[tuple(far)] = True
    return fixed, displacement


def direct(modulus, fixed, displacement, *, stiffness=None, spacing=(1, 1, 1), force=None, bbar=False, poisson=None):
    """Dense reference solution: displacement and K u of the active nodes, by numpy alone."""
    shape = modulus.shape
    number = np.arange(np.prod([n + 1 for n in shape])).reshape([n + 1 for n in shape])
    n_dof = 3 * number.size
    matrix = np.zeros((n_dof, n_dof))
    for i, j, k in np.argwhere(modulus > 0):
        corner = number[i : i + 2, j : j + 2, k : k + 2].ravel()
        dof = (3 * corner[:, None] + np.arange(3)).ravel()
        material = stiffness if poisson is None else isotropic_stiffness(poisson[i, j, k])
        matrix[np.ix_(dof, dof)] += modulus[i, j, k] * element_stiffness(material, spacing, bbar=bbar)
    u = np.where(fixed, displacement, 0.0).ravel()
    free = ~fixed.ravel() & (matrix.diagonal() > 0)
    right = -matrix @ u + (0 if force is None else force.ravel())
    u[free] = np.linalg.lstsq(matrix[np.ix_(free, free)], right[free], rcond=1e-13)[0]
    return u.reshape(fixed.shape), (matrix @ u).reshape(fixed.shape)


# --- hostile input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"youngs_modulus": np.zeros((2, 2, 2))}, "no voxel has a positive modulus"),
        ({"youngs_modulus": np.full((2, 2, 2), np.nan)}, "8 values that are not finite"),
        ({"youngs_modulus": np.full((2, 2, 2), 1e10)}, "divided by 1e6"),
        ({"youngs_modulus": np.ones((2, 2))}, "three axes"),
        ({"youngs_modulus": np.ones((2, 0, 2))}, "three axes"),
        ({"spacing": (1, -1, 1)}, "positive lengths"),
        ({"spacing": (1, 0, 1)}, "positive lengths"),
        ({"spacing": (1, 1)}, "positive lengths"),
        ({"poisson_ratio": 0.5}, "less than 0.5"),
        ({"poisson_ratio": np.full((2, 2, 2), 0.6)}, "less than 0.5"),
        ({"poisson_ratio": np.full((2, 2, 3), 0.3)}, "expected one number or the shape"),
        ({"fixed": np.zeros((3, 3, 3, 3), bool)}, "nothing is held"),
        ({"fixed": np.zeros((2, 2, 2, 3), bool)}, "node array"),
        ({"fixed": np.ones((3, 3, 3, 3))}, "booleans"),
        ({"displacement": np.full((3, 3, 3, 3), np.nan)}, "not finite"),
        ({"force": np.full((3, 3, 3, 3), np.inf)}, "not finite"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"orthotropy": fe.Orthotropy((1, 1, 1), (0.9, 0.9, 0.9), (1, 1, 1))}, "not positive definite"),
        ({"orthotropy": fe.Orthotropy((1, 1, 0), (0.3, 0.3, 0.3), (1, 1, 1))}, "positive finite"),
    ],
)
def test_impossible_input_is_a_model_error_with_its_reason(change, words):
    fixed, displacement = uniaxial((2, 2, 2), -0.1)
    arguments = {"youngs_modulus": np.ones((2, 2, 2)), "fixed": fixed, "displacement": displacement} | change
    with pytest.raises(ModelError, match=words):
        fe.solve(arguments.pop("youngs_modulus"), **arguments)


def test_fixed_nodes_that_touch_only_void_hold_nothing():
    modulus = np.zeros((4, 4, 4))
    modulus[3, 3, 3] = 1.0
    fixed = nodes((4, 4, 4), dtype=bool)
    fixed[0, 0, 0] = True
    with pytest.raises(ModelError, match="nothing is held"):
        fe.solve(modulus, fixed=fixed, displacement=0.0)


def test_a_load_on_a_free_motion_is_refused_and_a_harmless_free_motion_is_not():
    shape = (3, 3, 4)
    fixed, displacement = uniaxial(shape, -0.04)
    force = nodes(shape)
    force[1, 1, 2, 0] = 5.0
    with pytest.raises(ModelError, match="free rigid motions"):
        fe.solve(np.ones(shape), fixed=fixed, displacement=displacement, force=force)
    solution = fe.solve(np.ones(shape), fixed=fixed, displacement=displacement, tolerance=1e-9)
    assert solution.converged
    assert solution.stats["pinned"] == 3
    assert solution.force[:, :, -1, 2].sum() == pytest.approx(-0.01 * 9, rel=1e-8)


def test_a_load_on_a_piece_that_touches_nothing_held_is_refused():
    modulus = np.zeros((3, 3, 9))
    modulus[:, :, :3] = modulus[:, :, 6:] = 1.0
    fixed, force = nodes(modulus.shape, dtype=bool), nodes(modulus.shape)
    fixed[:, :, 0] = True
    force[1, 1, -1, 2] = 1.0
    with pytest.raises(ModelError, match="touch nothing held"):
        fe.solve(modulus, fixed=fixed, displacement=0.0, force=force)


def test_floating_islands_change_nothing_and_are_reported():
    modulus = np.zeros((6, 6, 6))
    modulus[:3, :3] = 100.0
    fixed, displacement = uniaxial(modulus.shape, -0.06, clamp=True)
    alone = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    modulus[5, 5, 2] = modulus[4, 5, 3] = 100.0
    both = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    assert both.stats["dropped_voxels"] == 2
    assert "2 voxels" in both.status
    np.testing.assert_allclose(both.force, alone.force, atol=1e-9)


@pytest.mark.parametrize(("voxel", "pins"), [((3, 3, 4), 3), ((3, 3, 1), 1)])
def test_a_voxel_that_hangs_on_a_corner_or_an_edge_is_solved_exactly(voxel, pins):
    modulus = np.zeros((4, 4, 5))
    modulus[:3, :3, :4] = 100.0
    modulus[voxel] = 100.0
    fixed, displacement = nodes(modulus.shape, dtype=bool), nodes(modulus.shape)
    fixed[:, :, 0] = fixed[:3, :3, 4] = True
    displacement[:3, :3, 4] = (0.01, 0.0, -0.04)
    hung = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    assert hung.stats["pinned"] == pins
    assert hung.stats["pin_force"] < 1e-6
    _, reference = direct(modulus, fixed, displacement, stiffness=isotropic_stiffness(0.3))
    np.testing.assert_allclose(hung.force, np.where(fixed, reference, 0.0), atol=1e-7)


def test_not_converged_raises_with_the_solution_or_says_so():
    rng = np.random.default_rng(1)
    modulus = rng.uniform(1, 1000, (9, 9, 9))
    fixed, displacement = uniaxial(modulus.shape, -0.06, clamp=True)
    with pytest.raises(SolveError, match="not converged") as caught:
        fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10, max_iterations=2)
    assert isinstance(caught.value.solution, fe.Solution)
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10, max_iterations=2, throw=False)
    assert not solution.converged
    assert solution.iterations == 2
    assert "max_iterations" in solution.status


def test_nothing_moves_when_nothing_is_prescribed_to_move():
    fixed, displacement = uniaxial((3, 3, 3), 0.0, clamp=True)
    solution = fe.solve(np.ones((3, 3, 3)), fixed=fixed, displacement=displacement)
    assert solution.converged
    assert not solution.displacement.any()


# --- closed forms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bbar", [False, True])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.5, 1.0, 2.0), (0.488, 0.488, 3.0)])
@pytest.mark.parametrize("orthotropy", [None, SHEARED])
def test_patch_linear_field_is_reproduced(spacing, orthotropy, bbar):
    shape = (5, 4, 6)
    gradient = np.array([[1.0, 0.3, -0.2], [0.1, -0.7, 0.4], [0.5, 0.2, 0.9]]) * 1e-2
    exact = positions(shape, spacing) @ gradient.T
    fixed = nodes(shape, dtype=bool)
    fixed[[0, -1]] = fixed[:, [0, -1]] = fixed[:, :, [0, -1]] = True
    solution = fe.solve(
        np.full(shape, 700.0), fixed=fixed, displacement=exact, spacing=spacing, orthotropy=orthotropy, bbar=bbar, tolerance=1e-11
    )
    np.testing.assert_allclose(solution.displacement, exact, atol=1e-10)
    assert solution.iterations < 40


def test_rigid_motion_costs_no_force():
    shape = (4, 5, 3)
    turn = np.array([[0, -1e-3, 2e-3], [1e-3, 0, -3e-3], [-2e-3, 3e-3, 0]])
    exact = positions(shape) @ turn.T + [0.1, -0.2, 0.3]
    fixed, _ = uniaxial(shape, 0.0, clamp=True)
    solution = fe.solve(np.full(shape, 1e3), fixed=fixed, displacement=exact, tolerance=1e-12, throw=False)
    np.testing.assert_allclose(solution.displacement, exact, atol=1e-9)
    np.testing.assert_allclose(solution.force, 0.0, atol=1e-7)


def test_bars_in_series_and_in_parallel():
    modulus = np.ones((3, 4, 8))
    modulus[:, :, ::2] = 10.0
    fixed, displacement = uniaxial(modulus.shape, -0.08)
    series = fe.solve(modulus, poisson_ratio=0.0, fixed=fixed, displacement=displacement, tolerance=1e-11)
    assert series.force[:, :, -1, 2].sum() == pytest.approx(-12 * 0.01 / np.mean(1 / modulus[0, 0]), rel=1e-9)
    modulus = np.ones((4, 4, 6))
    modulus[:, ::2] = 10.0
    fixed, displacement = uniaxial(modulus.shape, -0.06)
    parallel = fe.solve(modulus, poisson_ratio=0.0, fixed=fixed, displacement=displacement, tolerance=1e-11)
    assert parallel.force[:, :, -1, 2].sum() == pytest.approx(-0.01 * modulus[:, :, 0].sum(), rel=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_orthotropic_bar_has_the_modulus_of_its_axis(axis):
    shape, spacing = (3, 4, 5), (1.0, 0.5, 0.8)
    fixed, displacement = uniaxial(shape, 0.01, axis=axis)
    solution = fe.solve(np.full(shape, 500.0), orthotropy=SHEARED, spacing=spacing, fixed=fixed, displacement=displacement,
                        tolerance=1e-11)  # fmt: skip
    area = np.prod([n * h for a, (n, h) in enumerate(zip(shape, spacing, strict=True)) if a != axis])
    length = shape[axis] * spacing[axis]
    far = [slice(None)] * 3
    far[axis] = -1
    assert solution.force[(*far, axis)].sum() == pytest.approx(500 * SHEARED.youngs[axis] * area * 0.01 / length, rel=1e-9)


def test_confined_compression_has_the_oedometric_modulus():
    shape, nu = (3, 3, 4), 0.2
    fixed, displacement = uniaxial(shape, -0.04)
    fixed[[0, -1], :, :, 0] = fixed[:, [0, -1], :, 1] = True
    solution = fe.solve(np.ones(shape), poisson_ratio=nu, fixed=fixed, displacement=displacement, tolerance=1e-11)
    oedometric = (1 - nu) / ((1 + nu) * (1 - 2 * nu))
    assert solution.force[:, :, -1, 2].sum() == pytest.approx(-9 * 0.01 * oedometric, rel=1e-9)


def test_simple_shear_has_the_shear_modulus():
    shape = (3, 4, 5)
    exact = nodes(shape)
    exact[..., 0] = 0.01 * positions(shape)[..., 2]
    fixed = nodes(shape, dtype=bool)
    fixed[[0, -1]] = fixed[:, [0, -1]] = fixed[:, :, [0, -1]] = True
    solution = fe.solve(np.full(shape, 260.0), fixed=fixed, displacement=exact, tolerance=1e-11)
    assert solution.stats["energy"] == pytest.approx(0.5 * 100.0 * 0.01**2 * np.prod(shape), rel=1e-8)


def test_cantilever_under_an_end_force_bends_as_timoshenko_says():
    shape, length, height, nu = (60, 4, 16), 6.0, 1.0, 0.3
    spacing = (length / shape[0], 0.1, height / shape[2])
    fixed, force = nodes(shape, dtype=bool), nodes(shape)
    fixed[0] = True
    weight = np.ones((shape[1] + 1, shape[2] + 1))
    weight[[0, -1]] *= 0.5
    weight[:, [0, -1]] *= 0.5
    force[-1, ..., 2] = -weight / weight.sum()
    solution = fe.solve(np.full(shape, 1e4), fixed=fixed, displacement=0.0, force=force, spacing=spacing, tolerance=1e-9)
    width = shape[1] * spacing[1]
    inertia, area = width * height**3 / 12, width * height
    kappa, shear = 10 * (1 + nu) / (12 + 11 * nu), 1e4 / (2 * (1 + nu))
    expected = length**3 / (3 * 1e4 * inertia) + length / (kappa * area * shear)
    assert -solution.displacement[-1, ..., 2].mean() == pytest.approx(expected, rel=0.02)
    assert solution.force[..., 2].sum() == pytest.approx(1.0, rel=1e-7)


# --- against a dense direct solution -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_random_bodies_agree_with_a_direct_solution(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 7, 3))
    spacing = tuple(rng.uniform(0.4, 1.5, 3))
    modulus = 10 ** rng.uniform(0, 4, shape) * (rng.random(shape) < (0.9, 0.6)[seed % 2])
    bbar, orthotropy = bool(seed % 3 == 1), SHEARED if seed % 3 == 2 else None
    fixed, displacement = uniaxial(shape, -0.1, clamp=True)
    displacement[:, :, -1, :2] = rng.normal(0, 0.05, 2)
    material = isotropic_stiffness(0.3) if orthotropy is None else orthotropic_stiffness(orthotropy)
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement, spacing=spacing, bbar=bbar, orthotropy=orthotropy,
                        tolerance=1e-11)  # fmt: skip
    _, reference = direct(modulus, fixed, displacement, stiffness=material, spacing=spacing, bbar=bbar)
    scale = np.abs(reference[fixed]).max()
    np.testing.assert_allclose(solution.force[fixed] / scale, reference[fixed] / scale, atol=1e-8)


@pytest.mark.parametrize("n_values", [2, 3, 1000])
def test_poisson_ratio_per_element(n_values):
    rng = np.random.default_rng(n_values)
    shape = (4, 5, 6)
    modulus = rng.uniform(1, 100, shape)
    ratio = rng.choice(rng.uniform(0.0, 0.45, n_values), shape)
    fixed, displacement = uniaxial(shape, -0.1, clamp=True)
    solution = fe.solve(modulus, poisson_ratio=ratio, fixed=fixed, displacement=displacement, tolerance=1e-11)
    _, reference = direct(modulus, fixed, displacement, poisson=ratio)
    np.testing.assert_allclose(solution.force[fixed], reference[fixed], atol=1e-7 * np.abs(reference).max())


def test_prescribed_force_and_displacement_together_agree_with_a_direct_solution():
    rng = np.random.default_rng(5)
    shape = (4, 4, 5)
    modulus = rng.uniform(1, 100, shape)
    fixed, displacement = nodes(shape, dtype=bool), nodes(shape)
    fixed[:, :, 0] = True
    force = rng.normal(size=displacement.shape)
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement, force=force, tolerance=1e-11)
    u, internal = direct(modulus, fixed, displacement, stiffness=isotropic_stiffness(0.3), force=force)
    np.testing.assert_allclose(solution.displacement, u, atol=1e-8 * np.abs(u).max())
    np.testing.assert_allclose(solution.force[fixed], internal[fixed], atol=1e-7)


def test_contrast_of_a_hundred_million_converges():
    rng = np.random.default_rng(3)
    shape = (12, 12, 12)
    modulus = np.where(rng.random(shape) < 0.3, 1e-4, 1e4)
    fixed, displacement = uniaxial(shape, -0.1, clamp=True)
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-8)
    assert solution.converged
    above, below = solution.force[:, :, -1, 2].sum(), solution.force[:, :, 0, 2].sum()
    assert above + below == pytest.approx(0.0, abs=1e-5 * abs(above))


# --- symmetry and status -------------------------------------------------------------------------------------------------


def test_answer_does_not_depend_on_how_the_body_lies_in_the_array():
    rng = np.random.default_rng(11)
    shape = (5, 7, 6)
    modulus = rng.uniform(10, 1000, shape) * (rng.random(shape) < 0.85)
    fixed, displacement = uniaxial(shape, -0.1, clamp=True)
    reference = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-11).force
    for order in itertools.permutations(range(3)):
        turned = fe.solve(
            modulus.transpose(order)[::-1],
            fixed=fixed.transpose(*order, 3)[::-1][..., order],
            displacement=displacement.transpose(*order, 3)[::-1][..., order] * np.array([-1, 1, 1]),
            tolerance=1e-11,
        )
        expected = reference.transpose(*order, 3)[::-1][..., order] * np.array([-1, 1, 1])
        np.testing.assert_allclose(turned.force, expected, atol=1e-7 * np.abs(reference).max())


def test_padding_with_void_changes_nothing():
    modulus = np.random.default_rng(2).uniform(1, 10, (4, 4, 4))
    fixed, displacement = uniaxial((4, 4, 4), -0.1, clamp=True)
    small = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    wide = np.full((9, 10, 11), -5.0)
    wide[3:7, 2:6, 5:9] = modulus
    held, moved = nodes(wide.shape, dtype=bool), nodes(wide.shape)
    held[3:8, 2:7, 5:10], moved[3:8, 2:7, 5:10] = fixed, displacement
    large = fe.solve(wide, fixed=held, displacement=moved, tolerance=1e-10)
    np.testing.assert_allclose(large.force[3:8, 2:7, 5:10], small.force, atol=1e-9)
    assert np.count_nonzero(large.displacement) == np.count_nonzero(small.displacement)


def test_history_falls_to_the_tolerance_and_the_answer_follows_it():
    modulus = np.random.default_rng(7).uniform(1, 1000, (14, 14, 14))
    fixed, displacement = uniaxial(modulus.shape, -0.1, clamp=True)
    exact = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-12).force[:, :, -1, 2].sum()
    for tolerance in (1e-2, 1e-4, 1e-6, 1e-9):
        solution = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=tolerance)
        assert solution.residual[0] == 1.0
        assert solution.residual[-1] <= tolerance
        assert len(solution.residual) == solution.iterations + 1
        assert solution.force[:, :, -1, 2].sum() == pytest.approx(exact, rel=10 * tolerance)


def test_first_guess_shortens_the_way():
    modulus = np.random.default_rng(7).uniform(1, 1000, (10, 10, 10))
    fixed, displacement = uniaxial(modulus.shape, -0.1, clamp=True)
    first = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-8)
    again = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-7, initial=first.displacement)
    assert again.iterations <= 1
    np.testing.assert_allclose(again.force, first.force, rtol=1e-5, atol=1e-3)


def test_forces_balance_and_their_work_is_the_energy():
    modulus = np.random.default_rng(9).uniform(1, 1000, (8, 9, 10))
    fixed, displacement = uniaxial(modulus.shape, -0.1, clamp=True)
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    np.testing.assert_allclose(solution.force.sum(axis=(0, 1, 2)), 0.0, atol=1e-6)
    moment = np.cross(positions(modulus.shape), solution.force).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(moment, 0.0, atol=1e-4)
    assert solution.stats["energy"] == pytest.approx(0.5 * np.vdot(solution.force, solution.displacement), rel=1e-8)


def test_walsh_blocks_hold_the_whole_element_matrix():
    """The vector product multiplies by every entry of the element matrix, not by a part of it."""
    rng = np.random.default_rng(0)
    for bbar, spacing, material in itertools.product((False, True), ((1, 1, 1), (0.3, 1, 2)), (None, SHEARED)):
        stiffness = isotropic_stiffness(0.3) if material is None else orthotropic_stiffness(material)
        element = element_stiffness(stiffness, spacing, bbar=bbar)
        assert walsh_blocks(element).shape == (33,)
        exact = rng.normal(size=(2, 2, 2, 3))
        fixed = np.ones_like(exact, dtype=bool)
        solution = fe.solve(np.ones((1, 1, 1)), fixed=fixed, displacement=exact, orthotropy=material, spacing=spacing, bbar=bbar)
        np.testing.assert_allclose(solution.force.ravel(), element @ exact.ravel(), atol=1e-13)
