"""The demonstration: a simulated scan is written as DICOM, then analysed exactly as a patient's would be.

The simulator's truth is written beside the scan for whoever wants to compare; no stage ever reads it.
"""

from __future__ import annotations

import json
from pathlib import Path

from .run import Progress, Request, analyze_to_files, make_settings, print_summary, read_inputs, summary


def run_demo(out: Path, *, bones: str, seed: int, as_json: bool) -> None:
    """Simulate, write, read back, analyse, report."""
    from ..io import prepare_folder, write_ct_series, write_label_map, write_volume
    from ..phantoms import TorsoSettings, simulate_torso

    progress = Progress()
    prepare_folder(out)
    progress("simulating a CT scan (a torso with known truth)")
    simulated = simulate_torso(TorsoSettings(seed=seed))
    scan, labels = out / "scan", out / "labels.nii.gz"
    write_ct_series(simulated.image, scan, patient=simulated.patient, acquisition=simulated.acquisition)
    label_map = write_label_map(simulated.labels, labels)
    write_volume(simulated.density, out / "truth" / "density.nii.gz")
    progress(f"reading it back, as `openbct analyze {scan} --labels {labels}` would")
    request = Request(scan=scan, out=out, labels=(labels,), label_maps=(label_map,), bones=bones)
    settings = make_settings(request)
    read, segmenter = read_inputs(request, settings)
    case, written = analyze_to_files(read, segmenter, settings, request, progress)
    if as_json:
        print(json.dumps(summary(case, written), ensure_ascii=False))
    else:
        print_summary(case, written)
