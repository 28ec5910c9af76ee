"""Strain of the bone itself under soft pads: a column in series, closed form, and the same strength as under stiff ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.endplate_strain import bone_ends, shortening
from openbct.errors import ModelError
from openbct.records import Boundary, FEModel, Step
from openbct.strength import VERTEBRA_TEST, measure_strength

E, S, SOFT, LAYERS = 1000.0, 8.0, 20.0, 10
TEST = replace(VERTEBRA_TEST, plausible=(), linear_coefficient=None, between_ends=True)


def padded(pad: float, *, upside_down: bool = False) -> FEModel:
    """Ten layers of bone between a layer of pad on either side; no lateral strain, so that every force has a closed form."""
    shape = (3, 3, LAYERS + 2)
    nodes = tuple(n + 1 for n in shape)
    modulus, stress = np.full(shape, E), np.full(shape, S)
    modulus[:, :, (0, -1)], stress[:, :, (0, -1)] = pad, np.inf
    moved = 0 if upside_down else -1
    fixed = np.zeros((*nodes, 3), dtype=bool)
    fixed[:, :, (0, -1), 2] = True
    fixed[0, 0, 0] = True
    fixed[-1, 0, 0, 1] = True
    displacement = np.zeros((*nodes, 3))
    sign = 1.0 if upside_down else -1.0
    displacement[:, :, moved, 2] = sign
    loaded = np.zeros(nodes, dtype=bool)
    loaded[:, :, moved] = True
    boundary = Boundary(fixed, displacement, loaded, np.array([0.0, 0.0, sign]), "platens")
    mask = np.zeros(shape, dtype=bool)
    mask[:, :, 1:-1] = True
    return FEModel("L1", modulus, stress, 1.0, 0.0, mask, 1.0, float(LAYERS), boundary, np.eye(4), Step("model", "A column."))


@pytest.mark.parametrize("upside_down", [False, True])
def test_shortening_is_that_of_the_bone_in_series(upside_down: bool) -> None:
    from openbct import fe

    model = padded(SOFT, upside_down=upside_down)
    solution = fe.solve(
        model.youngs_modulus, poisson_ratio=0.0, fixed=model.boundary.fixed, displacement=model.boundary.displacement
    )
    bone = LAYERS / E
    assert shortening(model, solution.displacement, bone_ends(model)) == pytest.approx(bone / (bone + 2 / SOFT), rel=1e-5)


def test_soft_pads_leave_curve_and_strength_of_the_bone() -> None:
    result = measure_strength(padded(SOFT), TEST)
    stiff = measure_strength(padded(1e5), TEST)
    assert result.stiffness == pytest.approx(9.0 * E / LAYERS, rel=1e-4)
    assert result.stiffness == pytest.approx(stiff.stiffness, rel=1e-4)
    assert result.strength == pytest.approx(9.0 * S, rel=2e-3)
    assert result.quantities["reached_strain"] == pytest.approx(0.03, rel=1e-6)
    assert result.quantities["yield_force_n"] == pytest.approx(9.0 * S, rel=2e-3)
    # 1.9 % of strain, 0.8 % of it elastic
    assert result.failed[1, 1, 1:-1].mean() == pytest.approx(0.011, rel=0.03)
    assert result.quantities["energy_imbalance"] < 0.01


def test_platens_alone_would_not_have_reached_failure() -> None:
    with pytest.raises(ModelError, match="yielded"):
        measure_strength(padded(SOFT), replace(TEST, between_ends=False))


def test_needs_a_pad_at_each_end() -> None:
    model = padded(SOFT)
    mask = model.mask.copy()
    mask[:, :, -1] = True
    with pytest.raises(ModelError, match="at only one side"):
        measure_strength(replace(model, mask=mask), TEST)
