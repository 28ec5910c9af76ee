"""How sure every number is, by source, and what of it cancels between two scans of one patient.

Linear propagation: each source moves a number by its derivative times one standard deviation; sources are added in the square, as if
independent. A strength's newtons are those of its own recipe: that they are not a testing machine's is another matter, its scale.
"""

from .budget import combined
from .density import density_budgets
from .model import ModelSpread, model_spread
from .strength import budgets_of, strength_budgets, uncertainty_step, with_uncertainty

__all__ = [
    "ModelSpread",
    "budgets_of",
    "combined",
    "density_budgets",
    "model_spread",
    "strength_budgets",
    "uncertainty_step",
    "with_uncertainty",
]
