"""Classes, T-scores, strength beside its thresholds, load in a fall: every row of the table, and every way to cheat it."""

from __future__ import annotations

import itertools
import math
import tomllib
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest

from openbct.assessment import CLASSES, RISKS, DxaLine, Standards, assess, profile_names
from openbct.assessment.norms import populations
from openbct.assessment.rules import rule_for
from openbct.errors import SettingsError
from openbct.records import (
    Assessment,
    BoneMeasures,
    ErrorBudget,
    ErrorPart,
    Finding,
    FractureAssessment,
    Measure,
    Patient,
    Step,
    StrengthResult,
    VertebraGrade,
)
from openbct.strength_reference import MappedThresholds, StrengthReference

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
        assess(WOMAN, *EVERYTHING, standards=Standards(scale=scale))


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


# Every row of the table of classes -----------------------------------------------------------------------------

ROWS = [
    ("hip_t_score", "F", -2.5, -1.0), ("hip_t_score", "M", -2.5, -1.0), ("spine_vbmd", "F", 80.0, 120.0), ("spine_vbmd", "M", 80.0, 120.0),
    ("femoral_strength", "F", 3000.0, 4000.0), ("femoral_strength", "M", 3500.0, 5000.0),
    ("vertebral_strength", "F", 4500.0, 6000.0), ("vertebral_strength", "M", 6500.0, 8500.0),
]  # fmt: skip
"""As printed in the source, typed here a second time."""


@pytest.mark.parametrize("measure, sex, low, high", ROWS)
def test_every_row_of_the_classes(measure: str, sex: str, low: float, high: float) -> None:
    rule = rule_for(measure, sex)
    assert rule is not None and rule.cuts == (low, high)
    worst, middle, best = rule.classes
    assert rule.classify(low) == worst and rule.classify(high) == best
    assert rule.classify(low + 1e-6) == rule.classify(high - 1e-6) == middle
    words = ("osteoporosis", "low bone mass", "normal")
    assert rule.classes == (
        words if "strength" not in measure else ("fragile bone strength", "low bone strength", "normal bone strength")
    )


def test_the_rows_that_are_tested_are_those_of_the_table() -> None:
    assert {(row["measure"], sex) for row in TABLE["class"] for sex in row["sex"]} == {row[:2] for row in ROWS}
    assert len({(row["measure"], sex) for row in TABLE["class"] for sex in row["sex"]}) == sum(
        len(row["sex"]) for row in TABLE["class"]
    )
    for measure in ("femoral_strength", "vertebral_strength"):
        assert rule_for(measure, None) is None, "a strength of unknown sex has no thresholds"


def test_a_profile_takes_the_place_of_its_rows_alone() -> None:
    assert profile_names() == ("default", "east-asian-women")
    own, usual = rule_for("spine_vbmd", "F", "east-asian-women"), rule_for("spine_vbmd", "F")
    assert own is not None and usual is not None and own.cuts == (45.0, 120.0) and own.reference.mark == "seen"
    for measure, sex, low, high in ROWS:
        if (measure, sex) != ("spine_vbmd", "F"):
            rule = rule_for(measure, sex, "east-asian-women")
            assert rule is not None and rule.cuts == (low, high)
    with pytest.raises(SettingsError, match="found the profile 'nowhere'"):
        rule_for("spine_vbmd", "F", "nowhere")


def test_a_profile_changes_the_class_and_says_so() -> None:
    bones = [spine("L1", 60.0), spine("L2", 60.0)]
    usual, other = (assess(WOMAN, bones, [], standards=Standards(profile=name)) for name in profile_names())
    assert (usual.category, other.category) == ("osteoporosis", "low bone mass")
    assert "profile east-asian-women" in only(other, "trabecular_vbmd").against
    man = Patient(sex="M", age=70.0)
    assert assess(man, bones, [], standards=Standards(profile="east-asian-women")).category == "osteoporosis"


# The combined class --------------------------------------------------------------------------------------------


