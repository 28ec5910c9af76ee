"""Reading DICOM: hostile series first, then what must come out of good ones."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from ct_series import ACQUISITION, PATIENT, SECRET, SPACING, edit, make_image, write_series
from openbct.errors import ScanError
from openbct.io import archive, inspect_path, read_scan, series, write_ct_series
from openbct.records import Acquisition, Patient


def refused(path: Path, **options: str) -> str:
    """Return the refusal, which must be complete and must not tell whose scan it is."""
    with pytest.raises(ScanError) as caught:
        read_scan(path, **options)
    text = str(caught.value)
    assert text.count("found") >= 1 and "expected" in text, text
    assert SECRET not in text and caught.value.__cause__ is None
    assert str(path) not in text
    return text


def set_all(paths: list[Path], **values: object) -> None:
    for path in paths:
        edit(path, lambda dataset: [setattr(dataset, key, value) for key, value in values.items()])


# Nothing to read ---------------------------------------------------------------------------------------------


def test_nothing_there(tmp_path: Path) -> None:
    assert "nothing at the given path" in refused(tmp_path / SECRET)


def test_folder_without_dicom(tmp_path: Path) -> None:
    (tmp_path / f"{SECRET}.txt").write_text("notes")
    (tmp_path / "image.nii.gz").write_bytes(b"1234")
    text = refused(tmp_path)
    assert "2 files" in text and "1 .txt" in text and "without a DICOM image" in text


def test_empty_folder(tmp_path: Path) -> None:
    assert "found no files in the folder or zip; expected" in refused(tmp_path)


def test_reports_and_indexes_are_passed_over(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    (tmp_path / "readme.txt").write_text("x")
    report = pydicom.dcmread(paths[0])
    for key in ("PixelData", "Rows", "Columns", "BitsAllocated"):
        del report[key]
    report.Modality, report.SeriesInstanceUID = "SR", generate_uid()
    report.save_as(tmp_path / "report.dcm")
    step = read_scan(tmp_path).step
    assert "1 files that are not DICOM" in step.sentence and "1 DICOM objects without an image" in step.sentence


# A damaged stack ---------------------------------------------------------------------------------------------


def test_one_slice_missing(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    paths[5].unlink()
    scan = read_scan(tmp_path)
    (told,) = [caution for caution in scan.step.cautions if "missing" in caution]
    assert "1 missing slice" in told and "between slices 5 and 6 of 11" in told and "4.00 mm" in told and "2.00 mm" in told
    assert scan.image.shape[2] == 12 and len(scan.gaps) == 1


def test_several_slices_missing(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    for index in (3, 7, 8):
        paths[index].unlink()
    scan = read_scan(tmp_path)
    assert any("3 missing slice(s) in 2 place(s)" in caution for caution in scan.step.cautions) and len(scan.gaps) == 2
    paths[4].unlink()
    assert "about 4 missing slices" in refused(tmp_path)


def test_uneven_steps(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    for k, path in enumerate(paths):
        edit(path, lambda d, k=k: setattr(d, "ImagePositionPatient", [-90, -150.5, -700.25 + 2 * k + 0.8 * (k % 2)]))
    assert "slice steps from 1.200 to 2.800 mm" in refused(tmp_path)


@pytest.mark.parametrize("jitter", [0.05, 0.3])
def test_one_slice_off_its_place(tmp_path: Path, jitter: float) -> None:
    paths = write_series(tmp_path)
    edit(paths[6], lambda d: setattr(d, "ImagePositionPatient", [-90, -150.5, -700.25 + 12 + jitter]))
    scan = read_scan(tmp_path)
    assert scan.image.spacing[2] == pytest.approx(2.0, abs=0.01)
    assert any("unevenly" in caution for caution in scan.step.cautions) == (jitter > 0.1)


@pytest.mark.parametrize("angle", [15.0, 2.5])
def test_gantry_tilt_that_the_header_denies(tmp_path: Path, angle: float) -> None:
    """A tilt that other readers flatten silently (2.5 degrees)."""
    paths = write_series(tmp_path, GantryDetectorTilt=0)
    shear = np.tan(np.radians(angle))
    for k, path in enumerate(paths):
        edit(path, lambda d, k=k: setattr(d, "ImagePositionPatient", [-90, round(-150.5 + 2 * k * shear, 6), -700.25 + 2 * k]))
    assert f"{angle:.2f} degrees" in refused(tmp_path)


def test_copies_are_dropped_with_a_caution(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "scan")
    whole = read_scan(tmp_path / "scan")
    shutil.copy(paths[4], tmp_path / "scan" / "copy.dcm")
    scan = read_scan(tmp_path / "scan")
    assert scan.digest == whole.digest
    assert any("1 slices were exact copies" in caution for caution in scan.step.cautions)


def test_two_images_at_one_position(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    shutil.copy(paths[4], tmp_path / "copy.dcm")
    edit(tmp_path / "copy.dcm", lambda d: setattr(d, "PixelData", bytes(len(d.PixelData))))
    assert "1 slices at positions that another slice" in refused(tmp_path)


def test_mixed_orientation(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    edit(paths[3], lambda d: setattr(d, "ImageOrientationPatient", [0, 1, 0, 0, 0, -1]))
    assert "mixed orientation" in refused(tmp_path)


def test_one_slice_turned_a_little(tmp_path: Path) -> None:
    image = make_image((300, 200, 6))
    paths = write_series(tmp_path, image)
    angle = 0.003
    turned = [np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0]
    edit(paths[3], lambda d: setattr(d, "ImageOrientationPatient", [f"{x:.10f}" for x in turned]))
    assert "slice 4 of 6" in refused(tmp_path)


def test_mixed_sizes(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", make_image((30, 20, 12)))
    text = refused(tmp_path)
    assert "2 sizes" in text and "20 x 24" in text and "20 x 30" in text


def test_mixed_pixel_spacing(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    edit(paths[0], lambda d: setattr(d, "PixelSpacing", [0.9, 0.9]))
    assert "2 sizes" in refused(tmp_path)


def test_two_frames_of_reference(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    edit(paths[0], lambda d: setattr(d, "FrameOfReferenceUID", generate_uid()))
    assert "2 frames of reference" in refused(tmp_path)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_slices(tmp_path: Path, count: int) -> None:
    for path in write_series(tmp_path)[count:]:
        path.unlink()
    assert f"found {count} slice" in refused(tmp_path)


# Headers that do not describe HU -----------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["RescaleSlope", "RescaleIntercept"])
def test_no_rescale(tmp_path: Path, missing: str) -> None:
    paths = write_series(tmp_path)
    edit(paths[2], lambda d: d.__delitem__(missing))
    assert "1 of 12 slices without a usable RescaleSlope" in refused(tmp_path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"RescaleSlope": 0}, "RescaleSlope"),
        ({"RescaleType": "OD"}, "not rescaled to HU"),
        ({"Modality": "MR"}, "modality MR"),
        ({"Modality": SECRET}, "none or unknown"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "projections"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME2"),
        ({"ImagePositionPatient": None}, "without ImagePositionPatient"),
        ({"ImageOrientationPatient": None}, "without ImageOrientationPatient"),
        ({"PixelSpacing": None}, "without PixelSpacing"),
        ({"PixelSpacing": [0, 0]}, "pixel spacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.1, 0.9, 0]}, "direction cosines"),
    ],
)
def test_headers_without_sections_in_hu(tmp_path: Path, header: dict[str, object], said: str) -> None:
    write_series(tmp_path, **header)
    assert said in refused(tmp_path)


def test_rescale_of_each_slice_is_used(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    image = make_image()
    for k, path in enumerate(paths):

        def change(dataset: pydicom.Dataset, k: int = k) -> None:
            stored = image.array[:, :, k].T.astype(np.int32) - 10 * k
            dataset.RescaleIntercept = 10 * k
            dataset.PixelData = stored.astype("<i2").tobytes()

        edit(path, change)
    scan = read_scan(tmp_path)
    assert scan.image.array.dtype == np.int16
    np.testing.assert_array_equal(scan.image.array, image.array)
    assert any("rescale changes between slices (12 pairs" in caution for caution in scan.step.cautions)


def test_fractional_rescale_gives_float32(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    set_all(paths, RescaleSlope="0.5", RescaleIntercept="-512.25")
    scan = read_scan(tmp_path)
    assert scan.image.array.dtype == np.float32
    np.testing.assert_allclose(scan.image.array, (make_image().array + 1024) * 0.5 - 512.25)


# Padding and unused bits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("declared", "stored"), [(-2000, -2000), (63536, -2000), (None, -2000), (None, -3000 + 1024)])
def test_padding_becomes_air(tmp_path: Path, declared: int | None, stored: int) -> None:
    """Declared (also in the wrong sign) or not, padding is air, and the sentence says how much there was."""
    paths = write_series(tmp_path)
    image = make_image()
    for path in paths:

        def change(dataset: pydicom.Dataset) -> None:
            array = dataset.pixel_array.copy()
            array[:2] = stored
            dataset.PixelData = array.astype("<i2").tobytes()
            if declared is not None:
                dataset.add_new("PixelPaddingValue", "US" if declared > 0 else "SS", declared)

        edit(path, change)
    scan = read_scan(tmp_path)
    assert (scan.image.array[:, :2] == -1024).all()
    np.testing.assert_array_equal(scan.image.array[:, 2:], image.array[:, 2:])
    assert "10.0 % of the image" in scan.step.sentence


def test_padding_value_that_means_water_is_not_believed(tmp_path: Path) -> None:
    """Some headers declare 0 as padding where 0 is tissue: taking it would punch holes into the body."""
    write_series(tmp_path, PixelPaddingValue=1024 + 50)
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.image.array, make_image().array)
    assert any("declare a padding value that means tissue" in caution for caution in scan.step.cautions)


def test_overlay_in_unused_bits(tmp_path: Path) -> None:
    """Old files keep an overlay in the bits above BitsStored."""
    paths = write_series(tmp_path)
    for path in paths:

        def change(dataset: pydicom.Dataset) -> None:
            stored = dataset.pixel_array.astype(np.uint16)
            dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
            stored[3, 3] |= 0x8000
            dataset.PixelData = stored.astype("<u2").tobytes()

        edit(path, change)
    np.testing.assert_array_equal(read_scan(tmp_path).image.array, make_image().array)


# Damaged files -----------------------------------------------------------------------------------------------


def test_truncated_pixel_data(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    content = paths[3].read_bytes()
    paths[3].write_bytes(content[:-200])
    assert "InstanceNumber 4" in refused(tmp_path)


@pytest.mark.parametrize("length", [140, 200, 400, 700])
def test_truncated_header(tmp_path: Path, length: int) -> None:
    paths = write_series(tmp_path)
    paths[3].write_bytes(paths[3].read_bytes()[:length])
    try:
        scan = read_scan(tmp_path)
    except ScanError as error:
        assert SECRET not in str(error)
    else:  # what is left of the file names no series: its slice is missing
        assert len(scan.gaps) == 1 and "Not used" in scan.step.sentence


def test_random_damage_never_gives_a_number_from_another_place(tmp_path: Path) -> None:
    """Any byte of a header may be wrong: the outcome is a refusal, or the scan as it was or with other facts, never a crash."""
    paths = write_series(tmp_path / "scan")
    good = read_scan(tmp_path / "scan")
    content = paths[5].read_bytes()
    rng = np.random.default_rng(1)
    end = content.index(b"\xe0\x7f\x10\x00")
    outcomes = set()
    for _ in range(40):
        damaged = bytearray(content)
        for place in rng.integers(128, end, 3):
            damaged[place] = rng.integers(0, 256)
        paths[5].write_bytes(damaged)
        try:
            scan = read_scan(tmp_path / "scan")
        except ScanError as error:
            assert SECRET not in str(error)
            outcomes.add("refused")
            continue
        np.testing.assert_allclose(scan.image.affine, good.image.affine, atol=0.1)
        outcomes.add("read")
    assert outcomes == {"refused", "read"}


def test_absurd_dimensions_are_refused_before_decoding(tmp_path: Path) -> None:
    write_series(tmp_path, Rows=65535, Columns=65535)
    refused(tmp_path)


def test_deflated_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_series(tmp_path)
    monkeypatch.setattr(series, "MAX_DATASET_BYTES", 2**20)
    dataset = pydicom.dcmread(paths[0])
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.add_new(0x00091010, "OB", bytes(4_000_000))
    dataset.save_as(paths[0])
    assert paths[0].stat().st_size < 100_000
    assert "deflated" in refused(tmp_path)


def test_private_values_reach_no_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Values in the wrong place make pydicom warn and quote them: neither screen, warning nor caution may show them."""
    paths = write_series(tmp_path, StudyDate=None)
    study = pydicom.dcmread(paths[0]).StudyInstanceUID
    for path in paths:
        content = path.read_bytes().replace(b"19500301", b"SECRETNA")
        path.write_bytes(content.replace(study.encode(), SECRET.ljust(len(study), "X").encode()))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")  # "error" would make an exception that reading takes for an absent value
        scan = read_scan(tmp_path)
        summary = inspect_path(tmp_path)
    assert warned == []
    told = " ".join([scan.source, scan.step.sentence, *scan.step.cautions, repr(summary)])
    output = capfd.readouterr()
    assert "SECRET" not in told + output.out + output.err
    assert scan.acquisition.study_uid is None
    assert scan.patient.birth_date is None and SECRET in (scan.patient.name or "")


