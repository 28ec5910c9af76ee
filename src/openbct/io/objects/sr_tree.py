"""Content items of a structured report (PS3.3 C.17.3): one constructor for each value type that we use."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from ..dicom_header import decimal_string
from .codes import Code
from .dicom_object import code_item, reference


def container(concept: Code, children: Sequence[Dataset], relation: str = "CONTAINS", template: str = "") -> Dataset:
    """Return a container with its content, made by a template of PS3.16 where one is named."""
    item = _item("CONTAINER", concept, relation)
    item.ContinuityOfContent = "SEPARATE"
    if template:
        made = Dataset()
        made.MappingResource, made.TemplateIdentifier = "DCMR", template
        item.ContentTemplateSequence = [made]
    if children:
        item.ContentSequence = list(children)
    return item


def words(concept: Code, text: str, relation: str = "CONTAINS") -> Dataset:
    """Return a text."""
    item = _item("TEXT", concept, relation)
    item.TextValue = text
    return item


def coded(concept: Code, value: Code, relation: str = "CONTAINS", children: Sequence[Dataset] = ()) -> Dataset:
    """Return a coded value."""
    item = _item("CODE", concept, relation)
    item.ConceptCodeSequence = [code_item(value)]
    if children:
        item.ContentSequence = list(children)
    return item


def uid(concept: Code, value: str, relation: str = "CONTAINS") -> Dataset:
    """Return a UID."""
    item = _item("UIDREF", concept, relation)
    item.UID = value
    return item


def person(concept: Code, name: str, relation: str = "HAS OBS CONTEXT") -> Dataset:
    """Return a person's name."""
    item = _item("PNAME", concept, relation)
    item.PersonName = name
    return item


def numeric(concept: Code, value: float, unit: Code, relation: str = "CONTAINS", children: Sequence[Dataset] = ()) -> Dataset:
    """Return a number with its unit, to nine digits: more than any of ours means."""
    item, measured = _item("NUM", concept, relation), Dataset()
    measured.MeasurementUnitsCodeSequence = [code_item(unit)]
    measured.NumericValue = decimal_string(float(f"{value:.9g}"))
    item.MeasuredValueSequence = [measured]
    if children:
        item.ContentSequence = list(children)
    return item


def image(concept: Code, pair: Sequence[str], relation: str = "CONTAINS", segment: int | None = None) -> Dataset:
    """Return a reference to an image, or to a segment of one."""
    item, named = _item("IMAGE", concept, relation), reference(pair)
    if segment is not None:
        named.ReferencedSegmentNumber = segment
    item.ReferencedSOPSequence = [named]
    return item


def _item(kind: str, concept: Code, relation: str) -> Dataset:
    item = Dataset()
    if relation:
        item.RelationshipType = relation
    item.ValueType = kind
    item.ConceptNameCodeSequence = [code_item(concept)]
    return item
