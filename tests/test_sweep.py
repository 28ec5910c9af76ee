from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from openbct.cortex import Cortex
from openbct.errors import ModelError, SettingsError
from openbct.femodel import build_model
from openbct.io import write_label_map, write_volume
from openbct.loadcases import SidewaysFall
from openbct.materials import MATERIALS
from openbct.phantoms import as_scan, femur_region
from openbct.pipeline import sweep_femora
from openbct.plan import make_plan
from openbct.records import BoneRegion, LabelMap
from openbct.segmentation import GivenLabels
from openbct.settings import built_in
from openbct.strength import FEMUR_TEST
from openbct.sweep import FallSweep, linear_strength, roughness, sweep_fall
from small_scans import Command, openbct, simulate  # noqa: F401  fixture
from test_sideways_fall import press, real, region  # noqa: F401  fixture and simulated bone

LAW = MATERIALS["keyak2005"]


@cache
def swept() -> FallSweep:
    return sweep_fall(region(), SidewaysFall(voxel=3.0), LAW, span_deg=20.0, directions=3)


# Hostile ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{"directions": 1}, {"directions": 51}, {"span_deg": 0.0}, {"span_deg": 80.0}])
def test_directions_out_of_range_are_refused(asked: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="a side over"):
        sweep_fall(region(), SidewaysFall(voxel=3.0), LAW, **asked)


def test_square_beyond_the_load_cases_angles_is_refused_before_any_solve() -> None:
    with pytest.raises(SettingsError, match="adduction_deg"):
        sweep_fall(region(), SidewaysFall(voxel=3.0, adduction_deg=40.0), LAW)


def test_bone_that_yields_nowhere_is_refused() -> None:
    case = SidewaysFall(voxel=3.0)
    specimen = case.mount(region())
    model = build_model(specimen, case.constrain(specimen), LAW)
    with pytest.raises(ModelError, match="of the yield stress"):
        linear_strength(replace(model, yield_stress=np.full(model.mask.shape, np.inf)))


# Linear strength --------------------------------------------------------------------------------------------------


def test_linear_strength_scales_with_the_yield_stress_and_not_with_the_modulus() -> None:
    case = SidewaysFall(voxel=3.0)
    specimen = case.mount(region())
    model = build_model(specimen, case.constrain(specimen), LAW)
    strength, stiffness = linear_strength(model)
    stronger = linear_strength(replace(model, yield_stress=1.3 * model.yield_stress))
    stiffer = linear_strength(replace(model, youngs_modulus=2.0 * model.youngs_modulus))
    assert stronger == pytest.approx((1.3 * strength, stiffness), rel=1e-6)
    assert stiffer == pytest.approx((strength, 2.0 * stiffness), rel=1e-4)
    assert stiffness == pytest.approx(press(specimen, case.constrain(specimen))[0], rel=1e-4)
    # a smaller share passes its yield stress earlier
    assert linear_strength(model, yielded_share=0.05)[0] < strength


# Sweep -------------------------------------------------------------------------------------------------------------


def test_sweep_surrounds_the_default_and_finds_its_own_minimum() -> None:
    found = swept()
    assert found.adduction_deg.tolist() == [-10.0, 10.0, 30.0]
    assert found.internal_rotation_deg.tolist() == [-5.0, 15.0, 35.0]
    # the middle of the grid is the default direction, solved apart
    assert found.strength[1, 1] == pytest.approx(found.default[2], rel=1e-9)
    assert found.weakest[2] == found.strength.min()
    assert found.relative == pytest.approx(found.strength.min() / found.strength[1, 1])
    assert found.nonlinear is None and not found.refused


def test_fall_on_an_adducted_hip_is_weaker() -> None:
    found = swept()
    # more adduction loads the neck more across its axis
    assert np.all(np.diff(found.strength.mean(axis=1)) < 0)


def test_roughness_is_the_largest_kink_and_a_slope_has_none() -> None:
    plane = np.add.outer([0.0, 1.0, 2.0], [0.0, 3.0, 6.0])
    assert roughness(plane, 1.0) == 0.0
    plane[1, 1] += 0.5
    assert roughness(plane, 2.0) == pytest.approx(0.5)
    assert roughness(np.full((3, 3), np.nan), 1.0) == 0.0


