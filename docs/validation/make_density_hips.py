# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/density-hips.md: simulated hips with known areal density, drawn sharp, turned, blurred, put on coarse slices, measured.

    python docs/validation/make_density_hips.py [FOLDER]

FOLDER keeps the rows, one file a femur, and gives them back to the next run. Takes about ten minutes.

The truth is taken from the drawing in its own frame, where shaft, neck and trochanter lie where they were drawn: neither the
landmarks nor the projection of the program have a part in it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from make_path import markdown
from scipy import ndimage
from scipy.spatial.transform import Rotation

from openbct.anatomy import locate_femur
from openbct.measures import measure_femur
from openbct.measures.hip import BELOW_TROCHANTER, NECK_WIDTH
from openbct.phantoms import FemurShape, femur_region
from openbct.phantoms.femur import femur
from openbct.records import BoneMask, BoneMeasures, CalibratedVolume, Step
from openbct.volume import Volume, canonical, resample, to_patient

FINE = 0.75
"""Edge of the drawing's voxels [mm]."""
BLURS = {"usual": 1.0, "weak": 1.5, "upright, turned forwards": 1.0}
"""Full width at half maximum of the scanner's point spread in the plane [mm]; along the table it is 0.8 slices."""
NOISE = 25.0
"""Standard deviation [mg/cm³] in slices of 1 mm; it falls with the root of the slice."""
SLICES = (1.0, 2.0, 3.0)
INPLANE = 0.8
TURNS = {
    "as drawn": (0.0, 0.0, 0.0),
    "flexed 10°": (10.0, 0.0, 0.0), "extended 10°": (-10.0, 0.0, 0.0),
    "adducted 10°": (0.0, 10.0, 0.0), "abducted 10°": (0.0, -10.0, 0.0),
    "turned in 10°": (0.0, 0.0, 10.0), "turned out 10°": (0.0, 0.0, -10.0),
}  # fmt: skip
SHAPES = {
    "usual": FemurShape(),
    "weak": FemurShape(head_density=140.0, neck_density=50.0, trochanter_density=80.0, shaft_cortex=3.0, neck_cortex=0.8, seed=7),
    "upright, turned forwards": FemurShape(neck_shaft_angle_deg=136.0, anteversion_deg=26.0, seed=5),
}  # fmt: skip

Array = np.ndarray
Regions = tuple[tuple[float, float], tuple[float, float]]
"""Mineral [g] and area [cm²] of femoral neck and total hip."""


@dataclass(frozen=True)
class Hip:
    """One measured scan."""

    shape: str
    turn: str
    slice_mm: float
    truth: Regions
    found: Regions


def drawn(shape: FemurShape) -> tuple[Volume, Volume, Regions]:
    """Return density and mask of a right femur in fine voxels, and the true mineral and area of neck and total hip."""
    bone = femur_region(shape, side="right", spacing=FINE)
    return bone.density, bone.mask, true_areal(shape)


def true_areal(shape: FemurShape, step: float = 0.4) -> Regions:
    """Return mineral and area of neck and total hip from the drawing alone."""
    thigh = femur(shape)
    neck, origin = thigh.neck_axis, thigh.crossing
    across = np.array([neck[0], neck[1], 0.0]) / np.hypot(neck[0], neck[1])
    depth = np.cross([0.0, 0.0, 1.0], across)
    u, d, v = (np.arange(low, high, step) for low, high in ((-35.0, 75.0), (-45.0, 45.0), (-60.0, 75.0)))
    areal, silhouette = (np.zeros((len(u), len(v))) for _ in range(2))
    for number, along in enumerate(v):
        grid = np.meshgrid(u, d, indexing="ij")
        points = origin[:, None] + across[:, None] * grid[0].ravel() + depth[:, None] * grid[1].ravel()
        points[2] += along
        field = thigh.field(tuple(row.astype(np.float32) for row in points))
        inside, inner = (np.clip(0.5 - distance / step, 0.0, 1.0) for distance in (field.distance, field.distance + field.shell))
        density = ((inside - inner) * field.compact + inner * field.cancellous).reshape(grid[0].shape)
        areal[:, number] = density.sum(axis=1) * step / 1e4
        silhouette[:, number] = inside.reshape(grid[0].shape).max(axis=1) >= 0.5
    uu, vv = np.meshgrid(u, v, indexing="ij")
    n = np.array([neck @ across, neck[2]]) / np.hypot(neck @ across, neck[2])
    along_neck = uu * n[0] + vv * n[1]
    t = along_neck - narrowest(silhouette > 0, along_neck, thigh.neck_length)
    box = _middle((silhouette > 0) & (np.abs(t) <= NECK_WIDTH / 2))
    lowest = thigh.landmarks["lesser_trochanter"][2] - origin[2] - BELOW_TROCHANTER
    whole = box | ((silhouette > 0) & (t < -NECK_WIDTH / 2) & (vv >= lowest))
    cell = step**2 / 100.0
    neck_sums, hip_sums = ((float(areal[one].sum()) * cell, float(one.sum()) * cell) for one in (box, whole))
    return neck_sums, hip_sums


