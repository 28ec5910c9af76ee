"""What a report consists of: the content model that every renderer draws.

A report is data. It holds finished words, numbers already rounded, and pictures already drawn; a renderer decides only
how a block looks. Text is plain text in every field: renderers escape it, so nothing that a header or a user wrote can
become markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Standing = Literal["high", "increased", "not_increased", "none"]
"""Where a class stands: the renderer's weight for osteoporosis, low bone mass, normal, and no class."""
Tone = Literal["ok", "caution", "refused", "plain"]


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str
    style: Literal["body", "lead", "note"] = "body"


@dataclass(frozen=True)
class Notice:
    """A box that must not be overlooked."""

    tone: Tone
    title: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """One labelled value."""

    label: str
    value: str
    source: str = ""
    """Where the value came from; printed small beside it."""


@dataclass(frozen=True)
class Facts:
    """Labelled values in columns."""

    items: tuple[Fact, ...]
    columns: int = 2
    stacked: bool = False
    """The label above its value instead of beside it: for narrow columns."""


@dataclass(frozen=True)
class Verdict:
    """The class at a glance, with its strongest reason."""

    label: str
    category: str
    standing: Standing
    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Marker:
    """One value on a scale."""

    label: str
    value: float
    text: str
    uncertainty: float | None = None
    """One standard deviation, in the scale's unit."""
    main: bool = True
    """False for a value that only went into a mean."""


@dataclass(frozen=True)
class ScaleBar:
    """Values of one quantity on a line with its thresholds."""

    title: str
    headline: str
    """The deciding value with its unit."""
    verdict: str
    """Its class in words, or why there is none."""
    unit: str
    low: float
    high: float
    thresholds: tuple[float, ...]
    threshold_texts: tuple[str, ...]
    zones: tuple[str, ...]
    """One more than there are thresholds."""
    markers: tuple[Marker, ...]
    classified: bool
    """False where the thresholds are shown but give no class."""
    band: tuple[float, float] | None = None
    """Where the value decides nothing; drawn darker."""

    @property
    def alt(self) -> str:
        """The scale in words, for readers who cannot see it."""
        values = "; ".join(f"{marker.label} {marker.text}" for marker in self.markers)
        return f"{self.title}: {values}. {' | '.join(self.threshold_texts)} {self.unit}. {self.verdict}".strip()


@dataclass(frozen=True)
class Table:
    """Rows of finished text."""

    caption: str
    columns: tuple[str, ...]
    align: str
    """One letter for each column: ``l`` or ``r``."""
    widths: tuple[float, ...]
    """Shares of the line; their sum is free."""
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    compact: bool = False
    """Small letters and narrow rows: for lists that are looked up, not read."""


@dataclass(frozen=True)
class Figure:
    """A picture that is already drawn."""

    data: bytes
    media: Literal["image/png", "image/svg+xml"]
    caption: str
    alt: str
    width: float = 1.0
    """Share of the line."""


@dataclass(frozen=True)
class Animation:
    """A picture in motion, for renderers that can move; print leaves it out."""

    moving: bytes
    """Animated WebP."""
    still: bytes
    """WebP, for those who want no motion."""
    caption: str
    alt: str
    width: float = 1.0
    """Share of the line."""


@dataclass(frozen=True)
class Listing:
    """A list of items."""

    items: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Signature:
    """Room for a physician's own words and name."""

    title: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two columns of blocks side by side."""

    left: tuple[Block, ...]
    right: tuple[Block, ...]
    share: float = 0.5
    """Part of the line that the left column takes."""
    breakable: bool = False
    """May go on over the page; for long tables."""


Block: TypeAlias = "Paragraph | Notice | Facts | Verdict | ScaleBar | Table | Figure | Animation | Listing | Signature | Pair"


@dataclass(frozen=True)
class Section:
    """One heading with its blocks."""

    key: str
    """Anchor: letters, digits, ``-``."""
    title: str
    blocks: tuple[Block, ...]
    new_page: bool = False
    together: bool = False
    """Never broken across pages; short sections only."""


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    subtitle: str
    made_on: str
    """ISO date."""
    language: str
    """BCP 47."""
    running: str
    """Short line on every page: who and which scan."""
    statement: str
    """Research-use line on every page."""
    page_word: str
    """``"Page {page} of {pages}"``."""
    contents: str
    """Heading of the table of contents."""
    missing_glyphs: str
    """What the box means that stands for a character without a glyph."""
    sections: tuple[Section, ...]

    def figures(self) -> tuple[Figure, ...]:
        """Return every picture in reading order."""
        found: list[Figure] = []
        todo: list[Block] = [block for section in self.sections for block in section.blocks]
        while todo:
            block = todo.pop(0)
            if isinstance(block, Figure):
                found.append(block)
            elif isinstance(block, Pair):
                todo = [*block.left, *block.right, *todo]
        return tuple(found)
