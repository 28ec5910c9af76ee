"""Every whole vertebra of a scan: heights, what they were, Genant's grade and shape, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from ..records import BoneRegion, FractureAssessment, Reference, Step, VertebraGrade
from .doubts import NODES, SCHEUERMANN, SCOLIOSIS, mask_doubt, shape_doubts, slice_doubt, spine_doubts, thick_doubt
from .expected import PLACES, Body, Expected, expected_heights
from .facing import facing_alike
from .grading import GENANT, LIMITS, SHAPES, chances_of, grade_of, shape_of
from .proportions import LEVELS, sources

NOISE_MM, NOISE_SLICE = 0.2, 0.17
"""Error of a height: this, and this share of the voxel along the body, one standard deviation [mm], [-]; rounded up from docs/validation/fractures.md [C]."""
UNTRUSTED = 0.05
"""Confidence of a mask below which a vertebra is not graded [-] [D]."""
BOUNDED = 0.80
"""Density of a body's lighter end over its middle below which it is not graded [-] [D]: anatomy doubts a label below 0.95; right ones have 1.0 to
2.0, a body that was shaped in half had 0.5 [C]."""
THICK = 0.20
"""Voxel along the spine over the expected height above which a vertebra is not graded [-]: of drawn
thoracic bodies in slices of 5 mm, where discs are no thicker than a slice, half the grades were wrong [C]; the limit [D]."""
LEFT_OUT_FROM = 2
"""Grade from which a vertebra stands for nothing in density and strength of the spine: moderate and severe fractures are certain enough [R]."""
MORPHOMETRY = Reference(
    "Six-point morphometry: front and middle over back height, back height over that of the neighbours (Roberts 2007 for the ratios)",
    "seen",
)


def assess_fractures(
    regions: Mapping[str, BoneRegion],
    *,
    ungraded: Mapping[str, str],
    confidence: Mapping[str, float],
    sex: Literal["F", "M"] | None = None,
    limits: tuple[float, ...] = LIMITS,
    left_out_from: int = LEFT_OUT_FROM,
) -> FractureAssessment:
    """Return Genant's grade and shape of each vertebral body.

    Parameters
    ----------
    regions
        Vertebral bodies with their heights, by level.
    ungraded
        Further vertebrae in the image, with why they have no body to measure.
    confidence
        Of the masks.
    limits
        Losses of height from which the grades 1, 2 and 3 begin [-].
    left_out_from
        Grade from which a vertebra is listed in ``left_out``.
    """
    outside = {level: f"{level} lies outside T4 to L5, where no grades are given" for level in regions if level not in LEVELS}
    doubtful = {
        level: f"the mask of {level} has a confidence of {confidence[level]:.2f}, too little for heights (expected {UNTRUSTED:g} or more)"
        for level in LEVELS
        if level in regions and confidence.get(level, 1.0) < UNTRUSTED
    }
    doubtful |= {
        level: f"one end of the mask of {level} is lighter than its middle ({share:.2f} of its density, expected {BOUNDED:g} or more): it does not end "
        "at an endplate"
        for level in LEVELS
        if level in regions
        and level not in doubtful
        and (share := regions[level].lengths.get("end_density_ratio", 9.9)) < BOUNDED
    }
    usable = facing_alike({level: regions[level] for level in LEVELS if level in regions and level not in doubtful})
    bodies = {level: _body(region) for level, region in usable.items()}
    expected = expected_heights(bodies, sex)
    if thick := _too_thick(usable, expected):
        bodies = {level: body for level, body in bodies.items() if level not in thick}
        expected = expected_heights(bodies, sex)
        doubtful |= thick
    grades = [_graded(level, bodies, expected[level], usable[level], limits) for level in bodies]
    by_level, whole = spine_doubts(grades, usable)
    grades = [
        replace(
            grade,
            cautions=(
                *_said(grade, expected[grade.level], left_out_from),
                *shape_doubts(grade, usable[grade.level]),
                *by_level.get(grade.level, ()),
                *(slice_doubt(grade.level, _spacing(usable[grade.level])) if grade.grade else ()),
                *mask_doubt(grade.level, confidence.get(grade.level, 1.0)),
            ),
        )
        for grade in grades
    ]
    whole += thick_doubt(max((_spacing(region) for region in usable.values()), default=0.0))
    if len(grades) == 1:
        whole.append(
            f"{grades[0].level} is the only vertebra whose heights are known: its back height was taken as sound, a crush of the whole body is not seen."
        )
    left_out = {grade.level: _reason(grade) for grade in grades if grade.grade >= left_out_from}
    index = float(np.mean([grade.grade for grade in grades])) if grades else None
    return FractureAssessment(
        tuple(grades), {**ungraded, **doubtful, **outside}, left_out, index, _describe(grades, limits, left_out, whole)
    )


def _too_thick(regions: Mapping[str, BoneRegion], expected: Mapping[str, Expected]) -> dict[str, str]:
    """Return the bodies whose voxels are too long for their height, and what is said of them."""
    return {
        level: f"the voxels of {level} are {spacing:.1f} mm along the spine, more than {100 * THICK:g} % of the {height:.1f} mm that it is expected to be "
        "high: too thick to tell its endplates from those of its neighbours; use a thinner reconstruction"
        for level, region in regions.items()
        if (spacing := _spacing(region)) > THICK * (height := expected[level].heights["posterior"])
    }


def _spacing(region: BoneRegion) -> float:
    """Return the size of the voxels along a body's axis [mm]."""
    affine, axis = region.mask.affine[:3, :3], region.frame.axes[:, 2]
    spacing = region.mask.spacing
    return float(np.linalg.norm(spacing * ((affine / spacing).T @ axis)))


