"""Calibrators: scan and segmentation in, mineral density out. A class that stands in this table is under the conformance tests."""

from __future__ import annotations

from collections.abc import Callable

from ..records import Calibrator
from .fixed import Fixed
from .given import Given
from .hardening import HardeningCorrected
from .phantom import Phantom
from .phantomless import Phantomless
from .site_corrected import SiteCorrected

CALIBRATORS: dict[str, Callable[..., Calibrator]] = {
    "fixed": Fixed,
    "given": Given,
    "phantom": Phantom,
    "phantomless": Phantomless,
}
"""Name to class; its fields are the settings of the method."""

__all__ = ["CALIBRATORS", "Fixed", "Given", "HardeningCorrected", "Phantom", "Phantomless", "SiteCorrected"]
