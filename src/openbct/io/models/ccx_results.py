"""Results of CalculiX: printed tables (``.dat``) and the field file (``.frd``)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...errors import InputError
from .answer import SolverResult, answer, on_grid
from .model import VoxelModel

TABLE = re.compile(r"^\s*(displacements|forces) \(.*\) for set (\S+) and time\s+(\S+)")
FRD_NAMES = {"DISP": "displacements", "FORC": "forces"}


def read_calculix(path: Path, model: VoxelModel) -> SolverResult:
    """Return displacements and reactions at the last time of a ``.dat`` or ``.frd`` file.

    Of a ``.dat`` of an elastic-plastic run, only the nodes of LOADED are printed; the fields are in its ``.frd``.

    Raises
    ------
    InputError
        It cannot be read, or holds neither.
    """
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise InputError(
            f"found {path.name!r}, which cannot be read ({error.strerror}), expected a result of CalculiX"
        ) from error
    try:
        tables, time = (_frd if path.suffix.lower() == ".frd" else _dat)(lines)
    except (ValueError, IndexError) as error:
        raise InputError(
            f"found a line in {path.name!r} that cannot be read, expected a whole result in text; run it again"
        ) from error
    if "displacements" not in tables:
        raise InputError(
            f"found no displacements in {path.name!r}, expected those that the exported model asks for; run it again"
        )
    field = {name: on_grid(np.array(rows, dtype=float).reshape(-1, 4), model, path.name) for name, rows in tables.items()}
    return answer("CalculiX", model, time, *field["displacements"], reaction=field["forces"][0] if "forces" in field else None)


def read_curve(path: Path, model: VoxelModel) -> np.ndarray:
    """Return share of the travel and load [N] of every printed time ``(n 2)`` of a ``.dat`` file.

    Raises
    ------
    InputError
        It prints no reactions of the set LOADED.
    """
    loaded = set(model.numbers[model.loaded].tolist())
    points: dict[float, float] = {}
    time = None
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        head = TABLE.match(line)
        if head:
            time = float(head[3]) if head[1] == "forces" else None
            continue
        parts = line.split()
        if time is not None and len(parts) == 4 and parts[0].isdigit() and int(parts[0]) in loaded:
            points[time] = points.get(time, 0.0) + float(np.dot([float(x) for x in parts[1:]], model.direction))
    if not points:
        raise InputError(
            f"found no reactions of the loaded nodes in {path.name!r}, expected a printed table of them; run the model again"
        )
    return np.array([(0.0, 0.0), *sorted(points.items())])


def _dat(lines: list[str]) -> tuple[dict[str, list[tuple[float, ...]]], float]:
    """Return the rows of the last table of each quantity, and its time."""
    tables: dict[str, list[tuple[float, ...]]] = {}
    times: dict[str, float] = {}
    rows: list[tuple[float, ...]] | None = None
    for line in lines:
        head = TABLE.match(line)
        if head:
            quantity, time = head[1], float(head[3])
            if times.get(quantity) != time:
                tables[quantity], times[quantity] = [], time
            rows = tables[quantity]
            continue
        if " for set " in line:  # another quantity
            rows = None
        parts = line.split()
        if rows is None or len(parts) != 4 or not parts[0].isdigit():
            continue
        rows.append((int(parts[0]), *(float(x) for x in parts[1:])))
    return tables, max(times.values(), default=0.0)


def _frd(lines: list[str]) -> tuple[dict[str, list[tuple[float, ...]]], float]:
    """Return the rows of the last block of each quantity, and its time; columns of an ``.frd`` have fixed widths."""
    tables: dict[str, list[tuple[float, ...]]] = {}
    time = 0.0
    rows: list[tuple[float, ...]] | None = None
    for line in lines:
        key = line[:5].strip()
        if line.startswith("  100C"):
            time, rows = float(line[12:24]), None
        elif key == "-4":
            quantity = FRD_NAMES.get(line[5:13].strip())
            rows = [] if quantity else None
            if quantity and rows is not None:
                tables[quantity] = rows
        elif key == "-3":
            rows = None
        elif rows is not None and line.startswith(" -1"):
            rows.append((int(line[3:13]), *(float(line[13 + 12 * a : 25 + 12 * a]) for a in range(3))))
    return tables, time
