from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from openbct.failure import SITES, predict_site
from openbct.femodel import build_model
from openbct.loadcases import SidewaysFall
from openbct.materials import MATERIALS
from openbct.records import BoneRegion, FEModel, StrengthResult
from openbct.strength import FEMUR_TEST, measure_strength
from openbct.volume import to_patient
from test_sideways_fall import real, region  # noqa: F401  fixture and simulated bone

LAW = MATERIALS["keyak2005"]


def pressed(bone: BoneRegion, voxel: float, density: float = 1.0) -> tuple[FEModel, StrengthResult]:
    case = SidewaysFall(voxel=voxel)
    specimen = case.mount(bone)
    specimen = replace(specimen, density=density * specimen.density)
    model = build_model(specimen, case.constrain(specimen), LAW)
    return model, measure_strength(model, FEMUR_TEST)


@cache
def fallen(side: str = "right", density: float = 1.0) -> tuple[FEModel, StrengthResult]:
    return pressed(region(side), 3.0, density)


def failing_at(place: np.ndarray) -> StrengthResult:
    """A result whose only plastic element lies nearest to a place."""
    model, result = fallen()
    index = np.argwhere(model.mask)
    distance = np.linalg.norm(to_patient(model.to_patient, index.astype(float)) - place, axis=1)
    failed = np.zeros(model.mask.shape)
    failed[tuple(index[int(np.argmin(distance))])] = 0.01
    return predict_site(replace(result, failed=failed), model, region())


def test_each_region_is_named_by_its_landmark() -> None:
    bone = region()
    shaft, trochanter = bone.frame.axes[:, 2], bone.landmarks["lesser_trochanter_axis"]
    head, neck = bone.landmarks["head_centre"], bone.landmarks["neck_centre"]
    assert failing_at(head + 0.3 * (head - neck)).site == "head"
    assert failing_at(head - 0.3 * (head - neck)).site == "neck"  # subcapital
    assert failing_at(bone.landmarks["neck_centre"]).site == "neck"
    assert failing_at(bone.landmarks["greater_trochanter_lateral"]).site == "intertrochanteric"
    assert failing_at(trochanter + 2.0 * shaft).site == "intertrochanteric"
    assert failing_at(trochanter - 20.0 * shaft).site == "subtrochanteric"


def test_shares_are_those_of_the_plastic_work_and_name_the_largest() -> None:
    model, result = fallen()
    found = predict_site(result, model, region())
    shares = [found.quantities[f"plastic_work_{site}"] for site in SITES]
    assert sum(shares) == pytest.approx(1.0)
    assert found.site == SITES[int(np.argmax(shares))]
    assert "largest share of the plastic work" in found.step.sentence
    assert found.strength == result.strength


def test_nothing_plastic_and_vertebrae_have_no_site() -> None:
    model, result = fallen()
    assert predict_site(replace(result, failed=np.zeros_like(result.failed)), model, region()).site is None
    assert predict_site(result, model, replace(region(), kind="vertebra")) is result


def test_left_and_right_have_the_same_strength_and_site() -> None:
    (left_model, left), (right_model, right) = fallen("left"), fallen("right")
    assert left.strength == pytest.approx(right.strength, rel=1e-6)
    assert left.curve == pytest.approx(right.curve, rel=1e-6)
    ends = [
        predict_site(result, model, region(side))
        for model, result, side in ((left_model, left, "left"), (right_model, right, "right"))
    ]
    for site in SITES:
        key = f"plastic_work_{site}"
        assert ends[0].quantities[key] == pytest.approx(ends[1].quantities[key], rel=1e-5, abs=1e-9)


def test_strength_rises_with_density() -> None:
    weak, strong = fallen(density=0.9)[1], fallen(density=1.1)[1]
    assert weak.strength < fallen()[1].strength < strong.strength
    # yield stress goes with the 1.8th power of ash density: 22 % of density are worth 25 to 45 % of strength
    assert 1.25 < strong.strength / weak.strength < 1.50


@pytest.mark.slow
@pytest.mark.data
def test_real_hip_breaks_at_neck_or_trochanters(real: BoneRegion) -> None:  # noqa: F811
    model, result = pressed(real, 2.0)
    assert predict_site(result, model, real).site in ("neck", "intertrochanteric")
