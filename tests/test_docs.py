"""The documentation is right: its code runs, its tables parse, its options exist, its numbers are the program's."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import shlex
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import openbct as package
from openbct import errors
from openbct.cli import app as commands
from openbct.cli.simulate_request import make_simulation
from openbct.io import write_volume
from openbct.phantoms import TorsoSettings, phantom_from_table, simulate_vertebra
from openbct.protocol_rules import CHOICES, RANGES
from openbct.settings import parse
from small_scans import Command, Small, openbct, small  # noqa: F401  fixtures

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def label(page: Path) -> str:
    return str(page.relative_to(ROOT))


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
HOW_TO = [page for page in WITH_PYTHON if page.parent.name == "how-to"]


def test_pages_are_found() -> None:
    assert len(PAGES) > 10 and ROOT / "README.md" in WITH_PYTHON and len(HOW_TO) >= 3


# The command line -------------------------------------------------------------------------------------------------


def make_cli() -> Any:
    spec = importlib.util.spec_from_file_location("make_cli", DOCS / "make_cli.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_command_line_page_is_the_commands_own_help() -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == make_cli().page(), "run: python docs/make_cli.py"


def known_options() -> dict[tuple[str, ...], set[str]]:
    """Return each command's options, by the words that call it."""
    found: dict[tuple[str, ...], set[str]] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        found[path] = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
            "-h",
            "--help",
        }
        for name, child in getattr(command, "commands", {}).items():
            walk(child, (*path, name))

    walk(typer.main.get_command(commands.app), ())
    return found


COMMAND_LINES = [
    (label(page), line.strip())
    for page in PAGES
    for text in (*blocks(page, "text"), *blocks(page, "bash"), *blocks(page, "sh"), *re.findall(r"`(openbct [^`\n]+)`", page.read_text(encoding="utf-8")))
    for line in text.splitlines()
    if line.strip().startswith("openbct ")
]  # fmt: skip


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES, ids=[f"{page}: {line[:50]}" for page, line in COMMAND_LINES])
def test_every_command_in_the_docs_exists(page: str, line: str) -> None:
    options = known_options()
    words = shlex.split(line, comments=True)[1:]
    path: tuple[str, ...] = ()
    for word in words:
        if (*path, word) not in options:
            break
        path = (*path, word)
    assert path or words[0].startswith("-"), f"{page} calls the command {words[0]!r}, which does not exist"
    for word in words:
        if word.startswith("-") and len(word) > 1:
            assert word.split("=")[0] in options[path], f"{page}: `openbct {' '.join(path)}` has no option {word}"


def test_command_lines_are_found() -> None:
    assert len(COMMAND_LINES) > 15
    assert {"--labels", "-o"} <= known_options()[("analyze",)]


def test_exit_status_of_every_error_is_in_the_table() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", (DOCS / "cli.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert list(table) == ["0", "1", "2", "3", "4", "5", "6", "130"]
    words = {
        "SettingsError": "setting",
        "InputError": "input",
        "ModelError": "model",
        "SolveError": "model",
        "OutputError": "written",
    }
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.OpenBCTError) and kind is not errors.OpenBCTError:
            family = next(parent.__name__ for parent in kind.__mro__ if parent.__name__ in words)
            assert words[family] in table[str(kind.exit_code)], name
    doc = sys.modules["openbct.cli"].__doc__ or ""
    assert [int(status) for status in re.findall(r"(?:: |· )(\d+) ", doc)] == [int(status) for status in table]


# Code -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", WITH_PYTHON, ids=label)
def test_python_compiles_and_imports_what_exists(page: Path) -> None:
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("openbct"):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{label(page)}: {node.module} has no {alias.name}"


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_toml_parses(page: Path) -> None:
    for text in blocks(page, "toml"):
        assert tomllib.loads(text)


def run_blocks(page: Path, folder: Path) -> dict[str, Any]:
    """Run all Python of a page in one module, as a reader who types it into one file."""
    module = types.ModuleType("reader")
    sys.modules["reader"] = module  # data classes look their module up
    try:
        for code in blocks(page, "python"):
            exec(compile(code, label(page), "exec"), module.__dict__)
    finally:
        del sys.modules["reader"]
    return dict(module.__dict__)


LONG = {"add-a-load-case.md"}
"""Pages whose code loads a bone in many directions."""


