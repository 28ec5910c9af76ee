"""Elastic-plastic solve: closed forms, energy, tangent, restart, hostile input, threads."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openbct.errors import ModelError, SolveError
from openbct.fe import force_at, newton, offset_yield, solve_plastic

YOUNG, NU, STRENGTH = 1000.0, 0.3, 8.0
CASES = [("von_mises", 1.0), ("paraboloid", 0.6), ("mohr_coulomb", 1.0), ("mohr_coulomb", 0.6)]


def press(shape: tuple[int, int, int], *, sign: float = 1.0, confined: bool = False) -> dict[str, Any]:
    """A block between two smooth platens along k, on symmetry planes at i = 0 and j = 0; ``confined``: walls all around."""
    nodes = (shape[0] + 1, shape[1] + 1, shape[2] + 1)
    fixed, displacement = np.zeros((*nodes, 3), dtype=bool), np.zeros((*nodes, 3))
    fixed[:, :, 0, 2] = fixed[:, :, -1, 2] = True
    fixed[0, :, :, 0] = fixed[:, 0, :, 1] = True
    if confined:
        fixed[-1, :, :, 0] = fixed[:, -1, :, 1] = True
    displacement[:, :, -1, 2] = -sign
    loaded = np.zeros(nodes, dtype=bool)
    loaded[:, :, -1] = True
    return {"fixed": fixed, "displacement": displacement, "loaded": loaded, "direction": (0.0, 0.0, -sign)}


def random_bone(seed: int, shape: tuple[int, int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-normal moduli with some void voxels, yield strain about 0.8 %."""
    rng = np.random.default_rng(seed)
    modulus = YOUNG * np.exp(rng.normal(size=shape))
    modulus[1:-1, 1:-1, 1:-1][rng.random((shape[0] - 2, shape[1] - 2, shape[2] - 2)) < 0.1] = 0.0
    return modulus, np.where(modulus > 0, 0.008 * modulus, np.nan)


