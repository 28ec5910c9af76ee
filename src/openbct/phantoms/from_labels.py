"""A simulated CT scan from a label map: any anatomy, with its true density.

Each label becomes a soft tissue or a bone. Surfaces are the labels' own, as signed distances that are smooth below the size of a
voxel; bones get a cortex, a density that rises towards it, and a joint gap where they touch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ..errors import GeometryError, SettingsError
from ..records import Patient
from ..volume import Volume
from .beam import scanner_beam
from .canvas import Bone, BoneField, Canvas, empty, sample_tile, texture_tile
from .labeldistance import LabelDistance, label_distance
from .scanner import ScannerSettings, check_scanner, expose
from .shapes import Coordinates, Field
from .simulated import SimulatedScan, record
from .tissues import TISSUES

Array = np.ndarray

PATIENT = Patient(
    name="Simulated^Labels", identifier="OPENBCT-SIM-LABELS",
    sources=MappingProxyType({"name": "simulation", "identifier": "simulation"}),
)  # fmt: skip
"""Whose sex and age nobody knows."""
RAY_VOXEL = (3.0, 3.0, 5.0)
"""Least voxels that rays are traced through [mm]: hardening, scatter and noise vary over centimetres [D]."""
SHAFT_GRADE = 50.0
"""From the head of a long bone down to its full shaft [mm] [D]."""
LARGEST = 200e6
"""Voxels of an image: the bound of the torso, for the same reason."""


@dataclass(frozen=True)
class SoftPart:
    """A label that is a soft tissue."""

    name: str
    tissue: str
    """A name of :data:`openbct.phantoms.tissues.TISSUES`."""


@dataclass(frozen=True)
class BonePart:
    """A label that is a bone; densities as an ideal K2HPO4 calibration reads them [mg/cm³]. The defaults are of the order of a
    hip in middle age [D]."""

    name: str
    trabecular_density: float = 150.0
    """Deeper than ``graded_mm`` below the cortex."""
    subcortical_density: float = 220.0
    """Next to the cortex."""
    graded_mm: float = 8.0
    """Over which the one becomes the other [mm]."""
    texture: float = 20.0
    """Deviation from place to place [mg/cm³]."""
    cortex: float = 1.5
    """Thickness of the shell [mm]."""
    cortical_density: float = 950.0
    yellow_marrow: float = 0.5
    """Fatty share of the marrow by volume [-]."""
    shaft_cortex: float | None = None
    """Thickness that the shell grows to over :data:`SHAFT_GRADE` below ``shaft_top`` [mm]; ``None``: the same everywhere."""
    shaft_top: float = 0.0
    """Patient z [mm]."""


Part = SoftPart | BonePart


@dataclass(frozen=True)
class LabelSettings:
    """What the labels are, and how they are scanned."""

    parts: Mapping[int, Part]
    """By the label's integer."""
    spacing: tuple[float, float, float] | None = None
    """Of the image [mm]; ``None`` for that of the label map."""
    filling: str = "adipose"
    """Tissue of what has no part within the body."""
    joint_gap: float = 3.0
    """Least distance between bones of different labels [mm]; 0 for none."""
    smoothing: float = 0.5
    """Deviation of the Gaussian that surfaces are smoothed with, over the longest edge of a voxel of the label map. A surface of
    radius r loses about (smoothing x edge)²/r, and what is thinner than about 1.4 deviations is lost."""
    scanner: ScannerSettings = field(default_factory=ScannerSettings)
    patient: Patient = PATIENT
    seed: int = 0


def parts_from_tables(tables: Mapping[str, Mapping[str, Any]]) -> dict[int, Part]:
    """Return parts from plain tables, as TOML gives them: ``{"2": {"name": "femur", "cortex": 2.0}, "5": {"name": "psoas",
    "tissue": "muscle"}}``. A table with ``tissue`` is soft, any other is bone; keys are the fields of the parts.

    Raises
    ------
    SettingsError
        A label that is no integer, or a key or kind of value that is not known.
    """
    parts: dict[int, Part] = {}
    for key, table in tables.items():
        kind: type[SoftPart] | type[BonePart] = SoftPart if "tissue" in table else BonePart
        known = {item.name for item in fields(kind)}
        texts = {name for name in table if name in ("name", "tissue")}
        numbers = all(isinstance(table[name], int | float) and not isinstance(table[name], bool) for name in set(table) - texts)
        if not key.isdecimal() or set(table) - known or "name" not in table or not numbers:
            raise SettingsError(
                f"found the label {key!r} with {dict(table)}, expected an integer with a name and numbers for any of "
                f"{', '.join(sorted(known - {'name'}))}; correct the table"
            )
        parts[int(key)] = kind(**table)
    return parts


