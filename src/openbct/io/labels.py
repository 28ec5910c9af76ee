"""Label maps in: which integer is which structure, and where it lies.

Five ways to know the names, the first that applies: a mapping that the user gives; the names that the file keeps; the table that
lies beside it; the file's own name where it holds one structure; a numbering that fits the anatomy. The last needs proof: under
the right numbering, and under no other, vertebrae lie in order from head to foot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ..errors import GeometryError, SegmentationError
from ..records import LabelMap
from ..regrid import onto
from ..volume import Volume, bounding_box, canonical, same_grid
from .label_contours import RTSTRUCT, draw_contours
from .label_drawing import Drawing, draw_nifti, draw_nrrd, is_nrrd, stem_of
from .label_names import is_bone, structure_name
from .label_paint import Painter
from .label_seg import draw_seg, is_seg, read_dicom
from .label_tables import builtin_tables, is_known, read_mapping, read_sidecar
from .nifti import SUFFIXES, is_nifti
from .numbering import check_order, name_bodies, recognise

Array = np.ndarray
NAMED_FORMATS = ("3D Slicer", "DICOM")
"""Formats whose structures a person names: what no stage knows is left out, and never shown."""


def read_labels(
    path: Path | str, *, mapping: Path | str | None = None, like: Volume | None = None, frame_uid: str | None = None
) -> LabelMap:
    """Return the structures drawn in a label map, in TotalSegmentator's names and in canonical orientation.

    Parameters
    ----------
    path
        One label map (NIfTI, NRRD, DICOM SEG or RTSTRUCT), or a folder of NIfTI files with one structure each, named by their stems.
    mapping
        Names for the numbers (or stems, or segment names): a TOML file such as ``20 = "vertebral_body_L1"``, ITK-SNAP's label
        description, 3D Slicer's colour table, or the name of a known numbering: ``"total"``, ``"verse"``, ``"ogo"`` ... Without it
        the numbering is recognised.
    like
        The scan's image: labels on another grid are brought onto it; contours need it.
    frame_uid
        The scan's DICOM frame of reference: labels that state another one are refused where their grid differs too.

    Raises
    ------
    SegmentationError
        No label, numbers without a name, structures that overlap or lie in impossible order.
    GeometryError
        The labels lie outside the scan, or belong to another frame of reference.
    SettingsError
        The mapping cannot be used.
    """
    path = Path(path)
    given = read_mapping(mapping)
    drawing = _draw(path, given, like)
    found = _numbers(drawing.volume.array)
    if not found:
        raise SegmentationError("found a label map without any label, expected at least one structure; check the segmentation")
    names, how, cautions = _name_numbers(path, drawing, found, given)
    array, names = _merge(drawing.volume.array, {number: names[number] for number in found if number in names})
    volume = canonical(drawing.volume.with_array(array))
    names, note = name_bodies(volume, names)
    check_order(volume, names)
    moved = False
    if like is not None:
        _check_frame(drawing, volume, like, frame_uid)
        volume, doubts, moved = onto(volume, like, tuple(number for number, name in names.items() if is_bone(name)))
        cautions += doubts
    kind = (
        drawing.kind
        if drawing.kind.startswith("folder")
        else f"{drawing.kind}, {len(names)} structure{'s' if len(names) != 1 else ''}, {how}"
    )
    labels = LabelMap(volume, names, f"{kind}{note}", cautions=(*drawing.cautions, *cautions), moved=moved)
    return replace(labels, digest=_digest(labels))


def _digest(labels: LabelMap) -> str:
    """Return a SHA-256 over what the labels say: numbers, names and place."""
    content = hashlib.sha256(repr(labels.volume.shape).encode())
    for k in range(labels.volume.shape[2]):  # plane by plane: a large map costs no copy
        content.update(labels.volume.array[:, :, k].astype(np.int32).tobytes())
    content.update(np.round(labels.volume.affine, 4).tobytes())
    content.update(repr(sorted(labels.names.items())).encode())
    return content.hexdigest()


def check_grid(labels: Volume, image: Volume) -> None:
    """Refuse labels that do not lie on the voxels of a scan.

    Raises
    ------
    GeometryError
        Another shape or place.
    """
    if same_grid(labels, image):
        return
    raise GeometryError(
        f"found labels of {_describe(labels)}, expected the scan's grid: {_describe(image)}; give the label map made from this"
        " scan, or resample it onto the scan with nearest neighbour"
    )


def _describe(volume: Volume) -> str:
    """Return shape, spacing and origin in words."""
    shape, spacing = " x ".join(map(str, volume.shape)), " x ".join(f"{s:.3f}" for s in volume.spacing)
    origin = ", ".join(f"{x:.1f}" for x in volume.affine[:3, 3])
    return f"{shape} voxels of {spacing} mm with origin ({origin}) mm"


def _check_frame(drawing: Drawing, volume: Volume, image: Volume, frame_uid: str | None) -> None:
    """Refuse labels of another frame of reference, whose coordinates mean nothing in the scan."""
    if not drawing.frame_uid or not frame_uid or drawing.frame_uid == frame_uid or same_grid(volume, image):
        return
    raise GeometryError(
        "found labels in another frame of reference than the scan's, and on another grid, expected labels drawn on this scan or on one of "
        "the same examination; give those, or export them on this scan's slices"
    )


def read_label_image(path: Path) -> Volume:
    """Return a NIfTI label file in canonical orientation, as integers."""
    return canonical(draw_nifti(path).volume)


def _draw(path: Path, given: Mapping[str, str] | None, like: Volume | None) -> Drawing:
    """Return what a file or folder holds, by its format."""
    if path.is_dir():
        inside = [entry for entry in sorted(path.iterdir()) if entry.is_file() and not entry.name.startswith(".")]
        if len(inside) != 1 or is_nifti(inside[0]):
            return _draw_folder(path, given)
        path = inside[0]  # an export of one object
    if is_nifti(path) or not path.exists():
        return draw_nifti(path)
    if is_nrrd(path):
        return draw_nrrd(path)
    dataset = read_dicom(path)
    if is_seg(dataset):
        return draw_seg(dataset, path)
    if str(getattr(dataset, "SOPClassUID", "")) == RTSTRUCT:
        return draw_contours(dataset, like, given)
    raise SegmentationError(
        "found a DICOM file that holds no segmentation, expected a SEG or RTSTRUCT object; give the label file, not the scan"
    )


def _numbers(array: Shaped[Array, "i j k"]) -> list[int]:
    """Return the labels that are there, without background."""
    return [int(value) for value in np.unique(array) if value != 0]


Named = tuple[dict[int, str], str, tuple[str, ...]]


def _name_numbers(path: Path, drawing: Drawing, found: list[int], given: Mapping[str, str] | None) -> Named:
    """Return a name for every number, in words how it is known, and doubts."""
    listed = ", ".join(map(str, found[:20])) + (" ..." if len(found) > 20 else "")
    if drawing.kind.startswith("folder"):
        return dict(drawing.names), "", ()
    if given is not None:
        words = drawing.written
        names = {n: name for n in found if (name := given.get(str(n), given.get(words.get(n, "")))) is not None}
        if not names:
            raise SegmentationError(
                f"found labels {listed}, none of them in the mapping, which names {', '.join(list(given)[:20])}; check --label-map"
            )
        left = len(found) - len(names)
        return names, "names from the user's mapping" + (f", {left} label(s) without a name left out" if left else ""), ()
    if drawing.kind.startswith(NAMED_FORMATS) and drawing.names:
        return _own_names(drawing, found)
    table = drawing.names
    if table and all(number in table for number in found):
        return dict(table), "names from the file's own table", ()
    beside = read_sidecar(path, stem_of(path))
    if beside is not None and any(str(number) in beside for number in found):
        names = {number: beside[str(number)] for number in found if str(number) in beside}
        return (
            names,
            "names from the table beside the file",
            _left_out(len(found) - len(names), "a number that the table does not have"),
        )
    stem = structure_name(stem_of(path))
    if found == [1] and is_known(stem):
        return {1: stem}, "named by its file", ()
    names, how = recognise(canonical(drawing.volume), found, builtin_tables())
    return names, how, ()


def _own_names(drawing: Drawing, found: list[int]) -> Named:
    """Return the names that a person or program gave the segments, those that a stage knows."""
    names = {number: drawing.names[number] for number in found if is_known(drawing.names.get(number, ""))}
    if not names:
        raise SegmentationError(
            f"found {len(found)} segments ({drawing.kind}), none with the name or code of a bone or tissue, expected names such as L1, L1 body, "
            "femur left; rename them, or say what they are with --label-map (TOML, segment name or number to structure)"
        )
    return names, "names from the file's segments", _left_out(len(found) - len(names), "a name that is no bone or tissue")


def _left_out(count: int, why: str) -> tuple[str, ...]:
    if not count:
        return ()
    return (f"{count} of the labels {'has' if count == 1 else 'have'} {why} and {'was' if count == 1 else 'were'} left out.",)


def _merge(array: Shaped[Array, "i j k"], names: Mapping[int, str]) -> tuple[Shaped[Array, "i j k"], dict[int, str]]:
    """Return the labels with numbers of one name made one number, and nameless numbers made background."""
    first: dict[str, int] = {}
    for number in sorted(names):
        first.setdefault(names[number], number)
    lookup = np.zeros(int(array.max()) + 1, dtype=np.int32)
    for number, name in names.items():
        lookup[number] = first[name]
    kind = np.uint8 if max(first.values()) < 256 else np.int32
    return lookup.astype(kind)[array], {number: name for name, number in first.items()}


def _draw_folder(folder: Path, given: Mapping[str, str] | None) -> Drawing:
    """Return one map of a folder of masks."""
    paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES))
    stems = [structure_name(stem_of(path)) for path in paths]
    if not paths:
        raise SegmentationError("found no NIfTI file in the label folder, expected one per structure, e.g. vertebrae_L1.nii.gz")
    named = [(path, stem if given is None else given.get(stem, given.get(stem_of(path), ""))) for path, stem in zip(paths, stems)]
    chosen = [(path, name) for path, name in named if name]
    if not chosen:
        raise SegmentationError(f"found {len(paths)} label files, none named in the mapping; check --label-map")
    painter: Painter | None = None
    grid: Volume | None = None
    for number, (path, _) in enumerate(chosen, start=1):
        volume = read_label_image(path)
        if grid is None or painter is None:
            grid = volume.with_array(np.broadcast_to(np.uint8(0), volume.shape))  # its place, without its voxels
            painter = Painter({n: name for n, (_, name) in enumerate(chosen, start=1)}, volume.shape)
        if not same_grid(volume, grid):
            raise GeometryError(
                f"found label files on different grids ({_describe(volume)}; {_describe(grid)}), expected one; export them together"
            )
        if volume.array.any():  # most files of a segmentation are empty here, and the others fill a small box
            box = tuple(slice(int(low), int(high)) for low, high in zip(*bounding_box(volume)))
            painter.add(box, volume.array[box] > 0, number)
        del volume  # before the next is read
    assert painter is not None and grid is not None  # there is at least one file
    array, names = painter.finish("folder", "put whole vertebrae and bodies in two folders and give --labels twice")
    if not names:
        raise SegmentationError(
            f"found {len(chosen)} label files, all empty, expected at least one structure; check the segmentation"
        )
    kind = f"folder of {len(chosen)} one-structure files, {len(names)} not empty"
    return Drawing(grid.with_array(array), names, kind)
