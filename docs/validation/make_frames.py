# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/frames.md: frames and landmarks of femora and vertebrae against drawn truth, and found again.

    python docs/validation/make_frames.py [FOLDER [ROW ...]]

Rows are kept in the folder: they can be made one by one ("drawn turned", "femur 0"). Needs the real shapes (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes some minutes on one core.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from make_path import DATA, markdown
from scipy import ndimage
from scipy.spatial.transform import Rotation

from openbct.anatomy import locate_femur, locate_vertebra
from openbct.errors import SegmentationError
from openbct.phantoms.femur import Femur, FemurShape, femur
from openbct.phantoms.labeldistance import label_distance
from openbct.phantoms.spine import Vertebra, VertebraShape, vertebra
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, Step
from openbct.volume import Volume, canonical, crop

HERE = Path(__file__).resolve().parent
KEPT = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
"""Where rows are kept."""
ONLY = set(sys.argv[2:])
"""Rows to be made, all where none is named."""
Array = np.ndarray

HEAD = """# Frames and landmarks

This page is written by `python docs/validation/make_frames.py`. Labels are made from shapes, not from images: what is measured here is the anatomy stage alone, on labels
that are right but for the noise that is put on them. How well a bone is found in an image is another matter.

Every shape is cut into voxels again and again: voxels of 1 mm with 60 mm of shaft below the lesser trochanter; then one thing at a time is changed: the bone **turned** by up to
12° about each axis, **slices** of 3 mm, only **20 mm of shaft**, **noise** of 0.5 mm on the surface (standard deviation, over 4 mm); then all together (turned, 2 mm,
40 mm of shaft, noise). Cells are the root mean square over the shapes, and the largest, after turning back.

"""
NOISE_OVER = 4.0
"""Deviation of the Gaussian that makes neighbouring noise alike [mm]."""


@dataclass(frozen=True)
class Shape:
    """A bone as a field of distance in its own millimetres, on a grid of 1 mm, and what is known of it."""

    name: str
    values: Array
    start: Array
    step: float
    truth: Mapping[str, Array | float]

    def __call__(self, points: Array) -> Array:
        """Return the distance to the surface at points, n x 3; negative inside."""
        index = ((points - self.start) / self.step).T.astype(np.float32)
        return np.asarray(ndimage.map_coordinates(self.values, index, order=1, mode="nearest"))

    @property
    def box(self) -> tuple[Array, Array]:
        """Corners of the box that holds it [mm]."""
        used = [np.flatnonzero((self.values < 0).any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
        low, high = (np.array([axis[end] for axis in used]) * self.step + self.start for end in (0, -1))
        return low, high


@dataclass(frozen=True)
class Cutting:
    """How a shape becomes voxels."""

    name: str
    turn: bool = False
    slices: float = 1.0
    """[mm]"""
    shaft: float = 60.0
    """Kept below the lesser trochanter [mm]."""
    noise: float = 0.0
    """Standard deviation of the surface [mm]."""


CUTTINGS = (
    Cutting("as it is"),
    Cutting("turned", turn=True),
    Cutting("slices of 3 mm", slices=3.0),
    Cutting("20 mm of shaft", shaft=20.0),
    Cutting("noise", noise=0.5),
    Cutting("all together", turn=True, slices=2.0, shaft=40.0, noise=0.5),
)


def voxels(shape: Shape, cutting: Cutting) -> tuple[Volume, Array]:
    """Return a label, true where a voxel's centre lies inside, and the matrix that the shape was turned by."""
    random = np.random.default_rng([zlib.crc32(shape.name.encode()), zlib.crc32(cutting.name.encode())])
    angles = random.uniform(-12.0, 12.0, 3) if cutting.turn else np.zeros(3)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    low, high = shape.box
    corners = np.array([[a, b, c] for a in (low[0], high[0]) for b in (low[1], high[1]) for c in (low[2], high[2])]) @ turn.T
    spacing = np.array([1.0, 1.0, cutting.slices])
    first, last = corners.min(axis=0) - 4.0 - random.uniform(0, 1, 3) * spacing, corners.max(axis=0) + 4.0
    if "lesser_trochanter_axis" in shape.truth:
        first[2] = max(first[2], (turn @ shape.truth["lesser_trochanter_axis"])[2] - cutting.shaft)
    size = np.ceil((last - first) / spacing).astype(int)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1).reshape(-1, 3)
    values = shape((index * spacing + first) @ turn).reshape(size)
    if cutting.noise:
        rough = ndimage.gaussian_filter(random.standard_normal(size), NOISE_OVER / spacing)
        values = values + cutting.noise * rough / rough.std()
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = first
    return largest(Volume(values < 0.0, affine, "mask")), turn


def largest(mask: Volume) -> Volume:
    """Return the largest piece: noise may leave crumbs."""
    pieces, _ = ndimage.label(mask.array)
    return mask.with_array(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])))


