"""One bone on its way to a number: region, specimen, model, test, measures, and how sure each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float

from ..volume import Affine, Volume
from .origin import Array, Mineral, Reference, Step


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
    """One standard deviation [N], of modelling choices and calibration, within the newtons of the protocol; ``None``: not known for it, or the
    calibration's part is not."""
    stress: Float[Array, "i j k"] | None = None
    """Von Mises stress of each element's mean stress at the strength, in half precision; 0 outside the bone [MPa]. ``None``: not kept."""


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

    @property
    def known_sd(self) -> float | None:
        """``sd``; ``None`` where the calibration's part is not known: without it any interval would be far too narrow."""
        return None if "calibration" in self.unknown else self.sd


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
