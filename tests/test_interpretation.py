"""The draft follows from the numbers by rules that it names; what a physician signs is fixed, kept and checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openbct.cli import report as command
from openbct.errors import InputError, OutputError, SettingsError
from openbct.io import start_folder, write_json
from openbct.io.signed_store import FOLDER, check_versions, read_text, read_versions
from openbct.records import Case, Reference
from openbct.report.content import Paragraph, Signature, Table
from openbct.report.draft import Sentence, draft
from openbct.report.interpretation import interpretation
from openbct.report.references import Numbering
from openbct.report.summary import grouped_cautions
from openbct.report.texts import ENGLISH
from openbct.report.texts_draft import DRAFT
from openbct.report.wording import Texts
from openbct.signing import Signed, breaks, fixed
from report_cases import all_refused, fractured, many_cautions, plain_case, unknown_patient

TEXTS = Texts(ENGLISH)


@pytest.fixture(scope="module")
def case() -> Case:
    return plain_case()


def with_finding(case: Case, number: int, **changes: Any) -> Case:
    findings = list(case.assessment.findings)
    findings[number] = replace(findings[number], **changes)
    return replace(case, assessment=replace(case.assessment, findings=tuple(findings)))


@pytest.mark.parametrize("make", [plain_case, all_refused, many_cautions, fractured, unknown_patient])
def test_every_sentence_names_its_rule_and_is_no_stronger_than_its_evidence(make: Any) -> None:
    sentences = draft(make(), TEXTS)
    assert sentences[0].rule == "F1" and len({one.text for one in sentences}) == len(sentences)
    for one in sentences:
        assert (
            any(key.startswith(f"draft.{one.rule}") for key in ENGLISH) and one.text.endswith((".", ")")) and "{" not in one.text
        )
        if one.kind == "recommendation" and one.mark not in ("seen", "code", "design"):
            assert "not verified" in one.text, one
    assert any(one.kind == "recommendation" for one in sentences)


def test_a_threshold_that_nobody_saw_weakens_the_words(case: Case) -> None:
    doubtful = replace(case.assessment.findings[2], reference=Reference("From memory", "recalled"))
    weaker = draft(with_finding(case, 2, reference=doubtful.reference), TEXTS)
    hip = next(one for one in weaker if one.rule == "F2" and "total-hip" in one.text)
    assert hip.mark == "recalled" and "not verified" in hip.text
    assert all("not verified" not in one.text for one in draft(case, TEXTS) if one.rule == "F2")


@pytest.mark.parametrize("number", range(6))
def test_one_number_changes_its_own_sentence_alone(case: Case, number: int) -> None:
    finding = case.assessment.findings[number]
    before, after = draft(case, TEXTS), draft(with_finding(case, number, value=1.4 * finding.value), TEXTS)
    gone, new = (
        [one for one in side if one.text not in {two.text for two in other}] for side, other in ((before, after), (after, before))
    )
    name = f"{finding.bone} {finding.quantity}"
    assert len(gone) == len(new) == 1 and name in gone[0].numbers and gone[0].rule == new[0].rule
    assert new[0].numbers[name] == pytest.approx(1.4 * gone[0].numbers[name])


def test_a_wide_t_score_and_hips_that_differ_are_said(case: Case) -> None:
    wide = draft(with_finding(case, 1, t_score_sd=0.6), TEXTS)
    said = next(one for one in wide if one.rule == "L2")
    assert "left femur (neck) −2.0 ± 0.6, threshold −2.5 and −1.0." in said.text
    assert said.numbers == {"femur_left femoral_neck_abmd t_score": -1.955}
    left = case.bones[-1]
    assert left.strength is not None
    right = replace(left, bone="femur_right", strength=replace(left.strength, strength=0.8 * left.strength.strength))
    both = draft(replace(case, bones=(*case.bones, right)), TEXTS)
    assert "by 20 % of the higher" in next(one.text for one in both if one.rule == "C1")


def test_what_is_said_of_several_bones_is_one_sentence(case: Case) -> None:
    said = [one for one in draft(case, TEXTS) if one.rule == "F3"]
    assert [one.text.split(":")[0] for one in said] == ["L1 and L2", "Left femur"]
    assert said[0].numbers == {"L1 strength": 3512.0, "L2 strength": 3612.0} and "3510\u00a0N and 3610\u00a0N" in said[0].text
    doubt = (
        "Uncertainty leaves the lowest hip T-score between −3 and −1 (95 %): its class could be osteoporosis or low bone mass."
    )
    wide = with_finding(replace(case, cautions=(doubt,)), 1, t_score_sd=0.6)
    rules = [one.rule for one in draft(wide, TEXTS)]
    assert "L1" in rules and "L2" not in rules, "one doubt is said once"


def test_a_loss_near_the_limit_is_no_clean_bill(case: Case) -> None:
    broken = fractured()
    assert broken.fractures is not None
    near = replace(broken.fractures.vertebrae[0], grade=0, shape=None, loss=0.19, chances=(0.58, 0.3, 0.12, 0.0))
    found = replace(broken.fractures, vertebrae=(near,), left_out={})
    said = {one.rule: one.text for one in draft(replace(case, fractures=found), TEXTS)}
    assert "the only vertebra that was looked at" in said["F5"] and "with a chance of 42 %" in said["L5"]
    assert any("with a chance of 42 %" in text for _, text in grouped_cautions(replace(case, fractures=found), TEXTS)), (
        "first page"
    )
    sure = replace(found, vertebrae=(replace(near, chances=(0.99, 0.01, 0.0, 0.0)),))
    assert "L5" not in {one.rule for one in draft(replace(case, fractures=sure), TEXTS)}


@pytest.mark.parametrize(
    ("ratio", "ends", "words"),
    [
        (0.64, (0.5, 0.78), "is 0.64 (95 %: 0.50 to 0.78) times the simulated strength, below it."),
        (0.64, (0.35, 1.16), "reaches over 0.8 to 1.2, where it decides nothing."),
        (1.23, (0.71, 2.12), "reaches over 0.8 to 1.2, where it decides nothing."),
        (1.60, (1.3, 1.9), "times the simulated strength, above it."),
        (1.60, None, "is 1.60 times the simulated strength, of unknown certainty."),
        (1.00, (0.9, 1.1), "from 0.8 to 1.2 it decides nothing."),
    ],
)
def test_load_to_strength_is_said_no_surer_than_its_interval(case: Case, ratio: float, ends: Any, words: str) -> None:
    known = {"femur_left": ends} if ends else {}
    found = replace(case.assessment, load_to_strength={"femur_left": ratio}, ratio_intervals=known)
    said = next(one for one in draft(replace(case, assessment=found), TEXTS) if one.rule == "F4")
    assert said.text.endswith(words) and said.numbers == {"femur_left load_to_strength": ratio}


def test_below_the_age_of_classes_no_dxa_is_asked_for(case: Case) -> None:
    reason = "no class: the age used is 42, classes apply from 50 years"
    young = replace(case, assessment=replace(case.assessment, category=None, reason=reason))
    said = next(one for one in draft(young, TEXTS) if one.rule == "R6")
    assert "Z-scores" in said.text and "not verified" in said.text and said.mark == "recalled"


def test_fractures_lead_to_what_is_to_be_done_of_them() -> None:
    rules = [one.rule for one in draft(fractured(), TEXTS)]
    assert rules.count("F5") == 3 and {"R2", "R3"} <= set(rules) and "R4" not in rules


def signed(version: int = 1, previous: str = "", text: str = "My words.\n\nMore of them.") -> Signed:
    return Signed(
        version,
        "Jane Example, MD",
        f"2026-03-0{version}T10:11:12",
        "It means this.",
        text,
        ("F1 (seen): It is so.",),
        "ab" * 32,
        previous,
        "0.1.0",
    )


def test_the_section_has_room_to_sign_until_somebody_has(case: Case) -> None:
    blocks = interpretation(case, TEXTS, Numbering()).blocks
    assert any(isinstance(block, Signature) for block in blocks)
    table = next(block for block in blocks if isinstance(block, Table))
    assert {row[2].split(" · ")[0] for row in table.rows} >= {"F1", "F2", "L4", "R4"} and table.caption.startswith(
        "Draft by rules"
    )
    first = signed()
    second = signed(2, fixed(first))
    blocks = interpretation(case, TEXTS, Numbering(), (first, second)).blocks
    said = [block.text for block in blocks if isinstance(block, Paragraph)]
    assert said[:2] == ["My words.", "More of them."] and not any(isinstance(block, Signature) for block in blocks)
    table = next(block for block in blocks if isinstance(block, Table))
    assert table.rows == (("Findings", "It is so.", "F1 · seen"),)
    assert "takes the place of version 1" in said[2] and any(fixed(second) in text for text in said)


def test_any_changed_letter_breaks_what_was_signed() -> None:
    first = signed()
    second = signed(2, fixed(first))
    stated = [fixed(first), fixed(second)]
    assert breaks((first, second), stated, "ab" * 32) == ()
    assert "Version 1 was changed" in breaks((replace(first, text="My word."), second), stated, "ab" * 32)[0]
    assert "does not follow" in breaks((first, replace(second, previous="")), stated, "ab" * 32)[-1]
    assert "stored case" in breaks((first, second), stated, "cd" * 32)[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A result folder whose reports are made in no time."""
    (tmp_path / "case.openbct").write_bytes(b"a case")
    monkeypatch.setattr(command, "make_report", lambda case, made_on, versions, earlier: [fixed(one) for one in versions])
    monkeypatch.setattr(command, "to_html", lambda report: f"html {report}")
    monkeypatch.setattr(command, "to_pdf", lambda report: f"pdf {report}".encode())
    return tmp_path


