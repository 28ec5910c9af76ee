"""Given labels mended: sides, femora in one label, mixed and merged vertebrae, leaks; and levels counted from sacrum and ribs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openbct.errors import SegmentationError
from openbct.io import read_labels, read_scan
from openbct.records import Acquisition, LabelMap, Patient, Scan, Step
from openbct.segmentation import GivenLabels
from openbct.segmentation.counting import count_levels
from openbct.segmentation.leaks import without_leaks
from openbct.segmentation.mending import mend
from openbct.volume import Volume

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
SHAPE = (100, 60, 130)


def drawn(boxes: dict[int, tuple[slice, slice, slice]], names: dict[int, str]) -> tuple[LabelMap, Scan]:
    """Return labels and an image that is bright in them."""
    array = np.zeros(SHAPE, np.uint8)
    for number, box in boxes.items():
        array[box] = number
    image = np.where(array > 0, 250.0, 30.0).astype(np.float32)
    scan = Scan(Volume(image, AFFINE, "HU"), Patient(), Acquisition(), "drawn", "0", Step("input", "Drawn."))
    return LabelMap(Volume(array, AFFINE, "label"), names, "drawn"), scan


def level(n: int) -> tuple[slice, slice, slice]:
    """Return the box of the n-th body from the head down: 26 mm high, 34 mm from the next."""
    top = 125 - 17 * n
    return (slice(40, 62), slice(20, 36), slice(top - 13, top))


# Sides -------------------------------------------------------------------------------------------------------

LEFT, RIGHT = (slice(70, 85), slice(20, 40), slice(20, 80)), (slice(10, 25), slice(20, 40), slice(20, 80))


def test_femora_of_one_label_are_told_apart() -> None:
    labels, scan = drawn({2: LEFT, 5: RIGHT}, {2: "femora", 5: "femora"})
    one = LabelMap(labels.volume.with_array((labels.volume.array > 0).astype(np.uint8) * 2), {2: "femora"}, "drawn")
    found = GivenLabels((one,), ("femur_left", "femur_right"))(scan)
    for bone, box in (("femur_left", LEFT), ("femur_right", RIGHT)):
        assert found.bones[bone].mask.affine[0, 3] == 2.0 * box[0].start and found.bones[bone].mask.array.all()
    assert "One label held both femora" in found.step.cautions[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_femur_alone_is_told_by_its_head(side: str) -> None:
    """The head lies medially of the shaft: towards the patient's right of a left femur."""
    step = -1 if side == "left" else 1
    shaft, head = (
        (slice(45, 55), slice(20, 40), slice(20, 90)),
        (slice(45 + 9 * step, 55 + 9 * step), slice(20, 40), slice(80, 100)),
    )
    labels, scan = drawn({2: shaft}, {2: "femora"})
    array = labels.volume.array.copy()
    array[head] = 2
    mended = mend(LabelMap(labels.volume.with_array(array), {2: "femora"}, "drawn"), scan.image)
    assert list(mended.names.values()) == [f"femur_{side}"] and f"taken as the {side} one" in mended.cautions[0]


def test_exchanged_names_are_put_right_where_everything_else_lies_right() -> None:
    hips = {3: (slice(86, 95), slice(20, 40), slice(80, 100)), 4: (slice(2, 9), slice(20, 40), slice(80, 100))}
    labels, scan = drawn({1: LEFT, 2: RIGHT, **hips}, {1: "femur_right", 2: "femur_left", 3: "hip_left", 4: "hip_right"})
    found = GivenLabels((labels,), ("femur_left",))(scan)
    assert found.bones["femur_left"].mask.affine[0, 3] == 2.0 * LEFT[0].start
    assert "the names were exchanged" in found.step.cautions[0] and "120 mm" in found.step.cautions[0]


def test_a_mirrored_map_is_refused() -> None:
    hips = {3: (slice(86, 95), slice(20, 40), slice(80, 100)), 4: (slice(2, 9), slice(20, 40), slice(80, 100))}
    labels, scan = drawn({1: LEFT, 2: RIGHT, **hips}, {1: "femur_right", 2: "femur_left", 3: "hip_right", 4: "hip_left"})
    with pytest.raises(SegmentationError, match="femur_left 120 mm to the right of femur_right"):
        GivenLabels((labels,), ("femur_left",))(scan)
    one_sided = LabelMap(labels.volume, {3: "hip_right", 4: "hip_left"}, "drawn")
    with pytest.raises(SegmentationError, match="hips of the labels on each other's side"):
        mend(one_sided, scan.image)


