"""Faults on demand: what goes wrong with CT series on the way from a scanner, put into one that was written well.

For tests and for trying things out. Each fault is a value of the table :data:`FAULTS`; sizes and angles are our design [D].
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pydicom import dcmread
from pydicom.dataset import Dataset
from scipy import ndimage

from ..errors import OutputError, SettingsError
from .dicom_header import derived_uid

Array = np.ndarray
Paths = Sequence[Path]
Answer = Literal["refused", "cautioned", "unseen"]

FEWEST_SLICES = 6
"""A shorter series has no middle to damage."""
TILT_DEG = 15.0
COSINE, SINE = math.cos(math.radians(TILT_DEG)), math.sin(math.radians(TILT_DEG))
AIR = -1000.0
"""[HU]"""
LATE = 0.4
"""A late table moves the rest of the slices by this share of a step."""
CLIP = 1023.0
"""Ceiling of scanners that store 11 bits [HU]."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a series."""

    name: str
    said: str
    """What was done, for the record beside the truth."""
    answer: Answer
    """What reading such a series leads to; ``"unseen"`` where no reader can know from the series alone."""
    apply: Callable[[Paths], None]
    """Changes files written by :func:`~openbct.io.write_ct_series`, given in the order of their slices."""


def apply_fault(name: str, slices: Paths) -> Fault:
    """Put one fault into a written series, in place, and return what was done.

    Raises
    ------
    SettingsError
        An unknown fault, or too few slices.
    OutputError
        The files cannot be read or written.
    """
    if name not in FAULTS:
        raise SettingsError(f"found the fault {name!r}, expected one of {', '.join(FAULTS)}; choose one of these")
    if len(slices) < FEWEST_SLICES:
        raise SettingsError(f"found {len(slices)} slices, expected at least {FEWEST_SLICES} to put a fault into; write more")
    try:
        FAULTS[name].apply(slices)
    except OSError as error:
        raise OutputError(
            f"found no way to change the series ({error.strerror}), expected writable slices; write the series again"
        ) from error
    return FAULTS[name]


def _edit(path: Path, change: Callable[[Dataset], None], target: Path | None = None) -> None:
    dataset = dcmread(path)
    change(dataset)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(target or path)


def _edit_all(paths: Paths, change: Callable[[Dataset], None]) -> None:
    for path in paths:
        _edit(path, change)


