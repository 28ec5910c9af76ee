"""``openbct compare``: result folders of one person in, what changed out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from ..errors import InputError, OpenBCTError, OutputError, SettingsError
from ..visits import Change, FollowUp, Visit
from .tell import Progress, print_json

HTML, PDF = "comparison.html", "comparison.pdf"
UNITS = {"mg/cm3": "mg/cm³", "g/cm2": "g/cm²"}


def run_compare(results: Sequence[Path], out: Path, *, dates: tuple[str, ...], as_json: bool, report: bool) -> None:
    """Compare, write, and tell.

    Raises
    ------
    InputError
        A folder holds no result, the results are of several persons, or no bone can be compared.
    SettingsError
        Dates that are none, or fewer than folders.
    OutputError
        A file cannot be written.
    """
    from ..followup import follow, visit_of
    from ..io import prepare_folder, read_case
    from ..io.followup_files import followup_to_tables, write_followup

    if len(results) < 2:
        raise SettingsError(f"found {len(results)} result folder, expected a baseline and at least one follow-up")
    _check_dates(dates, len(results))
    _check_places(results, out)
    prepare_folder(out)
    progress = Progress()
    visits: list[Visit] = []
    for number, folder in enumerate(results, start=1):
        progress(f"reading result {number} of {len(results)}")
        if not folder.is_dir():
            raise InputError(f"found no folder as result {number}, expected the result folder of an earlier run; check the path")
        try:
            visits.append(visit_of(read_case(folder), date=dates[number - 1] if dates else None))
        except InputError as error:
            raise InputError(f"result {number}: {error}") from None
    followup = follow(visits, observe=lambda stage, bone: progress(f"{bone}: {stage}"))
    given = {id(visit): number for number, visit in enumerate(visits, start=1)}
    if (order := [given.get(id(visit), 0) for visit in followup.visits]) != sorted(order):
        progress(f"compared in the order of their dates: results {', '.join(map(str, order))}")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    files = write_followup(followup, out, created=created)
    failure: OpenBCTError | None = None
    if report:
        progress("making the report")
        failure = _report(followup, out, files)
    if as_json:
        print_json(
            {**followup_to_tables(followup, created=created), "files": {path.name.replace(".", "_"): str(path) for path in files}}
        )
    else:
        _tell(followup, files)
    if failure is not None:
        raise failure


def _check_dates(dates: tuple[str, ...], folders: int) -> None:
    if dates and len(dates) != folders:
        raise SettingsError(f"found --date {len(dates)} times for {folders} folders, expected it once for each, or not at all")
    for text in dates:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise SettingsError(f"found --date {text!r}, expected a date as 2026-01-31") from None


def _check_places(results: Sequence[Path], out: Path) -> None:
    """Refuse to write among the inputs: a result folder holds one run's files."""
    if any(folder.resolve() == out.resolve() for folder in results):
        raise SettingsError("found a result folder as the output folder, expected another; choose one with -o")


def _report(followup: FollowUp, out: Path, files: list[Path]) -> OpenBCTError | None:
    from ..io import write_bytes
    from ..report import make_followup_report, to_html, to_pdf

    made = make_followup_report(followup)
    try:
        write_bytes(out / HTML, to_html(made).encode("utf-8"))
        files.append(out / HTML)
        write_bytes(out / PDF, to_pdf(made))
        files.append(out / PDF)
    except OutputError as error:
        return error
    return None


def _tell(followup: FollowUp, files: list[Path]) -> None:
    print("OpenBCT follow-up; research use only, not a medical device")
    for one in followup.comparisons:
        first, then = followup.visits[0].date or "baseline", followup.visits[one.number].date or f"follow-up {one.number}"
        print(f"{first} to {then}" + (f" ({one.years:.2f} years)" if one.years is not None else ""))
        for change in one.changes:
            print(f"  {_line(change)}")
        for bone, why in one.absent.items():
            print(f"  {bone}: not compared: {why}")
        for caution in one.cautions:
            print(f"  caution: {caution}")
    print("written: " + ", ".join(str(path) for path in files))


def _line(change: Change) -> str:
    unit = change.unit.split(" ")[0]
    name = f"{change.bone} {change.quantity.replace('_', ' ')}"
    digits = {"N": 0, "g/cm2": 3}.get(unit, 1)
    yearly = f", {change.percent_per_year:+.1f} %/year" if change.percent_per_year is not None else ""
    regions = "" if change.carried or change.quantity == "strength" else ", each scan's own regions"
    verdict = {"increase": "INCREASE", "decrease": "DECREASE", "within": "no change beyond it"}.get(
        change.judgement, change.judgement.upper()
    )
    if change.judgement == "not comparable":  # a percentage would be read as a change
        return f"{name}: {change.baseline:.{digits}f} and {change.followup:.{digits}f} {UNITS.get(unit, unit)}: {verdict}"
    return (
        f"{name}: {change.baseline:.{digits}f} to {change.followup:.{digits}f} {UNITS.get(unit, unit)}, "
        f"{change.percent:+.1f} %{yearly}; least significant {change.least:.1f} % (by {change.least_from}): {verdict}{regions}"
    )