def reference(protocol: str = "default 1", **sites: tuple[float, float]) -> StrengthReference:
    """A mapped scale, for women unless a key says otherwise: ``femur=(2000.0, 3000.0)``."""
    rows = []
    for key, (fragile, normal) in sites.items():
        site, _, sex = key.partition("_")
        ends = ((fragile - 50.0, fragile + 50.0), (normal - 50.0, normal + 50.0))
        place: Any = site
        person: Any = sex or "F"
        rows.append(MappedThresholds(place, person, fragile, ends[0], normal, ends[1], 200, 0.5, 400.0))
    return StrengthReference(protocol, {}, "phantomless, K2HPO4", "0.1.0", "people of a test", tuple(rows))


MAPPED = Standards(reference=reference(femur=(2000.0, 3000.0), vertebra=(3500.0, 5000.0)))
HIPS = {0: 0.5, 1: 0.65, 2: 0.9}
SPINES = {0: 60.0, 1: 100.0, 2: 150.0}
FEMORA = {0: 1500.0, 1: 2500.0, 2: 4000.0}
VERTEBRAE = {0: 3000.0, 1: 4000.0, 2: 6000.0}


@pytest.mark.parametrize("ranks", list(itertools.product((0, 1, 2, None), repeat=4)))
def test_the_combined_class_is_the_published_rule(ranks: tuple[int | None, ...]) -> None:
    """High if anything is in its worst class; not increased only if all that was measured is in its best; else increased."""
    hip_rank, spine_rank, femur_rank, vertebra_rank = ranks
    measures = [] if hip_rank is None else [hip(neck=HIPS[hip_rank], total=1.0)]
    measures += [] if spine_rank is None else [spine("L1", SPINES[spine_rank]), spine("L2", SPINES[spine_rank])]
    strengths = [] if femur_rank is None else [strength("femur_left", FEMORA[femur_rank])]
    strengths += (
        [] if vertebra_rank is None else [strength("L1", VERTEBRAE[vertebra_rank]), strength("L2", VERTEBRAE[vertebra_rank])]
    )
    result = assess(WOMAN, measures, strengths, standards=MAPPED)
    known = [rank for rank in ranks if rank is not None]
    assert result.risk == (None if not known else RISKS[min(known)])
    assert TABLE["combined"]["rows"][0][0] == "high" and [row[0] for row in TABLE["combined"]["rows"]] == [
        "high",
        "not increased",
        "increased",
    ]
    density = [rank for rank in ranks[:2] if rank is not None]
    assert result.category == (None if not density else CLASSES[min(density)])
    if known and not density:
        assert "by strength alone, without a class of density" in result.risk_reason
    if density and ranks[2:] == (None, None):
        assert "by density alone, without a class of strength" in result.risk_reason


def fractured(**grades: int) -> FractureAssessment:
    found = [
        VertebraGrade(level, {}, {}, {}, {}, 0.1 * grade, 0.02, grade, "wedge" if grade else None, (0, 0, 0, 0), {})
        for level, grade in grades.items()
    ]
    return FractureAssessment(tuple(found), {}, {}, None, STEP)


@pytest.mark.parametrize("grade", range(4))
@pytest.mark.parametrize("rank", [0, 1, 2, None])
def test_a_moderate_fracture_beside_low_bone_mass_is_high_risk(rank: int | None, grade: int) -> None:
    """The row of the table for fractures: it raises low bone mass alone; normal and unmeasured density stay, and it is said."""
    row = TABLE["combined"]["fracture"]
    assert (row["least_grade"], row["beside"], row["risk"], row["mark"]) == (2, "low bone mass", "high", "seen")
    measures = [] if rank is None else [hip(neck=HIPS[rank], total=1.0)]
    plain, found = (assess(WOMAN, measures, [], fractures=one) for one in (None, fractured(T9=0, L1=grade)))
    assert found.category == plain.category and found.findings == plain.findings, "a fracture changes no class of density"
    raised = rank == 1 and grade >= 2
    assert found.risk == ("high" if raised else plain.risk)
    assert ("without it increased" in found.risk_reason) == raised
    assert any("holds only where a physician confirms" in caution for caution in found.step.cautions) == raised
    told = any("takes no part in the combined class" in caution for caution in found.step.cautions)
    assert told == (grade >= 2 and rank in (2, None))
    assert any("Siris" in reference.text for reference in found.step.references) == raised