@pytest.mark.parametrize("bbar", [True, False])
@pytest.mark.parametrize(("criterion", "ratio"), CASES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_single_element(criterion: str, ratio: float, sign: float, bbar: bool) -> None:
    """V7: sigma = min(E eps, strength), in compression and in tension."""
    strength = STRENGTH * (ratio if sign < 0 else 1.0)
    solution = solve_plastic(
        np.full((1, 1, 1), YOUNG), yield_stress=STRENGTH, criterion=criterion, tension_ratio=ratio, travels=[0.002, 0.004, 0.01, 0.02],
        bbar=bbar, tolerance=1e-9, **press((1, 1, 1), sign=sign),
    )  # fmt: skip
    assert solution.converged
    np.testing.assert_allclose(solution.curve[:, 1], np.minimum(YOUNG * solution.curve[:, 0], strength), rtol=1e-8)
    assert solution.stiffness == pytest.approx(YOUNG, rel=1e-8)
    assert solution.failed_fraction == (0.0, 0.0, 1.0, 1.0)
    np.testing.assert_allclose(np.ravel(solution.stress), solution.curve[1:, 1], rtol=1e-7)
    if criterion == "von_mises":
        assert solution.plastic_strain[-1][0, 0, 0] == pytest.approx(0.02 - STRENGTH / YOUNG, rel=1e-8)


@pytest.mark.parametrize("bbar", [True, False])
def test_oedometer(bbar: bool) -> None:
    """V8: slope lambda + 2 mu up to strength / 2 G, then sigma = K eps + 2 strength / 3."""
    mu, bulk = YOUNG / (2 * (1 + NU)), YOUNG / (3 * (1 - 2 * NU))
    solution = solve_plastic(
        np.full((2, 3, 4), YOUNG), yield_stress=STRENGTH, travels=np.array([0.005, 0.01, 0.02, 0.05]) * 4, bbar=bbar, tolerance=1e-9,
        **press((2, 3, 4), confined=True),
    )  # fmt: skip
    strain = solution.curve[:, 0] / 4
    expected = np.where(strain < STRENGTH / (2 * mu), (bulk + 4 * mu / 3) * strain, bulk * strain + 2 * STRENGTH / 3)
    np.testing.assert_allclose(solution.curve[:, 1] / 6, expected, rtol=1e-8)


@pytest.mark.parametrize("bbar", [True, False])
def test_large_strain_single_element(bbar: bool) -> None:
    """Kirchhoff stress at the strength: nominal stress strength / lambda; elastic E ln(lambda) / lambda; the series of ln is cubic."""
    solution = solve_plastic(
        np.full((2, 2, 2), YOUNG), yield_stress=STRENGTH, travels=[0.004, 0.02, 0.08], large_strain=True, bbar=bbar, tolerance=1e-8,
        **press((2, 2, 2)),
    )  # fmt: skip
    stretch = 1 - solution.curve[:, 0] / 2
    expected = np.minimum(-YOUNG * np.log(stretch), STRENGTH) / stretch * 4
    np.testing.assert_allclose(solution.curve[:, 1], expected, rtol=6e-4)
    assert solution.failed_fraction == (0.0, 1.0, 1.0)


def test_large_strain_sees_no_rotation() -> None:
    """All nodes turned by 60 degrees about an oblique axis: no stress. Small strain would see 100 %."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(np.pi / 3) * cross + (1 - np.cos(np.pi / 3)) * cross @ cross
    place = np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), axis=-1)
    fixed, loaded = np.ones((3, 3, 3, 3), dtype=bool), np.zeros((3, 3, 3), dtype=bool)
    loaded[:, :, -1] = True
    solution = solve_plastic(
        np.full((2, 2, 2), YOUNG), yield_stress=STRENGTH, travels=[1.0], large_strain=True, fixed=fixed,
        displacement=place @ turn.T - place, loaded=loaded, direction=(0.0, 0.0, 1.0),
    )  # fmt: skip
    assert solution.converged
    assert np.abs(solution.curve[:, 1]).max() < 1e-9
    assert solution.failed_fraction == (0.0,)
    with pytest.raises(ModelError, match="von_mises"):
        solve_plastic(
            np.full((2, 2, 2), YOUNG),
            yield_stress=STRENGTH,
            travels=[1.0],
            large_strain=True,
            criterion="mohr_coulomb",
            **press((2, 2, 2)),
        )


def test_large_strain_agrees_with_small_strain_where_strains_are_small() -> None:
    modulus, strength = random_bone(10, (5, 4, 6))
    modulus, strength = modulus * 1000, strength
    small, large = (
        solve_plastic(
            modulus, yield_stress=strength, travels=[2e-5, 6e-5, 2e-4], large_strain=big, tolerance=1e-6, **press((5, 4, 6))
        )
        for big in (False, True)
    )
    assert large.failed_fraction[-1] > 0.3
    np.testing.assert_allclose(large.curve[:, 1], small.curve[:, 1], rtol=2e-4)
    np.testing.assert_allclose(large.elastic_energy + large.plastic_work, large.external_work, rtol=1e-3)


def test_two_columns_in_parallel_of_orthorhombic_voxels() -> None:
    """Two columns with a gap between them, one weaker: each adds min(E eps, strength) times its area."""
    load = press((3, 2, 6))
    load["fixed"][-1, :, :, 0] = True
    modulus, strength = np.full((3, 2, 6), YOUNG), np.full((3, 2, 6), 2 * STRENGTH)
    modulus[1] = 0.0
    strength[2] = STRENGTH
    solution = solve_plastic(
        modulus, yield_stress=strength, spacing=(0.5, 1.0, 2.0), travels=[0.05, 0.15, 0.4], tolerance=1e-8, **load
    )
    stress = YOUNG * solution.curve[:, 0] / 12
    np.testing.assert_allclose(solution.curve[:, 1], np.minimum(stress, 2 * STRENGTH) + np.minimum(stress, STRENGTH), rtol=1e-7)
    assert solution.failed_fraction == (0.0, 0.5, 1.0)
    assert solution.plastic_strain[1][0].max() == 0.0


@pytest.mark.parametrize("bbar", [True, False])
@pytest.mark.parametrize(("criterion", "ratio"), CASES)
def test_energy_balance_and_equilibrium(criterion: str, ratio: float, bbar: bool) -> None:
    """External work = elastic energy + plastic work at every point; half the tolerance and double the steps change little."""
    modulus, strength = random_bone(1, (6, 5, 7))
    arguments: dict[str, Any] = {
        "yield_stress": strength, "criterion": criterion, "tension_ratio": ratio, "bbar": bbar, **press((6, 5, 7))
    }  # fmt: skip
    travels = np.linspace(0.02, 0.2, 8)
    solution = solve_plastic(modulus, travels=travels, **arguments)
    assert solution.converged
    stored = solution.elastic_energy + solution.plastic_work
    np.testing.assert_allclose(solution.external_work, stored, atol=2e-5 * stored[-1])
    assert np.all(np.diff(solution.plastic_work) >= -1e-12)
    assert np.all(np.diff(solution.failed_curve) >= 0)
    fine = solve_plastic(modulus, travels=np.sort(np.concatenate([travels, travels - 0.01])), **arguments)
    assert force_at(fine.curve, 0.2) == pytest.approx(float(solution.curve[-1, 1]), rel=5e-3)
    tight = solve_plastic(modulus, travels=travels, tolerance=1e-6, **arguments)
    np.testing.assert_allclose(tight.curve[:, 1], solution.curve[:, 1], rtol=1e-3)
    # The load that goes in at the top comes out at the bottom.
    upside = solve_plastic(
        modulus, travels=travels, **{**arguments, "loaded": arguments["loaded"][:, :, ::-1], "direction": (0.0, 0.0, 1.0)}
    )
    np.testing.assert_allclose(upside.curve[:, 1], solution.curve[:, 1], rtol=1e-3)


def test_a_sheared_body_is_stressed_up_to_its_strength_and_no_more() -> None:
    """Every stress component takes part: a shear that were counted half or twice would show."""
    modulus, strength = random_bone(3, (5, 5, 6))
    held = press(modulus.shape)
    held["fixed"][:, :, (0, -1)] = True
    held["displacement"][:, :, -1] = (1.0, 0.0, -0.3)
    held["direction"] = (1.0, 0.0, 0.0)
    solution = solve_plastic(modulus, yield_stress=strength, travels=[0.4], **held)
    share = solution.stress[0][modulus > 0] / strength[modulus > 0]
    flowing = solution.plastic_strain[0][modulus > 0] > 0.01
    assert share.max() < 1.001 and flowing.sum() > 20 and np.median(share[flowing]) > 0.95


def test_scaling() -> None:
    """F for c sigma_y at c u is c times F for sigma_y at u: small-strain plasticity has no other scale."""
    modulus, strength = random_bone(2, (5, 5, 5))
    one = solve_plastic(modulus, yield_stress=strength, travels=[0.03, 0.06, 0.1], tolerance=1e-6, **press((5, 5, 5)))
    two = solve_plastic(modulus, yield_stress=2 * strength, travels=[0.06, 0.12, 0.2], tolerance=1e-6, **press((5, 5, 5)))
    np.testing.assert_allclose(two.curve[:, 1], 2 * one.curve[:, 1], rtol=1e-5)


def test_mirror_and_axis_order_do_not_matter() -> None:
    modulus, strength = random_bone(3, (5, 4, 6))
    load = press((5, 4, 6))
    reference = solve_plastic(modulus, yield_stress=strength, travels=[0.05, 0.1, 0.15], tolerance=1e-6, **load)
    turned = {
        "fixed": load["fixed"].transpose(2, 0, 1, 3)[..., [2, 0, 1]],
        "displacement": load["displacement"].transpose(2, 0, 1, 3)[..., [2, 0, 1]],
        "loaded": load["loaded"].transpose(2, 0, 1),
        "direction": (-1.0, 0.0, 0.0),
    }
    other = solve_plastic(
        modulus.transpose(2, 0, 1), yield_stress=strength.transpose(2, 0, 1), travels=[0.05, 0.1, 0.15], tolerance=1e-6, **turned
    )
    np.testing.assert_allclose(other.curve, reference.curve, rtol=2e-5)
    np.testing.assert_allclose(other.plastic_strain[-1].transpose(1, 2, 0), reference.plastic_strain[-1], atol=1e-4)
    flipped = {name: load[name][::-1] if name != "direction" else load[name] for name in load}
    mirror = solve_plastic(modulus[::-1], yield_stress=strength[::-1], travels=[0.05, 0.1, 0.15], tolerance=1e-6, **flipped)
    np.testing.assert_allclose(mirror.curve, reference.curve, rtol=2e-5)


def test_elastic_body_stays_elastic() -> None:
    solution = solve_plastic(np.full((3, 3, 3), YOUNG), yield_stress=np.inf, travels=[1.0, 2.0], **press((3, 3, 3)))
    np.testing.assert_allclose(solution.curve[:, 1], YOUNG * 9 / 3 * solution.curve[:, 0], rtol=1e-5)
    assert solution.failed_fraction == (0.0, 0.0)


@pytest.mark.parametrize("threads", [1, 2])
def test_deterministic(threads: int) -> None:
    """The same numbers, to the last bit, in every run and with any number of threads."""
    modulus, strength = random_bone(4, (8, 7, 9))
    first = solve_plastic(modulus, yield_stress=strength, travels=[0.05, 0.1, 0.2], threads=1, **press((8, 7, 9)))
    second = solve_plastic(modulus, yield_stress=strength, travels=[0.05, 0.1, 0.2], threads=threads, **press((8, 7, 9)))
    np.testing.assert_array_equal(first.curve, second.curve)
    np.testing.assert_array_equal(first.plastic_strain[-1], second.plastic_strain[-1])


def test_contrast_of_a_million() -> None:
    modulus, strength = random_bone(5, (6, 6, 6))
    modulus[2:4, 2:4, 2:4] = 1e-3
    strength[2:4, 2:4, 2:4] = 1e-5
    solution = solve_plastic(modulus, yield_stress=strength, travels=[0.05, 0.1, 0.2], **press((6, 6, 6)))
    hollow = modulus.copy()
    hollow[2:4, 2:4, 2:4] = 0.0
    without = solve_plastic(hollow, yield_stress=strength, travels=[0.05, 0.1, 0.2], **press((6, 6, 6)))
    assert solution.converged
    np.testing.assert_allclose(solution.curve[:, 1], without.curve[:, 1], rtol=1e-3)


def test_restart_from_the_last_good_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two Newton iterations a step the big step fails; shorter ones follow, and the curve stays the same."""
    modulus, strength = random_bone(6, (6, 6, 6))
    easy = solve_plastic(modulus, yield_stress=strength, travels=[0.02, 0.2], tolerance=1e-6, **press((6, 6, 6)))
    assert easy.converged and easy.stats["n_cuts"] == 0
    monkeypatch.setattr(newton, "MAX_NEWTON", 3)
    cut = solve_plastic(modulus, yield_stress=strength, travels=[0.02, 0.2], tolerance=1e-5, **press((6, 6, 6)))
    assert cut.converged, cut.status
    assert cut.stats["n_cuts"] > 0
    assert len(cut.curve) > len(easy.curve)
    assert force_at(cut.curve, 0.2) == pytest.approx(force_at(easy.curve, 0.2), rel=5e-3)
    assert cut.travels == (0.02, 0.2)


def test_a_hopeless_step_returns_the_curve_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "MAX_NEWTON", 1)
    modulus, strength = random_bone(7, (5, 5, 5))
    solution = solve_plastic(modulus, yield_stress=strength, travels=[0.001, 0.3], tolerance=1e-8, **press((5, 5, 5)))
    assert not solution.converged
    assert "Newton iterations" in solution.status and "smaller steps" in solution.status
    assert solution.travels == (0.001,) and np.isfinite(solution.curve).all()
    with pytest.raises(SolveError) as caught:
        solve_plastic(modulus, yield_stress=strength, travels=[0.001, 0.3], tolerance=1e-8, throw=True, **press((5, 5, 5)))
    assert caught.value.solution.status == solution.status  # type: ignore[attr-defined]


