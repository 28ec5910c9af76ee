"""Where each plane of a stack belongs on one straight, even grid: planes as they stand, gaps, uneven steps, tilt.

Everything follows from the planes' own positions. A stack that is even and straight within :data:`POSITION_TOLERANCE` stays as it is.
Of the others, those whose positions explain them are placed on a grid, and a caution says so; the rest is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import ScanError
from ..records import Gap
from ..volume import Affine

Array = np.ndarray
POSITION_TOLERANCE = 0.1
"""Largest distance of a plane's corner from the grid's prediction [mm] [D]: a fifth of a fine CT voxel; a tilt of 0.02° over
300 mm passes, one of 2.5° (13 mm) does not."""
UNEVEN = 0.45
"""Steps may differ from their median by this share of it and are interpolated [D]; a wider one is a gap, a smaller one is refused."""
MAX_MISSING = 0.25
"""Share of the grid's planes that may be absent [D]: beyond, the stack is not one scan with a gap."""
MAX_TILT_DEG = 35.0
"""Gantries tilt by up to 30 degrees [R]."""
TILT_AGREES_DEG = 1.0
"""A stated gantry tilt and the shear of the positions are the same within this [degrees] [D]: headers give whole or half degrees."""

MEASURED = "the strength of a simulated vertebra changed by less than 2 %"
"""For tilts up to 25 degrees and steps up to 40 % uneven: docs/validation/reading.md [computed]."""


@dataclass(frozen=True)
class Placing:
    """The grid of a stack, and where on it each plane lies."""

    affine: Affine
    """Column index, row index, plane index to patient LPS [mm]."""
    size: tuple[int, int, int]
    """Columns, rows and planes of the grid."""
    places: Float[Array, " n"]
    """Plane index of each plane; whole numbers unless the steps are uneven."""
    shifts: Float[Array, "n 2"]
    """Column and row of the grid at which each plane's first pixel lies."""
    gaps: tuple[Gap, ...] = ()
    tilt_deg: float = 0.0
    """Shear that was taken out [degrees]."""
    course: Float[Array, "3"] | None = None
    """Unit vector along which the planes follow one another, where that is not their normal: the table's way under a tilted gantry."""
    cautions: tuple[str, ...] = ()

    @property
    def as_it_stands(self) -> bool:
        """Whether the planes are the grid's own, in order, with nothing to interpolate."""
        return not self.shifts.any() and len(self.places) == self.size[2] and bool((self.places == np.arange(self.size[2])).all())


def place_planes(
    positions: Float[Array, "n 3"],
    orientation: Float[Array, "2 3"],
    spacing: tuple[float, float],
    size: tuple[int, int],
    stated_tilt: float | None,
) -> Placing:
    """Return the grid of some planes, sorted along their normal, no two at one position.

    Parameters
    ----------
    positions
        Centres of the first pixels, patient LPS [mm].
    orientation
        Unit vectors along a row and along a column.
    spacing
        Between columns, between rows [mm].
    size
        Columns, rows.
    stated_tilt
        Gantry tilt in the header [degrees]; ``None`` where it is silent.

    Raises
    ------
    ScanError
        The planes make no grid: too many are missing, steps that no gap explains, sideways jumps, a tilt that the header denies.
    """
    normal = np.cross(orientation[0], orientation[1])
    along = positions @ normal
    places, even, gaps, cautions = _place_along(along, normal)
    sideways = positions @ orientation.T
    shifts, tilt, said = _place_sideways(sideways, along, np.array(spacing), stated_tilt)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = orientation[0] * spacing[0], orientation[1] * spacing[1], normal * even
    if tilt:
        start = sideways.min(axis=0)
        extra = np.ceil(shifts.max(axis=0) - 1e-6).astype(int)
    else:
        start, extra = sideways.mean(axis=0), np.zeros(2, dtype=int)
    depth = along.mean() - even * places.mean()
    affine[:3, 3] = start @ orientation + depth * normal
    columns, rows = (int(n + more) for n, more in zip(size, extra))
    way = positions[-1] - positions[0]
    course = way / np.linalg.norm(way) if tilt else None
    return Placing(affine, (columns, rows, round(places[-1]) + 1), places, shifts, gaps, tilt, course, (*cautions, *said))


