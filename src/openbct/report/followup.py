"""The report of a follow-up: what changed, whether it may be compared, every number, what treatments did on average."""

from __future__ import annotations

from datetime import date
from typing import Final

from ..visits import Change, Comparison, FollowUp, Trend, Visit
from .content import Block, Fact, Facts, Figure, Notice, Pair, Paragraph, Report, Section, Standing, Table, Verdict
from .followup_changes import MAIN, cells, main_changes, valued
from .followup_names import bone_name, quantity_name, signed, when, within
from .followup_plots import trend_plot
from .followup_tables import comparable, scans, treatments
from .followup_texts import FOLLOWUP_ENGLISH
from .interpretation import unread
from .references import Numbering, references
from .summary import shorten
from .wording import Texts, clean, person

MOST_CAUTIONS: Final = 6
"""On the first page; every one stands in comparison.json and below [design]."""
MOST_TRENDS: Final = 4
"""Pictures on the first pages [design]."""
LONG: Final = 260
"""Letters of a caution on the first page [design]."""


def make_followup_report(
    followup: FollowUp,
    *,
    texts: Texts = Texts(FOLLOWUP_ENGLISH),  # noqa: B008  frozen
    made_on: date | None = None,
) -> Report:
    """Return the report of a follow-up, pictures drawn and numbers rounded.

    Parameters
    ----------
    made_on
        Date of the report; ``None`` is today.
    """
    numbering = Numbering()
    marks = numbering.marks(followup.step.references)
    sections = [_summary(followup, texts), comparable(followup, texts), _all_changes(followup, texts)]
    sections += [treatments(followup, texts, numbering)] if followup.effects else []
    sections.append(Section("interpretation", texts("section.interpretation"), unread(texts), together=True))
    sections.append(Section("methods", texts("section.methods"), (Paragraph(texts.sentence(followup.step.sentence) + marks),)))
    sections += [references(texts, numbering), scans(followup, texts)]
    day = (made_on or date.today()).isoformat()
    first, last = when(followup, 0, texts), when(followup, len(followup.visits) - 1, texts)
    subtitle = texts("followup.subtitle", count=len(followup.visits), first=first, last=last)
    return Report(
        title=texts("followup.title"),
        subtitle=f"{subtitle} · {texts('subtitle.made', date=day)}",
        made_on=day,
        language=texts("language"),
        running=_running(followup.visits, texts),
        statement=texts("statement"),
        page_word=texts("page"),
        contents=texts("contents"),
        missing_glyphs=texts("missing_glyphs"),
        sections=tuple(sections),
    )


def _running(visits: tuple[Visit, ...], texts: Texts) -> str:
    patient = visits[-1].patient
    who = [shorten(person(patient.name or ""), 40), shorten(clean(patient.identifier or ""), 30)]
    said = " · ".join(part for part in who if part)
    return said or texts("followup.running", digest=clean(visits[0].digest)[:12])


def _summary(followup: FollowUp, texts: Texts) -> Section:
    last = followup.comparisons[-1]
    blocks: list[Block] = [_facts(followup, texts), _verdict(followup, texts)]
    if last.changes:
        blocks.append(_table(followup, last, main_changes(last.changes), texts))
        blocks.append(Paragraph(texts("followup.note.least"), "note"))
    said = [shorten(texts.sentence(text), LONG) for text in last.cautions]
    for one in followup.comparisons[:-1]:
        new = [text for text in one.cautions if text not in last.cautions]
        said += [f"{when(followup, one.number, texts)}: {shorten(texts.sentence(text), LONG)}" for text in new]
    if said:
        shown = said[:MOST_CAUTIONS]
        blocks.append(Notice("caution", texts("followup.cautions"), tuple(shown)))
    else:
        blocks.append(Notice("ok", texts("followup.cautions"), (texts("followup.no_cautions"),)))
    blocks += _trends(followup, texts)
    return Section("summary", texts("followup.section.summary"), tuple(blocks))


def _facts(followup: FollowUp, texts: Texts) -> Facts:
    patient, last = followup.visits[-1].patient, followup.comparisons[-1]
    facts = []
    if patient.name:
        facts.append(Fact(texts("fact.name"), shorten(person(patient.name), 60)))
    if patient.identifier:
        facts.append(Fact(texts("fact.identifier"), shorten(clean(patient.identifier), 40)))
    if patient.sex:
        facts.append(Fact(texts("fact.sex"), texts(f"sex.{patient.sex}")))
    if patient.age is not None:
        facts.append(Fact(texts("fact.age"), texts("years", value=texts.number(patient.age))))
    dates = ", ".join(when(followup, number, texts) for number in range(len(followup.visits)))
    facts.append(Fact(texts("followup.fact.dates"), dates))
    years = texts("followup.interval", value=texts.number(last.years, 2)) if last.years is not None else texts("unknown")
    facts.append(Fact(texts("followup.fact.interval"), years))
    facts.append(Fact(texts("followup.fact.protocol"), shorten(clean(followup.visits[-1].protocol), 50)))
    return Facts(tuple(facts), columns=2)


