"""What the numbers mean: findings, norms, risk, and the fractures that heights speak for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float

from .origin import Array, Reference, Step


@dataclass(frozen=True)
class Finding:
    """One quantity beside its thresholds."""

    quantity: str
    bone: str
    value: float
    unit: str
    t_score: float | None
    category: str | None
    """``"osteoporosis"``, ``"low bone mass"``, ``"normal"``, or of strength ``"fragile bone strength"`` ...; ``None`` where none may be given."""
    against: str
    """The thresholds in words, or why there is no class."""
    thresholds: tuple[float, ...]
    """Rising, in ``unit`` (or in T where ``t_score`` decides)."""
    reference: Reference
    t_score_sd: float | None = None
    """One standard deviation of ``t_score``; ``None`` where the calibration does not know its own."""
    z_score: float | None = None
    """Against people of that age, sex and population; ``None`` where no seen table holds them or none was asked for."""
    interval: tuple[float, float] | None = None
    """95 %, in ``unit``; ``None`` where unknown."""
    chances: Mapping[str, float] = field(default_factory=dict)
    """Of each class, were the true number normally distributed about ``value``; empty without a class or an interval."""


@dataclass(frozen=True)
class AgeCurve:
    """A published density over age in one sex and one population, and the patient on it."""

    quantity: str
    """``"trabecular_vbmd"`` of the lumbar spine, ``"femoral_neck_abmd"``, ``"total_hip_abmd"``."""
    unit: str
    population: str
    ages: tuple[float, ...]
    """Middles of the age groups [years]."""
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    """Of people of that age [``unit``]."""
    point: tuple[float, float]
    """The patient's age and value."""
    interval: tuple[float, float] | None
    """95 % of the value."""
    reference: Reference


@dataclass(frozen=True)
class HipFractureRisk:
    """What the weaker femur's strength says of a hip fracture; numbers only where every input of theirs has a seen source."""

    bone: str
    statement: str
    """What the sources say of strength and fractures, whatever else is known."""
    withheld: tuple[str, ...]
    """Why no probability is given, in sentences; empty where there are ``probabilities``."""
    deviations: float | None = None
    """How far the strength lies above the mean of people of that age and sex, in their standard deviations."""
    hazard_ratio: tuple[float, float, float] | None = None
    """Against the mean hazard of people of that age and sex, with its 95 % interval."""
    probabilities: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    """By years, 1, 5 and 10: probability of a hip fracture with its 95 % interval [-]."""
    population: str = ""
    competing: bool = False
    """Whether death by any cause takes part."""


@dataclass(frozen=True)
class Assessment:
    """What the numbers mean for this patient."""

    findings: tuple[Finding, ...]
    category: str | None
    """The BMD class of the case; ``None`` where none may be given."""
    reason: str
    """Why that class, or why none."""
    load: float | None
    """Impact force of a sideways fall [N]."""
    load_to_strength: Mapping[str, float]
    """By femur; empty where load or strength is unknown."""
    step: Step
    risk: str | None = None
    """``"high"``, ``"increased"``, ``"not increased"``: the combined class of all that has a class; ``None`` where nothing has."""
    risk_reason: str = ""
    hip_loads: Mapping[str, float] = field(default_factory=dict)
    """By femur: ``load`` less what the soft tissue over that hip takes off it [N]; a hip whose soft tissue is not seen is left out."""
    spine_loads: Mapping[str, float] = field(default_factory=dict)
    """Illustrative compression of L3 by task [N]."""
    beside_dxa: tuple[str, ...] = ()
    """What CT and DXA say of each other, in sentences."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Spinal levels that stand for nothing in density and strength of the spine, with the reason."""
    hip_fracture: HipFractureRisk | None = None
    """``None``: no femur was tested in a fall."""
    chances: Mapping[str, float] = field(default_factory=dict)
    """Of each BMD class; empty where ``category`` is ``None`` or an interval is not known."""
    ratio_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % of ``load_to_strength``, from the strength alone: a fall's force has none."""
    curves: tuple[AgeCurve, ...] = ()
    """Published ones of the patient's sex; empty where age or sex is not known, or no seen table holds them."""


@dataclass(frozen=True)
class VertebraGrade:
    """One vertebra's heights beside what they were before, and the fracture that they speak for."""

    level: str
    heights: Mapping[str, float]
    """``"anterior"``, ``"middle"``, ``"posterior"`` [mm]."""
    expected: Mapping[str, float]
    """The same without a fracture, from the level and this person's other vertebrae [mm]."""
    ratios: Mapping[str, float]
    """``"anterior_posterior"``, ``"middle_posterior"``, ``"posterior_above"``, ``"posterior_below"``, ``"posterior_expected"`` [-]."""
    losses: Mapping[str, float]
    """One less height over expected height, at each of the three [-]; negative where it is higher."""
    loss: float
    """The greatest of them [-]."""
    loss_sd: float
    """One standard deviation: voxels, and how much sound vertebrae differ [-]."""
    grade: int
    """Genant's: 0 none, 1 mild (possible, to be confirmed), 2 moderate, 3 severe."""
    shape: Literal["wedge", "biconcave", "crush"] | None
    """``None`` with grade 0."""
    chances: tuple[float, float, float, float]
    """Of the grades 0 to 3, were the true loss normally distributed about ``loss`` [-]."""
    points: Mapping[str, Float[Array, "3"]]
    """Ends of the three heights: ``"superior_anterior"`` ... ``"inferior_posterior"``, patient LPS [mm]."""
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class FractureAssessment:
    """Every vertebra of the scan, looked at for fractures."""

    vertebrae: tuple[VertebraGrade, ...]
    """From the head down."""
    ungraded: Mapping[str, str]
    """Levels in the image that could not be graded, with the reason."""
    left_out: Mapping[str, str]
    """Levels whose density and strength do not stand for the spine because they are fractured, with the reason."""
    index: float | None
    """Spinal fracture index: mean grade [-]; ``None`` where nothing was graded."""
    step: Step
