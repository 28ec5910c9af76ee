"""Two segmenters beside each other: the bones of the first, less trusted where the second draws them otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..records import BoneMask, Scan, Segmentation, Segmenter
from ..volume import offset_in

AGREED = 0.85
"""Overlap (Dice) of two masks of one bone below which a caution is due [D]: what a mask is doubted at (:mod:`.confidence`)."""


@dataclass(frozen=True)
class Agreeing:
    """Takes the bones of one segmenter and holds them against another's."""

    first: Segmenter
    second: Segmenter

    def __call__(self, scan: Scan) -> Segmentation:
        """Return the first's bones; the confidence of each is the less, the less the second's mask overlaps it.

        A bone that only one of the two found keeps its confidence, and so does one of which one has the body and the other the whole.

        Raises
        ------
        InputError
            The first found none of the bones.
        """
        found = self.first(scan)
        if scan.image.unit != "HU":
            return _said(found, "No second segmenter was asked: the image is density already.", ())
        try:
            other = self.second(scan)
        except InputError as error:
            return _said(
                found, "A second segmenter was asked and found none of the bones.", (f"No second opinion on the masks: {error}.",)
            )
        bones, cautions, seen = dict(found.bones), [], []
        for name, bone in found.bones.items():
            beside = other.bones.get(name)
            if beside is None or beside.part != bone.part:
                continue
            overlap = dice(bone, beside)
            seen.append(f"{name} {overlap:.2f}")
            bones[name] = replace(bone, confidence=bone.confidence * (1.0 + overlap) / 2.0)
            if overlap < AGREED:
                cautions.append(
                    f"{name}: two segmenters draw it with an overlap (Dice) of only {overlap:.2f} (expected {AGREED:g} or more): at least one of them "
                    "is wrong, or they name different vertebrae; look at the outline."
                )
        told = f"Overlap (Dice) with the masks of the built-in segmenter: {', '.join(seen) or 'no bone that both have'}."
        return _said(replace(found, bones=bones), told, tuple(cautions))


def dice(a: BoneMask, b: BoneMask) -> float:
    """Return twice the common part of two masks of one grid over their sum; of femora above the higher of their lower ends."""
    apart = offset_in(b.mask, a.mask)
    low = np.minimum(apart, 0)
    shape = np.maximum(np.array(a.mask.shape), apart + np.array(b.mask.shape)) - low
    both = np.zeros((2, *shape), dtype=bool)
    for one, mask, at in zip(both, (a.mask, b.mask), (-low, apart - low), strict=True):
        one[tuple(slice(int(start), int(start) + n) for start, n in zip(at, mask.shape, strict=True))] = mask.array
    if a.bone.startswith("femur"):
        ends = [np.flatnonzero(one.any(axis=(0, 1))) for one in both]
        both = both[..., max(int(used[0]) for used in ends if len(used)) if any(len(used) for used in ends) else 0 :]
    total = int(both.sum())
    return 2.0 * float((both[0] & both[1]).sum()) / total if total else 0.0


def _said(found: Segmentation, sentence: str, cautions: tuple[str, ...]) -> Segmentation:
    step = found.step
    return replace(found, step=replace(step, sentence=f"{step.sentence} {sentence}", cautions=(*step.cautions, *cautions)))