def _place_along(
    along: Float[Array, " n"], normal: Float[Array, "3"]
) -> tuple[Float[Array, " n"], float, tuple[Gap, ...], tuple[str, ...]]:
    """Return each plane's index on the grid, the grid's step [mm], the gaps, and what is to be said of them."""
    steps = np.diff(along)
    step = float(np.median(steps))
    ratio = steps / step
    whole = np.maximum(np.rint(ratio), 1.0)
    index = np.concatenate([[0.0], np.cumsum(whole)])
    centred = index - index.mean()
    even = float(centred @ along / (centred @ centred))
    misfit = float(np.abs(along - along.mean() - even * centred).max())
    wide = np.flatnonzero(ratio > 1 + UNEVEN)
    cautions: tuple[str, ...] = ()
    if misfit > POSITION_TOLERANCE:
        if ratio.min() < 1 - UNEVEN:
            raise ScanError(
                f"found slice steps from {steps.min():.3f} to {steps.max():.3f} mm (up to {misfit:.2f} mm off an even stack), expected"
                f" one step within {POSITION_TOLERANCE} mm, or at most {100 * UNEVEN:g} % off {step:.3f} mm; export the original,"
                " evenly spaced series"
            )
        # The grid ends with the last plane.
        even = float((along[-1] - along[0]) / max(1, round(float(along[-1] - along[0]) / step)))
        index = (along - along[0]) / even
        usual = steps[ratio <= 1 + UNEVEN]
        cautions = (
            f"slices lie {usual.min():.2f} to {usual.max():.2f} mm apart, unevenly: the image was interpolated between them to an even"
            f" step of {even:.2f} mm, which blurs by up to half a step ({MEASURED}); if the positions are wrong, bones are stretched there",
        )
    if not len(wide):
        return index, even, (), cautions
    missing = index[-1] + 1 - len(along)
    if missing > MAX_MISSING * (index[-1] + 1):
        raise ScanError(
            f"found about {missing:.0f} missing slices in {len(wide)} place(s), first {_where(wide, steps, step)}, expected an unbroken"
            f" stack, or at most {100 * MAX_MISSING:g} % missing; fetch the whole series again"
        )
    gaps = tuple(Gap(normal, float(along[k]), float(along[k + 1])) for k in wide)
    return index, even, gaps, (*cautions, _tell_gaps(missing, wide, steps, step))


def _tell_gaps(missing: float, wide: Array, steps: Float[Array, " m"], step: float) -> str:
    """Return the caution on gaps."""
    return (
        f"about {max(1, round(missing))} missing slice(s) in {len(wide)} place(s), first {_where(wide, steps, step)}: the image there is"
        " interpolated and is no data; bones that reach into it are refused"
    )


def _where(wide: Array, steps: Float[Array, " m"], step: float) -> str:
    """Return where the first gap lies, in words."""
    first = int(wide[0])
    return (
        f"between slices {first + 1} and {first + 2} of {len(steps) + 1} ({steps[first]:.2f} mm apart, elsewhere {step:.2f} mm)"
    )


def _place_sideways(
    sideways: Float[Array, "n 2"], along: Float[Array, " n"], spacing: Float[Array, "2"], stated: float | None
) -> tuple[Float[Array, "n 2"], float, tuple[str, ...]]:
    """Return each plane's shift within the grid's plane [pixels], the shear [degrees] and what is to be said of it."""
    centred = along - along.mean()
    slope = centred @ (sideways - sideways.mean(axis=0)) / (centred @ centred)
    line = sideways.mean(axis=0) + centred[:, None] * slope
    jump = float(np.linalg.norm(sideways - line, axis=1).max())
    if jump > POSITION_TOLERANCE:
        raise ScanError(
            f"found slices up to {jump:.2f} mm sideways off one line, expected a straight stack within {POSITION_TOLERANCE} mm;"
            " export the original series"
        )
    lean = float(np.linalg.norm(slope))
    shift = lean * float(along[-1] - along[0])
    if shift <= POSITION_TOLERANCE:
        return np.zeros_like(sideways), 0.0, ()
    angle = math.degrees(math.atan(lean))
    told = f"slices shifted sideways by {shift:.1f} mm over the stack (gantry tilt or shear of {angle:.2f} degrees)"
    if angle > MAX_TILT_DEG:
        raise ScanError(f"found {told}, expected at most {MAX_TILT_DEG:g} degrees; export the original series")
    if stated is not None and abs(abs(stated) - angle) > TILT_AGREES_DEG:
        raise ScanError(
            f"found {told} where the header states a tilt of {stated:.1f} degrees, expected the same within {TILT_AGREES_DEG:g} degree:"
            " one of them is wrong; use a series without gantry tilt"
        )
    silent = ", of which the header says nothing" if stated is None else ""
    caution = (
        f"{told}{silent}: the image was straightened by shifting each slice within its own plane, which interpolates along it once;"
        f" the slices stay as tilted as they were taken ({MEASURED} for up to 25 degrees)"
    )
    return (sideways - sideways.min(axis=0)) / spacing, angle, (caution,)
