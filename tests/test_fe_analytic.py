"""The linear kernel against closed forms on shapes that are no box, with forces, moments and energy balanced in every solve."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from openbct import fe


def positions(shape, spacing=(1.0, 1.0, 1.0)):
    axes = (np.arange(n + 1) * h for n, h in zip(shape, spacing, strict=True))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def nodal(shape, dtype=float):
    return np.zeros((*(n + 1 for n in shape), 3), dtype=dtype)


def corners(values):
    """How many of its eight voxels each node has."""
    count = np.zeros([n + 1 for n in values.shape], dtype=int)
    for a, b, c in itertools.product((0, 1), repeat=3):
        count[a : a + values.shape[0], b : b + values.shape[1], c : c + values.shape[2]] += values
    return count


def solve_balanced(modulus, *, spacing=(1.0, 1.0, 1.0), force=None, tolerance=1e-10, **options):
    """A solve whose forces, moments and energy are in balance, or no solve at all."""
    solution = fe.solve(modulus, spacing=spacing, force=force, tolerance=tolerance, **options)
    applied = solution.force if force is None else solution.force + np.where(options["fixed"], 0.0, force)
    points = positions(modulus.shape, spacing)
    points = points - points.mean(axis=(0, 1, 2))
    size = np.abs(applied).sum()
    assert np.abs(applied.sum(axis=(0, 1, 2))).max() <= 1e-7 * size
    assert np.abs(np.cross(points, applied).sum(axis=(0, 1, 2))).max() <= 1e-6 * size * np.abs(points).max()
    work = np.vdot(applied, solution.displacement)
    assert work == pytest.approx(2 * solution.stats["energy"], rel=1e-7, abs=1e-12)
    assert abs(fe.energy_imbalance(solution, force)) < 1e-7 or solution.stats["energy"] < 1e-12
    return solution


def ball(n):
    """An irregular face-connected body: a ball with notches, in the unit of voxels."""
    centre = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2] * 3, indexing="ij"), axis=-1)
    body = np.linalg.norm(centre * (1.0, 0.8, 1.2), axis=-1) < 0.48 * n
    body[n // 2 :, n // 2, :2] = False
    body[:2] = False
    body[2, n // 3 : n // 2, n // 3 :] = False
    return body


# --- exact to rounding ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bbar", [False, True])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.3, 0.7, 1.9)])
def test_patch_on_an_irregular_body(spacing, bbar):
    body = ball(12)
    gradient = np.array([[2.0, 0.7, -0.3], [-0.4, -1.0, 0.9], [0.6, 0.1, 0.5]]) * 1e-3
    exact = positions(body.shape, spacing) @ gradient.T + [0.01, -0.02, 0.005]
    count = corners(body)
    inside = count == 8
    fixed = np.repeat(((count > 0) & ~inside)[..., None], 3, axis=-1)
    solution = solve_balanced(
        np.where(body, 850.0, 0.0), fixed=fixed, displacement=exact, spacing=spacing, bbar=bbar, tolerance=1e-11
    )
    assert inside.sum() > 200
    np.testing.assert_allclose(solution.displacement[inside], exact[inside], atol=1e-9 * np.abs(exact).max())
    fields = fe.element_fields(solution, np.where(body, 850.0, 0.0), spacing=spacing, bbar=bbar)
    strain = np.array([*np.diag(gradient), *(gradient[a, b] + gradient[b, a] for a, b in ((1, 2), (0, 2), (0, 1)))])
    np.testing.assert_allclose(fields.strain[body], np.broadcast_to(strain, (body.sum(), 6)), atol=1e-11)


def test_rigid_motion_of_an_irregular_heterogeneous_body_costs_nothing():
    body = ball(11)
    modulus = np.where(body, 10 ** np.random.default_rng(0).uniform(0, 4, body.shape), 0.0)
    turn = np.array([[0, -3e-3, 1e-3], [3e-3, 0, -2e-3], [-1e-3, 2e-3, 0]])
    exact = positions(body.shape) @ turn.T + [0.3, 0.1, -0.2]
    fixed = nodal(body.shape, bool)
    active = corners(body) > 0
    fixed[active & (np.arange(body.shape[0] + 1)[:, None, None] <= 3)] = True
    solution = fe.solve(modulus, fixed=fixed, displacement=exact, tolerance=1e-12, throw=False)
    np.testing.assert_allclose(solution.displacement[active], exact[active], atol=1e-7)
    strained = fe.solve(modulus, fixed=fixed, displacement=exact * [1.0, 1.0, 0.99], tolerance=1e-8)
    assert np.abs(solution.force).max() < 1e-6 * np.abs(strained.force).max()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_bars_in_series_and_in_parallel_along_every_axis(axis):
    rng = np.random.default_rng(axis)
    shape, spacing = (4, 5, 6), (0.5, 0.8, 1.3)
    others = [a for a in range(3) if a != axis]
    layers = 10 ** rng.uniform(0, 4, shape[axis])
    modulus = np.moveaxis(np.broadcast_to(layers[:, None, None], (shape[axis], *(shape[a] for a in others))), 0, axis).copy()
    fixed, displacement = nodal(shape, bool), nodal(shape)
    near, far = [slice(None)] * 3, [slice(None)] * 3
    near[axis], far[axis] = 0, -1
    fixed[(*near, axis)] = fixed[(*far, axis)] = True
    displacement[(*far, axis)] = -0.02
    area = np.prod([shape[a] * spacing[a] for a in others])
    length = shape[axis] * spacing[axis]
    series = solve_balanced(modulus, poisson_ratio=0.0, fixed=fixed, displacement=displacement, spacing=spacing)
    expected = -0.02 / length * area / np.mean(1 / layers)
    assert series.force[(*far, axis)].sum() == pytest.approx(expected, rel=1e-8)
    columns = 10 ** rng.uniform(0, 4, [shape[a] for a in others])
    modulus = np.repeat(np.expand_dims(columns, axis), shape[axis], axis=axis)
    parallel = solve_balanced(modulus, poisson_ratio=0.0, fixed=fixed, displacement=displacement, spacing=spacing)
    assert parallel.force[(*far, axis)].sum() == pytest.approx(-0.02 / length * area * columns.mean(), rel=1e-8)


def test_confined_compression_of_layers_with_their_own_poisson_ratio():
    rng = np.random.default_rng(4)
    shape, spacing = (3, 4, 7), (0.9, 0.6, 0.4)
    young, ratio = 10 ** rng.uniform(1, 3, 7), rng.uniform(0.0, 0.45, 7)
    fixed, displacement = nodal(shape, bool), nodal(shape)
    fixed[[0, -1], :, :, 0] = fixed[:, [0, -1], :, 1] = fixed[:, :, [0, -1], 2] = True
    displacement[:, :, -1, 2] = -0.03
    solution = solve_balanced(
        np.broadcast_to(young, shape).copy(), poisson_ratio=np.broadcast_to(ratio, shape).copy(), fixed=fixed,
        displacement=displacement, spacing=spacing,
    )  # fmt: skip
    oedometric = young * (1 - ratio) / ((1 + ratio) * (1 - 2 * ratio))
    stress = -0.03 / np.sum(spacing[2] / oedometric)
    assert solution.force[:, :, -1, 2].sum() == pytest.approx(stress * 3 * 0.9 * 4 * 0.6, rel=1e-9)


def test_simple_shear_of_layers_has_their_series_modulus():
    rng = np.random.default_rng(5)
    shape = (3, 4, 6)
    young = 10 ** rng.uniform(1, 3, 6)
    fixed, displacement = nodal(shape, bool), nodal(shape)
    fixed[..., 1:] = True
    fixed[:, :, [0, -1], 0] = True
    displacement[:, :, -1, 0] = 0.05
    solution = solve_balanced(np.broadcast_to(young, shape).copy(), poisson_ratio=0.25, fixed=fixed, displacement=displacement)
    assert solution.force[:, :, -1, 0].sum() == pytest.approx(12 * 0.05 / np.sum(2 * 1.25 / young), rel=1e-9)


# --- convergent with the mesh -----------------------------------------------------------------------------------------------


def cantilever(cells):
    """Relative error of the mid-span deflection rate: a beam under end shear given by Timoshenko, free of end effects."""
    length, height, width, nu, young = 8.0, 1.0, 0.5, 0.3, 1e4
    shape = (8 * cells, max(cells // 2, 2), cells)
    spacing = (length / shape[0], width / shape[1], height / shape[2])
    fixed, force = nodal(shape, bool), nodal(shape)
    fixed[0] = True
    # End shear with the parabola of beam theory, lumped to the nodes.
    z = np.linspace(-0.5, 0.5, cells + 1)
    share = np.outer(np.r_[0.5, np.ones(shape[1] - 1), 0.5], np.maximum(0.25 - z**2, 0.0))
    force[-1, ..., 2] = -share / share.sum()
    modulus = np.full(shape, young)
    solution = solve_balanced(modulus, fixed=fixed, displacement=0.0, force=force, spacing=spacing, tolerance=1e-9)
    inertia, area = width * height**3 / 12, width * height
    kappa, shear = 10 * (1 + nu) / (12 + 11 * nu), young / (2 * (1 + nu))

    def beam(x):
        return (length * x**2 / 2 - x**3 / 6) / (young * inertia) + x / (kappa * area * shear)

    x = np.linspace(0, length, shape[0] + 1)
    mean = -solution.displacement[..., 2].mean(axis=(1, 2))
    one, two = 2 * cells, 8 * cells
    # The clamp turns the root by a little: compare what bends beyond the tangent at a quarter of the span.
    slope = (mean[one + 1] - mean[one - 1]) / (x[one + 1] - x[one - 1])
    theory = (beam(x[one + 1]) - beam(x[one - 1])) / (x[one + 1] - x[one - 1])
    bent = mean[two] - mean[one] - slope * (x[two] - x[one])
    expected = beam(x[two]) - beam(x[one]) - theory * (x[two] - x[one])
    assert mean[-1] == pytest.approx(beam(length), rel=0.02 if cells >= 8 else 0.1)
    return bent / expected - 1


def test_cantilever_converges_with_second_order_to_timoshenko():
    coarse, fine = cantilever(4), cantilever(8)
    assert abs(fine) < 0.02
    assert 1.6 < np.log2(abs(coarse / fine)) < 2.5


@pytest.mark.slow
def test_cantilever_keeps_its_order_on_a_finer_mesh():
    assert abs(cantilever(16)) < 0.006


def torsion(cells):
    """Ratio of the torque of a square bar to Saint-Venant's, ends free to warp."""
    shape, twist, young, nu = (cells, cells, 3), 1e-3, 1000.0, 0.3
    spacing = (1.0 / cells, 1.0 / cells, 0.25)
    points = positions(shape, spacing) - (0.5, 0.5, 0.0)
    fixed, displacement = nodal(shape, bool), nodal(shape)
    fixed[:, :, [0, -1], :2] = True
    displacement[..., 0] = -twist * points[..., 2] * points[..., 1]
    displacement[..., 1] = twist * points[..., 2] * points[..., 0]
    solution = solve_balanced(np.full(shape, young), poisson_ratio=nu, fixed=fixed, displacement=displacement, spacing=spacing)
    assert solution.stats["pinned"] == 1
    end = solution.force[:, :, -1]
    torque = (points[:, :, -1, 0] * end[..., 1] - points[:, :, -1, 1] * end[..., 0]).sum()
    odd = np.arange(1, 60, 2)
    constant = (1 - 192 / np.pi**5 * np.sum(np.tanh(odd * np.pi / 2) / odd**5)) / 3
    assert constant == pytest.approx(0.1406, abs=5e-5)
    return torque / (young / (2 * (1 + nu)) * twist * constant) - 1