def _body(region: BoneRegion) -> Body:
    heights = {place: float(region.lengths[f"{place}_height"]) for place in PLACES}
    return Body(heights, region.lengths["depth"], float(np.hypot(NOISE_MM, NOISE_SLICE * _spacing(region))))


def _graded(
    level: str, bodies: Mapping[str, Body], expected: Expected, region: BoneRegion, limits: tuple[float, ...]
) -> VertebraGrade:
    """Return the grade of one body, without its cautions."""
    heights = bodies[level].heights
    losses = {place: 1.0 - heights[place] / expected.heights[place] for place in PLACES}
    loss = max(losses.values())
    deviation = float(np.hypot((1.0 - loss) * expected.spread, bodies[level].noise / expected.heights["posterior"]))
    grade = grade_of(loss, limits)
    back = heights["posterior"]
    ratios = {
        "anterior_posterior": heights["anterior"] / back,
        "middle_posterior": heights["middle"] / back,
        "posterior_expected": back / expected.heights["posterior"],
    }
    at = LEVELS.index(level)
    for name, step in (("above", -1), ("below", 1)):
        if 0 <= at + step < len(LEVELS) and LEVELS[at + step] in bodies:
            ratios[f"posterior_{name}"] = back / bodies[LEVELS[at + step]].heights["posterior"]
    ends = [f"{end}_{place}" for place in PLACES for end in ("superior", "inferior")]
    points = {name: region.landmarks[name] for name in ends}
    shape = shape_of(losses) if grade else None
    chances = chances_of(loss, deviation, limits)
    return VertebraGrade(level, heights, expected.heights, ratios, losses, loss, deviation, grade, shape, chances, points)


def _reason(grade: VertebraGrade) -> str:
    return f"{('mild', 'moderate', 'severe')[grade.grade - 1]} {grade.shape} fracture (grade {grade.grade}, {100 * grade.loss:.0f} % of the height lost)"


def _said(grade: VertebraGrade, expected: Expected, left_out_from: int) -> list[str]:
    """Return the finding as a caution; nothing of a sound vertebra."""
    if grade.grade == 0:
        return []
    place = max(grade.losses, key=lambda name: grade.losses[name])
    where = {"anterior": "in front", "middle": "in the middle", "posterior": "at the back"}[place]
    found = (
        f"{grade.heights[place]:.1f} mm {where}, expected {grade.expected[place]:.1f} mm: {100 * grade.loss:.0f} ± {100 * grade.loss_sd:.0f} % lost, "
        f"{grade.shape}, chance of any grade {100 * (1.0 - grade.chances[0]):.0f} %, of grade {grade.grade} {100 * grade.chances[grade.grade]:.0f} %"
    )
    against = f"; compared with {' and '.join(expected.compared)}" if expected.compared else ""
    words = (
        "a mild fracture (grade 1) is possible and must be confirmed by a physician"
        if grade.grade == 1
        else f"a {('moderate', 'severe')[grade.grade - 2]} fracture (grade {grade.grade}) is likely"
    )
    end = (
        ", its density and strength do not stand for the spine and are left out of the means."
        if grade.grade >= left_out_from
        else ", its density and strength may not stand for the spine."
    )
    return [f"{grade.level}: {words} ({found}{against}){end}"]


def _describe(grades: list[VertebraGrade], limits: tuple[float, ...], left_out: Mapping[str, str], whole: list[str]) -> Step:
    """Return the Methods sentence."""
    if not grades:
        return Step("fractures", "No vertebral body was found whose heights could be assessed for fractures.", (), tuple(whole))
    seen = (
        ", ".join(f"{grade.level} grade {grade.grade} ({grade.shape})" for grade in grades if grade.grade)
        or "none of grade 1 or more"
    )
    percent = ", ".join(f"{100 * limit:g}" for limit in limits)
    sentence = (
        f"Heights of {len(grades)} vertebral {'body' if len(grades) == 1 else 'bodies'} ({grades[0].level} to {grades[-1].level}) at 15 and 85 % of "
        "the depth and the least between were held against those expected for the level from the person's other vertebrae; a loss of "
        f"{percent} % and more is grade 1, 2, 3. "
        f"Found: {seen}."
    )
    if left_out:
        sentence += f" Left out of the spine's density and strength: {', '.join(left_out)}."
    cautions = (*whole, *(caution for grade in grades for caution in grade.cautions))
    return Step("fractures", sentence, (GENANT, SHAPES, MORPHOMETRY, *sources(), NODES, SCHEUERMANN, SCOLIOSIS), cautions)
