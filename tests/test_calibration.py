"""Fixed and given calibration, the physics tables, the line; the phantomless method has its own file."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

from openbct.calibration import CALIBRATORS, Fixed, Given, Phantom, Phantomless
from openbct.calibration.attenuation import (
    attenuation_reference,
    effective_energy,
    expected_hu,
    hu_per_mineral,
    load_table,
    load_tissues,
    mass_attenuation,
)
from openbct.calibration.line import fit_line
from openbct.density import density_uncertainty
from openbct.errors import CalibrationError, SettingsError
from openbct.records import Acquisition, Calibrator, Patient, Scan, Segmentation, Step
from openbct.volume import Volume

STEP = Step("test", "made for a test")
NOTHING = Segmentation({}, {}, STEP)


def unchecked(kind: type, **fields: object) -> None:
    """Run a record's own checks as in production, without the test run's type checks in front."""
    record = object.__new__(kind)
    for name in kind.__dataclass_fields__:
        object.__setattr__(record, name, fields.get(name, getattr(kind, name, None)))
    inspect.unwrap(kind.__post_init__)(record)


def scan_of(array: np.ndarray, unit: str = "HU") -> Scan:
    return Scan(Volume(array, np.eye(4), unit), Patient(), Acquisition(), "array", "0", STEP)


def test_table_holds_calibrators() -> None:
    made = (Fixed(0.7, 0.0), Given(), Phantom(), Phantomless())
    assert set(CALIBRATORS) == {calibrator.name for calibrator in made}
    assert all(isinstance(calibrator, Calibrator) for calibrator in made)


# Fixed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"slope": 1.37, "intercept": 300.0},
        {"slope": 0.0, "intercept": 0.0},
        {"slope": -0.7, "intercept": 0.0},
        {"slope": math.nan, "intercept": 0.0},
        {"slope": 5.0, "intercept": 0.75},
        {"slope": 0.7, "intercept": math.inf},
        {"slope": 0.7, "intercept": 0.0, "mineral": "ash"},
        {"slope": 0.7, "intercept": 0.0, "slope_sd": -0.1},
        {"slope": 0.7, "intercept": 0.0, "intercept_sd": math.nan},
    ],
)
def test_fixed_refuses_impossible_lines(arguments: dict) -> None:
    with pytest.raises(SettingsError, match="expected"):
        unchecked(Fixed, **arguments)


def test_fixed_applies_its_line() -> None:
    result = Fixed(0.8, -5.0, "CHA", slope_sd=0.02, intercept_sd=3.0)(
        scan_of(np.array([[[-1000, 0, 100]]], dtype=np.int16)), NOTHING
    )
    np.testing.assert_allclose(result.density.array[0, 0], [-805.0, -5.0, 75.0])
    assert result.density.unit == "mg/cm3 CHA" and result.mineral == "CHA"
    assert density_uncertainty(result, 75.0) == pytest.approx(math.hypot(2.0, 3.0))
    assert "CHA" in result.step.sentence and result.step.cautions


def test_fixed_without_a_spread_takes_the_published_one() -> None:
    result = Fixed(0.8, 0.0)(scan_of(np.zeros((2, 2, 2), dtype=np.int16)), NOTHING)
    assert density_uncertainty(result, 100.0) == pytest.approx(8.0)
    assert any("Kaesmacher" in reference.text for reference in result.step.references)


def test_fixed_refuses_density() -> None:
    with pytest.raises(CalibrationError, match="'given'"):
        Fixed(0.8, 0.0)(scan_of(np.zeros((2, 2, 2)), "mg/cm3 K2HPO4"), NOTHING)


# Given ---------------------------------------------------------------------------------------------------------


def test_given_refuses_hu_and_the_other_mineral() -> None:
    array = np.zeros((10, 10, 10), dtype=np.float32)
    array[:, :2] = -1000.0
    with pytest.raises(CalibrationError, match="looks like HU"):
        Given()(scan_of(array, "mg/cm3 K2HPO4"), NOTHING)
    with pytest.raises(CalibrationError, match="expected mg/cm3 CHA"):
        Given("CHA")(scan_of(np.zeros((2, 2, 2)), "mg/cm3 K2HPO4"), NOTHING)
    with pytest.raises(SettingsError):
        unchecked(Given, mineral="ash")


def test_given_keeps_the_image_and_knows_no_uncertainty() -> None:
    array = np.linspace(-730.0, 1200.0, 27).reshape(3, 3, 3)
    result = Given()(scan_of(array, "mg/cm3 K2HPO4"), NOTHING)
    np.testing.assert_allclose(result.density.array, array, rtol=1e-6)
    assert (result.slope, result.intercept) == (1.0, 0.0)
    assert density_uncertainty(result, 100.0) is None
    assert "unknown" in result.step.cautions[0]


# Physics -------------------------------------------------------------------------------------------------------


def test_attenuation_hits_the_table_and_is_straight_in_logarithms() -> None:
    table = load_table("attenuation.toml")
    for material, row in table["cm2_per_g"].items():
        assert len(row) == len(table["energy_kev"]) and row == sorted(row, reverse=True), material
        for energy, value in zip(table["energy_kev"], row):
            assert mass_attenuation(material, energy) == pytest.approx(value, rel=1e-9)
    row = dict(zip(table["energy_kev"], table["cm2_per_g"]["K2HPO4"]))
    middle = mass_attenuation("K2HPO4", math.sqrt(60.0 * 65.0))
    assert middle == pytest.approx(math.sqrt(row[60.0] * row[65.0]), rel=1e-9)
    assert attenuation_reference().mark == "computed" and "xraylib" in attenuation_reference().text


NIST_KEV = (40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
NIST = {
    "adipose": (0.2396, 0.2123, 0.1974, 0.1800, 0.1688, 0.1500),
    "air": (0.2485, 0.2080, 0.1875, 0.1662, 0.1541, 0.1356),
    "blood": (0.2715, 0.2278, 0.2057, 0.1827, 0.1695, 0.1492),
    "cortical_bone": (0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480),
    "muscle": (0.2685, 0.2262, 0.2048, 0.1823, 0.1693, 0.1492),
    "K2HPO4": (0.9327, 0.5573, 0.3890, 0.2508, 0.1972, 0.1480),
    "CHA": (0.9877, 0.5867, 0.4067, 0.2589, 0.2019, 0.1501),
    "triglyceride": (0.2293, 0.2072, 0.1945, 0.1789, 0.1683, 0.1499),
    "water": (0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505),
}
"""NIST Standard Reference Database 126 (XAAMDI) [cm2/g]; minerals and fat by the mixture rule."""


@pytest.mark.parametrize("material", NIST)
def test_attenuation_is_that_of_nist(material: str) -> None:
    for energy, value in zip(NIST_KEV, NIST[material]):
        assert mass_attenuation(material, energy) == pytest.approx(value, rel=1e-3), energy


def test_sources_can_be_looked_up() -> None:
    """Code that a number was seen in has a name."""
    assert not any("public HU tables" in tissue.reference.text for tissue in load_tissues().values())


@pytest.mark.parametrize("energy", [39.9, 150.1, 0.0, -70.0, 1.5])
def test_energy_search_cannot_leave_the_table(energy: float) -> None:
    with pytest.raises(ValueError, match="outside the table"):
        mass_attenuation("water", energy)


@pytest.mark.parametrize("energy, k2hpo4, cha", [(50, 2.24, 2.27), (60, 1.67, 1.66), (80, 1.15, 1.09)])
def test_slopes_agree_with_the_published_table(energy: float, k2hpo4: float, cha: float) -> None:
    assert hu_per_mineral("K2HPO4", energy) == pytest.approx(k2hpo4, abs=0.011)
    assert hu_per_mineral("CHA", energy) == pytest.approx(cha, abs=0.011)


@pytest.mark.parametrize("energy, k2hpo4, cha", [(70, 1.37, 1.33), (90, 1.03, 0.97)])
def test_between_nist_s_rows_a_denser_table_reads_lower(energy: float, k2hpo4: float, cha: float) -> None:
    """Attenuation is convex in logarithms: interpolated over 20 keV it is up to 2 % too high."""
    assert 0.975 * k2hpo4 < hu_per_mineral("K2HPO4", energy) < k2hpo4
    assert 0.975 * cha < hu_per_mineral("CHA", energy) < cha


def test_tissues_read_what_people_s_tissues_read() -> None:
    """Means of published series at 120 kV: visceral fat of 3198 people, aortas without and with anaemia, psoas of healthy donors."""
    tissues, energy = load_tissues(), effective_energy(120.0)[0]
    assert expected_hu(tissues["visceral fat"], energy) == pytest.approx(-93.9, abs=2.0)
    assert 37.7 - 1.0 < expected_hu(tissues["blood"], energy) < 45.0
    assert expected_hu(tissues["muscle"], energy) == pytest.approx((46.0 + 41.0) / 2.0, abs=2.0)
    # Schneider 2000 prints -98 HU for this adipose tissue at 120 kV.
    assert expected_hu(tissues["fat"], energy) == pytest.approx(-98.0, abs=3.0)
    assert expected_hu(tissues["air"], energy) == pytest.approx(-999.0, abs=0.5)
    for tissue in tissues.values():
        assert tissue.gate[0] < expected_hu(tissue, energy) < tissue.gate[1]
        assert tissue.reference.text


def test_energy_follows_tube_voltage_and_body() -> None:
    energies = [effective_energy(kvp)[0] for kvp in (70.0, 80.0, 90.0, 100.0, 110.0, 120.0, 130.0, 140.0, 150.0)]
    assert energies == sorted(energies) and len(set(energies)) == len(energies)
    sizes = [effective_energy(120.0, water)[0] for water in (15.0, 22.0, 27.0, 33.0, 45.0)]
    assert sizes == sorted(sizes) and sizes[-1] - sizes[0] > 8.0
    # The mean of a published 120 kV spectrum behind a body is 71 keV.
    assert effective_energy(120.0)[0] == pytest.approx(71.0, abs=1.0)
    unknown, spread = effective_energy(None)
    assert unknown == effective_energy(120.0)[0] and spread > effective_energy(120.0)[1]
    assert effective_energy(120.0, 500.0)[0] == effective_energy(120.0, 45.0)[0]


# Line ----------------------------------------------------------------------------------------------------------


def test_line_recovers_a_known_line() -> None:
    measured = np.array([-1000.0, -110.0, 40.0, 60.0])
    line = fit_line(measured, 1.03 * measured - 9.0, np.full(4, 1.0), (10.0, 1000.0))
    assert line.slope == pytest.approx(1.03, abs=1e-4) and line.offset == pytest.approx(-9.0, abs=0.05)


def test_one_wrong_reference_moves_the_line_little() -> None:
    measured = np.array([-1000.0, -110.0, 45.0, 50.0, 55.0])
    target = measured.copy()
    target[1] += 200.0
    spread = np.full(5, 8.0)
    line = fit_line(measured, target, spread, (10.0, 1000.0))
    plain = np.polyfit(measured, target, 1)
    assert abs(line.slope * 100.0 + line.offset - 100.0) < 0.35 * abs(np.polyval(plain, 100.0) - 100.0)


def test_line_is_surer_with_more_references_and_unsure_where_they_disagree() -> None:
    measured = np.array([-1000.0, -110.0, 45.0, 50.0])
    spread = np.full(4, 8.0)
    all_four = fit_line(measured, measured, spread, (0.05, 15.0))
    two = fit_line(measured[:2], measured[:2], spread[:2], (0.05, 15.0))
    gradient = np.array([100.0, 1.0])
    assert gradient @ all_four.covariance @ gradient < gradient @ two.covariance @ gradient
    torn = fit_line(measured, measured + np.array([0.0, 30.0, -30.0, 30.0]), spread, (0.05, 15.0))
    assert gradient @ torn.covariance @ gradient > 1.5 * gradient @ all_four.covariance @ gradient


def test_without_references_the_scanner_is_believed() -> None:
    nothing = np.array([], dtype=float)
    line = fit_line(nothing, nothing, nothing, (0.05, 15.0))
    assert (line.slope, line.offset) == pytest.approx((1.0, 0.0))
    np.testing.assert_allclose(np.sqrt(np.diag(line.covariance)), [0.05, 15.0])
