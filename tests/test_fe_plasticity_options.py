"""Elastic-plastic solve with anisotropic elasticity and with platens that tilt: closed forms, and the kernel's own other answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openbct.errors import ModelError
from openbct.fe import FREE, Orthotropy, RigidFace, reaction, solve, solve_plastic
from openbct.fe.hex8 import orthotropic_stiffness
from openbct.fe.orthotropic_points import DEVIATOR, joint_basis
from openbct.fe.orthotropic_state import return_point
from test_fe_plasticity import STRENGTH, YOUNG, press, random_bone

BONE = Orthotropy((0.4, 0.6, 1.0), (0.25, 0.12, 0.2), (0.21, 0.16, 0.13))
TRANSVERSE = Orthotropy((1 / 3, 1 / 3, 1.0), (0.381, 0.104, 0.104), (0.157, 0.157, 0.121))
PLAIN = Orthotropy((1.0, 1.0, 1.0), (0.3, 0.3, 0.3), (1 / 2.6,) * 3)


@pytest.mark.parametrize("bbar", [True, False])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_voxel_has_the_modulus_of_its_axis_and_one_strength(sign: float, bbar: bool) -> None:
    travels = [0.002, 0.004, 0.01, 0.02, 0.03]
    for along, factor in enumerate(BONE.youngs):
        turned = press((1, 1, 1), sign=sign)
        swap = [(2, 1, 0), (0, 2, 1), (0, 1, 2)][along]
        for key in ("fixed", "displacement"):
            turned[key] = np.transpose(turned[key], (*swap, 3))[..., list(swap)]
        turned["loaded"] = np.transpose(turned["loaded"], swap)
        turned["direction"] = tuple(np.array(turned["direction"])[list(swap)])
        solution = solve_plastic(
            np.full((1, 1, 1), YOUNG),
            yield_stress=STRENGTH,
            orthotropy=BONE,
            travels=travels,
            bbar=bbar,
            tolerance=1e-9,
            **turned,
        )
        expected = np.minimum(YOUNG * factor * solution.curve[:, 0], STRENGTH)
        np.testing.assert_allclose(solution.curve[:, 1], expected, rtol=1e-8)
        assert solution.plastic_strain[-1][0, 0, 0] == pytest.approx(0.03 - STRENGTH / (YOUNG * factor), rel=1e-7)


@pytest.mark.parametrize("bbar", [True, False])
def test_oedometer_of_a_transversely_isotropic_block(bbar: bool) -> None:
    """Walls all around: flow is along (1/2, 1/2, -1), its size follows from the stress difference that stays at the strength."""
    c = YOUNG * orthotropic_stiffness(TRANSVERSE)
    across, side, along = 0.5 * (c[0, 0] + c[0, 1]), c[0, 2], c[2, 2]
    solution = solve_plastic(
        np.full((2, 3, 4), YOUNG), yield_stress=STRENGTH, orthotropy=TRANSVERSE, travels=np.array([0.005, 0.01, 0.02, 0.05]) * 4, bbar=bbar,
        tolerance=1e-9, **press((2, 3, 4), confined=True),
    )  # fmt: skip
    strain = solution.curve[:, 0] / 4
    flow = np.maximum((along - side) * strain - STRENGTH, 0.0) / (along - 2 * side + across)
    np.testing.assert_allclose(solution.curve[:, 1] / 6, along * strain - flow * (along - side), rtol=1e-8)
    assert flow[1] == 0 and flow[2] > 0
    for stress, one in zip(solution.stress, strain[1:], strict=True):
        np.testing.assert_allclose(stress, min((along - side) * one, STRENGTH), rtol=1e-7)


def test_isotropic_constants_give_the_isotropic_answer() -> None:
    modulus, strength = random_bone(4, (4, 5, 6))
    given: dict[str, Any] = {"yield_stress": strength, "travels": [0.02, 0.06, 0.12], "tolerance": 1e-7, **press((4, 5, 6))}
    for bbar in (True, False):
        other = solve_plastic(modulus, bbar=bbar, **given)
        same = solve_plastic(modulus, bbar=bbar, orthotropy=PLAIN, **given)
        np.testing.assert_allclose(same.curve, other.curve, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(same.plastic_strain[-1], other.plastic_strain[-1], atol=1e-8)
        np.testing.assert_allclose(same.plastic_work, other.plastic_work, rtol=1e-6)
        np.testing.assert_allclose(same.elastic_energy, other.elastic_energy, rtol=1e-6)


def test_energy_balances_and_the_first_slope_is_elastic() -> None:
    modulus, strength = random_bone(5, (4, 5, 6))
    given = press((4, 5, 6))
    solution = solve_plastic(
        modulus, yield_stress=strength, orthotropy=BONE, travels=np.linspace(0.001, 0.12, 40), tolerance=1e-8, **given
    )
    spent = solution.elastic_energy[-1] + solution.plastic_work[-1]
    assert solution.external_work[-1] == pytest.approx(spent, rel=1e-6) and solution.plastic_work[-1] > 0.3 * spent
    elastic = solve(modulus, orthotropy=BONE, fixed=given["fixed"], displacement=given["displacement"], bbar=True, tolerance=1e-8)
    stiffness = float(reaction(elastic, given["loaded"]) @ np.array(given["direction"]))
    assert solution.stiffness == pytest.approx(stiffness, rel=1e-6)


def test_returned_stress_is_the_closest_point_of_the_surface() -> None:
    """On the surface, and the way back is along its normal in the metric of elasticity: ``D^-1 (trial - stress) = gamma P stress``."""
    basis, weights = joint_basis(BONE)
    stiffness = orthotropic_stiffness(BONE)
    np.testing.assert_allclose(basis.T @ basis, stiffness, atol=1e-12)
    np.testing.assert_allclose(basis @ DEVIATOR @ basis.T, np.diag(weights), atol=1e-12)
    rng = np.random.default_rng(6)
    limit = 2.0 / 3.0 * STRENGTH**2
    for size in (0.02, 0.1, 3.0):
        strain = size * rng.normal(size=6)
        z = YOUNG * basis @ strain
        x = return_point(z, weights, float(weights @ z**2), limit)
        stress = basis.T @ (z / (1.0 + x * weights))
        assert stress @ DEVIATOR @ stress == pytest.approx(limit, rel=1e-10)
        back = np.linalg.solve(YOUNG * stiffness, YOUNG * stiffness @ strain - stress)
        np.testing.assert_allclose(back, x / YOUNG * DEVIATOR @ stress, atol=1e-9 * size)


# Platens that tilt ----------------------------------------------------------------------------------------------------


def tilting(shape: tuple[int, int, int]) -> dict[str, Any]:
    """A block that stands on clamped feet under a smooth platen which moves down by its middle and turns as it likes."""
    nodes = tuple(n + 1 for n in shape)
    fixed = np.zeros((*nodes, 3), dtype=bool)
    fixed[:, :, 0] = True
    loaded = np.zeros(nodes, dtype=bool)
    loaded[:, :, -1] = True
    face = RigidFace(loaded, (0.0, 0.0, -1.0, FREE, FREE, 0.0), follows=(False, False, True))
    return {
        "fixed": fixed, "displacement": np.zeros((*nodes, 3)), "loaded": loaded, "direction": (0.0, 0.0, -1.0), "rigid": (face,),
    }  # fmt: skip


def two_bars(between: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A soft strong bar and a stiff weak one, one voxel wide, with void between."""
    modulus = np.zeros((between + 2, 1, 6))
    modulus[0], modulus[-1] = 1000.0, 2000.0
    strength = np.ones_like(modulus)
    strength[0], strength[-1] = 8.0, 4.0
    return modulus, strength


