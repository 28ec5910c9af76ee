"""Commands that look things up: protocols and laws, and what this installation can do."""

from __future__ import annotations

from typing import Annotated

import typer

from .fe_app import Json


def protocols(
    show: Annotated[str | None, typer.Option("--show", help="Print one protocol as TOML.")] = None,
    json: Json = False,
) -> None:
    """List and explain protocols and material laws, or print one protocol to start from."""
    from .stages import run_protocols

    run_protocols(show, as_json=json)


def doctor(json: Json = False) -> None:
    """Say what this installation can do: versions, image decoders, report engine, first solve."""
    from .doctor import run_doctor

    run_doctor(as_json=json)
