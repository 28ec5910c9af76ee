"""Commands on a result that is there: its report again, and objects of it for other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .fe_app import Json


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Result folder of an earlier run.")],
    json: Json = False,
) -> None:
    """Make report.html and report.pdf again from a result folder."""
    from .stages import run_report

    run_report(out, as_json=json)


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Result folder of an earlier run.")],
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write into; objects/ within the result folder.")] = None,
    only: Annotated[str, typer.Option("--only", help="Some of pdf, sr, seg, images, fhir, csv, with commas; all.")] = "",
    json: Json = False,
) -> None:
    """Make objects for other systems of a result: DICOM (PDF, SR, SEG, pictures), FHIR R4, a table of values."""
    from .export import run_export

    run_export(out, to=to, only=only, as_json=json)
