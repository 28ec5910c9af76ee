"""The vertebral bodies of a scan, found without labels: canal, column, discs, names, and the surfaces of each body."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import GeometryError
from ..records import BoneMask
from ..volume import Volume, bounding_box, crop, offset_in
from .body_surface import BodySurface, Start, body_mask, fit_body
from .canal import LEAST_ENCLOSED, LEAST_IN_POROUS, Canal, find_canal
from .coarse import coarsen
from .column import Column, find_column
from .discs import Segment, find_bodies, read_signals
from .found import FoundBones
from .given import LEVELS
from .levels import Naming, name_levels
from .metal import without_metal
from .smooth_surface import SEMI_GLOBAL

LEAST_MM = 30.0
"""Extent of an image that can hold a vertebra [mm] [D]."""
LEAST_FOLLOWED = 3
"""Whole vertebrae in a row that a second look must find: what is in an image without a spine has not been seen to have two [C]; [D]."""
SHORT_SHARE = 0.6
"""Of the image's height, less than which a canal is said to have been lost [-] [D]."""
POROUS = (
    "The bone around the spinal canal is so porous or thin that the canal was found only at a second, less demanding look (bone in {enclosed:.0f} % of "
    "all directions on average, usually 60 to 90 %); look at the bones in three planes."
)
NO_DISC, DISC_LEVELS = -0.4, ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6")
"""Contrast of the discs, in deviations, below which one of them is said not to be seen: fused levels have -1.7 to -0.7, others -0.1 and more
[C]; and where discs are high enough for that [D]."""
METAL, METAL_SHARE = 2000.0, 0.002
"""HU that no bone has, and their share of a body that is said [D]."""
SENTENCE = (
    "Vertebral bodies were found without labels: the spinal canal as soft tissue that bone encloses, the column in front of it, discs and endplates "
    "along the column, then endplates and wall of each body where the image falls most steeply from bone outwards. {ground}"
)


@dataclass(frozen=True)
class _Spine:
    column: Column
    segments: Sequence[Segment]
    naming: Naming
    canal: Canal


def find_spine(image: Volume, wanted: Sequence[str] = LEVELS) -> FoundBones:
    """Return the vertebral bodies of an image [HU] in canonical orientation.

    Parameters
    ----------
    wanted
        Levels whose bodies are shaped. Where the vertebrae cannot be counted and exactly as many whole ones are in view as are asked
        for, they are taken for these, with a caution.
    """
    levels = tuple(level for level in LEVELS if level in wanted)
    if min(np.array(image.shape) * image.spacing) < LEAST_MM or min(image.shape) < 4:
        size = " x ".join(f"{edge:.0f}" for edge in np.array(image.shape) * image.spacing)
        return _nothing(levels, f"the image is too small for a vertebra ({size} mm)")
    clean = without_metal(image)
    spine = _trace(clean)
    if isinstance(spine, str):
        if isinstance(_trace(clean.with_array(clean.array[:, ::-1])), str):
            return _nothing(levels, spine)
        return _turned_back(find_spine(image.with_array(image.array[:, ::-1]), wanted), image)
    names, cautions = _named(spine, levels)
    bones: dict[str, BoneMask] = {}
    parts: dict[str, dict[str, float]] = {}
    others: dict[str, BoneMask] = {}
    absent: dict[str, str] = {}
    for number, (name, segment) in enumerate(zip(names, spine.segments, strict=True)):
        if name is None or (name not in levels and not segment.complete):
            continue
        if name not in levels:
            if name not in LEVELS:  # the sacrum
                continue
            with contextlib.suppress(GeometryError):
                others[name], parts[name], _ = _body(image, clean, name, spine, number)
            continue
        if not segment.complete:
            absent[name] = f"{name} is cut by the {'lower' if number == 0 else 'upper'} edge of the image"
            continue
        try:
            bones[name], parts[name], said = _body(image, clean, name, spine, number)
            cautions += said
        except GeometryError:
            absent[name] = f"no body could be shaped at the place of {name}"
    for name in levels:
        if name not in bones and name not in absent:
            absent[name] = _why_not(name, names, spine.naming)
    sentence = (
        SENTENCE.format(ground=spine.naming.ground[:1].upper() + spine.naming.ground[1:].rstrip(".") + ".") if bones else ""
    )
    return FoundBones(bones, absent, parts, sentence, (SEMI_GLOBAL,), tuple(cautions), others=others)


