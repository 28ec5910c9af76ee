"""A draft of the interpretation: sentences that rules make of the numbers. Every sentence names its rule, its numbers and how sure we are.

Words are never stronger than the evidence: a threshold that nobody has seen in its source makes a sentence that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..records import Case, Finding, Reference
from ..visits import Earlier
from .draft_followup import again, changes, limits
from .draft_sentence import OWN, POSITIONS, Kind, Sentence, listed, plain
from .fractures import near_limit
from .scales import UNDECIDED, load_unverified, unverified
from .summary import CLASS_CHANGING, grouped_cautions
from .wording import Texts, clean

KINDS: Final[tuple[Kind, ...]] = ("finding", "comparison", "limitation", "recommendation")
COMBINED: Final = Reference("Keaveny TM et al. Osteoporos Int 31:1025 (2020), Table 1", "seen")
"""High risk: fragile strength, or osteoporosis by density, or both; clinical.md B quotes its note."""
FRACTURES: Final = Reference(
    "Siris ES et al. Osteoporos Int (2014), National Bone Health Alliance: a vertebral fracture in osteopenia may be taken for osteoporosis",
    "seen",
)
"""From 50 years, also a fracture found on an image, where a physician holds low bone mass for its cause."""
LOW_MASS: Final = Reference("BHOF guide: treatment of low bone mass by clinical risk factors, text not seen", "recalled")
DENSITIES: Final = ("mg/cm3", "g/cm2")
SURE: Final = 1.96
"""Standard deviations on each side of a 95 % interval."""
MOST_CAUTIONS: Final = 3
"""More cautions that could change the class are left to their own section [design]."""
SAME: Final = 0.005
"""Hips whose strengths differ by less are not compared in words [-] [design]."""


def draft(case: Case, texts: Texts, earlier: Earlier | None = None) -> tuple[Sentence, ...]:
    """Return the draft of a case, findings first.

    Parameters
    ----------
    earlier
        What a comparison says of it beside an earlier scan.
    """
    beside = [*changes(earlier, texts)] if earlier is not None else []
    doubts = [*limits(earlier, texts)] if earlier is not None else []
    next_time = [again(texts)] if earlier is not None or case.assessment.category in ("osteoporosis", "low bone mass") else []
    compared = (*beside, *_comparisons(case, texts))
    return (*_findings(case, texts), *compared, *_limits(case, texts), *doubts, *_recommendations(case, texts), *next_time)


def _findings(case: Case, texts: Texts) -> Iterator[Sentence]:
    yield _class(case, texts)
    for finding in case.assessment.findings:
        if finding.unit.split(" ")[0] in DENSITIES and finding.category:
            yield _density(finding, texts)
    yield from _strengths(case, texts)
    doubtful = load_unverified(case)
    behind = {finding.reference for finding in case.assessment.findings}
    sources = [one for one in case.assessment.step.references if one not in behind]
    load = next((one for one in sources if unverified(one) and "fall" in one.text.lower()), OWN)
    for bone, ratio in case.assessment.load_to_strength.items():
        yield Sentence(
            "finding", "F4", _load(bone, ratio, case, texts, doubtful=doubtful), load, {f"{bone} load_to_strength": ratio}
        )
    yield from _fractures(case, texts)
    if case.assessment.risk is not None:
        risk = texts(f"risk.{case.assessment.risk}").lower()
        rule = FRACTURES if "fracture" in case.assessment.risk_reason else COMBINED
        yield Sentence("finding", "F6", texts("draft.F6", risk=risk, reason=_lower(texts, case.assessment.risk_reason)), rule)


def _load(bone: str, ratio: float, case: Case, texts: Texts, *, doubtful: bool) -> str:
    """Return what load-to-strength says of a hip: below or above only where its interval is known and lies there as a whole."""
    low, high = UNDECIDED
    ends = case.assessment.ratio_intervals.get(bone, (ratio, ratio))
    known = bone in case.assessment.ratio_intervals
    zone = "below" if ends[1] < low else "above" if ends[0] > high else "undecided" if low <= ratio <= high else "open"
    zone = "alone" if zone in ("below", "above") and not known else zone
    spread = texts("draft.F4.spread", low=texts.number(ends[0], 2), high=texts.number(ends[1], 2)) if ends[0] < ends[1] else ""
    return texts(
        f"draft.F4.{zone}",
        where=texts.bone(bone),
        ratio=texts.number(ratio, 2) + spread,
        low=texts.number(low, 1),
        high=texts.number(high, 1),
        formula=texts("draft.F4.formula") if doubtful else "",
    )


def _class(case: Case, texts: Texts) -> Sentence:
    """Return the class of the case with its reason, as sure as the finding that decides it."""
    assessment = case.assessment
    reason = _lower(texts, assessment.reason.removeprefix("no class: ").removeprefix("No class: ")).rstrip(".")
    if not assessment.category:
        return Sentence("finding", "F1", texts("draft.F1.none", reason=reason), OWN)
    deciding = [f for f in assessment.findings if f.category == assessment.category and f.unit.split(" ")[0] in DENSITIES]
    reference = next((f.reference for f in deciding if not unverified(f.reference)), deciding[0].reference if deciding else OWN)
    key = "draft.F1.unverified" if unverified(reference) else "draft.F1"
    category = texts.find(f"class.{assessment.category}", assessment.category).lower()
    numbers = {f"{f.bone} {f.quantity}": f.value for f in deciding}
    return Sentence("finding", "F1", texts(key, category=category, reason=reason), reference, numbers)


def _density(finding: Finding, texts: Texts) -> Sentence:
    score = "" if finding.t_score is None else texts("draft.F2.t", t=_spread(finding.t_score, finding.t_score_sd, texts))
    unit = finding.unit.split(" ")[0]
    words = texts(
        "draft.F2.unverified" if unverified(finding.reference) else "draft.F2",
        where=_where(finding.bone, texts),
        quantity=plain(texts.find(f"quantity.{finding.quantity}", finding.quantity)),
        value=f"{texts.quantity(finding.value, finding.unit)} {texts.unit(unit)}",
        t=score,
        category=texts.find(f"class.{finding.category}", clean(finding.category or "")).lower(),
    )
    numbers = {f"{finding.bone} {finding.quantity}": finding.value}
    return Sentence("finding", "F2", words, finding.reference, numbers)


def _strengths(case: Case, texts: Texts) -> Iterator[Sentence]:
    """Return the strengths, those of one site and one class in one sentence that names its bones."""
    groups: dict[tuple[bool, str | None, Reference], list[Finding]] = {}
    for finding in case.assessment.findings:
        if finding.unit == "N":
            site = finding.bone.startswith("femur")
            groups.setdefault((site, finding.category, finding.reference if finding.category else OWN), []).append(finding)
    for (_, category, reference), found in groups.items():
        values = listed([texts.force(one.value) for one in found], texts)
        words = texts(
            "draft.F3" if category else "draft.F3.none",
            where=_where_all([one.bone for one in found], texts),
            value=values,
            category=texts.find(f"class.{category}", clean(category or "")).lower(),
        )
        yield Sentence("finding", "F3", words, reference, {f"{one.bone} strength": one.value for one in found})


def _where_all(bones: list[str], texts: Texts) -> str:
    """Return the name of a bone, or those of several as they stand before their numbers."""
    if len(bones) == 1:
        return _where(bones[0], texts)
    named = listed([texts.inline_bone(bone) for bone in bones], texts)
    return named[:1].upper() + named[1:]


def _fractures(case: Case, texts: Texts) -> Iterator[Sentence]:
    found = case.fractures
    if found is None or not found.vertebrae:
        return
    source = found.step.references[0] if found.step.references else OWN
    for one in found.vertebrae:
        if one.grade:
            key = "draft.F5.possible" if one.grade == 1 else "draft.F5"
            shape = texts(f"fractures.{one.shape}") if one.shape else ""
            words = texts(key, where=one.level, shape=shape, grade=one.grade, loss=texts.number(100 * one.loss))
            yield Sentence("finding", "F5", words, source, {f"{one.level} loss": one.loss})
    if not any(one.grade for one in found.vertebrae):
        names = found.vertebrae[0].level, found.vertebrae[-1].level
        limit, count = texts.number(100 * _mild_loss(case)), len(found.vertebrae)
        key = "draft.F5.none" if count > 1 else "draft.F5.none_one"
        words = texts(key, count=count, first=names[0], last=names[1], limit=limit)
        yield Sentence("finding", "F5", words, source, {f"{one.level} loss": one.loss for one in found.vertebrae})


def _mild_loss(case: Case) -> float:
    """Return the loss from which grade 1 begins in the case's protocol."""
    table = case.settings.get("fractures")
    value = table.get("mild_loss") if isinstance(table, Mapping) else None
    return float(value) if isinstance(value, int | float) else 0.20


