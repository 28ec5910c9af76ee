"""The simulated scans of docs/validation/spine.md: plain spines, and spines that have something else about them; kept in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from openbct.phantoms import ScannerSettings, TorsoSettings, cohort, simulate_torso, torso_of
from openbct.phantoms import torso as torso_module
from openbct.phantoms.column import Fracture
from openbct.volume import Volume

# Rays through coarser voxels than the simulator's own take a third of the time.
torso_module.RAY_PIXEL, torso_module.RAY_SLICE = 5.0, 10.0
SPACINGS = ((1.25, 1.25, 1.5), (1.25, 1.25, 3.0), (1.0, 1.0, 2.0), (1.0, 1.0, 5.0), (1.25, 1.25, 1.25), (1.0, 1.0, 2.5))
KERNELS = ("standard", "sharp", "soft")
VOLTAGES = (120.0, 100.0, 120.0, 140.0)
PHASES = ("none", "none", "none", "portal", "none", "arterial")
BOTTOMS = (40.0, 60.0, 30.0, 125.0)
"""Lowest slice above the femoral heads [mm]: the sacrum in view in three of four scans."""
LEVEL_MM = 36.0
"""By which a sixth lumbar vertebra raises what is above it, and a missing fifth lowers it."""
Change = Callable[[TorsoSettings], TorsoSettings]


@dataclass(frozen=True)
class Scan:
    """A simulated scan with its truth."""

    image: Volume
    bodies: np.ndarray
    names: dict[int, str]


def settings_of(seed: int, number: int) -> TorsoSettings:
    """Return the scan of one person: voxels, kernel, voltage, contrast phase and field go round with the number."""
    person = list(cohort(number + 1, seed=seed))[number]
    dose = float(np.random.default_rng([seed, number, 7]).choice([40, 80, 160]))
    scanner = ScannerSettings(kvp=VOLTAGES[number % 4], mas=dose, kernel=KERNELS[(number // 2) % 3], seed=number)
    person = replace(person, phase=PHASES[(number * 5 + seed) % 6])
    torso = torso_of(person, scanner, SPACINGS[number % 6])
    size = torso.body.size
    return replace(torso, bottom=BOTTOMS[number % 4] * size, field_of_view=190.0 * size, centre=(0.0, 55.0))


def broken(**fractures: tuple[str, float]) -> Change:
    """Return a spine with these fractures and no other."""
    made = {level: Fracture(kind, loss) for level, (kind, loss) in fractures.items()}  # type: ignore[arg-type]
    return lambda torso: replace(torso, body=replace(torso.body, fractures=made))


def counted(lumbar: int) -> Change:
    """Return a spine with 4 or 6 lumbar vertebrae, in a field whose upper end moves with it."""

    def change(torso: TorsoSettings) -> TorsoSettings:
        moved = (lumbar - 5) * LEVEL_MM * torso.body.size
        return replace(torso, body=replace(torso.body, lumbar=lumbar, fractures={}), top=torso.top + moved)

    return change


def shaped(**changes: object) -> Change:
    """Return a spine whose body differs so."""
    return lambda torso: replace(torso, body=replace(torso.body, fractures={}, **changes))  # type: ignore[arg-type]


def lipped(osteophytes: float) -> Change:
    """Return a spine with osteophytes of this length [mm] on every body."""
    return lambda torso: replace(torso, vertebra=replace(torso.vertebra, osteophytes=osteophytes))


def porous(density: float) -> Change:
    """Return a spine of this density [mg/cm³], with cortices as thin as go with it."""
    return lambda torso: replace(
        torso,
        trabecular_density=density,
        pelvis=replace(torso.pelvis, sacrum_density=0.8 * density),
        vertebra=replace(torso.vertebra, cortex=0.7 * torso.vertebra.cortex, endplate=0.7 * torso.vertebra.endplate),
    )


CASES: tuple[tuple[str, Change], ...] = (
    ("wedge of L1, 30 %", broken(L1=("wedge", 0.3))),
    ("wedge of T12, 45 %", broken(T12=("wedge", 0.45))),
    ("biconcave L2, 35 %", broken(L2=("biconcave", 0.35))),
    ("crush of L3, 35 %", broken(L3=("crush", 0.35))),
    ("wedge of T12, 30 %, and biconcave L2, 45 %", broken(T12=("wedge", 0.3), L2=("biconcave", 0.45))),
    ("crush of L1, 50 %", broken(L1=("crush", 0.5))),
    ("4 lumbar vertebrae", counted(4)),
    ("6 lumbar vertebrae", counted(6)),
    ("4 lumbar vertebrae", counted(4)),
    ("6 lumbar vertebrae", counted(6)),
    ("scoliosis of 40°", shaped(cobb_deg=40.0)),
    ("scoliosis of -45°", shaped(cobb_deg=-45.0)),
    ("screws in L4 and L5", shaped(implants=("screws_L4", "screws_L5"))),
    ("screws in L1 and L3", shaped(implants=("screws_L1", "screws_L3"))),
    ("cement in L1", shaped(implants=("cement_L1",))),
    ("cement in T12 and L2", shaped(implants=("cement_T12", "cement_L2"))),
    ("osteophytes of 3 mm", lipped(3.0)),
    ("osteophytes of 6 mm", lipped(6.0)),
    ("L3 and L4 grown together", shaped(fused=("L3",))),
    ("L3 to L5 grown together", shaped(fused=("L3", "L4"))),
    ("T12 and L1 grown together", shaped(fused=("T12",))),
    ("very porous, 40 mg/cm³", porous(40.0)),
    ("very porous, 30 mg/cm³", porous(30.0)),
    ("very porous, 20 mg/cm³", porous(20.0)),
)
"""What each scan has about it; persons, voxels and scanners go round as with the plain spines."""


def case_settings(seed: int, number: int) -> TorsoSettings:
    """Return the scan of a person who has something about the spine."""
    return CASES[number][1](settings_of(seed, number))


def scan_of(settings: TorsoSettings, path: Path) -> Scan:
    """Return a scan, simulated unless it is in its file already."""
    if not path.exists():
        made = simulate_torso(settings)
        assert made.bodies is not None
        names = np.array(list(made.bodies.names.items()), dtype=object)
        np.savez_compressed(path, image=made.image.array, affine=made.image.affine, bodies=made.bodies.volume.array, names=names)
    with np.load(path, allow_pickle=True) as kept:
        image = Volume(kept["image"], kept["affine"], "HU")
        return Scan(
            image, kept["bodies"], {int(value): str(name).removeprefix("vertebral_body_") for value, name in kept["names"]}
        )
