"""A voxel model as other solvers know it: nodes and elements with numbers, one material per element, supports in millimetres.

The axes of a file are those of the specimen: node (i, j, k) lies at (i, j, k) times the voxel size. Grids are cut to the box
of their elements. Units are mm, N, MPa.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from ...errors import ModelError
from ...records import Array, ElasticSymmetry, FEModel
from ...volume import to_patient

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
"""Node order of a brick in Abaqus, CalculiX, FEBio and VTK: around the lower face, then around the upper one."""
VOXEL_CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
"""Node order of VTK's voxel, which .n88model has: first axis fastest."""
VOID_RATIO = 0.3
"""What stands for the Poisson ratio of nothing, so that equal models have equal arrays."""


@dataclass(frozen=True)
class VoxelModel:
    """What a solver is asked: an elastic or elastic-plastic voxel body at the end of its travel."""

    name: str
    youngs_modulus: Float[Array, "i j k"]
    """0 where there is no element [MPa]."""
    yield_stress: Float[Array, "i j k"]
    """In compression; infinite where the material stays elastic [MPa]."""
    tension_ratio: float
    """Tensile over compressive yield stress [-]."""
    poisson_ratio: Float[Array, "i j k"]
    """Where there is no element, :data:`VOID_RATIO`."""
    spacing: tuple[float, float, float]
    """Voxel size along the axes of the specimen [mm]."""
    fixed: Bool[Array, "i1 j1 k1 3"]
    displacement: Float[Array, "i1 j1 k1 3"]
    """The whole prescribed displacement, where ``fixed`` [mm]."""
    loaded: Bool[Array, "i1 j1 k1"]
    """Nodes whose reaction is the load."""
    direction: Float[Array, "3"]
    """Unit vector along which the load is read: positive in compression."""
    force: Float[Array, "i1 j1 k1 3"]
    """Prescribed nodal forces where not ``fixed`` [N]."""
    numbers: Int[Array, "i1 j1 k1"]
    """Number of each node in the file, from 1; 0 where there is none."""
    notes: tuple[str, ...] = ()
    """Where it comes from and what was left out, each a full sentence."""
    symmetry: ElasticSymmetry | None = None
    """``None``: isotropic; otherwise ``poisson_ratio`` is not used, as in the kernel."""
    corner: tuple[int, int, int] = (0, 0, 0)
    """Index of the first voxel in the arrays that the model was cut from."""

    @property
    def active(self) -> Bool[Array, "i j k"]:
        """Where there is an element."""
        return self.youngs_modulus > 0

    @property
    def plastic(self) -> bool:
        """Whether any element can yield."""
        return bool(np.isfinite(self.yield_stress[self.active]).any())


def from_arrays(
    youngs_modulus: Float[Array, "i j k"],
    *,
    fixed: Bool[Array, "i1 j1 k1 3"],
    displacement: Float[Array, "i1 j1 k1 3"],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    poisson_ratio: float | Float[Array, "i j k"] = 0.3,
    yield_stress: Float[Array, "i j k"] | None = None,
    tension_ratio: float = 1.0,
    loaded: Bool[Array, "i1 j1 k1"] | None = None,
    direction: Float[Array, "3"] | None = None,
    force: Float[Array, "i1 j1 k1 3"] | None = None,
    name: str = "model",
    notes: tuple[str, ...] = (),
    symmetry: ElasticSymmetry | None = None,
) -> VoxelModel:
    """Return a model from the arrays that the kernel takes, cut to the box of its elements, its nodes numbered.

    A node's number is ``1 + i + (I + 1) (j + (J + 1) k)`` on that box of I x J x K voxels. Where nobody says which nodes carry the
    load, they are those with a prescribed motion, read along it.

    Raises
    ------
    ModelError
        No element, or an array of another shape, or a value that no solver can take.
    """
    modulus = np.maximum(np.asarray(youngs_modulus, dtype=float), 0.0)
    if not np.isfinite(modulus).all() or not (modulus > 0).any():
        raise ModelError(
            "found a model without elements or with a modulus that is not finite, expected at least one element [MPa]"
        )
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise ModelError(f"found voxels of {tuple(spacing)} mm, expected three positive lengths")
    nodes = tuple(n + 1 for n in modulus.shape)
    for label, array, expected in (("fixed", fixed, (*nodes, 3)), ("displacement", displacement, (*nodes, 3))):
        if array.shape != expected:
            raise ModelError(f"found {label} of shape {array.shape}, expected {expected}: one value per node and axis")
    if symmetry is not None and yield_stress is not None:
        raise ModelError(
            "found yield stresses of anisotropic elements, expected isotropic ones: the formats written here have no such plasticity"
        )
    solid = modulus > 0
    strength = np.where(solid, np.inf if yield_stress is None else np.asarray(yield_stress, dtype=float), np.inf)
    ratio = np.where(solid, np.asarray(poisson_ratio, dtype=float), VOID_RATIO)
    # What is said of nodes that no element has is left out: other programs trip over it.
    used = touched(solid)
    fixed = fixed & used[..., None]
    moved = np.where(fixed, displacement, 0.0)
    loaded, along = where_loaded(fixed, moved, None if loaded is None else loaded & used)
    forces = np.zeros((*nodes, 3)) if force is None else np.where(used[..., None] & ~fixed, force, 0.0)
    lower, upper = box_of(solid)
    cells = tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))
    corners = tuple(slice(a, b + 1) for a, b in zip(lower, upper, strict=True))
    model = VoxelModel(
        name=name,
        youngs_modulus=modulus[cells],
        yield_stress=strength[cells],
        tension_ratio=float(tension_ratio),
        poisson_ratio=ratio[cells],
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        fixed=fixed[corners],
        displacement=moved[corners],
        loaded=loaded[corners],
        direction=along if direction is None else np.asarray(direction, dtype=float),
        force=forces[corners],
        numbers=np.zeros(tuple(int(b - a + 1) for a, b in zip(lower, upper, strict=True)), dtype=np.int64),
        notes=notes,
        symmetry=symmetry,
        corner=(lower[0], lower[1], lower[2]),
    )
    return number_nodes(model)


