"""A follow-up as files: comparison.json, and comparison.csv with one row for each change."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from ..errors import InputError
from ..records import Case, Mark, Reference
from ..visits import Change, Comparison, Earlier, FollowUp, Judgement, Outcome, ScanCheck, Visit
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


def read_earlier(path: Path, digest: str) -> tuple[Earlier, bytes]:
    """Return what a comparison says of the scan with this SHA-256, and the file as it is.

    Parameters
    ----------
    path
        ``comparison.json``, or the folder that holds it.

    Raises
    ------
    InputError
        There is no such file, it is damaged, or the scan is no follow-up in it.
    """
    try:
        content = (path / COMPARISON if path.is_dir() else path).read_bytes()
    except OSError:
        raise InputError(
            f"found no readable {COMPARISON}, expected the output of `openbct compare`; check the path that --comparison names"
        ) from None
    try:
        table: Any = json.loads(content)
        schema = table["schema"]
        dates = {str(visit["input_sha256"]): (int(visit["number"]), visit["date"]) for visit in table["visits"]}
        first = str(table["visits"][0]["input_sha256"])
        compared = {int(one["number"]): _compared(one) for one in table["comparisons"]}
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        raise InputError(f"found a damaged {COMPARISON}, expected the output of `openbct compare`; compare again") from None
    if schema != SCHEMA:
        raise InputError(f"found a comparison of schema {schema!r}, expected {SCHEMA!r}; compare again with this version")
    number, when = dates.get(digest, (-1, None))
    if number == 0 or number not in compared:
        found = "as its baseline" if number == 0 else "not among its scans"
        raise InputError(
            f"found the scan of this result {found}, expected it as a follow-up of the comparison; give the result folder of a later scan of it"
        )
    return Earlier(_text(dates[first][1]), _text(when), compared[number]), content


def check_analysis(content: bytes, case: Case) -> None:
    """Refuse a comparison of another analysis of the same scan: its numbers would contradict those of the result.

    Raises
    ------
    InputError
        Protocol, version or a strength differs, or the comparison knows a date that an anonymous result does not.
    """
    table: Any = json.loads(content)
    try:
        visit = next(one for one in table["visits"] if one["input_sha256"] == case.scan.digest)
        number, made_by = visit["number"], (str(visit["protocol"]), str(visit["version"]))
        rows = next(one["changes"] for one in table["comparisons"] if one["number"] == number)
        strengths = {
            str(row["bone"]): float(row["followup"]) for row in rows if row["quantity"] == "strength" and "," not in row["bone"]
        }
    except (KeyError, TypeError, StopIteration):
        raise InputError(f"found a damaged {COMPARISON}, expected the output of `openbct compare`; compare again") from None
    known = {bone.bone: bone.strength.strength for bone in case.bones if bone.strength is not None}
    own = (case.protocol, case.versions.get("openbct", "unknown"))
    same = all(bone in known and math.isclose(value, known[bone], rel_tol=1e-4) for bone, value in strengths.items())
    if made_by != own or not same:
        raise InputError(
            f"found a comparison of another analysis of this scan (protocol {made_by[0]}, version {made_by[1]}), expected one of this result "
            f"(protocol {own[0]}, version {own[1]}, the same strengths); compare again with this result folder"
        )
    if visit["date"] is not None and case.scan.acquisition.study_date is None and case.scan.source.startswith("DICOM"):
        raise InputError(
            "found dates in the comparison and none in this result, which is anonymous, expected none in either; compare the anonymous results without --date"
        )


def _text(value: object) -> str | None:
    return str(value) if value is not None else None


def _compared(table: Mapping[str, Any]) -> Comparison:
    """Return one comparison without its alignments.

    Raises
    ------
    ValueError, KeyError, TypeError
        A field is missing or is not what it should be.
    """
    changes = []
    for row in table["changes"]:
        numbers = {key: float(row[key]) for key in ("baseline", "followup", "difference", "percent", "least")}
        if not all(map(math.isfinite, numbers.values())) or row["judgement"] not in get_args(Judgement):
            raise ValueError(row["judgement"])
        yearly = None if row["percent_per_year"] is None else float(row["percent_per_year"])
        words = {key: str(row[key]) for key in ("bone", "quantity", "unit", "least_from", "judgement", "why")}
        source = Reference(str(row["precision"]["text"]), row["precision"]["mark"])
        if source.mark not in get_args(Mark):
            raise ValueError(source.mark)
        changes.append(Change(**words, **numbers, percent_per_year=yearly, precision=source, carried=bool(row["carried"])))  # type: ignore[arg-type]
    if not {one["outcome"] for one in table["checks"]} <= set(get_args(Outcome)):
        raise ValueError(table["checks"])
    checks = tuple(
        ScanCheck(str(one["rule"]), one["outcome"], str(one["baseline"]), str(one["followup"]), str(one["sentence"]))
        for one in table["checks"]
    )
    years = None if table["years"] is None else float(table["years"])
    absent = {str(bone): str(why) for bone, why in dict(table["absent"]).items()}
    return Comparison(int(table["number"]), years, checks, (), tuple(changes), absent, tuple(map(str, table["cautions"])))


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
