#!/usr/bin/env python3
"""Set up OpenBCT's own environment in this folder and run something in it.

    python3 bootstrap.py demo [options of `openbct demo`]
    python3 bootstrap.py test [options of pytest]
    python3 bootstrap.py docs

Needs CPython 3.11 or newer and nothing else: each command makes a virtual environment in ``.env/`` with the exact, hash-checked
package versions of ``requirements/``, once, and uses it from then on. Nothing outside this folder is changed, but for one
thing: ``test`` asks the system's package manager for CalculiX, an independent solver that some tests compare with, where that
is possible without a question; where it is not, those tests are skipped and say so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
USAGE = __doc__ or ""


def environment(name: str) -> Path:
    """Return the Python of the environment ``name``, made or renewed if its requirements changed."""
    folder = ROOT / ".env" / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    lock = ROOT / "requirements" / f"{name}.txt"
    stamp = folder / "stamp"
    wanted = hashlib.sha256(lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"setting up .env/{name} (once, some minutes at most) ...", flush=True)
    try:
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    except (subprocess.CalledProcessError, OSError) as error:
        sys.exit(
            f"the environment could not be made ({error}); on Debian and Ubuntu install the package python3-venv, or check free space"
        )
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "-r", str(lock)])
    run([*pip, "--no-deps", "--editable", str(ROOT)])
    stamp.write_text(wanted)
    return python


def run(command: list[str]) -> None:
    """Run a command in the project's folder; its failure is ours."""
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def calculix() -> None:
    """Install the outside solver where that needs no question; never a reason to fail."""
    if shutil.which("ccx") or not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL, "check": False}
    try:
        subprocess.run(["apt-get", "update"], timeout=180, **quiet)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "calculix-ccx"], timeout=300, **quiet)
    except (OSError, subprocess.TimeoutExpired):
        pass


def demo(arguments: list[str]) -> None:
    """Run the demonstration."""
    run([str(environment("run")), "-m", "openbct", "demo", *arguments])


def test(arguments: list[str]) -> None:
    """Lint, check types, run the tests."""
    python = str(environment("test"))
    if arguments:
        calculix()
        run([python, "-m", "pytest", *arguments])
        return
    run([python, "-m", "ruff", "check", "."])
    run([python, "-m", "ruff", "format", "--check", "."])
    # beside the tests: the check of types keeps one core busy for a minute
    types = subprocess.Popen([python, "-m", "mypy"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    calculix()
    # a file stays with one worker: what its tests share is made once
    workers = ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
    tested = subprocess.run([python, "-m", "pytest", *workers, "--durations", "10"], cwd=ROOT, check=False).returncode
    said, _ = types.communicate()
    print(f"mypy: {said.strip()}", flush=True)
    if tested or types.returncode:
        sys.exit(tested or types.returncode)


def docs(arguments: list[str]) -> None:
    """Build the documentation without warnings."""
    python = str(environment("docs"))
    run([python, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build", *arguments])


def main() -> None:
    """Dispatch."""
    commands = {"demo": demo, "test": test, "docs": docs}
    if sys.version_info < (3, 11):
        sys.exit(
            f"found Python {sys.version.split()[0]}, expected 3.11 or newer; run this file with a newer one, for example python3.12 bootstrap.py"
        )
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(USAGE)
    commands[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
