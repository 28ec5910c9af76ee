"""The printed report as a DICOM Encapsulated PDF (PS3.3 A.45.1)."""

from __future__ import annotations

from pydicom.uid import EncapsulatedPDFStorage

from .codes import REPORT
from .dicom_object import Making, code_item, file_bytes, reference, start

SERIES = (9001, "OpenBCT report, research use only")


def encapsulated_pdf(pdf: bytes, title: str, making: Making) -> bytes:
    """Return a PDF as a DICOM object that names the images that it speaks of."""
    dataset = start(making, EncapsulatedPDFStorage, "DOC", SERIES)
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation, dataset.RecognizableVisualFeatures = "YES", "NO"
    dataset.AcquisitionDateTime = ""
    dataset.DocumentTitle = title
    dataset.ConceptNameCodeSequence = [code_item(REPORT)]
    if making.reader:
        dataset.VerificationFlag = "VERIFIED"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.SourceInstanceSequence = [reference(pair) for pair in making.source.instances]
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return file_bytes(dataset)
