"""Hip-fracture probability: its numbers by hand, and that none is given where an input is not seen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openbct import report
from openbct.errors import InputError, SettingsError
from openbct.incidence import hip_fracture_data, incidence_from, packaged_incidence
from openbct.io import read_incidence, read_reference, write_reference
from openbct.records import BoneResult, ErrorBudget, ErrorPart, Patient, Reference, Step, StrengthResult
from openbct.reference_building import Observation
from openbct.report.content import Notice, Paragraph, Table
from openbct.report.hip_fracture import hip_fracture as blocks
from openbct.report.texts import ENGLISH
from openbct.risk import NOT_FRAX, RiskStandards, hazard_per_sd, hip_fracture, with_hip_fracture
from openbct.settings import built_in, override, protocol_names
from openbct.strength_norms import build_norms
from openbct.strength_reference import MappedThresholds, StrengthNorm, StrengthReference
from report_cases import plain_case

NORM = StrengthNorm("femur", "F", 55.0, 90.0, 3000.0, -40.0, 800.0, 200)
REFERENCE = StrengthReference(
    "recipe 1", {"femur": "x"}, "phantom, K2HPO4", "0.1.0", "women of a town",
    (MappedThresholds("femur", "F", 2000.0, (1900.0, 2100.0), 3000.0, (2900.0, 3100.0), 200, 0.8, 300.0),), norms=(NORM,),
)  # fmt: skip
WOMAN = Patient(sex="F", age=70.0)


def femur(newtons: float, *, scale: str = "mapped", bone: str = "femur_left", sd: float = 0.0) -> BoneResult:
    strength = StrengthResult(
        bone, newtons, 10 * newtons, np.zeros((1, 2)), "force", "pads", {}, np.zeros((0, 0, 0)), np.zeros((0, 0, 0, 3)), {}, 1.0,
        Step("strength", "Fell."), scale=scale,
    )  # fmt: skip
    budget = ErrorBudget(newtons, "N", 900.0, sd, (0.0, 1.0), (ErrorPart("model", 900.0, 0.0), ErrorPart("calibration", sd, sd)))
    return BoneResult(bone, "ok", None, (), (), strength=strength, budgets={"strength": budget})


def test_numbers_by_hand():
    """A woman of 70, one standard deviation below the mean: 0.394 % a year times 2.8 over the divisor."""
    risk, references = hip_fracture(femur(2200.0), WOMAN, REFERENCE, RiskStandards())
    assert risk.withheld == () and risk.deviations == pytest.approx(-1.0)
    ratio = 2.8 / math.exp(math.log(2.8) ** 2 / 2)
    assert risk.hazard_ratio is not None and risk.hazard_ratio[0] == pytest.approx(ratio) == pytest.approx(1.6481, abs=1e-3)
    assert risk.probabilities[1][0] == pytest.approx(1 - math.exp(-0.00394 * ratio))
    assert risk.probabilities[5][0] == pytest.approx(1 - math.exp(-5 * 0.00394 * ratio))
    assert risk.probabilities[10][0] == pytest.approx(1 - math.exp(-5 * (0.00394 + 0.00793) * ratio))
    assert all(mark.mark == "seen" for mark in references)


def test_a_population_keeps_its_incidence():
    """The mean hazard over people of one age is that of the table."""
    shares = (np.arange(400) + 0.5) / 400
    from scipy.stats import norm

    strengths = 3000.0 + 800.0 * norm.ppf(shares[(shares > 0.002) & (shares < 0.998)])
    ratios = [hip_fracture(femur(float(s)), WOMAN, REFERENCE, RiskStandards())[0].hazard_ratio for s in strengths]
    assert np.mean([ratio[0] for ratio in ratios if ratio]) == pytest.approx(1.0, abs=0.04)


def test_competing_mortality_lowers_it():
    alone = hip_fracture(femur(2200.0), WOMAN, REFERENCE, RiskStandards())[0]
    with_death = hip_fracture(femur(2200.0), WOMAN, REFERENCE, RiskStandards(competing=True))[0]
    assert with_death.competing and with_death.probabilities[1][0] == alone.probabilities[1][0]
    assert 0.80 * alone.probabilities[10][0] < with_death.probabilities[10][0] < 0.97 * alone.probabilities[10][0]


def test_the_interval_grows_with_what_is_not_known():
    narrow = hip_fracture(femur(1400.0), WOMAN, REFERENCE, RiskStandards())[0].probabilities[1]
    wide = hip_fracture(femur(1400.0, sd=400.0), WOMAN, REFERENCE, RiskStandards())[0].probabilities[1]
    assert wide[1] < narrow[1] < narrow[0] == wide[0] < narrow[2] < wide[2]
    # What the recipe does to everybody's strength alike is no part of it: 900 N of modelling choices change nothing.
    hazards = [-math.log1p(-end) for end in narrow]
    of_ratio = (2.0 - math.log(2.8)) * math.log(3.5 / 2.2) / (2 * 1.96)
    assert math.log(hazards[2] / hazards[1]) / (2 * 1.96) == pytest.approx(math.hypot(of_ratio, 1 / math.sqrt(14578)), rel=1e-3)


# No number without a seen source -----------------------------------------------------------------------------------


def unseen(mark: str) -> RiskStandards:
    seen = packaged_incidence()
    return RiskStandards(replace(seen, fractures=replace(seen.fractures, reference=Reference("somebody", mark))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bone", "patient", "reference", "standards", "why"),
    [
        (femur(2200.0, scale="provisional"), WOMAN, None, RiskStandards(), "provisional"),
        (femur(2200.0, scale="provisional"), WOMAN, REFERENCE, RiskStandards(), "provisional"),
        (femur(2200.0), WOMAN, None, RiskStandards(), "provisional"),
        (femur(2200.0), WOMAN, replace(REFERENCE, norms=()), RiskStandards(), "no strength over age"),
        (femur(2200.0), Patient(sex="M", age=70.0), REFERENCE, RiskStandards(), "no strength over age"),
        (femur(2200.0), Patient(age=70.0), REFERENCE, RiskStandards(), "sex or age"),
        (femur(2200.0), Patient(sex="F"), REFERENCE, RiskStandards(), "sex or age"),
        (femur(2200.0), Patient(sex="F", age=64.0), REFERENCE, RiskStandards(), "65 years"),
        (femur(2200.0), Patient(sex="F", age=92.0), REFERENCE, RiskStandards(), "that age"),
        (femur(2200.0), Patient(sex="F", age=88.0), replace(REFERENCE, norms=(replace(NORM, oldest=80.0),)), RiskStandards(), "80 years old"),
        (femur(500.0), WOMAN, REFERENCE, RiskStandards(), "standard deviations from the mean"),
        (femur(2200.0), WOMAN, REFERENCE, unseen("recalled"), "no source that was seen"),
        (femur(2200.0), WOMAN, REFERENCE, unseen("computed"), "no source that was seen"),
        (femur(2200.0), WOMAN, REFERENCE, unseen("design"), "no source that was seen"),
        (femur(2200.0), WOMAN, REFERENCE, RiskStandards(replace(packaged_incidence(), mortality=None), competing=True), "mortality"),
    ],
)  # fmt: skip
def test_no_number(bone: BoneResult, patient: Patient, reference: StrengthReference | None, standards: RiskStandards, why: str):
    risk, _ = hip_fracture(bone, patient, reference, standards)
    assert any(why in text for text in risk.withheld), risk.withheld
    assert risk.probabilities == {} and risk.hazard_ratio is None and risk.deviations is None
    assert "20 %" in risk.statement and all(
        text.startswith("No probability is given: ") and text.endswith(".") for text in risk.withheld
    )


@pytest.mark.parametrize("name", protocol_names())
def test_no_built_in_protocol_gives_a_number(name: str):
    """No recipe of the package is mapped: whatever the strength, age and sex."""
    scale = built_in(name).run.scale
    assert scale in ("provisional", "none") and built_in(name).assessment.reference is None
    case = plain_case()
    for sex in ("F", "M"):
        for age in (50.0, 66.0, 80.0):
            for newtons in (800.0, 3000.0, 9000.0):
                bones = [femur(newtons, scale=scale), femur(newtons + 100.0, scale=scale, bone="femur_right")]
                found = with_hip_fracture(case.assessment, Patient(sex=sex, age=age), bones, None, RiskStandards()).hip_fracture  # type: ignore[arg-type]
                assert found is None if scale == "none" else (found is not None and not found.probabilities)


def test_the_weaker_femur_counts_and_refused_ones_do_not():
    case = plain_case()
    bones = [femur(2600.0), femur(2200.0, bone="femur_right"), replace(femur(900.0), status="refused")]
    found = with_hip_fracture(case.assessment, WOMAN, bones, REFERENCE, RiskStandards())
    assert found.hip_fracture is not None and found.hip_fracture.bone == "femur_right"
    assert NOT_FRAX in found.step.sentence
    assert with_hip_fracture(case.assessment, WOMAN, [], REFERENCE, RiskStandards()) is case.assessment


# Tables and files --------------------------------------------------------------------------------------------------


def test_the_packaged_table():
    """Women's incidence against another source: 2.2 by 1000 at 65 to 69 and 31.8 at 90 to 94 in New England (Fisher 1991)."""
    table = packaged_incidence()
    assert table.fractures.reference.mark == "seen" and hazard_per_sd("M").reference.mark == "seen"
    assert 1000 * table.rate("F", 67.0) == pytest.approx(2.2, rel=0.10) and 1000 * table.rate("M", 67.0) == pytest.approx(
        0.9, rel=0.35
    )
    # Mortality against a table of the National Center for Health Statistics: women of 80, 0.0463; of 89, 0.1137.
    assert table.dying("F", 80.0) == pytest.approx(0.0463, rel=0.06) and table.dying("F", 89.0) == pytest.approx(0.1137, rel=0.06)
    assert 0.001 < table.relative_sd("F", 80.0) < 0.01
    with pytest.raises(SettingsError, match="incidence table"):
        packaged_incidence("nowhere")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ages": [60, 55]}, "rising"),
        ({"F": [1.0]}, "one number for each age"),
        ({"F": [203.0, 394.0]}, "between 0 and 200"),
        ({"F": [float("nan"), 1.0]}, "between 0 and 200"),
        ({"mark": "sure"}, "mark"),
        ({"source": "  "}, "without a source"),
        ({"counted_F": [1.0]}, "counts"),
        ({"mortality": {"ages": [60], "F": [0.0], "M": [0.1], "source": "x", "mark": "seen"}}, "mortality"),
    ],
)
def test_wrong_tables(change: dict[str, object], words: str):
    table = {"population": "a town", "source": "a register", "mark": "seen", "ages": [60, 70], "F": [1.0, 4.0], "M": [1.0, 2.0]}
    assert incidence_from(table).rate("F", 65.0) == 0.001
    with pytest.raises(SettingsError, match=words):
        incidence_from({**table, **change})
    with pytest.raises(SettingsError, match="not whole"):
        incidence_from({key: value for key, value in table.items() if key != "M"})


