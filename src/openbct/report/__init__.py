"""The report: from a case to one content model, and from that to HTML and PDF. Pure: nothing is read or written here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

from ..records import Case
from ..signing import Signed
from ..visits import Earlier
from .bones import bone_section, calibration, drawn_ahead, has_pictures, overview_figure
from .content import Figure, Report, Section
from .directions import direction_map
from .earlier import earlier_section, since
from .followup import make_followup_report
from .fractures import fracture_section
from .html import to_html
from .interpretation import interpretation, spoken
from .pdf import to_pdf
from .references import Numbering, methods, provenance, references
from .results import OVERVIEW_SHARE, adequacy, cautions, results
from .sheet import make_sheet, sheet_text
from .summary import shorten, summary, usable
from .sureness import sureness
from .texts import ENGLISH
from .wording import Texts, clean, person

__all__ = [
    "case_overview",
    "direction_map",
    "make_followup_report",
    "make_report",
    "make_sheet",
    "sheet_text",
    "spoken",
    "to_html",
    "to_pdf",
]


def make_report(
    case: Case,
    *,
    texts: Texts = Texts(ENGLISH),  # noqa: B008  frozen
    made_on: date | None = None,
    versions: tuple[Signed, ...] = (),
    earlier: Earlier | None = None,
    drawn: Report | None = None,
) -> Report:
    """Return the report of a case, every picture drawn and every number rounded.

    Parameters
    ----------
    texts
        The language.
    made_on
        Date of the report; ``None`` is today. Reports of one case with one date are identical.
    versions
        What physicians have signed on it, oldest first; empty: a draft.
    earlier
        What a comparison says of it beside an earlier scan.
    drawn
        A report of the same case, language, versions and comparison from another day, whose pages are taken over.
    """
    if drawn is None:
        with ThreadPoolExecutor(max_workers=1) as beside:
            sections = tuple(_sections(case, texts, versions, earlier, beside))
    else:
        sections = drawn.sections
    patient, scan = case.scan.patient, case.scan.acquisition
    study = texts("subtitle.study", date=shorten(clean(scan.study_date), 20)) if scan.study_date else ""
    protocol = texts("subtitle.protocol", protocol=shorten(clean(case.protocol), 60)) if case.protocol else ""
    day = (made_on or date.today()).isoformat()
    made = texts("subtitle.made", date=day)
    who = [shorten(person(patient.name or ""), 40), shorten(clean(patient.identifier or ""), 30), study]
    if not any(who[:2]) and case.scan.digest:
        who.append(texts("running.scan", digest=clean(case.scan.digest)[:12]))
    return Report(
        title=texts("title"),
        subtitle=" · ".join(part for part in (study, protocol, made) if part),
        made_on=day,
        language=texts("language"),
        running=" · ".join(part for part in who if part) or texts("title"),
        statement=_statement(texts, versions),
        page_word=texts("page"),
        contents=texts("contents"),
        missing_glyphs=texts("missing_glyphs"),
        sections=sections,
    )


def _sections(
    case: Case, texts: Texts, versions: tuple[Signed, ...], earlier: Earlier | None, beside: ThreadPoolExecutor
) -> list[Section]:
    """Return all sections; the bones in three dimensions, half of the time, are drawn beside the other pages."""
    # Bones without results come last: they need little room and share a page.
    shown = sorted((bone for bone in case.bones if has_pictures(bone, case)), key=lambda bone: bone.region is None)
    drawn = drawn_ahead(shown, beside)
    numbering = Numbering()
    done = methods(case, texts, numbering)
    overview = overview_figure(case, texts, OVERVIEW_SHARE - 0.02, 62.0)
    first = summary(case, texts, standing(texts, versions), since(earlier, texts) if earlier is not None else None)
    sections = [first, adequacy(case, texts, overview), results(case, texts, numbering)]
    broken = fracture_section(case, texts)
    sections += [broken] if broken is not None else []
    sections += [earlier_section(earlier, texts, numbering)] if earlier is not None else []
    sure = sureness(case, texts, numbering)
    sections += [sure] if sure is not None else []
    line, doubts = calibration(case, texts), cautions(case, texts)
    # With references a calibration fills its page; without, it is a few lines: with the cautions it fills that of the age curves, or
    # stands with them after the bones. Without a result it is no more than a record.
    brief = case.calibration is None or not case.calibration.samples
    early = [] if not usable(case) else [line] if not brief else [line, doubts] if case.assessment.curves else []
    sections += early
    sections += [bone_section(bone, case, texts, pictures) for bone, pictures in zip(shown, drawn, strict=True)]
    late = [line, doubts] if usable(case) else [doubts]
    sections += [section for section in late if section not in early]
    sections.append(interpretation(case, texts, numbering, versions, earlier))
    sections += [done] if usable(case) else [done, line]
    sections += [references(texts, numbering), provenance(case, texts)]
    return sections


def standing(texts: Texts, versions: tuple[Signed, ...]) -> str:
    """Return whether a physician has read the report, in a sentence."""
    if not versions:
        return texts("research.unread")
    last = versions[-1]
    return texts("signed.read", reader=clean(last.reader), day=last.when[:10], version=last.version)


def _statement(texts: Texts, versions: tuple[Signed, ...]) -> str:
    """Return the line that stands on every page."""
    if not versions:
        return texts("statement")
    last = versions[-1]
    return texts("signed.statement", reader=shorten(clean(last.reader), 50), day=last.when[:10], version=last.version)


def case_overview(case: Case, *, texts: Texts = Texts(ENGLISH)) -> Figure | None:  # noqa: B008  frozen
    """Return the scan from the front and from the side with every bone that was found; ``None`` where there is none."""
    return overview_figure(case, texts)
