"""What a person or a program is told: progress, the summary of a case, one JSON object."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

from ..records import BoneResult, Case


class Progress:
    """Lines on standard error: what begins, and after how many seconds."""

    def __init__(self, quiet: bool = False) -> None:
        self.begin = time.perf_counter()
        self.quiet = quiet

    def __call__(self, stage: str, bone: str = "") -> None:
        """Tell that a stage begins."""
        if not self.quiet:
            seconds = time.perf_counter() - self.begin
            print(f"[{seconds:6.1f} s] {f'{bone}: ' if bone else ''}{STAGE_WORDS.get(stage, stage)}", file=sys.stderr, flush=True)

    def finished(self, result: BoneResult) -> None:
        """Tell that a bone is done."""
        self(f"{result.status}{f' ({result.reason})' if result.reason else ''}", result.bone)


STAGE_WORDS = {
    "segmentation": "finding the bones",
    "acquisition": "examining how the scan was made",
    "calibration": "calibrating density",
    "anatomy": "locating frame and landmarks",
    "measures": "measuring density",
    "mount": "mounting in the testing machine",
    "model": "building the finite-element model",
    "strength": "loading to failure",
    "fractures": "looking for vertebral fractures",
    "assessment": "assessing",
}


def print_json(content: Any) -> None:
    """Print one object: ASCII, so that every terminal and pipe can carry it, and ``null`` for what is not finite."""
    from ..io.files import plain

    print(json.dumps(plain(content), allow_nan=False))


def summary(case: Case, written: dict[str, str]) -> dict[str, Any]:
    """Return the one object that ``--json`` prints."""
    return {
        "schema": "openbct-summary/1",
        "protocol": case.protocol,
        "category": case.assessment.category,
        "category_reason": case.assessment.reason,
        "bones": [
            {
                "name": bone.bone,
                "status": bone.status,
                "reason": bone.reason,
                "strength_n": bone.strength.strength if bone.strength else None,
                "stiffness_n_per_mm": bone.strength.stiffness if bone.strength else None,
                "measures": {name: m.value for name, m in bone.measures.values.items()} if bone.measures else {},
                "cautions": list(bone.cautions),
                "n_cautions": len(bone.cautions),
            }
            for bone in case.bones
        ],
        "fractures": [
            {"level": one.level, "grade": one.grade, "shape": one.shape, "loss": one.loss}
            for one in (case.fractures.vertebrae if case.fractures else ())
        ],
        "not_assessed": dict(not_assessed(case)),
        "cautions": whole_cautions(case),
        "files": written,
    }


def not_assessed(case: Case) -> dict[str, str]:
    """Return the bones that were looked for and are not among the results, with the reason."""
    answered = {bone.bone for bone in case.bones}
    return {name: reason for name, reason in case.segmentation.absent.items() if name not in answered}


def whole_cautions(case: Case) -> list[str]:
    """Return the doubts of the case as a whole and of its assessment, each once."""
    return list(dict.fromkeys((*case.cautions, *case.assessment.step.cautions)))


SHOWN = {
    "trabecular_vbmd": ("trab. vBMD", "{:.0f} mg/cm³"),
    "femoral_neck_abmd": ("neck aBMD", "{:.3f} g/cm²"),
    "total_hip_abmd": ("hip aBMD", "{:.3f} g/cm²"),
}


def print_summary(case: Case, written: dict[str, str]) -> None:
    """Print the summary table, every refusal and caution, and the paths."""
    from rich.console import Console
    from rich.table import Table

    console = Console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    table = Table(title="OpenBCT: research use only, not a medical device", title_justify="left")
    for column in ("bone", "status", "strength", "stiffness", "density"):
        table.add_column(column, justify="right" if column in ("strength", "stiffness") else "left", no_wrap=column != "density")
    for bone in case.bones:
        values = bone.measures.values if bone.measures else {}
        densities = [f"{label} {form.format(values[key].value)}" for key, (label, form) in SHOWN.items() if key in values]
        strength = bone.strength
        table.add_row(
            bone.bone,
            bone.status,
            f"{10 * round(strength.strength / 10):,d} N" if strength else "—",
            f"{strength.stiffness:,.0f} N/mm" if strength else "—",
            "\n".join(densities) or "—",
        )
    console.print(table)
    if any(bone.strength for bone in case.bones):
        scales = {bone.strength.scale for bone in case.bones if bone.strength}
        words = "no published threshold is meant for its test" if scales == {"none"} else "its scale provisional"
        words = "its scale mapped by a reference" if scales == {"mapped"} else words
        say(f"strength: newtons of protocol {case.protocol}, {words}: compare within this protocol only")
    say(f"BMD class: {case.assessment.category or 'none'} — {case.assessment.reason}")
    for line in fracture_lines(case):
        say(line)
    if case.assessment.risk is not None:
        say(f"combined class: {case.assessment.risk} risk — {case.assessment.risk_reason}")
    for text in case.assessment.beside_dxa:
        say(text)
    for reason, bones in _grouped((bone.bone, bone.reason) for bone in case.bones if bone.reason).items():
        say(f"refused: {_named(reason, bones)}")
    for reason, names in _grouped((name, _blank(reason, name)) for name, reason in not_assessed(case).items()).items():
        say(f"not assessed: {', '.join(names)} ({reason})")
    whole = whole_cautions(case)
    for caution in whole:
        say(f"caution: {caution}")
    for caution, bones in _grouped((bone.bone, caution) for bone in case.bones for caution in bone.cautions).items():
        if caution in whole:
            continue
        say(f"caution: {_named(caution, bones)}")
    for name, path in written.items():
        if name != "files":
            say(f"{name.replace('_', ' '):12} {path}")


def fracture_lines(case: Case) -> list[str]:
    """Return what was found of vertebral fractures, in one line for each fracture, or one for all vertebrae."""
    found = case.fractures
    if found is None or not found.vertebrae:
        return []
    words = {1: "possible, to be confirmed", 2: "moderate", 3: "severe"}
    lines = [
        f"fracture: {one.level} grade {one.grade} ({words[one.grade]}), {one.shape}, {100 * one.loss:.0f} ± {100 * one.loss_sd:.0f} % of the height lost"
        for one in found.vertebrae
        if one.grade
    ]
    first, last = found.vertebrae[0].level, found.vertebrae[-1].level
    where = first if first == last else f"{len(found.vertebrae)} vertebrae ({first} to {last})"
    return lines or [f"vertebral fractures: none of grade 1 or more in {where}"]


def _grouped(pairs: Any) -> dict[str, list[str]]:
    """Return text to the bones that share it, in order."""
    groups: dict[str, list[str]] = {}
    for bone, text in pairs:
        groups.setdefault(text, []).append(bone)
    return groups


def _named(text: str, bones: list[str]) -> str:
    """Return a text with its bones in front, unless it begins with its only bone already."""
    return text if len(bones) == 1 and re.match(rf"{bones[0]}\b", text) else f"{', '.join(bones)}: {text}"


def _blank(text: str, bone: str) -> str:
    """Return a reason without the bone's name at its end, so that equal reasons are told once."""
    return text.replace(f"no label of {bone} was given", "no label was given")
