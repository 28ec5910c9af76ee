"""The virtual test on bodies of known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.errors import ModelError, SolveError
from openbct.records import Boundary, FEModel, Step
from openbct.strength import FEMUR_TEST, VERTEBRA_TEST, Bounds, MechanicalTest, kept_stress, least_rigidity, measure_strength

E, Y, N = 1000.0, 8.0, 4
# A block of a few millimetres has no vertebra's stiffness: the bounds have tests of their own.
BARE_TEST = replace(VERTEBRA_TEST, plausible=())


def column(yield_stress: float = Y, moved: bool = True) -> FEModel:
    """A uniform block between frictionless platens: F = E A strain up to Y A."""
    shape, nodes = (N, N, 2 * N), (N + 1, N + 1, 2 * N + 1)
    fixed = np.zeros((*nodes, 3), dtype=bool)
    fixed[:, :, (0, -1), 2] = True
    fixed[0, 0, 0] = True
    fixed[-1, 0, 0, 1] = True
    displacement = np.zeros((*nodes, 3))
    displacement[:, :, -1, 2] = -1.0 if moved else 0.0
    loaded = np.zeros(nodes, dtype=bool)
    loaded[:, :, -1] = True
    boundary = Boundary(fixed, displacement, loaded, np.array([0.0, 0.0, -1.0]), "frictionless platens")
    return FEModel(
        "L1", np.full(shape, E), np.full(shape, yield_stress), 1.0, 0.3, np.ones(shape, dtype=bool), 1.0, 2.0 * N, boundary,
        np.eye(4), Step("model", "A block."),
    )  # fmt: skip


def test_a_block_yields_at_its_yield_stress_times_its_area() -> None:
    result = measure_strength(column(), BARE_TEST)
    assert result.strength == pytest.approx(Y * N * N, rel=1e-4)
    assert result.stiffness == pytest.approx(E * N * N / (2 * N), rel=1e-4)
    assert result.quantities["yield_force_n"] == pytest.approx(Y * N * N, rel=1e-3)
    assert result.quantities["failed_fraction"] == pytest.approx(1.0)
    assert result.curve[0].tolist() == [0.0, 0.0]
    assert result.mesh["n_elements"] == 2 * N**3 and result.mesh["n_nodes"] == (N + 1) ** 2 * (2 * N + 1)
    np.testing.assert_allclose(result.failed, 0.019 - Y / E, rtol=1e-2)
    assert result.stress is not None and result.stress.dtype == np.float16
    np.testing.assert_allclose(result.stress, Y, rtol=1e-3, err_msg="the stress of a block is force over area")
    kept = kept_stress(column(), np.full(result.stress.shape, 1e6))
    assert np.all(kept == np.finfo(np.float16).max), "a stress that half precision cannot hold is no infinity"


def test_strain_outputs_scale_with_the_gauge_length() -> None:
    """0.2 % is a strain, not 0.2 mm: twice the gauge length, twice the travel at yield."""
    long = replace(column(), gauge_length=4.0 * N)
    a, b = measure_strength(column(), BARE_TEST), measure_strength(long, BARE_TEST)
    assert b.curve[-1, 0] == pytest.approx(2 * a.curve[-1, 0])
    assert b.stiffness == pytest.approx(a.stiffness, rel=1e-4)


def test_a_load_that_does_no_work_is_an_error() -> None:
    with pytest.raises(ModelError):
        measure_strength(column(moved=False), BARE_TEST)


def test_no_failure_no_number() -> None:
    with pytest.raises(ModelError, match="yielded"):
        measure_strength(column(yield_stress=200.0), BARE_TEST)


def test_no_plateau_no_number() -> None:
    """Half of the column yields early, half never: the force keeps rising."""
    model = column()
    yield_stress = model.yield_stress.copy()
    yield_stress[: N // 2] = 200.0
    with pytest.raises(ModelError, match="still rises"):
        measure_strength(replace(model, yield_stress=yield_stress), BARE_TEST)


@pytest.mark.parametrize(("weak", "share"), [((5, 6), 1.0), ((2, 5, 6), 2 / 3), ((1, 2, 3), 0.0)])
def test_bone_that_fails_at_its_pads_alone_is_told(weak: tuple[int, ...], share: float) -> None:
    """A column in series yields in its weak layers alone; the uppermost layer is a pad."""
    model = column()
    strength, mask = np.full(model.mask.shape, 10 * Y), model.mask.copy()
    strength[:, :, weak], strength[:, :, -1], mask[:, :, -1] = Y, np.inf, False
    result = measure_strength(replace(model, yield_stress=strength, mask=mask), BARE_TEST)
    assert Y * N * N < result.strength < 1.5 * Y * N * N  # thin layers are held by their neighbours
    assert result.quantities["failed_beside_pads"] == pytest.approx(share)
    assert any("next to the pads" in caution for caution in result.step.cautions) == (share > 0.7)


def test_work_balances() -> None:
    assert measure_strength(column(), BARE_TEST).quantities["energy_imbalance"] < 1e-4


def test_work_that_does_not_balance_is_refused() -> None:
    def loses(*args: object, **kwargs: object) -> object:
        from openbct import fe

        whole = fe.solve_plastic(*args, **kwargs)  # type: ignore[arg-type]
        return replace(whole, plastic_work=0.8 * whole.plastic_work)

    with pytest.raises(ModelError, match="differ by"):
        measure_strength(column(), BARE_TEST, solver=loses)  # type: ignore[arg-type]


def test_a_history_that_stops_early_is_never_a_number() -> None:
    def stops(*args: object, **kwargs: object) -> object:
        from openbct import fe

        whole = fe.solve_plastic(*args, **kwargs)  # type: ignore[arg-type]
        return replace(whole, curve=whole.curve[:4], converged=False, status="cut for a test")

    with pytest.raises(SolveError, match="stopped at"):
        measure_strength(column(), BARE_TEST, solver=stops)  # type: ignore[arg-type]


def test_an_abscissa_at_the_end_needs_no_plateau() -> None:
    short = MechanicalTest(0.005, (0.001, 0.0045, 0.005), "force at 0.5 %", BARE_TEST.reference)
    assert measure_strength(column(yield_stress=4.0), short).strength == pytest.approx(4.0 * N * N, rel=1e-4)


def test_no_plateau_at_the_end_of_a_femoral_curve_is_no_number() -> None:
    """The curve ends at the strength: its last slope is what tells a plateau from a straight line."""
    model = column()
    yield_stress = model.yield_stress.copy()
    yield_stress[: N // 2] = 200.0
    test = replace(FEMUR_TEST, plausible=())
    with pytest.raises(ModelError, match="still rises"):
        measure_strength(replace(model, yield_stress=yield_stress), test)
    assert measure_strength(model, test).quantities["plateau_rise"] < 0.01


def test_a_history_that_breaks_off_after_the_strength_is_told() -> None:
    def stops(*args: object, **kwargs: object) -> object:
        from openbct import fe

        whole = fe.solve_plastic(*args, **kwargs)  # type: ignore[arg-type]
        return replace(whole, curve=whole.curve[:10], converged=False, status="cut for a test")

    result = measure_strength(column(), BARE_TEST, solver=stops)  # type: ignore[arg-type]
    assert any("broke off at 1.90 %" in caution for caution in result.step.cautions)


BOUNDS = [*VERTEBRA_TEST.plausible, *FEMUR_TEST.plausible]


@pytest.mark.parametrize("bounds", BOUNDS, ids=lambda b: b.quantity)
@pytest.mark.parametrize(("factor", "verdict"), [(0.99, "outside"), (1.01, "inside")])
def test_every_plausibility_bound_holds_on_both_sides(bounds: Bounds, factor: float, verdict: str) -> None:
    value = measure_strength(column(), BARE_TEST).quantities[bounds.quantity]
    for edge in ("warn", "refuse"):
        wide = (0.0, 1e12)
        low = Bounds(bounds.quantity, bounds.words, wide, wide)
        low = replace(low, **{edge: (value / factor, 1e12)})
        high = replace(Bounds(bounds.quantity, bounds.words, wide, wide), **{edge: (0.0, value * factor)})
        for one in (low, high):
            test = replace(BARE_TEST, plausible=(one,))
            if verdict == "inside":
                assert not measure_strength(column(), test).step.cautions
            elif edge == "warn":
                assert any(bounds.words in caution for caution in measure_strength(column(), test).step.cautions)
            else:
                with pytest.raises(ModelError, match="no such bone is known"):
                    measure_strength(column(), test)


def test_a_block_is_no_vertebra() -> None:
    with pytest.raises(ModelError, match=r"strength over|stiffness"):
        measure_strength(
            replace(column(), youngs_modulus=column().youngs_modulus * 0.01, yield_stress=column().yield_stress * 0.01),
            VERTEBRA_TEST,
        )


def test_rigidity_of_a_block() -> None:
    assert least_rigidity(column()) == pytest.approx(E * N * N)
    waist = column().youngs_modulus.copy()
    waist[:, :, N] *= 0.25
    assert least_rigidity(replace(column(), youngs_modulus=waist)) == pytest.approx(0.25 * E * N * N)
