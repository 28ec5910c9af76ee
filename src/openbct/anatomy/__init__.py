"""Anatomy: a bone's mask in, the bone with its frame, landmarks and doubts out."""

from __future__ import annotations

from .as_scanned import take_vertebra
from .femur import locate_femur
from .vertebra import locate_vertebra

__all__ = ["locate_femur", "locate_vertebra", "take_vertebra"]
