"""The report: everything in it, nothing injected, nothing that cannot be read."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

import report_cases
from openbct import report
from openbct.records import Step
from openbct.report import pdf, views
from openbct.report.content import Figure, Notice, Paragraph, Report, Table, Verdict
from openbct.report.fractures import fracture_section
from openbct.report.summary import MAIN_CAUTIONS, summary
from openbct.report.texts import ENGLISH

DAY = date(2024, 2, 29)
VOID = {"meta", "img", "col", "br", "link"}


ASKED: set[str] = set()


class Recorder(dict):
    """The catalogue, noting what is asked of it."""

    def __getitem__(self, key):
        ASKED.add(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        ASKED.add(key)
        return super().get(key, default)


@cache
def made(name: str) -> Report:
    return report.make_report(report_cases.CASES[name](), texts=report.Texts(Recorder(ENGLISH)), made_on=DAY)


@cache
def html(name: str) -> str:
    return report.to_html(made(name))


class Page(HTMLParser):
    """Collects what a browser would see, and whether the tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and not (self.open and self.open[0] == "svg" and tag == "never"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# Hostile input first ----------------------------------------------------------------------------------------------


def test_nothing_that_a_header_says_becomes_markup():
    page = Page(html("hostile_texts"))
    assert not page.open
    assert {"script", "b", "i"}.isdisjoint(tag for tag, _ in page.tags)
    assert "<script>alert(1)</script>" in page.text, "the name is shown as it is, as text"
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)


def test_hostile_texts_do_not_change_the_printed_page():
    pdf = report.to_pdf(made("hostile_texts"))
    boxes = set(re.findall(rb"/MediaBox ?\[([^\]]*)\]", pdf))
    assert boxes == {b"0 0 595.2756 841.8898"}, "every page is A4: no text reached the template as code"


def test_control_characters_and_direction_marks_are_dropped():
    text = html("hostile_texts")
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069]", text)


def test_names_without_glyphs_are_boxed_in_print_and_whole_on_screen():
    assert "王, 小東" in html("hostile_texts")
    content = report.pdf._plain(made("hostile_texts"), {})
    missing = {letter for text in report.pdf._strings(content) for letter in text} - report.pdf._covered()
    assert {"王", "小", "東"} <= missing
    assert not missing & set("ΩνάσηςЁлкаشمس−³≥")
    replaced = report.pdf._replace(content, missing)
    assert any("□" in text for text in report.pdf._strings(replaced))


# Every case --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", report_cases.CASES)
def test_page_is_whole_and_needs_no_network(name):
    page = Page(html(name))
    assert not page.open
    assert len(html(name)) < 6e6
    for tag, attributes in page.tags:
        for key in ("src", "href", "srcset", "data", "poster"):
            value = attributes.get(key)
            assert value is None or value.startswith(("data:", "#")), f"<{tag} {key}> points outside the page"
    assert "url(http" not in html(name) and "@import" not in html(name)
    links = {a["href"][1:] for tag, a in page.tags if tag == "a"}
    assert links <= {a.get("id") for _, a in page.tags}


@pytest.mark.parametrize("name", report_cases.CASES)
def test_page_can_be_read_without_seeing_it(name):
    page = Page(html(name))
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", report_cases.CASES)
def test_every_figure_has_caption_and_alternative(name):
    figures = made(name).figures()
    assert all(figure.caption and figure.alt and len(figure.data) > 1000 for figure in figures)


@pytest.mark.parametrize("name", report_cases.CASES)
def test_the_two_statements_stand_on_every_report(name):
    text = Page(html(name)).text
    assert "OpenBCT is not cleared as a medical device" in text
    assert "not yet been interpreted by a physician" in text
    assert made(name).statement in text


@pytest.mark.parametrize("name", report_cases.CASES)
def test_every_doubt_is_printed(name):
    case = report_cases.CASES[name]()
    text = Page(html(name)).text.casefold()
    doubts = [*case.cautions, *(c for b in case.bones for c in b.cautions), *(b.reason for b in case.bones if b.reason)]
    for doubt in doubts:
        assert " ".join(report.clean(doubt).split()).casefold() in text


