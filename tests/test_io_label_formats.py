"""Label files of other programs: 3D Slicer, DICOM SEG, RTSTRUCT, SPINEPS, Ogo, colour tables; and what a person calls a bone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from ct_series import ACQUISITION, PATIENT
from label_files import codes, dicom_seg, rt_struct, slicer_nrrd, source_images
from openbct.errors import GeometryError, SegmentationError, SettingsError
from openbct.io import read_labels, read_scan, write_ct_series, write_volume
from openbct.io.label_names import structure_name
from openbct.io.label_tables import builtin_tables, read_mapping
from openbct.records import LabelMap, Scan
from openbct.volume import Volume, same_grid

AFFINE = np.array([[1.5, 0, 0, -30.0], [0, 1.5, 0, -40], [0, 0, 2.0, -120], [0, 0, 0, 1.0]])
SHAPE = (40, 48, 56)


def blocks() -> tuple[np.ndarray, np.ndarray]:
    """Return two bodies, L1 above L2, on the grid of the small scan."""
    upper, lower = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    upper[8:30, 10:30, 32:46] = True
    lower[9:31, 11:31, 12:26] = True
    return upper, lower


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scan, list[pydicom.Dataset]]:
    """A small series on disk, and its slices."""
    folder = tmp_path_factory.mktemp("ct")
    upper, lower = blocks()
    image = np.full(SHAPE, 40.0, np.float32)
    image[upper | lower], image[:2] = 250.0, -1000.0
    write_ct_series(Volume(image, AFFINE, "HU"), folder / "series", patient=PATIENT, acquisition=ACQUISITION)
    return read_scan(folder / "series"), source_images(folder / "series")


def bodies_of(labels: LabelMap) -> tuple[np.ndarray, np.ndarray]:
    number = {name: n for n, name in labels.names.items()}
    return labels.volume.array == number["vertebral_body_L1"], labels.volume.array == number["vertebral_body_L2"]


# Words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("L1", "vertebrae_L1"),
        ("vertebra L1", "vertebrae_L1"),
        ("L1 vertebra", "vertebrae_L1"),
        ("vertebrae_T12", "vertebrae_T12"),
        ("Th12", "vertebrae_T12"),
        ("L3 body", "vertebral_body_L3"),
        ("Vertebral body L3", "vertebral_body_L3"),
        ("vertebral_body_L3", "vertebral_body_L3"),
        ("Left Femur", "femur_left"),
        ("femur_right", "femur_right"),
        ("Femur R", "femur_right"),
        ("proximal femur, left", "femur_left"),
        ("Pelvis Right", "hip_right"),
        ("femora", "femora"),
        ("cement_inferior_L2", "cement_inferior_L2"),
        ("autochthon_left", "autochthon_left"),
        ("disc L1-L2", "disc_l1_l2"),
        ("L1 nerve", "l1_nerve"),
        ("femoral head left", "femoral_head_left"),
        ("femur left implant", "femur_left_implant"),
        ("rib_left_12", "rib_left_12"),
    ],
)
def test_what_people_call_a_bone(words: str, name: str) -> None:
    assert structure_name(words) == name


# 3D Slicer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["left-posterior-superior", "RAS"])
@pytest.mark.parametrize("encoding", ["gzip", "raw"])
def test_slicer_segmentation(tmp_path: Path, space: str, encoding: str) -> None:
    upper, lower = blocks()
    segments = [("L1 body", 1, 0), ("L2 body", 2, 0), ("JOHN DOE", 3, 0)]
    marked = upper + 2 * lower
    marked[0, 0, 0] = 3
    path = slicer_nrrd(tmp_path / "s.seg.nrrd", [marked], AFFINE, segments, space=space, encoding=encoding)
    labels = read_labels(path, like=Volume(np.zeros(SHAPE, np.int16), AFFINE, "HU"))
    for found, drawn in zip(bodies_of(labels), blocks()):
        np.testing.assert_array_equal(found, drawn)
    assert "3D Slicer" in labels.source and "DOE" not in repr(labels.names) + labels.source + repr(labels.cautions)
    assert labels.cautions == ("1 of the labels has a name that is no bone or tissue and was left out.",)


def test_slicer_segmentation_cut_to_its_segments_lies_in_its_place(tmp_path: Path) -> None:
    upper, lower = blocks()
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, :3] @ [6, 8, 10]
    part = (upper + 2 * lower)[6:34, 8:34, 10:50]
    path = slicer_nrrd(tmp_path / "s.seg.nrrd", [part], affine, [("L1 body", 1, 0), ("L2 body", 2, 0)])
    labels = read_labels(path, like=Volume(np.zeros(SHAPE, np.int16), AFFINE, "HU"))
    np.testing.assert_array_equal(bodies_of(labels)[0], upper)
    assert labels.cautions == ()


def test_slicer_layers_of_overlapping_segments(tmp_path: Path) -> None:
    upper, lower = blocks()
    muscle = np.zeros(SHAPE, bool)
    muscle[4:36, 5:45, 5:50] = True
    segments = [("autochthon_left", 1, 1), ("L1 body", 1, 0), ("L2 body", 2, 0)]
    labels = read_labels(slicer_nrrd(tmp_path / "s.seg.nrrd", [upper + 2 * lower, muscle], AFFINE, segments))
    np.testing.assert_array_equal(bodies_of(labels)[1], lower)
    assert sorted(labels.names.values()) == ["autochthon_left", "vertebral_body_L1", "vertebral_body_L2"]
    whole = [("L1", 1, 1), ("L1 body", 1, 0), ("L2 body", 2, 0)]
    with pytest.raises(SegmentationError, match="sharing 6160 voxels in one segmentation"):
        read_labels(slicer_nrrd(tmp_path / "t.seg.nrrd", [upper + 2 * lower, muscle], AFFINE, whole))


def test_slicer_terms_name_a_segment_that_its_words_do_not(tmp_path: Path) -> None:
    upper, lower = blocks()
    tags = [
        "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        f"~SCT^{code}^{level} vertebra~^^~Anatomic codes - DICOM master list~^^~^^|"
        for code, level in (("66794005", "L1"), ("14293000", "L2"))
    ]
    path = slicer_nrrd(
        tmp_path / "s.seg.nrrd", [upper + 2 * lower], AFFINE, [("Segment_1", 1, 0), ("Segment_2", 2, 0)], tags=tags
    )
    assert {name[-2:] for name in read_labels(path).names.values()} == {"L1", "L2"}


def test_slicer_segments_without_a_bone_by_name_need_a_mapping(tmp_path: Path) -> None:
    upper, lower = blocks()
    path = slicer_nrrd(tmp_path / "s.seg.nrrd", [upper + 2 * lower], AFFINE, [("Segment_1", 1, 0), ("Segment_2", 2, 0)])
    with pytest.raises(SegmentationError, match=r"found 2 segments .* rename them"):
        read_labels(path)
    table = tmp_path / "t.toml"
    table.write_text('Segment_1 = "vertebral_body_L1"\n2 = "vertebral_body_L2"\n')
    np.testing.assert_array_equal(bodies_of(read_labels(path, mapping=table))[0], upper)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b"NOTNRRD" + b[7:], "no NRRD image"),
        (lambda b: b[:-40], "cut short"),
        (lambda b: b.replace(b"space origin", b"space origen"), "space origin"),
        (lambda b: b.replace(b"encoding: gzip", b"encoding: zstd"), "'zstd' encoding"),
        (lambda b: b.replace(b"endian: little", b"data file: x.raw"), "another file"),
        (lambda b: b.replace(b"sizes: 40 48 56", b"sizes: 40 48 0"), "40x48x0"),
        (lambda b: b.replace(b"type: uchar", b"type: block"), "lacks or garbles"),
    ],
)
def test_damaged_nrrd(tmp_path: Path, damage, words: str) -> None:
    noise = np.random.default_rng(1).integers(0, 3, SHAPE)
    path = slicer_nrrd(tmp_path / "s.seg.nrrd", [noise], AFFINE, [("L1 body", 1, 0), ("L2 body", 2, 0)])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SegmentationError, match=words):
        read_labels(path)


# DICOM SEG ---------------------------------------------------------------------------------------------------


def frames_of(mask: np.ndarray, sources: list[pydicom.Dataset]) -> np.ndarray:
    """Return a mask as (slice, row, column), in the order of the sources."""
    planes = [round((float(ds.ImagePositionPatient[2]) - AFFINE[2, 3]) / AFFINE[2, 2]) for ds in sources]
    return np.stack([mask[:, :, k].T for k in planes])


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_dicom_seg(tmp_path: Path, ct: tuple[Scan, list], kind: str) -> None:
    scan, sources = ct
    masks = [frames_of(mask, sources) for mask in blocks()]
    described = [("L1 body", codes.SCT.L1Vertebra, None), ("L2 body", codes.SCT.L2Vertebra, None)]
    path = dicom_seg(tmp_path / "seg.dcm", sources, masks, described, kind)
    labels = read_labels(path, like=scan.image, frame_uid=scan.acquisition.frame_of_reference_uid)
    for found, drawn in zip(bodies_of(labels), blocks()):
        np.testing.assert_array_equal(found, drawn)
    assert f"DICOM SEG ({kind.lower()})" in labels.source
    assert bool(labels.cautions) == (kind == "FRACTIONAL")


def test_dicom_seg_is_named_by_its_codes(tmp_path: Path, ct: tuple[Scan, list]) -> None:
    scan, sources = ct
    upper, lower = blocks()
    described = [("Segment 1", codes.SCT.Femur, codes.SCT.Left), ("Segment 2", codes.SCT.L2Vertebra, None)]
    path = dicom_seg(tmp_path / "seg.dcm", sources, [frames_of(upper, sources), frames_of(lower, sources)], described)
    assert set(read_labels(path, like=scan.image).names.values()) == {"femur_left", "vertebrae_L2"}


def test_dicom_seg_of_another_frame_and_grid_is_refused(tmp_path: Path, ct: tuple[Scan, list]) -> None:
    scan, sources = ct
    described = [("L1 body", codes.SCT.L1Vertebra, None), ("L2 body", codes.SCT.L2Vertebra, None)]
    path = dicom_seg(tmp_path / "seg.dcm", sources, [frames_of(mask, sources) for mask in blocks()], described)
    with pytest.raises(GeometryError, match="another frame of reference"):
        read_labels(path, like=scan.image, frame_uid="1.2.3")


def test_a_scan_is_no_segmentation(tmp_path: Path, ct: tuple[Scan, list]) -> None:
    _, sources = ct
    sources[0].save_as(tmp_path / "slice.dcm")
    with pytest.raises(SegmentationError, match="no segmentation"):
        read_labels(tmp_path / "slice.dcm")
    (tmp_path / "words.dcm").write_text("nothing")
    with pytest.raises(SegmentationError, match="no readable label file"):
        read_labels(tmp_path / "words.dcm")


def test_damaged_seg(tmp_path: Path, ct: tuple[Scan, list]) -> None:
    scan, sources = ct
    described = [("L1 body", codes.SCT.L1Vertebra, None), ("L2 body", codes.SCT.L2Vertebra, None)]
    path = dicom_seg(tmp_path / "seg.dcm", sources, [frames_of(mask, sources) for mask in blocks()], described)
    ds = pydicom.dcmread(path)
    half = pydicom.dcmread(path)
    half.PixelData = half.PixelData[: len(half.PixelData) // 4]
    half.save_as(tmp_path / "half.dcm")
    with pytest.raises(SegmentationError, match="cut short"):
        read_labels(tmp_path / "half.dcm", like=scan.image)
    ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient[0] += 5
    ds.save_as(tmp_path / "askew.dcm")
    with pytest.raises(GeometryError, match="off a regular grid"):
        read_labels(tmp_path / "askew.dcm", like=scan.image)
    del ds.SegmentSequence
    ds.save_as(tmp_path / "none.dcm")
    with pytest.raises(SegmentationError, match="without segments"):
        read_labels(tmp_path / "none.dcm", like=scan.image)


# RTSTRUCT ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 3])
def test_contours_are_filled_on_the_scan(tmp_path: Path, ct: tuple[Scan, list], every: int) -> None:
    scan, _ = ct
    upper, lower = blocks()
    frame = scan.acquisition.frame_of_reference_uid or ""
    path = rt_struct(
        tmp_path / "rt.dcm", scan.image, {"L1 body": upper, "L2 body": lower, "JOHN": upper}, frame=frame, every=every
    )
    labels = read_labels(path, like=scan.image, frame_uid=frame)
    for found, drawn in zip(bodies_of(labels), blocks()):
        if every == 1:
            np.testing.assert_array_equal(found, drawn)
        else:  # contours end before the last slice: at most two slices are lost there
            assert np.array_equal(
                found[:, :, : np.flatnonzero(found.any(axis=(0, 1)))[-1]],
                drawn[:, :, : np.flatnonzero(found.any(axis=(0, 1)))[-1]],
            )
    assert ("filled in from the contours" in " ".join(labels.cautions)) == (every > 1)
    assert "2 of 3 structures" in labels.source and "JOHN" not in labels.source
    with pytest.raises(SettingsError, match="without a scan"):
        read_labels(path)


def test_contours_of_another_scan_are_refused(tmp_path: Path, ct: tuple[Scan, list]) -> None:
    scan, _ = ct
    tilted = AFFINE.copy()
    tilted[:3, :3] = tilted[:3, :3] @ np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
    path = rt_struct(tmp_path / "rt.dcm", Volume(scan.image.array, tilted, "HU"), {"L1 body": blocks()[0]}, frame="1.2")
    with pytest.raises(GeometryError, match="off one plane of the scan"):
        read_labels(path, like=scan.image)


def test_a_contour_within_a_contour_is_a_hole(tmp_path: Path, ct: tuple[Scan, list]) -> None:
    scan, _ = ct
    upper, _ = blocks()
    hole = np.zeros(SHAPE, bool)
    hole[14:20, 14:20, 32:46] = True
    path = rt_struct(tmp_path / "rt.dcm", scan.image, {"L1 body": upper, "hole": hole}, frame="1.2")
    ds = pydicom.dcmread(path)
    ds.ROIContourSequence[0].ContourSequence.extend(ds.ROIContourSequence[1].ContourSequence)
    ds.save_as(path)
    (number,) = read_labels(path, like=scan.image).names
    np.testing.assert_array_equal(read_labels(path, like=scan.image).volume.array == number, upper & ~hole)


# Numberings --------------------------------------------------------------------------------------------------


def column(numbers: list[int], pitch: int = 17) -> Volume:
    """Return vertebrae from head to foot as blocks of 2 mm voxels."""
    array = np.zeros((50, 60, 120), np.uint16)
    for n, number in enumerate(numbers):
        array[15:35, 10:46, 118 - pitch * n - (pitch - 3) : 118 - pitch * n] = number
    return Volume(array, np.diag([2.0, 2, 2, 1]), "label")


def test_ogo_numbering_is_recognised(tmp_path: Path) -> None:
    volume = column([10, 9, 8, 7, 6, 5])
    write_volume(volume, tmp_path / "l.nii.gz")
    labels = read_labels(tmp_path / "l.nii.gz")
    assert labels.names[10] == "vertebrae_L1" and labels.names[5] == "sacrum" and "ogo numbering" in labels.source


def test_ogo_femora_alone_are_ambiguous_and_both_meanings_are_named(tmp_path: Path) -> None:
    array = np.zeros((50, 60, 120), np.uint8)
    array[5:15, 20:40, 10:60], array[35:45, 20:40, 10:60] = 1, 2
    write_volume(Volume(array, np.diag([2.0, 2, 2, 1]), "label"), tmp_path / "l.nii.gz")
    with pytest.raises(SegmentationError, match="verse: vertebrae_C1, vertebrae_C2; ogo: femur_right, femur_left"):
        read_labels(tmp_path / "l.nii.gz")
    assert read_labels(tmp_path / "l.nii.gz", mapping="ogo").names == {1: "femur_right", 2: "femur_left"}


def test_spineps_pair_gives_bodies_by_level(tmp_path: Path) -> None:
    from openbct.records import Acquisition, Patient, Step
    from openbct.segmentation import GivenLabels

    levels = column([20, 21, 22])
    parts = np.zeros(levels.shape, np.uint16)
    parts[:, 10:28][levels.array[:, 10:28] > 0] = 49
    parts[18:32, 12:26][levels.array[18:32, 12:26] > 0] = 50
    parts[:, 28:36][levels.array[:, 28:36] > 0] = 41
    parts[:, 36:][levels.array[:, 36:] > 0] = 42
    instances = levels.array.copy()
    instances[20:30, 12:25, 66:69] = 120  # a disc
    write_volume(levels.with_array(instances), tmp_path / "vert.nii.gz")
    write_volume(levels.with_array(parts), tmp_path / "spine.nii.gz")
    vert, spine = read_labels(tmp_path / "vert.nii.gz"), read_labels(tmp_path / "spine.nii.gz")
    assert "verse numbering" in vert.source and "spineps numbering" in spine.source
    image = np.where(levels.array > 0, 300.0, 40.0).astype(np.float32)
    scan = Scan(levels.with_array(image, "HU"), Patient(), Acquisition(), "drawn", "", Step("input", "Drawn."))
    found = GivenLabels((vert, spine), ("L1", "L2"))(scan)
    body = found.bones["L2"]
    assert body.part == "body" and body.mask.array.sum() == np.count_nonzero((levels.array == 21) & (parts >= 49))


def test_our_own_numbers_are_known_without_their_table(tmp_path: Path) -> None:
    own = builtin_tables()["openbct"]
    assert own[131] == "vertebral_body_L1" and own[75] == "femur_left"
    for numbers in ([131], [132, 131, 130], [131, 130, 129, 128]):
        write_volume(column(numbers), tmp_path / "l.nii.gz")
        labels = read_labels(tmp_path / "l.nii.gz")
        assert {n: labels.names[n] for n in numbers} == {n: own[n] for n in numbers}, labels.source


def test_tables_of_other_programs(tmp_path: Path) -> None:
    snap = tmp_path / "labels.txt"
    snap.write_text(
        '# ITK-SnAP Label Description File\n    0     0    0    0        0  0  0    "Clear Label"\n'
        '    3   255    0    0        1  1  1    "L1 body"\n    4     0  255    0        1  1  1    "Femur Left"\n'
    )
    assert read_mapping(snap) == {"3": "vertebral_body_L1", "4": "femur_left"}
    slicer = tmp_path / "labels.ctbl"
    slicer.write_text("# Color table file\n0 Background 0 0 0 0\n3 L1_body 128 174 128 255\n4 femur_left 241 214 145 255\n")
    assert read_mapping(slicer) == {"3": "vertebral_body_L1", "4": "femur_left"}
    assert read_mapping("vertebrae_body") == {"1": "vertebrae_body", "2": "discs"}


def test_table_beside_the_file_names_it(tmp_path: Path) -> None:
    write_volume(column([1, 2, 3, 9]), tmp_path / "labels.nii.gz")
    (tmp_path / "labels.toml").write_text('1 = "vertebral_body_L1"\n2 = "vertebral_body_L2"\n3 = "vertebral_body_L3"\n')
    labels = read_labels(tmp_path / "labels.nii.gz")
    assert labels.names == {1: "vertebral_body_L1", 2: "vertebral_body_L2", 3: "vertebral_body_L3"}
    assert labels.cautions == ("1 of the labels has a number that the table does not have and was left out.",)


# Grids -------------------------------------------------------------------------------------------------------


def test_coarse_labels_come_onto_a_fine_scan_smooth(tmp_path: Path) -> None:
    """An ellipsoid drawn at 3 mm, brought to 1 mm: nearer to the truth than by nearest neighbour, and of the right volume."""
    fine = Volume(np.zeros((70, 64, 60), np.uint8), np.diag([1.0, 1, 1, 1]), "label")

    def drawn(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
        at = index @ affine[:3, :3].T + affine[:3, 3]
        return (((at - [34.3, 31.7, 29.2]) / [24.0, 18.0, 14.0]) ** 2).sum(axis=-1) <= 1

    coarse = np.diag([3.0, 3, 3, 1])
    coarse[:3, 3] = [1.3, 0.4, 0.9]
    array = np.where(drawn((23, 21, 19), coarse), 131, 0).astype(np.uint8)
    write_volume(Volume(array, coarse, "label"), tmp_path / "l.nii.gz")
    labels = read_labels(tmp_path / "l.nii.gz", like=fine)
    truth, found = drawn(fine.shape, fine.affine), labels.volume.array == 131
    nearest = np.where(array > 0, 1, 0)
    index = np.rint((np.stack(np.meshgrid(*map(np.arange, fine.shape), indexing="ij"), axis=-1) - coarse[:3, 3]) / 3).astype(int)
    stairs = nearest[tuple(np.clip(index[..., axis], 0, nearest.shape[axis] - 1) for axis in range(3))] > 0

    def dice(a: np.ndarray) -> float:
        return 2 * np.count_nonzero(a & truth) / (np.count_nonzero(a) + np.count_nonzero(truth))

    assert same_grid(labels.volume, fine) and "distance from each bone's surface" in labels.cautions[0]
    assert "up to 1.5 mm" in labels.cautions[0]
    assert dice(found) > dice(stairs) + 0.015 and dice(found) > 0.96 and abs(found.sum() / truth.sum() - 1) < 0.02


def test_what_lies_beyond_the_scan_is_said(tmp_path: Path) -> None:
    volume = column([131, 130, 129])
    write_volume(volume, tmp_path / "l.nii.gz")
    affine = volume.affine.copy()
    affine[2, 3] = 200.0
    image = Volume(np.zeros((50, 60, 20), np.int16), affine, "HU")
    labels = read_labels(tmp_path / "l.nii.gz", like=image)
    assert "lie beyond the scan" in labels.cautions[0] and labels.volume.array.any()