def filled(mask: Volume) -> CalibratedVolume:
    """Return an image in which the label is dense, and denser at its ends, as bodies are."""
    depth = ndimage.distance_transform_edt(mask.array, sampling=mask.spacing)
    density = np.where(mask.array, np.where(depth < 3.0, 400.0, 200.0), 0.0).astype(np.float32)
    return CalibratedVolume(
        mask.with_array(density, "mg/cm3 K2HPO4"), "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "given")
    )


def of_region(region: BoneRegion, turn: Array) -> dict[str, Array | float]:
    """Return what the anatomy stage found, turned back: points, axes, lengths."""
    found: dict[str, Array | float] = {name: point @ turn for name, point in region.landmarks.items()}
    found["shaft axis"] = region.frame.axes[:, 2] @ turn
    if region.kind == "femur":
        to_head = region.landmarks["head_centre"] - region.landmarks["neck_centre"]
        found["neck axis"] = to_head @ turn / np.linalg.norm(to_head)
    return found | dict(region.lengths)


def femur_found(shape: Shape, cutting: Cutting) -> dict[str, Array | float]:
    """Return what is found of a left femur."""
    mask, turn = voxels(shape, cutting)
    return of_region(locate_femur(BoneMask("femur_left", mask, "whole", 1.0, True), filled(mask)), turn)


def angle(a: Array, b: Array) -> float:
    """Return the angle between two directions [degrees]."""
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


def femur_errors(found: Mapping[str, Array | float], truth: Mapping[str, Array | float]) -> dict[str, float]:
    """Return each quantity's error, in the order of the table."""

    def apart(name: str) -> float:
        return float(np.linalg.norm(found[name] - truth[name]))  # type: ignore[operator]

    axis, neck = np.asarray(truth["shaft axis"]), np.asarray(truth["neck axis"])
    off = np.asarray(found["neck_centre"]) - truth["neck_centre"]
    return {
        "head centre, mm": apart("head_centre"),
        "head radius, mm": abs(float(found["head_radius"]) - float(truth["head_radius"])),  # type: ignore[arg-type]
        "neck axis, °": angle(np.asarray(found["neck axis"]), neck),
        "shaft axis, °": angle(np.asarray(found["shaft axis"]), axis),
        "neck–shaft angle, °": abs(float(found["neck_shaft_angle_deg"]) - float(truth["neck_shaft_angle_deg"])),  # type: ignore[arg-type]
        "narrowest neck along / across the neck, mm": abs(float(off @ neck)),
        "": float(np.linalg.norm(off - (off @ neck) * neck)),
        "axes' crossing, mm": apart("neck_shaft_crossing"),
        "greater trochanter, mm": apart("greater_trochanter_tip"),
        "lesser trochanter along the shaft, mm": abs(
            float((np.asarray(found["lesser_trochanter_axis"]) - truth["lesser_trochanter_axis"]) @ axis)
        ),
    }