@pytest.mark.parametrize("name", report_cases.CASES)
def test_pdf_is_archival_tagged_and_carries_its_typefaces(name):
    pdf = report.to_pdf(made(name))
    assert pdf.startswith(b"%PDF-1.7") and pdf.rstrip().endswith(b"%%EOF")
    assert b"<pdfaid:part>2</pdfaid:part>" in pdf and b"<pdfaid:conformance>A</pdfaid:conformance>" in pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    assert b"SourceSans3" in pdf
    assert b"2024-02-29" in pdf


# Content -----------------------------------------------------------------------------------------------------------


def test_sections_come_in_the_order_of_a_clinical_reading():
    keys = [section.key for section in made("plain").sections]
    assert keys == [
        "summary", "adequacy", "results", "calibration", "bone-l1", "bone-l2", "bone-femur-left",
        "cautions", "interpretation", "methods", "references", "provenance",
    ]  # fmt: skip


def test_first_page_states_who_class_reason_and_numbers():
    text = Page(html("plain")).text
    for words in (
        "Miller, Jane", "PID-0042", "1951-03-14", "female", "72 years", "62 kg entered", "120 kV", "B40s", "2023-05-02",
        "Low bone mass (osteopenia)", "Lowest T-score −2.0 (left femoral neck)", "94 ± 6 mg/cm³ (mean L1, L2)", "T −2.0",
        "Shown, not classified: the cut values are published for another program’s newtons", "uncertain by about ±40 %",
        "No cautions were raised.",
    ):  # fmt: skip
        assert words in text, words


def test_what_could_change_the_class_leads_the_first_page_and_is_not_cut():
    notice = next(block for block in made("doubted").sections[0].blocks if isinstance(block, Notice) and block.tone == "caution")
    assert notice.items[0] == report_cases.CLASS_DOUBT
    assert [item[:7] for item in notice.items[1:4]] == ["Doubt 1", "Doubt 2", "Doubt 3"], "then the scan"
    assert notice.items[4].startswith("Left femur: Its label"), "then the bones"
    assert not any("…" in item or "touches" in item for item in notice.items), "whole sentences; refusals stand in the banner"
    verdict = next(block for block in made("doubted").sections[0].blocks if isinstance(block, Verdict))
    assert any("refused: L1" in note for note in verdict.notes)


def test_first_page_holds_as_many_cautions_as_fit_it():
    shown = {
        name: next(b for b in made(name).sections[0].blocks if isinstance(b, Notice) and b.tone == "caution").items
        for name in ("many_cautions", "doubted")
    }
    assert 4 <= len(shown["many_cautions"]) - 1 <= MAIN_CAUTIONS and shown["many_cautions"][-1].startswith("and ")


@pytest.mark.parametrize("name", ["many_cautions", "doubted", "plain"])
def test_summary_stays_on_the_first_page(name):
    content = made(name)
    pdf = report.to_pdf(replace(content, sections=content.sections[:1]))
    assert len(re.findall(rb"/Type ?/Page\b", pdf)) == 1


def test_unverified_sources_are_marked_beside_their_numbers():
    text = Page(html("doubted")).text
    for words in (
        "Bone density class (unverified)", "T-score, hip (unverified)", "Load-to-strength, sideways fall (unverified)",
        "Load-to-strength in a sideways fall (unverified)",
    ):  # fmt: skip
        assert words in text, words
    notes = [b.text for b in made("doubted").sections[2].blocks if isinstance(b, Paragraph) and re.match("[a-z]  ", b.text)]
    assert notes and all(note.endswith("] (unverified)") for note in notes)
    assert "(unverified)" not in Page(html("plain")).text, "seen sources carry no mark"


def test_hip_of_doubtful_side_is_named_so():
    titles = [section.title for section in made("doubted").sections]
    assert "Left femur (side doubtful)" in titles
    assert "as the image header has them; its orientation is doubtful" in html("doubted")


