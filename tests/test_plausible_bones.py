"""Simulated bones behave as bones do: what densities, sizes, kinds of load and directions of a fall do to a strength.

The ranges are those of the plausibility table and the population facts of our methods notes (recalled and design, see
docs/methods/strength.md); voxels are coarse, because only trends are asked for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from openbct.anatomy import locate_femur, locate_vertebra
from openbct.femodel import build_model
from openbct.loadcases import AxialCompression, SidewaysFall, Stance
from openbct.materials import MATERIALS
from openbct.phantoms import FemurShape, SimulatedBone, VertebraShape, femur_region, vertebra_region
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, LoadCase, Specimen, Step, StrengthResult
from openbct.strength import FEMUR_TEST, STANCE_TEST, VERTEBRA_TEST, MechanicalTest, measure_strength
from openbct.sweep import FallSweep, roughness, sweep_fall

COMPRESSION, FALL, STANCE = AxialCompression(voxel=2.5), SidewaysFall(voxel=3.0), Stance(voxel=3.0)
DENSE = {"head_density": 300.0, "neck_density": 180.0, "trochanter_density": 240.0, "neck_cortex": 1.6}
WEAK = {"head_density": 140.0, "neck_density": 50.0, "trochanter_density": 80.0, "neck_cortex": 0.8}
LARGE = {"width": 1.1 * VertebraShape().width, "depth": 1.1 * VertebraShape().depth}


def calibrated(bone: SimulatedBone) -> CalibratedVolume:
    return CalibratedVolume(bone.density, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "truth"))


@cache
def vertebra(**shape: float) -> BoneRegion:
    bone = vertebra_region(replace(VertebraShape(), **shape), spacing=1.25)
    return locate_vertebra(BoneMask("L1", bone.mask, "body", 1.0, False), calibrated(bone))


@cache
def femur(spacing: float = 2.5, **shape: float) -> BoneRegion:
    bone = femur_region(replace(FemurShape(), **shape), side="right", spacing=spacing, tilt_deg=6.0)
    return locate_femur(BoneMask("femur_right", bone.mask, "whole", 1.0, True), calibrated(bone))


def loaded(specimen: Specimen, case: LoadCase, test: MechanicalTest) -> StrengthResult:
    law = MATERIALS["kopperdahl2002+side-artefact" if test is VERTEBRA_TEST else "keyak2005"]
    return measure_strength(build_model(specimen, case.constrain(specimen), law), test, threads=1)


@cache
def compressed(**shape: float) -> StrengthResult:
    return loaded(COMPRESSION.mount(vertebra(**shape)), COMPRESSION, VERTEBRA_TEST)


@cache
def fallen(**shape: float) -> StrengthResult:
    return loaded(FALL.mount(femur(**shape)), FALL, FEMUR_TEST)


# Density ---------------------------------------------------------------------------------------------------------


def test_vertebral_strength_rises_with_trabecular_density_within_every_bound() -> None:
    densities = (40.0, 70.0, 100.0, 150.0, 200.0)
    results = [compressed(trabecular_density=density) for density in densities]
    strengths = [result.strength for result in results]
    assert all(low < high for low, high in pairwise(strengths))
    # the law's yield stress goes with density to the power of 1.39; the shell stays as it is and takes from that
    assert 0.9 < np.log(strengths[-1] / strengths[0]) / np.log(densities[-1] / densities[0]) < 1.39
    # no plausibility bound, plateau or energy balance of the table is passed from severe osteoporosis to a young spine
    assert [result.step.cautions for result in results] == [()] * len(results)
    # below 80 mg/cm3 the literature has weak spines, above 120 strong ones; ours are some kilonewtons apart, the scale provisional
    assert strengths[0] < 2000.0 and strengths[-1] > 5000.0


@pytest.mark.slow
def test_femoral_strength_rises_with_density_within_every_bound() -> None:
    weak, middle, dense = fallen(**WEAK), fallen(), fallen(**DENSE)
    assert weak.strength < middle.strength < dense.strength
    assert weak.stiffness < middle.stiffness < dense.stiffness
    assert (weak.step.cautions, middle.step.cautions, dense.step.cautions) == ((), (), ())
    # a sideways fall breaks femora at 1500 to 9000 N, weak ones at 2000 to 4500 N
    assert 1500.0 < weak.strength < 4500.0 and dense.strength < 9000.0


@pytest.mark.parametrize("kind", ["vertebra", "femur"])
def test_density_of_the_whole_bone_acts_by_the_power_of_the_law(kind: str) -> None:
    case, test, power = (COMPRESSION, VERTEBRA_TEST, (1.05, 1.39)) if kind == "vertebra" else (FALL, FEMUR_TEST, (1.86, 1.80))
    specimen = case.mount(vertebra() if kind == "vertebra" else femur())
    before = loaded(specimen, case, test)
    after = loaded(replace(specimen, density=1.2 * specimen.density), case, test)
    # cement in series takes from the stiffness; of ash density a part is constant, a fifth at 150 mg/cm3, which takes from both of a femur
    stiffer, stronger = (np.log(new / old) / np.log(1.2) for new, old in
                         ((after.stiffness, before.stiffness), (after.strength, before.strength)))  # fmt: skip
    assert 0.65 * power[0] < stiffer < power[0] * 1.001
    assert 0.75 * power[1] < stronger < power[1] * 1.05


# Size ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vertebra", "femur"])
def test_a_larger_copy_is_stronger_by_its_area_and_stiffer_by_its_length(kind: str) -> None:
    """Similarity: with every length twice as large, the same strains need four times the force."""
    case, test = (COMPRESSION, replace(VERTEBRA_TEST, plausible=())) if kind == "vertebra" else (FALL, FEMUR_TEST)
    test = replace(test, plausible=())
    specimen = case.mount(vertebra() if kind == "vertebra" else femur())
    law = MATERIALS["kopperdahl2002+side-artefact" if kind == "vertebra" else "keyak2005"]
    model = build_model(specimen, case.constrain(specimen), law)
    large = replace(model, spacing=2.0 * model.spacing, gauge_length=2.0 * model.gauge_length)
    one, two = (measure_strength(each, test, threads=1) for each in (model, large))
    assert two.strength == pytest.approx(4.0 * one.strength, rel=1e-3)
    assert two.stiffness == pytest.approx(2.0 * one.stiffness, rel=1e-3)
    assert two.quantities["failed_fraction"] == pytest.approx(one.quantities["failed_fraction"], abs=2e-3)


def test_wider_bodies_and_thicker_necks_are_stronger() -> None:
    # 21 % of area, and a little more, because the shell is the same and the caps hold a wider body less
    assert compressed(**LARGE).strength / compressed().strength == pytest.approx(1.21, abs=0.06)
    assert 1.03 < fallen(neck_radius=16.5).strength / fallen().strength < (16.5 / 14.5) ** 3


# Both ------------------------------------------------------------------------------------------------------------


def test_effects_of_size_and_density_multiply() -> None:
    dense, large = compressed(trabecular_density=150.0), compressed(**LARGE)
    both = compressed(trabecular_density=150.0, **LARGE)
    assert both.strength * compressed().strength == pytest.approx(dense.strength * large.strength, rel=0.05)
    thick, firm = fallen(neck_radius=16.5), fallen(**DENSE)
    assert fallen(neck_radius=16.5, **DENSE).strength * fallen().strength == pytest.approx(
        thick.strength * firm.strength, rel=0.05
    )


# Load ------------------------------------------------------------------------------------------------------------


def test_stance_is_stronger_than_a_fall() -> None:
    stance = loaded(STANCE.mount(femur()), STANCE, STANCE_TEST)
    # 2 to 3 times in the literature; ours falls short of that, which docs/methods/load-cases.md says
    assert 1.1 < stance.strength / fallen().strength < 3.5


@cache
def swept() -> FallSweep:
    options: dict[str, Any] = {"span_deg": 20.0, "directions": 5, "threads": 1}
    return sweep_fall(femur(spacing=1.5), SidewaysFall(voxel=2.0), MATERIALS["keyak2005"], **options)


@pytest.mark.slow
def test_sweep_is_smooth_and_weakest_where_the_literature_has_it() -> None:
    found = swept()
    assert not found.refused
    assert roughness(found.strength, found.default[2]) < 0.20
    # posterolateral falls, more rotated inwards, are the weakest; adduction takes away too
    assert np.all(np.diff(found.strength.mean(axis=0))[1:] < 0)
    assert np.all(np.diff(found.strength.mean(axis=1))[1:] < 0)
    assert found.weakest[0] > found.default[0] and found.weakest[1] > found.default[1]
    assert 0.6 < found.relative < 1.0
