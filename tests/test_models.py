"""Models of other programs: hostile files first, then round trips through every format that can be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbct.errors import InputError, ModelError, SettingsError
from openbct.io.models import FORMATS, SolverResult, VoxelModel, from_arrays, from_fe_model, read_answer, read_model, write_model
from openbct.io.models.bins import EXACT, gather
from openbct.io.models.model import element_index, without_loose
from openbct.records import ElasticSymmetry, Reference

h5py = pytest.importorskip("h5py", reason="h5py is not installed (openbct[interop])")

READABLE = [name for name, entry in FORMATS.items() if entry.read is not None]
FIELDS = ("youngs_modulus", "yield_stress", "poisson_ratio", "fixed", "displacement", "loaded", "direction", "force")


def make(
    seed: int = 0, *, plastic: bool = False, forces: bool = False, ratios: bool = False, shape: Any = (4, 5, 6)
) -> VoxelModel:
    """A porous block with a void margin, held below, pressed and pulled aside on its upper face."""
    rng = np.random.default_rng(seed)
    body = np.zeros(tuple(n + 3 for n in shape), dtype=bool)
    body[1:-2, 2:-1, 1:-2] = rng.random(shape) < 0.8
    modulus = np.where(body, 10 ** rng.uniform(1, 4, body.shape), 0.0)
    nodes = (*(n + 1 for n in body.shape), 3)
    fixed, displacement, force = np.zeros(nodes, dtype=bool), np.zeros(nodes), np.zeros(nodes)
    fixed[:, :, 1] = fixed[:, :, -3] = True
    fixed[::2, :, -3, 0] = False
    displacement[:, :, -3] = (0.01, 0.0, -0.1 - 0.01 * seed)
    if forces:
        force[3, 3:6, 4] = (0.0, 2.5, -1.0)
    strength = np.where(rng.random(body.shape) < 0.7, 0.01 * modulus, np.inf) if plastic else None
    return from_arrays(
        modulus, fixed=fixed, displacement=displacement, spacing=(1.25, 1.25, 1.25), yield_stress=strength, force=force,
        poisson_ratio=rng.uniform(0.1, 0.4, body.shape) if ratios else 0.3, name="block", notes=("A test block -- no bone.",),
    )  # fmt: skip


def same(one: VoxelModel, other: VoxelModel, rtol: float) -> None:
    np.testing.assert_allclose(other.spacing, one.spacing, rtol=1e-6)
    assert other.tension_ratio == pytest.approx(one.tension_ratio)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(other, field), getattr(one, field), rtol=rtol, atol=1e-9, err_msg=field)


# Hostile input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", READABLE)
@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"\x00\xff" * 500, b"*NODE\n1,x,y,z\n", b"<febio_spec"], ids=repr)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / f"broken{FORMATS[name].suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected"):
        read_model(path)


@pytest.mark.parametrize("name", READABLE)
def test_a_cut_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"cut{FORMATS[name].suffix}"
    write_model(make(plastic=name != "feb"), path)
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        try:
            model = read_model(path)
        except InputError:
            continue
        # A deck that ends after its mesh and materials is still one, without all of its supports.
        assert name == "inp" and model.fixed.sum() < make().fixed.sum()


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    model = make()
    with pytest.raises(InputError, match="no file"):
        read_model(tmp_path / "absent.inp")
    with pytest.raises(InputError, match="no file"):
        read_answer(tmp_path / "absent.frd", model)
    with pytest.raises(SettingsError, match="CalculiX"):
        write_model(model, tmp_path / "model.stl")
    with pytest.raises(SettingsError, match="one of inp, feb"):
        write_model(model, tmp_path / "model.inp", format="stl")
    with pytest.raises(SettingsError, match="looking at"):
        read_model(tmp_path / "model.vtu")
    with pytest.raises(SettingsError, match="printed tables"):
        read_answer(tmp_path / "model.log", model)


def test_without_h5py_a_plain_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    for name in ("n88model", "parosol"):
        with pytest.raises(SettingsError, match=r"pip install h5py.*openbct\[interop\]"):
            write_model(make(), tmp_path / f"model{FORMATS[name].suffix}")
    assert write_model(make(), tmp_path / "model.inp") == ()


def test_a_model_without_elements_or_of_two_shapes_is_refused() -> None:
    nodes = np.zeros((3, 3, 3, 3))
    for modulus in (np.zeros((2, 2, 2)), np.full((2, 2, 2), np.nan)):
        with pytest.raises(ModelError, match="at least one element"):
            from_arrays(modulus, fixed=nodes > 0, displacement=nodes)
    with pytest.raises(ModelError, match="one value per node"):
        from_arrays(np.ones((2, 2, 3)), fixed=nodes > 0, displacement=nodes)


def test_parosol_knows_cubes_alone(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cubes"):
        write_model(replace(make(), spacing=(1.0, 1.0, 1.1)), tmp_path / "model.h5")


CHANGES = {
    "a keyword that changes the answer": (b"*STEP", b"*DLOAD\n1,P1,3.\n*STEP", "DLOAD"),
    "another element": (b"TYPE=C3D8", b"TYPE=C3D4", "C3D8"),
    "a second step": (b"*END STEP", b"*END STEP\n*STEP\n*STATIC\n*END STEP", "second"),
    "an orthotropic material": (b"*ELASTIC\n", b"*ELASTIC, TYPE=ORTHO\n", "isotropic"),
    "an element without material": (b"*SOLID SECTION, ELSET=E1, MATERIAL=M1\n", b"", "positive modulus"),
    "an unknown node": (b"*BOUNDARY\n", b"*BOUNDARY\n999999,1,1,0\n", "999999"),
    "a rotation": (b"*BOUNDARY\n", b"*BOUNDARY\nNALL,1,6,0\n", "1 to 6"),
    "two values at one support": (b"*BOUNDARY\n", b"*BOUNDARY\nNALL,3,3,0.5\n", "second prescribed"),
    "an amplitude": (b"*BOUNDARY\n", b"*BOUNDARY, AMPLITUDE=A\n", "AMPLITUDE"),
    "a temperature": (b"*SOLID SECTION, ELSET=E1,", b"200.,0.3\n*SOLID SECTION, ELSET=E1,", "cannot be read|second modulus"),
    "a node off the grid": (b"*ELEMENT", b"", "cannot be read|C3D8"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_an_input_that_says_more_than_a_voxel_model_is_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.inp"
    write_model(make(), path)
    old, new, word = CHANGES[case]
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(InputError, match=word):
        read_model(path)


def test_a_mesh_that_is_no_grid_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.inp"
    model = make()
    write_model(model, path)
    text = path.read_text()
    place = np.argwhere(model.numbers == model.numbers.max())[0] * 1.25
    number = int(model.numbers.max())
    for moved, word in (((0.4, 0, 0), "equal bricks|one grid"), ((-1.25, 0, 0), "equal bricks|one grid|two nodes")):
        row = f"{number},{','.join(f'{x:.9g}' for x in place)}\n"
        assert row in text
        path.write_text(text.replace(row, f"{number},{','.join(f'{x:.9g}' for x in place + moved)}\n"))
        with pytest.raises(InputError, match=word):
            read_model(path)


def test_a_crack_is_refused(tmp_path: Path) -> None:
    model = from_arrays(
        np.full((1, 1, 2), 100.0), fixed=np.zeros((2, 2, 3, 3), dtype=bool), displacement=np.zeros((2, 2, 3, 3)), spacing=(1.0, 1.0, 1.0)
    )  # fmt: skip
    path = tmp_path / "model.inp"
    write_model(model, path)
    text = path.read_text().replace("*ELEMENT, ", "99,0,0,1\n*ELEMENT, ").replace("\n2,5,", "\n2,99,")
    path.write_text(text)
    with pytest.raises(InputError, match="two nodes in one place"):
        read_model(path)


def test_elements_far_apart_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.inp"
    write_model(from_arrays(np.ones((1, 1, 1)), fixed=np.zeros((2, 2, 2, 3)) > 0, displacement=np.zeros((2, 2, 2, 3))), path)
    far = "".join(f"{n + 10},{n % 2 + 10**5},{n // 2 % 2 + 10**5},{n // 4 + 10**5}\n" for n in range(8))
    text = path.read_text().replace("*ELEMENT,", f"{far}*ELEMENT,").replace("*ELSET, ELSET=E1\n1", "*ELSET, ELSET=E1\n1,2")
    path.write_text(text.replace("*ELSET", "2,10,11,13,12,14,15,17,16\n*ELSET", 1))
    with pytest.raises(InputError, match="voxels apart"):
        read_model(path)


@pytest.mark.parametrize("suffix", [".inp", ".feb", ".n88model", ".h5"])
def test_damage_is_never_a_traceback(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / f"model{suffix}"
    write_model(make(shape=(2, 2, 2)), path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(40):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), 4):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            read_model(path)
        except (InputError, ModelError):
            refused += 1
    assert refused > 5


def test_what_other_files_ask_beyond_small_strain_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.inp"
    write_model(make(), path)
    path.write_text(path.read_text().replace("*STEP,", "*STEP, NLGEOM,").replace("TYPE=C3D8,", "TYPE=C3D8R,"))
    notes = " ".join(read_model(path).notes)
    assert "NLGEOM" in notes and "C3D8R" in notes


FEB_CHANGES = {
    "another version": ('version="4.0"', 'version="3.0"', "4.0"),
    "another material": ("isotropic elastic", "neo-Hookean", "isotropic elastic"),
    "a contact": ("<Boundary>", '<Contact><contact type="tied-elastic"/></Contact><Boundary>', "Contact"),
    "an unknown set": ('node_set="moved_z" type', 'node_set="nowhere" type', "nowhere"),
    "an unknown map": (">map_E<", ">map_F<", "map_F"),
    "a hole in a map": ('<elem lid="3">', '<elem lid="4">', "without a value"),
    "another condition": ('type="prescribed displacement"', 'type="prescribed shell displacement"', "prescribed displacement"),
    "a word for a number": ('<node id="', '<node id="x', "numbers"),
}


@pytest.mark.parametrize("case", FEB_CHANGES)
def test_a_feb_file_that_says_more_is_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.feb"
    write_model(make(), path)
    old, new, word = FEB_CHANGES[case]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=word):
        read_model(path)


def test_hdf5_of_another_layout_is_refused(tmp_path: Path) -> None:
    for suffix in (".n88model", ".h5"):
        path = tmp_path / f"other{suffix}"
        with h5py.File(path, "w") as file:
            file["x"] = [1.0]
        with pytest.raises(InputError, match=r"expected|layout"):
            read_model(path)
    path = tmp_path / "model.n88model"
    write_model(make(), path)
    with h5py.File(path, "a") as file:
        file["MaterialDefinitions/Bone"].attrs["Type"] = np.bytes_("LinearAnisotropic")
    with pytest.raises(InputError, match="LinearAnisotropic"):
        read_model(path)


# Round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", READABLE)
@pytest.mark.parametrize(
    "options", [{}, {"plastic": True}, {"forces": True}, {"ratios": True}], ids=lambda o: "".join(o) or "elastic"
)
def test_round_trip(tmp_path: Path, name: str, options: dict[str, bool]) -> None:
    model = make(seed=1, **options)
    path = tmp_path / f"model{FORMATS[name].suffix}"
    cautions = write_model(model, path)
    back = read_model(path)
    if name == "feb" and model.plastic:
        assert "yield stresses were left out" in cautions[0]
        model = replace(model, yield_stress=np.full(model.yield_stress.shape, np.inf))
    # Two formats hold single precision alone.
    same(model, back, rtol=3e-7 if name in ("n88model", "parosol") else 1e-8)
    assert not (back.force[~model.fixed] == 0).all() or not options.get("forces")
    again = tmp_path / f"again{FORMATS[name].suffix}"
    write_model(back, again)
    same(back, read_model(again), rtol=1e-8)


def test_the_void_around_a_model_is_cut() -> None:
    model = make()
    assert model.active.shape == (4, 5, 6) and model.numbers.shape == (5, 6, 7)
    assert not model.fixed[model.numbers == 0].any() and not model.loaded[model.numbers == 0].any()


def test_pieces_that_touch_nothing_held_are_left_out() -> None:
    modulus = np.zeros((6, 6, 9))
    modulus[:4, :4, :4] = 100.0
    modulus[5, 5, 8] = 50.0
    fixed, displacement = np.zeros((7, 7, 10, 3), dtype=bool), np.zeros((7, 7, 10, 3))
    fixed[:, :, 0] = True
    loose = from_arrays(modulus, fixed=fixed, displacement=displacement)
    assert loose.active.shape == (6, 6, 9)
    model = without_loose(loose)
    assert model.corner == (0, 0, 0) and loose.corner == (0, 0, 0)
    modulus[5, 5, 8], modulus[0] = 0.0, 0.0
    assert from_arrays(modulus, fixed=fixed, displacement=displacement).corner == (1, 0, 0)
    modulus[5, 5, 8] = 50.0
    assert model.active.shape == (4, 4, 4) and "1 elements in pieces" in model.notes[-1]
    with pytest.raises(ModelError, match="no node is held"):
        without_loose(from_arrays(modulus, fixed=fixed & False, displacement=displacement))


def test_supports_that_move_against_one_another_carry_no_load(tmp_path: Path) -> None:
    nodes = (3, 3, 3, 3)
    fixed, displacement = np.zeros(nodes, dtype=bool), np.zeros(nodes)
    fixed[:, :, [0, -1]] = True
    displacement[:, :, 0, 2], displacement[:, :, -1, 2] = 0.1, -0.1
    model = from_arrays(np.ones((2, 2, 2)), fixed=fixed, displacement=displacement)
    assert not model.loaded.any()
    write_model(model, tmp_path / "model.inp")
    assert not read_model(tmp_path / "model.inp").loaded.any()


def test_vtu_shows_moduli_and_supports(tmp_path: Path) -> None:
    write_model(make(plastic=True, forces=True), tmp_path / "model.vtu")
    text = (tmp_path / "model.vtu").read_bytes()[:3000].decode("ascii", "replace")
    for field in ("youngs_modulus_mpa", "yield_stress_mpa", "prescribed_displacement_mm", "is_loaded", "force_n"):
        assert f'Name="{field}"' in text


def test_orthotropic_elements_where_the_format_has_them(tmp_path: Path) -> None:
    symmetry = ElasticSymmetry("test", (0.4, 0.6, 1.0), (0.25, 0.12, 0.2), (0.21, 0.16, 0.13), Reference("A test", "design"))
    block = make()
    common: Any = {"fixed": block.fixed, "displacement": block.displacement, "spacing": block.spacing, "symmetry": symmetry}
    model = from_arrays(block.youngs_modulus, **common)
    with pytest.raises(ModelError, match="anisotropic"):
        from_arrays(block.youngs_modulus, yield_stress=block.youngs_modulus, **common)
    with pytest.raises(ModelError, match="isotropic"):
        write_model(model, tmp_path / "model.h5")
    for suffix in (".n88model", ".feb", ".inp"):
        write_model(model, tmp_path / f"model{suffix}")
        back = read_model(tmp_path / f"model{suffix}")
        assert back.symmetry is not None
        np.testing.assert_allclose(back.youngs_modulus, model.youngs_modulus, rtol=1e-6)
        for constants in ("youngs", "poisson", "shear"):
            assert getattr(back.symmetry, constants) == pytest.approx(getattr(symmetry, constants), rel=1e-6), suffix
    modulus = model.youngs_modulus[tuple(element_index(model).T)]
    with h5py.File(tmp_path / "model.n88model") as file:
        bone = file["MaterialDefinitions/Bone"]
        assert bone.attrs["Type"] == b"LinearOrthotropic"
        np.testing.assert_allclose(bone["E"][:], np.outer(modulus, (0.4, 0.6, 1.0)), rtol=1e-6)
        np.testing.assert_allclose(bone["G"][:], np.outer(modulus, (0.21, 0.16, 0.13)), rtol=1e-6)  # yz, zx, xy
        np.testing.assert_allclose(bone["nu"][0], (0.2, 0.12 / 0.4, 0.25), rtol=1e-6)
    text = (tmp_path / "model.feb").read_text()
    for entry in ("<v12>0.25</v12>", "<v23>0.2</v23>", "<v31>0.3</v31>", '<G31 type="map">map_G31</G31>', "<a>1,0,0</a>"):
        assert entry in text
    row = text.split('<ElementData name="map_G12"')[1].split('lid="1">')[1].split("<")[0]
    assert float(row) == pytest.approx(0.13 * modulus[0])
    write_model(model, tmp_path / "model.inp")
    text = (tmp_path / "model.feb").read_text()
    (tmp_path / "model.feb").write_text(text.replace("<a>1,0,0</a>", "<a>0,1,0</a>"))
    with pytest.raises(InputError, match="turned"):
        read_model(tmp_path / "model.feb")
    with h5py.File(tmp_path / "model.n88model", "a") as file:
        file["MaterialDefinitions/Bone/G"][0] *= 1.01
    with pytest.raises(InputError, match="multiples"):
        read_model(tmp_path / "model.n88model")
    mixed = (tmp_path / "model.inp").read_text().replace("*ELASTIC, TYPE=ENGINEERING CONSTANTS", "*ELASTIC", 1)
    (tmp_path / "model.inp").write_text(mixed)
    with pytest.raises(InputError, match=r"beside|second modulus|cannot be read"):
        read_model(tmp_path / "model.inp")


# Materials --------------------------------------------------------------------------------------------------------


def test_few_materials_are_kept_as_they_are_and_many_share_bins_within_their_width() -> None:
    small, large = make(plastic=True), make(shape=(20, 20, 20), plastic=True)
    place = tuple(element_index(small).T)
    found = gather(small)
    assert found.caution == ""
    np.testing.assert_array_equal(found.youngs_modulus[found.of_element], small.youngs_modulus[place])
    place = tuple(element_index(large).T)
    assert len(place[0]) > EXACT
    found = gather(large)
    assert len(found.youngs_modulus) < len(place[0])
    for array, values in ((large.youngs_modulus, found.youngs_modulus), (large.yield_stress, found.yield_stress)):
        finite = np.isfinite(array[place])
        np.testing.assert_array_equal(np.isfinite(values[found.of_element]), finite)
        np.testing.assert_allclose(values[found.of_element][finite], array[place][finite], rtol=1.001e-4)
    assert f"{len(place[0])} elements share {len(found.youngs_modulus)} materials" in found.caution


def test_a_tension_ratio_is_told_where_it_is_lost(tmp_path: Path) -> None:
    model = replace(make(plastic=True), tension_ratio=0.7)
    for suffix in (".inp", ".n88model"):
        assert any("0.7" in caution and "too high" in caution for caution in write_model(model, tmp_path / f"model{suffix}"))
    assert any("too low" in caution for caution in write_model(replace(model, tension_ratio=1.4), tmp_path / "model.inp"))
    assert any("principal stresses" in caution for caution in write_model(model, tmp_path / "model.h5"))
    assert read_model(tmp_path / "model.h5").tension_ratio == pytest.approx(0.7, rel=1e-6)


# Answers ----------------------------------------------------------------------------------------------------------


def fields(model: VoxelModel, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A displacement and a reaction that take work in."""
    rng = np.random.default_rng(seed)
    used = (model.numbers > 0)[..., None]
    displacement = np.where(model.fixed, model.displacement, np.where(used, rng.normal(0, 0.01, model.displacement.shape), 0.0))
    reaction = np.where(model.fixed, 100.0 * displacement + rng.normal(0, 0.1, displacement.shape), 0.0)
    return displacement, reaction


