"""A user's own installation of TotalSegmentator, run as a separate program: our image in, its label map out.

Nothing is fetched and nothing is told to anybody: the weights are looked for before it starts, its usage statistics are switched
off in a settings folder of our own, and its way to the network leads nowhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import GeometryError, InputError, SegmentationError, SettingsError
from ..records import LabelMap, Reference
from ..volume import Volume, same_grid
from .files import write_volume
from .labels import read_labels

PROGRAM, VARIABLE = "TotalSegmentator", "OPENBCT_TOTALSEGMENTATOR"
"""The program's name on the path, and the variable that names another place."""
WEIGHTS = {False: (291, 292, 293, 294, 295), True: (297,)}
"""Numbers of the data sets whose weights the task ``total`` reads, at 1.5 mm and (fast) at 3 mm: totalsegmentator/map_tasks_config.py,
commit 1355f0c963a38bebcde5cbdcd66a2e57da4c3c9e [SC]."""
OLDEST = 2
"""Version 1 has other numbers, other weights and other options [SC]."""
VERSION_SECONDS = 180.0
"""The program loads its network library before it tells its version [D]: 7 s on a free machine."""
NOWHERE = "http://127.0.0.1:9"
"""The discard port of this machine: whatever asks for the network is refused at once."""
WASSERTHAL_2023 = Reference(
    "Wasserthal J et al., TotalSegmentator: robust segmentation of 104 anatomic structures in CT images, Radiol Artif Intell 5:e230024 (2023)",
    "recalled",
)


@dataclass(frozen=True)
class TotalSegmentator:
    """How the program is run."""

    fast: bool = False
    """The 3 mm model: sooner, and too coarse for strength (a caution says so)."""
    device: str = "auto"
    """``"auto"`` leaves the choice to the program; ``"cpu"``, ``"gpu"``, ``"mps"``."""
    timeout_min: float = 60.0
    """Minutes after which it is stopped."""

    def __call__(self, image: Volume) -> LabelMap:
        """Return the structures that the program finds in an image [HU].

        Raises
        ------
        SettingsError
            It is not installed, is too old, or lacks its weights.
        SegmentationError
            It failed, took too long, or left no usable label map.
        """
        program = find_program()
        with tempfile.TemporaryDirectory(prefix="openbct-") as name:
            folder = Path(name)
            environment = _environment(folder, check_weights(os.environ, self.fast))
            version = _version(program, environment)
            write_volume(image, folder / "scan.nii.gz")
            out = folder / "labels.nii.gz"
            command = [str(program), "-i", str(folder / "scan.nii.gz"), "-o", str(out), "--ml", "--task", "total", "--quiet"]
            command += ["--fast"] if self.fast else []
            command += [] if self.device == "auto" else ["--device", self.device]
            _run(command, environment, 60.0 * self.timeout_min, folder / "said.txt")
            labels = _read(out, image)
        words = f"TotalSegmentator {version or 'of unknown version'}, task total{' at 3 mm' if self.fast else ''}"
        cautions = labels.cautions
        if self.fast:
            cautions += (
                "TotalSegmentator's fast model works at 3 mm: edges may lie 1.5 mm off, and volumes, densities and strengths with them; leave out fast.",
            )
        return replace(labels, source=f"{words}, {labels.source}", cautions=cautions)


def find_program() -> Path:
    """Return where the program is.

    Raises
    ------
    SettingsError
        It is not there.
    """
    named = os.environ.get(VARIABLE)
    found = shutil.which(named or PROGRAM)
    if found is None:
        place = f"at the place that {VARIABLE} names" if named else f"of the name {PROGRAM} on the search path"
        raise SettingsError(
            f"found no program {place}, expected an installation of TotalSegmentator 2 in an environment of its own; install it there and let "
            f"{VARIABLE} name its program, take --segmenter builtin, or give --labels"
        )
    return Path(found)


def weights_folder(environment: Mapping[str, str]) -> Path:
    """Return where the program looks for its weights."""
    if environment.get("TOTALSEG_WEIGHTS_PATH"):
        return Path(environment["TOTALSEG_WEIGHTS_PATH"])
    home = Path(environment["TOTALSEG_HOME_DIR"]) if environment.get("TOTALSEG_HOME_DIR") else Path.home() / ".totalsegmentator"
    return home / "nnunet" / "results"


