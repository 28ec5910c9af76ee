"""A result as objects for clinics and registries: DICOM, FHIR, a table of values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import InputError, SettingsError
from ..io import case_digest, prepare_folder, read_case, read_result, read_source, write_bytes, write_json, write_table
from ..io.objects import (
    Making,
    encapsulated_pdf,
    fhir_bundle,
    key_image,
    segments_of,
    structured_report,
    value_rows,
)
from ..io.signed_store import read_versions
from ..records import Case
from ..report import make_report, spoken, to_pdf
from ..report.content import Report
from ..report.texts import ENGLISH
from ..report.wording import Texts
from ..signing import fixed
from .report import kept_comparison
from .tell import Progress, print_json

KINDS = ("pdf", "sr", "seg", "images", "fhir", "csv")
DICOM = KINDS[:4]
FOLDER = "objects"
NAMES = {
    "pdf": "report.dcm",
    "sr": "measurements.dcm",
    "seg": "segmentation.dcm",
    "images": "picture-*.dcm",
    "fhir": "fhir.json",
    "csv": "values.csv",
}
NO_SOURCE = (
    "found no DICOM header in the result (NIfTI, density, or --anonymous), expected the series that DICOM objects must name; analyse the DICOM "
    "series itself, or ask for --only fhir,csv"
)


@dataclass(frozen=True)
class Standing:
    """What is exported: the draft of a result, or its last signed version."""

    when: datetime
    """UTC."""
    report: Report
    pdf: bytes
    key: str
    """What the objects' identities follow from."""
    said: tuple[str, ...] = ()
    """The physician's text, or the draft's sentences with their rules."""
    reader: str = ""
    status: str = "preliminary"
    """In FHIR's word."""


def run_export(out: Path, *, to: Path | None, only: str, as_json: bool) -> None:
    """Write the objects of a result folder."""
    if not out.is_dir():
        raise InputError("found no folder at the given path, expected the result folder of an earlier run; check the path")
    kinds = chosen(only)
    progress = Progress()
    progress("reading the stored case")
    case = read_case(out)
    progress("making the report")
    written, refused = write_objects(case, out, to or out / FOLDER, kinds, asked=bool(only))
    if as_json:
        print_json({"schema": "openbct-export/1", "files": written, "refused": refused})
        return
    for kind, paths in written.items():
        print(f"{kind:7}{paths[0]}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else ""))
    for kind, reason in refused.items():
        print(f"{kind:7}not written: {reason}")


def chosen(only: str) -> tuple[str, ...]:
    """Return which kinds were asked for; none named: all."""
    names = tuple(dict.fromkeys(name.strip() for name in only.split(",") if name.strip()))
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise SettingsError(
            f"found {', '.join(unknown)} under --only, expected some of {', '.join(KINDS)}; separate them by commas"
        )
    return names or KINDS


def write_objects(
    case: Case, out: Path, to: Path, kinds: tuple[str, ...], *, asked: bool, made: tuple[Report, bytes] | None = None
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Write the objects; returns kind to files, and kind to why it could not be made. ``made`` is a report of this result and its PDF.

    Raises
    ------
    InputError
        A DICOM object was asked for by name and the result names no DICOM series.
    """
    source = read_source(out)
    refused = {kind: NO_SOURCE for kind in kinds if kind in DICOM and source is None}
    if refused and asked:
        raise InputError(NO_SOURCE)
    prepare_folder(to)
    for kind in kinds if to == out / FOLDER else ():  # an earlier export would pass for this one; elsewhere files may be others'
        for path in to.glob(NAMES[kind]):
            path.unlink()
    standing = as_it_stands(case, out, made)
    files: dict[str, list[str]] = {}

    def save(kind: str, name: str, content: bytes) -> None:
        write_bytes(to / name, content)
        files.setdefault(kind, []).append(str(to / name))

    if source is not None:
        making = Making(source, standing.key, standing.when, standing.reader)
        seg = (out / "labels.dcm").read_bytes() if (out / "labels.dcm").is_file() else None
        if "pdf" in kinds:
            save("pdf", NAMES["pdf"], encapsulated_pdf(standing.pdf, standing.report.title, making))
        if "sr" in kinds:
            segments = segments_of(seg) if seg is not None else None
            save("sr", NAMES["sr"], structured_report(case, making, segments=segments, said=standing.said))
        if "seg" in kinds and seg is not None:
            save("seg", NAMES["seg"], seg)
        elif "seg" in kinds:
            refused["seg"] = "the series was mended or has several planes in a file, so that no segmentation lies on its images"
        if "images" in kinds:
            pictures = [figure for figure in standing.report.figures() if figure.media == "image/png"]
            for number, figure in enumerate(pictures, start=1):
                save("images", f"picture-{number:02d}.dcm", key_image(figure.data, figure.caption, number, making))
    if "fhir" in kinds:
        bundle = fhir_bundle(
            case,
            when=standing.when,
            key=standing.key,
            status=standing.status,
            conclusion="\n".join(standing.said),
            reader=standing.reader,
            pdf=standing.pdf,
        )
        write_json(to / NAMES["fhir"], bundle)
        files["fhir"] = [str(to / NAMES["fhir"])]
    if "csv" in kinds:
        write_table(to / NAMES["csv"], value_rows(case))
        files["csv"] = [str(to / NAMES["csv"])]
    return files, refused


def as_it_stands(case: Case, out: Path, made: tuple[Report, bytes] | None = None) -> Standing:
    """Return the report of a result as of the day of its analysis, or of its signature: objects made twice are the same.

    Pages that are drawn already (``made``, with their PDF) need not be drawn again.
    """
    versions, digest = read_versions(out), case_digest(out)
    earlier, comparison = kept_comparison(case, out, versions)
    if versions:
        last = versions[-1]
        when, said = datetime.fromisoformat(last.when).replace(tzinfo=UTC), tuple(last.text.split("\n\n"))
        key, reader, status = f"{digest} {fixed(last)}", last.reader, "final" if last.version == 1 else "amended"
    else:
        when, said = datetime.fromisoformat(str(read_result(out)["created"])), spoken(case, Texts(ENGLISH), earlier)
        beside = f" {hashlib.sha256(comparison).hexdigest()}" if comparison is not None else ""
        key, reader, status = digest + beside, "", "preliminary"
    report = make_report(case, made_on=when.date(), versions=versions, earlier=earlier, drawn=made[0] if made else None)
    pdf = made[1] if made and made[0].made_on == report.made_on else to_pdf(report)
    return Standing(when, report, pdf, key, said, reader, status)


__all__ = ["DICOM", "KINDS", "run_export", "write_objects"]