def test_a_tilting_platen_loads_two_bars_alike_until_the_weaker_one_yields() -> None:
    """Both carry half of the load, whatever their stiffness, so the limit is twice the weaker one; a guided platen would reach their sum."""
    modulus, strength = two_bars(30)
    solution = solve_plastic(
        modulus,
        yield_stress=strength,
        poisson_ratio=0.0,
        travels=[0.01, 0.02, 0.04, 0.08],
        tolerance=1e-8,
        **tilting(modulus.shape),
    )
    elastic = 2.0 / (0.5 * 6.0 * (1 / 1000.0 + 1 / 2000.0))  # the middle moves by the mean of the bars
    expected = np.minimum(elastic * solution.curve[:, 0], 2 * 4.0)
    assert solution.converged
    np.testing.assert_allclose(solution.curve[:, 1], expected, rtol=5e-3)  # the bars resist bending a little


def test_a_tilting_platen_leans_and_its_moments_do_no_work() -> None:
    """A moment on a platen that turns would make the works differ: the force through its middle alone is counted as external."""
    modulus, strength = random_bone(7, (5, 4, 6))
    modulus[:2] *= 0.4
    strength[:2] *= 0.4
    given = tilting(modulus.shape)
    solution = solve_plastic(
        modulus, yield_stress=strength, travels=np.linspace(0.002, 0.12, 30), keep_travels=[0.12], tolerance=1e-8, **given
    )
    assert solution.converged and solution.failed_fraction[-1] > 0.3
    spent = solution.elastic_energy[-1] + solution.plastic_work[-1]
    assert solution.external_work[-1] == pytest.approx(spent, rel=1e-6)
    top = solution.displacement[-1][:, :, -1, 2]
    here = np.argwhere(np.ones_like(top))
    fitted, residual, *_ = np.linalg.lstsq(np.column_stack([here, np.ones(len(here))]), top.ravel(), rcond=None)
    assert float(residual.sum()) < 1e-20 and abs(fitted[0]) > 1e-3  # the nodes stay in one plane, which leans
    assert top.mean() == pytest.approx(-0.12, rel=1e-9)


