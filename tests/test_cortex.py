"""Thin cortex: what each option does to a block with a known surface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.cortex import SHELL_YIELD_STRESS, SHELL_YOUNGS_MODULUS, Cortex, surface_of
from openbct.errors import SettingsError
from openbct.femodel import build_model
from openbct.materials import KOPPERDAHL_2002
from openbct.plan import make_plan
from openbct.records import Boundary, FEModel, Specimen, Step
from openbct.settings import parse

SHAPE = (8, 8, 10)


def specimen(surface: float = 60.0, inside: float = 200.0, spacing: float = 1.0) -> Specimen:
    """A block of 6 x 6 x 6 between pads, its outer voxels of another density than the inner ones."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:7, 1:7, 2:8] = True
    pad = np.zeros(SHAPE, dtype=bool)
    pad[1:7, 1:7, :2] = pad[1:7, 1:7, 8:] = True
    density = np.where(mask, surface, 0.0)
    density[2:6, 2:6, 3:7] = inside
    return Specimen("L1", density, "K2HPO4", mask, pad, spacing, np.eye(4), 6.0, Step("mount", "Mounted."))


def model(cortex: Cortex | None, **change: float) -> FEModel:
    nodes = tuple(n + 1 for n in SHAPE)
    loaded = np.zeros(nodes, dtype=bool)
    boundary = Boundary(np.zeros((*nodes, 3), dtype=bool), np.zeros((*nodes, 3)), loaded, np.array([0.0, 0.0, -1.0]), "none")
    return build_model(specimen(**change), boundary, KOPPERDAHL_2002, cortex=cortex)


def test_surface_is_where_bone_ends_pads_included() -> None:
    mask = specimen().mask
    surface = surface_of(mask)
    assert surface.sum() == 6**3 - 4**3 and not surface[2:6, 2:6, 3:7].any()
    assert surface_of(np.ones((3, 3, 3), dtype=bool)).sum() == 26  # the border of the array ends the bone too


def test_surface_voxels_take_the_density_inside_and_never_less_than_their_own() -> None:
    plain, corrected = model(None), model(Cortex("surface"))
    inside = 2980.0 * 0.2**1.05
    mask = plain.mask
    np.testing.assert_allclose(corrected.youngs_modulus[mask], inside)
    np.testing.assert_allclose(corrected.yield_stress[mask], 37.4 * 0.2**1.39)
    dense = model(Cortex("surface"), surface=500.0)
    np.testing.assert_array_equal(dense.youngs_modulus, model(None, surface=500.0).youngs_modulus)
    rise = 100 * (corrected.youngs_modulus[mask].sum() / plain.youngs_modulus[mask].sum() - 1)
    assert f"raised the sum of the moduli of L1 by {rise:.0f} %" in corrected.step.sentence and rise > 50
    assert any("Helgason" in reference.text for reference in corrected.step.references)


def test_a_bone_without_an_inside_is_left_as_it_is() -> None:
    thin = np.zeros(SHAPE, dtype=bool)
    thin[2:4] = True
    values = np.linspace(0.1, 0.3, int(thin.sum()))
    np.testing.assert_array_equal(Cortex("surface").densities(values, thin), values)


@pytest.mark.parametrize(("spacing", "share"), [(1.0, 0.4), (2.0, 0.2), (0.2, 1.0)])
def test_a_shell_is_worth_its_share_of_the_voxel(spacing: float, share: float) -> None:
    plain, shelled = model(None, spacing=spacing), model(Cortex("shell", 0.4), spacing=spacing)
    surface = surface_of(plain.mask)
    np.testing.assert_allclose(shelled.youngs_modulus[surface], share * SHELL_YOUNGS_MODULUS)
    np.testing.assert_allclose(shelled.yield_stress[surface], np.maximum(share * SHELL_YIELD_STRESS, plain.yield_stress[surface]))
    inner = plain.mask & ~surface
    np.testing.assert_array_equal(shelled.youngs_modulus[inner], plain.youngs_modulus[inner])
    np.testing.assert_array_equal(shelled.youngs_modulus[~plain.mask], plain.youngs_modulus[~plain.mask])


def test_a_shell_softer_than_the_voxel_changes_nothing() -> None:
    thin = model(Cortex("shell", 0.05), surface=800.0)
    np.testing.assert_array_equal(thin.youngs_modulus, model(None, surface=800.0).youngs_modulus)


def test_options_are_asked_for_by_name() -> None:
    for words in (("crust", 0.4), ("shell", 0.0), ("shell", 5.0)):
        with pytest.raises(Exception, match=r"cortex|kind"):
            Cortex(*words)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="needs shell_mm"):
        parse("[femur]\ncortex = 'shell'", "mine.toml")
    with pytest.raises(SettingsError, match=r'beside .femur. cortex "surface"'):
        parse("[femur]\ncortex = 'surface'\nshell_mm = 0.4", "mine.toml")
    plan = make_plan(parse("[femur]\ncortex = 'shell'\nshell_mm = 0.3\n[vertebra]\ncortex = 'surface'", "mine.toml"))
    assert plan.femur.elements["cortex"] == Cortex("shell", 0.3) and plan.vertebra.elements["cortex"] == Cortex("surface")
    assert make_plan(parse("", "mine.toml")).femur.elements["cortex"] is None
    assert replace(Cortex("shell"), thickness=0.3).words != Cortex("shell").words
