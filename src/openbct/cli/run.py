"""One scan from files to files: read, analyse, write, report, tell."""

from __future__ import annotations

import os
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, ModelError, OpenBCTError, OutputError, SettingsError
from ..plugins import is_spec
from ..records import BoneResult, Case, Mineral, Scan, Segmenter
from ..settings import Settings, built_in, override, parse, protocol_names, to_tables
from .tell import Progress, print_json, print_summary, summary


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
    calibrated: bool = False
    """The image is mineral density already."""
    mineral: str | None = None
    """That of such an image; ``None`` where it was not said."""
    anonymous: bool = False
    """Names, numbers, dates and UIDs stay out of every file."""


def stage_request(scan: Path, out: Path, labels: list[Path] | None, label_maps: list[Path] | None, **more: Any) -> Request:
    """Return what a command asks for that does one stage alone."""
    return Request(scan, out, tuple(labels or ()), tuple(label_maps or ()), **more)


def make_settings(request: Request) -> Settings:
    """Return the protocol with the flags put over it.

    Raises
    ------
    SettingsError
        The protocol cannot be read, or a name or value in it or in the flags is wrong.
    """
    if request.protocol.lower().endswith(".toml"):
        settings = _read_protocol(Path(request.protocol))
    elif request.protocol in protocol_names():
        settings = built_in(request.protocol)
    else:
        raise SettingsError(
            f"found protocol {request.protocol!r}, expected one of {', '.join(protocol_names())} or a file ending in .toml"
        )
    changes: dict[str, Any] = {}
    if request.bones != "auto":
        changes["run"] = {"bones": [name.strip() for name in request.bones.split(",") if name.strip()]}
    if request.calibrated:
        stated = {} if request.mineral is None else {"mineral": request.mineral}
        changes["calibration"] = {"method": "given", **stated}
    return override(settings, changes, "command line")


def _read_protocol(path: Path) -> Settings:
    """Return a protocol of the user's; plug-ins that it names by a relative path may lie beside it."""
    if not path.is_file():
        raise SettingsError(f"found no file {path.name!r}, expected a protocol in TOML; check --protocol")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"found {path.name!r}, which cannot be read ({type(error).__name__}), expected TOML in UTF-8; check the file and its permissions"
        ) from error
    settings = parse(text, path.name)

    def beside(spec: str) -> str:
        file, colon, name = spec.rpartition(":")
        neighbour = path.parent / file
        return f"{neighbour}{colon}{name}" if is_spec(spec) and not Path(file).exists() and neighbour.is_file() else spec

    changes = {
        "calibration": {"method": beside(settings.calibration.method)},
        "vertebra": {"material": beside(settings.vertebra.material)},
        "femur": {"material": beside(settings.femur.material)},
    }
    return override(settings, changes, path.name)


def check_request(request: Request) -> None:
    """Refuse what can be known to be wrong before an image is read.

    Raises
    ------
    InputError, SettingsError
        A path that leads nowhere, no labels, or an output folder that is an input.
    """
    if not request.scan.exists():
        raise InputError(
            "found nothing at the path of the scan, expected a DICOM folder, zip or NIfTI file; check it"
        )  # without the path: its names may be a patient's
    for option, paths in (("--labels", request.labels), ("--label-map", request.label_maps)):
        for number, path in enumerate(paths, start=1):
            known = option == "--label-map" and (str(path) in ("auto", "total", "total_v1", "verse"))
            if not known and not path.exists():
                which = f"the path of {option}" if len(paths) == 1 else f"path {number} of the {len(paths)} of {option}"
                raise InputError(f"found nothing at {which}, expected a file or folder; check it")
    out = request.out.resolve()
    for name, path in (("scan", request.scan), *(("labels", path) for path in request.labels)):
        if path.resolve() == out:
            raise SettingsError(f"found the {name} itself as output folder, expected another; choose one with -o")
    pair_labels(request)


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

    check_request(request)
    if not request.labels:
        raise SettingsError(
            "no labels were given and automatic bone finding is not part of this version; give --labels with a label map of this scan, "
            "for example the output of TotalSegmentator or a segmentation made in 3D Slicer (with --label-map for its numbering)"
        )
    if request.calibrated:
        mineral: Mineral = "CHA" if settings.calibration.mineral == "CHA" else "K2HPO4"
        scan = read_density(request.scan, mineral=mineral)
    else:
        scan = read_scan(request.scan, series=request.series)
    patient, cautions = combine(
        scan.patient, sex=request.sex, age=request.age, height_cm=request.height_cm, weight_kg=request.weight_kg
    )
    step = replace(scan.step, cautions=(*scan.step.cautions, *cautions, *doubt_mineral(request, settings)))
    labels = tuple(read_labels(path, mapping=table, like=scan.image) for path, table in pair_labels(request))
    bones = None if settings.run.bones == ("auto",) else settings.run.bones
    return replace(scan, patient=patient, step=step), GivenLabels(labels, bones)


