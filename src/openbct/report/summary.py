"""The first page: who was scanned, the class with its strongest reason, the key numbers, and how far to trust them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..records import BoneResult, Case
from .content import Block, Fact, Facts, Notice, Paragraph, ScaleBar, Section, Standing, Verdict
from .fractures import said_near
from .scales import scale_bars, unverified
from .wording import Texts, clean, person

MAIN_CAUTIONS: Final = 8
"""No more cautions stand on the first page; the rest is counted there and printed in full further on [design]."""
PAGE_LINES: Final = 35.0
"""Lines of cautions that fit the first page under the patient's facts and the class [measured on printed pages]."""
BAR_LINES: Final = 4.4
"""Lines that one scale takes."""
SINCE_LINES: Final = 2.5
"""Lines that the box on an earlier scan takes beside its items."""
LINE_LENGTH: Final = 112
"""Letters in one line of a caution."""
CAUTION_LENGTH: Final = 700
"""Longer cautions than any of our own are cut on the first page [letters]."""
REASON_LENGTH: Final = 460
CLASS_CHANGING: Final = re.compile(
    r"class (could|may) be|T-score|class rests on|tube voltage|belong together|fracture \(grade", re.IGNORECASE
)
"""Words of doubts that could change the class."""
FACT_LENGTH: Final = 90
SOURCE_LENGTH: Final = 24
"""Longer entries of the header are shortened on the first page [letters]; DICOM allows 64 for most."""
SOURCED: Final = ("sex", "age", "height_cm", "weight_kg")
"""Facts that a result rests on: where they came from is said."""
STANDINGS: Final[dict[str, Standing]] = {"osteoporosis": "high", "low bone mass": "increased", "normal": "not_increased"}
RISK_STANDINGS: Final[dict[str, Standing]] = {"high": "high", "increased": "increased", "not increased": "not_increased"}
STATUS_KEYS: Final = {"ok": "status.ok", "caution": "status.caution", "refused": "status.refused"}


def summary(case: Case, texts: Texts, standing: str, since: Notice | None = None) -> Section:
    """Return the first page; ``standing`` says whether a physician has read it, ``since`` what changed since an earlier scan."""
    blocks: list[Block] = [
        Facts((*patient_facts(case, texts), *scan_facts(case, texts)), columns=3),
        _verdict(case, texts),
        *([since] if since is not None else []),
    ]
    bars = scale_bars(case, texts)
    blocks += bars
    unplaced = _unplaced(case, texts)
    blocks += [Paragraph(unplaced)] if unplaced else []
    if any(marker.uncertainty for bar in bars for marker in bar.markers):
        blocks.append(Paragraph(texts("summary.brackets"), "note"))
    if usable(case) and not bars:
        blocks.append(Paragraph(texts("summary.no_numbers")))
    taken = (SINCE_LINES + len(since.items) if since is not None else 0.0) + (2.0 if unplaced else 0.0)
    blocks += _main_cautions(case, texts, bars, taken)
    blocks.append(Notice("plain", texts("research.title"), (texts("research.text"), standing)))
    return Section("summary", texts("section.summary"), tuple(blocks))


def _unplaced(case: Case, texts: Texts) -> str:
    """Return the areal densities that stand on no scale, because no threshold applies to this patient."""
    said = []
    for finding in case.assessment.findings:
        if finding.unit == "g/cm2" and finding.t_score is None and not finding.thresholds:
            value = texts.quantity(finding.value, finding.unit)
            half = (finding.interval[1] - finding.interval[0]) / 2 / 1.96 if finding.interval else None
            value = texts("value.sd", value=value, sd=texts.quantity(half, finding.unit)) if half else value
            score = f" ({texts('results.z', value=texts.number(finding.z_score, 1))})" if finding.z_score is not None else ""
            name = texts.find(f"short.{finding.quantity}", clean(finding.quantity))
            said.append(f"{texts.short_bone(finding.bone)} {name} {value}\u00a0g/cm²{score}")
    return texts("summary.unplaced", values=", ".join(said)) if said else ""


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
            text = texts.statement(caution, bone.bone)
            if bone.bone not in bones.setdefault(text, []):
                bones[text].append(bone.bone)
    own = {clean(caution) for bone in case.bones for step in bone.steps for caution in step.cautions}
    whole = list(said_near(case.fractures, texts)) if case.fractures is not None else []
    whole += [texts.statement(caution) for caution in case.cautions]
    whole += [texts.statement(caution) for step in case.steps for caution in step.cautions if clean(caution) not in own]
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
            reasons.setdefault(texts.statement(bone.reason or texts("unknown"), bone.bone), []).append(texts.bone(bone.bone))
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
    deciding = [finding for finding in case.assessment.findings if category and finding.category == category]
    doubtful = any(unverified(finding.reference) for finding in deciding)
    label = texts("verdict.label") + (f" ({texts('unverified')})" if doubtful else "")
    reason = shorten(texts.statement(_without_label(case.assessment.reason, category)), REASON_LENGTH)
    if case.bones and not usable(case):
        # Which bones, why and what to do stands right below, in the box of its own.
        said = texts("summary.nothing")
        if case.fractures is not None and case.fractures.vertebrae:
            said += " " + texts("summary.only_heights", count=len(case.fractures.vertebrae))
        return Verdict(texts("verdict.nothing_label"), texts("verdict.nothing"), "none", said, _analysed(case, texts))
    standing, risk = STANDINGS.get(category or "", "none"), case.assessment.risk
    notes = [shorten(texts.sentence(text), REASON_LENGTH) for text in case.assessment.beside_dxa]
    if risk is not None:
        why = shorten(texts.phrase(case.assessment.risk_reason), REASON_LENGTH)
        if any(finding.category and finding.quantity == "strength" for finding in case.assessment.findings):
            # Strength has a class: the combined one leads, and that of density stands below it.
            notes.insert(0, texts("verdict.density_note", category=name, reason=reason))
            label, name, standing, reason = (
                texts("verdict.combined"),
                texts(f"risk.{risk}"),
                RISK_STANDINGS[risk],
                texts.sentence(why),
            )
        else:
            notes.insert(0, texts("verdict.risk_note", risk=texts(f"risk.{risk}").lower(), reason=why))
    if len(case.assessment.chances) > 1:
        likely = ", ".join(
            f"{texts.find(f'class.{key}', clean(key)).lower()} {texts('unit.percent', value=texts.number(100 * chance))}"
            for key, chance in case.assessment.chances.items()
        )
        notes.append(texts("verdict.chances", chances=likely))
    return Verdict(label, name, standing, reason, (*notes, *_analysed(case, texts)))