def simulate_labels(labels: Volume, settings: LabelSettings, body: Volume | None = None) -> SimulatedScan:
    """Return a simulated CT of a label map.

    Parameters
    ----------
    labels
        Integers; axes along those of the patient, in any order and direction.
    body
        True within the skin, on the same grid; without it everything is within.

    Raises
    ------
    SettingsError
        A part without voxels, an unknown tissue, a number out of range, an image too large.
    GeometryError
        Oblique axes, or a body on another grid.
    """
    _check(settings)
    if body is not None and (body.array.shape != labels.array.shape or not np.allclose(body.affine, labels.affine, atol=1e-3)):
        raise GeometryError(
            f"found a body of {body.array.shape} voxels beside labels of {labels.array.shape}, expected one grid; resample one of them"
        )
    array, affine = _upright(labels.array, labels.affine)
    missing = sorted(set(settings.parts) - set(np.unique(array).tolist()))
    if missing or not np.all(array == np.rint(array)) or array.min() < 0 or array.max() > 255:
        raise SettingsError(
            f"found no voxels of the labels {missing} or values beyond integers 0 to 255; correct parts or labels"
        )
    spacing = np.array(settings.spacing if settings.spacing is not None else np.diag(affine)[:3], dtype=float)
    canvas = _blank(array, affine, spacing, settings)
    inside = None if body is None else _upright(body.array, body.affine)[0] > 0
    _paint(canvas, array, affine, inside, settings)
    around = None
    if settings.scanner.traced:
        # Rays are traced through the same body on coarse voxels.
        coarse = np.minimum(np.maximum(spacing, RAY_VOXEL), np.diag(affine)[:3] * array.shape)
        around = _blank(array, affine, coarse, settings)
        _paint(around, array, affine, inside, settings)
    return _record(canvas, expose(canvas, settings.scanner, around), settings)


def _check(settings: LabelSettings) -> None:
    check_scanner(settings.scanner)
    tissues = {settings.filling, *(part.tissue for part in settings.parts.values() if isinstance(part, SoftPart))}
    unknown = sorted(tissues - set(TISSUES))
    wrong = [label for label in settings.parts if not 1 <= label <= 255]
    if unknown or wrong or not settings.parts:
        raise SettingsError(
            f"found the tissues {unknown} and labels {wrong}, expected names of the simulator's tissues and 1 to 255"
        )
    ranges = [("joint gap [mm]", settings.joint_gap, 0.0, 10.0), ("smoothing", settings.smoothing, 0.3, 3.0)]
    for part in settings.parts.values():
        if isinstance(part, BonePart):
            ranges += [
                (f"trabecular density of {part.name}", part.trabecular_density, -60.0, 600.0),
                (f"subcortical density of {part.name}", part.subcortical_density, -60.0, 1000.0),
                (f"depth of grading of {part.name} [mm]", part.graded_mm, 0.1, 100.0),
                (f"texture of {part.name}", part.texture, 0.0, 200.0),
                (f"cortex of {part.name} [mm]", part.cortex, 0.0, 15.0),
                (f"cortical density of {part.name}", part.cortical_density, 100.0, 1400.0),
                (f"yellow marrow of {part.name}", part.yellow_marrow, 0.0, 1.0),
                (
                    f"shaft's cortex of {part.name} [mm]",
                    part.cortex if part.shaft_cortex is None else part.shaft_cortex,
                    0.0,
                    15.0,
                ),
            ]
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise SettingsError(f"found {name} = {value}, expected {low:g} to {high:g}; change it")


def _upright(array: Shaped[Array, "i j k"], affine: Float[Array, "4 4"]) -> tuple[Array, Float[Array, "4 4"]]:
    """Return the array with axes towards left, posterior and superior, and its affine."""
    linear = np.abs(affine[:3, :3])
    order = np.argmax(linear, axis=1)
    if sorted(order.tolist()) != [0, 1, 2] or np.any(linear.sum(axis=1) - linear.max(axis=1) > 1e-3 * linear.max()):
        raise GeometryError(
            f"found a label map with the axes {affine[:3, :3].tolist()}, expected axes along the patient's; resample it"
        )
    turned = np.transpose(array, order)
    out = affine[:, [*order, 3]].copy()
    for axis in range(3):
        if out[axis, axis] < 0:
            turned = np.flip(turned, axis)
            out[:3, 3] += out[:3, axis] * (turned.shape[axis] - 1)
            out[:3, axis] *= -1
    return turned, np.diag([*np.diag(out)[:3], 1.0]) + np.pad(out[:3, 3:], ((0, 1), (3, 0)))


