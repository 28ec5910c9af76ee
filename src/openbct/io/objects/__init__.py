"""A result as objects that clinics and registries read: DICOM Encapsulated PDF, Structured Report and pictures, FHIR R4, a table of values."""

from .dicom_object import Making
from .encapsulated import encapsulated_pdf
from .fhir import fhir_bundle
from .key_images import key_image
from .measured import value_rows
from .structured import Segments, segments_of, structured_report

__all__ = [
    "Making",
    "Segments",
    "encapsulated_pdf",
    "fhir_bundle",
    "key_image",
    "segments_of",
    "structured_report",
    "value_rows",
]
