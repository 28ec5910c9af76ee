"""The acquisition sheet: what to ask the scanner for when a CT is made for this purpose, and what is accepted from the archive."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, Literal

from ..acquisition import rule
from ..records import Mark, Reference
from .content import Listing, Paragraph, Report, Section, Table
from .texts import ENGLISH
from .wording import Texts

For = Literal["hip", "spine", "both"]
FIELD = re.compile(r"\{(\w+)\.(low|limit|refused)\}")
MARKS: tuple[Mark, ...] = ("seen", "code", "computed", "recalled", "design")


def make_sheet(site: For = "both", *, texts: Texts = Texts(ENGLISH), made_on: date | None = None) -> Report:  # noqa: B008  frozen
    """Return the sheet for a site as a report of one table, limits taken from the rules that judge a scan.

    Parameters
    ----------
    made_on
        Date of the sheet; ``None`` is today.
    """
    sources: list[Reference] = []
    rows = []
    for row in _rows():
        if site != "both" and row["site"] not in ("both", site):
            continue
        source = Reference(row["source"], next(mark for mark in MARKS if mark == row["mark"]))
        if source not in sources:
            sources.append(source)
        what = row["what"] if row["site"] == "both" or site != "both" else f"{row['what']} ({row['site']})"
        rows.append((what, _filled(row["ask"]), _filled(row["accept"]), f"[{sources.index(source) + 1}]"))
    heads = tuple(texts(f"sheet.{key}") for key in ("what", "ask", "accept", "source"))
    items = tuple(f"{source.text} ({texts(f'mark.{source.mark}')})" for source in sources)
    day = (made_on or date.today()).isoformat()
    title = texts("sheet.title")
    return Report(
        title=title,
        subtitle=f"{texts(f'sheet.for_{site}')} · {texts('subtitle.made', date=day)}",
        made_on=day,
        language=texts("language"),
        running=title,
        statement=texts("sheet.statement"),
        page_word=texts("page"),
        contents=texts("contents"),
        missing_glyphs=texts("missing_glyphs"),
        sections=(
            Section(
                "sheet",
                texts("sheet.table"),
                (Paragraph(texts("sheet.lead")), Table("", heads, "llll", (1.0, 3.2, 3.2, 0.5), tuple(rows), compact=True)),
            ),
            Section(
                "sources", texts("section.references"), (Listing(items, numbered=True), Paragraph(texts("methods.marks"), "note"))
            ),
        ),
    )


def sheet_text(sheet: Report) -> str:
    """Return a sheet as plain text."""
    lines = [sheet.title, sheet.subtitle, ""]
    for section in sheet.sections:
        for block in section.blocks:
            if isinstance(block, Paragraph):
                lines += [block.text, ""]
            elif isinstance(block, Table):
                for what, ask, accept, source in block.rows:
                    lines += [f"{what} {source}", f"  {block.columns[1]}: {ask}", f"  {block.columns[2]}: {accept}", ""]
            elif isinstance(block, Listing):
                lines += [f"[{number}] {item}" for number, item in enumerate(block.items, start=1)] + [""]
    return "\n".join([*lines, sheet.statement]) + "\n"


def _filled(text: str) -> str:
    """Return a text with the limits of the rules in place."""

    def limit(match: re.Match[str]) -> str:
        found = rule(match[1])
        value = {"low": found.low, "limit": found.caution, "refused": found.refused}[match[2]]
        assert value is not None, match[0]
        return f"{value:g}"

    return FIELD.sub(limit, text)


@cache
def _rows() -> tuple[Mapping[str, Any], ...]:
    text = resources.files("openbct").joinpath("data", "protocol_sheet.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["row"])
