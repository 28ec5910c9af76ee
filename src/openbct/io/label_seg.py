"""DICOM Segmentation objects in: binary, fractional and label map, on the grid of their own frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Bool, Float
from pydicom.pixels.utils import iter_pixels

from ..errors import GeometryError, SegmentationError
from ..volume import Affine, Volume
from .header import quiet
from .label_drawing import Drawing
from .label_names import is_structure, structure_name, structure_of_code
from .label_paint import Painter

Array = np.ndarray
SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage, Label Map Segmentation Storage (PS3.4 B.5) [SC: pydicom's dictionary]."""
OFF_GRID_MM = 0.1
"""Farthest that a frame may lie from the planes of one grid [mm] [D]."""
MAX_PLANES = 5000
FRACTION = 0.5
"""Share of the largest fractional value from which a voxel belongs to a segment [-] [D]."""


@dataclass(frozen=True)
class Frames:
    """Where each frame lies."""

    affine: Affine
    """Of the array (column, row, plane)."""
    planes: tuple[int, ...]
    """Of each frame."""
    count: int


def draw_seg(dataset: Any, path: Path) -> Drawing:
    """Return the segments of a DICOM SEG, painted on one map.

    Raises
    ------
    SegmentationError
        No segment, no pixels, or bones that overlap.
    GeometryError
        Frames that lie on no regular grid.
    """
    names, words = _segments(dataset)
    with quiet():
        frames = _frames(dataset)
        kind = str(getattr(dataset, "SegmentationType", "BINARY"))
        shape = (int(dataset.Columns), int(dataset.Rows), frames.count)
        painter = Painter(names, shape)
        numbers = _frame_segments(dataset, kind)
        limit = FRACTION * float(getattr(dataset, "MaximumFractionalValue", 1) or 1)
        _check_length(dataset, len(numbers))
        try:
            for n, frame in enumerate(iter_pixels(path, raw=True)):
                _paint(painter, frame.T, frames.planes[n], numbers[n], limit if kind == "FRACTIONAL" else 0.0)
        except SegmentationError:
            raise
        except Exception:  # whatever a decoder raises may quote the header
            raise SegmentationError(
                f"found a DICOM SEG whose frames cannot be decoded, expected {len(numbers)} whole frames; export it again"
            ) from None
    array, names = painter.finish("DICOM SEG", "put whole vertebrae and bodies in two objects and give --labels twice")
    cautions: tuple[str, ...] = ()
    if kind == "FRACTIONAL":
        cautions = (
            f"The labels are a fractional segmentation: voxels of {100 * FRACTION:g} % or more were taken as inside, which moves an edge by up to "
            "half a voxel.",
        )
    said = f"DICOM SEG ({kind.lower()}) of {len(words)} segments"
    return Drawing(
        Volume(array, frames.affine, "label"), names, said, words, cautions, str(getattr(dataset, "FrameOfReferenceUID", ""))
    )


def _check_length(dataset: Any, count: int) -> None:
    """Refuse pixels that end before the last frame, which a decoder may fill up in silence."""
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    bits = int(dataset.Rows) * int(dataset.Columns) * count * int(dataset.BitsAllocated)
    there = len(getattr(dataset, "PixelData", b""))
    if 8 * there < bits:
        raise SegmentationError(
            f"found a DICOM SEG with {there} bytes of pixels, expected {-(-bits // 8)} for its {count} frames; the file is cut short: copy it again"
        )


def _paint(painter: Painter, frame: Array, plane: int, number: int | None, limit: float) -> None:
    """Paint one frame: that of one segment, or of all where ``number`` is ``None``."""
    if number is not None:
        mask: Bool[Array, "i j"] = frame >= limit if limit else frame > 0
        if mask.any() and number in painter.names:
            painter.add((slice(None), slice(None), plane), mask, number)
        return
    for value in np.unique(frame).tolist():
        if value in painter.names:
            painter.add((slice(None), slice(None), plane), frame == value, value)


def _segments(dataset: Any) -> tuple[dict[int, str], dict[int, str]]:
    """Return structures and a person's own words by segment number; the words tell first, the codes where they do not."""
    names: dict[int, str] = {}
    words: dict[int, str] = {}
    for segment in getattr(dataset, "SegmentSequence", None) or []:
        number = int(getattr(segment, "SegmentNumber", 0))
        label = str(getattr(segment, "SegmentLabel", "") or "")
        if number == 0:
            continue
        name = structure_name(label)
        if not is_structure(name):
            name = _of_codes(segment) or name
        names[number], words[number] = name, label
    if not names:
        raise SegmentationError("found a DICOM SEG without segments, expected at least one structure; check the export")
    return names, words