def test_an_amendment_is_a_new_version_and_the_old_one_stays(
    case: Case, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.sign(case, folder, "First words.", "Jane Example, MD")
    kept = {path.name: path.read_bytes() for path in (folder / FOLDER).iterdir()}
    written = command.sign(case, folder, "Better words.", "Alex Sample, MD")
    assert Path(written["signed"]).name == "version-2.json" and len(kept) == 3
    assert {name: (folder / FOLDER / name).read_bytes() for name in kept} == kept
    first, second = read_versions(folder)
    assert (second.text, second.previous, second.version) == ("Better words.", fixed(first), 2) and second.draft == first.draft
    assert (folder / "report.pdf").read_bytes() == (folder / FOLDER / "version-2.pdf").read_bytes() != kept["version-1.pdf"]
    command.run_report(folder, interpretation=None, reader=None, verify=True, as_json=False)
    assert "every version is as it was signed" in capsys.readouterr().out
    with pytest.raises(OutputError, match="signed interpretation"):
        start_folder(folder)


@pytest.mark.parametrize("harm", ["text", "report", "case", "first version", "report gone"])
def test_what_was_changed_since_is_found_and_nothing_is_built_on_it(case: Case, folder: Path, harm: str) -> None:
    command.sign(case, folder, "First words.", "Jane Example, MD")
    command.sign(case, folder, "Better words.", "Jane Example, MD")
    place = folder / FOLDER
    if harm == "text":
        table = json.loads((place / "version-1.json").read_text())
        write_json(place / "version-1.json", {**table, "text": "Other words."})
    elif harm == "report":
        (place / "version-2.pdf").write_bytes(b"another")
    elif harm == "case":
        (folder / "case.openbct").write_bytes(b"another case")
    elif harm == "report gone":
        (place / "version-1.html").unlink()
    else:
        (place / "version-1.json").unlink()
    with pytest.raises(InputError, match="found"):
        command.run_report(folder, interpretation=None, reader=None, verify=True, as_json=False)
    with pytest.raises(InputError, match="found"):
        command.sign(case, folder, "Third words.", "Jane Example, MD")


def test_a_text_has_an_author_with_a_title(tmp_path: Path) -> None:
    assert command.checked_reader(" Jane  Example,MD, PhD ") == "Jane Example, MD, PhD"
    for reader in ("Jane Example", "Jane Example,", ", MD", "J, " + "M" * 200):
        with pytest.raises(SettingsError, match="NAME, TITLE"):
            command.checked_reader(reader)
    text = tmp_path / "text.txt"
    for content in (b"", b" \n", b"\xff\xfe\x00", b"x" * 20_001):
        text.write_bytes(content)
        with pytest.raises(InputError, match="interpretation"):
            read_text(text)
    with pytest.raises(InputError, match="no readable file"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(SettingsError, match="give both"):
        command.run_report(tmp_path, interpretation=text, reader=None, verify=False, as_json=False)
    with pytest.raises(InputError, match="no signed interpretation"):
        (tmp_path / "case.openbct").write_bytes(b"a case")
        command.run_report(tmp_path, interpretation=None, reader=None, verify=True, as_json=False)
    assert check_versions(tmp_path, "") == (0, ())


class Recorder(dict[str, str]):
    """The words, noting what is asked of them."""

    def __init__(self) -> None:
        super().__init__(ENGLISH)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)


def test_every_word_is_used(case: Case) -> None:
    words = Recorder()
    texts = Texts(words)
    hip = replace(
        case.assessment.findings[1], category="osteoporosis", t_score_sd=0.6, reference=Reference("From memory", "recalled")
    )
    strong = replace(case.assessment.findings[5], category="fragile bone strength")
    doubt = "The calibration leaves it open: its class could be osteoporosis or low bone mass."
    left = case.bones[-1]
    assert left.strength is not None
    right = replace(left, bone="femur_right", strength=replace(left.strength, strength=2000.0, scale="none"))
    loads = {"femur_left": 0.7, "femur_right": 1.0, "L1": 1.3, "L2": 0.64, "L3": 0.5}
    memory = (Reference("A formula of the fall, from memory", "recalled"),)
    assessment = replace(
        case.assessment, category="osteoporosis", risk="high", risk_reason="osteoporosis", beside_dxa=("DXA says the same.",), load_to_strength=loads,
        ratio_intervals={"L2": (0.35, 1.16), "femur_left": (0.65, 0.75), "L1": (1.25, 1.35)},
        findings=(case.assessment.findings[0], hip, strong), step=replace(case.assessment.step, references=memory),
    )  # fmt: skip
    bones = (replace(left, strength=replace(left.strength, scale="none")), right)
    everything = replace(case, assessment=assessment, cautions=(doubt,), bones=bones)
    normal = replace(case, assessment=replace(case.assessment, category="normal", risk=None, findings=()))
    broken = fractured().fractures
    assert broken is not None
    whole = tuple(replace(one, grade=0, shape=None) for one in broken.vertebrae)
    sound = replace(normal, fractures=replace(broken, vertebrae=whole))
    alone = replace(fractured(), assessment=normal.assessment)
    for one in (everything, normal, sound, alone, fractured(), all_refused(), case):
        interpretation(one, texts, Numbering())
    first = signed()
    interpretation(case, texts, Numbering(), (first,))
    interpretation(case, texts, Numbering(), (first, signed(2, fixed(first))))
    young = replace(
        normal,
        assessment=replace(normal.assessment, category=None, reason="no class: the age used is 42, classes apply from 50 years"),
    )
    near = replace(whole[0], loss=0.19, chances=(0.6, 0.3, 0.1, 0.0))
    interpretation(replace(young, fractures=replace(broken, vertebrae=(near,))), texts, Numbering())
    by_comparison = {
        "draft.C4",
        "draft.C5",
        "draft.C6",
        "draft.C7",
        "draft.L6",
        "draft.L7",
        "draft.what",
        "draft.inline_mean",
    }  # tests/test_earlier.py
    elsewhere = {"signed.statement", "signed.read", "signed.meaning", "draft.mark.code", "draft.mark.computed"}
    unused = {key for key in DRAFT if key not in words.asked} - elsewhere
    assert {key for key in unused if not key.startswith(tuple(by_comparison))} == set()


def test_a_draft_bears_the_day_that_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert str(command.made_on(())) == "2023-11-14" and str(command.made_on((signed(),))) == "2026-03-01"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(SettingsError, match="SOURCE_DATE_EPOCH"):
        command.made_on(())
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert command.made_on(()) is None and isinstance(draft(plain_case(), TEXTS)[0], Sentence)
