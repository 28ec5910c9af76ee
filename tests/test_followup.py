"""Follow-up: bones laid onto each other, changes judged, scans of other persons refused, and the document."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import jsonschema
import numpy as np
import pytest

from openbct import report
from openbct.anatomy import locate_vertebra
from openbct.errors import InputError
from openbct.followup import alignment, change, comparable, follow, tables
from openbct.followup.change import Reading
from openbct.followup.independent import independent_sd
from openbct.io import comparison_schema
from openbct.io.followup_files import followup_to_tables, write_followup
from openbct.measures import measure_vertebra
from openbct.phantoms import VertebraShape, vertebra_region
from openbct.records import (
    Acquisition,
    BoneMask,
    BoneMeasures,
    BoneRegion,
    CalibratedVolume,
    ErrorBudget,
    ErrorPart,
    Patient,
    Reference,
    Step,
    StrengthResult,
)
from openbct.report import followup_names
from openbct.report.content import Verdict
from openbct.report.followup_texts import FOLLOWUP, FOLLOWUP_ENGLISH
from openbct.settings import built_in, to_tables
from openbct.visits import FollowUp, ScanCheck, Visit, VisitBone
from openbct.volume import Volume, bounding_box, crop, place_into, resample
from report_cases import plain_case
from small_scans import Command, openbct  # noqa: F401  fixtures

DAY = date(2026, 1, 31)
order = import_module("openbct.followup.follow")  # the package gives its function that name
SEEN = Reference("nobody (2000)", "seen")


@cache
def drawn(density: float) -> tuple[Volume, Volume]:
    """Return a vertebra's density and the mask of its body."""
    bone = vertebra_region(VertebraShape(trabecular_density=density, seed=4), spacing=1.8, margin=4.0)
    lower, upper = (end.tolist() for end in bounding_box(bone.mask, 9.0))
    return crop(bone.density, lower, upper), crop(bone.mask, lower, upper)