@pytest.mark.parametrize("page", [pytest.param(p, marks=pytest.mark.slow) if p.name in LONG else p for p in HOW_TO], ids=label)
def test_how_to_code_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_blocks(page, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", HOW_TO, ids=label)
def test_how_to_protocols_use_the_files_of_their_page(page: Path, small: Small, tmp_path: Path, openbct: Command) -> None:
    """The first Python block is saved under the name that the page gives it; the protocol beside it must find it from anywhere."""
    for text in [] if page.name == "simulate-a-scan.md" else blocks(page, "toml"):
        parse(text, label(page))
        spec = re.search(r'"([\w]+\.py):(\w+)"', text)
        if spec is None:
            continue
        (tmp_path / spec.group(1)).write_text(blocks(page, "python")[0], encoding="utf-8")
        own = (
            ""
            if "[calibration]" in text
            else '[calibration]\nmethod = "fixed"\nslope_mg_cm3_per_hu = 0.72\nintercept_mg_cm3 = 0.0\n'
        )
        quick = "" if "[vertebra]" in text else "[vertebra]\nvoxel_mm = 2.0\n"
        (tmp_path / "mine.toml").write_text(f"{text}\n{own}{quick}", encoding="utf-8")
        said = openbct(
            "analyze", small.scan, "--labels", small.labels, "--label-map", small.table, "--bones", "L1", "--protocol", tmp_path / "mine.toml",
            "--no-report", "--json", "-o", tmp_path / "out",
        )  # fmt: skip
        assert said.status == 0, said.err
        assert said.json["bones"][0]["strength_n"] > 100
        result = (tmp_path / "out" / "result.json").read_text(encoding="utf-8")
        assert spec.group(1) in result, "the result names the plug-in"


def test_how_to_simulate_settings_are_settings() -> None:
    person, phantom, labels = (tomllib.loads(text) for text in blocks(ROOT / "docs" / "how-to" / "simulate-a-scan.md", "toml"))
    asked = make_simulation(person)
    assert asked.person.fractures["L1"].kind == "crush" and asked.image.region == "hip"
    assert phantom_from_table("mine", phantom).rods["b"] == 98.2
    given = make_simulation(labels).labels
    assert given is not None and given.parts["2"]["cortex"] == 2.0


def test_readme_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The twelve lines, with the paths that they name: strings, a scan, and a folder of one-structure files."""
    (code,) = blocks(ROOT / "README.md", "python")
    simulated = simulate_vertebra("L1", TorsoSettings(spacing=(2.0, 2.0, 2.5)))
    from openbct.io import write_ct_series

    monkeypatch.chdir(tmp_path)
    write_ct_series(simulated.image, "scan", patient=simulated.patient, acquisition=simulated.acquisition)
    for number, name in simulated.labels.names.items():
        if name in ("vertebrae_L1", "aorta", "autochthon_left"):
            array = (simulated.labels.volume.array == number).astype(np.uint8)
            write_volume(simulated.labels.volume.with_array(array), tmp_path / "segmentations" / f"{name}.nii.gz")
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"^L1 (ok|caution) \d{3,5} N$", printed, re.MULTILINE), printed
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 14


# The package ------------------------------------------------------------------------------------------------------


def test_public_names() -> None:
    assert package.__all__ == sorted(package.__all__) and len(package.__all__) <= 30
    for name in package.__all__:
        value = getattr(package, name)
        assert value.__doc__, name
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="nope"):
        _ = package.nope  # type: ignore[attr-defined]


def test_public_paths_may_be_strings(small: Small, tmp_path: Path) -> None:
    scan = package.read_scan(str(small.scan))
    assert package.read_scan(small.scan).digest == scan.digest
    labels = package.read_labels(str(small.labels), mapping=str(small.table), like=scan.image)
    assert labels.names == package.read_labels(small.labels, mapping=small.table).names
    assert package.read_density(str(small.density)).digest == package.read_density(small.density).digest
    quick = parse(small.quick.read_text(encoding="utf-8"), "quick")
    case = package.analyze(scan, package.GivenLabels((labels,), ("L1",)), settings=quick)
    from openbct.io import inspect_path, read_case, read_result

    files = package.write_case(case, str(tmp_path / "case"))
    assert all(path.is_file() for path in files)
    assert read_case(str(tmp_path / "case")).protocol == read_result(str(tmp_path / "case"))["protocol"]
    assert inspect_path(str(small.scan))[0].n_slices == 41


# What must be said ------------------------------------------------------------------------------------------------


def test_what_must_be_said() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first_screen = "\n".join(readme.splitlines()[:20])
    for words in ("research use", "not cleared as a medical device", "bootstrap.py demo", "bootstrap.py test"):
        assert words in first_screen.replace("\n", " "), words
    assert "**Numbers**" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {package.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "research use" in (DOCS / "index.md").read_text(encoding="utf-8")


LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{label(page)} links to {target}"
    for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for entry in (line.strip() for line in tree.splitlines()):
            if entry and not entry.startswith(":"):
                assert list(page.parent.glob(f"{entry}.md")), f"{label(page)} lists {entry}"


ANCHORED = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Return the names that a page's headings can be linked by, as the documentation's builder makes them, and its own marks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: list[str] = re.findall(r"^\(([\w-]+)\)=", text, re.MULTILINE)
    for title in re.findall(r"^#{1,3} (.+?)\s*$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_into_pages_lead_to_a_heading(page: Path) -> None:
    for target, anchor in ANCHORED.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            there = page.parent / target if target else page
            assert anchor in anchors(there), (
                f"{label(page)} links to #{anchor} of {target or 'itself'}, which has no such heading"
            )


def test_anchors_are_those_of_the_builder() -> None:
    assert {"strain-of-the-bone-alone", "refused-and-cautioned"} <= anchors(DOCS / "methods" / "strength.md")
    assert "vertebra-axial-compression" in anchors(DOCS / "methods" / "load-cases.md")
    assert sum(len(ANCHORED.findall(page.read_text(encoding="utf-8"))) for page in PAGES) >= 8


def test_protocol_page_states_the_ranges_of_the_program() -> None:
    page = (DOCS / "how-to" / "choose-a-protocol.md").read_text(encoding="utf-8").replace("−", "-")
    rows = {key: row for row in page.splitlines() if row.startswith("|") for key in re.findall(r"`(\w+)`", row.split("|")[2])}
    for key, (low, high) in RANGES.items():
        assert key in rows, f"the page does not name {key}"
        for end in (low, high):
            assert re.search(rf"(?<![\d.]){re.escape(f'{end:g}')}(?![\d.])", rows[key]), f"{key}: {end:g} is not in {rows[key]}"
    for key, values in CHOICES.items():
        assert all(value in rows[key] for value in values), key


def test_table_columns_in_the_docs_are_the_program_s(small: Small, tmp_path: Path, openbct: Command) -> None:
    openbct("analyze", small.nifti, *small.given, "--bones", "T12", "--no-report", "-o", tmp_path)
    columns = (tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    section = (DOCS / "results.md").read_text(encoding="utf-8").split("## results.csv")[1].split("\n## ")[0]
    told = [name for row in section.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(told) == sorted(columns)
