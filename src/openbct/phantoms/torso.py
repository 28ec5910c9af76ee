"""A simulated CT of a torso, from the eleventh thoracic vertebra to below the lesser trochanters, with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Integer

from ..errors import SettingsError
from ..records import LabelMap, Patient, Scan, Step
from ..volume import Volume, to_patient
from .beam import scanner_beam
from .body import BodyShape, check_body
from .canvas import Bone, BoneField, Canvas, empty
from .column import LEVELS, Placed, column, levels_of
from .contrast import PHASES
from .femur import FemurShape, femur, femur_frame
from .implants import paint_implants
from .labels import BODY_LABELS, LABELS
from .organs import paint_column_surroundings, paint_joints, paint_organs, paint_vessels
from .pelvis import PelvisShape, hip_bone, sacrum
from .ribs import rib
from .rods import CalibrationPhantom, paint_slab, slab_height, slab_rods
from .scanner import ScannerSettings, check_scanner, expose
from .shapes import Coordinates
from .simulated import SimulatedScan, record
from .softtissue import paint_body, paint_table
from .spine import VertebraShape, disc_distance, vertebra

Array = np.ndarray
Side = Literal["left", "right"]

PATIENT = Patient(
    name="Simulated^Patient", identifier="OPENBCT-SIM-0001", sex="F", age=72.0, height_cm=160.0, weight_kg=62.0,
    sources=MappingProxyType(dict.fromkeys(("name", "identifier", "sex", "age", "height_cm", "weight_kg"), "simulation")),
)  # fmt: skip

MOST_VOXELS = 200e6
"""Largest image: about 5 GB while it is painted, 24 bytes for each voxel [C]."""


RAY_PIXEL, RAY_SLICE = 3.0, 5.0
"""Voxels that rays are traced through [mm]: hardening, scatter and the strength of noise vary over centimetres [D]."""
RAY_FIELD, RAY_CENTRE = 540.0, 10.0
"""The scanner's field [mm] and the height of its axis of rotation."""


@dataclass(frozen=True)
class TorsoSettings:
    """What is simulated; lengths in mm, densities in mg/cm³ as an ideal K2HPO4 calibration reads them."""

    spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)
    field_of_view: float = 400.0
    """Edge of the square image."""
    centre: tuple[float, float] = (0.0, 10.0)
    """Of the image in the plane; x = 0 is the midline, y = 0 the height of the femoral heads."""
    bottom: float = -118.0
    """Lowest slice; z = 0 is at the femoral heads."""
    top: float = 336.0
    """Highest slice: cuts T11, leaves T12 whole."""
    trabecular_density: float = 95.0
    """Of L1."""
    level_densities: Mapping[str, float] = field(default_factory=dict)
    """Of single levels, overriding ``trabecular_density``: ``{"L3": 40.0}``."""
    body: BodyShape = field(default_factory=BodyShape)
    """Size, fat, spine, agents and metal. Lengths of the shapes below, cortices too, are multiplied by its size."""
    vertebra: VertebraShape = field(default_factory=VertebraShape)
    """Cortex, waist and texture of every vertebra; sizes come from the column."""
    femur_left: FemurShape = field(default_factory=FemurShape)
    femur_right: FemurShape = field(default_factory=lambda: FemurShape(seed=3))
    pelvis: PelvisShape = field(default_factory=PelvisShape)
    shaft_tilt_deg: float = 6.0
    """Lean of the femoral shafts towards the midline [degrees]."""
    scanner: ScannerSettings = field(default_factory=ScannerSettings)
    calibration: CalibrationPhantom | None = None
    """Under the back."""
    patient: Patient = PATIENT
    seed: int = 0
    """Of bowel and noise."""


