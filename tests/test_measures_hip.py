from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from openbct.anatomy import locate_femur
from openbct.errors import SegmentationError
from openbct.measures import femoral_densities, lacking_landmarks, measure_femur, needed
from openbct.measures.hip import PIXEL, _narrowest
from openbct.measures.soft_tissue import soft_tissue
from openbct.phantoms import femur_region
from openbct.records import BoneMask, BoneMeasures, BoneRegion, CalibratedVolume, Step
from openbct.volume import Volume, canonical, crop, mirrored, resample

EDGE = 1.0
"""Of the voxels of the simulated femur [mm]."""
REGIONS = ("femoral_neck", "trochanteric", "intertrochanteric", "total_hip")


def calibrated(density: Volume, mineral: str = "K2HPO4") -> CalibratedVolume:
    return CalibratedVolume(
        density,
        "CHA" if mineral == "CHA" else "K2HPO4",
        "fixed",
        0.8,
        0.0,
        np.diag([0.02**2, 3.0**2]),
        (),
        Step("calibration", "fixed"),
    )


@cache
def fine() -> tuple[Volume, Volume]:
    """Density and mask of a simulated left femur in fine voxels."""
    bone = femur_region(side="left", spacing=EDGE, tilt_deg=6.0)
    return bone.density, bone.mask


@cache
def scanned(spacing: tuple[float, float, float], blur: float) -> tuple[Volume, Volume]:
    """The same bone, blurred (full width at half maximum in mm) and in other voxels."""
    density, mask = fine()
    sigma = np.array([blur, blur, 0.8 * max(blur, spacing[2])]) / 2.355 / EDGE
    soft = density.with_array(ndimage.gaussian_filter(density.array.astype(float), sigma))
    shape = [int(n * EDGE / edge) for n, edge in zip(density.shape, spacing)]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = density.affine[:3, 3] + 0.2
    return resample(soft, shape, affine), Volume(resample(mask, shape, affine).array >= 0.5, affine, "mask")


def locate(density: Volume, mask: Volume, side: str = "left") -> BoneRegion:
    return locate_femur(BoneMask(f"femur_{side}", mask, "whole", 1.0, True), calibrated(density))


@cache
def fine_region() -> BoneRegion:
    return locate(*fine())


def measure(density: Volume, mask: Volume, side: str = "left") -> BoneMeasures:
    return measure_femur(locate(density, mask, side), calibrated(density))


COARSE = (1.25, 1.25, 2.5)
"""Voxels of the blurred scan that most tests measure [mm]."""


@cache
def coarse_region() -> BoneRegion:
    return locate(*scanned(COARSE, 1.0))


@cache
def coarse() -> BoneMeasures:
    return measure_femur(coarse_region(), calibrated(coarse_region().density))


def test_densities_alone_are_those_of_the_whole_measurement() -> None:
    alone = femoral_densities(coarse_region(), calibrated(coarse_region().density)).values
    assert {"femoral_neck_abmd", "total_hip_abmd", "integral_vbmd"} <= set(alone)
    assert alone == {name: coarse().values[name] for name in alone}


@cache
def truth() -> BoneMeasures:
    return measure_femur(fine_region(), calibrated(fine()[0]))


# Hostile ---------------------------------------------------------------------------------------------------------


def test_empty_mask_is_refused() -> None:
    region = fine_region()
    with pytest.raises(SegmentationError, match="no voxel in the mask"):
        measure_femur(
            replace(region, mask=region.mask.with_array(np.zeros(region.mask.shape, dtype=bool))), calibrated(region.density)
        )


def test_neck_without_bone_is_refused() -> None:
    region = coarse_region()
    astray = {**region.landmarks, "neck_centre": region.landmarks["neck_centre"] + np.array([0.0, 0.0, 40.0])}
    with pytest.raises(SegmentationError, match="neck"):
        measure_femur(replace(region, landmarks=astray), calibrated(region.density))


