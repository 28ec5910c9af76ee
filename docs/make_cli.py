"""Write docs/cli.md from the commands' own help: ``python docs/make_cli.py``; a test fails where the page has drifted."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from openbct.cli.app import app

PAGE = Path(__file__).with_name("cli.md")

HEAD = """# Command line

This page is written by `python docs/make_cli.py` from the commands themselves.

## Exit status

| status | meaning |
| --- | --- |
| 0 | at least one bone was assessed (or the command has no bones to assess and did its work) |
| 1 | a bug: please report it; `OPENBCT_DEBUG=1` shows where (`doctor`: something that OpenBCT needs fails) |
| 2 | a wrong option, protocol or setting |
| 3 | the input cannot be used, or every bone was refused for its data |
| 4 | every bone was refused, at least one because its finite-element model could not be built or solved |
| 5 | a result or the report cannot be written; what was finished stays, and `openbct report OUT` makes the report again |
| 6 | some scans of a batch have no result; their rows say why |
| 130 | interrupted; what was finished stays |

Errors are one sentence on standard error: what was found, what was expected, what to do. Progress goes to standard error, results to
standard output; `--json` prints exactly one object there (nothing where the command fails before it has a result).

The tables of a result folder (`result.json`, `results.csv`) are written after every bone: an interruption or a full disk loses the bone in work and
no other. A new run into the same folder replaces the earlier run's files.

"""


def page() -> str:
    """Return the page."""
    command = typer.main.get_command(app)
    parts = [HEAD, *_describe(command, ["openbct"])]
    return "\n".join(parts).rstrip() + "\n"


def _describe(command: object, path: list[str]) -> list[str]:
    subcommands = getattr(command, "commands", None)
    if subcommands is not None:
        parts: list[str] = []
        for name in subcommands:
            parts += _describe(subcommands[name], [*path, name])
        return parts
    lines = [f"## {' '.join(path)}", "", (getattr(command, "help", "") or "").strip(), ""]
    rows = []
    for parameter in command.params:  # type: ignore[attr-defined]
        if parameter.name == "help":
            continue
        argument = parameter.param_type_name == "argument"
        name = f"`{parameter.metavar or parameter.name.upper()}`" if argument else ", ".join(f"`{o}`" for o in parameter.opts)
        default = "" if parameter.required or parameter.default in (None, False, ()) else f" Default: `{parameter.default}`."
        required = " Required." if parameter.required and not argument else ""
        rows.append(f"| {name} | {re.sub(chr(10), ' ', parameter.help or '')}{default}{required} |")
    return [*lines, "| option | meaning |", "| --- | --- |", *rows, ""]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