# Archives ----------------------------------------------------------------------------------------------------


def zip_of(paths: list[Path], target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive_:
        for path in paths:
            archive_.write(path, f"{prefix}{path.name}")
    return target


def test_zip_equals_folder(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "scan")
    archived = zip_of(paths, tmp_path / "scan.zip", "deep/er/")
    assert read_scan(archived).digest == read_scan(tmp_path / "scan").digest


def test_zip_with_hostile_names_writes_nothing(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in" / "scan")
    archived = zip_of(paths, tmp_path / "in" / "scan.zip", "../../../")
    before = sorted(tmp_path.rglob("*"))
    read_scan(archived)
    assert sorted(tmp_path.rglob("*")) == before


def test_broken_zip(tmp_path: Path) -> None:
    archived = zip_of(write_series(tmp_path / "scan"), tmp_path / "scan.zip")
    archived.write_bytes(archived.read_bytes()[:-300])
    assert "zip archive that cannot be opened" in refused(archived)


def test_zip_with_damaged_member(tmp_path: Path) -> None:
    archived = zip_of(write_series(tmp_path / "scan"), tmp_path / "scan.zip")
    content = bytearray(archived.read_bytes())
    content[2000:2100] = bytes(100)
    archived.write_bytes(content)
    refused(archived)


def test_zip_beyond_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archived = zip_of(write_series(tmp_path / "scan"), tmp_path / "scan.zip")
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 5000)
    assert "unpacked" in refused(archived)
    monkeypatch.setattr(archive, "MAX_FILES", 5)
    assert "more than 5 files" in refused(archived)
    assert "more than 5 files" in refused(tmp_path / "scan")


def test_zip_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert "without a DICOM image" in refused(zip_of([tmp_path / "a.txt"], tmp_path / "x.zip"))


# Choosing a series -------------------------------------------------------------------------------------------


def two_series(folder: Path) -> None:
    write_series(folder / "soft")
    second = write_series(folder / "sharp", make_image((24, 20, 9)), SeriesNumber=7)
    uid = generate_uid()
    for path in second:
        edit(path, lambda d: [setattr(d, "SeriesInstanceUID", uid), setattr(d, "ConvolutionKernel", "Br64f")])


def test_of_two_series_the_soft_one_is_taken(tmp_path: Path) -> None:
    two_series(tmp_path)
    assert read_scan(tmp_path).image.shape == (24, 20, 12)
    assert read_scan(tmp_path, series="7").image.shape == (24, 20, 9)
    assert read_scan(tmp_path, series="1").image.shape == (24, 20, 12)
    text = refused(tmp_path, series="3")
    assert "no series of that name" in text and "--series" in text
    assert "1: 12 slices, 2 mm thick, kernel Br38f" in text and "7: 9 slices, 2 mm thick, kernel Br64f" in text


def test_series_without_unique_numbers_go_by_index(tmp_path: Path) -> None:
    two_series(tmp_path)
    set_all(list((tmp_path / "sharp").iterdir()), SeriesNumber=1)
    assert [entry.name for entry in inspect_path(tmp_path)] == ["#1", "#2"]
    # folders are read in name order: "sharp" first
    assert read_scan(tmp_path, series="#1").image.shape == (24, 20, 9)


def test_the_only_usable_series_is_taken_and_the_other_named(tmp_path: Path) -> None:
    two_series(tmp_path)
    for number in (4, 5, 6):
        next((tmp_path / "sharp").glob(f"slice_000{number}.dcm")).unlink()
    scan = read_scan(tmp_path)
    assert scan.image.shape == (24, 20, 12) and "series 7 (6 images)" in scan.step.sentence
    verdicts = {entry.name: entry.verdict for entry in inspect_path(tmp_path)}
    assert verdicts == {"7": "refused", "1": "usable"}


def test_localizers_are_left_out(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    shutil.copy(paths[0], tmp_path / "scout.dcm")
    edit(
        tmp_path / "scout.dcm",
        lambda d: [
            setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]),
            setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]),
        ],
    )
    scan = read_scan(tmp_path)
    assert scan.image.shape == (24, 20, 12) and "1 localizer" in scan.step.sentence