def simulate_torso(settings: TorsoSettings | None = None) -> SimulatedScan:
    """Return a simulated CT of a torso with its true labels, densities and landmarks.

    The same settings give the same scan. Bones without a share in the image are left out.

    Raises
    ------
    SettingsError
        A voxel edge, field of view or range of slices that cannot be an image.
    """
    chosen = settings if settings is not None else TorsoSettings()
    size, landmarks = chosen.body.size, dict[str, Array]()
    canvas = _blank(chosen)
    bodies = _paint(canvas, chosen, landmarks)
    canvas, around = _true_size(canvas, size), None
    if chosen.scanner.traced:
        coarse = _blank(_around(chosen))
        _paint(coarse, chosen, {})
        around = _true_size(coarse, size)
    image = expose(canvas, replace(chosen.scanner, seed=chosen.scanner.seed + 7919 * chosen.seed), around)
    return _scan(canvas, chosen, image, bodies, {name: size * point for name, point in landmarks.items()})


def _paint(canvas: Canvas, settings: TorsoSettings, landmarks: dict[str, Array]) -> Integer[Array, "i j k"]:
    """Paint the whole body, from outside to inside, and return the integers of the vertebral bodies."""
    body = settings.body
    phase = PHASES[body.phase]
    levels = column(body.fractures, cobb_deg=body.cobb_deg, breadth=body.breadth, lumbar=body.lumbar)
    back, phantom = body.girth.back, settings.calibration
    paint_table(canvas, back + (slab_height(phantom) / body.size if phantom else 0.0))
    if phantom is not None:
        paint_slab(canvas, phantom, back, true_size=body.size)
    paint_body(canvas, body.girth, phase.get("muscle", 0.0))
    paint_organs(canvas, settings.seed, phase)
    paint_vessels(canvas, levels, phase, plaque=body.plaque)
    paint_column_surroundings(canvas, levels, body.fractures)
    _paint_fusions(canvas, settings, levels)
    _paint_hips(canvas, settings, landmarks)
    bodies = _paint_spine(canvas, settings, levels, landmarks)
    paint_implants(canvas, body.implants, levels, landmarks, body.fractures)
    return bodies


def _true_size(canvas: Canvas, size: float) -> Canvas:
    """Return a canvas that was painted in the drawn body's coordinates in those of the patient."""
    return replace(canvas, affine=np.diag([size, size, size, 1.0]) @ canvas.affine)


def _around(settings: TorsoSettings) -> TorsoSettings:
    """Return the same body in the scanner's whole field, on the coarse voxels that rays are traced through."""
    step = max(RAY_SLICE, settings.spacing[2])
    half = step / 2
    return replace(
        settings, spacing=(RAY_PIXEL, RAY_PIXEL, step), field_of_view=RAY_FIELD, centre=(0.0, RAY_CENTRE),
        bottom=settings.bottom - half, top=settings.top + half + step,
    )  # fmt: skip


def as_scan(simulated: SimulatedScan) -> Scan:
    """Return the image as the record that the stages take, as if it had been read from files."""
    image = simulated.image
    digest = sha256(np.ascontiguousarray(image.array).tobytes() + image.affine.tobytes()).hexdigest()
    step = Step("reading", "A simulated CT scan was used.")
    return Scan(image, simulated.patient, simulated.acquisition, "simulated CT scan", digest, step)


def simulate_vertebra(level: str = "L1", settings: TorsoSettings | None = None) -> SimulatedScan:
    """Return the slices of a torso that hold one vertebra whole, with at least 6 mm above and below its body.

    Raises
    ------
    SettingsError
        An unknown level.
    """
    return simulate_torso(region_of(settings if settings is not None else TorsoSettings(), level))


def simulate_hip(settings: TorsoSettings | None = None) -> SimulatedScan:
    """Return the slices of a torso that hold both femora, from above the heads to the lower end of the shafts."""
    return simulate_torso(region_of(settings if settings is not None else TorsoSettings(), "hip"))


