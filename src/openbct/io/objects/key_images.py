"""The report's pictures as Secondary Capture images (PS3.3 A.8.1), for whoever opens the study and nothing else."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from .codes import Code
from .dicom_object import Making, code_item, file_bytes, reference, start

SERIES = (9003, "OpenBCT pictures, research use only")
LONGEST = 1024
"""Letters of Image Comments that we use."""


@lru_cache(maxsize=1)
def _sources(instances: tuple[tuple[str, str], ...]) -> tuple[Dataset, ...]:
    """Return references to all images that the pictures were made from, built once for all pictures of a report."""
    items = tuple(reference(pair) for pair in instances)
    for item in items:
        item.PurposeOfReferenceCodeSequence = [code_item(Code("121322", "DCM", "Source image for image processing operation"))]
    return items


def key_image(png: bytes, caption: str, number: int, making: Making) -> bytes:
    """Return a PNG as a Secondary Capture image in true colour; its caption goes along as the image's comment."""
    with Image.open(io.BytesIO(png)) as picture:
        flat = Image.new("RGB", picture.size, "white")
        flat.paste(picture.convert("RGBA"), mask=picture.convert("RGBA").getchannel("A"))
        pixels: Any = np.asarray(flat, dtype=np.uint8)
    dataset = start(making, SecondaryCaptureImageStorage, "OT", SERIES, number)
    dataset.ConversionType, dataset.ImageType = "WSD", ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = dataset.Laterality = ""
    dataset.BurnedInAnnotation, dataset.RecognizableVisualFeatures = "NO", "NO"
    dataset.LossyImageCompression, dataset.ImageComments = "00", caption[:LONGEST]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.SourceImageSequence = list(_sources(making.source.instances))
    content = pixels.tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB"
    return file_bytes(dataset)
