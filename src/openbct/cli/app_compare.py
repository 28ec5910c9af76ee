"""The command that compares scans of one person at several dates, and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .fe_app import Json, Out


def compare(
    results: Annotated[
        list[Path], typer.Argument(metavar="BASELINE FOLLOWUP...", help="Result folders of one person, two or more.")
    ],
    out: Out,
    date: Annotated[
        list[str] | None,
        typer.Option(
            "--date", help="Date of a scan (YYYY-MM-DD), once for each folder in their order: for results without dates."
        ),
    ] = None,
    json: Json = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Skip comparison.html and comparison.pdf.")] = False,
) -> None:
    """What changed between scans of one person: density in the same regions, strength, and what is beyond the least significant change."""
    from .compare import run_compare

    run_compare(results, out, dates=tuple(date or ()), as_json=json, report=not no_report)
