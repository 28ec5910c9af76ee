"""What rays through the whole body do to one image: slow errors and the strength of noise, slice by slice, on a coarse grid.

The body is given as a canvas of its own, with coarse voxels and the scanner's whole field: what lies outside the image that
is stored attenuates as well.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..volume import to_index
from .canvas import Canvas
from .projector import back_project, project, reconstruct
from .rays import SUBSTANCES, Rays

Array = np.ndarray

N_VIEWS = 180
"""Of the coarse slices: one each degree, enough for errors that vary over centimetres [D]."""
METAL_VIEWS = 360
SECTORS = 4
"""Groups of directions that noise is split into: more noise along the rays through both hips than across them [D]."""


@dataclass(frozen=True)
class Exposure:
    """Errors and noise of the body's slices, on the grid of the coarse canvas."""

    affine: Float[Array, "4 4"]
    error: Float[Array, "i j k"]
    """To be added to the noise-free image [HU]."""
    variance: Float[Array, "s i j k"]
    """Of the noise in each sector, per unit of the kernel's noise integral [HU² mm³]."""

    def central_variance(self) -> float:
        """Return the variance around the middle of the body, over all slices [HU² mm³]: the field's most shaded twentieth."""
        return float(np.quantile(self.variance.sum(axis=0), 0.95))

    def plane(self, canvas: Canvas, slice_number: int) -> Float[Array, "n i j"]:
        """Return error and variances on the pixels of one slice of an image, interpolated in all directions."""
        n, shape = self.error.shape, canvas.hu.shape
        first = to_index(self.affine, canvas.affine[:3, 3] + canvas.affine[:3, 2] * slice_number)
        step = canvas.spacing[:2] / np.diag(self.affine)[:2]
        k = float(np.clip(first[2], 0, n[2] - 1))
        low = min(int(k), n[2] - 2) if n[2] > 1 else 0
        high = min(low + 1, n[2] - 1)
        share = k - low
        stack = [self.error, *self.variance]
        flat = np.stack([(1 - share) * item[:, :, low] + share * item[:, :, high] for item in stack])
        for axis in (0, 1):
            at = np.clip(first[axis] + step[axis] * np.arange(shape[axis]), 0, n[axis] - 1)
            base = np.minimum(at.astype(int), max(n[axis] - 2, 0))
            weight = (at - base).astype(np.float32).reshape([1, -1, 1] if axis == 0 else [1, 1, -1])
            upper = np.minimum(base + 1, n[axis] - 1)
            flat = np.take(flat, base, axis + 1) * (1 - weight) + np.take(flat, upper, axis + 1) * weight
        return np.asarray(flat)


def trace_rays(body: Canvas, rays: Rays, dose: float | None, *, hardening: bool, threads: int) -> Exposure:
    """Return what the rays through a body do; ``dose`` is mAs x mm of slice, ``None`` for no noise."""
    shape = body.hu.shape
    error = np.zeros(shape, dtype=np.float32)
    variance = np.zeros((SECTORS, *shape), dtype=np.float32)
    scale = 1000.0 / rays.beam.water

    def work(k: int) -> None:
        lengths, angles, pixel = _lengths(body, k)
        ideal, measured = rays.ideal(lengths), rays.with_scatter(rays.readings(lengths))
        found = rays.corrected(measured) if hardening else rays.with_scatter(ideal)
        error[:, :, k] = scale * reconstruct(found - ideal, angles, pixel, shape[:2])
        if dose is not None:
            noise = rays.variance(measured, dose) * (np.pi * scale) ** 2
            variance[:, :, :, k] = back_project(noise, angles, shape[:2], SECTORS)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(shape[2])))
    return Exposure(body.affine, error, variance)


def _lengths(body: Canvas, k: int) -> tuple[Float[Array, "a d m"], Float[Array, " a"], float]:
    """Return the line integrals of the four substances through a slice, the angles and the pixel [mm]."""
    part = (slice(None), slice(None), k)
    maps = np.zeros((len(SUBSTANCES), *body.hu.shape[:2]), dtype=np.float32)
    maps[0] = np.maximum(body.water_like(part), 0)
    maps[1] = body.mineral[part]
    for order, name in enumerate(SUBSTANCES[2:], start=2):
        if name in body.traces:
            maps[order] = body.traces[name][part]
    present = [order for order in range(len(SUBSTANCES)) if maps[order].any()]
    pixel = float(body.spacing[0])
    angles, found = project(maps[present], pixel, METAL_VIEWS if 3 in present else N_VIEWS)
    lengths = np.zeros((*found.shape[:2], len(SUBSTANCES)))
    lengths[:, :, present] = found
    return lengths, angles, pixel
