"""Bones and tissues from labels that somebody has drawn: a program's label map, a person's, or both.

Names are TotalSegmentator's: ``vertebrae_L1`` (whole), ``vertebral_body_L1`` (body), ``femur_left``, ``aorta``,
``autochthon_left`` ... Several numbers and several maps may share a name; they are united. Where a body and a whole
vertebra of one level are there, the body is taken; a map of all bodies in one label (``vertebrae_body``) is shared out
to the levels of the whole vertebrae.
"""

from __future__ import annotations

import contextlib
import difflib
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..errors import GeometryError, SegmentationError, SettingsError
from ..records import BoneMask, LabelMap, Scan, Segmentation, Step
from ..volume import Volume, bounding_box, crop, offset_in, same_grid
from .confidence import kept_of, weigh, why_doubted
from .counting import NOT_COUNTED, count_levels
from .leaks import without_leaks
from .likeness import compared
from .mending import mend
from .order import check_order
from .surroundings import FULL_CONTRAST, contrast_of, touches_edge

LEVELS = tuple(f"T{n}" for n in range(1, 14)) + tuple(f"L{n}" for n in range(1, 7))
FEMORA = ("femur_left", "femur_right")
KNOWN_BONES = LEVELS + FEMORA
"""Bones that can be asked for."""
EXPECTED = ("T12", "L1", "L2", "L3", "L4", *FEMORA)
"""Bones that are looked for when none is named: the levels and the site that strength is read at."""
TISSUES: dict[str, tuple[str, ...]] = {
    "aorta": ("aorta",),
    "muscle": (
        *(f"{name}_{side}" for name in ("autochthon", "iliopsoas", "gluteus_maximus", "gluteus_medius", "gluteus_minimus")
          for side in ("left", "right")),
        "skeletal_muscle",
    ),
    "fat": ("subcutaneous_fat",),
}  # fmt: skip
"""Reference tissue of a calibration to the structures that it is made of."""
STRAY_CAUTION, STRAY_REFUSAL = 0.01, 0.25
"""Share of a label outside its largest piece: said, and refused as two bones or a broken label [D]."""
HOLE_CAUTION = 0.01
"""Share of a label that were holes [D]."""
NOT_GIVEN = "no label of"
"""How the reason of a bone that nobody has labelled begins."""

Where = tuple[slice, slice, slice]
Places = dict[str, list[tuple[int, int, Where]]]


