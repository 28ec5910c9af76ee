"""What rays do to a simulated image: hardening, scatter, quanta, kernels; against closed forms and the long way round."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from openbct.phantoms import ScannerSettings, TorsoSettings, simulate_torso
from openbct.phantoms.beam import detected, scanner_beam
from openbct.phantoms.canvas import Canvas, empty
from openbct.phantoms.fanbeam import FanSettings, scan_slice
from openbct.phantoms.kernels import KERNELS, Kernel
from openbct.phantoms.projector import back_project, project, reconstruct
from openbct.phantoms.rays import SUBSTANCES, rays
from openbct.phantoms.scanner import expose
from openbct.phantoms.shapes import Coordinates, Field, cone, ellipsoid
from openbct.phantoms.tissues import TISSUES, iodinated

QUIET = ScannerSettings(noise=0.0)
SLICE = TorsoSettings(spacing=(2.0, 2.0, 3.0), bottom=205.0, top=214.0, scanner=QUIET)


def lengths(**parts: float) -> np.ndarray:
    """Line integrals of one ray: water [mm], the others [mg/cm³ mm]."""
    out = np.zeros((1, 1, len(SUBSTANCES)))
    for name, value in parts.items():
        out[0, 0, SUBSTANCES.index(name)] = value
    return out


def disc(radius: float, *, depth: float | None = None, kvp: float = 120.0, spacing: float = 2.0, slices: int = 1) -> Canvas:
    """A cylinder of water along z, or an elliptic one."""
    n = round(520.0 / spacing)
    affine = np.diag([spacing, spacing, 2.0, 1.0])
    affine[:2, 3] = -spacing * (n - 1) / 2
    canvas = empty((n, n, slices), affine, scanner_beam(kvp))
    canvas.paint(partial(_tube, rx=radius, ry=depth or radius), ((-260, -260, -99), (260, 260, 99)), (0, "water", 0))
    return canvas


def _tube(points: Coordinates, rx: float, ry: float) -> Field:
    return np.asarray(ellipsoid((points[0], points[1], 0 * points[2]), (0, 0, 0), (rx, ry, 1e4)))


def ring(canvas: Canvas, inner: float, outer: float) -> np.ndarray:
    x = canvas.affine[0, 3] + canvas.spacing[0] * np.arange(canvas.hu.shape[0])
    radius = np.hypot(x[:, None], x[None, :])
    return np.asarray((radius >= inner) & (radius < outer))


# Readings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kvp", [80.0, 100.0, 120.0, 140.0])
@pytest.mark.parametrize("water", [1.0, 120.0, 250.0, 420.0])
def test_water_reads_right_after_its_correction(kvp: float, water: float) -> None:
    law = rays(scanner_beam(kvp), 0.0)
    path = lengths(water=water)
    assert law.corrected(law.readings(path))[0, 0] == pytest.approx(law.ideal(path)[0, 0], rel=1e-5)


def test_the_energy_bins_are_fine_enough() -> None:
    """Against the sum over single energies."""
    from openbct.phantoms.beam import linear_attenuation

    energies, signal = detected(120.0)
    apatite = TISSUES["hydroxyapatite"]
    path = linear_attenuation(TISSUES["water"], energies) * 22.0 + linear_attenuation(apatite, energies) / apatite.density * 1.5
    exact = -np.log((signal * np.exp(-path)).sum() / signal.sum())
    found = rays(scanner_beam(120.0), 0.0).readings(lengths(water=220.0, hydroxyapatite=15000.0))[0, 0]
    assert found == pytest.approx(exact, rel=5e-4)


def test_bone_behind_more_water_reads_less() -> None:
    law = rays(scanner_beam(120.0), 0.0)
    errors = []
    for water in (50.0, 150.0, 250.0, 350.0):
        path = lengths(water=water, hydroxyapatite=10000.0)
        errors.append(float((law.corrected(law.readings(path)) - law.ideal(path))[0, 0]))
    assert np.all(np.diff(errors) < 0)
    assert errors[0] > 0 > errors[3], "the effective beam is that behind 20 cm"


@pytest.mark.parametrize("substance", ["hydroxyapatite", "iodine", "titanium"])
def test_thick_substances_read_less_than_in_proportion(substance: str) -> None:
    law = rays(scanner_beam(120.0), 0.0)
    thin, thick = lengths(water=180.0, **{substance: 100.0}), lengths(water=180.0, **{substance: 10000.0})
    bare = law.corrected(law.readings(lengths(water=180.0)))
    gains = [float((law.corrected(law.readings(path)) - bare)[0, 0]) for path in (thin, thick)]
    assert 0 < gains[1] < 100 * gains[0]


def test_scatter_takes_from_long_paths_most() -> None:
    law = rays(scanner_beam(120.0), 0.01)
    readings = np.array([[0.0, 2.0, 4.0, 6.0]])
    loss = readings - law.with_scatter(readings)
    assert np.all(np.diff(loss[0]) > 0) and loss[0, 0] < 0.001
    # The offset is the residue times the geometric mean behind the body: at that mean the loss is the residue.
    assert np.interp(4.0, readings[0], loss[0]) == pytest.approx(np.log(1.01), rel=1e-3)


def test_tube_yields_more_at_higher_voltage() -> None:
    sums = [rays(scanner_beam(kvp), 0.0).quanta for kvp in (80.0, 100.0, 120.0, 140.0)]
    assert np.all(np.diff(sums) > 0) and sums[2] == pytest.approx(1.8e6)


# Projection ----------------------------------------------------------------------------------------------------


def test_line_integrals_of_a_disc() -> None:
    canvas = disc(100.0)
    angles, views = project((canvas.hu[None, :, :, 0] / 1000 + 1).astype(np.float32), 2.0, 36)
    places = 2.0 * (np.arange(views.shape[1]) - (views.shape[1] - 1) / 2)
    chord = 2 * np.sqrt(np.maximum(100.0**2 - places**2, 0))
    inside = np.abs(places) < 90
    assert angles.size == 36
    assert np.abs(views[:, inside, 0] - chord[inside]).max() < 1.5


def test_reconstruction_gives_the_disc_back() -> None:
    canvas = disc(100.0)
    image = (canvas.hu[:, :, 0] / 1000 + 1).astype(np.float32)
    angles, views = project(image[None], 2.0, 240)
    found = reconstruct(views[:, :, 0], angles, 2.0, image.shape)
    assert found[ring(canvas, 0, 90)].mean() == pytest.approx(1.0, abs=2e-3)
    assert abs(found[ring(canvas, 115, 200)].mean()) < 3e-3


def test_sectors_add_up_to_the_mean_over_all_directions() -> None:
    views = np.random.default_rng(0).uniform(1, 2, (60, 101))
    angles = np.pi * np.arange(60) / 60
    whole, parts = back_project(views, angles, (40, 40))[0], back_project(views, angles, (40, 40), 4)
    assert np.allclose(parts.sum(axis=0), whole)


# The image -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kvp", [80.0, 120.0, 140.0])
@pytest.mark.parametrize("radius", [80.0, 160.0])
def test_water_phantom_is_flat_and_zero(kvp: float, radius: float) -> None:
    canvas = disc(radius, kvp=kvp, spacing=4.0)
    image = expose(canvas, replace(QUIET, kvp=kvp, scatter=0.0), canvas)[:, :, 0].astype(float)
    assert abs(image[ring(canvas, 0, radius - 12)].mean()) < 2.0
    assert abs(image[ring(canvas, 0, 20)].mean() - image[ring(canvas, radius - 30, radius - 15)].mean()) < 2.0
    assert image[ring(canvas, radius + 20, radius + 60)].mean() == pytest.approx(-1000.0, abs=3.0)


@pytest.mark.slow
def test_noise_follows_dose_slice_voltage_and_size() -> None:
    """Standard deviation in the middle as dose^-1/2 and slice^-1/2; a factor of about 3.6 for 8 cm more water at 75 keV."""

    def noise(radius: float, **changes: float) -> float:
        canvas = disc(radius, kvp=changes.get("kvp", 120.0), slices=6)
        if "slice" in changes:
            canvas.affine[2, 2] = changes.pop("slice")
        noisy = expose(canvas, ScannerSettings(scatter=0.0, **changes), canvas).astype(float)  # type: ignore[arg-type]
        middle = ring(canvas, 0, 30)
        return float(np.mean([noisy[:, :, k][middle].std() for k in range(6)]))

    base = noise(100.0, mas=200.0)
    assert noise(100.0, mas=50.0) == pytest.approx(2 * base, rel=0.08)
    assert noise(100.0, mas=200.0, slice=8.0) == pytest.approx(base / 2, rel=0.08)
    assert noise(100.0, mas=200.0, kvp=80.0) > 1.7 * base
    assert noise(140.0, mas=200.0) / base == pytest.approx(np.exp(0.5 * 0.0193 * 80), rel=0.12)
    # 20 cm of water, 200 mAs, 5 mm, pixels that hold the whole kernel: about 5 HU, which the yield is set by.
    fine = disc(100.0, spacing=1.0, slices=3)
    fine.affine[2, 2] = 5.0
    image = expose(fine, ScannerSettings(mas=200.0, scatter=0.0), fine).astype(float)
    assert np.mean([image[:, :, k][ring(fine, 0, 30)].std() for k in range(3)]) == pytest.approx(5.0, rel=0.15)


def test_noise_runs_along_the_long_rays() -> None:
    """In a flat body noise comes in streaks along its width: neighbours along x are more alike than along y."""
    canvas = disc(210.0, depth=90.0, slices=4)
    noise = expose(canvas, ScannerSettings(mas=50.0), canvas).astype(float) - expose(canvas, QUIET, canvas)
    middle = noise[100:160, 115:145]
    along_x = np.corrcoef(middle[1:].ravel(), middle[:-1].ravel())[0, 1]
    along_y = np.corrcoef(middle[:, 1:].ravel(), middle[:, :-1].ravel())[0, 1]
    assert along_x > along_y + 0.3


def test_dark_bands_lie_between_dense_bones() -> None:
    canvas = disc(160.0, spacing=3.0)
    for x in (-90.0, 90.0):
        rod = partial(cone, start=(x, 0, -200), end=(x, 0, 200), radius_start=20.0)
        canvas.paint(rod, ((x - 24, -24, -99), (x + 24, 24, 99)), (0, "bone_matrix", 0))
        i, j = canvas.hu.shape[0] // 2 + round(x / 3.0), canvas.hu.shape[1] // 2
        canvas.mineral[i - 6 : i + 7, j - 6 : j + 7] = 1169.0
    image = expose(canvas, replace(QUIET, scatter=0.0), canvas)[:, :, 0].astype(float)
    n = canvas.hu.shape[0] // 2
    between, beside = image[n - 6 : n + 7, n - 3 : n + 4].mean(), image[n - 6 : n + 7, n + 22 : n + 30].mean()
    assert between < beside - 15


def test_iodine_is_brighter_at_low_voltage_and_metal_makes_streaks() -> None:
    readings = {
        kvp: scanner_beam(kvp).hounsfield(iodinated("blood", 4.0)) - scanner_beam(kvp).hounsfield("blood")
        for kvp in (80.0, 120.0)
    }
    # About 25 HU per mg/ml at 120 kVp, 1.6 to 1.9 times as much at 80 kVp.
    assert 80 < readings[120.0] < 120 and 1.5 < readings[80.0] / readings[120.0] < 2.0
    canvas = disc(150.0, spacing=3.0)
    canvas.paint_metal(partial(cone, start=(40, 0, -99), end=(40, 0, 99), radius_start=8.0), ((30, -10, -99), (50, 10, 99)))
    image = expose(canvas, QUIET, canvas)[:, :, 0].astype(float)
    around = ring(canvas, 0, 100) & ~(np.abs(canvas.hu[:, :, 0]) > 1)
    assert image.max() == 3071
    assert image[around].std() > 10


def test_sharp_kernel_overshoots_and_soft_ones_do_not() -> None:
    halves = [KERNELS[name].half for name in ("soft", "standard", "sharp")]
    assert np.all(np.diff(halves) > 0)
    canvas = disc(60.0, spacing=0.5)
    edges = {name: expose(canvas, replace(QUIET, kernel=name))[:, 520, 0].astype(float) for name in KERNELS}
    assert edges["sharp"].max() > 60 and edges["standard"].max() < 5 and edges["soft"].max() < 5


def test_noise_of_a_kernel_is_its_integral() -> None:
    """Gaussian of deviation s: the integral of f² exp(-4 pi² s² f²) is 1 / (16 pi^2.5 s³)."""
    deviation = 1.1 / 2.3548
    assert Kernel(1.1).noise_integral == pytest.approx(1 / (16 * np.pi**2.5 * deviation**3), rel=1e-3)
    assert KERNELS["sharp"].noise_integral > 3 * KERNELS["standard"].noise_integral


@pytest.mark.slow
def test_movement_doubles_contours_and_padding_fills_the_corners() -> None:
    still, moved = simulate_torso(SLICE), simulate_torso(replace(SLICE, scanner=replace(QUIET, motion_mm=6.0)))
    change = np.abs(moved.image.array.astype(float) - still.image.array)
    assert change.mean() > 3
    padded = simulate_torso(replace(SLICE, scanner=replace(QUIET, padding=-2000.0)))
    assert padded.image.array[0, 0, 0] == -2000
    assert np.array_equal(padded.image.array[100, 100], still.image.array[100, 100])


def test_same_body_at_another_voltage() -> None:
    low, high = (simulate_torso(replace(SLICE, scanner=replace(QUIET, kvp=kvp))) for kvp in (80.0, 140.0))
    assert np.array_equal(low.labels.volume.array, high.labels.volume.array)
    assert np.allclose(low.mineral.array, high.mineral.array, atol=0.5)
    bone = low.mineral.array > 300
    assert low.image.array[bone].mean() > 1.3 * high.image.array[bone].mean()
    assert low.mineral.array.max() < 1170


@pytest.mark.slow
def test_fast_image_agrees_with_projection_and_reconstruction() -> None:
    """Errors of hardening and scatter and the strength of noise, in the pelvis, tissue by tissue."""
    from openbct.phantoms import torso

    settings = TorsoSettings(spacing=(1.5, 1.5, 3.0), field_of_view=440.0, bottom=-4.0, top=8.0, scanner=QUIET)
    canvas, around = torso._blank(settings), torso._blank(torso._around(settings))
    torso._paint(canvas, settings, {})
    torso._paint(around, settings, {})
    plain = replace(QUIET, hardening=False, scatter=0.0)
    fan = FanSettings(n_views=720)
    fast = expose(canvas, QUIET, around)[:, :, 2].astype(float) - expose(canvas, plain, around)[:, :, 2]
    slow = scan_slice(canvas, 2, QUIET, fan) - scan_slice(canvas, 2, plain, fan)
    noisy = replace(QUIET, noise=None)
    fast_noise = expose(canvas, noisy, around)[:, :, 2].astype(float) - expose(canvas, QUIET, around)[:, :, 2]
    slow_noise = scan_slice(canvas, 2, noisy, fan) - scan_slice(canvas, 2, QUIET, fan)
    from openbct.phantoms.labels import LABELS

    for name in ("gluteus_maximus_left", "gluteus_medius_right", "urinary_bladder"):
        mask = canvas.labels[:, :, 2] == LABELS[name]
        assert fast[mask].mean() == pytest.approx(slow[mask].mean(), abs=4.0), name
        assert fast_noise[mask].std() == pytest.approx(slow_noise[mask].std(), rel=0.25), name
