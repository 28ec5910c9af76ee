"""Measures: densities and sizes read off a bone."""

from __future__ import annotations

from .hip import femoral_densities, measure_femur
from .spine import measure_vertebra, measure_whole_vertebra, vertebral_densities

__all__ = ["femoral_densities", "measure_femur", "measure_vertebra", "measure_whole_vertebra", "vertebral_densities"]
