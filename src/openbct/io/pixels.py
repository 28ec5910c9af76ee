"""Stored pixel values to Hounsfield units, plane by plane, with padding made air."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from ..errors import ScanError
from ..volume import Volume
from .archive import Blob, open_within
from .codestream import check_codestream
from .header import Slice, number, quiet
from .placing import Placing
from .straightening import onto_grid

Array = np.ndarray
AIR = -1024
"""What padding becomes [HU]: air, at the lower end of 12-bit CT."""
OUT_OF_FIELD = -1500
"""Below this there is no tissue and no noise, only makers' padding such as -2000, -2048 or -3024 [HU] [D]."""
PADDING_BELOW = -900
"""A declared padding value is believed where it means this or less [HU] [D]; some headers declare 0, i.e. water."""


PIXEL_TAGS = (
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData",
    "FloatPixelData", "DoubleFloatPixelData",
)  # fmt: skip
"""All that decoding needs."""
MAX_PIXEL_BYTES = 8
"""A stored value takes no more than this in a file [bytes] [D]."""
MAX_HEADER_BYTES = 128 * 2**20
"""Nor does all else in it than this [bytes] [D]."""


@dataclass(frozen=True)
class Pixels:
    """A series in HU, and what padding was found in it."""

    volume: Volume
    padded: float
    """Fraction of the voxels that were padding and became air [-]."""
    cautions: tuple[str, ...]


def read_volume(planes: Sequence[Slice], placing: Placing) -> Pixels:
    """Return the planes in HU on the grid of their placing: int16 where that is exact, else float32.

    Raises
    ------
    ScanError
        Pixel data are cut or damaged, or no decoder is installed for their compression.
    """
    rows, columns = planes[0].rows or 0, planes[0].columns or 0
    exact = all(float(value).is_integer() for plane in planes for value in (plane.slope or 0.0, plane.intercept or 0.0))
    try:
        stack = np.empty((len(planes), rows, columns), dtype=np.int16 if exact else np.float32)
    except MemoryError:
        raise ScanError(
            f"found {columns} x {rows} x {len(planes)} voxels, for which this machine has too little memory, expected a smaller image; crop it"
        ) from None
    padded, ignored = 0, 0
    for k, (plane, stored) in enumerate(zip(planes, read_planes(planes))):
        slope, intercept = plane.slope or 0.0, plane.intercept or 0.0
        values: Shaped[Array, "r c"]
        if exact and slope == 1 and stored.dtype.itemsize <= 2 and abs(intercept) < 2**30:
            values = stored + np.int32(intercept)
        else:
            values = stored * np.float64(slope) + intercept
        padding, doubtful = _find_padding(stored, values, plane)
        padded += int(np.count_nonzero(padding))
        ignored += doubtful
        values[padding] = AIR
        if stack.dtype == np.int16 and (values.min() < -32768 or values.max() > 32767):
            stack = stack.astype(np.float32)
        stack[k] = values
    pairs = {(plane.slope, plane.intercept) for plane in planes}
    cautions: tuple[str, ...] = ()
    if len(pairs) > 1:
        cautions = (
            f"the rescale changes between slices ({len(pairs)} pairs of slope and intercept, intercepts {_span(planes)} HU): unusual"
            " for CT; if one of them is wrong, so are the HU of its slice",
        )
    if ignored:
        cautions += (
            f"{ignored} slices declare a padding value that means tissue (above {PADDING_BELOW} HU); it was not taken as padding,"
            " so an area outside the field of view may read as tissue",
        )
    # (k r c) in memory; the view's axes are column, row, plane: the affine's order.
    volume = Volume(stack.transpose(2, 1, 0), placing.affine, "HU")
    return Pixels(onto_grid(volume, placing), padded / stack.size, cautions)


def _span(planes: Sequence[Slice]) -> str:
    """Return the lowest and highest intercept in words."""
    intercepts = [plane.intercept or 0.0 for plane in planes]
    return f"{min(intercepts):g} to {max(intercepts):g}"


