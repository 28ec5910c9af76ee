"""The uncertainty of a strength: its parts, where it is stated, and where it is not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openbct import GivenLabels, analyze
from openbct.phantoms import as_scan
from openbct.plan import make_plan
from openbct.records import BoneMeasures, BoneResult, Measure, Step
from openbct.settings import built_in, override, parse
from openbct.uncertainty import ModelSpread, model_spread, with_uncertainty
from openbct.volume import Volume
from report_cases import bone, scene
from small_scans import QUICK, simulate

SPREAD = ModelSpread(0.10, 1.5)


def bone_result() -> BoneResult:
    density, masks = scene()
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return bone("L1", Volume(density, affine, "mg/cm3 K2HPO4"), Volume(masks["L1"], affine, "mask"))


def measured(value: float, uncertainty: float | None) -> BoneMeasures:
    return BoneMeasures("L1", {"integral_vbmd": Measure(value, "mg/cm3", "whole", uncertainty)}, {}, Step("measures", "."))


@pytest.mark.parametrize(
    ("value", "sd", "relative"),
    [(100.0, 0.0, 0.10), (100.0, 10.0, math.hypot(0.10, 0.15)), (100.0, None, 0.10), (-5.0, 10.0, 0.10)],
)
def test_parts_add_in_the_square(value: float, sd: float | None, relative: float) -> None:
    strength = bone_result().strength
    assert strength is not None
    found = with_uncertainty(strength, measured(value, sd), SPREAD)
    assert found.uncertainty == pytest.approx(relative * strength.strength)
    assert f"{100 * relative:.0f} %" in found.step.sentence and found.step.sentence.startswith(strength.step.sentence)
    assert f"{strength.bone}: one standard deviation" in found.step.sentence  # a value of this bone, not of all
    assert ("not known" in found.step.sentence) == (sd is None or value <= 0)


def test_the_packaged_table_is_plausible() -> None:
    for test in ("vertebra", "fall", "stance"):
        spread = model_spread(test)
        assert 0.03 < spread.relative < 0.5
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


def test_a_case_of_another_recipe_states_none() -> None:
    simulated = simulate()
    case = analyze(as_scan(simulated), GivenLabels((simulated.bodies,), ("L1",)), settings=parse(QUICK, "quick"))  # type: ignore[arg-type]
    strength = case.bones[0].strength
    assert strength is not None and strength.uncertainty is None
    assert replace(strength, uncertainty=1.0).uncertainty == 1.0


def test_the_page_states_the_packaged_numbers() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "methods" / "strength.md").read_text(encoding="utf-8")
    vertebra, fall, stance = (model_spread(test) for test in ("vertebra", "fall", "stance"))
    shares = f"{100 * vertebra.relative:.1f} % for a vertebra, {100 * fall.relative:.1f} % for a fall"
    assert shares in page and f"{100 * stance.relative:.1f} % for stance" in page
    assert f"({vertebra.density_power:.2f}, {fall.density_power:.2f} and {stance.density_power:.2f}, same study)" in page
