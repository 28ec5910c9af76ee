"""The tables of a follow-up's report beside its changes: whether scans may be compared, treatments, scans."""

from __future__ import annotations

from ..records import Reference
from ..visits import FollowUp
from .content import Block, Fact, Facts, Paragraph, Section, Table
from .followup_names import quantity_name, signed, when
from .references import Numbering
from .summary import shorten
from .wording import Texts, clean


def comparable(followup: FollowUp, texts: Texts) -> Section:
    """Return the rules with their outcomes, and how each bone was laid onto the baseline's."""
    blocks: list[Block] = []
    for one in followup.comparisons:
        first, last = when(followup, 0, texts), when(followup, one.number, texts)
        rows = tuple(
            (
                texts(f"followup.rule.{check.rule}"),
                texts.unit(shorten(clean(check.baseline), 60)),
                texts.unit(shorten(clean(check.followup), 60)),
                texts(f"followup.outcome.{check.outcome}"),
            )
            for check in one.checks
        )
        heads = ("check.rule", "baseline", "value", "check.outcome")
        caption = texts("followup.check.caption", first=first, last=last)
        blocks.append(
            Table(caption, tuple(texts(f"followup.{head}") for head in heads), "llll", (1.3, 2, 2, 1.5), rows, compact=True)
        )
        aligned = tuple(
            (
                texts.bone(found.bone),
                f"{texts.number(found.turned_deg, 1)}°",
                f"{texts.number(found.moved, 1)} mm",
                texts.number(found.overlap, 3),
                texts.number(found.correlation, 3),
                texts("followup.align.carried" if found.used else "followup.align.own"),
            )
            for found in one.alignments
        )
        columns = ("bone", "align.turned", "align.moved", "align.overlap", "align.correlation", "align.used")
        caption = texts("followup.align.caption", last=last)
        titles = tuple(texts(f"followup.{column}") for column in columns)
        if aligned:
            blocks.append(Table(caption, titles, "lrrrrl", (2, 1, 1, 1, 1.1, 1.4), aligned, compact=True))
    blocks.append(Paragraph(texts("followup.align.note"), "note"))
    return Section("comparable", texts("followup.section.comparable"), tuple(blocks), new_page=True)


def treatments(followup: FollowUp, texts: Texts, numbering: Numbering) -> Section:
    """Return what treatments did on average."""
    rows = []
    for effect in followup.effects:
        note = f" ({clean(effect.note)})" if effect.note else ""
        rows.append(
            (
                clean(effect.treatment) + note,
                str(effect.months),
                texts(f"followup.site.{effect.site}"),
                quantity_name(effect.quantity, texts),
                f"{signed(effect.percent, texts)} %",
                _source(effect.reference, texts, numbering),
            )
        )
    heads = ("effect.treatment", "effect.months", "effect.site", "quantity", "effect.change", "effect.source")
    titles = tuple(texts(f"followup.{head}") for head in heads)
    table = Table(texts("followup.effect.caption"), titles, "lrllrl", (2.6, 0.8, 0.7, 1.4, 0.9, 1.6), tuple(rows), compact=True)
    return Section("treatments", texts("followup.section.treatments"), (table,))


def _source(reference: Reference, texts: Texts, numbering: Numbering) -> str:
    number = f"[{numbering.number(reference)}]"
    return number if reference.mark in ("seen", "code") else f"{number} {texts(f'mark.{reference.mark}')}"


def scans(followup: FollowUp, texts: Texts) -> Section:
    """Return each scan with its protocol and digest."""
    rows = tuple(
        (
            when(followup, number, texts),
            shorten(clean(visit.protocol), 40),
            f"{clean(visit.calibration.method)}, {texts.unit(visit.calibration.mineral)}",
            clean(visit.version),
            clean(visit.digest)[:16],
        )
        for number, visit in enumerate(followup.visits)
    )
    heads = ("scan.date", "fact.protocol", "scan.calibration", "rule.version", "scan.digest")
    table = Table("", tuple(texts(f"followup.{head}") for head in heads), "lllll", (1, 1.6, 1.6, 1.2, 1.6), rows, compact=True)
    software = ", ".join(f"{clean(name)} {clean(version)}" for name, version in followup.versions.items())
    facts = Facts((Fact(texts("provenance.versions"), software),), columns=1)
    return Section("scans", texts("followup.section.scans"), (table, facts), together=True)
