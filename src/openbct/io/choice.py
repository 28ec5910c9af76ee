"""Which series of a study is analysed: axial, original, soft kernel, thin, whole, without contrast agent, and the reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..acquisition import rule
from ..errors import ScanError
from ..records import Acquisition
from .cautions import is_derived, name_orientation, processed_energies, refuse_acquisition
from .dicom import Stack, stack_series
from .header import read_acquisition, text
from .kernels import classify_kernel
from .series import Found, Series

Use = Literal["use", "usable", "no"]


@dataclass(frozen=True)
class Candidate:
    """One series, judged by itself."""

    series: Series
    acquisition: Acquisition
    stack: Stack | None
    """``None`` where it is refused."""
    refusal: str

    @property
    def slice_mm(self) -> float:
        """Thickness of a slice, or their distance where that is more [mm]."""
        return max(self.step_mm, self.acquisition.slice_thickness or 0.0)

    @property
    def step_mm(self) -> float:
        """Distance of the slices [mm]."""
        return float(np.linalg.norm(self.stack.affine[:3, 2])) if self.stack else 0.0

    @property
    def coverage_mm(self) -> float:
        """From the first to the last slice [mm]."""
        return self.step_mm * (self.stack.placing.size[2] - 1) if self.stack else 0.0

    @property
    def orientation(self) -> str:
        """``"axial"`` ... as :func:`~openbct.io.cautions.name_orientation` has it."""
        return name_orientation(self.stack.affine, self.stack.placing.course)[0] if self.stack else ""

    @property
    def study(self) -> str:
        """What tells studies apart; never shown."""
        return text(self.series.header, "StudyInstanceUID") or ""


@dataclass(frozen=True)
class Verdict:
    """What becomes of one series, and why."""

    use: Use
    why: str


@dataclass(frozen=True)
class Choice:
    """The series that is analysed."""

    series: Series
    stack: Stack
    sentence: str
    """Why this one, and why no other; empty where there was no other."""
    cautions: tuple[str, ...]
    passed_over: tuple[str, ...]
    """Series that were refused."""


def judge_each(found: Found) -> list[Candidate]:
    """Return every series with its stack or its refusal; pixels are read only to compare doubled slices."""
    candidates = []
    for one in found.series:
        acquisition = read_acquisition(one.header)
        stack, refusal = None, ""
        try:
            stack = stack_series(one)
            refuse_acquisition(acquisition, stack.affine)
        except ScanError as error:
            stack, refusal = None, str(error)
        candidates.append(Candidate(one, acquisition, stack, refusal))
    return candidates


def rank(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the usable series, the one to take first."""
    usable = [one for one in candidates if one.stack]
    longest = max((one.coverage_mm for one in usable), default=0.0)
    return sorted(usable, key=lambda one: (_standing(one, longest), round(one.slice_mm, 1), -one.coverage_mm, one.series.index))


def verdicts(candidates: Sequence[Candidate]) -> dict[str, Verdict]:
    """Return what becomes of each series, by its name."""
    found = {one.series.name: Verdict("no", one.refusal) for one in candidates if not one.stack}
    studies = {one.study for one in candidates if one.stack}
    for study in studies:
        ranked = rank([one for one in candidates if one.study == study])
        for one in ranked:
            if len(studies) > 1:
                found[one.series.name] = Verdict("usable", f"one of {len(studies)} studies here: choose with --series")
            elif one is ranked[0]:
                found[one.series.name] = Verdict("use", _praise(one))
            else:
                found[one.series.name] = Verdict("usable", f"not taken: {_behind(one, ranked)}")
    return found


def choose_series(found: Found, wanted: str | None) -> Choice:
    """Return the series to use with its reason.

    Raises
    ------
    ScanError
        None is usable, usable ones belong to several studies and none was chosen, or the chosen one is not there or not usable.
    """
    if wanted is not None:
        return _by_name(found, wanted)
    candidates = judge_each(found)
    ranked = rank(candidates)
    refused = [one for one in candidates if not one.stack]
    if not ranked:
        if len(refused) == 1:
            raise ScanError(refused[0].refusal)
        reasons = "; ".join(f"series {one.series.name}: {one.refusal}" for one in refused[:5])
        raise ScanError(f"found {len(refused)} series, none usable, expected one CT series ({reasons})")
    studies = {one.study for one in ranked}
    if len(studies) > 1:
        raise ScanError(
            f"found {len(ranked)} usable series of {len(studies)} studies, expected one study: {_list_series(ranked)}; choose one with --series"
        )
    best, *others = ranked
    assert best.stack is not None
    notes = tuple(f"series {one.series.name} ({len(one.series.slices)} images)" for one in refused)
    if not others:
        return Choice(best.series, best.stack, "", (), notes)
    reasons = "; ".join(f"series {one.series.name}: {_behind(one, ranked)}" for one in others[:8])
    more = f"; and {len(others) - 8} more" if len(others) > 8 else ""
    sentence = f"Of {len(ranked)} usable series, {best.series.name} was taken: {_praise(best)} (not taken: {reasons}{more})."
    return Choice(best.series, best.stack, sentence, _doubt_tie(best, others), notes)