# Good series -------------------------------------------------------------------------------------------------


def test_round_trip(tmp_path: Path) -> None:
    write_series(tmp_path)
    scan, image = read_scan(tmp_path), make_image()
    np.testing.assert_array_equal(scan.image.array, image.array)
    np.testing.assert_allclose(scan.image.affine, image.affine, atol=1e-9)
    assert scan.image.array.dtype == np.int16 and scan.image.unit == "HU"
    assert scan.source == "DICOM series of 12 slices" and len(scan.digest) == 64
    assert scan.step.stage == "input" and scan.step.cautions == ()
    patient = scan.patient
    assert (patient.name, patient.identifier, patient.sex) == (PATIENT.name, PATIENT.identifier, "F")
    assert (patient.height_cm, patient.weight_kg, patient.birth_date) == (160.0, 62.0, "1950-03-01")
    assert patient.age == pytest.approx(70.0, abs=0.01)
    assert patient.sources["age"] == patient.sources["sex"] == "image header"
    found = scan.acquisition
    assert (found.kvp, found.kernel, found.slice_thickness, found.manufacturer) == (120.0, "Br38f", 2.0, "SIEMENS")
    assert (found.study_date, found.contrast, found.image_type) == ("2020-03-01", None, ("ORIGINAL", "PRIMARY", "AXIAL"))


