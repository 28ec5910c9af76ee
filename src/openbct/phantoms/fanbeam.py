"""A slice made the long way: projected by a fan beam, counted, corrected, reconstructed.

The judge of the fast way (:mod:`openbct.phantoms.scanner`), which adds errors and noise to the drawn image. Both share the spectrum
and the attenuation; nothing else of what happens between body and image: rays here leave a point source over a full turn, every
reading is a number of quanta, and the kernel acts in the filter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .canvas import Canvas
from .projector import project_fan, reconstruct_fan
from .rays import ELECTRONIC, FEWEST, SUBSTANCES, rays
from .scanner import ScannerSettings

Array = np.ndarray


@dataclass(frozen=True)
class FanSettings:
    """Geometry of the scanner."""

    radius: float = 570.0
    """From the source to the axis of rotation [mm]."""
    pitch: float = 0.55
    """Of the detector at the axis [mm]."""
    n_views: int = 900


def scan_slice(canvas: Canvas, k: int, settings: ScannerSettings, fan: FanSettings | None = None) -> Float[Array, "i j"]:
    """Return a slice of a body as projection and reconstruction give it [HU]; pixels must be square, the body whole.

    ``settings.noise`` of 0 leaves out the quanta; another number is not looked at, the dose is.
    """
    geometry = fan if fan is not None else FanSettings()
    pixel, shape = float(canvas.spacing[0]), (canvas.hu.shape[0], canvas.hu.shape[1])
    angles = 2 * np.pi * np.arange(geometry.n_views) / geometry.n_views
    reach = np.arcsin(min(0.5 * pixel * float(np.hypot(*shape)) / geometry.radius, 0.95))
    step = geometry.pitch / geometry.radius
    places = step * np.arange(-int(reach / step) - 1, int(reach / step) + 2)
    law, part = rays(canvas.beam, settings.scatter), (slice(None), slice(None), k)
    lengths = np.zeros((angles.size, places.size, len(SUBSTANCES)))
    for order, name in enumerate(SUBSTANCES):
        image = np.maximum(canvas.water_like(part), 0) if order == 0 else _substance(canvas, name, part)
        if image is not None and image.any():
            lengths[:, :, order] = project_fan(image[None].astype(np.float32), pixel, angles, places, geometry.radius)[:, :, 0]
    readings = law.readings(lengths) if settings.hardening else law.ideal(lengths)
    readings = law.with_scatter(readings)
    if settings.noise != 0:
        # Quanta per reading: those of the whole turn, shared by its views, over the area of one detector element.
        area = geometry.pitch * float(canvas.spacing[2])
        whole = law.quanta * settings.mas * area / geometry.n_views
        generator = np.random.default_rng([settings.seed, k, 1])
        counts = generator.poisson(whole * np.exp(-readings)) + generator.normal(0.0, ELECTRONIC, readings.shape)
        readings = -np.log(np.maximum(counts, FEWEST / 4) / whole)
    corrected = law.corrected(readings) if settings.hardening else readings
    image = reconstruct_fan(
        corrected, angles, places, radius=geometry.radius, pixel=pixel, shape=shape, transfer=settings.point_spread().transfer
    )
    return np.asarray(1000.0 * (image / canvas.beam.water - 1.0))


def _substance(canvas: Canvas, name: str, part: tuple[slice | int, ...]) -> Float[Array, "i j"] | None:
    if name == "hydroxyapatite":
        return np.asarray(canvas.mineral[part])
    return np.asarray(canvas.traces[name][part]) if name in canvas.traces else None
