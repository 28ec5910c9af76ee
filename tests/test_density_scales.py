"""Kinds of density cannot be mixed by accident: every way that was thought of is tried, and refused or said."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from drawn_phantoms import NOTHING, draw_scan, reading
from openbct.anatomy import locate_vertebra
from openbct.calibration import Fixed, Given, Phantom
from openbct.calibration.phantom_models import load_phantom
from openbct.density import check_scale, convert, convert_mineral
from openbct.errors import CalibrationError, InputError, ModelError, OpenBCTError, SettingsError
from openbct.femodel import build_model
from openbct.loadcases import AxialCompression
from openbct.loadcases.grid import mineral_of
from openbct.materials import MATERIALS
from openbct.measures import measure_vertebra, measure_whole_vertebra
from openbct.phantoms import vertebra_region
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, Step
from openbct.volume import Volume

STEP = Step("calibration", "made for a test")
MINERALS = ("K2HPO4", "CHA")


def calibrated(density: Volume, mineral: str) -> CalibratedVolume:
    return CalibratedVolume(density, mineral, "test", 0.75, 0.0, np.zeros((2, 2)), (), STEP)  # type: ignore[arg-type]


@cache
def region_of() -> BoneRegion:
    """Return a small simulated body, on the K2HPO4 scale."""
    made = vertebra_region(spacing=3.0)
    return locate_vertebra(BoneMask("L1", made.mask, "body", 1.0, False), calibrated(made.density, "K2HPO4"))


@pytest.mark.parametrize("mineral", MINERALS)
def test_what_a_calibrator_gives_names_its_mineral(mineral: str) -> None:
    model = load_phantom("mindways-model3" if mineral == "K2HPO4" else "b-mas-200")
    scan, _ = draw_scan([reading(rod.value, rod.water) for rod in model.rods], slices=5)
    density = replace(scan, image=Volume(np.full((4, 4, 4), 100.0), np.eye(4), f"mg/cm3 {mineral}"))
    for result in (Fixed(0.7, 0.0, mineral)(scan, NOTHING), Phantom(model.name)(scan, NOTHING), Given(mineral)(density, NOTHING)):  # type: ignore[arg-type]
        assert result.mineral == mineral and result.density.unit == f"mg/cm3 {mineral}"
        check_scale(result.density, result)


@pytest.mark.parametrize(("own", "other"), [MINERALS, MINERALS[::-1]])
def test_an_image_on_one_scale_is_not_taken_for_the_other(own: str, other: str) -> None:
    scan, _ = draw_scan([], slices=3)
    image = replace(scan, image=Volume(np.full((4, 4, 4), 100.0), np.eye(4), f"mg/cm3 {own}"))
    with pytest.raises(CalibrationError, match="name the mineral"):
        Given(other)(image, NOTHING)  # type: ignore[arg-type]
    with pytest.raises(CalibrationError, match="expected HU"):
        Fixed(0.7, 0.0)(image, NOTHING)


@pytest.mark.parametrize("measure", [measure_vertebra, measure_whole_vertebra])
def test_a_region_is_not_measured_with_a_calibration_of_another_scale(measure: object) -> None:
    region = region_of()
    right = calibrated(region.density, "K2HPO4")
    assert measure(region, right).values  # type: ignore[operator]
    with pytest.raises(SettingsError, match="one scale"):
        measure(region, calibrated(region.density, "CHA"))  # type: ignore[operator]
    foreign = replace(region, density=Volume(region.density.array, region.density.affine, "mg/cm3 CHA"))
    with pytest.raises(SettingsError, match="one scale"):
        measure(foreign, right)  # type: ignore[operator]


@pytest.mark.parametrize("unit", ["HU", "mg/cm3", "mg/cm3 ash", "g/cm3 K2HPO4", "mask"])
def test_a_density_without_its_mineral_is_not_mounted(unit: str) -> None:
    with pytest.raises(OpenBCTError, match="name its mineral"):
        mineral_of(Volume(np.zeros((2, 2, 2)), np.eye(4), unit))
    region = region_of()
    with pytest.raises(OpenBCTError):
        AxialCompression(voxel=3.0).mount(replace(region, density=Volume(region.density.array, region.density.affine, unit)))


@pytest.mark.parametrize("name", sorted(MATERIALS))
def test_a_law_gets_its_own_kind_or_says_what_it_did(name: str) -> None:
    """The same voxels as K2HPO4 and as CHA: a law of minerals converts with its caution, one of ash or apparent density cites its papers."""
    law = MATERIALS[name]
    loadcase = AxialCompression(voxel=3.0)
    region = region_of()
    seen = {}
    for mineral in MINERALS:
        specimen = loadcase.mount(
            replace(region, density=Volume(region.density.array, region.density.affine, f"mg/cm3 {mineral}"))
        )
        assert specimen.mineral == mineral
        try:
            seen[mineral] = build_model(specimen, loadcase.constrain(specimen), law)
        except (InputError, ModelError):
            return  # a law of the tissue, or one whose range these voxels leave
    doubts = {mineral: [c for c in model.step.cautions if "scale with the factor" in c] for mineral, model in seen.items()}
    if law.density in MINERALS:
        assert not doubts[law.density] and len(doubts[MINERALS[law.density == "K2HPO4"]]) == 1
    else:
        bone = seen["CHA"].mask
        assert not np.allclose(seen["CHA"].youngs_modulus[bone], seen["K2HPO4"].youngs_modulus[bone])
        for mineral, model in seen.items():
            assert set(convert(np.array([0.1]), mineral, law.density)[1]) <= set(model.step.references)  # type: ignore[arg-type]


def test_no_conversion_between_minerals_is_silent() -> None:
    with pytest.raises(SettingsError):
        convert(np.array([0.1]), "K2HPO4", "CHA")
    values, papers, cautions = convert_mineral(np.array([0.1]), "K2HPO4", "CHA")
    assert values[0] != 0.1 and papers and cautions
