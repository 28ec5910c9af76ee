# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/reading.md: what is read, against other readers, mended stacks against the truth, and every odd input with its answer.

    python docs/validation/make_reading.py [PART ...] [--mutated FILE] [--benchmark FILE]

Without parts, all are made (syntaxes readers mended odd mutations benchmark); with parts, only these, and the page keeps what it has of the others.
``readers`` needs dcm2niix and highdicom, which the test environment has, and for its real series ``OPENBCT_TEST_DATA`` (default ``../shared/data``
beside the project). ``benchmark`` takes the figures that ``python benchmarks/reading.py --json FILE`` has written, ``mutations`` those that
``python tests/fuzz_reading.py 10000 3000 > FILE`` has, or mutates anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import metadata
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from ct_series import ACQUISITION, PATIENT, make_image, write_series  # noqa: E402
from odd_rows import ODD  # noqa: E402
from openbct.io import read_scan, write_ct_series, write_enhanced_ct  # noqa: E402
from openbct.phantoms import SimulatedScan, TorsoSettings, simulate_vertebra  # noqa: E402
from openbct.pipeline import analyze  # noqa: E402
from openbct.records import LabelMap, Patient, Scan  # noqa: E402
from openbct.segmentation import GivenLabels  # noqa: E402
from openbct.settings import built_in, override  # noqa: E402
from openbct.volume import Volume, canonical, to_index, to_patient  # noqa: E402
from test_io_oracles import REAL, TURNS, dcm2niix  # noqa: E402

PAGE = Path(__file__).with_name("reading.md")
DATA = Path(os.environ.get("OPENBCT_TEST_DATA", ROOT.parent / "shared" / "data"))
HEAD = """# Reading

This page is written by `python docs/validation/make_reading.py`. How reading works is on [its page](../methods/reading.md).
"""
FRESH = 10_000
"""The first mutation that reading was never mended on; those from 0 to 6999 were."""
Rows = list[Sequence[str]]


def table(head: Sequence[str], rows: Rows, right: int = 99) -> str:
    """Return a Markdown table; columns from ``right`` on are numbers."""
    rule = ["---:" if n >= right else "---" for n in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows)) + "\n"


# Transfer syntaxes --------------------------------------------------------------------------------------------

PACKAGES = {"gdcm": "python-gdcm", "pylibjpeg": "pylibjpeg", "pyjpegls": "pyjpegls", "pydicom": "pydicom", "pillow": "pillow"}


def licence(package: str) -> str:
    found = metadata(package)
    return found.get("License-Expression") or (found.get("License") or "").split("\n")[0] or next(
        (line.split("::")[-1].strip() for line in found.get_all("Classifier") or [] if line.startswith("License")), "?"
    )  # fmt: skip


def write_syntax(folder: Path, syntax: UID, image: Volume) -> None:
    for path in write_series(folder, image):
        dataset = pydicom.dcmread(path)
        if syntax in (JPEGLossless, JPEGLosslessSV1):
            options = ["--jpeg"] if syntax == JPEGLosslessSV1 else ["--jpeg", "--lossy", "no"]
            subprocess.run(
                [Path(sys.executable).with_name("gdcmconv"), *options[:1], path, path], check=True, capture_output=True
            )
            if syntax == JPEGLossless:  # the first process with predictor 1 is the second process's own stream
                dataset = pydicom.dcmread(path)
                dataset.file_meta.TransferSyntaxUID = JPEGLossless
                dataset.save_as(path)
        elif syntax.is_encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
            dataset.save_as(path)
        else:
            if syntax == ExplicitVRBigEndian:
                dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
            dataset.file_meta.TransferSyntaxUID = syntax
            pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def syntaxes() -> str:
    image = make_image((80, 72, 4))
    rows: Rows = []
    for syntax in (
        ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
        RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless,
    ):  # fmt: skip
        with tempfile.TemporaryDirectory() as name:
            write_syntax(Path(name), syntax, image)
            stated = pydicom.dcmread(next(Path(name).iterdir()), stop_before_pixels=True).file_meta.TransferSyntaxUID
            assert stated == syntax, stated
            same = np.array_equal(read_scan(name).image.array, image.array)
        able = get_decoder(syntax).available_plugins if syntax.is_encapsulated else ("pydicom",)
        by = ", ".join(f"{PACKAGES[one]} ({licence(PACKAGES[one])})" for one in able)
        rows.append((syntax.name, str(syntax), by, "every voxel" if same else "**other voxels**"))
    return (
        "A series of each was written and read back. Decoders are those that pydicom finds here, the first able one is used; their licences are what their packages state. Process 14 was written with its first predictor, as other encoders do.\n\n"
        + table(("transfer syntax", "UID", "decoders", "as written"), rows)
    )