def test_a_fracture_gives_no_class_to_whom_none_may_be_given() -> None:
    for patient, _ in INELIGIBLE:
        found = assess(patient, [hip(neck=HIPS[1], total=1.0)], [], fractures=fractured(L1=3))
        assert found.risk is None and not any("combined class" in caution for caution in found.step.cautions)


# A class of strength needs a mapped scale ----------------------------------------------------------------------


@pytest.mark.parametrize("newton", [0.0, 1.0, 500.0, 1999.0, 4499.0, 8000.0, 1e5])
@pytest.mark.parametrize("sex", ["F", "M", None])
@pytest.mark.parametrize("age", [None, 12.0, 49.9, 50.0, 80.0])
def test_a_provisional_scale_never_gives_a_class_nor_a_share(newton: float, sex: Any, age: float | None) -> None:
    patient = Patient(sex=sex, age=age, height_cm=165.0, weight_kg=65.0, dxa_t={"total_hip": -3.0})
    bones = ["T12", "L1", "L2", "L3", "L4", "femur_left", "femur_right"]
    strong = [hip(neck=0.9, total=1.0), spine("L1", 150.0), spine("L2", 150.0)]
    for profile in profile_names():
        for mapped in (None, reference(femur_M=(2000.0, 3000.0)) if sex == "F" else reference(femur=(2000.0, 3000.0))):
            standards = Standards(profile=profile, reference=mapped)
            result = assess(patient, strong, [strength(bone, newton) for bone in bones], standards=standards)
            assert all(f.category is None for f in result.findings if f.quantity == "strength")
            assert result.risk in (None, "not increased"), "density is normal; strength has no share"
            words = " ".join([result.reason, result.risk_reason, *result.beside_dxa])
            assert "fragile" not in words and "bone strength" not in words


def test_a_mapped_scale_gives_classes_on_its_own_thresholds() -> None:
    femora = [strength("femur_left", 2004.0), strength("femur_right", 2996.0)]
    left, right = assess(WOMAN, [], femora, standards=MAPPED).findings
    assert (left.category, right.category) == ("fragile bone strength", "normal bone strength"), (
        "classes of the numbers as printed"
    )
    assert left.thresholds == (2000.0, 3000.0) and left.reference.mark == "computed" and "people of a test" in left.against


def test_the_spine_s_strength_is_classed_by_its_mean() -> None:
    levels = [strength("L1", 3000.0), strength("L2", 4000.0), strength("L4", 200.0)]
    result = assess(WOMAN, [], levels, standards=MAPPED)
    named = {finding.bone: finding for finding in result.findings}
    assert named["L1, L2"].value == 3500.0 and named["L1, L2"].category == "fragile bone strength"
    assert all(named[level].category is None for level in ("L1", "L2", "L4"))
    alone = assess(WOMAN, [], levels[:1], standards=MAPPED)
    assert alone.findings[0].category == "fragile bone strength"


@pytest.mark.parametrize("patient, words", INELIGIBLE)
def test_a_mapped_scale_gives_no_class_without_a_right_to_one(patient: Patient, words: str) -> None:
    result = assess(patient, *EVERYTHING, standards=MAPPED)
    assert result.category is result.risk is None
    assert all(finding.category is None for finding in result.findings)


def test_a_strength_within_the_interval_of_a_threshold_is_said() -> None:
    near, far = (assess(WOMAN, [], [strength("femur_left", newton)], standards=MAPPED) for newton in (2040.0, 2500.0))
    assert any("within the 95 % interval of a threshold" in caution for caution in near.step.cautions)
    assert not any("within the 95 % interval" in caution for caution in far.step.cautions)


# Levels that do not stand for the spine ------------------------------------------------------------------------


