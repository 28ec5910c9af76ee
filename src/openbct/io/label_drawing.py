"""What a label file holds before its numbers have names, and the reader of each format, chosen by what the file is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import ScanError, SegmentationError
from ..volume import Volume
from .label_names import is_structure, structure_name, structure_of_code
from .label_paint import Painter
from .nifti import SUFFIXES, read_label_table, read_nifti
from .nrrd import read_nrrd

NRRD_SUFFIXES = (".seg.nrrd", ".nrrd")


@dataclass(frozen=True)
class Drawing:
    """Numbers on a grid, with names where the file gives them."""

    volume: Volume
    """Integers, in the file's own axes; 0 is background."""
    names: Mapping[int, str]
    """Empty where the file has none."""
    kind: str
    """What was read: ``"NIfTI label map"``."""
    written: Mapping[int, str] = field(default_factory=dict)
    """A person's own words for the numbers, for a mapping by name; never shown."""
    cautions: tuple[str, ...] = ()
    frame_uid: str = ""
    """DICOM's frame of reference; empty where the format knows none."""


def stem_of(path: Path) -> str:
    """Return a file's name without its suffix."""
    lower = path.name.lower()
    for suffix in (*reversed(SUFFIXES), *NRRD_SUFFIXES, ".dcm"):
        if lower.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def is_nrrd(path: Path) -> bool:
    """Tell an NRRD file by its suffix."""
    return path.name.lower().endswith(".nrrd")


def whole_numbers(volume: Volume) -> Volume:
    """Return labels as integers.

    Raises
    ------
    SegmentationError
        They are interpolated, or negative.
    """
    array = volume.array
    if array.dtype.kind == "f":
        rounded = np.rint(array)
        if np.abs(array - rounded).max() > 1e-3:
            raise SegmentationError(
                "found labels that are not whole numbers, expected integers: they were interpolated or are probabilities; export"
                " the label map itself, resampled with nearest neighbour only"
            )
        array = rounded.astype(np.int32)
    if array.size and array.min() < 0:
        raise SegmentationError(
            f"found labels down to {array.min()}, expected 0 for background and positive numbers; if this is the scan itself, give its label map"
        )
    return volume.with_array(array)


def draw_nifti(path: Path) -> Drawing:
    """Return a NIfTI label map, with the table that some writers keep in it."""
    try:
        volume, _ = read_nifti(path, "label")
        table = read_label_table(path)
    except ScanError as error:
        raise SegmentationError(f"labels: {error}") from None
    return Drawing(whole_numbers(volume), {n: structure_name(name) for n, name in table.items() if n}, "NIfTI label map")


def draw_nrrd(path: Path) -> Drawing:
    """Return an NRRD label map: a segmentation of 3D Slicer, its layers painted on one map, or plain numbers."""
    file = read_nrrd(path)
    segments = _slicer_segments(file.words)
    if file.array.size == 1:
        raise SegmentationError(
            "found a segmentation without any segment, expected at least one structure; draw it and save again"
        )
    if file.layer_axis is None:
        volume = whole_numbers(Volume(file.array, file.affine, "label"))
        names = {one.value: one.name for one in segments}
        words = {one.value: one.words for one in segments}
        return Drawing(volume, names, "3D Slicer segmentation (NRRD)" if segments else "NRRD label map", words)
    layers = np.moveaxis(file.array, file.layer_axis, 0)
    if not segments:
        raise SegmentationError(
            f"found an NRRD image of {len(layers)} layers without names of segments, expected 3D Slicer's segmentation; save as .seg.nrrd"
        )
    painter = Painter({n: one.name for n, one in enumerate(segments, start=1)}, _three(layers.shape[1:]))
    for number, one in enumerate(segments, start=1):
        if one.layer < len(layers):
            painter.add((slice(None),), layers[one.layer] == one.value, number)
    array, names = painter.finish("segmentation", "put whole vertebrae and bodies in two segmentations and give --labels twice")
    words = {n: one.words for n, one in enumerate(segments, start=1)}
    kind = f"3D Slicer segmentation (NRRD) of {len(layers)} layers"
    return Drawing(Volume(array, file.affine, "label"), names, kind, words)


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    i, j, k = shape
    return (i, j, k)


@dataclass(frozen=True)
class SlicerSegment:
    """One segment as the header lists it."""

    value: int
    layer: int
    name: str
    words: str


def _slicer_segments(words: Mapping[str, str]) -> list[SlicerSegment]:
    """Return the segments; older files have one layer for each, with the value 1."""
    count = sum(1 for key in words if key.startswith("Segment") and key.endswith("_ID") and key[7:-3].isdigit())
    found = []
    for n in range(count):
        written = words.get(f"Segment{n}_Name", "")
        value, layer = words.get(f"Segment{n}_LabelValue", ""), words.get(f"Segment{n}_Layer", "")
        name = structure_name(written)
        if not is_structure(name):
            name = _of_terminology(words.get(f"Segment{n}_Tags", "")) or name
        found.append(SlicerSegment(int(value) if value.isdigit() else 1, int(layer) if layer.isdigit() else n, name, written))
    return found


def _of_terminology(tags: str) -> str | None:
    """Return the structure that a segment's standard terms name: ``context~category~type~modifier~...``, each a code of three parts."""
    found = re.search(r"TerminologyEntry:([^|]*)", tags)
    parts = [part.split("^") for part in found.group(1).split("~")] if found else []
    if len(parts) < 3 or len(parts[2]) < 2:
        return None
    modifier = parts[3][1] if len(parts) > 3 and len(parts[3]) > 1 else ""
    return structure_of_code(parts[2][0], parts[2][1], modifier)
