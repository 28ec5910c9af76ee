"""What a finder of bones hands back: masks, reasons, and how sure it is of each part of its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..records import BoneMask, Reference
from ..volume import Volume


@dataclass(frozen=True)
class FoundBones:
    """Bones of one region, found in the image alone."""

    bones: Mapping[str, BoneMask]
    """By name; a bone that the image cuts is here too where it was found, with ``touches_edge``."""
    absent: Mapping[str, str]
    """Bones of the region that were looked for and cannot be used or are not there, with the reason in plain words."""
    parts: Mapping[str, Mapping[str, float]]
    """By bone and quantity, each 0 (no trust) to 1 (nothing against it): what a confidence is made of."""
    sentence: str = ""
    """For the Methods paragraph."""
    references: tuple[Reference, ...] = ()
    cautions: tuple[str, ...] = ()
    tissues: Mapping[str, Volume] = field(default_factory=dict)
    """Reference tissues found on the way: boolean sub-boxes of the scan."""
    others: Mapping[str, BoneMask] = field(default_factory=dict)
    """Whole vertebrae that nobody asked for; their ``parts`` are beside those of the others."""
