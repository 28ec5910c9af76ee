"""Classes, T-scores, strength beside its thresholds, load in a fall: every row of the table, and every way to cheat it."""

from __future__ import annotations

import itertools
import math
import tomllib
from importlib import resources
from typing import Any

import numpy as np
import pytest

from openbct.assessment import CLASSES, assess
from openbct.errors import SettingsError
from openbct.records import Assessment, BoneMeasures, Finding, Measure, Patient, Step, StrengthResult

STEP = Step("test", "made for a test")
WOMAN = Patient(sex="F", age=72.0, height_cm=160.0, weight_kg=60.0)
TABLE: dict[str, Any] = tomllib.loads(resources.files("openbct").joinpath("data", "thresholds.toml").read_text(encoding="utf-8"))


def spine(level: str, vbmd: float, uncertainty: float | None = None, unit: str = "mg/cm3 K2HPO4") -> BoneMeasures:
    return BoneMeasures(level, {"trabecular_vbmd": Measure(vbmd, unit, "ellipse", uncertainty)}, {}, STEP)


def hip(
    bone: str = "femur_left", neck: float | None = None, total: float | None = None, uncertainty: float | None = None
) -> BoneMeasures:
    values = {"femoral_neck_abmd": neck, "total_hip_abmd": total}
    return BoneMeasures(
        bone, {name: Measure(v, "g/cm2", "box", uncertainty) for name, v in values.items() if v is not None}, {}, STEP
    )


def strength(bone: str, newton: float) -> StrengthResult:
    nodes = np.zeros((2, 2, 2, 3))
    return StrengthResult(
        bone, newton, 1e4, np.zeros((2, 2)), "at 1.9 %", "platens", {}, np.zeros((1, 1, 1)), nodes, {"n_elements": 1.0}, 0.1, STEP
    )


def only(assessment: Assessment, quantity: str) -> Finding:
    (finding,) = [finding for finding in assessment.findings if finding.quantity == quantity]
    return finding


EVERYTHING = (
    [spine("L1", 50.0), spine("L2", 55.0), hip("femur_left", 0.40, 0.45), hip("femur_right", 0.40, 0.45)],
    [strength("L1", 900.0), strength("femur_left", 900.0)],
)
"""As bad as it gets: if a class can be had, this gives one."""


# No class may be had -------------------------------------------------------------------------------------------

INELIGIBLE = [
    (Patient(), "sex and age unknown"),
    (Patient(sex="F"), "age unknown"),
    (Patient(age=80.0), "sex unknown"),
    (Patient(sex="F", age=math.nan), "age unknown"),
    (Patient(sex="F", age=math.inf), "age unknown"),
    (Patient(sex="F", age=-3.0), "age unknown"),
    (Patient(sex="M", age=999.0), "age unknown"),
    (Patient(sex="F", age=0.0), "children"),
    (Patient(sex="M", age=17.9), "children"),
    (Patient(sex="F", age=18.0), "is 18"),
    (Patient(sex="F", age=49.9), "is 49.9"),
    (Patient(birth_date="1940-01-01", sex="F"), "age unknown"),
]


@pytest.mark.parametrize("patient, words", INELIGIBLE)
@pytest.mark.parametrize("size", [None, (165.0, 70.0)])
def test_no_class_and_no_t_score_without_a_right_to_one(patient: Patient, words: str, size: tuple[float, float] | None) -> None:
    if size:
        patient = Patient(sex=patient.sex, age=patient.age, birth_date=patient.birth_date, height_cm=size[0], weight_kg=size[1])
    result = assess(patient, *EVERYTHING)
    assert result.category is None and result.reason.startswith("no class: ") and words in result.reason
    assert all(finding.category is None and finding.t_score is None for finding in result.findings)
    # Numbers stay: two femora with two sites, the spine's mean, two strengths.
    assert len(result.findings) == 7
    text = " ".join([result.reason, result.step.sentence, *result.step.cautions])
    assert "osteoporosis" not in text.lower() and "T-scores are" not in text


