"""The order of the stages: what is kept of a bone that fails, what is told, and what the plan makes of a protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openbct import pipeline
from openbct.errors import CalibrationError, InputError, ModelError, SegmentationError, SettingsError, SolveError
from openbct.phantoms import as_scan
from openbct.pipeline import analyze
from openbct.plan import make_calibrator, make_plan
from openbct.records import BoneResult, CalibratedVolume, Case, MaterialLaw, Scan, Segmentation
from openbct.segmentation import GivenLabels
from openbct.settings import CalibrationSettings, Settings, built_in, override, parse
from openbct.volume import Volume
from small_scans import QUICK, simulate

QUICKLY = parse(QUICK, "quick")


@pytest.fixture(scope="module")
def scan() -> Scan:
    return as_scan(simulate())


def labels(*bones: str) -> GivenLabels:
    return GivenLabels((simulate().bodies,), bones or None)


def asking(*bones: str) -> Settings:
    return override(QUICKLY, {"run": {"bones": list(bones)}}, "test")


@pytest.fixture(scope="module")
def case(scan: Scan) -> Case:
    return analyze(scan, labels("L1", "L2", "T12"), settings=asking("L1", "L2", "T12"))


def test_stages_are_told_in_order(scan: Scan) -> None:
    told: list[tuple[str, str]] = []
    results: list[BoneResult] = []
    sizes: list[int] = []

    def finished(result: BoneResult, so_far: Case) -> None:
        results.append(result)
        sizes.append(len(so_far.bones))
        assert so_far.bones[len(results) - 1] is result

    case = analyze(scan, labels("L1", "T12"), settings=QUICKLY, observe=lambda *one: told.append(one), finished=finished)
    whole = [stage for stage, bone in told if not bone]
    assert whole == ["segmentation", "acquisition", "calibration", "fractures", "assessment"]
    assert [stage for stage, bone in told if bone == "L1"] == ["anatomy", "measures", "mount", "model", "strength"]
    assert [stage for stage, bone in told if bone == "T12"] == ["anatomy"]
    assert tuple(results) == case.bones and sizes == [1, 2]
    assert set(case.seconds) == set(whole) and all(value >= 0 for value in case.seconds.values())


def test_a_refused_bone_keeps_what_it_had_reached(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = {}
    for name, error in (
        ("build_model", ModelError("found nothing held, expected supports; check")),
        ("measure_strength", SolveError("found 1e-3, expected 1e-8; refine")),
    ):
        with monkeypatch.context() as patch:

            def fail(*args: object, _error: Exception = error, **kwargs: object) -> None:
                raise _error

            patch.setattr(pipeline, name, fail)
            (bone,) = analyze(scan, labels("L1"), settings=QUICKLY).bones
        assert bone.status == "refused" and bone.reason == str(error) and bone.strength is None
        reached[name] = bone
    assert reached["build_model"].model is None and reached["build_model"].specimen is not None
    assert reached["build_model"].measures is not None and reached["measure_strength"].model is not None
    assert len(reached["build_model"].steps) == 5


def test_one_refusal_does_not_touch_another_bone(case: Case, scan: Scan) -> None:
    alone = analyze(scan, labels("L1"), settings=QUICKLY).bones[0]
    together = {bone.bone: bone for bone in case.bones}
    assert together["T12"].status == "refused" and "cut by" in (together["T12"].reason or "")
    assert alone.strength is not None and together["L1"].strength is not None
    assert together["L1"].strength.strength == pytest.approx(alone.strength.strength, rel=1e-9)


def test_bones_asked_for_by_name_are_answered(scan: Scan) -> None:
    asked = analyze(scan, labels("L1", "femur_left"), settings=asking("L1", "femur_left"))
    assert [(bone.bone, bone.status == "refused") for bone in asked.bones] == [("L1", False), ("femur_left", True)]
    automatic = analyze(scan, labels("L1", "femur_left"), settings=QUICKLY)
    assert [bone.bone for bone in automatic.bones] == ["L1"] and "femur_left" in automatic.segmentation.absent


def test_doubts_of_the_scan_reach_every_bone(scan: Scan) -> None:
    doubtful = replace(scan, step=replace(scan.step, cautions=("The table of the scanner rocked.",)))
    case = analyze(doubtful, labels("L1"), settings=QUICKLY)
    assert "The table of the scanner rocked." in case.cautions and case.bones[0].status == "caution"
    assert "The table of the scanner rocked." not in case.bones[0].cautions, "said once, for the case"


def test_calibration_refused_is_a_case(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        raise CalibrationError("found no air, expected some; scan again")

    from openbct.calibration import Fixed

    monkeypatch.setattr(Fixed, "__call__", fail)
    seen: list[str] = []
    case = analyze(scan, labels("L1", "L2"), settings=QUICKLY, finished=lambda bone, so_far: seen.append(bone.bone))
    assert case.calibration is None and seen == ["L1", "L2"]
    assert all(bone.status == "refused" and "found no air" in (bone.reason or "") for bone in case.bones)
    assert case.assessment.category is None


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), RuntimeError("y"), np.linalg.LinAlgError("z")])
def test_bugs_are_raised_or_collected(scan: Scan, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    real = pipeline.build_model

    def build(specimen, *args, **more):
        if specimen.bone == "L1":
            raise error
        return real(specimen, *args, **more)

    monkeypatch.setattr(pipeline, "build_model", build)
    with pytest.raises(type(error)):
        analyze(scan, labels("L1"), settings=QUICKLY)
    collected: list[tuple[str, Exception]] = []
    case = analyze(scan, labels("L1", "L2"), settings=QUICKLY, on_bug=lambda bone, bug: collected.append((bone, bug)))
    assert collected == [("L1", error)]
    assert case.bones[0].status == "refused" and type(error).__name__ in (case.bones[0].reason or "")
    assert case.bones[1].strength is not None


def test_too_little_memory_is_said_and_loses_no_other_bone(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pipeline.build_model

    def build(specimen, *args, **more):
        if specimen.bone == "L1":
            raise MemoryError
        return real(specimen, *args, **more)

    monkeypatch.setattr(pipeline, "build_model", build)
    case = analyze(scan, labels("L1", "L2"), settings=QUICKLY)
    assert case.bones[0].status == "refused" and "too little memory" in (case.bones[0].reason or "")
    assert case.bones[1].strength is not None


def test_a_class_never_travels_without_its_doubts(scan: Scan) -> None:
    case = analyze(scan, labels("L1"), settings=QUICKLY)
    assert case.assessment.step.cautions
    assert set(case.assessment.step.cautions) <= set(case.cautions)


def test_nothing_asked_for_is_there(scan: Scan) -> None:
    with pytest.raises(InputError, match="none of L4"):
        analyze(scan, labels("L4"), settings=QUICKLY)
    with pytest.raises(SegmentationError):
        empty = simulate().bodies.volume
        nothing = replace(simulate().bodies, volume=Volume(np.zeros_like(empty.array), empty.affine, "label"))
        analyze(scan, GivenLabels((nothing,)), settings=QUICKLY)


def test_inputs_are_not_changed(scan: Scan) -> None:
    before = scan.image.array.copy()
    analyze(scan, labels("L1"), settings=QUICKLY)
    assert np.array_equal(scan.image.array, before)


def test_the_same_twice(case: Case, scan: Scan) -> None:
    again = analyze(scan, labels("L1", "L2", "T12"), settings=asking("L1", "L2", "T12"))
    for one, other in zip(case.bones, again.bones, strict=True):
        assert (one.strength is None) == (other.strength is None)
        if one.strength and other.strength:
            assert one.strength.strength == pytest.approx(other.strength.strength, rel=1e-12)


def test_settings_of_the_case_repeat_it(case: Case) -> None:
    assert override(built_in(), case.settings, "case") == asking("L1", "L2", "T12") and case.protocol == "quick 1"


# The plan ---------------------------------------------------------------------------------------------------------

LAW = """
from openbct.records import MaterialLaw, Reference
LAW = MaterialLaw(name="mine", density="K2HPO4", youngs_modulus=lambda rho: {modulus}, yield_stress=lambda rho: 40.0 * rho**1.4,
                  clip=(0.006, 1.2), valid=(0.05, 0.3), reference=Reference("A, B 1:1 (2026)", "design"), check=(0.1, 300.0, 1.5924))