def test_the_image_tells_exchanged_names_from_a_mirrored_map() -> None:
    """Two femora at unlike distances from the middle: in place they lie on bone, mirrored they do not."""
    near = (slice(30, 45), slice(20, 40), slice(20, 80))
    labels, scan = drawn({1: LEFT, 2: near}, {1: "femur_right", 2: "femur_left"})
    assert mend(labels, scan.image).names == {1: "femur_left", 2: "femur_right"}
    flipped = LabelMap(labels.volume.with_array(labels.volume.array[::-1].copy()), {1: "femur_left", 2: "femur_right"}, "drawn")
    with pytest.raises(SegmentationError, match="mirrored"):
        mend(flipped, scan.image)


# Neighbours --------------------------------------------------------------------------------------------------

NAMES = {1: "vertebral_body_L1", 2: "vertebral_body_L2", 3: "vertebral_body_L3", 4: "vertebral_body_L4"}


def test_a_piece_on_the_neighbour_is_given_to_it() -> None:
    labels, scan = drawn({n: level(n - 1) for n in NAMES}, NAMES)
    array = labels.volume.array.copy()
    corner = (slice(40, 62), slice(20, 36), level(1)[2])
    array[corner][:6] = 3  # a side of L2 carries the number of L3
    mended = mend(LabelMap(labels.volume.with_array(array), NAMES, "drawn"), scan.image)
    np.testing.assert_array_equal(mended.volume.array, labels.volume.array)
    assert mended.cautions == ("L3: 21.4 % of its label hung on L2 and was given to it.",)
    assert labels.volume.array is not mended.volume.array and array[corner][:6].max() == 3


@pytest.mark.parametrize("apart", [True, False])
def test_two_vertebrae_under_one_label_are_parted(apart: bool) -> None:
    labels, scan = drawn({n: level(n - 1) for n in NAMES}, NAMES)
    array = labels.volume.array.copy()
    array[array == 3] = 2
    if not apart:  # a thin bridge through the disc
        array[50:54, 26:30, level(1)[2].start - 4 : level(1)[2].start] = 2
    names = {n: name for n, name in NAMES.items() if n != 3}
    found = GivenLabels((LabelMap(labels.volume.with_array(array), names, "drawn"),), ("L1", "L2", "L3", "L4"))(scan)
    assert set(found.bones) == {"L1", "L2", "L3", "L4"}
    size = 22 * 16 * 13
    for n, bone in enumerate(("L1", "L2", "L3", "L4")):
        assert (
            abs(int(found.bones[bone].mask.array.sum()) - size) <= 64
            and abs(found.bones[bone].mask.affine[2, 3] - 2.0 * level(n)[2].start) <= 8
        )
    assert "held two vertebrae" in " ".join(found.step.cautions) and "L2 and L3" in " ".join(found.step.cautions)


def test_two_vertebrae_under_one_label_stay_where_no_name_is_free() -> None:
    labels, scan = drawn({n: level(n - 1) for n in NAMES}, NAMES)
    array = labels.volume.array.copy()
    array[array == 3] = 2
    names = {1: "vertebral_body_L1", 2: "vertebral_body_L2", 4: "vertebral_body_L3"}
    with_all = LabelMap(labels.volume.with_array(array), names, "drawn")
    found = GivenLabels((with_all,), ("L1", "L2", "L3"))(scan)
    assert "L2" in found.absent and "2 pieces" in found.absent["L2"]


def test_a_border_that_sits_wrong_is_told() -> None:
    boxes = {n: level(n - 1) for n in NAMES}
    boxes[2] = (boxes[2][0], boxes[2][1], slice(boxes[2][2].start + 6, boxes[2][2].stop))
    labels, scan = drawn(boxes, NAMES)
    said = " ".join(mend(labels, scan.image).cautions)
    assert "L2: its label is 14 mm high and its neighbours' 26 mm" in said and "L3" not in said


def test_right_labels_stay_untouched() -> None:
    labels, scan = drawn({n: level(n - 1) for n in NAMES}, NAMES)
    mended = mend(labels, scan.image)
    assert mended.volume is labels.volume and mended.names == labels.names and mended.cautions == ()


