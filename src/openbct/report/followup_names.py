"""How a follow-up's report names dates, bones and quantities."""

from __future__ import annotations

from ..visits import FollowUp
from .summary import shorten
from .wording import Texts, clean


def when(followup: FollowUp, number: int, texts: Texts) -> str:
    """Return the date of a scan; its number where none is known."""
    found = followup.visits[number].date
    return shorten(clean(found), 20) if found else texts("followup.undated", number=number + 1)


def bone_name(name: str, texts: Texts) -> str:
    """Return a bone, or the mean of several levels, in words."""
    if "," in name:
        return texts("followup.spine", levels=clean(name.replace(",", ", ")))
    return texts.bone(name)


def quantity_name(key: str, texts: Texts) -> str:
    """Return a quantity in words."""
    return texts.find(f"quantity.{key}", clean(key))


def signed(value: float, texts: Texts, digits: int = 1) -> str:
    """Return a number with its sign."""
    return ("+" if value > 0 else "") + texts.number(value, digits)
