"""Line integrals through slices, and filtered back-projection, in parallel and in fan geometry.

Slices are ``(i j)`` with square pixels, centred on the axis of rotation; a view at angle ``t`` looks along ``(-sin t, cos t)``
and its detector runs along ``(cos t, sin t)``.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any

import numba
import numpy as np
from jaxtyping import Float
from scipy import fft

Array = np.ndarray


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the interpreter lock; keep the machine code where a folder for it can be written."""
    bare = unwrap(function)  # shape checks of a test run cannot be compiled
    try:
        made: Callable[..., Any] = numba.njit(bare, cache=True, nogil=True, fastmath=True)
    except RuntimeError:
        made = numba.njit(bare, nogil=True, fastmath=True)
    return made


@_compiled
def _ray(maps: Any, px: float, py: float, dx: float, dy: float, out: Any) -> None:
    """Add the integrals [pixels] along the line through (px, py) [pixels from the centre] with unit direction (dx, dy).

    Joseph's method: one linear interpolation per column or row that the line crosses.
    """
    count, n_i, n_j = maps.shape
    middle_i, middle_j = (n_i - 1) / 2.0, (n_j - 1) / 2.0
    if abs(dx) >= abs(dy):
        slope, length = dy / dx, 1.0 / abs(dx)
        for i in range(n_i):
            j = py + (i - middle_i - px) * slope + middle_j
            low = int(np.floor(j))
            if low < 0 or low + 1 >= n_j:
                continue
            share = j - low
            for m in range(count):
                out[m] += length * ((1.0 - share) * maps[m, i, low] + share * maps[m, i, low + 1])
    else:
        slope, length = dx / dy, 1.0 / abs(dy)
        for j in range(n_j):
            i = px + (j - middle_j - py) * slope + middle_i
            low = int(np.floor(i))
            if low < 0 or low + 1 >= n_i:
                continue
            share = i - low
            for m in range(count):
                out[m] += length * ((1.0 - share) * maps[m, low, j] + share * maps[m, low + 1, j])


@_compiled
def _project(maps: Any, angles: Any, places: Any, out: Any) -> None:
    for a in range(angles.size):
        c, s = np.cos(angles[a]), np.sin(angles[a])
        for d in range(places.size):
            _ray(maps, places[d] * c, places[d] * s, -s, c, out[a, d])


@_compiled
def _project_fan(maps: Any, angles: Any, fan: Any, radius: float, out: Any) -> None:
    for a in range(angles.size):
        c, s = np.cos(angles[a]), np.sin(angles[a])
        for d in range(fan.size):
            turn = angles[a] + fan[d]
            # The source stands at -radius along the central ray; the ray is turned by its fan angle.
            _ray(maps, radius * s, -radius * c, -np.sin(turn), np.cos(turn), out[a, d])


@_compiled
def _smear(views: Any, angles: Any, step: float, group: Any, out: Any) -> None:
    """Add to each pixel what the views hold on the ray through it; views of a group go to one image."""
    n_i, n_j = out.shape[1], out.shape[2]
    middle = (views.shape[1] - 1) / 2.0
    for a in range(angles.size):
        c, s = np.cos(angles[a]) / step, np.sin(angles[a]) / step
        for i in range(n_i):
            base = (i - (n_i - 1) / 2.0) * c + middle
            for j in range(n_j):
                at = base + (j - (n_j - 1) / 2.0) * s
                low = int(np.floor(at))
                if low < 0 or low + 1 >= views.shape[1]:
                    continue
                share = at - low
                out[group[a], i, j] += (1.0 - share) * views[a, low] + share * views[a, low + 1]


@_compiled
def _smear_fan(views: Any, angles: Any, step: float, radius: float, out: Any) -> None:
    n_i, n_j = out.shape
    middle = (views.shape[1] - 1) / 2.0
    for a in range(angles.size):
        c, s = np.cos(angles[a]), np.sin(angles[a])
        for i in range(n_i):
            x = i - (n_i - 1) / 2.0
            for j in range(n_j):
                y = j - (n_j - 1) / 2.0
                along = radius - x * s + y * c
                across = x * c + y * s
                # A positive fan angle turns the ray towards -across.
                at = np.arctan2(-across, along) / step + middle
                low = int(np.floor(at))
                if low < 0 or low + 1 >= views.shape[1]:
                    continue
                share = at - low
                out[i, j] += ((1.0 - share) * views[a, low] + share * views[a, low + 1]) / (along * along + across * across)