def _by_name(found: Found, wanted: str) -> Choice:
    """Return the series that was asked for."""
    key = wanted.strip().lstrip("#")
    matches = [one for one in found.series if one.name.lstrip("#") == key or text(one.header, "SeriesInstanceUID") == wanted]
    if len(matches) != 1:
        listed = _list_series([Candidate(one, read_acquisition(one.header), None, "") for one in found.series])
        raise ScanError(f"found no series of that name, expected one of: {listed}; choose with --series")
    stack = stack_series(matches[0])
    refuse_acquisition(read_acquisition(matches[0].header), stack.affine)
    said = f"Series {matches[0].name} of {len(found.series)} was asked for by name." if len(found.series) > 1 else ""
    return Choice(matches[0], stack, said, (), ())


FULL = 0.8
"""A series that covers this share of the longest is as good as whole [D]."""


def _standing(one: Candidate, longest: float) -> tuple[bool, ...]:
    """Return what speaks against a series, the weightiest first."""
    acquisition = one.acquisition
    return (
        one.orientation != "axial",
        is_derived(acquisition) or bool(processed_energies(acquisition)),
        one.stack is None or not one.stack.placing.as_it_stands,
        classify_kernel(acquisition.manufacturer, acquisition.kernel) == "sharp",
        round(one.slice_mm, 2) > rule("thick_slices").limit(),
        one.coverage_mm < FULL * longest,
        acquisition.contrast is not None,
    )


def _praise(one: Candidate) -> str:
    """Return what a series is, in words."""
    acquisition = one.acquisition
    kernel = {"soft": "soft kernel", "sharp": "sharp kernel", "unknown": "kernel"}[
        classify_kernel(acquisition.manufacturer, acquisition.kernel)
    ]
    made = "derived" if is_derived(acquisition) or processed_energies(acquisition) else "original"
    agent = "with contrast agent" if acquisition.contrast else "no contrast agent stated"
    return (
        f"{one.orientation}, {made}, {kernel} {acquisition.kernel or 'unknown'}, slices of {one.slice_mm:.2f} mm over {one.coverage_mm:.0f} mm, "
        f"{agent}"
    )


def _behind(one: Candidate, ranked: Sequence[Candidate]) -> str:
    """Return the weightiest thing in which a series is behind the first of the ranked."""
    best = ranked[0]
    longest = max(each.coverage_mm for each in ranked)
    words = (
        one.orientation,
        "derived or processed",
        "slices missing, uneven or tilted",
        f"sharp kernel {one.acquisition.kernel}",
        f"slices of {one.slice_mm:.2f} mm",
        f"covers {one.coverage_mm:.0f} of {longest:.0f} mm",
        "contrast agent",
    )
    for mine, taken, said in zip(_standing(one, longest), _standing(best, longest), words):
        if mine != taken:
            return said
    if round(one.slice_mm, 1) != round(best.slice_mm, 1):
        return f"slices of {one.slice_mm:.2f} mm"
    if round(one.coverage_mm) < round(best.coverage_mm):
        return f"covers {one.coverage_mm:.0f} of {longest:.0f} mm"
    return "alike"


def _doubt_tie(best: Candidate, others: Sequence[Candidate]) -> tuple[str, ...]:
    """Return the caution on series that nothing in the header sets apart from the one taken."""
    alike = [one.series.name for one in others if _behind(one, (best, *others)) == "alike" or _nearly(one, best)]
    if not alike:
        return ()
    return (
        f"series {best.series.name} was taken, but series {', '.join(alike)} has the same orientation, slices, coverage and statement on contrast "
        f"agent: if they are two phases, blood and marrow differ between them, and {rule('stated_contrast').effect()}; choose with --series",
    )


def _nearly(one: Candidate, best: Candidate) -> bool:
    """Tell whether two series differ in nothing but a few slices at their ends."""
    longest = max(one.coverage_mm, best.coverage_mm)
    same = _standing(one, longest) == _standing(best, longest)
    return same and abs(one.slice_mm - best.slice_mm) < 0.05 and min(one.coverage_mm, best.coverage_mm) >= FULL * longest


def _list_series(candidates: Sequence[Candidate]) -> str:
    """Return the series with what tells them apart and nothing that tells whose they are."""
    lines = []
    for one in candidates[:12]:
        acquisition = one.acquisition
        thickness = f"{acquisition.slice_thickness:g} mm thick" if acquisition.slice_thickness else "thickness unknown"
        lines.append(f"{one.series.name}: {len(one.series.slices)} slices, {thickness}, kernel {acquisition.kernel or 'unknown'}")
    return "; ".join(lines)
