"""Measures: densities and sizes read off a bone."""

from __future__ import annotations

from .hip import femoral_densities, measure_femur
from .needed import lacking_landmarks
from .spine import measure_vertebra, measure_whole_vertebra, vertebral_densities

__all__ = [
    "femoral_densities",
    "lacking_landmarks",
    "measure_femur",
    "measure_vertebra",
    "measure_whole_vertebra",
    "vertebral_densities",
]
