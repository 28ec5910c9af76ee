"""Single bones as density and mask, without any CT physics: for tests of anatomy, mounting and finite elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..errors import SettingsError
from ..volume import Volume, to_patient
from .beam import scanner_beam
from .canvas import Bone, empty
from .femur import FemurShape, femur, femur_frame
from .spine import VertebraShape, vertebra

Array = np.ndarray


@dataclass(frozen=True)
class SimulatedBone:
    """One bone in fat, on its own grid."""

    bone: str
    density: Volume
    """[mg/cm3 K2HPO4], partial volume at the surface, no blur and no noise."""
    mask: Volume
    """Boolean: the body of a vertebra, the whole of a femur."""
    landmarks: Mapping[str, Float[Array, "3"]]
    """Patient LPS [mm]."""
    frame: Float[Array, "4 4"]
    """Own frame of the bone to patient."""


def vertebra_region(
    shape: VertebraShape | None = None, *, spacing: float = 1.0, tilt_deg: float = 0.0, margin: float = 6.0
) -> SimulatedBone:
    """Return a vertebra with the mask of its body.

    Parameters
    ----------
    spacing
        Edge of the cubic voxels [mm].
    tilt_deg
        Forward lean of the endplate normal [degrees].
    margin
        Free space around the vertebra [mm].

    Raises
    ------
    SettingsError
        Voxels that cannot show the bone.
    """
    chosen = shape if shape is not None else VertebraShape()
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    frame = np.eye(4)
    frame[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    half = np.array([0.0, 0.0, chosen.height / 2])
    landmarks = {
        "body_centre": np.zeros(3),
        "superior_endplate": to_patient(frame, half),
        "inferior_endplate": to_patient(frame, -half),
    }
    return _region("vertebra", vertebra(chosen).bone(), frame, landmarks, (spacing, margin, -np.inf))


def femur_region(
    shape: FemurShape | None = None,
    *,
    side: Literal["left", "right"] = "left",
    spacing: float = 1.0,
    tilt_deg: float = 0.0,
    margin: float = 6.0,
) -> SimulatedBone:
    """Return a proximal femur with its mask; the image ends ``shape.shaft_length`` below the lesser trochanter.

    Parameters
    ----------
    tilt_deg
        Lean of the lower end of the shaft towards the midline [degrees].

    Raises
    ------
    SettingsError
        Voxels that cannot show the bone.
    """
    thigh = femur(shape if shape is not None else FemurShape())
    sign = np.array([1.0 if side == "left" else -1.0, 1.0, 1.0])
    frame = femur_frame(side, (0.0, 0.0, 0.0), tilt_deg)
    landmarks = {name: to_patient(frame, point * sign) for name, point in thigh.landmarks.items()}
    bottom = float(landmarks["distal_end"][2])
    return _region(f"femur_{side}", thigh.bone(side), frame, landmarks, (spacing, margin, bottom))


def _region(
    name: str, bone: Bone, frame: Float[Array, "4 4"], landmarks: Mapping[str, Array], grid: tuple[float, float, float]
) -> SimulatedBone:
    spacing, margin, bottom = grid
    if not 0.2 <= spacing <= 4.0 or margin < 0:
        raise SettingsError(
            f"found voxels of {spacing} mm with a margin of {margin} mm, expected 0.2 to 4 mm and 0 mm or more; change them"
        )
    ends = np.array([bone.lower, bone.upper])
    corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    placed = to_patient(frame, corners)
    low, high = placed.min(axis=0) - margin, placed.max(axis=0) + margin
    # A femur goes on below: its grid ends in the shaft, as an image does.
    low[2] = max(low[2], bottom)
    counts = np.ceil((high - low) / spacing).astype(int) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    canvas = empty((int(counts[0]), int(counts[1]), int(counts[2])), affine, scanner_beam())
    canvas.hu[:] = canvas.beam.hounsfield("adipose")
    mask = canvas.paint_bone(bone, frame, 1)
    return SimulatedBone(
        bone=name,
        density=Volume(canvas.hu / np.float32(canvas.beam.phosphate_slope), affine, "mg/cm3 K2HPO4"),
        mask=Volume(mask, affine, "mask"),
        landmarks=MappingProxyType(dict(landmarks)),
        frame=frame,
    )