def test_torsion_of_a_square_bar_is_saint_venants():
    coarse, fine = torsion(8), torsion(16)
    assert 0 < fine < 0.01
    assert 1.8 < np.log2(coarse / fine) < 2.2


def cylinder(cells):
    """Relative error of the mean radial displacement of the bore of a thick cylinder under inner pressure, plane strain."""
    inner, outer, young, nu, pressure = 0.5, 1.0, 1000.0, 0.3, 1.0
    h = outer / cells
    centre = (np.arange(cells) + 0.5) * h
    radius = np.hypot(centre[:, None], centre[None, :])
    body = ((radius > inner) & (radius < outer))[..., None]
    shape = body.shape
    spacing = (h, h, h)
    fixed, force = nodal(shape, bool), nodal(shape)
    fixed[0, ..., 0] = fixed[:, 0, :, 1] = True
    fixed[..., 2] = True
    hole = (radius < inner)[..., None]
    quarter = pressure * h * h / 4
    for axis in (0, 1):
        before, after = [slice(None)] * 3, [slice(None)] * 3
        before[axis], after[axis] = slice(0, -1), slice(1, None)
        for index in np.argwhere(hole[tuple(before)] & body[tuple(after)]):
            node = index.copy()
            node[axis] += 1
            other = 1 - axis
            for a, c in itertools.product((0, 1), repeat=2):
                place = node.copy()
                place[other] += a
                place[2] += c
                force[(*place, axis)] += quarter
    solution = solve_balanced(
        np.where(body, young, 0.0), poisson_ratio=nu, fixed=fixed, displacement=0.0, force=force, spacing=spacing
    )
    work = np.vdot(force, solution.displacement)
    mean = work / (pressure * inner * np.pi / 2 * h)
    k = outer**2 / inner**2
    expected = (1 + nu) * inner * pressure / young * ((1 - 2 * nu) + k) / (k - 1)
    return mean / expected - 1