def test_the_same_bones_have_a_class_when_sex_and_age_are_known() -> None:
    assert assess(WOMAN, *EVERYTHING).category == "osteoporosis"


@pytest.mark.parametrize("age", [50.0, 120.0])
@pytest.mark.parametrize("sex", ["F", "M"])
def test_classes_begin_at_fifty(age: float, sex: Any) -> None:
    assert assess(Patient(sex=sex, age=age), *EVERYTHING).category == "osteoporosis"


@pytest.mark.parametrize("scale", ["published", "mapped", "", "Provisional", "None"])
def test_no_other_strength_scale_can_be_asked_for(scale: str) -> None:
    with pytest.raises(SettingsError, match="expected 'provisional'"):
        assess(WOMAN, *EVERYTHING, scale=scale)


@pytest.mark.parametrize(
    "newton, sex, bone",
    list(itertools.product([0.0, 1.0, 2999.0, 3000.0, 5000.0, 1e5, math.nan, math.inf], ["F", "M"], ["L1", "femur_left"])),
)
def test_strength_is_never_classified(newton: float, sex: Any, bone: str) -> None:
    result = assess(Patient(sex=sex, age=75.0, height_cm=170.0, weight_kg=70.0), [], [strength(bone, newton)])
    finding = only(result, "strength")
    assert finding.category is None and finding.t_score is None
    assert "provisional" in finding.against and any("provisional" in caution for caution in result.step.cautions)
    assert result.category is None and "no class" in result.reason


def test_strength_never_moves_the_class() -> None:
    good = [spine("L1", 150.0), hip("femur_left", 0.9, 1.0)]
    assert assess(WOMAN, good, [strength("L1", 100.0), strength("femur_left", 100.0)]).category == "normal"


def test_nothing_measured_gives_no_class() -> None:
    result = assess(WOMAN, [], [])
    assert result.category is None and result.findings == () and "neither" in result.reason
    assert not result.step.cautions


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_density_that_is_no_number_has_no_class(value: float) -> None:
    assert assess(WOMAN, [spine("L1", value), hip("femur_left", value, value)], []).findings == ()


@pytest.mark.parametrize("level", ["T11", "L4", "L5", "T4", "C7", "S1"])
def test_other_levels_do_not_count(level: str) -> None:
    assert assess(WOMAN, [spine(level, 40.0)], []).category is None
    assert only(assess(WOMAN, [spine(level, 40.0), spine("L2", 130.0)], []), "trabecular_vbmd").value == 130.0


def test_other_densities_do_not_count() -> None:
    integral = BoneMeasures("L1", {"integral_vbmd": Measure(60.0, "mg/cm3 K2HPO4", "body")}, {}, STEP)
    assert assess(WOMAN, [integral], []).findings == ()


def test_a_wrong_unit_is_an_error() -> None:
    wrong = BoneMeasures("femur_left", {"total_hip_abmd": Measure(850.0, "mg/cm3 K2HPO4", "box")}, {}, STEP)
    with pytest.raises(SettingsError, match="thresholds have units"):
        assess(WOMAN, [wrong], [])
    with pytest.raises(SettingsError, match="thresholds have units"):
        assess(WOMAN, [spine("L1", 0.08, unit="g/cm3")], [])


