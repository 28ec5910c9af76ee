"""Vertebral fractures: the spine from the side beside the heights of every vertebra."""

from __future__ import annotations

from typing import Final

from ..records import Case, FractureAssessment, VertebraGrade
from .content import Block, Figure, Notice, Pair, Paragraph, Section, Table
from .spine_side import ORDER, spine_side
from .wording import Texts

SHARE: Final = 0.36
"""Part of the line that the picture takes."""
NEAR: Final = 0.05
"""Chance of a grade from which a vertebra without one is named [design]."""
HIGHEST: Final = 185.0
"""Of the picture, on paper [mm] [design]."""


def fracture_section(case: Case, texts: Texts) -> Section | None:
    """Return what was found of vertebral fractures; ``None`` where no vertebra was looked at."""
    found = case.fractures
    if found is None or not (found.vertebrae or found.ungraded):
        return None
    notes = [Paragraph(texts("fractures.note"), "note")] if found.vertebrae else []
    if found.ungraded:
        reasons = " ".join(_ungraded(level, reason, texts) for level, reason in found.ungraded.items())
        notes.append(Paragraph(texts("fractures.ungraded", reasons=reasons), "note"))
    blocks: tuple[Block, ...] = tuple(notes)
    if found.vertebrae:
        beside = (_lead(found, texts), _table(found, texts), *notes)
        blocks = (Pair((_figure(case, found, texts),), beside, SHARE),)
    tall = len(found.vertebrae) > 8  # a whole spine fills its page; a lumbar one may stand below what comes before
    return Section("fractures", texts("section.fractures"), blocks, new_page=tall, together=not tall)


def _ungraded(level: str, reason: str, texts: Texts) -> str:
    """Return why a level has no grade, its name said once."""
    said = texts.statement(reason, level)
    return said if said.startswith(level) else f"{texts.inline_bone(level)}: {said}"


def near_limit(found: FractureAssessment) -> tuple[VertebraGrade, ...]:
    """Return the vertebrae without a grade whose loss may well reach one."""
    return tuple(one for one in found.vertebrae if not one.grade and 1.0 - one.chances[0] >= NEAR)


def said_near(found: FractureAssessment, texts: Texts) -> tuple[str, ...]:
    """Return them in words."""
    return tuple(
        texts(
            "fractures.near",
            level=texts.inline_bone(one.level),
            loss=texts.number(100 * one.loss),
            sd=texts.number(100 * one.loss_sd),
            chance=texts.number(100 * (1.0 - one.chances[0])),
        )
        for one in near_limit(found)
    )


def _lead(found: FractureAssessment, texts: Texts) -> Block:
    """Return the finding in one box."""
    broken = [one for one in found.vertebrae if one.grade]
    first, last = (texts.inline_bone(found.vertebrae[n].level) for n in (0, -1))
    near = said_near(found, texts)
    if not broken:
        key = "fractures.none" if len(found.vertebrae) > 1 else "fractures.none_one"
        looked = texts(key, count=len(found.vertebrae), first=first, last=last)
        return Notice("caution" if near else "ok", texts("fractures.none_title"), (looked, *near))
    items = (*(_item(one, texts) for one in broken), *near)
    left_out = ", ".join(texts.inline_bone(level) for level in found.left_out)
    items += (texts("fractures.left_out", levels=left_out),) if left_out else ()
    return Notice("caution", texts("fractures.title"), items)


def _item(one: VertebraGrade, texts: Texts) -> str:
    """Return one fracture in words."""
    loss, deviation = texts.number(100 * one.loss), texts.number(100 * one.loss_sd)
    return texts("fractures.item", level=texts.inline_bone(one.level), what=_words(one, texts), loss=loss, sd=deviation)


def _words(one: VertebraGrade, texts: Texts) -> str:
    """Return grade and shape in words."""
    words = texts(f"fractures.grade_{one.grade}")
    return f"{words}, {texts(f'fractures.{one.shape}')}" if one.shape else words


def _table(found: FractureAssessment, texts: Texts) -> Table:
    rows = []
    for one in found.vertebrae:
        heights = [f"{texts.number(one.heights[place], 1)} ({texts.number(one.expected[place], 1)})" for place in ORDER]
        loss = texts("value.sd", value=texts.number(100 * one.loss), sd=texts.number(100 * one.loss_sd))
        certain = texts.number(100 * one.chances[one.grade])
        rows.append((texts.inline_bone(one.level), *heights, loss, f"{one.grade} ({certain} %)"))
    heads = tuple(texts(f"fractures.col_{key}") for key in ("level", *ORDER, "loss", "grade"))
    return Table(texts("fractures.caption"), heads, "lrrrrl", (0.7, 1.35, 1.35, 1.35, 1.0, 1.05), tuple(rows), compact=True)


def _figure(case: Case, found: FractureAssessment, texts: Texts) -> Figure:
    names = {
        one.level: texts.inline_bone(one.level) + (f"  {_short(one, texts)}" if one.grade else "") for one in found.vertebrae
    }
    data = spine_side(case.scan.image, found, names, SHARE - 0.02, HIGHEST)
    broken = "; ".join(f"{one.level} {_words(one, texts)}" for one in found.vertebrae if one.grade) or texts(
        "fractures.none_title"
    )
    return Figure(data, "image/png", texts("fractures.picture"), texts("fractures.picture_alt", found=broken))


def _short(one: VertebraGrade, texts: Texts) -> str:
    return f"{one.grade} {texts(f'fractures.{one.shape}')}"
