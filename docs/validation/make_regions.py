# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/regions.md: the regions that are measured, against drawn truth.

    python docs/validation/make_regions.py [FOLDER [ROW ...]]

Rows are kept in the folder, and can be made one by one ("femur 1 mm"). Takes a minute on one core.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from make_path import markdown
from scipy import ndimage

from openbct.anatomy import locate_femur, locate_vertebra
from openbct.measures import measure_femur, measure_vertebra
from openbct.measures.shell import measure_shell
from openbct.phantoms import FemurShape, SimulatedBone, VertebraShape, femur_region, vertebra_region
from openbct.phantoms.femur import femur
from openbct.phantoms.spine import vertebra
from openbct.records import BoneMask, CalibratedVolume, Step
from openbct.volume import Volume, to_patient

HERE = Path(__file__).resolve().parent
KEPT = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
ONLY = set(sys.argv[2:])
BLUR, NOISE = 0.9, 30.0
"""Standard deviation of the blur [mm] and of the noise [mg/cm3]."""
BANDS = ((0.6, 1.0), (1.0, 1.5), (1.5, 2.5), (2.5, 4.0), (4.0, 9.0))
"""Of the drawn thickness of a femur's cortex [mm]."""

HEAD = f"""# Regions and cortex

This page is written by `python docs/validation/make_regions.py`. Bones of the simulator, drawn with a cortex of known thickness, are blurred ({BLUR:g} mm standard deviation) and made noisy ({NOISE:g} mg/cm³); their masks are the drawn ones. What
is measured here is the measures stage alone.

"""

BODIES = {
    "usual body, 1 mm": (VertebraShape(), 1.0),
    "usual body, 1.5 mm": (VertebraShape(), 1.5),
    "low density, 1 mm": (VertebraShape(trabecular_density=40.0), 1.0),
    "small body, 1 mm": (VertebraShape(width=37.0, depth=28.0, height=22.0), 1.0),
    "wedge fracture of 30 %, 1 mm": (VertebraShape(losses=(0.30, 0.15, 0.0)), 1.0),
    "thick cortex (1 mm), 1 mm": (VertebraShape(cortex=1.0, endplate=1.0), 1.0),
}
FEMORA = {"femur 1 mm": (FemurShape(), 1.0), "femur 1.5 mm": (FemurShape(), 1.5), "small femur 1.5 mm": (FemurShape(head_radius=20.0, offset=36.0, neck_radius=12.8), 1.5)}  # fmt: skip


def scanned(bone: SimulatedBone, seed: int) -> CalibratedVolume:
    """Return the bone blurred and noisy, as a calibrated image."""
    soft = ndimage.gaussian_filter(bone.density.array.astype(float), BLUR / bone.density.spacing)
    noisy = bone.density.with_array((soft + np.random.default_rng(seed).normal(0.0, NOISE, soft.shape)).astype(np.float32))
    return CalibratedVolume(noisy, "K2HPO4", "fixed", 0.8, 0.0, np.diag([0.02**2, 9.0]), (), Step("calibration", "fixed"))


