"""Every record that flows through OpenBCT, and every plug-in type: reading this page is reading the architecture.

::

    Scan ──segmenter──▶ Segmentation ──calibrator(scan, segmentation)──▶ CalibratedVolume
      both:      quality ▶ Examination, which may refuse a bone
      per bone:  anatomy ▶ BoneRegion ──loadcase.mount──▶ Specimen ──femodel(law, loadcase)──▶ FEModel
                 strength(fe.solve) ▶ StrengthResult;  measures ▶ BoneMeasures
      then:      fractures ▶ FractureAssessment;  assessment ▶ Assessment;  Case = all of these;  report ▶ pages

A record is frozen, has no behaviour, and its arrays are read-only by convention. A stage is a pure function from record
to record. ``step`` has no default: a stage that does not say what it did cannot build its record. Units are mm, N, MPa,
HU and mg/cm³ unless a field's name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from .volume import Affine, Volume

Array = np.ndarray
Mark = Literal["seen", "code", "computed", "recalled", "design"]
"""How sure we are of a fact: seen in the source's own text; seen as a constant in public code; computed by us from such;
recalled from the literature, text not seen; our own design choice."""
Mineral = Literal["K2HPO4", "CHA"]
"""Mineral in whose equivalent an image density is expressed."""
DensityKind = Literal["K2HPO4", "CHA", "ash", "apparent"]
"""What a density means; a law says which it needs."""
Status = Literal["ok", "caution", "refused"]


@dataclass(frozen=True)
class Reference:
    """A source, and how sure we are of what we took from it."""

    text: str
    """Authors, journal, volume:page (year)."""
    mark: Mark


@dataclass(frozen=True)
class Step:
    """What a stage did: one piece of the Methods paragraph."""

    stage: str
    sentence: str
    references: tuple[Reference, ...] = ()
    cautions: tuple[str, ...] = ()
    """Doubts that go with the result into the report, each a full sentence with its number and its effect."""


@dataclass(frozen=True)
class Patient:
    """Who was scanned; every field may be unknown."""

    name: str | None = None
    identifier: str | None = None
    birth_date: str | None = None
    """ISO date."""
    sex: Literal["F", "M"] | None = None
    age: float | None = None
    """At the scan [years]."""
    height_cm: float | None = None
    weight_kg: float | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    """Field name to where it came from: ``"image header"`` or ``"user"``."""
    dxa_t: Mapping[str, float] = field(default_factory=dict)
    """T-scores of a DXA: ``"femoral_neck"``, ``"total_hip"``, ``"lumbar_spine"``."""


SIMULATOR = ("OpenBCT", "Simulator")
"""Manufacturer and model that our own simulated scans name."""


@dataclass(frozen=True)
class Acquisition:
    """How the scan was made, in DICOM's words; every field may be unknown."""

    kvp: float | None = None
    kernel: str | None = None
    slice_thickness: float | None = None
    """[mm]"""
    manufacturer: str | None = None
    model: str | None = None
    contrast: str | None = None
    """Contrast agent or phase as the header names it; ``None`` says that the header is silent."""
    study_date: str | None = None
    """ISO date."""
    image_type: tuple[str, ...] = ()
    series_description: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    frame_of_reference_uid: str | None = None
    accession_number: str | None = None
    referring_physician: str | None = None

    @property
    def simulated(self) -> bool:
        """Made by our own simulator, as its header says."""
        return (self.manufacturer, self.model) == SIMULATOR


@dataclass(frozen=True)
class Gap:
    """A slab of the image without data: planes are absent there, and what stands in their place was interpolated."""

    normal: Float[Array, "3"]
    """Unit vector across the slab, patient LPS."""
    lower: float
    upper: float
    """Where along the normal the last plane before the slab and the first after it lie [mm]."""