def test_writing_is_reproducible(tmp_path: Path) -> None:
    first, second = write_series(tmp_path / "a"), write_series(tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    other = write_ct_series(make_image(), tmp_path / "c", patient=PATIENT, acquisition=ACQUISITION, seed=1)
    assert pydicom.dcmread(other[0]).SeriesInstanceUID != pydicom.dcmread(first[0]).SeriesInstanceUID


def test_files_in_any_order_and_depth(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "flat")
    for n, path in enumerate(reversed(paths)):
        target = tmp_path / "deep" / f"d{n % 3}" / f"{n:03d}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert read_scan(tmp_path / "deep").digest == read_scan(tmp_path / "flat").digest


TURNS = {
    "feet first, prone": np.diag([1.0, -1.0, -1.0]),
    "sagittal": np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


@pytest.mark.parametrize("name", TURNS)
def test_every_orientation_comes_out_canonical(tmp_path: Path, name: str) -> None:
    """Voxels keep their place in the patient: found again by position, not by index."""
    image = make_image(turn=TURNS[name])
    write_series(tmp_path, image)
    scan = read_scan(tmp_path)
    assert (np.diag(scan.image.affine[:3, :3]) > 0).all()
    np.testing.assert_allclose(scan.image.affine[:3, :3], np.diag(np.diag(scan.image.affine[:3, :3])), atol=1e-9)
    rng = np.random.default_rng(0)
    for index in rng.integers(0, image.shape, (50, 3)):
        point = image.affine @ [*index, 1.0]
        found = np.rint(np.linalg.solve(scan.image.affine, point)[:3]).astype(int)
        assert scan.image.array[tuple(found)] == image.array[tuple(index)]
    said = any("not axial" in caution for caution in scan.step.cautions)
    assert said == (name in ("sagittal", "coronal"))


def test_oblique_stack(tmp_path: Path) -> None:
    angle = np.radians(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    write_series(tmp_path, make_image(turn=turn))
    scan = read_scan(tmp_path)
    np.testing.assert_allclose(scan.image.affine[:3, :3], turn * SPACING, atol=1e-6)
    assert any("oblique (20.0 degrees off)" in caution for caution in scan.step.cautions)
    assert inspect_path(tmp_path)[0].orientation == "oblique"


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_syntaxes(tmp_path: Path, syntax: str) -> None:
    image = make_image((80, 72, 4))
    for path in write_series(tmp_path, image):
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    np.testing.assert_array_equal(read_scan(tmp_path).image.array, image.array)


def test_jpeg_lossless(tmp_path: Path) -> None:
    """Common in archives; written here by GDCM's own converter."""
    converter = Path(sys.executable).with_name("gdcmconv")
    if not converter.exists():
        pytest.skip("GDCM's converter is not installed beside this Python")
    (tmp_path / "jpeg").mkdir()
    for path in write_series(tmp_path / "plain"):
        subprocess.run([converter, "--jpeg", path, tmp_path / "jpeg" / path.name], check=True, capture_output=True)
    written = pydicom.dcmread(next((tmp_path / "jpeg").iterdir()))
    assert "JPEG Lossless" in written.file_meta.TransferSyntaxUID.name
    np.testing.assert_array_equal(read_scan(tmp_path / "jpeg").image.array, make_image().array)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_plain_syntaxes(tmp_path: Path, syntax: str) -> None:
    paths = write_series(tmp_path)
    for path in paths:
        dataset = pydicom.dcmread(path)
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    np.testing.assert_array_equal(read_scan(tmp_path).image.array, make_image().array)


def test_no_file_header(tmp_path: Path) -> None:
    """Some archives drop the preamble and the file meta group."""
    for path in write_series(tmp_path):
        dataset = pydicom.dcmread(path)
        bare = copy.deepcopy(dataset)
        del bare.file_meta
        bare.preamble = None
        bare.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_scan(tmp_path).image.array, make_image().array)


def test_enhanced_multi_frame(tmp_path: Path) -> None:
    """One enhanced file gives the same voxels and the same place as the classic series that it was made of."""
    highdicom = pytest.importorskip("highdicom")
    classic = [pydicom.dcmread(path) for path in write_series(tmp_path / "classic")]
    enhanced = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        legacy_datasets=classic, series_instance_uid=generate_uid(), series_number=2, sop_instance_uid=generate_uid(),
        instance_number=1,
    )  # fmt: skip
    target = tmp_path / "enhanced" / "one.dcm"
    target.parent.mkdir()
    enhanced.save_as(target)
    for path in (target, target.parent):
        scan = read_scan(path)
        np.testing.assert_array_equal(scan.image.array, make_image().array)
        np.testing.assert_allclose(scan.image.affine, make_image().affine, atol=1e-6)
        assert scan.acquisition.kvp in (120.0, None)


# What the header makes us say --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"KVP": None}, "does not give tube voltage"),
        ({"ConvolutionKernel": None}, "a sharp kernel, for which changes of strength by up to 20 % are published, cannot"),
        ({"ConvolutionKernel": ["Br64f", "3"]}, "the kernel Br64f/3 is a sharp one"),
        ({"ConvolutionKernel": "B70s"}, "sharp one"),
        ({"ConvolutionKernel": "BONEPLUS", "Manufacturer": "GE MEDICAL SYSTEMS"}, "sharp one"),
        ({"ConvolutionKernel": "FC30", "Manufacturer": "TOSHIBA"}, "sharp one"),
        ({"ConvolutionKernel": "YC", "Manufacturer": "Philips"}, "sharp one"),
        ({"ContrastBolusAgent": "OMNIPAQUE"}, "names a contrast agent"),
        ({"SliceThickness": 5}, "5.00 mm thick or apart"),
        ({"SliceThickness": 1}, "50 % of the bone between them was not imaged"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MPR"]}, "derived by reformatting (MPR)"),
        ({"LossyImageCompression": "01"}, "compressed with loss"),
        ({"PatientSize": 160}, "read as centimetres"),
        ({"PatientWeight": 9000}, "9000 kg, which no patient has"),
        ({"PatientAge": "012Y"}, "states an age of 12 years but its dates give 70.0"),
    ],
)
def test_doubts(tmp_path: Path, header: dict[str, object], said: str) -> None:
    write_series(tmp_path, **header)
    cautions = read_scan(tmp_path).step.cautions
    assert any(said in caution for caution in cautions), cautions


