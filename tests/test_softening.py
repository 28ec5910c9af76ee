"""Softening voxels: closed forms of one element and of a bar, the crack band, and the law as printed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct import fe
from openbct.errors import ModelError
from openbct.materials import MATERIALS
from openbct.records import Boundary, FEModel, PostYield, Step
from openbct.softening import SofteningTest, measure_softening, stress_at

E, S, RESIDUAL = 1000.0, 8.0, 3.0
TEST = SofteningTest("greatest force", travel=0.6, increment=0.005)


def bar(n: int, edge: float, *, plateau: float = 0.02, slope: float = -200.0, weak: float = 1.0) -> FEModel:
    """A bar of ``n`` voxels between frictionless platens; the lowest voxel yields at ``weak`` times the stress of the others."""
    shape = (1, 1, n)
    nodes = tuple(m + 1 for m in shape)
    fixed = np.zeros((*nodes, 3), dtype=bool)
    fixed[:, :, (0, -1), 2] = True
    fixed[0, 0, 0] = True
    fixed[-1, 0, 0, 1] = True
    displacement = np.zeros((*nodes, 3))
    displacement[:, :, -1, 2] = -1.0
    loaded = np.zeros(nodes, dtype=bool)
    loaded[:, :, -1] = True
    strength = np.full(shape, S)
    strength[..., 0] *= weak
    after = PostYield(strength / E + plateau, np.full(shape, slope), np.full(shape, RESIDUAL))
    boundary = Boundary(fixed, displacement, loaded, np.array([0.0, 0.0, -1.0]), "frictionless platens")
    return FEModel(
        "femur_left", np.full(shape, E), strength, 1.0, 0.0, np.full(shape, True), edge, n * edge, boundary, np.eye(4),
        Step("model", "A bar."), post_yield=after,
    )  # fmt: skip


def test_curve_is_elastic_flat_falling_and_flat() -> None:
    after = PostYield(np.array(0.028), np.array(-200.0), np.array(RESIDUAL))
    strains = np.array([0.0, 0.004, 0.008, 0.02, 0.028, 0.038, 0.053, 0.1])
    np.testing.assert_allclose(stress_at(strains, np.array(E), np.array(S), after), [0, 4, 8, 8, 8, 6, 3, 3])


def test_one_element_follows_its_uniaxial_curve() -> None:
    model = bar(1, 2.0)
    result = measure_softening(model, replace(TEST, travel=0.2, increment=0.004))
    strain, force = result.curve[:, 0] / 2.0, result.curve[:, 1]
    exact = 4.0 * stress_at(strain, np.array(E), np.array(S), PostYield(np.array(0.028), np.array(-200.0), np.array(RESIDUAL)))
    np.testing.assert_allclose(force, exact, atol=1e-3 * 4.0 * S)
    assert result.strength == pytest.approx(4.0 * S, rel=1e-3)
    assert result.stiffness == pytest.approx(E * 4.0 / 2.0, rel=1e-4)


def test_weak_element_fails_alone_and_unloads_the_rest() -> None:
    result = measure_softening(bar(3, 1.0, weak=0.9), replace(TEST, travel=0.15, increment=0.004))
    assert result.strength == pytest.approx(0.9 * S, rel=0.01)
    assert result.failed[0, 0, 0] > 0 and not result.failed[0, 0, 1:].any()
    np.testing.assert_allclose(result.stress, result.strength / 1.0**2, rtol=0.01)
    # broken off once the force lies 15 % below its greatest
    assert 0.75 * result.strength < result.curve[-1, 1] < 0.85 * result.strength


def test_energy_of_a_crack_does_not_depend_on_the_voxel() -> None:
    """The published slope: a core of 15 mm softens alike whether one voxel of 3 mm or of 1.5 mm carries the crack."""
    law = MATERIALS["keyak2005"]
    assert law.post_yield is not None
    rho = np.array([0.3])
    modulus, strength = float(law.youngs_modulus(rho)[0]), float(law.yield_stress(rho)[0])  # type: ignore[misc]
    for edge in (1.0, 1.5, 3.0):
        after = law.post_yield(rho, edge)
        # the core's strain per stress beyond the plateau: the voxel's share falls, the others unload elastically
        core = (edge / 15.0) / float(after.slope[0]) + (1 - edge / 15.0) / modulus
        assert 1 / core == pytest.approx(-2080.0 * 0.3**1.45, rel=1e-12)
        assert (float(after.plateau[0]) - strength / modulus) * edge == pytest.approx((0.00189 + 0.0241 * 0.3) * 15.0, rel=1e-12)
    dense = law.post_yield(np.array([1.0]), 3.0)
    assert float(dense.plateau[0]) == pytest.approx(102.0 / 14900.0 + 0.0084 * 5.0 / 3.0)
    assert float(dense.slope[0]) == pytest.approx(3.0 * 14900.0 * -1000.0 / (5.0 * 14900.0 + 2.0 * 1000.0))
    assert float(dense.residual[0]) == pytest.approx(43.1)


def test_says_where_no_maximum_was_reached() -> None:
    with pytest.raises(ModelError, match=r"still rises at 0\.02 mm"):
        measure_softening(bar(4, 1.0), replace(TEST, travel=0.02))


def test_refuses_a_law_without_it() -> None:
    with pytest.raises(ModelError, match="no law of what follows yielding"):
        measure_softening(replace(bar(1, 1.0), post_yield=None), TEST)


def test_von_mises_of_simple_stresses() -> None:
    np.testing.assert_allclose(
        fe.von_mises(np.array([[5.0, 0, 0, 0, 0, 0], [0, 0, 0, 2, 0, 0], [3, 3, 3, 0, 0, 0]])), [5, 2 * 3**0.5, 0]
    )
