"""The hip as bone densitometry sees it: density summed along the front-to-back direction, with the boxes that were measured."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array, BoneRegion, BoneResult
from ..volume import Volume, corners
from . import drawing
from .views import sample

STEP: Final = 0.6
"""Sampling of the projection [mm]."""


def projection(bone: BoneResult, share: float = 0.25, height: float = 54.0) -> tuple[bytes, int] | None:
    """Return a PNG of the hip as bone densitometry sees it, with the boxes that were measured, and how many; ``None`` for a vertebra."""
    region = bone.region
    if region is None or region.kind != "femur":
        return None
    left, posterior, up = region.frame.axes.T
    points = (corners(region.mask) - region.frame.origin) @ np.stack([left, up], axis=1)
    low, high = points.min(axis=0), points.max(axis=0)
    u, v = np.arange(low[0], high[0], STEP), np.arange(low[1], high[1], STEP)
    depth = (corners(region.mask) - region.frame.origin) @ posterior
    total = np.zeros((len(v), len(u)), dtype=np.float32)
    masked = region.density.with_array(np.where(region.mask.array, region.density.array, 0.0).astype(np.float32))
    for d in np.arange(depth.min(), depth.max(), 2 * STEP):
        plane = region.frame.origin + u[None, :, None] * left + v[:, None, None] * up + d * posterior
        total += sample(masked, plane, 1) * (2 * STEP) / 1e4  # mg/cm3 x mm -> g/cm2
    rows, columns = np.flatnonzero(total.max(axis=1) > 0.02), np.flatnonzero(total.max(axis=0) > 0.02)
    if rows.size == 0:
        return None
    box = (u[columns[0]] - 4, u[columns[-1]] + 4, v[rows[0]] - 4, v[rows[-1]] + 4)
    return _draw_projection(bone, total, (u, v), box, (share, height))


def _draw_projection(
    bone: BoneResult, total: Float[Array, "v u"], grid: tuple[Array, Array], box: tuple[float, ...], size: tuple[float, float]
) -> tuple[bytes, int]:
    """Draw the projection and the outlines of its regions."""
    u, v = grid
    canvas = drawing.new_figure(*size)
    axes = drawing.place(canvas, 0, 0, size[0] * drawing.PAGE_WIDTH, size[1])
    axes.set_facecolor("black")
    extent = (float(u[0]), float(u[-1]), float(v[0]), float(v[-1]))
    axes.imshow(total, cmap="gray", vmin=0, vmax=float(np.percentile(total[total > 0.02], 98)), extent=extent, origin="lower", interpolation="bicubic")
    assert bone.region is not None
    n_regions = 0
    for name, region in (bone.measures.regions if bone.measures else {}).items():
        drawn = _shadow(region, bone.region, u, v)
        if drawn is not None:
            n_regions += 1
            axes.contour(u, v, drawn, levels=[0.5], colors=[drawing.CONTOUR if "neck" in name else drawing.REGION], linewidths=1.2)
    aspect = size[0] * drawing.PAGE_WIDTH / size[1]
    tall = max(box[3] - box[2], (box[1] - box[0]) / aspect)
    middle = ((box[0] + box[1]) / 2, (box[2] + box[3]) / 2)
    axes.set_xlim(middle[0] - tall * aspect / 2, middle[0] + tall * aspect / 2)
    axes.set_ylim(middle[1] - tall / 2, middle[1] + tall / 2)
    axes.set_aspect("auto")
    axes.set_xticks([])
    axes.set_yticks([])
    for x, side, where in ((0.03, "R", "left"), (0.97, "L", "right")):
        axes.text(x, 0.5, side, transform=axes.transAxes, color="white", fontsize=9, fontweight="bold", ha=where, va="center")
    return drawing.to_png(canvas), n_regions


def _shadow(volume: Volume, region: BoneRegion, u: Array, v: Array) -> Float[Array, "v u"] | None:
    """Return where a region falls on the projection; ``None`` where it does not look like a region."""
    if volume.array.dtype != bool or not volume.array.any():
        return None
    left, posterior, up = region.frame.axes.T
    depth = (corners(volume) - region.frame.origin) @ posterior
    found = np.zeros((len(v), len(u)), dtype=np.float32)
    for d in np.arange(depth.min(), depth.max() + 2 * STEP, 2 * STEP):
        plane = region.frame.origin + u[None, :, None] * left + v[:, None, None] * up + d * posterior
        found = np.maximum(found, sample(volume, plane, 1))
    return np.asarray(ndimage.gaussian_filter(found, 0.7))
