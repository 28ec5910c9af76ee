"""Label maps in: which integer is which structure, and where it lies.

Four ways to know the names, the first that applies: a mapping that the user gives; the label table that some writers keep in the
file; the file's own name where it holds one structure; a numbering that fits the anatomy. The last needs proof: under the right
numbering, and under no other, vertebrae lie in order from head to foot.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ..errors import GeometryError, ScanError, SegmentationError, SettingsError
from ..records import LabelMap
from ..volume import Volume, bounding_box, canonical, same_grid
from .nifti import SUFFIXES, read_label_table, read_nifti
from .numbering import check_order, find_centres, name_bodies, recognise

Array = np.ndarray
DATA = Path(__file__).resolve().parents[1] / "data"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
LEVEL = re.compile(r"(?:vertebrae?_)?([CTLS]\d{1,2})")
SIDE = re.compile(r"(femur|hip)_(left|right)")
MAX_OVERLAP = 0.001
"""Part of a structure that may lie inside another before a folder is refused [-] [D]."""


def read_labels(path: Path | str, *, mapping: Path | str | None = None, like: Volume | None = None) -> LabelMap:
    """Return the structures drawn in a label map, in TotalSegmentator's names and in canonical orientation.

    Parameters
    ----------
    path
        One NIfTI label map, or a folder of NIfTI files with one structure each, named by their stems.
    mapping
        Names for the numbers (or stems): a TOML file such as ``20 = "vertebral_body_L1"``, or ``"total"``, ``"total_v1"``,
        ``"verse"``. Without it the numbering is recognised.
    like
        The scan's image: labels on another grid are refused.

    Raises
    ------
    SegmentationError
        No label, numbers without a name, structures that overlap or lie in impossible order.
    GeometryError
        The labels are on another grid than the scan.
    SettingsError
        The mapping cannot be used.
    """
    path = Path(path)
    given = _read_mapping(mapping)
    labels = _read_folder(path, given) if path.is_dir() else _read_map(path, given)
    if like is not None:
        check_grid(labels.volume, like)
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


def _read_mapping(mapping: Path | str | None) -> dict[str, str] | None:
    """Return the user's names by number or stem."""
    if mapping is None:
        return None
    tables = builtin_tables()
    if str(mapping) in tables:
        return {str(key): name for key, name in tables[str(mapping)].items()}
    try:
        content: Any = tomllib.loads(Path(mapping).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"found no readable label mapping ({type(error).__name__}), expected a TOML file with lines like"
            f' 20 = "vertebral_body_L1", or one of {", ".join(tables)}'
        ) from None
    content = content.get("labels", content)
    flat = {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}
    wrong = [key for key, value in flat.items() if not isinstance(value, str) or not NAME.fullmatch(value)]
    if not flat or wrong:
        raise SettingsError(
            f"found {len(wrong)} of {len(flat)} entries in the label mapping that are no structure name, expected lines like"
            ' 20 = "vertebral_body_L1"; use letters, digits and underscores'
        )
    return {key: _full_name(value) for key, value in flat.items()}


def _full_name(name: str) -> str:
    """Return TotalSegmentator's name of a vertebra written as ``L1`` or ``vertebra_L1``."""
    found = LEVEL.fullmatch(name)
    return f"vertebrae_{found.group(1)}" if found else name


def builtin_tables() -> dict[str, dict[int, str]]:
    """Return the numberings that are known, by name."""
    with (DATA / "labels_totalsegmentator.toml").open("rb") as stream:
        tables = tomllib.load(stream)
    return {name: {int(key): value for key, value in table.items()} for name, table in tables.items()}


def read_label_image(path: Path) -> Volume:
    """Return a label file in canonical orientation, as integers."""
    try:
        volume, _ = read_nifti(path, "label")
    except ScanError as error:
        raise SegmentationError(f"labels: {error}") from None
    array = volume.array
    if array.dtype.kind == "f":
        rounded = np.rint(array)
        if np.abs(array - rounded).max() > 1e-3:
            raise SegmentationError(
                "found labels that are not whole numbers, expected integers: they were interpolated or are probabilities; export"
                " the label map itself, resampled with nearest neighbour only"
            )
        array = rounded.astype(np.int32)
    if array.size and array.min() < 0:
        raise SegmentationError(f"found labels down to {array.min()}, expected 0 for background and positive numbers")
    return canonical(volume.with_array(array))


def _read_map(path: Path, given: Mapping[str, str] | None) -> LabelMap:
    """Return a label map of one file."""
    volume = read_label_image(path)
    found = _numbers(volume.array)
    if not found:
        raise SegmentationError("found a label map without any label, expected at least one structure; check the segmentation")
    names, how = _name_numbers(path, volume, found, given)
    array, names = _merge(volume.array, {number: names[number] for number in found if number in names})
    volume = volume.with_array(array)
    names, note = name_bodies(volume, names)
    check_order(volume, names)
    _check_sides(volume, names)
    return LabelMap(volume, names, f"NIfTI label map, {len(names)} structures, {how}{note}")


