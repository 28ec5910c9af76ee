"""A site's own correction on top of a calibration: ``offset + factor * density``, named, with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..errors import SettingsError
from ..records import CalibratedVolume, Calibrator, Reference, Scan, Segmentation, Step


@dataclass(frozen=True)
class SiteCorrected:
    """A calibrator whose densities are corrected, for a scanner that a cross-calibration has measured."""

    calibrator: Calibrator
    offset: float
    """[mg/cm³]"""
    factor: float
    """[-]"""
    source: str
    """Where offset and factor come from."""

    name = "site corrected"

    def __post_init__(self) -> None:
        if not (
            math.isfinite(self.offset) and abs(self.offset) <= 100.0 and math.isfinite(self.factor) and 0.5 <= self.factor <= 2.0
        ):
            raise SettingsError(
                f"found a site correction of {self.offset} mg/cm³ and factor {self.factor}, expected -100 to 100 and 0.5 to 2; check them"
            )
        if not self.source.strip():
            raise SettingsError(
                "found a site correction without a source, expected where its numbers come from; say it in site_source"
            )

    def __call__(self, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        """Return the calibrated scan, corrected; the uncertainty of the correction itself is unknown and not added.

        Raises
        ------
        CalibrationError
            As the calibrator's.
        """
        found = self.calibrator(scan, segmentation)
        slope, intercept = self.factor * found.slope, self.offset + self.factor * found.intercept
        samples = tuple(
            sample
            if sample.unit == "HU"
            else replace(sample, expected=self.offset + self.factor * sample.expected, residual=self.factor * sample.residual)
            for sample in found.samples
        )
        density = found.density.array * found.density.array.dtype.type(self.factor) + found.density.array.dtype.type(self.offset)
        step = Step(
            "calibration",
            f"{found.step.sentence} A correction of the site was then applied to every density: {self.offset:+.4g} mg/cm³ + {self.factor:.4g} "
            f"times the density ({self.source.strip()}).",
            (*found.step.references, Reference(f"Site correction: {self.source.strip()}", "recalled")),
            (
                *found.step.cautions,
                f"A correction of the site changed 100 mg/cm³ to {self.offset + 100 * self.factor:.1f} mg/cm³; its own uncertainty is not part of "
                "any interval.",
            ),
        )
        return replace(
            found,
            density=found.density.with_array(density),
            slope=slope,
            intercept=intercept,
            covariance=self.factor**2 * found.covariance,
            samples=samples,
            step=step,
        )
