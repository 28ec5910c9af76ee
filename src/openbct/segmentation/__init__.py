"""Segmenters: a scan in, bones and reference tissues out."""

from __future__ import annotations

from .builtin import BuiltIn
from .found import FoundBones
from .given import EXPECTED, KNOWN_BONES, GivenLabels

__all__ = ["EXPECTED", "KNOWN_BONES", "BuiltIn", "FoundBones", "GivenLabels"]