NUMBER = 3
"""


@pytest.mark.parametrize(
    ("modulus", "name", "words"),
    [
        ("3.0 * rho", "LAW", r"0\.3 MPa modulus.*check point, 300"),
        ("rho + undefined", "LAW", "NameError"),
        ("rho / 0.0", "LAW", "inf MPa"),
        ("None", "LAW", "fails at its check point"),
        ("3000.0 * rho", "NUMBER", "found a int as material law"),
        ("3000.0 * rho", "GONE", "no object 'GONE'"),
        ("3000.0 * rho)", "LAW", "SyntaxError"),
    ],
)
def test_laws_from_files_are_tried_first(tmp_path: Path, modulus: str, name: str, words: str) -> None:
    path = tmp_path / "law.py"
    path.write_text(LAW.replace("{modulus}", modulus), encoding="utf-8")
    with pytest.raises(SettingsError, match=words):
        make_plan(override(QUICKLY, {"vertebra": {"material": f"{path}:{name}"}}, "test"))


def test_a_right_law_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "law.py"
    path.write_text(LAW.replace("{modulus}", "3000.0 * rho"), encoding="utf-8")
    law = make_plan(override(QUICKLY, {"vertebra": {"material": f"{path}:LAW"}}, "test")).recipe("L1").law
    assert isinstance(law, MaterialLaw) and law.name == "mine"


def test_calibrators(tmp_path: Path) -> None:
    (tmp_path / "c.py").write_text("def mine(scan, segmentation): ...\nthree = 3\n", encoding="utf-8")
    assert callable(make_calibrator(CalibrationSettings(method=f"{tmp_path / 'c.py'}:mine")))
    with pytest.raises(SettingsError, match="something to call"):
        make_calibrator(CalibrationSettings(method=f"{tmp_path / 'c.py'}:three"))
    with pytest.raises(SettingsError, match="'guess'"):
        make_calibrator(CalibrationSettings(method="guess"))


def test_recipes_by_bone() -> None:
    plan = make_plan(QUICKLY)
    assert plan.recipe("L1") is plan.recipe("T12") is plan.vertebra and plan.recipe("femur_right") is plan.femur


def test_a_bone_that_its_image_forbids_is_refused(scan: Scan) -> None:
    noisy = scan.image.array + np.random.default_rng(1).normal(0.0, 250.0, scan.image.shape)
    (bone,) = (case := analyze(replace(scan, image=Volume(noisy, scan.image.affine, "HU")), labels("L2"), settings=QUICKLY)).bones
    assert (
        bone.status == "refused"
        and "The noise of soft tissue beside the bone is" in (bone.reason or "")
        and bone.strength is None
    )
    assert case.examination is not None and "refused" in {one.outcome for one in case.examination.checks if one.bone == "L2"}
