"""Minimum axial rigidity of a vertebral body: the control predictor beside its finite-element strength.

``EA(z)`` is the sum of modulus times area over a cross-section; the weakest cross-section decides. It costs nothing and predicts vertebral
strength about as well as a model does, so that a strength far from it is a fault, not biology.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .records import FEModel, Reference, Step, StrengthResult

STRAIN = 0.0068
"""Strain at which rigidity becomes a force [-]: the coefficient of Crawford et al. (2003), as used with stiffness [SC]."""
WHOLE = 0.7
"""Share of the median cross-section from which a layer is one of the body and no torn endplate [-] [D]."""
PLAUSIBLE = (0.5, 2.0)
"""Strength over the rigidity's force outside which it is doubted [-] (our methods notes [D])."""
BUCKLEY = Reference(
    "Buckley JM et al. (2007): in 81 thoracic vertebrae minimum axial rigidity told strength as well as voxel models did (R2 0.81 and 0.80)",
    "seen",
)


def minimum_axial_rigidity(model: FEModel) -> float:
    """Return the rigidity of the weakest cross-section along the load axis [N], layers without a whole cross-section left out."""
    stiff = np.where(model.mask, model.youngs_modulus, 0.0).sum(axis=(0, 1)) * model.spacing**2
    area = model.mask.sum(axis=(0, 1))
    whole = area >= WHOLE * np.median(area[area > 0]) if (area > 0).any() else np.zeros(len(area), dtype=bool)
    return float(stiff[whole].min()) if whole.any() else float("nan")


def with_rigidity(strength: StrengthResult, model: FEModel) -> StrengthResult:
    """Return a vertebra's strength with its minimum axial rigidity beside it, and a caution where the two contradict each other."""
    rigidity = minimum_axial_rigidity(model)
    if not np.isfinite(rigidity) or rigidity <= 0:
        return strength
    force = STRAIN * rigidity
    ratio = strength.strength / force
    cautions = strength.step.cautions
    if not PLAUSIBLE[0] <= ratio <= PLAUSIBLE[1]:
        cautions = (
            *cautions,
            f"{strength.bone}: its strength of {strength.strength:.0f} N is {ratio:.2f} times that of its weakest cross-section ({force:.0f} N; usual: "
            f"{PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g}): model, label or density may be wrong.",
        )
    quantities = {**strength.quantities, "minimum_axial_rigidity_n": rigidity, "rigidity_estimate_n": force}
    step: Step = replace(strength.step, cautions=cautions)
    return replace(strength, quantities=quantities, step=step)