def _of_codes(segment: Any) -> str | None:
    """Return the structure that the coded type, or the anatomic region, names."""
    pairs = (
        ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence"),
        ("AnatomicRegionSequence", "AnatomicRegionModifierSequence"),
    )
    for code, modifier in pairs:
        for item in getattr(segment, code, None) or []:
            sides = getattr(item, modifier, None) or getattr(segment, modifier, None) or []
            side = str(getattr(sides[0], "CodeValue", "")) if len(sides) else ""
            name = structure_of_code(str(getattr(item, "CodingSchemeDesignator", "")), str(getattr(item, "CodeValue", "")), side)
            if name is not None:
                return name
    return None


def _frame_segments(dataset: Any, kind: str) -> list[int | None]:
    """Return the segment of each frame; ``None`` for frames of a label map, which hold all."""
    groups = dataset.PerFrameFunctionalGroupsSequence
    if kind == "LABELMAP":
        return [None] * len(groups)
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    found: list[int | None] = []
    for group in groups:
        item = _first(group, "SegmentIdentificationSequence") or _first(shared, "SegmentIdentificationSequence")
        number = getattr(item, "ReferencedSegmentNumber", None)
        if number is None:
            raise SegmentationError("found a DICOM SEG whose frames name no segment, expected one each; export it again")
        found.append(int(number))
    return found


def _first(item: Any, keyword: str) -> Any:
    """Return the first item of a sequence, ``None`` where there is none."""
    sequence = getattr(item, keyword, None)
    return sequence[0] if sequence else None


def _frames(dataset: Any) -> Frames:
    """Return the grid of the frames.

    Raises
    ------
    GeometryError
        Unlike orientations, positions off one line, or uneven steps.
    """
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    groups = getattr(dataset, "PerFrameFunctionalGroupsSequence", None) or []
    try:
        measures = [_first(g, "PixelMeasuresSequence") or _first(shared, "PixelMeasuresSequence") for g in groups]
        turns = [_first(g, "PlaneOrientationSequence") or _first(shared, "PlaneOrientationSequence") for g in groups]
        places = [_first(g, "PlanePositionSequence") or _first(shared, "PlanePositionSequence") for g in groups]
        cosines = np.array([[float(x) for x in turn.ImageOrientationPatient] for turn in turns])
        origins = np.array([[float(x) for x in place.ImagePositionPatient] for place in places])
        spacing = [float(x) for x in measures[0].PixelSpacing]
    except (AttributeError, TypeError, ValueError, IndexError):
        raise GeometryError(
            "found a DICOM SEG whose frames do not say where they lie, expected position, orientation and spacing; export it again"
        ) from None
    if np.abs(cosines - cosines[0]).max() > 1e-3:
        raise GeometryError("found a DICOM SEG of frames in unlike orientations, expected one grid; export it on the CT's slices")
    row, column = cosines[0, :3], cosines[0, 3:]
    normal = np.cross(row, column)
    along = origins @ normal
    levels = np.unique(np.round(along, 2))
    step = _step(levels, measures[0])
    planes = np.rint((along - levels[0]) / step).astype(int)
    first = origins[int(np.argmin(along))]
    off = np.linalg.norm(origins - (first + np.outer(planes * step, normal)), axis=1)
    if off.max() > OFF_GRID_MM or planes.max() >= MAX_PLANES:
        raise GeometryError(
            f"found a DICOM SEG with frames up to {off.max():.2f} mm off a regular grid of {step:g} mm, expected at most {OFF_GRID_MM:g} mm; "
            "export it on the CT's slices"
        )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:3, 3] = row * spacing[1], column * spacing[0], normal * step, first
    return Frames(affine, tuple(int(plane) for plane in planes), int(planes.max()) + 1)


def _step(levels: Float[Array, "*n"], measures: Any) -> float:
    """Return the distance of neighbouring planes [mm]: the smallest between frames, or what the header says of one frame.

    Empty frames are left out of a SEG, so that frames of one object may be several steps apart.
    """
    stated = getattr(measures, "SpacingBetweenSlices", None) or getattr(measures, "SliceThickness", None)
    if len(levels) == 1:
        return float(stated) if stated else 1.0
    smallest = float(np.diff(levels).min())
    if stated and smallest > 1.5 * float(stated):
        return float(stated)
    # The mean over whole steps: what rounding of one position moves least.
    return float(levels[-1] - levels[0]) / round(float(levels[-1] - levels[0]) / smallest)


def is_seg(dataset: Any) -> bool:
    """Tell a segmentation object from other DICOM."""
    return str(getattr(dataset, "SOPClassUID", "")) in SEG_CLASSES


def read_dicom(path: Path) -> pydicom.Dataset:
    """Return a DICOM file's header, its pixels left on disk.

    Raises
    ------
    SegmentationError
        It is no DICOM file.
    """
    try:
        with quiet():
            return pydicom.dcmread(path, defer_size=1024)
    except Exception:
        raise SegmentationError(
            "found a file that is no readable label file, expected NIfTI, NRRD, DICOM SEG or RTSTRUCT; "
            "give the file that the segmentation program wrote"
        ) from None
