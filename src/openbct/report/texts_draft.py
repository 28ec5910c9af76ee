"""The words of the interpretation: rules of the draft, and what stands with a signed text. Part of the catalogue of ``texts.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DRAFT: Final[Mapping[str, str]] = {
    "draft.title": "Draft by rules, not an interpretation",
    "draft.beside": "Draft by rules, beside which the text above was written",
    "draft.kind": "",
    "draft.sentence": "Sentence",
    "draft.rule": "Rule, evidence",
    "draft.finding": "Findings",
    "draft.comparison": "Comparison",
    "draft.limitation": "Limits",
    "draft.recommendation": "To consider",
    "draft.note": (
        "Each sentence is made by the rule that it names from numbers of this report; a rule whose source was not seen says so. None of them is a diagnosis. "
        "What a physician makes of them stands only in a signed text."
    ),
    # Findings
    "draft.F1": "Bone density is in the published range of {category}: {reason}.",
    "draft.F1.unverified": "Bone density would be in the range of {category}, by a threshold that was not verified in its source: {reason}.",
    "draft.F1.none": "There is no class of bone density: {reason}.",
    "draft.F2": "{where}: {quantity} {value}{t}, {category}.",
    "draft.F2.unverified": "{where}: {quantity} {value}{t}, {category} by a reference that was not verified in its source.",
    "draft.F2.t": ", T-score {t}",
    "draft.F3": "{where}: simulated strength {value}, {category}.",
    "draft.F3.none": "{where}: simulated strength {value}, without a class.",
    "draft.F4.below": "{where}: the load estimated for a sideways fall{formula} is {ratio} times the simulated strength, below it.",
    "draft.F4.undecided": (
        "{where}: the load estimated for a sideways fall{formula} is {ratio} times the simulated strength; from {low} to {high} it decides nothing."
    ),
    "draft.F4.above": "{where}: the load estimated for a sideways fall{formula} is {ratio} times the simulated strength, above it.",
    "draft.F4.open": (
        "{where}: the load estimated for a sideways fall{formula} is {ratio} times the simulated strength; its interval reaches over {low} to {high}, where it "
        "decides nothing."
    ),
    "draft.F4.alone": "{where}: the load estimated for a sideways fall{formula} is {ratio} times the simulated strength, of unknown certainty.",
    "draft.F4.spread": " (95 %: {low} to {high})",
    "draft.F4.formula": " (by a formula that was not verified in its source)",
    "draft.F5": "{where}: the heights speak for a {shape} fracture of grade {grade}, {loss} % of the height lost.",
    "draft.F5.possible": (
        "{where}: the heights allow a mild {shape} fracture (grade 1, {loss} % of the height lost); heights alone do not tell it from a natural shape."
    ),
    "draft.F5.none": "In none of {count} vertebrae ({first} to {last}) do the heights show a loss of {limit} % or more.",
    "draft.F5.none_one": "The heights of {first}, the only vertebra that was looked at, show no loss of {limit} % or more.",
    "draft.F6": "Density and strength together: {risk} by the published rule ({reason}).",
    # Comparison
    "draft.C1": "Simulated strength differs between the hips by {percent} % of the higher ({left} left, {right} right).",
    "draft.C2": "Hip and spine are not in the same class: hip {hip}, spine {spine}.",
    "draft.C3": "{text}",
    "draft.what": "{quantity} ({where})",
    "draft.C4": (
        "Since {first}, {what} has {direction} by {percent} % ({before} to {after} {unit}), more than the least significant change of "
        "{least} %{precision}."
    ),
    "draft.C4.increase": "increased",
    "draft.C4.decrease": "decreased",
    "draft.C4.unverified": " (by a precision that was not verified in its source)",
    "draft.C5": "Since {first}, {what} differs by {percent} %, within the least significant change of {least} %{precision}: no change is shown.",
    "draft.C6": (
        "Against {first}, {what} differs by {percent} %, which is implausible{why}: a fault in one of the scans is to be looked for first, and no change is "
        "stated."
    ),
    "draft.C7": "{what} cannot be compared with {first}{why}: no change is stated.",
    "draft.C7.why": " ({why})",
    # Limits
    "draft.L1": "{text}",
    "draft.L2": "The 95 % interval of a T-score lies on both sides of a threshold: {said}.",
    "draft.L2.one": "{where} {t}, threshold {limits}",
    "draft.mean_of": "Mean of {bones}",
    "draft.inline_mean": "mean of {bones}",
    "draft.and": " and ",
    "draft.L3": "Not assessed: {bones}.",
    "draft.L4": "Strength stands on a scale that is provisional: it has no class and must not be set against published thresholds.",
    "draft.L5": "{where} lies near the limit of a fracture: {loss} ± {sd} % of its height lost, grade 1 or more with a chance of {chance} %.",
    "draft.L6": "Comparison with {first}: {text}",
    "draft.L7": "Not compared with {first}: {bones}.",
    "draft.L4.none": "No published threshold is meant for this test of strength.",
    # To consider
    "draft.R1": (
        "Osteoporosis by density or fragile strength counts as high risk by the published rule; the evaluation that follows a diagnosis of osteoporosis is to "
        "be considered."
    ),
    "draft.R2": (
        "From 50 years, a vertebral fracture of grade 2 or 3 beside low bone mass may be taken for osteoporosis where a physician confirms it and holds "
        "low bone mass for its cause."
    ),
    "draft.R2.alone": "Whether a vertebral fracture of grade 2 or 3 stands for osteoporosis is for a physician to decide; it is to be confirmed on the images.",
    "draft.R3": "A possible fracture of grade 1 is to be confirmed or ruled out on the images by a physician.",
    "draft.R4": "Low bone mass alone is no indication for treatment, by a rule that was not verified in its source; clinical risk factors are to be weighed.",
    "draft.R5": "All that has a class is normal; whether and when to measure again follows from clinical risk factors.",
    "draft.R6": "Without a class, densitometry by DXA is to be considered where the question stands (design rule).",
    "draft.R6.young": (
        "At this age no class of density applies; Z-scores, and causes of low density other than age, are to be looked at, by a position that was not "
        "verified in its source."
    ),
    "draft.R7": "A doubt that could change the class stands under “Cautions”; it is to be settled before the class is used.",
    "draft.R8": (
        "When to measure again follows from the clinical state: one year after a treatment is begun or changed, later once its effect is shown, by a "
        "position (for DXA) that was not verified in its source."
    ),
    "draft.evidence": "{rule} · {mark}",
    "draft.evidence_cited": "{rule} · {mark} [{number}]",
    "draft.mark.seen": "seen",
    "draft.mark.code": "public code",
    "draft.mark.computed": "unverified",
    "draft.mark.recalled": "unverified",
    "draft.mark.design": "design",
    # Signed
    "signed.statement": "Research use only: not a cleared medical device. Interpreted by {reader}, {day} (version {version}).",
    "signed.read": "Interpreted by {reader} on {day} (version {version}); the text stands under “Interpretation”.",
    "signed.by": "{reader}, {when} UTC. Version {version}.",
    "signed.amends": "{reader}, {when} UTC. Version {version}; it takes the place of version {before} ({before_reader}, {before_when} UTC), which is kept.",
    "signed.meaning": (
        "By this act the reader states to have looked at the pictures and numbers of this report and answers for the text above. The program checks neither "
        "who typed the name nor with what right: this is no electronic signature in the legal sense."
    ),
    "signed.hash": "Content fixed by SHA-256 {hash} (stored case {case}); openbct report OUT --verify says whether anything was changed since.",
}