def _blank(array: Array, affine: Float[Array, "4 4"], spacing: Float[Array, "3"], settings: LabelSettings) -> Canvas:
    old = np.diag(affine)[:3]
    edges = old * array.shape
    if not np.all((spacing >= 0.2) & (spacing <= 10.0) & (spacing <= edges)) or np.prod(edges / spacing) > LARGEST:
        raise SettingsError(
            f"found voxels of {spacing.tolist()} mm in an image of {edges.tolist()} mm, expected 0.2 to 10 mm and at most "
            f"{LARGEST / 1e6:.0f} million voxels; change the spacing"
        )
    counts = np.maximum(np.floor(edges / spacing + 1e-6).astype(int), 1)
    out = np.diag([*spacing, 1.0])
    # The outer faces of the first voxels are those of the label map.
    out[:3, 3] = affine[:3, 3] - old / 2 + spacing / 2
    beam = scanner_beam(settings.scanner.kvp, settings.scanner.water_cm)
    return empty((int(counts[0]), int(counts[1]), int(counts[2])), out, beam)


def _paint(
    canvas: Canvas,
    array: Shaped[Array, "i j k"],
    affine: Float[Array, "4 4"],
    body: Bool[Array, "i j k"] | None,
    settings: LabelSettings,
) -> None:
    if body is None:
        canvas.hu[:] = canvas.beam.hounsfield(settings.filling)
    else:
        skin = label_distance("the body", body, affine, settings.smoothing)
        canvas.paint(skin, skin.bounds, (0.0, settings.filling, 0))
    bones: dict[int, LabelDistance] = {}
    for label, part in settings.parts.items():
        distance = label_distance(part.name, array == label, affine, settings.smoothing)
        if isinstance(part, SoftPart):
            canvas.paint(distance, distance.bounds, (0.0, part.tissue, label), texture=2.0)
        else:
            bones[label] = distance
    if settings.joint_gap > 0 and len(bones) > 1:
        for distance in bones.values():
            others = [other for other in bones.values() if other is not distance]
            canvas.paint(_Joint(distance, others, settings.joint_gap), distance.bounds, (0.0, "cartilage", 0))
    for label, distance in bones.items():
        others = [other for other in bones.values() if other is not distance] if settings.joint_gap > 0 else []
        part = settings.parts[label]
        assert isinstance(part, BonePart)
        solid = _BoneBody(part, distance, others, settings.joint_gap, texture_tile(settings.seed + label, 1.5))
        low, high = distance.bounds
        bone = Bone(solid, solid.distance, tuple(low), tuple(high), part.yellow_marrow)
        canvas.paint_bone(bone, np.eye(4), label)


@dataclass(frozen=True)
class _Joint:
    """What lies between a bone and its neighbours where they are nearer than a gap."""

    own: LabelDistance
    others: list[LabelDistance]
    gap: float

    def __call__(self, points: Coordinates) -> Field:
        own = self.own(points)
        return np.asarray(np.maximum(own, np.min([_clear(own, other(points), self.gap) * -1 for other in self.others], axis=0)))


def _clear(own: Field, other: Field, gap: float) -> Field:
    """Return the distance to the face half a gap before the middle between two surfaces, positive beyond it [mm]."""
    return np.asarray((own - other + np.float32(gap)) / 2)


@dataclass(frozen=True)
class _BoneBody:
    part: BonePart
    own: LabelDistance
    others: list[LabelDistance]
    gap: float
    tile: Float[Array, "i j k"]

    def distance(self, points: Coordinates) -> Field:
        out = self.own(points)
        own = out
        for other in self.others:
            out = np.maximum(out, _clear(own, other(points), self.gap))
        return np.asarray(out)

    def __call__(self, points: Coordinates) -> BoneField:
        p, distance = self.part, self.distance(points)
        shell = np.full_like(distance, p.cortex)
        if p.shaft_cortex is not None:
            down = np.clip((np.float32(p.shaft_top) - points[2]) / np.float32(SHAFT_GRADE), 0, 1)
            shell += down * np.float32(p.shaft_cortex - p.cortex)
        depth = np.clip((-distance - shell) / np.float32(p.graded_mm), 0, 1)
        density = p.subcortical_density + depth * np.float32(p.trabecular_density - p.subcortical_density)
        density = density + np.float32(p.texture) * sample_tile(self.tile, points)
        compact = np.full_like(distance, p.cortical_density)
        return BoneField(distance, shell, compact, density.astype(np.float32), distance)


def _record(canvas: Canvas, image: Array, settings: LabelSettings) -> SimulatedScan:
    names = {label: part.name for label, part in settings.parts.items()}
    return record(
        canvas, image, names, source="simulation: drawn from a given label map", scanner=settings.scanner,
        patient=settings.patient, settings=settings, description="Simulated CT of a label map",
    )  # fmt: skip
