"""Reading label maps: hostile ones first."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from openbct.errors import GeometryError, SegmentationError, SettingsError
from openbct.io import read_labels, read_scan, write_label_map, write_volume
from openbct.io.labels import builtin_tables
from openbct.records import LabelMap
from openbct.volume import Volume, canonical, same_grid

AFFINE = np.array([[2.0, 0, 0, -50], [0, 2, 0, -60], [0, 0, 2, -200], [0, 0, 0, 1.0]])
GRID = Volume(np.zeros((50, 60, 120), np.uint8), AFFINE, "label")


def spine(numbers: list[int], *, depth: int = 36, pitch: int = 15) -> Volume:
    """Return vertebrae from head to foot as blocks of 2 mm voxels, ``pitch`` voxels apart and ``depth`` deep."""
    array = np.zeros(GRID.shape, np.uint8)
    for n, number in enumerate(numbers):
        top = 118 - pitch * n
        array[15:35, 10 : 10 + depth, top - (pitch - 3) : top] = number
    return GRID.with_array(array)


def save(path: Path, volume: Volume) -> Path:
    write_volume(volume, path)
    return path


def names_of(labels: LabelMap) -> dict[int, str]:
    return dict(labels.names)


# Nothing usable ----------------------------------------------------------------------------------------------


def test_empty_labels(tmp_path: Path) -> None:
    with pytest.raises(SegmentationError, match="without any label"):
        read_labels(save(tmp_path / "l.nii.gz", GRID))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SegmentationError, match="found no file"):
        read_labels(tmp_path / "l.nii.gz")


def test_interpolated_labels(tmp_path: Path) -> None:
    volume = spine([31, 30, 29])
    blurred = volume.with_array(volume.array.astype(np.float32) * 0.97)
    with pytest.raises(SegmentationError, match="not whole numbers"):
        read_labels(save(tmp_path / "l.nii.gz", blurred))
    whole = volume.with_array(volume.array.astype(np.float32))
    assert names_of(read_labels(save(tmp_path / "f.nii.gz", whole)))[31] == "vertebrae_L1"


def test_negative_labels(tmp_path: Path) -> None:
    array = spine([31]).array.astype(np.int16)
    with pytest.raises(SegmentationError, match="-1"):
        read_labels(save(tmp_path / "l.nii.gz", GRID.with_array(array - 1)))


@pytest.mark.parametrize("change", ["shape", "place", "spacing"])
def test_another_grid_is_brought_onto_the_scan_and_said(tmp_path: Path, change: str) -> None:
    volume = spine([31, 30, 29])
    affine = AFFINE.copy()
    if change == "place":
        affine[0, 3] += 3.0
    if change == "spacing":
        affine[:3, :3] *= 1.01
    array = volume.array[:-1] if change == "shape" else volume.array
    labels = read_labels(save(tmp_path / "l.nii.gz", Volume(array, affine, "label")), like=GRID)
    assert same_grid(labels.volume, GRID) and names_of(labels)[31] == "vertebrae_L1"
    if change == "shape":
        assert not labels.cautions
        np.testing.assert_array_equal(labels.volume.array, volume.array)
    else:
        assert "another grid" in labels.cautions[0] and "up to 1.0 mm" in labels.cautions[0]


def test_labels_of_another_place_are_refused(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[2, 3] += 900.0
    path = save(tmp_path / "l.nii.gz", Volume(spine([31, 30, 29]).array, affine, "label"))
    with pytest.raises(GeometryError, match="expected them inside the scan's, -50 to 48 x -60 to 58 x -200 to 38 mm"):
        read_labels(path, like=GRID)


def test_same_grid_in_other_orientation_is_accepted(tmp_path: Path) -> None:
    volume = spine([31, 30, 29])
    turned = np.ascontiguousarray(np.transpose(volume.array, (2, 0, 1))[::-1])
    affine = AFFINE[:, [2, 0, 1, 3]].copy()
    affine[:3, 3] += affine[:3, 0] * 119
    affine[:3, 0] *= -1
    labels = read_labels(save(tmp_path / "l.nii.gz", Volume(turned, affine, "label")), like=GRID)
    np.testing.assert_array_equal(labels.volume.array, volume.array)


def test_upside_down_labels(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text('1 = "L1"\n2 = "L2"\n')
    with pytest.raises(SegmentationError, match="vertebrae_L1 30 mm below vertebrae_L2"):
        read_labels(save(tmp_path / "l.nii.gz", spine([2, 1])), mapping=mapping)


# Numberings --------------------------------------------------------------------------------------------------


def test_total_numbering(tmp_path: Path) -> None:
    labels = read_labels(save(tmp_path / "l.nii.gz", spine([32, 31, 30, 29, 28])))
    expected = {32: "vertebrae_T12", 31: "vertebrae_L1", 30: "vertebrae_L2", 29: "vertebrae_L3", 28: "vertebrae_L4"}
    assert names_of(labels) == expected and "total numbering" in labels.source


def test_verse_numbering_runs_the_other_way(tmp_path: Path) -> None:
    """19 to 24 are bowel and bladder in one numbering and T12 to L5 in another: the order in the body tells."""
    labels = read_labels(save(tmp_path / "l.nii.gz", spine([19, 20, 21, 22])))
    assert names_of(labels) == {19: "vertebrae_T12", 20: "vertebrae_L1", 21: "vertebrae_L2", 22: "vertebrae_L3"}
    assert "verse numbering" in labels.source


def test_old_numbering_is_not_read_as_the_new_one(tmp_path: Path) -> None:
    """Version 1 of TotalSegmentator: 24 is T11; under today's numbers part of this spine would be S1, L5 ..."""
    labels = read_labels(save(tmp_path / "l.nii.gz", spine([27, 26, 25, 24, 23, 22])))
    assert names_of(labels)[22] == "vertebrae_L1" and "total_v1" in labels.source