def from_fe_model(model: FEModel, *, travel: float, plastic: bool = True) -> VoxelModel:
    """Return a finite-element problem of a bone at a travel of its platen.

    Parameters
    ----------
    travel
        Of the loaded nodes [mm].
    plastic
        Keep the yield stresses; ``False``, or an anisotropic model, leaves the linear elastic one.

    Raises
    ------
    ModelError
        The platen finds its own tilt: no prescribed displacements say that.
    """
    boundary = model.boundary
    if boundary.tilts:
        raise ModelError(
            f"found a tilting platen on {model.bone}, expected displacements that are all prescribed: other programs tie such a face in "
            'ways of their own; choose superior = "free" or "bonded" in the protocol'
        )
    whole = from_arrays(
        model.youngs_modulus,
        fixed=boundary.fixed,
        displacement=boundary.displacement * travel,
        spacing=(model.spacing,) * 3,
        poisson_ratio=model.poisson_ratio,
        yield_stress=model.yield_stress if plastic and model.symmetry is None else None,
        tension_ratio=model.tension_ratio,
        loaded=boundary.loaded,
        direction=boundary.direction,
        symmetry=model.symmetry,
        name=model.bone,
        notes=(
            f"{model.bone}, travel {travel:.6g} mm of {model.gauge_length:.6g} mm gauge length.",
            f"Supports: {boundary.description}.",
            *(
                ("Anisotropic elements: yield stresses were left out, this is the elastic model.",)
                if plastic and model.symmetry
                else ()
            ),
        ),
    )
    whole = without_loose(whole)
    first = to_patient(model.to_patient, np.asarray(whole.corner) - 0.5)
    axes = model.to_patient[:3, :3] / model.spacing
    said = "; ".join(f"({', '.join(f'{x:.6g}' for x in axes[:, a])})" for a in range(3))
    place = f"In the patient (LPS, mm) the first node of the grid lies at ({', '.join(f'{x:.6g}' for x in first)}), its axes along {said}."
    return replace(whole, notes=(*whole.notes, place))


def where_loaded(
    fixed: Bool[Array, "i1 j1 k1 3"], displacement: Float[Array, "i1 j1 k1 3"], loaded: Bool[Array, "i1 j1 k1"] | None = None
) -> tuple[Bool[Array, "i1 j1 k1"], Float[Array, "3"]]:
    """Return the loaded nodes, by default all that are moved, and the unit vector of their mean motion.

    None is loaded where nobody says which ones are and those that move do so against one another: their reactions cancel.
    """
    motion = np.where(fixed, displacement, 0.0)
    said = loaded is not None
    chosen = loaded if loaded is not None else (motion != 0).any(axis=-1)
    total = motion[chosen].sum(axis=0)
    length = float(np.linalg.norm(total))
    if length <= 1e-6 * float(np.linalg.norm(motion[chosen], axis=-1).sum()) or length == 0:
        return (chosen if said else np.zeros_like(chosen)), np.array([0.0, 0.0, -1.0])
    return chosen, total / length


