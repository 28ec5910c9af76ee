"""Hostile files: bounded memory and time whatever the bytes, and nobody's name in any word."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import dictionary_VR

from ct_series import SECRET, edit, write_series
from openbct.errors import ScanError
from openbct.io import inspect_path, read_scan
from openbct.io.codestream import StatedSize, stated_size

HERE = Path(__file__).resolve().parent
TEXTS = {"AE", "AS", "CS", "DA", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UT"}
NEEDED = {
    "SOPClassUID",
    "Modality",
    "ImageType",
    "PhotometricInterpretation",
    "RescaleType",
    "SpecificCharacterSet",
    "SOPInstanceUID",
}
"""Without the right value the series would be refused for that alone; each is tried alone."""
SHOWN = {"ConvolutionKernel"}
"""A name of the scanner's, told on purpose."""


def run(*arguments: str) -> dict[str, Any]:
    """Run the fuzzer in a process of its own; a crash names its input."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent / "src"), str(HERE)])}
    done = subprocess.run(
        [sys.executable, HERE / "fuzz_reading.py", *arguments], capture_output=True, text=True, env=environment, timeout=3000
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-300:])
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["bad"] == [], found["bad"]
    assert found["grown_mib"] < 400
    return found


def test_mutated_inputs() -> None:
    outcomes = run("0", "180")["outcomes"]
    assert sum(outcomes.values()) == 180
    assert sum(count for name, count in outcomes.items() if name.endswith("refused")) > 60


@pytest.mark.slow
def test_many_mutated_inputs() -> None:
    assert sum(run("1000", "6000")["outcomes"].values()) == 6000


@pytest.mark.slow
def test_odd_inputs_in_little_memory() -> None:
    assert run("rows")["slowest_s"] < 10


def plant(dataset: pydicom.Dataset, wanted: set[str]) -> None:
    """Write the name into every text element of some keywords, and into private ones."""
    for keyword in wanted:
        dataset.add_new(
            keyword, dictionary_VR(keyword), f"{SECRET}^X"[: 16 if dictionary_VR(keyword) in ("SH", "CS", "AE") else 60]
        )
    block = dataset.private_block(0x0011, f"{SECRET} MAKER", create=True)
    block.add_new(0x01, "LO", SECRET)


def texts(path: Path) -> set[str]:
    found = {element.keyword for element in pydicom.dcmread(path).iterall() if element.VR in TEXTS and element.keyword}
    return (found | {"OperatorsName", "InstitutionName", "PatientComments", "StudyDescription", "OtherPatientIDs"}) - SHOWN


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("alone", [None, *sorted(NEEDED)])
def test_a_name_in_every_text_is_never_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, alone: str | None
) -> None:
    """In the header, in private elements, in the names of folder and files; told, printed, logged or raised."""
    paths = write_series(tmp_path / SECRET / "in")
    wanted = texts(paths[0]) - NEEDED if alone is None else {alone}
    assert alone or len(wanted) > 20
    for path in paths:
        edit(path, lambda dataset: plant(dataset, wanted))
        path.rename(path.with_name(f"{SECRET}_{path.name}"))
    caplog.clear()
    capfd.readouterr()
    said = []
    with caplog.at_level(logging.DEBUG):
        for act in (read_scan, inspect_path):
            try:
                found = act(path.parent)
            except ScanError as error:
                said += [
                    str(error),
                    repr(error.__context__) if error.__context__ is not None and not error.__suppress_context__ else "",
                ]
            else:
                said.append(
                    repr(found)
                    if isinstance(found, list)
                    else " ".join((found.source, found.step.sentence, *found.step.cautions))
                )
    output = capfd.readouterr()
    for words in (*said, output.out, output.err, caplog.text):
        assert SECRET not in words
    assert all(said[::2])


@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (b"\xff\xd8\xff\xe0\0\4ab\xff\xc3\0\x0b\x10\0\x10\0\x20\1", StatedSize(16, 32, 1)),
        (b"\xff\xd8\xff\xff\xf7\0\x0b\x0c\0\x10\0\x20\1", StatedSize(16, 32, 1)),
        (b"\xff\xd8\xff\xf8\0\x0b\4abcdefgh\xff\xf7\0\x0b\x0c\0\x10\0\x20\1", None),
        (b"\xff\xd8\xff\xc4\0\4ab\xff\xc3\0\x0b", None),
        (b"\xff\xd8\0\0\0\0", None),
        (b"", None),
        (bytes(5000) + b"\xff\x4f\xff\x51", None),
    ],
)
def test_size_that_a_stream_states(stream: bytes, size: StatedSize | None) -> None:
    assert stated_size(stream) == size