def own(frame: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return points of the patient in the bone's own frame, as the drawn fields take them."""
    return tuple(to_patient(np.linalg.inv(frame), points).T.astype(np.float32))


def body(name: str) -> list[str]:
    """Return a row of a vertebral body."""
    shape, spacing = BODIES[name]
    bone = vertebra_region(shape, spacing=spacing)
    image = scanned(bone, 1)
    measures = measure_vertebra(locate_vertebra(BoneMask("L2", bone.mask, "body", 1.0, False), image), image)
    roi = measures.regions["trabecular"]
    points = to_patient(roi.affine, np.argwhere(roi.array).astype(float))
    field = vertebra(shape).field(own(bone.frame, points))
    inside = -field.distance - field.shell
    drawn = bone.density.array[_indices(bone.density, points)]
    values = measures.values
    truth_volume = float(bone.mask.array.sum()) * bone.mask.voxel_volume / 1000.0
    return [
        f"{roi.array.sum() * roi.voxel_volume / 1000:.1f}", f"{100 * float((inside < 0).mean()):.1f}", f"{inside.min():.1f}", f"{float(drawn.mean()):.0f} / {values['trabecular_vbmd'].value:.0f}",
        f"{truth_volume:.1f} / {values['volume'].value:.1f}", f"{shape.cortex * shape.cortical_density / 1000:.2f} / {values['cortex_thickness'].value:.2f}",
        f"{shape.endplate * shape.cortical_density / 1000:.2f} / {values['endplate_thickness'].value:.2f}",
    ]  # fmt: skip


def _indices(volume: Volume, points: np.ndarray) -> tuple[np.ndarray, ...]:
    index = np.rint(to_patient(np.linalg.inv(volume.affine), points)).astype(int)
    return tuple(np.clip(index, 0, np.array(volume.shape) - 1).T)


def hip(name: str) -> dict[str, list[str]]:
    """Return the rows of a femur: its regions, and its cortex by drawn thickness."""
    shape, spacing = FEMORA[name]
    bone = femur_region(shape, spacing=spacing)
    image = scanned(bone, 2)
    region = locate_femur(BoneMask(bone.bone, bone.mask, "whole", 1.0, True), image)
    measures, drawn = measure_femur(region, image), femur(shape)
    parts = {}
    axis = drawn.neck_axis
    for part in ("femoral_neck", "trochanteric", "intertrochanteric"):
        voxels = measures.regions[f"volume_{part}"]
        points = to_patient(voxels.affine, np.argwhere(voxels.array).astype(float))
        true = float(bone.density.array[_indices(bone.density, points)].mean())
        found = measures.values[f"{part}_vbmd"].value
        parts[part] = (true, found, points)
    local = np.stack(own(bone.frame, parts["femoral_neck"][2]), axis=1)
    along = -(local @ axis)
    shell = measure_shell(region.mask, region.density, shape.cortical_density)
    thick = drawn.field(own(bone.frame, shell.points + 0.3 * shell.inwards)).shell
    cells = []
    for low, high in BANDS:
        chosen = (thick >= low) & (thick < high) & np.isfinite(shell.thickness)
        error = shell.thickness[chosen] - thick[chosen]
        cells.append(
            f"{thick[chosen].mean():.2f} / {shell.thickness[chosen].mean():.2f} ± {error.std():.2f} ({int(chosen.sum())})"
            if chosen.any()
            else "–"
        )
    cortex = measures.regions["volume_cortex"]
    where = np.argwhere(region.mask.array)
    field = drawn.field(own(bone.frame, to_patient(region.mask.affine, where.astype(float))))
    true_cortex = -field.distance <= np.maximum(field.shell, spacing / 2)
    found_cortex = cortex.array[tuple(where.T)]
    overlap = 2.0 * float((true_cortex & found_cortex).sum()) / float(true_cortex.sum() + found_cortex.sum())
    return {
        "regions": [
            *(f"{true:.0f} / {found:.0f}" for true, found, _ in parts.values()),
            f"{along.min():.1f} to {along.max():.1f}", f"{np.linalg.norm(region.landmarks['head_centre'] - region.landmarks['neck_centre']):.1f}", f"{overlap:.2f}",
        ],
        "cortex": [*cells, f"{shell.blur:.2f}"],
    }  # fmt: skip


def main() -> None:
    """Write the page of the rows that are kept, and of those that are made now."""
    KEPT.mkdir(parents=True, exist_ok=True)
    rows: dict[str, object] = {}
    for names, make in ((BODIES, body), (FEMORA, hip)):
        for name in names:
            file = KEPT / f"{name}.json"
            if not file.exists() and (not ONLY or name in ONLY):
                file.write_text(json.dumps(make(name)), encoding="utf-8")
            if file.exists():
                rows[name] = json.loads(file.read_text(encoding="utf-8"))
    lines = [
        "## Trabecular region of the body",
        "",
        "An ellipse in the front of the body at mid-height. The second column is the share of its voxels whose centre lies in the drawn cortex or outside the bone, the third how far the nearest stays from the cortex. "
        "Drawn and found: density of the same voxels before blur and noise, and as measured; thickness as its mass, in mm of 1000 mg/cm³, which is what a shell thinner than the blur shows.",
        "",
        *markdown(
            ("body", "region, cm³", "in the cortex, %", "nearest to the cortex, mm", "density drawn / found, mg/cm³", "volume of the mask / measured, cm³", "cortex drawn / found, mm", "endplates drawn / found, mm"),
            [(name, *rows[name]) for name in BODIES if name in rows],  # type: ignore[misc]
        ),
        "",
        "## Regions of the hip",
        "",
        "Density of all bone of a region, before blur and noise and as measured (blur carries some of the surface's mineral out of the mask); where the neck's region lies along the drawn neck axis, from the head's centre, and the found narrowest section, "
        "near which it is put, 15 mm wide, where it holds the least projected area; overlap (Dice) of the mask `cortex` with the drawn cortex (at least the surface's own voxels in both).",
        "",
        *markdown(
            ("femur", "neck, drawn / found, mg/cm³", "trochanteric", "intertrochanteric", "neck's region from / to, mm", "narrowest section, mm", "cortex mask, Dice"),
            [(name, *rows[name]["regions"]) for name in FEMORA if name in rows],  # type: ignore[index]
        ),
        "",
        "## Thickness of a femur's cortex",
        "",
        "Mean drawn / mean found ± standard deviation of the difference (points), in bands of the drawn thickness [mm]; last, the blur that the fit found (put in: 0.9 mm and half a voxel's share).",
        "",
        *markdown(
            ("femur", *(f"{low:g} to {high:g}" for low, high in BANDS), "blur, mm"),
            [(name, *rows[name]["cortex"]) for name in FEMORA if name in rows],  # type: ignore[index]
        ),
    ]  # fmt: skip
    (HERE / "regions.md").write_text(HEAD + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
