"""A scan of a phantom alone: rods on the table or in a water-like body, or plain water."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import numpy as np

from ..errors import SettingsError
from ..records import Patient
from .beam import scanner_beam
from .canvas import Canvas, empty
from .rods import CalibrationPhantom, Rod, paint_separate, paint_slab, slab_height, slab_rods
from .scanner import ScannerSettings, check_scanner, expose
from .shapes import Coordinates, Field
from .simulated import SimulatedScan, record
from .softtissue import paint_table

Array = np.ndarray

PHANTOM = Patient(
    name="Simulated^Phantom", identifier="OPENBCT-SIM-PHANTOM",
    sources=MappingProxyType({"name": "simulation", "identifier": "simulation"}),
)  # fmt: skip
RAY_PIXEL, RAY_SLICE = 2.0, 10.0
"""Voxels that rays are traced through [mm]; fine, for rods are small [D]."""
TORSO_OVAL = (300.0, 200.0)
"""Axes of the water-like body that lies on a slab where none is named [mm] [D]."""


@dataclass(frozen=True)
class PhantomScan:
    """What is scanned; lengths in mm."""

    phantom: CalibrationPhantom | None = None
    """``None``: water alone."""
    body: tuple[float, float] | None = TORSO_OVAL
    """Width and depth of a water-like oval on the slab; ``None`` for a slab alone. A phantom with a body of its own has that."""
    spacing: tuple[float, float, float] = (0.8, 0.8, 3.0)
    length: float = 60.0
    """Of the scan, along the table."""
    scanner: ScannerSettings = field(default_factory=ScannerSettings)


def simulate_phantom(settings: PhantomScan) -> SimulatedScan:
    """Return a simulated CT of a phantom with its true values; the same settings give the same scan.

    Raises
    ------
    SettingsError
        Voxels, a length or a body out of range, or nothing to scan.
    """
    _check(settings)
    phantom, body = settings.phantom, _body(settings)
    wide = max(body[0] if body else 0.0, phantom.width if phantom else 0.0)
    deep = (body[1] if body else 0.0) + (slab_height(phantom) if phantom and not phantom.separate else 0.0)
    edge = 1.15 * max(wide, deep) + 20.0
    centre = (deep - (body[1] if body else 0.0)) / 2
    canvas = _blank(settings, settings.spacing, edge, centre)
    rods = _paint(canvas, settings)
    around = None
    if settings.scanner.traced:
        around = _blank(settings, (RAY_PIXEL, RAY_PIXEL, max(RAY_SLICE, settings.spacing[2])), max(edge, 500.0), centre)
        _paint(around, settings)
    image = expose(canvas, settings.scanner, around)
    return record(
        canvas, image, {}, source="simulation: drawn from the shapes themselves", scanner=settings.scanner, patient=PHANTOM,
        settings=settings, description=f"Simulated CT of {phantom.title if phantom else 'water'}", rods=rods,
        table_height=round((body[1] / 2 if body else 0.0) + (slab_height(phantom) if phantom and not phantom.separate else 0.0) - centre, 1),
    )  # fmt: skip


def _body(settings: PhantomScan) -> tuple[float, float] | None:
    separate = settings.phantom is not None and settings.phantom.separate
    return settings.phantom.body if separate and settings.phantom is not None else settings.body


def _check(settings: PhantomScan) -> None:
    check_scanner(settings.scanner)
    body = _body(settings)
    possible = all(0.2 <= edge <= 10.0 for edge in settings.spacing) and 10.0 <= settings.length <= 600.0
    if not possible or (body is not None and not all(50.0 <= axis <= 480.0 for axis in body)):
        raise SettingsError(
            f"found voxels of {settings.spacing} mm, a scan of {settings.length:g} mm and a body of {body} mm, expected 0.2 to 10, 10 to 600 "
            "and 50 to 480 mm; change them"
        )
    if body is None and settings.phantom is None:
        raise SettingsError("found neither a phantom nor a body, expected one to scan; name a phantom")


def _blank(settings: PhantomScan, spacing: tuple[float, float, float], edge: float, centre: float) -> Canvas:
    """Return an empty image around the body's axis, which is the origin."""
    phantom = settings.phantom
    length = settings.length
    if phantom is not None and phantom.stacked:
        length = max(length, len(phantom.rods) * phantom.rod_distance + 20.0)
    counts = np.maximum(np.rint(np.array([edge, edge, length]) / spacing).astype(int), 1)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.array(spacing) * (counts - 1) / 2
    affine[1, 3] += centre
    beam = scanner_beam(settings.scanner.kvp, settings.scanner.water_cm)
    return empty((int(counts[0]), int(counts[1]), int(counts[2])), affine, beam)


def _paint(canvas: Canvas, settings: PhantomScan) -> tuple[Rod, ...]:
    phantom, body = settings.phantom, _body(settings)
    back = body[1] / 2 if body else 0.0
    slab = phantom is not None and not phantom.separate
    paint_table(canvas, back + (slab_height(phantom) if phantom and slab else 0.0))
    if body is not None:
        shape = partial(_oval, half=(body[0] / 2, body[1] / 2))
        bounds = (np.array([-body[0] / 2 - 3, -body[1] / 2 - 3, -1e4]), np.array([body[0] / 2 + 3, body[1] / 2 + 3, 1e4]))
        canvas.paint(shape, bounds, (0, "water", 0))
    if phantom is None:
        return ()
    if not slab:
        return paint_separate(canvas, phantom)
    paint_slab(canvas, phantom, back)
    return slab_rods(canvas, phantom, back)


def _oval(points: Coordinates, half: tuple[float, float]) -> Field:
    x, y, z = points
    a, b = np.float32(half[0]), np.float32(half[1])
    across = np.sqrt((x / a) ** 2 + (y / b) ** 2)
    # First-order distance to the ellipse: value over gradient.
    slope = np.sqrt((x / a**2) ** 2 + (y / b**2) ** 2) / np.maximum(across, np.float32(1e-3))
    return np.asarray((across - 1) / np.maximum(slope, 1 / max(a, b)) + 0 * z)
