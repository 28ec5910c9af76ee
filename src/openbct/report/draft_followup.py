"""Sentences of the draft on an earlier scan: a change beyond or within the least significant one, and where no change is stated."""

from __future__ import annotations

from collections.abc import Iterator

from ..visits import Change, Earlier
from .draft_sentence import OWN, POSITIONS, Sentence, listed, plain
from .followup_changes import main_changes
from .followup_names import day, quantity_name, signed
from .scales import unverified
from .wording import Texts, clean

MOST_RULES = 3
"""More rules that speak against comparing are left to their section [design]."""


def changes(earlier: Earlier, texts: Texts) -> Iterator[Sentence]:
    """Return what changed since the baseline: never a change where the scans cannot be compared or bone does not change so much."""
    first = day(earlier.baseline, texts)
    apart: dict[str, list[Change]] = {}
    for change in main_changes(earlier.comparison.changes):
        if change.judgement == "not comparable":
            apart.setdefault(change.why, []).append(change)
            continue
        key = {"implausible": "draft.C6", "within": "draft.C5"}.get(change.judgement, "draft.C4")
        words = texts(
            key,
            first=first,
            what=_what(change, texts),
            direction=texts(f"draft.C4.{change.judgement}") if key == "draft.C4" else "",
            percent=texts.number(abs(change.percent), 1) if key == "draft.C4" else signed(change.percent, texts),
            least=texts.number(change.least, 1),
            before=texts.quantity(change.baseline, change.unit),
            after=texts.quantity(change.followup, change.unit),
            unit=texts.unit(change.unit.split(" ")[0]),
            why=texts("draft.C7.why", why=plain(texts.sentence(change.why)).rstrip(".")) if change.why else "",
            precision=texts("draft.C4.unverified") if unverified(change.precision) and key != "draft.C6" else "",
        )
        name = f"{change.bone} {change.quantity}"
        numbers = {f"{name} percent": change.percent, f"{name} least": change.least}
        yield Sentence("comparison", key[-2:], words, OWN if key == "draft.C6" else change.precision, numbers)
    for why, found in apart.items():
        names = listed([_what(change, texts) for change in found], texts)
        reason = texts("draft.C7.why", why=plain(texts.sentence(why)).rstrip(".")) if why else ""
        yield Sentence("comparison", "C7", texts("draft.C7", first=first, what=names[:1].upper() + names[1:], why=reason), OWN)


def limits(earlier: Earlier, texts: Texts) -> Iterator[Sentence]:
    """Return what speaks against the comparison, and what was not compared."""
    said = [check.sentence for check in earlier.comparison.checks if check.outcome != "ok" and check.sentence]
    for text in dict.fromkeys(said[:MOST_RULES]):
        yield Sentence(
            "limitation", "L6", texts("draft.L6", first=day(earlier.baseline, texts), text=plain(texts.statement(text))), OWN
        )
    if earlier.comparison.absent:
        bones = ", ".join(texts.inline_bone(bone) for bone in earlier.comparison.absent)
        yield Sentence("limitation", "L7", texts("draft.L7", first=day(earlier.baseline, texts), bones=bones), OWN)


def again(texts: Texts) -> Sentence:
    """Return what a guideline says of the next measurement."""
    return Sentence("recommendation", "R8", texts("draft.R8"), POSITIONS)


def _what(change: Change, texts: Texts) -> str:
    """Return a quantity of a bone, or of the mean of several levels, within a sentence."""
    several = texts("draft.inline_mean", bones=clean(change.bone.replace(",", ", "))) if "," in change.bone else ""
    return texts(
        "draft.what", quantity=plain(quantity_name(change.quantity, texts)), where=several or texts.inline_bone(change.bone)
    )