def test_numbers_have_sensible_digits():
    table = next(block for block in made("plain").sections[2].blocks if isinstance(block, Table))
    values = {(row[1], row[2]) for row in table.rows}
    assert ("Strength", "3510 N") in values, "strength to 10 N"
    assert ("Femoral-neck aBMD", "0.623 ± 0.021 g/cm²") in values, "areal density to 0.001"
    assert ("Trabecular vBMD", "93 ± 6 mg/cm³") in values, "volumetric density to 1"
    assert {row[3] for row in table.rows} == {"", "−2.0", "−1.6"}, "T to 0.1"


def test_one_number_changes_what_it_should():
    case = report_cases.plain_case()
    findings = tuple(
        replace(f, value=61.2, category="osteoporosis") if f.quantity == "trabecular_vbmd" else f
        for f in case.assessment.findings
    )
    bones = tuple(replace(bone, specimen=None, model=None, region=None) for bone in case.bones)
    before = report.make_report(replace(case, bones=bones), made_on=DAY)
    after = report.make_report(replace(case, bones=bones, assessment=replace(case.assessment, findings=findings)), made_on=DAY)
    differing = [a.key for a, b in zip(before.sections, after.sections) if a != b]
    assert differing == ["summary", "results", "interpretation"]
    assert "61" in Page(report.to_html(after)).text


def test_refused_bone_keeps_its_picture_and_its_reason():
    section = next(section for section in made("one_refused").sections if section.key == "bone-l1")
    assert any(isinstance(block, Figure) for block in section.blocks)
    assert "touches the upper border of the image (14 % of its cross-section)" in Page(html("one_refused")).text


def test_report_without_any_result_says_so_first():
    text = Page(html("all_refused")).text
    assert "No density, no strength No bone could be measured" in text and "No class" not in text.split("Adequacy")[0]
    assert "✗ Why, and what to do" in text and text.index("use a fixed line") < text.index("Adequacy and location")
    assert "Right femur – not assessed Not in the image" in text
    assert "No calibration was reached" in text


def verdict_beside_heights() -> Verdict:
    bare = replace(report_cases.all_refused(), fractures=report_cases.fractured().fractures)
    blocks = summary(bare, report.Texts(Recorder(ENGLISH)), "").blocks
    return next(block for block in blocks if isinstance(block, Verdict))


def test_a_report_without_any_result_tells_of_the_heights_that_were_graded():
    assert re.search(r"Heights of \d vertebrae were graded: see the cautions", verdict_beside_heights().reason)


def test_unknown_patient_gets_no_invented_facts():
    text = Page(html("unknown_patient")).text
    assert text.count("not known") >= 10
    assert "Osteoporosis" not in text and "No class" in text


def test_density_input_has_no_calibration_plot():
    section = next(section for section in made("density_input").sections if section.key == "calibration")
    assert not any(isinstance(block, Figure) for block in section.blocks)
    assert "level 400, width 1300 mg/cm³" in html("density_input")


def test_methods_cite_and_mark_their_sources():
    text = Page(html("plain")).text
    assert re.search(r"The bone was compressed in twelve steps with a von Mises plasticity model\.\s?\[\d+\]", text)
    assert "text not seen (unverified: recalled)" in text
    assert "Surface smoothing of this example (unverified: design choice)" in text
    assert "Table 1 (seen in the source)" in text


def test_methods_say_once_what_holds_for_every_bone():
    case = report_cases.plain_case()
    rule = "The frame was laid through the centre of the body, 0.5 mm wide."
    bones = tuple(
        replace(b, region=None, steps=(Step("anatomy", f"{rule} {b.bone}: height 24.{n} mm."),)) for n, b in enumerate(case.bones)
    )
    content = report.make_report(replace(case, bones=bones), made_on=DAY)
    facts = next(section for section in content.sections if section.key == "methods").blocks[0].items
    said = next(fact.value for fact in facts if fact.label == "Anatomy")
    assert said == f"{rule} L1: height 24.0 mm. L2: height 24.1 mm. The left femur: height 24.2 mm."


def test_provenance_repeats_the_run():
    text = Page(html("plain")).text
    for words in (
        "ab" * 32,
        "openbct 0.1.0",
        "vertebra.voxel_mm 1.0",
        "calibration.method phantomless",
        "1.2.826.0.1.3680043.10.1.2",
    ):
        assert words in text, words


