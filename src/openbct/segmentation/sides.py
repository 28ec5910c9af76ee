"""Left and right of given labels: femora in one label told apart, exchanged names put right, mirrored maps refused."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Shaped
from scipy import ndimage

from ..errors import SegmentationError
from ..volume import Volume, to_patient

Array = np.ndarray
SIDED = re.compile(r"(.+)_(left|right)(?:_\d+)?")
ONE_SIDED = {"liver": "right", "spleen": "left"}
"""Organs of one side in all but one person in some thousands."""
SECOND_FEMUR = 0.2
"""Volume of the second piece over the first from which a label holds two femora [-] [D]: one of them may be cut."""
CLEARER_HU = 20.0
"""Brighter mean inside the labels than inside their mirror image, or the other way, that decides between the two [HU] [D]."""
MIDLINE = ("sacrum", "vertebrae_S1", "spinal_cord")

Mended = tuple[Shaped[Array, "i j k"], dict[int, str], list[str]]


def split_femora(volume: Volume, names: Mapping[int, str]) -> Mended:
    """Return labels with femora of one label under two names, by their place; a femur alone is told by its head, which is medial.

    Raises
    ------
    SegmentationError
        One piece reaches across the body.
    """
    named, cautions = dict(names), []
    array = volume.array
    for number in [n for n, name in names.items() if name == "femora"]:
        box = ndimage.find_objects((array == number).astype(np.uint8))
        if not box or box[0] is None:
            continue
        where = box[0]
        pieces, count = ndimage.label(array[where] == number, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        large = [int(piece) + 1 for piece in np.argsort(sizes)[::-1][:2] if sizes[piece] >= SECOND_FEMUR * sizes.max()]
        start = np.array([axis.start for axis in where], dtype=float)
        sides = _sides_of(volume, pieces, large, start, names)
        array = array.astype(np.int32) if max(named) + 2 > 255 and array.dtype == np.uint8 else array.copy()
        view = array[where]
        view[pieces > 0] = 0
        for piece, side in zip(large, sides):
            new = max(named) + 1
            named[new] = f"femur_{side}"
            view[pieces == piece] = new
        del named[number]
        what = (
            "both femora; they were told apart by their place" if len(large) == 2 else f"one femur, taken as the {sides[0]} one"
        )
        cautions.append(f"One label held {what}: check left and right.")
    return array, named, cautions


def _sides_of(volume: Volume, pieces: Array, large: list[int], start: Float[Array, "3"], names: Mapping[int, str]) -> list[str]:
    """Return the side of each piece."""
    centres = [to_patient(volume.affine, start + np.array(ndimage.center_of_mass(pieces == piece))) for piece in large]
    if len(centres) == 2:
        return ["left", "right"] if centres[0][0] > centres[1][0] else ["right", "left"]
    middle = [n for n, name in names.items() if name in MIDLINE or name.startswith("vertebra")]
    if middle:
        at = to_patient(volume.affine, np.array(ndimage.center_of_mass(np.isin(volume.array, middle))))
        return ["left" if centres[0][0] > at[0] else "right"]
    k = np.flatnonzero((pieces == large[0]).any(axis=(0, 1)))
    low, high = k[0] + len(k) // 4, k[-1] - len(k) // 3
    shaft = ndimage.center_of_mass((pieces == large[0])[:, :, : low + 1])[0]
    head = ndimage.center_of_mass((pieces == large[0])[:, :, high:])[0]
    return ["left" if head < shaft else "right"]


def sides_put_right(volume: Volume, names: Mapping[int, str], image: Volume) -> tuple[dict[int, str], list[str]]:
    """Return names whose femora lie on the sides that they say.

    Where only the femora are exchanged, their names are; where the whole map is mirrored it is refused. Without another sided
    structure to tell the two apart, the image does: labels that lie on brighter voxels than their mirror image are in place.

    Raises
    ------
    SegmentationError
        The map is mirrored, or nothing tells.
    """
    by_name = {name: number for number, name in names.items()}
    if not {"femur_left", "femur_right"} <= set(by_name):
        _refuse_mirrored(volume, names)
        return dict(names), []
    left, right = by_name["femur_left"], by_name["femur_right"]
    apart = _x(volume, left) - _x(volume, right)
    if apart > 0:
        return dict(names), []
    votes = _votes(volume, {n: name for n, name in names.items() if n not in (left, right)})
    if sum(votes) == 0:
        votes = [_in_place(volume, (left, right), image)]
    if sum(votes) <= 0:
        raise SegmentationError(
            f"found femur_left {-apart:.0f} mm to the right of femur_right, expected it to the left: the labels are mirrored or their header lost "
            "its orientation; export them again"
        )
    swapped = {**names, left: "femur_right", right: "femur_left"}
    return swapped, [
        f"The labels call the femur on the patient's right, by {-apart:.0f} mm, the left one; the names were exchanged. If the image's own header has "
        "left and right exchanged, both femora carry the wrong side."
    ]


def _x(volume: Volume, number: int) -> float:
    """Return how far to the patient's left a label lies [mm]."""
    counts = np.count_nonzero(volume.array == number, axis=(1, 2)).astype(float)
    at = float((counts * np.arange(len(counts))).sum() / max(counts.sum(), 1.0))
    return float(volume.affine[0, 0] * at)


def _votes(volume: Volume, names: Mapping[int, str]) -> list[int]:
    """Return +1 for each other sided pair, or liver beside spleen, that lies right, -1 for each that lies wrong."""
    by_name = {name: number for number, name in names.items()}
    pairs = [
        (by_name[name], by_name[other])
        for name in by_name
        if (found := SIDED.fullmatch(name)) and found.group(2) == "left" and (other := name.replace("_left", "_right")) in by_name
    ]
    if set(ONE_SIDED) <= set(by_name):
        pairs.append((by_name["spleen"], by_name["liver"]))
    return [1 if _x(volume, left) > _x(volume, right) else -1 for left, right in pairs]


def _refuse_mirrored(volume: Volume, names: Mapping[int, str]) -> None:
    """Refuse a map of which most sided pairs lie on the wrong sides."""
    votes = _votes(volume, {n: name for n, name in names.items() if name.startswith(("hip", "femur"))})
    if votes and sum(votes) < 0:
        raise SegmentationError(
            "found hips of the labels on each other's side, expected the left one to the patient's left: the labels are mirrored or their header lost "
            "its orientation; export them again"
        )


def _in_place(volume: Volume, numbers: tuple[int, ...], image: Volume) -> int:
    """Return +1 where labels lie on brighter voxels than their mirror image does, -1 where the mirror image does, 0 in between."""
    mask = np.isin(volume.array, numbers)
    mirrored = mask[::-1]
    here, there = float(image.array[mask].mean()), float(image.array[mirrored].mean())
    return 1 if here - there > CLEARER_HU else -1 if there - here > CLEARER_HU else 0