def _without_label(reason: str, category: str | None) -> str:
    """Return a reason without the words that stand in large letters beside it."""
    return reason if category else re.sub(r"^no class: ", "", reason, flags=re.IGNORECASE)


def _analysed(case: Case, texts: Texts) -> tuple[str, ...]:
    """Return one line for each status with its bones."""
    lines = []
    for status, key in STATUS_KEYS.items():
        names = [texts.inline_bone(bone.bone) for bone in case.bones if bone.status == status]
        if names:
            see = texts("verdict.see") if status == "refused" and usable(case) else ""
            lines.append(f"{texts(key)}: {', '.join(names)}{see}")
    return tuple(lines)


def _main_cautions(case: Case, texts: Texts, bars: tuple[ScaleBar, ...], taken: float) -> list[Block]:
    """Return the cautions that fit the page, those first that could change the class; the rest is counted.

    Refused bones stand in the banner already; where nothing else is left to say, their reasons stand in a box of their own.
    """
    found = sorted(grouped_cautions(case, texts), key=lambda pair: _weight(*pair))
    every = [f"{where}: {text}" if where else text for where, text in found]
    if not case.bones:
        return [Notice("refused", texts("summary.cautions"), (texts("overview.none"), *every[:MAIN_CAUTIONS]))]
    room = PAGE_LINES - taken - sum(BAR_LINES + _rows_beyond(bar) for bar in bars)
    if not usable(case):
        why, room = _fitting(refusals(case, texts), room, texts)
        blocks: list[Block] = [Notice("refused", texts("summary.why"), why)]
        return blocks + ([Notice("caution", texts("summary.cautions"), _fitting(every, room, texts)[0])] if every else [])
    if not every:
        return [Notice("ok", texts("summary.cautions"), (texts("summary.no_cautions"),))]
    return [Notice("caution", texts("summary.cautions"), _fitting(every, room, texts)[0])]


def _fitting(every: Sequence[str], room: float, texts: Texts) -> tuple[tuple[str, ...], float]:
    """Return the texts that fit in so many lines, with the number of those left out, and the lines that are left."""
    shown: list[str] = []
    for text in (shorten(text) for text in every):
        needed = -(-len(text) // LINE_LENGTH) + 0.3
        if shown and (room < needed or len(shown) == MAIN_CAUTIONS):
            break
        shown.append(text)
        room -= needed
    if len(every) > len(shown):
        shown.append(texts("more", count=len(every) - len(shown)))
    return tuple(shown), room


def _rows_beyond(bar: ScaleBar) -> float:
    """Return how many lines a scale needs beyond the usual, for values on several rows."""
    return max(0.0, len(bar.markers) / 5.0 - 1.0)


def _weight(where: str, text: str) -> int:
    """Return the rank of a caution: what could change the class, then the scan, then single bones."""
    return (0 if "class could be" in text else 1) if CLASS_CHANGING.search(text) else 3 if where else 2


def bone_title(bone: BoneResult, texts: Texts) -> str:
    """Return a bone's name, qualified where a caution says that its side is in doubt."""
    name = texts.bone(bone.bone)
    doubtful = bone.bone.startswith("femur") and any("must be settled" in caution for caution in bone.cautions)
    return texts("bone.side_doubtful", bone=name) if doubtful else name