def _middle(paths: Paths) -> Path:
    return paths[len(paths) // 2]


def _edit_stored(dataset: Dataset, change: Callable[[Int[Array, "r c"]], Int[Array, "r c"]]) -> None:
    """Change the stored values, whose shape may change too."""
    stored = np.frombuffer(dataset.PixelData, dtype="<i2").reshape(dataset.Rows, dataset.Columns)
    changed = np.ascontiguousarray(change(stored), dtype="<i2")
    dataset.Rows, dataset.Columns = changed.shape
    dataset.PixelData = changed.tobytes() + b"\0" * (changed.nbytes % 2)
    dataset["PixelData"].VR = "OW"


def _leave_one_out(paths: Paths) -> None:
    _middle(paths).unlink()


def _step_late(paths: Paths) -> None:
    first, second = (np.array(dcmread(path, stop_before_pixels=True).ImagePositionPatient, float) for path in paths[:2])
    shift = LATE * (second - first)

    def move(dataset: Dataset) -> None:
        place = np.array(dataset.ImagePositionPatient, float) + shift
        dataset.ImagePositionPatient = [f"{x:.10g}" for x in place]

    _edit_all(paths[2 * len(paths) // 3 :], move)


def _turn(dataset: Dataset, stated: float) -> None:
    """Turn a plane about its rows where it stands, as a gantry does while the table goes straight on."""
    row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
    turned = COSINE * column + SINE * np.cross(row, column)
    dataset.ImageOrientationPatient = [f"{x:.10g}" for x in (*row, *turned)]
    dataset.GantryDetectorTilt = f"{stated:g}"


def _tilt(paths: Paths) -> None:
    """Take tilted planes out of the straight ones, in linear interpolation; where there are none it is air."""
    headers = [dcmread(path) for path in paths]
    first = headers[0]
    shape = (first.Rows, first.Columns)
    stored = np.stack([np.frombuffer(header.PixelData, dtype="<i2").reshape(shape) for header in headers])
    ends = [np.array(header.ImagePositionPatient, float) for header in (first, headers[-1])]
    step = float(np.linalg.norm(ends[1] - ends[0])) / (len(paths) - 1)
    down = np.arange(shape[0])[:, None] * float(first.PixelSpacing[0])
    rows, columns = np.broadcast_arrays(COSINE * down / float(first.PixelSpacing[0]), np.arange(shape[1])[None])
    air = int((AIR - float(first.RescaleIntercept)) / float(first.RescaleSlope))
    for k, path in enumerate(paths):
        places = [np.broadcast_to(k + SINE * down / step, rows.shape), rows, columns]
        plane = ndimage.map_coordinates(stored, places, output=np.float32, order=1, cval=air)

        def change(dataset: Dataset, plane: Float[Array, "r c"] = plane) -> None:
            _edit_stored(dataset, lambda _: np.asarray(np.rint(plane).astype(np.int16)))
            _turn(dataset, TILT_DEG)

        _edit(path, change)


def _deny_tilt(paths: Paths) -> None:
    _edit_all(paths, lambda dataset: _turn(dataset, 0.0))


def _copy_one(paths: Paths) -> None:
    source = _middle(paths)
    shutil.copyfile(source, source.with_name(f"{source.stem}_copy.dcm"))


def _mix(paths: Paths) -> None:
    for number, path in enumerate(paths):

        def rename(dataset: Dataset, number: int = number) -> None:
            series = dataset.SeriesInstanceUID
            dataset.SeriesInstanceUID = derived_uid(series, "second")
            dataset.SOPInstanceUID = derived_uid(series, "second", str(number))
            dataset.SeriesNumber, dataset.SeriesDescription = 2, "Second reconstruction"

        _edit(path, rename, path.with_name(f"{path.stem}_second.dcm"))


def _drop_rescale(paths: Paths) -> None:
    def drop(dataset: Dataset) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType

    _edit_all(paths, drop)


def _double_slope(paths: Paths) -> None:
    _edit_all(paths, lambda dataset: setattr(dataset, "RescaleSlope", 2))


def _clip(paths: Paths) -> None:
    def clip(dataset: Dataset) -> None:
        ceiling = int((CLIP - float(dataset.RescaleIntercept)) / float(dataset.RescaleSlope))
        _edit_stored(dataset, lambda stored: np.minimum(stored, ceiling))

    _edit_all(paths, clip)


def _cut_field(paths: Paths) -> None:
    _edit_all(paths, lambda dataset: _edit_stored(dataset, lambda stored: stored[:, : stored.shape[1] // 2 + 1]))


def _cut_range(paths: Paths) -> None:
    for path in paths[(len(paths) + 1) // 2 :]:
        path.unlink()


def _mirror(paths: Paths) -> None:
    _edit_all(paths, lambda dataset: _edit_stored(dataset, lambda stored: stored[:, ::-1]))


def _truncate(paths: Paths) -> None:
    path = _middle(paths)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - int(0.3 * len(dcmread(path).PixelData))])


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("missing-slice", "The slice in the middle is absent.", "cautioned", _leave_one_out),
        Fault("uneven-step", f"The last third lies {LATE:g} steps farther on than it should.", "cautioned", _step_late),
        Fault("gantry-tilt", f"The gantry was tilted by {TILT_DEG:g} degrees.", "cautioned", _tilt),
        Fault(
            "denied-tilt",
            f"Slices are turned by {TILT_DEG:g} degrees in the header alone, which also says that there is no tilt.",
            "refused",
            _deny_tilt,
        ),
        Fault("duplicate", "The slice in the middle is there twice.", "cautioned", _copy_one),
        Fault("mixed-series", "A second series of the same body lies in the folder.", "cautioned", _mix),
        Fault("no-rescale", "Rescale slope, intercept and type are absent.", "refused", _drop_rescale),
        Fault("wrong-rescale", "The rescale slope is twice the true one.", "unseen", _double_slope),
        Fault("clipped", f"Values end at {CLIP:g} HU.", "cautioned", _clip),
        Fault("cut-field", "The image ends beside its middle.", "unseen", _cut_field),
        Fault("cut-range", "The second half of the slices is absent.", "unseen", _cut_range),
        Fault("swapped-sides", "The pixels are mirrored, the header is not: left is called right.", "unseen", _mirror),
        Fault("truncated", "The file of the middle slice ends within its pixels.", "refused", _truncate),
    )
}
"""Every fault by name."""