def check(found: SolverResult, model: VoxelModel, displacement: np.ndarray, reaction: np.ndarray, rtol: float) -> None:
    np.testing.assert_allclose(found.displacement, displacement, rtol=rtol, atol=1e-9)
    assert found.reaction is not None
    np.testing.assert_allclose(found.reaction, reaction, rtol=rtol, atol=1e-9)
    assert (found.known == (model.numbers > 0)).all()
    assert found.load(model) == pytest.approx((reaction[model.loaded] @ model.direction).sum(), rel=1e-6)


def feb_log(model: VoxelModel, displacement: np.ndarray, reaction: np.ndarray, *, time: float = 1.0, sign: float = 1.0) -> str:
    lines = []
    for step, share in ((0, 0.0), (1, 1.0)):
        lines += [f"*Step  = {step}", f"*Time  = {share * time:.9g}", "*Data  = ux;uy;uz;Rx;Ry;Rz"]
        for place in np.argwhere(model.numbers > 0):
            at = tuple(place)
            values = share * np.concatenate([displacement[at], sign * reaction[at]])
            lines.append(",".join([str(model.numbers[at]), *(f"{x:.12g}" for x in values)]))
    return "\n".join(lines) + "\n"


def test_node_data_of_febio(tmp_path: Path) -> None:
    model = make()
    displacement, reaction = fields(model)
    path = tmp_path / "block_nodes.csv"
    for sign in (1.0, -1.0):  # whichever way a program counts reactions, a passive body takes work in
        path.write_text(feb_log(model, displacement, reaction, sign=sign))
        check(read_answer(path, model), model, displacement, reaction, 1e-9)
    path.write_text(feb_log(model, 0.5 * displacement, reaction, time=0.5))
    assert "0.5 of the travel" in read_answer(path, model).notes[0]
    with pytest.raises(InputError, match="does not have"):
        read_answer(path, make(shape=(2, 2, 2)))
    path.write_text(feb_log(model, displacement, reaction))
    with pytest.raises(InputError, match="supports move otherwise"):
        read_answer(path, replace(model, displacement=1.001 * model.displacement))
    for content in ("", "1,2,3\n", "*Step = 1\n*Time = 1\n*Data = sx\n1,2\n", "*Step = 1\n*Time = 1\n*Data = ux;uy;uz\n1,2\n"):
        path.write_text(content)
        with pytest.raises(InputError, match="expected"):
            read_answer(path, model)


