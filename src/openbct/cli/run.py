"""One scan from files to files: read, analyse, write, report, tell."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, ModelError, OpenBCTError, SettingsError, SolveError
from ..records import BoneResult, Case, Mineral, Scan, Segmenter
from ..settings import Settings, built_in, override, parse, protocol_names


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    scan: Path
    out: Path
    labels: tuple[Path, ...] = ()
    label_maps: tuple[Path, ...] = ()
    """None, one for all labels, or one for each; ``auto`` recognises the numbering."""
    bones: str = "auto"
    protocol: str = "default"
    sex: str | None = None
    age: float | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    series: str | None = None
    report: bool = True
    mineral: str | None = None
    """Set where the image is already calibrated."""


class Progress:
    """Lines on standard error: what begins, and after how many seconds."""

    def __init__(self, quiet: bool = False) -> None:
        self.begin = time.perf_counter()
        self.quiet = quiet

    def __call__(self, stage: str, bone: str = "") -> None:
        """Tell that a stage begins."""
        if not self.quiet:
            seconds = time.perf_counter() - self.begin
            print(f"[{seconds:6.1f} s] {f'{bone}: ' if bone else ''}{STAGE_WORDS.get(stage, stage)}", file=sys.stderr, flush=True)

    def finished(self, result: BoneResult) -> None:
        """Tell that a bone is done."""
        self(f"{result.status}{f' ({result.reason})' if result.reason else ''}", result.bone)


STAGE_WORDS = {
    "segmentation": "finding the bones",
    "calibration": "calibrating density",
    "anatomy": "locating frame and landmarks",
    "measures": "measuring density",
    "mount": "mounting in the testing machine",
    "model": "building the finite-element model",
    "strength": "loading to failure",
    "assessment": "assessing",
}


def make_settings(request: Request) -> Settings:
    """Return the protocol with the flags put over it."""
    if request.protocol.endswith(".toml"):
        path = Path(request.protocol)
        if not path.is_file():
            raise SettingsError(f"found no file {path.name!r}, expected a protocol in TOML; check --protocol")
        settings = parse(path.read_text(encoding="utf-8"), path.name)
    elif request.protocol in protocol_names():
        settings = built_in(request.protocol)
    else:
        raise SettingsError(
            f"found protocol {request.protocol!r}, expected one of {', '.join(protocol_names())} or a file ending in .toml"
        )
    changes: dict[str, Any] = {}
    if request.bones != "auto":
        changes["run"] = {"bones": [name.strip() for name in request.bones.split(",") if name.strip()]}
    if request.mineral is not None:
        changes["calibration"] = {"method": "given", "mineral": request.mineral}
    return override(settings, changes, "command line")


def read_inputs(request: Request, settings: Settings) -> tuple[Scan, Segmenter]:
    """Return the scan, with the patient as known from header and user, and the segmenter for its labels.

    Raises
    ------
    InputError
        The scan or the labels cannot be used, or there are no labels.
    """
    from ..io import read_density, read_labels, read_scan
    from ..patient import combine
    from ..segmentation import GivenLabels

    if not request.labels:
        raise SettingsError(
            "no labels were given and automatic bone finding is not part of this version; give --labels with a label map of this scan, "
            "for example the output of TotalSegmentator or a segmentation made in 3D Slicer (with --label-map for its numbering)"
        )
    if request.mineral is not None:
        mineral: Mineral = "CHA" if settings.calibration.mineral == "CHA" else "K2HPO4"
        scan = read_density(request.scan, mineral=mineral)
    else:
        scan = read_scan(request.scan, series=request.series)
    patient, cautions = combine(
        scan.patient, sex=request.sex, age=request.age, height_cm=request.height_cm, weight_kg=request.weight_kg
    )
    step = replace(scan.step, cautions=(*scan.step.cautions, *cautions))
    labels = tuple(read_labels(path, mapping=table, like=scan.image) for path, table in pair_labels(request))
    bones = None if settings.run.bones == ("auto",) else settings.run.bones
    return replace(scan, patient=patient, step=step), GivenLabels(labels, bones)


def pair_labels(request: Request) -> list[tuple[Path, Path | None]]:
    """Return each label file with the table of its numbers, or with ``None`` where the numbering is to be recognised."""
    tables = request.label_maps
    if len(tables) not in (0, 1, len(request.labels)):
        raise SettingsError(
            f"found {len(tables)} --label-map for {len(request.labels)} --labels, expected one for all, or one for each in the same order "
            "(auto where the numbering is to be recognised)"
        )
    each = tables * len(request.labels) if len(tables) == 1 else tables or (None,) * len(request.labels)
    return [
        (path, None if table is None or str(table) == "auto" else table) for path, table in zip(request.labels, each, strict=True)
    ]


def run_analyze(request: Request, *, as_json: bool) -> Case:
    """Do the main job and tell what came out; exits with a status where nothing could be assessed."""
    progress = Progress()
    settings = make_settings(request)
    progress("reading the scan and its labels")
    scan, segmenter = read_inputs(request, settings)
    case, written = analyze_to_files(scan, segmenter, settings, request, progress)
    if as_json:
        print(json.dumps(summary(case, written), ensure_ascii=False))
    else:
        print_summary(case, written)
    _raise_if_nothing(case)
    return case


def analyze_to_files(
    scan: Scan, segmenter: Segmenter, settings: Settings, request: Request, progress: Progress
) -> tuple[Case, dict[str, str]]:
    """Return the case and the files written: each bone as soon as it is done, then result and report."""
    from ..io import prepare_folder, read_case, write_bone, write_case
    from ..pipeline import analyze

    prepare_folder(request.out)

    def finished(result: BoneResult) -> None:
        write_bone(result, request.out)
        progress.finished(result)

    case = analyze(scan, segmenter, settings=settings, observe=progress, finished=finished)
    progress("writing the results")
    files = write_case(case, request.out, fields=False)
    written = {"result": str(request.out / "result.json"), "table": str(request.out / "results.csv"), "files": str(len(files))}
    if request.report:
        progress("making the report")
        # From the stored case, as `openbct report` does: the same pages, now and later.
        written |= write_reports(read_case(request.out), request.out)
    progress("done")
    return case, written


def write_reports(case: Case, out: Path) -> dict[str, str]:
    """Write report.html and report.pdf; a report that fails never loses the result."""
    from ..io import write_bytes
    from ..report import make_report, to_html, to_pdf

    content = make_report(case)
    write_bytes(out / "report.html", to_html(content).encode("utf-8"))
    write_bytes(out / "report.pdf", to_pdf(content))
    return {"report_html": str(out / "report.html"), "report_pdf": str(out / "report.pdf")}


def summary(case: Case, written: dict[str, str]) -> dict[str, Any]:
    """Return the one object that ``--json`` prints."""
    return {
        "schema": "openbct-summary/1",
        "protocol": case.protocol,
        "category": case.assessment.category,
        "bones": [
            {
                "name": bone.bone,
                "status": bone.status,
                "reason": bone.reason,
                "strength_n": bone.strength.strength if bone.strength else None,
                "stiffness_n_per_mm": bone.strength.stiffness if bone.strength else None,
                "measures": {name: m.value for name, m in bone.measures.values.items()} if bone.measures else {},
                "n_cautions": len(bone.cautions),
            }
            for bone in case.bones
        ],
        "files": written,
    }


SHOWN = {
    "trabecular_vbmd": ("trab. vBMD", "{:.0f} mg/cm³"),
    "femoral_neck_abmd": ("neck aBMD", "{:.3f} g/cm²"),
    "total_hip_abmd": ("hip aBMD", "{:.3f} g/cm²"),
}


def print_summary(case: Case, written: dict[str, str]) -> None:
    """Print the summary table and the paths."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="OpenBCT: research use only, not a medical device", title_justify="left")
    for column in ("bone", "status", "strength", "stiffness", "density"):
        table.add_column(column, justify="right" if column in ("strength", "stiffness") else "left")
    for bone in case.bones:
        values = bone.measures.values if bone.measures else {}
        densities = [f"{label} {form.format(values[key].value)}" for key, (label, form) in SHOWN.items() if key in values]
        strength = bone.strength
        table.add_row(
            bone.bone,
            bone.status,
            f"{10 * round(strength.strength / 10):,d} N" if strength else "—",
            f"{strength.stiffness:,.0f} N/mm" if strength else "—",
            ", ".join(densities) or (bone.reason or "—"),
        )
    console.print(table)
    console.print(f"BMD class: {case.assessment.category or 'none'} — {case.assessment.reason}", soft_wrap=True, highlight=False)
    for caution in case.cautions:
        console.print(f"caution: {caution}", soft_wrap=True, highlight=False, markup=False)
    for name, path in written.items():
        if name != "files":
            console.print(f"{name.replace('_', ' '):12} {path}", soft_wrap=True, highlight=False, markup=False)


def _raise_if_nothing(case: Case) -> None:
    if any(bone.status != "refused" for bone in case.bones):
        return
    reasons = "; ".join(f"{bone.bone}: {bone.reason}" for bone in case.bones[:4])
    solved = any(bone.model is not None for bone in case.bones)
    kind: type[OpenBCTError] = ModelError if solved else InputError
    raise kind(f"every bone was refused ({reasons}); the result and the report say why")


__all__ = ["ModelError", "Progress", "Request", "SolveError", "analyze_to_files", "make_settings", "read_inputs", "run_analyze"]
