"""Adequacy, measures, load-to-strength, cautions: the tables between the first page and the single bones."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..acquisition import rule
from ..records import BoneResult, Case, Finding, Measure
from .content import Block, Figure, Notice, Pair, Paragraph, Section, Table
from .hip_fracture import hip_fracture
from .loads import beside, spine_loads, tissue
from .references import Numbering
from .scales import load_unverified, unverified
from .summary import STATUS_KEYS, bone_title, grouped_cautions, refusals
from .wording import Texts, clean

OVERVIEW_SHARE: Final = 0.46
"""Part of the line that the overview of the scan takes."""
MANY_ROWS: Final = 18
MANY_BONES: Final = 3
"""Longer tables are set smaller, so that both stay on one page where they can [design]."""
DETAILS: Final = ("slab_vbmd", "peripheral_vbmd", "mid_area", "dense_share", "trochanteric_soft_tissue")
"""Measures for those who look: in ``result.json``; the soft tissue stands beside the load."""
MAIN_HIP: Final = ("femoral_neck_abmd", "total_hip_abmd")
"""Areal densities that a class may rest on; the others stand in the table of regions."""


def adequacy(case: Case, texts: Texts, overview: Figure | None) -> Section:
    """Return which bones could be used, and why not where they could not, beside the scan that they lie in."""
    rows: list[tuple[str, ...]] = [
        (bone_title(bone, texts), texts(STATUS_KEYS[bone.status]), _why(bone, case, texts)) for bone in case.bones
    ]
    rows += _absent(case, texts)
    if not rows:
        return Section("adequacy", texts("section.adequacy"), (Paragraph(texts("overview.none")),), new_page=True)
    table = Table(
        texts("adequacy.caption"),
        (texts("adequacy.bone"), texts("adequacy.status"), texts("adequacy.reason")),
        "lll",
        (1.2, 1.2, 2.9) if overview is not None else (1.3, 1.5, 5.2),
        tuple(rows),
        compact=len(rows) > MANY_BONES,
    )
    block: Block = Pair((table,), (overview,), 1.0 - OVERVIEW_SHARE, breakable=True) if overview is not None else table
    return Section("adequacy", texts("section.adequacy"), (block, *_scan_checks(case, texts)), new_page=True)


def _absent(case: Case, texts: Texts) -> list[tuple[str, ...]]:
    """Return the bones that were not found, those with one reason in one row."""
    known, reasons = {bone.bone for bone in case.bones}, dict[str, list[str]]()
    for name, reason in case.segmentation.absent.items():
        if name not in known:
            reasons.setdefault(texts.statement(reason.replace(f" of {name}", "")), []).append(name)
    return [
        (", ".join(map(texts.inline_bone, names)) if len(names) > 1 else texts.bone(names[0]), texts("status.absent"), reason)
        for reason, names in reasons.items()
    ]


def _scan_checks(case: Case, texts: Texts) -> tuple[Block, ...]:
    """Return what was measured of how the scan was made, one row for each rule, with the worst outcome of all bones."""
    checks = case.examination.checks if case.examination else ()
    if not checks:
        return ()
    rows = []
    for key in dict.fromkeys(check.rule for check in checks):
        mine = [check for check in checks if check.rule == key]
        asked, values = rule(key), [check.value for check in mine]
        worst = max(mine, key=lambda check: ("ok", "caution", "refused").index(check.outcome))
        low, high = (figure(value) for value in (min(values), max(values)))
        found = high if low == high else f"{low}–{high}"
        limit = f"{figure(asked.limit())} {texts.unit(asked.unit)}"
        where = ", ".join(texts.bone(check.bone) for check in mine if check.bone and check.outcome != "ok")
        rows.append((texts.sentence(asked.title), texts(f"adequacy.check.{worst.outcome}"), found, limit, where))
    heads = ("adequacy.check", "adequacy.status", "adequacy.found", "adequacy.limit", "adequacy.where")
    caption = texts("adequacy.checks")
    return (Table(caption, tuple(texts(head) for head in heads), "lllll", (2.6, 1.0, 1.0, 2.0, 1.6), tuple(rows), compact=True),)


def figure(value: float) -> str:
    """Return a value to three figures, never as a power of ten."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _why(bone: BoneResult, case: Case, texts: Texts) -> str:
    if bone.reason:
        return texts.statement(bone.reason, bone.bone)
    if bone.cautions:
        return texts.statement(bone.cautions[0], bone.bone) + (
            f" ({texts('more', count=len(bone.cautions) - 1)})" if len(bone.cautions) > 1 else ""
        )
    return texts("adequacy.scan_only") if bone.status == "caution" else texts("adequacy.fine")


