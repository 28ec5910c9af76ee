"""Thickness of the cortex: what cannot be measured first, then tubes of known walls, then a simulated femur point by point."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from openbct.anatomy import locate_femur
from openbct.measures import measure_femur
from openbct.measures.shell import BLURS, Shell, measure_shell, shell_mask, surface
from openbct.phantoms import FemurShape, SimulatedBone, femur_region
from openbct.phantoms.femur import femur
from openbct.records import BoneMask, BoneMeasures, BoneRegion, CalibratedVolume, Step
from openbct.volume import Volume, to_index, to_patient

FINE = 0.25
WALL = 1000.0


def tube(thickness: float, *, spacing: float = 1.0, blur: float = 0.7, noise: float = 25.0) -> tuple[Volume, Volume]:
    """Return mask and density of a tube of 20 mm radius, 1000 mg/cm³ on a filling of 120, in fat, blurred in its section and noisy."""
    k, n = round(spacing / FINE), int(56 / spacing)
    x = (np.arange(n * k) + 0.5) * FINE - n * spacing / 2
    away = np.hypot(x[:, None], x[None, :]) - 20.0
    drawn = np.where(away > 0, -20.0, np.where(away > -thickness, WALL, 120.0))
    image = ndimage.gaussian_filter(drawn, blur / FINE).reshape(n, k, n, k).mean(axis=(1, 3))
    mask = (away < 0).reshape(n, k, n, k).mean(axis=(1, 3)) >= 0.5
    affine = np.diag([spacing, spacing, spacing, 1.0])
    random = np.random.default_rng(3)
    density = np.repeat(image[:, :, None], 10, axis=2) + random.normal(0.0, noise, (n, n, 10))
    return Volume(np.repeat(mask[:, :, None], 10, axis=2), affine, "mask"), Volume(density, affine, "mg/cm3 K2HPO4")


# Hostile ---------------------------------------------------------------------------------------------------------


def test_an_empty_mask_has_no_shell() -> None:
    mask, density = tube(2.0)
    empty = mask.with_array(np.zeros(mask.shape, dtype=bool))
    shell = measure_shell(empty, density, WALL)
    assert shell.thickness.size == 0 and np.isnan(shell.mean()[0])
    assert not shell_mask(empty, shell).any()


def test_a_bone_beside_another_is_not_measured_there() -> None:
    mask, density = tube(1.0)
    crowded = density.array.copy()
    beyond = ndimage.binary_dilation(mask.array[:, :, 0], iterations=2)[:, :, None] | mask.array
    crowded[~beyond & (np.indices(mask.shape)[0] > 28)] = 500.0
    shell = measure_shell(mask, density.with_array(crowded), WALL)
    right = shell.points[:, 0] > 34.0
    assert np.isnan(shell.thickness[right]).all()
    assert np.nanmean(shell.thickness) == pytest.approx(1.0, abs=0.1)


# Known walls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thickness", [0.3, 0.75, 3.0])
@pytest.mark.parametrize(("spacing", "blur"), [(1.0, 0.5), (1.5, 0.9)])
def test_walls_thinner_than_a_voxel_are_known_by_their_mass(thickness: float, spacing: float, blur: float) -> None:
    mask, density = tube(thickness, spacing=spacing, blur=blur)
    shell = measure_shell(mask, density, WALL)
    assert shell.mean()[0] == pytest.approx(thickness, abs=0.05 + 0.06 * thickness)
    assert np.nanstd(shell.thickness) < 0.25
    assert BLURS[0] <= shell.blur <= BLURS[-1] and abs(shell.blur - np.hypot(blur, spacing / 12**0.5)) < 0.45


def test_a_thin_wall_of_another_density_keeps_its_mass() -> None:
    mask, density = tube(0.5)
    lighter = measure_shell(mask, density.with_array(0.8 * (density.array + 20.0) - 20.0), WALL).mean()[0]
    assert lighter == pytest.approx(0.8 * 0.5, abs=0.06)


def test_only_a_thick_wall_is_called_resolved() -> None:
    assert measure_shell(*tube(0.5), WALL).mean()[1] < 0.05
    assert measure_shell(*tube(3.0), WALL).mean()[1] > 0.95


def test_normals_point_into_the_bone_and_points_lie_on_its_surface() -> None:
    mask, _ = tube(1.0)
    points, inwards = surface(mask)
    outwards = points[:, :2] - (mask.shape[0] - 1) / 2
    away = np.linalg.norm(outwards, axis=1)
    assert np.abs(away - 20.0).max() < 0.6
    assert ((inwards[:, :2] * outwards).sum(axis=1) / away).max() < -0.97
    assert points[:, 2].min() >= 0.0  # the image cuts the tube: its ends are no surface


def test_mask_of_the_shell_is_as_deep_as_the_shell_is_thick() -> None:
    mask, density = tube(3.0)
    shell = measure_shell(mask, density, WALL)
    found = shell_mask(mask, shell)
    assert not (found & ~mask.array).any()
    expected = np.pi * (20.0**2 - 17.0**2)
    assert found[:, :, 5].sum() == pytest.approx(expected, rel=0.12)
    thin = shell_mask(mask, measure_shell(mask, tube(0.3)[1], WALL))
    assert np.array_equal(
        thin[:, :, 5],
        (mask.array & ~ndimage.binary_erosion(mask.array, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])[:, :, None]))[:, :, 5],
    )


# A simulated femur -----------------------------------------------------------------------------------------------


@cache
def scanned() -> tuple[SimulatedBone, BoneRegion, BoneMeasures]:
    """A femur in voxels of 1.5 mm, blurred and noisy, with its measures."""
    bone = femur_region(spacing=1.5)
    soft = ndimage.gaussian_filter(bone.density.array.astype(float), 0.9 / 1.5)
    noisy = bone.density.with_array(soft + np.random.default_rng(4).normal(0.0, 30.0, soft.shape))
    image = CalibratedVolume(noisy, "K2HPO4", "fixed", 0.8, 0.0, np.diag([0.02**2, 9.0]), (), Step("calibration", "fixed"))
    region = locate_femur(BoneMask(bone.bone, bone.mask, "whole", 1.0, True), image)
    return bone, region, measure_femur(region, image)


@pytest.mark.slow
def test_thickness_follows_the_drawn_cortex_from_the_head_to_the_shaft() -> None:
    _, region, _ = scanned()
    shell = measure_shell(region.mask, region.density, FemurShape().cortical_density)
    x, y, z = (shell.points + 0.3 * shell.inwards).T.astype(np.float32)
    drawn = femur(FemurShape()).field((x, y, z)).shell
    for low, high in ((0.6, 1.0), (1.0, 1.5), (1.5, 2.5), (2.5, 4.0), (4.0, 9.0)):
        part = (drawn >= low) & (drawn < high)
        assert shell.thickness[part].mean() == pytest.approx(drawn[part].mean(), rel=0.09)
        assert np.std(shell.thickness[part] - drawn[part]) < 0.35


def test_regions_of_the_hip_share_the_bone_out_and_lie_where_their_names_say() -> None:
    _, region, measures = scanned()
    parts = {name: measures.regions[f"volume_{name}"] for name in ("femoral_neck", "trochanteric", "intertrochanteric")}
    stacked = sum(part.array.astype(int) for part in parts.values())
    assert stacked.max() == 1 and not (stacked.astype(bool) & ~region.mask.array).any()

    def holds(name: str, landmark: str, inwards: float = 0.0) -> bool:
        point = region.landmarks[landmark] - [0.0, 0.0, inwards]
        return bool(parts[name].array[tuple(np.rint(to_index(parts[name].affine, point)).astype(int))])

    assert holds("femoral_neck", "neck_centre")
    assert holds("trochanteric", "greater_trochanter_tip", 6.0)
    assert holds("intertrochanteric", "lesser_trochanter_axis")
    neck = to_patient(parts["femoral_neck"].affine, np.argwhere(parts["femoral_neck"].array).astype(float))
    along = region.landmarks["head_centre"] - region.landmarks["neck_centre"]
    assert np.ptp(neck @ along / np.linalg.norm(along)) == pytest.approx(15.0, abs=2.5)
    # Both are of the same bone: content by density and volume, and by projection.
    density, area = measures.values["total_hip_vbmd"].value, measures.values["total_hip_bmc"].value
    total = sum(int(part.array.sum()) for part in parts.values()) * region.mask.voxel_volume
    assert 0.82 < density * total / 1e6 / area < 1.0  # the projection brings back what blur has carried over the surface


def test_cortex_of_the_neck_is_thinner_than_that_below_it_and_shown_as_a_mask() -> None:
    _, region, measures = scanned()
    neck, below = (measures.values[f"{name}_cortex_thickness"] for name in ("femoral_neck", "intertrochanteric"))
    assert 0.8 < neck.value < below.value < 4.0
    assert "% of it is thick enough" in neck.region
    cortex = measures.regions["volume_cortex"].array
    assert not (cortex & ~region.mask.array).any()
    assert region.density.array[cortex].mean() > 2 * region.density.array[region.mask.array & ~cortex].mean()


def test_mean_of_nothing_is_nothing() -> None:
    shell = Shell(np.zeros((2, 3)), np.zeros((2, 3)), np.array([np.nan, 1.0]), WALL, 0.6)
    assert np.isnan(shell.mean(np.array([True, False]))[0]) and shell.mean()[2] == 1
