"""What we write and read, judged by two independent readers: dcm2niix and highdicom."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from ct_series import ACQUISITION, PATIENT, make_image, write_series
from openbct.io import HeaderKind, Technique, read_scan, write_ct_series, write_enhanced_ct
from openbct.volume import Volume, canonical

REAL = ("thoracolumbar_dicom", "lumbar_sagittal_dicom", "abdomen_jpeg2000_contrast_dicom", "qrm_phantom_dicom")


def dcm2niix(folder: Path, out: Path) -> Volume:
    """Return what dcm2niix makes of a series, in canonical orientation."""
    program = shutil.which("dcm2niix", path=str(Path(sys.executable).parent)) or shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    out.mkdir(exist_ok=True)
    # -m y: one volume whatever the headers; -b n: no sidecar; no crop, no rotation by default.
    subprocess.run([program, "-b", "n", "-m", "y", "-z", "n", "-f", "x", "-o", out, folder], check=True, capture_output=True)
    files = sorted(out.glob("*.nii"))
    assert len(files) == 1, [file.name for file in files]
    image = nib.load(files[0])
    array = np.asanyarray(image.dataobj)
    return canonical(Volume(array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine, "HU"))


def assert_same(ours: Volume, theirs: Volume, *, values: float, place: float = 0.01) -> None:
    assert ours.shape == theirs.shape
    last = np.array(ours.shape) - 1
    for index in ((0, 0, 0), tuple(last), (last[0], 0, last[2])):
        np.testing.assert_allclose(ours.affine @ [*index, 1], theirs.affine @ [*index, 1], atol=place)
    # dcm2niix leaves padding as it is stored; ours is air.
    inside = theirs.array >= -1500
    np.testing.assert_allclose(ours.array[inside], theirs.array[inside], atol=values)
    assert (ours.array[~inside] == -1024).all()


TURNS = [np.eye(3), np.diag([1.0, -1.0, -1.0]), np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])]


@pytest.mark.parametrize("turn", TURNS, ids=["supine", "feet first", "sagittal"])
def test_simulated_series_against_dcm2niix(tmp_path: Path, turn: np.ndarray) -> None:
    write_series(tmp_path / "scan", make_image(turn=turn))
    assert_same(read_scan(tmp_path / "scan").image, dcm2niix(tmp_path / "scan", tmp_path / "out"), values=0)


def test_simulated_series_against_highdicom(tmp_path: Path) -> None:
    """The stricter reader of the two: it takes geometry, spacing and rescale from its own code."""
    highdicom = pytest.importorskip("highdicom")
    paths = write_series(tmp_path / "scan")
    theirs = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in paths])
    ours = read_scan(tmp_path / "scan").image
    # highdicom's axes are slice, row, column.
    array, affine = theirs.array.transpose(2, 1, 0), theirs.affine[:, [2, 1, 0, 3]]
    assert_same(ours, canonical(Volume(array, affine, "HU")), values=0, place=1e-6)


HONEST: tuple[HeaderKind, ...] = ("complete", "poor")
TECHNIQUE = Technique(exposure_mas=80.0, table_height=150.0)


@pytest.mark.parametrize("turn", TURNS, ids=["supine", "feet first", "sagittal"])
@pytest.mark.parametrize("kind", HONEST)
def test_enhanced_file_against_dcm2niix(tmp_path: Path, kind: HeaderKind, turn: np.ndarray) -> None:
    path = tmp_path / "scan" / "one.dcm"
    write_enhanced_ct(make_image(turn=turn), path, patient=PATIENT, acquisition=ACQUISITION, technique=TECHNIQUE, header=kind)
    assert_same(read_scan(path).image, dcm2niix(tmp_path / "scan", tmp_path / "out"), values=0)


@pytest.mark.parametrize("kind", [*HONEST, "wrong"])
def test_classic_headers_against_dcm2niix(tmp_path: Path, kind: HeaderKind) -> None:
    folder = tmp_path / "scan"
    write_ct_series(make_image(), folder, patient=PATIENT, acquisition=ACQUISITION, technique=TECHNIQUE, header=kind)
    assert_same(read_scan(folder).image, dcm2niix(folder, tmp_path / "out"), values=0)


@pytest.mark.parametrize("turn", TURNS, ids=["supine", "feet first", "sagittal"])
@pytest.mark.parametrize("kind", HONEST)
def test_enhanced_file_against_highdicom(tmp_path: Path, kind: HeaderKind, turn: np.ndarray) -> None:
    """It reads the frames by their functional groups and dimensions, and takes the rescale from there."""
    highdicom = pytest.importorskip("highdicom")
    path = tmp_path / "one.dcm"
    write_enhanced_ct(make_image(turn=turn), path, patient=PATIENT, acquisition=ACQUISITION, technique=TECHNIQUE, header=kind)
    theirs = highdicom.imread(path).get_volume(dtype=np.float64, apply_real_world_transform=None, apply_modality_transform=True)
    array, affine = theirs.array.transpose(2, 1, 0), theirs.affine[:, [2, 1, 0, 3]]
    assert_same(read_scan(path).image, canonical(Volume(array, affine, "HU")), values=0, place=1e-6)


def test_a_wrong_header_misleads_other_readers(tmp_path: Path) -> None:
    """The page on writing scans says so: the false distance of slices wins over their positions in an enhanced file."""
    highdicom = pytest.importorskip("highdicom")
    path = tmp_path / "scan" / "one.dcm"
    write_enhanced_ct(make_image(), path, patient=PATIENT, acquisition=ACQUISITION, header="wrong")
    assert read_scan(path).image.spacing[2] == pytest.approx(2.0)
    assert dcm2niix(tmp_path / "scan", tmp_path / "out").spacing[2] == pytest.approx(1.5 * 2.0)
    with pytest.raises(RuntimeError, match="regularly-spaced"):
        highdicom.imread(path).get_volume()


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_series_against_dcm2niix(data_dir: Path, tmp_path: Path, name: str) -> None:
    """Every voxel and the corners. Where the rescale is fractional dcm2niix scales in 32-bit floats: 0.01 HU."""
    if name == "abdomen_jpeg2000_contrast_dicom":
        folder = tmp_path / "plain"
        folder.mkdir()
        for path in sorted((data_dir / name).iterdir()):
            dataset = pydicom.dcmread(path)
            dataset.decompress(generate_instance_uid=False)
            dataset.save_as(folder / path.name)
    else:
        folder = data_dir / name
    ours = read_scan(data_dir / name).image
    assert_same(ours, dcm2niix(folder, tmp_path / "out"), values=0.01, place=0.02)


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_series_against_highdicom(data_dir: Path, name: str) -> None:
    highdicom = pytest.importorskip("highdicom")
    datasets = [pydicom.dcmread(path) for path in sorted((data_dir / name).iterdir())]
    theirs = highdicom.get_volume_from_series(datasets, dtype=np.float32)
    array, affine = theirs.array.transpose(2, 1, 0), theirs.affine[:, [2, 1, 0, 3]]
    assert_same(read_scan(data_dir / name).image, canonical(Volume(array, affine, "HU")), values=0.01, place=0.02)
