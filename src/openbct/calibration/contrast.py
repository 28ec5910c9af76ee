"""Contrast agent in a scan: how it is seen, and what a protocol does about it."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import CalibrationError
from ..records import Acquisition, Reference, Segmentation
from .attenuation import load_table
from .outline import Outline
from .tissues import Found
from .vessels import enhanced_vessel, find_blood

POLICIES = ("caution", "correct", "refuse")
"""What a protocol may ask for."""
NO_CONTRAST = ("", "NO", "NONE", "N", "NO CONTRAST", "WITHOUT")
"""What headers write where there was no contrast agent."""


@dataclass(frozen=True)
class Contrast:
    """Contrast agent that was seen."""

    words: str
    """What shows it."""
    phase: str
    """``"arterial"`` or ``"venous"``, by the blood; ``"venous"`` where only the header speaks."""
    shift: float
    """Rise of trabecular bone that is expected [HU]."""
    shift_sd: float
    """One standard deviation of that rise among scans and sources [HU]."""


def find_contrast(outline: Outline, segmentation: Segmentation, acquisition: Acquisition) -> Contrast | None:
    """Return what shows contrast agent in the scan; ``None`` where nothing does."""
    table = load_table("phantomless.toml")["contrast"]
    limit, drawn = float(table["blood_hu"]), segmentation.tissues.get("aorta")
    blood = find_blood(outline, drawn) if drawn is not None else None
    reading = blood.mean if isinstance(blood, Found) else enhanced_vessel(outline, limit)
    # What the header says is free text and is not repeated: it may hold more than the agent.
    named = (acquisition.contrast or "").strip().upper() not in NO_CONTRAST
    if reading is not None and reading > limit:
        phase = "arterial" if reading > float(table["arterial_hu"]) else "venous"
        words = f"blood reads {reading:.0f} HU" + (" and the header names an agent" if named else "")
    elif named:
        phase, words = "venous", "the header names an agent"
    else:
        return None
    return Contrast(words, phase, float(table["shift_hu"][phase]), float(table["shift_sd_hu"]))


def contrast_reference() -> Reference:
    """Return where the rise of enhanced marrow comes from."""
    table = load_table("phantomless.toml")["contrast"]
    return Reference(f"Enhanced marrow: {table['source']}", "seen")


def refuse_contrast(contrast: Contrast) -> None:
    """Refuse a scan with contrast agent, as the protocol asks.

    Raises
    ------
    CalibrationError
        Always.
    """
    raise CalibrationError(
        f'found contrast agent ({contrast.words}), expected none: the protocol says contrast = "refuse"; use a series without contrast agent, '
        'or set contrast = "caution" or "correct" under [calibration]'
    )


def describe(contrast: Contrast, policy: str, per_mineral: float) -> str:
    """Return the caution: what is known of the agent's effect and what was done about it."""
    effect = (
        f"Contrast agent: {contrast.words}. Blood was not used as a reference. Enhanced marrow reads about {contrast.shift:.0f} HU higher "
        f"({contrast.phase} phase), which raises trabecular density by about {contrast.shift / per_mineral:.0f} mg/cm³"
    )
    doubt = contrast.shift_sd / per_mineral
    if policy == "correct":
        return f"{effect}; that much was taken off every density, and its doubt of {doubt:.0f} mg/cm³ (one standard deviation) widened the interval."
    return f"{effect}. This was not corrected; the interval was widened by it."
