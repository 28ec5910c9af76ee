"""The command that writes the acquisition sheet, and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def protocol_sheet(
    site: Annotated[str, typer.Option("--for", help="hip, spine or both.")] = "both",
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="File to write, by its ending: .txt, .html or .pdf; without it, text is printed."),
    ] = None,
) -> None:
    """What to ask the scanner for when a CT is made for this purpose, and what is accepted from the archive."""
    from .sheet import run_sheet

    run_sheet(site, out)