def test_a_table_of_the_users(tmp_path: Path):
    from openbct.cli.planning import planned

    path = tmp_path / "town.toml"
    path.write_text(
        'population = "a town"\nsource = "a register"\nmark = "recalled"\nages = [50]\nF = [9.0]\nM = [5.0]\n', encoding="utf-8"
    )
    assert read_incidence(path).rate("M", 60.0) == 0.005
    plan = planned(override(built_in(), {"risk": {"table": str(path), "competing_mortality": True}}, "test"))
    assert plan.risk.competing and plan.risk.incidence.population == "a town"
    path.write_text("a = [", encoding="utf-8")
    with pytest.raises(InputError, match="not TOML"):
        read_incidence(path)
    with pytest.raises(InputError, match="no readable"):
        read_incidence(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="incidence table"):
        planned(override(built_in(), {"risk": {"table": "mars"}}, "test"))


def test_norms_are_built_and_kept(tmp_path: Path):
    draw = np.random.default_rng(3)
    ages = draw.uniform(55, 90, 400)
    people = [Observation("femur", "F", 3000.0 - 40.0 * (a - 70.0) + draw.normal(0, 500), -1.0, float(a)) for a in ages]
    (norm,) = build_norms([*people, Observation("femur", "M", 4000.0, -1.0, 70.0), Observation("femur", "F", 1.0, -1.0)])
    assert norm.mean_at_70_n == pytest.approx(3000.0, rel=0.03) and norm.sd_n == pytest.approx(500.0, rel=0.1)
    assert norm.slope_n_per_year == pytest.approx(-40.0, rel=0.2) and 54 < norm.youngest < 58 and 87 < norm.oldest < 91
    write_reference(replace(REFERENCE, norms=(norm,)), tmp_path / "r.toml")
    (kept,) = read_reference(tmp_path / "r.toml").norms
    assert kept.mean(80.0) == pytest.approx(norm.mean(80.0), abs=0.5) and kept.persons == 400
    text = (tmp_path / "r.toml").read_text(encoding="utf-8").replace("sd_n = ", "sd_n = -")
    (tmp_path / "r.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        read_reference(tmp_path / "r.toml")


def test_the_data_says_how_sure_it_is():
    data = hip_fracture_data()
    assert data["per_sd"]["mark"] == "seen" and data["doubling"]["mark"] == "seen"
    assert all(row["source"] and row["mark"] for row in data["tables"].values())


def test_in_the_report():
    case, texts = plain_case(), report.Texts(ENGLISH)
    for standards, words in ((RiskStandards(), "as if nobody died"), (RiskStandards(competing=True), "death by any cause")):
        risk = hip_fracture(femur(2200.0), WOMAN, REFERENCE, standards)[0]
        table, note = blocks(replace(case, assessment=replace(case.assessment, hip_fracture=risk)), texts)
        assert isinstance(table, Table) and words in table.note and "not FRAX" in table.note and isinstance(note, Paragraph)
        assert [row[0] for row in table.rows] == ["1 year", "5 years", "10 years"]
        assert table.rows[0][1] == f"{100 * risk.probabilities[1][0]:.2f} %"
    withheld = hip_fracture(femur(2200.0, scale="provisional"), WOMAN, None, RiskStandards())[0]
    (notice,) = blocks(replace(case, assessment=replace(case.assessment, hip_fracture=withheld)), texts)
    assert isinstance(notice, Notice) and any("No probability is given" in text for text in notice.items)
    assert blocks(case, texts) == []