def _numbers(array: Shaped[Array, "i j k"]) -> list[int]:
    """Return the labels that are there, without background."""
    return [int(value) for value in np.unique(array) if value != 0]


def _name_numbers(path: Path, volume: Volume, found: list[int], given: Mapping[str, str] | None) -> tuple[dict[int, str], str]:
    """Return a name for every number, and in words how it is known."""
    listed = ", ".join(map(str, found[:20])) + (" ..." if len(found) > 20 else "")
    if given is not None:
        names = {number: given[str(number)] for number in found if str(number) in given}
        if not names:
            raise SegmentationError(
                f"found labels {listed}, none of them in the mapping, which names {', '.join(list(given)[:20])}; check --label-map"
            )
        left = len(found) - len(names)
        return names, "names from the user's mapping" + (f", {left} label(s) without a name left out" if left else "")
    table = {number: _full_name(name) for number, name in read_label_table(path).items()}
    if table and all(number in table for number in found):
        return table, "names from the file's own table"
    tables = builtin_tables()
    stem = _stem(path)
    if found == [1] and stem in {name for known in tables.values() for name in known.values()}:
        return {1: stem}, "named by its file"
    return recognise(volume, found, tables)


def _stem(path: Path) -> str:
    """Return a file's name without .nii or .nii.gz, a plain level spelled out."""
    name = path.name
    for suffix in reversed(SUFFIXES):
        name = name.removesuffix(suffix)
    return _full_name(name)


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


def _read_folder(folder: Path, given: Mapping[str, str] | None) -> LabelMap:
    """Return one label map of a folder of masks."""
    paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES))
    stems = [_stem(path) for path in paths]
    if not paths:
        raise SegmentationError("found no NIfTI file in the label folder, expected one per structure, e.g. vertebrae_L1.nii.gz")
    chosen = [(path, (given or {}).get(stem, stem)) for path, stem in zip(paths, stems) if given is None or stem in given]
    if not chosen:
        raise SegmentationError(f"found {len(paths)} label files, none named in the mapping; check --label-map")
    array: Array | None = None
    grid: Volume | None = None
    names: dict[int, str] = {}
    for number, (path, name) in enumerate(chosen, start=1):
        volume = read_label_image(path)
        if grid is None or array is None:
            grid = volume.with_array(np.broadcast_to(np.uint8(0), volume.shape))  # its place, without its voxels
            array = np.zeros(volume.shape, dtype=np.uint8 if len(chosen) < 256 else np.int32)
        if not same_grid(volume, grid):
            raise GeometryError(
                f"found label files on different grids ({_describe(volume)}; {_describe(grid)}), expected one; export them together"
            )
        if volume.array.any():  # most files of a segmentation are empty here, and the others fill a small box
            box = tuple(slice(low, high) for low, high in zip(*bounding_box(volume)))
            _paint(array[box], volume.array[box] > 0, number, names, name)
        del volume  # before the next is read
    if grid is None or array is None or not names:
        raise SegmentationError(
            f"found {len(chosen)} label files, all empty, expected at least one structure; check the segmentation"
        )
    merged, names = _merge(array, names)
    volume = grid.with_array(merged)
    names, note = name_bodies(volume, names)
    check_order(volume, names)
    _check_sides(volume, names)
    return LabelMap(volume, names, f"folder of {len(chosen)} one-structure files, {len(names)} not empty{note}")


def _is_bone(name: str) -> bool:
    """Tell a bone that is analysed from tissue around it."""
    return name.startswith(("vertebra", "femur"))


def _paint(array: Shaped[Array, "i j k"], mask: Shaped[Array, "i j k"], number: int, names: dict[int, str], name: str) -> None:
    """Add a structure to its box of the map: bones win over tissue, and bones must not overlap."""
    under = array[mask]
    taken = [other for other in np.unique(under).tolist() if other and _is_bone(names[other]) and names[other] != name]
    if _is_bone(name):
        shared = max((int(np.count_nonzero(under == other)) for other in taken), default=0)
        if shared > MAX_OVERLAP * len(under):
            other = names[max(taken, key=lambda one: int(np.count_nonzero(under == one)))]
            raise SegmentationError(
                f"found {name} and {other} sharing {shared} voxels in one folder, expected bones apart; put whole vertebrae and"
                " bodies in two folders and give --labels twice"
            )
    array[mask] = np.where(np.isin(under, taken), under, number)
    names[number] = name


def _check_sides(volume: Volume, names: Mapping[int, str]) -> None:
    """Refuse labels whose left lies to the patient's right: a mirrored map."""
    by_name = {name: number for number, name in names.items()}
    for name, number in by_name.items():
        found = SIDE.fullmatch(name)
        other = by_name.get(f"{found.group(1)}_right") if found and found.group(2) == "left" else None
        if other is None:
            continue
        centres = find_centres(volume, [number, other])
        left, right = centres[number], centres[other]
        if left[0] < right[0]:
            raise SegmentationError(
                f"found {name} {right[0] - left[0]:.0f} mm to the right of {names[other]}, expected it to the left: the labels are"
                " mirrored or their header lost its orientation; export them again"
            )