def test_thick_cylinder_tends_to_lame_with_the_staircase():
    sizes = np.array([32, 40, 48, 64, 80, 96, 128])
    errors = np.array([cylinder(n) for n in sizes])
    # First order with a scatter of the staircase: the line through the errors meets h = 0 near zero.
    limit = np.polyfit(1.0 / sizes, errors, 1)[1]
    assert abs(limit) < 0.01
    assert 0 < errors[-1] < 0.01
    assert errors[-1] < 0.4 * errors[0]


def manufactured(cells):
    """Errors of the displacement (L2) and of the energy norm against u = a sin sin sin in a graded body."""
    young0, nu = 1000.0, 0.3
    h = 1.0 / cells
    shape, spacing = (cells,) * 3, (h,) * 3
    slope, amplitude = np.array([1.0, 0.5, 0.25]), np.array([1.0, -0.5, 0.7]) * 1e-2
    lam, mu = nu / ((1 + nu) * (1 - 2 * nu)), 1 / (2 * (1 + nu))

    def exact(x):
        s, c = np.sin(np.pi * x), np.cos(np.pi * x)
        bump = s.prod(axis=-1)
        first = np.pi * np.stack(
            [c[..., 0] * s[..., 1] * s[..., 2], s[..., 0] * c[..., 1] * s[..., 2], s[..., 0] * s[..., 1] * c[..., 2]], -1
        )
        second = np.empty((*x.shape, 3))
        for a, b in itertools.product(range(3), repeat=2):
            other = 3 - a - b
            second[..., a, b] = -(np.pi**2) * bump if a == b else np.pi**2 * c[..., a] * c[..., b] * s[..., other]
        young = young0 * (1 + x @ slope)
        gradient = amplitude[:, None] * first[..., None, :]
        strain = 0.5 * (gradient + np.swapaxes(gradient, -1, -2))
        stress = lam * np.trace(strain, axis1=-2, axis2=-1)[..., None, None] * np.eye(3) + 2 * mu * strain
        divergence = (lam + mu) * second @ amplitude - 3 * np.pi**2 * mu * bump[..., None] * amplitude
        body = -(young[..., None] * divergence + young0 * (stress @ slope))
        return bump[..., None] * amplitude, body, young * np.einsum("...ab,...ab->...", stress, strain)

    centre = (np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1) + 0.5) * h
    force = nodal(shape)
    true_energy, square = 0.0, 0.0
    gauss = np.array([-1.0, 1.0]) / np.sqrt(3)
    corner = list(itertools.product((0, 1), repeat=3))
    fixed = nodal(shape, bool)
    fixed[[0, -1]] = fixed[:, [0, -1]] = fixed[:, :, [0, -1]] = True
    weights = {}
    for point in itertools.product(gauss, repeat=3):
        _, body, density = exact(centre + np.array(point) * h / 2)
        true_energy += density.sum() * h**3 / 8
        for node in corner:
            weight = np.prod([(1 + p * (2 * n - 1)) / 2 for p, n in zip(point, node, strict=True)])
            weights[point, node] = weight
            a, b, c = node
            force[a : a + cells, b : b + cells, c : c + cells] += weight * body * h**3 / 8
    young = young0 * (1 + centre @ slope)
    solution = solve_balanced(young, poisson_ratio=nu, fixed=fixed, displacement=0.0, force=force, spacing=spacing)
    u = solution.displacement
    for point in itertools.product(gauss, repeat=3):
        found = sum(weights[point, (a, b, c)] * u[a : a + cells, b : b + cells, c : c + cells] for a, b, c in corner)
        square += np.sum((found - exact(centre + np.array(point) * h / 2)[0]) ** 2) * h**3 / 8
    return np.sqrt(square), np.sqrt(true_energy - 2 * solution.stats["energy"])


