"""Every word that the follow-up's report adds, beside those of the report of one scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .texts import ENGLISH

FOLLOWUP: Final[Mapping[str, str]] = {
    "followup.title": "Biomechanical CT: follow-up",
    "followup.subtitle": "{count} scans, {first} to {last}",
    "followup.undated": "scan {number}",
    "followup.running": "follow-up of scan {digest}",
    # Headings
    "followup.section.summary": "What changed",
    "followup.section.comparable": "Whether the scans may be compared",
    "followup.section.changes": "All changes",
    "followup.section.treatments": "Published mean changes under treatment",
    "followup.section.scans": "Scans and software",
    # Summary
    "followup.since": "Since {first}",
    "followup.verdict.increase": "Increase",
    "followup.verdict.decrease": "Decrease",
    "followup.verdict.mixed": "Increase and decrease",
    "followup.verdict.within": "No change beyond the least significant one",
    "followup.verdict.not comparable": "Not comparable",
    "followup.verdict.implausible": "Implausible: look for a fault first",
    "followup.reason": "{quantity} ({bone}): {percent} %, least significant change {least} %.",
    "followup.reason.more": "And {count} more beyond it in the table.",
    "followup.nothing": "No bone has numbers at both dates.",
    "followup.note.only": "Only a change that was judged beyond the least significant one is more than the measurement's own scatter.",
    "followup.note.drug": "What a change means for treatment is a physician's judgement; this page gives none.",
    "followup.fact.dates": "Scans",
    "followup.fact.interval": "Interval",
    "followup.fact.protocol": "Protocol",
    "followup.interval": "{value} years",
    "followup.cautions": "Cautions",
    "followup.no_cautions": "The scans were made alike, and every bone was found again. What is doubtful in one scan stands in its own report.",
    # Changes
    "followup.caption": "{last} beside {first}",
    "followup.bone": "Bone",
    "followup.quantity": "Measure",
    "followup.baseline": "Before",
    "followup.value": "After",
    "followup.percent": "Change",
    "followup.yearly": "Per year",
    "followup.least": "LSC",
    "followup.judgement": "Judgement",
    "followup.judgement.increase": "increase",
    "followup.judgement.decrease": "decrease",
    "followup.judgement.within": "within LSC",
    "followup.judgement.not comparable": "not comparable",
    "followup.judgement.implausible": "implausible",
    "followup.spine": "Spine, mean of {levels}",
    "followup.note.least": (
        "LSC: least significant change, 95 %; p by the stated precision, u by the two scans' own uncertainty, whichever is larger. "
        "Densities with * were measured in each scan's own regions, all others in the same regions, carried over. "
        "Strengths are those of each scan's own virtual test. No change is given of what is not comparable. "
        "What is doubtful in one scan stands in its own report."
    ),
    "followup.not_compared": "Not compared",
    # Trend
    "followup.trend.caption": "{quantity}, {bone}. Bars: 95 % of each value; band: 95 % of the line; dashes: least significant change about the first.",
    "followup.trend.alt": "{quantity}, {bone}, by date: {values}.",
    "followup.trend.slope": "{value} % a year ({low} to {high})",
    "followup.trend.axis": "Years since {first}",
    # Comparable
    "followup.check.caption": "Rules, {last} beside {first}",
    "followup.check.rule": "Rule",
    "followup.check.outcome": "Outcome",
    "followup.outcome.ok": "alike",
    "followup.outcome.caution": "caution",
    "followup.outcome.routine": "LSC of routine scans",
    "followup.outcome.uncontrolled": "LSC of uncontrolled scans",
    "followup.outcome.strength": "strengths not comparable",
    "followup.outcome.all": "not comparable",
    "followup.rule.scanner": "Scanner",
    "followup.rule.kvp": "Tube voltage",
    "followup.rule.kernel": "Kernel",
    "followup.rule.slice": "Slices",
    "followup.rule.contrast": "Contrast agent",
    "followup.rule.calibration": "Calibration",
    "followup.rule.recipe": "Protocol of the virtual test",
    "followup.rule.version": "Version of the program",
    "followup.align.caption": "Bones laid onto the baseline's, {last}",
    "followup.align.turned": "Turned",
    "followup.align.moved": "Moved",
    "followup.align.overlap": "Overlap",
    "followup.align.correlation": "Correlation",
    "followup.align.used": "Regions",
    "followup.align.carried": "the same",
    "followup.align.own": "each scan's own",
    "followup.align.note": (
        "Overlap: Dice of the baseline's mask, carried over, with the follow-up's own. Correlation: of the two densities in and around "
        "the bone."
    ),
    # Treatments
    "followup.effect.caption": "Mean change from baseline in trials, for orientation; no patient's expected change",
    "followup.effect.treatment": "Treatment",
    "followup.effect.months": "Months",
    "followup.effect.site": "Site",
    "followup.effect.change": "Change",
    "followup.effect.source": "Source",
    "followup.site.vertebra": "spine",
    "followup.site.femur": "hip",
    # Scans
    "followup.scan.date": "Date",
    "followup.scan.calibration": "Calibration",
    "followup.scan.digest": "Input (SHA-256)",
}
FOLLOWUP_ENGLISH: Final[Mapping[str, str]] = {**ENGLISH, **FOLLOWUP}
"""Everything that a follow-up's report asks for."""
