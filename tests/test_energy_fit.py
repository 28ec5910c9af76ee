"""The energy fit against a published log, and what it must not accept."""

from __future__ import annotations

import numpy as np
import pytest

from openbct.calibration.energy_fit import BOUNDS, fit_energy
from openbct.errors import CalibrationError

ENERGIES = (40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
TABLE = {
    "adipose": (0.2396, 0.2123, 0.1974, 0.1800, 0.1688, 0.1500),
    "air": (0.2485, 0.2080, 0.1875, 0.1662, 0.1541, 0.1356),
    "blood": (0.2715, 0.2278, 0.2057, 0.1827, 0.1695, 0.1492),
    "cortical_bone": (0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480),
    "muscle": (0.2685, 0.2262, 0.2048, 0.1823, 0.1693, 0.1492),
    "K2HPO4": (0.9327, 0.5573, 0.3890, 0.2508, 0.1972, 0.1480),
    "triglyceride": (0.2293, 0.2072, 0.1945, 0.1789, 0.1683, 0.1499),
    "water": (0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505),
}
"""The six-row table of the public code (NIST, ICRU-44) [cm2/g]."""
LOGGED = {"fat": -82.579, "air": -956.834, "blood": 39.249, "bone": 1226.214, "muscle": 24.561}
"""Tissue means of a published scan [HU]."""


def linear(material: str, energy: float) -> float:
    return float(np.interp(energy, ENERGIES, TABLE[material]))


def logarithmic(material: str, energy: float) -> float:
    return float(np.exp(np.interp(np.log(energy), np.log(ENERGIES), np.log(TABLE[material]))))


def test_the_published_log_comes_out_to_its_last_digit() -> None:
    """With the table of that code and its linear interpolation: a mode of this test, not of the program."""
    found = fit_energy(LOGGED, linear)
    assert found.energy == 97.0
    assert round(found.straightness, 6) == 0.998965
    assert round(found.mass[0], 6) == 0.000893 and round(found.mass[1], 6) == 0.968731
    assert round(found.attenuation[0], 6) == 0.000016 and round(found.attenuation[1], 6) == 0.171240


def test_interpolation_in_logarithms_moves_the_energy_by_half_a_step() -> None:
    found = fit_energy(LOGGED, logarithmic)
    assert found.energy == 96.5 and found.mass[1] == pytest.approx(0.96902, abs=5e-6)
    dense = fit_energy(LOGGED)
    assert dense.energy == 96.0 and dense.mass[1] == pytest.approx(0.96947, abs=1e-5)
    for hu in (100.0, 140.0, 200.0):
        assert float(dense.mineral(np.array(hu))) == pytest.approx(
            float(fit_energy(LOGGED, linear).mineral(np.array(hu))), abs=2.0
        )


def test_pure_fat_and_pure_mineral_are_the_ends_of_the_split() -> None:
    found = fit_energy(LOGGED)
    slope, intercept = found.attenuation
    fat = (found.ends[0] - intercept) / slope
    assert float(found.mineral(np.array(fat))) == pytest.approx(0.0, abs=1e-6)
    salt = (found.ends[1] - intercept) / slope
    mass = found.mass[0] * salt + found.mass[1]
    assert float(found.mineral(np.array(salt))) == pytest.approx(1000.0 * mass, rel=1e-9)


@pytest.mark.parametrize("energy", [55.0, 70.0, 85.0, 100.0])
def test_references_of_a_known_energy_give_it_back(energy: float) -> None:
    """HU that are a straight function of attenuation at one energy."""
    from openbct.calibration.attenuation import mass_attenuation

    names = {"fat": "adipose", "air": "air", "blood": "blood", "bone": "cortical_bone", "muscle": "muscle"}
    readings = {name: (mass_attenuation(material, energy) - 0.17) / 1.6e-5 for name, material in names.items()}
    found = fit_energy(readings)
    assert found.energy == energy and found.straightness == pytest.approx(1.0)


@pytest.mark.parametrize("names", [("air", "fat"), ("fat", "bone"), ()])
def test_two_references_are_no_evidence(names: tuple[str, ...]) -> None:
    """The public code accepts them, and has answered with 1.5 keV and a perfect correlation."""
    with pytest.raises(CalibrationError, match=f"found {len(names)} references .* at least 3"):
        fit_energy({name: LOGGED[name] for name in names})


@pytest.mark.parametrize(
    "changed", [{"bone": 300.0}, {"fat": 60.0, "muscle": -90.0}, {"air": 0.0}, {"bone": 9000.0}, dict.fromkeys(LOGGED, 5.0)]
)
def test_nonsense_is_refused_and_no_energy_leaves_its_bounds(changed: dict[str, float]) -> None:
    try:
        found = fit_energy(LOGGED | changed)
    except CalibrationError as error:
        assert "expected one inside" in str(error) or "HU apart" in str(error)
        return
    assert BOUNDS[0] < found.energy < BOUNDS[1]
    assert found.straightness >= 0.99
