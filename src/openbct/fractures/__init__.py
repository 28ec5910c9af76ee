"""Vertebral fracture assessment: the heights of every whole vertebra against what they were before, by level and by this person's own spine."""

from .assess import assess_fractures
from .grading import LIMITS

__all__ = ["LIMITS", "assess_fractures"]
