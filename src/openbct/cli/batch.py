"""Many scans: a plan of rows, each run in its own folder, resumed where an interruption left it, one CSV for all.

FOLDER holds one scan per entry: a DICOM folder ``NAME/``, a zip ``NAME.zip`` or an image ``NAME.nii.gz``. The labels of a scan
are found beside it as ``NAME.labels.nii.gz`` or ``NAME.labels/``. Instead of a folder, a CSV table may be given with the columns
``name, scan, labels, label_map, bones, sex, age, height_cm, weight_kg`` (only ``scan`` is required; paths relative to the table).
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import typer

from ..errors import InputError, OpenBCTError, SettingsError
from .run import Progress, Request, analyze_to_files, make_settings, read_inputs

DONE = "done.json"
"""Written last into a scan's folder; holds the digest of what was asked, so that a changed request runs again."""
IMAGE_ENDINGS = (".nii.gz", ".nii", ".zip")


def run_batch(folder: Path, out: Path, *, jobs: int, protocol: str, bones: str, report: bool, as_json: bool) -> None:
    """Run every scan; a failed scan is a row with its reason."""
    from ..io import prepare_folder, write_table

    requests = list(plan(folder, out, Request(scan=folder, out=out, protocol=protocol, bones=bones, report=report)))
    if not requests:
        raise InputError(f"found no scan in {folder.name!r}, expected DICOM folders, zips or NIfTI images, one per entry")
    make_settings(requests[0])  # a wrong protocol stops the batch before the first scan
    prepare_folder(out)
    progress = Progress(quiet=as_json)
    rows: dict[str, list[dict[str, Any]]] = {}
    todo = []
    for request in requests:
        earlier = _earlier(request)
        if earlier is None:
            todo.append(request)
        else:
            rows[request.out.name] = earlier
    progress(f"{len(requests)} scans, {len(requests) - len(todo)} already done")
    for name, found in _run(todo, jobs):
        rows[name] = found
        progress(f"{found[0]['status']}{': ' + found[0]['reason'] if found[0].get('reason') else ''}", name)
        write_table(out / "batch.csv", [row for request in requests for row in rows.get(request.out.name, [])])
    ordered = [row for request in requests for row in rows[request.out.name]]
    write_table(out / "batch.csv", ordered)
    failed = sum(1 for request in requests if rows[request.out.name][0]["bone"] == "")
    if as_json:
        print(
            json.dumps(
                {"schema": "openbct-batch/1", "scans": len(requests), "failed": failed, "rows": ordered}, ensure_ascii=False
            )
        )
    else:
        print(f"{len(requests)} scans, {failed} failed; table: {out / 'batch.csv'}")
    if failed:
        raise typer.Exit(6)


def plan(folder: Path, out: Path, base: Request) -> Iterator[Request]:
    """Yield one request per scan, in a stable order."""
    if folder.is_file() and folder.suffix.lower() == ".csv":
        yield from _from_table(folder, out, base)
        return
    if not folder.is_dir():
        raise InputError(f"found no folder {folder.name!r}, expected a folder of scans or a CSV table; check the path")
    for entry in sorted(folder.iterdir()):
        name = entry.name
        for ending in IMAGE_ENDINGS:
            name = name.removesuffix(ending)
        hidden = entry.name.startswith(".") or entry.resolve() == out.resolve()
        scan_like = entry.is_dir() or entry.name.endswith(IMAGE_ENDINGS)
        if hidden or not scan_like or name.endswith(".labels"):
            continue
        labels = [entry.with_name(name + ".labels.nii.gz"), entry.with_name(name + ".labels")]
        yield replace(base, scan=entry, out=out / name, labels=tuple(path for path in labels if path.exists()))


def _from_table(table: Path, out: Path, base: Request) -> Iterator[Request]:
    known = {"name", "scan", "labels", "label_map", "bones", "sex", "age", "height_cm", "weight_kg"}
    with table.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        columns = set(reader.fieldnames or ())
        if "scan" not in columns or columns - known:
            raise SettingsError(
                f"found columns {sorted(columns)} in {table.name!r}, expected scan and any of {sorted(known - {'scan'})}"
            )
        rows = list(reader)
    for number, row in enumerate(rows, start=2):
        cells = {key: value.strip() for key, value in row.items() if key and value and value.strip()}
        if "scan" not in cells:
            raise SettingsError(f"line {number} of {table.name!r} names no scan; fill the column or remove the line")
        scan = table.parent / cells["scan"]
        numbers: dict[str, Any] = {}
        for key in ("age", "height_cm", "weight_kg"):
            if key in cells:
                try:
                    numbers[key] = float(cells[key])
                except ValueError as error:
                    raise SettingsError(
                        f"line {number} of {table.name!r}: found {key} {cells[key]!r}, expected a number"
                    ) from error
        yield replace(
            base,
            scan=scan,
            out=out / cells.get("name", f"scan-{number - 1:04d}"),
            labels=tuple(table.parent / part for part in cells.get("labels", "").split(";") if part),
            label_maps=(table.parent / cells["label_map"],) if "label_map" in cells else (),
            bones=cells.get("bones", base.bones),
            sex=cells.get("sex"),
            **numbers,
        )


def _run(requests: list[Request], jobs: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if jobs == 1 or len(requests) < 2:
        for request in requests:
            yield request.out.name, run_one(request)
        return
    # spawn, not fork: numerical libraries keep threads that do not survive a fork.
    with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(run_one, request): request for request in requests}
        for future in as_completed(running):
            request = running[future]
            try:
                yield request.out.name, future.result()
            except Exception as error:  # a worker that died is a row, not the end of the batch
                yield request.out.name, [_failure(request, f"the worker process ended ({type(error).__name__})")]


def run_one(request: Request) -> list[dict[str, Any]]:
    """Return the rows of one scan: one per bone, or one with the reason why there is none."""
    from ..io import csv_rows, write_json

    quiet = Progress(quiet=True)
    try:
        settings = make_settings(request)
        scan, segmenter = read_inputs(request, settings)
        case, _ = analyze_to_files(scan, segmenter, settings, request, quiet)
        rows = [{"scan": request.out.name, **row} for row in csv_rows(case)]
        write_json(request.out / DONE, {"request": _digest(request), "rows": rows})
        return rows or [_failure(request, "no bone was found")]
    except OpenBCTError as error:
        return [_failure(request, str(error))]
    except OSError as error:
        return [_failure(request, f"the system says {error.strerror}")]
    except Exception as error:  # one scan's bug must not stop the others
        return [_failure(request, f"internal error ({type(error).__name__}); run it alone with OPENBCT_DEBUG=1")]


def _failure(request: Request, reason: str) -> dict[str, Any]:
    return {"scan": request.out.name, "bone": "", "status": "failed", "reason": reason}


def _digest(request: Request) -> str:
    """Return a digest of what was asked, the protocol's content and the files' sizes and times included."""
    asked = {key: str(value) for key, value in asdict(request).items() if key != "out"}
    stamps = []
    for path in (request.scan, *request.labels, *request.label_maps):
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        stamps += [f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files if p.exists()]
    settings = repr(make_settings(request))
    return hashlib.sha256(json.dumps([asked, stamps, settings], sort_keys=True).encode()).hexdigest()


def _earlier(request: Request) -> list[dict[str, Any]] | None:
    """Return the rows of an earlier run of the same request, or ``None``."""
    try:
        stored = json.loads((request.out / DONE).read_text(encoding="utf-8"))
        rows = stored["rows"]
        return rows if stored["request"] == _digest(request) and isinstance(rows, list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
