"""The demonstration: a simulated scan is written as DICOM, then analysed exactly as a patient's would be.

The simulator's truth is written beside the scan for whoever wants to compare; no stage ever reads it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .request import Request, make_settings, read_inputs
from .run import analyze_to_files, tell
from .tell import Progress


def run_demo(out: Path, *, bones: str, seed: int, as_json: bool) -> None:
    """Simulate, write, read back, analyse, report."""
    from ..io import prepare_folder, write_ct_series, write_label_map, write_volume
    from ..phantoms import TorsoSettings, simulate_torso

    progress = Progress()
    scan, labels = out / "scan", out / "labels.nii.gz"
    request = Request(scan=scan, out=out, labels=(labels,), bones=bones)
    settings = make_settings(request)
    prepare_folder(out)
    for slice_file in scan.glob("slice_*.dcm"):  # an earlier demonstration of another length would be a second series
        slice_file.unlink()
    progress("simulating a CT scan (a torso with known truth)")
    simulated = simulate_torso(TorsoSettings(seed=seed))
    write_ct_series(simulated.image, scan, patient=simulated.patient, acquisition=simulated.acquisition)
    label_map = write_label_map(simulated.labels, labels)
    write_volume(simulated.density, out / "truth" / "density.nii.gz")
    progress(f"reading it back, as `openbct analyze {scan} --labels {labels}` would")
    request = replace(request, label_maps=(label_map,))
    read, segmenter = read_inputs(request, settings)
    tell(analyze_to_files(read, segmenter, settings, request, progress), as_json=as_json)
