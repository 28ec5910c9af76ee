"""FEBio 4 input (``.feb``, specification 4.0): eight-node bricks of one isotropic material whose moduli are a map over the elements.

Tags and attributes as FEBio's own (MIT-licensed) reader of that specification wants them [SC]: named nodes, elements and
materials, node sets as comma-separated lists, maps by the local number of their set, ``MeshData`` after ``MeshDomains``. FEBio was
not at hand: the files were checked against its reader's source and a public model of the specification, not run.

FEBio counts large deformation always, and its elastic-plastic materials are not ours: the file holds the elastic model, whose answer
is ours at small strain alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

import numpy as np
from jaxtyping import Float, Int

from ...records import Array
from .model import VoxelModel, element_index, element_nodes, held, node_index, pushed

AxisValues = tuple[str, int, Int[Array, " _"], Float[Array, " _"]]
"""Name, axis, node numbers and values."""
AXES = "xyz"
PART, MATERIAL, NODES = "bone", "bone_material", "all_nodes"
CONTROL = (
    "<analysis>STATIC</analysis><time_steps>1</time_steps><step_size>1</step_size>"
    '<solver type="solid"><symmetric_stiffness>symmetric</symmetric_stiffness><dtol>1e-6</dtol><etol>1e-9</etol><rtol>0</rtol>'
    '<max_refs>25</max_refs><qn_method type="BFGS"><max_ups>0</max_ups></qn_method></solver>'
)
"""One step of full Newton iteration, to tighter tolerances than FEBio's own 1e-3 and 1e-2 [design]."""
LOAD_CURVE = (
    '<load_controller id="1" name="travel" type="loadcurve"><interpolate>LINEAR</interpolate><extend>CONSTANT</extend>'
    "<points><pt>0,0</pt><pt>1,1</pt></points></load_controller>"
)


def feb_bytes(model: VoxelModel) -> tuple[bytes, tuple[str, ...]]:
    """Return the file, and what it could not hold, each a full sentence."""
    cautions = ["FEBio counts large deformation: its answer is that of a linear model at small strain alone."]
    if model.plastic:
        cautions.insert(0, "The yield stresses were left out: the file holds the elastic model, whose load rises without limit.")
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<!--{_comment(model, cautions)}-->", '<febio_spec version="4.0">']
    lines += ['<Module type="solid"/>', f"<Control>{CONTROL}</Control>"]
    index = tuple(element_index(model).T)
    maps = _constants(model, model.youngs_modulus[index], model.poisson_ratio[index])
    kind = "isotropic elastic" if model.symmetry is None else "orthotropic elastic"
    lines.append(f'<Material><material id="1" name="{MATERIAL}" type="{kind}"><density>1</density>')
    lines += ['<mat_axis type="vector"><a>1,0,0</a><d>0,1,0</d></mat_axis>'] if model.symmetry is not None else []
    lines += [f"<{name}{_value(values, f'map_{name}')}</{name}>" for name, values in maps.items()]
    lines.append("</material></Material>")
    numbers, axes, values = held(model)
    still = _by_axis("held", numbers[values == 0], axes[values == 0], values[values == 0])
    supports = _by_axis("moved", numbers[values != 0], axes[values != 0], values[values != 0])
    loads = _by_axis("pushed", *pushed(model))
    lines += _mesh(model, [*still, *supports, *loads])
    lines.append(f'<MeshDomains><SolidDomain name="{PART}" mat="{MATERIAL}"/></MeshDomains>')
    data = [line for name, values in maps.items() for line in _map("Element", "elem", f"map_{name}", PART, values)]
    data += [line for name, _, _, values in (*supports, *loads) for line in _map("Node", "node", f"map_{name}", name, values)]
    lines += ["<MeshData>", *data, "</MeshData>"] if data else []
    lines.append("<Boundary>")
    for name, axis, _, _ in still:
        dofs = "".join(f"<{letter}_dof>{int(a == axis)}</{letter}_dof>" for a, letter in enumerate(AXES))
        lines.append(f'<bc name="{name}" node_set="{name}" type="zero displacement">{dofs}</bc>')
    for name, axis, _, values in supports:
        lines += [f'<bc name="{name}" node_set="{name}" type="prescribed displacement"><dof>{AXES[axis]}</dof>']
        lines.append(f'<value lc="1"{_value(values, f"map_{name}")}</value></bc>')
    lines.append("</Boundary>")
    if loads:
        lines.append("<Loads>")
        for name, axis, _, values in loads:
            lines += [f'<nodal_load name="{name}" node_set="{name}" type="nodal_load"><dof>{AXES[axis]}</dof>']
            lines.append(f'<scale lc="1"{_value(values, f"map_{name}")}</scale></nodal_load>')
        lines.append("</Loads>")
    lines += [f"<LoadData>{LOAD_CURVE}</LoadData>", "<Output>"]
    lines.append('<plotfile type="febio"><var type="displacement"/><var type="stress"/><var type="reaction forces"/></plotfile>')
    lines.append(f'<logfile><node_data data="ux;uy;uz;Rx;Ry;Rz" delim="," file="{_file_name(model)}"/></logfile>')
    lines += ["</Output>", "</febio_spec>"]
    return ("\n".join(lines) + "\n").encode("utf-8"), tuple(cautions)


