"""A user's own segmenter, named in a protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbct.cli.segmenters import choose, without_labels
from openbct.errors import SettingsError
from openbct.records import Segmenter
from openbct.settings import parse

CODE = """
class Mine:
    def __call__(self, scan):
        raise RuntimeError

MODEL = Mine()
NUMBER = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE, encoding="utf-8")
    return path


def test_it_takes_the_place_of_the_finders(file: Path) -> None:
    settings = parse(f'name = "x"\n[segmentation]\nsegmenter = "{file}:MODEL"\n', "x.toml")
    assert choose(settings, (), calibrated=False) == "plug-in"
    assert isinstance(without_labels("plug-in", settings), Segmenter)


@pytest.mark.parametrize(("name", "says"), [("Mine", "not its class"), ("NUMBER", "no segmenter"), ("OTHER", "no object")])
def test_what_is_no_segmenter_stops_the_run_before_the_scan_is_read(file: Path, name: str, says: str) -> None:
    settings = parse(f'name = "x"\n[segmentation]\nsegmenter = "{file}:{name}"\n', "x.toml")
    with pytest.raises(SettingsError, match=says):
        choose(settings, (), calibrated=False)


def test_labels_beside_it_are_refused(file: Path) -> None:
    settings = parse(f'name = "x"\n[segmentation]\nsegmenter = "{file}:MODEL"\n', "x.toml")
    with pytest.raises(SettingsError, match="leave one out") as caught:
        choose(settings, (Path("labels.nii.gz"),), calibrated=False)
    assert str(file.parent) not in str(caught.value)


def test_a_word_that_is_neither_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected one of"):
        parse('name = "x"\n[segmentation]\nsegmenter = "mine"\n', "x.toml")
