"""Density to stiffness: nothing vanishes, nothing is binned, doubt is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.errors import ModelError
from openbct.femodel import build_model
from openbct.materials import KEYAK_2005, KOPPERDAHL_2002, MATERIALS, MORGAN_2003_NECK
from openbct.records import Boundary, Pads, Specimen, Step

SHAPE = (4, 4, 6)


def specimen(density: np.ndarray | float = 150.0, mineral: str = "K2HPO4") -> Specimen:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, :, 1:5] = True
    pad = np.zeros(SHAPE, dtype=bool)
    pad[:, :, (0, 5)] = True
    array = np.broadcast_to(np.asarray(density, dtype=float), SHAPE).copy()
    return Specimen("L1", array, mineral, mask, pad, 1.0, np.eye(4), 4.0, Step("mount", "Mounted."))  # type: ignore[arg-type]


def boundary() -> Boundary:
    nodes = tuple(n + 1 for n in SHAPE)
    fixed = np.zeros((*nodes, 3), dtype=bool)
    fixed[:, :, (0, -1)] = True
    travel = np.zeros((*nodes, 3))
    travel[:, :, -1, 2] = -1.0
    loaded = np.zeros(nodes, dtype=bool)
    loaded[:, :, -1] = True
    return Boundary(fixed, travel, loaded, np.array([0.0, 0.0, -1.0]), "both ends held")


def test_refuses_an_empty_bone_and_missing_density() -> None:
    empty = replace(specimen(), mask=np.zeros(SHAPE, dtype=bool))
    with pytest.raises(ModelError, match="no bone voxel"):
        build_model(empty, boundary(), KOPPERDAHL_2002)
    holey = specimen().density.copy()
    holey[2, 2, 2] = np.nan
    with pytest.raises(ModelError, match="1 bone voxels"):
        build_model(specimen(holey), boundary(), KOPPERDAHL_2002)


def test_every_bone_voxel_becomes_an_element_even_at_zero_and_negative_density() -> None:
    density = np.full(SHAPE, 120.0)
    density[0, 0, 1], density[1, 1, 2], density[2, 2, 3] = 0.0, -80.0, 0.4
    model = build_model(specimen(density), boundary(), KOPPERDAHL_2002)
    assert ((model.youngs_modulus > 0) == (specimen().mask | specimen().pad)).all()
    floor = 2980.0 * 0.006**1.05
    np.testing.assert_allclose([model.youngs_modulus[0, 0, 1], model.youngs_modulus[1, 1, 2]], floor)


def test_one_bright_voxel_leaves_the_rest_alone() -> None:
    dark = build_model(specimen(), boundary(), KOPPERDAHL_2002).youngs_modulus
    density = specimen().density.copy()
    density[3, 3, 3] = 3000.0
    bright = build_model(specimen(density), boundary(), KOPPERDAHL_2002).youngs_modulus
    changed = dark != bright
    assert changed.sum() == 1 and changed[3, 3, 3]


def test_pads_are_elastic_cement() -> None:
    model = build_model(specimen(), boundary(), KOPPERDAHL_2002)
    assert (model.youngs_modulus[specimen().pad] == Pads().youngs_modulus).all()
    assert np.isinf(model.yield_stress[specimen().pad]).all()
    assert np.isfinite(model.yield_stress[specimen().mask]).all()


def test_density_is_converted_to_the_kind_of_the_law() -> None:
    ash = 1.06 * 0.150 + 0.0389
    model = build_model(specimen(), boundary(), KEYAK_2005)
    np.testing.assert_allclose(model.youngs_modulus[specimen().mask], 14900.0 * ash**1.86, rtol=1e-9)
    apparent = build_model(specimen(), boundary(), MORGAN_2003_NECK)
    np.testing.assert_allclose(apparent.youngs_modulus[specimen().mask], 6850.0 * (ash / 0.6) ** 1.49, rtol=1e-2)


def test_another_mineral_is_converted_with_a_caution_never_silently() -> None:
    model = build_model(specimen(mineral="CHA"), boundary(), KOPPERDAHL_2002)
    same = build_model(specimen(), boundary(), KOPPERDAHL_2002)
    assert model.youngs_modulus[2, 2, 2] != same.youngs_modulus[2, 2, 2]
    assert any("CHA" in caution for caution in model.step.cautions)


def test_doubt_travels() -> None:
    density = np.full(SHAPE, 150.0)
    density[0, :2, 1:4] = -50.0
    low = build_model(specimen(density), boundary(), KOPPERDAHL_2002).step
    assert any("9 %" in caution and "floor" in caution for caution in low.cautions)
    assert not build_model(specimen(150.0), boundary(), KOPPERDAHL_2002).step.cautions
    density[0, :2, 1:4] = 2500.0
    high = build_model(specimen(density), boundary(), KOPPERDAHL_2002).step
    assert any("9 %" in caution and "ceiling" in caution for caution in high.cautions)


def test_a_bone_that_is_mostly_below_the_floor_is_refused() -> None:
    with pytest.raises(ModelError, match="100 % of the bone voxels"):
        build_model(specimen(-50.0), boundary(), KOPPERDAHL_2002)


def test_a_law_of_the_tissue_meets_no_clinical_voxel() -> None:
    tissue = MATERIALS["bayraktar2004-trabecular"]
    with pytest.raises(ModelError, match=r"expected at most 0.1 mm"):
        build_model(specimen(), boundary(), tissue)
    fine = build_model(replace(specimen(900.0), spacing=0.05), boundary(), tissue)
    assert set(np.unique(fine.youngs_modulus[specimen().mask])) == {18_000.0}


def test_a_law_without_a_strength_makes_an_elastic_model() -> None:
    model = build_model(specimen(300.0), boundary(), MATERIALS["ogo-hip"])
    assert np.isinf(model.yield_stress).all() and "and yield stress" not in model.step.sentence