@pytest.mark.parametrize(
    "header",
    [
        {"ConvolutionKernel": "STANDARD", "Manufacturer": "GE MEDICAL SYSTEMS"},
        {"ConvolutionKernel": "FC12", "Manufacturer": "TOSHIBA"},
        {"ConvolutionKernel": "B", "Manufacturer": "Philips"},
        {"ConvolutionKernel": "B40s"},
        {"ContrastBolusAgent": "NONE"},
        {"SliceThickness": 3},
        {"PatientAge": "070Y"},
    ],
)
def test_near_misses_say_nothing(tmp_path: Path, header: dict[str, object]) -> None:
    write_series(tmp_path, **header)
    assert read_scan(tmp_path).step.cautions == ()


def test_clipped_cortex(tmp_path: Path) -> None:
    image = make_image()
    array = np.minimum(image.array * 4, 1023).astype(np.int16)
    write_series(tmp_path, image.with_array(np.maximum(array, -1000)))
    assert any("HU end at 1023" in caution for caution in read_scan(tmp_path).step.cautions)


@pytest.mark.parametrize(("age", "years"), [("070Y", 70.0), ("030M", 2.5), ("052W", 52 * 7 / 365.25), ("old", None)])
def test_age_from_the_age_string(tmp_path: Path, age: str, years: float | None) -> None:
    patient = Patient(sex=None)
    write_ct_series(make_image(), tmp_path, patient=patient, acquisition=Acquisition(), extra={"PatientAge": age})
    found = read_scan(tmp_path).patient
    assert found.age == pytest.approx(years) if years else found.age is None
    assert found.sex is None and "sex" not in found.sources
