"""The result folder: result.json, results.csv, protocol.toml, each bone's fields, and the case file that a report is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, ModelError, OutputError
from ..records import BoneResult, Case, LabelMap
from ..volume import Volume
from .case_file import read_case_file, write_case_file
from .case_json import SCHEMA, anonymise, case_to_tables, csv_rows
from .files import prepare_folder, write_bytes, write_json, write_table, write_volume
from .followup_files import COMPARISON
from .fracture_tables import fracture_rows
from .models import FORMATS, from_fe_model, write_model
from .signed_store import is_signed
from .source_series import SOURCE
from .toml_text import to_toml
from .vtu import vtu_bytes

CASE_FILE = "case.openbct"
RESULT, TABLE, PROTOCOL, BONES = "result.json", "results.csv", "protocol.toml", "bones"
FRACTURES = "fractures.csv"
REPORTS = ("report.html", "report.pdf")
LABEL_FILES = ("labels.nii.gz", "labels.toml", "labels.ctbl", "labels.txt", "labels.dcm")
BONE_FILES = {
    "density": "density.nii.gz",
    "mask": "mask.nii.gz",
    "failed": "failed.nii.gz",
    "model": "model.vtu",
    "regions": "regions.nii.gz",
    "region_names": "regions.toml",
}
REGION_LABELS = {
    "bone": 1,
    "trabecular": 2,
    "volume_femoral_neck": 3,
    "volume_trochanteric": 4,
    "volume_intertrochanteric": 5,
}
"""Region of a bone's measures to its number in regions.nii.gz."""
IN_CORTEX = 10
"""Added to the number of a voxel that lies in the cortex."""
MODEL_FILES = {f"model_{name}": f"model{entry.suffix}" for name, entry in FORMATS.items() if entry.read is not None}
"""Models for other programs, which are written where they are asked for."""
SCHEMA_FILE = Path(__file__).resolve().parents[1] / "data" / "result.schema.json"


def write_case(case: Case, folder: Path | str, *, anonymous: bool = False, fields: bool = True) -> list[Path]:
    """Write a case into a folder; returns the files, every one of them whole.

    Parameters
    ----------
    anonymous
        Leave out names, numbers, dates and UIDs.
    fields
        Also write each bone's fields; ``False`` where :func:`write_bone` has done so.

    Raises
    ------
    OutputError
        No room, no permission; what was written before stays.
    """
    folder = Path(folder)
    prepare_folder(folder)
    if anonymous:
        case = anonymise(case)
    written = [path for bone in case.bones for path in write_bone(bone, folder)] if fields else []
    written += write_tables(case, folder)
    write_case_file(case, folder / CASE_FILE)
    return [*written, folder / CASE_FILE]


def write_tables(case: Case, folder: Path) -> list[Path]:
    """Write result.json, results.csv and protocol.toml, for a case that may still grow; returns the files.

    Raises
    ------
    OutputError
        No room, no permission.
    """
    listed = {bone.bone: _files_of(bone, folder) for bone in case.bones}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / RESULT, case_to_tables(case, created=created, files=listed))
    write_table(folder / TABLE, csv_rows(case))
    write_bytes(folder / PROTOCOL, to_toml(case.settings).encode("utf-8"))
    names = [RESULT, TABLE, PROTOCOL]
    if case.fractures is not None and (rows := fracture_rows(case.fractures)):
        write_table(folder / FRACTURES, rows)
        names.append(FRACTURES)
    return [folder / name for name in names]


def start_folder(folder: Path) -> None:
    """Remove what an earlier run left in a result folder, by the names that we give: it would pass for the new run's.

    Raises
    ------
    OutputError
        A file cannot be removed, or a physician has signed what is there.
    """
    if is_signed(folder):
        raise OutputError(
            "found a signed interpretation in the output folder, expected a folder without one: a new result would stand under an old "
            "signature; choose another folder with -o"
        )
    names = [RESULT, TABLE, FRACTURES, CASE_FILE, SOURCE, COMPARISON, *REPORTS, *LABEL_FILES]
    names += [
        str(path.relative_to(folder)) for name in (BONE_FILES | MODEL_FILES).values() for path in folder.glob(f"{BONES}/*/{name}")
    ]
    try:
        for name in names:
            (folder / name).unlink(missing_ok=True)
        for place in folder.glob(f"{BONES}/*"):
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
    except OSError as error:
        raise OutputError(
            f"found an earlier result that cannot be removed ({error.strerror}), expected permission; choose another folder with -o"
        ) from error