@dataclass(frozen=True)
class Scan:
    """A CT image in canonical orientation, with what its header knows."""

    image: Volume
    """[HU]; or [mg/cm3 ...] where an already calibrated image was given."""
    patient: Patient
    acquisition: Acquisition
    source: str
    """What was read: ``"DICOM series of 120 slices"``; no path, no name."""
    digest: str
    """SHA-256 over the pixel data and the affine."""
    step: Step
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class LabelMap:
    """Structures drawn by a segmenter or a person, in one naming."""

    volume: Volume
    """Integers; 0 is background."""
    names: Mapping[int, str]
    """Integer to structure: ``"vertebrae_L1"``, ``"vertebral_body_L1"``, ``"femur_left"`` ... as in TotalSegmentator."""
    source: str
    digest: str = ""
    """SHA-256 over the labels, their names and the affine; empty where they were not read from a file."""
    cautions: tuple[str, ...] = ()
    """What was doubtful in reading them."""
    moved: bool = False
    """They were drawn on another grid and brought onto the scan's."""


@dataclass(frozen=True)
class BoneMask:
    """One bone found in the scan."""

    bone: str
    """``"C1"`` ... ``"L5"``, ``"femur_left"``, ``"femur_right"``."""
    mask: Volume
    """Boolean, a sub-box of the scan's own voxels."""
    part: Literal["body", "whole"]
    """A vertebral body, or the whole bone."""
    confidence: float
    """0 to 1: how far the mask can be trusted."""
    touches_edge: bool
    """The bone is cut by the border of the image."""
    pads: tuple[Volume, Volume] | None = None
    """Cement drawn with a vertebra, inferior and superior: boolean sub-boxes of the scan."""


@dataclass(frozen=True)
class Segmentation:
    """Where the bones and the reference tissues are."""

    bones: Mapping[str, BoneMask]
    tissues: Mapping[str, Volume]
    """``"aorta"``, ``"muscle"`` ... boolean sub-boxes of the scan, for calibration."""
    step: Step
    absent: Mapping[str, str] = field(default_factory=dict)
    """Bones that were asked for, or are expected, and are not there, with the reason in plain words."""
    inputs: tuple[tuple[str, str], ...] = ()
    """What the bones were taken from, beside the scan: a source in words and its SHA-256."""
    others: Mapping[str, BoneMask] = field(default_factory=dict)
    """Whole vertebrae that nobody asked for: looked at for fractures, neither measured nor loaded."""


@dataclass(frozen=True)
class Check:
    """One rule on how a scan was made, as it turned out; the rules stand in ``data/acquisition.toml``."""

    rule: str
    outcome: Status
    bone: str | None
    """``None``: the scan as a whole."""
    value: float
    """What was measured, in ``unit``."""
    unit: str
    sentence: str
    """What was found and what it does; empty where all is well."""


@dataclass(frozen=True)
class Examination:
    """What the image itself says of how it was made."""

    checks: tuple[Check, ...]
    step: Step
    """With the cautions of the scan as a whole."""
    bones: Mapping[str, Step]
    """With the cautions of each bone."""
    refused: Mapping[str, str]
    """Bones that must not be assessed in this image, with the reason."""


@dataclass(frozen=True)
class ReferenceSample:
    """One reference (tissue or rod) as measured in the scan."""

    name: str
    mean: float
    """[HU]"""
    deviation: float
    """Standard deviation of the voxels [HU]."""
    n_voxels: int
    expected: float
    """What the fit aims at, in ``unit``."""
    residual: float
    """Measured less fitted, in ``unit``."""
    unit: str
    """``"HU"``, or that of the density: ``"mg/cm3 K2HPO4"`` ..."""
    where: Volume | None = None
    """Boolean sub-box of the scan: where it was sampled."""


@dataclass(frozen=True)
class CalibratedVolume:
    """The scan in mineral density: ``density = slope * HU + intercept``."""

    density: Volume
    """[mg/cm3] of ``mineral`` equivalent; the unit string names it."""
    mineral: Mineral
    method: str
    slope: float
    """[mg/cm3 per HU]"""
    intercept: float
    """[mg/cm3]"""
    covariance: Float[Array, "2 2"]
    """Of (slope, intercept)."""
    samples: tuple[ReferenceSample, ...]
    step: Step
    quantities: Mapping[str, float] = field(default_factory=dict)
    """What the method says of itself: ``"r_squared"``, ``"slope_drift_percent"`` ..."""


