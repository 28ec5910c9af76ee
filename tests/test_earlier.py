"""A comparison with an earlier scan in the report of the later one: what is said by which number, and what is kept and fixed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from openbct import report
from openbct.cli import report as command
from openbct.errors import InputError, SettingsError
from openbct.io import start_folder
from openbct.io.followup_files import COMPARISON, read_earlier
from openbct.io.signed_store import check_versions, comparison_of, read_versions
from openbct.records import Case, Reference
from openbct.report.draft import draft
from openbct.report.draft_sentence import Sentence
from openbct.report.texts import ENGLISH
from openbct.report.wording import Texts
from openbct.visits import Change, Comparison, Earlier, ScanCheck
from report_cases import plain_case

TEXTS = Texts(ENGLISH)
SEEN = Reference("Precision of one scanner", "seen")
RECALLED = Reference("Precision from memory", "recalled")
PERCENT = {"increase": 7.4, "decrease": -7.4, "within": -1.2, "not comparable": -7.4, "implausible": -61.0}


def change(bone: str, quantity: str, judgement: str, precision: Reference = SEEN, **others: Any) -> Change:
    unit, before = ("N", 3000.0) if quantity == "strength" else ("mg/cm3 K2HPO4", 100.0)
    percent = PERCENT[judgement]
    row = Change(
        bone, quantity, unit, before, before * (1 + percent / 100), before * percent / 100, percent, percent / 2, 3.9, "precision",
        precision, judgement, True, "contrast agent was seen in one scan alone" if judgement == "not comparable" else "",
    )  # type: ignore[arg-type]  # fmt: skip
    return replace(row, **others)


def earlier(*changes: Change, **others: Any) -> Earlier:
    checks = (
        ScanCheck("kvp", "ok", "120 kV", "120 kV", ""),
        ScanCheck("kernel", "routine", "B30f", "B50f", "Kernels B30f and B50f: sharper ones are noisier."),
    )
    one = Comparison(1, 2.0, checks, (), changes, {}, ("Kernels differ.",))
    return Earlier("2024-01-15", "2026-01-15", replace(one, **others))


def said(found: Earlier) -> list[Sentence]:
    bare = {one.text for one in draft(plain_case(), TEXTS)}
    return [one for one in draft(plain_case(), TEXTS, found) if one.text not in bare]


@pytest.mark.parametrize(
    ("judgement", "rule", "words"),
    [
        ("increase", "C4", "has increased by 7.4 % (100 to 107 mg/cm³), more than the least significant change of 3.9 %."),
        ("decrease", "C4", "has decreased by 7.4 % (100 to 93 mg/cm³), more than the least significant change of 3.9 %."),
        ("within", "C5", "differs by −1.2 %, within the least significant change of 3.9 %: no change is shown."),
        ("implausible", "C6", "a fault in one of the scans is to be looked for first, and no change is stated."),
        (
            "not comparable",
            "C7",
            "cannot be compared with 2024-01-15 (contrast agent was seen in one scan alone): no change is stated.",
        ),
    ],
)
def test_a_change_is_said_as_it_was_judged(judgement: str, rule: str, words: str) -> None:
    one = said(earlier(change("L1,L2", "trabecular_vbmd", judgement)))[0]
    assert (one.rule, one.kind) == (rule, "comparison") and one.text.endswith(words) and "mean of L1, L2" in one.text
    if judgement in ("implausible", "not comparable"):
        assert "increased" not in one.text and "decreased" not in one.text
    if judgement == "not comparable":
        assert "7.4" not in one.text


def test_one_number_changes_its_own_sentence_alone() -> None:
    rows = (change("L1,L2", "trabecular_vbmd", "decrease"), change("L1,L2", "strength", "within", RECALLED))
    before, after = said(earlier(*rows)), said(earlier(replace(rows[0], percent=-9.3), rows[1]))
    differing = [(a, b) for a, b in zip(before, after) if a.text != b.text]
    assert len(before) == len(after) and len(differing) == 1
    (old, new) = differing[0]
    assert old.rule == new.rule == "C4" and "9.3 %" in new.text and new.numbers["L1,L2 trabecular_vbmd percent"] == -9.3
    weak = next(one for one in before if one.rule == "C5")
    assert weak.mark == "recalled" and "by a precision that was not verified in its source" in weak.text


def test_what_speaks_against_the_comparison_and_the_next_scan_are_said() -> None:
    found = earlier(change("L1,L2", "strength", "within"), absent={"femur_left": "it is not in the baseline"})
    text = {one.rule: one for one in said(found)}
    assert "Kernels B30f and B50f" in text["L6"].text.replace("kernels", "Kernels") and "left femur" in text["L7"].text
    again = next(one for one in draft(plain_case(), TEXTS, found) if one.rule == "R8")
    assert again.mark == "recalled" and "not verified" in again.text
    normal = replace(plain_case(), assessment=replace(plain_case().assessment, category="normal"))
    assert "R8" not in {one.rule for one in draft(normal, TEXTS)}, "only what is to be followed up"


def test_the_report_tells_of_it_on_its_first_page_and_in_a_section() -> None:
    bare = replace(plain_case(), bones=tuple(replace(b, specimen=None, region=None) for b in plain_case().bones))
    found = earlier(change("L1,L2", "trabecular_vbmd", "decrease"), change("L1,L2", "strength", "implausible"), years=None)
    plain = report.make_report(bare, made_on=date(2026, 2, 1))
    made = report.make_report(bare, made_on=date(2026, 2, 1), earlier=found)
    differing = {section.key for section in made.sections if section not in plain.sections}
    assert differing == {"summary", "followup", "interpretation", "references"}
    page = report.to_html(made)
    assert "Spine, mean of L1, L2, trabecular vBMD: −7.4 %, decrease (least significant change 3.9 %)." in page
    assert "Spine, mean of L1, L2, strength: implausible." in page
    assert "LSC of routine scans" in page and "Precision of one scanner (seen in the source)" in page
    undated = report.to_html(
        report.make_report(bare, earlier=replace(found, baseline=None, comparison=replace(found.comparison, changes=())))
    )
    assert "Since an earlier scan without a date" in undated and "Nothing could be compared." in undated


# comparison.json ---------------------------------------------------------------------------------------------------


def tables(digest: str, number: int = 1) -> dict[str, Any]:
    one = earlier(change("L1,L2", "trabecular_vbmd", "decrease")).comparison
    visits = [
        {"number": 0, "date": "2024-01-15", "input_sha256": digest if number == 0 else "cd" * 32},
        {"number": 1, "date": "2026-01-15", "input_sha256": digest if number == 1 else "ef" * 32}
        | {"protocol": plain_case().protocol, "version": plain_case().versions.get("openbct", "unknown")},
    ]
    return {"schema": "openbct-comparison/1", "visits": visits, "comparisons": [asdict(one)]}


def put(folder: Path, table: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / COMPARISON).write_text(json.dumps(table), encoding="utf-8")
    return folder


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    folder = put(tmp_path, tables("ab" * 32))
    found, content = read_earlier(folder, "ab" * 32)
    assert found == earlier(change("L1,L2", "trabecular_vbmd", "decrease")) and content == (folder / COMPARISON).read_bytes()
    assert read_earlier(folder / COMPARISON, "ab" * 32)[0] == found


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ((), [], "damaged"),
        (("schema",), "openbct-comparison/9", "schema"),
        (("visits",), [], "damaged"),
        (("comparisons", 0, "changes", 0, "judgement"), "better", "damaged"),
        (("comparisons", 0, "changes", 0, "percent"), float("nan"), "damaged"),
        (("comparisons", 0, "changes", 0, "percent"), None, "damaged"),
        (("comparisons", 0, "changes", 0, "precision", "mark"), "sworn", "damaged"),
        (("comparisons", 0, "checks", 0, "outcome"), "splendid", "damaged"),
        (("visits", 1, "number"), float("inf"), "damaged"),
        (("visits", 1, "input_sha256"), "00" * 32, "not among its scans"),
        (("visits", 0, "input_sha256"), "ab" * 32, "as its baseline"),
    ],
)
def test_what_is_no_comparison_of_this_scan_is_refused(tmp_path: Path, path: tuple[Any, ...], value: object, words: str) -> None:
    table: Any = tables("ab" * 32)
    if path == ("visits", 0, "input_sha256"):
        table = tables("ab" * 32, number=0)
    elif path:
        inner = table
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    else:
        table = value
    with pytest.raises(InputError, match=words) as error:
        read_earlier(put(tmp_path, table), "ab" * 32)
    assert str(tmp_path) not in str(error.value) and "expected" in str(error.value)
    with pytest.raises(InputError, match="no readable"):
        read_earlier(tmp_path / "elsewhere", "ab" * 32)


# The command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A result folder whose reports are made in no time."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "case.openbct").write_bytes(b"a case")
    monkeypatch.setattr(command, "make_report", lambda case, made_on, versions, earlier: f"{len(versions)} {earlier is not None}")
    monkeypatch.setattr(command, "to_html", lambda made: f"html {made}")
    monkeypatch.setattr(command, "to_pdf", lambda made: f"pdf {made}".encode())
    return folder


def test_a_comparison_is_kept_and_signed_with_the_report(tmp_path: Path, out: Path) -> None:
    case: Case = plain_case()
    given = put(tmp_path / "followup", tables(case.scan.digest))
    command.keep_comparison(given, case, out, signs=False)
    assert command.kept_comparison(case, out, ())[0] == read_earlier(given, case.scan.digest)[0]
    command.sign(case, out, "My words.", "Jane Example, MD")
    versions = read_versions(out)
    assert any(line.startswith("C4 (seen): Since 2024-01-15") for line in versions[0].draft)
    with pytest.raises(SettingsError, match="signed"):
        command.keep_comparison(given, case, out, signs=False)
    (out / COMPARISON).unlink()
    assert command.kept_comparison(case, out, versions)[0] is not None, "the report signed with it is made again with it"
    command.sign(case, out, "Other words.", "Jane Example, MD")
    versions = read_versions(out)
    assert len(versions) == 2 and command.kept_comparison(case, out, versions) == (None, None)
    kept = comparison_of(1, out)
    kept.write_text(kept.read_text(encoding="utf-8").replace("-7.4", "-2.4"), encoding="utf-8")
    assert check_versions(out, versions[-1].case) == (2, ("comparison-1.json is not the report that was signed.",))


@pytest.mark.parametrize(
    ("quantity", "value", "protocol", "words"),
    [
        ("strength", 1.00001, None, ""),
        ("strength", 1.01, None, "another analysis"),
        ("integral_vbmd", 1.01, None, ""),
        ("integral_vbmd", 1.0, "mine 2", "another analysis"),
    ],
)
def test_a_comparison_of_another_analysis_of_the_scan_is_refused(
    tmp_path: Path, out: Path, quantity: str, value: float, protocol: str | None, words: str
) -> None:
    case: Case = plain_case()
    table: Any = tables(case.scan.digest)
    strength = next(bone.strength.strength for bone in case.bones if bone.bone == "L1" and bone.strength)
    table["comparisons"][0]["changes"] += (asdict(change("L1", quantity, "within", followup=strength * value)),)
    table["visits"][1]["protocol"] = protocol or table["visits"][1]["protocol"]
    given = put(tmp_path / "followup", table)
    if not words:
        command.keep_comparison(given, case, out, signs=False)
        return
    with pytest.raises(InputError, match=words):
        command.keep_comparison(given, case, out, signs=False)
    assert not (out / COMPARISON).exists()


def test_an_anonymous_result_gets_no_dates_from_a_comparison(tmp_path: Path, out: Path) -> None:
    case: Case = plain_case()
    hidden = replace(case.scan, source="DICOM series of 9 slices", acquisition=replace(case.scan.acquisition, study_date=None))
    given = put(tmp_path / "followup", tables(case.scan.digest))
    with pytest.raises(InputError, match="anonymous"):
        command.keep_comparison(given, replace(case, scan=hidden), out, signs=False)


def test_a_comparison_put_beside_a_signature_is_not_shown_and_found(tmp_path: Path, out: Path) -> None:
    case: Case = plain_case()
    command.sign(case, out, "My words.", "Jane Example, MD")
    versions = read_versions(out)
    given = put(tmp_path / "followup", tables(case.scan.digest))
    comparison_of(1, out).write_bytes((given / COMPARISON).read_bytes())
    assert command.kept_comparison(case, out, versions) == (None, None)
    assert check_versions(out, versions[-1].case) == (1, ("comparison-1.json was not there when the version was signed.",))


def test_an_implausible_change_says_why() -> None:
    one = said(earlier(change("L1", "strength", "implausible", why="The strength changed by −61 %; look at both masks.")))[0]
    assert (
        one.rule == "C6"
        and "−61.0 %, which is implausible (the strength changed by −61 %; look at both masks): a fault" in one.text
    )


def test_a_new_run_leaves_no_comparison_of_the_one_before(out: Path) -> None:
    put(out, {})
    start_folder(out)
    assert not (out / COMPARISON).exists()
