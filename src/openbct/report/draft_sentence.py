"""What a sentence of the draft is, and how one lists its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ..records import Mark, Reference
from .wording import Texts

Kind = Literal["finding", "comparison", "limitation", "recommendation"]
POSITIONS: Final = Reference(
    "ISCD Official Positions, adult (2019, 2023): Z-scores below 50 years, time between measurements; text not seen", "recalled"
)
OWN: Final = Reference("Rule of this program", "design")


@dataclass(frozen=True)
class Sentence:
    """One sentence of the draft."""

    kind: Kind
    rule: str
    """Its key: ``"F2"``."""
    text: str
    reference: Reference
    """What the rule rests on; its mark limits how strong the words are."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The numbers that it was made of, by their names in ``result.json``."""

    @property
    def mark(self) -> Mark:
        """How sure we are of the rule."""
        return self.reference.mark


def plain(text: str) -> str:
    """Return a name as it stands within a sentence: a small letter first, unless it is an abbreviation."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def listed(items: list[str], texts: Texts) -> str:
    """Return items as a sentence lists them."""
    return items[0] if len(items) == 1 else texts("draft.and").join((", ".join(items[:-1]), items[-1]))