def _comparisons(case: Case, texts: Texts) -> Iterator[Sentence]:
    strengths = {bone.bone: bone.strength.strength for bone in case.bones if bone.strength is not None}
    left, right = strengths.get("femur_left"), strengths.get("femur_right")
    if left is not None and right is not None and abs(left - right) > SAME * max(left, right):
        percent = 100.0 * abs(left - right) / max(left, right)
        words = texts("draft.C1", percent=texts.number(percent), left=texts.force(left), right=texts.force(right))
        yield Sentence("comparison", "C1", words, OWN, {"femur_left strength": left, "femur_right strength": right})
    classes: dict[str, str] = {}
    order = ("osteoporosis", "low bone mass", "normal")
    for finding in case.assessment.findings:
        if finding.category in order:
            site = "hip" if finding.bone.startswith("femur") else "spine"
            classes[site] = min(classes.get(site, "normal"), finding.category, key=order.index)
    if len(set(classes.values())) == 2:
        named = {site: texts.find(f"class.{category}", category).lower() for site, category in classes.items()}
        yield Sentence("comparison", "C2", texts("draft.C2", **named), OWN)
    for text in case.assessment.beside_dxa:
        yield Sentence("comparison", "C3", texts("draft.C3", text=texts.sentence(text)), OWN)


