"""Who may import whom, and how long a module may be: the architecture as one table and one test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "openbct"
LEAVES = {"errors", "volume", "records"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "versions": set(),
    "fe": {"errors"},
    "volume": {"errors"},
    "records": {"volume"},
    "mirror": {"volume", "records"},
    "density": LEAVES,
    "calibration": LEAVES | {"density"},
    "segmentation": LEAVES,
    "materials": LEAVES,
    "anatomy": LEAVES,
    "loadcases": LEAVES | {"mirror"},
    "measures": LEAVES | {"density", "mirror"},
    "strength_reference": LEAVES,
    "reference_building": LEAVES | {"strength_reference"},
    "strength_norms": LEAVES | {"reference_building", "strength_reference"},
    "incidence": LEAVES,
    "risk": LEAVES | {"incidence", "strength_reference"},
    "assessment": LEAVES | {"strength_reference"},
    "comparison": LEAVES,
    "plausibility": LEAVES,
    "phantoms": LEAVES,
    "acquisition": {"records"},
    "quality": LEAVES | {"acquisition"},
    "regrid": LEAVES,
    "visits": LEAVES,
    "followup": LEAVES | {"measures", "strength_reference", "versions", "visits"},
    "io": LEAVES | {"acquisition", "incidence", "regrid", "signing", "strength_reference", "versions", "visits"},
    "report": LEAVES | {"acquisition", "signing", "visits"},
    "signing": set(),
    "binning": LEAVES,
    "cortex": LEAVES,
    "femodel": LEAVES | {"binning", "cortex", "density"},
    "bounds": LEAVES,
    "endplate_strain": LEAVES | {"fe"},
    "solver_terms": LEAVES | {"fe"},
    "strength": LEAVES | {"bounds", "endplate_strain", "fe", "solver_terms"},
    "linear": LEAVES | {"bounds", "fe", "solver_terms", "strength"},
    "softening": LEAVES | {"bounds", "fe", "strength"},
    "failure": LEAVES,
    "fractures": LEAVES,
    "gaps": LEAVES,
    "fracture_search": LEAVES | {"fractures", "gaps", "plan"},
    "uncertainty": LEAVES,
    "sweep": LEAVES | {"fe", "femodel", "loadcases", "strength"},
    "protocol_rules": {"errors"},
    "settings": {"errors", "protocol_rules"},
    "plugins": {"errors"},
    "measured_against": {"assessment", "settings", "strength_reference", "versions"},
    "plan": LEAVES
    | {
        "anatomy",
        "assessment",
        "binning",
        "calibration",
        "cortex",
        "linear",
        "loadcases",
        "materials",
        "measured_against",
        "measures",
        "plugins",
        "protocol_rules",
        "settings",
        "softening",
        "strength",
        "strength_reference",
        "uncertainty",
        "incidence",
        "risk",
    },
    "patient": LEAVES,
    "reuse": LEAVES,
    "pipeline": LEAVES
    | {
        "assessment",
        "comparison",
        "failure",
        "femodel",
        "fracture_search",
        "gaps",
        "linear",
        "loadcases",
        "plan",
        "plausibility",
        "quality",
        "reuse",
        "risk",
        "settings",
        "softening",
        "strength",
        "sweep",
        "uncertainty",
        "versions",
    },
}
"""``cli`` and the package itself may import everything."""

FE_BANNED = {"pathlib", "logging", "pydicom", "nibabel", "matplotlib", "os.path", "json"}
FILE_MODULES = {"pathlib", "tempfile", "shutil", "zipfile", "nibabel", "pydicom"}
MAY_TOUCH_FILES = {"io", "cli", "plugins"}
MODULE_LINES = 320
LONGER = {"settings.py": 430, "fe/voxel.py": 360}
"""Named exceptions: the page that holds every section of a protocol,
and the emitted loops over voxels, whose halves cannot be read apart."""


def unit_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[tuple[str, str]]:
    """Return (kind, name): our own units as ("own", unit), others as ("other", module)."""
    found: list[tuple[str, str]] = []
    depth = len(path.relative_to(SOURCE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                own = alias.name.startswith("openbct.")
                found.append(("own", alias.name.split(".")[1]) if own else ("other", alias.name))
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 0:
                own = module.split(".")[0] == "openbct"
                found.append(("own", (module.split(".") + [""])[1]) if own else ("other", module))
            elif node.level == depth:
                found += [("own", module.split(".")[0])] if module else [("own", alias.name) for alias in node.names]
    return found


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports(path: Path) -> None:
    unit = unit_of(path)
    if unit in ("__init__", "__main__", "cli"):
        return
    assert unit in MAY_IMPORT, f"{unit} is not in the import table: give it a place"
    for kind, name in imports_of(path):
        if kind == "own":
            assert name in MAY_IMPORT[unit] | {unit, "", "__version__"}, f"{unit} may not import {name}"
        elif unit == "fe":
            assert name.split(".")[0] not in FE_BANNED, f"fe may not import {name}"
        elif unit not in MAY_TOUCH_FILES:
            assert name.split(".")[0] not in FILE_MODULES, f"{unit} may not touch files: {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_length(path: Path) -> None:
    limit = LONGER.get(str(path.relative_to(SOURCE)), MODULE_LINES)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= limit, f"{path.name} has {lines} lines, expected at most {limit}: one idea or several?"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_functions_are_short_and_quiet(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            code = node.body[1:] if ast.get_docstring(node) else node.body
            length = (code[-1].end_lineno or 0) - code[0].lineno + 1 if code else 0
            assert length <= 75, f"{path.name}:{node.name} has {length} lines of code, expected at most 75"
        if isinstance(node, ast.Call) and unit_of(path) != "cli":
            name = ast.unparse(node.func)
            assert name not in ("print", "warnings.warn", "sys.exit"), (
                f"{path.name} calls {name}: doubt is a caution, failure an error"
            )


def test_no_module_without_a_noun() -> None:
    assert not [p for p in MODULES if p.stem in ("utils", "helpers", "common", "core", "misc")]
