"""Vertebral densities: what must not be measured first, then bodies of known density, then real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openbct.errors import SegmentationError
from openbct.measures import lacking_landmarks, measure_vertebra, measure_whole_vertebra, needed, vertebral_densities
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, Frame, Step
from openbct.volume import Volume

SLOPE, INTERCEPT = 0.8, -4.0


def make_region(*, spacing: float = 1.0, size: tuple[float, float, float] = (44.0, 32.0, 26.0)) -> BoneRegion:
    """Return an elliptic body of 120 mg/cm³ inside a shell of 600 mg/cm³, in soft tissue of 40 mg/cm³."""
    n = int(np.ceil(64.0 / spacing))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (n - 1) / 2
    x, y, z = np.indices((n, n, n)) * spacing + affine[0, 3]

    def inside(inset: float) -> np.ndarray:
        across, along = size[0] / 2 - inset, size[1] / 2 - inset
        return np.asarray(((x / across) ** 2 + (y / along) ** 2 <= 1.0) & (np.abs(z) <= size[2] / 2 - inset))

    mask = inside(0.0)
    density = np.where(inside(1.5), 120.0, np.where(mask, 600.0, 40.0))
    half = np.array([0.0, 0.0, size[2] / 2])
    return BoneRegion(
        bone="L1",
        kind="vertebra",
        side=None,
        density=Volume(density, affine, "mg/cm3 K2HPO4"),
        mask=Volume(mask, affine, "mask"),
        frame=Frame(np.zeros(3), np.eye(3)),
        landmarks={"superior_endplate": half, "inferior_endplate": -half},
        lengths={"height": size[2], "mean_area": float(mask.sum()) * spacing**3 / size[2]},
        step=Step("anatomy", "A body."),
    )


def calibration(region: BoneRegion, *, method: str = "fixed", covariance: np.ndarray | None = None) -> CalibratedVolume:
    spread = np.full((2, 2), np.nan) if covariance is None else covariance
    return CalibratedVolume(region.density, "K2HPO4", method, SLOPE, INTERCEPT, spread, (), Step("calibration", "Fixed."))


def with_density(region: BoneRegion, where: np.ndarray, value: float) -> BoneRegion:
    array = region.density.array.copy()
    array[where] = value
    return replace(region, density=region.density.with_array(array))


def test_empty_mask() -> None:
    region = make_region()
    empty = replace(region, mask=region.mask.with_array(np.zeros(region.mask.shape, dtype=bool)))
    with pytest.raises(SegmentationError, match="no voxel in the mask of L1"):
        measure_vertebra(empty, calibration(region))


def test_body_too_small_for_a_trabecular_region_gives_no_number() -> None:
    region = make_region(size=(12.0, 10.0, 12.0))
    measures = measure_vertebra(region, calibration(region))
    assert "trabecular_vbmd" not in measures.values and "trabecular_hu" not in measures.values
    assert "no trabecular density" in measures.step.cautions[0]
    assert measures.values["integral_vbmd"].value > 120.0


@pytest.mark.parametrize("spacing", [0.8, 1.0, 2.0, 3.0])
def test_trabecular_density_knows_nothing_of_the_cortex(spacing: float) -> None:
    region = make_region(spacing=spacing)
    measures = measure_vertebra(region, calibration(region))
    assert measures.values["trabecular_vbmd"].value == pytest.approx(120.0, abs=1e-9)
    assert measures.values["inner_vbmd"].value == pytest.approx(120.0, abs=1e-9)
    assert measures.values["trabecular_hu"].value == pytest.approx((120.0 - INTERCEPT) / SLOPE)
    inside = region.density.array[region.mask.array]
    assert measures.values["integral_vbmd"].value == pytest.approx(inside.mean())
    assert measures.values["volume"].value == pytest.approx(np.pi * 22 * 16 * 26 / 1000, rel=0.12)
    roi = measures.regions["trabecular"].array
    assert roi.sum() * region.mask.voxel_volume > 2000.0
    assert not (roi & ~region.mask.array).any()


def test_region_is_a_slab_in_the_front_clear_of_the_vein() -> None:
    region = make_region()
    reference = measure_vertebra(region, calibration(region))
    x, y, z = (index - 31.5 for index in np.indices(region.density.shape))
    vein = (np.abs(x) < 4) & (y > 5) & (np.abs(z) < 5)
    endplates = np.abs(z) > 5.5
    for where in (vein, endplates):
        changed = measure_vertebra(with_density(region, where & region.mask.array, -100.0), calibration(region))
        assert changed.values["trabecular_vbmd"].value == reference.values["trabecular_vbmd"].value
        assert changed.values["integral_vbmd"].value < reference.values["integral_vbmd"].value
    roi = np.argwhere(reference.regions["trabecular"].array) - 31.5
    assert np.ptp(roi[:, 2]) + 1 == pytest.approx(10.0, abs=1.0)
    assert roi[:, 1].mean() < -2.0


def test_landmarks_that_are_needed_are_those_that_are_used() -> None:
    region = make_region()
    kept = {name: region.landmarks[name] for name in needed.VERTEBRA}
    needing = replace(region, landmarks=kept)
    assert not lacking_landmarks(needing) and measure_vertebra(needing, calibration(region)).values
    assert measure_whole_vertebra(replace(region, landmarks={}), calibration(region)).values
    for name in needed.VERTEBRA:
        without = replace(region, landmarks={key: point for key, point in kept.items() if key != name})
        assert lacking_landmarks(without) == (name,)
        with pytest.raises(KeyError, match=name):
            measure_vertebra(without, calibration(region))


def test_region_follows_the_frame() -> None:
    region = make_region()
    turned = Frame(np.zeros(3), np.diag([-1.0, -1.0, 1.0]))
    there = np.argwhere(measure_vertebra(region, calibration(region)).regions["trabecular"].array).mean(axis=0) - 31.5
    here = np.argwhere(measure_vertebra(replace(region, frame=turned), calibration(region)).regions["trabecular"].array).mean(
        axis=0
    )
    assert here[1] - 31.5 == pytest.approx(-there[1], abs=0.1)


def test_dense_spot_is_said_with_its_effect() -> None:
    region = make_region()
    island = (slice(28, 33), slice(24, 29), slice(29, 34))
    array = np.zeros(region.mask.shape, dtype=bool)
    array[island] = True
    measures = measure_vertebra(with_density(region, array, 700.0), calibration(region))
    assert "bone island" in measures.step.cautions[0] and "density is 120 instead of" in measures.step.cautions[0]


def test_uncertainty_comes_from_the_calibration() -> None:
    region = make_region()
    spread = np.diag([0.02**2, 3.0**2])
    found = measure_vertebra(region, calibration(region, covariance=spread)).values["trabecular_vbmd"]
    hu = (120.0 - INTERCEPT) / SLOPE
    assert found.uncertainty == pytest.approx(np.hypot(0.02 * hu, 3.0))
    assert measure_vertebra(region, calibration(region)).values["trabecular_vbmd"].uncertainty is None
    assert "trabecular_hu" not in measure_vertebra(region, calibration(region, method="given")).values
    alone = vertebral_densities(region, calibration(region, covariance=spread)).values
    whole = measure_vertebra(region, calibration(region, covariance=spread)).values
    assert {"trabecular_vbmd", "integral_vbmd", "volume"} <= set(alone) < set(whole)
    assert alone == {name: whole[name] for name in alone}


@pytest.mark.data
def test_real_bodies_against_their_hu(data_dir: Path) -> None:
    from openbct.anatomy import locate_vertebra
    from openbct.calibration import Fixed
    from openbct.io import read_labels, read_scan
    from openbct.segmentation import GivenLabels

    folder = data_dir / "abdomen_pelvis"
    scan = read_scan(folder / "ct.nii.gz")
    found = GivenLabels((read_labels(folder / "labels_vertebral_bodies.nii.gz"),), ("L1", "L2", "L3", "L4", "L5"))(scan)
    density = Fixed(slope=0.8, intercept=0.0)(scan, found)
    # eroded bodies read 113, 112, 106, 107, 111 HU; L1 holds a bone island
    for level, hu in (("L1", 113.0), ("L2", 112.0), ("L3", 106.0), ("L4", 107.0), ("L5", 111.0)):
        measures = measure_vertebra(locate_vertebra(found.bones[level], density), density)
        assert measures.values["inner_vbmd"].value / 0.8 == pytest.approx(hu, abs=6.0)
        if level == "L1":
            assert "bone island" in measures.step.cautions[0]
        else:
            assert measures.values["trabecular_hu"].value == pytest.approx(hu, abs=7.0)


@pytest.mark.data
def test_real_vertebra_against_its_published_density(data_dir: Path) -> None:
    from openbct.anatomy import locate_vertebra
    from openbct.calibration import Given
    from openbct.io import read_density
    from openbct.io.nifti import read_nifti
    from openbct.records import Segmentation

    scan = read_density(data_dir / "vertebra_l2" / "density.nii.gz")
    raw, _ = read_nifti(data_dir / "vertebra_l2" / "labels.nii.gz", "label")
    body = BoneMask("L2", Volume(np.isin(raw.array, [1, 2]), raw.affine, "mask"), "body", 1.0, False)
    density = Given()(scan, Segmentation({"L2": body}, {}, Step("segmentation", "Given.")))
    measures = measure_vertebra(locate_vertebra(body, density), density)
    assert measures.values["trabecular_vbmd"].value == pytest.approx(70.7, rel=0.03)


def test_slab_periphery_and_cross_section_are_what_they_are_called() -> None:
    """An ellipse of 44 x 32 mm: 1106 mm²; inside the shell of 1.5 mm all is 120 mg/cm³, the periphery holds the shell of 600."""
    region = make_region()
    values = measure_vertebra(region, calibration(region)).values
    assert values["mid_area"].value == pytest.approx(np.pi / 4 * 44.0 * 32.0, rel=0.03)
    assert values["slab_vbmd"].value == pytest.approx(120.0)
    mask, density = region.mask.array, region.density.array
    inner = values["inner_vbmd"].value
    share = (values["integral_vbmd"].value - inner) / (values["peripheral_vbmd"].value - inner)
    assert inner == pytest.approx(120.0) and 0.0 < share < 1.0
    assert density[mask].mean() == pytest.approx(inner + share * (values["peripheral_vbmd"].value - inner))
    assert values["dense_share"].value == 0.0


def test_a_vein_lowers_the_slab_and_not_the_ellipse() -> None:
    region = make_region()
    x, y, z = (grid * 1.0 - 31.5 for grid in np.indices(region.mask.shape))
    # A hole in the back third, at mid-height: y is posterior.
    vein = (np.abs(x) < 5) & (y > 6.0) & (np.abs(z) < 4) & region.mask.array
    hollow = replace(region, density=region.density.with_array(np.where(vein, 0.0, region.density.array)))
    values = measure_vertebra(hollow, calibration(hollow)).values
    assert values["slab_vbmd"].value < 115.0 and values["trabecular_vbmd"].value == pytest.approx(120.0)


def test_the_share_of_cement_is_measured() -> None:
    region = make_region()
    x, y, _ = (grid * 1.0 - 31.5 for grid in np.indices(region.mask.shape))
    cement = (np.abs(x) < 6) & (np.abs(y + 4) < 5) & region.mask.array
    filled = replace(region, density=region.density.with_array(np.where(cement, 900.0, region.density.array)))
    measures = measure_vertebra(filled, calibration(filled))
    assert measures.values["dense_share"].value > 10.0 and any("cement" in caution for caution in measures.step.cautions)
