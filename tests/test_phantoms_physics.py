"""The simulator's beam, tissues and shapes against published values and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from openbct.errors import SettingsError
from openbct.phantoms.beam import attenuation_table, linear_attenuation, phosphate_solution, scanner_beam
from openbct.phantoms.canvas import empty
from openbct.phantoms.scanner import ScannerSettings, expose
from openbct.phantoms.shapes import cone, coverage, ellipsoid, intersection, sphere, superellipse, triangle, tube, union
from openbct.phantoms.tissues import MATRIX_MINERAL, TISSUES, mix


@pytest.mark.parametrize("kvp", [0.0, 69.0, 151.0, float("nan")])
def test_impossible_voltage_is_refused(kvp: float) -> None:
    with pytest.raises(SettingsError, match="70 to 150 kVp"):
        scanner_beam(kvp)


def test_negative_water_is_refused() -> None:
    with pytest.raises(SettingsError, match="0 cm or more"):
        scanner_beam(120.0, -1.0)


@pytest.mark.parametrize("name", sorted(TISSUES))
def test_fractions_sum_to_one(name: str) -> None:
    assert sum(TISSUES[name].fractions.values()) == pytest.approx(1.0)
    assert TISSUES[name].density > 0


@pytest.mark.parametrize(
    ("name", "energy", "published"),
    [
        # NIST mass attenuation coefficients [cm2/g], as tabulated in the reference text of this project.
        ("water", 60.0, 0.2059), ("water", 100.0, 0.1707), ("adipose", 60.0, 0.1974), ("muscle", 80.0, 0.1823),
        ("blood", 60.0, 0.2057), ("air", 80.0, 0.1662), ("hydroxyapatite", 60.0, 0.4067), ("hydroxyapatite", 100.0, 0.2019),
    ],
)  # fmt: skip
def test_attenuation_agrees_with_nist(name: str, energy: float, published: float) -> None:
    tissue = TISSUES[name]
    value = linear_attenuation(tissue, np.array([energy]))[0] / tissue.density
    assert value == pytest.approx(published, rel=0.01)


def test_phosphate_agrees_with_nist() -> None:
    solution = phosphate_solution(1000.0)
    water = linear_attenuation(TISSUES["water"], np.array([60.0]))[0]
    salt = linear_attenuation(solution, np.array([60.0]))[0] - 0.78 * water
    assert salt == pytest.approx(0.3890, rel=0.006)


def test_table_covers_the_tube() -> None:
    energies, elements = attenuation_table()
    assert energies[0] <= 10 and energies[-1] >= 150
    assert {"H", "C", "O", "Ca", "P", "K", "I", "Ti"} <= set(elements)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("water", -0.001, 0.001), ("air", -1000, -998), ("adipose", -110, -60), ("muscle", 45, 65), ("blood", 35, 55),
        ("yellow_marrow", -90, -30), ("red_marrow", -10, 40), ("liver", 45, 70), ("bone_matrix", 1500, 2200),
    ],
)  # fmt: skip
def test_hounsfield_at_120_kvp(name: str, low: float, high: float) -> None:
    assert low <= scanner_beam(120.0).hounsfield(name) <= high


def test_slopes_fall_with_voltage_as_published() -> None:
    slopes = [scanner_beam(kvp).phosphate_slope for kvp in (80.0, 100.0, 120.0, 140.0)]
    assert np.all(np.diff(slopes) < 0)
    assert 1.25 < slopes[2] < 1.6
    # L1 means between voltages: the published multiplier to 120 kVp is 1.053 at 140 kVp and 0.93 at 100 kVp.
    assert slopes[2] / slopes[3] == pytest.approx(1.053, abs=0.06)
    assert slopes[2] / slopes[1] == pytest.approx(0.93, abs=0.06)


def test_water_hardens_the_beam() -> None:
    energies = [scanner_beam(120.0, water).mean_energy for water in (0.0, 10.0, 20.0, 30.0)]
    assert np.all(np.diff(energies) > 0)
    assert 60 < energies[2] < 80


def test_rods_read_their_concentration() -> None:
    beam = scanner_beam()
    for rod in (50.0, 100.0, 200.0):
        assert beam.hounsfield(phosphate_solution(rod)) / beam.phosphate_slope == pytest.approx(rod, rel=1e-6)


def test_mixtures_are_linear_in_hounsfield() -> None:
    beam = scanner_beam()
    half = beam.hounsfield(mix({"muscle": 0.5, "adipose": 0.5}))
    assert half == pytest.approx((beam.hounsfield("muscle") + beam.hounsfield("adipose")) / 2, abs=1e-6)


def test_matrix_holds_its_mineral() -> None:
    assert pytest.approx(1169.2) == MATRIX_MINERAL
    calcium = TISSUES["bone_matrix"].fractions["Ca"] * TISSUES["bone_matrix"].density
    assert calcium * 1000 == pytest.approx(MATRIX_MINERAL * 0.3989, rel=1e-3)


# Shapes --------------------------------------------------------------------------------------------------------


def grid(size: float, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axis = np.arange(-size, size + step / 2, step, dtype=np.float32)
    return axis[:, None, None], axis[None, :, None], axis[None, None, :]


@pytest.mark.parametrize(
    ("distance", "volume"),
    [
        (lambda p: sphere(p, (0.3, -0.2, 0.1), 7.0), 4 / 3 * np.pi * 7**3),
        (lambda p: ellipsoid(p, (0.0, 0.0, 0.0), (8.0, 5.0, 6.0)), 4 / 3 * np.pi * 8 * 5 * 6),
        (lambda p: cone(p, (0, 0, -4), (0, 0, 4), 4.0), np.pi * 16 * 8 + 4 / 3 * np.pi * 64),
        (lambda p: tube(p, (-8.0, 8.0), ((0, 0, 5, 3), (0, 0, 5, 3))), np.pi * 15 * 16),
        (lambda p: triangle(p, ((-6, -6, 0), (6, -6, 0), (0, 6, 0)), 1.0), None),
    ],
)
def test_volume_of_shapes(distance: object, volume: float | None) -> None:
    found = coverage(distance(grid(11.0, 0.5)), 0.6).sum() * 0.125  # type: ignore[operator]
    if volume is None:
        # A plate of thickness 2 with rounded rim: area 72, rim half a cylinder, corners one sphere.
        rim = np.hypot(6, 12) * 2 + 12
        volume = 72 * 2 + rim * np.pi / 2 + 4 / 3 * np.pi
    assert found == pytest.approx(volume, rel=0.02)


def test_superellipse_distance_is_right_near_the_surface() -> None:
    angle = np.linspace(0, 2 * np.pi, 60, dtype=np.float32)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / 2.4) * 20
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / 2.4) * 15
    assert np.abs(superellipse(x, y, 20.0, 15.0, 2.4)).max() < 0.02
    assert superellipse(np.float32([20.5]), np.float32([0.0]), 20.0, 15.0, 2.4)[0] == pytest.approx(0.5, abs=0.01)


def test_blended_union_lies_outside_both_and_meets_them_far_away() -> None:
    points = grid(12.0, 1.0)
    a, b = sphere(points, (-4, 0, 0), 5.0), sphere(points, (4, 0, 0), 5.0)
    blended = union(a, b, 2.0)
    assert np.all(blended <= np.minimum(a, b) + 1e-5)
    far = np.abs(a - b) > 4.1
    assert np.allclose(blended[far], np.minimum(a, b)[far], atol=1e-5)
    assert np.allclose(intersection(a, b), np.maximum(a, b))


# The scanner ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fwhm", [1.1, 2.0])
def test_edge_has_the_asked_sharpness(fwhm: float) -> None:
    """The line spread of a slanted wall, voxel and kernel together, has the width asked for."""
    canvas = empty((41, 60, 4), np.diag([0.7, 0.7, 1.0, 1.0]), scanner_beam())
    position = (np.arange(41)[:, None] - 20) * 0.7 + np.arange(60)[None, :] * 0.7 * 0.05
    canvas.hu[:] = (1000 * np.clip(position / 0.7 + 0.5, 0, 1))[:, :, None]
    image = expose(canvas, ScannerSettings(noise=0.0, blur_fwhm=fwhm))[:, :, 1].astype(float)
    order = np.argsort(position.ravel())
    where, values = position.ravel()[order], image.ravel()[order]
    bins = np.arange(-6, 6, 0.1)
    edge = np.interp(bins, where, np.convolve(values, np.ones(5) / 5, mode="same"))
    spread = np.gradient(edge, bins)
    deviation = np.sqrt(np.sum(spread * bins**2) / np.sum(spread) - (np.sum(spread * bins) / np.sum(spread)) ** 2)
    assert 2.3548 * deviation == pytest.approx(fwhm, rel=0.12)


def test_a_turned_grid_is_refused() -> None:
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    for affine in (turned, np.diag([-1.0, 1.0, 1.0, 1.0])):
        with pytest.raises(SettingsError, match="turned or mirrored"):
            empty((4, 4, 4), affine, scanner_beam())
