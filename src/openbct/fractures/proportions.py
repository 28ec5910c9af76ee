"""What sound vertebral bodies are like, level by level: the packaged table ``data/vertebral_heights.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np

from ..records import Reference

LEVELS = (*(f"T{n}" for n in range(4, 13)), *(f"L{n}" for n in range(1, 6)))
"""Levels that are graded, from the head down: T4 to L4 as customary, and L5."""
BETWEEN = 0.70
"""Part of a body's depth between the places of its front and its back height: 15 and 85 % [SC]."""


@dataclass(frozen=True)
class Proportions:
    """One level of an average adult."""

    posterior: float
    """Height at the back [mm]."""
    depth: float
    """[mm]"""
    anterior_ratio: float
    """Front over back height [-]."""
    middle_ratio: float
    """Middle over back height [-]."""


@cache
def proportions(level: str, sex: Literal["F", "M"] | None) -> Proportions:
    """Return a level's proportions; the mean of both sexes where the sex is unknown."""
    table = _table()
    posterior, depth = float(table["posterior_mm"][level]), float(table["depth_mm"][level])
    degrees = [table["wedge_deg"][name][level] for name, code in (("female", "F"), ("male", "M")) if sex in (code, None)]
    slope = np.tan(np.radians(float(np.mean(degrees))))
    front = 1.0 - slope * BETWEEN * depth / posterior
    return Proportions(posterior, depth, front, table["middle"]["ratio"] * (front + 1.0) / 2)


def sources() -> tuple[Reference, ...]:
    """Return where the table comes from."""
    return tuple(Reference(part["source"], part["mark"]) for part in _table().values())


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("openbct.data").joinpath("vertebral_heights.toml").read_text(encoding="utf-8"))
