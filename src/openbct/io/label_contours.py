"""DICOM RTSTRUCT in: closed contours filled on the slices of the CT that they were drawn on."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..errors import GeometryError, SegmentationError, SettingsError
from ..volume import Volume, to_index
from .header import quiet
from .label_drawing import Drawing
from .label_names import structure_name
from .label_paint import Painter
from .label_tables import is_known

Array = np.ndarray
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
"""RT Structure Set Storage (PS3.4 B.5) [SC: pydicom's dictionary]."""
PLANAR = 0.25
"""Farthest that the points of a contour may lie from their plane, in slices [D]."""
OFF_SLICE = 0.5
"""Farthest that a contour's plane may lie from a slice of the scan, in slices: more is another scan [D]."""
BRIDGE = 6
"""Slices without a contour between two with one that are filled in from both [D]: contours on every fifth 1 mm slice."""


def draw_contours(dataset: Any, image: Volume | None, wanted: Mapping[str, str] | None) -> Drawing:
    """Return the structures of an RTSTRUCT, filled on the grid of the scan.

    Parameters
    ----------
    image
        The scan's image; contours have no grid of their own.
    wanted
        A person's names by ROI name or number; ``None``: ROIs whose own names say a known structure.

    Raises
    ------
    SettingsError
        No scan was given.
    SegmentationError
        No contour of a structure, or bones that overlap.
    GeometryError
        Contours that do not lie on the scan's slices.
    """
    if image is None:
        raise SettingsError(
            "found contours (RTSTRUCT) without a scan, expected the scan that they were drawn on: they are filled on its grid"
        )
    with quiet():
        rois = {
            int(roi.ROINumber): str(getattr(roi, "ROIName", "") or "")
            for roi in getattr(dataset, "StructureSetROISequence", None) or []
        }
        contours = {int(item.ReferencedROINumber): item for item in getattr(dataset, "ROIContourSequence", None) or []}
        names, words = _chosen(rois, wanted)
        painter = Painter(names, image.shape)
        bridged = 0
        for number in names:
            slices = _by_slice(contours.get(number), image) if number in contours else {}
            masks, added = _bridge(slices)
            bridged = max(bridged, added)
            for (axis, at), mask in masks.items():
                box: list[slice | int] = [slice(None)] * 3
                box[axis] = at
                painter.add(tuple(box), mask, number)
    array, names = painter.finish("RTSTRUCT", "put whole vertebrae and bodies in two files and give --labels twice")
    if not names:
        raise SegmentationError(
            f"found an RTSTRUCT of {len(rois)} structures, none a bone or tissue by its name, expected names such as L1, femur left; say what "
            "they are with --label-map"
        )
    cautions: tuple[str, ...] = ()
    if bridged:
        cautions = (
            f"The labels are contours with up to {bridged} slices between them left empty: these were filled in from the contours on both sides, "
            "so that the shape between them is a guess.",
        )
    kind = f"DICOM RTSTRUCT, {len(names)} of {len(rois)} structures"
    return Drawing(image.with_array(array, "label"), names, kind, words, cautions, _frame_uid(dataset))


def _chosen(rois: Mapping[int, str], wanted: Mapping[str, str] | None) -> tuple[dict[int, str], dict[int, str]]:
    """Return the structures to fill and their own words, by number."""
    if wanted is None:
        named = {number: structure_name(text) for number, text in rois.items()}
        names = {number: name for number, name in named.items() if is_known(name)}
    else:
        names = {n: name for n, text in rois.items() if (name := wanted.get(str(n), wanted.get(text))) is not None}
    return names, {number: rois[number] for number in names}


def _frame_uid(dataset: Any) -> str:
    frames = getattr(dataset, "ReferencedFrameOfReferenceSequence", None) or []
    return str(getattr(frames[0], "FrameOfReferenceUID", "")) if len(frames) else ""


def _by_slice(item: Any, image: Volume) -> dict[tuple[int, int], Bool[Array, "a b"]]:
    """Return the filled contours by (axis, slice); contours of one slice that lie in each other leave a hole."""
    filled: dict[tuple[int, int], Array] = {}
    for contour in getattr(item, "ContourSequence", None) or []:
        if not str(getattr(contour, "ContourGeometricType", "")).startswith("CLOSED_PLANAR"):
            continue
        try:
            points = np.array([float(x) for x in contour.ContourData]).reshape(-1, 3)
        except (TypeError, ValueError):
            raise SegmentationError(
                "found a contour whose points cannot be read, expected three numbers each; export it again"
            ) from None
        if len(points) < 3:
            continue
        index = to_index(image.affine, points)
        axis = int(np.argmin(np.ptp(index, axis=0)))
        at = float(index[:, axis].mean())
        if np.abs(index[:, axis] - at).max() > PLANAR or abs(at - round(at)) > OFF_SLICE:
            raise GeometryError(
                f"found a contour {np.abs(index[:, axis] - at).max():.1f} slices off one plane of the scan, expected contours drawn on its slices; export "
                "the structures as a label map, or draw them on this scan"
            )
        if not 0 <= round(at) < image.shape[axis]:
            continue
        others = [other for other in range(3) if other != axis]
        plane = _fill(index[:, others], (image.shape[others[0]], image.shape[others[1]]))
        key = (axis, round(at))
        filled[key] = filled[key] ^ plane if key in filled else plane
    return filled


def _fill(points: Float[Array, "n 2"], shape: tuple[int, int]) -> Bool[Array, "a b"]:
    """Return the voxels whose centres lie inside a polygon, by the even-odd rule; indices of the plane."""
    turns = np.zeros((shape[0] + 1, shape[1]), dtype=np.int32)
    for (a0, b0), (a1, b1) in zip(points, np.roll(points, -1, axis=0)):
        low, high = sorted((b0, b1))
        first, last = max(int(np.ceil(low)), 0), min(int(np.ceil(high)) - 1, shape[1] - 1)
        if b0 == b1 or last < first:
            continue
        lines = np.arange(first, last + 1)
        crossings = a0 + (lines - b0) * (a1 - a0) / (b1 - b0)
        np.add.at(turns, (np.clip(np.ceil(crossings), 0, shape[0]).astype(int), lines), 1)
    return np.asarray(np.cumsum(turns, axis=0)[:-1] % 2 == 1)


def _bridge(slices: Mapping[tuple[int, int], Array]) -> tuple[dict[tuple[int, int], Array], int]:
    """Return the slices with short gaps filled in between two contours, and the longest gap that was."""
    masks = dict(slices)
    longest = 0
    for axis in {axis for axis, _ in slices}:
        at = sorted(place for one, place in slices if one == axis)
        steps = np.diff(at)
        # Where one gap is longer than the usual one it separates two pieces of a structure.
        usual = int(np.median(steps)) if len(steps) else 1
        for first, last in pairwise(at):
            gap = last - first - 1
            if not 0 < gap <= min(BRIDGE, max(usual - 1, 1)):
                continue
            longest = max(longest, gap)
            below, above = _depth(slices[axis, first]), _depth(slices[axis, last])
            for step in range(1, gap + 1):
                weight = step / (gap + 1)
                masks[axis, first + step] = (1 - weight) * below + weight * above > 0
    return masks, longest


def _depth(mask: Bool[Array, "a b"]) -> Float[Array, "a b"]:
    """Return how deep each voxel lies inside a mask, negative outside [voxels]."""
    inside = ndimage.distance_transform_edt(mask)
    return np.asarray(inside - ndimage.distance_transform_edt(~mask))