def test_rigid_motion_carries_no_load() -> None:
    """Both platens move together: no force, no strain, and no endless fight against rounding."""
    modulus, strength = random_bone(9, (4, 4, 4))
    load = press((4, 4, 4))
    load["displacement"][:, :, 0, 2] = -1.0
    solution = solve_plastic(modulus, yield_stress=strength, travels=[1.0, 50.0], **load)
    assert solution.converged, solution.status
    assert np.abs(solution.curve[:, 1]).max() < 1e-6
    assert solution.failed_fraction == (0.0, 0.0)


def test_everything_held() -> None:
    load = press((1, 1, 1))
    load["fixed"][:] = True
    solution = solve_plastic(np.full((1, 1, 1), YOUNG), yield_stress=STRENGTH, travels=[0.001, 0.1], **load)
    assert solution.converged
    # all lateral displacement held: the oedometer of V8
    expected = YOUNG / (3 * (1 - 2 * NU)) * 0.1 + 2 * STRENGTH / 3
    assert solution.curve[-1, 1] == pytest.approx(expected, rel=1e-9)


def test_loose_pieces_and_single_node_contacts() -> None:
    """A floating voxel is left out; a voxel that hangs on one node does not stop the march."""
    modulus = np.zeros((4, 4, 5))
    modulus[:2, :2] = YOUNG
    modulus[2, 2, 2] = YOUNG
    modulus[3, 0, 4] = YOUNG
    load = press((4, 4, 5))
    load["fixed"][3:, 0:2, -1, 2] = False
    load["fixed"][2, 0, -1, 2] = True
    solution = solve_plastic(modulus, yield_stress=STRENGTH, travels=[0.02, 0.08], **load)
    assert solution.converged, solution.status
    assert solution.curve[-1, 1] == pytest.approx(4 * STRENGTH, rel=0.02)


