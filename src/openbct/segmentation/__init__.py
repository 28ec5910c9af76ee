"""Segmenters: a scan in, bones and reference tissues out."""

from __future__ import annotations

from .agreement import Agreeing
from .builtin import BuiltIn
from .found import FoundBones
from .given import EXPECTED, KNOWN_BONES, GivenLabels

__all__ = ["EXPECTED", "KNOWN_BONES", "Agreeing", "BuiltIn", "FoundBones", "GivenLabels"]
