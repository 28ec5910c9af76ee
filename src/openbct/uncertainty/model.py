"""What modelling choices that are as good are worth to a strength, and the assumptions on every other source: two packaged tables."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class ModelSpread:
    """What a study found for one test of a studied protocol."""

    relative: float
    """One standard deviation over the strength [-], from all modelling choices."""
    density_power: float
    """Of density, with which the strength goes [-]."""
    alignment: float = 0.0
    """The share of ``relative`` that is the pose's [-]."""
    solver: float = 0.0
    """The share that is the load steps' [-]."""
    edge_per_mm: float = 0.0
    """Relative change of the strength for a surface that lies 1 mm farther out [1/mm]."""


@cache
def model_spread(test: str) -> ModelSpread:
    """Return the spread of ``"vertebra"`` (compression), ``"fall"`` or ``"stance"``.

    References
    ----------
    Our own study: ``docs/validation/strength.md``, whose script writes the packaged table [computed].
    """
    return ModelSpread(**_table("model_uncertainty.toml")[test])


def assumptions() -> Mapping[str, Any]:
    """Return the table of sources, each with its mark."""
    return _table("uncertainty.toml")


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("openbct.data").joinpath(name).read_text(encoding="utf-8"))
