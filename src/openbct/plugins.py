"""Import a plug-in that a user names as ``file.py:OBJECT``. Names in tables are looked up by the caller, not here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from .errors import SettingsError


def is_spec(name: str) -> bool:
    """Tell whether a name has the form ``file.py:OBJECT``."""
    return ".py:" in name


def load(spec: str) -> Any:
    """Return the object that ``file.py:OBJECT`` names.

    Raises
    ------
    SettingsError
        The file cannot be imported or has no such object.
    """
    path, _, attribute = spec.rpartition(":")
    if not Path(path).is_file():
        raise SettingsError(
            f"found no plug-in file {Path(path).name!r} (of {attribute}), expected file.py:OBJECT; check the path"
        )
    module_spec = importlib.util.spec_from_file_location(f"openbct_plugin_{abs(hash(path))}", path)
    if module_spec is None or module_spec.loader is None:
        raise SettingsError(f"found plug-in {spec!r}, expected file.py:OBJECT with a Python file; check the path")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises becomes one sentence
        raise SettingsError(
            f"found a plug-in file {Path(path).name!r} that cannot be imported ({type(error).__name__}: {error}), expected Python that "
            "runs by itself; mend it"
        ) from error
    if not hasattr(module, attribute):
        raise SettingsError(
            f"found no object {attribute!r} in the plug-in file, expected it at the top level; check the name after the colon"
        )
    return getattr(module, attribute)


def find(name: str, table: dict[str, Any], kind: str) -> Any:
    """Return ``table[name]``, or the object that ``file.py:OBJECT`` names.

    Raises
    ------
    SettingsError
        Neither is there.
    """
    if is_spec(name):
        return load(name)
    if name not in table:
        raise SettingsError(f"found {kind} {name!r}, expected one of {', '.join(sorted(table))} or file.py:OBJECT")
    return table[name]
