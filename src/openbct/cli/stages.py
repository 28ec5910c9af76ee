"""The stages alone, on files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SegmentationError, SettingsError
from ..records import Scan
from ..settings import Settings
from ..volume import Volume
from .phantom_request import read_phantom_scan
from .request import Request, check_request, doubt_mineral, make_settings, read_inputs
from .tell import Progress, print_json


def run_inspect(scan: Path, *, as_json: bool) -> None:
    """List the series with their verdicts."""
    from dataclasses import asdict

    from ..io import inspect_path

    series = inspect_path(scan)
    if as_json:
        print_json({"schema": "openbct-inspect/1", "series": [asdict(entry) for entry in series]})
        return
    for entry in series:
        facts = {
            key: value
            for key, value in asdict(entry).items()
            if key not in ("name", "verdict", "reasons", "use", "why") and value is not None
        }
        said = "refused:" if entry.use == "no" else f"{entry.use} ({entry.why}){', with cautions:' if entry.reasons else ''}"
        print(f"series {entry.name}: {said}")
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
    from ..gaps import without_gaps
    from ..io import calibration_to_json, prepare_folder, write_json, write_volume
    from ..plan import make_calibrator
    from ..records import Segmentation, Step

    progress = Progress()
    settings = make_settings(request)
    calibrator = make_calibrator(settings.calibration, phantom_scan=read_phantom_scan(request.phantom_scan))
    prepare_folder(request.out)
    progress("reading the scan")
    scan, segmenter = read_inputs(request, settings) if request.labels or request.segmenter else (_scan(request, settings), None)
    nothing = Segmentation({}, {}, Step("segmentation", "No labels were given."))
    progress("calibrating density")
    calibrated = calibrator(scan, without_gaps(scan, segmenter(scan)) if segmenter else nothing)
    progress("writing the density image")
    density, table = request.out / "density.nii.gz", request.out / "calibration.json"
    _never_over(density, request)
    write_volume(calibrated.density, density)
    cautions = list(dict.fromkeys((*scan.step.cautions, *calibrated.step.cautions)))
    content = {**calibration_to_json(calibrated), "cautions": cautions}
    write_json(table, content)
    if as_json:
        print_json({"schema": "openbct-calibration/1", **content, "files": {"density": str(density), "calibration": str(table)}})
        return
    print(
        f"density [{calibrated.density.unit}] = {calibrated.slope:.5f} x HU {calibrated.intercept:+.2f}   ({calibrated.method})"
    )
    for sample in calibrated.samples:
        print(
            f"  {sample.name:12} {sample.mean:8.1f} HU, sd {sample.deviation:6.1f}, {sample.n_voxels} voxels, residual {sample.residual:+.1f} {sample.unit}"
        )
    for caution in cautions:
        print(f"caution: {caution}")
    print(f"written: {density}, {table}")


def _scan(request: Request, settings: Settings) -> Scan:
    from ..io import read_scan

    check_request(request)
    scan = read_scan(request.scan, series=request.series)
    return replace(scan, step=replace(scan.step, cautions=(*scan.step.cautions, *doubt_mineral(request, settings))))


def _never_over(path: Path, request: Request) -> None:
    """Refuse to write over an input: a folder of results may be the folder that holds the scan."""
    inputs = (request.scan, *request.labels, *request.label_maps)
    if any(path.resolve() == one.resolve() for one in inputs):
        raise SettingsError(f"found the input {path.name!r} where the result would be written; choose another folder with -o")


def run_segment(request: Request, *, as_json: bool) -> None:
    """Write one mask per bone, and all of them as one label map that ``--labels`` takes."""
    from ..gaps import bones_in_gaps
    from ..io import prepare_folder, read_planes, segmentation_bytes, write_bytes, write_labels, write_volume
    from ..io.label_tables import builtin_tables
    from ..records import LabelMap
    from ..volume import place_into

    progress = Progress()
    settings = make_settings(request)
    prepare_folder(request.out)
    progress("reading the scan and its labels")
    scan, segmenter = read_inputs(request, settings)
    progress("finding the bones")
    segmentation = segmenter(scan)
    cautions = [*segmentation.step.cautions, *bones_in_gaps(scan, segmentation).values()]
    together = np.zeros(scan.image.shape, dtype=np.uint8)
    names: dict[int, str] = {}
    numbers = {structure: number for number, structure in builtin_tables()["openbct"].items()}
    rows = []
    for name, found in segmentation.bones.items():
        mask, part = found.mask, str(found.part)
        if part == "whole" and not name.startswith("femur"):
            mask, part = _body(name, mask, cautions)
        structure = name if name.startswith("femur") else f"{'vertebral_body' if part == 'body' else 'vertebrae'}_{name}"
        path = request.out / f"{structure}.nii.gz"
        _never_over(path, request)
        placed = place_into(mask, scan.image, False)
        write_volume(placed, path)
        together[placed.array & (together == 0)] = numbers[structure]
        names[numbers[structure]] = structure
        volume = float(mask.array.sum()) * mask.voxel_volume / 1000.0
        rows.append(
            {"name": name, "part": part, "confidence": round(found.confidence, 3), "touches_edge": found.touches_edge,
             "volume_cm3": round(volume, 2), "file": str(path)}
        )  # fmt: skip
    _never_over(request.out / "bones.nii.gz", request)
    labels = LabelMap(Volume(together, scan.image.affine, "label"), names, "OpenBCT")
    written = write_labels(labels, request.out / "bones.nii.gz")
    files = dict(zip(("labels", "label_map", "slicer_colours", "itk_snap_labels"), map(str, written)))
    content = segmentation_bytes(labels, read_planes(request.scan, request.series))
    if content is not None:
        write_bytes(request.out / "bones.dcm", content)
        files["dicom_seg"] = str(request.out / "bones.dcm")
    if as_json:
        absent = dict(segmentation.absent)
        print_json({"schema": "openbct-segment/1", "bones": rows, "absent": absent, "cautions": cautions, "files": files})
        return
    for row in rows:
        cut = ", reaches the border of the image" if row["touches_edge"] else ""
        print(f"{row['name']:14} {row['part']:6} {row['volume_cm3']:8.1f} cm³, confidence {row['confidence']:.2f}{cut}")
    for name, reason in segmentation.absent.items():
        print(f"{name:14} absent: {reason}")
    for caution in cautions:
        print(f"caution: {caution}")
    print(f"written: {len(rows)} masks, and all in {files['labels']} with its names in {files['label_map']}")


def _body(bone: str, whole: Volume, cautions: list[str]) -> tuple[Volume, str]:
    """Return the body of a whole vertebra, or the whole where nobody knows where to cut."""
    from ..anatomy.vertebral_body import isolate_body

    try:
        return isolate_body(whole).body, "body"
    except SegmentationError as error:
        cautions.append(f"{bone}: the body was not cut from the whole vertebra ({error})")
        return whole, "whole"


def run_protocols(show: str | None, *, as_json: bool) -> None:
    """List protocols and laws, or print one protocol."""
    from ..io import to_toml
    from ..materials import MATERIALS
    from ..settings import built_in, protocol_names, to_tables

    if show is not None:
        if show not in protocol_names():
            raise SettingsError(f"found protocol {show!r}, expected one of {', '.join(protocol_names())}")
        tables = to_tables(built_in(show))
        if as_json:
            print_json({"schema": "openbct-protocol/1", "protocol": tables})
        else:
            print(to_toml(tables), end="")
        return
    laws = [
        {
            "name": law.name,
            "density": law.density,
            "valid_g_cm3": law.valid,
            "clip_g_cm3": law.clip,
            "yields": law.yield_stress is not None,
            "tension_ratio": law.tension_ratio,
            "tissue": law.tissue,
            "reference": law.reference.text,
            "mark": law.reference.mark,
        }
        for law in MATERIALS.values()
    ]
    if as_json:
        all_protocols = [to_tables(built_in(name)) for name in protocol_names()]
        print_json({"schema": "openbct-protocols/1", "protocols": all_protocols, "materials": laws})
        return
    print("protocols (print one with --show NAME):")
    for name in protocol_names():
        settings = built_in(name)
        about = settings.about
        laws_used = ", ".join(f"{site} {getattr(settings, site).material}" for site in about.sites)
        print(f"  {settings.title}: {about.summary}")
        print(f"      laws: {laws_used}; scale: {settings.run.scale}")
        print(f"      for: {', '.join(about.sites)}. {about.validity}")
        if about.differs:
            print(f"      differs: {about.differs}")
        print(f"      after: {'; '.join(about.references)}")
    print("material laws:")
    for law in laws:
        limits = "" if law["yields"] else "; no yield stress: linear tests only"
        limits += "; of the tissue itself: not for clinical voxels" if law["tissue"] else ""
        print(f"  {law['name']}: {law['density']} density{limits}; {law['reference']} [{law['mark']}]")
