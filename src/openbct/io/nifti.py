"""NIfTI images in and out, their affine honoured: RAS in the file, LPS in the package."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import ScanError
from ..volume import Affine, Volume, corners
from .dicom import MAX_VOXELS
from .header import quiet

Array = np.ndarray
RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SUFFIXES = (".nii", ".nii.gz")
LENGTH_UNITS = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
SHEAR = 1e-3
"""Largest cosine between two image axes [D]: 0.3 mm over 300 mm."""
DEFLATE_RATIO = 1032
"""Nothing packs better than this by gzip (zlib's technical notes [recalled])."""
TWO_PLACES = 0.1
"""Farthest that qform and sform may lie apart at the corners without a caution [mm] [D]."""


def is_nifti(path: Path) -> bool:
    """Tell a NIfTI file by its suffix."""
    return path.name.lower().endswith(SUFFIXES) and not path.is_dir()


def read_nifti(path: Path, unit: str) -> tuple[Volume, tuple[str, ...]]:
    """Return an image in the file's axes with its LPS affine, and doubts about its header.

    Raises
    ------
    ScanError
        Unreadable, not three-dimensional, without a place in the patient, sheared, or with NaN.
    """
    image = _open(path)
    try:
        affine, notes = _read_affine(image)
        volume = Volume(np.broadcast_to(np.int8(0), image.shape[:3]), affine, unit)
    except ScanError:
        raise
    except Exception:
        raise ScanError(
            "found a NIfTI header that makes no sense, expected lengths and axes; convert the original again"
        ) from None
    return replace(volume, array=_read_array(image)), notes


def read_label_table(path: Path) -> dict[int, str]:
    """Return the label names that some writers keep in a NIfTI extension (Caret's XML), empty without one."""
    found: dict[int, str] = {}
    for extension in getattr(_open(path).header, "extensions", []):
        content = extension.content  # the bytes as they are: get_content fails for kinds that nibabel does not know
        words = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        for key, name in re.findall(r'<Label\s+Key="(\d+)"[^>]*>\s*<!\[CDATA\[([^\]]*)\]\]>', words):
            found[int(key)] = name.strip()
    return found


def _open(path: Path) -> Any:
    """Return the image with its header read and its voxels still on disk."""
    if not path.is_file():
        raise ScanError("found no file at the given path, expected a NIfTI image (.nii or .nii.gz)")
    try:
        with quiet():
            image: Any = nib.load(path)
    except Exception:
        raise ScanError("found a file that is no readable NIfTI image, expected .nii or .nii.gz; write it again") from None
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise ScanError(f"found a NIfTI image of shape {tuple(image.shape)}, expected three dimensions; give one volume")
    if int(np.prod(shape, dtype=np.int64)) > MAX_VOXELS:
        raise ScanError(f"found {'x'.join(map(str, shape))} voxels, expected at most {MAX_VOXELS:.1e}; check the header or crop")
    claimed, there = int(np.prod(shape, dtype=np.int64)) * image.get_data_dtype().itemsize, path.stat().st_size
    if claimed > DEFLATE_RATIO * there:
        raise ScanError(
            f"found a header that claims {claimed / 2**20:.0f} MiB of voxels in a file of {there} bytes, expected a whole file; copy it again"
        )
    return image


def _read_affine(image: Any) -> tuple[Affine, tuple[str, ...]]:
    """Return the index-to-LPS affine [mm] and doubts about it."""
    header, notes = image.header, []
    sform, s_code = header.get_sform(coded=True)
    qform, q_code = header.get_qform(coded=True)
    if not s_code and not q_code:
        raise ScanError(
            "found a NIfTI image without sform and qform, expected its place in the patient: left and right, and the spacing, cannot"
            " be known; convert the original again with a tool that keeps the orientation"
        )
    chosen = sform if s_code else qform
    spacing = np.linalg.norm(chosen[:3, :3], axis=0)
    if not np.isfinite(chosen).all() or spacing.min() <= 0 or abs(np.linalg.det(chosen[:3, :3] / spacing)) < 0.5:
        raise ScanError("found a NIfTI affine that is singular or not finite, expected three axes at right angles; repair it")
    cosines = (chosen[:3, :3] / spacing).T @ (chosen[:3, :3] / spacing) - np.eye(3)
    if np.abs(cosines).max() > SHEAR:
        raise ScanError(
            f"found image axes {np.degrees(np.arcsin(np.abs(cosines).max())):.2f} degrees off right angles, expected a straight grid;"
            " resample the image without shear"
        )
    unit = header.get_xyzt_units()[0]
    scale = LENGTH_UNITS.get(unit, 1.0)
    if scale != 1.0:
        notes.append(f"the file gives lengths in {unit}: they were converted to mm")
    if s_code and q_code:
        box = Volume(np.broadcast_to(np.int8(0), image.shape[:3]), sform, "label")
        apart = float(np.abs(corners(box) - corners(Volume(box.array, qform, "label"))).max())
        q_spacing = np.linalg.norm(qform[:3, :3], axis=0)
        if np.abs(q_spacing / spacing - 1).max() > 0.01:
            raise ScanError(
                f"found spacings {np.round(spacing, 3).tolist()} mm (sform) and {np.round(q_spacing, 3).tolist()} mm (qform) in one"
                " header, expected the same; convert the original again"
            )
        if apart > TWO_PLACES:
            notes.append(
                f"sform and qform of the file lie up to {apart:.1f} mm apart; sform was used, so left and right follow it"
            )
    affine = RAS_LPS @ chosen
    affine[:3] *= scale
    return affine, tuple(notes)


def _read_array(image: Any) -> Array:
    """Return the voxels, scaled as the header says: int16 where that holds them exactly, else float32."""
    try:
        with quiet():
            array: Array = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, MemoryError, gzip.BadGzipFile):
        raise ScanError(
            f"found voxel data that cannot be read, expected {'x'.join(map(str, image.shape))} whole voxels; copy the file again"
        ) from None
    array = array.reshape(array.shape[:3])
    if array.dtype.kind not in "iufb":
        raise ScanError(f"found voxels of type {array.dtype}, expected plain numbers; give one grey value per voxel")
    if array.dtype.kind == "f":
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise ScanError(
                f"found {bad} voxels that are NaN or infinite, expected numbers everywhere; fill them, e.g. with -1024"
            )
        return array.astype(np.float32, copy=False)
    low, high = int(array.min()), int(array.max())
    return array.astype(np.int16 if low >= -32768 and high <= 32767 else np.float32, copy=False)


