"""One trusted volume from the planes of a series: our own assembler.

Rule: planes are sorted by their position along the normal (row x column), and the corners of every plane must lie within
0.1 mm of where :mod:`openbct.io.placing` puts it on one grid. SliceThickness and SpacingBetweenSlices are never used for
geometry. Whatever breaks the rule (doubled position, mixed orientation or size, no place at all) is named and refused.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import ScanError
from ..volume import Affine
from .header import Slice, stated, text
from .pixels import read_planes
from .placing import POSITION_TOLERANCE, Placing, place_planes
from .series import Series

Array = np.ndarray
SAME_POSITION = 0.02
"""Planes nearer than this along the normal are copies [mm] [D]; the finest clinical step is ten times larger."""
MIN_SLICES = 3
"""Fewer planes cannot show that their step is even."""
MAX_VOXELS = 2**31
"""512 x 512 x 8192 [D]."""
MAX_SIDE = 4096
"""Twice the finest matrix of a clinical scanner [D]; what is decoded at once stays below 70 MB."""


@dataclass(frozen=True)
class Stack:
    """The planes of a series in order, with their grid."""

    slices: tuple[Slice, ...]
    placing: Placing
    """Their grid, and where on it each lies."""
    cautions: tuple[str, ...]

    @property
    def affine(self) -> Affine:
        """Column index, row index, plane index of the grid to patient LPS [mm]."""
        return self.placing.affine


def stack_series(series: Series) -> Stack:
    """Return the planes in order on one grid.

    Raises
    ------
    ScanError
        The series is no CT, or its planes are not one regular stack; says which and where.
    """
    planes = series.slices
    _check_planes(series)
    positions = np.array([plane.position for plane in planes])
    orientation = _common_orientation(planes)
    normal = np.cross(orientation[0], orientation[1])
    order = np.argsort(positions @ normal, kind="stable")
    ordered, cautions = _drop_copies([planes[i] for i in order], normal)
    if len(ordered) < MIN_SLICES:
        raise ScanError(
            f"found {len(ordered)} slice{'s' if len(ordered) != 1 else ''} of a CT, expected at least {MIN_SLICES}; give the whole series"
        )
    rows, columns = ordered[0].rows or 0, ordered[0].columns or 0
    between_rows, between_columns = ordered[0].pixel_spacing or (1.0, 1.0)
    tilt = stated(series.header, "GantryDetectorTilt", "CTAcquisitionDetailsSequence")
    places = np.array([plane.position for plane in ordered])
    placing = place_planes(places, orientation, (between_columns, between_rows), (columns, rows), tilt)
    _check_corners(ordered, placing)
    _check_count(placing.size)
    return Stack(tuple(ordered), placing, (*cautions, *placing.cautions))


def _check_planes(series: Series) -> None:
    """Refuse a series whose headers do not describe CT sections with HU."""
    planes = series.slices
    if series.modality != "CT":
        raise ScanError(f"found modality {_word(series.modality)}, expected CT; give a CT series")
    if series.localizers == len(planes):
        raise ScanError(f"found {len(planes)} localizer image(s), expected axial sections; give the series of sections")
    for wanted, what in (
        ("position", "ImagePositionPatient"),
        ("orientation", "ImageOrientationPatient"),
        ("pixel_spacing", "PixelSpacing"),
    ):
        missing = sum(getattr(plane, wanted) is None for plane in planes)
        if missing:
            raise ScanError(
                f"found {missing} of {len(planes)} slices without {what}, expected it in every slice; export the original series"
            )
    without = sum(plane.slope is None or plane.intercept is None or plane.slope == 0 for plane in planes)
    if without:
        raise ScanError(
            f"found {without} of {len(planes)} slices without a usable RescaleSlope and RescaleIntercept, expected both: stored"
            " values are no HU without them; export the original series"
        )
    kinds = {(plane.rescaled_to or "HU").upper() for plane in planes} - {"HU", "US"}
    if kinds or any("ModalityLUTSequence" in plane.header for plane in planes):
        raise ScanError("found pixel values that are not rescaled to HU, expected RescaleType HU; export the CT series itself")
    _check_image_kind(planes)


def _check_image_kind(planes: tuple[Slice, ...]) -> None:
    """Refuse mixed sizes, colour, projections and absurd dimensions."""
    sizes = sorted({(plane.rows or 0, plane.columns or 0, plane.pixel_spacing) for plane in planes}, key=str)
    if len(sizes) > 1:
        listed = "; ".join(f"{rows} x {columns} pixels of {spacing} mm" for rows, columns, spacing in sizes[:4])
        raise ScanError(
            f"found slices of {len(sizes)} sizes ({listed}), expected one; export each reconstruction as its own series"
        )
    rows, columns, spacing = sizes[0]
    _check_count((columns, rows, len(planes)))
    if spacing is None or not all(0.01 <= value <= 20 for value in spacing):
        raise ScanError(f"found a pixel spacing of {spacing} mm, expected 0.01 to 20 mm; check the headers")
    kinds = {text(plane.header, "PhotometricInterpretation") for plane in planes}
    if kinds != {"MONOCHROME2"}:
        raise ScanError("found images that are not MONOCHROME2, expected CT sections in grey values; export the original series")
    types = {word for plane in planes for word in (text(plane.header, "ImageType") or "").upper().split("/")}
    projected = types & {"MIP", "MINIP", "MAX_IP", "MIN_IP", "MAXIMUM", "PROJECTION IMAGE", "PROJECTION", "VOLUME RENDERING"}
    if projected:
        raise ScanError("found maximum- or minimum-intensity projections, expected sections: their values are no HU of a place")
    frames = {text(plane.header, "FrameOfReferenceUID") for plane in planes}
    if len(frames) > 1:
        raise ScanError(
            f"found {len(frames)} frames of reference in one series, expected one; export each scan as its own series"
        )


def _check_count(size: tuple[int, int, int]) -> None:
    """Refuse a size no scan has."""
    columns, rows, count = size
    if rows * columns * count > MAX_VOXELS or min(rows, columns) < 2 or max(rows, columns) > MAX_SIDE:
        raise ScanError(
            f"found {rows} x {columns} x {count} voxels, expected planes of 2 to {MAX_SIDE} a side and at most {MAX_VOXELS:.1e} voxels in all;"
            " check the headers"
        )


def _common_orientation(planes: tuple[Slice, ...]) -> Float[Array, "2 3"]:
    """Return the unit vectors that all planes share."""
    orientations = np.array([plane.orientation for plane in planes])
    spread = float(np.abs(orientations - orientations[0]).max())
    if spread > 0.01:
        raise ScanError(
            f"found slices of mixed orientation (direction cosines differ by up to {spread:.3f}), expected parallel slices;"
            " export each orientation as its own series"
        )
    mean = orientations.mean(axis=0)
    lengths, skew = np.linalg.norm(mean, axis=1), float(abs(mean[0] @ mean[1]))
    if np.abs(lengths - 1).max() > 1e-3 or skew > 1e-3:
        raise ScanError(
            f"found direction cosines of length {lengths[0]:.4f} and {lengths[1]:.4f} with product {skew:.4f}, expected unit"
            " vectors at right angles; export the original series"
        )
    row = mean[0] / lengths[0]
    column = mean[1] - (mean[1] @ row) * row
    return np.array([row, column / np.linalg.norm(column)])


def _drop_copies(planes: list[Slice], normal: Float[Array, "3"]) -> tuple[list[Slice], tuple[str, ...]]:
    """Return planes with one per position: equal copies are dropped with a caution, differing ones refused."""
    along = np.array([plane.position for plane in planes]) @ normal
    starts = [0, *(np.flatnonzero(np.diff(along) > SAME_POSITION) + 1).tolist(), len(planes)]
    kept, dropped, differing = [], 0, 0
    for start, stop in itertools.pairwise(starts):
        kept.append(planes[start])
        if stop - start > 1:
            first, *others = read_planes(planes[start:stop])
            same = [np.array_equal(first, other) for other in others]
            dropped += sum(same)
            differing += len(same) - sum(same)
    if differing:
        raise ScanError(
            f"found {differing} slices at positions that another slice of the series holds with different pixels, expected one"
            f" slice per position; two images (phases, reconstructions) share the series of {len(planes)} slices: separate them"
        )
    if not dropped:
        return kept, ()
    return kept, (
        f"{dropped} slices were exact copies of others at the same position and were dropped; this has no effect on values.",
    )


def _check_corners(planes: list[Slice], placing: Placing) -> None:
    """Refuse a stack of which any corner of any plane lies off its place on the grid."""
    worst, where = 0.0, 0
    for k, (plane, place, shift) in enumerate(zip(planes, placing.places, placing.shifts)):
        assert plane.position is not None and plane.orientation is not None and plane.pixel_spacing is not None
        for i, j in ((0, 0), (1, 0), (0, 1), (1, 1)):
            right, down = i * ((plane.columns or 1) - 1), j * ((plane.rows or 1) - 1)
            own = plane.position + plane.orientation[0] * plane.pixel_spacing[1] * right
            own = own + plane.orientation[1] * plane.pixel_spacing[0] * down
            there = placing.affine[:3, :3] @ np.array([right + shift[0], down + shift[1], place]) + placing.affine[:3, 3]
            distance = float(np.linalg.norm(own - there))
            if distance > worst:
                worst, where = distance, k
    if worst > POSITION_TOLERANCE:
        raise ScanError(
            f"found slice {where + 1} of {len(planes)} {worst:.2f} mm off the grid of the others, expected at most"
            f" {POSITION_TOLERANCE} mm; export the original series"
        )


def _word(value: str | None) -> str:
    """Return a code value fit for a message: short capitals only, since any header field may hold a name."""
    return value if value and len(value) <= 4 and value.isupper() else "none or unknown"
