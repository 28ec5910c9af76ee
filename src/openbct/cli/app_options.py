"""Options that say who finds the bones and what is taken over."""

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