def test_weakest_on_the_border_is_said() -> None:
    assert any("on the border" in caution for caution in swept().step.cautions)


@pytest.mark.slow
def test_left_and_right_have_the_same_sweep() -> None:
    case = SidewaysFall(voxel=3.0)
    left = sweep_fall(region("left"), case, LAW, span_deg=20.0, directions=2)
    right = sweep_fall(region("right"), case, LAW, span_deg=20.0, directions=2)
    assert left.strength == pytest.approx(right.strength, rel=1e-6)


# Command -----------------------------------------------------------------------------------------------------------


def test_command_writes_a_table_a_record_and_a_picture(tmp_path: Path, openbct: Command) -> None:  # noqa: F811
    bone = femur_region(side="left", spacing=2.0)
    write_volume(bone.density, tmp_path / "density.nii.gz")
    label = LabelMap(bone.mask.with_array(bone.mask.array.astype(np.uint8), "label"), {1: "femur_left"}, "test")
    table = write_label_map(label, tmp_path / "labels.nii.gz")
    out = tmp_path / "out"
    arguments = [
        "sweep",
        str(tmp_path / "density.nii.gz"),
        "--labels",
        str(tmp_path / "labels.nii.gz"),
        "--label-map",
        str(table),
    ]
    arguments += [
        "--mineral",
        "K2HPO4",
        "--bones",
        "femur_left",
        "--voxel-mm",
        "3",
        "--directions",
        "2",
        "--span-deg",
        "10",
        "-o",
        str(out),
    ]
    told = json.loads(openbct(*arguments, "--json").out)
    (femur,) = told["bones"]
    assert femur["nonlinear_weakest_n"] > 1000.0
    assert json.loads((out / "sweep_femur_left.json").read_text())["weakest"] == femur["weakest"]
    rows = list(csv.DictReader((out / "sweep_femur_left.csv").open()))
    assert len(rows) == 4 and float(rows[0]["linear_strength_n"]) == pytest.approx(femur["linear_strength_n"][0][0])
    assert (out / "sweep_femur_left.png").read_bytes().startswith(b"\x89PNG")


def test_command_refuses_other_bones(tmp_path: Path, openbct: Command) -> None:  # noqa: F811
    said = openbct("sweep", tmp_path, "--bones", "L1", "-o", tmp_path / "out")
    assert said.status == 2 and "only femora are swept" in said.err


# Real bone ---------------------------------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.slow
def test_real_hip_is_weakest_adducted_and_rotated_inwards(real: BoneRegion) -> None:  # noqa: F811
    found = sweep_fall(real, SidewaysFall(voxel=1.5), LAW, directions=10, test=FEMUR_TEST)
    # 10 x 10 over 30 degrees: weakest posterolateral, towards more adduction; smooth
    assert found.weakest[0] > 25.0 and found.weakest[1] > 25.0
    assert 0.8 < found.relative < 0.95
    assert roughness(found.strength, found.default[2]) < 0.2
    assert found.nonlinear is not None
    assert 0.75 < found.nonlinear[1] / found.nonlinear[0] < 1.0


def test_the_sweep_takes_the_protocol_s_elements() -> None:
    """A shell asked for in the protocol stiffens every direction."""
    case, bone = SidewaysFall(voxel=3.0), region()
    plain = sweep_fall(bone, case, LAW, span_deg=5.0, directions=2)
    shelled = sweep_fall(bone, case, LAW, span_deg=5.0, directions=2, elements={"cortex": Cortex("shell", 0.6)})
    assert (shelled.stiffness > 1.02 * plain.stiffness).all()


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("femur-stance", "only falls are swept"),
        ("crawford-linear", "only falls are swept"),
        ("ogo-femur-linear-like", "expected one with a yield stress"),
        ("bbct-strain-like", "--linear-only"),
    ],
)
def test_presets_that_cannot_be_swept_say_why(name: str, match: str) -> None:
    plan = make_plan(built_in(name))
    with pytest.raises(SettingsError, match=match):
        sweep_femora(as_scan(simulate()), GivenLabels((simulate().bodies,)), plan=plan, span_deg=30.0, directions=10)