def turned(volume: Volume, turn_deg: float, shift: tuple[float, float, float], *, order: int) -> Volume:
    """Return a volume of a bone that lies otherwise: on the same kind of grid, interpolated once."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    place = np.eye(4)
    place[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    place[:3, 3] = shift
    grid = volume.affine.copy()
    grid[:3, 3] += 0.4
    moved = resample(volume, volume.shape, np.linalg.inv(place) @ grid, order=order, fill=-60.0 if order else 0, average=False)
    return Volume(moved.array if order else moved.array > 0.5, grid, volume.unit)


@cache
def visit(number: int, density: float = 100.0, *, turn: float = 0.0, shift: tuple[float, float, float] = (0, 0, 0)) -> Visit:
    """Return a visit with one vertebra, L1."""
    image, mask = drawn(density)
    if turn or any(shift):
        image, mask = turned(image, turn, shift, order=3), turned(mask, turn, shift, order=0)
    noise = np.random.default_rng(number).normal(0.0, 12.0, image.shape)
    image = image.with_array((image.array + noise).astype(np.float32))
    calibration = CalibratedVolume(
        image, "K2HPO4", "phantom", 0.75, 0.0, np.diag([0.01, 1.0]) ** 2, (), Step("calibration", "By a phantom."),
    )  # fmt: skip
    region = locate_vertebra(BoneMask("L1", mask, "body", 1.0, False), calibration)
    measures = measure_vertebra(region, calibration)
    newtons = 30.0 * measures.values["integral_vbmd"].value
    empty = np.zeros((0, 0, 0))
    strength = StrengthResult(
        "L1", newtons, 10 * newtons, np.zeros((1, 2)), "force", "caps", {}, empty, np.zeros((0, 0, 0, 3)), {}, 1.0, Step("strength", "Pressed."),
    )  # fmt: skip
    bone = VisitBone("L1", region, measures, image, strength)
    scanner = Acquisition(kvp=120.0, kernel="B", slice_thickness=1.8, manufacturer="Maker", model="One")
    return Visit(
        f"{2024 + number}-01-15", Patient("A^B", "7", sex="F", age=70.0 + number), scanner, f"{number}" * 64, calibration, {"L1": bone}, {},
        "default 1", to_tables(built_in()), "0.1.0", (1.8, 1.8, 1.8),
    )  # fmt: skip


@cache
def pair() -> FollowUp:
    """The same vertebra again, turned and moved, and once more 15 % denser inside."""
    return follow([visit(0), visit(1, turn=6.0, shift=(3, -2, 4)), visit(2, 115.0, turn=-5.0, shift=(-2, 1, 0))])


# Alignment ---------------------------------------------------------------------------------------------------------


def test_a_bone_is_found_where_it_was_moved_to():
    found = pair().comparisons[0].alignments[0]
    assert found.used and found.overlap > 0.93 and found.correlation > 0.9
    assert abs(found.turned_deg - 6.0) < 0.4 and abs(found.turned_deg) > 5.0
    c, s = np.cos(np.radians(6.0)), np.sin(np.radians(6.0))
    right = np.eye(4)
    right[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    right[:3, 3] = (3, -2, 4)
    corners = np.array([[x, y, z, 1.0] for x in (-20, 20) for y in (-15, 15) for z in (-12, 12)])
    assert np.linalg.norm((corners @ (found.transform - right).T)[:, :3], axis=1).max() < 0.3


def test_a_change_of_density_is_found_and_none_where_there_is_none():
    same, denser = pair().comparisons
    rows = {(n, c.quantity): c for n, one in enumerate((same, denser)) for c in one.changes}
    assert abs(rows[0, "trabecular_vbmd"].percent) < 1.5 and rows[0, "trabecular_vbmd"].judgement == "within"
    image = {density: drawn(density) for density in (100.0, 115.0)}
    inner = place_into(visit(0).bones["L1"].measures.regions["trabecular"], image[100.0][0], False).array
    truth = 100 * (image[115.0][0].array[inner].mean() / image[100.0][0].array[inner].mean() - 1)
    assert truth > 10 and abs(rows[1, "trabecular_vbmd"].percent - truth) < 1.5
    assert rows[1, "trabecular_vbmd"].judgement == "increase" and rows[1, "trabecular_vbmd"].carried
    assert abs(rows[1, "trabecular_vbmd"].percent_per_year * 2.0 - rows[1, "trabecular_vbmd"].percent) < 0.1


def test_another_bone_is_not_laid_onto_it():
    before, other = visit(0).bones["L1"], visit(1).bones["L1"]
    shuffled = np.random.default_rng(0).permutation(other.surroundings.array.ravel()).reshape(other.surroundings.shape)
    found = alignment.align(before, replace(other, surroundings=other.surroundings.with_array(shuffled)))
    assert not found.used and "could not be carried" in found.sentence


def test_a_bone_that_leaves_the_image_keeps_its_own_regions():
    first, second = visit(0), visit(1)
    bone = second.bones["L1"]
    half = bone.surroundings.shape[2] // 2
    cut = Volume(bone.surroundings.array[:, :, :half], bone.surroundings.affine, bone.surroundings.unit)
    done = follow([first, replace(second, bones={"L1": replace(bone, surroundings=cut)})])
    one = done.comparisons[0]
    assert not one.alignments[0].used and any("could not be carried" in text for text in one.cautions)
    assert all(not row.carried for row in one.changes)


def test_a_result_of_an_earlier_version_is_compared_in_its_own_regions():
    first, second = visit(0), visit(1)
    bone = second.bones["L1"]
    early = replace(bone, region=replace(bone.region, landmarks={}))
    one = follow([first, replace(second, bones={"L1": early})]).comparisons[0]
    assert any("earlier version" in text for text in one.cautions) and not one.alignments[0].used
    assert one.changes and all(not row.carried for row in one.changes)


def test_a_fault_of_the_program_is_not_told_as_an_earlier_version(monkeypatch: pytest.MonkeyPatch):
    def faulty(region: BoneRegion, calibration: CalibratedVolume) -> BoneMeasures:
        raise KeyError("volume")

    monkeypatch.setattr(order, "measure_vertebra", faulty)
    with pytest.raises(KeyError, match="volume"):
        follow([visit(0), visit(1)])


# Least significant change ------------------------------------------------------------------------------------------


def test_the_larger_of_precision_and_uncertainty_counts():
    stated = tables.precision("vertebra", "trabecular_vbmd")
    assert stated is not None and stated.reference.mark == "seen"
    sharp, vague = Reading(100.0, 0.5), Reading(100.0, 4.0)
    assert change.least_change(stated, "same", sharp, sharp, levels=2) == (3.9, "precision")
    assert change.least_change(stated, "uncontrolled", sharp, sharp, levels=2) == (10.0, "precision")
    least, source = change.least_change(stated, "same", vague, vague, levels=2)
    assert source == "uncertainty" and least == pytest.approx(1.96 * np.sqrt(2) * 4.0)
    assert change.least_change(stated, "same", Reading(100.0, None), vague, levels=1)[0] == pytest.approx(
        3.9 * np.sqrt(2), rel=1e-3
    )


def test_what_two_scans_share_is_left_out():
    parts = (ErrorPart("calibration", 18.0, 1.5), ErrorPart("edge", 4.0, 2.0), ErrorPart("noise", 1.0, 1.0))
    budget = ErrorBudget(100.0, "mg/cm3", 18.5, 2.7, (63.0, 137.0), parts)
    bone = replace(visit(0).bones["L1"], budgets={"trabecular_vbmd": budget})
    assert independent_sd(bone, "trabecular_vbmd", carried=False) == pytest.approx(np.sqrt(1.5**2 + 2.0**2 + 1.0))
    assert independent_sd(bone, "trabecular_vbmd", carried=True) == pytest.approx(np.sqrt(1.5**2 + 1.0))
    assert independent_sd(bone, "strength", carried=False) is None
    shares = (ErrorPart("model", 170.0, 20.0), ErrorPart("alignment", 180.0, 90.0), ErrorPart("calibration", 500.0, 60.0))
    bone = replace(bone, budgets={"strength": ErrorBudget(3000.0, "N", 600.0, 120.0, (1800.0, 4200.0), shares)})
    assert independent_sd(bone, "strength", carried=False) == pytest.approx(np.hypot(0.015 * 3000.0, 60.0))


def test_stated_strengths_follow_from_density():
    """8.6 and 8.7 %: density's least change to a power, and that of the test, added in the square."""
    for site, density, power in (("vertebra", 3.9 * np.sqrt(2), 1.36), ("femur", 5.0, 1.53)):
        stated = tables.precision(site, "strength")
        assert stated is not None
        assert stated.same == pytest.approx(np.hypot(power * density, 2.77 * 100 * tables.repeat(site)), abs=0.06)


