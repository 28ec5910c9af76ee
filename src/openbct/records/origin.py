"""Where a fact comes from and what a stage did: marks, references, steps, and the words that stand in many records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Array = np.ndarray
Mark = Literal["seen", "code", "computed", "recalled", "design"]
"""How sure we are of a fact: seen in the source's own text; seen as a constant in public code; computed by us from such;
recalled from the literature, text not seen; our own design choice."""
Mineral = Literal["K2HPO4", "CHA"]
"""Mineral in whose equivalent an image density is expressed."""
DensityKind = Literal["K2HPO4", "CHA", "ash", "apparent"]
"""What a density means; a law says which it needs."""
Status = Literal["ok", "caution", "refused"]


@dataclass(frozen=True)
class Reference:
    """A source, and how sure we are of what we took from it."""

    text: str
    """Authors, journal, volume:page (year)."""
    mark: Mark


@dataclass(frozen=True)
class Step:
    """What a stage did: one piece of the Methods paragraph."""

    stage: str
    sentence: str
    references: tuple[Reference, ...] = ()
    cautions: tuple[str, ...] = ()
    """Doubts that go with the result into the report, each a full sentence with its number and its effect."""
