"""Follow-up in the report of one scan: what a comparison with an earlier scan found, and whether it may be believed."""

from __future__ import annotations

from ..visits import Change, Earlier
from .content import Block, Notice, Paragraph, Section, Table
from .draft_sentence import plain
from .followup_changes import cells, main_changes
from .followup_names import bone_name, day, quantity_name, signed
from .followup_texts import FOLLOWUP
from .references import Numbering
from .summary import shorten
from .wording import Texts, clean

MOST_BRIEF = 6
"""Changes on the first page [design]."""
LONG = 60
"""Letters of what a rule found, in the table [design]."""


def earlier_section(earlier: Earlier, texts: Texts, numbering: Numbering) -> Section:
    """Return the changes since the baseline, the rules that speak against comparing, and what was not compared."""
    own, one = _with_followup(texts), earlier.comparison
    rows, known = [], ""
    for change in main_changes(one.changes):
        name = bone_name(change.bone, own)
        rows.append((name if name != known else "", *cells(change, own)))
        known = name
    heads = ("bone", "quantity", "baseline", "value", "percent", "yearly", "least", "judgement")
    blocks: list[Block] = [Paragraph(_lead(earlier, texts))]
    if rows:
        caption = own("followup.caption", last=day(earlier.date, texts), first=day(earlier.baseline, texts))
        titles = tuple(own(f"followup.{head}") for head in heads)
        blocks.append(
            Table(caption, titles, "llrrrrrl", (1.9, 2.3, 0.9, 0.9, 1.0, 1.0, 1.1, 1.4), tuple(rows), compact=len(rows) > 8)
        )
        sources = numbering.marks(change.precision for change in main_changes(one.changes))
        blocks.append(Paragraph(own("followup.note.least") + texts("earlier.sources", marks=sources), "note"))
    found = [check for check in one.checks if check.outcome != "ok"]
    if found:
        said = tuple(
            (
                own.find(f"followup.rule.{check.rule}", clean(check.rule)),
                shorten(clean(check.baseline), LONG),
                shorten(clean(check.followup), LONG),
                own(f"followup.outcome.{check.outcome}"),
            )
            for check in found
        )
        titles = tuple(own(f"followup.{head}") for head in ("check.rule", "baseline", "value", "check.outcome"))
        blocks.append(Table(texts("earlier.rules"), titles, "llll", (1.3, 2, 2, 1.5), said, compact=True))
    if one.absent:
        items = tuple(f"{texts.bone(bone)}: {texts.statement(why, bone)}" for bone, why in one.absent.items())
        blocks.append(Notice("refused", own("followup.not_compared"), items))
    if one.cautions:
        blocks.append(Notice("caution", own("followup.cautions"), tuple(texts.statement(text) for text in one.cautions)))
    return Section("followup", texts("section.followup"), tuple(blocks), together=len(rows) <= 8)


def since(earlier: Earlier, texts: Texts) -> Notice:
    """Return the changes in a box for the first page."""
    own = _with_followup(texts)
    changes = main_changes(earlier.comparison.changes)
    said = tuple(_brief(change, own) for change in changes[:MOST_BRIEF])
    more = (texts("earlier.more", count=len(changes) - MOST_BRIEF),) if len(changes) > MOST_BRIEF else ()
    return Notice(
        "plain", texts("earlier.since", first=day(earlier.baseline, texts)), (*said, *more) or (texts("earlier.nothing"),)
    )


def _lead(earlier: Earlier, texts: Texts) -> str:
    first, years = day(earlier.baseline, texts), earlier.comparison.years
    if years is None:
        return texts("earlier.lead_undated", first=first)
    return texts("earlier.lead", first=first, years=texts.number(years, 1))


def _brief(change: Change, texts: Texts) -> str:
    """Return a change in one line: no number where none is stated."""
    judged = texts(f"followup.judgement.{change.judgement}")
    name = texts("earlier.what", bone=bone_name(change.bone, texts), quantity=plain(quantity_name(change.quantity, texts)))
    if change.judgement in ("not comparable", "implausible"):
        return f"{name}: {judged}."
    if change.judgement == "within":
        judged = texts("earlier.within")
    percent, least = signed(change.percent, texts), texts.number(change.least, 1)
    return texts("earlier.brief", what=name, percent=percent, judged=judged, least=least)


def _with_followup(texts: Texts) -> Texts:
    """Return the language with the words of a follow-up, its own ones first."""
    return Texts({**FOLLOWUP, **texts.catalogue})