@dataclass(frozen=True)
class GivenLabels:
    """Takes bones and tissues from label maps on the scan's own grid."""

    labels: tuple[LabelMap, ...]
    bones: tuple[str, ...] | None = None
    """Bones to look for; ``None``: T12 to L4 and both femora."""

    def __call__(self, scan: Scan) -> Segmentation:
        """Return the bones and reference tissues that the labels hold.

        The confidence of a mask is the overlap with the bone that the image lets expect (:mod:`.confidence`), times the share of its label
        that was kept, less where its volume is unlike its neighbours' (:mod:`.likeness`), halved where the border of the image cuts a vertebra.
        A filled hole takes nothing: what bone encloses is bone, and the image judges the mask as it was mended.

        Raises
        ------
        SettingsError
            A bone that is asked for has an unknown name.
        GeometryError
            Labels lie on another grid than the scan.
        SegmentationError
            None of the bones is in the labels.
        """
        wanted = _wanted(self.bones)
        _check_grids(self.labels, scan)
        return replace(self, labels=tuple(mend(one, scan.image) for one in self.labels))._taken(scan, wanted)

    def _taken(self, scan: Scan, wanted: tuple[str, ...]) -> Segmentation:
        """Return the bones and tissues of mended labels."""
        places = _places(self.labels)
        found: dict[str, BoneMask] = {}
        absent: dict[str, str] = {}
        disorder, cautions = self._disorder(places)
        counted, doubts = self._counted(wanted)
        cautions = [*(doubt for one in self.labels for doubt in one.cautions), *cautions, *doubts]
        for bone in wanted:
            try:
                if disorder is not None and bone in LEVELS:
                    raise disorder
                mask, part = self._bone(bone, places)
                repaired, said = _repaired(bone, mask, part, scan.image, moved=any(one.moved for one in self.labels))
                found[bone] = replace(repaired, pads=self._pads(bone, places))
                cautions += said
            except SegmentationError as error:
                absent[bone] = str(error)
        if not found:
            there = ", ".join(sorted(places)) or "nothing"
            reasons = "".join(f"; {bone}: {reason}" for bone, reason in absent.items() if not reason.startswith(NOT_GIVEN))
            raise SegmentationError(
                f"found none of {', '.join(wanted)} to use in the labels, which hold {there}; check --labels, --label-map and --bones{reasons}"
            )
        found, unlike = compared(found)
        cautions += unlike
        tissues = {name: volume for name, parts in TISSUES.items() if (volume := self._united(parts, places)) is not None}
        given = "; ".join(one.source for one in self.labels)
        sentence = f"Bones were taken from given labels ({given}): {', '.join(found)}.{counted}"
        inputs = tuple((labels.source, labels.digest) for labels in self.labels if labels.digest)
        others = {} if disorder else self._others(wanted, places, scan)
        return Segmentation(found, tissues, Step("segmentation", sentence, (), tuple(cautions)), absent, inputs, others)

    def _others(self, wanted: tuple[str, ...], places: Places, scan: Scan) -> dict[str, BoneMask]:
        """Return labelled vertebrae that nobody asked for, where any was: they too may be fractured."""
        found, moved = {}, any(one.moved for one in self.labels)
        for level in (one for one in LEVELS if one not in wanted and set(wanted) & set(LEVELS)):
            with contextlib.suppress(SegmentationError):
                found[level] = _repaired(level, *self._bone(level, places), scan.image, moved=moved)[0]
        return found

    def _counted(self, wanted: tuple[str, ...]) -> tuple[str, list[str]]:
        """Return what the names of levels rest on, and doubts: of the map that says most where there are several."""
        if not set(wanted) & set(LEVELS):
            return "", []
        results = [count_levels(one.volume, one.names) for one in self.labels]
        told = [result for result in results if result[0] not in ("", NOT_COUNTED)] or [one for one in results if one[0]]
        return (f" {told[0][0]}", list(told[0][1])) if told else ("", [])

    def _disorder(self, places: Places) -> tuple[SegmentationError | None, list[str]]:
        """Return why the vertebrae cannot be what their labels call them, and the doubt where only some are out of order."""
        heights = {}
        for level in LEVELS:
            spots = places.get(f"vertebral_body_{level}") or places.get(f"vertebrae_{level}")
            if spots:
                n_map, value, where = spots[0]
                layers = (self.labels[n_map].volume.array[where] == value).sum(axis=(0, 1))
                # half of the label lies below: a stray voxel far away moves it little
                heights[level] = where[2].start + float(np.searchsorted(np.cumsum(layers), 0.5 * layers.sum()))
        try:
            return None, check_order(heights, LEVELS)
        except SegmentationError as error:
            return error, []

    def _bone(self, bone: str, places: Places) -> tuple[Volume, str]:
        """Return the label of a bone as a mask, and whether it is a body or whole."""
        if bone in FEMORA:
            femur = self._united((bone,), places)
            if femur is None:
                raise SegmentationError(
                    f"{NOT_GIVEN} {bone} was given; draw it, or leave the labels out: the bones are looked for then"
                )
            return femur, "whole"
        body = self._united((f"vertebral_body_{bone}",), places)
        if body is not None:
            return body, "body"
        whole = self._united((f"vertebrae_{bone}",), places)
        if whole is None:
            raise SegmentationError(
                f"{NOT_GIVEN} {bone} was given; draw it, or leave the labels out: the bones are looked for then"
            )
        bodies = self._united(("vertebrae_body", "vertebral_bodies"), places)
        if bodies is not None:
            shared = _common(whole, bodies)
            if shared.array.any():
                return shared, "body"
        return whole, "whole"

    def _pads(self, bone: str, places: Places) -> tuple[Volume, Volume] | None:
        """Return cement drawn below and above a vertebra; ``None`` where one of the two is not there."""
        inferior, superior = (self._united((f"cement_{end}_{bone}",), places) for end in ("inferior", "superior"))
        return None if inferior is None or superior is None else (inferior, superior)

    def _united(self, names: tuple[str, ...], places: Places) -> Volume | None:
        """Return the union of structures on the smallest box that holds them; ``None`` where there is none."""
        spots = [spot for name in names for spot in places.get(name, [])]
        if not spots:
            return None
        low = [min(where[axis].start for _, _, where in spots) for axis in range(3)]
        high = [max(where[axis].stop for _, _, where in spots) for axis in range(3)]
        box = crop(self.labels[spots[0][0]].volume, low, high)
        array = np.zeros(box.shape, dtype=bool)
        for n_map, value, where in spots:
            inside = tuple(slice(axis.start - start, axis.stop - start) for axis, start in zip(where, low))
            array[inside] |= self.labels[n_map].volume.array[where] == value
        return Volume(array, box.affine, "mask")


def _wanted(bones: tuple[str, ...] | None) -> tuple[str, ...]:
    if bones is None:
        return EXPECTED
    for bone in bones:
        if bone not in KNOWN_BONES:
            near = difflib.get_close_matches(bone, KNOWN_BONES, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"found bone {bone!r}, expected T1 to L6, femur_left or femur_right{hint}")
    if not bones:
        raise SettingsError("found an empty list of bones, expected at least one of T1 to L6, femur_left, femur_right")
    return tuple(dict.fromkeys(bones))


