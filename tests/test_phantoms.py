"""The simulated scans: what they claim as truth is true, and their HU are those of the published tissues."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from openbct.errors import SettingsError
from openbct.phantoms import (
    FemurShape,
    ScannerSettings,
    SimulatedScan,
    TorsoSettings,
    VertebraShape,
    as_scan,
    femur_region,
    simulate_hip,
    simulate_torso,
    simulate_vertebra,
    vertebra_region,
)
from openbct.volume import to_index

COARSE = TorsoSettings(spacing=(2.0, 2.0, 3.0))
PERFECT_RAYS = ScannerSettings(hardening=False, scatter=0.0)


@pytest.fixture(scope="module")
def torso() -> SimulatedScan:
    return simulate_torso(COARSE)


@pytest.fixture(scope="module")
def lumbar() -> SimulatedScan:
    """L1 at full resolution in the whole plane, by a scanner whose rays make no errors."""
    return simulate_vertebra("L1", TorsoSettings(scanner=PERFECT_RAYS))


def label_mask(scan: SimulatedScan, name: str) -> np.ndarray:
    value = next(number for number, known in scan.labels.names.items() if known == name)
    return scan.labels.volume.array == value


def body_mask(scan: SimulatedScan, level: str) -> np.ndarray:
    value = next(number for number, known in scan.bodies.names.items() if known == f"vertebral_body_{level}")
    return scan.bodies.volume.array == value


def inner(mask: np.ndarray, scan: SimulatedScan, depth: float) -> np.ndarray:
    """Return the mask's voxels deeper than ``depth`` [mm]; only the box around the mask is looked at."""
    box = ndimage.find_objects(np.pad(mask, 1).astype(np.uint8))[0]
    padded = np.pad(mask, 1)
    deep = np.zeros_like(padded)
    deep[box] = ndimage.distance_transform_edt(np.pad(padded[box], 1), sampling=scan.image.spacing)[1:-1, 1:-1, 1:-1] > depth
    return deep[1:-1, 1:-1, 1:-1]


