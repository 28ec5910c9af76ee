"""The linear tests on bodies of known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.errors import ModelError
from openbct.linear import CRAWFORD_2003, LinearTest, averaged, free_surface, measure_linear
from openbct.materials import TRANSVERSE
from openbct.records import Boundary, FEModel, Step
from openbct.strength import VERTEBRA_TEST, measure_strength

E, N = 1000.0, 4
AREA, LENGTH = float(N * N), 2.0 * N
HEIGHT = LinearTest("height", "0.0068 times stiffness times height", CRAWFORD_2003)


def column(modulus: np.ndarray | None = None, *, tilts: bool = False) -> FEModel:
    """A block between frictionless platens: F = E A strain."""
    shape = (N, N, 2 * N) if modulus is None else modulus.shape
    nodes = tuple(n + 1 for n in shape)
    fixed = np.zeros((*nodes, 3), dtype=bool)
    fixed[:, :, (0, -1), 2] = True
    fixed[0, 0, 0] = True
    fixed[-1, 0, 0, 1] = True
    displacement = np.zeros((*nodes, 3))
    displacement[:, :, -1, 2] = -1.0
    loaded = np.zeros(nodes, dtype=bool)
    loaded[:, :, -1] = True
    boundary = Boundary(fixed, displacement, loaded, np.array([0.0, 0.0, -1.0]), "frictionless platens", tilts=tilts)
    moduli = np.full(shape, E) if modulus is None else modulus
    return FEModel(
        "L1",
        moduli,
        np.full(shape, 8.0),
        1.0,
        0.3,
        moduli > 0,
        1.0,
        float(shape[2]),
        boundary,
        np.eye(4),
        Step("model", "A block."),
    )


def test_height_rule_is_a_strain_times_rigidity() -> None:
    result = measure_linear(column(), HEIGHT)
    assert result.stiffness == pytest.approx(E * AREA / LENGTH, rel=1e-5)
    assert result.strength == pytest.approx(0.0068 * E * AREA, rel=1e-5)
    np.testing.assert_allclose(result.curve, [[0, 0], [0.0068 * LENGTH, result.strength]], rtol=1e-5)
    assert result.quantities["strength_over_rigidity"] == pytest.approx(1.0, rel=1e-5)
    assert result.displacement[..., 2].min() == pytest.approx(-0.0068 * LENGTH, rel=1e-5)
    assert not result.failed.any() and result.mesh["n_elements"] == 2 * N**3
    assert result.stress is not None
    np.testing.assert_allclose(result.stress, result.strength / AREA, rtol=1e-3)


def test_critical_volume_in_uniform_strain_is_the_critical_strain() -> None:
    test = replace(HEIGHT, rule="critical_volume", critical_strain=0.009, critical_share=0.1)
    assert measure_linear(column(), test).strength == pytest.approx(0.009 * E * AREA, rel=1e-4)


def test_principal_strain_tells_tension_from_compression() -> None:
    """Pressed, a block reaches its limit in compression unless that in tension is below Poisson's share of it."""
    test = replace(HEIGHT, rule="principal_strain", averaging=0.0)
    model = column(np.full((4, 4, 24), E))
    pressed = measure_linear(model, test)
    assert pressed.strength == pytest.approx(0.0104 * E * AREA, rel=1e-4)
    assert pressed.quantities["compression_share"] == pytest.approx(1.0)
    assert pressed.quantities["tension_share"] == pytest.approx(0.3 * 0.0104 / 0.0073, rel=1e-4)
    brittle = measure_linear(model, replace(test, tension_strain=0.001))
    assert brittle.strength == pytest.approx(0.001 / 0.3 * E * AREA, rel=1e-4)
    assert brittle.quantities["tension_share"] == pytest.approx(1.0)


def test_surface_under_test_is_far_from_supports() -> None:
    surface = free_surface(column(np.full((4, 4, 24), E)))
    assert (
        not surface[:, :, :6].any() and not surface[:, :, -6:].any() and surface[0, :, 12].all() and not surface[1:3, 1:3].any()
    )
    with pytest.raises(ModelError, match="no surface"):
        measure_linear(column(), replace(HEIGHT, rule="principal_strain"))