def test_an_elastic_body_tilts_as_in_the_linear_solve() -> None:
    modulus, _ = random_bone(9, (4, 5, 6))
    modulus[:2] *= 0.4
    given = tilting(modulus.shape)
    solution = solve_plastic(modulus, yield_stress=np.inf, travels=[0.1], tolerance=1e-8, **given)
    linear = solve(
        modulus, fixed=given["fixed"], displacement=given["displacement"], rigid=given["rigid"], bbar=True, tolerance=1e-9
    )
    assert solution.stiffness == pytest.approx(-float(reaction(linear, given["loaded"])[2]), rel=1e-6)
    np.testing.assert_allclose(solution.displacement[-1], 0.1 * linear.displacement, atol=1e-7)


def test_a_symmetric_body_does_not_tilt() -> None:
    quarter, strength = random_bone(3, (4, 4, 5))

    def mirrored(values: NDArray[np.float64]) -> NDArray[np.float64]:
        half = np.concatenate([values, values[::-1]])
        return np.concatenate([half, half[:, ::-1]], axis=1)

    modulus, limits = mirrored(quarter), mirrored(strength)
    given = tilting(modulus.shape)
    free = solve_plastic(modulus, yield_stress=limits, travels=[0.02, 0.08], tolerance=1e-7, **given)
    fixed, displacement = given["fixed"].copy(), given["displacement"].copy()
    fixed[:, :, -1, 2], displacement[:, :, -1, 2] = True, -1.0
    guided = solve_plastic(
        modulus, yield_stress=limits, travels=[0.02, 0.08], tolerance=1e-7,
        **{**given, "rigid": (), "fixed": fixed, "displacement": displacement},
    )  # fmt: skip
    np.testing.assert_allclose(free.curve, guided.curve, rtol=1e-6)


def test_anisotropic_elements_under_a_tilting_platen() -> None:
    modulus, strength = two_bars(30)
    solution = solve_plastic(
        modulus, yield_stress=strength, orthotropy=Orthotropy((0.5, 0.5, 1.0), (0.0, 0.0, 0.0), (0.2, 0.2, 0.2)), travels=[0.01, 0.02],
        tolerance=1e-8, **tilting(modulus.shape),
    )  # fmt: skip
    np.testing.assert_allclose(solution.curve[(1, -1), 1], [2.0 / (0.5 * 6.0 * (1 / 1000.0 + 1 / 2000.0)) * 0.01, 8.0], rtol=5e-3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"orthotropy": BONE, "criterion": "paraboloid"}, "orthotropy with criterion 'paraboloid'"),
        ({"orthotropy": BONE, "large_strain": True}, "large_strain with orthotropy"),
        ({"large_strain": True}, "large_strain with rigid faces"),
        ({"orthotropy": Orthotropy((1.0, -1.0, 1.0), (0.3, 0.3, 0.3), (0.4, 0.4, 0.4))}, "six positive finite numbers"),
        ({"rigid": "loaded"}, "carries a force"),
    ],
)
def test_what_does_not_go_together_is_refused(change: dict[str, Any], match: str) -> None:
    given = tilting((2, 2, 2))
    if change.get("rigid") == "loaded":
        face = given["rigid"][0]
        change = {"rigid": (RigidFace(face.nodes, face.motion, face.follows, load=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)),)}
    with pytest.raises(ModelError, match=match):
        solve_plastic(np.full((2, 2, 2), YOUNG), yield_stress=STRENGTH, travels=[0.01], **{**given, **change})
