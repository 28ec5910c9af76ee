"""Labels given by the user: hostile ones first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openbct.errors import GeometryError, SegmentationError, SettingsError
from openbct.records import Acquisition, LabelMap, Patient, Scan, Segmenter, Step
from openbct.segmentation import EXPECTED, KNOWN_BONES, GivenLabels
from openbct.volume import Volume, place_into

SHAPE = (40, 40, 40)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
BODY = (slice(10, 20), slice(10, 20), slice(10, 20))


def make_scan(image: np.ndarray) -> Scan:
    return Scan(Volume(image, AFFINE, "HU"), Patient(), Acquisition(), "made up", "0", Step("reading", "A scan."))


def bright(*boxes: tuple[slice, slice, slice]) -> np.ndarray:
    image = np.zeros(SHAPE, dtype=np.float32)
    for box in boxes:
        image[box] = 200.0
    return image


def label_map(parts: dict[int, tuple[slice, slice, slice]], names: dict[int, str]) -> LabelMap:
    array = np.zeros(SHAPE, dtype=np.uint8)
    for value, box in parts.items():
        array[box] = value
    return LabelMap(Volume(array, AFFINE, "label"), names, "a label map")


def test_is_a_segmenter() -> None:
    assert isinstance(GivenLabels(()), Segmenter)


@pytest.mark.parametrize(("bone", "near"), [("L9", "'"), ("femur_lef", "'femur_left'"), ("l1", "T1 to L6"), ("", "T1 to L6")])
def test_unknown_bone_stops_the_run(bone: str, near: str) -> None:
    segmenter = GivenLabels((label_map({1: BODY}, {1: "vertebrae_L1"}),), (bone,))
    with pytest.raises(SettingsError, match=near):
        segmenter(make_scan(bright(BODY)))


def test_no_map_and_no_bone_are_settings_errors() -> None:
    with pytest.raises(SettingsError, match="no label map"):
        GivenLabels(())(make_scan(bright(BODY)))
    with pytest.raises(SettingsError, match="empty list"):
        GivenLabels((label_map({1: BODY}, {1: "vertebrae_L1"}),), ())(make_scan(bright(BODY)))


def test_labels_on_another_grid_are_refused() -> None:
    labels = label_map({1: BODY}, {1: "vertebrae_L1"})
    moved = AFFINE.copy()
    moved[0, 3] = 3.0
    shifted = LabelMap(Volume(labels.volume.array, moved, "label"), labels.names, "shifted labels")
    with pytest.raises(GeometryError, match=r"shifted labels.*same place"):
        GivenLabels((shifted,))(make_scan(bright(BODY)))


def test_labels_brought_from_another_grid_that_lie_on_no_bone_are_those_of_another_scan() -> None:
    labels = replace(label_map({1: BODY}, {1: "vertebral_body_L1"}), cautions=("They lay on another grid.",), moved=True)
    found = GivenLabels((labels,), ("L1",))(make_scan(bright(BODY)))
    assert found.step.cautions == ("They lay on another grid.",)
    with pytest.raises(SegmentationError, match="it was made from another scan"):
        GivenLabels((labels,), ("L1",))(make_scan(bright((slice(28, 38),) * 3)))


def test_all_bones_missing_is_an_error_and_some_missing_is_not() -> None:
    segmenter = GivenLabels((label_map({1: BODY}, {1: "vertebrae_L1", 2: "vertebrae_L2"}),), ("L1", "L2"))
    found = segmenter(make_scan(bright(BODY)))
    assert set(found.bones) == {"L1"}
    # a name without voxels is as absent as no name
    assert "no label of L2" in found.absent["L2"]
    with pytest.raises(SegmentationError, match="which hold vertebrae_L1"):
        GivenLabels(segmenter.labels, ("femur_left",))(make_scan(bright(BODY)))


def test_default_looks_for_the_levels_and_hips_of_the_protocol() -> None:
    found = GivenLabels((label_map({1: BODY}, {1: "vertebrae_L1"}),))(make_scan(bright(BODY)))
    assert set(found.bones) | set(found.absent) == set(EXPECTED)
    assert set(EXPECTED) <= set(KNOWN_BONES)


def test_several_numbers_of_one_name_are_united() -> None:
    upper, lower = (slice(10, 20), slice(10, 20), slice(15, 20)), (slice(10, 20), slice(10, 20), slice(10, 15))
    labels = label_map({1: upper, 2: lower}, {1: "vertebral_body_L2", 2: "vertebral_body_L2"})
    found = GivenLabels((labels,), ("L2",))(make_scan(bright(BODY)))
    assert found.bones["L2"].part == "body"
    assert found.bones["L2"].mask.array.sum() == 1000


def test_body_wins_over_whole_and_a_common_body_label_is_shared_out() -> None:
    whole = (slice(10, 20), slice(10, 30), slice(10, 20))
    image = bright(whole)
    both = (label_map({1: whole}, {1: "vertebrae_L1"}), label_map({1: BODY}, {1: "vertebral_body_L1"}))
    assert GivenLabels(both, ("L1",))(make_scan(image)).bones["L1"].part == "body"
    # the common label reaches past this vertebra
    column = (slice(8, 22), slice(10, 20), slice(2, 38))
    common = (label_map({1: whole}, {1: "vertebrae_L1"}), label_map({1: column}, {1: "vertebrae_body"}))
    shared = GivenLabels(common, ("L1",))(make_scan(image)).bones["L1"]
    assert shared.part == "body"
    assert place_into(shared.mask, Volume(image, AFFINE, "HU"), False).array[BODY].all()
    assert shared.mask.array.sum() == 1000


def test_a_label_in_two_bones_is_refused_alone() -> None:
    other = (slice(28, 36), slice(10, 20), slice(10, 20))
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[BODY], array[other], array[2:6, 2:6, 2:6] = 1, 1, 2
    labels = LabelMap(Volume(array, AFFINE, "label"), {1: "vertebrae_L1", 2: "vertebrae_L2"}, "labels")
    found = GivenLabels((labels,), ("L1", "L2"))(make_scan(bright(BODY, other, (slice(2, 6),) * 3)))
    assert "2 pieces" in found.absent["L1"] and "44 %" in found.absent["L1"]
    assert set(found.bones) == {"L2"}


STACK = {1: (18, 24), 2: (11, 17), 3: (4, 10)}


def stacked(**levels: int) -> tuple[GivenLabels, Scan]:
    """Three levels, each at a place counted from the head."""
    boxes = {n: (slice(10, 20), slice(10, 20), slice(*STACK[n])) for n in STACK}
    names = {place: f"vertebral_body_{level}" for level, place in levels.items()}
    return GivenLabels((label_map(boxes, names),), tuple(levels)), make_scan(bright(*boxes.values()))


def test_levels_upside_down_are_refused_and_a_misnamed_one_is_said() -> None:
    segmenter, scan = stacked(L1=1, L2=2, L3=3)
    assert segmenter(scan).step.cautions == ()
    segmenter, scan = stacked(L1=3, L2=2, L3=1)
    with pytest.raises(
        SegmentationError, match=r"L1: found the labels of L1 and L2 in the wrong order, and 2 of 2 .* upside down"
    ):
        segmenter(scan)
    segmenter, scan = stacked(L1=1, L2=3, L3=2)
    assert "The labels have L3 above L2" in segmenter(scan).step.cautions[0]


def test_an_island_far_away_does_not_disturb_the_order() -> None:
    segmenter, scan = stacked(L1=1, L2=2, L3=3)
    array = segmenter.labels[0].volume.array.copy()
    array[30, 30, 39] = 3
    labels = LabelMap(Volume(array, AFFINE, "label"), segmenter.labels[0].names, "labels")
    assert not any("above" in caution for caution in GivenLabels((labels,), segmenter.bones)(scan).step.cautions)


def test_islands_and_holes_are_repaired_and_said() -> None:
    labels = label_map({1: BODY}, {1: "vertebral_body_L1"})
    array = labels.volume.array.copy()
    array[14:17, 14:17, 14:17] = 0
    array[30:33, 30:33, 30:33] = 1
    broken = LabelMap(labels.volume.with_array(array), labels.names, "labels")
    found = GivenLabels((broken,), ("L1",))(make_scan(bright(BODY)))
    assert found.bones["L1"].mask.array.sum() == 1000
    assert found.bones["L1"].mask.array.all()
    text = " ".join(found.step.cautions)
    assert "2.7 % of the label lay apart" in text and "holes of 2.7 %" in text
    assert found.bones["L1"].confidence == pytest.approx(0.973, abs=0.002)  # a filled hole takes nothing


def test_confidence_falls_off_the_bone_and_at_the_border() -> None:
    labels = (label_map({1: BODY}, {1: "vertebral_body_L1"}),)
    good = GivenLabels(labels, ("L1",))(make_scan(bright(BODY)))
    assert good.bones["L1"].confidence == 1.0 and good.step.cautions == ()
    dark = GivenLabels(labels, ("L1",))(make_scan(np.zeros(SHAPE, dtype=np.float32)))
    assert dark.bones["L1"].confidence == 0.0
    assert "beside the bone" in dark.step.cautions[0]
    end = (slice(10, 20), slice(10, 20), slice(30, 40))
    cut = GivenLabels((label_map({1: end}, {1: "vertebral_body_L1"}),), ("L1",))(make_scan(bright(end)))
    assert cut.bones["L1"].touches_edge and cut.bones["L1"].confidence == 0.5
    assert not good.bones["L1"].touches_edge


def test_tissues_are_united_sub_boxes_of_the_scan() -> None:
    left, right = (slice(2, 5), slice(2, 5), slice(2, 5)), (slice(30, 35), slice(2, 5), slice(2, 9))
    names = {1: "vertebrae_L1", 2: "autochthon_left", 3: "autochthon_right", 4: "aorta", 5: "subcutaneous_fat"}
    labels = label_map({1: BODY, 2: left, 3: right, 4: (slice(20, 22),) * 3, 5: (slice(36, 38),) * 3}, names)
    image = bright(BODY)
    found = GivenLabels((labels,), ("L1",))(make_scan(image))
    assert set(found.tissues) == {"muscle", "aorta", "fat"}
    muscle = place_into(found.tissues["muscle"], Volume(image, AFFINE, "HU"), False).array
    assert np.array_equal(muscle, np.isin(labels.volume.array, [2, 3]))
    assert found.tissues["muscle"].shape == (33, 3, 7)


@pytest.mark.data
def test_real_label_map(data_dir: Path) -> None:
    from openbct.io import read_labels, read_scan

    scan = read_scan(data_dir / "abdomen_pelvis" / "ct.nii.gz")
    found = GivenLabels((read_labels(data_dir / "abdomen_pelvis" / "labels_vertebrae.nii.gz"),))(scan)
    assert set(found.bones) == {"T12", "L1", "L2", "L3", "L4"}
    assert found.bones["T12"].touches_edge
    assert all(found.bones[level].confidence > 0.9 for level in ("L1", "L2", "L3", "L4"))
    assert set(found.absent) == {"femur_left", "femur_right"}


def test_what_the_bones_were_taken_from_is_kept_with_its_digest() -> None:
    made = label_map({1: BODY}, {1: "vertebral_body_L1"})
    read = replace(made, digest="ab" * 32)
    assert GivenLabels((read, made), ("L1",))(make_scan(bright(BODY))).inputs == (("a label map", "ab" * 32),)
