"""The real series: what is in them, and what we say of their headers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openbct.io import inspect_path, read_scan

pytestmark = pytest.mark.data


def said(cautions: tuple[str, ...], *wanted: str) -> None:
    for words in wanted:
        assert any(words in caution for caution in cautions), (words, cautions)


def test_poor_header(data_dir: Path) -> None:
    """An almost empty header: everything missing is named once, and fractional HU survive."""
    scan = read_scan(data_dir / "thoracolumbar_dicom")
    assert scan.image.shape == (217, 217, 168) and scan.image.array.dtype == np.float32
    np.testing.assert_allclose(scan.image.affine, [[3, 0, 0, -325], [0, 3, 0, -354.8], [0, 0, 2.5, -300.5], [0, 0, 0, 1]])
    assert scan.image.array.min() == -1024
    said(scan.step.cautions, "tube voltage (kVp), kernel, manufacturer, scanner model", "derived, not original")
    assert scan.acquisition.kvp is None and scan.patient.sex is None and scan.patient.age is None


def test_sagittal_sharp_reformat(data_dir: Path) -> None:
    scan = read_scan(data_dir / "lumbar_sagittal_dicom")
    # slices run left to right: they become the first axis, slightly oblique
    assert scan.image.shape == (38, 512, 512)
    np.testing.assert_allclose(scan.image.spacing, [3.0, 0.633, 0.633], atol=1e-3)
    direction = scan.image.affine[:3, :3] / scan.image.spacing
    assert np.degrees(np.arccos(direction[0, 0])) == pytest.approx(1.27, abs=0.02)
    said(scan.step.cautions, "reformatting (MPR)", "sagittal", "kernel FC30 is a sharp one")
    assert "15.0 % of the image" in scan.step.sentence and scan.image.array.min() >= -1500
    assert (scan.patient.sex, scan.patient.age, scan.acquisition.kvp) == ("M", 42.0, 120.0)
    # the spine is in the image the right way up: air (lungs, outside) is no more than bone-free; bone is there
    assert np.count_nonzero(scan.image.array > 300) > 50_000


def test_compressed_with_contrast(data_dir: Path) -> None:
    scan = read_scan(data_dir / "abdomen_jpeg2000_contrast_dicom")
    assert scan.image.shape == (512, 512, 20) and scan.image.spacing[2] == pytest.approx(2.0), "step, not the 3 mm thickness"
    said(scan.step.cautions, "names a contrast agent")
    assert scan.acquisition.contrast == "APPLIED" and scan.acquisition.kernel == "Br38f/3"


def test_phantom_rods(data_dir: Path) -> None:
    """Known materials at known indices: 200 mg HA/cm3 reads about 312 HU, water about 32 HU, the insert around it 72 HU."""
    scan = read_scan(data_dir / "qrm_phantom_dicom")
    assert scan.image.shape == (512, 512, 47)
    rod = scan.image.array[256:261, 216:221, 31:34]
    water = scan.image.array[239:244, 175:180, 31:34]
    assert rod.mean() == pytest.approx(312, abs=10) and water.mean() == pytest.approx(32, abs=15)


@pytest.mark.parametrize(
    ("name", "orientation", "count"),
    [
        ("thoracolumbar_dicom", "axial", 168),
        ("lumbar_sagittal_dicom", "sagittal", 38),
        ("abdomen_jpeg2000_contrast_dicom", "axial", 20),
        ("qrm_phantom_dicom", "axial", 47),
    ],
)
def test_inspect(data_dir: Path, name: str, orientation: str, count: int) -> None:
    (entry,) = inspect_path(data_dir / name)
    assert (entry.orientation, entry.n_slices, entry.verdict) == (orientation, count, "usable with cautions")
    assert "TEST" not in repr(entry)
    assert entry.contrast == (name == "abdomen_jpeg2000_contrast_dicom")


def test_all_series_together_must_be_chosen_from(data_dir: Path) -> None:
    """A folder of four studies: three usable ones are listed by number, and each can be read by it."""
    entries = inspect_path(data_dir)
    assert {entry.name for entry in entries} >= {"5", "29", "1"} and len(entries) == 4
    assert read_scan(data_dir, series="29").image.shape == (512, 512, 47)