def _nothing(levels: Sequence[str], reason: str) -> FoundBones:
    return FoundBones({}, dict.fromkeys(levels, reason), {})


def _turned_back(found: FoundBones, image: Volume) -> FoundBones:
    """Return what was found in an image with front and back exchanged, on the image as it is."""
    turned: dict[str, BoneMask] = {}
    for name, bone in {**found.bones, **found.others}.items():
        at, count = offset_in(bone.mask, image), bone.mask.shape[1]
        at[1] = image.shape[1] - int(at[1]) - count
        box = crop(image, at.tolist(), (at + np.array(bone.mask.shape)).tolist())
        turned[name] = replace(bone, mask=Volume(bone.mask.array[:, ::-1], box.affine, "mask"))
    bones, others = ({name: turned[name] for name in named} for named in (found.bones, found.others))
    caution = "The spine was found only with front and back of the image exchanged: the header's orientation is doubtful, left and right may be exchanged."
    return replace(found, bones=bones, others=others, cautions=(*found.cautions, caution))


def _trace(image: Volume) -> _Spine | str:
    """Return the column with its segments and their names, or why there is none.

    Where nothing can be named, bone may be so porous that the canal was lost: a second look asks for less bone around it. It is believed
    only where several whole vertebrae follow one another and can be counted.
    """
    coarse = coarsen(image)
    first = _followed(image, coarse, LEAST_ENCLOSED)
    if isinstance(first, _Spine) and any(first.naming.names):
        return first
    second = _followed(image, coarse, LEAST_IN_POROUS)
    if isinstance(second, _Spine) and any(second.naming.names) and sum(one.complete for one in second.segments) >= LEAST_FOLLOWED:
        seen = POROUS.format(enclosed=100 * float(np.median(second.canal.enclosed)))
        return replace(second, naming=replace(second.naming, cautions=(*second.naming.cautions, seen)))
    return first


def _followed(image: Volume, coarse: Volume, least: float) -> _Spine | str:
    """Return the column behind which a canal is enclosed at least so far, or why there is none."""
    canal = find_canal(coarse, least)
    if canal is None:
        return "no spinal canal was found in the image"
    column = find_column(image, canal)
    segments = find_bodies(read_signals(image, column), column.depth)
    if not segments:
        return "no vertebral bodies and discs were found in front of the spinal canal"
    naming = name_levels(coarse, column, segments)
    length, height = float(np.ptp(canal.points[:, 2])), image.shape[2] * image.spacing[2]
    whole = sum(one.complete for one in segments)
    if length < SHORT_SHARE * height and whole < LEAST_FOLLOWED:
        lost = (
            f"the spinal canal was followed over {length:.0f} mm of the image's {height:.0f} mm: the bone around it is too porous or too thin, or little of "
            "the spine is in view"
        )
        doubt = f"Few whole vertebrae were found ({whole}), because {lost}; their names may be off by one and more."
        if any(naming.names):
            naming = replace(naming, cautions=(*naming.cautions, doubt))
        else:
            naming = replace(naming, ground=f"{lost}; {naming.ground}")
    return _Spine(column, segments, naming, canal)


def _named(spine: _Spine, wanted: Sequence[str]) -> tuple[list[str | None], list[str]]:
    """Return the names of the segments, as asked where nobody can count and the numbers agree, and the doubts."""
    names, cautions = list(spine.naming.names), list(spine.naming.cautions)
    whole = [number for number, segment in enumerate(spine.segments) if segment.complete]
    if all(name is None for name in names) and 0 < len(whole) == len(wanted):
        for number, level in zip(whole, reversed(wanted), strict=True):
            names[number] = level
        were, these = ("was", "that was") if len(whole) == 1 else ("were", "these were")
        cautions.append(
            f"The vertebrae in view cannot be counted from the sacrum or the ribs; the {len(whole)} whole in view {were} taken for "
            f"{', '.join(wanted)} because {these} asked for: the name is the user's."
        )
    return names, cautions


