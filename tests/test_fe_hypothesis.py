"""Whatever the model: an answer that an independently assembled matrix confirms, or a ModelError; no hang, no wrong number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from openbct import fe
from openbct.errors import ModelError, SolveError

QUICK = settings(max_examples=120, deadline=60_000, derandomize=True, suppress_health_check=list(HealthCheck))
DEEP = settings(max_examples=3000, deadline=60_000, suppress_health_check=list(HealthCheck))

TOLERANCE = 1e-8
CORNERS = list(itertools.product((0, 1), repeat=3))


def brick(ratio, spacing, bbar):
    """Stiffness of one brick of unit modulus, written down again from the definition: not the kernel's code."""
    lam, mu = ratio / ((1 + ratio) * (1 - 2 * ratio)), 1 / (2 * (1 + ratio))
    points, gradients = list(itertools.product((-(3**-0.5), 3**-0.5), repeat=3)), []
    for point in points:
        rows = []
        for corner in CORNERS:
            sign = 2 * np.array(corner) - 1
            linear = (1 + sign * point) / 2
            rows.append([sign[a] / spacing[a] * np.prod(np.delete(linear, a)) for a in range(3)])
        gradients.append(np.array(rows))
    mean = np.mean(gradients, axis=0)
    matrix = np.zeros((24, 24))
    for gradient in gradients:
        basis = np.zeros((24, 3, 3))
        for node, axis in itertools.product(range(8), range(3)):
            displacement = np.zeros((3, 3))
            displacement[axis] = gradient[node]
            strain = (displacement + displacement.T) / 2
            if bbar:
                strain += np.eye(3) / 3 * (mean[node, axis] - gradient[node, axis])
            basis[3 * node + axis] = strain
        trace = np.trace(basis, axis1=1, axis2=2)
        matrix += lam * np.outer(trace, trace) + 2 * mu * np.einsum("mab,nab->mn", basis, basis)
    return matrix * np.prod(spacing) / 8


def assemble(case):
    """Sparse stiffness of the whole grid and the nodes that belong to an element."""
    modulus = case["modulus"]
    node_shape = tuple(n + 1 for n in modulus.shape)
    number = np.arange(np.prod(node_shape)).reshape(node_shape)
    rows, columns, values = [], [], []
    ratios = np.broadcast_to(case["ratio"], modulus.shape)
    matrices = {float(r): brick(float(r), case["spacing"], case["bbar"]) for r in np.unique(ratios)}
    for place in map(tuple, np.argwhere(modulus > 0)):
        node = [number[tuple(np.add(place, corner))] for corner in CORNERS]
        dof = (3 * np.array(node)[:, None] + np.arange(3)).ravel()
        rows.append(np.repeat(dof, 24))
        columns.append(np.tile(dof, 24))
        values.append((modulus[place] * matrices[float(ratios[place])]).ravel())
    size = 3 * number.size
    joined = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    matrix = sparse.csr_matrix(joined, shape=(size, size))
    return matrix, np.asarray(matrix.diagonal() > 0)


HOLDS = ("clamped", "sliding", "one end", "scattered", "few", "one node", "all")

MODELS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "shape": st.tuples(*[st.integers(1, 6)] * 3),
        "fill": st.sampled_from([1.0, 0.9, 0.7, 0.5, 0.3, 0.1]),
        "contrast": st.sampled_from([0, 2, 4, 8]),
        "phases": st.booleans(),
        "scale": st.sampled_from([1.0, 1e2]),
        "void": st.sampled_from([0.0, -3.0]),
        "hold": st.sampled_from(HOLDS),
        "axis": st.integers(0, 2),
        "rough": st.booleans(),
        "loaded": st.sampled_from([0.0, 0.0, 0.02, 0.3]),
        "ratio": st.sampled_from([0.0, 0.3, 0.45, None]),
        "spacing": st.sampled_from([(1.0, 1.0, 1.0), (0.3, 0.3, 0.6), (0.5, 1.0, 3.0)]),
        "bbar": st.booleans(),
    }
)
"""What a random model is made from: shape, islands, contrasts, supports, loads."""


