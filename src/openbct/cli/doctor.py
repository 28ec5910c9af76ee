"""What this installation can do, found out by doing it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any

from .tell import print_json

DECODERS = {
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
    "1.2.840.10008.1.2.5": "RLE Lossless",
}


def run_doctor(*, as_json: bool) -> None:
    """Print one line per ability, or one object."""
    from ..versions import versions

    checks: dict[str, Callable[[], str]] = {
        "image decoders": _decoders,
        "finite-element kernel": _solve,
        "PDF engine": _pdf,
        "bone finding": _bone_finding,
        "protocols": _protocols,
        "processors": _processors,
        "scratch space": _scratch,
        "models for other programs": _exchange,
        "outside programs (optional)": _programs,
    }
    found: dict[str, Any] = {"versions": versions()}
    failed = 0
    for name, check in checks.items():
        try:
            found[name] = check()
        except Exception as error:  # the doctor's purpose is to report what fails
            found[name] = f"FAILS: {type(error).__name__}: {error}"
            failed += 1
    if as_json:
        print_json({"schema": "openbct-doctor/1", "ok": failed == 0, **found})
    else:
        print("versions: " + ", ".join(f"{key} {value}" for key, value in found["versions"].items()))
        for name in checks:
            print(f"{name}: {found[name]}")
        print(f"{failed} of {len(checks)} abilities FAIL: see above" if failed else f"all {len(checks)} abilities are there")
        print("OpenBCT is for research use; it is not cleared as a medical device.")
    if failed:
        raise SystemExit(1)


def _bone_finding() -> str:
    from ..errors import SettingsError
    from ..io.totalsegmentator import check_weights, find_program

    try:
        find_program()
        check_weights(os.environ, fast=False)
        other = "TotalSegmentator is installed with its weights (--segmenter totalsegmentator)"
    except SettingsError as error:
        other = f"TotalSegmentator (optional): {str(error).split(',')[0].removeprefix('found ')}"
    return f"built in; from given labels (--labels); {other}"


def _protocols() -> str:
    from ..plan import make_plan
    from ..settings import built_in, protocol_names

    for name in protocol_names():
        make_plan(built_in(name))
    return ", ".join(protocol_names())


def _processors() -> str:
    memory = ""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB of memory"
    return f"{os.cpu_count()} cores{memory}"


def _scratch() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return f"temporary files can be written, {shutil.disk_usage(folder).free / 2**30:.1f} GiB free"


def _exchange() -> str:
    from ..io.models import FORMATS

    missing = importlib.util.find_spec("h5py") is None
    ready = [name for name, entry in FORMATS.items() if not (entry.hdf5 and missing)]
    return ", ".join(ready) + ("; n88model and parosol need h5py (python -m pip install h5py)" if missing else "")


def _decoders() -> str:
    from pydicom.pixels.decoders.base import get_decoder

    able = [name for uid, name in DECODERS.items() if get_decoder(uid).is_available]
    missing = [name for name in DECODERS.values() if name not in able]
    return "uncompressed, " + ", ".join(able) + (f"; MISSING {', '.join(missing)}" if missing else "")


def _solve() -> str:
    import numpy as np

    from .. import fe

    begin = time.perf_counter()
    fixed = np.zeros((9, 9, 9, 3), dtype=bool)
    fixed[:, :, (0, -1)] = True
    travel = np.zeros(fixed.shape)
    travel[:, :, -1, 2] = -0.08
    solution = fe.solve(np.full((8, 8, 8), 1000.0), poisson_ratio=0.0, spacing=(1.0, 1.0, 1.0), fixed=fixed, displacement=travel)
    force = -float(solution.force[:, :, -1, 2].sum())
    if abs(force - 640.0) > 0.01:
        raise ArithmeticError(f"a bar of known answer gives {force:.3f} N, expected 640 N")
    return f"a bar of known answer is right; first solve after {time.perf_counter() - begin:.1f} s"


def _pdf() -> str:
    import typst

    page = typst.compile(b"#set page(width: 4cm, height: 3cm)\nOpenBCT")
    return f"typst makes a page of {len(page)} bytes"


def _programs() -> str:
    names = ("TotalSegmentator", "ccx", "dcm2niix", "dciodvfy")
    found = [name for name in names if shutil.which(name)]
    extra = [name for name in ("pyamg", "highdicom") if importlib.util.find_spec(name)]
    return ", ".join(found + extra) or "none found; none is needed"
