"""A small simulated scan of L1 and L2 on disk, quick protocols, and the command line run in this process: shared by the tests
of the command line."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbct import cli
from openbct.io import write_ct_series, write_label_map, write_volume
from openbct.phantoms import SimulatedScan, TorsoSettings, simulate_torso
from openbct.records import LabelMap
from openbct.volume import Volume

SECRET = "SECRETNAME"
QUICK = """
name = "quick"
version = "1"
[segmentation]
segmenter = "given"
[calibration]
method = "fixed"
slope_mg_cm3_per_hu = 0.72
intercept_mg_cm3 = -3.0
[vertebra]
voxel_mm = 2.0
strains = [0.001, 0.010, 0.019]
"""
"""A protocol for speed: coarse voxels, three loads, a given line (the crop holds no air to calibrate on), given labels."""


@cache
def simulate() -> SimulatedScan:
    """Return L1 and L2 whole in a tight crop; T12 and L3 are cut."""
    return simulate_torso(
        TorsoSettings(spacing=(1.5, 1.5, 2.0), field_of_view=110.0, centre=(0.0, 14.0), bottom=216.0, top=298.0, seed=5)
    )


@dataclass(frozen=True)
class Small:
    """Files of a small scan."""

    folder: Path

    @property
    def scan(self) -> Path:
        return self.folder / "scan"

    @property
    def nifti(self) -> Path:
        return self.folder / "scan.nii.gz"

    @property
    def density(self) -> Path:
        return self.folder / "density.nii.gz"

    @property
    def labels(self) -> Path:
        return self.folder / "labels.nii.gz"

    @property
    def table(self) -> Path:
        return self.folder / "labels.toml"

    @property
    def quick(self) -> Path:
        return self.folder / "quick.toml"

    @property
    def given(self) -> list[str]:
        """Options that name labels and protocol."""
        return ["--labels", str(self.labels), "--label-map", str(self.table), "--protocol", str(self.quick)]


def write_small(folder: Path) -> Small:
    """Write the small scan: DICOM, NIfTI, calibrated density, labels of the two bodies and the cut T12, a quick protocol."""
    small, simulated = Small(folder), simulate()
    patient = replace(simulated.patient, name=f"{SECRET}^ANNA", identifier=f"{SECRET}1")
    write_ct_series(simulated.image, small.scan, patient=patient, acquisition=simulated.acquisition)
    write_volume(simulated.image, small.nifti)
    write_volume(simulated.density, small.density)
    bodies = simulated.bodies
    write_label_map(LabelMap(bodies.volume, bodies.names, bodies.source), small.labels)
    small.quick.write_text(QUICK, encoding="utf-8")
    return small


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The small scan, written once; tests that change it copy it."""
    return write_small(tmp_path_factory.mktemp("small scan ü"))


def copy_of(small: Small, folder: Path) -> Small:
    """Return a copy that may be damaged."""
    shutil.copytree(small.folder, folder)
    return Small(folder)


@dataclass(frozen=True)
class Said:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line on standard error: the sentence."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        content = json.loads(self.out)
        assert isinstance(content, dict)
        return content


class Command:
    """Runs ``openbct`` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capfd = monkeypatch, capfd

    def __call__(self, *arguments: object) -> Said:
        self.capfd.readouterr()
        self.monkeypatch.setattr(sys, "argv", ["openbct", *map(str, arguments)])
        self.monkeypatch.delenv("OPENBCT_DEBUG", raising=False)
        status: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        sys.stdout.flush()
        said = self.capfd.readouterr()
        assert "Traceback" not in said.err and "Traceback" not in said.out
        assert SECRET not in said.err and SECRET not in said.out
        return Said(int(status), said.out, said.err)


@pytest.fixture
def openbct(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command line."""
    return Command(monkeypatch, capfd)


def cut_label(small: Small, folder: Path) -> Small:
    """Return a copy whose image ends in the middle of L2: L1 is whole, L2 is not."""
    copied, simulated = copy_of(small, folder), simulate()
    middle = int(np.flatnonzero((simulated.bodies.volume.array == 21).any(axis=(0, 1))).mean())
    affine = simulated.image.affine.copy()
    affine[:3, 3] += affine[:3, 2] * middle
    for path in copied.scan.iterdir():
        path.unlink()
    image = Volume(simulated.image.array[:, :, middle:], affine, "HU")
    write_ct_series(image, copied.scan, patient=simulated.patient, acquisition=simulated.acquisition)
    labels = Volume(simulated.bodies.volume.array[:, :, middle:], affine, "label")
    write_label_map(LabelMap(labels, simulated.bodies.names, "cut"), copied.labels)
    return copied
