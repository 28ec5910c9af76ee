"""Simulated scans on disk: one, or a cohort, each with its truth beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InputError, OutputError, SettingsError
from ..phantoms import LabelSettings, Person, PhantomScan, SimulatedScan, cohort, parts_from_tables, simulate_labels
from ..phantoms.persons import torso_of
from ..phantoms.phantomscan import simulate_phantom
from ..phantoms.torso import region_of, simulate_torso
from ..records import SIMULATOR
from .simulate_request import Simulation, as_tables
from .simulate_truth import truth_tables
from .tell import Progress, print_json

TRUTH = "truth.json"
"""Written last: a folder that has it is complete."""
COHORT = "cohort.csv"
SETTINGS = "settings.toml"
BODY_PARTS = {"torso": "ABDOMENPELVIS", "hip": "PELVIS", "spine": "TLSPINE"}
"""Region to the header's word; of a single level, the spine."""
MINE = ("scan", "scan.nii.gz", "labels.nii.gz", "labels.toml", "truth")
"""What a simulation writes into its folder."""


@dataclass(frozen=True)
class CohortRequest:
    """How many persons, and which."""

    n: int
    women: float = 0.5
    ages: tuple[float, float] = (50.0, 85.0)


def run_simulate(out: Path, simulation: Simulation, many: CohortRequest | None, *, force: bool, as_json: bool) -> None:
    """Simulate and write; with a cohort, one folder for each person."""
    from ..io import prepare_folder

    if many is None:
        _check_output(simulation)
        prepare_folder(out)
        _refuse_mixing(out, force)
        written = _one(out, simulation, Progress())
        if as_json:
            print_json(written)
        else:
            _tell(out, written, assess=not simulation.alone)
        return
    if simulation.labels is not None or simulation.alone:
        raise InputError("found a cohort of a label map or a phantom, expected one of persons; leave one of them out")
    _check_output(simulation)
    people = list(cohort(many.n, seed=simulation.seed, women=many.women, ages=many.ages))
    prepare_folder(out)
    rows = _run_cohort(out, simulation, people, force)
    if as_json:
        print_json({"schema": "openbct-cohort/1", "out": str(out), "table": COHORT, "cases": rows})


def _run_cohort(out: Path, simulation: Simulation, people: list[Person], force: bool) -> list[dict[str, Any]]:
    from ..io import write_table

    progress, rows = Progress(), []
    for number, person in enumerate(people, start=1):
        name = f"case_{number:04d}"
        # A person's own numbers come from the cohort, everything else from what was asked.
        given = simulation.person
        asked = replace(simulation, person=replace(person, phase=given.phase, implants=given.implants), seed=person.seed)
        asked = replace(asked, scanner=replace(simulation.scanner, seed=simulation.seed))
        folder = out / name
        if _complete(folder, asked):
            progress("already there", name)
        else:
            _refuse_mixing(folder, force)
            _one(folder, asked, progress, name)
        rows.append({"case": name, **_row(asked.person)})
        write_table(out / COHORT, rows)
    progress(f"{len(rows)} persons, their parameters in {COHORT}")
    return rows


def _row(person: Person) -> dict[str, Any]:
    table = person.as_tables()
    table["fractures"] = " ".join(f"{level}:{item.kind}:{item.loss:g}" for level, item in person.fractures.items())
    table["implants"] = " ".join(person.implants)
    return table


def _digest(simulation: Simulation) -> str:
    return hashlib.sha256(json.dumps([as_tables(simulation), __version__], sort_keys=True).encode()).hexdigest()