def test_landmarks_that_are_needed_are_those_that_are_used() -> None:
    region = coarse_region()
    kept = {name: region.landmarks[name] for name in needed.FEMUR}
    needing = replace(region, landmarks=kept)
    assert not lacking_landmarks(needing)
    assert femoral_densities(needing, calibrated(region.density)).values["total_hip_abmd"].value > 0
    for name in needed.FEMUR:
        without = replace(region, landmarks={key: point for key, point in kept.items() if key != name})
        assert lacking_landmarks(without) == (name,)
        with pytest.raises(KeyError, match=name):
            measure_femur(without, calibrated(region.density))


def test_shaft_that_ends_above_the_total_hip_is_a_caution() -> None:
    region = coarse_region()
    end = region.landmarks["lesser_trochanter_axis"] - 4.0 * region.frame.axes[:, 2]
    measures = measure_femur(replace(region, landmarks={**region.landmarks, "shaft_end": end}), calibrated(region.density))
    assert any("6 mm above the lower border of the total hip" in caution for caution in measures.step.cautions)


# Right numbers ---------------------------------------------------------------------------------------------------


def test_projection_holds_all_the_mineral_of_the_bone() -> None:
    region, picture = fine_region(), truth().regions["projection"]
    projected = picture.array.sum() * 0.05**2
    outer = ndimage.distance_transform_edt(~region.mask.array, sampling=region.mask.spacing)
    inside = (region.density.array * region.mask.array).sum() * region.mask.voxel_volume / 1e6
    rim = (outer > 0) & (outer <= 2.0)
    # Excess of the rim over the fat around it, which is the same everywhere in this simulation.
    fat = float(np.median(region.density.array[outer > 3.0]))
    assert projected == pytest.approx(
        inside + ((region.density.array - fat) * rim).sum() * region.mask.voxel_volume / 1e6, rel=0.01
    )


def test_areal_density_of_a_bone_of_one_density_is_its_thickness() -> None:
    region = fine_region()
    uniform = region.density.with_array(np.where(region.mask.array, 400.0, 0.0))
    measures = measure_femur(replace(region, density=uniform), calibrated(uniform))
    # 400 mg/cm3 over the mean depth of the neck: elliptic, 29 mm high and 25 mm deep at its waist.
    assert measures.values["femoral_neck_abmd"].value == pytest.approx(0.4 * np.pi / 4 * 2.5, rel=0.07)
    assert measures.values["integral_vbmd"].value == pytest.approx(400.0)


@pytest.mark.slow
@pytest.mark.parametrize(("spacing", "blur"), [((1.0, 1.0, 1.0), 1.5), ((1.0, 1.0, 2.0), 1.2), ((1.0, 1.0, 3.0), 1.2)])
def test_blurred_scans_give_the_areal_density_of_the_sharp_one(spacing: tuple[float, float, float], blur: float) -> None:
    measures = measure(*scanned(spacing, blur))
    for name in ("femoral_neck_abmd", "total_hip_abmd"):
        assert measures.values[name].value == pytest.approx(truth().values[name].value, abs=0.02)
    assert measures.values["total_hip_area"].value == pytest.approx(truth().values["total_hip_area"].value, rel=0.02)


@pytest.mark.parametrize("tilt", [pytest.param(-4.0, marks=pytest.mark.slow), 16.0])
def test_turned_leg_gives_the_same_areal_density(tilt: float) -> None:
    bone = femur_region(side="left", spacing=1.0, tilt_deg=tilt)
    measures = measure(bone.density, bone.mask)
    for name in ("femoral_neck_abmd", "total_hip_abmd"):
        assert measures.values[name].value == pytest.approx(truth().values[name].value, abs=0.02)


@pytest.mark.slow
def test_other_bone_beside_the_head_changes_nothing() -> None:
    (density, mask), plain = scanned(COARSE, 1.0), coarse()
    index = np.argwhere(mask.array)
    wall = density.array.copy()
    medial = int(index[:, 0].min())
    wall[max(medial - 6, 0) : medial - 2] = 900.0
    besides = measure(density.with_array(wall), mask)
    for name in ("femoral_neck_abmd", "total_hip_abmd"):
        assert besides.values[name].value == pytest.approx(plain.values[name].value, abs=0.005)


