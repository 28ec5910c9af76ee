"""Rods: what they read follows from what they are, lies where the truth says, and obeys the equation of their maker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.errors import SettingsError
from openbct.phantoms import (
    PhantomScan,
    ScannerSettings,
    SimulatedScan,
    TorsoSettings,
    calibration_phantom,
    calibration_phantoms,
    phantom_from_table,
    simulate_phantom,
    simulate_torso,
)  # fmt: skip
from openbct.phantoms.beam import scanner_beam
from openbct.phantoms.torso import region_of

IDEAL = ScannerSettings(hardening=False, scatter=0.0, noise=0.0)


def readings(found: SimulatedScan) -> list[float]:
    """Return the mean HU within the inner part of every rod."""
    spacing, affine = found.image.spacing, found.image.affine
    x, y, z = (affine[a, 3] + spacing[a] * np.arange(n) for a, n in enumerate(found.image.shape))
    out = []
    for rod in found.rods:
        near = np.hypot(x[:, None] - rod.start[0], y[None, :] - rod.start[1]) < 0.6 * rod.radius
        low, high = np.mean([rod.start[2], rod.end[2]]) + np.array([-0.3, 0.3]) * (rod.end[2] - rod.start[2])
        out.append(float(found.image.array[near][:, (z > low) & (z < high)].mean()))
    return out


@pytest.mark.parametrize("name", list(calibration_phantoms()))
def test_rods_read_what_they_are_where_they_are(name: str) -> None:
    phantom = calibration_phantom(name)
    found = simulate_phantom(PhantomScan(phantom, length=15.0, scanner=IDEAL))
    assert readings(found) == pytest.approx([rod.hu for rod in found.rods], abs=1.0)
    assert [rod.value for rod in found.rods] == list(phantom.rods.values())
    for rod in found.rods:
        volume = float((found.labels.volume.array == rod.label).sum()) * np.prod(found.image.spacing)
        length = rod.end[2] - rod.start[2]
        assert volume == pytest.approx(np.pi * rod.radius**2 * length, rel=0.06)
    values = np.array(list(phantom.rods.values()))
    if phantom.unit == "CHA":
        line = np.polyfit(values, readings(found), 1)
        assert np.abs(np.polyval(line, values) - readings(found)).max() < 3.0


@pytest.mark.parametrize("kvp", [80.0, 120.0])
def test_the_makers_equation_gives_aqueous_phosphate(kvp: float) -> None:
    """Slope over rods after taking their water off, less the water that the salt displaces, is that of aqueous salt."""
    phantom = calibration_phantom("mindways-model3")
    hu = [scanner_beam(kvp).hounsfield(phantom.material(number)) for number in range(5)]
    slope, offset = np.polyfit(list(phantom.rods.values()), np.array(hu) - phantom.water, 1)
    assert slope - 0.2174 == pytest.approx(scanner_beam(kvp).phosphate_slope, rel=0.005)
    assert offset + 999.6 == pytest.approx(0.0, abs=1.0)


def test_hardening_and_scatter_reach_the_rods() -> None:
    phantom = calibration_phantom("qrm-bdc-6")
    ideal = simulate_phantom(PhantomScan(phantom, length=15.0, scanner=IDEAL))
    real = simulate_phantom(PhantomScan(phantom, length=15.0, scanner=replace(IDEAL, hardening=True, scatter=0.001)))
    shift = np.array(readings(real)) - readings(ideal)
    assert 2.0 < np.abs(shift).max() < 60.0


@pytest.mark.parametrize("size", [1.0, 1.1])
def test_a_phantom_lies_between_back_and_table(size: float) -> None:
    phantom = calibration_phantom("b-mas-200")
    body = replace(TorsoSettings().body, size=size)
    settings = replace(region_of(TorsoSettings(spacing=(2.0, 2.0, 4.0), body=body, field_of_view=440.0), "L3"), scanner=IDEAL)
    plain, with_rods = simulate_torso(settings), simulate_torso(replace(settings, calibration=phantom))
    spine = plain.labels.volume.array > 0
    assert np.array_equal(with_rods.labels.volume.array[spine], plain.labels.volume.array[spine])
    assert with_rods.image.array[spine] == pytest.approx(plain.image.array[spine], abs=1)
    assert readings(with_rods) == pytest.approx([rod.hu for rod in with_rods.rods], abs=4.0)
    assert all(rod.radius == phantom.rod_radius for rod in with_rods.rods)


def test_rods_below_a_body_give_its_density_back() -> None:
    """The maker's equation, slice by slice, on rays without hardening."""
    phantom = calibration_phantom("mindways-model3")
    found = simulate_torso(replace(region_of(TorsoSettings(spacing=(2.0, 2.0, 4.0)), "L3"), scanner=IDEAL, calibration=phantom))
    slope, offset = np.polyfit(list(phantom.rods.values()), np.array(readings(found)) - phantom.water, 1)
    inside = found.bodies.volume.array == 22  # type: ignore[union-attr]
    read = (found.image.array[inside].mean() - (offset + 999.6)) / (slope - 0.2174)
    assert read == pytest.approx(float(found.density.array[inside].mean()), rel=0.015)


def test_a_phantom_with_a_body_of_its_own_is_not_put_under_a_person() -> None:
    with pytest.raises(SettingsError, match="separately"):
        simulate_torso(TorsoSettings(calibration=calibration_phantom("esp")))


MINE = {"title": "mine", "unit": "CHA", "rods": {"a": 0.0, "b": 100.0}, "rod_radius": 8.0, "rod_distance": 40.0, "width": 200.0,
        "height": 25.0}  # fmt: skip


def test_a_certificate_of_ones_own() -> None:
    phantom = phantom_from_table("mine", MINE)
    assert phantom.mark == "user" and simulate_phantom(PhantomScan(phantom, length=10.0)).rods[1].value == 100.0


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "HA"}, {"rods": {}}, {"rods": {"a": "x"}}, {"rods": {"a": float("nan")}}, {"unit": "K2HPO4"}, {"water": [1000.0]},
        {"rod_radius": 0.0}, {"rod_distance": 5.0}, {"width": 20.0}, {"rods": {"a": -100.0}}, {"colour": "red"}, {"rods": 3}, {"shell": 4},
    ],
)  # fmt: skip
def test_wrong_tables_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="found"):
        phantom_from_table("mine", MINE | change)


def test_nothing_to_scan_and_wrong_sizes_are_refused() -> None:
    for wrong in (
        PhantomScan(None, body=None),
        PhantomScan(length=1.0),
        PhantomScan(spacing=(0.0, 1.0, 1.0)),
        PhantomScan(body=(900.0, 90.0)),
    ):
        with pytest.raises(SettingsError, match="found"):
            simulate_phantom(wrong)
    with pytest.raises(SettingsError, match="mindways-model3"):
        calibration_phantom("mindways")
