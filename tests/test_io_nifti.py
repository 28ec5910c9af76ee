"""Reading NIfTI: hostile files first."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ct_series import make_image
from openbct.errors import OutputError, ScanError
from openbct.io import inspect_path, read_density, read_scan, write_volume
from openbct.volume import Volume

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
AFFINE = np.array([[-0.8, 0, 0, 90], [0, -0.9, 0, 150], [0, 0, 2.0, -700], [0, 0, 0, 1.0]])


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = AFFINE, **codes: int) -> Path:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    if affine is not None:
        image.set_sform(affine, code=codes.get("sform", 1))
        image.set_qform(affine, code=codes.get("qform", 1), strip_shears=True)
    nib.save(image, path)
    return path


def ct() -> np.ndarray:
    return np.asarray(make_image().array)


def refused(path: Path) -> str:
    with pytest.raises(ScanError) as caught:
        read_scan(path)
    text = str(caught.value)
    assert "found" in text and "expected" in text and str(path) not in text
    return text


def test_no_such_file(tmp_path: Path) -> None:
    assert "no file" in refused(tmp_path / "ct.nii.gz")


def test_not_nifti(tmp_path: Path) -> None:
    (tmp_path / "ct.nii").write_bytes(b"not an image" * 100)
    (tmp_path / "ct.nii.gz").write_bytes(b"\x1f\x8b not gzip")
    refused(tmp_path / "ct.nii")
    refused(tmp_path / "ct.nii.gz")


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated(tmp_path: Path, keep: float) -> None:
    path = save(tmp_path / "ct.nii.gz", ct())
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    assert "cannot be read" in refused(path)
    plain = save(tmp_path / "ct.nii", ct())
    plain.write_bytes(plain.read_bytes()[: int(keep * plain.stat().st_size)])
    assert "cannot be read" in refused(plain)


def test_header_that_promises_too_much(tmp_path: Path) -> None:
    path = save(tmp_path / "ct.nii", ct())
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([30000, 30000, 30000], dtype="<i2").tobytes()
    path.write_bytes(content)
    assert "voxels" in refused(path)


def test_no_place_in_the_patient(tmp_path: Path) -> None:
    assert "without sform and qform" in refused(save(tmp_path / "ct.nii.gz", ct(), sform=0, qform=0))


def test_sheared(tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[1, 2] = 2 * np.tan(np.radians(15))
    assert "15.00 degrees off right angles" in refused(save(tmp_path / "ct.nii.gz", ct(), sheared))


def test_two_spacings_in_one_header(tmp_path: Path) -> None:
    path = save(tmp_path / "ct.nii.gz", ct())
    image = nib.load(path)
    other = AFFINE.copy()
    other[:3, 2] *= 1.25
    image.set_sform(other, code=1)
    nib.save(image, path)
    assert "[0.8, 0.9, 2.5]" in refused(path)


def test_two_places_in_one_header(tmp_path: Path) -> None:
    path = save(tmp_path / "ct.nii.gz", ct())
    image = nib.load(path)
    other = AFFINE.copy()
    other[0, 3] += 12.0
    image.set_sform(other, code=1)
    nib.save(image, path)
    scan = read_scan(path)
    assert any("12.0 mm apart; sform was used" in caution for caution in scan.step.cautions)
    assert scan.image.affine[0, 3] == pytest.approx(-102.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number(tmp_path: Path, bad: float) -> None:
    array = ct().astype(np.float32)
    array[3, 4, 5:7] = bad
    assert "2 voxels that are NaN or infinite" in refused(save(tmp_path / "ct.nii.gz", array))


def test_four_dimensions(tmp_path: Path) -> None:
    assert "three dimensions" in refused(save(tmp_path / "a.nii.gz", np.stack([ct(), ct()], axis=-1)))
    assert read_scan(save(tmp_path / "b.nii.gz", ct()[..., None])).image.shape == (24, 20, 12)


def test_colour(tmp_path: Path) -> None:
    rgb = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "plain numbers" in refused(save(tmp_path / "ct.nii.gz", rgb))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0, 255, "from 0 to 255"), (0, 1, "from 0 to 1"), (-200, 150, "with air"), (-1000, 150, None), (-300, 900, None)],
)
def test_values_that_are_no_hu(tmp_path: Path, low: int, high: int, said: str | None) -> None:
    array = np.linspace(low, high, 24 * 20 * 12).reshape(24, 20, 12).astype(np.int16)
    path = save(tmp_path / "ct.nii.gz", array)
    if said:
        assert said in refused(path)
    else:
        assert any("no air" in caution or "no cortical bone" in caution for caution in read_scan(path).step.cautions)


def test_density_that_is_something_else(tmp_path: Path) -> None:
    array = np.linspace(-0.1, 1.4, 24 * 20 * 12).reshape(24, 20, 12).astype(np.float32)
    with pytest.raises(ScanError, match="multiply g/cm3 by 1000"):
        read_density(save(tmp_path / "g.nii.gz", array))
    with pytest.raises(ScanError, match="an image in HU"):
        read_density(save(tmp_path / "hu.nii.gz", ct()))


def test_density_carries_its_mineral(tmp_path: Path) -> None:
    array = np.linspace(-100, 1400, 24 * 20 * 12).reshape(24, 20, 12).astype(np.float32)
    path = save(tmp_path / "d.nii.gz", array)
    assert read_density(path).image.unit == "mg/cm3 K2HPO4"
    scan = read_density(path, mineral="CHA")
    assert scan.image.unit == "mg/cm3 CHA" and "mg/cm3 CHA" in scan.step.sentence
    np.testing.assert_array_equal(scan.image.array, array)


def test_round_trip_and_handedness(tmp_path: Path) -> None:
    """LPS in, RAS in the file, LPS out; the file's affine is what others read."""
    image = make_image()
    write_volume(image, tmp_path / "ct.nii.gz")
    scan = read_scan(tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(scan.image.array, image.array)
    np.testing.assert_allclose(scan.image.affine, image.affine, atol=1e-5)
    assert scan.image.array.dtype == np.int16
    np.testing.assert_allclose(nib.load(tmp_path / "ct.nii.gz").affine, RAS @ image.affine, atol=1e-5)
    assert nib.aff2axcodes(nib.load(tmp_path / "ct.nii.gz").affine) == ("L", "P", "S")


def test_ras_file_comes_out_canonical(tmp_path: Path) -> None:
    image = make_image()
    flipped = image.array[::-1, ::-1]
    affine = image.affine @ np.array([[-1, 0, 0, 23], [0, -1, 0, 19], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    scan = read_scan(save(tmp_path / "ct.nii.gz", np.ascontiguousarray(flipped), RAS @ affine))
    np.testing.assert_array_equal(scan.image.array, image.array)
    np.testing.assert_allclose(scan.image.affine, image.affine, atol=1e-5)


def test_scaled_values(tmp_path: Path) -> None:
    """scl_slope and scl_inter are honoured; without them integers stay integers."""
    path = save(tmp_path / "ct.nii", (ct() + 1024).astype(np.int16))
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([0.5, -512.0], dtype="<f4").tobytes()
    path.write_bytes(content)
    scan = read_scan(path)
    np.testing.assert_allclose(scan.image.array, (ct() + 1024) * 0.5 - 512)
    assert scan.image.array.dtype == np.float32


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1e-3), ("meter", 1e3)])
def test_lengths_in_other_units(tmp_path: Path, unit: str, factor: float) -> None:
    spacing = np.array([0.5, 0.5, 0.75]) / factor
    image = nib.Nifti1Image(ct(), np.diag([*spacing, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "ct.nii")
    scan = read_scan(tmp_path / "ct.nii")
    np.testing.assert_allclose(scan.image.spacing, [0.5, 0.5, 0.75], rtol=1e-5)
    assert any(f"lengths in {unit}" in caution for caution in scan.step.cautions)


def test_large_integers_become_floats(tmp_path: Path) -> None:
    array = ct().astype(np.int32)
    array[0, 0, 0] = 40000
    scan = read_scan(save(tmp_path / "ct.nii.gz", array))
    assert scan.image.array.dtype == np.float32 and scan.image.array.max() == 40000


def test_digest_sees_voxels_and_place(tmp_path: Path) -> None:
    first = read_scan(save(tmp_path / "a.nii.gz", ct()))
    assert read_scan(save(tmp_path / "b.nii", ct())).digest == first.digest
    changed = ct().copy()
    changed[5, 5, 5] += 1
    moved = AFFINE.copy()
    moved[2, 3] += 0.001
    assert read_scan(save(tmp_path / "c.nii.gz", changed)).digest != first.digest
    assert read_scan(save(tmp_path / "d.nii.gz", ct(), moved)).digest != first.digest


def test_same_volume_same_bytes(tmp_path: Path) -> None:
    write_volume(make_image(), tmp_path / "a.nii.gz")
    write_volume(make_image(), tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.nii.gz").read_bytes())[344:347] == b"n+1"


def test_mirrored_specimen_keeps_its_place(tmp_path: Path) -> None:
    affine = make_image().affine @ np.diag([-1.0, 1, 1, 1])
    write_volume(Volume(ct(), affine, "HU"), tmp_path / "m.nii.gz")
    np.testing.assert_allclose(nib.load(tmp_path / "m.nii.gz").affine, RAS @ affine, atol=1e-5)
    image = nib.load(tmp_path / "m.nii.gz")
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)


def test_no_permission(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="found no way to write"):
        write_volume(make_image(), tmp_path / "file" / "a.nii.gz")


def test_inspect(tmp_path: Path) -> None:
    entry = inspect_path(save(tmp_path / "ct.nii.gz", ct()))[0]
    assert (entry.verdict, entry.n_slices, entry.orientation) == ("usable with cautions", 12, "axial")
    assert entry.spacing_mm == (0.8, 0.9, 2.0) and entry.matrix == (24, 20)
    bad = inspect_path(save(tmp_path / "bad.nii.gz", np.zeros((4, 4, 4), np.uint8)))[0]
    assert bad.verdict == "refused" and "expected HU" in bad.reasons[0]


@pytest.mark.data
def test_real_images(data_dir: Path) -> None:
    scan = read_scan(data_dir / "abdomen_pelvis" / "ct.nii.gz")
    assert scan.image.shape == (122, 101, 112) and scan.image.array.dtype == np.int16
    np.testing.assert_allclose(scan.image.spacing, 3.0, atol=1e-4)
    stored = nib.load(data_dir / "abdomen_pelvis" / "ct.nii.gz")
    # the file runs to the right... anterior: canonical flips both
    np.testing.assert_array_equal(scan.image.array, np.asanyarray(stored.dataobj)[::-1, ::-1])
    vertebra = read_density(data_dir / "vertebra_l2" / "density.nii.gz")
    assert vertebra.image.shape == (100, 89, 74) and vertebra.image.unit == "mg/cm3 K2HPO4"
    hip = read_density(data_dir / "hip_crop" / "density.nii.gz")
    np.testing.assert_allclose(hip.image.spacing, [0.8184, 0.8184, 0.9], atol=1e-3)