def _verdict(followup: FollowUp, texts: Texts) -> Verdict:
    """Return the judgement at a glance, on the quantities of the first page."""
    last = followup.comparisons[-1]
    main = main_changes(last.changes)
    found = {change.judgement for change in main}
    beyond = [change for change in main if change.judgement in ("increase", "decrease")]
    if "implausible" in found:
        key, beyond = "implausible", [change for change in main if change.judgement == "implausible"]
    elif found <= {"not comparable"}:  # also where no bone of the baseline was found again
        key = "not comparable"
    elif beyond:
        kinds = {change.judgement for change in beyond}
        key = next(iter(kinds)) if len(kinds) == 1 else "mixed"
    else:
        key = "within"
    notes: tuple[str, ...] = (texts("followup.note.only"), texts("followup.note.drug"))
    if key == "not comparable":
        reason, notes = shorten(texts.sentence(main[0].why) if main else _nothing(last, texts), LONG), notes[1:]
    else:
        reason = _reason(beyond or list(main), texts)
    standing: Standing = {"decrease": "high", "implausible": "increased"}.get(key, "none")  # type: ignore[assignment]
    label = texts("followup.since", first=when(followup, 0, texts))
    return Verdict(label, texts(f"followup.verdict.{key}"), standing, reason, notes)


def _nothing(last: Comparison, texts: Texts) -> str:
    """Return why a date has no change at all."""
    reasons = (f"{texts.bone(bone)}: {texts.sentence(why, bone).rstrip('.')}." for bone, why in last.absent.items())
    return " ".join((texts("followup.nothing"), *reasons))


def _reason(changes: list[Change], texts: Texts) -> str:
    worst = max(changes, key=lambda change: abs(change.percent) / change.least)
    said = texts(
        "followup.reason",
        quantity=quantity_name(worst.quantity, texts),
        bone=within(bone_name(worst.bone, texts)),
        percent=signed(worst.percent, texts),
        least=texts.number(worst.least, 1),
    )
    rest = sum(change is not worst and change.judgement == worst.judgement != "within" for change in changes)
    return said + (f" {texts('followup.reason.more', count=rest)}" if rest else "")


def _table(followup: FollowUp, one: Comparison, changes: tuple[Change, ...], texts: Texts) -> Table:
    first, last = when(followup, 0, texts), when(followup, one.number, texts)
    heads = ("bone", "quantity", "baseline", "value", "percent", "yearly", "least", "judgement")
    rows, known = [], ""
    for change in changes:
        name = bone_name(change.bone, texts)
        rows.append((name if name != known else "", *cells(change, texts)))
        known = name
    return Table(
        texts("followup.caption", first=first, last=last),
        tuple(texts(f"followup.{head}") for head in heads),
        "llrrrrrl",
        (1.85, 2.4, 0.85, 0.85, 0.95, 0.95, 1.0, 1.55),
        tuple(rows),
        compact=len(rows) > 8,
    )


def _trends(followup: FollowUp, texts: Texts) -> list[Block]:
    order = {key: number for number, key in enumerate(MAIN)}
    chosen = [
        trend for trend in followup.trends if trend.quantity in order and ("," in trend.bone or trend.bone.startswith("femur"))
    ]
    chosen = chosen or [trend for trend in followup.trends if trend.quantity in order]
    chosen = sorted(chosen, key=lambda trend: (trend.bone.startswith("femur"), trend.bone, order[trend.quantity]))[:MOST_TRENDS]
    figures = [_figure(trend, followup, texts) for trend in chosen]
    blocks: list[Block] = [Pair((left,), (right,)) for left, right in zip(figures[::2], figures[1::2])]
    return blocks + ([Pair((figures[-1],), ())] if len(figures) % 2 else [])


def _figure(trend: Trend, followup: FollowUp, texts: Texts) -> Figure:
    least = next(
        (c.least for one in followup.comparisons for c in one.changes if (c.bone, c.quantity) == (trend.bone, trend.quantity)),
        0.0,
    )
    quantity, bone = quantity_name(trend.quantity, texts), within(bone_name(trend.bone, texts))
    values = ", ".join(valued(value, trend.unit, texts) for value in trend.values)
    return Figure(
        trend_plot(trend, least, texts, first=when(followup, 0, texts)),
        "image/svg+xml",
        texts("followup.trend.caption", quantity=quantity, bone=bone),
        texts("followup.trend.alt", quantity=quantity, bone=bone, values=values),
    )


def _all_changes(followup: FollowUp, texts: Texts) -> Section:
    blocks: list[Block] = []
    for one in followup.comparisons:
        blocks += [_table(followup, one, one.changes, texts)] if one.changes else []
        if one.absent:
            items = tuple(f"{texts.bone(bone)}: {texts.sentence(why, bone)}" for bone, why in one.absent.items())
            blocks.append(Notice("refused", texts("followup.not_compared"), items))
        if len(one.cautions) > MOST_CAUTIONS or any(len(text) > LONG for text in one.cautions) or len(followup.comparisons) > 1:
            items = tuple(texts.sentence(text) for text in one.cautions)
            blocks += [Notice("caution", texts("followup.cautions"), items)] if items else []
    blocks.append(Paragraph(texts("followup.note.least"), "note"))
    return Section("changes", texts("followup.section.changes"), tuple(blocks))
