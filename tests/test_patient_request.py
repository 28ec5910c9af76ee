"""Who was scanned, told by options and by a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openbct.cli.patient_request import told
from openbct.cli.request import Request
from openbct.errors import OpenBCTError, SettingsError
from openbct.patient import combine
from openbct.records import Patient


def ask(folder: Path, text: str | None = None, **options: Any) -> Request:
    path = None
    if text is not None:
        path = folder / "jane-doe.json"
        path.write_text(text, encoding="utf-8")
    return Request(scan=folder, out=folder / "out", patient=path, **options)


def test_options_win_over_the_file(tmp_path: Path) -> None:
    text = '{"sex": "F", "age": 71, "weight_kg": 60.5, "dxa_t_fn": -2.1, "dxa_t_ls": null}'
    found = told(ask(tmp_path, text, age=72.0, dxa=(None, -1.4, None)))
    assert found == {
        "sex": "F", "age": 72.0, "height_cm": None, "weight_kg": 60.5, "dxa_t": {"femoral_neck": -2.1, "total_hip": -1.4},
    }  # fmt: skip
    patient, _ = combine(Patient(), **found)
    assert (patient.sex, patient.age, patient.dxa_t["total_hip"]) == ("F", 72.0, -1.4)
    assert told(ask(tmp_path))["dxa_t"] == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{",
        '{"name": "Jane Doe"}',
        '{"age": "71"}',
        '{"age": true}',
        '{"dxa_t_fn": NaN}',
        '{"sex": 3}',
        "{" + " " * 200_000 + "}",
    ],
)
def test_a_file_that_is_none_is_refused_without_its_words(text: str, tmp_path: Path) -> None:
    with pytest.raises(OpenBCTError) as error:
        told(ask(tmp_path, text))
    assert "jane" not in str(error.value).lower()


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(OpenBCTError, match="no readable file at the path of --patient"):
        told(Request(scan=tmp_path, out=tmp_path / "out", patient=tmp_path / "absent.json"))


@pytest.mark.parametrize("score", [-8.1, 6.1, 120.0, float("nan")])
def test_a_density_is_no_t_score(score: float) -> None:
    with pytest.raises(SettingsError, match="a T-score is no density"):
        combine(Patient(), sex=None, age=None, height_cm=None, weight_kg=None, dxa_t={"total_hip": score})
