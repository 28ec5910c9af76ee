"""Write docs/validation/path.md: the whole path on the simulated scan and on real scans.

    python docs/validation/make_path.py

Needs the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project); without them the page is not written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from openbct.calibration import Phantomless
from openbct.io import inspect_path, read_density, read_labels, read_scan, write_ct_series, write_label_map
from openbct.phantoms import TorsoSettings, simulate_torso
from openbct.pipeline import analyze
from openbct.records import Case
from openbct.segmentation import GivenLabels
from openbct.settings import built_in, override
from openbct.volume import place_into

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("OPENBCT_TEST_DATA", HERE.parents[2] / "shared" / "data"))
LEVELS = ("T12", "L1", "L2", "L3", "L4")
VERTEBRA = '1 = "vertebral_body_L2"\n2 = "vertebral_body_L2"\n3 = "vertebrae_L2"\n4 = "vertebrae_L2"\n'
FEMUR = '2 = "femur_left"\n'

HEAD = """# The path from a scan to a strength

This page is written by `python docs/validation/make_path.py` with the default protocol; strengths are newtons of that protocol, whose scale is
provisional.

"""


def demo(folder: Path) -> list[str]:
    """Simulated scan: density of every bone against the truth that no stage has seen."""
    simulated = simulate_torso(TorsoSettings())
    write_ct_series(simulated.image, folder / "scan", patient=simulated.patient, acquisition=simulated.acquisition)
    table = write_label_map(simulated.labels, folder / "labels.nii.gz")
    scan = read_scan(folder / "scan")
    labels = read_labels(folder / "labels.nii.gz", mapping=table, like=scan.image)
    segmentation = GivenLabels((labels,), (*LEVELS, "femur_left", "femur_right"))(scan)
    calibrated = Phantomless()(scan, segmentation)
    rows = []
    for name, bone in segmentation.bones.items():
        inside = place_into(bone.mask, scan.image, False).array
        truth = float(simulated.density.array[inside].mean())
        found = float(calibrated.density.array[inside].mean())
        rows.append((name, f"{truth:.1f}", f"{found:.1f}", f"{100 * (found / truth - 1):+.1f} %"))
    settings = override(built_in(), {"run": {"bones": ["L1", "femur_left"]}}, "validation")
    case = analyze(scan, GivenLabels((labels,), ("L1", "femur_left")), settings=settings)
    return [
        "## Simulated scan (the body of `openbct demo`, seed 0; the demo takes seed 1)",
        "",
        "Mean density of the whole bone (vertebrae with their arches), mg/cm³ K₂HPO₄ equivalent. The calibration shares no constant with the simulator. "
        "What is left is mostly what bone does to the rays, which neither soft tissues nor rods below the body see (`simulator.md`). "
        "It lies within the uncertainty that the calibration states.",
        "",
        *markdown(("bone", "truth", "calibrated", "error"), rows),
        "",
        *bones(case),
    ]


def vertebra(folder: Path) -> list[str]:
    """Real vertebra from calibrated density."""
    (folder / "vertebra.toml").write_text(VERTEBRA)
    scan = read_density(DATA / "vertebra_l2" / "density.nii.gz", mineral="K2HPO4")
    labels = read_labels(DATA / "vertebra_l2" / "labels.nii.gz", mapping=folder / "vertebra.toml", like=scan.image)
    given = {"calibration": {"method": "given"}, "run": {"bones": ["L2"]}}
    rows = []
    variants: dict[str, dict[str, object]] = {
        "default: 1 mm, loaded pad free in its plane": {},
        "loaded pad bonded": {"superior": "bonded"},
        "2 mm, free": {"voxel_mm": 2.0},
        "2 mm, bonded": {"voxel_mm": 2.0, "superior": "bonded"},
        "law without the side-artefact factors": {"material": "kopperdahl2002"},
        "plain elements (no B-bar)": {"bbar": False},
    }
    independent = {
        "loaded pad bonded": "13 419, 2225, 2584",
        "2 mm, free": "14 178, 2477, 2760",
        "2 mm, bonded": "14 468, 2573, 2954",
    }
    for title, change in variants.items():
        settings = override(built_in(), {**given, "vertebra": change}, "validation")
        bone = analyze(scan, GivenLabels((labels,), ("L2",)), settings=settings).bones[0]
        assert bone.strength is not None, bone.reason
        linear = bone.strength.quantities["linear_estimate_n"]
        rows.append(
            (title, f"{bone.strength.stiffness:,.0f}", f"{bone.strength.quantities['yield_force_n']:,.0f}", f"{bone.strength.strength:,.0f}",
             f"{linear:,.0f}", independent.get(title, "–"))
        )  # fmt: skip
    region = bone.measures.values if bone.measures else {}
    return [
        "## Real vertebra (`vertebra_l2`: VerSe 004, L2, calibrated density given)",
        "",
        f"Trabecular vBMD {region['trabecular_vbmd'].value:.1f} mg/cm³ (published for this vertebra: 70.7), "
        f"integral {region['integral_vbmd'].value:.1f} mg/cm³, volume {region['volume'].value:.1f} cm³.",
        "",
        *markdown(
            ("variant", "K, N/mm", "F at 0.2 % offset, N", "F at 1.9 %, N", "0.0068·K·H, N", "independent K, F_y, F_1.9"), rows
        ),
        "",
        "The independent figures are those of a separate program on the same vertebra; its 2 mm models were block averages by a half-full rule that enlarged "
        "the body by 6 %, which our area-weighted resampling does not.",
    ]


def femur(folder: Path) -> list[str]:
    """Real femur from calibrated density."""
    (folder / "femur.toml").write_text(FEMUR)
    scan = read_density(DATA / "hip_crop" / "density.nii.gz", mineral="K2HPO4")
    labels = read_labels(DATA / "hip_crop" / "labels.nii.gz", mapping=folder / "femur.toml", like=scan.image)
    settings = override(built_in(), {"calibration": {"method": "given"}, "run": {"bones": ["femur_left"]}}, "validation")
    case = analyze(scan, GivenLabels((labels,), ("femur_left",)), settings=settings)
    return [
        "## Real femur (`hip_crop`: left proximal femur, calibrated density given)",
        "",
        "The publisher calls this bone a left femur; by the orientation in its header, and by where its acetabulum and trochanters lie, it is a right one, "
        "which the program says. An independent program on the published model of the same bone, whose pose is [another one](pose.md) than the 10° "
        "and 15° of the default: K 3696 N/mm, force at 4 % 3538 N, at the 0.2 % offset 2452 N. That our kernel "
        "gives these figures on the published grid itself, to 2 %, is held by `tests/test_fe_plasticity_benchmarks.py`.",
        "",
        *bones(case),
    ]


def abdomen(folder: Path) -> list[str]:
    """Real CT with whole-vertebra labels, and with labels of the bodies themselves."""
    scan = read_scan(DATA / "abdomen_pelvis" / "ct.nii.gz")
    labels = read_labels(DATA / "abdomen_pelvis" / "labels_vertebrae.nii.gz", like=scan.image)
    case = analyze(scan, GivenLabels((labels,), None), settings=built_in())
    (folder / "bodies.toml").write_text(
        "".join(f'{18 + n} = "vertebral_body_{level}"\n' for n, level in enumerate((*LEVELS, "L5"), start=1))
    )
    drawn = read_labels(
        DATA / "abdomen_pelvis" / "labels_vertebral_bodies.nii.gz", mapping=folder / "bodies.toml", like=scan.image
    )
    other = analyze(scan, GivenLabels((labels, drawn), None), settings=built_in())
    rows = []
    for cut, given in zip(case.bones, other.bones, strict=True):
        if cut.strength and given.strength and cut.measures and given.measures:
            volumes = [bone.measures.values["volume"].value for bone in (cut, given) if bone.measures]
            forces = [bone.strength.strength for bone in (cut, given) if bone.strength]
            rows.append(
                (cut.bone, f"{volumes[0]:.1f}", f"{volumes[1]:.1f}", f"{100 * (volumes[1] / volumes[0] - 1):+.0f} %",
                 f"{forces[0]:,.0f}", f"{forces[1]:,.0f}", f"{100 * (forces[1] / forces[0] - 1):+.0f} %")
            )  # fmt: skip
    absent = [f"- {name}: {reason}" for name, reason in case.segmentation.absent.items()]
    header = ("bone", "volume cut, cm³", "given", "difference", "strength cut, N", "given", "difference")
    return [
        "## Real CT of 3 mm voxels (`abdomen_pelvis`, whole-vertebra labels)",
        "",
        *bones(case),
        "",
        "Not assessed:",
        "",
        *absent,
        "",
        "Bodies cut by us from the whole-vertebra labels, against labels of the bodies themselves by a learned segmenter:",
        "",
        *markdown(header, rows),
    ]


def headers() -> list[str]:
    """Real DICOM series: what is read and what is told."""
    lines = ["## Real DICOM series", ""]
    for name in ("thoracolumbar_dicom", "lumbar_sagittal_dicom", "abdomen_jpeg2000_contrast_dicom", "qrm_phantom_dicom"):
        for series in inspect_path(DATA / name):
            scan = read_scan(DATA / name)
            spacing = " × ".join(f"{value:.3f}" for value in scan.image.spacing)
            low, high = (int(value) for value in np.percentile(scan.image.array, (1, 99)))
            lines += [
                f"`{name}`: {series.n_slices} slices, {series.orientation}, {' × '.join(map(str, scan.image.shape))} voxels of {spacing} mm "
                f"(left, posterior, superior), 1st to 99th percentile {low} to {high} HU; {series.verdict}:",
                "",
                *[f"- {caution}" for caution in scan.step.cautions],
                "",
            ]
    return lines


def bones(case: Case) -> list[str]:
    """Rows of what was found out about each bone."""
    rows = []
    for bone in case.bones:
        values = bone.measures.values if bone.measures else {}
        density = ", ".join(
            f"{key.replace('_', ' ')} {values[key].value:.3g} {values[key].unit.split(' ')[0]}"
            for key in ("trabecular_vbmd", "integral_vbmd", "femoral_neck_abmd", "total_hip_abmd")
            if key in values
        )
        strength = bone.strength
        rows.append(
            (bone.bone, bone.status, f"{strength.strength:,.0f}" if strength else "–", f"{strength.stiffness:,.0f}" if strength else "–",
             f"{strength.quantities.get('yield_force_n', float('nan')):,.0f}" if strength else "–", density or "–", bone.reason or "")
        )  # fmt: skip
    return markdown(("bone", "status", "strength, N", "stiffness, N/mm", "0.2 % offset, N", "density", "reason"), rows)


def markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A table."""
    return [
        "| " + " | ".join(header) + " |",
        "| " + " | ".join("---" for _ in header) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def main() -> None:
    """Write the page."""
    if not DATA.is_dir():
        raise SystemExit("no real scans here: set OPENBCT_TEST_DATA to their folder")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = [demo(folder), vertebra(folder), femur(folder), abdomen(folder), headers()]
    text = HEAD + "\n\n".join("\n".join(part).rstrip() for part in parts) + "\n"
    (HERE / "path.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