def project(maps: Float[Array, "m i j"], pixel: float, n_views: int) -> tuple[Float[Array, " a"], Float[Array, "a d m"]]:
    """Return the angles of ``n_views`` parallel views over half a turn, and the line integrals [unit of the maps x mm].

    The detector's pitch is the pixel; it covers the diagonal.
    """
    angles = np.pi * np.arange(n_views) / n_views
    n_places = int(np.ceil(np.hypot(*maps.shape[1:]))) | 1
    places = np.arange(n_places) - (n_places - 1) / 2.0
    out = np.zeros((n_views, n_places, maps.shape[0]))
    _project(maps, angles, places, out)
    return angles, out * pixel


def back_project(
    views: Float[Array, "a d"], angles: Float[Array, " a"], shape: tuple[int, int], groups: int = 1
) -> Float[Array, "g i j"]:
    """Return the mean over parallel views of what each holds on the ray through a pixel, split into groups of directions.

    The sum of the groups is the mean over all views.
    """
    out = np.zeros((groups, *shape))
    _smear(views, angles, 1.0, (np.arange(angles.size) * groups) // angles.size, out)
    return out / angles.size


def reconstruct(
    views: Float[Array, "a d"], angles: Float[Array, " a"], pixel: float, shape: tuple[int, int]
) -> Float[Array, "i j"]:
    """Return the image [per mm] of parallel line integrals over half a turn, by the ramp filter."""
    filtered = _ramp(views, pixel, lambda f: np.ones_like(f))
    return np.asarray(np.pi * back_project(filtered, angles, shape)[0])


def project_fan(
    maps: Float[Array, "m i j"], pixel: float, angles: Float[Array, " a"], fan: Float[Array, " d"], radius: float
) -> Float[Array, "a d m"]:
    """Return the line integrals [unit of the maps x mm] of a fan beam from a source at ``radius`` [mm]; angles in radians."""
    out = np.zeros((angles.size, fan.size, maps.shape[0]))
    _project_fan(maps, angles, fan, radius / pixel, out)
    return out * pixel


def reconstruct_fan(
    views: Float[Array, "a d"],
    angles: Float[Array, " a"],
    fan: Float[Array, " d"],
    *,
    radius: float,
    pixel: float,
    shape: tuple[int, int],
    transfer: Callable[[Float[Array, " f"]], Float[Array, " f"]],
) -> Float[Array, "i j"]:
    """Return the image [per mm] of an equiangular fan over a full turn by weighted filtered back-projection.

    ``transfer`` is the kernel's modulation transfer over frequency at the axis of rotation [1/mm].

    References
    ----------
    Kak & Slaney, Principles of Computerized Tomographic Imaging (1988), section 3.4.1: equiangular rays.
    """
    step = float(fan[1] - fan[0])
    weighted = views * (radius * np.cos(fan))
    filtered = _ramp(weighted, step, lambda f: transfer(f / radius), lambda g: 0.5 * (g / np.sin(g)) ** 2)
    out = np.zeros(shape)
    _smear_fan(filtered, angles, step, radius / pixel, out)
    return np.asarray(out * (2 * np.pi / angles.size) / pixel**2)


def _ramp(
    views: Float[Array, "a d"],
    step: float,
    transfer: Callable[[Array], Array],
    weight: Callable[[Array], Array] = lambda g: np.ones_like(g),
) -> Float[Array, "a d"]:
    """Convolve each view with the band-limited ramp, times ``weight`` of the lag and ``transfer`` of the frequency."""
    n = views.shape[1]
    size = fft.next_fast_len(2 * n, real=True)
    lag = np.fft.fftfreq(size, 1.0 / size)
    odd = np.abs(lag) % 2 == 1
    kernel = np.zeros(size)
    kernel[odd] = -weight(lag[odd] * step) / (np.pi * lag[odd] * step) ** 2
    kernel[0] = 0.25 / step**2 * float(weight(np.array([1e-9]))[0])
    response = fft.rfft(kernel).real * transfer(fft.rfftfreq(size, step)) * step
    return np.asarray(fft.irfft(fft.rfft(views, size, axis=1) * response, size, axis=1)[:, :n])
