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
| 1 | a bug: please report it; `OPENBCT_DEBUG=1` shows where |
| 2 | a wrong option, protocol or setting |
| 3 | the input cannot be used, or every bone was refused |
| 4 | no finite-element model could be solved |
| 5 | a result cannot be written |
| 6 | some scans of a batch failed |
| 130 | interrupted |

Errors are one sentence on standard error: what was found, what was expected, what to do. Progress goes to standard error, results to
standard output; `--json` prints exactly one object there.

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
