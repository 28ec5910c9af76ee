"""Measures: densities and sizes read off a bone."""

from __future__ import annotations

from .hip import measure_femur
from .spine import measure_vertebra, measure_whole_vertebra

__all__ = ["measure_femur", "measure_vertebra", "measure_whole_vertebra"]