@pytest.mark.parametrize(
    ("numbers", "pitch", "name", "first"),
    [
        ([30, 29, 28, 27, 26], 12, "total_v1", "vertebrae_T5"),
        ([31, 30, 29, 28, 27], 11, "total_v1", "vertebrae_T4"),
        ([31, 30, 29, 28, 27], 17, "total", "vertebrae_L1"),
        ([30, 29, 28, 27, 26], 17, "total", "vertebrae_L2"),
        ([31, 30], 18, "total", "vertebrae_L1"),
        ([31, 29, 27], 24, "total_v1", "vertebrae_T4"),
        ([31, 29, 27], 35, "total", "vertebrae_L1"),
        ([36, 35, 34, 33], 9, "total_v1", "vertebrae_C6"),
        ([36, 35, 34, 33], 13, "total", "vertebrae_T8"),
    ],
)  # fmt: skip
def test_distances_tell_chains_of_one_length_apart(tmp_path: Path, numbers: list[int], pitch: int, name: str, first: str) -> None:
    """The old map's T5 to T9 are today's L2 to S1: thoracic vertebrae lie 20 to 27 mm apart, lumbar ones 30 to 45 mm."""
    labels = read_labels(save(tmp_path / "l.nii.gz", spine(numbers, pitch=pitch)))
    assert names_of(labels)[numbers[0]] == first and f"{name} numbering recognised by" in labels.source
    assert "distance between them" in labels.source


def test_chains_that_no_distance_tells_apart_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "l.nii.gz", spine([31, 30, 29, 28], pitch=14))
    with pytest.raises(SegmentationError) as caught:
        read_labels(path)
    said = str(caught.value)
    assert "vertebrae_L1 to vertebrae_L4 by total (28 mm apart, about 35 expected)" in said and "--label-map" in said
    assert "vertebrae_T4 to vertebrae_T7 by total_v1 (28 mm apart, about 23 expected)" in said
    assert names_of(read_labels(path, mapping="total"))[31] == "vertebrae_L1"


