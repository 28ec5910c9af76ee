"""The table of rules: complete, well formed, and no limit in two places."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from openbct.acquisition import Rule, rules

SOURCE = Path(__file__).resolve().parents[1] / "src" / "openbct"
CALLED = ("rule", "check")
"""Functions that take a rule by its key."""


def keys_in(path: Path) -> set[str]:
    """Return the rules that a module asks for by name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLED and node.args
        if named and isinstance(node.args[0], ast.Constant):
            found.add(str(node.args[0].value))
    if path.name == "cautions.py":  # refuse_acquisition goes through two of them by a loop
        found |= {"thick_slices", "large_pixels"}
    return found


APPLIED = {path: keys_in(path) for folder in ("io", "quality") for path in sorted((SOURCE / folder).rglob("*.py"))}


def test_every_rule_of_the_code_is_in_the_table() -> None:
    asked = set().union(*APPLIED.values())
    assert asked <= set(rules())


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.key)
def test_a_rule_stands_where_it_says(rule: Rule) -> None:
    module, _, constant = rule.where.partition(":")
    found = importlib.import_module(module)
    if constant:
        # The limit stands there, and there alone.
        assert float(getattr(found, constant)) > 0 and rule.caution is None and rule.refused is None
    elif rule.judges in ("image", "values"):
        path = SOURCE.joinpath(*module.split(".")[1:]).with_suffix(".py")
        assert rule.key in APPLIED[path], f"{module} does not ask for {rule.key}"


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.key)
def test_a_rule_is_well_formed(rule: Rule) -> None:
    assert rule.reference.mark in ("seen", "code", "computed", "recalled", "design") and rule.reference.text
    assert rule.outcome in ("caution", "refused") and (rule.outcome == "refused") >= (rule.refused is not None)
    assert (rule.caution is None and rule.refused is None) or rule.unit
    assert (rule.density_percent is None) == (rule.strength_percent is None)
    assert rule.title[0].islower() or (rule.title.startswith(("HU", "CT")) and not rule.title.endswith("."))
