"""Bones of one person beside each other: a mask whose volume is unlike its neighbours' or the other side's has a leak, a gap, or a sick bone in it.

However well two masks lie, their overlap (Dice) is at most 2 r / (1 + r) where one has r times the other's volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..records import BoneMask
from .confidence import DOUBTED
from .neighbours import ORDER

GROWS = 0.06
"""Logarithm by which the volume of a body grows from one level to the next below, L4 to L5 left out [C]: simulated persons; that it grows from L1
to L4 and not to L5 is published (129 adults, Surg Radiol Anat 38:303, 2016 [S])."""
FARTHEST = 2
"""Levels on either side whose bodies are compared with [D]. The median of these and the body itself is what is expected: one bad neighbour does not
spoil a good body."""
VARIES = 0.10
"""Logarithm of the volume's ratio that is not doubted: right masks of simulated persons lie within [C]; of femora, whose heads differ by 0.4 mm
in diameter on average and necks by less than 4 % between the sides (BMC Musculoskelet Disord 2021, s12891-021-04131-w; Young et al., Clin
Orthop 471:1593, 2013 [S]), too [D]."""


def compared(bones: Mapping[str, BoneMask]) -> tuple[dict[str, BoneMask], tuple[str, ...]]:
    """Return the bones, with less confidence where their volume is unlike that of their neighbours or of the other side, and what is doubted."""
    volumes = {name: _volume(bone) for name, bone in bones.items() if not bone.touches_edge and not name.startswith("femur")}
    found, doubts = dict(bones), []
    for name, bone in bones.items():
        others = _sides(name, bones) if name.startswith("femur") else _levels(name, bone, bones, volumes)
        if others is None:
            continue
        own, expected, beside = others
        beyond = max(abs(float(np.log(own / expected))) - VARIES, 0.0)
        overlap = 2.0 / (1.0 + float(np.exp(beyond)))
        found[name] = replace(bone, confidence=bone.confidence * overlap)
        if overlap < DOUBTED:
            doubts.append(
                f"{name}: its mask has {own / 1000:.0f} cm³ where {beside} let {expected / 1000:.0f} cm³ expect: it has leaked, lacks a part, or the bone is "
                "crushed or misshapen; look at the outline."
            )
    return found, tuple(doubts)


def _volume(bone: BoneMask) -> float:
    """Return a mask's volume [mm³]."""
    return float(np.count_nonzero(bone.mask.array)) * bone.mask.voxel_volume


def _levels(
    name: str, bone: BoneMask, bones: Mapping[str, BoneMask], volumes: Mapping[str, float]
) -> tuple[float, float, str] | None:
    """Return a vertebra's volume, that which its neighbours let expect [mm³], and their names; ``None`` without neighbours."""
    if name not in volumes:
        return None
    at = ORDER.index(name)
    near = [
        other for other in ORDER[max(at - FARTHEST, 0) : at + FARTHEST + 1] if other in volumes and bones[other].part == bone.part
    ]
    if len(near) < 2:
        return None
    logs = [np.log(volumes[other]) - GROWS * (_place(other) - _place(name)) for other in near]
    return volumes[name], float(np.exp(np.median(logs))), ", ".join(other for other in near if other != name)


def _place(level: str) -> int:
    """Return how many times a level's body has grown since the topmost; L5 is no larger than L4."""
    return ORDER.index(level) - (1 if level in ("L5", "L6") else 0)


def _sides(name: str, bones: Mapping[str, BoneMask]) -> tuple[float, float, str] | None:
    """Return the volumes of both femora [mm³] over the length that both have, from the top; ``None`` where the other is not there."""
    other = "femur_right" if name == "femur_left" else "femur_left"
    if other not in bones:
        return None
    masks = [bones[one].mask for one in (name, other)]
    heights = []
    for mask in masks:
        used = np.flatnonzero(mask.array.any(axis=(0, 1)))
        heights.append((int(used[-1]) + 1, int(used[-1] - used[0]) + 1))
    common = min(height * float(mask.spacing[2]) for mask, (_, height) in zip(masks, heights, strict=True))
    sizes = []
    for mask, (top, _) in zip(masks, heights, strict=True):
        first = top - max(round(common / float(mask.spacing[2])), 1)
        sizes.append(float(np.count_nonzero(mask.array[:, :, max(first, 0) : top])) * mask.voxel_volume)
    return sizes[0], sizes[1], f"the upper {common:.0f} mm of {other}"