# Other readers ------------------------------------------------------------------------------------------------


def apart(ours: Volume, theirs: Volume) -> tuple[str, str]:
    """Return how far values and corners are apart; padding, which others leave as it is stored, left out."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    inside = theirs.array >= -1500
    values = np.abs(ours.array.astype(float) - theirs.array)[inside].max()
    ends = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (np.array(ours.shape) - 1)
    corners = np.linalg.norm(
        to_patient(ours.affine, ends.astype(float)) - to_patient(theirs.affine, ends.astype(float)), axis=1
    ).max()
    return f"{values:.4f}", f"{corners:.4f}"


def highdicom_volume(paths: Sequence[Path], enhanced: bool = False) -> Volume:
    import highdicom

    if enhanced:
        theirs = highdicom.imread(paths[0]).get_volume(
            dtype=np.float64, apply_real_world_transform=None, apply_modality_transform=True
        )
    else:
        theirs = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in paths], dtype=np.float64)
    return canonical(Volume(theirs.array.transpose(2, 1, 0), theirs.affine[:, [2, 1, 0, 3]], "HU"))


def compare(title: str, folder: Path, out: Path, plain: Path | None = None, enhanced: bool = False) -> Sequence[str]:
    ours = read_scan(folder).image
    paths = sorted(folder.iterdir())
    return (
        title, " x ".join(map(str, ours.shape)), *apart(ours, dcm2niix(plain or folder, out)), *apart(ours, highdicom_volume(paths, enhanced)),
    )  # fmt: skip


def readers() -> str:
    rows: Rows = []
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        for n, (turn, words) in enumerate(zip(TURNS, ("supine", "feet first", "sagittal"))):
            write_series(here / f"c{n}", make_image(turn=turn))
            rows.append(compare(f"simulated, {words}", here / f"c{n}", here / f"co{n}"))
            write_enhanced_ct(make_image(turn=turn), here / f"e{n}" / "one.dcm", patient=PATIENT, acquisition=ACQUISITION)
            rows.append(compare(f"simulated, {words}, enhanced", here / f"e{n}", here / f"eo{n}", enhanced=True))
        for one in REAL:
            if not (DATA / one).is_dir():
                continue
            plain = None
            if "jpeg2000" in one:  # dcm2niix as installed does not decode it
                plain = here / "plain"
                plain.mkdir()
                for path in sorted((DATA / one).iterdir()):
                    dataset = pydicom.dcmread(path)
                    dataset.decompress(generate_instance_uid=False)
                    dataset.save_as(plain / path.name)
            rows.append(compare(f"`{one}`", DATA / one, here / f"r_{one}", plain))
    return (
        "Largest difference of any voxel [HU] and of any corner [mm]. Where the rescale is fractional, dcm2niix scales in 32-bit floats. Padding, "
        "which others leave as it is stored and we make air, is left out. The JPEG 2000 series was decompressed for dcm2niix.\n\n"
        + table(("series", "voxels", "dcm2niix, HU", "mm", "highdicom, HU", "mm"), rows, 2)
    )


# Mended stacks ------------------------------------------------------------------------------------------------

STEP, PIXEL = 1.25, 0.8


def planes(kind: str, low: float, high: float) -> tuple[np.ndarray, float]:
    """Return where the planes' first rows lie along the table [mm], and the tilt of the planes [degrees]."""
    even = np.arange(low, high, STEP)
    rng = np.random.default_rng(3)
    match kind:
        case "tilt 5" | "tilt 15" | "tilt 25":
            return even, float(kind.split()[1])
        case "uneven, 20 %":
            return np.cumsum(STEP * (1 + rng.uniform(-0.2, 0.2, len(even)))) + low, 0.0
        case "uneven, 40 %":
            return np.cumsum(STEP * (1 + rng.uniform(-0.4, 0.4, len(even)))) + low, 0.0
    return even + (0.4 * STEP if kind == "straight, elsewhere" else 0.0), 0.0


