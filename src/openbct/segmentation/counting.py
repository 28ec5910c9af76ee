"""Levels counted from the sacrum up and from the ribs, against the names that labels give."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..volume import Volume, to_patient
from .neighbours import LUMBAR_PITCH_MM, ORDER

Array = np.ndarray
USUAL = tuple(level for level in ORDER if level not in ("T13", "L6"))
DIRECTLY = 1.5
"""Distance of the lowest vertebra from S1 over that of its neighbours up to which nothing lies between them [-] [D]."""
SACRUM_DIRECTLY = 1.15
"""The same from the top of the sacrum, which lies half a body and a disc below the lowest centre [-] [D]."""
RIB = re.compile(r"rib_(left|right)_(\d+)")
RIBS = range(7, 14)
"""Ribs whose heads are counted from: those above sit between two bodies and are crowded [D]."""
HEAD_MM = 25.0
"""Part of a rib that counts as its head: what lies within this of its end nearest to the spine [mm] [D]."""
FARTHEST_HEAD_MM = 45.0
"""Farthest that a rib's head may lie from a vertebra's centre before it is left out [mm] [D]: it is cut, or another's."""
NOT_COUNTED = "No level could be counted (neither sacrum nor ribs are labelled): names rest on the labels alone."
RARE_CAUTION = {
    "L6": "The labels name a sixth lumbar vertebra; levels counted from the sacrum and from the ribs then differ by one: say which count is meant.",
    "T13": "The labels name a thirteenth thoracic vertebra; levels counted from the ribs and from the sacrum then differ by one: say which count is meant.",
}


def count_levels(volume: Volume, names: Mapping[int, str]) -> tuple[str, list[str]]:
    """Return in words what the names of vertebrae rest on beside the labels themselves, and doubts.

    Parameters
    ----------
    volume
        A label map in canonical orientation.
    names
        Its structures.
    """
    centres = _centres(volume, names)
    if not centres:
        return "", []
    cautions = [text for level, text in RARE_CAUTION.items() if level in centres]
    below, said_below = _from_sacrum(volume, names, centres)
    ribs, said_ribs = _from_ribs(volume, names, centres)
    words = [said for said in (said_below, said_ribs) if said]
    sentence = f"Levels: {'; '.join(words)}." if words else NOT_COUNTED
    for off, anchor in ((below, "the sacrum"), (ribs, "the ribs")):
        if off:
            lower = "lower" if off > 0 else "higher"
            cautions.append(
                f"Counted from {anchor}, the labelled levels are {abs(off)} {lower} than their names say: four or six lumbar vertebrae, a rib more or less, a "
                "transitional vertebra, or names that are off; look before a level is compared with another scan's."
            )
    if below is not None and ribs is not None and below != ribs:
        cautions.append(
            f"The counts from the sacrum and from the ribs disagree by {abs(below - ribs)}: this spine has not twelve ribs and five lumbar "
            "vertebrae, or a label is misplaced; the names of the labels were kept."
        )
    return sentence, cautions


def _centres(volume: Volume, names: Mapping[int, str]) -> dict[str, Float[Array, "3"]]:
    """Return the centre of each labelled vertebra in patient LPS [mm], its body's where there is one."""
    found: dict[str, Float[Array, "3"]] = {}
    boxes = ndimage.find_objects(volume.array, max_label=max(names, default=0))
    for prefix in ("vertebrae", "vertebral_body"):
        for number, name in names.items():
            start, _, level = name.rpartition("_")
            if start != prefix or level not in ORDER or number > len(boxes) or boxes[number - 1] is None:
                continue
            box = boxes[number - 1]
            at = ndimage.center_of_mass(volume.array[box] == number)
            found[level] = to_patient(volume.affine, np.array(at) + [axis.start for axis in box])
    return found


def _from_sacrum(volume: Volume, names: Mapping[int, str], centres: Mapping[str, Float[Array, "3"]]) -> tuple[int | None, str]:
    """Return how many levels the lowest vertebra lies above (-) or below (+) its name, counted from the sacrum, and in words."""
    free = sorted((level for level in centres if level != "S1"), key=lambda level: centres[level][2])
    if not free:
        return None, ""
    lowest = free[0]
    pitch = float(np.linalg.norm(centres[free[0]] - centres[free[1]])) if len(free) > 1 else LUMBAR_PITCH_MM
    if "S1" in centres:
        near = float(np.linalg.norm(centres[lowest] - centres["S1"])) <= DIRECTLY * pitch
    else:
        top = _top_of_sacrum(volume, names)
        if top is None:
            return None, ""
        near = float(np.linalg.norm(centres[lowest] - top)) <= SACRUM_DIRECTLY * pitch
    if not near or lowest not in USUAL:
        return None, ""
    off = USUAL.index("L5") - USUAL.index(lowest)
    return off, f"{lowest} lies next to the sacrum" + ("" if off == 0 else ", where L5 is expected")


def _top_of_sacrum(volume: Volume, names: Mapping[int, str]) -> Float[Array, "3"] | None:
    """Return the middle of the sacrum's uppermost front tenth in patient LPS [mm]."""
    numbers = [number for number, name in names.items() if name == "sacrum"]
    where = np.argwhere(np.isin(volume.array, numbers)) if numbers else np.zeros((0, 3))
    if len(where) < 10:
        return None
    if where[:, 2].max() >= volume.shape[2] - 1:
        return None  # cut by the image: its top is not seen
    high = where[where[:, 2] >= np.quantile(where[:, 2], 0.9)]
    front = high[high[:, 1] <= np.quantile(high[:, 1], 0.5)]
    return to_patient(volume.affine, front.mean(axis=0))


def _from_ribs(volume: Volume, names: Mapping[int, str], centres: Mapping[str, Float[Array, "3"]]) -> tuple[int | None, str]:
    """Return how many levels the labelled vertebrae lie below (+) or above (-) their names, counted from the ribs, and in words."""
    boxes = ndimage.find_objects(volume.array, max_label=max(names, default=0))
    levels = {level: at for level, at in centres.items() if level in USUAL and level != "S1"}
    if not levels:
        return None, ""
    middle = float(np.mean([at[0] for at in levels.values()]))
    offs: list[int] = []
    heard: list[int] = []
    for number, name in names.items():
        rib = RIB.fullmatch(name)
        if rib is None or int(rib.group(2)) not in RIBS or number > len(boxes) or boxes[number - 1] is None:
            continue
        box = boxes[number - 1]
        points = to_patient(
            volume.affine, np.argwhere(volume.array[box] == number) + np.array([float(axis.start) for axis in box])
        )
        away = np.abs(points[:, 0] - middle)
        head = points[away <= away.min() + HEAD_MM].mean(axis=0)
        level = min(levels, key=lambda one: abs(float(levels[one][2] - head[2])))
        beyond = abs(float(levels[level][2] - head[2])) > FARTHEST_HEAD_MM or away.min() > FARTHEST_HEAD_MM
        expected = f"T{rib.group(2)}"
        if beyond or expected not in USUAL:
            continue
        offs.append(USUAL.index(expected) - USUAL.index(level))
        heard.append(int(rib.group(2)))
    if not offs:
        return None, ""
    off = int(np.median(offs))
    told = f"rib{'s' if len(set(heard)) > 1 else ''} {', '.join(map(str, sorted(set(heard))))}"
    if off:
        return off, f"{told} meet vertebrae {abs(off)} off their number"
    return off, f"{told} meet{'' if len(set(heard)) > 1 else 's'} the vertebrae of their number"
