"""Simulated persons: who they are, and the torso that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import SettingsError
from ..records import Patient
from .body import DRAWN_HEIGHT_CM, DRAWN_WEIGHT_KG, MOST_FAT_MM, BodyShape, check_body
from .column import Fracture
from .femur import FemurShape
from .pelvis import PelvisShape
from .scanner import ScannerSettings
from .softtissue import Girth
from .spine import VertebraShape
from .torso import TorsoSettings

BELLY_AREA, BELLY_PERIMETER = 52_000.0, 815.0
"""Cross-section of the drawn body between ribs and pelvis [mm², mm] [C]."""
VISCERAL_SHARE = MappingProxyType({"F": 0.3, "M": 0.5})
"""Of added fat, what lies inside the abdominal wall [D]; men store more of it there [R]."""
MALE_BREADTH = 1.08
"""Vertebral bodies of men over those of women of the same height, in width and depth [R]."""
MALE_NECK = 1.05
"""Femoral necks, likewise [D]."""
SLIMMEST_MM = -8.0
"""Change of subcutaneous fat below which muscles would leave the skin: thinner bodies are drawn as this one."""


@dataclass(frozen=True)
class Person:
    """Someone who can be scanned. ``None`` stands for what is usual at that sex, age and height."""

    sex: str = "F"
    """``"F"`` or ``"M"``."""
    age: float = 72.0
    height_cm: float = 160.0
    weight_kg: float = 62.0
    trabecular_density: float = 95.0
    """Of L1, as an ideal K2HPO4 calibration reads it [mg/cm³]."""
    hip_density: float = 1.0
    """Trabecular densities of the femora over those drawn [-]."""
    cortex: float = 1.0
    """Thickness of all cortices over the drawn ones [-]."""
    neck_shaft_angle_deg: float = 127.0
    anteversion_deg: float = 15.0
    neck_width: float = 1.0
    """Of the femoral neck over what is drawn at that body height [-]."""
    joint_space: float = 4.0
    """Of the hips [mm]."""
    cobb_deg: float = 0.0
    fractures: Mapping[str, Fracture] = field(default_factory=dict)
    phase: str = "none"
    implants: tuple[str, ...] = ()
    seed: int = 0

    def as_tables(self) -> dict[str, Any]:
        """Return the parameters as plain values, for JSON or TOML."""
        return asdict(self)


def check_person(person: Person) -> None:
    """Refuse persons that cannot be drawn.

    Raises
    ------
    SettingsError
        A sex, an age, a size, a density or a shape out of range.
    """
    if person.sex not in ("F", "M"):
        raise SettingsError(f"found the sex {person.sex!r}, expected F or M; the drawn shapes are those of one of them")
    if not person.seed >= 0:
        raise SettingsError(f"found the seed {person.seed}, expected 0 or more; change the person")
    ranges = {
        "age": (person.age, 20.0, 100.0),
        "height [cm]": (person.height_cm, 135.0, 205.0),
        "weight [kg]": (person.weight_kg, 35.0, 180.0),
        "trabecular density [mg/cm3]": (person.trabecular_density, -20.0, 350.0),
        "hip density": (person.hip_density, 0.1, 2.5),
        "cortex": (person.cortex, 0.3, 2.0),
        "neck-shaft angle [degrees]": (person.neck_shaft_angle_deg, 112.0, 142.0),
        "anteversion [degrees]": (person.anteversion_deg, -10.0, 40.0),
        "neck width": (person.neck_width, 0.8, 1.25),
        "joint space [mm]": (person.joint_space, 1.0, 6.0),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise SettingsError(f"found {name} = {value}, expected {low:g} to {high:g}; change the person")


def body_of(person: Person) -> BodyShape:
    """Return the size and the fat of a person's body.

    The drawn body is scaled with height; weight beyond that is fat, spread so that the cross-section of the belly grows in proportion
    to weight over height.
    """
    size = person.height_cm / DRAWN_HEIGHT_CM
    surplus = BELLY_AREA * (person.weight_kg / DRAWN_WEIGHT_KG / size**3 - 1.0)
    # Growth all round that adds this area: perimeter x growth + pi x growth².
    inside = BELLY_PERIMETER**2 + 4 * np.pi * surplus
    growth = (np.sqrt(max(inside, 0.0)) - BELLY_PERIMETER) / (2 * np.pi)
    share = VISCERAL_SHARE[person.sex] if growth > 0 else 0.0
    # The wall of the belly moves in front only, about half way round.
    girth = Girth(float(max((1 - share) * growth, SLIMMEST_MM)), float(2 * share * growth))
    return BodyShape(
        size=size, breadth=MALE_BREADTH if person.sex == "M" else 1.0, girth=girth, cobb_deg=person.cobb_deg,
        fractures=person.fractures, phase=person.phase, implants=person.implants, plaque=person.age >= 55,
    )  # fmt: skip


def marrow_fat(age: float) -> float:
    """Return the fatty share of vertebral marrow by volume [-]: a quarter at 20 and more than half at 80 [R]."""
    return float(np.clip(0.25 + 0.0055 * (age - 20.0), 0.25, 0.7))


def torso_of(
    person: Person, scanner: ScannerSettings | None = None, spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)
) -> TorsoSettings:
    """Return what is simulated for a person: from above T10 to below the lesser trochanters, in a field that holds the body.

    Raises
    ------
    SettingsError
        A person that cannot be drawn.
    """
    check_person(person)
    body, drawn = body_of(person), TorsoSettings()
    if body.girth.subcutaneous > MOST_FAT_MM[0] or body.girth.visceral > MOST_FAT_MM[1]:
        raise SettingsError(
            f"found {person.weight_kg:g} kg at {person.height_cm:g} cm, which is {body.girth.subcutaneous:.0f} mm of fat more below the skin and "
            f"{body.girth.visceral:.0f} mm in the belly than is drawn, expected at most {MOST_FAT_MM[0]:g} and {MOST_FAT_MM[1]:g}; change the weight"
        )
    check_body(body)
    size, fat = body.size, max(body.girth.subcutaneous, 0.0)
    neck = person.neck_width * (MALE_NECK if person.sex == "M" else 1.0)
    thigh = FemurShape()
    femur = replace(
        thigh, neck_shaft_angle_deg=person.neck_shaft_angle_deg, anteversion_deg=person.anteversion_deg,
        neck_radius=neck * thigh.neck_radius, shaft_cortex=min(person.cortex / size * thigh.shaft_cortex, 0.8 * thigh.shaft_radius),
        neck_cortex=person.cortex / size * thigh.neck_cortex, head_cortex=person.cortex / size * thigh.head_cortex,
        head_density=person.hip_density * thigh.head_density, neck_density=person.hip_density * thigh.neck_density,
        trochanter_density=person.hip_density * thigh.trochanter_density, seed=2 + 10 * person.seed,
    )  # fmt: skip
    vertebra, pelvis = VertebraShape(), PelvisShape()
    field_of_view = float(np.ceil(2 * size * (190.0 + fat) / 10) * 10)
    return TorsoSettings(
        spacing=spacing, field_of_view=field_of_view, centre=(0.0, size * 5.0), bottom=-118.0 * size, top=415.0 * size,
        trabecular_density=person.trabecular_density, body=body,
        vertebra=replace(
            vertebra, cortex=person.cortex / size * vertebra.cortex, endplate=person.cortex / size * vertebra.endplate,
            yellow_marrow=marrow_fat(person.age), seed=1 + 10 * person.seed,
        ),
        femur_left=femur, femur_right=replace(femur, seed=3 + 10 * person.seed),
        pelvis=replace(
            pelvis, joint_space=person.joint_space / size, cortex=person.cortex / size * pelvis.cortex,
            trabecular_density=person.hip_density * pelvis.trabecular_density,
            sacrum_density=pelvis.sacrum_density * max(person.trabecular_density, 20.0) / drawn.trabecular_density,
        ),
        scanner=scanner if scanner is not None else ScannerSettings(),
        patient=_patient(person), seed=person.seed,
    )  # fmt: skip


def _patient(person: Person) -> Patient:
    names = ("name", "identifier", "sex", "age", "height_cm", "weight_kg")
    return Patient(
        name="Simulated^Patient", identifier=f"OPENBCT-SIM-{person.seed:04d}", sex="F" if person.sex == "F" else "M", age=person.age,
        height_cm=person.height_cm, weight_kg=person.weight_kg, sources=MappingProxyType(dict.fromkeys(names, "simulation")),
    )  # fmt: skip
