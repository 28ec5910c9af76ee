"""Calibration by a phantom: its rods are found in the scan, or in another scan of the same scanner, and its maker's equation is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import CalibrationError, SettingsError
from ..records import Array, CalibratedVolume, Mark, Mineral, Reference, ReferenceSample, Scan, Segmentation, Step
from .fixed import KAESMACHER_2017, RELATIVE_SD
from .phantom_gates import doubt_drift, doubt_model, doubt_rods, drift_percent, refuse_line
from .phantom_line import RodLine, maker_line, usable
from .phantom_models import MARKS, PhantomModel, certified_phantom, load_phantom, phantom_names
from .recognition import Recognized, recognize
from .rod_reading import Readings, read_rods

TYPICAL = 100.0
"""Density at which uncertainty is stated [mg/cm³]."""
BEAM_SD = 0.06
"""Rods below a body see a softer beam than bone inside it: one standard deviation of what that does to densities [-] [C, simulated scans
with beam hardening: 6 to 11 % low at the spine of bodies of 50 to 100 kg]. That body size changes phantom-calibrated density is
published: Bonaretti 2014 [S]."""
OTHER_SERIAL_SD = 0.02
"""Added where the values are those of another phantom of the model [-] [design]."""
BONARETTI_2014 = Reference(
    "Bonaretti S et al. Phys Med Biol 59:7819 (2014): density in a hip phantom falls with body size in three of four scanners",
    "seen",
)
QCT_PRO = Reference("Mindways Software. QCT PRO User Guide v5.0 (2011), equations as given in the documentation of Ogo", "seen")


@dataclass(frozen=True)
class Phantom:
    """Automatic calibration by a phantom."""

    model: str = "auto"
    """Name of a built-in model, or ``"auto"``: that below the body is recognized."""
    certificate: Mapping[str, Any] | None = None
    """Values of the very phantom, as :func:`openbct.calibration.phantom_models.certified_phantom` takes them; wins over ``model``."""
    elsewhere: Scan | None = None
    """Scan in which the phantom lies; ``None``: in the scan itself."""
    mineral: Mineral | None = None
    """In whose equivalents density is asked for; ``None``: the phantom's own."""

    name = "phantom"

    def __post_init__(self) -> None:
        models = self._models()
        if self.model != "auto" or self.certificate is not None:
            self._check_mineral(models[0], SettingsError)
        for model in models:
            if not model.rods:
                raise SettingsError(
                    f"found the phantom {model.name} ({model.title}), whose rods have no published values, expected its certificate; give it "
                    "with --phantom-certificate"
                )

    def __call__(self, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        """Return the scan in mineral density, in equivalents of the phantom's own mineral.

        Raises
        ------
        CalibrationError
            No phantom, several that fit, rods off the line, or an image that is not in HU.
        """
        with_rods = scan if self.elsewhere is None else self.elsewhere
        for image in (scan.image, with_rods.image):
            if image.unit != "HU":
                raise CalibrationError(f"found an image in {image.unit}, expected HU; for a density image choose 'given'")
        cautions = [] if self.elsewhere is None else _doubt_elsewhere(scan, self.elsewhere)
        named = self.certificate is not None or self.model != "auto"
        found = recognize(with_rods.image, self._models(), with_rods.acquisition.kvp, named=named)
        self._check_mineral(found.model, CalibrationError)
        readings = read_rods(with_rods.image, found)
        used = usable(found.model, readings.mean, readings.spread)
        line = maker_line(found.model, readings.mean, readings.spread, used)
        refuse_line(found, line, readings, with_rods.acquisition.kvp)
        drift = drift_percent(found.model, readings, used)
        cautions += [*doubt_model(found.model), *doubt_rods(found, line, readings, used), *doubt_drift(drift)]
        covariance = line.covariance + self._systematic(found.model, line.slope)
        density = np.asarray(scan.image.array, dtype=np.float32) * np.float32(line.slope) + np.float32(line.intercept)
        return CalibratedVolume(
            density=scan.image.with_array(density, f"mg/cm3 {found.model.mineral}"),
            mineral=found.model.mineral,
            method=self.name,
            slope=line.slope,
            intercept=line.intercept,
            covariance=covariance,
            samples=_samples(found, readings, line, in_scan=self.elsewhere is None),
            step=Step(
                "calibration", self._sentence(found, readings, line, covariance, drift), self._references(found), tuple(cautions)
            ),
            quantities={
                "r_squared": line.r_squared,
                "largest_residual_mg_cm3": float(np.abs(line.residuals[np.array(used)]).max()),
                "rods_used": float(sum(used)),
                "slices": float(len(readings.heights)),
                **({} if drift is None else {"slope_drift_percent": drift[0]}),
            },
        )

    def _check_mineral(self, model: PhantomModel, error: type[SettingsError] | type[CalibrationError]) -> None:
        """Refuse a mineral that the phantom's rods are not worth: one scale is not the other."""
        if self.mineral not in (None, model.mineral):
            raise error(
                f'found mineral = "{self.mineral}" beside the phantom {model.title}, whose rods are known in equivalents of {model.mineral}, '
                f"expected the same: between the scales no conversion is silent; leave the key out, or use a phantom of {self.mineral}"
            )

    def _models(self) -> list[PhantomModel]:
        if self.certificate is not None:
            model = certified_phantom(self.certificate)
            if self.model not in ("auto", model.name):
                raise SettingsError(
                    f"found the phantom {self.model!r} beside a certificate of {model.name!r}, expected one of them; correct it"
                )
            return [model]
        if self.model != "auto":
            return [load_phantom(self.model)]
        models = [load_phantom(name) for name in phantom_names()]
        return [model for model in models if model.rods and (model.place == "below" or self.elsewhere is not None)]

    def _systematic(self, model: PhantomModel, slope: float) -> Float[Array, "2 2"]:
        """Return the covariance of what no rod shows: scale errors, in proportion to the density."""
        parts = [BEAM_SD if self.elsewhere is None else RELATIVE_SD]
        parts += [OTHER_SERIAL_SD] if model.serial and not model.certified else []
        return np.diag([slope**2 * float(np.sum(np.square(parts))), 0.0])

    def _sentence(
        self,
        found: Recognized,
        readings: Readings,
        line: RodLine,
        covariance: Float[Array, "2 2"],
        drift: tuple[float, float] | None,
    ) -> str:
        model, count = found.model, len(found.model.rods)
        hu = (TYPICAL - line.intercept) / line.slope
        sd = float(np.sqrt(np.array([hu, 1.0]) @ covariance @ np.array([hu, 1.0])))
        where = "in the scan" if self.elsewhere is None else "in another scan"
        values = "its certificate" if model.certified else f"{model.source} [{model.mark}]"
        places = f", {found.row.spacing:.0f} mm apart" if np.isfinite(found.row.spacing) else ""
        equation = "the maker's equation with its correction for water" if model.rods[0].water is not None else "a straight line"
        wider = "a scanner or beam that may differ" if self.elsewhere is not None else "the softer beam below a body"
        slices = f" in {len(readings.heights)} slices" if len(readings.heights) else ""
        moved = "" if drift is None else f", slope {drift[0]:+.1f} % over these slices"
        return (
            f"HU became density by a calibration phantom {where}, {model.title}, values from {values}: {sum(found.row.seen)} of {count} rods "
            f"were seen{places}, read{slices}, and fitted by {equation}: density = {line.slope:.4f} HU {line.intercept:+.1f} mg/cm³ "
            f"({model.mineral} equivalent), r² {line.r_squared:.4f}, largest residual {np.abs(line.residuals).max():.1f} mg/cm³{moved}. "
            f"Standard deviation at {TYPICAL:g} mg/cm³: {sd:.1f} mg/cm³, with a share for {wider}."
        )

    def _references(self, found: Recognized) -> tuple[Reference, ...]:
        model = found.model
        mark: Mark = next((m for m in ("seen", "code", "computed", "recalled", "design") if m == MARKS.get(model.mark)), "seen")
        values = Reference(f"Rods of the {model.title}: {model.source}", mark)
        maker = (QCT_PRO,) if model.rods[0].water is not None else ()
        return (values, *maker, KAESMACHER_2017 if self.elsewhere is not None else BONARETTI_2014)


def _samples(found: Recognized, readings: Readings, line: RodLine, *, in_scan: bool) -> tuple[ReferenceSample, ...]:
    unit = f"mg/cm3 {found.model.mineral}"
    return tuple(
        ReferenceSample(
            name=f"rod {rod.name}",
            mean=float(readings.mean[n]),
            deviation=float(readings.deviation[n]),
            n_voxels=readings.n_voxels[n],
            expected=rod.value,
            residual=float(line.residuals[n]),
            unit=unit,
            where=readings.where[n] if in_scan else None,
        )
        for n, rod in enumerate(found.model.rods)
    )


def _doubt_elsewhere(scan: Scan, other: Scan) -> list[str]:
    """Return what differs between a scan and that of its phantom.

    Raises
    ------
    CalibrationError
        Another tube voltage: the line is not this scan's.
    """
    ours, theirs = scan.acquisition, other.acquisition
    if ours.kvp is not None and theirs.kvp is not None and abs(ours.kvp - theirs.kvp) > 1.0:
        raise CalibrationError(
            f"found the phantom scanned at {theirs.kvp:g} kV and the body at {ours.kvp:g} kV, expected one voltage; scan the phantom as the body"
        )
    cautions = [
        "The phantom lies in another scan: a drift of the scanner, another height of the table and the size of the body change density by "
        f"about {100 * RELATIVE_SD:.0f} % (one standard deviation of published asynchronous calibrations); the interval was widened by it."
    ]
    if ours.kvp is None or theirs.kvp is None:
        cautions.append(
            "The tube voltage of the scan or of its phantom is unknown: between 100 and 120 kV, density would be off by about 15 %."
        )
    for what, mine, its in (("kernel", ours.kernel, theirs.kernel), ("scanner", ours.model, theirs.model)):
        if mine and its and mine != its:
            cautions.append(
                f"The {what} of the phantom's scan is another one than the body's: the line may not be this scan's by several per cent."
            )
    return cautions


def at_scan(calibrator: Phantom, other: Scan) -> Phantom:
    """Return the calibrator with its phantom in another scan."""
    return replace(calibrator, elsewhere=other)