def doubt_mineral(request: Request, settings: Settings) -> tuple[str, ...]:
    """Return the caution of a line or an image whose mineral nobody stated; other methods define their own scale."""
    from ..density import CHA_PER_K2HPO4

    taken = settings.calibration
    if taken.method not in ("given", "fixed") or taken.mineral != "K2HPO4" or request.mineral is not None:
        return ()
    if request.protocol.lower().endswith(".toml"):
        table = tomllib.loads(Path(request.protocol).read_text(encoding="utf-8-sig"))
        if "mineral" in table.get("calibration", {}):
            return ()
    what = "image's mineral" if taken.method == "given" else "calibration line's mineral"
    lower = 100 * (1 - 1 / CHA_PER_K2HPO4)
    return (
        f"The {what} was not stated and was taken as K2HPO4; were it CHA, density would be about {lower:.0f} % lower on the K2HPO4 scale "
        "and the conversion for strength another one. State it: mineral under [calibration] of the protocol"
        + (", or --mineral." if request.calibrated else "."),
    )


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
    from ..plan import make_plan

    progress = Progress()
    settings = make_settings(request)
    make_plan(settings)  # an unknown law or a broken plug-in stops the run before the scan is read
    progress("reading the scan and its labels")
    scan, segmenter = read_inputs(request, settings)
    outcome = analyze_to_files(scan, segmenter, settings, request, progress)
    tell(outcome, as_json=as_json)
    return outcome.case


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    case: Case
    written: dict[str, str]
    """What it is to its path."""
    bug: Exception | None = None
    """The first unforeseen error in a bone; the others were finished."""
    unreported: OutputError | None = None
    """Why there is no report, or half of one."""


def tell(outcome: Outcome, *, as_json: bool) -> None:
    """Print what came out, then raise what was left undone.

    Raises
    ------
    OpenBCTError
        The report could not be made, or every bone was refused.
    """
    if as_json:
        print_json(summary(outcome.case, outcome.written))
    else:
        print_summary(outcome.case, outcome.written)
    sys.stdout.flush()
    if outcome.bug is not None:
        raise outcome.bug
    if outcome.unreported is not None:
        raise outcome.unreported
    raise_if_nothing(outcome.case)


