"""Conversions between kinds of density, and the uncertainty of a calibrated mean."""

from __future__ import annotations

import inspect
import itertools
import math

import numpy as np
import pytest

from openbct.calibration.attenuation import effective_energy, hu_per_mineral
from openbct.density import PURE_CHA_PER_K2HPO4, convert, convert_mineral, density_uncertainty
from openbct.errors import SettingsError
from openbct.records import CalibratedVolume, Step
from openbct.volume import Volume

KINDS = ("K2HPO4", "CHA", "ash", "apparent")


@pytest.mark.parametrize("source, target", [("HU", "ash"), ("ash", "qct"), ("k2hpo4", "ash"), ("", "")])
def test_refuses_unknown_kinds(source: str, target: str) -> None:
    with pytest.raises(SettingsError, match="expected one of K2HPO4, CHA, ash, apparent"):
        # As in production, without the test run's own type checks in front.
        inspect.unwrap(convert)(np.array([0.1]), source, target)


@pytest.mark.parametrize("source, target", [("Al2O3", "K2HPO4"), ("CHA", "ash"), ("apparent", "apparent")])
def test_only_minerals_are_minerals(source: str, target: str) -> None:
    """An unknown kind is an error, not the other mineral."""
    with pytest.raises(SettingsError, match="expected K2HPO4 or CHA"):
        inspect.unwrap(convert_mineral)(np.array([0.1]), source, target)


@pytest.mark.parametrize("source, target", [("K2HPO4", "CHA"), ("CHA", "K2HPO4")])
def test_minerals_are_never_mixed_in_silence(source: str, target: str) -> None:
    with pytest.raises(SettingsError, match="convert_mineral"):
        convert(np.array([0.1]), source, target)  # type: ignore[arg-type]
    _, references, cautions = convert_mineral(np.array([0.1]), source, target)  # type: ignore[arg-type]
    assert len(references) == 1 and len(cautions) == 1
    assert source in cautions[0] and target in cautions[0]
    # 1.15 instead of 1.03 is 10 % too high; the way back is 12 % too low.
    assert ("10 % too high" if target == "CHA" else "12 % too low") in cautions[0]


@pytest.mark.parametrize(
    "source, target, density, expected",
    [
        # Worked by hand from the printed lines.
        ("K2HPO4", "ash", 0.100, 0.1449),
        ("K2HPO4", "ash", -0.020, 0.0177),
        ("CHA", "ash", 0.100, 0.1667),
        ("ash", "apparent", 0.300, 0.500),
        ("apparent", "ash", 0.500, 0.300),
        ("K2HPO4", "apparent", 0.100, 0.2415),
        ("ash", "K2HPO4", 0.1449, 0.100),
        ("ash", "CHA", 0.1667, 0.100),
        ("apparent", "CHA", 0.2778333, 0.100),
    ],
)
def test_reads_the_papers(source: str, target: str, density: float, expected: float) -> None:
    values, references = convert(np.array([density]), source, target)  # type: ignore[arg-type]
    assert values[0] == pytest.approx(expected, abs=1e-6)
    assert references and all(reference.text and reference.mark for reference in references)


@pytest.mark.parametrize("source, target", [pair for pair in itertools.product(KINDS, KINDS) if set(pair) != {"K2HPO4", "CHA"}])
def test_there_and_back_is_the_same(source: str, target: str) -> None:
    density = np.linspace(-0.1, 1.8, 12).reshape(3, 4)
    there, references = convert(density, source, target)  # type: ignore[arg-type]
    back, _ = convert(there, target, source)  # type: ignore[arg-type]
    np.testing.assert_allclose(back, density, atol=1e-12)
    assert there.shape == density.shape and (np.diff(there.ravel()) > 0).all()
    assert bool(references) == (source != target)


@pytest.mark.parametrize("kvp", [100.0, 120.0, 140.0])
def test_the_pure_ratio_is_that_of_the_attenuation_table(kvp: float) -> None:
    """The same HU read as CHA is the larger density, because CHA adds fewer HU per mg/cm³."""
    energy, _ = effective_energy(kvp)
    ratio = hu_per_mineral("K2HPO4", energy) / hu_per_mineral("CHA", energy)
    assert ratio == pytest.approx(PURE_CHA_PER_K2HPO4, abs=0.02)


def test_mineral_scales() -> None:
    there, _, _ = convert_mineral(np.array([100.0]), "K2HPO4", "CHA")
    assert there[0] == pytest.approx(115.0)
    same, references, cautions = convert_mineral(np.array([100.0]), "CHA", "CHA")
    assert same[0] == 100.0 and references == () and cautions == ()


def calibrated(covariance: np.ndarray, slope: float = 0.7, intercept: float = 5.0) -> CalibratedVolume:
    grid = Volume(np.zeros((2, 2, 2), dtype=np.float32), np.eye(4), "mg/cm3 K2HPO4")
    return CalibratedVolume(grid, "K2HPO4", "fixed", slope, intercept, covariance, (), Step("calibration", "."))


def test_uncertainty_is_propagated() -> None:
    # 75 mg/cm³ was read from 100 HU: slope sd 0.05 gives 5, intercept sd 12 gives 12, together 13.
    assert density_uncertainty(calibrated(np.diag([0.05**2, 12.0**2])), 75.0) == pytest.approx(13.0)
    # Fully anticorrelated errors cancel at 240 HU.
    tied = np.array([[0.05**2, -0.05 * 12.0], [-0.05 * 12.0, 12.0**2]])
    assert density_uncertainty(calibrated(tied), 0.7 * 240.0 + 5.0) == pytest.approx(0.0, abs=1e-5)


def test_unknown_uncertainty_is_not_a_number_to_print() -> None:
    assert density_uncertainty(calibrated(np.full((2, 2), math.nan)), 75.0) is None
