"""How a language writes: texts with their values, numbers with sensible digits, names of bones and people."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    """A language: its catalogue and how it writes numbers."""

    catalogue: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values in place."""
        return self.catalogue[key].format(**values) if values else self.catalogue[key]

    def find(self, key: str, fallback: str) -> str:
        """Return a text, or the fallback in readable words where the catalogue lacks it."""
        return self.catalogue.get(key, fallback.replace("_", " "))

    def sentence(self, text: str, bone: str = "") -> str:
        """Return a stage's words as a sentence: a capital first, without the bone's key where the bone is named anyway."""
        plain = self.phrase(text.removeprefix(f"{bone}: ") if bone else text)
        return plain[:1].upper() + plain[1:]

    def statement(self, text: str, bone: str = "") -> str:
        """Return a stage's words as a sentence that stands alone, ended by a full stop."""
        said = self.sentence(text, bone)
        return said if not said or said.endswith((".", "!", "?", ")", "…")) else f"{said}."

    def phrase(self, text: str) -> str:
        """Return a stage's words within a sentence: true minus signs, units and names as people write them."""
        plain = clean(text)
        plain = re.sub(r"(?<![\w.])-(?=\d)", "\u2212", plain)
        plain = re.sub(r"(?<=\d) x (?=\d)", " × ", plain)
        plain = re.sub(r"\b(?:the )?femur_(left|right)\b", r"the \1 femur", plain)
        return self.unit(plain)

    def bone(self, name: str) -> str:
        """Return a bone's name."""
        return self.find(f"bone.{name}", name) if name.startswith("femur") else self("bone.vertebra", level=clean(name))

    def inline_bone(self, name: str) -> str:
        """Return a bone's name within a sentence or a list."""
        return self.find(f"bone.inline.{name}", clean(name))

    def short_bone(self, name: str) -> str:
        """Return a bone's name for the lettering of a scale."""
        return self.find(f"bone.short.{name}", clean(name))

    def number(self, value: float, digits: int = 0) -> str:
        """Return a rounded number: true minus sign, thin spaces from 10 000 upwards."""
        if not math.isfinite(value):
            return "–"
        rounded = round(value, digits) + 0.0
        text = f"{rounded:,.{max(digits, 0)}f}" if abs(rounded) >= 10000 else f"{rounded:.{max(digits, 0)}f}"
        return text.replace(",", "\u202f").replace("-", "\u2212")

    def force(self, newton: float) -> str:
        """Return a force to 10 N, as published reports give it."""
        return f"{self.number(newton, -1)}\u00a0N"

    def quantity(self, value: float, unit: str) -> str:
        """Return a value with the digits that its unit deserves, without the unit."""
        digits = {"N": -1, "N/mm": -1, "mg/cm3": 0, "g/cm2": 3, "g": 2, "mm": 1, "mm3": -1, "cm3": 1, "HU": 0, "T": 1, "mm2": 0}
        plain = unit.split(" ")[0]
        if plain in digits:
            return self.number(value, digits[plain])
        size = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
        return self.number(value, max(0, 2 - size))

    def unit(self, unit: str) -> str:
        """Return a unit with its exponents raised."""
        return (
            unit.replace("cm3", "cm³")
            .replace("cm2", "cm²")
            .replace("mm3", "mm³")
            .replace("mm2", "mm²")
            .replace("K2HPO4", "K₂HPO₄")
        )

    def seconds(self, value: float) -> str:
        """Return a duration."""
        return f"{self.number(value, 0 if value >= 10 else 1 if value >= 1 else 2)}\u00a0s"


def clean(text: str) -> str:
    """Return foreign text without control characters and without marks that change the direction of what follows."""
    kept = [" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text]
    plain = [
        letter
        for letter in kept
        if letter not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
        and unicodedata.category(letter) not in ("Cs", "Cn")
    ]
    return " ".join("".join(plain).split())


def person(name: str) -> str:
    """Return a name as people write it: DICOM's components apart, ideographic and phonetic forms in brackets."""
    groups = [", ".join(part for part in (clean(p) for p in group.split("^")) if part) for group in name.split("=")]
    groups = [group for group in groups if group]
    return groups[0] + "".join(f" ({group})" for group in groups[1:]) if groups else ""
