"""An image that is mineral density already: taken as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import CalibrationError, SettingsError
from ..records import CalibratedVolume, Mineral, Scan, Segmentation, Step

AIR_LIMIT = -900.0
"""Lowest believable density of air [mg/cm³]: -1000 HU times 0.9, beyond the slope of any body scan; HU images lie below."""
AIR_SHARE = 0.005
"""Share of voxels below ``AIR_LIMIT`` that shows an image in HU [design]."""


@dataclass(frozen=True)
class Given:
    """The identity, with the mineral scale that the user vouches for."""

    mineral: Mineral = "K2HPO4"

    name = "given"

    def __post_init__(self) -> None:
        if self.mineral not in ("K2HPO4", "CHA"):
            raise SettingsError(f"found mineral {self.mineral!r}, expected 'K2HPO4' or 'CHA'")

    def __call__(self, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        """Return the image as density [mg/cm³] of ``mineral``; its uncertainty is unknown (NaN).

        Raises
        ------
        CalibrationError
            The image's unit names another mineral, or its values are those of an image in HU.
        """
        unit = scan.image.unit
        for other in ("K2HPO4", "CHA"):
            if other in unit and other != self.mineral:
                raise CalibrationError(f"found an image in {unit}, expected mg/cm3 {self.mineral}; name the mineral of the image")
        array = np.asarray(scan.image.array, dtype=np.float32)
        # The shape of a padded HU image: a share of its voxels far below what air can be as density.
        low = float((array[::2, ::2, ::2] < AIR_LIMIT).mean())
        if low > AIR_SHARE:
            raise CalibrationError(
                f"found {100 * low:.0f} % of the voxels below {AIR_LIMIT:g}, expected an image in mg/cm³, where air lies near -700; "
                "this looks like HU: choose calibration 'phantomless' or 'fixed'"
            )
        step = Step(
            "calibration",
            f"The image was given in mg/cm³ of {self.mineral} equivalent and was not calibrated again.",
            (),
            ("The image was calibrated elsewhere: the uncertainty of its density is unknown and is not part of any interval.",),
        )
        return CalibratedVolume(
            density=scan.image.with_array(array, f"mg/cm3 {self.mineral}"),
            mineral=self.mineral,
            method=self.name,
            slope=1.0,
            intercept=0.0,
            covariance=np.full((2, 2), np.nan),
            samples=(),
            step=step,
        )