def region_of(settings: TorsoSettings, region: str) -> TorsoSettings:
    """Return the same body with the slices of ``"torso"`` (as they are), ``"spine"``, ``"hip"`` or a level.

    Raises
    ------
    SettingsError
        Another region.
    """
    body = settings.body
    if region == "torso":
        return settings
    if region == "hip":
        return replace(settings, top=40.0 * body.size)
    if region == "spine":
        return replace(settings, bottom=75.0 * body.size)
    check_body(body)
    if region not in (drawn := levels_of(body.lumbar)):
        raise SettingsError(f"found the level {region!r}, expected one of {', '.join(drawn)}; choose one of these")
    levels = column(body.fractures, cobb_deg=body.cobb_deg, lumbar=body.lumbar)
    centre = next(placed.frame[2, 3] for placed in levels if placed.level == region)
    height, lean = drawn[region].height, 25.0 * float(np.sin(np.radians(abs(body.cobb_deg) / 2)))
    bottom, top = centre - height - 10 - lean, centre + 0.75 * height + 8 + lean
    return replace(settings, bottom=float(body.size * bottom), top=float(body.size * top))


def _blank(settings: TorsoSettings) -> Canvas:
    """Return the empty image, refusing settings that cannot be one."""
    _check_settings(settings)
    spacing = np.array(settings.spacing, dtype=float)
    size = np.array([settings.field_of_view, settings.field_of_view, settings.top - settings.bottom])
    possible = np.all((spacing >= 0.2) & (spacing <= 10.0)) and np.all((size >= spacing) & (size <= 2000.0))
    if not possible or np.prod(size / spacing) > MOST_VOXELS:
        raise SettingsError(
            f"found voxels of {settings.spacing} mm in an image of {size.tolist()} mm, expected voxels of 0.2 to 10 mm, edges up "
            f"to 2000 mm and at most {MOST_VOXELS / 1e6:.0f} million voxels; change the spacing, the field of view or the slices"
        )
    counts = np.maximum(np.rint(size / spacing).astype(int), 1)
    affine = np.diag([*spacing, 1.0])
    affine[:2, 3] = np.array(settings.centre) - spacing[:2] * (counts[:2] - 1) / 2
    affine[2, 3] = settings.bottom
    affine[:3] /= settings.body.size
    beam = scanner_beam(settings.scanner.kvp, settings.scanner.water_cm)
    return empty((int(counts[0]), int(counts[1]), int(counts[2])), affine, beam)


def _check_settings(settings: TorsoSettings) -> None:
    check_body(settings.body)
    if settings.calibration is not None and settings.calibration.separate:
        raise SettingsError(
            f"found the {settings.calibration.title} below a body, expected a phantom that is scanned with one; scan it separately"
        )
    unknown = sorted(set(settings.level_densities) - set(LEVELS))
    if unknown:
        raise SettingsError(f"found a density for {', '.join(unknown)}, expected levels among {', '.join(LEVELS)}; rename them")
    densities = {"L1": settings.trabecular_density, **settings.level_densities}
    wrong = {level: value for level, value in densities.items() if not -60.0 <= value <= 600.0}
    if wrong:
        raise SettingsError(f"found trabecular densities {wrong} mg/cm3, expected -60 (fatty marrow alone) to 600; change them")
    check_scanner(settings.scanner)


def _paint_hips(canvas: Canvas, settings: TorsoSettings, landmarks: dict[str, Array]) -> None:
    """Paint sacrum, hip bones and femora."""
    pelvis = settings.pelvis
    paint_joints(canvas, pelvis.head_centre, pelvis.head_radius + pelvis.joint_space)
    canvas.paint_bone(sacrum(pelvis), np.eye(4), LABELS["sacrum"])
    sides: tuple[tuple[Side, FemurShape], ...] = (("left", settings.femur_left), ("right", settings.femur_right))
    for side, shape in sides:
        sign = 1.0 if side == "left" else -1.0
        centre = (sign * pelvis.head_centre[0], pelvis.head_centre[1], pelvis.head_centre[2])
        canvas.paint_bone(hip_bone(side, pelvis), np.eye(4), LABELS[f"hip_{side}"])
        thigh = femur(shape)
        frame = femur_frame(side, centre, settings.shaft_tilt_deg)
        canvas.paint_bone(thigh.bone(side), frame, LABELS[f"femur_{side}"])
        for name, point in thigh.landmarks.items():
            landmarks[f"femur_{side}_{name}"] = to_patient(frame, point * (sign, 1.0, 1.0))