# Every row, both sides -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "vbmd, category",
    [
        (0.0, "osteoporosis"), (79.0, "osteoporosis"), (80.0, "osteoporosis"), (80.4, "osteoporosis"), (80.6, "low bone mass"),
        (81.0, "low bone mass"), (119.0, "low bone mass"), (119.4, "low bone mass"), (119.6, "normal"), (120.0, "normal"),
        (121.0, "normal"), (250.0, "normal"), (-12.0, "osteoporosis"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sex", ["F", "M"])
def test_spine_classes(vbmd: float, category: str, sex: Any) -> None:
    result = assess(Patient(sex=sex, age=65.0), [spine("L1", vbmd), spine("L2", vbmd)], [])
    finding = only(result, "trabecular_vbmd")
    assert finding.category == result.category == category
    assert finding.thresholds == (80.0, 120.0) and finding.value == round(vbmd)
    assert "Keaveny" in finding.reference.text and finding.reference.mark == "seen"


def test_spine_is_the_mean_of_its_levels() -> None:
    levels = [spine("L3", 90.0), spine("T12", 60.0), spine("L1", 70.0), spine("L4", 500.0), spine("L2", 80.0)]
    finding = only(assess(WOMAN, levels, []), "trabecular_vbmd")
    assert finding.value == 75.0 and finding.bone == "T12, L1, L2, L3"


def at_t(score: float, mean: float, sd: float) -> float:
    return mean + score * sd


@pytest.mark.parametrize(
    "score, category",
    [
        (-4.0, "osteoporosis"), (-2.6, "osteoporosis"), (-2.5, "osteoporosis"), (-2.46, "osteoporosis"), (-2.44, "low bone mass"),
        (-2.4, "low bone mass"), (-1.1, "low bone mass"), (-1.06, "low bone mass"), (-1.04, "normal"), (-1.0, "normal"),
        (0.0, "normal"), (2.0, "normal"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sex", ["F", "M"])
def test_hip_classes(score: float, category: str, sex: Any) -> None:
    patient = Patient(sex=sex, age=65.0)
    neck = assess(patient, [hip(neck=at_t(score, 0.858, 0.120))], [])
    total = assess(patient, [hip(total=at_t(score, 0.942, 0.122))], [])
    for result in (neck, total):
        assert result.category == category
        assert result.findings[0].t_score == pytest.approx(round(score, 1), abs=1e-9)
        assert result.findings[0].thresholds == (-2.5, -1.0)
        assert any("not compared with DXA" in caution for caution in result.step.cautions)
        assert "not compared with DXA" in result.findings[0].against


@pytest.mark.parametrize("hip_score, vbmd", list(itertools.product([-3.0, -1.8, 0.0], [60.0, 100.0, 150.0])))
def test_the_worse_of_hip_and_spine_decides(hip_score: float, vbmd: float) -> None:
    result = assess(WOMAN, [hip(neck=at_t(hip_score, 0.858, 0.12), total=1.0), spine("L1", vbmd), spine("L2", vbmd)], [])
    ranks = [{-3.0: 0, -1.8: 1, 0.0: 2}[hip_score], {60.0: 0, 100.0: 1, 150.0: 2}[vbmd]]
    assert result.category == CLASSES[min(ranks)]
    assert ("T-score" in result.reason) == (ranks[0] <= ranks[1]) and "not measured" not in result.reason


def test_the_lowest_t_score_of_all_femora_decides() -> None:
    result = assess(WOMAN, [hip("femur_left", 0.9, 0.9), hip("femur_right", 0.9, 0.60)], [])
    assert result.category == "osteoporosis"
    assert result.reason == "lowest T-score -2.8 (right total hip); the spine was not measured"
    assert assess(WOMAN, [spine("L1", 150.0)], []).reason.endswith("the hip was not measured")


@pytest.mark.parametrize(
    "bone, sex, thresholds",
    [
        ("L1", "F", (4500.0, 6000.0)), ("L1", "M", (6500.0, 8500.0)), ("T12", "F", (4500.0, 6000.0)), ("L3", "M", (6500.0, 8500.0)),
        ("femur_left", "F", (3000.0, 4000.0)), ("femur_right", "M", (3500.0, 5000.0)),
        ("L4", "F", ()), ("T11", "M", ()), ("L1", None, ()), ("femur_left", None, ()),
    ],
)  # fmt: skip
def test_strength_stands_beside_its_thresholds(bone: str, sex: Any, thresholds: tuple[float, ...]) -> None:
    finding = only(assess(Patient(sex=sex, age=70.0), [], [strength(bone, 3456.0)]), "strength")
    assert finding.thresholds == thresholds and finding.unit == "N" and finding.value == 3460.0
    assert (", 0" not in finding.against) and (finding.against.startswith("no thresholds") == (thresholds == ()))


# Doubts --------------------------------------------------------------------------------------------------------


def test_one_level_is_said() -> None:
    assert any("L2 alone" in caution for caution in assess(WOMAN, [spine("L2", 100.0)], []).step.cautions)
    assert not any("alone" in caution for caution in assess(WOMAN, [spine("L1", 100.0), spine("L2", 100.0)], []).step.cautions)


@pytest.mark.parametrize(
    "vbmd, sd, classes",
    [
        (100.0, 18.0, "osteoporosis or low bone mass or normal"), (100.0, 9.0, None), (85.0, 5.0, "osteoporosis or low bone mass"),
        (150.0, 18.0, "low bone mass or normal"), (150.0, 12.0, None), (40.0, 18.0, None),
    ],
)  # fmt: skip
def test_an_interval_across_a_threshold_is_said(vbmd: float, sd: float, classes: str | None) -> None:
    result = assess(WOMAN, [spine("L1", vbmd, sd), spine("L2", vbmd, sd)], [])
    said = [caution for caution in result.step.cautions if "its class could be" in caution]
    assert bool(said) == (classes is not None) and (classes is None or classes + "." in said[0])


@pytest.mark.parametrize(
    "score, sd, classes",
    [
        (-2.4, 0.012, "between -2.6 and -2.2 (95 %): its class could be osteoporosis or low bone mass"),
        (-1.1, 0.012, "between -1.3 and -0.9 (95 %): its class could be low bone mass or normal"),
        (-1.8, 0.060, "between -2.8 and -0.8 (95 %): its class could be osteoporosis or low bone mass or normal"),
        (-1.8, 0.030, None), (-3.5, 0.030, None), (0.0, 0.030, None), (-2.4, 0.0, None), (-2.4, None, None), (-2.4, math.nan, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_spine", [False, True])
def test_an_interval_of_the_hip_across_a_threshold_is_said(
    score: float, sd: float | None, classes: str | None, with_spine: bool
) -> None:
    bones = [hip(neck=at_t(score, 0.858, 0.120), uncertainty=sd)]
    result = assess(WOMAN, [*bones, spine("L1", 100.0, 1.0), spine("L2", 100.0, 1.0)] if with_spine else bones, [])
    said = [caution for caution in result.step.cautions if "its class could be" in caution]
    assert said == ([] if classes is None else [f"The calibration leaves the lowest hip T-score {classes}."])


def test_the_lowest_site_decides_at_both_ends_of_the_interval() -> None:
    """The neck moves by 0.2 T, the total hip by 1 T: at the lower end another site is the lowest."""
    neck, total = (
        hip("femur_left", neck=at_t(-2.0, 0.858, 0.120), uncertainty=0.012),
        hip("femur_right", total=at_t(-1.7, 0.942, 0.122), uncertainty=0.061),
    )
    (said,) = [caution for caution in assess(WOMAN, [neck, total], []).step.cautions if "its class could be" in caution]
    assert "between -2.7 and -1.8 (95 %): its class could be osteoporosis or low bone mass." in said


def test_a_t_score_carries_the_deviation_of_its_density() -> None:
    """A deviation of 0.06 g/cm² is half of the 0.12 g/cm² that young women differ by."""
    woman = Patient(sex="F", age=70.0)
    known = only(assess(woman, [hip(neck=0.6, uncertainty=0.06)], []), "femoral_neck_abmd")
    assert known.t_score is not None and known.t_score_sd == pytest.approx(0.5)
    assert only(assess(woman, [hip(neck=0.6)], []), "femoral_neck_abmd").t_score_sd is None
    assert only(assess(Patient(), [hip(neck=0.6, uncertainty=0.06)], []), "femoral_neck_abmd").t_score_sd is None


def test_unknown_uncertainty_gives_no_interval() -> None:
    for unknown in (None, math.nan):
        result = assess(WOMAN, [spine("L1", 80.0, unknown), spine("L2", 80.0, 3.0)], [])
        assert not any("could be" in caution for caution in result.step.cautions)


def test_the_other_mineral_is_said() -> None:
    result = assess(WOMAN, [spine("L1", 85.0, unit="mg/cm3 CHA"), spine("L2", 85.0, unit="mg/cm3 CHA")], [])
    assert any("CHA" in caution and "13 %" in caution for caution in result.step.cautions)


# Load ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight, height, force", [(60.0, 160.0, 4742.0), (75.0, 175.0, 5544.0), (85.0, 178.0, 5953.0)])
def test_fall_force_agrees_with_worked_examples(weight: float, height: float, force: float) -> None:
    patient = Patient(height_cm=height, weight_kg=weight)
    result = assess(patient, [], [strength("femur_left", 2500.0), strength("femur_right", 5000.0), strength("L1", 4000.0)])
    assert result.load == pytest.approx(force, abs=1.0)
    assert result.load_to_strength == pytest.approx({"femur_left": force / 2500.0, "femur_right": force / 5000.0}, rel=1e-3)
    assert any("not checked against its papers" in caution for caution in result.step.cautions)
    marks = {reference.mark for reference in result.step.references if "Kroonenberg" in reference.text}
    assert marks == {"recalled"}


@pytest.mark.parametrize(
    "size",
    [
        {}, {"height_cm": 160.0}, {"weight_kg": 60.0}, {"height_cm": 1.6, "weight_kg": 60.0}, {"height_cm": 0.0, "weight_kg": 0.0},
        {"height_cm": math.nan, "weight_kg": 60.0}, {"height_cm": 160.0, "weight_kg": -60.0}, {"height_cm": 160.0, "weight_kg": 6000.0},
        {"height_cm": 120.0, "weight_kg": 30.0, "age": 9.0},
    ],
)  # fmt: skip
def test_no_load_without_a_person_of_known_size(size: dict[str, float]) -> None:
    result = assess(Patient(**size), [], [strength("femur_left", 3000.0)])
    assert result.load is None and result.load_to_strength == {}
    complete = {"height_cm", "weight_kg"} <= set(size) and "age" not in size
    assert any("No fall force" in caution for caution in result.step.cautions) == complete


@pytest.mark.parametrize("newton", [0.0, -5.0, math.nan, math.inf])
def test_no_ratio_over_a_strength_that_is_none(newton: float) -> None:
    result = assess(WOMAN, [], [strength("femur_left", newton)])
    assert result.load is not None and result.load_to_strength == {}


def test_no_ratio_for_a_vertebra() -> None:
    assert assess(WOMAN, [], [strength("L1", 3000.0)]).load_to_strength == {}


# The table -----------------------------------------------------------------------------------------------------


def entries(table: dict[str, Any]) -> list[dict[str, Any]]:
    own = [table] if any(not isinstance(value, dict) for value in table.values()) else []
    return own + [entry for value in table.values() if isinstance(value, dict) for entry in entries(value)]


def test_every_number_has_a_source_and_a_mark() -> None:
    assert len(entries(TABLE)) == 9
    for entry in entries(TABLE):
        assert len(entry["source"]) > 20, entry
        assert entry["mark"] in ("seen", "code", "computed", "recalled", "design"), entry
        for value in entry.values():
            if isinstance(value, list) and all(isinstance(number, float) for number in value):
                assert value == sorted(value), entry


def test_every_finding_and_step_names_its_source() -> None:
    result = assess(WOMAN, [*EVERYTHING[0], hip("femur_left", 0.8, 0.9)], EVERYTHING[1])
    sources = {(entry["source"], entry["mark"]) for entry in entries(TABLE)}
    for reference in (*(finding.reference for finding in result.findings), *result.step.references):
        assert (reference.text, reference.mark) in sources
    assert len(set(result.step.references)) == len(result.step.references)
