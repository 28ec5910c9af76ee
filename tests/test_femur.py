from __future__ import annotations

import tracemalloc
from dataclasses import replace
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from openbct.anatomy import locate_femur
from openbct.anatomy.femur import LARGEST_EFFECT, SHAFT_EFFECT
from openbct.anatomy.femur_shaft import FemurLabel, Shaft
from openbct.anatomy.femur_version import anteversion
from openbct.anatomy.shapes import Sphere
from openbct.errors import SegmentationError
from openbct.phantoms import FemurShape, SimulatedBone, femur_region
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, Step
from openbct.volume import MIRROR, Volume, bounding_box, canonical, crop, mirrored, to_index, to_patient


def calibrated(density: Volume) -> CalibratedVolume:
    return CalibratedVolume(density, "K2HPO4", "fixed", 0.8, 0.0, np.diag([1e-4, 4.0]), (), Step("calibration", "fixed"))


@cache
def simulated(side: str = "left", spacing: float = 1.5, tilt: float = 6.0) -> SimulatedBone:
    return femur_region(side="left" if side == "left" else "right", spacing=spacing, tilt_deg=tilt)


def locate(
    bone: SimulatedBone, *, name: str | None = None, mask: Volume | None = None, density: Volume | None = None
) -> BoneRegion:
    label = BoneMask(name or bone.bone, mask if mask is not None else bone.mask, "whole", 1.0, True)
    return locate_femur(label, calibrated(density if density is not None else bone.density))


def both_cropped(bone: SimulatedBone, lower: list[int], upper: list[int]) -> tuple[Volume, Volume]:
    return crop(bone.mask, lower, upper), crop(bone.density, lower, upper)