@cache
def mirrored_coarse() -> BoneMeasures:
    density, mask = scanned(COARSE, 1.0)
    return measure(mirrored(density), mirrored(mask), "right")


def test_mirror_image_measures_the_same() -> None:
    left, right = coarse(), mirrored_coarse()
    for name, value in left.values.items():
        assert right.values[name].value == pytest.approx(value.value, rel=1e-9)
    assert np.allclose(left.regions["projection"].array, right.regions["projection"].array[::-1])


@cache
def coarse_in_apatite() -> BoneMeasures:
    region = replace(coarse_region(), density=replace(coarse_region().density, unit="mg/cm3 CHA"))
    return measure_femur(region, calibrated(region.density, "CHA"))


def test_apatite_calibration_is_moved_to_the_phosphate_scale() -> None:
    apatite = coarse_in_apatite()
    assert apatite.values["total_hip_abmd"].value == pytest.approx(coarse().values["total_hip_abmd"].value / 1.15, rel=1e-3)
    assert any("CHA" in caution for caution in apatite.step.cautions)
    assert apatite.values["integral_vbmd"].unit == "mg/cm3 CHA"


def test_uncertainty_of_an_apatite_calibration_is_on_the_phosphate_scale_too() -> None:
    """The same line on the two scales: areal density and its uncertainty both shrink by 1.15, volumetric ones do not."""
    phosphate, apatite = coarse().values, coarse_in_apatite().values
    for name in ("total_hip_abmd", "femoral_neck_abmd", "total_hip_bmc"):
        assert apatite[name].uncertainty == pytest.approx(phosphate[name].uncertainty / 1.15, rel=1e-3), name
    assert apatite["integral_vbmd"].uncertainty == phosphate["integral_vbmd"].uncertainty


@pytest.mark.parametrize("waist", [-5.3, 0.0, 3.2])
def test_the_neck_box_lies_where_it_holds_the_least_area(waist: float) -> None:
    # a neck never runs along the pixels
    u, v = np.meshgrid(np.arange(-45.0, 45.5, PIXEL), np.arange(-45.0, 45.5, PIXEL), indexing="ij")
    t, across = 0.8 * u + 0.6 * v, 0.8 * v - 0.6 * u
    silhouette = np.abs(across) <= 14.0 + 0.03 * (t - waist) ** 2
    assert _narrowest(silhouette, t) == pytest.approx(waist, abs=0.1)
    assert _narrowest(np.zeros_like(silhouette), t) == 0.0, "without bone the neck is refused elsewhere"


# Regions ---------------------------------------------------------------------------------------------------------


def test_regions_share_the_picture_and_make_up_the_total_hip() -> None:
    measures = truth()
    picture = measures.regions["projection"]
    assert picture.unit == "g/cm2"
    assert picture.shape[1] == 1
    for name in REGIONS:
        assert measures.regions[name].shape == picture.shape
        assert np.array_equal(measures.regions[name].affine, picture.affine)
    neck, trochanter, inter, total = (measures.regions[name].array for name in REGIONS)
    assert not (neck & trochanter).any()
    assert not (neck & inter).any()
    assert not (trochanter & inter).any()
    assert np.array_equal(neck | trochanter | inter, total)
    parts = sum(measures.values[f"{name}_bmc"].value for name in REGIONS[:3])
    assert measures.values["total_hip_bmc"].value == pytest.approx(parts)
    assert measures.values["total_hip_abmd"].value * measures.values["total_hip_area"].value == pytest.approx(parts)


def test_picture_shows_the_patient_upright_with_left_on_its_high_side() -> None:
    for side, measures in (("left", truth()), ("left", coarse()), ("right", mirrored_coarse())):
        axes = measures.regions["projection"].affine[:3, :3]
        assert axes[0, 0] > 0.4, side
        assert axes[2, 2] > 0.4, side
        assert np.linalg.det(axes) > 0, side