@dataclass(frozen=True)
class Frame:
    """An orthonormal right-handed frame in the patient."""

    origin: Float[Array, "3"]
    """Patient LPS [mm]."""
    axes: Float[Array, "3 3"]
    """Columns: the frame's x, y, z as unit vectors in patient LPS."""


@dataclass(frozen=True)
class BoneRegion:
    """One bone with its density, its frame and its landmarks, ready for mounting and measuring."""

    bone: str
    kind: Literal["vertebra", "femur"]
    side: Literal["left", "right"] | None
    density: Volume
    """[mg/cm3], a sub-box of the scan with a margin around the bone."""
    mask: Volume
    """Boolean, on the grid of ``density``: the vertebral body, or the whole proximal femur."""
    frame: Frame
    """Vertebra: x left, y posterior, z superior (endplate normal), origin at the body centre. Femur: z along the shaft to
    proximal, y posterior, x to the patient's left, origin at the head centre."""
    landmarks: Mapping[str, Float[Array, "3"]]
    """Points in patient LPS [mm]: ``"head_centre"``, ``"neck_centre"``, ``"superior_endplate"`` ..."""
    lengths: Mapping[str, float]
    """[mm], [degrees] where the name says so: ``"height"``, ``"head_radius"``, ``"neck_shaft_angle_deg"`` ..."""
    step: Step
    pads: tuple[Volume, Volume] | None = None
    """As in :class:`BoneMask`, on the grid of ``density``."""


@dataclass(frozen=True)
class Specimen:
    """A bone in the virtual testing machine. Axis 2 is the load axis; voxels are cubes."""

    bone: str
    density: Float[Array, "i j k"]
    """[mg/cm3]; meaningful inside ``mask``."""
    mineral: Mineral
    mask: Bool[Array, "i j k"]
    """Bone."""
    pad: Bool[Array, "i j k"]
    """PMMA; never overlaps ``mask``."""
    spacing: float
    """Voxel edge [mm]."""
    to_patient: Affine
    """Index to patient LPS [mm]; a mirrored specimen has a negative determinant."""
    gauge_length: float
    """Length that apparent strain refers to [mm]: endplate distance, or the span between the outer faces of the pads."""
    step: Step


@dataclass(frozen=True)
class Boundary:
    """What is held, what moves, and where the load is read; displacements are for one millimetre of travel."""

    fixed: Bool[Array, "i1 j1 k1 3"]
    displacement: Float[Array, "i1 j1 k1 3"]
    """[mm] per millimetre of travel, where ``fixed``."""
    loaded: Bool[Array, "i1 j1 k1"]
    """Nodes whose reaction is the load."""
    direction: Float[Array, "3"]
    """Unit vector along which the load is read: positive in compression."""
    description: str
    """One sentence, stored with the result."""
    tilts: bool = False
    """The loaded nodes are the face of a platen that moves by the travel and finds its own tilt; linear tests only."""


@dataclass(frozen=True)
class ElasticSymmetry:
    """Elasticity along the axes of the specimen, as multiples of each element's modulus, which is that along the load [-]."""

    name: str
    youngs: tuple[float, float, float]
    """Along i, j, k."""
    poisson: tuple[float, float, float]
    """Strain along the second axis when the first is pulled: ij, ik, jk."""
    shear: tuple[float, float, float]
    """jk, ik, ij."""
    reference: Reference


@dataclass(frozen=True)
class Pads:
    """Material of the pads."""

    youngs_modulus: float = 2500.0
    """Bone cement, as in public voxel-FE code [MPa] [SC]; its Poisson ratio is that of the bone's law."""
    yield_stress: float | None = None
    """[MPa]; ``None``: elastic."""


@dataclass(frozen=True)
class PostYield:
    """What follows yielding in each element: a plateau, a falling line, a residual stress."""

    plateau: Float[Array, "..."]
    """Strain at which the plateau ends [-]."""
    slope: Float[Array, "..."]
    """Of stress over strain beyond it, negative [MPa]."""
    residual: Float[Array, "..."]
    """Stress below which it does not fall [MPa]."""