@pytest.mark.parametrize(
    ("after", "judgement"),
    [(104.0, "within"), (94.0, "decrease"), (106.0, "increase"), (145.0, "implausible"), (55.0, "implausible")],
)
def test_judgements(after: float, judgement: str):
    row = change.change(
        "L1", "trabecular_vbmd", "mg/cm3", Reading(100.0, None), Reading(after, None), years=0.5, checks=(), carried=True
    )
    assert row is not None and row.judgement == judgement and row.percent_per_year == pytest.approx(2 * (after - 100.0))


def test_a_strength_that_goes_otherwise_than_its_density_is_no_change():
    """A mask that lacks a piece of the bone at one date."""
    first, second = visit(0), visit(1, turn=6.0, shift=(3, -2, 4))
    bone = second.bones["L1"]
    weak = replace(bone, strength=replace(bone.strength, strength=0.7 * first.bones["L1"].strength.strength))
    rows = {row.quantity: row for row in follow([first, replace(second, bones={"L1": weak})]).comparisons[0].changes}
    assert rows["strength"].judgement == "implausible" and "look at both masks" in rows["strength"].why
    assert "-30 %" in rows["strength"].why and rows["integral_vbmd"].judgement == "within"
    readings = (Reading(100.0, None), Reading(110.0, None))
    assert not change.unexplained("vertebra", (Reading(3000.0, None), Reading(3500.0, None)), readings)
    assert change.unexplained("vertebra", (Reading(3000.0, None), Reading(4500.0, None)), readings)
    assert not change.unexplained("femur", (Reading(0.0, None), Reading(4500.0, None)), readings)


def test_a_fracture_or_a_rule_makes_it_incomparable():
    said = "At the follow-up L1 stands for nothing: fractured."
    values = {"before": Reading(3000.0, None), "after": Reading(2000.0, None)}
    row = change.change("L1", "strength", "N", *values.values(), years=1.0, checks=(), carried=False, doubt=said)
    assert row is not None and row.judgement == "not comparable" and row.why == said
    checks = (ScanCheck("recipe", "strength", "a", "b", "Other newtons."),)
    row = change.change("L1", "strength", "N", *values.values(), years=1.0, checks=checks, carried=False)
    assert row is not None and row.judgement == "not comparable" and "Other newtons" in row.why
    row = change.change("L1", "integral_vbmd", "mg/cm3", *values.values(), years=1.0, checks=checks, carried=False)
    assert row is not None and row.judgement == "decrease"


