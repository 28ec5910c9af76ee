"""A simulated scan and everything that is true about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from ..records import SIMULATOR, Acquisition, LabelMap, Patient
from ..volume import Volume
from .beam import Beam
from .canvas import Canvas
from .rods import Rod
from .scanner import ScannerSettings

Array = np.ndarray


@dataclass(frozen=True)
class SimulatedScan:
    """A simulated image and everything that is true about it; the truth never enters a stage."""

    image: Volume
    """What a scanner stores [HU], 16-bit integers."""
    labels: LabelMap
    """Structures: of a torso by TotalSegmentator's names and numbers, of a label map by those given. Rods from 201 on."""
    bodies: LabelMap | None
    """Vertebral bodies without arches, where vertebrae were drawn."""
    density: Volume
    """What an ideal calibration with aqueous K2HPO4 rods would read before blur and noise [mg/cm³]."""
    mineral: Volume
    """Hydroxyapatite mass over volume [mg/cm³]; in phosphate rods, the apatite that attenuates alike."""
    acquisition: Acquisition
    patient: Patient
    beam: Beam
    settings: object
    """What it was made from: :class:`TorsoSettings`, :class:`LabelSettings` or :class:`PhantomScan`."""
    landmarks: Mapping[str, Float[Array, "3"]] = field(default_factory=dict)
    """Patient LPS [mm]: ``"L1_centre"``, ``"femur_left_head_centre"`` ..."""
    rods: tuple[Rod, ...] = ()
    """Of the calibration phantom in the scan."""
    table_height: float | None = None
    """Of the table's top below the axis of rotation [mm]."""


def record(
    canvas: Canvas,
    image: Array,
    labels: Mapping[int, str],
    *,
    source: str,
    scanner: ScannerSettings,
    patient: Patient,
    settings: object,
    description: str,
    contrast: str | None = None,
    bodies: LabelMap | None = None,
    landmarks: Mapping[str, Float[Array, "3"]] | None = None,
    rods: tuple[Rod, ...] = (),
    table_height: float | None = None,
) -> SimulatedScan:
    """Return the record of a finished canvas and its image; names of labels that no voxel has are left out."""
    affine = canvas.affine
    present = set(np.unique(canvas.labels).tolist())
    named = {**labels, **{rod.label: f"rod_{rod.name}" for rod in rods}}
    acquisition = Acquisition(
        kvp=scanner.kvp, kernel=scanner.point_spread().name, slice_thickness=float(canvas.spacing[2]),
        manufacturer=SIMULATOR[0], model=SIMULATOR[1], study_date="2024-01-15", image_type=("ORIGINAL", "PRIMARY", "AXIAL"), series_description=description,
        contrast=contrast,
    )  # fmt: skip
    return SimulatedScan(
        image=Volume(image, affine, "HU"),
        labels=LabelMap(
            Volume(canvas.labels, affine, "label"),
            MappingProxyType({value: name for value, name in named.items() if value in present}),
            source,
        ),
        bodies=bodies,
        density=Volume(canvas.hu / np.float32(canvas.beam.phosphate_slope), affine, "mg/cm3 K2HPO4"),
        mineral=Volume(canvas.mineral, affine, "mg/cm3 CHA"),
        acquisition=acquisition,
        patient=patient,
        beam=canvas.beam,
        settings=settings,
        landmarks=MappingProxyType(dict(landmarks or {})),
        rods=rods,
        table_height=table_height,
    )
