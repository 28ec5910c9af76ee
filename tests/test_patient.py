"""Header and user: who wins, and what is told."""

from __future__ import annotations

import pytest

from openbct.errors import SettingsError
from openbct.patient import combine
from openbct.records import Patient

HEADER = Patient(
    sex="F", age=60.0, weight_kg=70.0, sources={"sex": "image header", "age": "image header", "weight_kg": "image header"}
)
NOTHING = {"sex": None, "age": None, "height_cm": None, "weight_kg": None}


def test_nothing_given_leaves_the_header_alone() -> None:
    assert combine(HEADER, **NOTHING) == (HEADER, ())  # type: ignore[arg-type]


def test_unknown_stays_unknown() -> None:
    patient, _ = combine(Patient(), **NOTHING)  # type: ignore[arg-type]
    assert (patient.sex, patient.age, patient.height_cm, patient.weight_kg) == (None, None, None, None)


def test_the_user_wins_and_a_contradiction_is_told() -> None:
    patient, cautions = combine(HEADER, sex="m", age=72.0, height_cm=160.0, weight_kg=75.0)
    assert (patient.sex, patient.age, patient.height_cm, patient.weight_kg) == ("M", 72.0, 160.0, 75.0)
    assert patient.sources["age"] == "user"
    assert len(cautions) == 2
    assert "sex F, the user M" in cautions[0] and "age 60 years, the user 72 years" in cautions[1]


def test_a_birthday_is_no_contradiction() -> None:
    assert combine(HEADER, sex="F", age=61.0, height_cm=None, weight_kg=None)[1] == ()


@pytest.mark.parametrize(
    "wrong", [{"sex": "x"}, {"age": -3.0}, {"age": 172.0}, {"height_cm": 1.6}, {"weight_kg": 6200.0}, {"age": float("nan")}]
)
def test_what_is_no_person_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        combine(HEADER, **{**NOTHING, **wrong})  # type: ignore[arg-type]
