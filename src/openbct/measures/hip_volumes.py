"""The hip's regions as voxels of the bone, their density, and the thickness of their cortex.

A voxel belongs to the region of the picture into which it is projected, so that areal and volumetric densities are of the same bone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from ..density import density_uncertainty
from ..records import Array, BoneRegion, CalibratedVolume, Measure
from ..volume import Affine, Volume, to_index, to_patient
from .shell import DENSEST, DENSITIES, measure_shell, shell_mask

PARTS = ("femoral_neck", "trochanteric", "intertrochanteric")
"""Regions that share no voxel."""
FEWEST = 30
"""Points of the surface from which a mean thickness is given [D]."""

Pixels = Bool[Array, "u v"]


def volumes_of(
    region: BoneRegion, pictures: Mapping[str, Pixels], affine: Affine, calibrated: CalibratedVolume
) -> tuple[dict[str, Volume], dict[str, Measure]]:
    """Return the voxels of each region and of the cortex, and what is measured on them.

    Parameters
    ----------
    pictures
        Pixels of each region.
    affine
        Of the picture, one voxel thick: u, depth, v to patient.
    """
    mask, unit = region.mask, f"mg/cm3 {calibrated.mineral}"
    index = np.argwhere(mask.array)
    cortical = float(np.clip(np.percentile(region.density.array[mask.array], DENSEST), *DENSITIES))
    shell = measure_shell(mask, region.density, cortical)
    volumes = {"volume_cortex": mask.with_array(shell_mask(mask, shell))}
    values: dict[str, Measure] = {}
    for name in (*PARTS, "total_hip"):
        inside = _in_picture(to_patient(mask.affine, index.astype(float)), pictures[name], affine)
        voxels = np.zeros(mask.shape, dtype=bool)
        voxels[tuple(index[inside].T)] = True
        if name in PARTS:
            volumes[f"volume_{name}"] = mask.with_array(voxels)
        if not voxels.any():
            continue
        mean, words = float(region.density.array[voxels].mean()), f"{name.replace('_', ' ')}, all of its bone"
        values[f"{name}_vbmd"] = Measure(mean, unit, words, density_uncertainty(calibrated, mean))
        thickness, resolved, count = shell.mean(_in_picture(shell.points, pictures[name], affine))
        if name in PARTS and count >= FEWEST:
            words = (
                f"{name.replace('_', ' ')}, mean over its surface, at {cortical:.0f} mg/cm³; {100 * resolved:.0f} % of it is thick enough "
                "to show its own density"
            )
            values[f"{name}_cortex_thickness"] = Measure(thickness, "mm", words)
    return volumes, values


def _in_picture(points: Array, pixels: Pixels, affine: Affine) -> Bool[Array, " n"]:
    """Tell which points are projected into some pixels."""
    place = np.rint(to_index(affine, points)[:, [0, 2]]).astype(int)
    there = ((place >= 0) & (place < pixels.shape)).all(axis=1)
    place = np.clip(place, 0, np.array(pixels.shape) - 1)
    return np.asarray(there & pixels[tuple(place.T)])
