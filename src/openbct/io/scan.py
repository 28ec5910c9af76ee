"""Reading a scan: DICOM folder, DICOM zip, DICOM file or NIfTI in; a :class:`~openbct.records.Scan` in canonical orientation out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ..records import SIMULATOR, Acquisition, Mineral, Patient, Reference, Scan, Step
from ..volume import Volume, canonical
from .archive import open_files
from .cautions import doubt_acquisition, doubt_geometry, doubt_values, doubt_voxels, name_orientation, refuse_acquisition
from .choice import Choice, choose_series
from .header import quiet, read_acquisition, read_patient, text
from .nifti import check_density, check_hu, is_nifti, read_description, read_nifti
from .pixels import Pixels, read_volume
from .series import find_series

DICOM_IMAGE = Reference("DICOM PS3.3: C.7.6.2 Image Plane, C.8.2.1 CT Image, C.7.6.16 Multi-frame Functional Groups", "recalled")


def read_scan(path: Path | str, *, series: str | None = None) -> Scan:
    """Return the CT image at a path, in HU and in canonical orientation, with what its header knows.

    Parameters
    ----------
    path
        DICOM folder (nested), DICOM zip, single DICOM file (enhanced multi-frame), or NIfTI file in HU.
    series
        Which series where there are several: its name as the error and :func:`~openbct.io.inspect_path` list it.

    Raises
    ------
    ScanError
        The image cannot be trusted or read; says what was found, what was expected and what to do.
    """
    path = Path(path)
    if is_nifti(path):
        return _read_nifti_scan(path, "HU")
    with open_files(path) as blobs, quiet():
        found = find_series(blobs)
        choice = choose_series(found, series)
        pixels = read_volume(choice.stack.slices, choice.stack.placing)
        return _build_scan(choice, pixels, found.passed_over + choice.passed_over)


def read_density(path: Path | str, *, mineral: Mineral = "K2HPO4") -> Scan:
    """Return an image that is already calibrated: its unit is ``mg/cm3`` of ``mineral`` equivalent.

    Raises
    ------
    ScanError
        The file cannot be read, has no place in the patient, or its values are no density in mg/cm³.
    """
    return _read_nifti_scan(Path(path), f"mg/cm3 {mineral}")


def _build_scan(choice: Choice, pixels: Pixels, passed_over: tuple[str, ...]) -> Scan:
    """Return the record of a DICOM series."""
    series, stack = choice.series, choice.stack
    patient, patient_cautions = read_patient(series.header)
    acquisition = read_acquisition(series.header)
    lossy = any(text(plane.header, "LossyImageCompression") == "01" for plane in stack.slices)
    name, _ = name_orientation(stack.affine, stack.placing.course)
    spacing = np.linalg.norm(stack.affine[:3, :3], axis=0)
    rows, columns = stack.slices[0].rows, stack.slices[0].columns
    sentence = (
        f"A CT series of {len(stack.slices)} {name} slices ({columns} x {rows} pixels of {spacing[0]:.3f} x {spacing[1]:.3f} mm,"
        f" {spacing[2]:.3f} mm apart) was assembled from the slices' own positions and converted to HU with each slice's own rescale."
    )
    if not stack.placing.as_it_stands:
        columns, rows, planes = stack.placing.size
        sentence += f" Slices off one straight, even grid were put onto it: {columns} x {rows} x {planes} voxels."
    if pixels.padded > 0:
        sentence += f" Voxels outside the field of view ({100 * pixels.padded:.1f} % of the image) were set to -1024 HU."
    if series.localizers:
        sentence += f" {series.localizers} localizer image(s) of the series were left out."
    if passed_over:
        sentence += f" Not used: {', '.join(passed_over)}."
    if choice.sentence:
        sentence += f" {choice.sentence}"
    cautions = (
        *choice.cautions,
        *stack.cautions,
        *pixels.cautions,
        *doubt_acquisition(acquisition, stack.affine, stack.placing.course),
        *doubt_geometry(series.header, stack.affine, stack.placing.tilt_deg),
        *doubt_values(pixels.volume, lossy=lossy),
        *patient_cautions,
    )
    step = Step("input", sentence, (DICOM_IMAGE,), cautions)
    volume, source = canonical(pixels.volume), f"DICOM series of {len(stack.slices)} slices"
    return Scan(volume, patient, acquisition, source, digest_volume(volume), step, stack.placing.gaps)


def _read_nifti_scan(path: Path, unit: str) -> Scan:
    """Return the record of a NIfTI image."""
    volume, notes = read_nifti(path, unit)
    cautions = check_hu(volume) if unit == "HU" else check_density(volume)
    spacing = volume.spacing
    sentence = (
        f"A NIfTI image of {' x '.join(str(n) for n in volume.shape)} voxels of {' x '.join(f'{s:.3f}' for s in spacing)} mm was read"
        f" as {'HU' if unit == 'HU' else 'calibrated density, ' + unit + ' equivalent'}, its affine taken as it stands."
    )
    silent = (
        "a NIfTI image does not say how it was made (kVp, kernel, slice thickness, maker, contrast) or who was scanned: nothing of"
        " it could be checked",
    )
    # Nothing else is told by it: a description is free text.
    made = Acquisition()
    if read_description(path) == " ".join(SIMULATOR):
        made = Acquisition(manufacturer=SIMULATOR[0], model=SIMULATOR[1])
    refuse_acquisition(made, volume.affine)
    step = Step("input", sentence, (), (*notes, *silent, *doubt_voxels(volume.affine), *cautions))
    volume = canonical(volume)
    source = f"NIfTI image of {volume.shape[2]} slices"
    return Scan(volume, Patient(), made, source, digest_volume(volume), step)


def digest_volume(volume: Volume) -> str:
    """Return the SHA-256 over an image's voxels, in index order, and its affine to 1e-6 mm."""
    sha = hashlib.sha256()
    sha.update(f"{volume.array.dtype.str} {volume.shape} {volume.unit}".encode())
    for k in range(volume.shape[2]):
        sha.update(np.ascontiguousarray(volume.array[:, :, k]).tobytes())
    sha.update((np.round(volume.affine, 6) + 0.0).astype("<f8").tobytes())
    return sha.hexdigest()