def take(truth: SimulatedScan, kind: str, folder: Path) -> None:
    """Write the series that a scanner would have taken of a finely simulated scan, in cubic interpolation between its voxels."""
    image = truth.image
    width, height = image.shape[0], image.shape[1]
    first, last = to_patient(image.affine, np.zeros(3)), to_patient(image.affine, np.array(image.shape) - 1.0)
    tilt = planes(kind, 0, 9)[1]
    cosine, sine = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    along = planes(kind, float(first[2]) - height * PIXEL * sine, float(last[2]))[0]
    row, column = np.array([1.0, 0, 0]), np.array([0.0, cosine, sine])
    i, j = np.meshgrid(np.arange(width), np.arange(height), indexing="ij")
    inside = i[..., None] * PIXEL * row + j[..., None] * PIXEL * column
    values = ndimage.spline_filter(image.array.astype(np.float32), order=3)
    stack = []
    for z in along:
        index = to_index(image.affine, np.array([first[0], first[1], z]) + inside)
        stack.append(
            ndimage.map_coordinates(values, index.transpose(2, 0, 1), order=3, mode="constant", cval=-1000, prefilter=False)
        )
    array = np.clip(np.rint(np.stack(stack, axis=2)), -1024, 3071).astype(np.int16)
    acquisition = replace(truth.acquisition, slice_thickness=STEP)
    paths = write_ct_series(
        Volume(array, np.diag([PIXEL, PIXEL, STEP, 1.0]), "HU"), folder, patient=truth.patient, acquisition=acquisition
    )
    for path, z in zip(paths, along):
        dataset = pydicom.dcmread(path)
        dataset.ImagePositionPatient = [f"{x:.6f}" for x in (first[0], first[1], z)]
        dataset.ImageOrientationPatient = [f"{x:.9f}" for x in (*row, *column)]
        dataset.GantryDetectorTilt = f"{tilt:g}"
        dataset.save_as(path)


def drawn(truth: SimulatedScan, scan: Scan) -> LabelMap:
    """Return the true labels on the grid of what was read, nearest voxel."""
    assert truth.bodies is not None
    index = np.stack(np.meshgrid(*[np.arange(n) for n in scan.image.shape], indexing="ij"), axis=-1).astype(float)
    places = to_index(truth.image.affine, to_patient(scan.image.affine, index.reshape(-1, 3)))
    found = ndimage.map_coordinates(truth.bodies.volume.array, places.T, order=0, mode="constant", cval=0)
    return LabelMap(
        Volume(found.reshape(scan.image.shape), scan.image.affine, "label"), truth.bodies.names, "the simulator's truth"
    )


def differences(truth: SimulatedScan, scan: Scan, labels: LabelMap) -> tuple[float, float]:
    """Return mean and root mean square of read less true HU in the vertebral bodies."""
    index = np.argwhere(labels.volume.array > 0).astype(float)
    places = to_index(truth.image.affine, to_patient(scan.image.affine, index))
    true = ndimage.map_coordinates(truth.image.array.astype(np.float32), places.T, order=3)
    error = scan.image.array[labels.volume.array > 0] - true
    return float(error.mean()), float(np.sqrt((error**2).mean()))


