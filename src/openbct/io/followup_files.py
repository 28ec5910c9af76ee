"""A follow-up as files: comparison.json, and comparison.csv with one row for each change."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..visits import Change, Comparison, FollowUp, Visit
from .files import prepare_folder, write_json, write_table

SCHEMA = "openbct-comparison/1"
COMPARISON, TABLE = "comparison.json", "comparison.csv"
SCHEMA_FILE = Path(__file__).resolve().parents[1] / "data" / "comparison.schema.json"


def comparison_schema() -> dict[str, Any]:
    """Return the JSON schema of comparison.json, as published with the package."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def write_followup(followup: FollowUp, folder: Path, *, created: str) -> list[Path]:
    """Write both files, without a patient's name or number; returns them.

    Raises
    ------
    OutputError
        No room, no permission.
    """
    prepare_folder(folder)
    write_json(folder / COMPARISON, followup_to_tables(followup, created=created))
    write_table(folder / TABLE, followup_rows(followup))
    return [folder / COMPARISON, folder / TABLE]


def followup_to_tables(followup: FollowUp, *, created: str) -> dict[str, Any]:
    """Return a follow-up as plain tables; ``created`` is an ISO time."""
    return {
        "schema": SCHEMA,
        "created": created,
        "research_use_only": True,
        "versions": dict(followup.versions),
        "visits": [_visit(visit, number) for number, visit in enumerate(followup.visits)],
        "comparisons": [_comparison(one) for one in followup.comparisons],
        "trends": [asdict(trend) for trend in followup.trends],
        "treatments": [asdict(effect) for effect in followup.effects],
        "methods": asdict(followup.step),
    }


def _visit(visit: Visit, number: int) -> dict[str, Any]:
    scanned = visit.acquisition
    return {
        "number": number,
        "date": visit.date,
        "input_sha256": visit.digest,
        "protocol": visit.protocol,
        "version": visit.version,
        "scanner": " ".join(part for part in (scanned.manufacturer, scanned.model) if part) or None,
        "kvp_kv": scanned.kvp,
        "kernel": scanned.kernel,
        "slice_thickness_mm": scanned.slice_thickness,
        "spacing_mm": list(visit.spacing),
        "calibration": visit.calibration.method,
        "mineral": visit.calibration.mineral,
        "bones": list(visit.bones),
        "missing": dict(visit.missing),
    }


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "number": one.number,
        "years": one.years,
        "checks": [asdict(check) for check in one.checks],
        "alignments": [{**asdict(alignment), "transform": alignment.transform.tolist()} for alignment in one.alignments],
        "changes": [asdict(change) for change in one.changes],
        "absent": dict(one.absent),
        "cautions": list(one.cautions),
    }


def followup_rows(followup: FollowUp) -> list[dict[str, Any]]:
    """Return one row for each change, with the same columns always."""
    return [
        _row(change, one, followup.visits[0], followup.visits[one.number])
        for one in followup.comparisons
        for change in one.changes
    ]


def _row(change: Change, one: Comparison, baseline: Visit, visit: Visit) -> dict[str, Any]:
    return {
        "followup": one.number,
        "baseline_date": baseline.date,
        "date": visit.date,
        "years": one.years,
        "bone": change.bone.replace(",", " "),
        "quantity": change.quantity,
        "unit": change.unit,
        "baseline": change.baseline,
        "value": change.followup,
        "difference": change.difference,
        "percent": change.percent,
        "percent_per_year": change.percent_per_year,
        "least_significant_percent": change.least,
        "least_significant_from": change.least_from,
        "judgement": change.judgement,
        "same_regions": change.carried,
        "reason": change.why or None,
    }
