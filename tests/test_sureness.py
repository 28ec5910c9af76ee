"""How sure the numbers are, in the report: budgets by source, densities over age, chances of classes."""

from __future__ import annotations

from dataclasses import replace

import pytest

import report_cases
from openbct.assessment.age_curves import age_curves
from openbct.records import AgeCurve, Case, ErrorBudget, ErrorPart, Finding, Measure, Patient, Reference
from openbct.report.age_plot import DASHES, age_plots
from openbct.report.content import Figure, Paragraph, Table
from openbct.report.references import Numbering
from openbct.report.results import results
from openbct.report.sureness import sureness
from openbct.report.texts import ENGLISH
from openbct.report.wording import Texts

TEXTS = Texts(ENGLISH)
SOURCE = Reference("Looker AC et al.", "code")


def finding(quantity: str, value: float, interval: tuple[float, float] | None = None) -> Finding:
    unit = "mg/cm3 K2HPO4" if quantity == "trabecular_vbmd" else "g/cm2"
    return Finding(quantity, "L1", value, unit, None, None, "", (), SOURCE, interval=interval)


def case_with(curves: tuple[AgeCurve, ...], unknown: tuple[str, ...] = ("calibration",)) -> Case:
    case = report_cases.plain_case()
    parts = (ErrorPart("edge", 3.0, 1.5), ErrorPart("noise", 1.0, 1.0))
    budgets = {"trabecular_vbmd": ErrorBudget(100.0, "mg/cm3 K2HPO4", 5.0, 2.0, (90.2, 109.8), parts, unknown)}
    bones = tuple(replace(bone, budgets=budgets) for bone in case.bones)
    return replace(case, bones=bones, assessment=replace(case.assessment, curves=curves))


def test_the_table_says_what_is_not_known() -> None:
    section = sureness(case_with(()), TEXTS, Numbering())
    assert section is not None
    table, note = section.blocks
    assert isinstance(table, Table) and isinstance(note, Paragraph) and "is known for: L1, L2, left femur." in note.text
    row = table.rows[0]
    assert row[2:] == ("100 mg/cm³", "?", "?", "3.0", "1.0", "", "", "≥ 5.0 %")
    whole = sureness(case_with((), ()), TEXTS, Numbering())
    assert whole is not None and whole.blocks[0].rows[0][3:5] == ("90 – 110", "")  # type: ignore[union-attr]
    bare = replace(report_cases.plain_case(), bones=())
    assert sureness(replace(bare, assessment=replace(bare.assessment, curves=())), TEXTS, Numbering()) is None


@pytest.mark.parametrize(("unknown", "shown"), [(("calibration",), "100"), (("edge",), "100 ± 5"), ((), "100 ± 5")])
def test_a_measure_has_no_deviation_that_lacks_the_calibration(unknown: tuple[str, ...], shown: str) -> None:
    case = case_with((), unknown)
    measures = replace(case.bones[0].measures, values={"trabecular_vbmd": Measure(100.0, "mg/cm3 K2HPO4", "x", 4.0)})  # type: ignore[type-var]
    bones = (replace(case.bones[0], measures=measures), *case.bones[1:])
    table = next(one for one in results(replace(case, bones=bones), TEXTS, Numbering()).blocks if isinstance(one, Table))
    assert next(row for row in table.rows if row[1] == ENGLISH["quantity.trabecular_vbmd"])[2] == f"{shown} mg/cm³"


@pytest.mark.parametrize(("population", "number"), [("white", 1), (None, 4)])
def test_curves_are_those_of_the_asked_population_or_all(population: str | None, number: int) -> None:
    found = [
        finding("trabecular_vbmd", 90.0, (70.0, 110.0)),
        finding("femoral_neck_abmd", 0.7),
        finding("femoral_neck_abmd", 0.6),
    ]
    curves = age_curves(found, Patient(sex="F", age=70.0), population)
    spine = [curve for curve in curves if curve.quantity == "trabecular_vbmd"]
    assert len(spine) == number and spine[0].point == (70.0, 90.0) and spine[0].interval == (70.0, 110.0)
    assert spine[0].ages[0] == 47.5 and spine[0].means[0] == 139.2 and len(spine[0].ages) == len(spine[0].means)
    assert {curve.point for curve in curves if curve.quantity == "femoral_neck_abmd"} == {(70.0, 0.6)}  # of both hips the lower
    section = sureness(case_with(curves), TEXTS, Numbering())
    assert section is not None and sum(isinstance(block, Figure) for block in section.blocks) == 1
    assert age_plots([spine], TEXTS).startswith(b"<?xml") and len({str(dash) for dash in DASHES.values()}) == len(DASHES)


def test_no_curve_where_nobody_knows_whose() -> None:
    found = [finding("trabecular_vbmd", 90.0), finding("femoral_neck_abmd", 0.7)]
    assert age_curves(found, Patient(sex="F"), "white") == () and age_curves(found, Patient(age=70.0), "white") == ()
    men = age_curves(found, Patient(sex="M", age=70.0), "white")
    assert [curve.quantity for curve in men] == ["trabecular_vbmd"]  # the table of men's hips was not seen


def test_one_curve_alone_is_a_figure() -> None:
    curves = age_curves([finding("trabecular_vbmd", 90.0)], Patient(sex="M", age=60.0), "black")
    section = sureness(case_with(curves), TEXTS, Numbering())
    assert section is not None
    figure = next(block for block in section.blocks if isinstance(block, Figure))
    assert "[1]" in figure.caption and "black participants" in figure.caption and "90 mg/cm³" in figure.alt
