"""From the noise-free body to the image that a scanner would store: blur, slice profile, correlated noise, integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from .canvas import Canvas

Array = np.ndarray
FWHM = 2.3548
"""Full width at half maximum of a Gaussian over its deviation."""


@dataclass(frozen=True)
class ScannerSettings:
    """How the image is made from the body."""

    kvp: float = 120.0
    water_cm: float = 20.0
    """Water that hardens the beam."""
    blur_fwhm: float = 1.1
    """Of the point spread in the plane, as of a standard kernel [mm]."""
    slice_fwhm: float = 1.0
    """Of the slice profile, in slice thicknesses."""
    noise: float = 16.0
    """Standard deviation at the centre of the body [HU]."""
    noise_edge: float = 0.55
    """Noise in the air around the body over that at its centre."""
    seed: int = 0


def expose(canvas: Canvas, settings: ScannerSettings) -> Int[Array, "i j k"]:
    """Return the stored image [HU]: blurred, noisy, rounded, between -1024 and 3071.

    Voxels are means over their own box already, so the blur supplies only what is missing to the width asked for.
    """
    image = canvas.hu.copy()
    blur = settings.blur_fwhm / FWHM
    for axis in range(3):
        voxel = float(canvas.spacing[axis])
        wanted = blur if axis < 2 else settings.slice_fwhm * voxel / FWHM
        sigma = np.sqrt(max(wanted**2 - voxel**2 / 12.0, 0.0)) / voxel
        if sigma > 0.05:
            ndimage.gaussian_filter1d(image, float(sigma), axis=axis, output=image, mode="nearest", truncate=3.5)
    if settings.noise > 0:
        generator = np.random.default_rng(settings.seed)
        for index in range(image.shape[2]):
            strength = _strength(canvas.hu[:, :, index], settings)
            image[:, :, index] += strength * _grain(generator, image.shape[:2], canvas.spacing[:2], blur)
    return np.asarray(np.clip(np.rint(image), -1024, 3071), dtype=np.int16)


def _grain(generator: np.random.Generator, shape: tuple[int, ...], spacing: Array, blur: float) -> Float[Array, "i j"]:
    """Return noise of unit deviation with the spectrum of filtered back-projection: a ramp times the kernel's transfer."""
    u = np.fft.fftfreq(shape[0], spacing[0])[:, None]
    v = np.fft.rfftfreq(shape[1], spacing[1])[None, :]
    radius = np.sqrt(u * u + v * v)
    transfer = np.sqrt(radius) * np.exp(-2 * (np.pi * blur * radius) ** 2)
    white = generator.standard_normal(shape, dtype=np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * transfer, s=shape).astype(np.float32)
    return np.asarray(noise / noise.std())


def _strength(hu: Float[Array, "i j"], settings: ScannerSettings) -> Float[Array, "i j"]:
    """Return the noise of each pixel [HU]: more behind more body, by a wide blur of the body itself."""
    step = 8
    body = (hu[::step, ::step] > -500).astype(np.float32)
    depth = ndimage.gaussian_filter(body, 70.0 / step, mode="constant")
    depth = depth / np.float32(max(float(depth.max()), 0.3))
    share = settings.noise_edge + (1 - settings.noise_edge) * depth
    rows, columns = (np.arange(size) / step for size in hu.shape)
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(settings.noise * ndimage.map_coordinates(share, grid, order=1, mode="nearest"), dtype=np.float32)