def test_single_label_with_two_meanings(tmp_path: Path) -> None:
    path = save(tmp_path / "l.nii.gz", spine([20]))
    with pytest.raises(SegmentationError) as caught:
        read_labels(path)
    assert "colon" in str(caught.value) and "vertebrae_L1" in str(caught.value) and "--label-map" in str(caught.value)
    assert names_of(read_labels(path, mapping="verse")) == {20: "vertebrae_L1"}


def test_single_label_with_one_meaning(tmp_path: Path) -> None:
    assert names_of(read_labels(save(tmp_path / "l.nii.gz", spine([31])))) == {31: "vertebrae_L1"}


def test_numbers_of_no_numbering(tmp_path: Path) -> None:
    with pytest.raises(SegmentationError, match="found labels 31, 180, which no known numbering"):
        read_labels(save(tmp_path / "l.nii.gz", spine([31, 180])))


def test_bodies_are_told_from_whole_vertebrae(tmp_path: Path) -> None:
    labels = read_labels(save(tmp_path / "l.nii.gz", spine([31, 30, 29], depth=16)))
    assert names_of(labels)[31] == "vertebral_body_L1" and "32 mm deep" in labels.source


def test_table_in_the_file_wins(tmp_path: Path) -> None:
    volume = spine([5, 6, 7])
    image = nib.Nifti1Image(np.asarray(volume.array), np.diag([-1.0, -1, 1, 1]) @ volume.affine)
    rows = "".join(
        f'<Label Key="{n}" Red="0"><![CDATA[vertebrae_{level}]]></Label>' for n, level in ((5, "T12"), (6, "L1"), (7, "L2"))
    )
    xml = f"<CaretExtension><LabelTable>{rows}</LabelTable></CaretExtension>"
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    nib.save(image, tmp_path / "l.nii.gz")
    labels = read_labels(tmp_path / "l.nii.gz")
    assert names_of(labels) == {5: "vertebrae_T12", 6: "vertebrae_L1", 7: "vertebrae_L2"} and "own table" in labels.source


def test_builtin_tables_hold_what_the_issue_says() -> None:
    total = builtin_tables()["total"]
    assert len(total) == 117 and len(builtin_tables()["total_v1"]) == 104
    known = {25: "sacrum", 26: "vertebrae_S1", 27: "vertebrae_L5", 31: "vertebrae_L1", 32: "vertebrae_T12", 43: "vertebrae_T1",
             44: "vertebrae_C7", 50: "vertebrae_C1", 52: "aorta", 75: "femur_left", 76: "femur_right", 77: "hip_left"}  # fmt: skip
    assert {number: total[number] for number in known} == known
    assert builtin_tables()["verse"][24] == "vertebrae_L5"


# Mappings ----------------------------------------------------------------------------------------------------


