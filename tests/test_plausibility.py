"""Whether a bone is believed: by its mask's confidence, by its neighbours and its other side, by what adults of its sex have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.errors import SegmentationError
from openbct.plausibility import judged, too_doubtful
from openbct.records import (
    Acquisition,
    BoneMask,
    BoneMeasures,
    BoneRegion,
    BoneResult,
    Frame,
    Measure,
    Patient,
    Scan,
    Segmentation,
    Step,
)  # fmt: skip
from openbct.segmentation import Agreeing
from openbct.segmentation.builtin import of_finder
from openbct.segmentation.likeness import compared
from openbct.volume import Volume

STEP = Step("anatomy", "found")


def box(edges: tuple[int, int, int], spacing: float = 1.0) -> Volume:
    """Return a filled box."""
    return Volume(np.ones(edges, dtype=bool), np.diag([spacing, spacing, spacing, 1.0]), "mask")


def mask_of(bone: str, edges: tuple[int, int, int], confidence: float = 1.0, *, cut: bool = False) -> BoneMask:
    return BoneMask(bone, box(edges), "whole" if bone.startswith("femur") else "body", confidence, cut)


def result(bone: str, lengths: dict[str, float], density: float | None = None) -> BoneResult:
    """Return a bone with these lengths, and no more."""
    volume = box((2, 2, 2))
    kind = "femur" if bone.startswith("femur") else "vertebra"
    region = BoneRegion(bone, kind, None, volume, volume, Frame(np.zeros(3), np.eye(3)), {}, lengths, STEP)  # type: ignore[arg-type]
    values = {} if density is None else {"trabecular_vbmd": Measure(density, "mg/cm3 K2HPO4", "inside")}
    return BoneResult(bone, "ok", None, (), (), region=region, measures=BoneMeasures(bone, values, {}, STEP))


# Refusal ---------------------------------------------------------------------------------------------------------


def test_a_mask_below_the_least_confidence_is_refused_with_both_numbers() -> None:
    said = too_doubtful(mask_of("L2", (4, 4, 4), 0.61), 0.70)
    assert said is not None and "0.61" in said and "expected 0.7 or more" in said and "least_confidence" in said


@pytest.mark.parametrize(
    ("mask", "least"),
    [
        (mask_of("L2", (4, 4, 4), 0.70), 0.70),
        (mask_of("L2", (4, 4, 4), 0.0), 0.0),
        (mask_of("T12", (4, 4, 4), 0.45, cut=True), 0.70),
    ],
)
def test_a_mask_good_enough_or_cut_by_the_image_is_left_to_its_anatomy(mask: BoneMask, least: float) -> None:
    assert too_doubtful(mask, least) is None


def test_a_femur_cut_below_is_refused_for_its_confidence_too() -> None:
    assert too_doubtful(mask_of("femur_left", (4, 4, 4), 0.5, cut=True), 0.70)


def test_a_finders_doubts_take_little_and_a_levels_name_nothing() -> None:
    assert of_finder({"wall": 1.0, "level": 0.0}) == 1.0
    assert of_finder({"wall": 0.25, "canal": 1.0, "level": 0.7}) == pytest.approx(0.925)
    assert of_finder({"wall": 0.0}) == pytest.approx(0.85, abs=1e-3)


# Neighbours and sides --------------------------------------------------------------------------------------------


def test_bodies_that_grow_downwards_are_alike() -> None:
    bones = {
        level: mask_of(level, (40, 30, height)) for level, height in (("L1", 25), ("L2", 26), ("L3", 28), ("L4", 30), ("L5", 29))
    }
    found, doubts = compared(bones)
    assert doubts == () and all(bone.confidence == 1.0 for bone in found.values())


def test_a_body_with_half_of_its_neighbours_volume_loses_what_overlap_it_must() -> None:
    bones = {"L1": mask_of("L1", (40, 30, 26)), "L2": mask_of("L2", (40, 30, 13)), "L3": mask_of("L3", (40, 30, 28))}
    found, doubts = compared(bones)
    assert len(doubts) == 1 and doubts[0].startswith("L2: its mask has 16 cm³ where L1, L3 let 32 cm³ expect")
    # half of the volume is a Dice of 2/3 at most; a tenth of the logarithm is what bodies vary by
    assert found["L2"].confidence == pytest.approx(2.0 / (1.0 + np.exp(np.log(31.6 / 15.6) - 0.1)), abs=0.01)
    assert found["L1"].confidence == found["L3"].confidence == 1.0


def test_a_cut_neighbour_and_one_of_another_part_say_nothing() -> None:
    whole = replace(mask_of("L3", (90, 90, 40)), part="whole")
    bones = {"L1": mask_of("L1", (40, 30, 5), cut=True), "L2": mask_of("L2", (40, 30, 25)), "L3": whole}
    found, doubts = compared(bones)
    assert doubts == () and found["L2"].confidence == 1.0


def test_femora_are_compared_over_the_length_that_both_have() -> None:
    bones = {
        "femur_left": mask_of("femur_left", (40, 40, 60), cut=True),
        "femur_right": mask_of("femur_right", (40, 40, 100), cut=True),
    }
    assert compared(bones) == (bones, ())
    leaked = {**bones, "femur_right": mask_of("femur_right", (60, 40, 100), cut=True)}
    found, doubts = compared(leaked)
    assert found["femur_left"].confidence < 0.9 and len(doubts) == 2 and "the upper 60 mm of femur_right" in doubts[0]


# Two segmenters --------------------------------------------------------------------------------------------------

SCAN = Scan(Volume(np.zeros((4, 4, 4), dtype=np.float32), np.eye(4), "HU"), Patient(), Acquisition(), "drawn", "", STEP)


def moved(mask: BoneMask, by: int) -> BoneMask:
    affine = mask.mask.affine.copy()
    affine[0, 3] += by
    return replace(mask, mask=Volume(mask.mask.array, affine, "mask"))


def found(*bones: BoneMask) -> Segmentation:
    return Segmentation({bone.bone: bone for bone in bones}, {}, Step("segmentation", "Found."))


def test_masks_that_two_segmenters_draw_alike_keep_their_confidence() -> None:
    bone = mask_of("L2", (20, 10, 10), 0.9)
    result = Agreeing(lambda scan: found(bone), lambda scan: found(bone))(SCAN)
    assert result.bones["L2"].confidence == 0.9 and result.step.cautions == ()
    assert result.step.sentence == "Found. Overlap (Dice) with the masks of the built-in segmenter: L2 1.00."


def test_masks_that_lie_half_beside_each_other_lose_a_quarter_and_are_told() -> None:
    bone = mask_of("L2", (20, 10, 10), 0.8)
    for by in (10, -10):
        result = Agreeing(lambda scan: found(bone), lambda scan, by=by: found(moved(bone, by)))(SCAN)
        assert result.bones["L2"].confidence == pytest.approx(0.6)
        assert "an overlap (Dice) of only 0.50" in result.step.cautions[0]
    apart = Agreeing(lambda scan: found(bone), lambda scan: found(moved(bone, 300)))(SCAN)
    assert apart.bones["L2"].confidence == pytest.approx(0.4)


def test_a_longer_shaft_is_no_disagreement() -> None:
    short, long = mask_of("femur_left", (20, 20, 40)), mask_of("femur_left", (20, 20, 90))
    affine = long.mask.affine.copy()
    affine[2, 3] -= 50
    lower = replace(long, mask=Volume(long.mask.array, affine, "mask"))
    assert Agreeing(lambda scan: found(short), lambda scan: found(lower))(SCAN).bones["femur_left"].confidence == 1.0


def test_without_a_second_opinion_nothing_changes_but_the_words() -> None:
    def none(scan: Scan) -> Segmentation:
        raise SegmentationError("found none of L2")

    bone, whole = mask_of("L2", (20, 10, 10), 0.9), replace(mask_of("L2", (20, 20, 10)), part="whole")
    said = Agreeing(lambda scan: found(bone), none)(SCAN)
    assert said.bones == {"L2": bone} and said.step.cautions == ("No second opinion on the masks: found none of L2.",)
    other = Agreeing(lambda scan: found(bone), lambda scan: found(whole))(SCAN)
    assert other.bones["L2"].confidence == 0.9 and "no bone that both have" in other.step.sentence


# Adults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sex", "radius", "told"),
    [("F", 21.0, False), ("F", 26.0, True), ("M", 26.0, False), (None, 26.0, False), (None, 29.0, True), ("M", 19.0, True)],
)
def test_a_head_is_held_against_those_of_its_sex(sex: str | None, radius: float, told: bool) -> None:
    bone = judged([result("femur_left", {"head_radius": radius, "neck_shaft_angle_deg": 127.0})], Patient(sex=sex))[0]  # type: ignore[arg-type]
    assert (bone.status == "caution") is told
    assert not told or "radius of the femoral head" in bone.cautions[0]


def test_fifth_lumbar_heights_and_density_are_held_against_adults() -> None:
    bone = judged([result("L5", {"anterior_height": 24.0, "posterior_height": 26.0}, 320.0)], Patient(sex="F", age=70.0))[0]
    assert "anterior height of 24.0 mm is outside what is usual (women's: 24.2 to 35.0 mm)" in bone.cautions[0]
    assert "trabecular density of 320 mg/cm³" in bone.cautions[1] and len(bone.cautions) == 2


def test_a_usual_person_of_unknown_sex_and_age_is_not_doubted() -> None:
    bones = [result("L5", {"anterior_height": 30.0, "posterior_height": 26.0}, 150.0), result("L2", {"height": 28.0}, 290.0)]
    assert judged(bones, Patient()) == bones
