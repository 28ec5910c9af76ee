"""The commands under ``openbct fe`` and their options, and two options that all commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable object.")]

fe_app = typer.Typer(help="The finite-element kernel alone.", no_args_is_help=True)


@fe_app.command("solve")
def fe_solve(
    modulus: Annotated[Path, typer.Argument(metavar="MODULUS", help="Young's modulus of each voxel in MPa (NIfTI); 0 is void.")],
    out: Out,
    test: Annotated[
        str, typer.Option("--test", help="uniaxial (smooth platens), clamped (glued), confined, shear or stiffness-tensor.")
    ] = "uniaxial",
    axis: Annotated[
        int, typer.Option("--axis", help="Array axis of the file along which the platens stand apart: 0, 1 or 2.")
    ] = 2,
    strain: Annotated[float, typer.Option("--strain", help="Travel over length; negative presses.")] = -0.01,
    poisson: Annotated[float, typer.Option("--poisson", help="Poisson ratio.")] = 0.3,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Relative residual at which to stop.")] = 1e-6,
    json: Json = False,
) -> None:
    """Test a block of material between platens: stiffness, apparent modulus and fields of a map of moduli."""
    from .fe import run_fe_solve

    run_fe_solve(modulus, out, test=test, axis=axis, strain=strain, poisson=poisson, tolerance=tolerance, as_json=json)


@fe_app.command("export")
def fe_export(
    modulus: Annotated[Path, typer.Argument(metavar="MODULUS", help="Young's modulus of each voxel in MPa (NIfTI); 0 is void.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="File to write, its format by its ending: .inp, .feb, .n88model, .h5 (ParOSol) or .vtu."
        ),
    ],
    test: Annotated[
        str, typer.Option("--test", help="uniaxial (smooth platens), clamped (glued), confined or shear.")
    ] = "uniaxial",
    axis: Annotated[
        int, typer.Option("--axis", help="Array axis of the file along which the platens stand apart: 0, 1 or 2.")
    ] = 2,
    strain: Annotated[float, typer.Option("--strain", help="Travel over length; negative presses.")] = -0.01,
    poisson: Annotated[float, typer.Option("--poisson", help="Poisson ratio.")] = 0.3,
    yield_strain: Annotated[
        float | None, typer.Option("--yield-strain", help="Yield stress over modulus; left out: the material stays elastic.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the model of such a test for CalculiX, Abaqus, FEBio, FAIM, ParOSol, or to look at."""
    from .models import run_fe_export

    run_fe_export(
        modulus, out, test=test, axis=axis, strain=strain, poisson=poisson, yield_strain=yield_strain, as_json=json
    )  # fmt: skip


@fe_app.command("check")
def fe_check(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Voxel model: .inp, .feb, .n88model or .h5 (ParOSol).")],
    answer: Annotated[
        Path | None,
        typer.Option("--answer", help="What another program answered: .dat or .frd, .csv (FEBio), solved .n88model or .h5."),
    ] = None,
    bbar: Annotated[bool, typer.Option("--bbar", help="Elements with mean dilatation, as Abaqus has them.")] = False,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Relative residual at which to stop.")] = 1e-8,
    json: Json = False,
) -> None:
    """Solve a model of another program here, and hold that program's answer beside ours."""
    from .models import run_fe_check

    run_fe_check(model, answer, bbar=bbar, tolerance=tolerance, as_json=json)
