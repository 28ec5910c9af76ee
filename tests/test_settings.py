"""A protocol is strict: what it does not know, it refuses."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path

import pytest

from openbct import plugins
from openbct.calibration import Phantomless
from openbct.errors import SettingsError
from openbct.linear import LinearTest
from openbct.loadcases import AxialCompression, SidewaysFall, Stance
from openbct.materials import MATERIALS, TRANSVERSE
from openbct.plan import make_calibrator, make_plan
from openbct.records import MaterialLaw, Pads
from openbct.settings import built_in, override, parse, protocol_names, to_tables
from openbct.softening import SofteningTest
from openbct.strength import MechanicalTest


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


def test_a_law_without_yield_stress_is_for_linear_tests() -> None:
    text = "[femur]\nmaterial = 'ogo-hip'"
    with pytest.raises(SettingsError, match=r'no yield stress.*set test = "linear"'):
        make_plan(parse(text, "mine.toml"))
    assert make_plan(parse(text + LINEAR.removeprefix("[femur]"), "mine.toml")).femur.law.yield_stress is None


def test_softening_needs_a_law_that_says_what_follows_yielding() -> None:
    softening = {"test": "softening", "travel_mm": 4.0, "increment_mm": 0.1}
    plan = make_plan(override(built_in(), {"femur": softening}, "test"))
    assert isinstance(plan.femur.test, SofteningTest) and plan.femur.test.travel == 4.0 and plan.femur.test.bbar
    with pytest.raises(SettingsError, match=r"'kopperdahl2002\+side-artefact' beside test"):
        make_plan(override(built_in(), {"vertebra": softening}, "test"))
    with pytest.raises(SettingsError, match='cortex = "surface" beside test'):
        make_plan(override(built_in(), {"femur": {**softening, "cortex": "surface"}}, "test"))
    with pytest.raises(SettingsError, match="needs increment_mm"):
        override(built_in(), {"femur": {"test": "softening", "travel_mm": 4.0}}, "test")
    with pytest.raises(SettingsError, match="found travel_mm = 4 beside"):
        override(built_in(), {"femur": {"travel_mm": 4.0}}, "test")


def test_strain_between_endplates_reaches_the_test_and_its_words() -> None:
    test = make_plan(built_in("vertebra-through-disc")).vertebra.test
    assert isinstance(test, MechanicalTest) and test.between_ends
    assert test.criterion.startswith("force at 1.9 % strain of the bone between its pads, von Mises")
    plain = make_plan(built_in()).vertebra.test
    assert isinstance(plain, MechanicalTest) and not plain.between_ends


def test_a_law_of_an_unknown_kind_of_density_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    law = copy.copy(MATERIALS["keyak2005"])
    object.__setattr__(law, "density", "BV/TV")  # a user's file is not type-checked
    monkeypatch.setitem(MATERIALS, "mine", law)
    with pytest.raises(SettingsError, match="found density kind 'BV/TV'"):
        make_plan(parse("[femur]\nmaterial = 'mine'", "mine.toml"))


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


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[vertebra]\ntest = 'linear'", "needs rule"),
        ("[vertebra]\ntest = 'linear'\nrule = 'height'", "needs coefficient"),
        ("[femur]\ntest = 'linear'\nrule = 'principal_strain'\ntension_strain = 0.007", "needs compression_strain, averaging_mm"),
        (
            "[femur]\ntest = 'linear'\nrule = 'height'\ncoefficient = 0.0068\ncritical_share = 0.1",
            'expected it beside "critical_volume" only',
        ),
        (
            "[vertebra]\ntest = 'linear'\nrule = 'height'\ncoefficient = 0.0068\nstrains = [0.01]",
            'expected it beside "nonlinear" only',
        ),
        ("[vertebra]\nrule = 'height'", "rule = 'height' beside .vertebra. test \"nonlinear\""),
        (
            "[vertebra]\nsuperior = 'tilting'\ntest = 'softening'\ntravel_mm = 2\nincrement_mm = 0.1",
            'beside test = "softening", which no solver',
        ),
        (
            "[vertebra]\nelasticity = 'transverse'\nyield_criterion = 'paraboloid'",
            'beside yield_criterion = "paraboloid", which no solver',
        ),
        ("[femur]\nelasticity = 'transverse'", "unknown setting"),
        ("[femur]\nloadcase = 'stance'", "needs load_angle_deg"),
        ("[femur]\nloadcase = 'stance'\nload_angle_deg = 20", 'expected "none"'),
        ("[femur]\nload_angle_deg = 20", 'expected it beside "stance" only'),
        ("[femur]\nloadcase = 'fall'", "sideways_fall, stance"),
        ("[femur]\nhead = 'glued'", "free, bonded"),
        ("[vertebra]\ninferior = 'free'", "clamped, sliding"),
        ("[vertebra]\nbin_shift = true", "expected at least 2 bins"),
        ("[vertebra]\nbins = 12.5", "whole number"),
        (
            "[vertebra]\npose = 'as_scanned'\nsuperior = 'bonded'",
            'superior = "bonded" beside pose = "as_scanned", which knows "free"',
        ),
        ("[vertebra]\npose = 'as_scanned'", 'inferior = "clamped" beside pose = "as_scanned", which knows "sliding"'),
        ("[vertebra]\npad_mpa = 0", "expected a number from 1"),
        ("[about]\nsites = ['hip']", "vertebra, femur"),
        ("[about]\nsites = []", "empty"),
        ("[about]\nreferences = [3]", "expected texts"),
        ("[about]\nsites = ['femur']\n[run]\nbones = ['L1']", "is made for no other"),
    ],
)
def test_refuses_what_does_not_go_together(text: str, match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        parse(text, "mine.toml")


STANCE = "[femur]\nloadcase = 'stance'\nload_angle_deg = 25\n[run]\nscale = 'none'"
LINEAR = "[femur]\ntest = 'linear'\nrule = 'critical_volume'\ncritical_strain = 0.009\ncritical_share = 0.1\nbbar = false"


def test_a_load_case_is_chosen_by_name_and_drops_the_former_s_keys() -> None:
    settings = parse(STANCE, "mine.toml")
    assert settings.femur.adduction_deg is None and override(settings, to_tables(settings), "again") == settings
    plan = make_plan(settings)
    assert (
        plan.femur.loadcase == Stance(load_angle_deg=25.0)
        and "cup" in plan.femur.test.criterion
        and plan.standards.scale == "none"
    )
    back = {
        "femur": {
            "loadcase": "sideways_fall",
            "adduction_deg": 5.0,
            "internal_rotation_deg": 0.0,
            "trochanter": "bonded",
            "pad_mm": 8.0,
        }
    }
    fall = make_plan(override(settings, back, "again")).femur.loadcase
    assert fall == SidewaysFall(adduction_deg=5.0, internal_rotation_deg=0.0, trochanter="bonded", pad=8.0)


def test_a_linear_test_drops_the_load_history_and_is_planned() -> None:
    settings = parse(LINEAR, "mine.toml")
    assert settings.femur.strains is None and override(settings, to_tables(settings), "again") == settings
    test = make_plan(settings).femur.test
    assert isinstance(test, LinearTest) and (test.rule, test.critical_strain, test.critical_share, test.bbar) == (
        "critical_volume",
        0.009,
        0.1,
        False,
    )
    assert "10 %" in test.criterion and "0.9 %" in test.criterion
    other = override(settings, {"femur": {"rule": "height", "coefficient": 0.005}}, "again").femur
    assert other.critical_strain is None and other.coefficient == 0.005
    with pytest.raises(SettingsError, match="needs strains, strength_strain, yield_criterion"):
        override(settings, {"femur": {"test": "nonlinear"}}, "again")


def test_supports_edge_and_pads_reach_the_plan() -> None:
    text = "[vertebra]\nsuperior = 'bonded'\ninferior = 'sliding'\nedge = 'bone'\npad_mpa = 3000\npad_yield_mpa = 70\n[femur]\nhead = 'bonded'\nedge = 'bone'"
    plan = make_plan(parse(text, "mine.toml"))
    assert plan.vertebra.loadcase == AxialCompression(superior="bonded", inferior="sliding", edge="bone")
    assert plan.vertebra.elements["pads"] == Pads(3000.0, 70.0) and plan.femur.elements["pads"] == Pads()
    assert plan.femur.loadcase == SidewaysFall(head="bonded", edge="bone")
    tilting = parse(
        "[vertebra]\ntest = 'linear'\nrule = 'height'\ncoefficient = 0.0068\nsuperior = 'tilting'\nelasticity = 'transverse'",
        "mine.toml",
    )
    assert (
        make_plan(tilting).vertebra.loadcase == AxialCompression(superior="tilting")
        and make_plan(tilting).vertebra.elements["symmetry"] is TRANSVERSE
    )


def test_the_default_is_what_it_was() -> None:
    plan = make_plan(built_in())
    assert plan.vertebra.loadcase == AxialCompression() and plan.femur.loadcase == SidewaysFall()
    assert plan.vertebra.elements["pads"] == plan.femur.elements["pads"] == Pads() and plan.vertebra.elements["symmetry"] is None
    assert plan.sites == ("vertebra", "femur") and built_in().bones is None


def test_a_preset_for_one_site_looks_for_that_site() -> None:
    stance = built_in("femur-stance")
    assert stance.bones == ("femur_left", "femur_right") and make_plan(stance).sites == ("femur",)
    with pytest.raises(SettingsError, match="femur-stance 1 is made for no other"):
        override(stance, {"run": {"bones": ["L1"]}}, "command line")


def test_a_changed_protocol_does_not_keep_the_words_of_the_default() -> None:
    assert built_in().about.summary and not parse("[vertebra]\nvoxel_mm = 2.0", "mine.toml").about.summary


def test_every_preset_says_what_it_is() -> None:
    for name in protocol_names():
        settings = built_in(name)
        about = settings.about
        assert settings.name == name and settings.version and about.summary and about.validity and about.references, name
        assert about.differs or not name.endswith("-like"), name
