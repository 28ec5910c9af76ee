"""What a command is asked to do: options checked, the protocol with the flags put over it, scan and labels read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, SettingsError
from ..plugins import is_spec
from ..records import Mineral, Scan, Segmenter
from ..settings import Settings, built_in, override, parse, protocol_names
from .phantom_request import check_phantom_scan, phantom_settings


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    scan: Path
    out: Path
    labels: tuple[Path, ...] = ()
    label_maps: tuple[Path, ...] = ()
    """None, one for all labels, or one for each; ``auto`` recognises the numbering."""
    bones: str = "auto"
    protocol: str = "default"
    sex: str | None = None
    age: float | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    series: str | None = None
    report: bool = True
    calibrated: bool = False
    """The image is mineral density already."""
    mineral: str | None = None
    """That of such an image; ``None`` where it was not said."""
    anonymous: bool = False
    """Names, numbers, dates and UIDs stay out of every file."""
    reuse: Path | None = None
    """Result folder of an earlier run whose unchanged bones are taken over."""
    segmenter: str | None = None
    """Who finds the bones; ``None``: as the protocol says."""
    models: tuple[str, ...] = ()
    """Formats in which each bone's model is written for other programs."""
    phantom: str | None = None
    """A calibration phantom by name, or ``auto``; ``None``: as the protocol says."""
    certificate: Path | None = None
    """That of the phantom."""
    phantom_scan: Path | None = None
    """Where the phantom lies in another scan."""
    patient: Path | None = None
    """JSON file that tells who was scanned."""
    dxa: tuple[float | None, float | None, float | None] = (None, None, None)
    """T-scores by DXA of femoral neck, total hip, lumbar spine."""
    reference: Path | None = None
    """File that maps the strength scale; ``None``: as the protocol says."""


def named(text: str) -> tuple[str, ...]:
    """Return what an option lists with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def stage_request(scan: Path, out: Path, labels: list[Path] | None, label_maps: list[Path] | None, **more: Any) -> Request:
    """Return what a command asks for that does one stage alone."""
    return Request(scan, out, tuple(labels or ()), tuple(label_maps or ()), **more)


def make_settings(request: Request) -> Settings:
    """Return the protocol with the flags put over it.

    Raises
    ------
    SettingsError
        The protocol cannot be read, or a name or value in it or in the flags is wrong.
    """
    if request.protocol.lower().endswith(".toml"):
        settings = _read_protocol(Path(request.protocol))
    elif request.protocol in protocol_names():
        settings = built_in(request.protocol)
    else:
        raise SettingsError(
            f"found protocol {request.protocol!r}, expected one of {', '.join(protocol_names())} or a file ending in .toml"
        )
    changes: dict[str, Any] = {}
    if request.bones != "auto":
        changes["run"] = {"bones": [name.strip() for name in request.bones.split(",") if name.strip()]}
    if request.segmenter is not None:
        changes["segmentation"] = {"segmenter": request.segmenter}
    if request.calibrated:
        stated = {} if request.mineral is None else {"mineral": request.mineral}
        changes["calibration"] = {"method": "given", **stated}
    elif request.phantom is not None or request.certificate is not None or request.phantom_scan is not None:
        if request.mineral is not None:
            raise SettingsError("found --mineral beside a phantom, which has its own, expected one of them; leave --mineral out")
        changes["calibration"] = phantom_settings(request.phantom, request.certificate)
    if request.reference is not None:
        changes["assessment"] = {"reference": str(request.reference)}
    return override(settings, changes, "command line")


def _read_protocol(path: Path) -> Settings:
    """Return a protocol of the user's; plug-ins that it names by a relative path may lie beside it."""
    if not path.is_file():
        raise SettingsError(f"found no file {path.name!r}, expected a protocol in TOML; check --protocol")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"found {path.name!r}, which cannot be read, expected TOML in UTF-8; check the file and its permissions"
        ) from error
    settings = parse(text, path.name)

    def beside(spec: str) -> str:
        file, colon, name = spec.rpartition(":")
        neighbour = path.parent / file
        return f"{neighbour}{colon}{name}" if is_spec(spec) and not Path(file).exists() and neighbour.is_file() else spec

    changes = {
        "calibration": {"method": beside(settings.calibration.method)},
        "segmentation": {"segmenter": beside(settings.segmentation.segmenter)},
        "vertebra": {"material": beside(settings.vertebra.material)},
        "femur": {"material": beside(settings.femur.material)},
    }
    asked = settings.assessment.reference
    if asked is not None and not Path(asked).exists() and (path.parent / asked).is_file():
        changes["assessment"] = {"reference": str(path.parent / asked)}
    table = settings.risk.table
    if table.endswith(".toml") and not Path(table).exists() and (path.parent / table).is_file():
        changes["risk"] = {"table": str(path.parent / table)}
    return override(settings, changes, path.name)