def test_one_case_on_one_day_gives_the_same_bytes():
    case = report_cases.density_input()
    first, second = (report.make_report(case, made_on=DAY) for _ in range(2))
    assert report.to_html(first) == report.to_html(second)
    assert report.to_pdf(first) == report.to_pdf(second)


def test_overview_shows_what_was_found():
    case = report_cases.plain_case()
    figure = report.case_overview(case)
    assert figure is not None and figure.data.startswith(b"\x89PNG") and "Left femur" in figure.alt
    empty = replace(case, segmentation=replace(case.segmentation, bones={}))
    assert report.case_overview(empty) is None


# The catalogue -----------------------------------------------------------------------------------------------------


def test_a_linear_test_shows_no_failure_and_stands_alone():
    page = report.to_html(report.make_report(report_cases.another_test(), made_on=DAY))
    assert "so that it stands alone" in page and "may be set against" in page and "mine 1; no published threshold" in page
    assert "plastic strain at the strength" not in page and "has yielded" not in page
    keys = [
        [one.key for one in views.subject_of(case.bones[0]).quantities]
        for case in (report_cases.another_test(), report_cases.plain_case())
    ]
    assert "failure" not in keys[0] and "failure" in keys[1]


@pytest.mark.slow
def test_every_text_is_used():
    for name in report_cases.CASES:
        made(name)
    report.make_report(report_cases.another_test(), texts=report.Texts(Recorder(ENGLISH)), made_on=DAY)
    report.make_report(report_cases.mapped(), texts=report.Texts(Recorder(ENGLISH)), made_on=DAY)
    plain = report_cases.plain_case()
    alone = replace(plain, assessment=replace(plain.assessment, risk="increased", risk_reason="T -2.0; by density alone"))
    report.make_report(alone, texts=report.Texts(Recorder(ENGLISH)), made_on=DAY)
    broken = report_cases.fractured()
    assert broken.fractures is not None
    whole = tuple(replace(one, grade=0, shape=None, chances=(0.6, 0.3, 0.1, 0.0)) for one in broken.fractures.vertebrae)
    near = replace(broken, fractures=replace(broken.fractures, vertebrae=whole, left_out={}))
    section = fracture_section(near, report.Texts(Recorder(ENGLISH)))
    assert section is not None and "near the limit of a fracture" in str(section.blocks)
    verdict_beside_heights()
    for site in ("hip", "spine", "both"):
        report.make_sheet(site, texts=report.Texts(Recorder(ENGLISH)), made_on=DAY)
    line = np.linspace(-20.0, 40.0, 3)
    fallen = (10.0, 15.0, 4000.0)
    report.direction_map(
        line, line, 4000.0 + line[:, None] + line, default=fallen, weakest=fallen, texts=report.Texts(Recorder(ENGLISH))
    )
    by_content = (
        "adequacy.",
        "draft.",  # tests/test_interpretation.py
        "earlier.",  # tests/test_earlier.py, with the next
        "section.followup",
        "sure.",  # tests/test_sureness.py, with the three below
        "section.sureness",
        "population.",
        "verdict.chances",
        "signed.",
        "calibration.places",
        "quantity.",
        "stage.",
        "mark.",
        "source.",
        "class.",
        "hip.",
        "short.",
        "sex.",
        "risk.",
        "bone.",
        "site.",
        "view.",
        "none",
        "scale.highest",
        "hip_fracture.",
    )
    unused = {key for key in ENGLISH if key not in ASKED and not key.startswith(by_content)}
    assert not unused


def test_another_language_is_another_catalogue():
    case = report_cases.all_refused()
    other = {key: f"«{text}»" if key != "language" else "fr" for key, text in ENGLISH.items()}
    page = report.to_html(report.make_report(case, texts=report.Texts(other), made_on=DAY))
    assert '<html lang="fr">' in page
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert headings and all(heading.startswith("«") for heading in headings)


def test_long_words_break_at_their_hyphens():
    assert pdf._breakable("had 12 displacement-controlled steps") == "had 12 displacement-\u200bcontrolled steps"
    assert (
        pdf._breakable("a" * 20).count("\u200b") == 3 and pdf._breakable("141.2345678901 mg/cm³") == "141.2345678901 mg/\u2060cm³"
    )
