"""What the simulated body is made of: composition and mass density of every tissue.

Elemental mass fractions and densities of soft tissues are those of ICRU Report 44 (adult) as we recall them [R]; salts,
minerals and collagen follow from their chemical formula [C]. Three densities depart from that report: muscle 1.06 (fat-free
muscle measured by Mendez and Keys, 1960 [R]), blood 1.05 (haematocrit 0.38 of cells of 1.095 in plasma of 1.025 [C]) and
adipose 0.94 (measured values run from 0.92 to 0.95 [R]). Nothing here is shared with the calibration stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ATOMIC_MASS = MappingProxyType(
    {
        "H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "Na": 22.990, "Mg": 24.305, "Al": 26.982, "P": 30.974,
        "S": 32.06, "Cl": 35.45, "K": 39.098, "Ca": 40.078, "Ti": 47.867, "Fe": 55.845, "Cu": 63.546, "I": 126.904,
        "Ba": 137.327, "Gd": 157.25, "W": 183.84,
    }
)  # fmt: skip
"""IUPAC standard atomic weights [g/mol]."""


@dataclass(frozen=True)
class Tissue:
    """A material: mass fractions by element, and mass density."""

    fractions: Mapping[str, float]
    density: float
    """[g/cm³]"""


def from_formula(atoms: Mapping[str, float], density: float) -> Tissue:
    """Return the tissue of a chemical formula; ``density`` in g/cm³."""
    masses = {symbol: count * ATOMIC_MASS[symbol] for symbol, count in atoms.items()}
    total = sum(masses.values())
    return Tissue({symbol: mass / total for symbol, mass in masses.items()}, density)


def mix(parts: Mapping[str, float]) -> Tissue:
    """Return the mixture of named tissues by volume fraction; volumes add up."""
    density = sum(volume * TISSUES[name].density for name, volume in parts.items())
    fractions: dict[str, float] = {}
    for name, volume in parts.items():
        tissue = TISSUES[name]
        for symbol, fraction in tissue.fractions.items():
            fractions[symbol] = fractions.get(symbol, 0.0) + volume * tissue.density * fraction / density
    return Tissue(fractions, density)


def iodinated(name: str, milligrams: float) -> Tissue:
    """Return a tissue with dissolved iodine [mg/cm³]; the solution takes the iodine in without growing."""
    tissue = TISSUES[name]
    grams = milligrams / 1000.0
    density = tissue.density + grams
    fractions = {symbol: share * tissue.density / density for symbol, share in tissue.fractions.items()}
    fractions["I"] = fractions.get("I", 0.0) + grams / density
    return Tissue(fractions, density)


def _percent(density: float, **parts: float) -> Tissue:
    total = sum(parts.values())
    return Tissue({symbol: value / total for symbol, value in parts.items()}, density)


TISSUES: dict[str, Tissue] = {
    "water": from_formula({"H": 2, "O": 1}, 1.0),
    "air": _percent(0.0012, C=0.01, N=75.5, O=23.2),
    "adipose": _percent(0.94, H=11.4, C=59.8, N=0.7, O=27.8, Na=0.1, S=0.1, Cl=0.1),
    "muscle": _percent(1.06, H=10.2, C=14.3, N=3.4, O=71.0, Na=0.1, P=0.2, S=0.3, Cl=0.1, K=0.4),
    "blood": _percent(1.05, H=10.2, C=11.0, N=3.3, O=74.5, Na=0.1, P=0.1, S=0.2, Cl=0.3, K=0.2, Fe=0.1),
    "skin": _percent(1.09, H=10.0, C=20.4, N=4.2, O=64.5, Na=0.2, P=0.1, S=0.2, Cl=0.3, K=0.1),
    "cartilage": _percent(1.10, H=9.6, C=9.9, N=2.2, O=74.4, Na=0.5, P=2.2, S=0.9, Cl=0.3),
    "liver": _percent(1.06, H=10.2, C=13.9, N=3.0, O=71.6, Na=0.2, P=0.3, S=0.3, Cl=0.2, K=0.3),
    "kidney": _percent(1.05, H=10.3, C=13.2, N=3.0, O=72.4, Na=0.2, P=0.2, S=0.2, Cl=0.2, K=0.2, Ca=0.1),
    "red_marrow": _percent(1.03, H=10.5, C=41.4, N=3.4, O=43.9, P=0.1, S=0.2, Cl=0.2, K=0.2, Fe=0.1),
    "yellow_marrow": _percent(0.98, H=11.5, C=64.4, N=0.7, O=23.1, Na=0.1, S=0.1, Cl=0.1),
    "urine": _percent(1.02, H=11.0, C=0.5, N=1.0, O=86.2, Na=0.4, P=0.1, Cl=0.6, K=0.2),
    "hydroxyapatite": from_formula({"Ca": 10, "P": 6, "O": 26, "H": 2}, 3.16),
    "collagen": from_formula({"C": 12, "H": 17, "N": 3, "O": 4}, 1.35),
    "aluminium": Tissue({"Al": 1.0}, 2.70),
    "iodine": Tissue({"I": 1.0}, 4.93),
    "pmma": from_formula({"C": 5, "H": 8, "O": 2}, 1.18),
    "tungsten": Tissue({"W": 1.0}, 19.3),
    "titanium": Tissue({"Ti": 1.0}, 4.51),
    "gadolinium_oxysulfide": from_formula({"Gd": 2, "O": 2, "S": 1}, 7.34),
    "carbon_fibre": Tissue({"C": 0.85, "H": 0.03, "O": 0.12}, 1.4),
}
"""By name. Collagen is its Gly-Pro-Hyp repeat; the two marrows and adipose differ in water, not only in name."""

MATRIX = MappingProxyType({"hydroxyapatite": 0.37, "collagen": 0.40, "water": 0.23})
"""Bone matrix without pores, by volume: 1.17 g/cm³ of mineral, 1.94 g/cm³ of mass, as in micro-CT of cortical tissue [R]."""

MATRIX_MINERAL = 1000.0 * MATRIX["hydroxyapatite"] * TISSUES["hydroxyapatite"].density
"""Hydroxyapatite in one volume of matrix [mg/cm³]."""

TISSUES["bone_matrix"] = mix(MATRIX)
TISSUES["lung"] = mix({"blood": 0.24, "air": 0.76})
TISSUES["barium_sulfate"] = from_formula({"Ba": 1, "S": 1, "O": 4}, 4.5)
TISSUES["cement"] = mix({"pmma": 0.93, "barium_sulfate": 0.07})
TISSUES["soft_organ"] = mix({"muscle": 0.75, "water": 0.25})
TISSUES["bowel_content"] = mix({"muscle": 0.45, "water": 0.45, "adipose": 0.10})
TISSUES["faeces"] = mix({"muscle": 0.66, "adipose": 0.26, "air": 0.08})
TISSUES["plaque"] = mix({"muscle": 0.8, "hydroxyapatite": 0.2})
TISSUES["disc"] = mix({"cartilage": 0.65, "water": 0.35})
TISSUES["cerebrospinal"] = mix({"water": 0.80, "muscle": 0.20})
TISSUES["mattress"] = mix({"adipose": 0.06, "air": 0.94})
TISSUES["table_core"] = mix({"carbon_fibre": 0.03, "air": 0.97})
TISSUES["table_skin"] = mix({"carbon_fibre": 0.80, "air": 0.20})