def test_mapping(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text('[labels]\n2 = "femur_left"\n')
    array = np.zeros(GRID.shape, np.uint8)
    array[10:20, 20:30, 10:80], array[30:35, 20:30, 10:80] = 2, 9
    labels = read_labels(save(tmp_path / "l.nii.gz", GRID.with_array(array)), mapping=mapping)
    assert names_of(labels) == {2: "femur_left"} and "1 label(s) without a name left out" in labels.source
    assert set(np.unique(labels.volume.array)) == {0, 2}


def test_numbers_of_one_name_become_one(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text('1 = "vertebral_body_L2"\n2 = "vertebral_body_L2"\n3 = "process"\n')
    array = np.zeros(GRID.shape, np.uint8)
    array[10:20, 10:20, 50:60], array[20:22, 10:20, 50:60], array[10:22, 25:30, 50:60] = 1, 2, 3
    labels = read_labels(save(tmp_path / "l.nii.gz", GRID.with_array(array)), mapping=mapping)
    assert names_of(labels) == {1: "vertebral_body_L2", 3: "process"}
    assert np.count_nonzero(labels.volume.array == 1) == 1200


@pytest.mark.parametrize("content", ["1 = ", "", "1 = 5\n", '1 = "a b"\n', "[labels]\n"])
def test_bad_mappings(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.toml").write_text(content)
    with pytest.raises(SettingsError, match="expected"):
        read_labels(save(tmp_path / "l.nii.gz", spine([31])), mapping=tmp_path / "m.toml")


def test_missing_and_foreign_mapping(tmp_path: Path) -> None:
    path = save(tmp_path / "l.nii.gz", spine([31]))
    with pytest.raises(SettingsError, match="no readable label mapping, expected a TOML file"):
        read_labels(path, mapping=tmp_path / "none.toml")
    (tmp_path / "m.toml").write_text('5 = "femur_left"\n')
    with pytest.raises(SegmentationError, match="found labels 31, none of them in the mapping, which names 5"):
        read_labels(path, mapping=tmp_path / "m.toml")


def test_label_map_round_trip(tmp_path: Path) -> None:
    labels = LabelMap(spine([31, 30, 29]), {31: "vertebrae_L1", 30: "vertebrae_L2", 29: "vertebrae_L3"}, "simulated")
    mapping = write_label_map(labels, tmp_path / "labels.nii.gz")
    assert mapping == tmp_path / "labels.toml"
    found = read_labels(tmp_path / "labels.nii.gz", mapping=mapping, like=labels.volume)
    assert names_of(found) == names_of(labels)
    np.testing.assert_array_equal(found.volume.array, labels.volume.array)


# Folders -----------------------------------------------------------------------------------------------------


def one(number: int, numbers: list[int], depth: int = 36) -> Volume:
    whole = spine(numbers, depth=depth)
    return whole.with_array((whole.array == number).astype(np.uint8))


def test_folder_of_masks(tmp_path: Path) -> None:
    for number, name in ((31, "vertebrae_L1"), (30, "vertebrae_L2")):
        save(tmp_path / f"{name}.nii.gz", one(number, [31, 30]))
    save(tmp_path / "aorta.nii.gz", GRID)
    labels = read_labels(tmp_path, like=GRID)
    assert sorted(labels.names.values()) == ["vertebrae_L1", "vertebrae_L2"] and "2 not empty" in labels.source
    number = next(n for n, name in labels.names.items() if name == "vertebrae_L2")
    np.testing.assert_array_equal(labels.volume.array == number, one(30, [31, 30]).array > 0)


def test_folder_costs_no_more_than_its_structures(tmp_path: Path) -> None:
    """A folder may hold 117 files, most of them empty: 5 bytes a voxel, none of them for an empty one kept."""
    shape = (100, 100, 120)
    for number in range(6):
        array = np.zeros(shape, np.uint8)
        if number < 2:
            array[30:50, 30:60, 20 + 40 * number : 50 + 40 * number] = 1
        save(
            tmp_path / (f"vertebrae_L{2 - number}.nii.gz" if number < 2 else f"organ_{number}.nii.gz"),
            Volume(array, AFFINE, "label"),
        )
    read_labels(tmp_path)
    tracemalloc.start()
    labels = read_labels(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(labels.names) == 2 and np.count_nonzero(labels.volume.array) == 2 * 20 * 30 * 30
    assert peak / np.prod(shape) < 6.5, f"{peak / np.prod(shape):.1f} bytes per voxel"


def test_folder_faults(tmp_path: Path) -> None:
    with pytest.raises(SegmentationError, match="no NIfTI file"):
        read_labels(tmp_path)
    save(tmp_path / "aorta.nii.gz", GRID)
    with pytest.raises(SegmentationError, match="all empty"):
        read_labels(tmp_path)
    save(tmp_path / "vertebrae_L1.nii.gz", Volume(GRID.array[:, :, :60] + np.uint8(1), AFFINE, "label"))
    with pytest.raises(GeometryError, match="different grids"):
        read_labels(tmp_path)


def test_overlapping_bones(tmp_path: Path) -> None:
    save(tmp_path / "vertebrae_L1.nii.gz", one(31, [31]))
    save(tmp_path / "vertebral_body_L1.nii.gz", one(31, [31], depth=16))
    with pytest.raises(SegmentationError, match="two folders"):
        read_labels(tmp_path)


def test_bone_wins_over_tissue(tmp_path: Path) -> None:
    save(tmp_path / "body.nii.gz", GRID.with_array(np.ones(GRID.shape, np.uint8)))
    save(tmp_path / "vertebrae_L1.nii.gz", one(31, [31]))
    save(tmp_path / "zz_skin.nii.gz", GRID.with_array(np.ones(GRID.shape, np.uint8)))
    labels = read_labels(tmp_path)
    number = next(n for n, name in labels.names.items() if name == "vertebrae_L1")
    np.testing.assert_array_equal(labels.volume.array == number, one(31, [31]).array > 0)


def test_file_named_by_its_structure(tmp_path: Path) -> None:
    labels = read_labels(save(tmp_path / "femur_left.nii.gz", one(31, [31])))
    assert names_of(labels) == {1: "femur_left"} and labels.source.endswith("named by its file")


# Real labels -------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_real_label_maps(data_dir: Path) -> None:
    folder = data_dir / "abdomen_pelvis"
    image = read_scan(folder / "ct.nii.gz").image
    whole = read_labels(folder / "labels_vertebrae.nii.gz", like=image)
    assert whole.names[31] == "vertebrae_L1" and whole.names[27] == "vertebrae_L5" and len(whole.names) == 8
    bodies = read_labels(folder / "labels_vertebral_bodies.nii.gz", like=image)
    assert bodies.names[20] == "vertebral_body_L1" and len(bodies.names) == 6
    # independent of any table: the body of L1 lies inside the vertebra L1
    inside = whole.volume.array[bodies.volume.array == 20]
    assert np.mean(inside == 31) > 0.9


@pytest.mark.data
def test_real_label_maps_without_their_tables(data_dir: Path, tmp_path: Path) -> None:
    """The same maps with the label table stripped: the numbering is recognised by anatomy."""
    folder = data_dir / "abdomen_pelvis"
    for name in ("labels_vertebrae", "labels_vertebral_bodies"):
        image = nib.load(folder / f"{name}.nii.gz")
        stripped = canonical(Volume(np.asanyarray(image.dataobj), np.diag([-1.0, -1, 1, 1]) @ image.affine, "label"))
        found = read_labels(save(tmp_path / f"{name}.nii.gz", stripped))
        assert names_of(found) == names_of(read_labels(folder / f"{name}.nii.gz")), found.source


@pytest.mark.data
def test_real_folder(data_dir: Path) -> None:
    folder = data_dir / "abdomen_small"
    image = read_scan(folder / "ct.nii.gz").image
    labels = read_labels(folder / "segmentations", like=image)
    assert len(labels.names) == 40 and same_grid(labels.volume, image)
    by_name = {name: number for number, name in labels.names.items()}
    aorta = nib.load(folder / "segmentations" / "aorta.nii.gz")
    assert np.count_nonzero(labels.volume.array == by_name["aorta"]) == np.count_nonzero(np.asanyarray(aorta.dataobj))
    whole = read_labels(folder / "segmentations", like=read_scan(data_dir / "abdomen_pelvis" / "ct.nii.gz").image)
    assert whole.cautions == ()  # the crop lies in its place in the scan that it was cut from
    np.testing.assert_array_equal(whole.volume.array[:, :, :30], labels.volume.array)


@pytest.mark.data
def test_real_labels_that_need_a_mapping(data_dir: Path) -> None:
    with pytest.raises(SegmentationError, match="--label-map"):
        read_labels(data_dir / "hip_crop" / "labels.nii.gz")
    with pytest.raises(SegmentationError, match="--label-map"):
        read_labels(data_dir / "vertebra_l2" / "labels.nii.gz")
