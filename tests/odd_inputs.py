"""Damaged, hostile and merely odd inputs, one row each: what was done to a good CT, and what reading must make of it.

The one source for the tests (``test_io_odd.py``) and for the table of ``docs/validation/reading.md``. Everything is made from the small CT of
``ct_series.py`` or from nothing; sizes that would fill a memory are claimed, not written.
"""

from __future__ import annotations

import copy
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from ct_series import SECRET, edit, make_image, write_series
from openbct.io import apply_fault
from openbct.volume import Volume

Answer = Literal["refused", "cautioned", "as it was", "unseen"]
Paths = Sequence[Path]
PIXELS = b"\xe0\x7f\x10\x00"


@dataclass(frozen=True)
class Odd:
    """One odd input."""

    group: str
    name: str
    done: str
    answer: Answer
    make: Callable[[Path], Path | None]
    """Makes the input in an empty folder; returns what to read, ``None`` for the folder itself."""
    says: str = ""
    """Words of the refusal or of the caution."""


def body() -> Volume:
    """Return the small CT with cortex above the ceiling of 11 bits."""
    image = make_image((18, 16, 12))
    array = image.array.copy()
    array[7:11, 8:11, 2:] = 1400
    return Volume(array, image.affine, "HU")


def good(folder: Path, **extra: Any) -> list[Path]:
    return write_series(folder, body(), **extra)


def with_header(**values: Any) -> Callable[[Path], None]:
    """All slices say something else."""

    def make(folder: Path) -> None:
        def change(dataset: Dataset) -> None:
            for key, value in values.items():
                if value is None and key in dataset:
                    delattr(dataset, key)
                else:
                    setattr(dataset, key, value)

        for path in good(folder):
            edit(path, change)

    return make


def one_slice(change: Callable[[Dataset], object], index: int = 5) -> Callable[[Path], None]:
    return lambda folder: edit(good(folder)[index], change)


