"""Correction by a person: labels out for 3D Slicer, ITK-SNAP and DICOM viewers, back in, and only what changed done again."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest

from label_files import slicer_nrrd
from openbct.io import drawn_labels, read_labels, read_planes, segmentation_bytes, write_labels
from openbct.io.label_tables import read_mapping
from openbct.records import BoneMask, Scan, Segmentation, Step
from openbct.volume import Volume
from small_scans import QUICK, Command, Small, copy_of, openbct, small  # noqa: F401
from test_io_label_formats import AFFINE, SHAPE, blocks, ct  # noqa: F401


def found(upper: np.ndarray, lower: np.ndarray) -> Segmentation:
    """Return two bodies and a muscle behind them."""
    muscle = np.zeros(SHAPE, bool)
    muscle[4:36, 28:44, 10:48] = True
    bones = {
        name: BoneMask(name, Volume(mask[5:35, 5:35], AFFINE @ shift(5, 5), "mask"), "body", 1.0, False)
        for name, mask in (("L1", upper), ("L2", lower))
    }
    return Segmentation(bones, {"muscle": Volume(muscle, AFFINE, "mask")}, Step("segmentation", "Drawn."))


def shift(i: int, j: int) -> np.ndarray:
    moved = np.eye(4)
    moved[:2, 3] = i, j
    return moved


def test_labels_go_out_with_their_names_and_come_back(tmp_path: Path) -> None:
    upper, lower = blocks()
    image = Volume(np.zeros(SHAPE, np.int16), AFFINE, "HU")
    labels = drawn_labels(found(upper, lower), image)
    assert labels.names == {131: "vertebral_body_L1", 130: "vertebral_body_L2", 201: "skeletal_muscle"}
    files = write_labels(labels, tmp_path / "labels.nii.gz")
    assert [path.name for path in files] == ["labels.nii.gz", "labels.toml", "labels.ctbl", "labels.txt"]
    for table in files[1:]:
        assert read_mapping(table) == {str(n): name for n, name in labels.names.items()}
    back = read_labels(tmp_path / "labels.nii.gz", like=image)
    assert back.names == labels.names and "file's own table" in back.source
    np.testing.assert_array_equal(back.volume.array == 131, upper)
    # What an editor saves has lost the header's table; the one beside it stands in, and without it the numbers do.
    plain = nib.load(tmp_path / "labels.nii.gz")
    nib.save(nib.Nifti1Image(np.asanyarray(plain.dataobj), plain.affine), tmp_path / "labels.nii.gz")
    assert "table beside the file" in read_labels(tmp_path / "labels.nii.gz").source
    shutil.copy(tmp_path / "labels.nii.gz", tmp_path / "corrected.nii.gz")
    alone = read_labels(tmp_path / "corrected.nii.gz")
    assert alone.names == labels.names and "openbct numbering recognised by 2 vertebrae" in alone.source


def test_dicom_seg_lies_on_its_slices(ct: tuple[Scan, list], tmp_path: Path) -> None:  # noqa: F811
    """Read by an outside program and by our own reader; a checker of the standard finds no error."""
    scan, sources = ct
    upper, lower = blocks()
    folder = tmp_path / "series"
    folder.mkdir()
    for n, ds in enumerate(sources):
        ds.save_as(folder / f"{n}.dcm")
    femur = np.zeros(SHAPE, bool)
    femur[33:38, 40:46, 2:9] = True
    segmentation = found(upper, lower)
    bones = {**segmentation.bones, "femur_left": BoneMask("femur_left", Volume(femur, AFFINE, "mask"), "whole", 1.0, False)}
    labels = drawn_labels(Segmentation(bones, {}, Step("segmentation", "Drawn.")), scan.image)
    content = segmentation_bytes(labels, read_planes(folder, None))
    assert content is not None
    path = tmp_path / "labels.dcm"
    path.write_bytes(content)
    seg = hd.seg.segread(path)
    assert seg.number_of_segments == 3 and seg.segmentation_type.value == "BINARY"
    uids = [ds.SOPInstanceUID for ds in sources]
    number = next(n for n in seg.segment_numbers if seg.get_segment_description(n).segment_label == "femur_left")
    pixels = seg.get_pixels_by_source_instance(uids, segment_numbers=[number], assert_missing_frames_are_empty=True)[..., 0]
    planes = [round((float(ds.ImagePositionPatient[2]) - AFFINE[2, 3]) / AFFINE[2, 2]) for ds in sources]
    np.testing.assert_array_equal(pixels > 0, np.stack([femur[:, :, k].T for k in planes]))
    assert seg.get_segment_description(number).segmented_property_type.value == "71341001"
    assert seg.PatientID == sources[0].PatientID and seg.StudyInstanceUID == sources[0].StudyInstanceUID
    back = read_labels(path, like=scan.image, frame_uid=scan.acquisition.frame_of_reference_uid)
    assert set(back.names.values()) == {"vertebral_body_L1", "vertebral_body_L2", "femur_left"} and back.cautions == ()
    one = {name: n for n, name in back.names.items()}
    np.testing.assert_array_equal(back.volume.array == one["vertebral_body_L1"], upper)
    checker = shutil.which("dciodvfy")
    if checker:
        said = subprocess.run([checker, str(path)], capture_output=True, text=True, check=False)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
        assert not errors, "\n".join(errors)
    assert segmentation_bytes(labels, read_planes(tmp_path / "scan.nii.gz", None)) is None


def corrected_by_a_person(first: Path, folder: Path) -> Path:
    """Return labels of a run with the foremost voxels of L2 taken away, saved as 3D Slicer saves a segmentation."""
    labels = read_labels(first / "labels.nii.gz")
    number = {name: n for n, name in labels.names.items()}
    array = labels.volume.array.copy()
    front = np.flatnonzero((array == number["vertebral_body_L2"]).any(axis=(0, 2)))[0]
    array[:, front][array[:, front] == number["vertebral_body_L2"]] = 0
    return slicer_nrrd(folder / "corrected.seg.nrrd", [array], labels.volume.affine, [(name, n, 0) for name, n in number.items()])


def bones_of(folder: Path) -> dict[str, dict]:
    """Return the bones of a result, without times."""
    table = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {bone["name"]: {key: value for key, value in bone.items() if key != "seconds"} for bone in table["bones"]}


def test_untouched_bones_are_not_computed_again(openbct: Command, small: Small, tmp_path: Path, monkeypatch) -> None:  # noqa: F811
    import openbct.pipeline as pipeline

    first, second = tmp_path / "first", tmp_path / "second"
    said = openbct("analyze", small.scan, *small.given, "--bones", "L1,L2", "--no-report", "--models", "inp", "-o", first)
    assert said.status == 0, said.err
    assert all((first / f"labels.{kind}").exists() for kind in ("nii.gz", "toml", "ctbl", "txt", "dcm"))
    corrected = corrected_by_a_person(first, tmp_path)
    computed = []
    solve = pipeline.analyze_bone
    monkeypatch.setattr(
        pipeline, "analyze_bone", lambda mask, *rest, **more: computed.append(mask.bone) or solve(mask, *rest, **more)
    )
    more = ("--labels", corrected, "--protocol", small.quick, "--bones", "L1,L2", "--no-report", "--models", "inp")
    again = openbct("analyze", small.scan, *more, "--reuse", first, "-o", second)
    assert again.status == 0, again.err
    assert computed == ["L2"]
    before, after = bones_of(first), bones_of(second)
    assert after["L1"] == before["L1"] and after["L1"]["strength_n"] > 0
    assert after["L2"]["strength_n"] != before["L2"]["strength_n"]
    assert (first / "bones" / "L1" / "model.vtu").read_bytes() == (second / "bones" / "L1" / "model.vtu").read_bytes()
    assert "taken over" in (second / "result.json").read_text(encoding="utf-8")


@pytest.mark.slow
def test_taking_over_hides_nothing(openbct: Command, small: Small, tmp_path: Path) -> None:  # noqa: F811
    """A fresh run on the corrected labels has the numbers of one that took L1 over."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    openbct("analyze", small.scan, *small.given, "--bones", "L1,L2", "--no-report", "-o", first)
    more = ("--labels", corrected_by_a_person(first, tmp_path), "--protocol", small.quick, "--bones", "L1,L2", "--no-report")
    openbct("analyze", small.scan, *more, "--reuse", first, "-o", second)
    openbct("analyze", small.scan, *more, "-o", third)
    assert bones_of(second) == bones_of(third)


