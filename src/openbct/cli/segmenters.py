"""Which segmenter a run takes: a person's labels, TotalSegmentator, a user's plug-in, or our own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..errors import SettingsError
from ..io.totalsegmentator import WASSERTHAL_2023, TotalSegmentator
from ..plugins import is_spec, load
from ..records import Scan, Segmentation, Segmenter
from ..segmentation import Agreeing, BuiltIn, GivenLabels
from ..settings import Settings

Choice = Literal["given", "builtin", "totalsegmentator", "plug-in"]


@dataclass(frozen=True)
class FromProgram:
    """Takes the bones from what TotalSegmentator finds."""

    program: TotalSegmentator
    bones: tuple[str, ...] | None = None

    def __call__(self, scan: Scan) -> Segmentation:
        """Return the bones and reference tissues; the program runs now."""
        found = GivenLabels((self.program(scan.image),), self.bones)(scan)
        step = replace(found.step, references=(*found.step.references, WASSERTHAL_2023))
        return replace(found, step=step)


def choose(settings: Settings, labels: tuple[Path, ...], *, calibrated: bool) -> Choice:
    """Return which segmenter is meant, before anything is read.

    Raises
    ------
    SettingsError
        What is asked for does not go together.
    """
    asked = settings.segmentation.segmenter
    if labels and (asked in ("builtin", "totalsegmentator") or is_spec(asked)):
        raise SettingsError(f"found --labels beside the segmenter {Path(asked).name!r}, expected one of the two; leave one out")
    if not labels and asked == "given":
        raise SettingsError(
            'found the segmenter "given" without labels, expected --labels with a label map of this scan; give it'
        )
    if labels:
        return "given"
    if calibrated:
        raise SettingsError(
            "found a calibrated density image without labels, expected --labels with a label map of it: bones are found in an image in HU only"
        )
    if is_spec(asked):
        _loaded(asked)  # a broken one stops the run before the scan is read
        return "plug-in"
    return "totalsegmentator" if asked == "totalsegmentator" else "builtin"


def _loaded(spec: str) -> Segmenter:
    """Return the segmenter that a user's file holds."""
    found = load(spec)
    if isinstance(found, type) or not isinstance(found, Segmenter):
        raise SettingsError(
            f"found {spec.rpartition(':')[2]!r} in the plug-in file, which is no segmenter, expected a value that is called with a scan and returns a "
            "Segmentation; name the value, not its class"
        )
    return found


def without_labels(choice: Choice, settings: Settings) -> Segmenter:
    """Return the segmenter that needs no labels."""
    asked = settings.segmentation
    if choice == "plug-in":
        return _loaded(asked.segmenter)
    if choice == "totalsegmentator":
        return doubled(FromProgram(TotalSegmentator(asked.fast, asked.device, asked.timeout_min), settings.bones), settings)
    return BuiltIn(settings.bones)


def doubled(segmenter: Segmenter, settings: Settings) -> Segmenter:
    """Return a segmenter that is held against the built-in one where the settings ask for it."""
    return Agreeing(segmenter, BuiltIn(settings.bones)) if settings.segmentation.agreement else segmenter


__all__ = ["FromProgram", "GivenLabels", "choose", "doubled", "without_labels"]
