"""The rows of the table of odd inputs; see :mod:`odd_inputs`."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from odd_inputs import (
    FAULT_WORDS,
    Odd,
    as_report,
    as_screenshot,
    as_values,
    bare,
    beside,
    body,
    claims,
    compressed,
    cut_stream,
    deep,
    deflated_bomb,
    each_slice,
    encrypted,
    extra_object,
    fault,
    file_bytes,
    good,
    implicit_label,
    j2k_claim,
    j2k_tiles,
    jls_claim,
    leave_out,
    long_text,
    moved,
    nifti,
    nothing,
    one_slice,
    packed,
    path_for_uid,
    sheared,
    shuffled,
    two_phases,
    with_header,
    without_place,
    wrapped,
    zip_bomb,
    zipped,
)
from openbct.io import FAULTS


def lut(dataset: Dataset, _: int) -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [2, 0, 16], b"\0\0\1\0"
    dataset.ModalityLUTSequence = Items([table])


def without_instances(dataset: Dataset, k: int) -> None:
    del dataset.InstanceNumber


def overlay_bits(dataset: Dataset, k: int) -> None:
    """Garbage in the unused high bits of a 12-bit image."""
    stored = np.frombuffer(dataset.PixelData, dtype="<i2") & 0x0FFF
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    dataset.PixelData = (stored.astype("<u2") | 0x1000).tobytes()


def other_rescale(dataset: Dataset, k: int) -> None:
    """Each slice has a rescale of its own and the pixels that go with it."""
    stored = np.frombuffer(dataset.PixelData, dtype="<i2") - np.int16(k)
    dataset.RescaleIntercept = float(dataset.RescaleIntercept) + k
    dataset.PixelData = stored.astype("<i2").tobytes()


def far_padding(dataset: Dataset, k: int) -> None:
    stored = np.frombuffer(dataset.PixelData, dtype="<i2").copy()
    stored[:4] = -2000 - int(dataset.RescaleIntercept)
    dataset.PixelData = stored.tobytes()


GEOMETRY = (
    Odd(
        "geometry",
        "no position",
        "ImagePositionPatient is absent in every slice.",
        "refused",
        with_header(ImagePositionPatient=None),
        "ImagePositionPatient",
    ),
    Odd(
        "geometry",
        "no orientation",
        "ImageOrientationPatient is absent in one slice.",
        "refused",
        one_slice(lambda d: delattr(d, "ImageOrientationPatient")),
        "1 of 12 slices without ImageOrientationPatient",
    ),
    Odd("geometry", "no pixel spacing", "PixelSpacing is absent.", "refused", with_header(PixelSpacing=None), "PixelSpacing"),
    Odd("geometry", "zero spacing", "PixelSpacing is 0.", "refused", with_header(PixelSpacing=[0, 0]), "pixel spacing of"),
    Odd(
        "geometry",
        "absurd spacing",
        "PixelSpacing is 500 mm.",
        "refused",
        with_header(PixelSpacing=[500, 500]),
        "pixel spacing of",
    ),
    Odd(
        "geometry",
        "mixed spacing",
        "One slice has other pixels.",
        "refused",
        one_slice(lambda d: setattr(d, "PixelSpacing", [0.5, 0.5])),
        "slices of 2 sizes",
    ),
    Odd(
        "geometry",
        "mixed matrix",
        "One slice has fewer rows.",
        "refused",
        one_slice(lambda d: [setattr(d, "PixelData", d.PixelData[: 2 * 18 * 8]), setattr(d, "Rows", 8)]),
        "slices of 2 sizes",
    ),
    Odd(
        "geometry",
        "no unit vectors",
        "Direction cosines are half as long as they should be.",
        "refused",
        with_header(ImageOrientationPatient=[0.5, 0, 0, 0, 0.5, 0]),
        "expected unit",
    ),
    Odd(
        "geometry",
        "skew vectors",
        "Rows and columns are 80 degrees apart.",
        "refused",
        with_header(ImageOrientationPatient=[1, 0, 0, 0.1736482, 0.9848078, 0]),
        "right angles",
    ),
    Odd(
        "geometry",
        "text for a number",
        "The position of one slice is text.",
        "refused",
        file_bytes(lambda b: b.replace(b"-90\\-150.5", b"-XX\\-150.5")),
        "without ImagePositionPatient",
    ),
    Odd(
        "geometry",
        "mixed orientation",
        "One slice is sagittal.",
        "refused",
        one_slice(lambda d: setattr(d, "ImageOrientationPatient", [0, 1, 0, 0, 0, -1])),
        "mixed orientation",
    ),
    Odd(
        "geometry",
        "a turned slice",
        "One slice is turned by half a degree in its plane.",
        "refused",
        one_slice(lambda d: setattr(d, "ImageOrientationPatient", [0.9999619, 0.0087265, 0, -0.0087265, 0.9999619, 0])),
        "off the grid",
    ),
    Odd(
        "geometry",
        "a slice sideways",
        "One slice lies 0.4 mm to the side.",
        "refused",
        one_slice(lambda d: moved(d, x=0.4)),
        "sideways off one line",
    ),
    Odd(
        "geometry",
        "a slice that jumped",
        "One slice lies 0.4 mm too high.",
        "cautioned",
        one_slice(lambda d: moved(d, z=0.4)),
        "unevenly",
    ),
    Odd(
        "geometry",
        "alternating steps",
        "Steps of 1.2 and 2.8 mm in turn.",
        "refused",
        each_slice(lambda d, k: moved(d, z=0.8 * (k % 2))),
        "slice steps from 1.200 to 2.800",
    ),
    Odd(
        "geometry",
        "growing steps",
        "Each step is 4 % larger than the one before.",
        "cautioned",
        each_slice(lambda d, k: moved(d, z=0.04 * k * k)),
        "unevenly",
    ),
    Odd(
        "geometry",
        "three gaps",
        "Three slices are absent in three places.",
        "cautioned",
        leave_out(2, 5, 8),
        "3 missing slice(s) in 3 place(s)",
    ),
    Odd(
        "geometry", "half a scan", "Five slices are absent in the middle.", "refused", leave_out(4, 5, 6, 7, 8), "missing slices"
    ),
    Odd("geometry", "two slices", "All but two slices are absent.", "refused", leave_out(*range(2, 12)), "found 2 slices"),
    Odd(
        "geometry",
        "steep shear",
        "Slices drift by 45 degrees.",
        "refused",
        each_slice(lambda d, k: moved(d, y=2.0 * k)),
        "shear of 45.00",
    ),
    Odd(
        "geometry",
        "unsaid shear",
        "Slices drift by 5 degrees; the header says nothing of a tilt.",
        "cautioned",
        each_slice(lambda d, k: [moved(d, y=0.174977327 * k), setattr(d, "GantryDetectorTilt", None)]),
        "of which the header says nothing",
    ),
    Odd(
        "geometry",
        "two frames of reference",
        "One slice belongs to another frame.",
        "refused",
        one_slice(lambda d: setattr(d, "FrameOfReferenceUID", "1.2.3")),
        "frames of reference",
    ),
    Odd(
        "geometry",
        "two phases",
        "A second image, 30 HU brighter, has the same series and positions.",
        "refused",
        two_phases,
        "different pixels",
    ),
    Odd("geometry", "names and numbers shuffled", "File names and InstanceNumber follow no order.", "as it was", shuffled),
    Odd("geometry", "no instance numbers", "InstanceNumber is absent.", "as it was", each_slice(without_instances)),
    Odd(
        "geometry",
        "false thickness",
        "SliceThickness is half the step.",
        "cautioned",
        with_header(SliceThickness=1),
        "was not imaged",
    ),
    Odd(
        "geometry",
        "false distance",
        "SpacingBetweenSlices is 5 mm.",
        "cautioned",
        with_header(SpacingBetweenSlices=5),
        "states slices 5.00 mm apart",
    ),
    Odd(
        "geometry",
        "a tilt that is none",
        "GantryDetectorTilt is 12 degrees; the stack is straight.",
        "cautioned",
        with_header(GantryDetectorTilt=12),
        "gantry tilt of 12.0",
    ),
)
VALUES = (
    Odd(
        "values",
        "no intercept",
        "RescaleIntercept is absent in one slice.",
        "refused",
        one_slice(lambda d: delattr(d, "RescaleIntercept")),
        "1 of 12 slices without a usable Rescale",
    ),
    Odd("values", "slope 0", "RescaleSlope is 0.", "refused", with_header(RescaleSlope=0), "RescaleSlope"),
    Odd(
        "values",
        "rescaled to something else",
        "RescaleType is OD.",
        "refused",
        with_header(RescaleType="OD"),
        "not rescaled to HU",
    ),
    Odd(
        "values",
        "a lookup table",
        "A ModalityLUTSequence stands in place of the rescale.",
        "refused",
        each_slice(lut),
        "not rescaled to HU",
    ),
    Odd(
        "values",
        "a rescale for each slice",
        "Each slice has its own rescale and pixels to match.",
        "cautioned",
        each_slice(other_rescale),
        "rescale changes between slices",
    ),
    Odd(
        "values",
        "inverted",
        "PhotometricInterpretation is MONOCHROME1.",
        "refused",
        with_header(PhotometricInterpretation="MONOCHROME1"),
        "MONOCHROME2",
    ),
    Odd(
        "values",
        "colour",
        "PhotometricInterpretation is RGB.",
        "refused",
        with_header(PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0),
        "MONOCHROME2",
    ),
    Odd(
        "values",
        "padding that is tissue",
        "PixelPaddingValue is that of water.",
        "cautioned",
        lambda folder: good(folder, PixelPaddingValue=1074) and None,
        "padding value that means tissue",
    ),
    Odd(
        "values",
        "padding undeclared",
        "Some pixels of each slice are -2000 HU; no padding is declared.",
        "as it was",
        each_slice(far_padding),
    ),
    Odd(
        "values",
        "compressed with loss",
        "LossyImageCompression is 01.",
        "cautioned",
        with_header(LossyImageCompression="01"),
        "compressed with loss",
    ),
    Odd(
        "values",
        "wrong width",
        "BitsAllocated is 8; there are 16.",
        "refused",
        with_header(BitsAllocated=8, BitsStored=8, HighBit=7),
        "another size or width",
    ),
    Odd(
        "values",
        "no sign",
        "PixelRepresentation is absent.",
        "refused",
        with_header(PixelRepresentation=None),
        "pixel data that cannot be read",
    ),
    Odd("values", "unused bits in use", "A 12-bit image with an overlay in bit 12.", "as it was", each_slice(overlay_bits)),
)
SERIES = (
    Odd("series", "no CT", "Modality is MR.", "refused", with_header(Modality="MR"), "modality MR"),
    Odd(
        "series",
        "localizers only",
        "ImageType is LOCALIZER.",
        "refused",
        with_header(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        "localizer",
    ),
    Odd(
        "series",
        "a localizer among them",
        "A localizer belongs to the series.",
        "as it was",
        extra_object(
            lambda d: [
                setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]),
                setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]),
            ]
        ),
    ),
    Odd(
        "series",
        "projections",
        "ImageType is MIP.",
        "refused",
        with_header(ImageType=["DERIVED", "PRIMARY", "MIP"]),
        "projections",
    ),
    Odd(
        "series",
        "reformatted",
        "ImageType is DERIVED, MPR.",
        "cautioned",
        with_header(ImageType=["DERIVED", "PRIMARY", "MPR"]),
        "derived by reformatting",
    ),
    Odd("series", "a dose report", "A report without image lies beside.", "as it was", extra_object(as_report)),
    Odd("series", "a screenshot", "A colour image of another series lies beside.", "as it was", extra_object(as_screenshot)),
    Odd(
        "series",
        "a page in the series",
        "An image without position belongs to the series.",
        "refused",
        extra_object(lambda d: delattr(d, "ImagePositionPatient")),
        "1 of 13 slices without ImagePositionPatient",
    ),
    Odd("series", "no series UID", "SeriesInstanceUID is absent.", "as it was", with_header(SeriesInstanceUID=None)),
    Odd("series", "a path for a UID", "SeriesInstanceUID is ../../../etc/passwd.", "as it was", file_bytes(path_for_uid, None)),
)
FILES = (
    Odd("files", "nothing", "There is no such path.", "refused", nothing, "nothing at the given path"),
    Odd("files", "an empty folder", "The folder is empty.", "refused", lambda folder: None, "no files"),
    Odd("files", "text beside", "A text file is called .dcm.", "as it was", beside("notes.dcm", b"not an image")),
    Odd("files", "an empty file beside", "A file of no bytes lies beside.", "as it was", beside("empty.dcm", b"")),
    Odd("files", "no file header", "Files begin with the data set, without preamble.", "as it was", bare),
    Odd(
        "files",
        "cut in the header",
        "One file ends after 700 bytes.",
        "refused",
        file_bytes(lambda b: b[:700]),
        "CT image without its size",
    ),
    Odd(
        "files",
        "no pixels",
        "One file ends before its pixels.",
        "refused",
        file_bytes(lambda b: b[: b.index(b"\xe0\x7f\x10\x00")]),
        "pixel data that cannot be read",
    ),
    Odd(
        "files",
        "cut in the pixels",
        "One file lacks its last byte pair.",
        "refused",
        file_bytes(lambda b: b[:-2]),
        "pixel data that cannot be read",
    ),
    Odd("files", "a length too long", "An element claims 2 GiB.", "refused", long_text, "CT image without its size"),
    Odd("files", "nested 3000 deep", "A sequence in a sequence in a sequence ...", "refused", deep, "cannot be read"),
    Odd(
        "files", "huge planes", "Rows and Columns claim 65535.", "refused", with_header(Rows=65535, Columns=65535), "4096 a side"
    ),
    Odd(
        "files",
        "huge planes in one",
        "Rows and Columns of one slice claim 4000.",
        "refused",
        one_slice(lambda d: [setattr(d, "Rows", 4000), setattr(d, "Columns", 4000)]),
        "slices of 2 sizes",
    ),
    Odd(
        "files",
        "a million frames",
        "NumberOfFrames claims 1 000 000.",
        "refused",
        with_header(NumberOfFrames=1_000_000),
        "1000000 frames",
    ),
    Odd("files", "a deflated bomb", "1.2 GB of nothing, deflated to 1.2 MB.", "refused", deflated_bomb, "deflated file beyond"),
    Odd(
        "files",
        "wrong transfer syntax",
        "Implicit VR is stated in one slice, explicit VR is written.",
        "as it was",
        file_bytes(implicit_label),
    ),
)
COMPRESSION = (
    Odd(
        "compression",
        "JPEG 2000 as large as can be",
        "The codestream claims 65535 x 65535.",
        "refused",
        compressed(JPEG2000Lossless, j2k_claim),
        "compressed image of 65535 x 65535",
    ),
    Odd(
        "compression",
        "JPEG 2000 in tiles of a pixel",
        "The codestream claims tiles of 1 x 1.",
        "refused",
        compressed(JPEG2000Lossless, j2k_tiles),
        "without a size",
    ),
    Odd(
        "compression",
        "JPEG 2000 cut",
        "The second half of the codestream is zero.",
        "refused",
        compressed(JPEG2000Lossless, cut_stream),
    ),
    Odd(
        "compression",
        "JPEG-LS as large as can be",
        "The JPEG-LS stream claims 65535 x 65535.",
        "refused",
        compressed(JPEGLSLossless, jls_claim),
        "compressed image of 65535 x 65535",
    ),
    Odd(
        "compression",
        "JPEG-LS cut",
        "The second half of the JPEG-LS stream is zero.",
        "refused",
        compressed(JPEGLSLossless, cut_stream),
    ),
    Odd(
        "compression",
        "RLE cut",
        "The second half of the segments is zero.",
        "refused",
        compressed(RLELossless, cut_stream),
        "pixel data that cannot be read",
    ),
)
ARCHIVES = (
    Odd("archives", "a zip", "The series is in a zip.", "as it was", zipped()),
    Odd("archives", "a zip in a zip", "The zip is in another one.", "as it was", zipped(wrapped(1))),
    Odd("archives", "zips five deep", "The zip is in four others.", "refused", zipped(wrapped(4)), "nested more than 3 deep"),
    Odd(
        "archives", "names that climb", "Names begin with ../../../; nothing is written.", "as it was", zipped(prefix="../../../")
    ),
    Odd("archives", "a cut zip", "The last 300 bytes are absent.", "refused", zipped(lambda b: b[:-300]), "cannot be opened"),
    Odd("archives", "an encrypted zip", "Every entry is encrypted.", "refused", zipped(encrypted), "encrypted"),
    Odd("archives", "a zip bomb", "3000 names for one packed mebibyte.", "refused", zipped(zip_bomb), "do not trust its source"),
    Odd(
        "archives",
        "a damaged zip",
        "100 bytes of a packed slice are zero.",
        "refused",
        zipped(lambda b: b[:2000] + bytes(100) + b[2100:]),
    ),
    Odd("archives", "an empty zip", "The zip holds nothing.", "refused", zipped(lambda b: b"PK\x05\x06" + bytes(18)), "no files"),
)
NIFTI = (
    Odd("NIfTI", "cut", "The file ends in the middle.", "refused", nifti(lambda i: packed(i)[:600]), "cannot be read"),
    Odd("NIfTI", "a large claim", "The header claims 1200 x 1200 x 1400 voxels.", "refused", nifti(claims), "header that claims"),
    Odd("NIfTI", "no place", "Neither sform nor qform.", "refused", nifti(without_place), "without sform and qform"),
    Odd("NIfTI", "sheared", "Axes are not at right angles.", "refused", nifti(sheared), "off right angles"),
    Odd(
        "NIfTI",
        "not a number",
        "One voxel is NaN.",
        "refused",
        nifti(lambda i: as_values(np.where(np.arange(i.shape[2]) == 3, np.nan, body().array).astype(np.float32))),
        "NaN",
    ),
    Odd(
        "NIfTI",
        "four dimensions",
        "Two volumes.",
        "refused",
        nifti(lambda i: as_values(np.stack([body().array] * 2, axis=3))),
        "three dimensions",
    ),
    Odd(
        "NIfTI",
        "grey values",
        "Values from 0 to 255.",
        "refused",
        nifti(lambda i: as_values((body().array % 256).astype(np.uint8))),
        "expected HU",
    ),
    Odd("NIfTI", "no NIfTI", "Text is called .nii.gz.", "refused", nifti(lambda i: b"not an image"), "no readable NIfTI"),
)
ODD = (
    *(
        Odd("series in general", name, one.said, one.answer, fault(name), FAULT_WORDS.get(name, ""))
        for name, one in FAULTS.items()
    ),
    *GEOMETRY,
    *VALUES,
    *SERIES,
    *FILES,
    *COMPRESSION,
    *ARCHIVES,
    *NIFTI,
)
"""Every odd input."""
