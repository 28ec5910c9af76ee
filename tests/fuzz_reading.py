"""Reading mutated inputs in a process with little memory: run by ``test_io_hostile.py`` and ``docs/validation/make_reading.py``.

    python tests/fuzz_reading.py FIRST COUNT      mutations number FIRST to FIRST + COUNT - 1
    python tests/fuzz_reading.py rows             every row of the table of odd inputs

Prints one line of JSON. Every mutation follows from its number alone. What is right: a scan, or a :class:`ScanError` that tells neither
path nor patient. Anything else is listed under ``bad``: another exception, too little memory, more than :data:`SECONDS` of processor time.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from ct_series import ACQUISITION, PATIENT, SECRET, make_image, write_series
from odd_rows import ODD
from openbct.errors import ScanError
from openbct.io import read_scan, write_enhanced_ct

MEMORY = 1536 * 2**20
"""Address space that reading may take beside that of the program itself [bytes]."""
SECONDS = 20
"""Of processor time for one input."""


def corpus() -> dict[str, dict[str, bytes]]:
    """Return small good inputs of every kind: names of files and their bytes."""
    found: dict[str, dict[str, bytes]] = {}
    image = make_image((34, 33, 6))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = write_series(folder / "plain", image)
        found["plain"] = {path.name: path.read_bytes() for path in plain}
        for label, syntax in (("rle", RLELossless), ("jpeg2000", JPEG2000Lossless), ("jpegls", JPEGLSLossless)):
            found[label] = {}
            for path in plain:
                dataset = pydicom.dcmread(path)
                dataset.compress(syntax, generate_instance_uid=False)
                dataset.save_as(folder / "one")
                found[label][path.name] = (folder / "one").read_bytes()
        found["deflated"] = {}
        for path in plain:
            dataset = pydicom.dcmread(path)
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            dataset.save_as(folder / "one")
            found["deflated"][path.name] = (folder / "one").read_bytes()
        write_enhanced_ct(image, folder / "enhanced.dcm", patient=PATIENT, acquisition=ACQUISITION)
        found["enhanced"] = {"enhanced.dcm": (folder / "enhanced.dcm").read_bytes()}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for key, content in found["plain"].items():
                archive.writestr(key, content)
        found["zip"] = {"scan.zip": buffer.getvalue()}
        nib.save(nib.Nifti1Image(image.array.copy(), np.diag([-0.8, -0.9, 2.0, 1.0])), folder / "ct.nii")
        found["nifti"] = {"ct.nii": (folder / "ct.nii").read_bytes()}
        nib.save(nib.Nifti1Image(image.array.copy(), np.diag([-0.8, -0.9, 2.0, 1.0])), folder / "ct.nii.gz")
        found["nifti.gz"] = {"ct.nii.gz": (folder / "ct.nii.gz").read_bytes()}
    return found


EXTREME = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff", b"\0\0", b"\xfe\xff\xff\xff", b"\0\0\0\x80")


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with one to four things wrong, most of them in the header."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        end = len(data) if rng.random() < 0.4 else min(len(data), 2500)
        at = int(rng.integers(0, max(end, 1)))
        length = int(rng.integers(1, 40))
        match int(rng.integers(0, 7)):
            case 0:
                data[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                value = EXTREME[int(rng.integers(0, len(EXTREME)))]
                data[at : at + len(value)] = value
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = bytes(rng.integers(0, 256, length, dtype=np.uint8))
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                data[at:] = b"" if rng.random() < 0.3 else data[at:]
            case _:
                other = int(rng.integers(0, max(end, 1)))
                data[at : at + length] = data[other : other + length]
    return bytes(data)


def read(target: Path) -> tuple[str, str]:
    """Return how reading ended, and what was told."""
    try:
        scan = read_scan(target)
    except ScanError as error:
        told = str(error)
        outcome = "bad" if "MemoryError" in told or "too little memory" in told or error.__cause__ is not None else "refused"
    except BaseException as error:
        return "bad", f"{type(error).__name__}: {error}"[:300]
    else:
        outcome, told = "read", " ".join((scan.step.sentence, *scan.step.cautions))
    return ("bad", f"tells too much: {told}"[:300]) if SECRET in told or str(target) in told else (outcome, told)


def timed(target: Path) -> tuple[str, str, float]:
    """As :func:`read`, with its processor time; ended where that is too long."""
    begin = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    outcome, told = read(target)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome, told, time.process_time() - begin


def too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def fuzz(first: int, count: int) -> dict[str, object]:
    kinds = corpus()
    outcomes: Counter[str] = Counter()
    bad, slowest = [], 0.0
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        kind = list(kinds)[number % len(kinds)]
        with tempfile.TemporaryDirectory() as name:
            files = dict(kinds[kind])
            chosen = list(files)[int(rng.integers(0, len(files)))]
            files[chosen] = mutate(files[chosen], rng)
            for key, content in files.items():
                Path(name, key).write_bytes(content)
            sys.stderr.write(f"{number} {kind}\n")  # the last line says what killed the process
            outcome, told, seconds = timed(Path(name) if len(files) > 1 else Path(name, chosen))
        outcomes[f"{kind} {outcome}"] += 1
        slowest = max(slowest, seconds)
        if outcome == "bad":
            bad.append(f"{number} {kind}: {told}")
    return {"outcomes": dict(sorted(outcomes.items())), "bad": bad, "slowest_s": round(slowest, 2)}


def rows() -> dict[str, object]:
    """Read every odd input; returns what was told, by name."""
    told, bad, slowest = {}, [], 0.0
    for row in ODD:
        with tempfile.TemporaryDirectory() as name:
            target = row.make(Path(name)) or Path(name)
            sys.stderr.write(f"{row.name}\n")
            outcome, words, seconds = timed(target)
        told[row.name] = (outcome, words)
        slowest = max(slowest, seconds)
        if outcome != ("refused" if row.answer == "refused" else "read"):
            bad.append(f"{row.name}: {outcome}: {words}")
    return {"told": told, "bad": bad, "slowest_s": round(slowest, 2)}


def peak_mib() -> float:
    """Return the most memory that this program has held; the system's other count begins with that of the process that started it."""
    words = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")).split()
    return int(words[1]) / 1024


def main() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    signal.signal(signal.SIGPROF, too_long)
    before = peak_mib()
    found = rows() if sys.argv[1] == "rows" else fuzz(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(json.dumps({**found, "grown_mib": round(peak_mib() - before)}) + "\n")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