def test_averaging_keeps_to_the_bone() -> None:
    mask = np.zeros((7, 7, 7), dtype=bool)
    mask[:4] = True
    strain = np.where(mask[..., None], 2.0, 99.0) * np.ones(3)
    mean = averaged(strain, mask, 3.0)
    np.testing.assert_allclose(mean[mask], 2.0)
    assert not mean[~mask].any()
    spike = np.zeros((7, 7, 7, 1))
    spike[2, 3, 3] = 7.0
    assert averaged(spike, np.ones((7, 7, 7), dtype=bool), 2.0)[2, 3, 3, 0] == pytest.approx(1.0)  # six neighbours and itself
    assert averaged(spike, mask, 1.0) is spike


def test_a_tilting_platen_balances_two_unequal_columns() -> None:
    modulus = np.zeros((12, 4, 8))
    modulus[:4], modulus[8:] = 1000.0, 3000.0
    soft, stiff = 1000.0 * 16 / 8, 3000.0 * 16 / 8
    held = measure_linear(column(modulus), HEIGHT).stiffness
    tilting = measure_linear(column(modulus, tilts=True), HEIGHT).stiffness
    assert held == pytest.approx(soft + stiff, rel=1e-4)
    hinged = 4 * soft * stiff / (soft + stiff)
    assert hinged < tilting < hinged + 0.2 * (held - hinged)  # the columns resist bending a little
    assert measure_linear(column(tilts=True), HEIGHT).stiffness == pytest.approx(E * AREA / LENGTH, rel=1e-5)


def test_transverse_isotropy_keeps_the_modulus_along_the_load() -> None:
    model = replace(column(), symmetry=TRANSVERSE)
    result = measure_linear(model, HEIGHT)
    assert result.stiffness == pytest.approx(E * AREA / LENGTH, rel=1e-5)
    widening = result.displacement[-1, :, :, 0] / result.displacement[..., 2].min()
    assert np.abs(widening).max() == pytest.approx(0.104 * 3 * N / LENGTH, rel=1e-3)  # nu_zx = nu_xz Ez / Ex


def test_a_test_to_failure_has_both() -> None:
    """Uniaxial: the strength is yield stress times area, the stiffness that of the linear test; a block does not tilt."""
    test = replace(VERTEBRA_TEST, plausible=())
    for model in (replace(column(), symmetry=TRANSVERSE), column(tilts=True), replace(column(tilts=True), symmetry=TRANSVERSE)):
        result = measure_strength(model, test)
        assert result.strength == pytest.approx(8.0 * AREA, rel=1e-4)
        assert result.stiffness == pytest.approx(measure_linear(model, HEIGHT).stiffness, rel=1e-4)


def test_a_tilting_platen_weakens_unequal_columns() -> None:
    modulus = np.zeros((12, 4, 8))
    modulus[:4], modulus[8:] = 1000.0, 3000.0
    strengths = []
    for tilts in (False, True):
        model = column(modulus, tilts=tilts)
        model = replace(model, yield_stress=np.where(modulus > 2000.0, 24.0, 8.0))
        strengths.append(measure_strength(model, replace(VERTEBRA_TEST, plausible=())).strength)
    assert strengths[0] == pytest.approx((8.0 + 24.0) * AREA, rel=1e-3)
    assert 2 * 8.0 * AREA < strengths[1] < 0.8 * strengths[0]  # twice the weaker column, and what the columns' bending adds


def test_a_load_that_does_no_work_and_an_impossible_bone_are_errors() -> None:
    still = column()
    still = replace(still, boundary=replace(still.boundary, displacement=0.0 * still.boundary.displacement))
    with pytest.raises(ModelError, match="no work"):
        measure_linear(still, HEIGHT)
    with pytest.raises(ModelError, match="no such bone is known"):
        measure_linear(column(np.full((N, N, 2 * N), 0.1 * E)), replace(HEIGHT, plausible=VERTEBRA_TEST.plausible))
