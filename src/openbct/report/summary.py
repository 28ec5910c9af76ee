"""The first page: who was scanned, the class with its strongest reason, the key numbers, and how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..records import BoneResult, Case
from .content import Block, Fact, Facts, Notice, Paragraph, Section, Standing, Tone, Verdict
from .scales import scale_bars
from .wording import Texts, clean, person

MAIN_CAUTIONS: Final = 4
"""So many cautions stand on the first page; the rest is counted there and printed in full further on [design]."""
CAUTION_LENGTH: Final = 230
"""Longer cautions are shortened on the first page [letters]."""
FACT_LENGTH: Final = 90
SOURCE_LENGTH: Final = 24
"""Longer entries of the header are shortened on the first page [letters]; DICOM allows 64 for most."""
SOURCED: Final = ("sex", "age", "height_cm", "weight_kg")
"""Facts that a result rests on: where they came from is said."""
STANDINGS: Final[dict[str, Standing]] = {"osteoporosis": "high", "low bone mass": "increased", "normal": "not_increased"}
STATUS_KEYS: Final = {"ok": "status.ok", "caution": "status.caution", "refused": "status.refused"}


def summary(case: Case, texts: Texts) -> Section:
    """Return the first page."""
    blocks: list[Block] = [Facts((*patient_facts(case, texts), *scan_facts(case, texts)), columns=3), _verdict(case, texts)]
    bars = scale_bars(case, texts)
    blocks += bars
    if not usable(case):
        blocks.append(Paragraph(texts("summary.nothing"), "lead"))
    elif not bars:
        blocks.append(Paragraph(texts("summary.no_numbers")))
    blocks.append(_main_cautions(case, texts))
    blocks.append(Notice("plain", texts("research.title"), (texts("research.text"), texts("research.unread"))))
    return Section("summary", texts("section.summary"), tuple(blocks))


def usable(case: Case) -> tuple[BoneResult, ...]:
    """Return the bones that were not refused."""
    return tuple(bone for bone in case.bones if bone.status != "refused")


def patient_facts(case: Case, texts: Texts) -> tuple[Fact, ...]:
    """Return who was scanned; what is not known is said."""
    patient = case.scan.patient
    values: dict[str, str | None] = {
        "name": person(patient.name) if patient.name else None,
        "identifier": clean(patient.identifier) if patient.identifier else None,
        "birth_date": shorten(clean(patient.birth_date), SOURCE_LENGTH) if patient.birth_date else None,
        "sex": texts(f"sex.{patient.sex}") if patient.sex else None,
        "age": texts("years", value=texts.number(patient.age)) if patient.age is not None else None,
        "height_cm": f"{texts.number(patient.height_cm)} cm" if patient.height_cm is not None else None,
        "weight_kg": f"{texts.number(patient.weight_kg)} kg" if patient.weight_kg is not None else None,
    }
    return tuple(
        Fact(
            texts(f"fact.{key}"),
            value or texts("unknown"),
            _source(patient.sources.get(key), texts) if value and key in SOURCED else "",
        )
        for key, value in values.items()
    )


def scan_facts(case: Case, texts: Texts) -> tuple[Fact, ...]:
    """Return how the scan was made."""
    scan = case.scan.acquisition
    scanner = " ".join(clean(part) for part in (scan.manufacturer, scan.model) if part)
    spacing = " × ".join(texts.number(float(value), 2) for value in case.scan.image.spacing)
    values: dict[str, str | None] = {
        "study_date": clean(scan.study_date) if scan.study_date else None,
        "scanner": scanner or None,
        "kvp": f"{texts.number(scan.kvp)} kV" if scan.kvp is not None else None,
        "kernel": clean(scan.kernel) if scan.kernel else None,
        "slice_thickness": f"{texts.number(scan.slice_thickness, 2)} mm" if scan.slice_thickness is not None else None,
        "contrast": clean(scan.contrast) if scan.contrast else texts("contrast.silent"),
        "voxel": f"{spacing} mm",
        "accession_number": clean(scan.accession_number) if scan.accession_number else "",
        "referring_physician": person(scan.referring_physician) if scan.referring_physician else "",
    }
    return tuple(
        Fact(texts(f"fact.{key}"), shorten(value, FACT_LENGTH) if value else texts("unknown"))
        for key, value in values.items()
        if value != ""
    )


def grouped_cautions(case: Case, texts: Texts) -> tuple[tuple[str, str], ...]:
    """Return each caution once, with the bones that it concerns; an empty text stands for the whole scan."""
    bones: dict[str, list[str]] = {}
    for bone in case.bones:
        for caution in bone.cautions:
            text = texts.sentence(caution, bone.bone)
            if bone.bone not in bones.setdefault(text, []):
                bones[text].append(bone.bone)
    own = {clean(caution) for bone in case.bones for step in bone.steps for caution in step.cautions}
    whole = [texts.sentence(caution) for caution in case.cautions]
    whole += [texts.sentence(caution) for step in case.steps for caution in step.cautions if clean(caution) not in own]
    unique = list(dict.fromkeys(whole))
    found = [("", caution) for caution in unique]
    return tuple(
        found + [(", ".join(texts.bone(name) for name in names), text) for text, names in bones.items() if text not in unique]
    )


def refusals(case: Case, texts: Texts) -> tuple[str, ...]:
    """Return one sentence for each reason for which bones were refused."""
    reasons: dict[str, list[str]] = {}
    for bone in case.bones:
        if bone.status == "refused":
            reasons.setdefault(texts.sentence(bone.reason or texts("unknown"), bone.bone), []).append(texts.bone(bone.bone))
    return tuple(f"{texts('bone.refused', bone=', '.join(names))}: {reason}" for reason, names in reasons.items())


def shorten(text: str, length: int = CAUTION_LENGTH) -> str:
    """Return a text cut between words."""
    if len(text) <= length:
        return text
    head = text[: length - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[length // 2 :] else head) + " …"


def _source(source: str | None, texts: Texts) -> str:
    return shorten(texts.find(f"source.{source}", clean(source)), SOURCE_LENGTH) if source else ""


def _verdict(case: Case, texts: Texts) -> Verdict:
    """Return the class at a glance, with what was analysed."""
    category = case.assessment.category
    name = texts.find(f"class.{category}", clean(category)) if category else texts("verdict.none")
    return Verdict(
        texts("verdict.label"),
        name,
        STANDINGS.get(category or "", "none"),
        shorten(texts.sentence(case.assessment.reason), 2 * CAUTION_LENGTH),
        _analysed(case, texts),
    )


def _analysed(case: Case, texts: Texts) -> tuple[str, ...]:
    """Return one line for each status with its bones."""
    lines = []
    for status, key in STATUS_KEYS.items():
        names = [texts.inline_bone(bone.bone) for bone in case.bones if bone.status == status]
        if names:
            lines.append(f"{texts(key)}: {', '.join(names)}")
    return tuple(lines)


def _main_cautions(case: Case, texts: Texts) -> Notice:
    """Return refusals and the first cautions; the rest is counted."""
    every: Sequence[str] = (
        *refusals(case, texts),
        # What concerns one bone's numbers says more than what holds for every scan of its kind.
        *(
            f"{where}: {text}" if where else text
            for where, text in sorted(grouped_cautions(case, texts), key=lambda pair: not pair[0])
        ),
    )
    if not every and not case.bones:
        return Notice("refused", texts("summary.cautions"), (texts("overview.none"),))
    if not every:
        return Notice("ok", texts("summary.cautions"), (texts("summary.no_cautions"),))
    shown = [shorten(text) for text in every[:MAIN_CAUTIONS]]
    if len(every) > MAIN_CAUTIONS:
        shown.append(texts("more", count=len(every) - MAIN_CAUTIONS))
    tone: Tone = "caution" if usable(case) else "refused"
    return Notice(tone, texts("summary.cautions"), tuple(shown))