def _find_padding(stored: Shaped[Array, "r c"], values: Shaped[Array, "r c"], plane: Slice) -> tuple[Bool[Array, "r c"], bool]:
    """Return where a plane is padding, and whether a declared padding value was disbelieved."""
    padding = np.asarray(values < OUT_OF_FIELD)
    first, last = _declared(plane.header, "PixelPaddingValue"), _declared(plane.header, "PixelPaddingRangeLimit")
    if first is None:
        return padding, False
    low, high = (first, first) if last is None else (min(first, last), max(first, last))
    inside = (stored >= low) & (stored <= high)
    meant = max(low * (plane.slope or 0.0), high * (plane.slope or 0.0)) + (plane.intercept or 0.0)
    if meant > PADDING_BELOW:
        return padding, bool(inside.any())
    return padding | inside, False


def _declared(header: Dataset, keyword: str) -> float | None:
    """Return a padding value in the pixels' own sign: some writers give the unsigned form of a negative one."""
    value = number(header, keyword)
    bits = int(number(header, "BitsAllocated") or 16)
    if value is not None and number(header, "PixelRepresentation") == 1 and value >= 2 ** (bits - 1):
        value -= 2**bits
    return value


def read_planes(planes: Sequence[Slice]) -> Iterator[Shaped[Array, "r c"]]:
    """Yield the stored values of planes one by one; a multi-frame file is opened once and decoded frame by frame.

    Raises
    ------
    ScanError
        Pixel data are cut or damaged, or no decoder is installed for their compression.
    """
    held: Blob | None = None
    dataset = Dataset()
    for plane in planes:
        try:
            if plane.blob is not held:
                dataset, held = _load(plane), plane.blob
            _check_size(dataset, plane)
            with quiet():
                array = pixel_array(dataset, index=plane.frame)
        except (ScanError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # Decoders fail in every way there is, one of them outside Exception; their words may quote the header: only the kind is told.
            raise _unreadable(plane, error) from None
        if array.shape != (plane.rows, plane.columns):
            raise _unreadable(plane, None)
        yield np.asarray(array)


def _load(plane: Slice) -> Dataset:
    """Return a whole data set; one without file header gets the transfer syntax that it was found to have."""
    frames = int(number(plane.header, "NumberOfFrames") or 1)
    most = MAX_HEADER_BYTES + MAX_PIXEL_BYTES * frames * (plane.rows or 0) * (plane.columns or 0)
    with open_within(plane.blob, most) as stream, quiet():
        dataset = dcmread(stream, specific_tags=list(PIXEL_TAGS), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def _check_size(dataset: Dataset, plane: Slice) -> None:
    """Refuse a frame that states another size than its header, before a decoder makes room for it, and pixels that are too many."""
    syntax = dataset.file_meta.TransferSyntaxUID
    frames, rows, columns = int(number(dataset, "NumberOfFrames") or 1), plane.rows or 0, plane.columns or 0
    if syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes or syntax in JPEG2000TransferSyntaxes:
        check_codestream(get_frame(dataset.PixelData, plane.frame, number_of_frames=frames), rows, columns)
    elif not syntax.is_encapsulated:
        wanted, there = frames * rows * columns * int(number(dataset, "BitsAllocated") or 16) // 8, len(dataset.PixelData)
        if there > wanted + 2 * columns:
            raise ScanError(
                f"found {there} bytes of pixels in a file of {frames} x {rows} x {columns} pixels, expected {wanted}: the header states another"
                " size or width of them; export the original series"
            )


def _unreadable(plane: Slice, error: BaseException | None) -> ScanError:
    """Return what to say of a plane that cannot be decoded."""
    instance = number(plane.header, "InstanceNumber")
    which = f"the slice with InstanceNumber {instance:g}" if instance is not None else "a slice"
    return ScanError(
        f"found pixel data that cannot be read in {which}{'' if error else ' (wrong size)'}, expected {plane.rows} x {plane.columns} whole pixels in a"
        " supported compression; copy the series again"
    )
