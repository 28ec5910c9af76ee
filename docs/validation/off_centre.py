"""A slice scanned off the axis of rotation behind a shaped filter: a part of the page on the acquisition, made by ``make_acquisition.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from openbct.phantoms import Person, ScannerSettings, torso_of
from openbct.phantoms.beam import detected, linear_attenuation
from openbct.phantoms.canvas import Canvas
from openbct.phantoms.labels import BODY_LABELS, LABELS
from openbct.phantoms.projector import project_fan, reconstruct_fan
from openbct.phantoms.rays import BIN_KEV, Rays, rays
from openbct.phantoms.tissues import TISSUES
from openbct.phantoms.torso import RAY_CENTRE, _blank, _paint, _true_size, region_of

RADIUS, PITCH, N_VIEWS, PIXEL = 570.0, 1.2, 360, 1.5
"""Source to axis, detector at the axis, pixel of the image [mm]; views of a turn."""
CYLINDER_MM, EVENED = 300.0, 0.6
"""The filter makes up for this share of the water that rays beside the axis miss in a centred cylinder [design]."""
OFF_MM = (0.0, -30.0, 30.0, -60.0, 60.0)
"""Body above (negative) or below the axis [mm]; whole pixels, so that nothing is sampled anew."""
AT_L1 = {"middle of the vertebral body": "", "muscle behind the spine": "autochthon_left", "liver": "liver", "aorta": "aorta"}


def filter_mm(places: np.ndarray, law: Rays) -> np.ndarray:
    """Return the filter's aluminium beyond that of the central ray, by the angle of the ray."""
    half = np.sqrt(np.maximum((CYLINDER_MM / 2) ** 2 - (RADIUS * np.sin(places)) ** 2, 0.0))
    return np.asarray(
        EVENED * (CYLINDER_MM - 2 * half) * float(law.spectrum @ law.attenuation[0]) / float(law.spectrum @ aluminium(law))
    )


def aluminium(law: Rays) -> np.ndarray:
    """Return the attenuation of aluminium in the bins of the rays [1/mm]."""
    energies, signal = detected(law.beam.kvp)
    edges = np.arange(0, energies.size, BIN_KEV)
    mu = linear_attenuation(TISSUES["aluminium"], energies) / 10.0
    return np.asarray(np.add.reduceat(mu * signal, edges) / np.add.reduceat(signal, edges))


def scan_off_centre(canvas: Canvas, k: int) -> dict[str, np.ndarray]:
    """Return a slice [HU] as a scanner reads it that corrects every channel for water, and one that was set up on one centred cylinder of water."""
    shape = canvas.hu.shape[:2]
    reach, step = np.arcsin(0.5 * PIXEL * float(np.hypot(*shape)) / RADIUS), PITCH / RADIUS
    places = step * np.arange(-int(reach / step) - 1, int(reach / step) + 2)
    angles = 2 * np.pi * np.arange(N_VIEWS) / N_VIEWS
    law = rays(canvas.beam, 0.0)
    part = (slice(None), slice(None), k)
    maps = np.stack([np.maximum(canvas.water_like(part), 0), canvas.mineral[part]]).astype(np.float32)
    lengths = project_fan(maps, PIXEL, angles, places, RADIUS)
    metal, thick = aluminium(law), filter_mm(places, law)
    known = np.linspace(0.0, 900.0, 451)
    found = {name: np.zeros(lengths.shape[:2]) for name in ("every channel", "one cylinder")}
    central = _reading(law, law.spectrum, known, 0.0 * known)
    for n, place in enumerate(places):
        beam = law.spectrum * np.exp(-metal * thick[n])
        beam /= beam.sum()
        seen = _reading(law, beam, lengths[:, n, 0], lengths[:, n, 1])
        found["every channel"][:, n] = np.interp(seen, _reading(law, beam, known, 0.0 * known), known)
        chord = 2 * np.sqrt(max((CYLINDER_MM / 2) ** 2 - (RADIUS * np.sin(place)) ** 2, 0.0))
        set_up = chord - np.interp(_reading(law, beam, np.array([chord]), np.zeros(1)), central, known)
        found["one cylinder"][:, n] = np.interp(seen, central, known) + np.where(seen > 0.05, set_up, 0.0)
    return {
        name: 1000.0
        * (
            reconstruct_fan(
                each, angles, places, radius=RADIUS, pixel=PIXEL, shape=shape, transfer=ScannerSettings().point_spread().transfer
            )
            - 1.0
        )
        for name, each in found.items()
    }


def _reading(law: Rays, spectrum: np.ndarray, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
    total = sum(share * np.exp(-a * water - b * mineral) for share, a, b in zip(spectrum, law.attenuation[0], law.attenuation[1]))
    return np.asarray(-np.log(total))


def body_at(off: float) -> tuple[Canvas, np.ndarray]:
    """Return slices through L1 of a usual body in an image that is centred on the axis of rotation, and the mask of the vertebral body."""
    whole = region_of(torso_of(Person(), ScannerSettings(), (PIXEL, PIXEL, 3.0)), "L1")
    size = whole.body.size
    chosen = replace(whole, field_of_view=540.0 * size, centre=(0.0, RAY_CENTRE * size - off))
    canvas = _blank(chosen)
    bodies = _paint(canvas, chosen, {})
    return _true_size(canvas, size), bodies == BODY_LABELS["L1"]


def off_centre_part() -> tuple[Sequence[str], list[list[str]]]:
    """Return head and rows of the table: what tissues read off the centre, less what they read in the centre [HU]."""
    base: dict[tuple[str, str], float] = {}
    rows = []
    for off in OFF_MM:
        canvas, body = body_at(off)
        k = canvas.hu.shape[2] // 2
        images = scan_off_centre(canvas, k)
        row = ["in the centre" if off == 0 else f"{abs(off):.0f} mm {'above' if off < 0 else 'below'}"]
        for way, image in images.items():
            for title, name in AT_L1.items():
                inside = canvas.labels[:, :, k] == LABELS[name] if name else body[:, :, k]
                mask = ndimage.binary_erosion(inside, iterations=2 if name else 4)
                value = float(image[mask].mean())
                base.setdefault((way, title), value)
                row.append(f"{value:.1f}" if off == 0 else f"{value - base[way, title]:+.1f}")
        rows.append(row)
    return ("body", *(f"{title}, {way}" for way in ("every channel", "one cylinder") for title in AT_L1)), rows