def build(plan):
    """The arrays of a random model."""
    rng = np.random.default_rng(plan["seed"])
    shape, half = plan["shape"], plan["contrast"] / 2
    exponent = rng.choice([-half, half], shape) if plan["phases"] else rng.uniform(-half, half, shape)
    modulus = np.where(rng.random(shape) < plan["fill"], plan["scale"] * 10.0**exponent, plan["void"])
    node_shape = tuple(n + 1 for n in shape)
    fixed, displacement = np.zeros((*node_shape, 3), bool), np.zeros((*node_shape, 3))
    hold, axis = plan["hold"], plan["axis"]
    near, far = [slice(None)] * 3, [slice(None)] * 3
    near[axis], far[axis] = 0, -1
    if hold in ("clamped", "sliding", "one end"):
        components = axis if hold == "sliding" else slice(None)
        fixed[(*near, components)] = True
        if hold != "one end":
            fixed[(*far, components)] = True
            displacement[(*far, components)] = rng.normal(0, 0.1)
    elif hold == "one node":
        fixed[tuple(rng.integers(0, node_shape))] = True
    else:
        fixed = rng.random(fixed.shape) < {"scattered": 0.2, "few": 0.02, "all": 1.0}[hold]
    if plan["rough"]:
        displacement = displacement + rng.normal(0, 0.1, displacement.shape)
    loads = np.where(rng.random(fixed.shape) < plan["loaded"], rng.normal(size=fixed.shape), 0.0)
    body = np.zeros(node_shape, bool)
    for i, j, k in np.ndindex(2, 2, 2):
        body[i : i + shape[0], j : j + shape[1], k : k + shape[2]] |= modulus > 0
    loads[~body] = 0.0  # a force in the void is refused, and has a test of its own
    return {
        "modulus": modulus,
        "ratio": rng.choice([0.1, 0.3], shape) if plan["ratio"] is None else plan["ratio"],
        "spacing": plan["spacing"],
        "bbar": plan["bbar"],
        "fixed": fixed,
        "displacement": displacement,
        "force": loads if plan["loaded"] else None,
    }


def attempt(case):
    """The solution; None where the model was refused, or said to be beyond double precision, and rightly so."""
    try:
        return fe.solve(
            case["modulus"], poisson_ratio=case["ratio"], spacing=case["spacing"], fixed=case["fixed"],
            displacement=case["displacement"], force=case["force"], bbar=case["bbar"], tolerance=TOLERANCE,
        )  # fmt: skip
    except ModelError as error:
        assert "expected" in str(error), str(error)
        check_refusal(case)
    except SolveError as error:
        assert "rounding" in str(error), str(error)
        check_rounding(case, error.solution)
    return None


def check_refusal(case):
    """Nothing stiff, nothing held, or a load on a motion that costs no energy."""
    if not (case["modulus"] > 0).any():
        return
    matrix, active = assemble(case)
    free = ~case["fixed"].ravel() & active
    if not (case["fixed"].ravel() & active).any():
        return
    assert case["force"] is not None
    value, vector = np.linalg.eigh(matrix.toarray()[np.ix_(free, free)])
    load = case["force"].ravel()[free]
    idle = vector[:, value < 1e-11 * value[-1]]
    assert np.linalg.norm(idle.T @ load) > 1e-7 * np.linalg.norm(load)


def check_rounding(case, solution):
    """The tolerance is finer than what rounding of the displacement makes of the forces, and what was reached is near."""
    matrix, active = assemble(case)
    free = ~case["fixed"].ravel() & active
    load = np.zeros(active.size) if case["force"] is None else np.where(free, case["force"].ravel(), 0.0)
    u = solution.displacement.ravel()
    start = np.where(free, 0.0, u)
    scale = np.linalg.norm((load - matrix @ start)[free])
    noise = np.linalg.norm(1e-15 * (abs(matrix) @ np.abs(u))[free])
    assert 100 * noise > TOLERANCE * scale
    assert not solution.converged
    assert np.linalg.norm((load - matrix @ u)[free]) <= 100 * noise