@dataclass(frozen=True)
class FEModel:
    """A well-posed problem for the kernel."""

    bone: str
    youngs_modulus: Float[Array, "i j k"]
    """0 where there is no element [MPa]."""
    yield_stress: Float[Array, "i j k"]
    """In compression; infinite where the material stays elastic [MPa]."""
    tension_ratio: float
    """Tensile over compressive yield stress [-]."""
    poisson_ratio: float
    mask: Bool[Array, "i j k"]
    """Elements that are bone."""
    spacing: float
    """[mm]"""
    gauge_length: float
    """[mm]"""
    boundary: Boundary
    to_patient: Affine
    step: Step
    symmetry: ElasticSymmetry | None = None
    """``None``: isotropic."""
    post_yield: PostYield | None = None
    """On the grid; ``None`` where the law gives none."""


@dataclass(frozen=True)
class StrengthResult:
    """How the bone bore the load."""

    bone: str
    strength: float
    """[N], by ``criterion``."""
    stiffness: float
    """[N/mm]"""
    curve: Float[Array, "n 2"]
    """Travel [mm] and force [N], from (0, 0)."""
    criterion: str
    boundary_conditions: str
    quantities: Mapping[str, float]
    """Neighbours of the strength: ``"yield_force_n"``, ``"maximum_force_n"``, ``"linear_estimate_n"`` ..."""
    failed: Float[Array, "i j k"]
    """Equivalent plastic strain of each element at the strength [-]; 0 where elastic or void."""
    displacement: Float[Array, "i1 j1 k1 3"]
    """At the strength, in specimen axes [mm]."""
    mesh: Mapping[str, float]
    """``"n_elements"``, ``"n_nodes"``, ``"n_dof"``, ``"voxel_mm"``."""
    seconds: float
    step: Step
    site: str | None = None
    """Predicted fracture site of a femur: ``"head"``, ``"neck"``, ``"intertrochanteric"``, ``"subtrochanteric"``; ``None``: not said."""
    protocol: str = ""
    """Name and version of the protocol whose newtons these are."""
    scale: str = ""
    """What these newtons can be held against: ``"mapped"`` by a reference file, ``"provisional"`` or ``"none"``."""
    uncertainty: float | None = None
    """One standard deviation [N], of modelling choices and calibration, within the newtons of the protocol; ``None``: not known for it."""


@dataclass(frozen=True)
class ErrorPart:
    """What one source adds to a number's uncertainty; one standard deviation each, in the number's unit."""

    source: Literal["calibration", "edge", "alignment", "model", "solver", "noise"]
    sd: float
    """Of the number by itself."""
    own_sd: float
    """What of it two scans of one patient by one scanner and recipe do not share: the rest cancels in their difference."""


@dataclass(frozen=True)
class ErrorBudget:
    """How sure one number is, by source."""

    value: float
    unit: str
    sd: float
    own_sd: float
    """Root of the sum of squares of the parts, likewise; of a change: that of both scans, added in the square."""
    interval: tuple[float, float]
    """95 %."""
    parts: tuple[ErrorPart, ...]
    unknown: tuple[str, ...] = ()
    """Sources that should be in it and are not known."""


@dataclass(frozen=True)
class Measure:
    """One number taken from the density image."""

    value: float
    unit: str
    region: str
    """Where, in words: ``"ellipse inside the cortex, middle third of the body"``."""
    uncertainty: float | None = None
    """One standard deviation, from the calibration alone, in ``unit``; ``None`` where unknown."""


@dataclass(frozen=True)
class BoneMeasures:
    """Densities and sizes of one bone."""

    bone: str
    values: Mapping[str, Measure]
    """``"trabecular_vbmd"``, ``"integral_vbmd"``, ``"femoral_neck_abmd"``, ``"total_hip_abmd"``, ``"volume"`` ..."""
    regions: Mapping[str, Volume]
    """Boolean sub-boxes of the scan, or projected images, for the pictures."""
    step: Step


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


