"""What makes one simulated body differ from the slim woman that is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import SettingsError
from .column import LEVELS, Fracture
from .contrast import PHASES
from .implants import check_implants
from .softtissue import SLIM, Girth

DRAWN_HEIGHT_CM, DRAWN_WEIGHT_KG = 160.0, 62.0
"""Of the body as it is drawn [D]."""


@dataclass(frozen=True)
class BodyShape:
    """Size, fat, spine, agents and metal."""

    size: float = 1.0
    """Scale of everything: coordinates and lengths of all shapes are those of the drawn body, times this."""
    breadth: float = 1.0
    """Of vertebral bodies and discs, beyond the scale."""
    girth: Girth = SLIM
    cobb_deg: float = 0.0
    """Of one scoliotic curve to the left [degrees]."""
    fractures: Mapping[str, Fracture] = field(default_factory=dict)
    """By level."""
    phase: str = "none"
    """Of contrast agent: ``"none"``, ``"arterial"``, ``"portal"`` or ``"late"``."""
    implants: tuple[str, ...] = ()
    """Names of :data:`openbct.phantoms.implants.KINDS`."""
    plaque: bool = True
    """Calcified plaque in the aorta."""


def check_body(body: BodyShape) -> None:
    """Refuse bodies that cannot be drawn.

    Raises
    ------
    SettingsError
        A size, an amount of fat, a curve, a fracture, a phase or an implant out of what can be drawn.
    """
    ranges = {
        "size": (body.size, 0.75, 1.3),
        "breadth": (body.breadth, 0.8, 1.25),
        "subcutaneous fat [mm]": (body.girth.subcutaneous, -8.0, 70.0),
        "visceral fat [mm]": (body.girth.visceral, 0.0, 60.0),
        "Cobb angle [degrees]": (body.cobb_deg, -45.0, 45.0),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise SettingsError(f"found {name} = {value}, expected {low:g} to {high:g}; change the body")
    if body.phase not in PHASES:
        raise SettingsError(f"found the contrast phase {body.phase!r}, expected one of {', '.join(PHASES)}; choose one of these")
    for level, fracture in body.fractures.items():
        if level not in LEVELS:
            raise SettingsError(f"found a fracture of {level}, expected levels among {', '.join(LEVELS)}; rename it")
        if fracture.kind not in ("wedge", "biconcave", "crush") or not 0.0 <= fracture.loss <= 0.6:
            raise SettingsError(
                f"found a {fracture.kind} fracture of {level} with a loss of {fracture.loss}, expected wedge, biconcave or crush with 0 to 0.6"
            )
    check_implants(body.implants)
