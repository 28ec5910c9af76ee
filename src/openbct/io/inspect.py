"""What lies at a path: every series with a verdict and its reasons, and nothing that tells whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import ScanError
from ..records import Acquisition
from ..volume import canonical
from .archive import open_files
from .cautions import doubt_acquisition, doubt_geometry, doubt_voxels, name_orientation, refuse_acquisition
from .choice import Candidate, Use, judge_each, verdicts
from .choice import Verdict as Decision
from .header import Slice, quiet
from .nifti import check_hu, is_nifti, read_nifti
from .series import find_series

Verdict = Literal["usable", "usable with cautions", "refused"]


@dataclass(frozen=True)
class SeriesSummary:
    """One series, as far as choosing needs to know it; ``None`` where the header is silent."""

    name: str
    """What ``--series`` takes."""
    verdict: Verdict
    reasons: tuple[str, ...]
    """Why it is refused, or what to be careful about."""
    modality: str | None
    n_slices: int
    matrix: tuple[int, int] | None
    """Columns, rows."""
    spacing_mm: tuple[float, float, float] | None
    """Between columns, between rows, between slices (from positions, never from the header's thickness)."""
    orientation: str | None
    """``"axial"``, ``"sagittal"``, ``"coronal"`` or ``"oblique"``."""
    slice_thickness_mm: float | None
    kvp: float | None
    kernel: str | None
    contrast: bool | None
    """Whether the header names a contrast agent; ``None`` where there is no header."""
    coverage_mm: float | None
    """From the first to the last slice."""
    use: Use = "no"
    """``"use"``: what is analysed where nothing else is asked for; ``"usable"``: with ``--series``; ``"no"``: refused."""
    why: str = ""
    """The reason of that."""


def inspect_path(path: Path | str) -> list[SeriesSummary]:
    """Return every series found at a path, judged by its headers; pixels are read only to compare doubled slices.

    Raises
    ------
    ScanError
        There is no image at all, or a file cannot be read.
    """
    path = Path(path)
    if is_nifti(path):
        return [_inspect_nifti(path)]
    with open_files(path) as blobs, quiet():
        candidates = judge_each(find_series(blobs))
        chosen = verdicts(candidates)
        return [_inspect_series(one, chosen[one.series.name]) for one in candidates]


def _inspect_series(candidate: Candidate, decided: Decision) -> SeriesSummary:
    """Return the summary of one DICOM series."""
    series, acquisition, stack = candidate.series, candidate.acquisition, candidate.stack
    first = series.slices[0]
    spacing, orientation, coverage, count = None, _guess_orientation(first), None, len(series.slices)
    if stack:
        lengths = np.linalg.norm(stack.affine[:3, :3], axis=0)
        spacing = (round(float(lengths[0]), 4), round(float(lengths[1]), 4), round(float(lengths[2]), 4))
        orientation, count = name_orientation(stack.affine, stack.placing.course)[0], len(stack.slices)
        coverage = round(spacing[2] * (count - 1), 2)
        doubts = (
            *doubt_acquisition(acquisition, stack.affine, stack.placing.course),
            *doubt_geometry(series.header, stack.affine, stack.placing.tilt_deg),
        )
        reasons = (*stack.cautions, *doubts)
        verdict: Verdict = "usable with cautions" if reasons else "usable"
    else:
        reasons, verdict = (candidate.refusal,), "refused"
    if series.localizers and series.localizers < len(series.slices):
        reasons += (f"{series.localizers} localizer image(s) in the series are left out",)
    return SeriesSummary(
        name=series.name,
        verdict=verdict,
        reasons=reasons,
        modality=series.modality if series.modality and len(series.modality) <= 4 else None,
        n_slices=count,
        matrix=(first.columns, first.rows) if first.columns and first.rows else None,
        spacing_mm=spacing,
        orientation=orientation,
        slice_thickness_mm=acquisition.slice_thickness,
        kvp=acquisition.kvp,
        kernel=acquisition.kernel,
        contrast=acquisition.contrast is not None,
        coverage_mm=coverage,
        use=decided.use,
        why=decided.why,
    )


def _guess_orientation(plane: Slice) -> str | None:
    """Return the orientation word of one plane, for series that make no stack."""
    if plane.orientation is None:
        return None
    affine = np.eye(4)
    normal = np.cross(plane.orientation[0], plane.orientation[1])
    if np.linalg.norm(normal) < 0.5:
        return None
    affine[:3, 2] = normal
    return name_orientation(affine)[0]


def _inspect_nifti(path: Path) -> SeriesSummary:
    """Return the summary of a NIfTI file."""
    reasons: tuple[str, ...]
    try:
        volume, notes = read_nifti(path, "HU")
        refuse_acquisition(Acquisition(), volume.affine)
        reasons = (
            *notes,
            *doubt_voxels(volume.affine),
            *check_hu(volume),
            "a NIfTI file does not say how it was made: nothing of it can be checked",
        )
        verdict: Verdict = "usable with cautions"
    except ScanError as error:
        return SeriesSummary("#1", "refused", (str(error),), None, 0, None, None, None, None, None, None, None, None)
    orientation, _ = name_orientation(volume.affine)
    volume = canonical(volume)
    spacing = volume.spacing.round(4).tolist()
    shape = volume.shape
    coverage = round(spacing[2] * (shape[2] - 1), 2)
    return SeriesSummary(
        "#1", verdict, reasons, None, shape[2], (shape[0], shape[1]), (spacing[0], spacing[1], spacing[2]), orientation,
        None, None, None, None, coverage, "use", "the only image",
    )  # fmt: skip