def each_slice(change: Callable[[Dataset, int], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for k, path in enumerate(good(folder)):
            edit(path, lambda dataset, k=k: change(dataset, k))

    return make


def file_bytes(change: Callable[[bytes], bytes], index: int | None = 5) -> Callable[[Path], None]:
    """The bytes of one slice, or of all, are changed."""

    def make(folder: Path) -> None:
        paths = good(folder)
        for path in paths if index is None else [paths[index]]:
            path.write_bytes(change(path.read_bytes()))

    return make


def beside(name: str, content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        good(folder)
        (folder / name).write_bytes(content)

    return make


def moved(dataset: Dataset, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
    dataset.ImagePositionPatient = [f"{float(a) + b:.6f}" for a, b in zip(dataset.ImagePositionPatient, (x, y, z))]


def extra_object(change: Callable[[Dataset], object]) -> Callable[[Path], None]:
    """A further DICOM object made of the first slice lies beside the series."""

    def make(folder: Path) -> None:
        dataset = pydicom.dcmread(good(folder)[0])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["extra"])
        change(dataset)
        dataset.save_as(folder / "extra.dcm")

    return make


def as_report(dataset: Dataset) -> None:
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "ImagePositionPatient"):
        delattr(dataset, keyword)
    dataset.Modality, dataset.SeriesInstanceUID = "SR", generate_uid(entropy_srcs=["report"])


def as_screenshot(dataset: Dataset) -> None:
    dataset.SeriesInstanceUID, dataset.SeriesNumber = generate_uid(entropy_srcs=["screen"]), 99
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelData = 7, bytes(3 * dataset.Rows * dataset.Columns)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, keyword)


def compressed(syntax: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """All slices are compressed; one of them is changed afterwards."""

    def make(folder: Path) -> None:
        paths = write_series(folder, make_image((80, 72, 6)))
        for path in paths:
            dataset = pydicom.dcmread(path)
            dataset.compress(syntax, generate_instance_uid=False)
            dataset.save_as(path)
        paths[2].write_bytes(change(paths[2].read_bytes()))

    return make


def j2k_claim(content: bytes) -> bytes:
    at = content.index(b"\xff\x4f\xff\x51") + 8
    return (
        content[:at] + b"\0\0\xff\xff\0\0\xff\xff" + content[at + 8 : at + 16] + b"\0\0\xff\xff\0\0\xff\xff" + content[at + 24 :]
    )


def j2k_tiles(content: bytes) -> bytes:
    at = content.index(b"\xff\x4f\xff\x51") + 24
    return content[:at] + b"\0\0\0\1\0\0\0\1" + content[at + 8 :]


def jls_claim(content: bytes) -> bytes:
    at = content.index(b"\xff\xf7") + 5
    return content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]


def cut_stream(content: bytes) -> bytes:
    start = content.index(PIXELS)
    middle = (start + len(content)) // 2
    return content[:middle] + bytes(len(content) - middle)


def deflated_bomb(folder: Path) -> None:
    """1.2 GB of nothing: one mebibyte of it is packed once and written many times."""
    path = good(folder)[4]
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    whole = buffer.getvalue()
    end = 144 + int.from_bytes(whole[140:144], "little")
    head = b"\x09\x00\x10\x10OB\0\0" + (1200 * 2**20).to_bytes(4, "little")
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(whole[:end] + start + 1200 * block + packer.flush())


def deep(folder: Path) -> None:
    """Sequences in sequences, 3000 deep, in an element that is read."""
    path = good(folder)[4]
    content = path.read_bytes()
    at = content.index(PIXELS)
    opened = b"\x00\x52\x29\x92SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(content[:at] + 3000 * opened + content[at:])


def long_text(folder: Path) -> None:
    """An element before the pixels claims to be 2 GiB long."""
    path = good(folder)[4]
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x10\x00")
    path.write_bytes(content[:at] + b"\x20\x00\x00\x40UT\0\0\xff\xff\xff\x7f" + content[at:])


def zip_of(folder: Path, prefix: str = "", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path in sorted(folder.iterdir()):
            archive.writestr(f"{prefix}{path.name}", path.read_bytes())
    return buffer.getvalue()


def zipped(change: Callable[[bytes], bytes] = lambda content: content, prefix: str = "") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        good(folder / "in")
        target = folder / "scan.zip"
        target.write_bytes(change(zip_of(folder / "in", prefix)))
        return target

    return make


def wrapped(depth: int) -> Callable[[bytes], bytes]:
    def wrap(content: bytes) -> bytes:
        for _ in range(depth):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("inner.zip", content)
            content = buffer.getvalue()
        return content

    return wrap


def zip_bomb(_: bytes) -> bytes:
    """One packed mebibyte of nothing under 3000 names: each entry points at the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.dcm", bytes(2**20))
        first = archive.filelist[0]
        for k in range(1, 3000):
            again = copy.copy(first)
            again.filename = again.orig_filename = f"{k}.dcm"
            archive.filelist.append(again)
    return buffer.getvalue()


def encrypted(content: bytes) -> bytes:
    """Every entry says that it is encrypted."""
    changed, at = bytearray(content), 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        changed[at + 8] |= 1
        at += 4
    return bytes(changed)


def nifti(change: Callable[[nib.Nifti1Image], nib.Nifti1Image | bytes], name: str = "ct.nii.gz") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        image = nib.Nifti1Image(body().array.copy(), np.diag([-0.8, -0.9, 2.0, 1.0]))
        image.set_qform(image.affine, 1)
        changed = change(image)
        path = folder / name
        if isinstance(changed, bytes):
            path.write_bytes(changed)
        else:
            nib.save(changed, path)
        return path

    return make


def packed(image: nib.Nifti1Image) -> bytes:
    return gzip.compress(image.to_bytes())


def claims(image: nib.Nifti1Image) -> bytes:
    content = bytearray(image.to_bytes())
    content[42:48] = np.array([1200, 1200, 1400], dtype="<i2").tobytes()
    return gzip.compress(bytes(content))


def without_place(image: nib.Nifti1Image) -> nib.Nifti1Image:
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    return image


def sheared(image: nib.Nifti1Image) -> nib.Nifti1Image:
    affine = image.affine.copy()
    affine[1, 2] = 0.3
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    return image


def as_values(array: np.ndarray) -> nib.Nifti1Image:
    return nib.Nifti1Image(array, np.diag([-0.8, -0.9, 2.0, 1.0]))


def shuffled(folder: Path) -> None:
    for k, path in enumerate(good(folder)):
        edit(path, lambda dataset, k=k: setattr(dataset, "InstanceNumber", (5 * k) % 12))
        path.rename(folder / f"{(7 * k) % 12:02d}.x")


def two_phases(folder: Path) -> None:
    for path in good(folder):
        dataset = pydicom.dcmread(path)
        dataset.PixelData = (dataset.pixel_array + 30).astype("<i2").tobytes()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
        dataset.save_as(folder / f"second_{path.name}")


def leave_out(*which: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        paths = good(folder)
        for k in which:
            paths[k].unlink()

    return make


def bare(folder: Path) -> None:
    for path in good(folder):
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)


def implicit_label(content: bytes) -> bytes:
    """The file says implicit VR and is explicit."""
    return content.replace(b"1.2.840.10008.1.2.1\0", ImplicitVRLittleEndian.encode() + b"\0\0\0", 1)


def path_for_uid(content: bytes) -> bytes:
    """The series has a path in place of its UID, of the same length."""
    start = content.index(b"\x20\x00\x0e\x00UI") + 8
    length = int.from_bytes(content[start - 2 : start], "little")
    return content[:start] + b"../../../etc/passwd".ljust(length, b"/") + content[start + length :]


def fault(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        apply_fault(name, good(folder))

    return make


def nothing(folder: Path) -> Path:
    return folder / f"{SECRET}.dcm"


FAULT_WORDS = {
    "missing-slice": "1 missing slice", "uneven-step": "unevenly", "gantry-tilt": "shear of 15.00", "denied-tilt": "header states a tilt of 0.0",
    "duplicate": "copies", "mixed-series": "choose with --series", "no-rescale": "RescaleSlope", "clipped": "HU end at 1023",
    "truncated": "pixel data that cannot be read",
}  # fmt: skip