def test_solution_of_an_n88model(tmp_path: Path) -> None:
    model = make()
    displacement, reaction = fields(model)
    path = tmp_path / "solved.n88model"
    write_model(model, path)
    with pytest.raises(InputError, match="no solution"):
        read_answer(path, model)
    used = np.argwhere(model.numbers > 0)
    order = np.argsort(model.numbers[tuple(used.T)])
    with h5py.File(path, "a") as file:
        file.attrs["ActiveSolution"] = np.bytes_("Solution1")
        group = file.create_group("Solutions/Solution1")
        group.attrs["Problem"] = np.bytes_("Problem1")
        for name, field in (("Displacement", displacement), ("ReactionForce", reaction)):
            group.create_dataset(f"NodeValues/{name}", data=field[tuple(used[order].T)])
    check(read_answer(path, model), model, displacement, reaction, 1e-12)
    check(read_answer(path, read_model(path)), model, displacement, reaction, 1e-12)
    with pytest.raises(InputError, match="another model"):
        read_answer(path, make(seed=4))


def test_broken_results_of_calculix(tmp_path: Path) -> None:
    model = make()
    for suffix, text in (
        (".dat", ""),
        (".dat", " displacements (vx,vy,vz) for set NALL and time  0.1E+01\n\n 1 nan 0. 0.\n"),
        (".dat", " displacements (vx,vy,vz) for set NALL and time  0.1E+01\n\n 999999 0. 0. 0.\n"),
        (".dat", " displacements (vx,vy,vz) for set NALL and time  0.1E+01\n\n 1 ******** 0. 0.\n"),
        (".frd", " -4  DISP        4    1\n -1  "),
    ):
        (tmp_path / f"model{suffix}").write_text(text)
        with pytest.raises(InputError, match="expected"):
            read_answer(tmp_path / f"model{suffix}", model)


