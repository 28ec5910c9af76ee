"""Every check of the image itself, and what they lead to for the scan and for each bone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from ..acquisition import rule
from ..records import BoneMask, Check, Examination, Reference, Scan, Segmentation, Step
from ..volume import Volume
from .coarse import Look, blocks_of, look_at
from .contrast import check_contrast
from .field import check_field
from .hardening import check_hardening
from .metal import check_metal
from .motion import check_motion
from .noise import check_noise
from .streaks import check_streaks

Array = np.ndarray
STAGE = "acquisition"
BONE_SENTENCE = "Noise, metal with its streaks, and movement were measured around each bone."


def examine(scan: Scan, segmentation: Segmentation) -> Examination:
    """Return what the image says of how it was made: for the whole scan and around each bone.

    An image that is density already has no HU to judge and is not examined.

    References
    ----------
    The rules and where they come from: ``data/acquisition.toml``.
    """
    image, bones = scan.image, segmentation.bones
    if image.unit != "HU":
        return Examination((), Step(STAGE, "The image was density already: how it was made was not examined."), {}, {})
    look, metal = look_at(image), check_metal(image, bones)
    found = [
        *check_field(look, _slices(image, look, bones)),
        *check_contrast(image, look, segmentation, scan.acquisition),
        *check_hardening(image, look, bones),
        *check_noise(image, bones),
        *check_motion(image, bones),
        *metal,
        *check_streaks(image, bones, {one.bone for one in metal if one.bone is not None and one.value > 0}),
    ]
    whole = [one for one in found if one.bone is None]
    measured = ", ".join(dict.fromkeys(f"{rule(one.rule).title}" for one in found))
    sentence = f"How the scan was made was judged by the image itself: {measured or 'nothing could be measured'}."
    step = Step(STAGE, sentence, _references(whole), tuple(one.sentence for one in whole if one.outcome != "ok"))
    steps, refused = {}, {}
    for name in bones:
        own = [one for one in found if one.bone == name]
        steps[name] = Step(STAGE, BONE_SENTENCE, _references(own), tuple(one.sentence for one in own if one.outcome == "caution"))
        reasons = [one.sentence for one in own if one.outcome == "refused"]
        if reasons:
            refused[name] = " ".join(reasons)
    return Examination(tuple(found), step, steps, refused)


def _slices(image: Volume, look: Look, bones: Mapping[str, BoneMask]) -> Bool[Array, " k"]:
    """Return the slices of blocks that hold any of the bones."""
    every = np.zeros(look.mean.shape[2], dtype=bool)
    for bone in bones.values():
        every |= blocks_of(bone.mask, image, look).any(axis=(0, 1))
    return every


def _references(checks: list[Check]) -> tuple[Reference, ...]:
    """Return the sources of the rules that had something to say, each once."""
    return tuple(dict.fromkeys(rule(one.rule).reference for one in checks if one.outcome != "ok"))