def _limits(case: Case, texts: Texts) -> Iterator[Sentence]:
    cautions = [f"{where}: {text}" if where else text for where, text in grouped_cautions(case, texts) if _changes(text)]
    for text in cautions[:MOST_CAUTIONS]:
        yield Sentence("limitation", "L1", texts("draft.L1", text=text), OWN)
    if not any("T-score" in text for text in cautions[:MOST_CAUTIONS]):
        yield from _straddles(case, texts)
    for one in near_limit(case.fractures) if case.fractures is not None else ():
        chance = 1.0 - one.chances[0]
        words = texts(
            "draft.L5",
            where=one.level,
            loss=texts.number(100 * one.loss),
            sd=texts.number(100 * one.loss_sd),
            chance=texts.number(100 * chance),
        )
        yield Sentence("limitation", "L5", words, OWN, {f"{one.level} loss": one.loss, f"{one.level} chance": chance})
    missing = [texts.inline_bone(bone.bone) for bone in case.bones if bone.status == "refused"]
    missing += [texts.inline_bone(name) for name in case.segmentation.absent if name not in {bone.bone for bone in case.bones}]
    if missing:
        yield Sentence("limitation", "L3", texts("draft.L3", bones=", ".join(missing)), OWN)
    scales = {bone.strength.scale for bone in case.bones if bone.strength is not None}
    if scales & {"provisional", ""}:
        yield Sentence("limitation", "L4", texts("draft.L4"), OWN)
    elif "none" in scales:
        yield Sentence("limitation", "L4", texts("draft.L4.none"), OWN)


def _changes(text: str) -> bool:
    """Tell whether a caution says that the class, or the side, could be another."""
    return "class could be" in text or "class may be" in text or "must be settled" in text


def _straddles(case: Case, texts: Texts) -> Iterator[Sentence]:
    """Tell in one sentence which T-scores have an interval that reaches over a threshold."""
    said, numbers = [], {}
    for finding in case.assessment.findings:
        score, spread = finding.t_score, finding.t_score_sd
        if score is None or not spread or not finding.category:
            continue
        crossed = [limit for limit in finding.thresholds if score - SURE * spread < limit < score + SURE * spread]
        if crossed:
            site = f"{texts.inline_bone(finding.bone)} ({texts.find(f'short.{finding.quantity}', finding.quantity)})"
            limits = listed([texts.number(limit, 1) for limit in crossed], texts)
            said.append(texts("draft.L2.one", where=site, t=_spread(score, spread, texts), limits=limits))
            numbers[f"{finding.bone} {finding.quantity} t_score"] = score
    if said:
        yield Sentence("limitation", "L2", texts("draft.L2", said="; ".join(said)), OWN, numbers)


def _recommendations(case: Case, texts: Texts) -> Iterator[Sentence]:
    assessment = case.assessment
    grades = [one.grade for one in case.fractures.vertebrae] if case.fractures else []
    fragile = any(finding.category == "fragile bone strength" for finding in assessment.findings)
    broken = any(grade >= 2 for grade in grades)
    if assessment.category == "osteoporosis" or fragile:
        yield Sentence("recommendation", "R1", texts("draft.R1"), COMBINED)
    elif assessment.category == "low bone mass" and not broken:
        yield Sentence("recommendation", "R4", texts("draft.R4"), LOW_MASS)
    elif assessment.category == "normal" and assessment.risk in (None, "not increased") and not any(grades):
        yield Sentence("recommendation", "R5", texts("draft.R5"), OWN)
    elif "classes apply from" in assessment.reason:
        yield Sentence("recommendation", "R6", texts("draft.R6.young"), POSITIONS)
    elif assessment.category is None:
        yield Sentence("recommendation", "R6", texts("draft.R6"), OWN)
    if broken:
        beside = assessment.category == "low bone mass"
        yield Sentence("recommendation", "R2", texts("draft.R2" if beside else "draft.R2.alone"), FRACTURES if beside else OWN)
    if 1 in grades:
        yield Sentence("recommendation", "R3", texts("draft.R3"), OWN)
    if any(CLASS_CHANGING.search(text) and _changes(text) for _, text in grouped_cautions(case, texts)):
        yield Sentence("recommendation", "R7", texts("draft.R7"), OWN)


def _where(bone: str, texts: Texts) -> str:
    """Return a bone's name, or those of several."""
    return texts("draft.mean_of", bones=clean(bone)) if ", " in bone else texts.bone(bone)


def _lower(texts: Texts, text: str) -> str:
    return plain(texts.sentence(text))


def _spread(value: float, deviation: float | None, texts: Texts) -> str:
    text = texts.number(value, 1)
    return texts("value.sd", value=text, sd=texts.number(deviation, 1)) if deviation else text
