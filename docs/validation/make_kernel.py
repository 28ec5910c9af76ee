"""Write docs/validation/kernel.md: the kernel against closed forms, other programs and its speed goals.

    python docs/validation/make_kernel.py [--parosol PYTHON] [--huge] [PART ...]

Without parts, all of them are measured; with parts (accuracy linear microct nonlinear resources vertebra), only these, and the page keeps what it
has of the others. PYTHON is the interpreter of an environment with ``parosol-py``; without it that comparison is left out. Needs
the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path(__file__).with_name("kernel.md")

HEAD = """# The finite-element kernel

Page written by `python docs/validation/make_kernel.py`; every table by the command under it.

CPU seconds on one thread unless "wall" is said, set-up included, reading of files left out. Medians where a run is short. The machine was shared with other
work throughout: CPU time suffers from that through caches and memory by some per cent, wall time by a factor. Ratios come from one
run of one script, and the script fails where the answers differ in six digits. The tolerance is a residual of $10^{-6}$ relative to the one that the
loads cause; other programs define theirs by their own norm, and their answers agree.
"""


@dataclass(frozen=True)
class Part:
    """A section of the page."""

    title: str
    command: tuple[str, ...]
    text: str
    peer: bool = False
    """Takes ``--parosol``."""
    verbatim: bool = False
    """Plain text instead of Markdown."""


PARTS = {
    "accuracy": Part(
        "Right",
        ("benchmarks/solver_accuracy.py",),
        "CalculiX's fully integrated brick C3D8 is the plain one, `bbar=False`: with `bbar=True` the answers differ by per cents. The default "
        "protocols use B-bar; published linear stiffnesses and comparisons with other voxel solvers do not. Random models (shapes, islands, contacts "
        "in edges and corners, contrasts to 10⁸) are checked against an independently assembled matrix in `tests/test_fe_hypothesis.py`: every answer "
        "is in equilibrium to the tolerance asked for, every refusal has a load on a motion that costs no energy, nothing held or nothing stiff.",
    ),
    "linear": Part(
        "Fast: linear",
        ("benchmarks/solver_linear.py", "--problems", "v1,v2,v3"),
        "The vertebra is the public L2 at 1 mm with one modulus per voxel; its caps slide. ParOSol runs on one MPI rank; what it spends outside its own "
        "clock (files) is left out.",
        peer=True,
    ),
    "microct": Part(
        "Fast: trabecular micro-CT",
        ("benchmarks/solver_linear.py", "--problems", "t200", "--repeat", "1"),
        "Largest connected body of the cube by Otsu's threshold, one modulus, both ends clamped. Coarse nodes are split where bone on both sides of a "
        "gap would be glued together, so thin struts cost few more iterations than solid bone.",
        peer=True,
    ),
    "nonlinear": Part(
        "Fast: elastic-plastic",
        ("benchmarks/solver_nonlinear.py",),
        "Mohr–Coulomb at a tension ratio of 1 is Tresca: its corners cost Newton steps and its return mapping time at every point. ParOSol's "
        "nonlinear solve is exact in uniform stress, but in multiaxial stress it stops at a lower load than perfect plasticity: on the "
        "clamped block below, where von Mises and Tresca are both known and CalculiX agrees with ours to 10⁻⁵ on such models, it falls short of "
        "either. So equal answers cannot be asked for on the vertebra, only times be compared.",
        peer=True,
    ),
    "resources": Part(
        "Memory, threads, start-up, roofline",
        ("benchmarks/solver_resources.py",),
        "Memory is the peak of the process (`VmHWM`) less that of the interpreter with its libraries after a small solve. The product moves few bytes: "
        "it is bound by arithmetic and by short rows, not by memory. The start-up is what the compiler needs once; of the later start-up, importing "
        "NumPy, SciPy and Numba is the part that is not ours. Two threads can show a full gain only where the second core is free: this part was "
        "run while the machine had next to no other work. What is left serial is the numbering, the "
        "labelling of bodies and the small coarse levels. With caps that slide, the model of a "
        "hundred million degrees of freedom does not converge: one node each holds the three rigid motions, and in single precision the coarse "
        "levels lose so weak a support at this size; 71 million still converge in 8 iterations.",
    ),
    "vertebra": Part(
        "The published nonlinear load",
        ("benchmarks/vertebra_nonlinear_table.py",),
        "The publication reports 1847 N at 2 mm for this vertebra. Converged perfect plasticity gives the forces below [N] at each displacement [mm], for "
        "three readings of the material bins; nothing is tuned to the published load.",
        verbatim=True,
    ),
}


def old_parts() -> dict[str, str]:
    """What the page has of each part."""
    if not PAGE.is_file():
        return {}
    found = re.findall(r"<!-- part (\w+) -->\n(.*?)<!-- end -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(found)


def measure(name: str, extra: list[str]) -> str:
    """One part, measured now."""
    part = PARTS[name]
    command = [*part.command, *extra]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    body = f"```text\n{done.stdout.rstrip()}\n```\n" if part.verbatim else done.stdout.rstrip() + "\n"
    shown = " ".join("PYTHON" if word.startswith("/") else word for word in command)
    return f"{body}\nMeasured with: `python {shown}`\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--parosol")
    parser.add_argument("--huge", action="store_true")
    chosen = parser.parse_args()
    parts = old_parts()
    for name in chosen.parts or PARTS:
        extra = ["--parosol", chosen.parosol] if PARTS[name].peer and chosen.parosol else []
        if name == "resources" and chosen.huge:
            extra += ["--huge"]
        parts[name] = measure(name, extra)
        write(parts)


def write(parts: dict[str, str]) -> None:
    """The page with the parts that there are."""
    lines = [HEAD]
    for name, part in PARTS.items():
        if name in parts:
            lines.append(f"## {part.title}\n\n{part.text}\n\n<!-- part {name} -->\n{parts[name]}<!-- end -->\n")
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
