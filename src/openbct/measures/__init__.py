"""Measures: densities and sizes read off a bone."""

from __future__ import annotations

from .spine import measure_vertebra

__all__ = ["measure_vertebra"]
