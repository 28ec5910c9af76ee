"""What the bones of one person say of each other: a body that all of it has sunk, bone where a disc should be, and hips that differ more than hips
do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from .records import Array, BoneRegion, BoneResult
from .volume import to_index

ORDER = (*(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 5)))
"""From the head down. L5 is left out, which is lower behind than its neighbours by nature, and so are levels that few people have."""
FARTHEST = 2
"""Levels between a body and the nearest one that it is compared with on either side [D]: heights change by some per cent from one level to
the next."""
CRUSH_CAUTION = 0.20
"""Posterior height below that of the neighbours from which a crush is possible [-]: Genant's lower limit of a mild fracture [seen]; that
the posterior height is held against the neighbours' is usual in morphometry [R]."""
WEDGED_CAUTION = 0.20
"""Front or middle height below the posterior one from which a fracture is possible [-]: the same lower limit [seen]."""
CEMENTED = 10.0
"""Share of the trabecular region that is far denser than its median, from which the level leaves the spine's means [%] [D]."""
SIDES_CAUTION = 0.25
"""Difference of the two femora's strengths over their mean that is doubted [-] (plausibility table of our methods notes [D]): tested pairs
differ by 17 +- 12 % at random (Eckstein 2004 [S])."""
UNLIKE = {"head_radius": (1.5, "mm", "radius of the head"), "neck_shaft_angle_deg": (12.0, "°", "neck–shaft angle")}
"""Differences of the two femora that are doubted: in 50 persons the heads' diameters differed by 0.4 +- 0.6 mm, at most by 3 mm (BMC Musculoskelet
Disord 2021, s12891-021-04131-w [S]); in 345 the neck-shaft angles by 2.9 degrees on average (Laumonerie et al., Bone Joint J 100-B:839, 2018
[S]), of which the limit is four times [D]."""

BRIDGED = 200.0
"""Mean density between two endplates from which bone is there and no disc [mg/cm3] [D]: a disc has less than 120."""
LEAST_DISC = 1.5
"""Distance between two endplates below which there is no disc between them [mm] [D]."""
SAMPLED_RADIUS = 8.0
"""Around the middle of a disc, where it is looked at [mm] [D]."""


def compare(bones: Sequence[BoneResult], graded: Collection[str] = ()) -> list[BoneResult]:
    """Return the bones of one scan, with the doubts that only their neighbours and the other side can tell.

    ``graded`` are the levels whose heights the fracture assessment judges: here nothing is said of them.
    """
    heights = [{level: text for level, text in said.items() if level not in graded} for said in (_wedged(bones), _crushed(bones))]
    found = (*heights, _unequal(bones), _unlike(bones), _fused(bones))
    unfit = {**_cemented(bones), **_bridged(bones)}
    doubted = [_doubted(bone, tuple(doubts[bone.bone] for doubts in found if bone.bone in doubts)) for bone in bones]
    return [replace(bone, unfit=unfit.get(bone.bone)) for bone in doubted]


def _doubted(bone: BoneResult, doubts: tuple[str, ...]) -> BoneResult:
    if not doubts:
        return bone
    return replace(bone, cautions=(*bone.cautions, *doubts), status="caution" if bone.status == "ok" else bone.status)


def _wedged(bones: Sequence[BoneResult]) -> dict[str, str]:
    """Return the doubt of each vertebral body that is far lower in front or in the middle than behind."""
    found = {}
    for bone in bones:
        lengths = bone.region.lengths if bone.region is not None else {}
        if not {"anterior_height", "middle_height", "posterior_height"} <= set(lengths):
            continue
        anterior, middle, posterior = (lengths[f"{place}_height"] for place in ("anterior", "middle", "posterior"))
        loss = 1.0 - min(anterior, middle) / posterior
        if loss >= WEDGED_CAUTION:
            found[bone.bone] = (
                f"{bone.bone}: anterior or middle height is {100 * loss:.0f} % below the posterior height ({anterior:.1f}, {middle:.1f}, "
                f"{posterior:.1f} mm); a fracture is possible, then strength and density of this level do not stand for the spine. How much "
                "the posterior height itself has lost is not known."
            )
    return found


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