def test_an_unfit_level_leaves_both_means_with_its_reason() -> None:
    bones = [spine("L1", 60.0), spine("L2", 100.0), spine("L3", 110.0)]
    tests = [strength("L1", 1000.0), strength("L2", 5000.0), strength("L3", 5200.0)]
    result = assess(WOMAN, bones, tests, standards=MAPPED, unfit={"L1": "a crush fracture", "T9": "not measured at all"})
    assert only(result, "trabecular_vbmd").bone == "L2, L3" and only(result, "trabecular_vbmd").value == 105.0
    means = [finding for finding in result.findings if finding.bone == "L2, L3" and finding.quantity == "strength"]
    assert means[0].value == 5100.0 and result.left_out == {"L1": "a crush fracture"}
    assert any(
        "L1 was left out of the spine's means, which are of L2, L3: a crush fracture" in text for text in result.step.cautions
    )
    (own,) = [finding for finding in result.findings if finding.bone == "L1" and finding.quantity == "strength"]
    assert own.category is None
    nothing = assess(WOMAN, bones[:1], [], unfit={"L1": "cement"})
    assert nothing.category is None and any("of no level at all" in text for text in nothing.step.cautions)


# DXA beside it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dxa, neck, newton, words",
    [
        (-1.2, 0.9, 1500.0, "Found by CT and missed by DXA: fragile bone strength (1500 N, left femur). DXA alone would have said low bone mass."),
        (-1.9, 0.5, 4000.0, "Found by CT and missed by DXA: lowest T-score -3.0 (left femoral neck). DXA alone would have said low bone mass."),
        (-2.7, 0.9, 4000.0, "Found by DXA and missed by CT: osteoporosis."),
        (-2.7, 0.5, 1500.0, "CT and DXA agree: both find a worst class."),
        (0.3, 0.9, 4000.0, "CT and DXA agree: neither finds a worst class."),
    ],
)  # fmt: skip
def test_what_ct_and_dxa_say_of_each_other(dxa: float, neck: float, newton: float, words: str) -> None:
    patient = Patient(sex="F", age=70.0, dxa_t={"lumbar_spine": dxa})
    said = assess(patient, [hip(neck=neck, total=1.0)], [strength("femur_left", newton)], standards=MAPPED).beside_dxa
    assert said[0].startswith(f"DXA (T-scores as given): lumbar spine {dxa:.1f}") and any(
        text.startswith(words) for text in said[1:]
    )
    assert len(said) == 2


def test_dxa_is_compared_with_nobody_who_may_have_no_class() -> None:
    (said,) = assess(Patient(sex="F", age=40.0, dxa_t={"total_hip": -3.0}), *EVERYTHING).beside_dxa
    assert "not compared (the age used is 40" in said and "osteoporosis" not in said
    assert assess(WOMAN, *EVERYTHING).beside_dxa == ()


@pytest.mark.parametrize("dxa, told", [(-0.7, False), (-0.9, False), (-1.0, True), (0.9, False), (1.0, True)])
def test_a_site_where_dxa_and_ct_lie_far_apart_is_doubted(dxa: float, told: bool) -> None:
    patient = Patient(sex="F", age=70.0, dxa_t={"femoral_neck": dxa})
    cautions = assess(patient, [hip(neck=0.858)], []).step.cautions
    assert any("farther apart than 0.9" in caution for caution in cautions) == told


def test_a_line_to_dxa_moves_the_t_score_and_is_named() -> None:
    line = {"femoral_neck_abmd": DxaLine(1.0, 0.06, "40 patients of this site")}
    plain, moved = (assess(WOMAN, [hip(neck=0.606)], [], standards=Standards(dxa_lines=lines)) for lines in ({}, line))
    assert (plain.findings[0].t_score, moved.findings[0].t_score) == (-2.1, -1.6)  # 0.06 g/cm² is half a deviation of 0.12
    assert plain.findings[0].value == moved.findings[0].value, "the density by CT stays"
    assert "40 patients of this site" in moved.findings[0].against
    assert "not compared with DXA" not in " ".join([moved.findings[0].against, *moved.step.cautions])
    assert any("not compared with DXA" in caution for caution in plain.step.cautions)