def test_manufactured_solution_in_a_graded_body_has_the_order_of_the_element():
    (coarse, coarse_energy), (fine, fine_energy) = manufactured(8), manufactured(16)
    assert 1.9 < np.log2(coarse / fine) < 2.1
    assert 0.9 < np.log2(coarse_energy / fine_energy) < 1.1


@pytest.mark.slow
def test_manufactured_solution_keeps_its_order_on_a_finer_mesh():
    (coarse, coarse_energy), (fine, fine_energy) = manufactured(16), manufactured(48)
    assert 1.95 < np.log(coarse / fine) / np.log(3) < 2.05
    assert 0.95 < np.log(coarse_energy / fine_energy) / np.log(3) < 1.05


# --- invariance --------------------------------------------------------------------------------------------------------------


def irregular_case(seed=3):
    rng = np.random.default_rng(seed)
    body = ball(10)
    modulus = np.where(body, 10 ** rng.uniform(1, 4, body.shape), 0.0)
    ratio = rng.choice([0.1, 0.3, 0.4], body.shape)
    fixed, displacement = nodal(body.shape, bool), nodal(body.shape)
    fixed[:, :, :3] = fixed[:, :, -3:] = True
    displacement[:, :, -3:] = (0.02, -0.01, -0.1)
    force = np.where(fixed, 0.0, rng.normal(size=displacement.shape) * (corners(body) > 0)[..., None])
    return modulus, ratio, fixed, displacement, force


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_spacing_poisson_ratio_and_loads_turn_with_the_body(order):
    modulus, ratio, fixed, displacement, force = irregular_case()
    spacing = (0.7, 1.0, 1.6)
    reference = solve_balanced(modulus, poisson_ratio=ratio, fixed=fixed, displacement=displacement, force=force, spacing=spacing)
    mirror = np.array([1.0, -1.0, 1.0])

    def turn(values):
        flipped = values.transpose(order if values.ndim == 3 else (*order, 3))[:, ::-1]
        if values.ndim == 3:
            return flipped
        return flipped[..., order] if values.dtype == bool else flipped[..., order] * mirror

    turned = solve_balanced(
        turn(modulus), poisson_ratio=turn(ratio), fixed=turn(fixed), displacement=turn(displacement), force=turn(force),
        spacing=tuple(spacing[a] for a in order),
    )  # fmt: skip
    scale = np.abs(reference.displacement).max()
    np.testing.assert_allclose(turned.displacement, turn(reference.displacement), atol=1e-8 * scale)
    np.testing.assert_allclose(turned.force, turn(reference.force), atol=1e-7 * np.abs(reference.force).max())