def table(
    key: str,
    make: Callable[[], list[Shape]],
    find: Callable[[Shape, Cutting], dict[str, Array | float]],
    errors: Callable[..., dict[str, float]],
    cuttings: tuple[Cutting, ...],
) -> list[str]:
    """Return a table of errors, one row per cutting, and what was refused; rows that are kept are not made again."""
    rows, said, names = [], [], []
    shapes: list[Shape] = []
    for cutting in cuttings:
        kept = KEPT / f"{key} {cutting.name}.json"
        if not kept.exists() and (not ONLY or f"{key} {cutting.name}" in ONLY):
            shapes = shapes or make()
            kept.write_text(json.dumps(row(shapes, cutting, find, errors)), encoding="utf-8")
        if kept.exists():
            found = json.loads(kept.read_text(encoding="utf-8"))
            names, said = found["names"], said + found["refused"]
            rows.append((cutting.name, *found["cells"]))
    return [*markdown(("", "n", *(name for name in names if name)), rows), "", *(f"- {text}" for text in said)]


def row(
    shapes: list[Shape],
    cutting: Cutting,
    find: Callable[[Shape, Cutting], dict[str, Array | float]],
    errors: Callable[..., dict[str, float]],
) -> dict[str, list[str]]:
    """Return one row's names and cells, and what was refused."""
    all_errors, said = [], []
    for shape in shapes:
        try:
            all_errors.append(errors(find(shape, cutting), shape.truth))
        except SegmentationError as error:
            said.append(f"{shape.name}, {cutting.name}: refused ({error}).")
    names = list(all_errors[0])
    values = np.array([list(one.values()) for one in all_errors])
    cells = [f"{rms:.1f} ({top:.1f})" for rms, top in zip(np.sqrt((values**2).mean(axis=0)), values.max(axis=0))]
    if "" in names:
        at = names.index("")
        cells = [*cells[: at - 1], f"{cells[at - 1]} / {cells[at]}", *cells[at + 1 :]]
    return {"names": names, "cells": [str(len(all_errors)), *cells], "refused": said}


# Shapes ---------------------------------------------------------------------------------------------------------


DRAWN = {
    "drawn, steep neck": FemurShape(neck_shaft_angle_deg=138.0, anteversion_deg=25.0),
    "drawn, level neck": FemurShape(neck_shaft_angle_deg=118.0, anteversion_deg=3.0, head_radius=24.5, offset=44.0),
    "drawn, small": FemurShape(head_radius=20.0, offset=36.0, neck_radius=12.8, anteversion_deg=-5.0),
}


def gridded(
    name: str,
    distance: Callable[[tuple[Array, Array, Array]], Array],
    low: Array,
    high: Array,
    truth: Mapping[str, Array | float],
) -> Shape:
    """Return a drawn bone as a field on a grid of 1 mm."""
    ticks = [np.arange(a, b + 1.0).astype(np.float32) for a, b in zip(low, high)]
    x, y, z = np.meshgrid(*ticks, indexing="ij")
    return Shape(name, np.asarray(distance((x, y, z)), dtype=np.float32), np.asarray(low, dtype=float), 1.0, truth)


def drawn() -> list[Shape]:
    """Return the simulator's femora with their truth."""
    found = []
    for name, shape in DRAWN.items():
        shape = replace(shape, shaft_length=75.0)
        bone = femur(shape)
        marks = bone.landmarks
        low = np.array([-shape.head_radius - 4, -42.0, marks["distal_end"][2]])
        high = np.array([bone.crossing[0] + 34, bone.crossing[1] + 34, shape.head_radius + 14])
        level = marks["lesser_trochanter"][2]
        truth: dict[str, Array | float] = {
            **{key: marks[key] for key in ("head_centre", "neck_shaft_crossing", "greater_trochanter_tip")},
            "lesser_trochanter_axis": np.array([*bone.crossing[:2], level]), "neck_centre": narrowest(bone, shape.head_radius),
            "shaft axis": np.array([0.0, 0.0, 1.0]), "neck axis": bone.neck_axis,
            "head_radius": shape.head_radius, "neck_shaft_angle_deg": shape.neck_shaft_angle_deg,
        }  # fmt: skip
        found.append(gridded(name, bone.distance, low, high, truth))
    return found