def test_neck_region_is_fifteen_millimetres_wide() -> None:
    neck = truth().regions["femoral_neck"].array[:, 0]
    # Its width along the neck axis is the narrow side of the band: area over the length of its lateral edge.
    index = np.argwhere(neck) * 0.5
    spread = np.linalg.svd(index - index.mean(axis=0), compute_uv=False) * np.sqrt(12.0 / len(index))
    assert spread.min() == pytest.approx(15.0, abs=0.6)
    assert 26.0 < spread.max() < 36.0


def test_uncertainty_is_that_of_the_calibration() -> None:
    value = truth().values["total_hip_abmd"]
    assert value.uncertainty is not None
    # 2 % / 0.8 of the slope and 3 mg/cm3 over a mean depth of 20 to 40 mm.
    assert 0.015 < value.uncertainty < 0.030
    assert truth().values["total_hip_area"].uncertainty is None


# Real bone -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.data
def test_real_hip_gives_plausible_densities(data_dir: Path) -> None:
    def read(name: str) -> Volume:
        image = nibabel.load(data_dir / "hip_crop" / name)
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
        return canonical(Volume(np.asanyarray(image.dataobj).astype(np.float32), affine, "mg/cm3 K2HPO4"))

    labels, density = read("labels.nii.gz"), read("density.nii.gz")
    measures = measure(density, labels.with_array(labels.array == 2, "mask"), "right")
    neck, total = measures.values["femoral_neck_abmd"].value, measures.values["total_hip_abmd"].value
    assert 0.5 < neck < 0.8
    assert 0.65 < total < 0.95
    assert 3.5 < measures.values["femoral_neck_area"].value < 6.5
    assert 28.0 < measures.values["total_hip_area"].value < 40.0
    shifted = crop(density, [1, 1, 0], list(density.shape))
    again = measure(shifted, crop(labels.with_array(labels.array == 2, "mask"), [1, 1, 0], list(density.shape)), "right")
    assert again.values["total_hip_abmd"].value == pytest.approx(total, abs=1e-3)


def test_wards_square_is_the_least_dense_and_no_part_of_the_total() -> None:
    measures = truth()
    wards, neck = measures.values["wards_abmd"].value, measures.values["femoral_neck_abmd"].value
    assert wards < neck and measures.values["wards_area"].value == pytest.approx(1.0, abs=0.08)
    pixels, projection = measures.regions["wards"].array[:, 0], measures.regions["projection"].array[:, 0]
    assert projection[pixels].mean() == pytest.approx(wards, rel=0.02) and projection[pixels].min() > 0


# Soft tissue -----------------------------------------------------------------------------------------------------


def with_skin(region: BoneRegion, depth: float, air: float = -1000.0) -> CalibratedVolume:
    """The scan around a left femur: fat of -80 HU up to a plane beside the trochanter, air beyond, another 40 mm of image."""
    start = region.landmarks["greater_trochanter_lateral"]
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = start - 40.0
    x = np.arange(41 + int(depth) + 40)[:, None, None] + affine[0, 3]
    hu = np.where(x <= start[0] + depth, -80.0, air) * np.ones((1, 81, 81))
    volume = Volume(0.8 * hu - 4.0, affine, "mg/cm3 K2HPO4")
    return replace(calibrated(volume), slope=0.8, intercept=-4.0)


@pytest.mark.parametrize("depth", [12.0, 40.0, 95.0])
def test_soft_tissue_is_the_way_to_the_skin(depth: float) -> None:
    measure = soft_tissue(fine_region(), with_skin(fine_region(), depth))
    assert measure is not None and measure.value == pytest.approx(depth, abs=1.0) and measure.unit == "mm"


def test_soft_tissue_is_not_given_where_the_image_ends_before_the_skin() -> None:
    assert soft_tissue(fine_region(), with_skin(fine_region(), 40.0, air=-85.0)) is None
    assert soft_tissue(fine_region(), calibrated(fine()[0])) is None
    assert soft_tissue(fine_region(), with_skin(fine_region(), 0.0)) is None, "a trochanter without skin is no measurement"
    right = replace(fine_region(), side="right")
    assert soft_tissue(right, with_skin(fine_region(), 40.0)) is None, "the other way lies the body, and the image ends"
