"""Headers that are wrong on purpose: plausible statements that are false, one by one, with what reading makes of each.

All of them leave the image readable and in its place; what breaks a series is in :mod:`openbct.io.faults`. Sizes are our design [D].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from ..errors import SettingsError
from ..records import Acquisition, Patient
from ..volume import Volume
from .dicom_header import HEADERS, Technique, statements
from .kernels import is_sharp

TILT_DEG = 15.0
SHARP_AND_SOFT = {"siemens": ("B70f", "B30f"), "toshiba": ("FC30", "FC12"), "canon": ("FC30", "FC12"), "philips": ("YD", "B")}
"""A sharp and a soft kernel of a maker [R]; ``BONE`` and ``STANDARD`` of any other."""
YEARS = 30
"""How far age and birth date are apart: the false one is younger, or older where the patient is too young for that."""
Said = Mapping[str, Any]


@dataclass(frozen=True)
class Falsehood:
    """One false statement of a header."""

    name: str
    keyword: str
    """The element, in the words of a classic CT image."""
    told: str
    """What is wrong with it, for the record beside the truth."""
    answer: Literal["cautioned", "unused"]
    """What reading makes of it; ``"unused"`` where nothing is taken from the element."""
    write: Callable[[Said], Any]
    """The false value in place of the true statements' one, ``None`` for no element."""
    needs: tuple[str, ...] = ()
    """Elements without which it would contradict nothing: it is left out then."""
    unless: str = ""
    """An element beside which another falsehood says the same."""


def false_statements(
    image: Volume, *, patient: Patient, acquisition: Acquisition, technique: Technique | None = None
) -> dict[str, tuple[Any, Any]]:
    """Return what ``header="wrong"`` writes about a scan: keyword to (true value, written value), ``None`` for no element.

    The writers use the same mapping; it belongs beside the truth of a simulated scan.

    Raises
    ------
    OutputError
        A body part that is not in the table, a date or a number that is none.
    """
    return falsify(statements(image, patient, acquisition, technique or Technique()))


def falsify(said: Said) -> dict[str, tuple[Any, Any]]:
    """Return the false values of some true statements: keyword to (true, written)."""
    found = {}
    for falsehood in FALSEHOODS.values():
        if all(keyword in said for keyword in falsehood.needs) and falsehood.unless not in said:
            found[falsehood.keyword] = (said.get(falsehood.keyword), falsehood.write(said))
    return found


def chosen_statements(said: Said, header: str) -> dict[str, Any]:
    """Return what a header of some kind says, of all that could truly be said; nothing for a poor one.

    Raises
    ------
    SettingsError
        An unknown kind.
    """
    if header not in HEADERS:
        raise SettingsError(f"found the header {header!r}, expected one of {', '.join(HEADERS)}; choose one of these")
    if header == "poor":
        return {}
    false = {keyword: written for keyword, (_, written) in falsify(said).items()} if header == "wrong" else {}
    return {keyword: value for keyword, value in {**said, **false}.items() if value is not None}


def _thin(said: Said) -> float:
    """Half the distance of the slices, or half the true thickness where that is less."""
    return 0.5 * float(min(said["SpacingBetweenSlices"], said.get("SliceThickness", said["SpacingBetweenSlices"])))


def _other_kernel(said: Said) -> str:
    """A sharp kernel where the true one is soft, a soft one where it is sharp."""
    maker = said.get("Manufacturer", "")
    sharp, soft = SHARP_AND_SOFT.get(maker.lower().split(" ")[0], ("BONE", "STANDARD"))
    return soft if is_sharp(maker, said.get("ConvolutionKernel", [""])[0]) else sharp


def _other_age(said: Said) -> str:
    """An age that the birth date denies."""
    return f"{_far_from(int(said['PatientAge'][:3])):03d}Y"


def _other_birth(said: Said) -> str:
    """A birth date that the age denies: the first of July, which any study year has."""
    return f"{max(int(said['StudyDate'][:4]) - _far_from(int(said['PatientAge'][:3])), 1):04d}0701"


def _far_from(age: int) -> int:
    return age - YEARS if age >= YEARS else age + YEARS


FALSEHOODS: Mapping[str, Falsehood] = MappingProxyType(
    {
        one.name: one
        for one in (
            Falsehood("thickness", "SliceThickness", "Slices are half as thick as they lie apart.", "cautioned", _thin),
            Falsehood(
                "spacing", "SpacingBetweenSlices", "Slices lie 1.5 times as far apart as their positions say.", "cautioned",
                lambda said: 1.5 * said["SpacingBetweenSlices"],
            ),
            Falsehood(
                "tilt", "GantryDetectorTilt", f"The gantry was tilted by {TILT_DEG:g} degrees; the planes are not.", "cautioned",
                lambda said: TILT_DEG,
            ),
            Falsehood("kvp", "KVP", "The tube voltage is 0.", "cautioned", lambda said: 0.0),
            Falsehood(
                "kernel", "ConvolutionKernel", "A sharp kernel for a soft one; for a sharp one a soft one, which no reader sees.",
                "cautioned", _other_kernel,
            ),
            Falsehood(
                "contrast", "ContrastBolusAgent", "A contrast agent where none was given; none where one was, which no reader sees.",
                "cautioned", lambda said: None if "ContrastBolusAgent" in said else "IOHEXOL",
            ),
            Falsehood("sex", "PatientSex", "The sex is O, neither F nor M.", "cautioned", lambda said: "O"),
            Falsehood(
                "age", "PatientAge", f"The age contradicts the birth date by {YEARS} years.", "cautioned", _other_age,
                ("PatientAge", "PatientBirthDate"),
            ),
            Falsehood(
                "birth", "PatientBirthDate", f"Where no birth date was known: one that contradicts the age by {YEARS} years.", "cautioned",
                _other_birth, ("PatientAge",), "PatientBirthDate",
            ),
            Falsehood(
                "height", "PatientSize", "The height stands in centimetres; the standard wants metres.", "cautioned",
                lambda said: 100 * said["PatientSize"], ("PatientSize",),
            ),
            Falsehood(
                "weight", "PatientWeight", "The weight stands in grams; the standard wants kilograms.", "cautioned",
                lambda said: 1000 * said["PatientWeight"], ("PatientWeight",),
            ),
            Falsehood("position", "PatientPosition", "Feet first and prone; it was head first and supine.", "unused", lambda said: "FFP"),
            Falsehood(
                "body-part", "BodyPartExamined", "Another region of the body.", "unused",
                lambda said: "CHEST" if said["BodyPartExamined"] == "HEAD" else "HEAD",
            ),
        )
    }
)  # fmt: skip
"""Every falsehood by name."""