def without_loose(model: VoxelModel) -> VoxelModel:
    """Return the model without the pieces that touch nothing held, which our kernel leaves out and others call singular.

    Raises
    ------
    ModelError
        Nothing is held at all.
    """
    label, _ = ndimage.label(model.active, structure=np.ones((3, 3, 3)))
    is_held = np.asarray(model.fixed.any(axis=-1))
    kept = np.zeros(model.active.shape, dtype=bool)
    i, j, k = model.active.shape
    for a, b, c in CORNERS:
        kept |= is_held[a : a + i, b : b + j, c : c + k]
    found = np.isin(label, np.unique(label[kept & model.active]))
    solid = found & model.active
    if not solid.any():
        raise ModelError("found a model of which no node is held, expected supports; nothing to solve")
    left_out = int(model.active.sum() - solid.sum())
    if left_out == 0:
        return model
    cut = from_arrays(
        np.where(solid, model.youngs_modulus, 0.0),
        fixed=model.fixed,
        displacement=model.displacement,
        spacing=model.spacing,
        poisson_ratio=model.poisson_ratio,
        yield_stress=model.yield_stress if model.plastic else None,
        tension_ratio=model.tension_ratio,
        loaded=model.loaded,
        direction=model.direction,
        force=model.force,
        name=model.name,
        symmetry=model.symmetry,
        notes=(*model.notes, f"{left_out} elements in pieces that touch nothing held were left out."),
    )
    i, j, k = (a + b for a, b in zip(model.corner, cut.corner, strict=True))
    return replace(cut, corner=(i, j, k))


def box_of(active: Bool[Array, "i j k"]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the box of the elements: first index and one past the last, along each axis."""
    spans = [np.flatnonzero(active.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    return tuple(int(span[0]) for span in spans), tuple(int(span[-1]) + 1 for span in spans)


def touched(active: Bool[Array, "i j k"]) -> Bool[Array, "i1 j1 k1"]:
    """Return the nodes that belong to an element."""
    found = np.zeros(tuple(n + 1 for n in active.shape), dtype=bool)
    for a, b, c in CORNERS:
        found[a : a + active.shape[0], b : b + active.shape[1], c : c + active.shape[2]] |= active
    return found


def number_nodes(model: VoxelModel, *, compact: bool = False) -> VoxelModel:
    """Return the model with its nodes numbered from 1, first axis fastest: by their place in the grid, or without gaps."""
    used = touched(model.active)
    by_place = np.arange(1, used.size + 1).reshape(used.shape, order="F")
    numbers = np.zeros(used.shape, dtype=np.int64)
    if compact:
        flat = used.reshape(-1, order="F")
        by_place = np.cumsum(flat).reshape(used.shape, order="F")
    numbers[used] = by_place[used]
    return replace(model, numbers=numbers)


def element_index(model: VoxelModel) -> Int[Array, "n 3"]:
    """Return the voxel of each element in the order of the files: first axis fastest."""
    return np.argwhere(model.active.T)[:, ::-1]


def element_nodes(model: VoxelModel, corners: Int[Array, "8 3"] = CORNERS) -> Int[Array, "n 8"]:
    """Return the node numbers of each element."""
    places = element_index(model)[:, None, :] + corners
    return np.asarray(model.numbers[places[..., 0], places[..., 1], places[..., 2]])


def node_index(model: VoxelModel) -> Int[Array, "n 3"]:
    """Return the place of each numbered node in the grid, by rising number."""
    places = np.argwhere(model.numbers > 0)
    order = np.argsort(model.numbers[tuple(places.T)], kind="stable")
    return np.asarray(places[order])


def held(model: VoxelModel) -> tuple[Int[Array, " n"], Int[Array, " n"], Float[Array, " n"]]:
    """Return node number, axis (0, 1, 2) and displacement [mm] of each support that an element touches."""
    places = np.argwhere(model.fixed & (model.numbers > 0)[..., None])
    i, j, k, axis = places.T
    return model.numbers[i, j, k], axis, model.displacement[i, j, k, axis]


def pushed(model: VoxelModel) -> tuple[Int[Array, " n"], Int[Array, " n"], Float[Array, " n"]]:
    """Return node number, axis and force [N] of each nodal load at a free degree of freedom."""
    places = np.argwhere((model.force != 0) & ~model.fixed & (model.numbers > 0)[..., None])
    i, j, k, axis = places.T
    return model.numbers[i, j, k], axis, model.force[i, j, k, axis]
