"""The report of a result again, as a draft or with a physician's signed text."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

from .. import __version__
from ..errors import InputError, SettingsError
from ..io import case_digest, read_case, write_bytes
from ..io.followup_files import COMPARISON, check_analysis, read_earlier
from ..io.signed_store import check_versions, comparison_of, is_signed, read_text, read_versions, was_compared, write_version
from ..records import Case
from ..report import make_report, spoken, to_html, to_pdf
from ..report.content import Report
from ..report.texts import ENGLISH
from ..report.wording import Texts
from ..signing import Signed, fixed
from ..visits import Earlier
from .run import write_reports
from .tell import Progress, print_json

MOST_LETTERS = 200
"""Longer names with their titles are no name [design]."""


def run_report(
    out: Path,
    *,
    interpretation: Path | None,
    reader: str | None,
    verify: bool,
    as_json: bool,
    comparison: Path | None = None,
    objects: bool = False,
) -> None:
    """Make the report again from a result folder, sign it, or say whether what was signed is unchanged.

    With ``objects`` those of :func:`openbct.cli.export.run_export` are made of the same pages, which are drawn once.
    """
    if not out.is_dir():
        raise InputError("found no folder at the given path, expected the result folder of an earlier run; check the path")
    if (interpretation is None) != (reader is None):
        raise SettingsError(
            "found one of --interpretation and --reader, expected both: a text has an author, and a reader signs a text; give both"
        )
    if verify:
        _verify(out, as_json=as_json)
        return
    progress = Progress()
    progress("reading the stored case")
    case = read_case(out)
    # what the user gave is read before anything is kept
    words = (read_text(interpretation), checked_reader(reader)) if interpretation is not None and reader is not None else None
    if comparison is not None:
        keep_comparison(comparison, case, out, signs=words is not None)
    if words is not None:
        progress("making the signed report")
        written = sign(case, out, *words)
        if objects:
            written |= _objects(case, out, None, progress)
    else:
        progress("making the report")
        versions = read_versions(out)
        earlier, _ = kept_comparison(case, out, versions)
        reports = write_reports(case, out, made_on=made_on(versions), versions=versions, earlier=earlier)
        written = reports.written
        if reports.failure is not None:
            _told(written, as_json=as_json)
            raise reports.failure
        if objects and reports.content is not None:
            written |= _objects(case, out, (reports.content, reports.pdf), progress)
    _told(written, as_json=as_json)


def _objects(case: Case, out: Path, made: tuple[Report, bytes] | None, progress: Progress) -> dict[str, str]:
    """Write the objects of the report; returns each file by its kind, and why a kind is missing."""
    from .export import FOLDER, KINDS, write_objects  # which reads what is kept here

    progress("making the objects")
    files, refused = write_objects(case, out, out / FOLDER, KINDS, asked=False, made=made)
    written = {
        f"object_{kind}" + (f"_{number}" if number > 1 else ""): path
        for kind, paths in files.items()
        for number, path in enumerate(paths, start=1)
    }
    return written | {f"no_object_{kind}": reason for kind, reason in refused.items()}


def keep_comparison(path: Path, case: Case, out: Path, *, signs: bool) -> None:
    """Keep a comparison with an earlier scan in the result folder, so that the report made again tells of it.

    Raises
    ------
    InputError
        It is damaged, knows nothing of this scan, or is of another analysis of it.
    SettingsError
        The report is signed, and nobody signs again.
    """
    if is_signed(out) and not signs:
        raise SettingsError(
            "found a signed interpretation in the result folder, expected none: a comparison would stand beside a text that was written without it; "
            "sign again with --interpretation and --reader"
        )
    _, content = read_earlier(path, case.scan.digest)
    check_analysis(content, case)
    write_bytes(out / COMPARISON, content)


def kept_comparison(case: Case, out: Path, versions: tuple[Signed, ...]) -> tuple[Earlier | None, bytes | None]:
    """Return the comparison that the report tells of, and its file: that of the last signature, else the one that was kept."""
    path = comparison_of(versions[-1].version, out) if versions else out / COMPARISON
    if versions and not was_compared(versions[-1].version, out):
        return None, None
    return read_earlier(path, case.scan.digest) if path.is_file() else (None, None)


def _told(written: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "openbct-report/1", **written})
    else:
        print("\n".join(f"{name.replace('_', ' ')}: {path}" for name, path in written.items()))


def made_on(versions: tuple[Signed, ...]) -> date | None:
    """Return the day that a report bears: that of its signature; else that of ``SOURCE_DATE_EPOCH``, or ``None`` for today.

    Raises
    ------
    SettingsError
        ``SOURCE_DATE_EPOCH`` is no number of seconds.
    """
    if versions:
        return date.fromisoformat(versions[-1].when[:10])
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    if not stated:
        return None
    try:
        return datetime.fromtimestamp(int(stated), UTC).date()
    except (ValueError, OverflowError, OSError):
        raise SettingsError("found a SOURCE_DATE_EPOCH that is no time, expected seconds since 1970; unset it") from None


def checked_reader(text: str) -> str:
    """Return the reader, or refuse a name without a title.

    Raises
    ------
    SettingsError
        No comma, an empty part, or too long.
    """
    parts = [" ".join(part.split()) for part in text.split(",", 1)]
    if len(parts) < 2 or not all(parts) or len(text) > MOST_LETTERS:
        raise SettingsError('found a reader without name or title, expected "NAME, TITLE"; write both, with a comma between')
    return ", ".join(parts)


def sign(case: Case, out: Path, text: str, reader: str) -> dict[str, str]:
    """Add a version with its reports and make it the report of the folder; returns what was written.

    Raises
    ------
    InputError
        What was signed before is not as it was: nothing may be built on it.
    """
    texts, digest = Texts(ENGLISH), case_digest(out)
    count, broken = check_versions(out, digest)
    if broken:
        raise InputError(f"found signed versions that were changed ({broken[0]}), expected them as signed; restore the folder")
    versions = read_versions(out)
    when = datetime.now(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    before = fixed(versions[-1]) if versions else ""
    earlier, comparison = kept_comparison(case, out, ())
    said = spoken(case, texts, earlier)
    signed = Signed(count + 1, reader, when, texts("signed.meaning"), text, said, digest, before, __version__)
    report = make_report(case, made_on=date.fromisoformat(when[:10]), versions=(*versions, signed), earlier=earlier)
    reports = {".html": to_html(report).encode("utf-8"), ".pdf": to_pdf(report)}
    paths = write_version(signed, reports, out, comparison)
    written = {"signed": str(paths[0])}
    for ending, content in reports.items():
        write_bytes(out / f"report{ending}", content)
        written[f"report_{ending[1:]}"] = str(out / f"report{ending}")
    return written


def _verify(out: Path, *, as_json: bool) -> None:
    """Tell whether every signed version is as it was signed.

    Raises
    ------
    InputError
        Something was changed, or nothing was signed.
    """
    count, broken = check_versions(out, case_digest(out))
    if count == 0:
        raise InputError("found no signed interpretation in the folder, expected one; sign with --interpretation and --reader")
    if as_json:
        print_json({"schema": "openbct-verify/1", "versions": count, "broken": list(broken)})
    else:
        for signed in read_versions(out):
            print(f"version {signed.version}: {signed.reader}, {signed.when} UTC, sha256 {fixed(signed)}")
        print("\n".join(broken) if broken else "every version is as it was signed")
    if broken:
        raise InputError(
            f"found {len(broken)} change{'s' if len(broken) != 1 else ''} since the signature, expected none; trust the paper copy or the reader"
        )