def test_the_line_through_all_dates():
    line = change.trend("L1", "strength", "N", [0.0, 1.0, 2.0], [3000.0, 3100.0, 3200.0], [50.0, 50.0, 50.0])
    assert line is not None and line.slope == pytest.approx(100.0) and line.percent_per_year == pytest.approx(100 / 30)
    assert line.slope_95[1] - line.slope == pytest.approx(1.96 * 50.0 / np.sqrt(2.0))
    weighted = change.trend("L1", "strength", "N", [0.0, 1.0, 2.0], [3000.0, 3100.0, 5000.0], [1.0, 1.0, 1e6])
    assert weighted is not None and weighted.slope == pytest.approx(100.0, abs=0.1)
    assert change.trend("L1", "strength", "N", [0.0, 0.0], [1.0, 2.0], [1.0, 1.0]) is None


# Rules -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "rule", "outcome"),
    [
        ("kvp", 80.0, "kvp", "all"),
        ("kvp", None, "kvp", "routine"),
        ("kernel", "I70f", "kernel", "routine"),
        ("model", "Two", "scanner", "uncontrolled"),
        ("contrast", "iodine", "contrast", "all"),
        ("slice_thickness", 3.0, "slice", "all"),
    ],
)
def test_rules(field: str, value: object, rule: str, outcome: str):
    other = visit(1)
    other = replace(other, acquisition=replace(other.acquisition, **{field: value}))
    found = {check.rule: check for check in comparable.compare_scans(visit(0), other)}
    assert found[rule].outcome == outcome and found[rule].sentence.endswith(".")
    assert all(check.outcome == "ok" for name, check in found.items() if name != rule)


def test_calibration_and_recipe():
    first, other = visit(0), visit(1)
    tissues = replace(other, calibration=replace(other.calibration, method="phantomless"))
    assert {c.rule: c.outcome for c in comparable.compare_scans(first, tissues)}["calibration"] == "all"
    coarse = to_tables(built_in())
    coarse["vertebra"]["voxel_mm"] = 2.0
    assert {c.rule: c.outcome for c in comparable.compare_scans(first, replace(other, settings=coarse))}["recipe"] == "strength"
    agent = replace(other, contrast_seen=True)
    assert {c.rule: c.outcome for c in comparable.compare_scans(first, agent)}["contrast"] == "caution"


def test_every_rule_has_its_source():
    assert all(rule.reference.text and rule.reference.mark for rule in tables.rules().values())
    assert {effect.treatment for effect in tables.effects("femur")} >= {"denosumab", "placebo", "teriparatide", "alendronate"}


# Persons and dates -------------------------------------------------------------------------------------------------


def test_another_person_is_refused():
    first, other = visit(0), visit(1)
    for field, value in (("identifier", "8"), ("sex", "M")):
        stranger = replace(other, patient=replace(other.patient, **{field: value}))
        with pytest.raises(InputError, match="scans of one person"):
            follow([first, stranger])
    with pytest.raises(InputError, match="same scan"):
        follow([first, replace(other, digest=first.digest)])
    with pytest.raises(InputError, match="at least one follow-up"):
        follow([first])


def test_no_bone_in_common():
    with pytest.raises(InputError, match="no bone that can be compared"):
        follow([visit(0), replace(visit(1), bones={})])


def test_dates_are_sorted_and_may_be_unknown():
    late, early = replace(visit(1), date="2027-01-15"), visit(0)
    assert [one.date for one in order._by_date([late, early])] == [early.date, late.date]
    unknown = replace(early, date=None)
    assert order._by_date([late, unknown]) == (late, unknown) and order._years(unknown, late) is None
    assert order._years(early, late) == pytest.approx(3.0, abs=0.01) and order._years(early, early) is None


# The document ------------------------------------------------------------------------------------------------------


class Recorder(dict):
    """The catalogue, noting what is asked of it."""

    asked: ClassVar[set[str]] = set()

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)


