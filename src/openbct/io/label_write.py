"""Bones as labels that a person can correct: one NIfTI map with its names, colours for 3D Slicer and ITK-SNAP, and DICOM SEG."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..records import LabelMap, Segmentation
from ..volume import Volume, offset_in
from .files import write_bytes
from .label_tables import builtin_tables
from .nifti import nifti_bytes
from .toml_text import to_toml

Array = np.ndarray
TISSUE_NAMES = {"aorta": "aorta", "muscle": "skeletal_muscle", "fat": "subcutaneous_fat"}
"""Reference tissue of a calibration to the structure that a label map calls it."""
LABELS = "labels.nii.gz"
SIDECARS = (".toml", ".ctbl", ".txt")


def drawn_labels(segmentation: Segmentation, image: Volume) -> LabelMap:
    """Return the bones of a segmentation, and the tissues that it calibrates on, in one map under our own numbers."""
    numbers = {name: number for number, name in builtin_tables()["openbct"].items()}
    array = np.zeros(image.shape, dtype=np.uint8)
    names: dict[int, str] = {}
    tissues = {TISSUE_NAMES[name]: where for name, where in segmentation.tissues.items() if name in TISSUE_NAMES}
    bones = {_structure(name, found.part): found.mask for name, found in segmentation.bones.items()}
    for name, mask in (*tissues.items(), *bones.items()):
        lower = offset_in(mask, image)
        view = array[tuple(slice(int(a), int(a) + n) for a, n in zip(lower, mask.shape))]
        # Bones lie over tissue, and the first of two bones stays.
        free = view == 0 if name in tissues else (view == 0) | np.isin(view, [numbers[one] for one in tissues])
        view[mask.array & free] = numbers[name]
        names[numbers[name]] = name
    return LabelMap(Volume(array, image.affine, "label"), names, "OpenBCT")


def _structure(bone: str, part: str) -> str:
    """Return a bone's name in label maps."""
    return bone if bone.startswith("femur") else f"{'vertebral_body' if part == 'body' else 'vertebrae'}_{bone}"


def write_labels(labels: LabelMap, path: Path) -> list[Path]:
    """Write a label map for :func:`~openbct.io.read_labels` and for a person's editor; returns the files, the map first.

    Beside the map (``labels.nii.gz``), under the same stem: its names for us (``.toml``, for ``--label-map``), colours and names for 3D Slicer
    (``.ctbl``) and for ITK-SNAP (``.txt``). The map keeps its names in its own header too, which editors drop.

    Raises
    ------
    OutputError
        No room, no permission.
    """
    names = dict(sorted(labels.names.items()))
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    write_bytes(path, nifti_bytes(labels.volume, names))
    texts = {
        ".toml": to_toml({str(number): name for number, name in names.items()}),
        ".ctbl": _slicer_colours(names),
        ".txt": _snap_labels(names),
    }
    for suffix, text in texts.items():
        write_bytes(path.with_name(stem + suffix), text.encode("utf-8"))
    return [path, *(path.with_name(stem + suffix) for suffix in texts)]


def colour(number: int) -> tuple[int, int, int]:
    """Return a label's colour, red, green and blue to 255: neighbouring numbers lie far apart on the wheel."""
    red, green, blue = colorsys.hsv_to_rgb((number * 0.618034) % 1.0, 0.55, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _slicer_colours(names: Mapping[int, str]) -> str:
    """Return 3D Slicer's colour table."""
    rows = [f"{number} {name} {' '.join(map(str, colour(number)))} 255" for number, name in names.items()]
    return "\n".join(["# 3D Slicer colour table: number, name, red, green, blue, opacity", "0 Background 0 0 0 0", *rows]) + "\n"


def _snap_labels(names: Mapping[int, str]) -> str:
    """Return ITK-SNAP's label description."""
    head = "# ITK-SnAP Label Description File\n# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL\n"
    rows = ['    0     0    0    0        0  0  0    "Clear Label"']
    for number, name in names.items():
        red, green, blue = colour(number)
        rows.append(f'{number:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{name}"')
    return head + "\n".join(rows) + "\n"
