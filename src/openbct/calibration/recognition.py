"""Which phantom a row of rods is, and which end is which: by number, distances, and how well HU and values lie on a plausible line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CalibrationError
from ..records import Mineral
from ..volume import Volume
from .attenuation import effective_energy, hu_per_mineral
from .phantom_line import WATER_DISPLACED, maker_line, residual_limit, usable
from .phantom_models import PhantomModel
from .rod_rows import Row, rows_below, spread_below, spread_column, spread_inside
from .rods import LEAST_CONTRAST, Track, find_rods

SLOPE_WINDOW = 0.25
"""HU per mg/cm³ may differ from that of the tube voltage by this much [-] [design]."""
WIDE_WINDOW = (0.85, 2.6)
"""The same where the voltage is unknown [HU per mg/cm³]: 80 to 140 kV [computed], widened [design]."""
OFFSET_HU = 60.0
"""What no mineral may read [HU]: water-like bases of real phantoms lie within [design]."""
SPACING_TOLERANCE = 0.1
"""Over the spacing that a certificate gives [-] [design]."""
AMBIGUOUS = 1.5
"""A second reading whose residuals are less than this many times as large, or within 3 mg/cm³, leaves the choice open [design]."""


@dataclass(frozen=True)
class Recognized:
    """A phantom in its place."""

    model: PhantomModel
    row: Row
    """Rods in the order of ``model.rods``."""
    misfit: float
    """Root mean square of the residuals [mg/cm³]."""
    turned: bool
    """Whether the first rod lies at the patient's left, or above."""


def recognize(image: Volume, models: Sequence[PhantomModel], kvp: float | None, *, named: bool) -> Recognized:
    """Return the one of ``models`` that lies in the scan, and where its rods are.

    Parameters
    ----------
    named
        The user said which phantom it is: then two rods are enough.

    Raises
    ------
    CalibrationError
        No row of rods fits a model, or several do.
    """
    found: list[Recognized] = []
    tracks: tuple[Track, ...] = ()
    # Under a body first: there little else is round. A phantom in a body of its own is looked for where none lies below.
    for below in (True, False):
        group = [model for model in models if (model.place == "below") == below]
        if found or not group:
            continue
        tracks = find_rods(image, below=below)
        for model in group:
            for row in _rows(model, tracks):
                if sum(row.seen) >= (1 if named else 2) and (named or len(model.rods) > 2):
                    found += _fits(model, row, kvp, named=named)
    found.sort(key=lambda one: (one.misfit, -sum(one.row.seen)))
    if not found:
        raise CalibrationError(_nothing(tracks, models, all(model.place == "below" for model in models)))
    best = found[0]
    rivals = [one for one in found[1:] if one.misfit < max(AMBIGUOUS * best.misfit, best.misfit + 3.0) and _differs(one, best)]
    if rivals:
        names = dict.fromkeys(f"{one.model.name}{' turned around' if one.turned else ''}" for one in (best, *rivals))
        raise CalibrationError(
            f"found rods that fit several phantoms ({', '.join(names)}), expected one; name it with --phantom, or give its certificate"
        )
    return best


def _rows(model: PhantomModel, tracks: Sequence[Track]) -> Iterator[Row]:
    count = len(model.rods)
    if model.layout == "column":
        yield from spread_column(tracks, count)
    elif model.place == "inside":
        yield from spread_inside(tracks, count)
    else:
        for group in rows_below(tracks):
            if len(group) <= count:
                yield from spread_below(group, count)


def _fits(model: PhantomModel, row: Row, kvp: float | None, *, named: bool) -> Iterator[Recognized]:
    """Yield the one or two ways in which a row can be a model."""
    if model.spacing is not None and not abs(row.spacing / model.spacing - 1) <= SPACING_TOLERANCE:
        return
    radius = float(np.median([rod.radius for rod in row.rods]))
    if model.diameter is not None and abs(2 * radius / model.diameter - 1) > 2 * SPACING_TOLERANCE:
        return
    low, high = slope_window(model.mineral, kvp)
    for turned in (False, True):
        rods, seen = (row.rods[::-1], row.seen[::-1]) if turned else (row.rods, row.seen)
        placed = Row(rods, seen, row.spacing)
        hu = np.array([rod.mean for rod in rods])
        spread = np.where(seen, 3.0, LEAST_CONTRAST / 2)
        # Of a phantom that the user named one rod may be bad; one that is recognized by its rods must be whole.
        kept = usable(model, hu, spread) if named else (True,) * len(hu)
        line, used = maker_line(model, hu, spread, kept), np.array(kept)
        if not low <= line.hu_per_mg <= high or abs(line.hu_of_nothing) > OFFSET_HU:
            continue
        if model.spacing is None and np.isnan(row.spacing) and turned:
            continue  # the unseen rod has no place: both orders are one
        if np.abs(line.residuals[used]).max() > 2 * residual_limit(model):
            continue
        # A rod that should stand out and was not seen is none.
        expected = np.array([line.hu_per_mg * r.value + line.hu_of_nothing for r in model.rods])
        waters = np.array([0.0 if r.water is None else r.water - 1000.0 + WATER_DISPLACED * r.value for r in model.rods])
        around = np.array([rod.around for rod in rods])
        hidden = ~np.array(seen)
        if np.any(np.abs(expected + waters - around)[hidden] > 2 * LEAST_CONTRAST):
            continue
        yield Recognized(model, placed, float(np.sqrt(np.mean(line.residuals[used] ** 2))), turned)


def slope_window(mineral: Mineral, kvp: float | None) -> tuple[float, float]:
    """Return the least and the largest plausible HU per mg/cm³ of a mineral at a tube voltage."""
    if kvp is None:
        return WIDE_WINDOW
    expected = hu_per_mineral(mineral, effective_energy(kvp)[0])
    return (1 - SLOPE_WINDOW) * expected, (1 + SLOPE_WINDOW) * expected


def _differs(one: Recognized, other: Recognized) -> bool:
    """Tell whether two readings give rods different values, or other rods."""
    if [rod.value for rod in one.model.rods] != [rod.value for rod in other.model.rods]:
        return True
    return any(np.hypot(a.middle[0] - b.middle[0], a.middle[1] - b.middle[1]) > 2.0 for a, b in zip(one.row.rods, other.row.rods))


def _nothing(tracks: Sequence[Track], models: Sequence[PhantomModel], below: bool) -> str:
    """Return why there is no phantom, with what was seen."""
    groups = rows_below(tracks) if below else [tuple(tracks)]
    if groups and groups[0]:
        seen = f"{len(groups[0])} round rod{'s' if len(groups[0]) > 1 else ''} of {', '.join(f'{rod.mean:.0f}' for rod in groups[0][:8])} HU"
    else:
        seen = "no row of round rods that run along the table"
    where = "below the body" if below else "in the scan"
    expected = models[0].title if len(models) == 1 else "those of a known phantom"
    unnamed = "" if len(models) == 1 else " (one of two rods is not recognized without its name)"
    return (
        f"found {seen} {where}, expected {expected} on a line that the tube voltage allows; check that the phantom lies in the image, name it "
        f"with --phantom{unnamed}, give its certificate, or calibrate without a phantom"
    )