def check(case, solution):
    """The answer is in equilibrium, keeps what was prescribed, and has the energy of a direct solution."""
    matrix, active = assemble(case)
    fixed = case["fixed"].ravel() & active
    free = ~case["fixed"].ravel() & active
    load = np.zeros(active.size) if case["force"] is None else np.where(free, case["force"].ravel(), 0.0)
    u = solution.displacement.ravel()
    assert np.isfinite(u).all()
    kept = np.zeros(len(active) // 3, bool)
    kept[solution.nodes] = True
    kept = np.repeat(kept, 3)
    assert not load[~kept].any()
    np.testing.assert_array_equal(u[fixed & kept], case["displacement"].ravel()[fixed & kept])
    start = np.where(fixed & kept, u, 0.0)
    scale = np.linalg.norm((load - matrix @ start)[free])
    internal = matrix @ u
    # What rounding of u alone makes of the forces and of the energy: no solver can pass below.
    noise = 1e-15 * (abs(matrix) @ np.abs(u))
    assert np.linalg.norm((load - internal)[free]) <= 1.05 * TOLERANCE * scale + 10 * np.linalg.norm(noise[free])
    size = np.abs(solution.force).max() + scale
    np.testing.assert_allclose(solution.force.ravel()[fixed], internal[fixed], atol=1e-9 * size + 10 * noise.max())
    dense = matrix.toarray()[np.ix_(free, free)]
    value, vector = np.linalg.eigh(dense)
    right = vector.T @ (load - matrix @ start)[free]
    stiff = value > 1e-13 * max(value[-1], 1e-300) if free.any() else value > 0
    step = vector[:, stiff] @ (right[stiff] / value[stiff])
    direct = start.copy()
    direct[free] = step
    largest = max(0.5 * direct @ (matrix @ direct), 0.5 * start @ (matrix @ start))
    error = u - direct
    assert 0.5 * error @ (matrix @ error) <= 1e-6 * largest + 1e-20
    assert solution.stats["energy"] == pytest.approx(0.5 * u @ internal, rel=1e-6, abs=1e-9 * largest + 10 * noise @ np.abs(u))


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    """Machine code is ready before the clock of the first example starts."""
    fixed = np.ones((3, 3, 3, 3), bool)
    fixed[1, 1, 1] = False
    for ratio in (0.3, np.random.default_rng(0).uniform(0, 0.4, (2, 2, 2))):
        fe.solve(np.ones((2, 2, 2)), poisson_ratio=ratio, fixed=fixed, displacement=0.1)


@QUICK
@given(MODELS)
def test_an_answer_that_an_independent_matrix_confirms_or_a_refusal(plan):
    case = build(plan)
    solution = attempt(case)
    if solution is not None:
        assert solution.converged
        check(case, solution)


@pytest.mark.slow
@DEEP
@given(MODELS)
def test_the_same_with_many_more_models(plan):
    case = build(plan)
    solution = attempt(case)
    if solution is not None:
        assert solution.converged
        check(case, solution)


HOSTILE = st.sampled_from([np.nan, np.inf, -np.inf])


@settings(QUICK, max_examples=100)
@given(MODELS, st.sampled_from(["modulus", "ratio", "displacement", "force"]), HOSTILE, st.integers(0, 2**16))
def test_a_value_that_is_no_number_is_refused_or_was_never_read(plan, name, value, place):
    case = build(plan)
    shape = case["modulus"].shape if name in ("modulus", "ratio") else case["fixed"].shape
    clean = np.zeros(shape) if case[name] is None else np.broadcast_to(case[name], shape)
    poisoned = np.array(clean, dtype=float)
    poisoned.ravel()[place % poisoned.size] = value
    read = {
        "modulus": np.ones(shape, bool),
        "ratio": case["modulus"] > 0,
        "displacement": case["fixed"],
        "force": ~case["fixed"],
    }[name].ravel()[place % poisoned.size]
    try:
        solution = fe.solve(
            poisoned if name == "modulus" else case["modulus"],
            poisson_ratio=poisoned if name == "ratio" else case["ratio"],
            displacement=poisoned if name == "displacement" else case["displacement"],
            force=poisoned if name == "force" else case["force"],
            spacing=case["spacing"], fixed=case["fixed"], throw=False,
        )  # fmt: skip
    except ModelError:
        return
    # What was not read did no harm; the kernel may leave a value unread only where nothing depends on it.
    assert not read
    assert np.isfinite(solution.displacement).all()
    assert np.isfinite(solution.force).all()


@settings(QUICK, max_examples=60)
@given(MODELS, st.sampled_from([(-1.0, 1.0, 1.0), (0.0, 1.0, 1.0), (np.nan, 1.0, 1.0), (1.0, np.inf, 1.0), (1.0, 1.0)]))
def test_an_impossible_spacing_is_refused(plan, spacing):
    case = build(plan)
    with pytest.raises(ModelError, match="spacing"):
        fe.solve(case["modulus"], spacing=spacing, fixed=case["fixed"], displacement=case["displacement"])


@settings(QUICK, max_examples=40)
@given(MODELS, st.floats(1e8, 1e13))
def test_a_modulus_in_pascal_is_refused(plan, stiffest):
    case = build(plan | {"fill": 1.0})
    modulus = case["modulus"] / case["modulus"].max() * stiffest
    with pytest.raises(ModelError, match="Pa"):
        fe.solve(modulus, fixed=case["fixed"], displacement=case["displacement"])


@settings(QUICK, max_examples=40)
@given(MODELS, st.sampled_from([-0.5, -1.0, 0.5, 0.7, np.nan]))
def test_a_poisson_ratio_is_taken_where_a_material_has_it(plan, ratio):
    case = build(plan | {"fill": 1.0, "hold": "clamped", "loaded": 0.0, "contrast": 2}) | {"ratio": ratio, "force": None}
    if ratio == -0.5:
        solution = attempt(case)
        assert solution is not None
        check(case, solution)
        return
    with pytest.raises(ModelError, match="poisson_ratio"):
        fe.solve(case["modulus"], poisson_ratio=ratio, fixed=case["fixed"], displacement=case["displacement"])


# --- one by one -----------------------------------------------------------------------------------------------------------------


def plain(modulus, fixed, displacement, force=None):
    return {
        "modulus": np.asarray(modulus, float), "ratio": 0.3, "spacing": (1.0, 1.0, 1.0), "bbar": False, "fixed": fixed,
        "displacement": displacement, "force": force,
    }  # fmt: skip


@pytest.mark.parametrize("contrast", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("contact", ["face", "edge", "corner"])
def test_two_blocks_that_meet_in_a_face_an_edge_or_a_corner(contact, contrast):
    modulus = np.zeros((4, 4, 6))
    modulus[:2, :2, :3] = 0.01
    beside = {"face": (slice(0, 2), slice(0, 2)), "edge": (slice(2, 4), slice(0, 2)), "corner": (slice(2, 4), slice(2, 4))}
    modulus[(*beside[contact], slice(3, 6))] = 0.01 * contrast
    fixed, displacement = np.zeros((5, 5, 7, 3), bool), np.zeros((5, 5, 7, 3))
    fixed[:, :, [0, -1]] = True
    displacement[:, :, -1] = (0.003, 0.001, -0.01)
    case = plain(modulus, fixed, displacement)
    solution = attempt(case)
    assert solution is not None
    check(case, solution)
    assert abs(solution.force[:, :, -1, 2].sum()) > 1e-6


def test_a_bone_of_one_voxel():
    fixed, displacement = np.zeros((2, 2, 2, 3), bool), np.zeros((2, 2, 2, 3))
    fixed[:, :, 0] = fixed[:, :, 1] = True
    displacement[:, :, 1, 2] = -0.01
    case = plain(np.full((1, 1, 1), 1000.0), fixed, displacement)
    check(case, attempt(case))
    fixed[:, :, 1, :2] = False
    check(case, attempt(case))


def test_an_empty_model_and_a_model_of_dust():
    fixed, displacement = np.ones((5, 5, 5, 3), bool), np.zeros((5, 5, 5, 3))
    for modulus in (np.zeros((4, 4, 4)), np.full((4, 4, 4), -1.0)):
        with pytest.raises(ModelError, match="no voxel"):
            fe.solve(modulus, fixed=fixed, displacement=displacement)
    # A checkerboard: every voxel touches its neighbours at edges only.
    modulus = np.indices((6, 6, 6)).sum(axis=0) % 2 * 100.0
    fixed, displacement = np.zeros((7, 7, 7, 3), bool), np.zeros((7, 7, 7, 3))
    fixed[:, :, [0, -1]] = True
    displacement[:, :, -1, 2] = -0.06
    case = plain(modulus, fixed, displacement)
    solution = attempt(case)
    assert solution is not None
    check(case, solution)


def test_a_force_in_the_void_is_refused():
    modulus = np.zeros((3, 3, 6))
    modulus[:, :, :3] = 100.0
    fixed, force = np.zeros((4, 4, 7, 3), bool), np.zeros((4, 4, 7, 3))
    fixed[:, :, 0] = True
    force[1, 1, 6, 2] = 10.0
    with pytest.raises(ModelError, match="force"):
        fe.solve(modulus, fixed=fixed, displacement=0.0, force=force)
