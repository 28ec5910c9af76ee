"""From the noise-free body to the image that a scanner would store: hardening, scatter, motion, blur, slice profile, noise, integers."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import fft, ndimage

from ..errors import SettingsError
from .beam import BODY_CM
from .canvas import Canvas
from .exposure import SECTORS, Exposure, trace_rays
from .kernels import FWHM, KERNELS, Kernel
from .rays import rays

Array = np.ndarray

BREATH_MM = 40.0
"""Travel of the table during one breath, for motion [mm] [D]."""
GHOST = 0.25
"""Half the movement within one turn, over the amplitude: the two halves of the data see the body apart by twice that [D]."""
THREADS = 2
"""Slices that are worked on at the same time; the image does not depend on it."""


@dataclass(frozen=True)
class ScannerSettings:
    """How the image is made from the body."""

    kvp: float = 120.0
    water_cm: float = BODY_CM
    """Water that hardens the effective beam, in which the body is drawn."""
    mas: float = 80.0
    """Tube charge per slice; noise follows from it, from the slice and from the body, unless ``noise`` is given."""
    kernel: str = "standard"
    """``"soft"``, ``"standard"`` or ``"sharp"``."""
    blur_fwhm: float | None = None
    """Width of a Gaussian point spread instead of the kernel's [mm]."""
    slice_fwhm: float = 1.0
    """Of the slice profile, in slice distances."""
    noise: float | None = None
    """Standard deviation in the middle of the body [HU], whatever the dose; 0 for none."""
    hardening: bool = True
    """Errors that a water correction leaves behind bone, contrast agent and metal."""
    scatter: float = 0.001
    """Scattered signal that the correction leaves, over the primary behind the body [-]; the default darkens the middle of a slim body by 2 HU [D]."""
    motion_mm: float = 0.0
    """Amplitude of a periodic movement forwards and backwards, with double contours."""
    padding: float | None = None
    """Value outside the circle of reconstruction [HU]; ``None`` fills the square."""
    stored: tuple[int, int] = (-1024, 3071)
    """Least and largest value that can be stored [HU]: twelve bits."""
    seed: int = 0

    @property
    def traced(self) -> bool:
        """Whether rays through the body change the image: without hardening, scatter and noise they do not."""
        return self.hardening or self.scatter > 0 or self.noise != 0

    def point_spread(self) -> Kernel:
        """Return the kernel."""
        return KERNELS[self.kernel] if self.blur_fwhm is None else Kernel(self.blur_fwhm)


def check_scanner(settings: ScannerSettings) -> None:
    """Refuse what no scanner does.

    Raises
    ------
    SettingsError
        A length, dose or share out of range, an unknown kernel.
    """
    if settings.kernel not in KERNELS:
        raise SettingsError(f"found the kernel {settings.kernel!r}, expected one of {', '.join(KERNELS)}; choose one of these")
    if settings.seed < 0:
        raise SettingsError(f"found the scanner's seed {settings.seed}, expected 0 or more; change it")
    ranges = {
        "mas": (settings.mas, 1.0, 5000.0),
        "noise": (settings.noise, 0.0, 200.0),
        "blur_fwhm": (settings.blur_fwhm, 0.0, 20.0),
        "slice_fwhm": (settings.slice_fwhm, 0.0, 10.0),
        "scatter": (settings.scatter, 0.0, 0.5),
        "motion_mm": (settings.motion_mm, 0.0, 30.0),
        "padding": (settings.padding, -32768.0, 3071.0),
        "stored, from": (settings.stored[0], -32768, -1000),
        "stored, to": (settings.stored[1], 300, 32767),
    }
    for name, (value, low, high) in ranges.items():
        if value is not None and not low <= value <= high:
            raise SettingsError(f"found the scanner's {name} = {value}, expected {low:g} to {high:g}; change it")


def expose(canvas: Canvas, settings: ScannerSettings, body: Canvas | None = None) -> Int[Array, "i j k"]:
    """Return the stored image [HU].

    Voxels are means over their own box already, so the blur supplies only what is missing to the width asked for.

    Parameters
    ----------
    body
        The whole body on coarse voxels, for what rays do; without it there is no hardening, no scatter, and noise of ``settings.noise``
        everywhere.
    """
    kernel, spacing = settings.point_spread(), canvas.spacing
    exposure = _trace(body, settings, float(spacing[2])) if body is not None and settings.traced else None
    image = canvas.hu.copy()
    _each_slice(image.shape[2], lambda k: _before_blur(canvas, settings, exposure, image, k))
    _blur(image, spacing, kernel, settings.slice_fwhm)
    gain = _noise_gain(settings, exposure, kernel)
    out = np.empty(image.shape, dtype=np.int16)
    circle = _outside(canvas) if settings.padding is not None else None

    def store(k: int) -> None:
        plane = image[:, :, k]
        if settings.noise != 0 and (exposure is not None or settings.noise):
            grain = _grains(np.random.default_rng([settings.seed, k]), canvas, kernel, exposure, k)
            plane = plane + np.float32(gain) * grain
        stored = np.clip(np.rint(plane), *settings.stored)
        if circle is not None and settings.padding is not None:
            stored[circle] = round(settings.padding)
        out[:, :, k] = stored

    _each_slice(image.shape[2], store)
    return out