def mended() -> str:
    torso = TorsoSettings(spacing=(PIXEL, PIXEL, PIXEL), field_of_view=128.0, patient=Patient())
    centre = simulate_vertebra("L1", replace(torso, spacing=(4.0, 4.0, 4.0), field_of_view=400.0)).landmarks["L1_centre"]
    truth = simulate_vertebra("L1", replace(torso, centre=(float(centre[0]), float(centre[1]) + 10.0)))
    settings = override(
        built_in(), {"calibration": {"method": "fixed", "slope_mg_cm3_per_hu": 0.8, "intercept_mg_cm3": 0.0}, "run": {"bones": ["L1"]}}, "validation"
    )  # fmt: skip
    rows: Rows = []
    first: list[float] = []
    for kind in ("straight", "straight, elsewhere", "tilt 5", "tilt 15", "tilt 25", "uneven, 20 %", "uneven, 40 %"):
        with tempfile.TemporaryDirectory() as name:
            take(truth, kind, Path(name))
            scan = read_scan(name)
        labels = drawn(truth, scan)
        mean, rms = differences(truth, scan, labels)
        (result,) = analyze(scan, GivenLabels((labels,), ("L1",)), settings=settings).bones
        assert result.strength is not None and result.measures is not None, result.reason
        found = [
            result.measures.values["trabecular_vbmd"].value,
            result.measures.values["integral_vbmd"].value,
            result.strength.strength,
        ]
        first = first or found
        shares = [f"{100 * (one / start - 1):+.1f} %" for one, start in zip(found, first)]
        rows.append(
            (
                f"{kind} degrees" if kind.startswith("tilt") else kind,
                f"{mean:+.1f}",
                f"{rms:.0f}",
                f"{found[0]:.1f}",
                shares[0],
                f"{found[1]:.1f}",
                shares[1],
                f"{found[2]:.0f}",
                shares[2],
            )
        )
    return (
        f"L1 was simulated at {PIXEL} mm, and series of slices {STEP} mm apart were taken out of it as a scanner would, with planes that are straight, tilted, "
        "or at uneven places; then read, calibrated with one fixed line and tested with the default protocol, the true labels given. Read less true HU "
        "in the body is what mending adds; the second row shows what the place of even slices alone does, most of it through the border of the drawn body.\n\n"
        + table(
            ("stack", "HU, mean", "RMS", "trabecular vBMD, mg/cm³", "", "integral vBMD, mg/cm³", "", "strength, N", ""), rows, 1
        )
    )


# Odd inputs ---------------------------------------------------------------------------------------------------


def fuzzer(*arguments: str) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "fuzz_reading.py", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    found: dict[str, object] = json.loads(done.stdout)
    assert found["bad"] == [], found["bad"]
    return found


def odd() -> str:
    found = fuzzer("rows")
    told: dict[str, tuple[str, str]] = found["told"]  # type: ignore[assignment]
    rows: Rows = []
    for row in ODD:
        outcome, words = told[row.name]
        if outcome == "refused":
            shown = words
        elif row.answer == "cautioned":
            sentences = re.split(r"(?<=[a-z)%])\. (?=[A-Z])|(?<=\.) ", words)
            shown = next((one for one in sentences if row.says in one), row.says)
            shown = f"... {row.says} ..." if len(shown) > 900 else shown
        else:
            shown = (
                "nothing; the image is that of the good series"
                if row.answer == "as it was"
                else "nothing: the series alone cannot tell"
            )
        rows.append((row.group, row.done, row.answer, shown.replace("|", "\\|")))
    count = {answer: sum(row.answer == answer for row in ODD) for answer in ("refused", "cautioned", "as it was", "unseen")}
    return (
        f"{len(ODD)} inputs: {count['refused']} are refused, {count['cautioned']} are read with a caution, {count['as it was']} give exactly the image of the good "
        f"series, and {count['unseen']} cannot be seen in the series alone (calibration, anatomy and the checks of the bone come after). All were read in one process "
        f"with 1.5 GiB of memory beside the program's; none took longer than {found['slowest_s']} s of processor time. "
        "The rows are `tests/odd_rows.py`; each is a test.\n\n"
        + table(("kind", "what was done", "answer", "what the user is told"), rows)
    )


