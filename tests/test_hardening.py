"""Rays hardened in bone: the projector against a disc, the misreading against the simulator's own spectrum, and scans with known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_phantoms import NOTHING, draw_scan, reading
from openbct.calibration import HardeningCorrected, Phantom
from openbct.calibration.attenuation import effective_energy, mass_attenuation
from openbct.calibration.hardening import _substances, correct_scan, hardening_error, misread
from openbct.calibration.phantom_models import load_phantom
from openbct.calibration.reprojection import Reprojection
from openbct.errors import CalibrationError, SettingsError
from openbct.phantoms import Person, ScannerSettings, calibration_phantom, simulate_torso, torso, torso_of
from openbct.phantoms.beam import scanner_beam
from openbct.phantoms.rays import rays
from openbct.phantoms.torso import as_scan
from openbct.plan import make_calibrator
from openbct.settings import parse
from openbct.volume import Volume


@pytest.mark.parametrize("narrow", [1, 2])
def test_a_disc_comes_back(narrow: int) -> None:
    """Also in pixels half as wide as they are long."""
    between = Reprojection((80, 70 * narrow), (0.5, 0.5 / narrow))
    i, j = np.meshgrid(np.arange(80) - 39.5, (np.arange(70 * narrow) + 0.5) / narrow - 35, indexing="ij")
    disc = (np.hypot(i - 4, j) < 24).astype(float).reshape(-1, 1)
    integrals = between.project(disc)
    # Of every view: the disc's area over the pixel, and never much more than its diameter.
    assert integrals.reshape(90, -1).sum(axis=1) * 0.5 == pytest.approx(disc.sum() * 0.25 / narrow, rel=1e-4)
    back = between.reconstruct(integrals).reshape(i.shape)
    assert back[np.hypot(i - 4, j) < 20].mean() == pytest.approx(1.0, abs=0.01)
    assert abs(back[np.hypot(i - 4, j) > 30].mean()) < 0.02


@pytest.mark.parametrize("kvp", [80.0, 104.0, 120.0, 140.0])
def test_water_is_read_right_and_bone_too_low_as_another_spectrum_says(kvp: float) -> None:
    """The simulator has its own tube, filter and detector; both say by how much rays behind 25 cm of water lose bone's attenuation."""
    energy = effective_energy(kvp, 25.0)[0]
    assert np.abs(misread(np.linspace(0, 50, 11), np.zeros(11), kvp, energy)).max() < 1e-3
    water, apatite = 25.0, np.array([0.5, 1.0, 2.0])
    ours = misread(np.full(3, water), apatite, kvp, energy) / apatite
    law = rays(scanner_beam(kvp, water), 0.0)
    lengths = np.zeros((1, 3, 4))
    lengths[0, :, 0], lengths[0, :, 1] = 10 * water, 1000 * apatite * 10
    found = (law.corrected(law.readings(lengths)) - law.ideal(lengths))[0] / law.beam.water / 10 / apatite
    assert np.all(np.diff(ours) < 0) and ours[1] < 0  # the more bone, the more of it is lost
    assert ours == pytest.approx(found, abs=0.03)
    # Over 1.8 to 2.5 cm of water that 1 g/cm2 of apatite is worth: a few per cent.
    assert -0.12 < ours[1] < -0.01


def body(bone: float, radius: float = 20.0) -> Volume:
    """Return an oval of water with a cylinder of bone [HU] in its middle."""
    i, j = np.meshgrid(np.arange(150) * 2.0 - 149.0, np.arange(120) * 2.0 - 119.0, indexing="ij")
    flat = np.where((i / 130) ** 2 + (j / 100) ** 2 < 1, 0.0, -1000.0)
    flat[np.hypot(i, j) < radius] = bone
    return Volume(np.repeat(flat[:, :, None], 6, axis=2).astype(np.int16), np.diag([2.0, 2.0, 4.0, 1.0]), "HU")


