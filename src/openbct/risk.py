"""Probability of a hip fracture from femoral strength, by published evidence alone; no imitation of any risk calculator.

    h(age, S) = h0(age, sex) x HR ** z / exp((ln HR)**2 / 2)        z = (mean(age, sex) - S) / SD
    P(n years) = 1 - exp(-sum h);   with competing mortality: sum of h x (chance to be alive and unbroken)

h0 is the incidence of a population, HR the hazard ratio for a strength lower by one standard deviation; the divisor keeps the population's
mean at h0 where strengths are normally distributed. Mean and SD are those of this very recipe, from a reference file; without one there is
no number, because newtons of one recipe are not another's. The interval holds HR's, the strength's and the incidence's uncertainty, added in
the square on the logarithm of the hazard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .incidence import Incidence, hip_fracture_data, packaged_incidence
from .records import Assessment, BoneResult, HipFractureRisk, Mark, Patient, Reference
from .strength_reference import StrengthNorm, StrengthReference

YEARS = (1, 5, 10)
FARTHEST = 3.0
"""Standard deviations from the mean, beyond which no cohort speaks [design]."""
OLDEST = 100.0
"""Years up to which an incidence is carried on [design]."""
SEEN: tuple[Mark, ...] = ("seen",)
SEEN_OR_CODE: tuple[Mark, ...] = ("seen", "code")
SAME_FOR_ALL = ("model", "solver")
"""Sources of a strength's uncertainty that its cohort shares with it: the recipe's."""
NOT_FRAX = "It is a population's incidence moved by strength alone, no FRAX: no other risk factor, no fracture before and no treatment is in it."


@dataclass(frozen=True)
class RiskStandards:
    """What a probability is made with."""

    incidence: Incidence = field(default_factory=packaged_incidence)
    competing: bool = False


@dataclass(frozen=True)
class HazardPerSd:
    """How strength and hip fractures go together in one sex."""

    value: float
    low: float
    high: float
    youngest: float
    """Of the cohort [years]."""
    reference: Reference

    @property
    def log_sd(self) -> float:
        """One standard deviation of the logarithm of the ratio."""
        return math.log(self.high / self.low) / (2 * 1.96)


def hazard_per_sd(sex: str) -> HazardPerSd:
    """Return the hazard ratio for a femoral strength lower by one standard deviation (FOCUS)."""
    row = hip_fracture_data()["per_sd"]
    value, low, high = row[sex]
    return HazardPerSd(value, low, high, row["youngest_years"], _reference(row))


def with_hip_fracture(
    assessment: Assessment,
    patient: Patient,
    bones: Sequence[BoneResult],
    reference: StrengthReference | None,
    standards: RiskStandards,
) -> Assessment:
    """Return the assessment with what the weaker femur's strength says; as it is where no femur was tested in a fall."""
    tested = [bone for bone in bones if bone.bone.startswith("femur") and bone.strength is not None and bone.status != "refused"]
    falls = [bone for bone in tested if bone.strength is not None and bone.strength.scale != "none"]
    if not falls:
        return assessment
    weaker = min(falls, key=lambda bone: bone.strength.strength if bone.strength else math.inf)
    risk, references = hip_fracture(weaker, patient, reference, standards)
    said = "Strength was set beside hip fractures by published evidence." if risk.withheld else _sentence(risk, standards)
    step = replace(
        assessment.step,
        sentence=f"{assessment.step.sentence} {said}",
        references=tuple(dict.fromkeys((*assessment.step.references, *references))),
    )
    return replace(assessment, hip_fracture=risk, step=step)


def hip_fracture(
    bone: BoneResult, patient: Patient, reference: StrengthReference | None, standards: RiskStandards
) -> tuple[HipFractureRisk, tuple[Reference, ...]]:
    """Return what a femur's strength says of a hip fracture, and the sources."""
    strength = bone.strength
    assert strength is not None
    doubling = hip_fracture_data()["doubling"]
    statement = (
        f"In published cohorts, whole-bone strength lower by {doubling['percent']:g} % went with twice the probability of a hip fracture, by one method of "
        "computing strength."
    )
    references = [_reference(doubling)]
    if patient.sex in ("F", "M"):
        per_sd = hazard_per_sd(patient.sex)
        people = "women" if patient.sex == "F" else "men"
        statement += (
            f" In {people} of {per_sd.youngest:g} years and over, a femoral strength lower by one standard deviation went with {per_sd.value:g} times the "
            f"hazard (95 %: {per_sd.low:g} to {per_sd.high:g})."
        )
        references.append(per_sd.reference)
    withheld = _withheld(strength.scale, strength.strength, patient, reference, standards)
    if withheld:
        return HipFractureRisk(bone.bone, statement, withheld), tuple(references)
    assert patient.sex in ("F", "M") and patient.age is not None and reference is not None
    norm = reference.norm_for("femur", patient.sex)
    assert norm is not None
    per_sd = hazard_per_sd(patient.sex)
    z = (norm.mean(patient.age) - strength.strength) / norm.sd_n
    log_ratio = z * math.log(per_sd.value) - math.log(per_sd.value) ** 2 / 2
    spread = math.hypot((z - math.log(per_sd.value)) * per_sd.log_sd, math.log(per_sd.value) * _own_sd(bone) / norm.sd_n)
    population, sex, age = standards.incidence, patient.sex, patient.age
    whole = math.hypot(spread, population.relative_sd(sex, age))
    values = {
        years: tuple(
            _probability(population, sex, age, years, math.exp(log_ratio + step * whole), competing=standards.competing)
            for step in (0, -1.96, 1.96)
        )
        for years in YEARS
    }
    ratio = tuple(math.exp(log_ratio + step * spread) for step in (0.0, -1.96, 1.96))
    references.append(population.fractures.reference)
    if standards.competing and population.mortality is not None:
        references.append(population.mortality.reference)
    risk = HipFractureRisk(
        bone.bone, statement, (), -z, ratio, values, population.population, standards.competing,  # type: ignore[arg-type]
    )  # fmt: skip
    return risk, tuple(references)


