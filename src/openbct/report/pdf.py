"""A PDF from a report, set by typst: archival (PDF/A-2a), tagged (PDF/UA-1), every typeface embedded.

Content reaches the template as JSON data, never as markup: nothing that a header or a user wrote is interpreted.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import matplotlib as mpl
import typst
from matplotlib.ft2font import FT2Font

from .content import Animation, Figure, Report, ScaleBar
from .scale_drawing import draw_scale

STANDARDS: Final = ("a-2a", "ua-1")
LONGEST: Final = 18
"""Longer runs without a space may be broken anywhere [letters]."""
REPLACEMENT: Final = "□"


def to_pdf(report: Report) -> bytes:
    """Return the report as a tagged, archival PDF.

    The typefaces of the package and of matplotlib serve Latin, Greek, Cyrillic, Arabic and Hebrew letters. For others the
    system's are asked; what no typeface has is printed as □, and the report says so.
    """
    files: dict[str, bytes] = {}
    content = _plain(report, files)
    missing = {letter for text in _strings(content) for letter in text} - _covered()
    if missing:
        try:
            return _compile(content, files, system_fonts=True)
        except RuntimeError:
            content = _replace(content, missing)
            content["statement_glyphs"] = report.missing_glyphs
    return _compile(content, files, system_fonts=False)


def _compile(content: dict[str, Any], files: dict[str, bytes], *, system_fonts: bool) -> bytes:
    """Return the PDF of a content tree and its pictures."""
    folder = resources.files("openbct.report")
    sources = {
        "main.typ": (folder / "template.typ").read_bytes(),
        "report.json": json.dumps(_breakable(content), ensure_ascii=False).encode(),
        **files,
    }
    with resources.as_file(folder / "fonts") as own:
        # The stub of typst knows no folder of files in memory, hence the ignored type.
        fonts = [str(own), _matplotlib_fonts()]
        compiler = typst.Compiler(sources, font_paths=fonts, ignore_system_fonts=not system_fonts)  # type: ignore[misc]
        pdf = compiler.compile(format="pdf", pdf_standards=list(STANDARDS))
    if not isinstance(pdf, bytes):
        raise RuntimeError("typst returned no single PDF")
    return pdf


def _plain(value: Any, files: dict[str, bytes]) -> Any:
    """Return records as tables of plain values, named by their kind; pictures become files beside them."""
    if isinstance(value, Figure | ScaleBar):
        name = f"picture-{len(files)}.svg"
        files[name] = draw_scale(value).encode() if isinstance(value, ScaleBar) else _as_svg(value)
        table = {field.name: _plain(getattr(value, field.name), files) for field in fields(value) if field.name != "data"}
        return {**table, "kind": type(value).__name__, "file": name, "alt": value.alt}
    if is_dataclass(value):
        table = {field.name: _plain(getattr(value, field.name), files) for field in fields(value)}
        return {**table, "kind": type(value).__name__}
    if isinstance(value, tuple):
        return [_plain(item, files) for item in value if not isinstance(item, Animation)]
    return value


def _as_svg(figure: Figure) -> bytes:
    """Return a picture as text: typst takes files from memory only as UTF-8, so that pixels travel inside an SVG."""
    if figure.media == "image/svg+xml":
        return figure.data
    width, height = struct.unpack(">II", figure.data[16:24])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{base64.b64encode(figure.data).decode()}"/></svg>'
    ).encode()


def _strings(value: Any) -> list[str]:
    """Return every text in a content tree."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []


def _breakable(value: Any) -> Any:
    """Return the tree with a place to break in every long run of letters, so that nothing leaves its column."""
    if isinstance(value, str):
        value = (
            value.replace("mg/cm", "mg/\u2060cm")
            .replace("g/cm", "g/\u2060cm")
            .replace("N/mm", "N/\u2060mm")
            .replace("\u2060\u2060", "\u2060")
        )
        return re.sub(rf"\S{{{LONGEST},}}", lambda run: _parted(run.group()), value)
    if isinstance(value, dict):
        return {
            key: item if key in ("file", "kind", "key", "made_on", "language") else _breakable(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_breakable(item) for item in value]
    return value


def _parted(run: str) -> str:
    """Return a long run with places to break: after its hyphens and the like, and within a part that is long by itself."""
    parts = re.split(r"(?<=[-/_.,;:=])(?!\u2060)", run)
    return "\u200b".join("\u200b".join(re.findall(r".{1,6}", part)) if len(part) >= LONGEST else part for part in parts if part)


def _replace(value: Any, missing: set[str]) -> Any:
    """Return the tree with a box for each letter that cannot be shown."""
    if isinstance(value, str):
        return "".join(REPLACEMENT if letter in missing else letter for letter in value)
    if isinstance(value, dict):
        return {key: _replace(item, missing) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, missing) for item in value]
    return value


@cache
def _covered() -> frozenset[str]:
    """Return the letters that the packaged typefaces can show."""
    own = resources.files("openbct.report") / "fonts" / "SourceSans3-Regular.ttf"
    with resources.as_file(own) as path:
        faces = [FT2Font(str(path)), FT2Font(f"{_matplotlib_fonts()}/DejaVuSans.ttf")]
    return frozenset(chr(code) for face in faces for code in face.get_charmap()) | {"\u200b", "\u2060"}


def _matplotlib_fonts() -> str:
    """Return the folder of the typefaces that matplotlib carries: DejaVu Sans for scripts beyond our own."""
    return f"{mpl.get_data_path()}/fonts/ttf"