def odd(followup: FollowUp) -> list[FollowUp]:
    """Return follow-ups that say everything a report may have to say."""
    kinds = ("increase", "decrease", "implausible", "not comparable")
    one = followup.comparisons[-1]
    found = []
    for kind in kinds:
        rows = tuple(replace(row, judgement=kind, why="x", carried=False) for row in one.changes)
        found.append(replace(followup, comparisons=(replace(one, changes=rows, absent={"L2": "gone"}, cautions=("doubt",)),)))
    mixed = tuple(
        replace(row, judgement=("increase", "decrease", "decrease")[n], bone="L1,L2") for n, row in enumerate(one.changes)
    )
    twice = tuple(replace(row, judgement="increase", bone="L1,L2") for row in one.changes)
    outcomes = ("ok", "caution", "routine", "uncontrolled", "strength", "all")
    checks = tuple(replace(check, outcome=outcomes[n % 6]) for n, check in enumerate(one.checks))
    nobody = tuple(replace(v, date=None, patient=Patient()) for v in followup.visits)
    own = tuple(replace(a, used=False) for a in one.alignments)
    found.append(
        replace(followup, comparisons=(replace(one, changes=mixed, checks=checks, alignments=own, years=None),), visits=nobody)
    )
    found.append(replace(followup, comparisons=(replace(one, changes=twice, cautions=()),)))
    quiet = tuple(replace(row, judgement="within", bone="L1,L2") for row in one.changes)
    found.append(replace(followup, comparisons=(replace(one, changes=quiet),)))
    found.append(replace(followup, comparisons=(replace(one, changes=(), alignments=(), absent={"L1": "gone"}),)))
    return found


def test_every_text_of_the_report_is_used():
    texts = report.Texts(Recorder(FOLLOWUP_ENGLISH))
    femur = tables.effects("femur")
    for followup in (pair(), *odd(replace(pair(), effects=(*pair().effects, *femur)))):
        page = report.to_html(report.make_followup_report(followup, texts=texts, made_on=DAY))
        assert "Research use only" in page and "{" not in page.split("</style>")[1]
    assert not {key for key in FOLLOWUP if key not in Recorder.asked}


def test_the_report_of_a_follow_up():
    made = report.make_followup_report(pair(), made_on=DAY)
    page = report.to_html(made)
    assert "Increase" in page and "Published mean changes" in page and "unverified: recalled" in page
    assert report.to_pdf(made)[:5] == b"%PDF-"


def test_no_change_is_given_of_what_is_not_comparable():
    other = visit(2, 115.0, turn=-5.0, shift=(-2, 1, 0))
    done = follow([visit(0), replace(other, acquisition=replace(other.acquisition, kvp=80.0))])
    page = report.to_html(report.make_followup_report(done, made_on=DAY))
    assert "Not comparable" in page and "80 kV at the follow-up" in page
    rows = [row for row in page.split("<tr") if "not comparable</td>" in row and "vBMD" in row]
    assert rows and not any("%" in row for row in rows)
    line = import_module("openbct.cli.compare")._line(done.comparisons[0].changes[0])
    assert "%" not in line and line.endswith("NOT COMPARABLE")


def test_a_last_date_without_any_bone_of_the_baseline_is_not_comparable():
    blank = replace(visit(2), bones={}, missing={"L1": "cut by the image"})
    done = follow([visit(0), visit(1), blank])
    assert done.comparisons[0].changes and not done.comparisons[1].changes
    made = report.make_followup_report(done, made_on=DAY)
    verdict = next(block for block in made.sections[0].blocks if isinstance(block, Verdict))
    assert verdict.category == FOLLOWUP["followup.verdict.not comparable"]
    assert verdict.reason.endswith("Vertebra L1: Not at the follow-up (cut by the image).")
    page = report.to_html(made)
    assert FOLLOWUP["followup.verdict.within"] not in page and report.to_pdf(made)[:5] == b"%PDF-"


@pytest.mark.parametrize(
    ("bones", "words"),
    [("L1,L2,L3", "Spine, mean of L1–L3"), ("T12,L1,L3", "Spine, mean of T12, L1, L3"), ("L1,L2", "Spine, mean of L1, L2"), ("L2", "Vertebra L2")],
)  # fmt: skip
def test_names(bones: str, words: str):
    assert followup_names.bone_name(bones, report.Texts(FOLLOWUP_ENGLISH)) == words


