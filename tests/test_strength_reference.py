"""A reference file: its numbers against a law that made the cohort, and every way to get a class out of the wrong one."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbct.assessment import DxaLine, assess
from openbct.assessment.density import t_score
from openbct.cli.reference import run_reference_build
from openbct.errors import InputError, OpenBCTError, SettingsError
from openbct.io import read_reference, write_reference
from openbct.plan import make_plan
from openbct.records import Patient, Step, StrengthResult
from openbct.reference_building import Built, Observation, build_thresholds
from openbct.settings import built_in, override, parse, to_tables
from openbct.strength_reference import StrengthReference, recipe_digest

SLOPE, START, SPREAD = 30.0, 800.0, 500.0
"""Law of the invented cohort: strength = 800 N + 30 N for each mg/cm³, 500 N of scatter."""


def people(n: int, seed: int, sex: str = "F", site: Any = "vertebra", bend: float = 0.0) -> list[Observation]:
    generator = np.random.default_rng(seed)
    density = generator.normal(105.0, 35.0, n)
    strength = START + SLOPE * density + bend * (density - 100.0) ** 2 + generator.normal(0.0, SPREAD, n)
    if site == "femur":
        density = (density - 113.3) / 26.7  # 80 and 120 mg/cm³ become -1.25 and 0.25: spread over the T-scores below
        density = density * 1.5 - 1.5
    return [Observation(site, sex, max(float(s), 100.0), float(d)) for s, d in zip(strength, density)]


def built(*groups: list[Observation]) -> Built:
    return build_thresholds([one for group in groups for one in group])


# The numbers ---------------------------------------------------------------------------------------------------


def test_the_law_that_made_the_cohort_is_found() -> None:
    (row,) = built(people(4000, 1)).thresholds
    assert row.fragile_n == pytest.approx(START + 80 * SLOPE, abs=40.0) and row.normal_n == pytest.approx(
        START + 120 * SLOPE, abs=40.0
    )
    assert row.residual_sd_n == pytest.approx(SPREAD, rel=0.05) and row.persons == 4000
    assert row.r_squared == pytest.approx((SLOPE * 35.0) ** 2 / ((SLOPE * 35.0) ** 2 + SPREAD**2), abs=0.03)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """95 % of 200 cohorts of 60 persons: 190, with a deviation of 3.1."""
    inside = [0, 0]
    for seed in range(200):
        (row,) = built(people(60, 1000 + seed)).thresholds
        for end, (low, high), truth in ((0, row.fragile_95_n, START + 80 * SLOPE), (1, row.normal_95_n, START + 120 * SLOPE)):
            inside[end] += low <= truth <= high
    assert all(180 <= count <= 199 for count in inside), inside


def test_each_site_and_sex_stands_alone() -> None:
    found = built(people(100, 1), people(100, 2, "M"), people(300, 3, "F", "femur"), people(39, 4, "M", "femur"))
    assert [(row.site, row.sex) for row in found.thresholds] == [("vertebra", "F"), ("vertebra", "M"), ("femur", "F")]
    assert found.refused == ("femur, men: found 39 persons, expected at least 40",)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda mine: mine[:39], "found 39 persons"),
        (lambda mine: [one for one in mine if one.density > 80.0], "0 at or below 80|found 0 persons at or below 80"),
        (lambda mine: [one for one in mine if one.density < 120.0], "0 at or above 120"),
        (lambda mine: [replace(one, strength=3000.0 + 10 * n % 700) for n, one in enumerate(mine)], "whose 95 % intervals meet"),
        (lambda mine: [replace(one, strength=one.strength * (0.1 if n % 2 else 2.0)) for n, one in enumerate(mine)], "expected one within 10 %"),
        (lambda mine: [replace(one, strength=8000.0 - one.strength) for one in mine], "whose 95 % intervals meet"),
        (lambda mine: [], "no person with sex"),
    ],
)  # fmt: skip
def test_a_cohort_that_cannot_tell_is_refused(change: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_thresholds(change(people(120, 5)))


def test_a_bent_relation_is_told_with_what_it_is_worth() -> None:
    bent, straight = built(people(800, 6, bend=0.35)), built(people(800, 6))
    assert any("bent (p < 0.01)" in text for text in bent.cautions) and not straight.cautions


# Files and recipes ---------------------------------------------------------------------------------------------


def reference(**changes: Any) -> StrengthReference:
    settings = built_in()
    rows = built(people(200, 1), people(300, 3, "F", "femur")).thresholds
    usual: dict[str, Any] = {
        "protocol": settings.title, "recipes": {site: recipe_digest(to_tables(settings), site) for site in ("vertebra", "femur")},
        "calibration": "phantomless, K2HPO4", "version": "0.0.0", "cohort": "invented people", "thresholds": rows,
    }  # fmt: skip
    return StrengthReference(**{**usual, **changes})


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "reference.toml"
    write_reference(reference(), path)
    found = read_reference(path)
    assert found.protocol == "default 1" and len(found.digest) == 64
    for mine, read in zip(reference().thresholds, found.thresholds, strict=True):
        assert (mine.site, mine.sex, mine.persons) == (read.site, read.sex, read.persons)
        assert read.fragile_n == pytest.approx(mine.fragile_n, abs=0.1) and read.normal_95_n == pytest.approx(
            mine.normal_95_n, abs=0.1
        )
    text = path.read_text(encoding="utf-8")
    assert "invented people" in text and len(text) < 3000, "nothing of single persons"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"not toml at all [", b'format = "other"', b'format = "openbct-strength-reference/1"', b"x = 1\n" * 40_000,
        b'format = "openbct-strength-reference/1"\nprotocol = "default 1"\ncalibration = "c"\nversion = "v"\ncohort = "w"\nrecipes = 3\n',
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "secret-name.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_reference(path)
    assert "secret-name" not in str(error.value)
    with pytest.raises(InputError, match="no readable file"):
        read_reference(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    "old, new",
    [
        ("fragile_n = ", "fragile_n = 9"),
        ("normal_n = ", "normal_n = -"),
        ("normal_n = ", "normal_n = nan #"),
        ("persons = ", "people = "),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "reference.toml"
    write_reference(reference(), path)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        read_reference(path)


def test_a_reference_of_this_recipe_maps_it() -> None:
    plan = make_plan(built_in(), reference=reference())
    assert plan.standards.scale_of("vertebra") == plan.standards.scale_of("femur") == "mapped"
    assert any("built with version 0.0.0" in text for text in plan.standards.reference_cautions)
    other = make_plan(override(built_in(), {"calibration": {"method": "phantom"}}, "test"), reference=reference())
    assert any("calibration phantomless, K2HPO4, this scan has phantom" in text for text in other.standards.reference_cautions)
    only_spine = replace(reference(), thresholds=reference().thresholds[:1])
    assert make_plan(built_in(), reference=only_spine).standards.scale_of("femur") == "provisional"


CHEATS = {
    "another protocol": (lambda: built_in("vertebra-compression"), {}),
    "another version of it": (lambda: parse('name = "default"\nversion = "2"', "mine"), {}),
    "one number under its name": (lambda: parse('name = "default"\nversion = "1"\n[vertebra]\nvoxel_mm = 1.5', "mine"), {}),
    "another law under its name": (
        lambda: parse('name = "default"\nversion = "1"\n[femur]\nmaterial = "keyak1994"', "mine"),
        {},
    ),
    "a digest that is not this recipe's": (built_in, {"recipes": {"vertebra": "0" * 64, "femur": "0" * 64}}),
    "no digest": (built_in, {"recipes": {}}),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_reference_of_another_recipe_is_refused(cheat: str) -> None:
    settings, changes = CHEATS[cheat]
    with pytest.raises(SettingsError, match=r"found a strength reference of (another recipe|protocol)"):
        make_plan(settings(), reference=reference(**changes))


@pytest.mark.parametrize("scale", ["mapped", "published"])
def test_no_protocol_can_claim_a_scale(scale: str) -> None:
    with pytest.raises(SettingsError, match="provisional"):
        parse(f'[run]\nscale = "{scale}"', "mine")


def test_a_scale_of_another_test_takes_no_reference() -> None:
    with pytest.raises(SettingsError, match="one of the two"):
        parse('[run]\nscale = "none"\n[assessment]\nreference = "reference.toml"', "mine")


def test_one_as_a_whole_number_and_as_a_decimal_is_one_recipe() -> None:
    settings = to_tables(built_in())
    same = {**settings, "vertebra": {**settings["vertebra"], "voxel_mm": 1, "strains": tuple(settings["vertebra"]["strains"])}}
    assert recipe_digest(same, "vertebra") == recipe_digest(settings, "vertebra")
    with pytest.raises(SettingsError, match="plug-in"):
        recipe_digest({"vertebra": {"material": "mine.py:LAW"}}, "vertebra")


def test_the_mapped_class_is_that_of_the_line() -> None:
    """A strength on the line at 79 mg/cm³ is fragile, at 81 low, at 121 normal: what the thresholds mean."""
    plan = make_plan(built_in(), reference=reference(thresholds=built(people(4000, 1)).thresholds))
    row = plan.standards.reference.thresholds[0]  # type: ignore[union-attr]
    slope = (row.normal_n - row.fragile_n) / 40.0
    woman = Patient(sex="F", age=70.0)
    found = [
        assess(woman, [], [result("L1", row.fragile_n + slope * (density - 80.0))], standards=plan.standards).findings[0].category
        for density in (79.0, 81.0, 119.0, 121.0)
    ]
    assert found == ["fragile bone strength", "low bone strength", "low bone strength", "normal bone strength"]


def result(bone: str, newton: float) -> StrengthResult:
    nodes = np.zeros((2, 2, 2, 3))
    return StrengthResult(
        bone, newton, 1e4, np.zeros((2, 2)), "at 1.9 %", "platens", {}, np.zeros((1, 1, 1)), nodes, {}, 0.1, Step("test", "made for a test")
    )  # fmt: skip


# The command ---------------------------------------------------------------------------------------------------


def table(path: Path, n: int = 60, **changes: Any) -> Path:
    """A table like batch.csv: two levels and two hips a woman, one row refused."""
    generator = np.random.default_rng(9)
    rows = []
    for person in range(n):
        vbmd, abmd = float(generator.normal(105.0, 35.0)), float(generator.normal(0.68, 0.14))
        common = {"scan": f"p{person:03d}", "sex": "F", "age_years": "71", "protocol": "default 1", "status": "ok"}
        for level, shift in (("L1", 10.0), ("L2", -10.0)):
            rows.append(
                {**common, "bone": level, "strength_n": 800 + 30 * (vbmd + shift), "trabecular_vbmd_mg_cm3": vbmd + shift}
            )
        rows.append({**common, "bone": "L4", "strength_n": 99999, "trabecular_vbmd_mg_cm3": 10.0})
        rows.append({**common, "bone": "L3", "strength_n": 5, "trabecular_vbmd_mg_cm3": 400.0, "status": "refused"})
        for side, worse in (("femur_left", 0.0), ("femur_right", -0.05)):
            rows.append({**common, "bone": side, "strength_n": 6000 * (abmd + worse), "femoral_neck_abmd_g_cm2": abmd + worse})
    columns = [
        "scan",
        "bone",
        "status",
        "sex",
        "age_years",
        "strength_n",
        "trabecular_vbmd_mg_cm3",
        "femoral_neck_abmd_g_cm2",
        "protocol",
        "simulated",
    ]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows([{**row, **changes} for row in rows])
    return path


def test_a_table_becomes_a_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No scatter in this table: 800 + 30 x 80 N at the spine, 6000 x (0.858 - 2.5 x 0.12) N at the hip, of the worse side."""
    out = tmp_path / "reference.toml"
    run_reference_build(table(tmp_path / "batch.csv"), out, people="60 invented women", protocol="default", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [(row["site"], row["persons"]) for row in told["thresholds"]] == [("vertebra", 60), ("femur", 60)]
    found = read_reference(out)
    spine, hip = found.thresholds
    assert (spine.fragile_n, spine.normal_n) == (pytest.approx(3200.0, abs=1.0), pytest.approx(4400.0, abs=1.0))
    assert (hip.fragile_n, hip.normal_n) == (pytest.approx(6000 * 0.558, abs=1.0), pytest.approx(6000 * 0.738, abs=1.0))
    assert t_score("femoral_neck_abmd", 0.558, DxaLine()) == pytest.approx(-2.5)
    assert make_plan(built_in(), reference=found).standards.scale_of("vertebra") == "mapped"


@pytest.mark.parametrize(
    "changes, protocol, words",
    [
        ({}, "vertebra-compression", "found rows of protocol 'default 1', expected 'vertebra-compression"),
        ({}, None, "without --protocol"), ({}, "femur-stance", "found rows of protocol"), ({"protocol": ""}, "femur-stance", 'scale = "none"'),
        ({"sex": ""}, "default", "no person with sex"), ({"age_years": "12"}, "default", "no person with sex"),
        ({"strength_n": "strong"}, "default", "strength_n that is no number"), ({"strength_n": "nan"}, "default", "strength_n that is no number"),
        ({"simulated": "True"}, "default", "found 60 simulated scans"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_serve_is_refused(changes: dict[str, str], protocol: str | None, words: str, tmp_path: Path) -> None:
    cohort = table(tmp_path / "batch.csv", **changes)
    with pytest.raises(OpenBCTError, match=words):
        run_reference_build(cohort, tmp_path / "reference.toml", people="invented", protocol=protocol, as_json=True)
    assert not (tmp_path / "reference.toml").exists()


def test_a_folder_of_results_becomes_a_cohort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(3)
    for person in range(50):
        densities = generator.normal(100.0, 35.0, 2)
        bones = [
            {
                "name": level, "status": "ok", "strength_n": 1000.0 + 25.0 * d, "measures": {"trabecular_vbmd": {"value": d}},
            }
            for level, d in (*zip(("L1", "L2"), densities), ("L3", 900.0))
        ]  # fmt: skip
        content = {
            "schema": "openbct-result/1", "protocol": "default 1", "versions": {"openbct": "0.1.0"}, "settings": to_tables(built_in()),
            "patient": {"identifier": f"p{person % 49}", "sex": "M", "age_years": 70.0}, "input": {"sha256": str(person)}, "bones": bones,
            "assessment": {"left_out": {"L3": "cement"}},
        }  # fmt: skip
        folder = tmp_path / "cohort" / f"{person:02d}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")
    out = tmp_path / "reference.toml"
    run_reference_build(tmp_path / "cohort", out, people="49 invented men", protocol=None, as_json=False)
    said = capsys.readouterr().out
    assert "vertebra, men: fragile at 3000 N" in said and "normal at 4000 N" in said and "49 persons" in said
    assert "1 results were of a person who was there already" in said and "p7" not in out.read_text(encoding="utf-8")
    content["patient"] = {"identifier": "another"}
    (folder / "result.json").write_text(json.dumps({**content, "bones": [{"name": "L1"}]}), encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        run_reference_build(tmp_path / "cohort", out, people="invented", protocol=None, as_json=True)
    scanner = content["acquisition"] = {"manufacturer": "OpenBCT", "model": "Simulator"}
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SettingsError, match="found 1 simulated scans"):
        run_reference_build(tmp_path / "cohort", out, people="invented", protocol=None, as_json=True)
    content["acquisition"] = {**scanner, "model": "Other"}
    content["protocol"] = "mine 1"
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SettingsError, match="found results of 2 protocols"):
        run_reference_build(tmp_path / "cohort", out, people="invented", protocol=None, as_json=True)
