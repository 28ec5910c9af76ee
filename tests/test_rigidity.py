"""Minimum axial rigidity: bars of known rigidity, and a strength that contradicts it."""

from __future__ import annotations

import numpy as np
import pytest

from openbct.records import Boundary, FEModel, Step, StrengthResult
from openbct.rigidity import minimum_axial_rigidity, with_rigidity


def bar(moduli: np.ndarray, mask: np.ndarray, spacing: float = 2.0) -> FEModel:
    nodes = tuple(n + 1 for n in mask.shape)
    boundary = Boundary(
        np.zeros((*nodes, 3), dtype=bool), np.zeros((*nodes, 3)), np.zeros(nodes, dtype=bool), np.array([0.0, 0.0, 1.0]), ""
    )
    stress = np.full(mask.shape, np.inf)
    return FEModel("L1", moduli, stress, 1.0, 0.3, mask, spacing, 10.0, boundary, np.eye(4), Step("model", "A bar."))


def result(newton: float) -> StrengthResult:
    nodes = np.zeros((2, 2, 2, 3))
    return StrengthResult(
        "L1", newton, 1e4, np.zeros((2, 2)), "", "", {}, np.zeros((1, 1, 1)), nodes, {}, 0.1, Step("strength", "Tested.")
    )


def example() -> FEModel:
    """Ten layers of 5 x 6 voxels of 2 mm at 300 MPa; the fifth at 100 MPa; a torn first layer; caps of 2500 MPa that are no bone."""
    mask = np.ones((5, 6, 10), dtype=bool)
    moduli = np.full(mask.shape, 300.0)
    moduli[:, :, 4] = 100.0
    mask[2:, :, 0] = False
    moduli[:, :, 0] = np.where(mask[:, :, 0], 300.0, 2500.0)
    return bar(moduli, mask)


def test_the_weakest_layer_decides_and_torn_ends_do_not() -> None:
    assert minimum_axial_rigidity(example()) == pytest.approx(100.0 * 30 * 4.0)


def test_a_model_without_bone_has_none() -> None:
    empty = bar(np.zeros((3, 3, 3)), np.zeros((3, 3, 3), dtype=bool))
    assert np.isnan(minimum_axial_rigidity(empty)) and with_rigidity(result(100.0), empty).quantities == {}


@pytest.mark.parametrize(("times", "doubted"), [(0.49, True), (0.51, False), (1.0, False), (1.99, False), (2.01, True)])
def test_a_strength_far_from_it_is_doubted(times: float, doubted: bool) -> None:
    force = 0.0068 * 12_000.0
    found = with_rigidity(result(times * force), example())
    assert found.quantities["minimum_axial_rigidity_n"] == pytest.approx(12_000.0)
    assert found.quantities["rigidity_estimate_n"] == pytest.approx(force)
    assert bool(found.step.cautions) == doubted
