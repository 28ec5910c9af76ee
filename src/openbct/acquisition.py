"""The rules on how a scan was made, as one table: what is doubted or refused, from where on, by whose word, with what effect.

The table is ``data/acquisition.toml``. Who applies a rule takes its limits from here, so that no limit stands in two places; what other stages
refuse by limits of their own is listed too, and a test holds their constants against the table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from .records import Reference

Judge = Literal["header", "values", "assembly", "image", "calibration", "anatomy"]
"""What a rule looks at: the header, the values of the voxels, the planes' places, the image around the bones, the references, the bone."""


@dataclass(frozen=True)
class Rule:
    """One rule; ``None`` where the table is silent."""

    key: str
    title: str
    judges: Judge
    outcome: Literal["caution", "refused"]
    """The worst that it can lead to."""
    caution: float | None
    """From here on a doubt, in ``unit``."""
    low: float | None
    """Below here a doubt, where both ends count."""
    refused: float | None
    """From here on no result, in ``unit``."""
    unit: str
    density_percent: float | None
    """Largest change of density that was measured on simulated scans [%]."""
    strength_percent: float | None
    """Largest change of strength, likewise [%]."""
    where: str
    """Module that applies it, or module and constant with a colon."""
    reference: Reference

    def limit(self) -> float:
        """Return the limit of the caution."""
        assert self.caution is not None, self.key
        return self.caution

    def effect(self) -> str:
        """Return the measured effect in words, for the end of a sentence."""
        if self.density_percent is None or self.strength_percent is None:
            return "its effect was not measured"
        return (
            f"on simulated scans it changed density by up to {self.density_percent:g} % and strength by up to "
            f"{self.strength_percent:g} %"
        )


@cache
def rules() -> Mapping[str, Rule]:
    """Return every rule by its key."""
    return MappingProxyType({key: _rule(key, entry) for key, entry in _table()["rule"].items()})


def rule(key: str) -> Rule:
    """Return one rule."""
    return rules()[key]


@cache
def kernel_lists() -> Mapping[str, Mapping[str, Any]]:
    """Return what is known of kernels, by maker."""
    return MappingProxyType(_table()["kernels"])


@cache
def _table() -> dict[str, Any]:
    text = (resources.files("openbct") / "data" / "acquisition.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _rule(key: str, entry: Mapping[str, Any]) -> Rule:
    return Rule(
        key=key,
        title=entry["title"],
        judges=entry["judges"],
        outcome=entry["outcome"],
        caution=entry.get("caution"),
        low=entry.get("low"),
        refused=entry.get("refused"),
        unit=entry.get("unit", ""),
        density_percent=entry.get("density_percent"),
        strength_percent=entry.get("strength_percent"),
        where=entry["where"],
        reference=Reference(entry["source"], entry["mark"]),
    )
