"""The commands and their options. Each imports what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import Interrupted
from .app_compare import compare
from .app_lookup import doctor, protocols
from .app_options import (
    Age,
    Certificate,
    DxaNeck,
    DxaSpine,
    DxaTotal,
    Height,
    LabelMapFile,
    Labels,
    Models,
    PatientFile,
    PhantomName,
    PhantomScan,
    Reference,
    Reuse,
    SegmenterName,
    Sex,
    Weight,
)
from .app_reference import reference_app
from .app_report import export, report
from .app_sheet import protocol_sheet
from .app_simulate import simulate
from .fe_app import Json, Out, fe_app


class Commands(TyperGroup):
    """The commands, with the two interruptions that the option parser would answer in its own way."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except KeyboardInterrupt:
            raise Interrupted from None
        except BrokenPipeError:  # the reader of a pipe has left: nothing can be written, and nobody is there to be told
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(5) from None


app = typer.Typer(
    cls=Commands,
    help="Bone strength, density and fracture-risk assessment from clinical CT scans. For research use; not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(fe_app, name="fe")
app.add_typer(reference_app, name="reference")

ScanPath = Annotated[Path, typer.Argument(metavar="SCAN", help="DICOM folder, DICOM zip, or NIfTI file.")]
Bones = Annotated[str, typer.Option("--bones", help="auto, or names: L1,L2,femur_left.")]
Protocol = Annotated[str, typer.Option("--protocol", help="Name of a built-in protocol, or a .toml file.")]
Series = Annotated[str | None, typer.Option("--series", help="Which series, as `openbct inspect` names it.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Skip report.html and report.pdf.")]
Anonymous = Annotated[bool, typer.Option("--anonymous", help="Leave names, numbers, dates and UIDs out of every file.")]


def _version(show: bool) -> None:
    if show:
        from .. import __version__

        print(f"openbct {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Out = Path("openbct-demo"),
    bones: Bones = "L1,femur_left",
    seed: Annotated[int, typer.Option(help="Seed of the simulated scan.")] = 1,
    json: Json = False,
) -> None:
    """Simulate a CT scan and analyse it as a patient's: the first thing to try."""
    from .demo import run_demo

    run_demo(out, bones=bones, seed=seed, as_json=json)


app.command()(simulate)
app.command("protocol-sheet")(protocol_sheet)


@app.command()
def analyze(
    scan: ScanPath,
    out: Out,
    labels: Labels = None,
    label_map: LabelMapFile = None,
    segmenter: SegmenterName = None,
    bones: Bones = "auto",
    protocol: Protocol = "default",
    sex: Sex = None,
    age: Age = None,
    height_cm: Height = None,
    weight_kg: Weight = None,
    patient: PatientFile = None,
    dxa_t_fn: DxaNeck = None,
    dxa_t_th: DxaTotal = None,
    dxa_t_ls: DxaSpine = None,
    reference: Reference = None,
    series: Series = None,
    phantom: PhantomName = None,
    phantom_certificate: Certificate = None,
    phantom_scan: PhantomScan = None,
    json: Json = False,
    no_report: NoReport = False,
    anonymous: Anonymous = False,
    reuse: Reuse = None,
    models: Models = "",
) -> None:
    """From a CT scan to strength, density and a report."""
    from .request import Request, named
    from .run import run_analyze

    request = Request(
        scan=scan, out=out, labels=tuple(labels or ()), label_maps=tuple(label_map or ()), bones=bones, protocol=protocol,
        segmenter=segmenter, reuse=reuse, sex=sex, age=age, height_cm=height_cm, weight_kg=weight_kg, series=series, report=not no_report,
        anonymous=anonymous, models=named(models), phantom=phantom, certificate=phantom_certificate, phantom_scan=phantom_scan,
        patient=patient, dxa=(dxa_t_fn, dxa_t_th, dxa_t_ls), reference=reference,
    )  # fmt: skip
    run_analyze(request, as_json=json)


@app.command()
def strength(
    density: Annotated[Path, typer.Argument(metavar="DENSITY", help="Already calibrated image (NIfTI), in mg/cm³.")],
    out: Out,
    labels: Labels = None,
    label_map: LabelMapFile = None,
    mineral: Annotated[
        str | None,
        typer.Option("--mineral", help="What the image is calibrated to: K2HPO4 or CHA; unstated: K2HPO4, with a caution."),
    ] = None,
    bones: Bones = "auto",
    protocol: Protocol = "default",
    sex: Sex = None,
    age: Age = None,
    height_cm: Height = None,
    weight_kg: Weight = None,
    patient: PatientFile = None,
    dxa_t_fn: DxaNeck = None,
    dxa_t_th: DxaTotal = None,
    dxa_t_ls: DxaSpine = None,
    reference: Reference = None,
    json: Json = False,
    no_report: NoReport = False,
    anonymous: Anonymous = False,
    models: Models = "",
) -> None:
    """From a calibrated density image and labels to strength, density and a report."""
    from .request import Request, named
    from .run import run_analyze

    request = Request(
        scan=density, out=out, labels=tuple(labels or ()), label_maps=tuple(label_map or ()), bones=bones, protocol=protocol,
        sex=sex, age=age, height_cm=height_cm, weight_kg=weight_kg, report=not no_report, mineral=mineral,
        calibrated=True, anonymous=anonymous, models=named(models), patient=patient, dxa=(dxa_t_fn, dxa_t_th, dxa_t_ls),
        reference=reference,
    )  # fmt: skip
    run_analyze(request, as_json=json)


@app.command()
def sweep(
    density: Annotated[
        Path,
        typer.Argument(
            metavar="DENSITY", help="Already calibrated image (NIfTI), in mg/cm³; with a phantom's option, the CT scan itself."
        ),
    ],
    out: Out,
    labels: Labels = None,
    label_map: LabelMapFile = None,
    mineral: Annotated[
        str | None,
        typer.Option("--mineral", help="What the image is calibrated to: K2HPO4 or CHA; unstated: K2HPO4, with a caution."),
    ] = None,
    bones: Annotated[
        str, typer.Option("--bones", help="femur_left, femur_right, or both with a comma.")
    ] = "femur_left,femur_right",
    protocol: Protocol = "default",
    span_deg: Annotated[float, typer.Option("--span-deg", help="Half the side of the square of directions, in degrees.")] = 30.0,
    directions: Annotated[int, typer.Option("--directions", help="Directions along each side of the square.")] = 10,
    voxel_mm: Annotated[float, typer.Option("--voxel-mm", help="Edge of the elements of the sweep, in mm.")] = 1.5,
    linear_only: Annotated[
        bool, typer.Option("--linear-only", help="Leave out the nonlinear tests in the default and the weakest direction.")
    ] = False,
    phantom: PhantomName = None,
    phantom_certificate: Certificate = None,
    phantom_scan: PhantomScan = None,
    json: Json = False,
) -> None:
    """Strength of a femur over many directions of a sideways fall, and the weakest of them."""
    from .request import stage_request
    from .sweep import run_sweep

    more: dict[str, Any] = {"phantom": phantom, "certificate": phantom_certificate, "phantom_scan": phantom_scan}
    more["calibrated"] = all(option is None for option in more.values())
    request = stage_request(density, out, labels, label_map, mineral=mineral, bones=bones, protocol=protocol, **more)
    run_sweep(request, span_deg=span_deg, directions=directions, voxel_mm=voxel_mm, nonlinear=not linear_only, as_json=json)


@app.command()
def batch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with one scan per entry, or a CSV table of scans.")],
    out: Out,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Scans at the same time.")] = 1,
    protocol: Protocol = "default",
    bones: Bones = "auto",
    phantom: PhantomName = None,
    phantom_certificate: Certificate = None,
    phantom_scan: PhantomScan = None,
    json: Json = False,
    no_report: NoReport = False,
    anonymous: Anonymous = False,
    reference: Reference = None,
) -> None:
    """The same for many scans; an interrupted batch goes on where it stopped."""
    from .batch import run_batch
    from .request import Request

    base = Request(
        scan=folder, out=out, protocol=protocol, bones=bones, report=not no_report, anonymous=anonymous,
        phantom=phantom, certificate=phantom_certificate, phantom_scan=phantom_scan,
        reference=reference,
    )  # fmt: skip
    run_batch(base, jobs=jobs, as_json=json)