def distance_to(mask: np.ndarray, scan: SimulatedScan) -> np.ndarray:
    """Return the distance to a mask [mm]; infinite outside the box around it and 12 mm."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    pads = np.ceil(12.0 / scan.image.spacing).astype(int)
    wide = tuple(slice(max(part.start - pad, 0), part.stop + pad) for part, pad in zip(box, pads))
    away = np.full(mask.shape, np.inf)
    away[wide] = ndimage.distance_transform_edt(~mask[wide], sampling=scan.image.spacing)
    return away


# Hostile settings first ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"spacing": (0.0, 1.0, 1.0)},
        {"spacing": (1.0, -1.0, 1.0)},
        {"spacing": (1.0, 1.0, float("nan"))},
        {"field_of_view": 0.0},
        {"field_of_view": 5000.0},
        {"bottom": 10.0, "top": 10.0},
        {"bottom": 0.0, "top": float("inf")},
        {"spacing": (0.25, 0.25, 0.25)},
        {"scanner": ScannerSettings(kvp=20.0)},
        {"scanner": ScannerSettings(noise=-1.0)},
        {"scanner": ScannerSettings(blur_fwhm=float("nan"))},
        {"scanner": ScannerSettings(kernel="crisp")},
        {"scanner": ScannerSettings(mas=0.0)},
        {"scanner": ScannerSettings(scatter=2.0)},
        {"scanner": ScannerSettings(motion_mm=-1.0)},
        {"scanner": ScannerSettings(stored=(0, 3071))},
        {"level_densities": {"L9": 40.0}},
        {"trabecular_density": 5000.0},
        {"level_densities": {"L1": float("nan")}},
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        simulate_torso(replace(COARSE, **change))  # type: ignore[arg-type]


def test_unknown_level_is_refused() -> None:
    with pytest.raises(SettingsError, match="'L7'"):
        simulate_vertebra("L7")


@pytest.mark.parametrize("spacing", [0.0, 0.05, 9.0, float("nan")])
def test_impossible_region_is_refused(spacing: float) -> None:
    with pytest.raises(SettingsError, match=r"expected 0\.2 to 4 mm"):
        vertebra_region(spacing=spacing)


# The torso -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_image_is_what_a_scanner_stores(torso: SimulatedScan) -> None:
    image = torso.image
    assert image.array.dtype == np.int16 and image.unit == "HU"
    assert image.array.min() >= -1024 and image.array.max() <= 3071
    assert np.all(np.diag(image.affine)[:3] == image.spacing), "canonical: left, posterior, superior"
    assert image.spacing.tolist() == [2.0, 2.0, 3.0]


@pytest.mark.slow
def test_truth_shares_the_grid(torso: SimulatedScan) -> None:
    for volume in (torso.labels.volume, torso.bodies.volume, torso.density, torso.mineral):
        assert volume.shape == torso.image.shape
        assert np.array_equal(volume.affine, torso.image.affine)
    assert set(np.unique(torso.labels.volume.array)) - {0} == set(torso.labels.names)
    assert set(np.unique(torso.bodies.volume.array)) - {0} == set(torso.bodies.names)


@pytest.mark.slow
def test_bodies_are_parts_of_their_vertebrae(torso: SimulatedScan) -> None:
    for level in ("T11", "T12", "L1", "L2", "L3", "L4", "L5"):
        body = body_mask(torso, level)
        assert np.all(label_mask(torso, f"vertebrae_{level}")[body])
        assert ndimage.label(body[ndimage.find_objects(body.astype(np.uint8))[0]])[1] == 1


@pytest.mark.slow
def test_top_of_the_image_cuts_t11_only(torso: SimulatedScan) -> None:
    for level, cut in (("T11", True), ("T12", False), ("L1", False)):
        assert label_mask(torso, f"vertebrae_{level}")[:, :, -1].any() == cut


@pytest.mark.slow
def test_sides_are_the_patients(torso: SimulatedScan) -> None:
    for side, sign in (("left", 1), ("right", -1)):
        for name in ("femur", "hip", "autochthon", "gluteus_maximus", "kidney"):
            index = np.argwhere(label_mask(torso, f"{name}_{side}")).mean(axis=0)
            assert sign * (torso.image.affine[0, 0] * index[0] + torso.image.affine[0, 3]) > 20


@pytest.mark.slow
def test_landmarks_lie_where_they_say(torso: SimulatedScan) -> None:
    for level in ("L1", "L3"):
        centre = np.rint(to_index(torso.image.affine, torso.landmarks[f"{level}_centre"])).astype(int)
        assert body_mask(torso, level)[tuple(centre)]
    for side in ("left", "right"):
        femur = label_mask(torso, f"femur_{side}")
        away = distance_to(femur, torso)
        for name, most in (
            ("head_centre", 0.0),
            ("neck_centre", 0.0),
            ("greater_trochanter_tip", 3.0),
            ("lesser_trochanter", 3.0),
        ):
            point = np.rint(to_index(torso.image.affine, torso.landmarks[f"femur_{side}_{name}"])).astype(int)
            assert away[tuple(point)] <= most, name


@pytest.mark.slow
def test_shaft_is_long_enough_for_a_fall(torso: SimulatedScan) -> None:
    bottom = torso.image.affine[2, 3]
    for side in ("left", "right"):
        assert torso.landmarks[f"femur_{side}_lesser_trochanter"][2] - bottom >= 40.0
        assert label_mask(torso, f"femur_{side}")[:, :, 0].any()


@pytest.mark.slow
def test_femur_and_pelvis_never_touch(torso: SimulatedScan) -> None:
    for side in ("left", "right"):
        femur = label_mask(torso, f"femur_{side}")
        away = distance_to(femur, torso)
        assert away[label_mask(torso, f"hip_{side}")].min() > 2.0


@pytest.mark.slow
def test_sizes_are_those_of_a_woman(torso: SimulatedScan) -> None:
    voxel = torso.image.voxel_volume / 1000.0
    volumes = [body_mask(torso, level).sum() * voxel for level in ("L1", "L2", "L3", "L4", "L5")]
    assert all(25 * 0.95 < volume < 40 for volume in volumes), volumes
    assert np.all(np.diff(volumes) > 0), "vertebrae grow downwards"
    assert 110 < label_mask(torso, "femur_left").sum() * voxel < 190
    fraction = (torso.image.array > -300).any(axis=(0, 2)).mean()
    assert 0.4 < fraction < 1.0, "air is left around the body for calibration"


@pytest.mark.slow
def test_tissues_read_as_published(torso: SimulatedScan) -> None:
    """HU of issue text and ICRU tissues at 120 kVp."""
    array = torso.image.array
    for name, low, high in (("autochthon_left", 45, 65), ("aorta", 35, 55), ("liver", 45, 70), ("iliopsoas_right", 45, 65)):
        assert low < array[inner(label_mask(torso, name), torso, 5.0)].mean() < high, name
    corner = array[:8, :8, :]
    assert abs(corner.mean() + 1000) < 3


@pytest.mark.slow
def test_noise_has_the_asked_strength() -> None:
    some = replace(COARSE, bottom=190.0, top=220.0)
    noisy = simulate_torso(replace(some, scanner=ScannerSettings(noise=16.0)))
    quiet = simulate_torso(replace(some, scanner=ScannerSettings(noise=0.0)))
    difference = noisy.image.array.astype(float) - quiet.image.array
    body = difference[70:130, 75:125]
    assert 14 < body.std() < 18
    assert abs(body.mean()) < 0.3
    # Rays beside the body lose no quanta; the slowest ones through it still reach every pixel.
    assert 0.1 * body.std() < difference[:10, :10].std() < 0.5 * body.std()


@pytest.mark.slow
def test_noise_is_correlated_between_neighbours() -> None:
    fine = replace(TorsoSettings(), spacing=(0.5, 0.5, 2.0), field_of_view=60.0, bottom=200.0, top=204.0)
    noisy, quiet = simulate_torso(fine), simulate_torso(replace(fine, scanner=ScannerSettings(noise=0.0)))
    noise = noisy.image.array.astype(float) - quiet.image.array
    assert np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1] > 0.5
    assert abs(np.corrcoef(noise[..., 1:].ravel(), noise[..., :-1].ravel())[0, 1]) < 0.1


@pytest.mark.slow
def test_same_seed_same_scan_other_seed_other_noise() -> None:
    small = replace(COARSE, bottom=180.0, top=200.0)
    first, again, other = simulate_torso(small), simulate_torso(small), simulate_torso(replace(small, seed=1))
    assert np.array_equal(first.image.array, again.image.array)
    assert not np.array_equal(first.image.array, other.image.array)
    body = body_mask(first, "L3")
    assert np.array_equal(first.density.array[body], other.density.array[body]), "the bone does not depend on the seed"


def test_density_is_low_where_it_was_told() -> None:
    settings = replace(COARSE, spacing=(1.5, 1.5, 2.0), field_of_view=100.0, centre=(0.0, 20.0), bottom=170.0, top=290.0)
    scan = simulate_torso(replace(settings, trabecular_density=120.0, level_densities={"L3": 40.0}))
    means = {level: scan.density.array[inner(body_mask(scan, level), scan, 5.0)].mean() for level in ("L1", "L2", "L3")}
    assert means["L3"] == pytest.approx(40.0, abs=5.0)
    assert means["L1"] == pytest.approx(120.0, abs=8.0)
    assert means["L2"] == pytest.approx(120.0, abs=8.0)


# One vertebra and one hip --------------------------------------------------------------------------------------


def test_image_reads_the_true_density_inside_bone(lumbar: SimulatedScan) -> None:
    core = inner(body_mask(lumbar, "L1"), lumbar, 4.0)
    read = lumbar.image.array[core].mean() / lumbar.beam.phosphate_slope
    assert read == pytest.approx(lumbar.density.array[core].mean(), rel=0.01)
    assert read == pytest.approx(lumbar.settings.trabecular_density, rel=0.05)


def test_blur_keeps_the_mass_of_the_whole_bone(lumbar: SimulatedScan) -> None:
    around = ndimage.binary_dilation(label_mask(lumbar, "vertebrae_L1"), iterations=5)
    around[:, :, [0, -1]] = False
    read = lumbar.image.array[around].mean() / lumbar.beam.phosphate_slope
    assert read == pytest.approx(lumbar.density.array[around].mean(), rel=0.02)


def test_mineral_belongs_to_bone_only(lumbar: SimulatedScan) -> None:
    away = ~ndimage.binary_dilation(lumbar.labels.volume.array > 0, iterations=3)
    soft = away & (lumbar.density.array < 20)
    assert lumbar.mineral.array[soft].max() < 25.0
    core = inner(body_mask(lumbar, "L1"), lumbar, 4.0)
    # Fatty marrow makes the reading of mineral low, the known bias of single-energy QCT.
    assert 1.02 < lumbar.mineral.array[core].mean() / lumbar.density.array[core].mean() < 1.35


def test_vertebra_is_whole_with_room_around(lumbar: SimulatedScan) -> None:
    body = body_mask(lumbar, "L1")
    rows = np.flatnonzero(body.any(axis=(0, 1)))
    room = lumbar.image.spacing[2]
    assert rows[0] * room >= 6 and (body.shape[2] - 1 - rows[-1]) * room >= 6


@pytest.mark.slow
def test_small_field_of_view_is_fast_and_whole() -> None:
    scan = simulate_vertebra("L2", TorsoSettings(field_of_view=130.0, centre=(0.0, 35.0), spacing=(1.5, 1.5, 2.0)))
    assert 25 < body_mask(scan, "L2").sum() * scan.image.voxel_volume / 1000 < 32
    assert "femur_left" not in scan.labels.names.values()


@pytest.mark.slow
def test_hip_scan_holds_both_femora() -> None:
    scan = simulate_hip(replace(COARSE, femur_right=FemurShape(neck_density=55.0, seed=3)))
    assert {"femur_left", "femur_right", "hip_left", "hip_right"} <= set(scan.labels.names.values())
    means = []
    for side in ("left", "right"):
        centre = to_index(scan.image.affine, scan.landmarks[f"femur_{side}_neck_centre"])
        i, j, k = np.rint(centre).astype(int)
        means.append(scan.density.array[i - 2 : i + 3, j - 1 : j + 2, k - 1 : k + 2].mean())
    assert means[1] < 0.75 * means[0]
    head = np.rint(to_index(scan.image.affine, scan.landmarks["femur_left_head_centre"])).astype(int)
    assert 200 < scan.density.array[tuple(head)] < 420


def test_record_for_the_stages_carries_no_truth(lumbar: SimulatedScan) -> None:
    scan = as_scan(lumbar)
    assert scan.image is lumbar.image and scan.patient.sex == "F" and scan.acquisition.kvp == 120.0
    assert len(scan.digest) == 64
    assert scan.digest != as_scan(replace(lumbar, image=lumbar.image.with_array(lumbar.image.array + 1))).digest


# Single bones --------------------------------------------------------------------------------------------------


def test_partial_volume_keeps_mass_on_coarse_voxels() -> None:
    """The thin shell weighs the same on 1 and on 3 mm voxels: shares are of volume, not of voxel centres."""
    masses = []
    for spacing in (1.0, 3.0):
        bone = vertebra_region(VertebraShape(texture=0.0), spacing=spacing)
        fat = bone.density.array[0, 0, 0]
        masses.append((bone.density.array - fat).sum() * bone.density.voxel_volume)
    assert masses[1] == pytest.approx(masses[0], rel=0.015)


def test_shell_and_density_of_a_vertebra_are_as_asked() -> None:
    plain = VertebraShape(texture=0.0, endplate_gradient=0.0, trabecular_density=100.0, width=60.0, depth=50.0, height=40.0)
    bone = vertebra_region(plain)
    i, j, k = np.rint(to_index(bone.density.affine, np.array([0.0, -10.0, 8.0]))).astype(int)
    assert bone.density.array[i, j, k] == pytest.approx(100.0, abs=0.5)
    profile = bone.density.array[:, j, k]
    shell = np.clip(profile[i:] - 100.0, 0, None)
    fat = profile[-1]
    # Excess over trabecular density across the side wall: thickness times (compact - trabecular), less the fat's share.
    assert fat < -50
    assert 0.2 * 700 < shell.sum() < 1.5 * plain.cortex * 700


def test_endplate_gradient_and_tilt() -> None:
    bone = vertebra_region(VertebraShape(texture=0.0, endplate_gradient=0.5), tilt_deg=12.0)

    def at(height: float) -> float:
        inside = bone.frame[:3, :3] @ np.array([10.0, -6.0, height])
        return float(bone.density.array[tuple(np.rint(to_index(bone.density.affine, inside)).astype(int))])

    assert at(9.0) > at(0.0) * 1.1 and at(-9.0) > at(0.0) * 1.1
    normal = bone.landmarks["superior_endplate"] - bone.landmarks["inferior_endplate"]
    assert np.degrees(np.arctan2(-normal[1], normal[2])) == pytest.approx(12.0, abs=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_femur_has_the_asked_geometry(side: str) -> None:
    shape = FemurShape(head_radius=23.0, neck_shaft_angle_deg=127.0, anteversion_deg=15.0)
    bone = femur_region(shape, side=side, spacing=1.5)  # type: ignore[arg-type]
    marks = bone.landmarks
    neck = marks["head_centre"] - marks["neck_shaft_crossing"]
    down = marks["distal_end"] - marks["neck_shaft_crossing"]
    angle = np.degrees(np.arccos(neck @ down / np.linalg.norm(neck) / np.linalg.norm(down)))
    assert angle == pytest.approx(127.0, abs=0.01)
    assert np.degrees(np.arctan2(-neck[1], abs(neck[0]))) == pytest.approx(15.0, abs=0.01)
    assert (neck[0] < 0) == (side == "left"), "the head lies medial of the shaft"
    mask = bone.mask.array
    assert ndimage.label(mask)[1] == 1
    index = np.rint(to_index(bone.mask.affine, marks["head_centre"])).astype(int)
    top = np.flatnonzero(mask[index[0], index[1], :])[-1]
    assert (top - index[2]) * 1.5 == pytest.approx(23.0, abs=1.5)


def test_shaft_is_a_tube_with_marrow_that_reads_below_zero() -> None:
    bone = femur_region(FemurShape(shaft_cortex=5.0))
    axis = np.rint(to_index(bone.density.affine, bone.landmarks["distal_end"])).astype(int)
    profile = bone.density.array[axis[0] :, axis[1], 5]
    assert -60 < profile[:5].mean() < 0
    wall = np.flatnonzero(profile > 600)
    assert 4 <= len(wall) <= 7


def test_left_and_right_are_mirror_images() -> None:
    plain = FemurShape(texture=0.0)
    left, right = femur_region(plain, spacing=2.0), femur_region(plain, side="right", spacing=2.0)
    assert left.mask.array.sum() == pytest.approx(right.mask.array.sum(), rel=0.01)
    assert left.landmarks["lesser_trochanter"] * (-1, 1, 1) == pytest.approx(right.landmarks["lesser_trochanter"])
