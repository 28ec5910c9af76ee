"""What a physician signs: their own text on one result, fixed by a hash, each version naming the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Signed:
    """One version of an interpretation."""

    version: int
    """From 1."""
    reader: str
    """``"NAME, TITLE"``, as the reader wrote it."""
    when: str
    """ISO time, UTC."""
    meaning: str
    """What the act means, in words."""
    text: str
    """The physician's own."""
    draft: tuple[str, ...]
    """Sentences of the draft that stood beside it, each with its rule."""
    case: str
    """SHA-256 of the stored case that it speaks of."""
    previous: str
    """:func:`fixed` of the version before; empty for the first."""
    program: str
    """Version of the program that showed it."""


def fixed(signed: Signed) -> str:
    """Return the SHA-256 of everything in a version: any change of a letter changes it."""
    plain = json.dumps(asdict(signed), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


def breaks(versions: Sequence[Signed], stated: Sequence[str], case: str) -> tuple[str, ...]:
    """Return what is not as it was signed, in sentences; empty where all is.

    Parameters
    ----------
    stated
        The hash that stands with each version.
    case
        SHA-256 of the stored case as it is now.
    """
    found = []
    before = ""
    for number, (signed, hashed) in enumerate(zip(versions, stated, strict=True), start=1):
        if signed.version != number:
            found.append(f"Version {number} calls itself version {signed.version}.")
        if fixed(signed) != hashed:
            found.append(f"Version {number} was changed after it was signed: its hash is another.")
        if signed.previous != before:
            found.append(f"Version {number} does not follow from the version before it.")
        before = hashed
    if versions and versions[-1].case != case:
        found.append("The stored case is not the one that the last version was signed on.")
    return tuple(found)