# Z-scores ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sex, age, population, value, z",
    [
        ("F", 67.0, "white", 104.0, 0.0), ("F", 45.0, "chinese", 112.0, -1.0), ("M", 85.9, "black", 107.0, 1.0),
        ("M", 60.0, "hispanic", 91.0, -1.0), ("F", 44.9, "white", 100.0, None), ("F", 86.0, "white", 100.0, None), (None, 67.0, "white", 100.0, None),
        ("F", None, "white", 100.0, None), ("F", 67.0, None, 100.0, None),
    ],
)  # fmt: skip
def test_z_scores_come_from_the_table_and_from_nowhere_else(
    sex: Any, age: Any, population: Any, value: float, z: float | None
) -> None:
    result = assess(Patient(sex=sex, age=age), [spine("L1", value)], [], standards=Standards(population=population))
    assert only(result, "trabecular_vbmd").z_score == z
    assert any("MESA" in reference.text for reference in result.step.references) == (z is not None)


@pytest.mark.parametrize(
    "sex, age, population, neck, total",
    [
        ("F", 72.0, "white", 0.0, None), ("F", 25.0, "white", -2.0, -2.6), ("F", 69.9, "white", -0.5, -1.3), ("F", 95.0, "black", -0.1, None),
        ("F", 55.0, "hispanic", -1.2, None), ("F", 72.0, "chinese", None, None), ("M", 72.0, "white", None, None), ("F", 19.0, "white", None, None),
        ("F", 72.0, None, None, None), ("F", None, "white", None, None), (None, 72.0, "white", None, None),
    ],
)  # fmt: skip
def test_z_scores_of_the_hip_are_those_of_the_rows_that_were_seen(
    sex: Any, age: Any, population: Any, neck: float | None, total: float | None
) -> None:
    """0.619 g/cm² of a neck and 0.619 of a total hip; the means and deviations are typed into the answers a second time."""
    result = assess(Patient(sex=sex, age=age), [hip(neck=0.619, total=0.619)], [], standards=Standards(population=population))
    assert (only(result, "femoral_neck_abmd").z_score, only(result, "total_hip_abmd").z_score) == (neck, total)


def test_norms_of_the_hip_have_a_row_for_each_age_and_a_source() -> None:
    norms = tomllib.loads(resources.files("openbct").joinpath("data", "norms_hip.toml").read_text(encoding="utf-8"))
    for quantity, table in norms.items():
        assert table["source"].startswith("Looker AC") and table["mark"] in ("code", "computed"), quantity
        assert set(table) == {"ages", "source", "mark", "F"}
        for population, norm in table["F"].items():
            assert population in populations()
            assert len(norm["mean"]) == len(norm["sd"]) == len(table["ages"]) - 1
        # The youngest white women are those of the T-score.
        young = TABLE["hip"]["young_reference"][quantity]
        assert (table["F"]["white"]["mean"][0], table["F"]["white"]["sd"][0]) == (young["mean_g_cm2"], young["sd_g_cm2"])


def test_there_are_no_other_populations() -> None:
    assert populations() == ("white", "chinese", "black", "hispanic")
    with pytest.raises(SettingsError, match="found the population 'martian'"):
        assess(WOMAN, [spine("L1", 100.0)], [], standards=Standards(population="martian"))
    norms = tomllib.loads(resources.files("openbct").joinpath("data", "norms_spine.toml").read_text(encoding="utf-8"))
    for sex in "FM":
        for norm in norms[sex].values():
            assert len(norm["mean"]) == len(norm["sd"]) == len(norms["ages"]) - 1


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
    assert bool(said) == (classes is not None) and (classes is None or f"could be {classes} (chances of " in said[0])


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
    assert len(said) == (classes is not None)
    assert all(caution.startswith(f"Uncertainty leaves the lowest hip T-score {classes} (chances of ") for caution in said)