def test_kept_fields_and_progress() -> None:
    done: list[float] = []
    solution = solve_plastic(
        np.full((2, 2, 2), YOUNG), yield_stress=STRENGTH, travels=[0.01, 0.02, 0.04], keep_travels=[0.02], progress=done.append,
        **press((2, 2, 2)),
    )  # fmt: skip
    assert solution.travels == (0.02,) and len(solution.displacement) == len(solution.plastic_strain) == 1
    assert solution.displacement[0][0, 0, -1, 2] == pytest.approx(-0.02)
    assert done == pytest.approx([0.25, 0.5, 1.0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        solution.status = "fine"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"yield_stress": np.nan}, "yield_stress is NaN"),
        ({"yield_stress": 0.0}, "yield_stress is NaN, zero"),
        ({"yield_stress": -3.0}, "negative"),
        ({"yield_stress": 8e6}, "times the modulus"),
        ({"yield_stress": np.full((2, 2, 2), 8.0)}, "shape"),
        ({"youngs_modulus": np.zeros((3, 3, 3))}, "positive modulus"),
        ({"youngs_modulus": np.full((3, 3, 3), np.nan)}, "not finite"),
        ({"youngs_modulus": np.full((3, 3), YOUNG)}, "shape"),
        ({"travels": []}, "rising"),
        ({"travels": [0.2, 0.1]}, "rising"),
        ({"travels": [0.0, 0.1]}, "rising"),
        ({"travels": [np.nan]}, "rising"),
        ({"keep_travels": [0.3]}, "not among travels"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"spacing": (1.0, -1.0, 1.0)}, "spacing"),
        ({"poisson_ratio": 0.5}, "poisson_ratio"),
        ({"direction": (0.0, 0.0, 2.0)}, "unit vector"),
        ({"fixed": np.zeros((4, 4, 4, 3), dtype=bool)}, "fixed"),
        ({"fixed": np.zeros((4, 4, 4, 3))}, "boolean"),
        ({"fixed": np.zeros((3, 3, 3, 3), dtype=bool)}, "shape"),
        ({"displacement": np.zeros((4, 4, 4, 3))}, "moving"),
        ({"displacement": np.full((4, 4, 4, 3), np.nan)}, "finite"),
        ({"loaded": np.zeros((4, 4, 4), dtype=bool)}, "reaction"),
        ({"criterion": "hill"}, "expected one of"),
        ({"tension_ratio": 0.5}, "one strength only"),
    ],
)
def test_hostile_input(change: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {
        "youngs_modulus": np.full((3, 3, 3), YOUNG), "yield_stress": STRENGTH, "travels": [0.01, 0.02], **press((3, 3, 3)), **change
    }  # fmt: skip
    with pytest.raises(ModelError, match=match):
        solve_plastic(arguments.pop("youngs_modulus"), **arguments)


def test_offset_yield() -> None:
    """The 0.2 % line cuts a bilinear curve on its plateau, and a curve without yield nowhere."""
    curve = np.array([[0.0, 0.0], [0.1, 100.0], [0.2, 200.0], [0.4, 220.0]])
    # line: 1000 (u - 0.02 * 2); curve: 200 + 100 (u - 0.2): they meet at u = 0.2444
    assert offset_yield(curve, 0.02, 2.0) == pytest.approx(200 + 100 * (220 / 900 - 0.2))
    assert np.isnan(offset_yield(curve[:3], 0.002, 2.0))
    assert np.isnan(offset_yield(curve, 0.5, 2.0))


def test_force_at() -> None:
    curve = np.array([[0.0, 0.0], [0.1, 100.0], [0.3, 140.0]])
    assert force_at(curve, 0.2) == pytest.approx(120.0)
    assert force_at(curve, 0.3) == 140.0
    with pytest.raises(ModelError, match=r"0 to 0\.3 mm"):
        force_at(curve, 0.31)
    for broken in (curve[:1], curve[:, :1], curve[::-1], np.full((3, 2), np.nan)):
        with pytest.raises(ModelError, match="expected"):
            force_at(broken, 0.1)
        with pytest.raises(ModelError, match="expected"):
            offset_yield(broken, 0.002, 10.0)
    with pytest.raises(ModelError, match="gauge"):
        offset_yield(curve, 0.002, 0.0)