# comparison.json ---------------------------------------------------------------------------------------------------


@cache
def written_by() -> dict:
    """Return comparison.json of a plain follow-up, as it would be read."""
    return json.loads(json.dumps(followup_to_tables(pair(), created="2026-01-31T12:00:00+00:00")))


def test_every_follow_up_is_valid(tmp_path: Path):
    jsonschema.Draft202012Validator.check_schema(comparison_schema())
    for followup in (pair(), *odd(pair())):
        write_followup(followup, tmp_path, created="2026-01-31T12:00:00+00:00")
        jsonschema.validate(json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8")), comparison_schema())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "openbct-comparison/2"),
        (("visits",), []),
        (("visits", 0, "name"), "A^B"),
        (("visits", 1, "date"), "15.1.2024"),
        (("comparisons", 0, "changes", 0, "judgement"), "better"),
        (("comparisons", 0, "changes", 0, "judgement"), "implausible"),
        (("comparisons", 0, "changes", 0, "percent"), None),
        (("comparisons", 0, "changes", 0, "precision", "mark"), "read"),
        (("comparisons", 0, "alignments", 0, "transform"), [[1, 0, 0, 0]]),
        (("trends", 0, "years"), [0]),
        (("methods",), "words"),
    ],
)
def test_what_is_no_follow_up_is_refused(path: tuple, value: object):
    tables = json.loads(json.dumps(written_by()))
    inner = tables
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tables, comparison_schema())


# The command -------------------------------------------------------------------------------------------------------


def test_results_in_another_order(openbct: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    late, early = visit(1), visit(0)
    for name in ("late", "early"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("openbct.io.read_case", lambda folder: folder.name)
    monkeypatch.setattr("openbct.followup.visit_of", lambda case, date: late if case == "late" else early)
    said = openbct("compare", tmp_path / "late", tmp_path / "early", "-o", tmp_path / "out", "--no-report")
    assert said.status == 0 and "in the order of their dates: results 2, 1" in said.error
    assert "2024-01-15 to 2025-01-15" in said.out


def test_which_result_is_missing(openbct: Command, tmp_path: Path):
    (tmp_path / "a").mkdir()
    said = openbct("compare", tmp_path / "a", tmp_path / "a", "-o", tmp_path / "out")
    assert said.status == 3 and "result 1: found no case.openbct" in said.error


def test_the_command(openbct: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("openbct.io.read_case", lambda folder: plain_case())
    monkeypatch.setattr("openbct.followup.visit_of", lambda case, date: date)
    asked: list[str] = []
    monkeypatch.setattr("openbct.followup.follow", lambda visits, observe: asked.extend(visits) or pair())
    out = tmp_path / "out"
    said = openbct(
        "compare",
        tmp_path / "a",
        tmp_path / "b",
        "-o",
        out,
        "--date",
        "2024-01-01",
        "--date",
        "2026-01-01",
        "--no-report",
        "--json",
    )
    assert said.status == 0 and said.json["schema"] == "openbct-comparison/1"
    assert {path.name for path in out.iterdir()} == {"comparison.json", "comparison.csv"}
    written = (out / "comparison.json").read_text(encoding="utf-8")
    assert asked == ["2024-01-01", "2026-01-01"] and json.loads(written)["comparisons"][1]["years"] == pytest.approx(
        2.0, abs=0.01
    )
    assert "A^B" not in written and '"7"' not in written  # neither name nor number
    rows = (out / "comparison.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("followup,baseline_date,date,years,bone,quantity") and len(rows) == 7


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["one"], 2, "at least one follow-up"),
        (["one", "one2", "--date", "2024-01-01"], 2, "once for each"),
        (["one", "one2", "--date", "x", "--date", "2024-01-01"], 2, "expected a date as"),
        (["one", "nowhere"], 3, "result 1"),
        (["one", "out"], 2, "output folder"),
    ],
)
def test_wrong_options(openbct: Command, tmp_path: Path, options: list[str], status: int, words: str):
    (tmp_path / "out").mkdir()
    given = [tmp_path / text if text in ("one", "one2", "nowhere", "out") else text for text in options]
    said = openbct("compare", *given, "-o", tmp_path / "out")
    assert said.status == status and words in said.error and "Traceback" not in said.err
