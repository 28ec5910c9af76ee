"""A small CT with structure, and DICOM series of it with one thing wrong: shared by the tests of reading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom

from openbct.io import write_ct_series
from openbct.records import Acquisition, Patient
from openbct.volume import Volume

SECRET = "SECRETNAME"
"""Stands in every identifying element; must never come out in a message."""
PATIENT = Patient(
    name=f"{SECRET}^ANNA", identifier=f"{SECRET}1", birth_date="1950-03-01", sex="F", height_cm=160.0, weight_kg=62.0
)
ACQUISITION = Acquisition(
    kvp=120.0,
    kernel="Br38f",
    slice_thickness=2.0,
    manufacturer="SIEMENS",
    model="Some CT",
    study_date="2020-03-01",
    accession_number=f"{SECRET}2",
    referring_physician=f"{SECRET}^DOC",
)
SPACING = np.array([0.8, 0.9, 2.0])


def make_image(shape: tuple[int, int, int] = (24, 20, 12), turn: np.ndarray | None = None) -> Volume:
    """Return an asymmetric body in air with bone, each voxel distinguishable from its mirror image."""
    i, j, k = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    body = ((i - shape[0] / 2) / (0.42 * shape[0])) ** 2 + ((j - shape[1] / 2) / (0.42 * shape[1])) ** 2 < 1
    array = np.where(body, 20 + i + 2 * j + 3 * k, -1000).astype(np.int16)
    array[shape[0] // 2 - 2 : shape[0] // 2 + 3, shape[1] // 2 : shape[1] // 2 + 4, 2:] = 400 + 5 * k[0, 0, 2:]
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) * SPACING
    affine[:3, 3] = (-90.0, -150.5, -700.25)
    return Volume(array, affine, "HU")


def write_series(folder: Path, image: Volume | None = None, **extra: object) -> list[Path]:
    """Write the small CT, with further header elements."""
    return write_ct_series(image or make_image(), folder, patient=PATIENT, acquisition=ACQUISITION, extra=extra)


def edit(path: Path, change: Callable[[pydicom.Dataset], object]) -> None:
    """Change one file's data set in place."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
