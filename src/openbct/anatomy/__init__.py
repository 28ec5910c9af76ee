"""Anatomy: a bone's mask in, the bone with its frame, landmarks and doubts out."""

from __future__ import annotations

from .vertebra import locate_vertebra

__all__ = ["locate_vertebra"]
