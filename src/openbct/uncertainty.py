"""How sure a strength is, within the newtons of its own recipe.

Two parts: what equally good modelling choices are worth (voxel, element, supports, pads, pose, yield surface), from a study on
real and simulated bones; and the calibration's error of the bone's density, raised to the power with which strength follows density.
That the newtons of a recipe are not those of a testing machine is another matter: its scale.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from .records import BoneMeasures, StrengthResult


@dataclass(frozen=True)
class ModelSpread:
    """What a study found for one test of a studied protocol."""

    relative: float
    """One standard deviation over the strength [-], from modelling choices."""
    density_power: float
    """Of density, with which the strength goes [-]."""


@cache
def model_spread(test: str) -> ModelSpread:
    """Return the spread of ``"vertebra"`` (compression), ``"fall"`` or ``"stance"``.

    References
    ----------
    Our own study: ``docs/validation/strength.md``, whose script writes the packaged table [computed].
    """
    text = resources.files("openbct.data").joinpath("model_uncertainty.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)[test]
    return ModelSpread(table["relative"], table["density_power"])


def with_uncertainty(strength: StrengthResult, measures: BoneMeasures, spread: ModelSpread) -> StrengthResult:
    """Return the strength with one standard deviation, and the sentence that says what is in it."""
    density = measures.values.get("integral_vbmd")
    calibration = 0.0
    parts = f"{100 * spread.relative:.0f} % from modelling choices that are as good"
    if density is not None and density.uncertainty is not None and density.value > 0:
        calibration = spread.density_power * density.uncertainty / density.value
        parts += f", {100 * calibration:.0f} % from the calibration"
    else:
        parts += "; that of the calibration is not known and not in it"
    relative = math.hypot(spread.relative, calibration)
    sentence = f"{strength.bone}: one standard deviation of the strength within its recipe was taken as {100 * relative:.0f} % ({parts})."
    step = replace(strength.step, sentence=f"{strength.step.sentence} {sentence}")
    return replace(strength, uncertainty=relative * strength.strength, step=step)
