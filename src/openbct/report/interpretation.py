"""The interpretation: a physician's signed text where there is one, the draft by rules beside it, and room for a signature where not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..records import Case
from ..signing import Signed, fixed
from ..visits import Earlier
from .content import Block, Paragraph, Section, Signature, Table
from .draft import KINDS, draft
from .draft_sentence import OWN, Kind, Sentence
from .references import Numbering
from .wording import Texts, clean

SPOKEN: Final = re.compile(r"(?P<rule>[A-Z]\d+) \((?P<mark>\w+)\): (?P<text>.*)", re.DOTALL)
"""A line of :func:`spoken`."""
LETTERS: Final[dict[str, Kind]] = {"F": "finding", "C": "comparison", "L": "limitation", "R": "recommendation"}
ON_ONE_PAGE: Final = 4000
"""A section of fewer letters stays on one page [looked at on printed pages]."""
HASH_SHOWN: Final = 16
"""Figures of the stored case's hash that the page shows beside the whole hash of the content [design]."""


def interpretation(
    case: Case, texts: Texts, numbering: Numbering, versions: tuple[Signed, ...] = (), earlier: Earlier | None = None
) -> Section:
    """Return the section: the last of the signed versions, or the draft with room to sign.

    Parameters
    ----------
    versions
        All of them, oldest first.
    earlier
        What a comparison says beside an earlier scan.
    """
    blocks: list[Block] = []
    if versions:
        blocks += [*_signed(versions, texts), _table(_stored(versions[-1], texts), texts("draft.beside"), texts)]
    else:
        rows = [(one.kind, one.text, _evidence(one, texts, numbering)) for one in draft(case, texts, earlier)]
        told, room = unread(texts)
        blocks += [told, _table(rows, texts("draft.title"), texts), room]
    return Section("interpretation", texts("section.interpretation"), tuple(blocks), together=_letters(blocks) < ON_ONE_PAGE)


def _letters(blocks: Sequence[Block]) -> int:
    """Return how many letters a section has."""
    tables = [cell for block in blocks if isinstance(block, Table) for row in block.rows for cell in row]
    return sum(map(len, tables)) + sum(len(block.text) for block in blocks if isinstance(block, Paragraph))


def unread(texts: Texts) -> tuple[Paragraph, Signature]:
    """Return that a physician has not said yet what it means, and room for their words and name."""
    fields = tuple(texts(f"interpretation.{key}") for key in ("name", "date", "signature"))
    return Paragraph(texts("interpretation.text")), Signature(texts("interpretation.title"), fields)


def _signed(versions: tuple[Signed, ...], texts: Texts) -> list[Block]:
    """Return the physician's text, who signed it, what that means, and what fixes it."""
    last = versions[-1]
    blocks: list[Block] = [Paragraph(clean(part)) for part in re.split(r"\n\s*\n", last.text.strip()) if part.strip()]
    if len(versions) > 1:
        before = versions[-2]
        by = texts(
            "signed.amends",
            reader=clean(last.reader),
            when=_moment(last.when),
            version=last.version,
            before=before.version,
            before_reader=clean(before.reader),
            before_when=_moment(before.when),
        )
    else:
        by = texts("signed.by", reader=clean(last.reader), when=_moment(last.when), version=last.version)
    blocks.append(Paragraph(by, "lead"))
    blocks.append(Paragraph(clean(last.meaning), "note"))
    blocks.append(Paragraph(texts("signed.hash", hash=fixed(last), case=last.case[:HASH_SHOWN]), "note"))
    return blocks


def _moment(when: str) -> str:
    return when[:16].replace("T", " ")


def _table(rows: Sequence[tuple[Kind, str, str]], caption: str, texts: Texts) -> Table:
    """Return the draft as a table: what kind, the sentence, its rule with its evidence."""
    shown = []
    for kind in KINDS:
        mine = [row for row in rows if row[0] == kind]
        shown += [(texts(f"draft.{kind}") if number == 0 else "", *row[1:]) for number, row in enumerate(mine)]
    heads = tuple(texts(f"draft.{key}") for key in ("kind", "sentence", "rule"))
    return Table(caption, heads, "lll", (1.1, 5.2, 1.5), tuple(shown), texts("draft.note"), compact=True)


def _stored(signed: Signed, texts: Texts) -> list[tuple[Kind, str, str]]:
    """Return the rows of the draft that stood beside a text when it was signed, whatever the rules say by now."""
    rows = []
    for line in signed.draft:
        found = SPOKEN.fullmatch(line)
        if found is not None:
            mark = texts.find(f"draft.mark.{found['mark']}", clean(found["mark"]))
            evidence = texts("draft.evidence", rule=found["rule"], mark=mark)
            rows.append((LETTERS.get(found["rule"][0], "finding"), clean(found["text"]), evidence))
    return rows


def _evidence(one: Sentence, texts: Texts, numbering: Numbering) -> str:
    mark = texts(f"draft.mark.{one.mark}")
    if one.reference == OWN:
        return texts("draft.evidence", rule=one.rule, mark=mark)
    return texts("draft.evidence_cited", rule=one.rule, mark=mark, number=numbering.number(one.reference))


def spoken(case: Case, texts: Texts, earlier: Earlier | None = None) -> tuple[str, ...]:
    """Return the draft as lines, each with its rule: what stands beside a text when it is signed."""
    return tuple(f"{one.rule} ({one.mark}): {one.text}" for one in draft(case, texts, earlier))
