"""How a follow-up's report names dates, bones and quantities."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from ..visits import FollowUp
from .summary import shorten
from .wording import Texts, clean

DOWN: Final = ("T12", "L1", "L2", "L3", "L4", "L5")
"""Levels of which means are formed, as they follow each other."""


def when(followup: FollowUp, number: int, texts: Texts) -> str:
    """Return the date of a scan; its number where none is known."""
    found = followup.visits[number].date
    return shorten(clean(found), 20) if found else texts("followup.undated", number=number + 1)


def bone_name(name: str, texts: Texts) -> str:
    """Return a bone, or the mean of several levels, in words."""
    if "," not in name:
        return texts.bone(name)
    levels = name.split(",")
    places = [DOWN.index(level) for level in levels if level in DOWN]
    in_a_row = len(places) == len(levels) > 2 and all(b - a == 1 for a, b in pairwise(places))
    return texts("followup.spine", levels=f"{levels[0]}–{levels[-1]}" if in_a_row else clean(", ".join(levels)))


def within(name: str) -> str:
    """Return a bone's name as it stands within a sentence."""
    return name[:1].lower() + name[1:]


def quantity_name(key: str, texts: Texts) -> str:
    """Return a quantity in words."""
    return texts.find(f"quantity.{key}", clean(key))


def signed(value: float, texts: Texts, digits: int = 1) -> str:
    """Return a number with its sign."""
    return ("+" if value > 0 else "") + texts.number(value, digits)


def day(date: str | None, texts: Texts) -> str:
    """Return a date, or words where none is known."""
    return shorten(clean(date), 20) if date else texts("earlier.undated")
