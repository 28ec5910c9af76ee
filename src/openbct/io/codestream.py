"""What a compressed image says of its own size, read before anything is decoded: a decoder believes it and makes room for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..errors import ScanError

MAX_TILES = 4096
"""Of a JPEG 2000 image [D]; a decoder keeps some kilobytes for each."""
SEARCH = 4096
"""JPEG 2000 may stand in a file format of its own, whose boxes come first [bytes] [D]."""
JPEG_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame: JPEG's own, and that of JPEG-LS (ITU-T T.81 B.1.1.3, T.87 C.1.1 [recalled])."""
JPEG_ALONE = {0x01, *range(0xD0, 0xDA)}
"""Markers without a length."""


@dataclass(frozen=True)
class StatedSize:
    """What the header of a compressed image states."""

    rows: int
    columns: int
    components: int


def check_codestream(frame: bytes, rows: int, columns: int) -> None:
    """Refuse a compressed frame that is not of the size that its DICOM header states.

    Raises
    ------
    ScanError
        Another size, more than one component, or no such statement at all.
    """
    stated = stated_size(frame)
    if stated is None:
        raise ScanError("found compressed pixel data without a size, expected a whole image; copy the series again")
    if stated != StatedSize(rows, columns, 1):
        raise ScanError(
            f"found a compressed image of {stated.rows} x {stated.columns} pixels and {stated.components} components in a slice of"
            f" {rows} x {columns}, expected the same size and one component; do not trust its source"
        )


def stated_size(frame: bytes) -> StatedSize | None:
    """Return the size that a JPEG, JPEG-LS or JPEG 2000 image states; ``None`` where it does not."""
    try:
        return _jpeg(frame) if frame[:2] == b"\xff\xd8" else _jpeg2000(frame)
    except (struct.error, IndexError):
        return None


def _jpeg(frame: bytes) -> StatedSize | None:
    """Walk over the segments up to the frame's own."""
    at = 2
    while True:
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker in JPEG_FRAMES:
            rows, columns, components = struct.unpack(">HHB", frame[at + 5 : at + 10])
            return StatedSize(rows, columns, components)
        if marker == 0xFF or marker in JPEG_ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xF8 and frame[at + 4] == 4:  # JPEG-LS: another size follows, which no CT needs
            return None
        at += 2 + struct.unpack(">H", frame[at + 2 : at + 4])[0]


def _jpeg2000(frame: bytes) -> StatedSize | None:
    """Read the SIZ segment, which comes first in every JPEG 2000 image (ITU-T T.800 A.5.1 [recalled])."""
    at = frame[:SEARCH].find(b"\xff\x4f\xff\x51")
    if at < 0:
        return None
    right, bottom, left, top, width, height, tile_left, tile_top, components = struct.unpack(">8IH", frame[at + 8 : at + 42])
    if not width or not height or right <= left or bottom <= top:
        return None
    if -(-(right - tile_left) // width) * -(-(bottom - tile_top) // height) > MAX_TILES:
        return None
    return StatedSize(bottom - top, right - left, components)
