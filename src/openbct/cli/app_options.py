"""Options that say who finds the bones, which phantom calibrates, what is taken over and what is written beside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SegmenterName = Annotated[
    str | None,
    typer.Option(
        "--segmenter", help="Who finds the bones: auto (labels, else built in), builtin, totalsegmentator (your own), given."
    ),
]
Reuse = Annotated[
    Path | None,
    typer.Option(
        "--reuse", help="Result folder of an earlier run of this scan: bones that have not changed are taken over from it."
    ),
]
PhantomName = Annotated[
    str | None,
    typer.Option("--phantom", help="Calibrate by the phantom in the scan: auto, or its model by name (see the docs)."),
]
Certificate = Annotated[
    Path | None, typer.Option("--phantom-certificate", help="TOML file with the values of this very phantom's certificate.")
]
PhantomScan = Annotated[
    Path | None, typer.Option("--phantom-scan", help="The phantom lies in this other scan of the same scanner and protocol.")
]
Models = Annotated[
    str,
    typer.Option(
        "--models",
        help="Also write each bone's finite-element model for other programs: inp, feb, n88model, parosol, with commas.",
    ),
]
