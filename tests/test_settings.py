"""A protocol is strict: what it does not know, it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from openbct import plugins
from openbct.calibration import Phantomless
from openbct.errors import SettingsError
from openbct.plan import make_calibrator, make_plan
from openbct.records import MaterialLaw
from openbct.settings import built_in, override, parse, protocol_names, to_tables


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[vertebra]\nvoxelmm = 2", "did you mean 'voxel_mm'"),
        ("[vertebra]\nvoxel_mm = 0.01", "expected a number from 0.2"),
        ("[vertebra]\nvoxel_mm = true", "expected a number"),
        ("[vertebra]\nsuperior = 'glued'", "free, bonded"),
        ("[vertebra]\nstrains = [0.01, 0.005]", "rising"),
        ("[vertebra]\nstrains = []", "empty"),
        ("[vertebra]\nstrains = ['a']", "numbers above 0"),
        ("[vertebra]\nstrength_strain = 0.0191", "contain strength_strain"),
        ("[femur]\nbbar = 1", "expected bool"),
        ("[run]\nscale = 'mapped'", "provisional"),
        ("[run]\nthreads = -1", "expected a number from 0"),
        ("[calibration]\nmethod = 'fixed'", "needs slope"),
        ("[calibration]\nmethod = 'fixed'\nslope_mg_cm3_per_hu = 30\nintercept_mg_cm3 = 0", "0.3 to 1.5"),
        ("[calibration]\nslope_mg_cm3_per_hu = 0.8", 'slope_mg_cm3_per_hu = 0.8 beside calibration method "phantomless"'),
        ("[calibration]\nmethod = 'given'\nintercept_mg_cm3 = 3", '"given", which does not read it; expected it beside "fixed"'),
        ("[calibration]\nmethod = 'given'\nenergy_kev = 70", 'expected it beside "phantomless" only'),
        ("[calibration]\nmethod = 'mine.py:IT'\nmin_tissues = 2", 'beside calibration method "mine.py:IT"'),
        ("[calibration]\nenergy_kev = 20", "expected a number from 40 to 150"),
        ("[calibration]\nmin_tissues = 1", "expected a number from 2 to 4"),
        ("[calibration]\nmin_tissues = 2.5", "expected a whole number from 2 to 4"),
        ("[run]\nthreads = 1.5", "expected a whole number"),
        ("calibration = 3", "expected a table"),
        ("nonsense = 1", "unknown setting"),
        ("[vertebra", "not TOML"),
    ],
)
def test_refuses(text: str, match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        parse(text, "mine.toml")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="default"):
        built_in("defualt")
    with pytest.raises(SettingsError, match="kopperdahl2002"):
        make_plan(parse("[vertebra]\nmaterial = 'kopperdal'", "mine.toml"))
    with pytest.raises(SettingsError, match="phantomless"):
        make_calibrator(parse("[calibration]\nmethod = 'magic'", "mine.toml").calibration)


def test_gaps_are_filled_from_the_default_and_tables_round_trip() -> None:
    settings = parse("name = 'mine'\n[vertebra]\nvoxel_mm = 2.0", "mine.toml")
    assert settings.vertebra.voxel_mm == 2.0
    assert settings.femur == built_in().femur
    assert override(settings, to_tables(settings), "again") == settings


def test_a_monoenergetic_image_can_be_given_its_energy() -> None:
    settings = parse("[calibration]\nenergy_kev = 70\nmin_tissues = 2", "mine.toml")
    assert make_calibrator(settings.calibration) == Phantomless(energy_kev=70.0, min_tissues=2)
    assert make_calibrator(built_in().calibration) == Phantomless()
    assert override(settings, to_tables(settings), "again") == settings


def test_another_method_does_not_inherit_the_numbers_of_the_former() -> None:
    """`openbct strength --protocol fixed.toml` puts "given" over a line."""
    fixed = parse("[calibration]\nmethod = 'fixed'\nslope_mg_cm3_per_hu = 0.8\nintercept_mg_cm3 = 0", "mine.toml")
    given = override(fixed, {"calibration": {"method": "given"}}, "command line")
    assert given.calibration.slope_mg_cm3_per_hu is None and given.calibration.intercept_mg_cm3 is None
    assert override(fixed, {"calibration": {"intercept_mg_cm3": 2.0}}, "command line").calibration.slope_mg_cm3_per_hu == 0.8


def test_every_built_in_protocol_can_be_planned() -> None:
    for name in protocol_names():
        plan = make_plan(built_in(name))
        assert plan.recipe("femur_left").loadcase.name != plan.recipe("L1").loadcase.name


def test_a_law_weaker_in_tension_needs_a_criterion_that_knows_it() -> None:
    text = "[femur]\nmaterial = 'morgan2003-neck'"
    with pytest.raises(SettingsError, match="paraboloid"):
        make_plan(parse(text, "mine.toml"))
    assert make_plan(parse(text + "\nyield_criterion = 'paraboloid'", "mine.toml")).femur.law.tension_ratio < 1


def test_a_changed_protocol_does_not_keep_the_default_name() -> None:
    assert parse("[vertebra]\nvoxel_mm = 2.0", "mine.toml").title != built_in().title
    assert parse("name = 'mine'\nversion = '3'", "mine.toml").title == "mine 3"


def test_the_words_of_a_test_follow_its_numbers() -> None:
    text = "[vertebra]\nstrength_strain = 0.01\nyield_criterion = 'paraboloid'"
    criterion = make_plan(parse(text, "mine.toml")).vertebra.test.criterion
    assert "1 %" in criterion and "paraboloid" in criterion


def test_toml_writer_is_read_back_the_same() -> None:
    from openbct.io import to_toml

    tables = to_tables(built_in())
    assert tomllib.loads(to_toml(tables)) == tables


LAW = """
from openbct.records import MaterialLaw, Reference
MY_LAW = MaterialLaw("mine", "K2HPO4", lambda rho: 1000.0 * rho, lambda rho: 10.0 * rho, (0.01, 1.0), (0.05, 0.5),
                     Reference("A paper that does not exist, for a test", "design"), (0.1, 100.0, 1.0))
OTHER = 3
"""


def test_a_law_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my_law.py"
    path.write_text(LAW)
    plan = make_plan(parse(f"[vertebra]\nmaterial = '{path}:MY_LAW'", "mine.toml"))
    assert isinstance(plan.vertebra.law, MaterialLaw) and plan.vertebra.law.name == "mine"
    with pytest.raises(SettingsError, match="expected an openbct MaterialLaw"):
        make_plan(parse(f"[vertebra]\nmaterial = '{path}:OTHER'", "mine.toml"))
    with pytest.raises(SettingsError, match="no object"):
        plugins.load(f"{path}:ABSENT")
    path.write_text("raise RuntimeError('no')")
    with pytest.raises(SettingsError, match="cannot be imported"):
        plugins.load(f"{path}:MY_LAW")
    with pytest.raises(SettingsError):
        plugins.load(f"{tmp_path / 'absent.py'}:MY_LAW")
