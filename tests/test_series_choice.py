# ruff: noqa: F811  (a fixture is imported and then named as a parameter)
"""Which series of a study is taken: every criterion with a pair that differs in nothing else, and what is said of it."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from ct_series import ACQUISITION, PATIENT, make_image
from openbct.errors import ScanError
from openbct.io import inspect_path, read_scan, write_ct_series
from openbct.io.kernels import classify_kernel
from openbct.volume import Volume
from small_scans import Command, openbct  # noqa: F401  a fixture

STUDY = generate_uid()


def add(
    folder: Path, number: int, image: Volume | None = None, *, study: str = STUDY, thickness: float = 2.0, **extra: object
) -> None:
    """Write one more series of a study."""
    acquisition = replace(ACQUISITION, slice_thickness=thickness)
    more = {
        "SeriesNumber": number, "SeriesInstanceUID": generate_uid(), "StudyInstanceUID": study, "PatientID": "SECRETNAME1",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], **extra,
    }  # fmt: skip
    write_ct_series(image or make_image(), folder / f"s{number}", patient=PATIENT, acquisition=acquisition, extra=more)


def stretched(step: float, count: int = 12) -> Volume:
    """Return the small CT with other slices."""
    image = make_image((24, 20, count))
    affine = image.affine.copy()
    affine[2, 2] = step
    return Volume(image.array, affine, "HU")


def sagittal() -> Volume:
    """Return the small CT, its slices stacked from left to right."""
    turn = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return make_image(turn=turn)


@pytest.mark.parametrize(
    ("worse", "said"),
    [
        ({"image": sagittal()}, "sagittal"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "derived or processed"),
        ({"ConvolutionKernel": "Br64f"}, "sharp kernel Br64f"),
        ({"image": stretched(4.0), "thickness": 4.0}, "slices of 4.00 mm"),
        ({"image": stretched(2.0, 7)}, "covers 12 of 22 mm"),
        ({"ContrastBolusAgent": "OMNIPAQUE"}, "contrast agent"),
        ({"image": stretched(2.5, 10), "thickness": 2.5}, "slices of 2.50 mm"),
    ],
    ids=["orientation", "derived", "kernel", "thick", "short", "contrast", "thinner"],
)
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_better_series_is_taken(tmp_path: Path, worse: dict[str, object], said: str, order: tuple[int, int]) -> None:
    good, poor = order
    add(tmp_path, good)
    add(tmp_path, poor, **worse)  # type: ignore[arg-type]
    scan = read_scan(tmp_path)
    assert f"series, {good} was taken" in scan.step.sentence and f"series {poor}: {said}" in scan.step.sentence
    entries = {entry.name: entry for entry in inspect_path(tmp_path)}
    assert (entries[str(good)].use, entries[str(poor)].use) == ("use", "usable")
    assert said in entries[str(poor)].why and "soft kernel Br38f" in entries[str(good)].why
    assert read_scan(tmp_path, series=str(poor)).step.sentence.endswith(f"Series {poor} of 2 was asked for by name.")


def test_plain_three_millimetres_come_before_thin_contrast(tmp_path: Path) -> None:
    add(tmp_path, 1, stretched(1.0, 34), thickness=1.0, ContrastBolusAgent="OMNIPAQUE")
    add(tmp_path, 2, stretched(3.0), thickness=3.0)
    assert "2 was taken" in read_scan(tmp_path).step.sentence


def test_thin_contrast_comes_before_plain_five_millimetres(tmp_path: Path) -> None:
    add(tmp_path, 1, stretched(1.0, 34), thickness=1.0, ContrastBolusAgent="OMNIPAQUE")
    add(tmp_path, 2, stretched(5.0, 8), thickness=5.0)
    assert "1 was taken" in read_scan(tmp_path).step.sentence


def test_two_phases_alike_are_said(tmp_path: Path) -> None:
    for number in (3, 4):
        add(tmp_path, number, ContrastBolusAgent="OMNIPAQUE")
    scan = read_scan(tmp_path)
    assert any("series 3 was taken, but series 4 has the same" in caution for caution in scan.step.cautions)
    assert "series 4: alike" in scan.step.sentence


def test_no_tie_where_one_kernel_is_sharp(tmp_path: Path) -> None:
    add(tmp_path, 3)
    add(tmp_path, 4, ConvolutionKernel="B70f")
    assert not any("two phases" in caution for caution in read_scan(tmp_path).step.cautions)


def test_several_studies_are_never_chosen_from(tmp_path: Path) -> None:
    add(tmp_path, 1)
    add(tmp_path, 2, study=generate_uid(), ConvolutionKernel="B70f")
    with pytest.raises(ScanError, match=r"2 usable series of 2 studies.*choose one with --series") as caught:
        read_scan(tmp_path)
    assert "SECRET" not in str(caught.value)
    assert {entry.use for entry in inspect_path(tmp_path)} == {"usable"}
    assert read_scan(tmp_path, series="2").acquisition.kernel == "B70f"


@pytest.mark.parametrize(
    ("step", "pixel", "fits"), [(6.0, 0.8, True), (6.2, 0.8, False), (2.0, 5.0, True), (2.0, 5.2, False)], ids=str
)
def test_voxels_too_large_for_a_bone_are_refused(tmp_path: Path, step: float, pixel: float, fits: bool) -> None:
    affine = np.diag([pixel, pixel, step, 1.0])
    add(tmp_path, 1, Volume(make_image().array, affine, "HU"), thickness=step)
    if fits:
        assert read_scan(tmp_path).image.shape == (24, 20, 12)
        return
    (entry,) = inspect_path(tmp_path)
    assert (entry.use, entry.verdict) == ("no", "refused") and "expected at most" in entry.why
    for series in (None, "1"):
        with pytest.raises(ScanError, match="export the thin reconstruction"):
            read_scan(tmp_path, series=series)


def test_a_refused_series_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    add(tmp_path, 1, stretched(10.0, 5), thickness=10.0)
    add(tmp_path, 2)
    scan = read_scan(tmp_path)
    assert "Not used: series 1 (5 images)" in scan.step.sentence
    assert {entry.name: entry.use for entry in inspect_path(tmp_path)} == {"1": "no", "2": "use"}


def test_zip_and_json(openbct: Command, tmp_path: Path) -> None:
    add(tmp_path / "study", 1)
    add(tmp_path / "study", 2, ConvolutionKernel="Br64f")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in sorted((tmp_path / "study").rglob("*.dcm")):
            archive.write(path, path.relative_to(tmp_path))
    listed = openbct("inspect", tmp_path / "study.zip", "--json").json["series"]
    assert [(entry["name"], entry["use"]) for entry in listed] == [("1", "use"), ("2", "usable")]
    said = openbct("inspect", tmp_path / "study.zip").out
    assert (
        "series 1: use (axial, original, soft kernel Br38f" in said and "series 2: usable (not taken: sharp kernel Br64f)" in said
    )


@pytest.mark.parametrize(
    ("maker", "kernel", "kind"),
    [
        ("SIEMENS", "B30f", "soft"), ("SIEMENS", "B49f", "soft"), ("SIEMENS", "B50f", "sharp"), ("Siemens Healthineers", "Br60f/3", "sharp"),
        ("SIEMENS", "I30f/3", "soft"), ("SIEMENS", "Qr40d", "soft"), ("SIEMENS", "own name", "unknown"),
        ("GE MEDICAL SYSTEMS", "STANDARD", "soft"), ("GE MEDICAL SYSTEMS", "BONEPLUS", "sharp"), ("GE MEDICAL SYSTEMS", "HD LUNG", "sharp"),
        ("Philips", "B", "soft"), ("Philips", "YB", "sharp"), ("Philips", "YA", "soft"), ("Philips", "Zz", "unknown"),
        ("TOSHIBA", "FC08", "soft"), ("TOSHIBA", "FC18", "soft"), ("TOSHIBA", "FC30", "sharp"), ("TOSHIBA", "FC3", "unknown"),
        ("Canon Medical Systems", "FC52", "sharp"), ("UIH", "B_SOFT_B", "soft"), ("UIH", "B_SHARP_C", "sharp"),
        (None, "Br64f", "sharp"), (None, "FC13", "soft"), (None, "B", "unknown"), ("Someone", "BONE", "sharp"), ("Siemens", None, "unknown"),
    ],
)  # fmt: skip
def test_kernels(maker: str | None, kernel: str | None, kind: str) -> None:
    assert classify_kernel(maker, kernel) == kind
