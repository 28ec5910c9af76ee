"""How sure every number is, by source, and what of it cancels between two scans of one patient.

Linear propagation: each source moves a number by its derivative times one standard deviation; sources are added in the square, as if
independent. A strength's newtons are those of its own recipe: that they are not a testing machine's is another matter, its scale. A
protocol may ask for a Monte Carlo of solutions on coarse voxels beside it (:mod:`.resampling`).
"""

from .budget import combined
from .density import density_budgets
from .model import ModelSpread, model_spread
from .resampling import COARSER, Draws, drawn, resample
from .strength import budgets_of, strength_budgets, uncertainty_step, with_uncertainty

__all__ = [
    "COARSER",
    "Draws",
    "ModelSpread",
    "budgets_of",
    "combined",
    "density_budgets",
    "drawn",
    "model_spread",
    "resample",
    "strength_budgets",
    "uncertainty_step",
    "with_uncertainty",
]
