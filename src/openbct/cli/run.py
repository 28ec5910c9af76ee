"""One scan from files to files: read, analyse, write, report, tell."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, ModelError, OpenBCTError, OutputError
from ..io.label_write import LABELS
from ..plugins import is_spec
from ..records import BoneResult, Case, Scan, Segmenter
from ..reuse import is_taken_over
from ..settings import Settings, override, to_tables
from ..signing import Signed
from ..visits import Earlier
from .phantom_request import read_phantom_scan
from .request import Request, make_settings, read_inputs
from .tell import Progress, print_json, print_summary, summary

if TYPE_CHECKING:  # drawing is loaded where something is drawn
    from ..report.content import Report


def run_analyze(request: Request, *, as_json: bool) -> Case:
    """Do the main job and tell what came out; exits with a status where nothing could be assessed."""
    from ..io.models import check_formats
    from .planning import planned

    progress = Progress()
    settings = make_settings(request)
    check_formats(request.models)
    planned(settings)  # an unknown law or a broken plug-in stops the run before the scan is read
    progress("reading the scan and its labels")
    scan, segmenter = read_inputs(request, settings)
    outcome = analyze_to_files(scan, segmenter, settings, request, progress)
    tell(outcome, as_json=as_json)
    return outcome.case


KEPT_REFERENCE = "strength-reference.toml"
"""Name under which a reference file is kept with the results."""
KEPT_INCIDENCE = "hip-fracture-incidence.toml"
"""Likewise a user's table of incidence."""


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
    from ..io import anonymise, prepare_folder, read_case, start_folder, write_bone, write_case, write_models, write_tables
    from ..io.case_file import as_stored
    from ..pipeline import analyze
    from .planning import planned

    prepare_folder(request.out)
    earlier = read_case(request.reuse) if request.reuse is not None else None
    start_folder(request.out)  # what an earlier run left there would pass for this one's, above all where this one fails
    bugs: list[Exception] = []

    def finished(result: BoneResult, so_far: Case) -> None:
        # The numbers first: where the disk is full, the large fields are what there is no room for.
        told = anonymise(so_far) if request.anonymous else so_far
        write_tables(told, request.out)
        if not (request.out / LABELS).exists():
            keep_labels(so_far, request)
        write_bone(result, request.out)
        if request.reuse is not None and is_taken_over(result):
            keep_models(result.bone, request.reuse, request.out)
        for caution in write_models(result, request.out, request.models):
            progress(f"model: {caution}")
        write_tables(told, request.out)  # which now name the bone's files
        progress.finished(result)

    def collect(bone: str, error: Exception) -> None:
        if os.environ.get("OPENBCT_DEBUG"):
            raise error
        bugs.append(error)

    phantom = read_phantom_scan(request.phantom_scan)
    plan, kept = planned(settings, phantom_scan=phantom), keep_plugins(settings, request.out)
    case = analyze(
        scan, segmenter, settings=kept, plan=plan, observe=progress, finished=finished, on_bug=collect, earlier=earlier
    )
    if not (request.out / LABELS).exists():  # no bone was found: the scan is named all the same
        keep_labels(case, request)
    case = anonymise(case) if request.anonymous else case
    progress("writing the results")
    files = write_case(case, request.out, fields=False)
    written = {"result": str(request.out / "result.json"), "table": str(request.out / "results.csv"), "files": str(len(files))}
    unreported = None
    if request.report:
        progress("making the report")
        # As it is stored and `openbct report` will read it: the same pages, now and later. What is not stored is let go.
        case = as_stored(case)
        reports = write_reports(case, request.out)
        unreported = reports.failure
        written |= reports.written
    progress("done")
    return Outcome(case, written, bugs[0] if bugs else None, unreported)


def keep_labels(case: Case, request: Request) -> None:
    """Write the bones as labels that a person can correct and ``--labels`` takes; beside a DICOM series as DICOM SEG, with its names."""
    from ..io import drawn_labels, read_planes, segmentation_bytes, source_series, write_bytes, write_labels, write_source

    labels = drawn_labels(case.segmentation, case.scan.image)
    write_labels(labels, request.out / LABELS)
    if request.anonymous or request.calibrated:
        return
    planes = read_planes(request.scan, request.series)
    source, content = source_series(planes), segmentation_bytes(labels, planes)
    if source is not None:
        write_source(source, request.out)
    if content is not None:
        write_bytes(request.out / "labels.dcm", content)


def keep_models(bone: str, earlier: Path, out: Path) -> None:
    """Copy the finite-element models of a bone that was taken over; its other files are written again."""
    from ..io import write_bytes

    for path in (earlier / "bones" / bone).glob("model*"):
        write_bytes(out / "bones" / bone / path.name, path.read_bytes())


def keep_plugins(settings: Settings, out: Path) -> Settings:
    """Return the settings with each plug-in file copied into the result folder, so that its protocol.toml repeats the run."""
    from ..io import write_bytes

    tables = to_tables(settings)
    for section, key in (
        ("vertebra", "material"),
        ("femur", "material"),
        ("calibration", "method"),
        ("segmentation", "segmenter"),
    ):
        name = tables[section][key]
        if is_spec(name):
            source, _, attribute = name.rpartition(":")
            copy = out / Path(source).name
            if not copy.exists() or not copy.samefile(source):
                write_bytes(copy, Path(source).read_bytes())
            tables[section][key] = f"{copy.name}:{attribute}"
    reference = settings.assessment.reference
    if reference is not None:
        copy = out / KEPT_REFERENCE
        if not copy.exists() or not copy.samefile(reference):
            write_bytes(copy, Path(reference).read_bytes())
        tables["assessment"]["reference"] = copy.name
    if settings.risk.table.endswith(".toml"):
        copy = out / KEPT_INCIDENCE
        if not copy.exists() or not copy.samefile(settings.risk.table):
            write_bytes(copy, Path(settings.risk.table).read_bytes())
        tables["risk"]["table"] = copy.name
    return override(settings, tables, "protocol")


@dataclass(frozen=True)
class Reports:
    """What was made of report.html and report.pdf."""

    written: dict[str, str]
    """What it is to its path."""
    failure: OutputError | None
    """Why the rest was not made."""
    content: Report | None
    """The pages, where they could be drawn."""
    pdf: bytes = b""


def write_reports(
    case: Case, out: Path, *, made_on: date | None = None, versions: tuple[Signed, ...] = (), earlier: Earlier | None = None
) -> Reports:
    """Write report.html and report.pdf; a failure is told, not raised: a report never costs a result."""
    from ..io import write_bytes
    from ..report import make_report, to_html, to_pdf

    written: dict[str, str] = {}
    name, content, pdf = "report", None, b""
    try:
        content = make_report(case, made_on=made_on, versions=versions, earlier=earlier)
        name = "report.html"
        write_bytes(out / name, to_html(content).encode("utf-8"))
        written["report_html"] = str(out / name)
        name = "report.pdf"
        pdf = to_pdf(content)
        write_bytes(out / name, pdf)
        written["report_pdf"] = str(out / name)
    except Exception as error:
        if os.environ.get("OPENBCT_DEBUG"):
            raise
        said = f" ({error})" if isinstance(error, OpenBCTError) else f" ({type(error).__name__})"
        failure = OutputError(
            f"{name} could not be made{said}; the results are complete in result.json, and `openbct report OUT` tries again"
        )
        return Reports(written, failure, content)
    return Reports(written, None, content, pdf)


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
