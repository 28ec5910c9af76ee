"""Commands on a result that is there: its report again, and objects of it for other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .fe_app import Json


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Result folder of an earlier run.")],
    interpretation: Annotated[
        Path | None,
        typer.Option("--interpretation", help="Text file (UTF-8) with a physician's own interpretation; needs --reader."),
    ] = None,
    reader: Annotated[
        str | None, typer.Option("--reader", help='"NAME, TITLE" of the physician who signs the text: makes the final report.')
    ] = None,
    comparison: Annotated[
        Path | None,
        typer.Option(
            "--comparison",
            help="Output of openbct compare: adds what changed since the baseline; kept in OUT for the next report.",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Say whether everything is as it was signed; makes no report.")
    ] = False,
    objects: Annotated[
        bool, typer.Option("--objects", help="Also make the objects of `openbct export`, of the same pages.")
    ] = False,
    json: Json = False,
) -> None:
    """Make report.html and report.pdf again from a result folder, or the final report with a physician's signed text."""
    from .report import run_report

    run_report(
        out, interpretation=interpretation, reader=reader, verify=verify, as_json=json, comparison=comparison, objects=objects
    )


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Result folder of an earlier run.")],
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write into; objects/ within the result folder.")] = None,
    only: Annotated[str, typer.Option("--only", help="Some of pdf, sr, seg, images, fhir, csv, with commas; all.")] = "",
    json: Json = False,
) -> None:
    """Make objects for other systems of a result: DICOM (PDF, SR, SEG, pictures), FHIR R4, a table of values."""
    from .export import run_export

    run_export(out, to=to, only=only, as_json=json)