def _each_slice(count: int, work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        list(pool.map(work, range(count)))


def _trace(body: Canvas, settings: ScannerSettings, thickness: float) -> Exposure:
    found = rays(body.beam, settings.scatter)
    dose = settings.mas * thickness if settings.noise != 0 else None
    return trace_rays(body, found, dose, hardening=settings.hardening, threads=min(THREADS, os.cpu_count() or 1))


def _noise_gain(settings: ScannerSettings, exposure: Exposure | None, kernel: Kernel) -> float:
    """Return what the grains, of the strength that the rays give, are multiplied by."""
    if exposure is None or settings.noise == 0:
        return settings.noise or 0.0
    if settings.noise is None:
        return float(np.sqrt(kernel.noise_integral))
    return settings.noise / float(np.sqrt(exposure.central_variance()))


def _before_blur(canvas: Canvas, settings: ScannerSettings, exposure: Exposure | None, image: Array, k: int) -> None:
    """Add what rays get wrong, and movement, to a slice."""
    plane = image[:, :, k]
    if exposure is not None:
        plane += exposure.plane(canvas, k)[0]
    if settings.motion_mm > 0:
        z = canvas.affine[2, 3] + canvas.spacing[2] * k
        middle = settings.motion_mm * np.sin(2 * np.pi * z / BREATH_MM)
        halves = [middle + sign * GHOST * settings.motion_mm for sign in (-1, 1)]
        moved = [ndimage.shift(plane, (0.0, shift / canvas.spacing[1]), order=1, mode="nearest") for shift in halves]
        plane[:] = (moved[0] + moved[1]) / 2


def _blur(image: Array, spacing: Array, kernel: Kernel, slice_fwhm: float) -> None:
    """Blur in place: the kernel in the plane, the slice profile along z."""
    if kernel.boost > 0:
        wide = image.copy()
        for axis in (0, 1):
            _gaussian(wide, axis, kernel.wide_fwhm / FWHM, float(spacing[axis]))
    for axis in (0, 1):
        _gaussian(image, axis, kernel.fwhm / FWHM, float(spacing[axis]))
    if kernel.boost > 0:
        image *= np.float32(1 + kernel.boost)
        image -= np.float32(kernel.boost) * wide
    _gaussian(image, 2, slice_fwhm * float(spacing[2]) / FWHM, float(spacing[2]))


def _gaussian(image: Array, axis: int, wanted: float, voxel: float) -> None:
    sigma = np.sqrt(max(wanted**2 - voxel**2 / 12.0, 0.0)) / voxel
    if sigma > 0.05:
        parts = np.array_split(np.arange(image.shape[0 if axis else 1]), THREADS)

        def work(rows: Array) -> None:
            if rows.size:
                some = slice(int(rows[0]), int(rows[-1]) + 1)
                view = image[some] if axis else image[:, some]
                ndimage.gaussian_filter1d(view, float(sigma), axis=axis, output=view, mode="nearest", truncate=3.5)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, parts))


def _outside(canvas: Canvas) -> Array:
    """Return the pixels outside the circle that the square image holds."""
    n_i, n_j = canvas.hu.shape[:2]
    x = (np.arange(n_i) - (n_i - 1) / 2) / (n_i / 2)
    y = (np.arange(n_j) - (n_j - 1) / 2) / (n_j / 2)
    return np.asarray(x[:, None] ** 2 + y[None, :] ** 2 > 1.0)


def _grains(
    generator: np.random.Generator, canvas: Canvas, kernel: Kernel, exposure: Exposure | None, k: int
) -> Float[Array, "i j"]:
    """Return a slice's noise: of unit deviation without an exposure, else of its strength for a noise integral of 1."""
    shape, spacing = (canvas.hu.shape[0], canvas.hu.shape[1]), canvas.spacing
    if exposure is None:
        return _grain(generator, shape, spacing, kernel, None)
    strength = exposure.plane(canvas, k)[1:]
    out = np.zeros(shape, dtype=np.float32)
    for sector, variance in enumerate(strength):
        # Each sector's grain has its share of the unit variance; the mean over all directions is the sum of the sectors.
        out += np.sqrt(np.maximum(SECTORS * variance, 0)) * _grain(generator, shape, spacing, kernel, sector)
    return out


def _grain(
    generator: np.random.Generator, shape: tuple[int, int], spacing: Array, kernel: Kernel, sector: int | None
) -> Float[Array, "i j"]:
    """Return noise with the spectrum of filtered back-projection, a ramp times the kernel's transfer, out of one sector.

    All sectors together have unit variance.
    """
    u = np.fft.fftfreq(shape[0], spacing[0])[:, None].astype(np.float32)
    v = np.fft.rfftfreq(shape[1], spacing[1])[None, :].astype(np.float32)
    radius = np.sqrt(u * u + v * v)
    transfer = np.sqrt(radius) * kernel.transfer(radius).astype(np.float32)
    # Both halves of the plane hold the same real noise: those frequencies that rfft leaves out count twice.
    twice = np.where((v > 0) & (v < v[0, -1]), 2.0, 1.0)
    power = float((twice * transfer**2).sum()) * shape[0] * shape[1]
    if sector is not None:
        direction = np.mod(np.arctan2(v, u), np.pi) / np.pi * SECTORS
        transfer = transfer * (np.minimum(direction.astype(int), SECTORS - 1) == sector)
    white = fft.rfft2(generator.standard_normal(shape, dtype=np.float32))
    noise = fft.irfft2(white * transfer, s=shape)
    return np.asarray(noise * np.float32(np.sqrt(shape[0] * shape[1] * shape[0] * shape[1] / power)), dtype=np.float32)