@app.command()
def inspect(scan: ScanPath, json: Json = False) -> None:
    """List the image series of a scan, each with a verdict and its reasons."""
    from .stages import run_inspect

    run_inspect(scan, as_json=json)


@app.command()
def calibrate(
    scan: ScanPath,
    out: Out,
    labels: Labels = None,
    label_map: LabelMapFile = None,
    segmenter: SegmenterName = None,
    protocol: Protocol = "default",
    series: Series = None,
    phantom: PhantomName = None,
    phantom_certificate: Certificate = None,
    phantom_scan: PhantomScan = None,
    json: Json = False,
) -> None:
    """Write the scan in mineral density, with the calibration line and its references."""
    from .request import stage_request
    from .stages import run_calibrate

    more: dict[str, Any] = {
        "phantom": phantom,
        "certificate": phantom_certificate,
        "phantom_scan": phantom_scan,
        "segmenter": segmenter,
    }
    run_calibrate(stage_request(scan, out, labels, label_map, protocol=protocol, series=series, **more), as_json=json)


@app.command()
def segment(
    scan: ScanPath,
    out: Out,
    labels: Labels = None,
    label_map: LabelMapFile = None,
    segmenter: SegmenterName = None,
    bones: Bones = "auto",
    series: Series = None,
    json: Json = False,
) -> None:
    """Write the mask of every bone that is found, vertebral bodies cut from their posterior elements."""
    from .request import stage_request
    from .stages import run_segment

    run_segment(stage_request(scan, out, labels, label_map, bones=bones, series=series, segmenter=segmenter), as_json=json)


app.command()(report)
app.command()(export)
app.command()(compare)
app.command()(protocols)
app.command()(doctor)
