"""One self-contained HTML page from a report: no script, no network, its own typeface, its own print layout."""

from __future__ import annotations

import base64
from html import escape
from importlib import resources
from typing import Final

from .content import (
    Animation,
    Block,
    Facts,
    Figure,
    Listing,
    Notice,
    Pair,
    Paragraph,
    Report,
    ScaleBar,
    Section,
    Signature,
    Table,
    Verdict,
)
from .scale_drawing import draw_scale

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:"
"""The page may load nothing that is not in it."""
SYMBOLS: Final = {"ok": "✓", "caution": "▲", "refused": "✗", "plain": ""}


def to_html(report: Report) -> str:
    """Return the report as one HTML page that needs nothing else."""
    body = "\n".join(_section(section) for section in report.sections)
    links = "".join(f'<li><a href="#{section.key}">{escape(section.title)}</a></li>' for section in report.sections[1:])
    return f"""<!DOCTYPE html>
<html lang="{escape(report.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.title)} · {escape(report.running)}</title>
<style>{_style(report)}</style>
</head>
<body>
<header class="masthead"><p class="brand">OpenBCT</p><h1>{escape(report.title)}</h1><p class="subtitle">{escape(report.subtitle)}</p></header>
<p class="statement" role="note">{escape(report.statement)}</p>
<main>
{body}
</main>
<nav aria-label="{escape(report.contents)}"><h2>{escape(report.contents)}</h2><ul>{links}</ul></nav>
<footer><p>{escape(report.statement)}</p></footer>
</body>
</html>
"""


def _style(report: Report) -> str:
    """Return the style sheet with the typeface in it and the running lines of the printed page."""
    folder = resources.files("openbct.report")
    faces = "".join(
        f"@font-face{{font-family:'Source Sans 3';font-weight:{weight};"
        f"src:url(data:font/woff2;base64,{base64.b64encode((folder / 'fonts' / name).read_bytes()).decode()}) format('woff2')}}\n"
        for weight, name in ((400, "SourceSans3-Regular.woff2"), (600, "SourceSans3-Semibold.woff2"))
    )
    page = (
        f"@page{{size:A4;margin:17mm 18mm 19mm;@top-left{{content:{_css_text(report.running)}}}"
        f"@bottom-left{{content:{_css_text(report.statement)}}}@bottom-right{{content:counter(page) '/' counter(pages)}}}}\n"
    )
    return faces + page + (folder / "style.css").read_text(encoding="utf-8")


def _css_text(text: str) -> str:
    """Return a CSS string in which every letter that is not plain is written by its number."""
    return '"' + "".join(c if (c.isalnum() and c.isascii()) or c in " .:·,-" else f"\\{ord(c):06x}" for c in text) + '"'


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    classes = " ".join(name for name, on in (("new-page", section.new_page), ("together", section.together)) if on)
    fresh = f' class="{classes}"' if classes else ""
    return f'<section id="{section.key}"{fresh} aria-labelledby="h-{section.key}"><h2 id="h-{section.key}">{escape(section.title)}</h2>\n{blocks}\n</section>'


def _block(block: Block) -> str:
    """Return the HTML of one block."""
    match block:
        case Paragraph():
            return f'<p class="{block.style}">{escape(block.text)}</p>'
        case Notice():
            return _notice(block)
        case Facts():
            return _facts(block)
        case Verdict():
            notes = "".join(f"<li>{escape(note)}</li>" for note in block.notes)
            return (
                f'<div class="verdict {block.standing}"><div class="class"><p class="label">{escape(block.label)}</p>'
                f'<p class="category">{escape(block.category)}</p></div><div class="why"><p>{escape(block.reason)}</p><ul>{notes}</ul></div></div>'
            )
        case ScaleBar():
            return _scale(block)
        case Table():
            return _table(block)
        case Figure():
            data = base64.b64encode(block.data).decode()
            return (
                f'<figure style="width:{100 * block.width:g}%"><img src="data:{block.media};base64,{data}" alt="{escape(block.alt)}">'
                f"<figcaption>{escape(block.caption)}</figcaption></figure>"
            )
        case Animation():
            moving, still = (base64.b64encode(part).decode() for part in (block.moving, block.still))
            return (
                f'<figure class="motion" style="width:{100 * block.width:g}%">'
                f'<img class="moving" src="data:image/webp;base64,{moving}" alt="{escape(block.alt)}">'
                f'<img class="still" src="data:image/webp;base64,{still}" alt="{escape(block.alt)}">'
                f"<figcaption>{escape(block.caption)}</figcaption></figure>"
            )
        case Listing():
            tag = "ol" if block.numbered else "ul"
            return f'<{tag} class="listing">' + "".join(f"<li>{escape(item)}</li>" for item in block.items) + f"</{tag}>"
        case Signature():
            lines = "".join(f'<p class="line"><span>{escape(field)}</span></p>' for field in block.fields)
            return f'<div class="signature"><h3>{escape(block.title)}</h3><div class="room"></div><div class="lines">{lines}</div></div>'
        case Pair():
            left, right = ("".join(_block(item) for item in side) for side in (block.left, block.right))
            share = f"{100 * block.share:g}fr {100 * (1 - block.share):g}fr"
            return f'<div class="pair" style="grid-template-columns:{share}"><div>{left}</div><div>{right}</div></div>'


def _notice(block: Notice) -> str:
    items = "".join(f"<li>{escape(item)}</li>" for item in block.items)
    return (
        f'<aside class="notice {block.tone}"><h3><span aria-hidden="true">{SYMBOLS[block.tone]}</span> {escape(block.title)}</h3>'
        f"<ul>{items}</ul></aside>"
    )


def _facts(block: Facts) -> str:
    items = "".join(
        f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}"
        + (f' <span class="source">{escape(fact.source)}</span>' if fact.source else "")
        + "</dd></div>"
        for fact in block.items
    )
    stacked = " stacked" if block.stacked else ""
    return f'<dl class="facts columns-{block.columns}{stacked}">{items}</dl>'


def _scale(block: ScaleBar) -> str:
    kind = "classified" if block.classified else "unclassified"
    drawing = draw_scale(block).replace("<svg ", f'<svg role="img" aria-label="{escape(block.alt)}" ', 1)
    return (
        f'<div class="scale {kind}"><div class="reading"><h3>{escape(block.title)}</h3><p class="headline">{escape(block.headline)}</p>'
        f'<p class="verdict-text">{escape(block.verdict)}</p></div><div class="drawing">{drawing}</div></div>'
    )


def _table(block: Table) -> str:
    total = sum(block.widths)
    columns = "".join(f'<col style="width:{100 * width / total:.1f}%">' for width in block.widths)
    named = any(block.columns)
    heads = "".join(f'<th scope="col" class="{side}">{escape(head)}</th>' for head, side in zip(block.columns, block.align))
    kind = ' class="compact"' if block.compact else ""
    rows = "".join(
        ("</tbody><tbody>" if row[0] and number else "")
        + f"<tr{' class=start' if row[0] else ''}>"
        + "".join(
            f'<th scope="row" class="{side}">{escape(cell)}</th>' if index == 0 else f'<td class="{side}">{escape(cell)}</td>'
            for index, (cell, side) in enumerate(zip(row, block.align))
        )
        + "</tr>"
        for number, row in enumerate(block.rows)
    )
    head = f"<thead><tr>{heads}</tr></thead>" if named else ""
    note = f'<p class="note">{escape(block.note)}</p>' if block.note else ""
    return f"<table{kind}><caption>{escape(block.caption)}</caption><colgroup>{columns}</colgroup>{head}<tbody>{rows}</tbody></table>{note}"
