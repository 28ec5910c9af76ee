"""What makes one simulated body differ from the slim woman that is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import SettingsError
from .column import LUMBAR, Fracture, column, levels_of
from .contrast import PHASES
from .implants import check_implants
from .softtissue import SLIM, Girth

DRAWN_HEIGHT_CM, DRAWN_WEIGHT_KG = 160.0, 62.0
"""Of the body as it is drawn [D]."""
MOST_FAT_MM = (70.0, 60.0)
"""Below the skin and in the belly, beyond the drawn body's, that can be drawn within the scanner's field [D]."""
MOST_LOST_WITH_SCREWS = 0.25
"""Share of the height of a body above which screws through its pedicles would leave it [C]."""
FOREMOST = -60.0
"""Of a vertebral body, in the drawn body [mm]: what stands further in front would leave no room for the vessels before it [D]."""


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
    """Of contrast agent: ``"none"``, ``"arterial"``, ``"portal"``, ``"late"`` or ``"oral"``."""
    lumbar: int = LUMBAR
    """Vertebrae without ribs: 4, 5 or 6."""
    fused: tuple[str, ...] = ()
    """Levels that are grown together with what is below them: bone where the disc was."""
    implants: tuple[str, ...] = ()
    """Names of :data:`openbct.phantoms.implants.KINDS`."""
    plaque: bool = True
    """Calcified plaque in the aorta."""


def check_body(body: BodyShape) -> None:
    """Refuse bodies that cannot be drawn.

    Raises
    ------
    SettingsError
        A size, an amount of fat, a curve, a number of levels, a fracture, a phase or an implant out of what can be drawn.
    """
    if body.lumbar not in (4, 5, 6):
        raise SettingsError(f"found {body.lumbar} lumbar vertebrae, expected 4, 5 or 6; change the body")
    drawn = levels_of(body.lumbar)
    ranges = {
        "size": (body.size, 0.75, 1.3),
        "breadth": (body.breadth, 0.8, 1.25),
        "subcutaneous fat [mm]": (body.girth.subcutaneous, -8.0, MOST_FAT_MM[0]),
        "visceral fat [mm]": (body.girth.visceral, 0.0, MOST_FAT_MM[1]),
        "Cobb angle [degrees]": (body.cobb_deg, -45.0, 45.0),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise SettingsError(f"found {name} = {value}, expected {low:g} to {high:g}; change the body")
    if body.phase not in PHASES:
        raise SettingsError(f"found the contrast phase {body.phase!r}, expected one of {', '.join(PHASES)}; choose one of these")
    for level, fracture in body.fractures.items():
        if level not in drawn:
            raise SettingsError(f"found a fracture of {level}, expected levels among {', '.join(drawn)}; rename it")
        if fracture.kind not in ("wedge", "biconcave", "crush") or not 0.0 <= fracture.loss <= 0.6:
            raise SettingsError(
                f"found a {fracture.kind} fracture of {level} with a loss of {fracture.loss}, expected wedge, biconcave or crush with 0 to 0.6; "
                "change it"
            )
    front = min(float(placed.frame[1, 3]) - placed.disc_size[1] for placed in column(body.fractures, lumbar=body.lumbar))
    if front < FOREMOST:
        raise SettingsError(
            f"found fractures of {', '.join(body.fractures)} that bend the spine to {-front:.0f} mm before the hips, expected at most "
            f"{-FOREMOST:g}; make them fewer or smaller"
        )
    check_implants(body.implants)
    at = (*body.fused, *(name.split("_")[1] for name in body.implants if name.startswith(("screws", "cement"))))
    absent = set(at) - set(drawn)
    if absent:
        raise SettingsError(
            f"found a fusion or an implant at {', '.join(sorted(absent))}, expected levels among {', '.join(drawn)}; rename it"
        )
    lost = {level: max(fracture.losses) for level, fracture in body.fractures.items() if f"screws_{level}" in body.implants}
    for level, share in lost.items():
        if share > MOST_LOST_WITH_SCREWS:
            raise SettingsError(
                f"found screws in {level}, which has lost {share:g} of its height, expected at most {MOST_LOST_WITH_SCREWS:g} there; put them "
                "into its neighbours"
            )