def _why_not(name: str, names: Sequence[str | None], naming: Naming) -> str:
    """Return why a level is not there."""
    known = [one for one in names if one in LEVELS]
    if not known:
        return naming.ground
    if LEVELS.index(name) < LEVELS.index(known[-1]):
        return f"{name} is cut by the upper edge of the image or lies above it: the column was seen up to {known[-1]}"
    if LEVELS.index(name) > LEVELS.index(known[0]):
        return f"{name} is not between {known[0]}, the lowest found, and the sacrum, or lies below the image"
    return f"{name} was not found between its neighbours"


def _body(image: Volume, clean: Volume, name: str, spine: _Spine, number: int) -> tuple[BoneMask, dict[str, float], list[str]]:
    """Return one body, shaped in the image without metal, what speaks for it, and the doubts."""
    start = _start(spine, number)
    surface = fit_body(clean, start)
    mask = body_mask(image, surface)
    first, last = bounding_box(mask)
    mask = crop(mask, first.tolist(), last.tolist())
    at = offset_in(mask, image)
    cut = bool(np.any(at <= 0) or np.any(at + np.array(mask.shape) >= image.shape))
    inside = image.array[tuple(slice(int(a), int(a) + n) for a, n in zip(at, mask.shape))][mask.array]
    metal = float((inside > METAL).mean())
    cautions = []
    if name in DISC_LEVELS and spine.segments[number].contrast < NO_DISC:
        cautions.append(
            f"{name}: beside it a disc is not seen, there is bone where it should be: grown together with its neighbour, bridged, or an endplate taken "
            "wrongly; look at it from the side. A fused level does not stand for the spine."
        )
    if metal > METAL_SHARE:
        cautions.append(
            f"{name}: {100 * metal:.1f} % of the body is above {METAL:g} HU, which no bone is: a screw, cement or another implant lies in it."
        )
    parts = _parts(spine, number, start, surface)
    return BoneMask(name, mask, "body", 1.0, cut), parts, cautions


def _start(spine: _Spine, number: int) -> Start:
    """Return what the column says of a body."""
    segments, column, here = spine.segments, spine.column, spine.segments[number]
    middle = min((here.lower + here.upper) // 2, len(column.points) - 1)
    below = here.lower - segments[number - 1].upper if number > 0 else 8
    above = segments[number + 1].lower - here.upper if number + 1 < len(segments) else 8
    return Start(
        column.points[middle], column.axes[middle], float(here.upper - here.lower), float(column.depth[middle]),
        float(column.canal[middle]), (below / 2, above / 2),
    )  # fmt: skip


def _parts(spine: _Spine, number: int, start: Start, surface: BodySurface) -> dict[str, float]:
    """Return what speaks for a body, each from 0 to 1."""
    segments, here = spine.segments, surface.start
    around = [one for one in (number - 1, number + 1) if 0 <= one < len(segments) and segments[one].complete]
    heights = [float(segments[one].upper - segments[one].lower) for one in around]
    likeness = [float(np.exp(-abs(np.log(here.height / height)) / 0.5)) for height in heights]
    moved = float(np.linalg.norm(here.centre - start.centre))
    turned = float(np.degrees(np.arccos(np.clip(here.axes[:, 2] @ start.axes[:, 2], -1.0, 1.0))))
    near = int(np.argmin(np.linalg.norm(spine.canal.points - here.centre, axis=1)))
    return {
        "endplates_on_edges": surface.gains["endplates"],
        "wall_on_edges": surface.gains["wall"],
        "disc_contrast": float(np.clip(segments[number].contrast, 0.0, 1.0)),
        "height_like_neighbours": min(likeness, default=0.7),
        "near_the_column": float(np.exp(-moved / 12.0 - turned / 30.0)),
        "canal": float(np.clip(spine.canal.enclosed[near] / 0.7, 0.0, 1.0)),
        "level": spine.naming.agreement,
    }
