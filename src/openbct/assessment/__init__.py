"""What the numbers mean for this patient: T-scores, classes of density and strength, the combined class, loads."""

from .rules import CLASSES, RISKS, profile_names
from .standards import DxaLine, Standards
from .verdict import assess

__all__ = ["CLASSES", "RISKS", "DxaLine", "Standards", "assess", "profile_names"]
