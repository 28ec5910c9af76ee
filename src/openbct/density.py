"""Every conversion between kinds of bone density, each with its paper, in one place; and what a calibration leaves in doubt.

Kinds: mineral in K2HPO4 or calcium-hydroxyapatite (CHA) equivalent, as a phantom's rods define it; ash; apparent. Laws
and conversions work in g/cm³, images in mg/cm³. A conversion is a straight line; the way back is the line solved for
the other side. Negative densities (marrow fat below the water base) go through unchanged in meaning: laws clip, not we.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .errors import SettingsError
from .records import Array, CalibratedVolume, DensityKind, Mineral, Reference
from .volume import Volume

KEYAK_1994 = Reference("Keyak JH, Lee IY, Skinner HB. J Biomed Mater Res 28:1329 (1994); constants as coded in Ogo", "code")
SCHILEO_2008 = Reference(
    "Schileo E et al. J Biomech 41:2483 (2008); constants recalled, linearity seen in the abstract", "recalled"
)
SCHILEO_2008_RATIO = Reference("Schileo E et al. J Biomech 41:2483 (2008): ash over apparent density 0.598, used as 0.6", "seen")
FAULKNER_1993 = Reference("Faulkner KG et al. Osteoporos Int 3:36 (1993): in-vivo ratio of the two scales", "recalled")

CHA_PER_K2HPO4 = 1.15
"""In-vivo ratio of CHA- to K2HPO4-calibrated readings [recalled]."""
PURE_CHA_PER_K2HPO4 = 1.03
"""The same ratio by attenuation alone [computed]: at 70 keV 1 mg/cm³ of K2HPO4 adds 1.35 HU, of CHA 1.31 HU; the same HU
read as CHA is therefore the larger density."""


@dataclass(frozen=True)
class _Line:
    """``target = slope * source + intercept`` [g/cm³]."""

    slope: float
    intercept: float
    reference: Reference

    def inverse(self) -> _Line:
        return _Line(1.0 / self.slope, -self.intercept / self.slope, self.reference)


_TO_ASH: dict[str, _Line] = {
    "K2HPO4": _Line(1.06, 0.0389, KEYAK_1994),
    "CHA": _Line(0.877, 0.079, SCHILEO_2008),
    "apparent": _Line(0.6, 0.0, SCHILEO_2008_RATIO),
}
"""Ash density is the hub: the papers measured it against the others."""

_KINDS = ("K2HPO4", "CHA", "ash", "apparent")


def convert(
    density: Float[Array, "*shape"], source: DensityKind, target: DensityKind
) -> tuple[Float[Array, "*shape"], tuple[Reference, ...]]:
    """Return density [g/cm³] in another kind, and the papers that the conversion rests on.

    Parameters
    ----------
    density
        [g/cm³] of ``source``.

    Raises
    ------
    SettingsError
        A kind is unknown, or the two kinds are the two mineral scales: between those no conversion is silent, use
        :func:`convert_mineral`, which returns its caution.

    References
    ----------
    Ash from K2HPO4: 1.06 ρ + 0.0389 (Keyak 1994). Ash from CHA: 0.877 ρ + 0.079; apparent: ash / 0.6 (Schileo 2008).
    """
    for kind in (source, target):
        if kind not in _KINDS:
            raise SettingsError(f"found density kind {kind!r}, expected one of {', '.join(_KINDS)}")
    values = np.asarray(density, dtype=float)
    if source == target:
        return values, ()
    if {source, target} == {"K2HPO4", "CHA"}:
        raise SettingsError(
            f"found a conversion from {source} to {target} equivalent density, expected one mineral scale throughout: published "
            "CHA-over-K2HPO4 ratios run from 1.03 to 1.15; calibrate to the scale that is needed, or call convert_mineral and keep its caution"
        )
    references: list[Reference] = []
    if source != "ash":
        line = _TO_ASH[source]
        values, references = line.slope * values + line.intercept, [*references, line.reference]
    if target != "ash":
        line = _TO_ASH[target].inverse()
        values, references = line.slope * values + line.intercept, [*references, line.reference]
    return values, tuple(references)


def convert_mineral(
    density: Float[Array, "*shape"], source: Mineral, target: Mineral
) -> tuple[Float[Array, "*shape"], tuple[Reference, ...], tuple[str, ...]]:
    """Return density on the other mineral scale, the paper, and the caution that must travel with it.

    The unit is kept (a ratio). ``source == target`` returns the density as it is, without a caution.

    Raises
    ------
    SettingsError
        A kind is no mineral scale.
    """
    for kind in (source, target):
        if kind not in ("K2HPO4", "CHA"):
            raise SettingsError(f"found density kind {kind!r}, expected K2HPO4 or CHA, the mineral scales")
    values = np.asarray(density, dtype=float)
    if source == target:
        return values, (), ()
    up = target == "CHA"
    factor, pure = (CHA_PER_K2HPO4, PURE_CHA_PER_K2HPO4) if up else (1.0 / CHA_PER_K2HPO4, 1.0 / PURE_CHA_PER_K2HPO4)
    caution = (
        f"Density was moved from the {source} to the {target} scale with the factor {factor:.2f}; the pure minerals' attenuation "
        f"would give {pure:.2f}: the density may be {100.0 * abs(pure / factor - 1.0):.0f} % too {'high' if up else 'low'}."
    )
    return values * factor, (FAULKNER_1993,), (caution,)


def check_scale(density: Volume, calibrated: CalibratedVolume) -> None:
    """Refuse a density of another scale than the calibration that is to speak for it.

    Raises
    ------
    SettingsError
        The unit of the density, or of the calibrated image itself, does not name the calibration's mineral.
    """
    expected = f"mg/cm3 {calibrated.mineral}"
    for found in (density.unit, calibrated.density.unit):
        if found != expected:
            raise SettingsError(
                f"found a density in {found!r} beside a calibration in {expected!r}, expected one scale; calibrate once, and convert with "
                "convert_mineral, which says what it costs"
            )


def density_uncertainty(calibrated: CalibratedVolume, mean_density: float) -> float | None:
    """Return one standard deviation of a regional mean density [mg/cm³], from the calibration alone.

    Linear propagation of the covariance of (slope, intercept) at the HU that this density was read from; the mean over
    a region has the same calibration error in every voxel, so it does not average out. ``None`` where the calibration
    does not say how sure it is (its covariance holds NaN).
    """
    hu = (mean_density - calibrated.intercept) / calibrated.slope
    gradient = np.array([hu, 1.0])
    variance = float(gradient @ calibrated.covariance @ gradient)
    return math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else None
