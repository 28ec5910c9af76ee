"""The measurements as a DICOM Structured Report: Comprehensive SR after TID 1500, a group of measurements for each bone.

Written to PS3.16 by hand, so that every reader at hand (highdicom, dcmtk, PixelMed, dicom3tools) judges it from outside.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage

from ... import __version__
from ...records import Case
from ..header import quiet
from . import codes
from .codes import Code
from .dicom_object import Making, by_series, file_bytes, own_scheme, start
from .measured import Group, Value, groups
from .sr_tree import coded, container, image, numeric, person, uid, words

SERIES = (9002, "OpenBCT measurements, research use only")
CONTEXT: Final = "HAS OBS CONTEXT"
MODIFIER: Final = "HAS CONCEPT MOD"
PROPERTY: Final = "HAS PROPERTIES"
LONGEST_TEXT: Final = 4000
"""Letters of one text item; longer cautions than any of ours are cut."""


@dataclass(frozen=True)
class Segments:
    """A segmentation that measurements refer to."""

    pair: tuple[str, str]
    """Its SOP class and SOP instance."""
    series_uid: str
    numbers: Mapping[str, int]
    """Structure to segment."""

    def of(self, bone: str) -> int | None:
        """Return the segment of a bone; ``None`` where it has none."""
        for name in (bone, f"vertebral_body_{bone}", f"vertebrae_{bone}"):
            if name in self.numbers:
                return self.numbers[name]
        return None


def segments_of(content: bytes) -> Segments:
    """Return what a DICOM SEG of ours holds."""
    with quiet():
        dataset = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    numbers = {str(item.SegmentLabel): int(item.SegmentNumber) for item in dataset.SegmentSequence}
    return Segments((str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)), str(dataset.SeriesInstanceUID), numbers)


def structured_report(case: Case, making: Making, *, segments: Segments | None = None, said: tuple[str, ...] = ()) -> bytes:
    """Return the measurements of a case as a structured report.

    Parameters
    ----------
    segments
        The segmentation that the bones are shown in; ``None``: measurements name the images alone.
    said
        Sentences of the interpretation.
    """
    dataset = start(making, ComprehensiveSRStorage, "SR", SERIES)
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PerformedProcedureCodeSequence = []
    dataset.CompletionFlag = "COMPLETE"
    dataset.PreliminaryFlag = "FINAL" if making.reader else "PRELIMINARY"
    dataset.VerificationFlag = "UNVERIFIED"
    if making.reader:
        dataset.VerificationFlag = "VERIFIED"
        dataset.VerifyingObserverSequence = [_observer(making)]
    dataset.CodingSchemeIdentificationSequence = [own_scheme()]
    dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(making, segments)]
    children = [*_context(making), container(Code("126010", "DCM", "Imaging Measurements"), _measured(case, making, segments))]
    children.append(container(Code("C0034375", "UMLS", "Qualitative Evaluations"), _evaluated(case, said)))
    root = container(Code("126000", "DCM", "Imaging Measurement Report"), children, "", "1500")
    for element in root:
        dataset[element.tag] = element
    return file_bytes(dataset)


def _observer(making: Making) -> Dataset:
    item = Dataset()
    item.VerifyingObserverName, item.VerifyingOrganization = _name(making.reader), "not stated"
    item.VerificationDateTime = making.when.strftime("%Y%m%d%H%M%S")
    item.VerifyingObserverIdentificationCodeSequence = []
    return item


def _name(reader: str) -> str:
    """Return a reader as a person's name: one component, since nobody says which word is the family's."""
    return reader.replace("^", " ").replace("=", " ").replace("\\", " ")[:64]


def _evidence(making: Making, segments: Segments | None) -> Dataset:
    item, source = Dataset(), making.source
    item.StudyInstanceUID = source.shared.StudyInstanceUID
    item.ReferencedSeriesSequence = [by_series(source.series_uid, source.instances, "ReferencedSOPSequence")]
    if segments is not None:
        item.ReferencedSeriesSequence.append(by_series(segments.series_uid, [segments.pair], "ReferencedSOPSequence"))
    return item


def _context(making: Making) -> list[Dataset]:
    """Return language, observers (TID 1001) and the procedure."""
    items = [
        coded(
            Code("121049", "DCM", "Language of Content Item and Descendants"),
            Code("en-US", "RFC5646", "English (United States)"),
            MODIFIER,
        ),
        coded(Code("121005", "DCM", "Observer Type"), Code("121007", "DCM", "Device"), CONTEXT),
        uid(Code("121012", "DCM", "Device Observer UID"), making.uid("device"), CONTEXT),
        words(Code("121013", "DCM", "Device Observer Name"), "OpenBCT", CONTEXT),
        words(Code("121014", "DCM", "Device Observer Manufacturer"), "OpenBCT", CONTEXT),
        words(Code("121015", "DCM", "Device Observer Model Name"), f"OpenBCT {__version__}, research use only", CONTEXT),
    ]
    if making.reader:
        items.append(coded(Code("121005", "DCM", "Observer Type"), Code("121006", "DCM", "Person"), CONTEXT))
        items.append(person(Code("121008", "DCM", "Person Observer Name"), _name(making.reader)))
    items.append(coded(Code("121058", "DCM", "Procedure reported"), codes.CT, MODIFIER))
    return items


def _measured(case: Case, making: Making, segments: Segments | None) -> list[Dataset]:
    """Return one group for each bone that has a number."""
    return [_group(group, making, segments) for group in groups(case) if any(math.isfinite(one.value) for one in group.values)]


def _group(group: Group, making: Making, segments: Segments | None) -> Dataset:
    """Return a group: TID 1411 with the bone's segment where there is one, else TID 1501."""
    items = [
        words(Code("112039", "DCM", "Tracking Identifier"), group.bone, CONTEXT),
        uid(Code("112040", "DCM", "Tracking Unique Identifier"), making.uid("bone", group.bone), CONTEXT),
    ]
    items.append(coded(Code("121071", "DCM", "Finding"), Code("272673000", "SCT", "Bone")))
    laterality = [coded(Code("272741003", "SCT", "Laterality"), group.side, MODIFIER)] if group.side else []
    items.append(coded(Code("363698007", "SCT", "Finding Site"), group.site, MODIFIER, laterality))
    segment = segments.of(group.bone) if segments is not None else None
    if segments is not None and segment is not None:
        items.append(image(Code("121191", "DCM", "Referenced Segment"), segments.pair, segment=segment))
        items.append(uid(Code("121232", "DCM", "Source series for segmentation"), making.source.series_uid))
    else:
        middle = making.source.instances[len(making.source.instances) // 2]
        items.append(image(Code("121112", "DCM", "Source of Measurement"), middle))
    items += [_number(value) for value in group.values if math.isfinite(value.value)]
    return container(Code("125007", "DCM", "Measurement Group"), items, template="1411" if segment is not None else "1501")


def _number(value: Value) -> Dataset:
    """Return a measurement with its method, its deviation, and what it was held against."""
    children = []
    if value.concept in (codes.STANDARD["trabecular_hu"],):
        children.append(coded(Code("121401", "DCM", "Derivation"), codes.MEAN, MODIFIER))
    if value.method:
        children.append(words(codes.METHOD, value.method[:LONGEST_TEXT], MODIFIER))
    if value.deviation is not None and math.isfinite(value.deviation):
        children.append(numeric(codes.STANDARD_DEVIATION, value.deviation, value.unit, PROPERTY))
    finding = value.finding
    if finding is not None:
        if finding.t_score is not None:
            children.append(numeric(codes.T_SCORE, finding.t_score, codes.UNITS["T"], PROPERTY))
        if finding.z_score is not None:
            children.append(numeric(codes.Z_SCORE, finding.z_score, codes.NO_UNIT, PROPERTY))
        if finding.category:
            children.append(words(codes.CLASS, finding.category, PROPERTY))
        if finding.against:
            children.append(words(codes.THRESHOLDS, finding.against[:LONGEST_TEXT], PROPERTY))
    return numeric(value.concept, value.value, value.unit, children=children)


def _evaluated(case: Case, said: tuple[str, ...]) -> list[Dataset]:
    """Return classes, refusals and cautions, and what the interpretation says, as text."""
    assessment = case.assessment
    items = [words(codes.CASE_CLASS, f"{assessment.category or 'no class'}: {assessment.reason}"[:LONGEST_TEXT])]
    if assessment.risk:
        items.append(words(codes.CASE_RISK, f"{assessment.risk}: {assessment.risk_reason}"[:LONGEST_TEXT]))
    items += [
        words(codes.STATUS, f"{bone.bone}: {bone.status}" + (f": {bone.reason}" if bone.reason else "")) for bone in case.bones
    ]
    own = [f"{bone.bone}: {caution}" for bone in case.bones for caution in bone.cautions]
    cautions = dict.fromkeys((*case.cautions, *assessment.step.cautions, *own))
    items += [words(codes.CAUTION, text[:LONGEST_TEXT]) for text in cautions]
    items += [words(Code("121077", "DCM", "Conclusion"), text[:LONGEST_TEXT]) for text in said]
    items.append(words(Code("121106", "DCM", "Comment"), "Research use only: not a cleared medical device."))
    return items


__all__ = ["Segments", "segments_of", "structured_report"]