def _file_name(model: VoxelModel) -> str:
    """Return the name of the table that FEBio shall write beside its log."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in model.name) + "_nodes.csv"


def _comment(model: VoxelModel, cautions: list[str]) -> str:
    said = [
        "Units: mm, N, MPa. Axes: those of the specimen.",
        f"The load is the sum of the reactions of the nodes of the set loaded along ({', '.join(f'{x:.6g}' for x in model.direction)}).",
        *model.notes,
        *(f"Caution: {caution}" for caution in cautions),
    ]
    return escape(" ".join(said)).replace("--", "- -")


def _constants(model: VoxelModel, modulus: Float[Array, " n"], ratio: Float[Array, " n"]) -> dict[str, Float[Array, " _"]]:
    """Return the elastic constants of each element, by FEBio's names."""
    if model.symmetry is None:
        return {"E": modulus, "v": ratio}
    (one, two, three), (ij, ik, jk), (g_jk, g_ik, g_ij) = model.symmetry.youngs, model.symmetry.poisson, model.symmetry.shear
    scaled = {"E1": one, "E2": two, "E3": three, "G12": g_ij, "G23": g_jk, "G31": g_ik}
    constants = {name: factor * modulus for name, factor in scaled.items()}
    return constants | {
        name: np.full(len(modulus), value) for name, value in (("v12", ij), ("v23", jk), ("v31", ik * three / one))
    }


def _by_axis(kind: str, numbers: Int[Array, " n"], axes: Int[Array, " n"], values: Float[Array, " n"]) -> list[AxisValues]:
    """Return what is said along each axis, where anything is."""
    return [(f"{kind}_{AXES[a]}", a, numbers[axes == a], values[axes == a]) for a in range(3) if (axes == a).any()]


def _value(values: Float[Array, " n"], name: str) -> str:
    """Return the rest of an opening tag and its content: the one value, or the name of the map."""
    return f">{values[0]:.12g}" if (values == values[0]).all() else f' type="map">{name}'


def _map(kind: str, entry: str, name: str, members: str, values: Float[Array, " n"]) -> list[str]:
    """Return a map over a set; nothing where one value does."""
    if (values == values[0]).all():
        return []
    attribute = "elem_set" if kind == "Element" else "node_set"
    head = f'<{kind}Data name="{name}" {attribute}="{members}" data_type="scalar">'
    rows = (f'<{entry} lid="{place}">{value:.12g}</{entry}>' for place, value in enumerate(values.tolist(), start=1))
    return [head, *rows, f"</{kind}Data>"]


def _mesh(model: VoxelModel, sets: list[AxisValues]) -> Iterator[str]:
    places = node_index(model)
    numbers = model.numbers[tuple(places.T)].tolist()
    coordinates = (places * np.asarray(model.spacing)).tolist()
    yield f'<Mesh><Nodes name="{NODES}">'
    yield from (f'<node id="{n}">{x:.9g},{y:.9g},{z:.9g}</node>' for n, (x, y, z) in zip(numbers, coordinates, strict=True))
    yield f'</Nodes><Elements type="hex8" name="{PART}">'
    for number, corners in enumerate(element_nodes(model).tolist(), start=1):
        yield f'<elem id="{number}">{",".join(map(str, corners))}</elem>'
    yield "</Elements>"
    for name, _, members, _ in sets:
        yield f'<NodeSet name="{name}">{",".join(map(str, members.tolist()))}</NodeSet>'
    loaded = np.sort(model.numbers[model.loaded & (model.numbers > 0)])
    if len(loaded):
        yield f'<NodeSet name="loaded">{",".join(map(str, loaded.tolist()))}</NodeSet>'
    yield "</Mesh>"
