"""Calibration without a phantom: the patient's own air, fat, muscle and blood are the references.

The measured HU of each tissue is set against what it reads at the effective energy of the tube voltage behind a body of this
size; a robust weighted line turns measured into true HU; true HU over the HU that one mg/cm³ of mineral adds to
water is density, on the water base of phantom QCT (marrow fat makes it read low there as here). The tables are in
``data/attenuation.toml``, ``data/effective_energy.toml`` and ``data/phantomless.toml``.
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
    Scan,
    Segmentation,
    Step,
)
from .attenuation import attenuation_reference, effective_energy, hu_per_mineral, load_table, load_tissues
from .body import water_equivalent
from .contrast import POLICIES, Contrast, contrast_reference, describe, find_contrast, refuse_contrast
from .gates import (
    TYPICAL,
    check_line,
    doubt_agreement,
    doubt_residuals,
    fit_references,
    judge,
    leave_one_out,
    readings,
    spread_at,
)
from .line import Line
from .outline import Outline, draw_outline
from .tissues import Found, find_air, find_fat, find_muscle, find_visceral_fat
from .vessels import find_blood

MONOENERGETIC = re.compile(
    r"\d{2,3}\s*kev(?![a-z])|(?<![a-z])mono(?:[ _-]?e(?:nergetic)?|chromatic|[ _-]?\d{2,3})(?![a-z\d])|(?<![a-z])vmi(?![a-z])",
    flags=re.IGNORECASE,
)
"""How headers name images of one energy: "70 keV", "MonoE", "Monoenergetic", "MONO_70", "VMI"; not "monophasic" [R]."""

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
    contrast: str = "caution"
    """``"caution"``: contrast agent widens the interval; ``"correct"``: its usual effect is taken off too; ``"refuse"``."""

    name = "phantomless"

    def __post_init__(self) -> None:
        # Its CHA would be the pure mineral's (1.03 times K2HPO4); everything after it divides by the 1.15 of phantoms in patients.
        if self.mineral != "K2HPO4":
            raise SettingsError(
                f"found mineral {self.mineral!r} for calibration without a phantom, expected 'K2HPO4', the only scale that it gives; "
                "for CHA give the line of a CHA phantom ('fixed') or an image in CHA density ('given')"
            )
        if self.contrast not in POLICIES:
            raise SettingsError(f"found contrast = {self.contrast!r}, expected one of {', '.join(POLICIES)}")
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
        check_beam(scan.acquisition, self.energy_kev)
        # The whole scan, not the slices of the bones: what is asked for must not change the density of any of them.
        outline = draw_outline(scan.image, slice(None))
        energy, energy_spread, cautions = self._beam(scan.acquisition, outline)
        contrast = find_contrast(outline, segmentation, scan.acquisition)
        if contrast is not None and self.contrast == "refuse":
            refuse_contrast(contrast)
        found, missing = _find(outline, segmentation, contrast is not None)
        used, spreads, doubts = judge(found, missing, contrast=contrast is not None, energy=energy)
        if contrast is not None:
            cautions.append(describe(contrast, self.contrast, hu_per_mineral(self.mineral, energy)))
        cautions += doubts
        if len(used) < self.min_tissues:
            raise CalibrationError(
                f"found {len(used)} usable reference tissues ({readings(used) or 'none'}), expected at least {self.min_tissues}; "
                f"{' '.join(doubts)} Give labels of aorta, muscle and fat, or a calibration line with 'fixed'"
            )
        line = fit_references(used, spreads, energy)
        samples = check_line(line, used, spreads, energy)
        cautions += doubt_residuals(samples, spreads) + doubt_agreement(used, spreads, energy, self.mineral)
        if len(used) == 2:
            cautions.append(
                "Only two reference tissues were used: two points always fit a line, so nothing checks it; "
                "the interval of every density was widened by half."
            )
        per_mineral = hu_per_mineral(self.mineral, energy)
        slope, intercept = line.slope / per_mineral, line.offset / per_mineral
        covariance = self._covariance(line, used, spreads, (energy, energy_spread), contrast)
        if contrast is not None and self.contrast == "correct":
            intercept -= contrast.shift / per_mineral
        density = np.asarray(scan.image.array, dtype=np.float32) * np.float32(slope) + np.float32(intercept)
        sentence = (
            f"HU became density without a phantom: {', '.join(item.how for item in used)} gave the line, true HU = {line.slope:.3f} "
            f"HU {line.offset:+.1f}, at an effective energy of {energy:.0f} ± {energy_spread:.0f} keV ({per_mineral:.2f} HU per mg/cm³ of "
            f"{self.mineral}). Standard deviation at {TYPICAL:g} mg/cm³: {spread_at(TYPICAL, slope, intercept, covariance):.0f} mg/cm³."
        )
        agent = () if contrast is None else (contrast_reference(),)
        references = (MICHALSKI_2020, LEE_2017, attenuation_reference(), *_table_references(used), *agent)
        return CalibratedVolume(
            density=scan.image.with_array(density, f"mg/cm3 {self.mineral}"),
            mineral=self.mineral,
            method=self.name,
            slope=slope,
            intercept=intercept,
            covariance=covariance,
            samples=samples,
            step=Step("calibration", sentence, references, tuple(cautions)),
            quantities={"effective_energy_kev": round(energy, 1), **leave_one_out(used, spreads, energy, self.mineral)},
        )

    def _beam(self, acquisition: Acquisition, outline: Outline) -> tuple[float, float, list[str]]:
        """Return effective energy, its spread [keV] and cautions."""
        beam = load_table("phantomless.toml")["beam"]
        if self.energy_kev is not None:
            return self.energy_kev, float(beam["spread_kev"]), []
        water, whole = water_equivalent(outline)
        # A body that the image cuts is at least as large as it looks.
        water = water if whole else max(water, float(beam["usual_water_cm"]))
        kvp = acquisition.kvp
        energy, spread = effective_energy(kvp, water)
        cautions = []
        if kvp is None:
            low_k, high_k = (hu_per_mineral(self.mineral, effective_energy(other, water)[0]) for other in (100.0, 140.0))
            default = hu_per_mineral(self.mineral, energy)
            cautions.append(
                "The tube voltage is unknown and was taken as 120 kV: at 100 kV every density would be "
                f"{100 * (1 - default / low_k):.0f} % lower, at 140 kV {100 * (default / high_k - 1):.0f} % higher."
            )
        return energy, spread, cautions

    def _covariance(
        self, line: Line, used: Sequence[Found], spreads: Sequence[float], beam: tuple[float, float], contrast: Contrast | None
    ) -> Float[Array, "2 2"]:
        """Return the covariance of (slope, intercept): line, energy, contrast, and never surer than real scans allow."""
        energy, energy_spread = beam
        per_mineral = hu_per_mineral(self.mineral, energy)
        total = line.covariance / per_mineral**2
        ends = []
        for shifted in (max(energy - energy_spread, 40.0), min(energy + energy_spread, 150.0)):
            other = fit_references(used, spreads, shifted)
            ends.append(np.array([other.slope, other.offset]) / hu_per_mineral(self.mineral, shifted))
        half = (ends[1] - ends[0]) / 2.0
        total = total + np.outer(half, half)
        table = load_table("phantomless.toml")
        total[0, 0] += (float(table["beam"]["hardening"]) * line.slope / per_mineral) ** 2
        least = float(table["scatter"]["sd_mg_cm3"])
        least *= float(table["scatter"]["two_tissue_factor"]) if len(used) == 2 else 1.0
        slope, intercept = line.slope / per_mineral, line.offset / per_mineral
        total[1, 1] += max(0.0, least**2 - spread_at(TYPICAL, slope, intercept, total) ** 2)
        # The scatter of real scans was measured without contrast agent: its effect comes on top.
        if contrast is not None:
            left = 0.0 if self.contrast == "correct" else contrast.shift
            total[1, 1] += (left**2 + contrast.shift_sd**2) / per_mineral**2
        return np.asarray(total)


def check_beam(acquisition: Acquisition, energy_kev: float | None) -> None:
    """Refuse a scan whose beam is not known, before any work on it.

    Raises
    ------
    CalibrationError
        A monoenergetic image without its energy, or a tube voltage that no CT has.
    """
    if energy_kev is not None:
        return
    words = " ".join((acquisition.series_description or "", *acquisition.image_type))
    mono = MONOENERGETIC.search(words)
    if mono:
        raise CalibrationError(
            f"found a monoenergetic image ({mono.group(0)!r} in its description), expected a tube voltage; "
            "give its energy (energy_kev in the protocol's [calibration]) or use the conventional series"
        )
    kvp, (low, high) = acquisition.kvp, load_table("phantomless.toml")["beam"]["allowed_kvp"]
    if kvp is not None and not low <= kvp <= high:
        raise CalibrationError(
            f"found a tube voltage of {kvp:g} kV, expected {low:g} to {high:g} for CT; check the header or give energy_kev in the "
            "protocol's [calibration]"
        )


def _find(outline: Outline, segmentation: Segmentation, contrast: bool) -> tuple[dict[str, Found], dict[str, str]]:
    drawn = segmentation.tissues
    results = {
        "air": find_air(outline),
        "fat": find_fat(outline, drawn.get("fat")),
        "visceral fat": find_visceral_fat(outline),
        "muscle": find_muscle(outline, drawn.get("muscle"), contrast=contrast),
        "blood": find_blood(outline, drawn.get("aorta")),
    }
    found = {name: result for name, result in results.items() if isinstance(result, Found)}
    return found, {name: result for name, result in results.items() if isinstance(result, str)}


def _table_references(used: Sequence[Found]) -> tuple[Reference, ...]:
    table, tissues = load_table("phantomless.toml"), load_tissues()
    unique = {tissues[item.name].reference: None for item in used if item.name != "air"}
    beam = Reference(f"Effective energy by tube voltage and body: {load_table('effective_energy.toml')['source']}", "computed")
    return (*unique, beam, Reference(table["scatter"]["source"], "computed"))