# Leaks -------------------------------------------------------------------------------------------------------


def test_what_hangs_on_a_thin_bridge_is_cut_off() -> None:
    mask = np.zeros((60, 40, 40), bool)
    mask[5:30, 8:32, 8:32] = True
    bone = mask.copy()
    mask[30:38, 18:20, 18:20] = True  # 2 mm thick
    mask[38:50, 12:26, 12:26] = True
    kept, share = without_leaks(mask, np.array([1.0, 1.0, 1.0]))
    assert share == pytest.approx(np.count_nonzero(mask & ~kept) / np.count_nonzero(mask)) and share > 0.1
    assert not kept[40:].any() and kept[bone].all()


def test_a_thick_neck_and_a_crushed_body_are_no_leaks() -> None:
    femur = np.zeros((60, 40, 40), bool)
    femur[5:30, 8:32, 8:32], femur[30:38, 12:28, 12:28], femur[38:55, 8:32, 8:32] = True, True, True
    assert without_leaks(femur, np.array([1.0, 1.0, 1.0]))[1] == 0.0
    crushed = np.zeros((40, 30, 26), bool)
    crushed[2:38, 2:28, 3:23] = True
    crushed[16:24, 2:28, 3:11], crushed[16:24, 2:28, 14:23] = False, False  # 3 mm are left in the middle
    assert without_leaks(crushed, np.array([1.0, 1.0, 1.0]))[1] == 0.0


# Counting ----------------------------------------------------------------------------------------------------


def counted(first: str, *, ribs: int | None = None, rib_at: int = 0, sacrum: bool = True) -> tuple[str, list[str]]:
    """Return the count of five vertebrae named from ``first`` down, with S1 under the last, and rib ``ribs`` at the ``rib_at``-th."""
    order = ["T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6"]
    start = order.index(first)
    boxes = {n + 1: level(n) for n in range(5)}
    names = {n + 1: f"vertebrae_{order[start + n]}" for n in range(5)}
    if sacrum:
        boxes[6], names[6] = level(5), "vertebrae_S1"
    if ribs is not None:
        at = level(rib_at)[2]
        boxes[7], names[7] = (slice(63, 95), slice(32, 40), slice(at.start + 4, at.start + 8)), f"rib_left_{ribs}"
    labels, _ = drawn(boxes, names)
    return count_levels(labels.volume, names)


def test_levels_that_agree_with_the_sacrum_and_the_ribs() -> None:
    sentence, cautions = counted("L1")
    assert sentence == "Levels: L5 lies next to the sacrum." and cautions == []
    sentence, cautions = counted("T12", ribs=12, sacrum=False)
    assert "rib 12 meets the vertebrae of their number" in sentence and cautions == []
    assert counted("L1", sacrum=False) == (
        "No level could be counted (neither sacrum nor ribs are labelled): names rest on the labels alone.",
        [],
    )


def test_levels_that_disagree_with_the_sacrum() -> None:
    sentence, cautions = counted("T12")
    assert "L4 lies next to the sacrum, where L5 is expected" in sentence
    assert len(cautions) == 1 and "Counted from the sacrum" in cautions[0] and "four or six lumbar" in cautions[0]


def test_levels_that_disagree_with_the_ribs_and_each_other() -> None:
    _, cautions = counted("T12", ribs=12, rib_at=1)
    said = " ".join(cautions)
    assert "Counted from the ribs" in said and "disagree by 2" in said
    _, cautions = counted("T12", ribs=12, rib_at=0)
    assert "Counted from the sacrum" in " ".join(cautions) and "disagree by 1" in " ".join(cautions)


def test_a_sixth_lumbar_vertebra_is_told() -> None:
    _, cautions = counted("L2")
    assert "sixth lumbar vertebra" in cautions[0]


@pytest.mark.data
def test_real_levels_are_counted(data_dir: Path) -> None:
    folder = data_dir / "abdomen_pelvis"
    scan = read_scan(folder / "ct.nii.gz")
    found = GivenLabels((read_labels(folder / "labels_vertebrae.nii.gz"),), ("L1", "L2", "L3", "L4", "L5"))(scan)
    assert "L5 lies next to the sacrum" in found.step.sentence and set(found.bones) == {"L1", "L2", "L3", "L4", "L5"}
    assert not [c for c in found.step.cautions if "Counted" in c or "hung on" in c or "held two" in c], found.step.cautions
