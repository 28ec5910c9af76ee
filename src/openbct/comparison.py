"""What the bones of one person say of each other: a body that all of it has sunk, and hips that differ more than hips do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .records import BoneResult

ORDER = (*(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 5)))
"""From the head down. L5 is left out, which is lower behind than its neighbours by nature, and so are levels that few people have."""
FARTHEST = 2
"""Levels between a body and the nearest one that it is compared with on either side [D]: heights change by some per cent from one level to
the next."""
CRUSH_CAUTION = 0.20
"""Posterior height below that of the neighbours from which a crush is possible [-]: Genant's lower limit of a mild fracture [seen]; that
the posterior height is held against the neighbours' is usual in morphometry [R]."""
SIDES_CAUTION = 0.25
"""Difference of the two femora's strengths over their mean that is doubted [-] (plausibility table of our methods notes [D]): tested pairs
differ by 17 +- 12 % at random (Eckstein 2004 [S])."""


def compare(bones: Sequence[BoneResult]) -> list[BoneResult]:
    """Return the bones of one scan, with the doubts that only their neighbours and the other side can tell."""
    doubts = {**_crushed(bones), **_unequal(bones)}
    return [_doubted(bone, doubts.get(bone.bone)) for bone in bones]


def _doubted(bone: BoneResult, doubt: str | None) -> BoneResult:
    if doubt is None:
        return bone
    return replace(bone, cautions=(*bone.cautions, doubt), status="caution" if bone.status == "ok" else bone.status)


def _crushed(bones: Sequence[BoneResult]) -> dict[str, str]:
    """Return the doubt of each vertebral body whose posterior height lies far below its neighbours'."""
    heights = {
        bone.bone: bone.region.lengths["posterior_height"]
        for bone in bones
        if bone.bone in ORDER and bone.region is not None and "posterior_height" in bone.region.lengths
    }
    found = {}
    for level, height in heights.items():
        at = ORDER.index(level)
        above = [name for name in ORDER[max(at - FARTHEST, 0) : at] if name in heights][-1:]
        below = [name for name in ORDER[at + 1 : at + 1 + FARTHEST] if name in heights][:1]
        neighbours = above + below
        if not neighbours:
            continue
        expected = sum(heights[name] for name in neighbours) / len(neighbours)
        loss = 1.0 - height / expected
        if loss >= CRUSH_CAUTION:
            found[level] = (
                f"{level}: its posterior height of {height:.1f} mm is {100 * loss:.0f} % below that of {' and '.join(neighbours)} ({expected:.1f} mm); a crush "
                "fracture is possible, then strength and density of this level do not stand for the spine."
            )
    return found


def _unequal(bones: Sequence[BoneResult]) -> dict[str, str]:
    """Return the doubt of both femora where their strengths are far apart."""
    strengths = {bone.bone: bone.strength.strength for bone in bones if bone.strength is not None}
    left, right = strengths.get("femur_left"), strengths.get("femur_right")
    if left is None or right is None:
        return {}
    apart = abs(left - right) / (0.5 * (left + right))
    if apart <= SIDES_CAUTION:
        return {}
    words = (
        f"the strengths of the two femora, {left:,.0f} N left and {right:,.0f} N right, differ by {100 * apart:.0f} % of their mean (expected up to "
        f"{100 * SIDES_CAUTION:.0f} %): one of them may be diseased, operated on, or badly labelled."
    )
    return {side: f"{side}: {words}" for side in ("femur_left", "femur_right")}