def check_hu(volume: Volume) -> tuple[str, ...]:
    """Return doubts about values that are said to be HU.

    Raises
    ------
    ScanError
        They cannot be HU of a body: eight-bit grey values, or neither air nor bone.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if low >= 0 and high <= 255:
        raise ScanError(f"found values from {low:g} to {high:g}, expected HU (air -1000, bone above 200); give the image in HU")
    if low > -500 and high < 200:
        raise ScanError(
            f"found values from {low:g} to {high:g}, expected HU with air (below -500) or bone (above 200); give the image in HU"
        )
    cautions = []
    if low > -500:
        cautions.append(f"the lowest value is {low:.0f}: no air in the image, so calibration cannot use it")
    if high < 200:
        cautions.append(f"the highest value is {high:.0f} HU: no cortical bone in the image")
    return tuple(cautions)


def check_density(volume: Volume) -> tuple[str, ...]:
    """Return doubts about values that are said to be mg/cm³.

    Raises
    ------
    ScanError
        They cannot be bone density in mg/cm³: g/cm³, or HU.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if high <= 5:
        raise ScanError(f"found values from {low:g} to {high:g}, expected density in mg/cm3; multiply g/cm3 by 1000")
    if low < -600:
        raise ScanError(
            f"found values down to {low:g}, expected density in mg/cm3, which air alone brings below -600; an image in HU goes to"
            " analyze, not to strength"
        )
    if high > 3500:
        return (f"density reaches {high:.0f} mg/cm3, beyond any bone: metal, or values that are no mg/cm3",)
    return ()


CARET = 30
"""Kind of header extension that holds a label table in Caret's XML [R]."""


def read_description(path: Path) -> str:
    """Return what a NIfTI image says of itself in its ``descrip`` field."""
    return str(bytes(_open(path).header["descrip"]).rstrip(b"\0").decode("utf-8", "replace")).strip()


def nifti_bytes(volume: Volume, names: Mapping[int, str] | None = None, *, description: str = "") -> bytes:
    """Return a gzipped NIfTI-1 file of a volume; booleans become bytes, 64-bit floats 32-bit; ``names`` are those of its labels.

    ``description`` is its own word on what it is, at most 79 letters.
    """
    array = volume.array
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype in (np.float64, np.float16):
        array = array.astype(np.float32)
    elif array.dtype == np.int64:
        array = array.astype(np.int32)
    image: Any = nib.Nifti1Image(np.asarray(array), RAS_LPS @ volume.affine)  # type: ignore[no-untyped-call]
    header: Any = image.header
    header.set_xyzt_units("mm")
    header["descrip"] = description.encode()
    image.set_sform(RAS_LPS @ volume.affine, code=1)
    try:
        image.set_qform(RAS_LPS @ volume.affine, code=1)
    except (ValueError, np.linalg.LinAlgError):
        image.set_qform(None, code=0)
    if names:
        rows = "".join(f'<Label Key="{number}"><![CDATA[{name}]]></Label>' for number, name in names.items())
        words = f"<CaretExtension><VolumeInformation><LabelTable>{rows}</LabelTable></VolumeInformation></CaretExtension>"
        header.extensions.append(nib.nifti1.Nifti1Extension(CARET, words.encode()))
    plain = image.to_bytes()
    buffer = io.BytesIO()
    # No time stamp and no name: the same volume gives the same bytes.
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=4, mtime=0) as stream:
        stream.write(plain)
    return buffer.getvalue()
