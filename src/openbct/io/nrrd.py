"""NRRD images in: header fields, key/value pairs and voxels of one attached file, as 3D Slicer writes segmentations."""

from __future__ import annotations

import bz2
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ..errors import SegmentationError
from ..volume import Affine
from .dicom import MAX_VOXELS

Array = np.ndarray
TYPES = {
    "int8": "i1", "signed char": "i1", "int8_t": "i1", "uint8": "u1", "uchar": "u1", "unsigned char": "u1", "uint8_t": "u1",
    "int16": "i2", "short": "i2", "short int": "i2", "int16_t": "i2", "signed short": "i2", "signed short int": "i2",
    "uint16": "u2", "ushort": "u2", "unsigned short": "u2", "unsigned short int": "u2", "uint16_t": "u2",
    "int32": "i4", "int": "i4", "int32_t": "i4", "signed int": "i4", "uint32": "u4", "uint": "u4", "unsigned int": "u4",
    "uint32_t": "u4", "float": "f4", "double": "f8",
}  # fmt: skip
"""Names of voxel types in the NRRD format, to NumPy's [R]."""
TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
HEADER_BYTES = 4_000_000
"""A longer header is no image's [D]: Slicer writes about 1 kB for each segment."""
VECTOR = re.compile(r"\(([^)]*)\)")


@dataclass(frozen=True)
class Nrrd:
    """One file."""

    array: Shaped[Array, "..."]
    """Fastest axis first; four axes where segments overlap, the list of layers being ``layer_axis``."""
    affine: Affine
    """Spatial index to patient LPS [mm]."""
    layer_axis: int | None
    words: dict[str, str]
    """Key/value pairs: Slicer's ``Segment0_Name`` ..."""


def read_nrrd(path: Path) -> Nrrd:
    """Return an NRRD file.

    Raises
    ------
    SegmentationError
        Unreadable, without a place in the patient, or with its voxels in another file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SegmentationError(f"found no readable label file ({error.strerror}), expected an NRRD file; check it") from None
    fields, words, start = _header(content)
    if "data file" in fields or "datafile" in fields:
        raise SegmentationError(
            "found an NRRD header whose voxels lie in another file, expected one file; save as .seg.nrrd or .nrrd"
        )
    try:
        kind = np.dtype(TYPES[fields["type"].lower()])
        sizes = [int(word) for word in fields["sizes"].split()]
        encoding = fields["encoding"].lower()
        layer_axis, affine = _place(fields)
    except (KeyError, ValueError) as error:
        raise SegmentationError(
            f"found an NRRD header that lacks or garbles {error}, expected type, sizes, encoding and a place in the patient (space, space "
            "directions, space origin); save it again"
        ) from None
    if len(sizes) != 3 + (layer_axis is not None) or min(sizes) < 1 or int(np.prod(sizes, dtype=np.int64)) > MAX_VOXELS:
        raise SegmentationError(
            f"found an NRRD image of {'x'.join(map(str, sizes))}, expected three axes (and one of layers) and at most {MAX_VOXELS:.1e} voxels"
        )
    if fields.get("endian", "little").lower() == "big":
        kind = kind.newbyteorder(">")
    raw = _decoded(content, start, encoding, int(np.prod(sizes, dtype=np.int64)) * kind.itemsize)
    array = np.frombuffer(raw, dtype=kind).reshape(sizes, order="F")
    return Nrrd(array, affine, layer_axis, words)


def _header(content: bytes) -> tuple[dict[str, str], dict[str, str], int]:
    """Return fields, key/value pairs, and where the voxels begin."""
    head = content[:HEADER_BYTES]
    ends = [(place, len(gap)) for gap in (b"\n\n", b"\r\n\r\n") if (place := head.find(gap)) >= 0]
    if not content.startswith(b"NRRD") or not ends:
        raise SegmentationError("found a file that is no NRRD image, expected the word NRRD and a header; save it again")
    end, gap = min(ends)
    fields: dict[str, str] = {}
    words: dict[str, str] = {}
    for line in head[:end].decode("utf-8", "replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        if ":=" in line:
            key, value = line.split(":=", 1)
            words[key.strip()] = value.replace("\\n", "\n").replace("\\\\", "\\").strip()
        elif ":" in line:
            key, value = line.split(":", 1)
            fields[key.strip().lower()] = value.strip()
    return fields, words, end + gap


def _place(fields: dict[str, str]) -> tuple[int | None, Affine]:
    """Return the axis of layers and the affine.

    Raises
    ------
    KeyError, ValueError
        A field lacks or cannot be read.
    """
    if fields["space"].lower() not in TO_LPS:
        raise ValueError("space")
    written = re.findall(r"none|\([^)]*\)", fields["space directions"].lower())
    vectors = [_numbers(entry) for entry in written if entry != "none"]
    layers = [axis for axis, entry in enumerate(written) if entry == "none"]
    if len(vectors) != 3 or len(layers) > 1:
        raise ValueError("space directions")
    affine = np.eye(4)
    affine[:3, :3] = np.array(vectors).T
    affine[:3, 3] = _numbers(fields["space origin"])
    affine[:3] *= np.array(TO_LPS[fields["space"].lower()], dtype=float)[:, None]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ValueError("space directions")
    return (layers[0] if layers else None), affine


def _numbers(entry: str) -> list[float]:
    found = VECTOR.fullmatch(entry.strip())
    numbers = [float(word) for word in found.group(1).split(",")] if found else []
    if len(numbers) != 3:
        raise ValueError("a vector of three numbers")
    return numbers


def _decoded(content: bytes, start: int, encoding: str, size: int) -> bytes:
    """Return exactly ``size`` bytes of voxels; a file that unpacks to more is stopped there."""
    try:
        if encoding == "raw":
            raw = content[start : start + size]
        elif encoding in ("gzip", "gz"):
            raw = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content[start:], size)
        elif encoding in ("bzip2", "bz2"):
            raw = bz2.BZ2Decompressor().decompress(content[start:], size)
        else:
            raise SegmentationError(
                f"found NRRD voxels in {encoding!r} encoding, expected raw, gzip or bzip2; save it again from 3D Slicer"
            )
    except (zlib.error, OSError, EOFError):
        raise SegmentationError(
            f"found NRRD voxels that cannot be unpacked, expected {size} bytes; copy the file again"
        ) from None
    if len(raw) != size:
        raise SegmentationError(f"found {len(raw)} bytes of NRRD voxels, expected {size}; the file is cut short: copy it again")
    return raw