def narrowest(silhouette: Array, along: Array, length: float) -> float:
    """Return where along the neck [mm from the shaft's axis] the box holds the least area of the silhouette."""
    places = np.arange(0.3 * length, 0.75 * length, 0.25)
    areas = [float(_middle(silhouette & (np.abs(along - place) <= NECK_WIDTH / 2)).sum()) for place in places]
    return float(places[int(np.argmin(ndimage.uniform_filter1d(areas, 7)))])


def _middle(pixels: Array) -> Array:
    """Return the largest piece."""
    labels, _ = ndimage.label(pixels)
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def scanned(
    density: Volume, mask: Volume, turn: tuple[float, float, float], slice_mm: float, blur: float, seed: int
) -> tuple[Volume, Volume]:
    """Return the bone turned about its head, blurred, on slices, with noise; and the label that half-filled voxels make."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    affine = matrix @ density.affine
    sigma = np.array([blur, blur, max(blur, 0.8 * slice_mm)]) / 2.355
    corners = to_patient(
        affine, np.array(np.meshgrid(*[(0, n - 1) for n in density.shape], indexing="ij")).reshape(3, -1).T.astype(float)
    )
    spacing = np.array([INPLANE, INPLANE, slice_mm])
    low = corners.min(axis=0) + 0.37 * spacing
    # The image ends in the shaft, above where the turned drawing ends.
    shaft = to_patient(affine, np.argwhere(mask.array[:, :, :1]).astype(float))
    low[2] = float(shaft[:, 2].max()) + 1.0 if len(shaft) else low[2]
    counts = np.ceil((corners.max(axis=0) - low) / spacing).astype(int)
    shape = (int(counts[0]), int(counts[1]), int(counts[2]))
    target = np.diag([*spacing, 1.0])
    target[:3, 3] = low
    fat = float(np.percentile(density.array, 1))
    # Blur on the fine grid along the scanner's axes: the drawing is brought onto them first.
    fine = np.diag([FINE, FINE, FINE, 1.0])
    fine[:3, 3] = low
    many = np.ceil(counts * spacing / FINE).astype(int)
    upright = resample(
        Volume(density.array, affine, density.unit), (int(many[0]), int(many[1]), int(many[2])), fine, order=1, fill=fat
    )
    blurred = upright.with_array(ndimage.gaussian_filter(upright.array.astype(np.float32), sigma / FINE))
    image = resample(blurred, shape, target, order=1, fill=fat)
    noise = np.random.default_rng(seed).normal(0.0, NOISE / np.sqrt(slice_mm), shape)
    turned = Volume(mask.array.astype(np.float32), affine, "share")
    share = resample(turned, (int(many[0]), int(many[1]), int(many[2])), fine, order=1)
    box = ndimage.uniform_filter(share.array, np.maximum(spacing / FINE, 1.0).round().astype(int))
    label = resample(share.with_array(box), shape, target, order=1).array >= 0.5
    return image.with_array((image.array + noise).astype(np.float32)), Volume(label, target, "mask")


def measured(density: Volume, mask: Volume) -> BoneMeasures:
    """Return what the program measures."""
    calibrated = CalibratedVolume(density, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "truth"))
    return measure_femur(locate_femur(BoneMask("femur_right", canonical(mask), "whole", 1.0, True), calibrated), calibrated)


def poses(name: str) -> list[tuple[str, float]]:
    """Return what a femur is scanned as: as drawn on every slice, turned on one slice each, taken in turn."""
    first = list(SHAPES).index(name)
    turned = [turn for turn in TURNS if turn != "as drawn"]
    return [("as drawn", edge) for edge in SLICES] + [(turn, SLICES[(first + n) % 3]) for n, turn in enumerate(turned)]


def hips(name: str) -> list[Hip]:
    """Return a shape on three slice thicknesses, and turned by 10° each way about each axis."""
    rows: list[Hip] = []
    density, mask, truth = drawn(replace(SHAPES[name], shaft_length=60.0))
    for turn, slice_mm in poses(name):
        values = measured(*scanned(density, mask, TURNS[turn], slice_mm, BLURS[name], seed=len(rows))).values
        neck, hip = ((values[f"{region}_bmc"].value, values[f"{region}_area"].value) for region in ("femoral_neck", "total_hip"))
        rows.append(Hip(name, turn, slice_mm, truth, (neck, hip)))
    return rows


LIMIT = 0.02
"""Of the error of an areal density [g/cm²]."""
HEAD = """# Areal density of simulated hips