def narrowest(bone: Femur, radius: float) -> Array:
    """Return the centroid of the smallest of the sections across the drawn neck axis."""
    axis, across, above = bone.neck_frame
    ticks = np.arange(-30.0, 30.0, 0.5)
    u, v = (grid.ravel() for grid in np.meshgrid(ticks, ticks, indexing="ij"))
    best, centre = np.inf, np.zeros(3)
    for along in np.arange(0.6, 1.9, 0.02) * radius:
        points = -along * axis + u[:, None] * across + v[:, None] * above
        x, y, z = points.T.astype(np.float32)
        inside = bone.distance((x, y, z)) < 0
        if inside.sum() < best:
            best, centre = float(inside.sum()), points[inside].mean(axis=0)
    return centre


@cache
def model() -> tuple[Array, Array]:
    """Return the points of the ten bones that the shape model was made of, 10 x n x 3, and its triangles."""
    folder = DATA / "femur_shape_model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an array of the time of Python 2
        table = np.load(folder / "femur_modes.npz", allow_pickle=True)
        bones = table["mean"] + (table["modes"] @ table["projectedWeights"]).T
    text = (folder / "femur_mean.ply").read_text().split("end_header\n")[1].split()
    points = bones.reshape(len(bones), -1, 3)
    return points, np.array(text[points.shape[1] * 3 :], dtype=int).reshape(-1, 4)[:, 1:]