def test_the_problem_of_a_bone_at_its_travel(bone_model: Any) -> None:
    model = from_fe_model(bone_model, travel=0.5)
    assert model.plastic and model.spacing == (bone_model.spacing,) * 3
    assert int(model.active.sum()) == int((bone_model.youngs_modulus > 0).sum())
    assert np.abs(model.displacement).max() == pytest.approx(0.5 * np.abs(bone_model.boundary.displacement).max())
    np.testing.assert_allclose(model.direction, bone_model.boundary.direction)
    assert not from_fe_model(bone_model, travel=0.5, plastic=False).plastic
    # The first node of the box is the lower corner of voxel (1, 1, 0), half a voxel below its centre.
    assert model.corner == (1, 1, 0) and "lies at (10.5, -0.5, 4.5), its axes along (1, 0, 0); (0, -1, 0)" in model.notes[-1]
    tilting = replace(bone_model, boundary=replace(bone_model.boundary, tilts=True))
    with pytest.raises(ModelError, match="tilting platen"):
        from_fe_model(tilting, travel=0.5)


@pytest.fixture
def bone_model() -> Any:
    from openbct.records import Boundary, FEModel, Step

    mask = np.zeros((4, 4, 5), dtype=bool)
    mask[1:3, 1:3, 1:4] = True
    pad = np.zeros_like(mask)
    pad[1:3, 1:3, [0, 4]] = True
    nodes = np.zeros((5, 5, 6, 3))
    fixed = np.zeros(nodes.shape, dtype=bool)
    fixed[:, :, 0] = True
    fixed[:, :, -1, 2] = True
    nodes[:, :, -1, 2] = -1.0
    loaded = np.zeros(nodes.shape[:3], dtype=bool)
    loaded[:, :, -1] = True
    to_patient = np.diag([1.0, -1.0, 1.0, 1.0])
    to_patient[:3, 3] = (10.0, 0.0, 5.0)
    boundary = Boundary(fixed, nodes, loaded, np.array([0.0, 0.0, -1.0]), "pressed between two pads")
    return FEModel(
        bone="L1", youngs_modulus=np.where(mask, 400.0, np.where(pad, 2500.0, 0.0)), yield_stress=np.where(mask, 4.0, np.inf),
        tension_ratio=1.0, poisson_ratio=0.3, mask=mask, spacing=1.0, gauge_length=3.0, boundary=boundary, to_patient=to_patient,
        step=Step("model", "A test."),
    )  # fmt: skip