def _complete(folder: Path, simulation: Simulation) -> bool:
    """Return whether this very simulation was finished here."""
    try:
        known = json.loads((folder / "truth" / TRUTH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(known, dict) and known.get("digest") == _digest(simulation)


def _check_output(simulation: Simulation) -> None:
    """Refuse a fault that nobody knows before anything is drawn."""
    from ..io import FAULTS

    fault = simulation.output.fault
    if fault and fault not in FAULTS:
        raise SettingsError(f"found the fault {fault!r}, expected one of {', '.join(FAULTS)}; choose one of these")


def _there(out: Path) -> list[Path]:
    return [out / name for name in MINE if (out / name).exists()]


def _refuse_mixing(out: Path, force: bool) -> None:
    """Refuse a folder that holds a complete simulation, or something else that would be mixed up with one.

    Raises
    ------
    OutputError
        It does; what an interruption left behind may be written over.
    """
    unfinished = (out / "truth" / SETTINGS).exists() and not (out / "truth" / TRUTH).exists()
    if _there(out) and not force and not unfinished:
        raise OutputError(
            f"found {', '.join(path.name for path in _there(out))} in the output folder, expected one without; choose another, or write "
            "over it with --force"
        )


def _clear(out: Path) -> None:
    """Remove an earlier simulation: a scan of another length would be a second series."""
    # First what says that it is complete, last what says that it was one: an interruption in between leaves an unfinished one.
    for path in (out / "truth" / TRUTH, *_there(out)):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"found no way to remove {path.name} ({error.strerror}), expected permission; remove it by hand"
            ) from error


def _one(out: Path, simulation: Simulation, progress: Progress, name: str = "") -> dict[str, Any]:
    """Simulate one scan and write it; returns what was written."""
    from ..io import to_toml, write_bytes, write_json, write_label_map, write_volume

    truth = out / "truth"
    progress(_what(simulation), name)
    simulated = _simulate(simulation)
    _clear(out)
    write_bytes(truth / SETTINGS, to_toml(as_tables(simulation)).encode("utf-8"))
    progress(f"writing {simulated.image.shape[2]} slices of {simulated.image.shape[0]} x {simulated.image.shape[1]}", name)
    scan, said = _write_scan(out, simulated, simulation)
    if simulated.labels.names:
        write_label_map(simulated.labels, out / "labels.nii.gz")
    if simulated.bodies is not None and simulated.bodies.names:
        write_label_map(simulated.bodies, truth / "bodies.nii.gz")
    for kind, volume in (("density", simulated.density), ("mineral", simulated.mineral)):
        # A tenth of a milligram is far below what anything can be told from; the file is a third of the size.
        rounded = (np.rint(volume.array * np.float32(10)) / np.float32(10)).astype(np.float32)
        write_volume(replace(volume, array=rounded), truth / f"{kind}.nii.gz")
    tables = truth_tables(simulated, simulation)
    write_json(truth / TRUTH, {**tables, **said, "digest": _digest(simulation)})
    progress("done", name)
    return {"schema": "openbct-simulation/1", "scan": scan.name, "labels": "labels.nii.gz" if simulated.labels.names else None,
            "truth": f"truth/{TRUTH}", "fault": said["fault"], "slices": simulated.image.shape[2],
            "structures": list(simulated.labels.names.values())}  # fmt: skip


def _what(simulation: Simulation) -> str:
    if simulation.labels is not None:
        return "simulating a scan of the label map"
    if simulation.alone and simulation.phantom is not None:
        return f"simulating a scan of the {simulation.phantom.title} alone"
    return f"simulating a scan of a person{f' on the {simulation.phantom.title}' if simulation.phantom else ''}"


def _simulate(simulation: Simulation) -> SimulatedScan:
    """Draw and scan what is asked for."""
    image = simulation.image
    if simulation.labels is not None:
        return _simulate_labels(simulation)
    if simulation.alone:
        return simulate_phantom(PhantomScan(simulation.phantom, spacing=image.spacing, scanner=simulation.scanner))
    settings = region_of(torso_of(simulation.person, simulation.scanner, image.spacing), image.region)
    if image.field_of_view is not None:
        settings = replace(settings, field_of_view=image.field_of_view)
    return simulate_torso(replace(settings, calibration=simulation.phantom))


def _simulate_labels(simulation: Simulation) -> SimulatedScan:
    from ..io import read_label_image

    asked = simulation.labels
    assert asked is not None
    labels = read_label_image(Path(asked.file))
    if not asked.parts:
        numbers = ", ".join(str(number) for number in np.unique(labels.array) if number)
        raise SettingsError(
            f"found the labels {numbers} and no word on what they are, expected tables [labels.parts.NUMBER] with a name, and a tissue for "
            "soft ones, in --settings; write them"
        )
    body = read_label_image(Path(asked.body)) if asked.body else None
    settings = LabelSettings(
        parts_from_tables(asked.parts), spacing=asked.spacing, filling=asked.filling, joint_gap=asked.joint_gap,
        smoothing=asked.smoothing, scanner=simulation.scanner, seed=simulation.seed,
    )  # fmt: skip
    return simulate_labels(labels, settings, body)


def _write_scan(out: Path, simulated: SimulatedScan, simulation: Simulation) -> tuple[Path, dict[str, Any]]:
    """Write the image in the format asked for; returns where, and what is wrong on purpose."""
    from ..io import Technique, apply_fault, false_statements, write_ct_series, write_enhanced_ct, write_volume

    asked = simulation.output
    if asked.format == "nifti":
        path = out / "scan.nii.gz"
        write_volume(simulated.image, path, description=" ".join(SIMULATOR))
        return path, {"fault": None, "header": None}
    technique = Technique(simulation.scanner.mas, simulated.table_height, BODY_PARTS.get(simulation.image.region, "SPINE"))
    known: dict[str, Any] = {"patient": simulated.patient, "acquisition": simulated.acquisition, "technique": technique}
    kind: Any = asked.header
    false = false_statements(simulated.image, **known) if kind == "wrong" else {}
    said: dict[str, Any] = {
        "header": {"kind": kind, "false": {key: {"true": true, "written": wrong} for key, (true, wrong) in false.items()}},
        "fault": None,
    }
    if asked.format == "enhanced":
        write_enhanced_ct(simulated.image, out / "scan" / "scan.dcm", seed=simulation.seed, header=kind, **known)
        return out / "scan", said
    files = write_ct_series(simulated.image, out / "scan", seed=simulation.seed, header=kind, **known)
    if asked.fault:
        fault = apply_fault(asked.fault, files)
        said["fault"] = {"name": fault.name, "what": fault.said, "reading_it": fault.answer}
    return out / "scan", said


def _tell(out: Path, written: dict[str, Any], *, assess: bool) -> None:
    print(f"Scan    {out / written['scan']}  ({written['slices']} slices)")
    if written["labels"]:
        print(f"Labels  {out / written['labels']}")
    print(f"Truth   {out / written['truth']}")
    if written["fault"]:
        print(f"Fault   {written['fault']['what']}")
    if written["labels"] and assess:
        print(f"\nTo assess it:\n  openbct analyze {out / written['scan']} --labels {out / written['labels']} -o RESULT")


def list_choices() -> dict[str, Any]:
    """Return what can be chosen by name: calibration phantoms with their rods and source, faults, implants, contrast phases."""
    from ..io import FAULTS
    from ..phantoms import calibration_phantoms
    from ..phantoms.contrast import PHASES
    from ..phantoms.implants import KINDS

    phantoms = {
        name: {"title": item.title, "unit": item.unit, "rods": dict(item.rods), "source": item.source, "mark": item.mark,
               "alone": item.separate} for name, item in calibration_phantoms().items()
    }  # fmt: skip
    faults = {name: {"what": fault.said, "reading_it": fault.answer} for name, fault in FAULTS.items()}
    return {"phantoms": phantoms, "faults": faults, "implants": list(KINDS), "phases": list(PHASES)}


def run_list(*, as_json: bool) -> None:
    """Print what can be chosen by name."""
    choices = list_choices()
    if as_json:
        print_json({"schema": "openbct-simulation-choices/1", **choices})
        return
    print("Calibration phantoms (rods in mg/cm³; the certificate of a real one wins)")
    for name, item in choices["phantoms"].items():
        rods = ", ".join(f"{value:g}" for value in item["rods"].values())
        print(f"  {name:20} {item['title']}, {item['unit']}: {rods}{'; scanned alone' if item['alone'] else ''}")
    print("\nFaults of a series, and what reading it leads to")
    for name, item in choices["faults"].items():
        print(f"  {name:20} {item['what']} ({item['reading_it']})")
    print(f"\nImplants  {', '.join(choices['implants'])}")
    print(f"Contrast  {', '.join(choices['phases'])}")