def test_units_scale_out():
    modulus, ratio, fixed, displacement, _ = irregular_case()
    one = solve_balanced(modulus, poisson_ratio=ratio, fixed=fixed, displacement=displacement)
    stiff = solve_balanced(1e2 * modulus, poisson_ratio=ratio, fixed=fixed, displacement=1e-3 * displacement)
    large = solve_balanced(modulus, poisson_ratio=ratio, fixed=fixed, displacement=displacement, spacing=(25.0,) * 3)
    np.testing.assert_allclose(stiff.force, 0.1 * one.force, atol=1e-7 * np.abs(one.force).max())
    np.testing.assert_allclose(large.force, 25 * one.force, atol=25e-7 * np.abs(one.force).max())


def test_two_threads_give_the_same_bits_as_one():
    modulus, ratio, fixed, displacement, force = irregular_case()
    for options in ({}, {"poisson_ratio": ratio}, {"bbar": True, "force": force}):
        one, two = (
            fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-8, threads=n, **options) for n in (1, 2)
        )
        assert np.array_equal(one.displacement, two.displacement)
        assert np.array_equal(one.force, two.force)
        assert one.residual == two.residual


@pytest.mark.slow
def test_two_threads_give_the_same_bits_on_a_large_body():
    rng = np.random.default_rng(0)
    modulus = np.where(rng.random((56, 56, 60)) < 0.97, rng.uniform(100, 1000, (56, 56, 60)), 0.0)
    fixed, displacement = nodal(modulus.shape, bool), nodal(modulus.shape)
    fixed[:, :, [0, -1]] = True
    displacement[:, :, -1, 2] = -0.6
    one, two = (fe.solve(modulus, fixed=fixed, displacement=displacement, threads=n) for n in (1, 2))
    assert np.array_equal(one.displacement, two.displacement)
    assert one.residual == two.residual


def test_the_same_solve_twice_gives_the_same_bits():
    modulus, ratio, fixed, displacement, _ = irregular_case()
    one, two = (fe.solve(modulus, poisson_ratio=ratio, fixed=fixed, displacement=displacement) for _ in range(2))
    assert np.array_equal(one.displacement, two.displacement)
