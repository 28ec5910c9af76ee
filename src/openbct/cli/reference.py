"""``openbct reference build``: results of a cohort in, a strength reference out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError, SettingsError
from ..reference_building import Built, build_thresholds
from ..strength_norms import build_norms
from ..strength_reference import StrengthReference, calibration_of, recipe_digest
from .cohort import Cohort, from_results, from_table
from .tell import print_json

LONGEST = 200
"""Letters of the words about the cohort, at most: reports quote them [design]."""


def run_reference_build(cohort: Path, out: Path, *, people: str, protocol: str | None, as_json: bool) -> None:
    """Build a reference, write it, and tell what it holds and what it could not be built for.

    Raises
    ------
    InputError, SettingsError
        The cohort cannot be read, is of several protocols, or is too small for any site and sex.
    """
    from ..io import write_reference

    people = " ".join(people.split())
    if not 0 < len(people) <= LONGEST:
        raise SettingsError(f"found {len(people)} letters in --people, expected 1 to {LONGEST}: a few words on who was measured")
    if out.suffix.lower() != ".toml":
        raise SettingsError(f"found the output file {out.name!r}, expected one that ends in .toml; change -o")
    found = _cohort(cohort, protocol)
    if str(found.settings.get("run", {}).get("scale")) == "none":
        raise SettingsError(
            f'found the protocol {found.protocol!r} with scale = "none", expected "provisional": published thresholds belong to another test than its'
        )
    built = build_thresholds(found.observations)
    sites = dict.fromkeys(row.site for row in built.thresholds)
    reference = StrengthReference(
        protocol=found.protocol,
        recipes={site: recipe_digest(found.settings, site) for site in sites},
        calibration=calibration_of(found.settings),
        version=found.version,
        cohort=people,
        thresholds=built.thresholds,
        norms=tuple(norm for norm in build_norms(found.observations) if norm.site in sites),
    )
    write_reference(reference, out)
    _tell(reference, built, found, out, as_json=as_json)


def _cohort(path: Path, protocol: str | None) -> Cohort:
    if path.is_dir():
        if protocol is not None:
            raise SettingsError("found --protocol beside a folder of results, which name their own; leave it out")
        return from_results(path)
    if path.is_file() and path.suffix.lower() == ".csv":
        if protocol is None:
            raise SettingsError(
                "found a CSV table without --protocol, expected the protocol that its strengths were computed with"
            )
        return from_table(path, protocol)
    raise InputError("found neither a folder nor a CSV table at the path of the cohort, expected one; check it")


def _tell(reference: StrengthReference, built: Built, found: Cohort, out: Path, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "site": row.site, "sex": row.sex, "fragile_n": row.fragile_n, "fragile_95_n": list(row.fragile_95_n),
            "normal_n": row.normal_n, "normal_95_n": list(row.normal_95_n), "persons": row.persons, "r_squared": row.r_squared,
            "residual_sd_n": row.residual_sd_n,
        }
        for row in built.thresholds
    ]  # fmt: skip
    cautions = [*built.cautions, *found.cautions]
    if as_json:
        content: Mapping[str, Any] = {
            "schema": "openbct-reference/1", "file": str(out), "protocol": reference.protocol, "thresholds": rows,
            "refused": list(built.refused), "cautions": cautions,
        }  # fmt: skip
        print_json(dict(content))
        return
    for row in built.thresholds:
        who = "women" if row.sex == "F" else "men"
        print(
            f"{row.site}, {who}: fragile at {row.fragile_n:.0f} N (95 %: {row.fragile_95_n[0]:.0f} to {row.fragile_95_n[1]:.0f}), normal at "
            f"{row.normal_n:.0f} N ({row.normal_95_n[0]:.0f} to {row.normal_95_n[1]:.0f}); {row.persons} persons, r² {row.r_squared:.2f}"
        )
    for norm in reference.norms:
        who = "women" if norm.sex == "F" else "men"
        print(
            f"{norm.site}, {who} of {norm.youngest:.0f} to {norm.oldest:.0f} years: mean {norm.mean_at_70_n:.0f} N at 70, "
            f"{norm.slope_n_per_year:+.0f} N a year, standard deviation {norm.sd_n:.0f} N; {norm.persons} persons"
        )
    for text in built.refused:
        print(f"not mapped: {text}")
    for text in cautions:
        print(f"caution: {text}")
    print(f"written: {out}, for protocol {reference.protocol} only")