def _withheld(
    scale: str, newtons: float, patient: Patient, reference: StrengthReference | None, standards: RiskStandards
) -> tuple[str, ...]:
    """Return every reason for which no probability may be given."""
    reasons = []
    norm: StrengthNorm | None = reference.norm_for("femur", patient.sex) if reference is not None else None
    if scale != "mapped" or reference is None:
        reasons.append(
            "No probability is given: this recipe's strengths are provisional, and no reference file says what people of that age and sex "
            "have in it."
        )
    elif norm is None:
        reasons.append("No probability is given: the reference file holds no strength over age of that sex.")
    if patient.sex not in ("F", "M") or patient.age is None:
        reasons.append("No probability is given: sex or age is not known.")
    else:
        reasons += _beyond(newtons, patient.sex, patient.age, norm, standards)
    fractures = standards.incidence.fractures.reference
    if fractures.mark not in SEEN:
        reasons.append("No probability is given: the table of incidence has no source that was seen.")
    mortality = standards.incidence.mortality
    if standards.competing and (mortality is None or mortality.reference.mark not in SEEN_OR_CODE):
        reasons.append(
            "No probability is given: competing mortality was asked for, and the table holds none from a source that was seen."
        )
    return tuple(reasons)


def _beyond(newtons: float, sex: str, age: float, norm: StrengthNorm | None, standards: RiskStandards) -> list[str]:
    """Return why a person lies outside what the sources hold."""
    per_sd, reasons = hazard_per_sd(sex), []
    if per_sd.reference.mark not in SEEN:
        reasons.append("No probability is given: the hazard ratio has no source that was seen.")
    if age < per_sd.youngest:
        reasons.append(f"No probability is given: the hazard ratio is of people of {per_sd.youngest:g} years and over.")
    if age < standards.incidence.fractures.ages[0] or age + YEARS[-1] > OLDEST:
        reasons.append("No probability is given: the table of incidence does not hold that age.")
    if norm is not None and not norm.youngest <= age <= norm.oldest:
        reasons.append(f"No probability is given: the reference's people are {norm.youngest:.0f} to {norm.oldest:.0f} years old.")
    elif norm is not None and abs(norm.mean(age) - newtons) > FARTHEST * norm.sd_n:
        reasons.append(
            f"No probability is given: the strength lies more than {FARTHEST:g} standard deviations from the mean of people of that age."
        )
    return reasons


def _own_sd(bone: BoneResult) -> float:
    """Return one standard deviation of a strength against other people's by the same recipe [N]: what all of them share cancels."""
    budget = bone.budgets.get("strength")
    if budget is None:
        return bone.strength.uncertainty or 0.0 if bone.strength else 0.0
    return math.sqrt(sum((part.own_sd if part.source in SAME_FOR_ALL else part.sd) ** 2 for part in budget.parts))


def _probability(population: Incidence, sex: str, age: float, years: int, ratio: float, *, competing: bool) -> float:
    """Return the probability of a hip fracture within whole years."""
    free, broken = 1.0, 0.0
    for year in range(years):
        chance = 1.0 - math.exp(-population.rate(sex, age + year) * ratio)
        broken += free * chance
        free *= (1.0 - chance) * (1.0 - population.dying(sex, age + year) if competing else 1.0)
    return broken


def _sentence(risk: HipFractureRisk, standards: RiskStandards) -> str:
    death = ", with death by any cause as the other end" if standards.competing else ", as if nobody died of anything else"
    return (
        f"The probability of a hip fracture is the incidence among {risk.population}, moved by the hazard ratio for each standard deviation of strength below "
        f"the mean of that age and sex in the reference file{death}. {NOT_FRAX}"
    )


def _reference(row: Mapping[str, Any]) -> Reference:
    return Reference(row["source"], row["mark"])
