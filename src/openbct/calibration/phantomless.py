"""Calibration without a phantom: the patient's own air, fat, muscle and blood are the references.

The measured HU of each tissue is set against what tabulated attenuation says it reads at the effective energy of the
tube voltage; a robust weighted line turns measured into true HU; true HU over the HU that one mg/cm³ of mineral adds to
water is density, on the water base of phantom QCT (marrow fat makes it read low there as here). The tables are in
``data/attenuation.toml`` and ``data/phantomless.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import CalibrationError, SettingsError
from ..records import (
    Acquisition,
    Array,
    CalibratedVolume,
    Mineral,
    Reference,
    ReferenceSample,
    Scan,
    Segmentation,
    Step,
)
from ..volume import bounding_box
from .attenuation import attenuation_reference, effective_energy, expected_hu, hu_per_mineral, load_table, load_tissues
from .line import Line, fit_line
from .outline import Outline, draw_outline
from .tissues import Found, enhanced_vessel, find_air, find_blood, find_fat, find_muscle

SLOPE_GATE = 0.15
"""The line may differ from the scanner's own scale by this much [-]: clinical acceptance of the method [computed]."""
RESIDUAL_LIMIT = 40.0
"""A reference farther from the line refuses the calibration [HU] [design]."""
RESIDUAL_CAUTION = 2.5
"""A reference farther from the line than this many of its spreads is reported [design]."""
AGREEMENT = 10.0
"""Lines with one reference left out must agree at 100 mg/cm³ within this [mg/cm³]: two tissues should [computed]."""
TYPICAL = 100.0
"""Density at which uncertainty is stated: between the clinical cuts of 80 and 120 [mg/cm³]."""
BONE_MARGIN = 30.0
"""References are taken from the slices of the bones, widened by this [mm]: beam hardening differs along the body [design]."""
MIN_LENGTH = 60.0
"""Where the bones span less than this [mm], the whole scan is used [design]."""

MICHALSKI_2020 = Reference("Michalski AS et al. Med Eng Phys 78:55 (2020): internal calibration on the patient's tissues", "seen")
LEE_2017 = Reference("Lee DC et al. Bone 103:325 (2017): phantomless calibration on air, blood and fat", "seen")