def check_request(request: Request) -> None:
    """Refuse what can be known to be wrong before an image is read.

    Raises
    ------
    InputError, SettingsError
        A path that leads nowhere, no labels, or an output folder that is an input.
    """
    from ..io.label_tables import builtin_tables

    if not request.scan.exists():
        raise InputError(
            "found nothing at the path of the scan, expected a DICOM folder, zip or NIfTI file; check it"
        )  # without the path: its names may be a patient's
    check_phantom_scan(request.phantom_scan)
    for option, paths in (("--labels", request.labels), ("--label-map", request.label_maps)):
        for number, path in enumerate(paths, start=1):
            known = option == "--label-map" and (str(path) == "auto" or str(path) in builtin_tables())
            if not known and not path.exists():
                which = f"the path of {option}" if len(paths) == 1 else f"path {number} of the {len(paths)} of {option}"
                raise InputError(f"found nothing at {which}, expected a file or folder; check it")
    if request.reuse is not None and not request.reuse.is_dir():
        raise InputError("found no folder at the path of --reuse, expected the result folder of an earlier run; check it")
    out = request.out.resolve()
    earlier = () if request.reuse is None else (("earlier result", request.reuse),)
    for name, path in (("scan", request.scan), *(("labels", path) for path in request.labels), *earlier):
        if path.resolve() == out:
            raise SettingsError(f"found the {name} itself as output folder, expected another; choose one with -o")
    pair_labels(request)


def read_inputs(request: Request, settings: Settings) -> tuple[Scan, Segmenter]:
    """Return the scan, with the patient as known from header and user, and the segmenter that finds its bones.

    Raises
    ------
    InputError
        The scan or the labels cannot be used.
    SettingsError
        What is asked for does not go together.
    """
    from ..io import read_density, read_labels, read_scan
    from ..patient import combine
    from .patient_request import told
    from .segmenters import GivenLabels, choose, doubled, without_labels

    check_request(request)
    choice = choose(settings, request.labels, calibrated=request.calibrated)
    if request.calibrated:
        mineral: Mineral = "CHA" if settings.calibration.mineral == "CHA" else "K2HPO4"
        scan = read_density(request.scan, mineral=mineral)
    else:
        scan = read_scan(request.scan, series=request.series)
    patient, cautions = combine(scan.patient, **told(request))
    step = replace(scan.step, cautions=(*scan.step.cautions, *cautions, *doubt_mineral(request, settings)))
    scan = replace(scan, patient=patient, step=step)
    if choice != "given":
        return scan, without_labels(choice, settings)
    labels = tuple(
        read_labels(path, mapping=table, like=scan.image, frame_uid=scan.acquisition.frame_of_reference_uid)
        for path, table in pair_labels(request)
    )
    return scan, doubled(GivenLabels(labels, settings.bones), settings)


def doubt_mineral(request: Request, settings: Settings) -> tuple[str, ...]:
    """Return the caution of a line or an image whose mineral nobody stated; other methods define their own scale."""
    from ..density import CHA_PER_K2HPO4

    taken = settings.calibration
    if taken.method not in ("given", "fixed") or taken.mineral != "K2HPO4" or request.mineral is not None:
        return ()
    if request.protocol.lower().endswith(".toml"):
        table = tomllib.loads(Path(request.protocol).read_text(encoding="utf-8-sig"))
        if "mineral" in table.get("calibration", {}):
            return ()
    what = "image's mineral" if taken.method == "given" else "calibration line's mineral"
    lower = 100 * (1 - 1 / CHA_PER_K2HPO4)
    return (
        f"The {what} was not stated and was taken as K2HPO4; were it CHA, density would be about {lower:.0f} % lower on the K2HPO4 scale "
        "and the conversion for strength another one. State it: mineral under [calibration] of the protocol"
        + (", or --mineral." if request.calibrated else "."),
    )


def pair_labels(request: Request) -> list[tuple[Path, Path | None]]:
    """Return each label file with the table of its numbers, or with ``None`` where the numbering is to be recognised."""
    tables = request.label_maps
    if len(tables) not in (0, 1, len(request.labels)):
        raise SettingsError(
            f"found {len(tables)} --label-map for {len(request.labels)} --labels, expected one for all, or one for each in the same order "
            "(auto where the numbering is to be recognised)"
        )
    each = tables * len(request.labels) if len(tables) == 1 else tables or (None,) * len(request.labels)
    return [
        (path, None if table is None or str(table) == "auto" else table) for path, table in zip(request.labels, each, strict=True)
    ]
