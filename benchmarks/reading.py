"""Time and memory of reading one large CT series, by OpenBCT, highdicom and SimpleITK, in one run.

    python benchmarks/reading.py [--simpleitk PYTHON] [--runs 3] [--size 512 512 600] [--json FILE]

A series of noise in a body is written once; then every reader takes its turn, each time in a process of its own, so that peak memory is its
own and none profits from another's imports. PYTHON is the interpreter of an environment with SimpleITK; without it that row is left out.
Seconds are of the reading alone, without start-up; ``CPU`` counts the processor's time, which a busy machine changes least. The files lie in
the system's cache after the first turn, which is not counted. Every reader's sum of voxels is compared.

OpenBCT does more than the others: every position checked, padding made air, a digest, cautions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

READERS = {
    "OpenBCT": """
from openbct.io import read_scan
def read(folder):
    array = read_scan(folder).image.array
    return array.shape, int(array.sum(dtype="int64"))
""",
    "highdicom": """
import pydicom, highdicom
def read(folder):
    volume = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in sorted(folder.iterdir())])
    return volume.array.shape[::-1], int(volume.array.sum(dtype="float64"))
""",
    "SimpleITK": """
import SimpleITK
def read(folder):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    array = SimpleITK.GetArrayViewFromImage(image)
    return array.shape[::-1], int(array.sum(dtype="float64"))
""",
}
MEASURE = """
import json, sys, time
from pathlib import Path
{reader}
folder = Path(sys.argv[1])
wall, cpu = time.perf_counter(), time.process_time()
shape, total = read(folder)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(dict(wall=wall, cpu=cpu, peak=peak / 1024, shape=[int(n) for n in shape], total=total)))
"""


def write_noise(folder: Path, size: tuple[int, int, int]) -> None:
    """Write a cylinder of tissue with noise in air."""
    from openbct.io import write_ct_series
    from openbct.records import Acquisition, Patient
    from openbct.volume import Volume

    rng = np.random.default_rng(0)
    i, j = np.meshgrid(*[np.linspace(-1, 1, n) for n in size[:2]], indexing="ij")
    plane = np.where(i**2 + j**2 < 0.7, 40, -1000)
    array = np.empty(size, dtype=np.int16, order="F")
    for k in range(size[2]):
        array[:, :, k] = plane + rng.integers(-20, 20, size[:2])
    acquisition = Acquisition(kvp=120.0, kernel="Br40f", slice_thickness=1.0, manufacturer="OpenBCT", model="Noise")
    write_ct_series(Volume(array, np.diag([0.7, 0.7, 1.0, 1.0]), "HU"), folder, patient=Patient(), acquisition=acquisition)


def measure(python: str, reader: str, folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [python, "-c", MEASURE.format(reader=READERS[reader]), folder], check=True, capture_output=True, text=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def medians(found: dict[str, list[dict[str, object]]]) -> dict[str, dict[str, float]]:
    return {
        reader: {key: statistics.median(float(run[key]) for run in runs) for key in ("wall", "cpu", "peak")}  # type: ignore[arg-type]
        for reader, runs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--simpleitk", metavar="PYTHON")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 600))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    pythons = {"OpenBCT": sys.executable, "highdicom": sys.executable}
    if asked.simpleitk:
        pythons["SimpleITK"] = asked.simpleitk
    found: dict[str, list[dict[str, object]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "scan")
        write_noise(folder, tuple(asked.size))
        for turn in range(asked.runs + 1):
            for reader, python in pythons.items():
                one = measure(python, reader, folder)
                if turn:
                    found[reader].append(one)
            if turn and asked.json:
                asked.json.write_text(json.dumps({"size": list(asked.size), "runs": turn, "readers": medians(found)}, indent=1))
    assert len({(tuple(run["shape"]), run["total"]) for runs in found.values() for run in runs}) == 1, "readers disagree"  # type: ignore[arg-type]
    middle = medians(found)
    ours = middle["OpenBCT"]
    voxels = np.prod(asked.size) * 2 / 2**20
    print(f"{'x'.join(map(str, asked.size))} voxels, {voxels:.0f} MiB; medians of {asked.runs}")
    print(f"{'reader':12}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'CPU, ours / theirs':>20}")
    for reader, row in middle.items():
        print(f"{reader:12}{row['wall']:9.2f}{row['cpu']:9.2f}{row['peak']:10.0f}{ours['cpu'] / row['cpu']:20.2f}")


if __name__ == "__main__":
    main()