def analyze_to_files(scan: Scan, segmenter: Segmenter, settings: Settings, request: Request, progress: Progress) -> Outcome:
    """Return the case and the files written: each bone, and the result so far, as soon as it is done; then the report.

    Raises
    ------
    OutputError
        A result cannot be written; what was written before stays, and result.json tells of it.
    """
    from ..io import anonymise, prepare_folder, start_folder, write_bone, write_case, write_tables
    from ..io.case_file import as_stored
    from ..pipeline import analyze
    from ..plan import make_plan

    prepare_folder(request.out)
    start_folder(request.out)  # what an earlier run left there would pass for this one's, above all where this one fails
    bugs: list[Exception] = []

    def finished(result: BoneResult, so_far: Case) -> None:
        # The numbers first: where the disk is full, the large fields are what there is no room for.
        write_tables(anonymise(so_far) if request.anonymous else so_far, request.out)
        write_bone(result, request.out)
        progress.finished(result)

    def collect(bone: str, error: Exception) -> None:
        if os.environ.get("OPENBCT_DEBUG"):
            raise error
        bugs.append(error)

    plan, kept = make_plan(settings), keep_plugins(settings, request.out)
    case = analyze(scan, segmenter, settings=kept, plan=plan, observe=progress, finished=finished, on_bug=collect)
    case = anonymise(case) if request.anonymous else case
    progress("writing the results")
    files = write_case(case, request.out, fields=False)
    written = {"result": str(request.out / "result.json"), "table": str(request.out / "results.csv"), "files": str(len(files))}
    unreported = None
    if request.report:
        progress("making the report")
        # As it is stored and `openbct report` will read it: the same pages, now and later. What is not stored is let go.
        case = as_stored(case)
        reports, unreported = write_reports(case, request.out)
        written |= reports
    progress("done")
    return Outcome(case, written, bugs[0] if bugs else None, unreported)


def keep_plugins(settings: Settings, out: Path) -> Settings:
    """Return the settings with each plug-in file copied into the result folder, so that its protocol.toml repeats the run."""
    from ..io import write_bytes

    tables = to_tables(settings)
    for section, key in (("vertebra", "material"), ("femur", "material"), ("calibration", "method")):
        name = tables[section][key]
        if is_spec(name):
            source, _, attribute = name.rpartition(":")
            copy = out / Path(source).name
            if not copy.exists() or not copy.samefile(source):
                write_bytes(copy, Path(source).read_bytes())
            tables[section][key] = f"{copy.name}:{attribute}"
    return override(settings, tables, "protocol")


def write_reports(case: Case, out: Path) -> tuple[dict[str, str], OutputError | None]:
    """Return what was written of report.html and report.pdf, and why the rest was not: a report never costs a result."""
    from ..io import write_bytes
    from ..report import make_report, to_html, to_pdf

    written: dict[str, str] = {}
    name = "report"
    try:
        content = make_report(case)
        name = "report.html"
        write_bytes(out / name, to_html(content).encode("utf-8"))
        written["report_html"] = str(out / name)
        name = "report.pdf"
        write_bytes(out / name, to_pdf(content))
        written["report_pdf"] = str(out / name)
    except Exception as error:
        if os.environ.get("OPENBCT_DEBUG"):
            raise
        said = f" ({error})" if isinstance(error, OpenBCTError) else f" ({type(error).__name__})"
        failure = OutputError(
            f"{name} could not be made{said}; the results are complete in result.json, and `openbct report OUT` tries again"
        )
        return written, failure
    return written, None


def raise_if_nothing(case: Case) -> None:
    """Raise where no bone came through, with the first reasons.

    Raises
    ------
    InputError, ModelError
        Every bone was refused: for the data, or for the model.
    """
    if any(bone.status != "refused" for bone in case.bones):
        return
    reasons = "; ".join(f"{bone.bone}: {(bone.reason or '').removeprefix(f'{bone.bone}: ')}" for bone in case.bones[:4])
    mounted = any(bone.specimen is not None for bone in case.bones)
    kind: type[OpenBCTError] = ModelError if mounted else InputError
    raise kind(f"every bone was refused ({reasons}); the result and the report say why")


__all__ = [
    "Outcome",
    "Progress",
    "Request",
    "analyze_to_files",
    "check_request",
    "doubt_mineral",
    "make_settings",
    "raise_if_nothing",
    "read_inputs",
    "run_analyze",
    "stage_request",
    "tell",
    "write_reports",
]
