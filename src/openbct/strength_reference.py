"""A reference file's content: at which newtons of one recipe the published density thresholds lie, and to which recipe that belongs.

A published strength threshold belongs to the program that it was published for. What carries over is how it was chosen: so that it
corresponds, on average, to a density threshold (T -2.5 and -1.0 at the hip, 80 and 120 mg/cm3 at the spine) in people who have both
[recalled; the appendix was not read]. :mod:`openbct.reference_building` finds these newtons for another recipe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import SettingsError

Site = Literal["vertebra", "femur"]
SITES: tuple[Site, ...] = ("vertebra", "femur")


@dataclass(frozen=True)
class MappedThresholds:
    """Strengths of one recipe at the two density thresholds, for one site and sex."""

    site: Site
    sex: Literal["F", "M"]
    fragile_n: float
    """Mean strength at T -2.5 or 80 mg/cm³ [N]."""
    fragile_95_n: tuple[float, float]
    """Confidence interval of that mean [N]."""
    normal_n: float
    """At T -1.0 or 120 mg/cm³ [N]."""
    normal_95_n: tuple[float, float]
    persons: int
    r_squared: float
    residual_sd_n: float
    """Of single persons about the line [N]."""


@dataclass(frozen=True)
class StrengthNorm:
    """Strength of one recipe over age, for one site and sex."""

    site: Site
    sex: Literal["F", "M"]
    youngest: float
    oldest: float
    """Ages that the cohort covers: 95 % of its persons [years]."""
    mean_at_70_n: float
    """[N]"""
    slope_n_per_year: float
    sd_n: float
    """Of persons of one age [N]."""
    persons: int

    def mean(self, age: float) -> float:
        """Return the mean strength at an age [N]."""
        return self.mean_at_70_n + self.slope_n_per_year * (age - 70.0)


@dataclass(frozen=True)
class StrengthReference:
    """What makes a recipe's strength scale ``mapped``."""

    protocol: str
    """Name and version of the recipe's protocol."""
    recipes: Mapping[str, str]
    """Site to the digest of its recipe: see :func:`recipe_digest`."""
    calibration: str
    """Method and mineral of the cohort's calibration."""
    version: str
    """Of the program that computed the strengths."""
    cohort: str
    """Who was measured, in the words of whoever built it."""
    thresholds: tuple[MappedThresholds, ...]
    digest: str = ""
    """SHA-256 of the file."""
    norms: tuple[StrengthNorm, ...] = ()
    """Strength over age; empty where the cohort's ages are not known."""

    def covers(self, site: str) -> bool:
        """Tell whether there are thresholds for a site, of one sex at least."""
        return any(row.site == site for row in self.thresholds)

    def thresholds_for(self, site: str, sex: str | None) -> MappedThresholds | None:
        """Return the thresholds of a site and a sex; ``None`` where the cohort was too small for them."""
        return next((row for row in self.thresholds if row.site == site and row.sex == sex), None)

    def norm_for(self, site: str, sex: str | None) -> StrengthNorm | None:
        """Return strength over age of a site and a sex; ``None`` where the cohort was too small or its ages are not known."""
        return next((norm for norm in self.norms if norm.site == site and norm.sex == sex), None)


def recipe_digest(settings: Mapping[str, Any], site: str) -> str:
    """Return what two runs must share for their newtons of a site to be on one scale: the whole section of the protocol.

    Raises
    ------
    SettingsError
        The section names a plug-in, whose content nobody compares.
    """
    section = settings.get(site)
    if not isinstance(section, Mapping):
        raise SettingsError(f"found no section [{site}] in the settings, expected one; take the results of one program")
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in section.items() if value is not None}
    if any(".py:" in str(value) for value in plain.values()):
        raise SettingsError(
            f"found a plug-in in [{site}], expected none beside a reference: nobody knows whether the plug-in has changed"
        )
    numbers = {key: _as_float(value) for key, value in plain.items()}
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()


def calibration_of(settings: Mapping[str, Any]) -> str:
    """Return method and mineral of a protocol's calibration in words."""
    section = settings.get("calibration", {})
    return f"{section.get('method', 'unknown')}, {section.get('mineral', 'unknown')}"


def check_reference(reference: StrengthReference, title: str, settings: Mapping[str, Any], version: str) -> tuple[str, ...]:
    """Refuse a reference of another recipe; return the cautions of one that is used beyond what it was built with.

    Raises
    ------
    SettingsError
        Another protocol, another version of it, or another recipe under its name.
    """
    if reference.protocol != title:
        raise SettingsError(
            f"found a strength reference of protocol {reference.protocol!r}, expected one of {title!r}: its newtons are not these newtons; build "
            "one for this protocol (`openbct reference build`) or leave it out"
        )
    for site in {row.site for row in reference.thresholds}:
        if reference.recipes.get(site) != recipe_digest(settings, site):
            raise SettingsError(
                f"found a strength reference of another recipe for the {site} under the same name, {title!r}, expected the very settings that it "
                f"was built with; give the changed protocol its own name and build its reference, or leave the reference out"
            )
    cautions = []
    if reference.version != version:
        cautions.append(
            f"The strength reference was built with version {reference.version}, this is version {version}: where a version moved strengths "
            "(“Numbers” in its list of changes), the classes of strength move with them."
        )
    if reference.calibration != calibration_of(settings):
        cautions.append(
            f"The strength reference was built with the calibration {reference.calibration}, this scan has {calibration_of(settings)}: a "
            "difference between the two shifts the classes of strength."
        )
    return tuple(cautions)


def _as_float(value: Any) -> Any:
    """Return numbers as floats, so that 1 and 1.0 are one setting."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return float(value)
    return [_as_float(one) for one in value] if isinstance(value, list) else value