def _files_of(bone: BoneResult, folder: Path) -> dict[str, str]:
    """Return what this result has on disk, as paths within the folder: an earlier run's files do not count."""
    placed = bone.specimen is not None or bone.region is not None
    modelled = bone.model is not None or bone.strength is not None  # a bone that was taken over brings its model's files alone
    expected = {"density": placed, "mask": placed, "failed": bone.strength is not None, "model": modelled}
    expected |= dict.fromkeys(("regions", "region_names"), bone.measures is not None and bone.region is not None)
    expected |= dict.fromkeys(MODEL_FILES, modelled)
    found = {kind: f"{BONES}/{bone.bone}/{name}" for kind, name in (BONE_FILES | MODEL_FILES).items() if expected[kind]}
    return {kind: name for kind, name in found.items() if (folder / name).is_file()}


def write_bone(result: BoneResult, folder: Path) -> list[Path]:
    """Write one bone's fields under ``bones/NAME``: density, mask (1 bone, 2 pad) and failure on the specimen's grid, the model, and the
    regions of the measures on the scan's own voxels, with their names.

    A bone that was refused before it was mounted leaves its density and mask on the scan's grid; one never located nothing.
    """
    place = Path(folder) / BONES / result.bone
    files = {kind: place / name for kind, name in BONE_FILES.items()}
    written: list[Path] = []

    def save(kind: str, volume: Volume) -> None:
        write_volume(volume, files[kind])
        written.append(files[kind])

    if result.specimen is not None:
        specimen = result.specimen
        unit = f"mg/cm3 {specimen.mineral}"
        save("density", Volume(np.where(specimen.mask, specimen.density, 0.0).astype(np.float32), specimen.to_patient, unit))
        labels = specimen.mask.astype(np.uint8) + 2 * specimen.pad.astype(np.uint8)
        save("mask", Volume(labels, specimen.to_patient, "label"))
        if result.strength is not None:
            affine = result.model.to_patient if result.model else specimen.to_patient
            save("failed", Volume(result.strength.failed.astype(np.float32), affine, "strain"))
    elif result.region is not None:
        save(
            "density",
            Volume(result.region.density.array.astype(np.float32), result.region.density.affine, result.region.density.unit),
        )
        save("mask", Volume(result.region.mask.array.astype(np.uint8), result.region.mask.affine, "label"))
    if result.model is not None:
        write_bytes(files["model"], _model_bytes(result))
        written.append(files["model"])
    regions = _regions_of(result)
    if regions is not None:
        written += [files["regions"], write_label_map(regions, files["regions"])]
    return written


def _regions_of(result: BoneResult) -> LabelMap | None:
    """Return where densities were measured, on the scan's own voxels; ``None`` where there are no such regions."""
    if result.region is None or result.measures is None:
        return None
    mask, regions = result.region.mask, result.measures.regions
    labels = mask.array.astype(np.uint8)
    for name, number in REGION_LABELS.items():
        if name in regions and regions[name].shape == mask.shape:
            labels[regions[name].array] = number
    cortex = next((regions[name].array for name in ("cortex", "volume_cortex") if name in regions), None)
    if cortex is not None and cortex.shape == mask.shape:
        labels[cortex] += IN_CORTEX
    names = {number: name.removeprefix("volume_") for name, number in REGION_LABELS.items()}
    names |= {number + IN_CORTEX: f"{name}_cortex" for number, name in names.items()}
    present = set(np.unique(labels).tolist())
    volume = Volume(labels, mask.affine, "label")
    return LabelMap(volume, {number: name for number, name in names.items() if number in present}, "regions of the measures")


