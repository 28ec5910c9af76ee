"""Budgets of strength and stiffness, within the newtons of their own recipe.

What equally good modelling choices are worth (voxel, element, supports, pads, pose, yield surface) comes from a study on real and simulated bones;
the error of the bone's density is raised to the power with which strength follows density; the edge of the mask moves the strength by what it
moved it in the same study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from ..records import ErrorBudget, ErrorPart, Reference, Step, StrengthResult
from ..volume import Volume
from .budget import combined
from .density import edge_sd_voxels
from .model import ModelSpread, assumptions
from .resampling import COARSER, Draws

WORDS = {
    "model": "modelling choices that are as good",
    "alignment": "the pose",
    "calibration": "the calibration",
    "edge": "the edge of the mask",
}
"""A source in words; solver and noise are too small to be told."""


def strength_budgets(
    strength: StrengthResult, density: ErrorBudget | None, spread: ModelSpread, voxel: float
) -> dict[str, ErrorBudget]:
    """Return the budgets of strength and stiffness.

    Parameters
    ----------
    density
        That of the bone's integral density; ``None`` where it is not known.
    voxel
        Edge of a voxel of the mask [mm].
    """
    relative, unknown = _relative(density, spread, voxel)
    found = {}
    for name, value, unit in (("strength", strength.strength, "N"), ("stiffness", strength.stiffness, "N/mm")):
        parts = [ErrorPart(part.source, part.sd * value, part.own_sd * value) for part in relative]
        found[name] = combined(value, unit, parts, unknown)
    return found


def _relative(density: ErrorBudget | None, spread: ModelSpread, voxel: float) -> tuple[list[ErrorPart], tuple[str, ...]]:
    """Return the parts over the strength [-], and the sources that are not known."""
    table = assumptions()

    def shared(source: str, sd: float) -> ErrorPart:
        return ErrorPart(source, sd, float(table[source]["own_share"]) * sd)  # type: ignore[arg-type]

    rest = math.sqrt(max(spread.relative**2 - spread.alignment**2 - spread.solver**2, 0.0))
    parts = [shared("model", rest), shared("alignment", spread.alignment), shared("solver", spread.solver)]
    if spread.edge_per_mm:
        parts.append(shared("edge", abs(spread.edge_per_mm) * voxel * edge_sd_voxels()))
    unknown: list[str] = []
    known = {part.source: part for part in density.parts} if density is not None and density.value > 0 else {}
    for source in ("calibration", "noise"):
        if source in known:
            factor = spread.density_power / density.value  # type: ignore[union-attr]
            parts.append(ErrorPart(source, factor * known[source].sd, factor * known[source].own_sd))
    if "calibration" not in known:
        unknown.append("calibration")
    return [part for part in parts if part.sd > 0], tuple(unknown)


def with_uncertainty(strength: StrengthResult, budget: ErrorBudget) -> StrengthResult:
    """Return the strength with one standard deviation, if the calibration's part of it is known, and the sentence that says what is in it."""
    shares: dict[str, float] = {part.source: part.sd / budget.value for part in budget.parts} if budget.value else {}
    parts = ", ".join(
        f"{100 * shares[source]:.0f} % from {words}" for source, words in WORDS.items() if shares.get(source, 0.0) >= 0.005
    )
    relative = budget.sd / budget.value if budget.value else 0.0
    sentence = f"{strength.bone}: one standard deviation of the strength within its recipe "
    if budget.known_sd is None:
        sentence += f"is at least {100 * relative:.0f} % ({parts}); that of the calibration is not known, so that none is given."
    else:
        sentence += f"was taken as {100 * relative:.0f} % ({parts})."
    step = replace(strength.step, sentence=f"{strength.step.sentence} {sentence}")
    return replace(strength, uncertainty=budget.known_sd, step=step)


def budgets_of(
    strength: StrengthResult, densities: Mapping[str, ErrorBudget], spread: ModelSpread | None, mask: Volume
) -> dict[str, ErrorBudget]:
    """Return every budget of a bone; those of its strength where a study speaks for its recipe (``spread``)."""
    found = dict(densities)
    if spread is not None:
        found |= strength_budgets(strength, densities.get("integral_vbmd"), spread, mask.voxel_volume ** (1.0 / 3.0))
    return found


def uncertainty_step(budgets: Mapping[str, ErrorBudget], draws: Draws | None = None) -> tuple[Step, ...]:
    """Return what was done, for the Methods; nothing where nothing was."""
    if not budgets:
        return ()
    calibration, edge = assumptions()["calibration"], assumptions()["edge"]
    sentence = (
        "Uncertainties were propagated linearly from their sources and added in the square: the calibration's covariance; the edge of the mask, "
        f"anywhere within {edge['half_width_voxels']:g} voxel of the bone's, by measuring again with one voxel more and less; noise over the "
        "independent grains of a region; of a strength the pose and the modelling choices that are as good, from a study. Intervals hold 95 %."
    )
    if draws is not None:
        sentence += (
            f" Strengths have theirs from {len(draws.ratios)} solutions on voxels of {COARSER:g} times the edge, each with another "
            "calibration, edge and pose."
        )
    return (Step("uncertainty", sentence, (Reference(calibration["source"], calibration["mark"]),)),)
