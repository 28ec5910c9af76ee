"""What a run is asked to do: one TOML protocol, defaults < file < flags, parsed into frozen records.

``cli`` builds the settings, ``plan`` turns them into values, ``pipeline`` carries them to the result; no stage sees them. An unknown key or a value out of
range stops the run before any work is done.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from importlib import resources
from typing import Any

from .errors import SettingsError
from .protocol_rules import SITES, check_known, check_section, check_value, without_stale


@dataclass(frozen=True)
class CalibrationSettings:
    """How HU become mineral density."""

    method: str = "phantomless"
    """``"phantomless"``, ``"phantom"``, ``"fixed"``, ``"given"`` or ``file.py:OBJECT``."""
    mineral: str = "K2HPO4"
    """For ``"fixed"`` and ``"given"``; a phantom has its own, and another that is asked for is refused."""
    slope_mg_cm3_per_hu: float | None = None
    """For ``"fixed"``, with the intercept."""
    intercept_mg_cm3: float | None = None
    slope_sd_mg_cm3_per_hu: float | None = None
    """For ``"fixed"``: one standard deviation of the slope; ``None``: that of published asynchronous calibrations."""
    intercept_sd_mg_cm3: float | None = None
    phantom: str | None = None
    """For ``"phantom"``: a model's name, or ``"auto"``."""
    certificate: Mapping[str, Any] | None = None
    """For ``"phantom"``: the table of its certificate."""
    site_offset_mg_cm3: float | None = None
    """Correction of a site, after any method: offset + factor x density; with ``site_factor`` and ``site_source``."""
    site_factor: float | None = None
    site_source: str | None = None
    """Where the correction comes from, as the Methods paragraph is to say it."""
    energy_kev: float | None = None
    """For ``"phantomless"``: effective energy of a monoenergetic image, or one known better than from the tube voltage."""
    min_tissues: int | None = None
    """For ``"phantomless"``: fewer usable references refuse; ``None`` leaves it to the method."""
    contrast: str | None = None
    """For ``"phantomless"``: ``"caution"`` (the default), ``"correct"`` or ``"refuse"`` where there is contrast agent."""
    hardening: str | None = None
    """``"correct"``: take off first what rays lose in bone; ``"leave"``, the default: do not."""


@dataclass(frozen=True, kw_only=True)
class MechanicalSettings:
    """What both kinds of bone are asked."""

    material: str
    """A name of :data:`openbct.materials.MATERIALS`, or ``file.py:OBJECT``."""
    voxel_mm: float
    bbar: bool
    test: str = "nonlinear"
    """``"nonlinear"``: load history to failure; ``"linear"``: one elastic solution and a ``rule``; ``"softening"``: to the greatest force."""
    strength_strain: float | None = None
    strains: tuple[float, ...] | None = None
    strain_between: str | None = None
    """``"platens"``, or ``"endplates"``: the bone's own, for pads as soft as discs; ``None``: as the load case has it."""
    yield_criterion: str | None = None
    rule: str | None = None
    coefficient: float | None = None
    """For ``rule = "height"``: strength = coefficient x stiffness x gauge length [-]."""
    critical_strain: float | None = None
    """For ``rule = "critical_volume"``, with the share of the bone that must exceed it [-]."""
    critical_share: float | None = None
    tension_strain: float | None = None
    """For ``rule = "principal_strain"``, with the limit in compression [-] and the sphere's diameter over which strain is averaged [mm]."""
    compression_strain: float | None = None
    averaging_mm: float | None = None
    travel_mm: float | None = None
    """For ``test = "softening"``: how far at most, in which increments."""
    increment_mm: float | None = None
    edge: str = "plain"
    cortex: str = "density"
    """``"density"``: the voxel's own density carries it; ``"surface"``, ``"shell"``: see :mod:`openbct.cortex`."""
    shell_mm: float | None = None
    pad_mpa: float = 2500.0
    pad_yield_mpa: float | None = None
    """``None``: the pads stay elastic."""


