"""Many scans: a plan of rows, each run in its own folder, resumed where an interruption left it, one CSV for all.

FOLDER holds one scan per entry: a DICOM folder ``NAME/``, a zip ``NAME.zip`` or an image ``NAME.nii.gz``. The labels of a scan
are found beside it as ``NAME.labels.nii.gz`` or ``NAME.labels/``. Instead of a folder, a CSV table may be given with the columns
``name, scan, labels, label_map, bones, sex, age, height_cm, weight_kg, dxa_t_fn, dxa_t_th, dxa_t_ls, phantom, phantom_certificate,
phantom_scan`` (only ``scan`` is required; paths relative to the table; the last three win over the options of the same names).

The name of a row, of its folder and in messages is the user's own: that of the entry, or of the column ``name``. It stays where
``--anonymous`` is given; files that a table names are never quoted.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import typer

from .. import __version__
from ..errors import InputError, OpenBCTError, SettingsError
from ..plugins import is_spec
from .phantom_request import check_phantom_scan
from .request import Request, check_request, make_settings, read_inputs
from .run import analyze_to_files
from .tell import Progress, print_json

DONE = "done.json"
"""Written last into a scan's folder; holds the digest of what was asked, so that a changed request runs again."""
TABLE = "batch.csv"
IMAGE_ENDINGS = (".nii.gz", ".nii", ".zip")
DXA = ("dxa_t_fn", "dxa_t_th", "dxa_t_ls")
COLUMNS = (
    "name", "scan", "labels", "label_map", "bones", "sex", "age", "height_cm", "weight_kg", *DXA, "phantom", "phantom_certificate",
    "phantom_scan",
)  # fmt: skip
BAD_NAME = re.compile(r"[\\/:*?\"<>|\x00-\x1f]|^\.|[. ]$")
"""What a folder's name must not hold: ways out of the output folder, and what some systems cannot write."""

Rows = list[dict[str, Any]]
share: list[int] = []
"""In a worker process: the threads that it may use, for the others need theirs."""


def run_batch(base: Request, *, jobs: int, as_json: bool) -> None:
    """Run every scan of the folder or table that ``base`` names; a failed scan is a row with its reason."""
    from ..io import prepare_folder, write_table
    from .planning import planned

    folder, out = base.scan, base.out
    requests = list(plan(folder, out, base))
    if not requests:
        raise InputError("found no scan in the given folder, expected DICOM folders, zips or NIfTI images, one per entry")
    _check_names(requests, out)
    check_phantom_scan(base.phantom_scan)
    planned(make_settings(base))  # a wrong protocol stops the batch before the first scan
    prepare_folder(out)
    progress = Progress()
    rows: dict[str, Rows] = {}
    for request in requests:
        earlier = _earlier(request)
        if earlier is not None:
            rows[request.out.name] = earlier
    todo = [request for request in requests if request.out.name not in rows]
    progress(f"{len(requests)} scans, {len(requests) - len(todo)} already done")

    def ordered() -> Rows:
        return [row for request in requests for row in rows.get(request.out.name, [])]

    for count, (name, found) in enumerate(_run(todo, jobs), start=1):
        rows[name] = found
        progress(f"{_in_words(found)} [{len(requests) - len(todo) + count} of {len(requests)}]", name)
        write_table(out / TABLE, ordered())
    write_table(out / TABLE, ordered())
    failed = [name for name, found in rows.items() if all(row["status"] in ("failed", "refused") for row in found)]
    if as_json:
        content = {"schema": "openbct-batch/1", "scans": len(requests), "failed": len(failed), "computed": len(todo)}
        print_json({**content, "table": str(out / TABLE), "rows": ordered()})
    else:
        print(f"{len(requests)} scans, {len(todo)} computed now, {len(failed)} without a result; table: {out / TABLE}")
        for name in failed:
            print(f"  {name}: {rows[name][0]['reason']}")
    if failed:
        raise typer.Exit(6)


def _in_words(rows: Rows) -> str:
    """Return what became of a scan's bones, in one line."""
    if rows[0]["status"] == "failed":
        return f"failed: {rows[0]['reason']}"
    return ", ".join(f"{row['bone']} {row['status']}" for row in rows)