def results(case: Case, texts: Texts, numbering: Numbering) -> Section:
    """Return the table of measures, and load-to-strength."""
    notes = Notes(texts, numbering)
    rows = [row for bone in case.bones for row in _rows(bone, case, texts, notes)]
    rows += _shared_rows(case, texts, notes)
    blocks: list[Block] = []
    if rows:
        heads = ("adequacy.bone", "results.measure", "results.value", "results.t", "results.class", "results.against")
        blocks.append(
            Table(
                texts("results.caption"),
                tuple(texts(head) for head in heads),
                "llrrll",
                (1.15, 1.7, 1.75, 1.0, 1.9, 0.5),
                tuple(rows),
                compact=len(rows) > MANY_ROWS,
            )
        )
        blocks += [Paragraph(note, "note") for note in notes.lines]
        blocks.append(Paragraph(texts(_note(case)), "note"))
    else:
        blocks.append(Paragraph(texts("results.none")))
    blocks += beside(case, texts)
    blocks += _load(case, texts)
    blocks += hip_fracture(case, texts)
    blocks += spine_loads(case, texts)
    return Section("results", texts("section.results"), tuple(blocks))


def _stands_alone(case: Case) -> bool:
    """Tell whether no published threshold is meant for the strengths of the case."""
    return _scales(case) == {"none"}


def _scales(case: Case) -> set[str]:
    return {bone.strength.scale for bone in case.bones if bone.strength is not None}


def _note(case: Case) -> str:
    """Return the key of what is said of strengths below the table."""
    if _stands_alone(case):
        return "results.note_alone"
    return "results.note_mapped" if "mapped" in _scales(case) else "results.note"


class Notes:
    """Letters for what findings are judged against, so that a table says it once."""

    def __init__(self, texts: Texts, numbering: Numbering) -> None:
        self._texts = texts
        self._numbering = numbering
        self._letters: dict[str, str] = {}

    def letter(self, finding: Finding) -> str:
        """Return the letter of a finding's thresholds."""
        text = f"{self._texts.sentence(finding.against)}\u00a0[{self._numbering.number(finding.reference)}]"
        if unverified(finding.reference):
            text += f" ({self._texts('unverified')})"
        return self._letters.setdefault(text, _letter(len(self._letters)))

    @property
    def lines(self) -> tuple[str, ...]:
        """Each letter with its text."""
        return tuple(f"{letter}  {text}" for text, letter in self._letters.items())