@dataclass(frozen=True, kw_only=True)
class VertebraSettings(MechanicalSettings):
    """The vertebral compression test."""

    cap_mm: float
    superior: str
    inferior: str = "clamped"
    elasticity: str = "isotropic"
    pose: str = "endplates"
    """``"as_scanned"``: whole vertebra on the image's own voxels between cement that was drawn with it."""
    bins: int = 0
    """Bins of density; 0: none."""
    bin_shift: bool = False


@dataclass(frozen=True, kw_only=True)
class FemurSettings(MechanicalSettings):
    """The test of the hip: a sideways fall, or stance on one leg."""

    loadcase: str = "sideways_fall"
    adduction_deg: float | None = None
    internal_rotation_deg: float | None = None
    load_angle_deg: float | None = None
    head: str = "free"
    trochanter: str | None = None
    """For the fall; ``None``: free across the load."""
    pad_mm: float | None = None
    """``None``, here and below: the load case's own."""
    intrusion_mm: float | None = None
    distal_support_mm: float | None = None


@dataclass(frozen=True)
class AboutSettings:
    """What a preset is: words for whoever chooses it or reads its results."""

    summary: str = ""
    sites: tuple[str, ...] = SITES
    """Bones that it is made for; others are refused."""
    validity: str = ""
    """Voxels, kernels and bones it is meant for."""
    differs: str = ""
    """What it leaves out of its source, or has from memory; empty: nothing known."""
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentationSettings:
    """Who finds the bones."""

    segmenter: str = "auto"
    """``"auto"``: labels where they are given, else built in; ``"builtin"``, ``"totalsegmentator"``, ``"given"``, or ``file.py:OBJECT``."""
    fast: bool = False
    """TotalSegmentator's 3 mm model."""
    device: str = "auto"
    """Where TotalSegmentator computes."""
    timeout_min: float = 60.0
    """Minutes after which TotalSegmentator is stopped."""
    agreement: bool = False
    """Bones from labels or from TotalSegmentator are held against those of the built-in segmenter."""
    least_confidence: float = 0.70
    """Of a mask: below, its bone is refused [C]; 0 refuses none. No right mask, simulated or real, lies below: docs/validation/confidence.md."""


@dataclass(frozen=True)
class FractureSettings:
    """How the vertebrae in the image are looked at for fractures."""

    assess: bool = True
    mild_loss: float = 0.20
    """Loss of height from which Genant's grades 1, 2 and 3 begin [-]."""
    moderate_loss: float = 0.25
    severe_loss: float = 0.40
    left_out_from: int = 2
    """Grade from which a vertebra leaves the means of density and strength; 4: none does."""

    @property
    def limits(self) -> tuple[float, float, float]:
        """The three losses."""
        return self.mild_loss, self.moderate_loss, self.severe_loss

    @property
    def keywords(self) -> dict[str, Any] | None:
        """What the stage is called with; ``None`` where nobody asks for it."""
        return {"limits": self.limits, "left_out_from": self.left_out_from} if self.assess else None


@dataclass(frozen=True)
class RunSettings:
    """Which bones, with how many threads, on which scale."""

    bones: tuple[str, ...] = ("auto",)
    threads: int = 0
    scale: str = "provisional"
    """``"provisional"``: strength stands beside published thresholds, unclassified; ``"none"``: no published threshold is meant for this test."""


@dataclass(frozen=True)
class UncertaintySettings:
    """How sure a strength is said to be."""

    samples: int = 0
    """Solutions on coarse voxels that its interval is drawn from; 0: the linear sum alone."""


@dataclass(frozen=True)
class AssessmentSettings:
    """What the numbers are held against."""

    profile: str = "default"
    """Population whose thresholds are used; see ``data/thresholds.toml``."""
    population: str | None = None
    """Of the table of norms, for a Z-score of the spine; ``None``: no Z-score."""
    reference: str | None = None
    """File that says at which newtons of this very recipe the thresholds lie; ``None``: strength is not classified."""
    neck_dxa_factor: float | None = None
    """A site's line to its DXA scanner: offset + factor x areal density by CT; with ``dxa_source``."""
    neck_dxa_offset_g_cm2: float | None = None
    total_dxa_factor: float | None = None
    total_dxa_offset_g_cm2: float | None = None
    dxa_source: str | None = None
    """Where the lines come from, as the report is to say it."""