def plan(folder: Path, out: Path, base: Request) -> Iterator[Request]:
    """Yield one request per scan, in a stable order."""
    if folder.is_file() and folder.suffix.lower() == ".csv":
        yield from _from_table(folder, out, base)
        return
    if not folder.is_dir():
        raise InputError("found no folder at the given path, expected a folder of scans or a CSV table; check the path")
    if folder.resolve() == out.resolve():
        raise SettingsError("found the folder of scans itself as output folder, expected another; choose one with -o")
    for entry in sorted(folder.iterdir()):
        name = entry.name
        for ending in IMAGE_ENDINGS:
            name = name.removesuffix(ending)
        hidden = entry.name.startswith(".") or entry.resolve() == out.resolve()
        scan_like = entry.is_dir() or entry.name.endswith(IMAGE_ENDINGS)
        if hidden or not scan_like or name.endswith(".labels"):
            continue
        labels = [entry.with_name(name + ".labels.nii.gz"), entry.with_name(name + ".labels")]
        table = entry.with_name(name + ".labels.toml")
        yield replace(
            base,
            scan=entry,
            out=out / name,
            labels=tuple(path for path in labels if path.exists()),
            label_maps=(table,) if table.is_file() else (),
        )


def _from_table(table: Path, out: Path, base: Request) -> Iterator[Request]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = tuple(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(
            f"found {table.name!r}, which cannot be read, expected a CSV table in UTF-8; save it again"
        ) from error
    if "scan" not in columns or set(columns) - set(COLUMNS) or len(set(columns)) != len(columns):
        known = ", ".join(name for name in COLUMNS if name != "scan")
        raise SettingsError(
            f"found columns {', '.join(map(repr, columns)) or 'none'} in {table.name!r}, expected scan and any of {known}, parted by commas"
        )
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise SettingsError(
                f"line {number} of {table.name!r} has more cells than there are columns; quote cells that hold commas"
            )
        cells = {key: value.strip() for key, value in row.items() if value and value.strip()}
        if not cells:
            continue
        if "scan" not in cells:
            raise SettingsError(f"line {number} of {table.name!r} names no scan; fill the column or remove the line")
        name = cells.get("name", f"scan-{number - 1:04d}")
        if BAD_NAME.search(name) or name == TABLE:
            raise SettingsError(
                f"line {number} of {table.name!r}: found the name {name!r}, expected a plain name for a folder, without slashes, colons "
                "or a dot at its ends; rename it"
            )
        yield replace(
            base,
            scan=table.parent / cells["scan"],
            out=out / name,
            labels=tuple(table.parent / part.strip() for part in cells.get("labels", "").split(";") if part.strip()),
            label_maps=(table.parent / cells["label_map"],) if "label_map" in cells else (),
            bones=cells.get("bones", base.bones),
            sex=cells.get("sex"),
            phantom=cells.get("phantom", base.phantom),
            certificate=table.parent / cells["phantom_certificate"] if "phantom_certificate" in cells else base.certificate,
            phantom_scan=table.parent / cells["phantom_scan"] if "phantom_scan" in cells else base.phantom_scan,
            **_numbers(cells, f"line {number} of {table.name!r}"),
        )


def _numbers(cells: dict[str, str], where: str) -> dict[str, Any]:
    """Return the cells that are numbers."""
    numbers: dict[str, Any] = {}
    for key in ("age", "height_cm", "weight_kg", *DXA):
        if key in cells:
            try:
                numbers[key] = float(cells[key])
            except ValueError as error:
                raise SettingsError(f"{where}: found {key} {cells[key]!r}, expected a number with a decimal point") from error
    scores = tuple(numbers.pop(key, None) for key in DXA)
    return {**numbers, "dxa": scores}


def _check_names(requests: list[Request], out: Path) -> None:
    """Refuse two scans that would share a folder, and a folder of results that is a scan's own."""
    seen: set[str] = set()
    for request in requests:
        key = request.out.name.casefold()  # some systems do not tell a from A
        if key in seen:
            raise SettingsError(
                f"found two scans of the name {request.out.name!r} (upper and lower case and endings like .zip do not count), expected one "
                "of each name, for each gets a folder of its own; rename one"
            )
        seen.add(key)
        if request.out.resolve() == request.scan.resolve() or request.out.name == TABLE:
            raise SettingsError(
                f"found results of {request.out.name!r} where the scan or the table lies; choose another folder with -o"
            )


def _run(requests: list[Request], jobs: int) -> Iterator[tuple[str, Rows]]:
    if jobs == 1 or len(requests) < 2:
        for request in requests:
            yield request.out.name, run_one(request)
        return
    lost: list[Request] = []
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with _pool(jobs, threads) as pool:
        running = {pool.submit(run_one, request): request for request in requests}
        try:
            for future in as_completed(running):
                request = running[future]
                try:
                    yield request.out.name, future.result()
                except BrokenProcessPool:  # one worker died and took the pool with it: who was it?
                    lost.append(request)
        except (KeyboardInterrupt, GeneratorExit):
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                child.terminate()
            raise
    for request in lost:
        with _pool(1, threads) as pool:
            try:
                yield request.out.name, pool.submit(run_one, request).result()
            except BrokenProcessPool:
                yield request.out.name, [_failure(request, "its process was ended by the system, perhaps for want of memory")]


def _pool(jobs: int, threads: int) -> ProcessPoolExecutor:
    # spawn, not fork: numerical libraries keep threads that do not survive a fork.
    return ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn"), initializer=_begin_worker, initargs=(threads,))


def _begin_worker(threads: int) -> None:
    """Share out the processors, and let Ctrl-C end this process without a word: the parent speaks."""
    share.append(threads)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_one(request: Request) -> Rows:
    """Return the rows of one scan: one per bone, or one with the reason why there is none."""
    from ..io import csv_rows, write_json

    quiet = Progress(quiet=True)
    try:
        settings = make_settings(request)
        if share and not settings.run.threads:  # no number depends on it
            settings = replace(settings, run=replace(settings.run, threads=share[0]))
        asked = _digest(request)
        scan, segmenter = read_inputs(request, settings)
        outcome = analyze_to_files(scan, segmenter, settings, request, quiet)
        rows: Rows = [{"scan": request.out.name, **row} for row in csv_rows(outcome.case)]
        if not rows:
            return [_failure(request, "no bone was found")]
        if outcome.unreported is not None:  # the numbers stand; the next batch tries again
            rows = [{**row, "cautions": " | ".join(filter(None, (row["cautions"], str(outcome.unreported))))} for row in rows]
        elif outcome.bug is None:
            write_json(request.out / DONE, {"request": asked, "rows": rows})
        return rows
    except OpenBCTError as error:
        return [_failure(request, str(error))]
    except OSError as error:
        return [_failure(request, f"the system says {error.strerror}; check paths, permissions and free space")]
    except MemoryError:
        return [_failure(request, "found too little memory for this scan; use fewer --jobs, or crop the scan to the bones")]
    except Exception as error:  # one scan's bug must not stop the others
        if os.environ.get("OPENBCT_DEBUG"):
            raise
        return [_failure(request, f"internal error ({type(error).__name__}); run it alone with OPENBCT_DEBUG=1")]


def _failure(request: Request, reason: str) -> dict[str, Any]:
    return {"scan": request.out.name, "bone": "", "status": "failed", "reason": reason}


def _digest(request: Request) -> str:
    """Return a digest of what was asked: program, protocol with its plug-ins, and the files' sizes and times."""
    asked = {key: str(value) for key, value in asdict(request).items() if key not in ("out", "protocol")}
    settings = make_settings(request)
    names = (settings.calibration.method, settings.vertebra.material, settings.femur.material, settings.segmentation.segmenter)
    plugins = [Path(name.rpartition(":")[0]) for name in names if is_spec(name)]
    others = () if request.phantom_scan is None else (request.phantom_scan,)  # a certificate's values are in the settings
    kept = [Path(settings.assessment.reference)] if settings.assessment.reference else []
    stamps = list(_stamps((request.scan, *request.labels, *request.label_maps, *plugins, *others, *kept)))
    return hashlib.sha256(json.dumps([__version__, asked, stamps, repr(settings)], sort_keys=True).encode()).hexdigest()


def _stamps(paths: Iterable[Path]) -> Iterator[str]:
    """Yield name, size and time of every file."""
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        yield from (f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files if p.exists())


def _earlier(request: Request) -> Rows | None:
    """Return the rows of an earlier run of the same request, or ``None``."""
    try:
        check_request(request)
        stored = json.loads((request.out / DONE).read_text(encoding="utf-8"))
        rows = stored["rows"]
        whole = isinstance(rows, list) and rows and all({"bone", "status"} <= set(row) for row in rows)
        there = (request.out / "result.json").is_file()
        return rows if stored["request"] == _digest(request) and whole and there else None
    except (OpenBCTError, OSError, ValueError, KeyError, TypeError):
        return None