def box(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    index = np.argwhere(volume.array)
    return index.min(axis=0), index.max(axis=0) + 1


# Hostile labels -------------------------------------------------------------------------------------------------


def test_other_bone_is_refused() -> None:
    with pytest.raises(SegmentationError, match="expected femur_left or femur_right"):
        locate(simulated(), name="hip_left")


def test_empty_label_is_refused() -> None:
    bone = simulated()
    with pytest.raises(SegmentationError, match="empty label"):
        locate(bone, mask=bone.mask.with_array(np.zeros(bone.mask.shape, dtype=bool)))


@pytest.mark.parametrize("side", ["left", pytest.param("right", marks=pytest.mark.slow)])
def test_wrong_side_is_said_and_measured_as_what_the_image_shows(side: str) -> None:
    other = "femur_right" if side == "left" else "femur_left"
    wrong, right = locate(simulated(side), name=other), locate(simulated(side))
    assert (wrong.bone, wrong.side) == (other, side)
    assert any(f"this is a {side} femur" in caution and "must be settled" in caution for caution in wrong.step.cautions)
    assert wrong.lengths == right.lengths
    assert not any("must be settled" in caution for caution in right.step.cautions)


def test_front_and_back_swapped_is_refused() -> None:
    bone = simulated()
    with pytest.raises(SegmentationError, match="lesser trochanter in front"):
        locate(bone, mask=bone.mask.with_array(bone.mask.array[:, ::-1]))


def test_upside_down_is_refused() -> None:
    bone = simulated()
    with pytest.raises(SegmentationError, match="upside down"):
        locate(bone, mask=bone.mask.with_array(bone.mask.array[:, :, ::-1]))


def test_two_pieces_are_refused() -> None:
    bone = simulated()
    broken = bone.mask.array.copy()
    broken[:, :, 55:58] = False
    with pytest.raises(SegmentationError, match="separate pieces"):
        locate(bone, mask=bone.mask.with_array(broken))


def test_head_cut_by_the_top_of_the_image_is_refused() -> None:
    bone = simulated()
    top = int(box(bone.mask)[1][2])
    mask, density = both_cropped(bone, [0, 0, 0], [*bone.mask.shape[:2], top - 8])
    with pytest.raises(SegmentationError, match="cut by"):
        locate(bone, mask=mask, density=density)


def test_femur_cut_by_the_side_of_the_image_is_refused() -> None:
    bone = simulated()
    mask, density = both_cropped(bone, [0, 0, 0], [int(box(bone.mask)[1][0]) - 3, *bone.mask.shape[1:]])
    with pytest.raises(SegmentationError, match="border of the image"):
        locate(bone, mask=mask, density=density)


@pytest.mark.parametrize("below_head", [10.0, 35.0, 60.0])
def test_nothing_below_the_trochanters_is_refused(below_head: float) -> None:
    bone = simulated()
    bottom = round((bone.landmarks["head_centre"][2] - below_head - bone.mask.affine[2, 3]) / bone.mask.spacing[2])
    mask, density = both_cropped(bone, [0, 0, bottom], [*bone.mask.shape])
    with pytest.raises(SegmentationError, match=r"trochanter|shaft"):
        locate(bone, mask=mask, density=density)


def test_impossible_size_is_refused() -> None:
    bone = simulated()
    small = bone.mask.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    mask, density = (Volume(volume.array, small, volume.unit) for volume in (bone.mask, bone.density))
    with pytest.raises(SegmentationError, match="expected 15 to 32 mm"):
        locate(bone, mask=mask, density=density)


def test_nail_is_refused_and_a_clip_is_a_caution() -> None:
    bone = simulated()
    i, j = (int(n) for n in box(bone.mask)[0][:2] + (box(bone.mask)[1] - box(bone.mask)[0])[:2] // 2)
    nail = bone.density.array.copy()
    nail[i : i + 6, j : j + 6, 5:60] = 2800.0
    with pytest.raises(SegmentationError, match="metal"):
        locate(bone, density=bone.density.with_array(nail))
    clip = bone.density.array.copy()
    inside = np.argwhere(bone.mask.array)[::9000][1:]
    clip[tuple(inside.T)] = 2800.0
    region = locate(bone, density=bone.density.with_array(clip))
    assert any("metal or its streaks" in caution for caution in region.step.cautions)


def test_density_that_is_no_number_is_refused() -> None:
    bone = simulated()
    broken = bone.density.array.copy()
    broken[tuple(np.argwhere(bone.mask.array)[1000])] = np.nan
    with pytest.raises(SegmentationError, match="not finite"):
        locate(bone, density=bone.density.with_array(broken))


# Sound labels ---------------------------------------------------------------------------------------------------


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


@pytest.mark.parametrize(
    ("side", "spacing", "tilt", "close", "degrees"),
    [("left", 1.0, 6.0, 0.4, 0.5), ("right", 1.5, -4.0, 0.6, 1.5), ("left", 1.5, 16.0, 0.6, 1.5), ("right", 3.0, 6.0, 2.0, 2.5)],
)
def test_landmarks_of_a_known_femur(side: str, spacing: float, tilt: float, close: float, degrees: float) -> None:
    bone = simulated(side, spacing, tilt)
    region = locate(bone)
    shape = FemurShape()
    axis = bone.frame[:3, 2]
    assert np.linalg.norm(region.landmarks["head_centre"] - bone.landmarks["head_centre"]) < close
    assert region.lengths["head_radius"] == pytest.approx(shape.head_radius, abs=close)
    assert angle_between(region.frame.axes[:, 2], axis) < degrees
    assert region.lengths["neck_shaft_angle_deg"] == pytest.approx(shape.neck_shaft_angle_deg, abs=2 * degrees)
    assert region.lengths["neck_anterior_angle_deg"] == pytest.approx(shape.anteversion_deg, abs=3.0)
    assert (region.landmarks["lesser_trochanter_axis"] - bone.landmarks["lesser_trochanter"]) @ axis == pytest.approx(0, abs=2.0)
    # The image cuts an oblique shaft obliquely: its last whole section lies higher by the radius times the slope.
    cut = shape.shaft_radius * np.tan(np.radians(abs(tilt)))
    assert (region.landmarks["shaft_end"] - bone.landmarks["distal_end"]) @ axis == pytest.approx(cut, abs=1.0 + 0.5 * spacing)
    assert region.lengths["head_offset"] == pytest.approx(shape.offset, abs=1.0 + 0.4 * spacing)
    crossed = region.landmarks["neck_shaft_crossing"] - bone.landmarks["neck_shaft_crossing"]
    assert np.linalg.norm(crossed) < 1.2 + 0.4 * spacing
    tip = region.landmarks["greater_trochanter_tip"] - bone.landmarks["greater_trochanter_tip"]
    assert tip @ axis == pytest.approx(0, abs=0.6 * spacing)
    assert np.linalg.norm(tip) < 2.0 + spacing
    # The drawn point lies on the flank of the bulge, the found one on its crest.
    assert np.linalg.norm(region.landmarks["lesser_trochanter"] - bone.landmarks["lesser_trochanter"]) < 5.0


@pytest.mark.parametrize(("neck_shaft", "anteversion"), [(139.0, 28.0), (118.0, 3.0)])
def test_lesser_trochanter_of_upright_and_level_necks(neck_shaft: float, anteversion: float) -> None:
    shape = FemurShape(neck_shaft_angle_deg=neck_shaft, anteversion_deg=anteversion, shaft_length=60.0)
    bone = femur_region(shape, spacing=2.0, tilt_deg=6.0)
    region = locate(bone)
    axis = bone.frame[:3, 2]
    assert angle_between(region.frame.axes[:, 2], axis) < 1.5
    assert (region.landmarks["lesser_trochanter_axis"] - bone.landmarks["lesser_trochanter"]) @ axis == pytest.approx(0, abs=2.0)
    assert region.step.cautions == ()


def test_neck_axis_goes_through_the_neck() -> None:
    bone = simulated(spacing=1.0)
    region = locate(bone)
    drawn = bone.landmarks["head_centre"] - bone.landmarks["neck_shaft_crossing"]
    found = region.landmarks["head_centre"] - region.landmarks["neck_centre"]
    assert angle_between(drawn, found) < 2.0
    # The simulated neck is narrowest at 62 % of the way to the head, an ellipse of 14.5 by 0.86 * 14.5 mm.
    assert region.lengths["neck_area"] == pytest.approx(np.pi * 0.86 * 14.5**2, rel=0.06)
    assert region.lengths["neck_height"] == pytest.approx(29.0, abs=1.0)
    assert region.lengths["neck_depth"] == pytest.approx(0.86 * 29.0, abs=1.0)
    rim = region.landmarks["neck_superior"] - region.landmarks["neck_inferior"]
    assert np.linalg.norm(rim) == pytest.approx(region.lengths["neck_height"])
    assert rim @ found == pytest.approx(0.0, abs=1e-6)
    # On the lateral side the axis leaves the bone where the label ends.
    end, inwards = region.landmarks["neck_axis_lateral"], found / np.linalg.norm(found)
    place = [tuple(np.rint(to_index(bone.mask.affine, end + step * inwards)).astype(int)) for step in (-1.5, 1.5)]
    assert [bool(bone.mask.array[index]) for index in place] == [False, True]


@pytest.mark.parametrize("turn", [-8.0, 0.0, 13.0, 30.0])
@pytest.mark.parametrize("leg", [-20.0, 15.0])
def test_anteversion_is_that_of_the_neck_against_the_condyles_however_the_leg_lies(turn: float, leg: float) -> None:
    label, shaft, to_head = dumb_femur(turn, leg)
    assert anteversion(label, shaft, -50.0, to_head) == pytest.approx(turn, abs=0.5)


def test_without_a_knee_there_is_no_anteversion() -> None:
    label, shaft, to_head = dumb_femur(13.0, 0.0)
    upper = replace(label, surface=label.surface[label.surface[:, 2] > -330.0])
    assert anteversion(upper, shaft, -50.0, to_head) is None
    assert "anteversion_deg" not in locate(simulated(spacing=1.5)).lengths


def dumb_femur(turn_deg: float, leg_deg: float) -> tuple[FemurLabel, Shaft, np.ndarray]:
    """Return a right femur of a rod and two balls as condyles, its neck ``turn_deg`` in front of them, the leg turned inwards."""
    n = np.arange(4000) + 0.5
    polar, azimuth = np.arccos(1.0 - n / 2000.0), np.pi * (1.0 + 5.0**0.5) * n
    ball = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    rod = np.column_stack([13.0 * np.cos(azimuth), 13.0 * np.sin(azimuth), -400.0 * n / 4000.0])
    points = np.concatenate([rod, 20.0 * ball + [-22.0, 0.0, -400.0], 20.0 * ball + [22.0, 0.0, -400.0]])
    neck = np.array(
        [np.sin(np.radians(50)) * np.cos(np.radians(turn_deg)), -np.sin(np.radians(50)) * np.sin(np.radians(turn_deg)), 0.64]
    )
    leg = Rotation.from_euler("z", leg_deg, degrees=True).as_matrix()
    mask = Volume(np.ones((1, 1, 1), dtype=bool), np.eye(4), "mask")
    head = Sphere(leg @ (60.0 * neck) - [0.0, 0.0, 38.4], 23.0, 0.0, 1.0)
    label = FemurLabel("femur_right", mask, mask, points @ leg.T, head, False)
    return label, Shaft(np.zeros(3), np.array([0.0, 0.0, 1.0]), -400.0), leg @ neck / np.linalg.norm(neck)


@pytest.mark.slow
def test_a_label_that_goes_down_to_the_knee_is_measured_like_its_upper_part() -> None:
    bone = femur_region(FemurShape(shaft_length=150.0), spacing=3.0, tilt_deg=6.0)
    lengths = locate(bone).lengths
    wide = bone.mask.array.copy()
    wide[6:-6, 3:-3, :8] = True
    knee = locate(bone, mask=bone.mask.with_array(wide))
    for name in ("neck_shaft_angle_deg", "head_radius", "neck_area", "shaft_below_lesser_trochanter"):
        assert knee.lengths[name] == pytest.approx(lengths[name], rel=0.01)


def test_frame_and_region_obey_the_record() -> None:
    bone = simulated()
    region = locate(bone)
    axes = region.frame.axes
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert axes[0, 0] > 0.9
    assert axes[1, 1] > 0.9
    assert axes[2, 2] > 0.9
    assert np.array_equal(region.frame.origin, region.landmarks["head_centre"])
    assert region.side == "left"
    assert region.density.shape == region.mask.shape
    assert region.lengths["volume"] == pytest.approx(region.mask.array.sum() * 1.5**3)
    assert region.step.cautions == ()


@pytest.mark.slow
def test_mirror_image_has_mirrored_landmarks_to_rounding() -> None:
    bone = simulated("left", 1.5)
    left = locate(bone)
    image = replace(bone, bone="femur_right", mask=mirrored(bone.mask), density=mirrored(bone.density))
    right = locate(image)
    for name, point in left.landmarks.items():
        assert np.abs(point * MIRROR - right.landmarks[name]).max() < 1e-9
    for name, length in left.lengths.items():
        assert right.lengths[name] == pytest.approx(length, abs=1e-9)


def test_mirror_of_the_mirror_is_the_volume_and_the_mirror_moves_points_across() -> None:
    mask = simulated().mask
    image = mirrored(mask)
    assert np.linalg.det(image.affine[:3, :3]) > 0
    point = np.argwhere(mask.array)[0].astype(float)
    there = to_index(image.affine, to_patient(mask.affine, point) * MIRROR)
    assert image.array[tuple(np.rint(there).astype(int))]
    again = mirrored(image)
    assert np.array_equal(again.array, mask.array)
    assert np.abs(again.affine - mask.affine).max() < 1e-9


def test_short_shaft_is_a_caution_with_its_effect() -> None:
    bone = simulated(spacing=1.5)
    bottom = round((bone.landmarks["lesser_trochanter"][2] - 20.0 - bone.mask.affine[2, 3]) / bone.mask.spacing[2])
    mask, density = both_cropped(bone, [0, 0, bottom], [*bone.mask.shape])
    region = locate(bone, mask=mask, density=density)
    (caution,) = region.step.cautions
    assert "of shaft lie below the lesser trochanter" in caution
    assert "3 % of the strength in a sideways fall (at most 7 % in eight femora) and 7 % of the stiffness (15 %)" in caution
    assert angle_between(region.frame.axes[:, 2], bone.frame[:3, 2]) < 7.0


def test_effect_of_a_short_shaft_is_that_of_the_validation_page() -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "validation" / "shaft.md"
    rows = [line.split("|")[1:-1] for line in page.read_text(encoding="utf-8").splitlines() if "whole chain |" in line]
    lengths, strengths, stiffnesses = SHAFT_EFFECT
    assert sorted(float(row[0]) for row in rows) == list(lengths)
    for row in rows:
        n = lengths.index(float(row[0]))
        assert (strengths[n], stiffnesses[n]) == (float(row[4]), float(row[7]))
    for limit, column in zip(LARGEST_EFFECT, (5, 8)):
        ends = [abs(float(end)) for row in rows for end in row[column].split(" to ")]
        assert round(max(ends)) == limit


def test_hollow_label_is_filled_and_said() -> None:
    bone = simulated()
    canal = bone.mask.array & (bone.density.array < 60.0)
    region = locate(bone, mask=bone.mask.with_array(bone.mask.array & ~canal))
    assert any("cavities" in caution for caution in region.step.cautions)
    assert region.lengths["volume"] > 0.97 * locate(bone).lengths["volume"]


@pytest.mark.parametrize(("depth", "held"), [(8.0, "caution"), (0.0, "refused")])
def test_a_head_that_lacks_its_front_is_said_or_refused(depth: float, held: str) -> None:
    """Most of the head's sphere may be surface all the same, so that it is found where it is."""
    bone = simulated()
    centre = bone.landmarks["head_centre"]
    places = to_patient(bone.mask.affine, np.moveaxis(np.indices(bone.mask.shape), 0, -1).reshape(-1, 3).astype(float)) - centre
    taken = ((places[:, 1] < -depth) & (np.abs(places[:, 0]) < 9.0) & (np.abs(places[:, 2]) < 14.0)).reshape(bone.mask.shape)
    mask = bone.mask.with_array(bone.mask.array & ~taken)
    if held == "refused":
        with pytest.raises(SegmentationError, match="% of the inside of the femoral head in its label, expected at least 85 %"):
            locate(bone, mask=mask)
    else:
        said = [caution for caution in locate(bone, mask=mask).step.cautions if "inside of the femoral head" in caution]
        assert len(said) == 1 and "usually 90 % or more" in said[0]


def test_coarse_voxels_are_a_caution() -> None:
    assert any("voxels are 3 x 3 x 3 mm" in caution for caution in locate(simulated(spacing=3.0)).step.cautions)


def test_missing_lesser_trochanter_is_a_caution() -> None:
    bone = simulated(spacing=2.0)
    # What lies behind the medial side at the lesser trochanter is taken off, down to a round shaft.
    index = np.argwhere(bone.mask.array)
    own = (
        np.linalg.inv(bone.frame)
        @ np.column_stack([index @ bone.mask.affine[:3, :3].T + bone.mask.affine[:3, 3], np.ones(len(index))]).T
    )
    crossing = np.linalg.inv(bone.frame) @ np.append(bone.landmarks["neck_shaft_crossing"], 1.0)
    x, y, z = own[0] - crossing[0], own[1], own[2] - crossing[2]
    bump = (z < -8.0) & (np.hypot(x, y - crossing[1]) > 15.5) & (y - crossing[1] > -6.0)
    smooth = bone.mask.array.copy()
    smooth[tuple(index[bump].T)] = False
    region = locate(bone, mask=bone.mask.with_array(smooth))
    assert any("no lesser trochanter stands out" in caution for caution in region.step.cautions)


# Real bones -----------------------------------------------------------------------------------------------------


def read(path: Path, dtype: type) -> Volume:
    image = nibabel.load(path)
    return canonical(Volume(np.asanyarray(image.dataobj).astype(dtype), np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine, "mask"))


@pytest.mark.slow
@pytest.mark.data
def test_real_hip_is_a_right_one_by_its_header(data_dir: Path) -> None:
    labels = read(data_dir / "hip_crop" / "labels.nii.gz", int)
    density = read(data_dir / "hip_crop" / "density.nii.gz", np.float32)
    mask = labels.with_array(labels.array == 2, "mask")
    region = locate_femur(BoneMask("femur_right", mask, "whole", 1.0, False), calibrated(density))
    assert region.lengths["head_radius"] == pytest.approx(23.9, abs=0.3)
    assert 10.0 < region.lengths["shaft_below_lesser_trochanter"] < 18.0
    assert 125.0 < region.lengths["neck_shaft_angle_deg"] < 138.0
    called_left = locate_femur(BoneMask("femur_left", mask, "whole", 1.0, False), calibrated(density))
    assert called_left.side == "right" and any("mirrored" in caution for caution in called_left.step.cautions)
    assert called_left.lengths == region.lengths


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("patient", ["001", "002"])
def test_both_femora_of_a_patient_are_alike(data_dir: Path, patient: str) -> None:
    labels = read(data_dir / "pelvis_labels" / f"patient_{patient}_labels.nii.gz", np.int16)
    femora = labels.array == 2
    middle = labels.shape[0] // 2
    found = {}
    for side, part in (("right", slice(None, middle)), ("left", slice(middle, None))):
        half = np.zeros_like(femora)
        half[part] = femora[part]
        whole = labels.with_array(half, "mask")
        lower, upper = bounding_box(whole)
        mask = crop(whole, (lower - [12, 12, 0]).tolist(), (upper + 12).tolist())
        density = mask.with_array(np.where(mask.array, 300.0, 0.0), "mg/cm3 K2HPO4")
        found[side] = locate_femur(BoneMask(f"femur_{side}", mask, "whole", 1.0, True), calibrated(density)).lengths
    for name, allowed in (("head_radius", 0.6), ("neck_shaft_angle_deg", 6.0), ("shaft_below_lesser_trochanter", 9.0)):
        left, right = (min(found[side][name], 100.0 if "shaft_below" in name else np.inf) for side in ("left", "right"))
        assert left == pytest.approx(right, abs=allowed)


@pytest.mark.data
def test_nailed_femur_with_a_cut_head_is_refused(data_dir: Path) -> None:
    image = read(data_dir / "abdomen_pelvis" / "ct.nii.gz", np.float32)
    left_hip = image.array.copy()
    left_hip[: image.shape[0] // 2] = -1000.0
    left_hip[:, :, 25:] = -1000.0  # the hip bone above
    from scipy import ndimage

    pieces, _ = ndimage.label(left_hip > 250.0)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    bone = BoneMask("femur_left", image.with_array(largest, "mask"), "whole", 1.0, True)
    with pytest.raises(SegmentationError, match="metal"):
        locate_femur(bone, calibrated(image.with_array(0.8 * image.array, "mg/cm3 K2HPO4")))


# Memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_follows_the_bone_and_not_the_scan() -> None:
    bone = simulated(spacing=2.0)
    shape = np.array(bone.density.shape) + (200, 200, 0)
    image = np.zeros(shape.tolist(), dtype=np.float32)
    image[: bone.density.shape[0], : bone.density.shape[1]] = bone.density.array
    label = BoneMask(bone.bone, bone.mask, "whole", 1.0, True)
    peaks = []
    for scan in (bone.density, Volume(image, bone.density.affine, bone.density.unit)):
        calibration = calibrated(scan)
        tracemalloc.start()
        locate_femur(label, calibration)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    added = image.size - bone.density.array.size
    assert added > 2_000_000
    assert (peaks[1] - peaks[0]) / added < 0.1, "bytes per voxel of the scan beside the bone"