def _model_bytes(result: BoneResult) -> bytes:
    """Return the finite-element model with what is known on it."""
    model, strength = result.model, result.strength
    assert model is not None
    cells: dict[str, Any] = {"youngs_modulus_mpa": model.youngs_modulus, "is_bone": model.mask}
    points: dict[str, Any] = {}
    if strength is not None:
        cells["equivalent_plastic_strain"], points["displacement_mm"] = strength.failed, strength.displacement
        if strength.stress is not None:
            cells["von_mises_stress_mpa"] = strength.stress.astype(np.float32)
    return vtu_bytes(model.youngs_modulus > 0, model.to_patient, cells=cells, points=points)


def write_models(result: BoneResult, folder: Path, formats: Sequence[str]) -> tuple[str, ...]:
    """Write one bone's model for other programs, at the travel of its strength; returns what they do not hold.

    A bone without a strength has no model: nobody knows how far it would be taken.

    Raises
    ------
    OutputError
        No room, no permission.
    SettingsError
        An unknown format, or one that needs a package that is not installed.
    """
    if not formats or result.model is None or result.strength is None:
        return ()
    strength = result.strength
    travel = strength.quantities["strength_travel_mm"]
    said = (
        f"Solved by OpenBCT, its strength is {strength.strength:.6g} N, its stiffness {strength.stiffness:.6g} N/mm.",
        strength.step.sentence,
        result.model.step.sentence,
    )
    cautions: list[str] = []
    try:
        # A linear test has no failed element and is taken to its strength as an elastic body.
        model = from_fe_model(result.model, travel=travel, plastic=bool(strength.failed.any()))
        model = replace(model, notes=(*model.notes, *said))
    except ModelError as error:
        return (f"{result.bone}: no model for other programs: {error}.",)
    if model.plastic and model.tension_ratio == 1.0 and "von Mises" not in strength.criterion:
        cautions.append(
            f"{result.bone}: the yield stresses are those of a von Mises solid; the test had another ({strength.criterion})."
        )
    for name in formats:
        path = Path(folder) / BONES / result.bone / MODEL_FILES.get(f"model_{name}", "")
        try:
            lost = write_model(model, path, format=name)
        except ModelError as error:
            lost = (f"not written: {error}.",)
        cautions += [f"{result.bone}, {name}: {text}" for text in lost]
    return tuple(cautions)


def write_label_map(labels: LabelMap, path: Path | str) -> Path:
    """Write a label map as NIfTI and its names as TOML beside it; returns the TOML, for ``--label-map``.

    Raises
    ------
    OutputError
        No room, no permission.
    """
    path = Path(path)
    write_volume(labels.volume, path)
    names = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".toml")
    write_bytes(names, to_toml({str(number): name for number, name in labels.names.items()}).encode("utf-8"))
    return names


def read_result(folder: Path | str) -> dict[str, Any]:
    """Return the content of a folder's result.json.

    Raises
    ------
    InputError
        There is none, it is damaged, or of another schema.
    """
    try:
        table: Any = json.loads((Path(folder) / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"found no {RESULT} in the folder, expected the result of an earlier run; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"found a {RESULT} that cannot be read ({type(error).__name__}), expected JSON; analyse the scan again"
        ) from None
    schema = table.get("schema") if isinstance(table, Mapping) else None
    if schema != SCHEMA:
        raise InputError(f"found a result of schema {schema!r}, expected {SCHEMA!r}; analyse the scan again with this version")
    return dict(table)


def read_case(folder: Path | str) -> Case:
    """Return the case of a result folder, FE models left out.

    Raises
    ------
    InputError
        There is none, or it is damaged.
    """
    return read_case_file(Path(folder) / CASE_FILE)


def case_digest(folder: Path | str) -> str:
    """Return the SHA-256 of the stored case of a result folder: what a report, an object or a signature is of.

    Raises
    ------
    InputError
        There is none.
    """
    try:
        with (Path(folder) / CASE_FILE).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        raise InputError(f"found no {CASE_FILE} in the folder, expected the result of an earlier run; check the path") from None


def result_schema() -> dict[str, Any]:
    """Return the JSON schema of result.json, as published with the package."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema
