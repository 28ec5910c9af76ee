"""What looks like a fracture and may be none, and what makes heights uncertain: each doubt a full sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..records import BoneRegion, Reference, VertebraGrade
from .proportions import BETWEEN, LEVELS

SCHEUERMANN_DEG, SCHEUERMANN_ROW = 5.0, 3
"""Wedge of each and number of neighbouring vertebrae that make Scheuermann's kyphosis likely: Sorensen's criterion [R]."""
SCHEUERMANN = Reference(
    "Sorensen's criterion of Scheuermann's kyphosis: three or more neighbouring vertebrae wedged by 5° or more", "recalled"
)
COBB_DEG = 10.0
"""Angle between the most tilted vertebrae in the coronal plane from which a curve is a scoliosis [R]."""
SCOLIOSIS = Reference("Scoliosis: a lateral curve of 10° or more by Cobb's angle", "recalled")
NODE_MM = 2.0
"""Depth of a local hollow in an endplate from which it may be a Schmorl's node [mm] [D]."""
NODES = Reference(
    "What must be told from a vertebral fracture: Scheuermann's disease, short vertebral height, Schmorl's nodes, degenerative remodelling (Jiang 2004)",
    "recalled",
)
EVEN = 0.06
"""Range of the three losses within which a body is evenly low, as a short one is by nature [-] [D]."""
THICK_MM = 3.0
"""Distance of slices along the body above which heights are too coarse for a grade alone [mm]: customary for sagittal views [R]."""
TRUSTED = 0.5
"""Confidence of a mask below which its heights are doubted [-] [D]."""


def slice_doubt(level: str, spacing: float) -> list[str]:
    """Return the doubt of a body whose slices are thick."""
    if spacing <= THICK_MM:
        return []
    return [
        f"{level}: its voxels are {spacing:.1f} mm along the spine (expected at most {THICK_MM:g} mm for heights): the loss of height is uncertain by several "
        "per cent; look at a thinner reconstruction before a grade is believed."
    ]


def thick_doubt(spacing: float) -> list[str]:
    """Return what thick slices mean for the spine as a whole: what was not found may be there."""
    if spacing <= THICK_MM:
        return []
    return [
        f"Voxels are {spacing:.1f} mm along the spine (expected at most {THICK_MM:g} mm): outlines found without labels smooth a hollow "
        "away (drawn losses of 35 and 36 % read 5 and 21 % in simulated scans with slices of 5 mm), so that a vertebra without a grade may be fractured."
    ]


def mask_doubt(level: str, confidence: float) -> list[str]:
    """Return the doubt of a body whose mask is hardly trusted."""
    if confidence >= TRUSTED:
        return []
    return [
        f"{level}: its mask has a confidence of {confidence:.2f} (expected {TRUSTED:g} or more): its heights may be those of a wrong outline."
    ]


def shape_doubts(grade: VertebraGrade, region: BoneRegion) -> list[str]:
    """Return what speaks against a fracture in the body itself."""
    if grade.grade == 0:
        return []
    level, found = grade.level, []
    hollow = {end: region.lengths.get(f"{end}_hollow", 0.0) for end in ("superior", "inferior")}
    end = max(hollow, key=lambda name: hollow[name])
    if hollow[end] >= NODE_MM:
        found.append(
            f"{level}: its {end} endplate has a local hollow of {hollow[end]:.1f} mm: a Schmorl's node lowers the height there and is no fracture."
        )
    losses = grade.losses.values()
    if grade.shape == "crush" and max(losses) - min(losses) <= EVEN:
        found.append(
            f"{level}: front, middle and back are low by the same share ({100 * min(losses):.0f} to {100 * max(losses):.0f} %): a vertebra that is "
            "short by nature, or a level misnamed, looks like this too."
        )
    return found


def spine_doubts(grades: Sequence[VertebraGrade], regions: Mapping[str, BoneRegion]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the doubts that only a row of vertebrae raises: by level, and of the spine as a whole."""
    by_level: dict[str, list[str]] = {}
    wedged = [
        grade.level for grade in grades if _wedge_deg(grade, regions[grade.level]) >= SCHEUERMANN_DEG and grade.level != "L5"
    ]
    for row in _rows(wedged):
        graded = [grade.level for grade in grades if grade.level in row and grade.grade > 0]
        if len(row) >= SCHEUERMANN_ROW and row[0].startswith("T"):
            for level in graded:
                by_level.setdefault(level, []).append(
                    f"{level}: {len(row)} vertebrae in a row ({row[0]} to {row[-1]}) are wedged by {SCHEUERMANN_DEG:g}° or more: Scheuermann's disease "
                    "looks like this and is no fracture; irregular endplates and long bodies speak for it."
                )
    whole = []
    tilts = [
        float(np.degrees(np.arctan2(axis[0], axis[2]))) for axis in (regions[grade.level].frame.axes[:, 2] for grade in grades)
    ]
    if len(tilts) > 1 and (cobb := max(tilts) - min(tilts)) >= COBB_DEG:
        whole.append(
            f"The spine bends sideways by {cobb:.0f}° between its most tilted vertebrae (a scoliosis from {COBB_DEG:g}°): heights were taken in each "
            "vertebra's own middle plane, but bodies that have grown wedged look like fractured ones."
        )
    return by_level, whole


def _wedge_deg(grade: VertebraGrade, region: BoneRegion) -> float:
    """Return the angle by which a body is lower in front [degrees]."""
    lower = grade.heights["posterior"] - grade.heights["anterior"]
    return float(np.degrees(np.arctan(lower / (BETWEEN * region.lengths["depth"]))))


def _rows(levels: Sequence[str]) -> list[list[str]]:
    """Return runs of neighbouring levels, from the head down."""
    rows: list[list[str]] = []
    for level in LEVELS:
        if level not in levels:
            continue
        if rows and LEVELS.index(level) - LEVELS.index(rows[-1][-1]) == 1:
            rows[-1].append(level)
        else:
            rows.append([level])
    return rows