@dataclass(frozen=True)
class RiskSettings:
    """What a probability of hip fracture is made with, where a reference file allows one."""

    table: str = "us-white-2006"
    """Incidence: a name of ``data/hip_fracture.toml``, or a file of the same form."""
    competing_mortality: bool = False


@dataclass(frozen=True)
class Settings:
    """One protocol."""

    name: str
    version: str
    calibration: CalibrationSettings
    vertebra: VertebraSettings
    femur: FemurSettings
    run: RunSettings
    about: AboutSettings = AboutSettings()
    segmentation: SegmentationSettings = SegmentationSettings()
    fractures: FractureSettings = FractureSettings()
    assessment: AssessmentSettings = AssessmentSettings()
    risk: RiskSettings = RiskSettings()
    uncertainty: UncertaintySettings = UncertaintySettings()

    @property
    def title(self) -> str:
        """Name and version, as results carry it."""
        return f"{self.name} {self.version}"

    @property
    def bones(self) -> tuple[str, ...] | None:
        """Bones to look for; ``None``: all that are expected in a scan."""
        if self.run.bones != ("auto",):
            return self.run.bones
        return None if set(self.about.sites) == set(SITES) else _AUTOMATIC[self.about.sites[0]]


_AUTOMATIC = {"vertebra": ("T12", "L1", "L2", "L3", "L4"), "femur": ("femur_left", "femur_right")}


def protocol_names() -> tuple[str, ...]:
    """Return the names of the protocols that are built in."""
    folder = resources.files("openbct") / "data" / "protocols"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def built_in(name: str = "default") -> Settings:
    """Return a built-in protocol.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    if name not in protocol_names():
        raise SettingsError(f"found protocol {name!r}, expected one of {', '.join(protocol_names())} or a file ending in .toml")
    text = (resources.files("openbct") / "data" / "protocols" / f"{name}.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return _build(table, name) if name == "default" else override(built_in(), table, name)


def parse(text: str, where: str, base: Settings | None = None) -> Settings:
    """Return the protocol in ``text`` (TOML), its gaps filled from ``base`` (the built-in default)."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where} is not TOML ({error}); compare with `openbct protocols --show default`") from error
    base = base or built_in()
    if "name" not in table:  # other newtons must not carry the default's name
        table = {"name": f"{base.name}, changed by {where}", **table}
    if "about" not in table:  # nor its words
        base = replace(base, about=replace(AboutSettings(), sites=base.about.sites))
    return override(base, table, where)


def override(settings: Settings, changes: Mapping[str, Any], where: str) -> Settings:
    """Return ``settings`` with nested tables of ``changes`` put over it.

    Where a choice changes (method of calibration, kind of test, load case), the keys that only the former choice reads go with it.
    """
    merged: dict[str, Any] = to_tables(settings)
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = {**without_stale(merged[key], value), **value}
        else:
            merged[key] = value
    return _build(merged, where)


def to_tables(settings: Settings) -> dict[str, Any]:
    """Return plain tables, as a protocol file has them; keys without a value are left out."""
    tables = asdict(settings)
    return {
        key: {k: list(v) if isinstance(v, tuple) else v for k, v in value.items() if v is not None}
        if isinstance(value, dict)
        else value
        for key, value in tables.items()
    }


def with_bones(settings: Settings, bones: tuple[str, ...]) -> Settings:
    """Return ``settings`` for these bones."""
    return replace(settings, run=replace(settings.run, bones=bones))


_SECTIONS: dict[str, type] = {
    "about": AboutSettings,
    "segmentation": SegmentationSettings,
    "calibration": CalibrationSettings,
    "vertebra": VertebraSettings,
    "femur": FemurSettings,
    "fractures": FractureSettings,
    "run": RunSettings,
    "assessment": AssessmentSettings,
    "risk": RiskSettings,
    "uncertainty": UncertaintySettings,
}


