"""Methods, references and what repeats the run: the last pages, collected from the steps that were done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ..records import Case, Reference, Step
from .content import Block, Fact, Facts, Listing, Paragraph, Section, Table
from .wording import Texts, clean

SCAN_STAGES: Final = ("input", "reading", "segmentation", "calibration", "fractures", "assessment")
"""Stages that are done once for the scan: a bone that they name is no value of that bone."""
SHORT_SETTINGS: Final = 2500
"""Settings with fewer letters stay on one page [design]."""


class Numbering:
    """Numbers references in the order of their first use."""

    def __init__(self) -> None:
        self._numbers: dict[Reference, int] = {}

    def number(self, reference: Reference) -> int:
        """Return the number of a reference, a new one at its first use."""
        return self._numbers.setdefault(reference, len(self._numbers) + 1)

    def marks(self, references: Iterable[Reference]) -> str:
        """Return the numbers of several references as they stand in a sentence."""
        numbers = sorted({self.number(reference) for reference in references})
        runs: list[list[int]] = []
        for number in numbers:
            if runs and number == runs[-1][-1] + 1:
                runs[-1].append(number)
            else:
                runs.append([number])
        parts = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ",\u00a0".join(map(str, run)) for run in runs]
        return f"\u00a0[{', '.join(parts)}]" if numbers else ""

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every reference, in order."""
        return tuple(self._numbers)


def methods(case: Case, texts: Texts, numbering: Numbering) -> Section:
    """Return what was done, in the sentences of the stages that did it, then the references."""
    names = [bone.bone for bone in case.bones]
    own = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)") if names else None
    stages: dict[str, dict[tuple[str, ...], list[Step]]] = {}
    for step in case.steps:
        stage = texts.find(f"stage.{step.stage}", clean(step.stage).capitalize())
        same, _ = _parted(step, own)
        stages.setdefault(stage, {}).setdefault(same, []).append(step)
    facts = []
    for stage, groups in stages.items():
        parts = []
        for same, steps in groups.items():
            marks = numbering.marks(reference for step in steps for reference in step.references)
            values = [texts.sentence(value) for step in steps for value in _parted(step, own)[1]]
            said = " ".join(texts.sentence(sentence) for sentence in same)
            parts.append(" ".join([said + marks, *values] if said else [*values[:-1], values[-1] + marks]))
        facts.append(Fact(stage, " ".join(parts)))
    return Section("methods", texts("section.methods"), (Facts(tuple(facts), columns=1),))


def _parted(step: Step, own: re.Pattern[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sentences of a step that hold for every bone, and those that name the bone with its values."""
    sentences = re.split(r"(?<=[\w%²³)]{2}\.) (?=[A-Z]|femur_)|(?<=\d\.) (?=[A-Z]|femur_)", clean(step.sentence))
    if own is None or step.stage in SCAN_STAGES:
        return tuple(sentences), ()
    return tuple(s for s in sentences if not own.search(s)), tuple(s for s in sentences if own.search(s))


def references(texts: Texts, numbering: Numbering) -> Section:
    """Return the numbered references with their marks."""
    items = tuple(f"{texts.unit(clean(item.text))} ({texts(f'mark.{item.mark}')})" for item in numbering.references)
    blocks: tuple[Block, ...] = (Listing(items, numbered=True), Paragraph(texts("methods.marks"), "note"))
    return Section("references", texts("section.references"), blocks if items else (Paragraph(texts("none")),))


def provenance(case: Case, texts: Texts) -> Section:
    """Return versions, settings and digests: what repeats the run."""
    scan = case.scan
    facts = [
        Fact(texts("provenance.source"), clean(scan.source)),
        Fact(texts("provenance.digest"), clean(scan.digest)),
        Fact(texts("provenance.protocol"), clean(case.protocol)),
        Fact(
            texts("provenance.versions"), ", ".join(f"{clean(name)} {clean(version)}" for name, version in case.versions.items())
        ),
        Fact(texts("provenance.seconds"), ", ".join(f"{clean(k)} {texts.seconds(v)}" for k, v in case.seconds.items())),
    ]
    for key, value in (("study", scan.acquisition.study_uid), ("series", scan.acquisition.series_uid)):
        if value:
            facts.insert(2, Fact(texts(f"provenance.{key}"), clean(value)))
    blocks: list[Block] = [Facts(tuple(fact for fact in facts if fact.value), columns=1)]
    # What a preset says about itself changes no number; it stands in protocol.toml and in result.json.
    settings = flatten({key: value for key, value in case.settings.items() if key != "about"})
    if settings:
        half = (len(settings) + 1) // 2
        pairs = [(*settings[i], *(settings[i + half] if i + half < len(settings) else ("", ""))) for i in range(half)]
        blocks.append(Table(texts("provenance.settings"), ("", "", "", ""), "llll", (1.6, 2, 1.6, 2), tuple(pairs), compact=True))
    short = sum(len(name) + len(value) for name, value in settings) < SHORT_SETTINGS
    return Section("provenance", texts("section.provenance"), tuple(blocks), together=short)


def flatten(tables: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as dotted keys with their values."""
    rows: list[tuple[str, str]] = []
    for key, value in tables.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flatten(value, f"{name}.")
        elif isinstance(value, list | tuple):
            rows.append((clean(name), ", ".join(clean(str(item)) for item in value)))
        elif value is not None:
            rows.append((clean(name), clean(str(value))))
    return rows