def test_water_stays_and_bone_rises() -> None:
    plain, step = hardening_error(body(0.0), 120.0, 70.0)
    assert step == (1, 1, 2) and np.abs(plain).max() < 0.5
    error, _ = hardening_error(body(250.0), 120.0, effective_energy(120.0, 23.0)[0])
    middle = error[70:80, 56:64].mean()
    assert -20.0 < middle < -2.0 and abs(error[5, 5]).max() < 1.0


def test_bone_is_cortex_and_what_it_encloses() -> None:
    """Marrow of 70 HU counts inside a ring of cortex and not as soft tissue; both substances together attenuate as the image says."""
    i, j = np.meshgrid(np.arange(60) - 20.0, np.arange(40) - 20.0, indexing="ij")
    far = np.hypot(i, j)
    hu = np.where(far < 10, 70.0, 20.0)
    hu[(far >= 10) & (far < 12)] = 900.0
    hu[48:54, 15:25] = 70.0
    water, apatite = _substances(hu, 71.0)
    assert apatite[far < 8] == pytest.approx(0.065, abs=0.005) and np.all(apatite[40:] == 0.0)
    gain = mass_attenuation("CHA", 71.0) / mass_attenuation("water", 71.0)
    assert water + gain * apatite == pytest.approx(1 + hu / 1000)
    # Cortical bone whole: 22.5 % calcium of 1.92 g/cm3, which is 1.08 g/cm3 of apatite.
    assert _substances(np.full((9, 9), 1528.0), 71.0)[1] == pytest.approx(1.083, abs=0.03)


def test_images_that_cannot_be_corrected() -> None:
    rods = [reading(rod.value, rod.water) for rod in load_phantom("mindways-model3").rods]
    scan, _ = draw_scan(rods)
    cut = replace(scan, image=replace(scan.image, array=scan.image.array[60:240]))
    with pytest.raises(CalibrationError, match="the image cuts"):
        correct_scan(cut)
    with pytest.raises(CalibrationError, match="expected HU"):
        correct_scan(replace(scan, image=replace(scan.image, unit="mg/cm3 K2HPO4")))


def test_a_corrected_calibration_says_so() -> None:
    rods = [reading(rod.value, rod.water) for rod in load_phantom("mindways-model3").rods]
    scan, _ = draw_scan(rods)
    plain, found = Phantom()(scan, NOTHING), HardeningCorrected(Phantom())(scan, NOTHING)
    assert "hardening of rays in bone" in found.step.sentence and any("corrected twice" in one for one in found.step.cautions)
    assert 0 < found.quantities["hardening_largest_hu"] < 60 and found.slope != plain.slope
    assert {one.mark for one in found.step.references} >= {"recalled", "computed"}
    other = HardeningCorrected(Phantom(elsewhere=scan))(scan, NOTHING)
    assert other.slope == pytest.approx(found.slope)


def test_a_protocol_asks_for_it_by_name() -> None:
    made = make_calibrator(parse('[calibration]\nhardening = "correct"', "test").calibration)
    assert isinstance(made, HardeningCorrected)
    assert not isinstance(make_calibrator(parse('[calibration]\nhardening = "leave"', "test").calibration), HardeningCorrected)
    with pytest.raises(SettingsError, match="density already"):
        parse('[calibration]\nmethod = "given"\nhardening = "correct"', "test")


@pytest.mark.slow
def test_bone_over_a_phantom_is_nearer_to_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torso, "RAY_PIXEL", 4.0)
    monkeypatch.setattr(torso, "RAY_SLICE", 10.0)
    whole = torso_of(Person(), ScannerSettings(), (1.2, 1.2, 3.0))
    size = whole.body.size
    scan = simulate_torso(replace(whole, bottom=200 * size, top=256 * size, calibration=calibration_phantom("mindways-model3")))
    assert scan.bodies is not None
    core = scan.bodies.volume.array == 21
    truth = scan.density.array[core].mean()
    errors = [
        float(calibrator(as_scan(scan), NOTHING).density.array[core].mean() / truth - 1)
        for calibrator in (Phantom(), HardeningCorrected(Phantom()))
    ]
    assert errors[0] < -0.04 and abs(errors[1]) < 0.6 * abs(errors[0])
