"""Return mappings at one point: surface, closest point, consistent tangent, objectivity, closed forms, hostile input."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from numpy.typing import NDArray

from openbct.errors import ModelError
from openbct.fe.yield_criteria import Criterion, MohrCoulomb, Paraboloid, VonMises, point_stress, read_criterion

YOUNG, NU, STRENGTH = 1000.0, 0.3, 8.0
CRITERIA: list[Criterion] = [VonMises(), Paraboloid(1.0), Paraboloid(0.6), MohrCoulomb(1.0), MohrCoulomb(0.6), MohrCoulomb(0.15)]
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def stress_of(criterion: Criterion, strain: NDArray[np.float64]) -> NDArray[np.float64]:
    return point_stress(criterion, strain, youngs_modulus=YOUNG, poisson_ratio=NU, yield_stress=STRENGTH)[0]


def tangent_of(criterion: Criterion, strain: NDArray[np.float64]) -> NDArray[np.float64]:
    return point_stress(criterion, strain, youngs_modulus=YOUNG, poisson_ratio=NU, yield_stress=STRENGTH)[1]


def as_tensor(voigt: NDArray[np.float64], shear: float) -> NDArray[np.float64]:
    out = np.zeros((3, 3))
    for value, (a, b) in zip(voigt, VOIGT):
        out[a, b] = out[b, a] = value if a == b else shear * value
    return out


def as_voigt(tensor: NDArray[np.float64], shear: float) -> NDArray[np.float64]:
    return np.array([tensor[a, b] if a == b else shear * tensor[a, b] for a, b in VOIGT])


def yield_value(criterion: Criterion, stress: NDArray[np.float64]) -> float:
    """Yield function over the strength, written independently of the kernel."""
    sigma = as_tensor(stress, 1.0)
    ratio = criterion.tension_ratio
    if isinstance(criterion, MohrCoulomb):
        principal = np.linalg.eigvalsh(sigma)
        return float(principal[2] / ratio - principal[0] - STRENGTH) / STRENGTH
    deviator = sigma - np.trace(sigma) / 3 * np.eye(3)
    q = np.sqrt(1.5 * np.sum(deviator**2))
    if isinstance(criterion, VonMises):
        return float(q - STRENGTH) / STRENGTH
    return float(q**2 + STRENGTH * (1 - ratio) * np.trace(sigma) - ratio * STRENGTH**2) / STRENGTH**2


def strains(seed: int, count: int) -> list[NDArray[np.float64]]:
    """Random trial strains, far and near, some nearly hydrostatic, some with equal principal strains, some aligned."""
    rng = np.random.default_rng(seed)
    out = []
    for n in range(count):
        strain = rng.normal(size=6) * 10 ** rng.uniform(-2.3, -0.5)
        if n % 4 == 1:
            strain[:3] += rng.normal() * 0.1
        if n % 4 == 2:
            axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
            strain = as_voigt(axes @ np.diag([0.03, 0.03, -0.02]) @ axes.T * rng.choice([-1, 1]), 2.0)
        if n % 4 == 3:
            strain[3:] = 0.0
        out.append(strain)
    return out


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_returned_stress_lies_on_the_surface(criterion: Criterion) -> None:
    """No point outside by more than 1e-9 of the strength (fe-methods 5.5 asks 1e-6); elastic points untouched."""
    elastic = np.linalg.inv(tangent_of(VonMises(), np.zeros(6)))
    for strain in strains(1, 200):
        trial = np.linalg.solve(elastic, strain)
        stress = stress_of(criterion, strain)
        value = yield_value(criterion, stress)
        if yield_value(criterion, trial) > 0:
            assert abs(value) < 1e-9
        else:
            np.testing.assert_allclose(stress, trial, atol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_returned_stress_is_the_closest_point(criterion: Criterion) -> None:
    """Associated flow is the projection in the metric of elasticity: no admissible stress is nearer (checked by a general optimiser)."""
    compliance = np.linalg.inv(tangent_of(VonMises(), np.zeros(6)))
    for strain in strains(2, 12):
        trial = np.linalg.solve(compliance, strain)
        if yield_value(criterion, trial) <= 0:
            continue
        returned = stress_of(criterion, strain)

        def distance(x: NDArray[np.float64], trial: NDArray[np.float64] = trial) -> float:
            return float((x - trial) @ compliance @ (x - trial))

        best = distance(returned)
        found = scipy.optimize.minimize(
            distance, 0.9 * returned, constraints={"type": "ineq", "fun": lambda x: -yield_value(criterion, x)}, method="SLSQP",
            options={"maxiter": 300, "ftol": 1e-12},
        )  # fmt: skip
        # Rounding of the optimiser may leave it a little outside the surface.
        assert yield_value(criterion, found.x) > 1e-7 or found.fun >= best * (1 - 1e-5)


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_tangent_is_the_derivative(criterion: Criterion) -> None:
    """V16 at a point: central differences, relative 1e-6; symmetric, because flow is associated."""
    step = 1e-7
    for strain in strains(3, 120):
        tangent = tangent_of(criterion, strain)
        difference = np.zeros((6, 6))
        for column in range(6):
            shift = np.zeros(6)
            shift[column] = step
            difference[:, column] = (stress_of(criterion, strain + shift) - stress_of(criterion, strain - shift)) / (2 * step)
        np.testing.assert_allclose(tangent, tangent.T, atol=1e-9 * YOUNG)
        if len({round(float(v), 9) for v in np.linalg.eigvalsh(as_tensor(strain, 0.5))}) == 3:
            np.testing.assert_allclose(tangent, difference, atol=2e-6 * YOUNG)
        assert np.linalg.eigvalsh(tangent).min() > -1e-9 * YOUNG


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_objective_under_rotation(criterion: Criterion) -> None:
    rng = np.random.default_rng(4)
    for strain in strains(5, 60):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        turned = as_voigt(turn @ as_tensor(strain, 0.5) @ turn.T, 2.0)
        expected = turn @ as_tensor(stress_of(criterion, strain), 1.0) @ turn.T
        np.testing.assert_allclose(as_tensor(stress_of(criterion, turned), 1.0), expected, atol=1e-9 * STRENGTH)


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_uniaxial_strengths(criterion: Criterion, sign: float) -> None:
    """V7 at a point: the uniaxial stress at yield is the strength, scaled by the ratio in tension."""
    strength = STRENGTH * (criterion.tension_ratio if sign > 0 else 1.0)
    inside = np.array([sign * 0.999999 * strength / YOUNG, *([-sign * 0.999999 * NU * strength / YOUNG] * 2), 0, 0, 0])
    np.testing.assert_allclose(stress_of(criterion, inside)[0], sign * 0.999999 * strength, rtol=1e-9)
    outside = inside * 1.001
    assert abs(yield_value(criterion, stress_of(criterion, outside))) < 1e-12
    assert abs(stress_of(criterion, outside)[0] / stress_of(criterion, inside)[0] - 1.001) > 1e-6


def test_mohr_coulomb_apex_and_hydrostatic_tension() -> None:
    """Pure tension in all directions ends at the apex sc / (k - 1), k = sc / st; without friction there is none."""
    strain = np.array([0.1, 0.1, 0.1, 0, 0, 0])
    stress, tangent = point_stress(MohrCoulomb(0.5), strain, youngs_modulus=YOUNG, poisson_ratio=NU, yield_stress=STRENGTH)
    np.testing.assert_allclose(stress, [STRENGTH] * 3 + [0] * 3, atol=1e-9)
    np.testing.assert_allclose(tangent, 0.0, atol=1e-9)
    tresca = stress_of(MohrCoulomb(1.0), strain)
    np.testing.assert_allclose(tresca[:3], YOUNG / (1 - 2 * NU) * 0.1)


def test_paraboloid_equibiaxial_compression() -> None:
    """Closed form (sc - st) + sqrt((sc - st)^2 + sc st): 1.175 sc at st / sc = 0.718 (fe-methods 5.2)."""
    ratio = 0.718
    limit = STRENGTH * ((1 - ratio) + np.sqrt((1 - ratio) ** 2 + ratio))
    assert limit / STRENGTH == pytest.approx(1.175, abs=1e-3)
    stress = np.array([-limit, -limit, 0, 0, 0, 0])
    assert yield_value(Paraboloid(ratio), stress) == pytest.approx(0.0, abs=1e-12)
    strain = np.linalg.solve(tangent_of(VonMises(), np.zeros(6)), stress)
    np.testing.assert_allclose(stress_of(Paraboloid(ratio), 0.999999 * strain), 0.999999 * stress, atol=1e-9)
    assert abs(yield_value(Paraboloid(ratio), stress_of(Paraboloid(ratio), 1.01 * strain))) < 1e-12


@pytest.mark.parametrize(
    ("criterion", "ratio"),
    [
        ("tresca", 1.0),
        ("von_mises", 0.8),
        ("paraboloid", 0.0),
        ("paraboloid", 1.2),
        ("mohr_coulomb", float("nan")),
        (MohrCoulomb(-1.0), 1.0),
    ],
)
def test_bad_criteria(criterion: str | Criterion, ratio: float) -> None:
    with pytest.raises(ModelError, match="expected"):
        read_criterion(criterion, ratio)


def test_a_value_is_passed_through() -> None:
    assert read_criterion(Paraboloid(0.7), 1.0) == Paraboloid(0.7)
    assert read_criterion("mohr_coulomb", 0.7) == MohrCoulomb(0.7)
