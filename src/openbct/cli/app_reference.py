"""The commands under ``openbct reference`` and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .fe_app import Json

reference_app = typer.Typer(help="At which newtons of a protocol the published thresholds lie.", no_args_is_help=True)


@reference_app.callback()
def _root() -> None:
    pass


@reference_app.command("build")
def reference_build(
    cohort: Annotated[
        Path, typer.Argument(metavar="COHORT", help="Folder with one result folder a person, or a CSV table like batch.csv.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, ending in .toml.")],
    people: Annotated[str, typer.Option("--people", help="Who was measured, in words that reports will quote.")],
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="Name or .toml file of the protocol that a CSV table's strengths were computed with."),
    ] = None,
    json: Json = False,
) -> None:
    """Find the strengths of a protocol that correspond to T -2.5 and -1.0, and to 80 and 120 mg/cm³, in a cohort."""
    from .reference import run_reference_build

    run_reference_build(cohort, out, people=people, protocol=protocol, as_json=json)