@dataclass(frozen=True)
class Phantomless:
    """Automatic calibration on the patient's tissues; labels help it and are not needed."""

    mineral: Mineral = "K2HPO4"
    min_tissues: int = 3
    """Fewer usable references refuse; 2 may be asked for and widens the interval."""
    energy_kev: float | None = None
    """Effective energy, where it is known better than from the tube voltage (monoenergetic images) [keV]."""

    name = "phantomless"

    def __post_init__(self) -> None:
        if self.mineral not in ("K2HPO4", "CHA"):
            raise SettingsError(f"found mineral {self.mineral!r}, expected 'K2HPO4' or 'CHA'")
        if self.min_tissues not in (2, 3, 4):
            raise SettingsError(f"found min_tissues = {self.min_tissues}, expected 2, 3 or 4; one tissue is no line")
        if self.energy_kev is not None and not 40.0 <= self.energy_kev <= 150.0:
            raise SettingsError(f"found an effective energy of {self.energy_kev} keV, expected 40 to 150; check the unit")

    def __call__(self, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        """Return the scan in mineral density.

        Raises
        ------
        CalibrationError
            Too few reference tissues, a tissue or the line outside its gate, or an image that is not in HU.

        References
        ----------
        Michalski et al., Med Eng Phys 78:55 (2020); Lee et al., Bone 103:325 (2017); how this differs: the energy comes
        from the tube voltage and is not fitted, because four soft references cannot tell energy from composition.
        """
        if scan.image.unit != "HU":
            raise CalibrationError(f"found an image in {scan.image.unit}, expected HU; for a density image choose 'given'")
        energy, energy_spread, cautions = self._beam(scan.acquisition)
        outline = draw_outline(scan.image, _slices(scan, segmentation))
        contrast = _contrast(outline, segmentation, scan.acquisition)
        found, missing = _find(outline, segmentation, contrast is not None)
        used, spreads, doubts = _judge(found, missing, contrast)
        cautions += doubts
        if len(used) < self.min_tissues:
            raise CalibrationError(
                f"found {len(used)} usable reference tissues ({_values(used) or 'none'}), expected at least {self.min_tissues}; "
                f"{' '.join(doubts)} Give labels of aorta, muscle and fat, or a calibration line with 'fixed'"
            )
        line = _fit(used, spreads, energy)
        samples = _check(line, used, spreads, energy)
        cautions += _doubt_residuals(samples, spreads) + _doubt_agreement(used, spreads, energy, self.mineral)
        if len(used) == 2:
            cautions.append(
                "Only two reference tissues were used: two points always fit a line, so nothing checks it; "
                "the interval of every density was widened by half."
            )
        per_mineral = hu_per_mineral(self.mineral, energy)
        slope, intercept = line.slope / per_mineral, line.offset / per_mineral
        covariance = self._covariance(line, used, spreads, (energy, energy_spread), contrast is not None)
        density = np.asarray(scan.image.array, dtype=np.float32) * np.float32(slope) + np.float32(intercept)
        sentence = (
            f"HU became density without a phantom: {', '.join(item.how for item in used)} gave the line, true HU = {line.slope:.3f} "
            f"HU {line.offset:+.1f}, at an effective energy of {energy:.0f} ± {energy_spread:.0f} keV ({per_mineral:.2f} HU per mg/cm³ of "
            f"{self.mineral}). Standard deviation at {TYPICAL:g} mg/cm³: {_sd_at(TYPICAL, slope, intercept, covariance):.0f} mg/cm³."
        )
        references = (MICHALSKI_2020, LEE_2017, attenuation_reference(), *_table_references(used))
        return CalibratedVolume(
            density=scan.image.with_array(density, f"mg/cm3 {self.mineral}"),
            mineral=self.mineral,
            method=self.name,
            slope=slope,
            intercept=intercept,
            covariance=covariance,
            samples=samples,
            step=Step("calibration", sentence, references, tuple(cautions)),
        )

    def _beam(self, acquisition: Acquisition) -> tuple[float, float, list[str]]:
        """Return effective energy, its spread [keV] and cautions."""
        if self.energy_kev is not None:
            return self.energy_kev, float(load_table("phantomless.toml")["beam"]["spread_kev"]), []
        words = " ".join((acquisition.series_description or "", *acquisition.image_type))
        mono = re.search(r"\b(\d{2,3})\s*kev\b|\bmono|\bvmi\b", words, flags=re.IGNORECASE)
        if mono:
            raise CalibrationError(
                f"found a monoenergetic image ({mono.group(0)!r} in its description), expected a tube voltage; "
                "give its energy to the calibrator (energy_kev) or use the conventional series"
            )
        kvp, (low, high) = acquisition.kvp, load_table("phantomless.toml")["beam"]["allowed_kvp"]
        if kvp is not None and not low <= kvp <= high:
            raise CalibrationError(
                f"found a tube voltage of {kvp:g} kV, expected {low:g} to {high:g} for CT; check the header or give energy_kev"
            )
        energy, spread = effective_energy(kvp)
        cautions = []
        if kvp is None:
            low_k, high_k = (hu_per_mineral(self.mineral, effective_energy(other)[0]) for other in (100.0, 140.0))
            default = hu_per_mineral(self.mineral, energy)
            cautions.append(
                "The tube voltage is unknown and was taken as 120 kV: at 100 kV every density would be "
                f"{100 * (1 - default / low_k):.0f} % lower, at 140 kV {100 * (default / high_k - 1):.0f} % higher."
            )
        return energy, spread, cautions

    def _covariance(
        self, line: Line, used: Sequence[Found], spreads: Sequence[float], beam: tuple[float, float], contrast: bool
    ) -> Float[Array, "2 2"]:
        """Return the covariance of (slope, intercept): line, energy, contrast, and never surer than real scans allow."""
        energy, energy_spread = beam
        per_mineral = hu_per_mineral(self.mineral, energy)
        total = line.covariance / per_mineral**2
        ends = []
        for shifted in (max(energy - energy_spread, 40.0), min(energy + energy_spread, 150.0)):
            other = _fit(used, spreads, shifted)
            ends.append(np.array([other.slope, other.offset]) / hu_per_mineral(self.mineral, shifted))
        half = (ends[1] - ends[0]) / 2.0
        total = total + np.outer(half, half)
        table = load_table("phantomless.toml")
        if contrast:
            total[1, 1] += (float(table["contrast"]["shift_hu"]) / per_mineral) ** 2
        least = float(table["scatter"]["sd_mg_cm3"])
        least *= float(table["scatter"]["two_tissue_factor"]) if len(used) == 2 else 1.0
        slope, intercept = line.slope / per_mineral, line.offset / per_mineral
        total[1, 1] += max(0.0, least**2 - _sd_at(TYPICAL, slope, intercept, total) ** 2)
        return np.asarray(total)


def _slices(scan: Scan, segmentation: Segmentation) -> slice:
    """Return the slices around the bones, or all."""
    whole = slice(0, scan.image.shape[2])
    if not segmentation.bones:
        return whole
    heights = []
    for bone in segmentation.bones.values():
        lower, upper = bounding_box(bone.mask)
        start = np.linalg.solve(scan.image.affine[:3, :3], bone.mask.affine[:3, 3] - scan.image.affine[:3, 3])[2]
        heights += [start + lower[2], start + upper[2]]
    margin = BONE_MARGIN / scan.image.spacing[2]
    low, high = max(0, int(min(heights) - margin)), min(whole.stop, int(np.ceil(max(heights) + margin)))
    return slice(low, high) if (high - low) * scan.image.spacing[2] >= MIN_LENGTH else whole


def _find(outline: Outline, segmentation: Segmentation, contrast: bool) -> tuple[dict[str, Found], dict[str, str]]:
    drawn = segmentation.tissues
    results = {
        "air": find_air(outline),
        "fat": find_fat(outline, drawn.get("fat")),
        "muscle": find_muscle(outline, drawn.get("muscle"), contrast=contrast),
        "blood": find_blood(outline, drawn.get("aorta")),
    }
    found = {name: result for name, result in results.items() if isinstance(result, Found)}
    return found, {name: result for name, result in results.items() if isinstance(result, str)}


def _contrast(outline: Outline, segmentation: Segmentation, acquisition: Acquisition) -> str | None:
    """Return what shows contrast agent in the scan, in words; ``None`` where nothing does."""
    limit = float(load_table("phantomless.toml")["contrast"]["blood_hu"])
    blood = find_blood(outline, segmentation.tissues.get("aorta"))
    reading = blood.mean if isinstance(blood, Found) else enhanced_vessel(outline, limit)
    if reading is not None and reading > limit:
        return f"blood reads {reading:.0f} HU"
    return f"the header names {acquisition.contrast!r}" if acquisition.contrast else None


def _judge(found: dict[str, Found], missing: dict[str, str], contrast: str | None) -> tuple[list[Found], list[float], list[str]]:
    """Return the tissues to use with their spreads, and cautions.

    Raises
    ------
    CalibrationError
        Outside air is not where air is: the image is not in HU.
    """
    tissues, table = load_tissues(), load_table("phantomless.toml")["contrast"]
    cautions = [f"No {name} was used for calibration: {why}." for name, why in missing.items() if name != "blood"]
    if contrast:
        shift = float(table["shift_hu"])
        cautions.append(
            f"Contrast agent: {contrast}. Blood was not used as a reference; enhanced marrow reads about {shift:g} HU higher, so "
            f"trabecular density is overstated by about {shift / 1.4:.0f} mg/cm³. It was not corrected; the interval was widened by it."
        )
    used, spreads = [], []
    for name, item in found.items():
        low, high = tissues[name].gate
        if name == "blood" and contrast:
            continue
        if low <= item.mean <= high:
            used.append(item)
            spreads.append(float(table["muscle_spread_hu"]) if name == "muscle" and contrast else tissues[name].spread)
        elif name == "air":
            raise CalibrationError(
                f"found outside air at {item.mean:.0f} HU, expected {low:g} to {high:g}; the image is not in HU or its scale is off"
            )
        else:
            cautions.append(f"{item.how.capitalize()} reads {item.mean:.0f} HU, expected {low:g} to {high:g}: it was not used.")
    return used, spreads, cautions


def _fit(used: Sequence[Found], spreads: Sequence[float], energy: float) -> Line:
    tissues, scanner = load_tissues(), load_table("phantomless.toml")["scanner"]
    return fit_line(
        np.array([item.mean for item in used]),
        np.array([expected_hu(tissues[item.name], energy) for item in used]),
        np.array(spreads, dtype=float),
        (float(scanner["slope_spread"]), float(scanner["offset_spread_hu"])),
    )


def _check(line: Line, used: Sequence[Found], spreads: Sequence[float], energy: float) -> tuple[ReferenceSample, ...]:
    """Return the references beside the line.

    Raises
    ------
    CalibrationError
        The line or a residual is implausible.
    """
    tissues = load_tissues()
    if abs(line.slope - 1.0) > SLOPE_GATE:
        raise CalibrationError(
            f"found a calibration line of slope {line.slope:.3f} true per measured HU ({_values(used)}), expected 1 within "
            f"{SLOPE_GATE:g}; the image is not in HU, or the tube voltage in the header is wrong"
        )
    samples = []
    for item in used:
        target = expected_hu(tissues[item.name], energy)
        residual = line.slope * item.mean + line.offset - target
        if abs(residual) > RESIDUAL_LIMIT:
            raise CalibrationError(
                f"found {item.how} {residual:+.0f} HU from the calibration line ({_values(used)}), expected within {RESIDUAL_LIMIT:g}; "
                "check the labels and whether the scan has artefacts"
            )
        samples.append(ReferenceSample(item.name, item.mean, item.deviation, item.n_voxels, target, residual, item.where))
    return tuple(samples)


def _doubt_residuals(samples: Sequence[ReferenceSample], spreads: Sequence[float]) -> list[str]:
    return [
        f"The reference {sample.name} lies {sample.residual:+.0f} HU from the calibration line, more than {RESIDUAL_CAUTION:g} times "
        f"its spread of {spread:g} HU; the line gave it less weight."
        for sample, spread in zip(samples, spreads)
        if abs(sample.residual) > RESIDUAL_CAUTION * spread
    ]


def _doubt_agreement(used: Sequence[Found], spreads: Sequence[float], energy: float, mineral: Mineral) -> list[str]:
    """Return a caution where one reference alone moves a typical density by more than 10 mg/cm³."""
    if len(used) < 3:
        return []
    per_mineral = hu_per_mineral(mineral, energy)
    whole = _fit(used, spreads, energy)
    hu = (TYPICAL * per_mineral - whole.offset) / whole.slope
    shifts = {}
    for index, item in enumerate(used):
        rest = [position for position in range(len(used)) if position != index]
        line = _fit([used[position] for position in rest], [spreads[position] for position in rest], energy)
        shifts[item.name] = (line.slope * hu + line.offset) / per_mineral - TYPICAL
    name, shift = max(shifts.items(), key=lambda entry: abs(entry[1]))
    if abs(shift) <= AGREEMENT:
        return []
    return [f"Without {name}, a density of {TYPICAL:g} mg/cm³ would read {TYPICAL + shift:.0f}: the references disagree."]


def _sd_at(density: float, slope: float, intercept: float, covariance: Float[Array, "2 2"]) -> float:
    gradient = np.array([(density - intercept) / slope, 1.0])
    return float(np.sqrt(max(gradient @ covariance @ gradient, 0.0)))


def _values(used: Sequence[Found]) -> str:
    return ", ".join(f"{item.name} {item.mean:.0f} HU" for item in used)


def _table_references(used: Sequence[Found]) -> tuple[Reference, ...]:
    table, tissues = load_table("phantomless.toml"), load_tissues()
    unique = {tissues[item.name].reference: None for item in used if item.name != "air"}
    beam = Reference(f"Effective energy by tube voltage: {table['beam']['source']}", "recalled")
    return (*unique, beam, Reference(table["scatter"]["source"], "computed"))
