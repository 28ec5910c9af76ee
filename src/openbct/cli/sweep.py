"""Many directions of fall of one femur: files and words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import InputError, SettingsError
from ..settings import override
from ..sweep import FallSweep
from .phantom_request import read_phantom_scan
from .request import Request, make_settings, read_inputs
from .tell import Progress, print_json


def run_sweep(request: Request, *, span_deg: float, directions: int, voxel_mm: float, nonlinear: bool, as_json: bool) -> None:
    """Write sweep_BONE.json, .csv and .png for each femur, and tell the weakest direction.

    Raises
    ------
    SettingsError
        A bone that is no femur, or directions out of range.
    InputError
        No femur could be swept.
    """
    from ..io import prepare_folder
    from ..pipeline import sweep_femora
    from ..plan import make_plan

    progress = Progress()
    settings = override(make_settings(request), {"femur": {"voxel_mm": voxel_mm}}, "command line")
    others = [name for name in settings.run.bones if not name.startswith("femur")]
    if others:
        raise SettingsError(f"found --bones {', '.join(others)}, expected femur_left, femur_right or both: only femora are swept")
    make_plan(settings)  # what is wrong stops the run before an image is read
    plan = make_plan(settings, phantom_scan=read_phantom_scan(request.phantom_scan))
    prepare_folder(request.out)
    progress(f"reading the {'density image' if request.calibrated else 'scan'} and its labels")
    scan, segmenter = read_inputs(request, settings)

    def observe(stage: str, bone: str) -> None:
        if stage.split(" ")[1].endswith("1"):  # every tenth direction, not a hundred lines
            progress(stage, bone)

    swept, doubts = sweep_femora(
        scan, segmenter, plan=plan, span_deg=span_deg, directions=directions, nonlinear=nonlinear, observe=observe
    )
    content: list[dict[str, Any]] = []
    for name, result in swept.items():
        if isinstance(result, str):
            content.append({"name": name, "status": "refused", "reason": result})
        else:
            content.append(_write(result, settings.title, doubts, request.out))
    if as_json:
        print_json({"schema": "openbct-sweep/1", "protocol": settings.title, "bones": content})
    else:
        _tell(content)
    if not any(isinstance(result, FallSweep) for result in swept.values()):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in swept.items())
        raise InputError(f"no femur could be swept ({reasons or 'none was labelled'}); check the labels")


def _write(result: FallSweep, protocol: str, doubts: tuple[str, ...], out: Path) -> dict[str, Any]:
    """Return what is known of one femur, as it was written."""
    from ..io import write_bytes, write_json, write_table
    from ..report import direction_map

    files = {kind: out / f"sweep_{result.bone}.{kind}" for kind in ("json", "csv", "png")}
    keys = ("adduction_deg", "internal_rotation_deg", "linear_strength_n")
    content: dict[str, Any] = {
        "name": result.bone,
        "status": "caution" if result.step.cautions or doubts else "ok",
        "protocol": protocol,
        "criterion": result.criterion,
        "default": dict(zip(keys, result.default, strict=True)),
        "weakest": dict(zip(keys, result.weakest, strict=True)),
        "weakest_over_default": result.relative,
        "nonlinear_default_n": result.nonlinear[0] if result.nonlinear else None,
        "nonlinear_weakest_n": result.nonlinear[1] if result.nonlinear else None,
        "adduction_deg": result.adduction_deg.tolist(),
        "internal_rotation_deg": result.internal_rotation_deg.tolist(),
        "linear_strength_n": result.strength.tolist(),
        "stiffness_n_per_mm": result.stiffness.tolist(),
        "gauge_length_mm": result.gauge_length.tolist(),
        "refused": list(result.refused),
        "voxel_mm": result.voxel_mm,
        "seconds": result.seconds,
        "cautions": [*doubts, *result.step.cautions],
        "method": result.step.sentence,
        "references": [{"text": reference.text, "mark": reference.mark} for reference in result.step.references],
        "files": {kind: str(path) for kind, path in files.items()},
    }
    write_json(files["json"], {"schema": "openbct-sweep/1", **content})
    rows = [
        {"adduction_deg": a, "internal_rotation_deg": r, "linear_strength_n": result.strength[i, j],
         "stiffness_n_per_mm": result.stiffness[i, j], "gauge_length_mm": result.gauge_length[i, j]}
        for i, a in enumerate(result.adduction_deg)
        for j, r in enumerate(result.internal_rotation_deg)
    ]  # fmt: skip
    write_table(files["csv"], rows)
    picture = direction_map(
        result.adduction_deg, result.internal_rotation_deg, result.strength, default=result.default, weakest=result.weakest
    )
    write_bytes(files["png"], picture)
    return content


def _tell(content: list[dict[str, Any]]) -> None:
    for bone in content:
        if bone["status"] == "refused":
            print(f"{bone['name']}: refused: {bone['reason']}")
            continue
        weakest, default = bone["weakest"], bone["default"]
        print(
            f"{bone['name']}: weakest at {weakest['adduction_deg']:.0f} degrees of adduction and {weakest['internal_rotation_deg']:.0f} degrees "
            f"of internal rotation, {100 * bone['weakest_over_default']:.0f} % of the strength at {default['adduction_deg']:g} and "
            f"{default['internal_rotation_deg']:g} degrees (linear criterion)"
        )
        if bone["nonlinear_default_n"] is not None:
            print(
                f"  nonlinear strength: {bone['nonlinear_weakest_n']:,.0f} N there, {bone['nonlinear_default_n']:,.0f} N by default"
            )
        for caution in bone["cautions"]:
            print(f"  caution: {caution}")
        print(f"  written: {', '.join(bone['files'].values())}")