def test_the_lowest_site_decides_at_both_ends_of_the_interval() -> None:
    """The neck moves by 0.2 T, the total hip by 1 T: at the lower end another site is the lowest."""
    neck, total = (
        hip("femur_left", neck=at_t(-2.0, 0.858, 0.120), uncertainty=0.012),
        hip("femur_right", total=at_t(-1.7, 0.942, 0.122), uncertainty=0.061),
    )
    (said,) = [caution for caution in assess(WOMAN, [neck, total], []).step.cautions if "its class could be" in caution]
    assert "between -2.7 and -1.8 (95 %): its class could be osteoporosis or low bone mass (chances of " in said


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


def budget(value: float, sd: float, calibration: float | None = 1.0) -> ErrorBudget:
    parts = () if calibration is None else (ErrorPart("calibration", calibration, 0.0),)
    return ErrorBudget(value, "x", sd, sd, (0.0, 0.0), parts, () if parts else ("calibration",))


def test_a_class_is_printed_with_the_chance_that_it_is_another() -> None:
    """One deviation below -2.5 + 1: osteoporosis with the 16 % of a normal distribution below -1."""
    bones = [hip(neck=at_t(-2.0, 0.858, 0.120), uncertainty=0.06)]
    result = assess(WOMAN, bones, [])
    finding = only(result, "femoral_neck_abmd")
    assert finding.interval == pytest.approx((finding.value - 1.96 * 0.06, finding.value + 1.96 * 0.06))
    assert finding.chances["osteoporosis"] == pytest.approx(0.159, abs=0.005)
    assert sum(finding.chances.values()) == pytest.approx(1.0) and result.chances == finding.chances
    assert assess(WOMAN, [hip(neck=0.6)], []).chances == {}  # not known: no chance is made up
    assert assess(Patient(), bones, []).chances == {} and only(assess(Patient(), bones, []), "femoral_neck_abmd").chances == {}


def test_the_chance_of_the_case_is_that_of_its_worst_site() -> None:
    """Hip half a deviation above the cut, spine two above its own: moved together, the hip alone decides."""
    bones = [hip(neck=at_t(-2.25, 0.858, 0.120), uncertainty=0.06), spine("L1", 100.0, 10.0), spine("L2", 100.0, 10.0)]
    result = assess(WOMAN, bones, [])
    assert result.chances["osteoporosis"] == pytest.approx(0.31, abs=0.02)


def test_budgets_take_the_place_of_the_calibration_alone() -> None:
    bones = [hip(neck=0.6, uncertainty=0.01), spine("L1", 100.0, 6.0), spine("L2", 100.0, 6.0)]
    budgets = {
        "femur_left": {"femoral_neck_abmd": budget(0.6, 0.03)},
        "L1": {"trabecular_vbmd": budget(100.0, 10.0)},
        "L2": {"trabecular_vbmd": budget(100.0, 10.0)},
    }
    result = assess(WOMAN, bones, [], budgets=budgets)
    assert only(result, "femoral_neck_abmd").t_score_sd == pytest.approx(0.03 / 0.12)
    found = only(result, "trabecular_vbmd").interval
    # 6 is common to both levels, 8 is each one's own
    assert found is not None and found[1] - found[0] == pytest.approx(2 * 1.96 * math.hypot(6.0, 8.0 / math.sqrt(2)))
    blind = assess(WOMAN, bones, [], budgets={"femur_left": {"femoral_neck_abmd": budget(0.6, 0.03, None)}})
    assert only(blind, "femoral_neck_abmd").interval is None


def test_a_ratio_has_the_interval_of_its_strength() -> None:
    patient = Patient(height_cm=160.0, weight_kg=60.0)
    sure = replace(strength("femur_left", 2500.0), uncertainty=500.0)
    result = assess(patient, [], [sure, strength("femur_right", 2500.0)])
    low, high = result.ratio_intervals["femur_left"]
    ratio = result.load_to_strength["femur_left"]
    assert high / ratio == pytest.approx(math.exp(1.96 * 0.2)) and ratio / low == pytest.approx(high / ratio)
    assert "femur_right" not in result.ratio_intervals
    intervals = {finding.bone: finding.interval for finding in result.findings}
    assert intervals["femur_left"] == pytest.approx((2500 - 980, 2500 + 980)) and intervals["femur_right"] is None


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
    assert any("not verified in its papers" in caution for caution in result.step.cautions)
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


