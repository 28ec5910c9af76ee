"""Tables from numbers to structures: those that are known by name, and a person's own in three formats."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from .label_names import is_structure, structure_name

DATA = Path(__file__).resolve().parents[1] / "data"
TABLE_FILES = ("labels_totalsegmentator.toml", "labels_others.toml")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
ITK_SNAP = re.compile(r'^\s*(\d+)\s+\d+\s+\d+\s+\d+\s+[\d.]+\s+\d+\s+\d+\s+"(.*)"\s*$')
"""ITK-SNAP's label description: index, red, green, blue, opacity, two visibilities, name in quotes [SC]."""
SLICER_COLOURS = re.compile(r"^\s*(\d+)\s+(\S+)\s+\d+\s+\d+\s+\d+\s+\d+\s*$")
"""3D Slicer's colour table: index, name without blanks, red, green, blue, opacity [R]."""
BLANK = ("clear_label", "background", "clear", "none", "0")


@cache
def builtin_tables() -> dict[str, dict[int, str]]:
    """Return the numberings that are known, by name."""
    tables: dict[str, dict[int, str]] = {}
    for name in TABLE_FILES:
        with (DATA / name).open("rb") as stream:
            for key, table in tomllib.load(stream).items():
                tables[key] = {int(number): value for number, value in table.items()}
    return tables


def table_names() -> str:
    """Return the names of the known numberings, for an error."""
    return ", ".join(builtin_tables())


def is_known(name: str) -> bool:
    """Tell a structure that some table or stage knows from a person's own words."""
    return is_structure(name) or any(name in table.values() for table in builtin_tables().values())


def read_mapping(mapping: Path | str | None) -> dict[str, str] | None:
    """Return a person's names by number, or by segment or file name.

    Parameters
    ----------
    mapping
        The name of a known numbering, or a file: TOML, ITK-SNAP's label description, or 3D Slicer's colour table.

    Raises
    ------
    SettingsError
        It cannot be read, or holds what is no structure name.
    """
    if mapping is None:
        return None
    tables = builtin_tables()
    if str(mapping) in tables:
        return {str(key): name for key, name in tables[str(mapping)].items()}
    try:
        text = Path(mapping).read_text(encoding="utf-8-sig")
        listed = _listed(text)
        content: Any = listed or tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise SettingsError(
            f"found no readable label mapping, expected a TOML file with lines like"
            f' 20 = "vertebral_body_L1", a label description of ITK-SNAP, a colour table of 3D Slicer, or one of {table_names()}'
        ) from None
    content = content.get("labels", content)
    flat = {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}
    named = {key: structure_name(value) if isinstance(value, str) else "" for key, value in flat.items()}
    strict = {} if listed else flat  # what a person types into a table for us is held to its form
    wrong = [key for key in flat if not NAME.fullmatch(named[key]) or (key in strict and not _plain(strict[key]))]
    if not flat or wrong:
        raise SettingsError(
            f"found {len(wrong)} of {len(flat)} entries in the label mapping that are no structure name, expected lines like"
            ' 20 = "vertebral_body_L1"; use letters, digits and underscores'
        )
    return named


def _plain(value: Any) -> bool:
    return isinstance(value, str) and bool(NAME.fullmatch(value))


def _listed(text: str) -> dict[str, str]:
    """Return the rows of a colour table, empty where the text is none; background left out."""
    rows: dict[str, str] = {}
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in lines:
        found = ITK_SNAP.match(line) or SLICER_COLOURS.match(line)
        if not found:
            return {}
        name = found.group(2).strip()
        if found.group(1) != "0" and name.lower().replace(" ", "_") not in BLANK and re.search("[A-Za-z]", name):
            rows[found.group(1)] = re.sub(r"^[^A-Za-z]+", "", name)
    return rows


def read_sidecar(path: Path, stem: str) -> dict[str, str] | None:
    """Return the table that lies beside a label file under the same name, as :func:`write_label_map` leaves it."""
    beside = path.with_name(f"{stem}.toml")
    return read_mapping(beside) if beside.is_file() else None