def _letter(index: int) -> str:
    """Return a, b, ... z, aa, ab ..."""
    return ("" if index < 26 else _letter(index // 26 - 1)) + chr(ord("a") + index % 26)


def _shared_rows(case: Case, texts: Texts, notes: Notes) -> list[tuple[str, ...]]:
    """Return findings that belong to several bones together, such as the mean of the spine."""
    single = {bone.bone for bone in case.bones}
    rows = []
    for finding in case.assessment.findings:
        if finding.bone not in single:
            name = texts("results.mean_of", bones=clean(finding.bone))
            rows.append((name, *_row(finding.quantity, Measure(finding.value, finding.unit, ""), finding, texts, notes)))
    return rows


def _rows(bone: BoneResult, case: Case, texts: Texts, notes: Notes) -> list[tuple[str, ...]]:
    """Return one row for each number of a bone; findings add class and thresholds."""
    findings = {finding.quantity: finding for finding in case.assessment.findings if finding.bone == bone.bone}
    rows = []
    used: set[str] = set()
    if bone.strength is not None:
        name = next((key for key in findings if "strength" in key and "load" not in key), "strength")
        used.add(name)
        rows.append(
            _row(name, Measure(bone.strength.strength, "N", "", bone.strength.uncertainty), findings.get(name), texts, notes)
        )
        rows.append(_row("stiffness", Measure(bone.strength.stiffness, "N/mm", ""), None, texts, notes))
    for key, measure in (bone.measures.values if bone.measures else {}).items():
        used.add(key)
        if _is_detail(key, bone):
            continue
        whole = bone.budgets.get(key)
        known = replace(measure, uncertainty=whole.known_sd) if whole else measure
        rows.append(_row(key, known, findings.get(key), texts, notes))
    for key, finding in findings.items():
        if key not in used and "load" not in key:
            rows.append(_row(key, Measure(finding.value, finding.unit, ""), finding, texts, notes))
    first = [bone_title(bone, texts)] + [""] * (len(rows) - 1)
    return [(head, *row) for head, row in zip(first, rows)]


def _row(key: str, measure: Measure, finding: Finding | None, texts: Texts, notes: Notes) -> tuple[str, ...]:
    value = texts.quantity(measure.value, measure.unit)
    if measure.uncertainty:
        value = texts("value.sd", value=value, sd=texts.quantity(measure.uncertainty, measure.unit))
    value = f"{value} {texts.unit(measure.unit.split(' ')[0])}".strip()
    name = texts.find(f"quantity.{key}", clean(key))
    if finding is None:
        return (name, value, "", "", "")
    t_score = texts.number(finding.t_score, 1) if finding.t_score is not None else ""
    if t_score and finding.t_score_sd is not None:
        t_score = texts("value.sd", value=t_score, sd=texts.number(finding.t_score_sd, 1))
    if finding.z_score is not None:
        z_score = texts.number(finding.z_score, 1)
        t_score = texts("results.t_and_z", t=t_score, z=z_score) if t_score else texts("results.z", value=z_score)
    category = texts.find(f"class.{finding.category}", clean(finding.category)) if finding.category else texts("scale.no_class")
    return (name, value, t_score, category, notes.letter(finding))


def _is_detail(key: str, bone: BoneResult) -> bool:
    """Tell whether a measure stands in the table of hip regions only, or in the result file."""
    if key.endswith("_thickness") or key in DETAILS:
        return True
    if not bone.bone.startswith("femur"):
        return False
    return (
        key.endswith(("_bmc", "_area"))
        or (key.endswith("_vbmd") and key != "integral_vbmd")
        or (key.endswith("_abmd") and key not in MAIN_HIP)
    )


def _load(case: Case, texts: Texts) -> list[Block]:
    """Return load-to-strength of each femur, or why there is none."""
    ratios = case.assessment.load_to_strength
    if not ratios:
        femurs = any(bone.bone.startswith("femur") and bone.status != "refused" for bone in case.bones)
        return (
            [Paragraph(texts("results.load_foreign" if _stands_alone(case) else "results.load_unknown"), "note")]
            if femurs
            else []
        )
    strengths = {bone.bone: bone.strength.strength for bone in case.bones if bone.strength is not None}
    load, bones = case.assessment.load, {bone.bone: bone for bone in case.bones}
    rows = tuple(
        (
            texts.bone(name),
            tissue(bones.get(name), texts),
            texts.force(case.assessment.hip_loads.get(name, load)) if load is not None else texts("unknown"),
            texts.force(strengths[name]) if name in strengths else texts("unknown"),
            _with_ends(ratio, case.assessment.ratio_intervals.get(name), texts),
        )
        for name, ratio in ratios.items()
    )
    heads = ("results.load_hip", "results.load_tissue", "results.load_force", "results.load_strength", "results.load_ratio")
    return [
        Table(
            texts("results.load_caption") + (f" ({texts('unverified')})" if load_unverified(case) else ""),
            tuple(texts(head) for head in heads),
            "lrrrr",
            (2, 1, 1, 1, 1),
            rows,
            texts("results.load_note"),
        )
    ]


def _with_ends(ratio: float, ends: tuple[float, float] | None, texts: Texts) -> str:
    """Return a ratio with its interval where that is known."""
    value = texts.number(ratio, 2)
    return value if ends is None else f"{value} ({texts.number(ends[0], 2)}–{texts.number(ends[1], 2)})"


def cautions(case: Case, texts: Texts) -> Section:
    """Return every caution, first those of the whole scan."""
    found = grouped_cautions(case, texts)
    refused = refusals(case, texts)
    blocks: list[Block] = []
    if refused:
        blocks.append(Notice("refused", texts("cautions.refused"), refused))
    whole = tuple(text for where, text in found if not where)
    if whole:
        blocks.append(Notice("caution", texts("cautions.case"), whole))
    bones: dict[str, list[str]] = {}
    for where, text in found:
        if where:
            bones.setdefault(where, []).append(text)
    blocks += [Notice("caution", where, tuple(items)) for where, items in bones.items()]
    if not blocks:
        blocks.append(Paragraph(texts("cautions.none")))
    return Section("cautions", texts("section.cautions"), tuple(blocks))
