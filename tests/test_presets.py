"""What a protocol's choices do on the way from scan to report."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from openbct.assessment import Standards, assess
from openbct.io import read_density, read_labels
from openbct.phantoms import FemurShape, as_scan, femur_region
from openbct.pipeline import analyze, analyze_bone
from openbct.plan import make_plan
from openbct.records import BoneMask, BoneResult, CalibratedVolume, Patient, Step
from openbct.segmentation import GivenLabels
from openbct.settings import built_in, override, parse
from small_scans import QUICK, Command, Small, openbct, simulate, small  # noqa: F401  fixtures

LINEAR = '[vertebra]\nvoxel_mm = 2.0\ntest = "linear"\nrule = "height"\ncoefficient = 0.0068\n'


def strong(**vertebra: object) -> BoneResult:
    """Return L1 of the small scan under the quick protocol, changed."""
    settings = override(parse(QUICK, "quick"), {"vertebra": vertebra}, "test")
    case = analyze(as_scan(simulate()), GivenLabels((simulate().bodies,), ("L1",)), settings=settings)
    (bone,) = case.bones
    assert bone.strength is not None, bone.reason
    return bone


def test_a_linear_protocol_goes_through_to_the_report(small: Small, tmp_path: Path, openbct: Command) -> None:
    calibration = QUICK.split("[vertebra]")[0].replace('"quick"', '"straight"')
    (tmp_path / "mine.toml").write_text(calibration + LINEAR, encoding="utf-8")
    said = openbct(
        "analyze", small.scan, "--labels", small.labels, "--label-map", small.table, "--bones", "L1", "--protocol", tmp_path / "mine.toml",
        "--sex", "F", "--age", "70", "-o", tmp_path / "out",
    )  # fmt: skip
    assert said.status == 0, said.err
    (bone,) = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["bones"]
    assert bone["strength_protocol"] == "straight 1" and bone["strength_scale"] == "provisional"
    assert bone["strength_n"] == pytest.approx(0.0068 * bone["stiffness_n_per_mm"] * bone["quantities"]["gauge_length_mm"])
    assert len(bone["curve"]["force_n"]) == 2 and "0.0068 times stiffness" in bone["failure_criterion"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "straight 1; its scale is provisional" in page and "no load was redistributed by yielding" in page
    assert "has yielded" not in page and "published thresholds are shown beside it" in page


def test_a_linear_test_has_the_first_slope_of_the_nonlinear_one() -> None:
    nonlinear, linear = strong(), strong(test="linear", rule="height", coefficient=0.0068)
    assert nonlinear.strength and linear.strength
    assert linear.strength.stiffness == pytest.approx(nonlinear.strength.stiffness, rel=0.02)
    assert linear.strength.strength == pytest.approx(nonlinear.strength.quantities["linear_estimate_n"], rel=0.02)


@pytest.mark.slow
def test_supports_pads_and_anisotropy_order_the_stiffness() -> None:
    base = {"test": "linear", "rule": "height", "coefficient": 0.0068}
    values = {
        name: strong(**base, **change).strength.stiffness  # type: ignore[arg-type, union-attr]
        for name, change in {
            "free": {},
            "bonded": {"superior": "bonded"},
            "tilting": {"superior": "tilting"},
            "sliding": {"inferior": "sliding"},
            "soft pads": {"pad_mpa": 50.0},
            "transverse": {"elasticity": "transverse"},
        }.items()
    }
    assert values["bonded"] > values["free"] > values["sliding"] > 0.5 * values["free"]
    assert 0.5 * values["free"] < values["tilting"] < values["free"]
    assert values["soft pads"] < 0.9 * values["free"] and values["transverse"] < values["free"]


@pytest.mark.slow
def test_a_tilting_platen_and_anisotropy_go_to_failure() -> None:
    usual = strong().strength
    for change in ({"superior": "tilting"}, {"elasticity": "transverse"}):
        found = strong(**change).strength
        assert usual and found and 0.5 * usual.strength < found.strength < usual.strength
        assert found.failed.any() and found.quantities["energy_imbalance"] < 0.02


def test_pads_that_yield_are_weaker_than_pads_that_do_not() -> None:
    elastic, yielding = strong(), strong(pad_yield_mpa=2.0)
    assert elastic.strength and yielding.strength and yielding.strength.strength < 0.95 * elastic.strength.strength
    assert any("yielding at 2 MPa" in step.sentence for step in yielding.steps)


def test_a_bone_that_the_protocol_is_not_made_for_is_refused() -> None:
    case = analyze(
        as_scan(simulate()),
        GivenLabels((simulate().bodies,), ("L1",)),
        settings=override(built_in("femur-stance"), {"calibration": {"method": "given"}}, "test"),
        plan=make_plan(parse(QUICK + '[about]\nsites = ["femur"]\n', "femora only")),
    )
    (bone,) = case.bones
    assert bone.status == "refused" and "made for femur only" in (bone.reason or "")


@pytest.mark.slow
def test_stance_by_name_stands_alone() -> None:
    """No published threshold and no load of a fall beside a strength in stance."""
    made = femur_region(FemurShape(), side="left", spacing=2.0)
    density = CalibratedVolume(made.density, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "given"))
    change = {"femur": {"voxel_mm": 3.0, "strains": [0.001, 0.01, 0.04]}}
    plan = make_plan(override(built_in("femur-stance"), change, "test"))
    result = analyze_bone(
        BoneMask("femur_left", made.mask, "whole", 1.0, True), density, plan.femur, plan=plan, observe=lambda *_: None
    )
    assert result.strength is not None, result.reason
    assert (result.strength.protocol, result.strength.scale) == ("femur-stance 1", "none")
    assert "cup on the head" in result.strength.boundary_conditions
    patient = Patient(sex="F", age=70.0, height_cm=160.0, weight_kg=60.0)
    alone, beside = (
        assess(patient, [], [result.strength], standards=Standards(scale=scale)) for scale in ("none", "provisional")
    )
    assert not alone.findings[0].thresholds and "another test" in alone.findings[0].against and not alone.load_to_strength
    assert beside.findings[0].thresholds and beside.load_to_strength


# The public benchmark ---------------------------------------------------------------------------------------------

BENCHMARK = "".join(f'{n} = "vertebrae_L2"\n' for n in (1, 2, 3, 4)) + '5 = "cement_inferior_L2"\n6 = "cement_superior_L2"\n'


@pytest.mark.data
@pytest.mark.parametrize(
    ("change", "stiffness"),
    [({}, 12363), ({"bin_shift": False}, 10442), ({"bin_shift": False, "bins": 0}, 10547)],
    ids=["shifted", "binned", "unbinned"],
)
def test_the_benchmark_s_preset_gives_the_benchmark_s_stiffness(
    data_dir: Path, tmp_path: Path, change: dict[str, object], stiffness: float
) -> None:
    (tmp_path / "table.toml").write_text(BENCHMARK, encoding="utf-8")
    folder = data_dir / "vertebra_l2"
    scan = read_density(folder / "density.nii.gz", mineral="K2HPO4")
    labels = read_labels(folder / "labels.nii.gz", mapping=tmp_path / "table.toml", like=scan.image)
    settings = override(built_in("bonelab-benchmark"), {"calibration": {"method": "given"}, "vertebra": change}, "test")
    (bone,) = analyze(scan, GivenLabels((labels,), ("L2",)), settings=settings).bones
    assert bone.strength is not None, bone.reason
    assert bone.strength.stiffness == pytest.approx(stiffness, rel=5e-4)
    assert bone.strength.quantities["gauge_length_mm"] == pytest.approx(29.0)
    if not change:
        assert bone.strength.strength == pytest.approx(2437.8, rel=5e-4)  # "F.Load (linear)" of the publication
    assert bone.strength.protocol == "bonelab-benchmark 1"


def test_a_scale_of_none_is_told_and_kept(small: Small, tmp_path: Path, openbct: Command) -> None:
    calibration = QUICK.split("[vertebra]")[0].replace('"quick"', '"alone"')
    (tmp_path / "mine.toml").write_text(calibration + LINEAR + '[run]\nscale = "none"\n', encoding="utf-8")
    said = openbct(
        "analyze", small.scan, "--labels", small.labels, "--label-map", small.table, "--bones", "L1", "--protocol", tmp_path / "mine.toml",
        "--sex", "F", "--age", "70", "--no-report", "-o", tmp_path / "out",
    )  # fmt: skip
    assert said.status == 0 and "no published threshold is meant for its test" in said.out, said.err
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["bones"][0]["strength_scale"] == "none"
    (strength,) = (finding for finding in result["assessment"]["findings"] if finding["quantity"] == "strength")
    assert strength["thresholds"] == [] and strength["category"] is None
