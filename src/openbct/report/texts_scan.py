"""The words on the scan: the acquisition sheet, adequacy, and vertebral fractures. Part of the catalogue of ``texts.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SCAN: Final[Mapping[str, str]] = {
    # Acquisition sheet
    "sheet.title": "CT for bone density and strength: what to ask the scanner for",
    "sheet.for_hip": "hip",
    "sheet.for_spine": "spine",
    "sheet.for_both": "hip and spine",
    "sheet.table": "Acquisition",
    "sheet.lead": "For a CT made for this purpose, ask for the second column. A CT made for another reason is accepted within the third.",
    "sheet.what": "What",
    "sheet.ask": "Ask for",
    "sheet.accept": "Accepted",
    "sheet.source": "Source",
    "sheet.statement": "Research use only: OpenBCT is not a cleared medical device. Dose and indication are the radiologist’s.",
    # Adequacy
    "adequacy.caption": "Each bone that was asked for or expected",
    "adequacy.bone": "Bone",
    "adequacy.status": "Status",
    "adequacy.reason": "Why",
    "status.ok": "✓ used",
    "status.caution": "▲ caution",
    "status.refused": "✗ refused",
    "status.absent": "– not assessed",
    "adequacy.fine": "No objection.",
    "adequacy.checks": "How the scan was made, as measured in the image",
    "adequacy.check": "What",
    "adequacy.found": "Found",
    "adequacy.limit": "Caution above",
    "adequacy.where": "At",
    "adequacy.check.ok": "✓ fine",
    "adequacy.check.caution": "▲ caution",
    "adequacy.check.refused": "✗ refused",
    "adequacy.scan_only": "Doubts about the scan as a whole apply; see “Cautions”.",
    # Fractures
    "section.fractures": "Vertebral fractures",
    "fractures.title": "Heights speak for a fracture",
    "fractures.item": "{level}: {what}; {loss} ± {sd} % of the height lost",
    "fractures.left_out": "Left out of the means of density and strength: {levels}. Their own values are given.",
    "fractures.none_title": "No vertebral fracture of grade 1 or more by heights",
    "fractures.none": "{count} vertebrae, {first} to {last}, were looked at.",
    "fractures.none_one": "{first} alone was looked at: a crush of a whole body shows only beside others.",
    "fractures.near": "{level} lies near the limit of a fracture: {loss} ± {sd} % of its height lost, grade 1 or more with a chance of {chance} %; look at it.",
    "fractures.grade_1": "grade 1, possible: to be confirmed by a physician",
    "fractures.grade_2": "grade 2, moderate",
    "fractures.grade_3": "grade 3, severe",
    "fractures.wedge": "wedge",
    "fractures.biconcave": "biconcave",
    "fractures.crush": "crush",
    "fractures.caption": "Heights of the vertebral bodies in mm (expected without a fracture)",
    "fractures.col_level": "Level",
    "fractures.col_anterior": "Front",
    "fractures.col_middle": "Middle",
    "fractures.col_posterior": "Back",
    "fractures.col_loss": "Loss, %",
    "fractures.col_grade": "Grade",
    "fractures.note": (
        "Heights are those at 15 and 85 % of the depth of each body and the least between; what was to be expected follows from the level and from this "
        "person’s other vertebrae. Loss: the greatest of the three, ± one standard deviation. Grade after Genant: 1 from 20 %, 2 from 25 %, 3 from 40 % "
        "(limits of the protocol), with the chance that it is this one. Heights alone do not tell a fracture from Scheuermann’s disease, Schmorl’s nodes "
        "or a vertebra short by nature: see “Cautions”."
    ),
    "fractures.ungraded": "Not graded: {reasons}",
    "fractures.picture": "The spine from the side, cut along its curve, with the three heights of each vertebral body; grades by colour, line and number.",
    "fractures.picture_alt": "Sagittal picture of the spine with heights drawn. Found: {found}",
}
