"""Label files of other programs, made by the tests: 3D Slicer's NRRD, DICOM SEG and RTSTRUCT."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from openbct.volume import Volume, to_patient

ARRAY = np.ndarray
BODY = {"vertebral_body_L1": ("L1 body", codes.SCT.L1Vertebra), "vertebral_body_L2": ("L2 body", codes.SCT.L2Vertebra)}


def slicer_nrrd(
    path: Path,
    layers: Sequence[ARRAY],
    affine: ARRAY,
    segments: Sequence[tuple[str, int, int]],
    *,
    tags: Sequence[str] = (),
    space: str = "left-posterior-superior",
    encoding: str = "gzip",
) -> Path:
    """Write a segmentation as 3D Slicer does; ``segments``: name, label value, layer."""
    flip = {"left-posterior-superior": (1, 1, 1), "RAS": (-1, -1, 1)}[space]
    turned = np.diag([*flip, 1]) @ affine
    vectors = " ".join("(" + ",".join(f"{x:.12g}" for x in turned[:3, axis]) + ")" for axis in range(3))
    several = len(layers) > 1
    shape = " ".join(map(str, layers[0].shape))
    lines = [
        "NRRD0004", "# Complete NRRD file format specification at:", "type: uchar", f"dimension: {4 if several else 3}", f"space: {space}",
        f"sizes: {f'{len(layers)} ' if several else ''}{shape}", f"space directions: {'none ' if several else ''}{vectors}",
        f"kinds: {'list ' if several else ''}domain domain domain", "endian: little", f"encoding: {encoding}",
        "space origin: (" + ",".join(f"{x:.12g}" for x in turned[:3, 3]) + ")",
    ]  # fmt: skip
    for n, (name, value, layer) in enumerate(segments):
        lines += [
            f"Segment{n}_ID:=Segment_{n + 1}",
            f"Segment{n}_Name:={name}",
            f"Segment{n}_LabelValue:={value}",
            f"Segment{n}_Layer:={layer}",
        ]
        lines += [f"Segment{n}_Tags:={tags[n]}"] if tags else []
    stacked = np.stack(layers) if several else layers[0]
    raw = stacked.astype(np.uint8).tobytes(order="F")
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + (gzip.compress(raw) if encoding == "gzip" else raw))
    return path


def source_images(folder: Path) -> list[pydicom.Dataset]:
    """Return the slices of a written series."""
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()]


def dicom_seg(
    path: Path,
    sources: Sequence[pydicom.Dataset],
    masks: Sequence[ARRAY],
    described: Sequence[tuple[str, Any, Any]],
    kind: str = "BINARY",
) -> Path:
    """Write a DICOM SEG with highdicom; masks in the order (slice, row, column) of the sources; described: label, type code, side."""
    segments = []
    for number, (label, code, side) in enumerate(described, start=1):
        segments.append(
            hd.seg.SegmentDescription(
                segment_number=number, segment_label=label, segmented_property_category=codes.SCT.AnatomicalStructure,
                segmented_property_type=code, algorithm_type="MANUAL",
            )
        )  # fmt: skip
        if side is not None:
            segments[-1].SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
                hd.sr.CodedConcept.from_code(side)
            ]
    pixels = np.stack(masks, axis=-1)
    if kind == "LABELMAP":
        pixels = sum(mask.astype(np.uint8) * n for n, mask in enumerate(masks, start=1))
    elif kind == "FRACTIONAL":
        pixels = pixels.astype(np.float32)
    else:
        pixels = pixels.astype(np.uint8)
    seg = hd.seg.Segmentation(
        source_images=list(sources), pixel_array=pixels, segmentation_type=kind, segment_descriptions=segments,
        series_instance_uid=generate_uid(), series_number=9, sop_instance_uid=generate_uid(), instance_number=1,
        manufacturer="none", manufacturer_model_name="none", software_versions="1", device_serial_number="1",
    )  # fmt: skip
    seg.save_as(path)
    return path


def rt_struct(path: Path, image: Volume, masks: dict[str, ARRAY], *, frame: str, every: int = 1) -> Path:
    """Write the outlines of masks (on the grid of ``image``) as closed contours on its planes k; only rectangles, holes apart."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Modality = "RTSTRUCT"
    reference = pydicom.Dataset()
    reference.FrameOfReferenceUID = frame
    ds.ReferencedFrameOfReferenceSequence = [reference]
    rois, drawn = [], []
    for number, (name, mask) in enumerate(masks.items(), start=1):
        roi = pydicom.Dataset()
        roi.ROINumber, roi.ROIName = number, name
        rois.append(roi)
        item = pydicom.Dataset()
        item.ReferencedROINumber = number
        contours = []
        planes = np.flatnonzero(mask.any(axis=(0, 1)))
        for k in planes[::every]:
            i, j = np.nonzero(mask[:, :, k])
            low_i, high_i, low_j, high_j = i.min() - 0.4, i.max() + 0.4, j.min() - 0.4, j.max() + 0.4
            corners = np.array([[low_i, low_j, k], [high_i, low_j, k], [high_i, high_j, k], [low_i, high_j, k]], float)
            contour = pydicom.Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            points = to_patient(image.affine, corners)
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [f"{x:.6g}" for x in points.ravel()]
            contours.append(contour)
        item.ContourSequence = contours
        drawn.append(item)
    ds.StructureSetROISequence, ds.ROIContourSequence = rois, drawn
    ds.save_as(path, enforce_file_format=True)
    return path


__all__ = ["BODY", "Code", "codes", "dicom_seg", "rt_struct", "slicer_nrrd", "source_images"]
