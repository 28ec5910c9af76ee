"""The uncertainty of every number: its parts, what cancels between two scans, where it is stated, and where it is not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openbct import GivenLabels, analyze
from openbct.errors import SegmentationError
from openbct.phantoms import as_scan
from openbct.plan import make_plan
from openbct.records import BoneMeasures, BoneRegion, BoneResult, CalibratedVolume, ErrorPart, Measure, Step
from openbct.settings import built_in, override, parse
from openbct.uncertainty import (
    ModelSpread,
    budgets_of,
    combined,
    density_budgets,
    drawn,
    model_spread,
    resample,
    strength_budgets,
    uncertainty_step,
    with_uncertainty,
)
from openbct.volume import Volume
from report_cases import bone, scene
from small_scans import QUICK, simulate

SPREAD = ModelSpread(0.10, 1.5, alignment=0.06, edge_per_mm=0.2)
STEP = Step("calibration", "given")


def bone_result() -> BoneResult:
    density, masks = scene()
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return bone("L1", Volume(density, affine, "mg/cm3 K2HPO4"), Volume(masks["L1"], affine, "mask"))


def parts_of(budget: object) -> dict[str, ErrorPart]:
    return {part.source: part for part in budget.parts}  # type: ignore[attr-defined]


def test_parts_add_in_the_square_and_the_shared_ones_cancel() -> None:
    parts = (ErrorPart("calibration", 12.0, 3.0), ErrorPart("edge", 4.0, 4.0), ErrorPart("model", 3.0, 0.0))
    found = combined(100.0, "N", parts)
    assert found.sd == pytest.approx(13.0) and found.own_sd == pytest.approx(5.0)
    assert found.interval == pytest.approx((100 - 1.96 * 13, 100 + 1.96 * 13))


@pytest.mark.parametrize("calibration", [0.0, 10.0, None])
def test_a_strength_has_its_own_parts_and_those_of_the_density(calibration: float | None) -> None:
    strength = bone_result().strength
    assert strength is not None
    known = () if calibration is None else (ErrorPart("calibration", calibration, 1.0),)
    density = combined(100.0, "mg/cm3", (*known, ErrorPart("noise", 1.0, 1.0)), () if known else ("calibration",))
    found = strength_budgets(strength, density, SPREAD, voxel=1.5)
    # by hand: study 10 %, edge 0.2/mm x 1.5 mm x half a voxel as a uniform spread, density to the power of 1.5
    edge = 0.2 * 1.5 * 0.5 / math.sqrt(3)
    relative = math.sqrt(0.10**2 + edge**2 + (0.015 * (calibration or 0.0)) ** 2 + 0.015**2)
    assert found["strength"].sd == pytest.approx(relative * strength.strength)
    assert found["stiffness"].sd == pytest.approx(relative * strength.stiffness)
    assert found["strength"].own_sd < found["strength"].sd
    assert found["strength"].unknown == (("calibration",) if calibration is None else ())
    said = with_uncertainty(strength, found["strength"])
    assert said.uncertainty == (None if calibration is None else found["strength"].sd)  # no ± that lacks the largest part
    assert f"{100 * relative:.0f} %" in said.step.sentence and said.step.sentence.startswith(strength.step.sentence)
    assert f"{strength.bone}: one standard deviation" in said.step.sentence  # a value of this bone, not of all
    assert ("not known" in said.step.sentence) == (calibration is None)


def test_a_density_that_is_no_share_of_anything_moves_no_strength() -> None:
    strength = bone_result().strength
    assert strength is not None
    density = combined(-5.0, "mg/cm3", (ErrorPart("calibration", 10.0, 1.0),))
    assert strength_budgets(strength, density, ModelSpread(0.1, 1.5), 1.0)["strength"].sd == pytest.approx(
        0.1 * strength.strength
    )


def ball(noise: float = 0.0) -> tuple[BoneRegion, CalibratedVolume]:
    """A ball of 200 mg/cm³ with a radius of 12 mm in 0 mg/cm³, on voxels of 1 mm."""
    result = bone_result()
    assert result.region is not None
    place = np.indices((40, 40, 40)) - 19.5
    mask = (place**2).sum(axis=0) < 12.0**2
    values = np.where(mask, 200.0, 0.0) + np.random.default_rng(3).normal(0.0, noise, mask.shape)
    density = Volume(values, np.eye(4), "mg/cm3 K2HPO4")
    calibrated = CalibratedVolume(density, "K2HPO4", "phantom", 0.8, 0.0, np.diag([0.02**2, 9.0]), (), STEP)
    return replace(result.region, density=density, mask=Volume(mask, np.eye(4), "mask"), pads=None), calibrated


def mean_of(sd: float | None = 5.0):  # type: ignore[no-untyped-def]
    """A measurer of the mean alone."""

    def measure(region: BoneRegion, calibrated: CalibratedVolume) -> BoneMeasures:
        if region.mask.array.sum() > 20_000:
            raise SegmentationError("too large")
        mean = float(region.density.array[region.mask.array].mean())
        return BoneMeasures("L1", {"integral_vbmd": Measure(mean, "mg/cm3 K2HPO4", "all", sd)}, {"body": region.mask}, STEP)

    return measure


def test_the_edge_is_worth_what_the_shells_hold() -> None:
    region, calibrated = ball()
    found = density_budgets(region, mean_of()(region, calibrated), calibrated, mean_of())["integral_vbmd"]
    parts = parts_of(found)
    assert parts["calibration"].sd == 5.0 and parts["calibration"].own_sd == pytest.approx(0.014 * 200.0)
    # one voxel more dilutes the ball by (12/13)^3, one less leaves its density: about half of that loss a voxel
    per_voxel = 200.0 * (1 - (12 / 13) ** 3) / 2
    assert parts["edge"].sd == pytest.approx(per_voxel * 0.5 / math.sqrt(3), rel=0.15)
    assert parts["edge"].own_sd < parts["edge"].sd


def test_noise_goes_with_the_grains_of_a_region() -> None:
    region, calibrated = ball(noise=30.0)
    found = density_budgets(region, mean_of()(region, calibrated), calibrated, mean_of(None))["integral_vbmd"]
    grains = region.mask.array.sum() / 1.5**3
    assert parts_of(found)["noise"].sd == pytest.approx(30.0 / math.sqrt(grains), rel=0.1)
    assert parts_of(density_budgets(*ball_parts(), mean_of())["integral_vbmd"])["noise"].sd < 0.01


def ball_parts() -> tuple[BoneRegion, BoneMeasures, CalibratedVolume]:
    region, calibrated = ball()
    return region, mean_of()(region, calibrated), calibrated


def test_what_is_not_known_is_said_and_not_guessed() -> None:
    region, calibrated = ball()
    found = density_budgets(region, mean_of(None)(region, calibrated), calibrated, mean_of(None))["integral_vbmd"]
    assert found.unknown == ("calibration",) and "calibration" not in parts_of(found)

    def never(region: BoneRegion, calibrated: CalibratedVolume) -> BoneMeasures:
        raise SegmentationError("no")

    alone = density_budgets(region, mean_of()(region, calibrated), calibrated, never)["integral_vbmd"]
    assert alone.unknown == ("edge",)
    nothing = BoneMeasures("L1", {"integral_vbmd": Measure(math.nan, "mg/cm3", "all")}, {}, STEP)
    assert density_budgets(region, nothing, calibrated, never) == {}
    assert uncertainty_step({}) == ()


def power_of_the_mass(region: BoneRegion) -> float:
    """A strength that goes with density to the power of 1.5 and with the cross-section, whatever the pose."""
    where = region.mask.array
    return float(region.density.array[where].mean() ** 1.5 * where.sum() ** (2 / 3))


def test_draws_spread_as_the_linear_sum_says() -> None:
    """The same sources by Monte Carlo and by derivatives, on a strength that is known in closed form."""
    region, calibrated = ball()
    spread = ModelSpread(0.05, 1.5, edge_per_mm=0.0)
    strength = bone_result().strength
    assert strength is not None
    density = density_budgets(region, mean_of(7.0)(region, calibrated), calibrated, mean_of(7.0))["integral_vbmd"]
    budget = strength_budgets(strength, density, spread, 1.0)["strength"]
    draws = resample(region, calibrated, power_of_the_mass, spread, budget, 400)
    assert draws is not None and len(draws.ratios) == draws.asked == 400
    # by hand: HU 250, so hypot(250 x 0.02, 3) mg/cm³ of 200 to the power of 1.5; edge by its own two solutions
    line = 1.5 * math.hypot(250 * 0.02, 3.0) / 200.0
    edge = math.log(power_of_the_mass(replace(region, mask=region.mask)) / power_of_the_mass(smaller(region)))
    expected = math.sqrt(line**2 + 0.05**2)
    found = drawn(budget, draws)
    assert found.parts == budget.parts and found.interval[0] < budget.value < found.interval[1]
    low, high = expected, math.hypot(expected, abs(edge))
    assert 0.93 * low < found.sd / budget.value < high
    again = resample(region, calibrated, power_of_the_mass, spread, budget, 400)
    assert again is not None and np.array_equal(again.ratios, draws.ratios)  # the seed is fixed


def smaller(region: BoneRegion) -> BoneRegion:
    from scipy import ndimage

    return replace(region, mask=region.mask.with_array(ndimage.binary_erosion(region.mask.array)))


def test_no_draws_where_nothing_can_be_drawn() -> None:
    region, calibrated = ball()
    strength = bone_result().strength
    assert strength is not None
    budget = strength_budgets(strength, None, SPREAD, 1.0)["strength"]
    unknown = replace(calibrated, covariance=np.full((2, 2), math.nan))
    assert resample(region, unknown, power_of_the_mass, SPREAD, budget, 5) is None

    def refused(region: BoneRegion) -> float:
        raise SegmentationError("no")

    assert resample(region, calibrated, refused, SPREAD, budget, 5) is None


def test_the_packaged_table_is_plausible() -> None:
    for test in ("vertebra", "fall", "stance"):
        spread = model_spread(test)
        assert 0.03 < spread.relative < 0.5 and spread.alignment < spread.relative
        assert 0.0 < spread.edge_per_mm < 0.5
        assert (
            1.0 < spread.density_power < 2.0
        )  # strength laws go with density to the power of 1.39 and 1.80, cement and cortex less


def test_only_the_recipe_that_was_studied_has_a_spread() -> None:
    usual = make_plan(built_in())
    assert usual.vertebra.spread and usual.femur.spread
    for name in ("vertebra-compression", "femur-sideways-fall"):
        assert make_plan(built_in(name)).vertebra.spread == usual.vertebra.spread
    coarse = make_plan(override(built_in(), {"vertebra": {"voxel_mm": 2.0}}, "test"))
    assert coarse.vertebra.spread is None and coarse.femur.spread is not None
    assert make_plan(built_in("femur-stance")).femur.spread == model_spread("stance")
    for change in ({"head": "bonded"}, {"load_angle_deg": 10.0}, {"voxel_mm": 1.5}):
        assert make_plan(override(built_in("femur-stance"), {"femur": change}, "test")).femur.spread is None


def test_a_case_of_another_recipe_states_densities_alone() -> None:
    simulated = simulate()
    case = analyze(as_scan(simulated), GivenLabels((simulated.bodies,), ("L1",)), settings=parse(QUICK, "quick"))  # type: ignore[arg-type]
    found = case.bones[0]
    assert found.strength is not None and found.strength.uncertainty is None
    assert set(found.budgets) == {"trabecular_vbmd", "integral_vbmd"} and found.region is not None
    for name, budget in found.budgets.items():
        assert found.measures is not None and budget.value == found.measures.values[name].value
        assert set(parts_of(budget)) == {"calibration", "edge", "noise"}
    # the ellipse lies inside: the edge moves it less than the whole body, whose cortex it holds or loses
    assert parts_of(found.budgets["trabecular_vbmd"])["edge"].sd < parts_of(found.budgets["integral_vbmd"])["edge"].sd
    assert any(step.stage == "uncertainty" for step in found.steps)
    own = budgets_of(found.strength, found.budgets, SPREAD, found.region.mask)
    assert own["strength"].value == found.strength.strength


def test_the_page_states_the_packaged_numbers() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "methods" / "uncertainty.md").read_text(encoding="utf-8")
    vertebra, fall, stance = (model_spread(test) for test in ("vertebra", "fall", "stance"))
    shares = f"{100 * vertebra.relative:.1f} % for a vertebra, {100 * fall.relative:.1f} % for a fall"
    assert shares in page and f"{100 * stance.relative:.1f} % for stance" in page
    assert f"({vertebra.density_power:.2f}, {fall.density_power:.2f} and {stance.density_power:.2f}, same study)" in page
    assert f"{vertebra.edge_per_mm:.3f}, {fall.edge_per_mm:.3f} and {stance.edge_per_mm:.3f}" in page