def _fused(bones: Sequence[BoneResult]) -> dict[str, str]:
    """Return the doubt of vertebrae between which there is bone instead of a disc, or no room for one."""
    found: dict[str, list[str]] = {}
    for upper, lower, gap, density in _discs(bones):
        if gap >= LEAST_DISC and (density is None or density < BRIDGED):
            continue
        seen = (
            f"only {max(gap, 0.0):.1f} mm apart"
            if gap < LEAST_DISC
            else f"{density:.0f} mg/cm³ dense between their endplates (a disc: below 120)"
        )
        for name, other in ((upper, lower), (lower, upper)):
            found.setdefault(name, []).append(
                f"{name}: it and {other} are {seen}: fused, bridged by bone or cement, or labels that run into each other; strength and density of a "
                "fused level do not stand for the spine."
            )
    return {name: " ".join(texts) for name, texts in found.items()}


def _bridged(bones: Sequence[BoneResult]) -> dict[str, str]:
    """Return why levels with bone or cement instead of a disc do not stand for the spine; labels that meet are no ground for it."""
    found: dict[str, str] = {}
    for upper, lower, _, density in _discs(bones):
        if density is not None and density >= BRIDGED:
            for name, other in ((upper, lower), (lower, upper)):
                found[name] = (
                    f"there is bone or cement of {density:.0f} mg/cm³ between it and {other} instead of a disc (below 120)."
                )
    return found


def _cemented(bones: Sequence[BoneResult]) -> dict[str, str]:
    """Return why levels whose trabecular region holds much cement or sclerosis do not stand for the spine."""
    found = {}
    for bone in bones:
        share = bone.measures.values.get("dense_share") if bone.measures is not None else None
        if share is not None and share.value > CEMENTED:
            found[bone.bone] = f"{share.value:.0f} % of its trabecular region is far denser than the rest: cement or sclerosis."
    return found


def _discs(bones: Sequence[BoneResult]) -> list[tuple[str, str, float, float | None]]:
    """Return each pair of neighbouring levels with the gap between their endplates [mm] and the density there [mg/cm³]."""
    regions = {
        bone.bone: bone.region for bone in bones if bone.region is not None and "inferior_endplate" in bone.region.landmarks
    }
    levels = (*ORDER, "L5")
    found = []
    for upper, lower in pairwise(levels):
        if upper not in regions or lower not in regions:
            continue
        above, below = regions[upper].landmarks["inferior_endplate"], regions[lower].landmarks["superior_endplate"]
        up = regions[upper].frame.axes[:, 2] + regions[lower].frame.axes[:, 2]
        gap = float((above - below) @ up / np.linalg.norm(up))
        found.append((upper, lower, gap, _between(regions[upper], (above + below) / 2)))
    return found


def _between(region: BoneRegion, middle: Float[Array, "3"]) -> float | None:
    """Return the mean density of a flat disc around a point, across the bone's axis [mg/cm³]; ``None`` where the region does not reach."""
    ticks = np.arange(-SAMPLED_RADIUS, SAMPLED_RADIUS + 1.0, 2.0)
    u, v = (grid.ravel() for grid in np.meshgrid(ticks, ticks, indexing="ij"))
    around = np.hypot(u, v) <= SAMPLED_RADIUS
    points = middle + u[around, None] * region.frame.axes[:, 0] + v[around, None] * region.frame.axes[:, 1]
    index = np.rint(to_index(region.density.affine, points)).astype(int)
    there = ((index >= 0) & (index < region.density.shape)).all(axis=1)
    if there.mean() < 0.5:
        return None
    return float(region.density.array[tuple(index[there].T)].mean())


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


def _unlike(bones: Sequence[BoneResult]) -> dict[str, str]:
    """Return the doubt of both femora where their heads or necks are shaped unlike."""
    lengths = {bone.bone: bone.region.lengths for bone in bones if bone.region is not None and bone.region.kind == "femur"}
    if "femur_left" not in lengths or "femur_right" not in lengths:
        return {}
    seen = []
    for key, (limit, unit, name) in UNLIKE.items():
        left, right = (lengths[side].get(key) for side in ("femur_left", "femur_right"))
        if left is not None and right is not None and abs(left - right) > limit:
            space = "" if unit == "°" else " "
            seen.append(
                f"the {name} is {left:.1f} left and {right:.1f}{space}{unit} right (expected within {limit:g}{space}{unit})"
            )
    if not seen:
        return {}
    words = f"{' and '.join(seen)}: one of the two masks leaks or lacks a part, or one hip is misshapen."
    return {side: f"{side}: {words}" for side in ("femur_left", "femur_right")}
