"""The stages alone, on files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from .run import Request, make_settings, read_inputs, write_reports


def run_inspect(scan: Path, *, as_json: bool) -> None:
    """List the series with their verdicts."""
    from dataclasses import asdict

    from ..io import inspect_path

    series = inspect_path(scan)
    if as_json:
        print(json.dumps({"schema": "openbct-inspect/1", "series": [asdict(entry) for entry in series]}, ensure_ascii=False))
        return
    for entry in series:
        facts = {
            key: value for key, value in asdict(entry).items() if key not in ("name", "verdict", "reasons") and value is not None
        }
        print(f"series {entry.name}: {entry.verdict}")
        print("  " + ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in facts.items()))
        for reason in entry.reasons:
            print(f"  - {reason}")


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return " x ".join(_plain(v) for v in value)
    return str(value)


def run_calibrate(request: Request, *, as_json: bool) -> None:
    """Write density.nii.gz and calibration.json."""
    from ..io import calibration_to_json, prepare_folder, write_json, write_volume
    from ..plan import make_calibrator
    from ..records import Segmentation, Step

    settings = make_settings(request)
    scan, segmenter = read_inputs(request, settings) if request.labels else (_scan(request), None)
    nothing = Segmentation({}, {}, Step("segmentation", "No labels were given."))
    calibrated = make_calibrator(settings.calibration)(scan, segmenter(scan) if segmenter else nothing)
    prepare_folder(request.out)
    write_volume(calibrated.density, request.out / "density.nii.gz")
    table = calibration_to_json(calibrated)
    write_json(request.out / "calibration.json", table)
    if as_json:
        print(json.dumps(table, ensure_ascii=False))
        return
    print(
        f"density [{calibrated.density.unit}] = {calibrated.slope:.5f} x HU + {calibrated.intercept:.2f}   ({calibrated.method})"
    )
    for sample in calibrated.samples:
        print(
            f"  {sample.name:12} {sample.mean:8.1f} HU, sd {sample.deviation:6.1f}, {sample.n_voxels} voxels, residual {sample.residual:+.1f}"
        )
    for caution in (*scan.step.cautions, *calibrated.step.cautions):
        print(f"caution: {caution}")
    print(f"written: {request.out / 'density.nii.gz'}, {request.out / 'calibration.json'}")


def _scan(request: Request) -> Any:
    from ..io import read_scan

    return read_scan(request.scan, series=request.series)


def run_segment(request: Request, *, as_json: bool) -> None:
    """Write one mask per bone and a label map of all."""
    from ..io import prepare_folder, write_volume
    from ..volume import place_into

    settings = make_settings(request)
    scan, segmenter = read_inputs(request, settings)
    segmentation = segmenter(scan)
    prepare_folder(request.out)
    for name, mask in segmentation.bones.items():
        write_volume(place_into(mask.mask, scan.image, False), request.out / f"{name}.nii.gz")
    rows = [
        {"name": name, "part": mask.part, "confidence": round(mask.confidence, 3), "touches_edge": mask.touches_edge,
         "volume_cm3": round(float(mask.mask.array.sum()) * mask.mask.voxel_volume / 1000.0, 2)}
        for name, mask in segmentation.bones.items()
    ]  # fmt: skip
    if as_json:
        table = {
            "schema": "openbct-segment/1",
            "bones": rows,
            "absent": dict(segmentation.absent),
            "cautions": segmentation.step.cautions,
        }
        print(json.dumps(table, ensure_ascii=False))
        return
    for row in rows:
        cut = ", cut by the image" if row["touches_edge"] else ""
        print(f"{row['name']:14} {row['part']:6} {row['volume_cm3']:8.1f} cm³, confidence {row['confidence']:.2f}{cut}")
    for name, reason in segmentation.absent.items():
        print(f"{name:14} absent: {reason}")
    for caution in segmentation.step.cautions:
        print(f"caution: {caution}")


def run_report(out: Path, *, as_json: bool) -> None:
    """Make the report again from a result folder."""
    from ..io import read_case

    written = write_reports(read_case(out), out)
    print(json.dumps(written) if as_json else "\n".join(f"{name.replace('_', ' ')}: {path}" for name, path in written.items()))


def run_protocols(show: str | None, *, as_json: bool) -> None:
    """List protocols and laws, or print one protocol."""
    from ..io import to_toml
    from ..materials import MATERIALS
    from ..settings import built_in, protocol_names, to_tables

    if show is not None:
        if show not in protocol_names():
            raise SettingsError(f"found protocol {show!r}, expected one of {', '.join(protocol_names())}")
        print(to_toml(to_tables(built_in(show))), end="")
        return
    laws = [
        {
            "name": law.name,
            "density": law.density,
            "valid_g_cm3": law.valid,
            "clip_g_cm3": law.clip,
            "reference": law.reference.text,
        }
        for law in MATERIALS.values()
    ]
    if as_json:
        print(
            json.dumps(
                {"protocols": [to_tables(built_in(name)) for name in protocol_names()], "materials": laws}, ensure_ascii=False
            )
        )
        return
    print("protocols (print one with --show NAME):")
    for name in protocol_names():
        settings = built_in(name)
        print(
            f"  {settings.title}: vertebra {settings.vertebra.material}, femur {settings.femur.material}, scale {settings.run.scale}"
        )
    print("material laws:")
    for law in laws:
        print(f"  {law['name']}: {law['density']} density; {law['reference']}")