def _build(tables: Mapping[str, Any], where: str) -> Settings:
    check_known(tables, (*_SECTIONS, "name", "version"), where, "")
    sections = {key: _section(key, kind, tables.get(key, {}), where) for key, kind in _SECTIONS.items()}
    settings = Settings(name=str(tables.get("name", "unnamed")), version=str(tables.get("version", "0")), **sections)
    for name, test in (("vertebra", settings.vertebra), ("femur", settings.femur)):
        check_section(name, asdict(test), where)
        if test.strains is not None and (
            test.strength_strain not in test.strains or list(test.strains) != sorted(set(test.strains))
        ):
            raise SettingsError(
                f"{where}: found strains {list(test.strains)}, expected rising values that contain strength_strain {test.strength_strain}"
            )
    _check_calibration(settings.calibration, where)
    _check_whole(settings, where)
    return settings


def _check_whole(settings: Settings, where: str) -> None:
    """Refuse what one section says against another."""
    if settings.femur.loadcase == "stance" and settings.run.scale != "none":
        raise SettingsError(
            f'{where}: found scale = "{settings.run.scale}" beside [femur] loadcase = "stance", expected "none": the published thresholds are '
            "those of a sideways fall; set it under [run]"
        )
    limits = settings.fractures.limits
    if not limits[0] < limits[1] < limits[2]:
        raise SettingsError(f"{where}: found the losses {limits} of the grades 1, 2, 3 under [fractures], expected rising ones")
    asked = settings.assessment
    lines = (asked.neck_dxa_factor, asked.neck_dxa_offset_g_cm2, asked.total_dxa_factor, asked.total_dxa_offset_g_cm2)
    if any(number is not None for number in lines) != (asked.dxa_source is not None):
        raise SettingsError(
            f"{where}: a line to DXA needs dxa_source with the factor or the offset of neck or total hip; give them"
        )
    if settings.run.scale == "none" and asked.reference is not None:
        raise SettingsError(f'{where}: found reference beside scale = "none", expected one of the two; a reference maps a scale')
    if settings.vertebra.bin_shift and settings.vertebra.bins < 2:
        raise SettingsError(f"{where}: found bin_shift beside bins = {settings.vertebra.bins}, expected at least 2 bins to shift")
    if settings.vertebra.pose == "as_scanned":
        for key, only in (("superior", "free"), ("inferior", "sliding"), ("edge", "plain")):
            found = getattr(settings.vertebra, key)
            if found != only:
                raise SettingsError(
                    f'{where}: found {key} = "{found}" beside pose = "as_scanned", which knows "{only}" alone; set it'
                )
    foreign = [bone for bone in settings.run.bones if bone != "auto" and site_of(bone) not in settings.about.sites]
    if foreign:
        raise SettingsError(
            f"{where}: found {', '.join(foreign)} among the bones, expected {' or '.join(settings.about.sites)} only: protocol "
            f"{settings.title} is made for no other; ask for other bones or choose another protocol"
        )


def site_of(bone: str) -> str:
    """Return the kind of a bone."""
    return "femur" if bone.startswith("femur") else "vertebra"


def _check_calibration(asked: CalibrationSettings, where: str) -> None:
    if asked.method == "fixed" and (asked.slope_mg_cm3_per_hu is None or asked.intercept_mg_cm3 is None):
        raise SettingsError(f'{where}: calibration "fixed" needs slope_mg_cm3_per_hu and intercept_mg_cm3; give both')
    if (asked.site_offset_mg_cm3 is not None or asked.site_factor is not None) != (asked.site_source is not None):
        raise SettingsError(
            f"{where}: a site correction needs site_source with site_offset_mg_cm3, site_factor or both; give them"
        )
    if asked.hardening == "correct" and asked.method == "given":
        raise SettingsError(f'{where}: found hardening = "correct" beside an image that is density already; leave the key out')
    check_section("calibration", asdict(asked), where)


def _section(name: str, kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where}: found {name} = {table!r}, expected a table [{name}]")
    known = [f.name for f in fields(kind)]
    check_known(table, known, where, f"[{name}] ")
    values = {key: check_value(f"[{name}] {key}", key, value, where) for key, value in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        missing = sorted(f.name for f in fields(kind) if f.default is MISSING and f.name not in values)
        raise SettingsError(f"{where}: [{name}] lacks {', '.join(missing)}; give them") from error
