"""A known calibration line: a phantom scanned at another time, a scanner's stored equation, a study's own slope."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import CalibrationError, SettingsError
from ..records import CalibratedVolume, Mineral, Reference, Scan, Segmentation, Step

KAESMACHER_2017 = Reference(
    "Kaesmacher J et al. J Comput Assist Tomogr 41:217 (2017): root-mean-square difference to QCT 8.0 % without contrast", "seen"
)
RELATIVE_SD = 0.08
"""Scatter of an asynchronous calibration against phantom QCT [-]: Kaesmacher 2017."""
SLOPE_RANGE = (0.3, 1.5)
"""[mg/cm³ per HU]; 50 to 100 keV gives 0.45 to 1.05 for either mineral [computed], widened by half [design]."""


@dataclass(frozen=True)
class Fixed:
    """``density = slope * HU + intercept`` with numbers from elsewhere."""

    slope: float
    """[mg/cm³ per HU]"""
    intercept: float
    """[mg/cm³]"""
    mineral: Mineral = "K2HPO4"
    slope_sd: float | None = None
    """One standard deviation [mg/cm³ per HU]; ``None``: 8 % of the slope, as published for asynchronous calibration."""
    intercept_sd: float = 0.0
    """One standard deviation [mg/cm³]."""

    name = "fixed"

    def __post_init__(self) -> None:
        low, high = SLOPE_RANGE
        if not (math.isfinite(self.slope) and low <= self.slope <= high):
            raise SettingsError(
                f"found a calibration slope of {self.slope} mg/cm³ per HU, expected {low} to {high}; "
                "check that slope and intercept are not swapped and that the slope is not HU per mg/cm³"
            )
        if not (math.isfinite(self.intercept) and abs(self.intercept) <= 200.0):
            raise SettingsError(f"found a calibration intercept of {self.intercept} mg/cm³, expected -200 to 200; check the line")
        if self.mineral not in ("K2HPO4", "CHA"):
            raise SettingsError(f"found mineral {self.mineral!r}, expected 'K2HPO4' or 'CHA'")
        for spread in (self.slope_sd, self.intercept_sd):
            if spread is not None and not (math.isfinite(spread) and spread >= 0):
                raise SettingsError(f"found a standard deviation of {spread}, expected a number of 0 or more")

    def __call__(self, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        """Return the scan in mineral density by the given line.

        Raises
        ------
        CalibrationError
            The image is not in HU.
        """
        if scan.image.unit != "HU":
            raise CalibrationError(
                f"found an image in {scan.image.unit}, expected HU; an image that is density already needs calibration 'given'"
            )
        density = np.asarray(scan.image.array, dtype=np.float32) * np.float32(self.slope) + np.float32(self.intercept)
        slope_sd = RELATIVE_SD * self.slope if self.slope_sd is None else self.slope_sd
        step = Step(
            "calibration",
            f"HU became density by a given line, {self.slope:.4g} mg/cm³ per HU {self.intercept:+.4g} mg/cm³ "
            f"({self.mineral} equivalent), slope known to {100 * slope_sd / self.slope:.2g} % (one standard deviation).",
            (KAESMACHER_2017,) if self.slope_sd is None else (),
            (
                "The calibration line was given, not measured in this scan: a drift of the scanner or another tube voltage "
                "changes every density in proportion.",
            ),
        )
        return CalibratedVolume(
            density=scan.image.with_array(density, f"mg/cm3 {self.mineral}"),
            mineral=self.mineral,
            method=self.name,
            slope=self.slope,
            intercept=self.intercept,
            covariance=np.diag([slope_sd**2, self.intercept_sd**2]),
            samples=(),
            step=step,
        )