def check_weights(environment: Mapping[str, str], fast: bool) -> Path:
    """Return the folder of weights.

    Raises
    ------
    SettingsError
        A set that the task needs is not there: the program would fetch it, and we do not let it.
    """
    folder = weights_folder(environment)
    there = {int(found.group(1)) for path in _inside(folder) if (found := re.match(r"Dataset(\d+)_", path.name))}
    missing = [number for number in WEIGHTS[fast] if number not in there]
    if missing:
        raise SettingsError(
            f"found no weights of TotalSegmentator for its data sets {', '.join(map(str, missing))}, expected all that the task total needs; fetch "
            f"them with its own command (totalseg_download_weights -t {'total_fast' if fast else 'total'}), or let TOTALSEG_WEIGHTS_PATH name their "
            "folder; nothing is fetched from here"
        )
    return folder


def _inside(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and any(path.iterdir())]
    except OSError:
        return []


def _environment(folder: Path, weights: Path) -> dict[str, str]:
    """Return the program's environment: its weights where they are, its statistics off, no way to the network."""
    home = folder / "home"
    home.mkdir()
    settings = {"totalseg_id": "openbct", "send_usage_stats": False, "prediction_counter": 0}
    (home / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if key.lower() not in ("no_proxy", "pythonpath", "pythonhome")}
    closed = {name: NOWHERE for base in ("http_proxy", "https_proxy", "all_proxy") for name in (base, base.upper())}
    return {**kept, **closed, "TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(weights)}


def _version(program: Path, environment: Mapping[str, str]) -> str:
    """Return the program's version, empty where it does not tell.

    Raises
    ------
    SettingsError
        It is older than we know.
    """
    try:
        done = subprocess.run(
            [str(program), "--version"], env=dict(environment), capture_output=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(rb"\b(\d+)\.\d+(?:\.\w+)*", done.stdout + done.stderr) if done.returncode == 0 else None
    if found is None:
        return ""
    if int(found.group(1)) < OLDEST:
        raise SettingsError(f"found TotalSegmentator {found.group(0).decode()}, expected version {OLDEST} or later; update it")
    return found.group(0).decode()


def _run(command: Sequence[str], environment: Mapping[str, str], seconds: float, said: Path) -> None:
    """Run the program to its end, or stop it and all that it started.

    Raises
    ------
    SegmentationError
        It could not be started, failed, or took too long. What it printed may quote paths and is not passed on.
    """
    try:
        with said.open("wb") as stream:
            process = subprocess.Popen(
                list(command),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
    except OSError as error:
        raise SegmentationError(
            f"found a program that cannot be started as TotalSegmentator ({error.strerror}), expected its command; check the installation"
        ) from None
    try:
        status = process.wait(timeout=seconds)
    except BaseException as error:
        _stop(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise SegmentationError(
            f"found TotalSegmentator still at work after {seconds / 60:g} minutes, expected an end; give it longer (timeout_min under [segmentation]), a "
            "GPU, or its fast model, or crop the scan"
        ) from None
    if status != 0:
        kinds = re.findall(rb"\b([A-Z]\w*(?:Error|Exception))\b", said.read_bytes()[-20_000:])
        kind = f" ({kinds[-1].decode()})" if kinds else ""
        raise SegmentationError(
            f"found TotalSegmentator ended with status {status}{kind}, expected 0; run it by hand on this scan to see why: TotalSegmentator -i SCAN -o OUT --ml"
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program with its children."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _read(out: Path, image: Volume) -> LabelMap:
    """Return the label map that the program left.

    Raises
    ------
    SegmentationError
        None, half of one, or one on another grid.
    """
    if not out.is_file():
        raise SegmentationError(
            "found no label map after TotalSegmentator ended without an error, expected one; run it by hand on this scan to see why"
        )
    try:
        labels = read_labels(out)
    except InputError as error:
        raise SegmentationError(f"the label map of TotalSegmentator cannot be used: {error}") from None
    if not same_grid(labels.volume, image):
        raise GeometryError(
            f"found a label map of TotalSegmentator of {labels.volume.shape} voxels, expected the scan's {image.shape} in the same place; its output was not "
            "resampled back: check its version"
        )
    return labels