def mutations(file: Path | None) -> str:
    found: dict[str, object] = json.loads(file.read_text()) if file else fuzzer(str(FRESH), "3000")
    assert found["bad"] == [], found["bad"]
    outcomes: dict[str, int] = found["outcomes"]  # type: ignore[assignment]
    count = sum(outcomes.values())
    kinds = sorted({name.rsplit(" ", 1)[0] for name in outcomes})
    rows: Rows = [(kind, str(outcomes.get(f"{kind} refused", 0)), str(outcomes.get(f"{kind} read", 0))) for kind in kinds]
    return (
        f"{count} mutations of small good inputs (bytes changed, cut, doubled, moved, lengths set to extremes) by `tests/fuzz_reading.py`, which follow from their numbers "
        f"alone. Reading was mended on others; of these, every one ended in a scan or in a refusal that tells neither path nor patient; none crashed, none ran out of the 1.5 GiB that it had, the longest took "
        f"{found['slowest_s']} s of processor time, and memory grew by {found['grown_mib']} MiB. Read means that the mutation hit nothing that places or values depend on, or "
        "pixels, whose values nothing protects.\n\n" + table(("input", "refused", "read"), rows, 1)
    )


def benchmark(file: Path | None) -> str:
    if file is None:
        return "Not measured.\n"
    found = json.loads(file.read_text())
    ours = found["readers"]["OpenBCT"]
    rows: Rows = [
        (
            name,
            f"{row['wall']:.1f}",
            f"{row['cpu']:.1f}",
            f"{ours['cpu'] / row['cpu']:.2f}",
            f"{row['peak']:.0f}",
        )
        for name, row in found["readers"].items()
    ]
    size = " x ".join(map(str, found["size"]))
    voxels = float(np.prod(found["size"])) * 2 / 2**20
    return (
        f"A series of {size} voxels ({voxels:.0f} MiB as 16-bit numbers), files in the system's cache, one thread; medians of {found['runs']} turns in processes of their "
        "own, taken in turn on a machine that was busy with other work: processor time is what compares. All gave the same voxels.\n\n"
        + table(("reader", "wall, s", "CPU, s", "ours / theirs", "peak memory, MiB"), rows, 1)
        + "\nhighdicom keeps floating-point voxels; SimpleITK's reader is compiled. OpenBCT's time includes checking every position, making padding air, and a digest.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--mutated", type=Path)
    parser.add_argument("--benchmark", type=Path)
    asked = parser.parse_args()
    parts: dict[str, tuple[str, Callable[[], str]]] = {
        "syntaxes": ("Transfer syntaxes", syntaxes),
        "readers": ("Against other readers", readers),
        "mended": ("Stacks that are mended", mended),
        "odd": ("Odd inputs", odd),
        "mutations": ("Mutations", lambda: mutations(asked.mutated)),
        "benchmark": ("Time and memory", lambda: benchmark(asked.benchmark)),
    }
    made = {title: make() for part, (title, make) in parts.items() if not asked.parts or part in asked.parts}
    kept = dict(
        re.findall(r"^## (.*?)\n\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8") if PAGE.exists() else "", re.S | re.M)
    )
    bodies = [(title, made.get(title, kept.get(title, ""))) for title, _ in parts.values()]
    page = HEAD + "".join(f"\n## {title}\n\n{body.strip()}\n" for title, body in bodies if body)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