def mesh_label(points: Array, triangles: Array, step: float = 0.8) -> tuple[Array, Array]:
    """Return a closed mesh as voxels: every column is switched at each triangle that it meets."""
    low = points.min(axis=0) - 3.0 + 0.013
    shape = np.ceil((points.max(axis=0) + 3.0 - low) / step).astype(int)
    switch = np.zeros(shape, dtype=np.int8)
    for a, b, c in (points[triangles] - low) / step:
        first = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)[:2]).astype(int), 0)
        last = np.floor(np.maximum(np.maximum(a, b), c)[:2]).astype(int)
        if np.any(last < first):
            continue
        i, j = (
            grid.ravel()
            for grid in np.meshgrid(np.arange(first[0], last[0] + 1), np.arange(first[1], last[1] + 1), indexing="ij")
        )
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if abs(area) < 1e-12:
            continue
        s = ((i - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (j - a[1])) / area
        t = ((b[0] - a[0]) * (j - a[1]) - (i - a[0]) * (b[1] - a[1])) / area
        inside = (s >= 0) & (t >= 0) & (s + t <= 1)
        height = np.ceil(a[2] + s * (b[2] - a[2]) + t * (c[2] - a[2]))[inside].astype(int)
        np.add.at(switch, (i[inside], j[inside], np.clip(height, 0, shape[2] - 1)), 1)
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = low
    return np.cumsum(switch, axis=2) % 2 == 1, affine


def real() -> list[Shape]:
    """Return two femora of the shape model and both of one patient; what is true of them is what is found in 0.8 mm voxels, uncut."""
    points, triangles = model()
    found = [of_label(f"shape model {n}", *mesh_label(points[n], triangles)) for n in (0, 4)]
    for patient in ("002",):
        image = nib.load(DATA / "pelvis_labels" / f"patient_{patient}_labels.nii.gz")
        labels = canonical(
            Volume(np.asanyarray(image.dataobj).astype(np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine, "label")
        )
        middle = labels.shape[0] // 2
        for side, part in (("right", slice(None, middle)), ("left", slice(middle, None))):
            half = np.zeros(labels.shape, dtype=bool)
            half[part] = labels.array[part] == 2
            mask = largest(Volume(half, labels.affine, "mask"))
            found.append(of_label(f"patient {patient}, {side}", mask.array[::-1] if side == "right" else mask.array, mask.affine))
    return found


def of_label(name: str, array: Array, affine: Array) -> Shape:
    """Return a label as a shape, down to 190 mm below its top."""
    used = [np.flatnonzero(array.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    low, high = ([int(axis[0]) - 6 for axis in used], [int(axis[-1]) + 7 for axis in used])
    low[2] = max(low[2], high[2] - int(190.0 / affine[2, 2]), 0)
    part = crop(Volume(array, affine, "mask"), low, high)
    field = label_distance(name, part.array, part.affine, 0.5)
    spacing = np.diag(part.affine)[:3]
    first, last = part.affine[:3, 3], part.affine[:3, 3] + spacing * (np.array(part.shape) - 1)
    shape = gridded(name, field, first, last, {})
    index = np.stack(np.meshgrid(*(np.arange(a, b, 0.8) for a, b in zip(first, last)), indexing="ij"), axis=-1)
    fine = np.diag([0.8, 0.8, 0.8, 1.0])
    fine[:3, 3] = first
    mask = largest(Volume(shape(index.reshape(-1, 3)).reshape(index.shape[:3]) < 0, fine, "mask"))
    region = locate_femur(BoneMask("femur_left", mask, "whole", 1.0, True), filled(mask))
    return replace(shape, truth=of_region(region, np.eye(3)))


VERTEBRAE = {
    "sound": VertebraShape(),
    "wedge of 8°": VertebraShape(wedge_deg=8.0, width=48.0, depth=34.0),
    "wedge fracture of 30 %": VertebraShape(losses=(0.30, 0.15, 0.0)),
    "biconcave fracture of 25 %": VertebraShape(losses=(0.0, 0.25, 0.0)),
    "crush fracture of 30 %": VertebraShape(losses=(0.30, 0.30, 0.30)),
    "small": VertebraShape(width=37.0, depth=28.0, height=22.0, concavity=1.5),
}


def bodies() -> list[Shape]:
    """Return the simulator's vertebral bodies with their truth."""
    found = []
    for name, shape in VERTEBRAE.items():
        bone = vertebra(shape)
        half = np.array([shape.width / 2, shape.depth / 2, shape.height / 2])

        def distance(points: tuple[Array, Array, Array], bone: Vertebra = bone, back: float = shape.depth / 2 - 0.5) -> Array:
            return np.maximum(bone.body(points)[0], points[1] - np.float32(back))

        truth: dict[str, Array | float] = drawn_heights(distance, half)
        if shape.losses == (0.0, 0.0, 0.0):
            truth |= {"shaft axis": np.array([0.0, 0.0, 1.0]), "wedge_deg": shape.wedge_deg}
        found.append(gridded(name, distance, -half - 5.0, half + 5.0, truth))
    return found


def drawn_heights(distance: Callable[[tuple[Array, Array, Array]], Array], half: Array) -> dict[str, Array | float]:
    """Return the heights of a drawn body on its midline, at 15, 50 and 85 % of its depth there, by columns of 0.1 mm within 3 mm of the place."""
    y = np.arange(-half[1] - 2, half[1] + 2, 0.25).astype(np.float32)
    z = np.arange(-half[2] - 2, half[2] + 2, 0.1).astype(np.float32)
    inside = {}
    for x in (-2.0, 0.0, 2.0):
        grid = np.meshgrid(y, z, indexing="ij")
        inside[x] = distance((np.full_like(grid[0], x), *grid)) < 0
    used = y[inside[0.0].any(axis=1)]
    found: dict[str, Array | float] = {}
    for part, share in (("anterior", 0.15), ("middle", 0.50), ("posterior", 0.85)):
        at = used[0] + share * (used[-1] - used[0])
        near = {x: np.abs(y - at) <= np.sqrt(9.0 - x**2) for x in inside}
        found[f"{part}_height"] = float(np.mean(np.concatenate([0.1 * inside[x][near[x]].sum(axis=1) for x in inside])))
    return found


def body_found(shape: Shape, cutting: Cutting) -> dict[str, Array | float]:
    """Return what is found of a vertebral body."""
    mask, turn = voxels(shape, cutting)
    even = filled(mask)  # evenly: heights are read where an image has its edges, and the label's are what is measured here
    density = even.density.with_array(np.where(mask.array, 200.0, 0.0).astype(np.float32))
    return of_region(locate_vertebra(BoneMask("L2", mask, "body", 1.0, False), replace(even, density=density)), turn)


def body_errors(found: Mapping[str, Array | float], truth: Mapping[str, Array | float]) -> dict[str, float]:
    """Return each quantity's error, in the order of the table; a fractured body has no drawn axis."""
    errors = {
        f"{name.replace('_', ' ')}, mm": abs(float(found[name]) - float(truth[name]))  # type: ignore[arg-type]
        for name in ("anterior_height", "middle_height", "posterior_height")
    }
    ratios = [float(values["anterior_height"]) / float(values["posterior_height"]) for values in (found, truth)]  # type: ignore[arg-type]
    errors["anterior over posterior height, %"] = 100.0 * abs(ratios[0] - ratios[1])
    if "shaft axis" in truth:
        errors["axis, °"] = angle(np.asarray(found["shaft axis"]), np.asarray(truth["shaft axis"]))
        errors["wedge, °"] = abs(float(found["wedge_deg"]) - float(truth["wedge_deg"]))  # type: ignore[arg-type]
    return errors


def knees() -> list[str]:
    """Return anteversion of the whole femora of the shape model, by the label and by the mesh."""
    points, triangles = model()
    kept = []
    for n, bone in list(enumerate(points))[::2]:
        file = KEPT / f"femur {n}.json"
        if file.exists():
            kept.append(json.loads(file.read_text(encoding="utf-8")))
            continue
        if ONLY and file.stem not in ONLY:
            continue
        mask = Volume(*mesh_label(bone, triangles, 1.0), "mask")
        region = locate_femur(BoneMask("femur_left", mask, "whole", 1.0, True), filled(mask))
        lengths = region.lengths
        values = (
            lengths["anteversion_deg"],
            on_table(bone, region),
            lengths["neck_trochanter_angle_deg"],
            lengths["neck_shaft_angle_deg"],
        )
        file.write_text(json.dumps([n, *values]), encoding="utf-8")
        kept.append([n, *values])
    if len(kept) < 2:
        return []
    rows = [(str(int(one[0])), *(f"{value:.1f}" for value in one[1:])) for one in kept]
    values = np.array(kept)[:, 1:]
    rows.append(("mean ± SD", *(f"{m:.1f} ± {s:.1f}" for m, s in zip(values.mean(axis=0), values.std(axis=0, ddof=1)))))
    apart = np.abs(values[:, 0] - values[:, 1])
    return [
        "## Anteversion",
        "",
        f"{len(kept)} of the ten whole femora of the shape model as labels of 1 mm, down to the knee. Beside the stage's value stands that of the mesh laid on a table: turned about its length until "
        f"both condyles are equally far back. They differ by {apart.mean():.1f}° on average, {apart.max():.1f}° at most. Fifty cadaver femora had 11.7 ± 8.2° (van der Linden-van der Zwaag et al., "
        "Adv Comput Tomogr 4(1), 2015, seen).",
        "",
        *markdown(("femur", "anteversion", "on the table", "from the lesser trochanter to the neck", "neck–shaft angle"), rows),
        "",
        "The angle from the lesser trochanter to the neck varies more than the anteversion does: it cannot replace the knee. It belongs to the bone and not to the leg's pose, and so it "
        "tells whether two scans of one person lie alike.",
        "",
    ]


def on_table(points: Array, region: BoneRegion) -> float:
    """Return the anteversion of a mesh, its neck and its upper end as found, its condyles by the mesh alone [degrees]."""
    knee = points[points[:, 2] < points[:, 2].min() + 32.0]
    length = region.landmarks["lesser_trochanter_axis"] - (knee.min(axis=0) + knee.max(axis=0)) / 2
    length /= np.linalg.norm(length)
    neck = region.landmarks["head_centre"] - region.landmarks["neck_centre"]
    medial = np.array([-1.0, 0.0, 0.0]) - length * -length[0]
    medial /= np.linalg.norm(medial)
    behind = np.cross(medial, length)
    u, v = knee @ medial, knee @ behind
    best, turned = np.inf, 0.0
    for turn in np.radians(np.arange(-25.0, 25.0, 0.1)):
        across, deep = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
        inner = across < (across.min() + across.max()) / 2
        apart = abs(deep[inner].max() - deep[~inner].max())
        if apart < best:
            best, turned = apart, float(turn)
    line = medial * np.cos(turned) + behind * np.sin(turned)
    front = -(behind * np.cos(turned) - medial * np.sin(turned))
    return float(np.degrees(np.arctan2(neck @ front, neck @ line)))


def of_drawn() -> list[str]:
    """Femora with drawn truth."""
    return [
        "## Femora with drawn truth",
        "",
        "Three femora of the simulator (neck–shaft angle 118 to 138°, anteversion −5 to 25°, heads of 20 to 24.5 mm). The narrowest section is that of sections across the drawn neck axis; "
        "its area is flat there, so that its place along the neck is uncertain, and nothing depends on it but its own area. The drawn tip of the greater trochanter is the top of a ball: "
        "the highest voxel may lie beside it.",
        "",
        *table("drawn", drawn, femur_found, femur_errors, CUTTINGS),
    ]


def of_real() -> list[str]:
    """Real femora, found again."""
    return [
        "## Real femora, found again",
        "",
        "Two femora of the shape model and both of one patient (the right one as its mirror image; its label has slices of 3 mm). Nobody knows where their landmarks are: the errors are against what the "
        "stage finds in voxels of 0.8 mm with all of the shaft.",
        "",
        *table("real", real, femur_found, femur_errors, CUTTINGS[1:]),
    ]


def of_bodies() -> list[str]:
    """Vertebral bodies with drawn truth."""
    upright = tuple(cutting for cutting in CUTTINGS if cutting.shaft == 60.0 or cutting.turn)
    return [
        "## Vertebral bodies with drawn truth",
        "",
        "Six bodies of the simulator, three of them fractured. True heights are those of the drawn shape at 15, 50 and 85 % of its depth. The turn about the body's own axis is not found again in a label of the body alone: front and back are then taken beside the midline. The image is even inside the label and has no partial volume, so that the label is measured and no more; the middle height that is found is the least, the true one a mean over 3 mm. Fractured bodies have no drawn axis: axis and wedge are those of the others.",
        "",
        *table("sound", lambda: bodies()[:2] + bodies()[5:], body_found, body_errors, upright),
        "",
        "The three fractured ones.",
        "",
        *table("broken", lambda: bodies()[2:5], body_found, body_errors, upright),
    ]


SECTIONS = {"drawn": of_drawn, "bodies": of_bodies, "knees": knees, "real": of_real}


def main() -> None:
    """Write the page of the rows that are kept, and of those that are made now."""
    if not DATA.is_dir():
        raise SystemExit("no real shapes here: set OPENBCT_TEST_DATA to their folder")
    sections = ["\n".join(make()).rstrip() for make in SECTIONS.values()]
    # a section of which no row is there is left out
    text = "\n\n".join(section for section in sections if sum(line.startswith("| ") for line in section.splitlines()) > 2)
    (HERE / "frames.md").write_text(HEAD + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