@dataclass(frozen=True)
class BoneResult:
    """Everything about one bone; what was reached before a refusal is kept."""

    bone: str
    status: Status
    reason: str | None
    """Why it was refused."""
    cautions: tuple[str, ...]
    steps: tuple[Step, ...]
    region: BoneRegion | None = None
    specimen: Specimen | None = None
    model: FEModel | None = None
    strength: StrengthResult | None = None
    measures: BoneMeasures | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by stage [s]."""
    budgets: Mapping[str, ErrorBudget] = field(default_factory=dict)
    """Of measures by their name, of ``"strength"`` and ``"stiffness"``."""
    unfit: str | None = None
    """Why this level's density and strength do not stand for the spine: fractured, fused, cemented; ``None``: they do."""


@dataclass(frozen=True)
class Case:
    """One scan, from image to meaning."""

    scan: Scan
    segmentation: Segmentation
    calibration: CalibratedVolume | None
    bones: tuple[BoneResult, ...]
    assessment: Assessment
    protocol: str
    """Name and version of the protocol."""
    settings: Mapping[str, object]
    """Plain tables, as the protocol file has them: repeats the run."""
    versions: Mapping[str, str]
    seconds: Mapping[str, float]
    """Wall time by stage [s]."""
    cautions: tuple[str, ...] = ()
    """Those of the case as a whole."""
    examination: Examination | None = None
    fractures: FractureAssessment | None = None
    """``None``: no vertebra was looked at."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step in the order in which it was done; those that say the same are one, with the cautions of all."""
        collected = [self.scan.step, self.segmentation.step]
        collected += [self.examination.step] if self.examination else []
        collected += [self.calibration.step] if self.calibration else []
        for bone in self.bones:
            collected += bone.steps
        collected += [self.fractures.step] if self.fractures else []
        collected.append(self.assessment.step)
        unique: dict[str, Step] = {}
        for step in collected:
            known = unique.get(step.sentence)
            cautions = (*known.cautions, *(c for c in step.cautions if c not in known.cautions)) if known else step.cautions
            unique[step.sentence] = replace(step, cautions=cautions)
        return tuple(unique.values())


# Plug-in types -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MaterialLaw:
    """A published relation from density to stiffness and strength; densities in g/cm³, results in MPa."""

    name: str
    density: DensityKind
    """The kind that the paper used; images are converted to it."""
    youngs_modulus: Callable[[Float[Array, "..."]], Float[Array, "..."]]
    yield_stress: Callable[[Float[Array, "..."]], Float[Array, "..."]] | None
    """In compression; ``None``: the source gives none, and the law serves linear tests alone."""
    clip: tuple[float, float]
    """Densities are clipped to this range before the law [g/cm³]; the clipped fractions are reported."""
    valid: tuple[float, float]
    """Range that the paper fitted [g/cm³]; outside: a caution with the fraction."""
    reference: Reference
    check: tuple[float, float, float | None]
    """Density [g/cm³], modulus [MPa] and yield stress [MPa] of one point worked out by hand from the printed formula."""
    poisson_ratio: float = 0.3
    tension_ratio: float = 1.0
    """Tensile over compressive yield stress."""
    tissue: bool = False
    """The law is that of the tissue itself, not of a volume with marrow in it: for images that resolve trabeculae."""
    post_yield: Callable[[Float[Array, "..."], float], PostYield] | None = None
    """What follows yielding in voxels of an edge [mm]; ``None``: the source gives nothing, or we leave it out."""


@runtime_checkable
class Segmenter(Protocol):
    """Finds bones in a scan."""

    def __call__(self, scan: Scan) -> Segmentation:
        """Return the bones and reference tissues of a scan."""
        ...


@runtime_checkable
class Calibrator(Protocol):
    """Turns HU into mineral density; labels may help it."""

    def __call__(self, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        """Return the scan in mineral density."""
        ...


@runtime_checkable
class LoadCase(Protocol):
    """Mounts a bone and says what is held and what moves."""

    @property
    def name(self) -> str:
        """Key in settings and results."""
        ...

    def mount(self, region: BoneRegion) -> Specimen:
        """Return the bone in the testing machine, with its pads."""
        ...

    def constrain(self, specimen: Specimen) -> Boundary:
        """Return what is held, what moves and where the load is read."""
        ...