This page is written by `python docs/validation/make_density_hips.py`. Asked: within 0.02 g/cm² on slices of 1 to 3 mm, turned by ± 10°.

"""


def errors_of(rows: list[Hip]) -> tuple[Array, Array, Array]:
    """Return the errors of areal density [g/cm²], mineral and area [%], each by row and by neck and hip."""
    found, true = (np.array([getattr(row, side) for row in rows]) for side in ("found", "truth"))
    areal = found[..., 0] / found[..., 1] - true[..., 0] / true[..., 1]
    share = 100.0 * (found / true - 1.0)
    return areal, share[..., 0], share[..., 1]


def hip_page(rows: list[Hip]) -> list[str]:
    """Simulated hips against their drawing."""
    areal, mineral, area = errors_of(rows)
    true = [[content / size for content, size in row.truth] for row in rows]
    lines = [
        "Three drawn femora in the pose in which they were drawn, on slices of 1, 2 and 3 mm, and turned by 10° each way about each axis; pixels of 0.8 mm, blur of 1 mm (the weak one: 1.5 mm) in the "
        "plane and 0.8 slices along the table, noise of 25 mg/cm³ in slices of 1 mm. The label is what half-filled voxels make; soft tissue is fat. The **truth** is summed from the drawing in its own frame: box of 15 mm "
        "where it holds the least area of the drawn silhouette, total hip to 10 mm below the drawn lesser trochanter; neither landmarks nor projection of the program have a part in it. The reach of the rim (2 mm) and the flatness of the search (1.02) were set on the usual femur; the other two only report.",
        "",
        *markdown(
            ("femur", "pose", "slice, mm", "neck, g/cm²", "error", "mineral", "area", "total hip, g/cm²", "error", "mineral", "area"),
            [
                (
                    row.shape, row.turn, f"{row.slice_mm:g}",
                    f"{true[n][0]:.3f}", f"{areal[n, 0]:+.3f}", f"{mineral[n, 0]:+.1f} %", f"{area[n, 0]:+.1f} %",
                    f"{true[n][1]:.3f}", f"{areal[n, 1]:+.3f}", f"{mineral[n, 1]:+.1f} %", f"{area[n, 1]:+.1f} %",
                )
                for n, row in enumerate(rows)
            ],
        ),
        "",
        *markdown(
            ("", "mean error, g/cm²", "standard deviation", "largest", f"within ± {LIMIT:g}"),
            [
                (name, f"{areal[:, i].mean():+.3f}", f"{areal[:, i].std():.3f}", f"{areal[np.abs(areal[:, i]).argmax(), i]:+.3f}", f"{int((np.abs(areal[:, i]) <= LIMIT).sum())} of {len(rows)}")
                for i, name in enumerate(("femoral neck", "total hip"))
            ],
        ),
        "",
    ]  # fmt: skip
    moved = np.array([areal[n] - areal[still(rows, row)] for n, row in enumerate(rows) if row.turn != "as drawn"])
    worst = np.abs(moved).max(axis=0)
    return [
        *lines,
        f"Turning the leg by 10° moves the neck by at most {worst[0]:.3f} g/cm² and the total hip by at most {worst[1]:.3f} g/cm² against the pose as drawn on the same slices; half a unit of T is 0.06 g/cm².",
        "",
        "Along this neck the areal density rises by about 0.02 g/cm² for each millimetre towards the head: where the box lies decides the neck's number, here as in DXA. Not in this trial: the socket beside the head, "
        "a label drawn by a segmenter, calibration.",
        "",
    ]  # fmt: skip


def still(rows: list[Hip], moved: Hip) -> int:
    """Return the row of the same femur as drawn, on the same slices."""
    return next(
        n for n, row in enumerate(rows) if (row.shape, row.slice_mm, row.turn) == (moved.shape, moved.slice_mm, "as drawn")
    )


def kept_hips(name: str, path: Path | None) -> list[Hip]:
    """Return the rows of a femur, from an earlier run where it kept them."""
    if path is not None and path.is_file():
        return [Hip(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    rows = hips(name)
    if path is not None:
        path.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    return rows


def main() -> None:
    """Write the page."""
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    rows = [row for number, name in enumerate(SHAPES) for row in kept_hips(name, kept / f"hips_{number}.json" if kept else None)]
    page = Path(__file__).resolve().parent / "density-hips.md"
    page.write_text(HEAD + "\n".join(hip_page(rows)).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
