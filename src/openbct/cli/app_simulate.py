"""The command `openbct simulate` and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SettingsError

PERSON, SCAN, OUTPUT, MANY = "Person", "Scanner and image", "Output", "Cohort"


def _option(*names: str, help: str, panel: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel)


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the scan and its truth.")] = Path("openbct-simulation"),
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="TOML settings; flags win. Every simulation leaves its own in truth/settings.toml."),
    ] = None,
    sex: Annotated[str | None, _option("--sex", help="F or M.", panel=PERSON)] = None,
    age: Annotated[float | None, _option("--age", help="Years; sets marrow fat.", panel=PERSON)] = None,
    height_cm: Annotated[float | None, _option("--height-cm", help="Body height.", panel=PERSON)] = None,
    weight_kg: Annotated[float | None, _option("--weight-kg", help="Body weight; sets fat.", panel=PERSON)] = None,
    density: Annotated[
        float | None, _option("--density", help="Trabecular density of L1, mg/cm³ of K2HPO4.", panel=PERSON)
    ] = None,
    hip_density: Annotated[
        float | None, _option("--hip-density", help="Trabecular density of the hips over the usual.", panel=PERSON)
    ] = None,
    cortex: Annotated[float | None, _option("--cortex", help="Cortical thickness over the usual.", panel=PERSON)] = None,
    cobb_deg: Annotated[float | None, _option("--cobb-deg", help="Scoliosis, degrees.", panel=PERSON)] = None,
    fracture: Annotated[
        list[str] | None,
        _option(
            "--fracture", help="LEVEL:KIND:LOSS such as L1:wedge:0.3 (wedge, biconcave, crush); may be repeated.", panel=PERSON
        ),
    ] = None,
    implant: Annotated[
        list[str] | None, _option("--implant", help="Such as nail_left, screws_L4, cement_T12; may be repeated.", panel=PERSON)
    ] = None,
    phase: Annotated[str | None, _option("--phase", help="Contrast: none, arterial, portal, late or oral.", panel=PERSON)] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Scan this label map (NIfTI) instead of a person; --settings says what its numbers are."),
    ] = None,
    kvp: Annotated[float | None, _option("--kvp", help="Tube voltage, 70 to 150.", panel=SCAN)] = None,
    mas: Annotated[float | None, _option("--mas", help="Tube charge per slice; sets noise.", panel=SCAN)] = None,
    kernel: Annotated[str | None, _option("--kernel", help="soft, standard or sharp.", panel=SCAN)] = None,
    spacing: Annotated[
        str | None, _option("--spacing", help="Voxels in mm: in the plane and along z, as 0.8,2 (or x,y,z).", panel=SCAN)
    ] = None,
    region: Annotated[str | None, _option("--region", help="torso, spine, hip, or a level from T10 to L5.", panel=SCAN)] = None,
    low_resolution: Annotated[
        bool, _option("--low-resolution", help="Voxels of 2 x 2 x 5 mm, for a first try.", panel=SCAN)
    ] = False,
    phantom: Annotated[
        str | None,
        _option("--phantom", help="Calibration phantom below the body: a name (see --list) or a TOML file.", panel=SCAN),
    ] = None,
    phantom_alone: Annotated[bool, _option("--phantom-alone", help="Scan the phantom without a person.", panel=SCAN)] = False,
    format: Annotated[str | None, _option("--format", help="dicom, enhanced (multi-frame) or nifti.", panel=OUTPUT)] = None,
    header: Annotated[
        str | None, _option("--header", help="DICOM header: complete, poor, or wrong on purpose.", panel=OUTPUT)
    ] = None,
    fault: Annotated[
        str | None, _option("--fault", help="Damage the series on purpose: a name (see --list).", panel=OUTPUT)
    ] = None,
    seed: Annotated[int | None, _option("--seed", help="Of texture, bowel, noise and cohort.", panel=OUTPUT)] = None,
    force: Annotated[bool, _option("--force", help="Write over an earlier simulation.", panel=OUTPUT)] = False,
    cohort: Annotated[
        int | None,
        _option("--cohort", help="Simulate this many persons from published norms; goes on where it stopped.", panel=MANY),
    ] = None,
    women: Annotated[float, _option("--women", help="Their share in a cohort.", panel=MANY)] = 0.5,
    ages: Annotated[str, _option("--ages", help="Limits of age in a cohort.", panel=MANY)] = "50,85",
    show: Annotated[bool, typer.Option("--list", help="Print what can be chosen by name, and simulate nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one machine-readable object.")] = False,
) -> None:
    """Simulate a CT scan with known truth: of a person, a cohort, a label map or a calibration phantom."""
    from .simulate import CohortRequest, run_list, run_simulate
    from .simulate_request import LOW_RESOLUTION, make_simulation, merged, read_settings

    if show:
        run_list(as_json=json)
        return
    if low_resolution and spacing is not None:
        raise SettingsError("found --low-resolution and --spacing, expected one of them; leave one out")
    voxels = LOW_RESOLUTION if low_resolution else _spacing(spacing)
    person = {
        "sex": sex, "age": age, "height_cm": height_cm, "weight_kg": weight_kg, "trabecular_density": density,
        "hip_density": hip_density, "cortex": cortex, "cobb_deg": cobb_deg, "phase": phase, "implants": implant or None,
        "fractures": _fractures(fracture or []),
    }  # fmt: skip
    idle = [name for name, value in person.items() if value and (name not in ("phase", "implants") or cohort is None)]
    if idle and (cohort is not None or labels is not None or phantom_alone):
        raise SettingsError(
            f"found {', '.join(idle)} of a person for a cohort, a label map or a phantom alone, expected none: a cohort draws its own, the others "
            "have none; leave them out"
        )
    flags: dict[str, Any] = {
        "seed": seed,
        "person": person,
        "scanner": {"kvp": kvp, "mas": mas, "kernel": kernel},
        "image": {"spacing": voxels, "region": region},
        "phantom": {"name": phantom, "alone": phantom_alone or None},
        "output": {"format": format, "header": header, "fault": fault},
    }
    base = read_settings(settings) if settings else {}
    if labels is not None or "labels" in base:
        flags["labels"] = {"file": str(labels.absolute()) if labels else None, "spacing": voxels}
    if phantom is not None:
        base.pop("phantom", None)  # another phantom brings its own rods
    simulation = make_simulation(merged(base, flags))
    many = None if cohort is None else CohortRequest(cohort, women, _ages(ages))
    run_simulate(out, simulation, many, force=force, as_json=json)


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(f"found {option} {text!r}, expected numbers with commas; correct it") from None


def _spacing(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    numbers = _numbers(text, "--spacing")
    if len(numbers) == 2:
        return numbers[0], numbers[0], numbers[1]
    if len(numbers) == 3:
        return numbers[0], numbers[1], numbers[2]
    raise SettingsError(f"found --spacing {text!r}, expected two or three numbers, as 0.8,2; correct it")


def _ages(text: str) -> tuple[float, float]:
    numbers = _numbers(text, "--ages")
    if len(numbers) != 2:
        raise SettingsError(f"found --ages {text!r}, expected two numbers, as 50,85; correct it")
    return numbers[0], numbers[1]


def _fractures(texts: list[str]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for text in texts:
        parts = text.split(":")
        try:
            level, kind, loss = parts[0], parts[1], float(parts[2])
        except (IndexError, ValueError):
            raise SettingsError(f"found --fracture {text!r}, expected LEVEL:KIND:LOSS, as L1:wedge:0.3; correct it") from None
        if level in out:
            raise SettingsError(f"found two fractures of {level}, expected one a level; leave one out")
        out[level] = {"kind": kind, "loss": loss}
    return out