def test_what_cannot_be_taken_over_is_refused(openbct: Command, small: Small, tmp_path: Path) -> None:  # noqa: F811
    first = tmp_path / "first"
    assert openbct("analyze", small.scan, *small.given, "--bones", "L1", "--no-report", "-o", first).status == 0
    given = ["analyze", small.scan, *small.given, "--bones", "L1", "--no-report", "--reuse", first]
    same = openbct(*given, "-o", first)
    assert same.status == 2 and "earlier result itself" in same.error and (first / "result.json").exists()
    none = openbct(*given[:-1], tmp_path / "nothing", "-o", tmp_path / "out")
    assert none.status == 3 and "--reuse" in none.error
    other = tmp_path / "other.toml"
    other.write_text(QUICK.replace("voxel_mm = 2.0", "voxel_mm = 1.9"))
    changed = openbct(
        *["analyze", small.scan, "--labels", small.labels, "--protocol", other, "--bones", "L1", "--reuse", first],
        "-o",
        tmp_path / "out",
    )
    assert changed.status == 3 and "other settings (vertebra.voxel_mm)" in changed.error
    copied = copy_of(small, tmp_path / "copy")
    slices = sorted(copied.scan.iterdir())
    ds = pydicom.dcmread(slices[3])
    ds.PixelData = bytes([ds.PixelData[0] ^ 1]) + ds.PixelData[1:]
    ds.save_as(slices[3])
    foreign = openbct("analyze", copied.scan, *small.given, "--bones", "L1", "--reuse", first, "-o", tmp_path / "out")
    assert foreign.status == 3 and "another scan" in foreign.error


def test_segment_writes_what_editors_open(openbct: Command, small: Small, tmp_path: Path) -> None:  # noqa: F811
    said = openbct("segment", small.scan, *small.given[:4], "--bones", "L1,L2", "-o", tmp_path / "out", "--json")
    assert said.status == 0, said.err
    files = said.json["files"]
    assert {Path(path).name for path in files.values()} == {"bones.nii.gz", "bones.toml", "bones.ctbl", "bones.txt", "bones.dcm"}
    for name in ("bones.nii.gz", "bones.dcm"):
        back = read_labels(tmp_path / "out" / name, like=read_labels(tmp_path / "out" / "bones.nii.gz").volume)
        assert set(back.names.values()) == {"vertebral_body_L1", "vertebral_body_L2"}