def _paint_spine(
    canvas: Canvas, settings: TorsoSettings, levels: tuple[Placed, ...], landmarks: dict[str, Array]
) -> Integer[Array, "i j k"]:
    """Paint the vertebrae and return the integers of their bodies."""
    body, bodies = settings.body, np.zeros(canvas.hu.shape, dtype=np.uint8)
    # Ribs stay at their vertebrae where the spine has more or fewer levels below them.
    raised = np.eye(4)
    raised[:3, 3] = column(lumbar=body.lumbar)[-3].frame[:3, 3] - column()[-3].frame[:3, 3]
    for number in ("10", "11", "12"):
        for side in ("left", "right"):
            canvas.paint_bone(rib(number, side), raised, LABELS[f"rib_{side}_{number}"])
    for order, placed in enumerate(levels):
        size = placed.size
        density = settings.level_densities.get(placed.level, settings.trabecular_density)
        fracture = body.fractures.get(placed.level)
        shape = replace(
            settings.vertebra, width=body.breadth * size.width, depth=body.breadth * size.depth, height=size.height,
            wedge_deg=size.wedge_deg, process_reach=size.reach, trabecular_density=density, seed=settings.vertebra.seed + order,
            losses=fracture.losses if fracture else (0.0, 0.0, 0.0), iodine=PHASES[body.phase].get("marrow", 0.0),
        )  # fmt: skip
        part = canvas.paint_bone(vertebra(shape).bone(), placed.frame, LABELS[f"vertebrae_{placed.level}"])
        bodies[part] = BODY_LABELS[placed.level]
        landmarks[f"{placed.level}_centre"] = placed.frame[:3, 3].copy()
        landmarks |= {f"{placed.level}_{name}": to_patient(placed.frame, point) for name, point in shape.endplates.items()}
    return bodies


def _paint_fusions(canvas: Canvas, settings: TorsoSettings, levels: tuple[Placed, ...]) -> None:
    """Paint bone where the discs of fused vertebrae were; endplates are painted over it afterwards."""
    shape = settings.vertebra
    for placed in levels:
        if placed.level in settings.body.fused:
            x, y, z = placed.disc_size[0] + 2, placed.disc_size[1] + 2, 2 * placed.disc_size[2] + 4

            def field(points: Coordinates, size: tuple[float, float, float] = placed.disc_size) -> BoneField:
                distance = disc_distance(size, points)
                shell, compact, inside = (np.full_like(distance, v) for v in (1.5, 600.0, 1.5 * shape.trabecular_density))
                return BoneField(distance, shell, compact, inside, distance)

            bone = Bone(field, partial(disc_distance, placed.disc_size), (-x, -y, -z), (x, y, z), shape.yellow_marrow)
            canvas.paint_bone(bone, placed.disc, LABELS[f"vertebrae_{placed.level}"])


def _scan(canvas: Canvas, settings: TorsoSettings, image: Array, bodies: Array, landmarks: Mapping[str, Array]) -> SimulatedScan:
    source, body = "simulation: drawn from the shapes themselves", settings.body
    body_names = {value: f"vertebral_body_{level}" for level, value in BODY_LABELS.items() if np.any(bodies == value)}
    phantom = settings.calibration
    rods = () if phantom is None else slab_rods(canvas, phantom, body.girth.back, true_size=body.size)
    table = body.size * body.girth.back + (slab_height(phantom) if phantom else 0.0)
    return record(
        canvas, image, {value: name for name, value in LABELS.items()}, source=source, scanner=settings.scanner,
        patient=settings.patient, settings=settings, description="Simulated CT, no patient",
        contrast=None if body.phase == "none" else f"iodine, {body.phase} phase",
        bodies=LabelMap(Volume(bodies, canvas.affine, "label"), body_names, source), landmarks=landmarks, rods=rods,
        table_height=round(table - RAY_CENTRE, 1),
    )  # fmt: skip