def with_tissue(bone: str, millimetres: float) -> BoneMeasures:
    return BoneMeasures(bone, {"trochanteric_soft_tissue": Measure(millimetres, "mm", "ray")}, {}, STEP)


def test_soft_tissue_is_taken_off_the_fall_as_in_standing() -> None:
    """60 kg at 1.60 m: 4742 N; 51.6 mm lying on the back are 40 mm standing, 71 N for each: 2840 N less."""
    tests = [strength("femur_left", 2000.0), strength("femur_right", 2000.0)]
    result = assess(WOMAN, [with_tissue("femur_left", 51.6)], tests)
    assert result.hip_loads == pytest.approx({"femur_left": 4742.0 - 2840.0}, abs=1.0)
    assert result.load_to_strength == pytest.approx({"femur_left": 1902.0 / 2000.0, "femur_right": 4742.0 / 2000.0}, rel=1e-3)
    assert "less what the soft tissue seen over the hip takes off it" in result.step.sentence
    assert any("71 N" in reference.text and reference.mark == "recalled" for reference in result.step.references)


@pytest.mark.parametrize("millimetres, load", [(0.0, 4742.0), (500.0, 1000.0), (math.nan, None), (-3.0, None)])
def test_soft_tissue_has_a_floor_and_needs_a_number(millimetres: float, load: float | None) -> None:
    result = assess(WOMAN, [with_tissue("femur_left", millimetres)], [strength("femur_left", 2000.0)])
    assert result.hip_loads.get("femur_left") == (None if load is None else pytest.approx(load, abs=1.0))


def test_spine_loads_agree_with_a_worked_example() -> None:
    """65 kg at 1.60 m, bent by 90 degrees with 10 kg: 2.06 kN by the same balance of moments done by hand; 85 kg at 1.78 m: 2.74 kN."""
    for weight, height, newton in ((65.0, 160.0, 2060.0), (85.0, 178.0, 2740.0)):
        loads = assess(Patient(sex="F", age=70.0, height_cm=height, weight_kg=weight), [], [strength("L1", 4000.0)]).spine_loads
        assert loads["lifting"] == pytest.approx(newton, rel=0.01)
        assert (
            loads["standing"] == pytest.approx(0.53 * weight * 9.81) and loads["standing"] < loads["bending"] < loads["lifting"]
        )
    assert assess(WOMAN, [], [strength("femur_left", 4000.0)]).spine_loads == {}
    assert assess(Patient(sex="F", age=70.0), [], [strength("L1", 4000.0)]).spine_loads == {}


# The table -----------------------------------------------------------------------------------------------------


def entries(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Every entry of the table, rows of classes among them."""
    nested = [value for value in table.values() if isinstance(value, dict)]
    nested += [row for key, rows in table.items() if key == "class" for row in rows]
    own = [table] if any(not isinstance(value, dict) for key, value in table.items() if key != "class") else []
    return own + [entry for value in nested for entry in entries(value)]


def test_every_number_has_a_source_and_a_mark() -> None:
    assert len(entries(TABLE)) == 6 + 1 + 11
    for entry in entries(TABLE):
        assert len(entry["source"]) > 20, entry
        assert entry["mark"] in ("seen", "code", "computed", "recalled", "design"), entry
        for value in entry.values():
            if isinstance(value, list) and all(isinstance(number, float) for number in value):
                assert value == sorted(value), entry
        assert entry.get("low", 0.0) <= entry.get("high", 1e9), entry


def test_every_finding_and_step_names_its_source() -> None:
    result = assess(WOMAN, [*EVERYTHING[0], hip("femur_left", 0.8, 0.9)], EVERYTHING[1])
    sources = {(entry["source"], entry["mark"]) for entry in entries(TABLE)}
    for reference in (*(finding.reference for finding in result.findings), *result.step.references):
        assert (reference.text, reference.mark) in sources
    assert len(set(result.step.references)) == len(result.step.references)
