"""Options that several commands share: who was scanned, who finds the bones, what calibrates, what strengths are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Labels = Annotated[
    list[Path] | None,
    typer.Option(
        "--labels",
        help="Label map (NIfTI, NRRD, DICOM SEG, RTSTRUCT) or folder of one-structure files; may be given more than once.",
    ),
]
LabelMapFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--label-map",
        help="Table from label numbers to structures (TOML, ITK-SNAP, Slicer, or total, verse, ogo ...): one for all --labels, or one for each (auto).",
    ),
]
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
Sex = Annotated[str | None, typer.Option("--sex", help="F or M; wins over the header.")]
Age = Annotated[float | None, typer.Option("--age", help="Age at the scan, in years.")]
Height = Annotated[float | None, typer.Option("--height-cm", help="Body height, in cm.")]
Weight = Annotated[float | None, typer.Option("--weight-kg", help="Body weight, in kg.")]
Models = Annotated[
    str,
    typer.Option(
        "--models",
        help="Also write each bone's finite-element model for other programs: inp, feb, n88model, parosol, with commas.",
    ),
]
PhantomName = Annotated[
    str | None,
    typer.Option(
        "--phantom",
        help="Calibrate by the phantom in the scan: auto, or its model (mindways-model3, qrm-bdc-3 ...; a wrong name lists all).",
    ),
]
Certificate = Annotated[
    Path | None, typer.Option("--phantom-certificate", help="TOML file with the values of this very phantom's certificate.")
]
PhantomScan = Annotated[
    Path | None, typer.Option("--phantom-scan", help="The phantom lies in this other scan of the same scanner and protocol.")
]
PatientFile = Annotated[
    Path | None,
    typer.Option(
        "--patient",
        help="JSON file with sex, age, height_cm, weight_kg, dxa_t_fn, dxa_t_th, dxa_t_ls (any of them); options win over it.",
    ),
]
DxaNeck = Annotated[float | None, typer.Option("--dxa-t-fn", help="T-score of the femoral neck by DXA, to compare.")]
DxaTotal = Annotated[float | None, typer.Option("--dxa-t-th", help="T-score of the total hip by DXA.")]
DxaSpine = Annotated[float | None, typer.Option("--dxa-t-ls", help="T-score of the lumbar spine by DXA.")]
Reference = Annotated[
    Path | None,
    typer.Option("--reference", help="File of `openbct reference build` for this very protocol: strength gets a class by it."),
]