def _check_grids(labels: tuple[LabelMap, ...], scan: Scan) -> None:
    """Refuse labels on another grid than the scan's, and none at all."""
    if not labels:
        raise SettingsError("found no label map, expected at least one; give --labels")
    for one in labels:
        if not same_grid(one.volume, scan.image):
            raise GeometryError(
                f"found labels ({one.source}) on a grid of {one.volume.shape} voxels of {_sizes(one.volume)} mm, expected the scan's "
                f"{scan.image.shape} of {_sizes(scan.image)} mm in the same place; make the labels on this scan or resample them"
            )


def _places(labels: tuple[LabelMap, ...]) -> Places:
    """Return for each structure that has voxels: in which map, under which number, in which box."""
    places: Places = {}
    for n_map, one in enumerate(labels):
        array = one.volume.array
        if array.dtype.kind not in "iu":
            array = array.astype(np.int32)
        boxes = ndimage.find_objects(array)
        for value, name in one.names.items():
            if 0 < value <= len(boxes) and boxes[value - 1] is not None:
                where = boxes[value - 1]
                places.setdefault(name, []).append((n_map, value, (where[0], where[1], where[2])))
    return places


def _sizes(volume: Volume) -> str:
    return " x ".join(f"{size:.2f}" for size in volume.spacing)


def _common(a: Volume, b: Volume) -> Volume:
    """Return where two sub-boxes of one grid are both true, on the box of the first."""
    offset = offset_in(b, a)
    low = np.maximum(offset, 0)
    high = np.minimum(offset + np.array(b.shape), a.shape)
    array = np.zeros(a.shape, dtype=bool)
    if np.all(high > low):
        mine = tuple(slice(int(start), int(stop)) for start, stop in zip(low, high))
        other = tuple(slice(int(start), int(stop)) for start, stop in zip(low - offset, high - offset))
        array[mine] = a.array[mine] & b.array[other]
    return a.with_array(array)


def _repaired(bone: str, mask: Volume, part: str, image: Volume, *, moved: bool = False) -> tuple[BoneMask, list[str]]:
    """Return one piece without holes, with its confidence, and what was done to it."""
    cautions = []
    labels, count = ndimage.label(mask.array, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    stray = 1.0 - float(sizes.max()) / float(sizes.sum())
    if stray > STRAY_REFUSAL:
        raise SegmentationError(
            f"found the label of {bone} in {count} pieces with {100 * stray:.0f} % of it outside the largest, expected one bone "
            f"(at most {100 * STRAY_REFUSAL:g} % apart); mend the labels"
        )
    if stray > STRAY_CAUTION:
        cautions.append(f"{bone}: {100 * stray:.1f} % of the label lay apart from the bone and was left out.")
    one = labels == 1 + int(np.argmax(sizes))
    full = ndimage.binary_fill_holes(np.pad(one, 1))[1:-1, 1:-1, 1:-1]
    holes = 1.0 - float(one.sum()) / float(full.sum())
    if holes > HOLE_CAUTION:
        cautions.append(f"{bone}: holes of {100 * holes:.1f} % in the label were filled.")
    leaked = 0.0
    if part == "body" or bone in FEMORA:  # of the filled bone: walls around a hole are thin, and are no bridges
        full, leaked = without_leaks(full, mask.spacing)
    if leaked > STRAY_REFUSAL:
        raise SegmentationError(
            f"found {100 * leaked:.0f} % of the label of {bone} hanging on it by thin bridges, expected one bone (at most {100 * STRAY_REFUSAL:g} %); mend the "
            "labels"
        )
    if leaked > 0.0:
        cautions.append(f"{bone}: {100 * leaked:.1f} % of the label hung on the bone by thin bridges (a leak) and was cut off.")
    repaired = mask.with_array(full)
    first, last = bounding_box(repaired)
    repaired = crop(repaired, first.tolist(), last.tolist())
    contrast = contrast_of(repaired, image)
    if moved and contrast < FULL_CONTRAST / 2:
        raise SegmentationError(
            f"found the label of {bone}, drawn on another grid, where the image is only {contrast:.0f} {image.unit} brighter inside than around it "
            f"(expected {FULL_CONTRAST:g} or more): it was made from another scan, or one of the two headers lost its place; give the label map of "
            "this scan"
        )
    if contrast < FULL_CONTRAST / 2:
        cautions.append(
            f"{bone}: the image is only {contrast:.0f} {image.unit} brighter inside the label than around it (expected {FULL_CONTRAST:g} or more); "
            "the label may lie beside the bone."
        )
    cut = touches_edge(repaired, image)
    clear = float(np.clip(contrast / FULL_CONTRAST, 0.0, 1.0))
    evidence = weigh(bone, part, repaired, image)
    confidence = (1.0 - stray) * (1.0 - leaked) * clear * evidence.confidence * kept_of(bone, cut)
    doubted = None if kept_of(bone, cut) < 1.0 or cautions else why_doubted(bone, evidence)
    cautions += [doubted] if doubted else []
    return BoneMask(bone, repaired, "body" if part == "body" else "whole", confidence, cut), cautions
