"""What stands in when supports or the preconditioner are not enough: pins on free motions, and the sparse factor of small models."""

from __future__ import annotations

import numpy as np

from openbct import fe
from openbct.fe import system as systems
from openbct.fe.direct import DENSE_DOF, SPARSE_DOF, DirectCycle
from openbct.fe.motions import rigid_modes
from openbct.fe.system import build_system


def pressed(shape, *, clamp=False):
    """Both faces along k held along k, the far one moved; sideways nothing is held unless clamped."""
    fixed = np.zeros((*(n + 1 for n in shape), 3), dtype=bool)
    displacement = np.zeros(fixed.shape)
    fixed[:, :, [0, -1], 2] = True
    if clamp:
        fixed[:, :, [0, -1]] = True
    displacement[:, :, -1, 2] = -0.1
    return fixed, displacement


def bar(soft):
    """A bar whose upper half is ``soft`` times as stiff as the lower one."""
    modulus = np.full((6, 5, 24), 1000.0)
    modulus[:, :, 12:] *= soft
    return modulus


def points(system):
    return np.stack(np.unravel_index(system.grid.nodes, system.grid.node_shape), axis=1).astype(float)


# --- pins --------------------------------------------------------------------------------------------------------------


def test_pins_sit_on_stiff_nodes_and_hold_every_free_motion():
    modulus = bar(1e-5)
    system = build_system(modulus, pressed(modulus.shape)[0])
    node, axis = system.supports.pins // 3, system.supports.pins % 3
    assert system.supports.modes == len(system.supports.pins) == 3
    assert (points(system)[node, 2] <= 12).all()
    assert (axis != 2).all()
    # Two translations and the turn about k: the pins must tell them apart, in units of the size of the body.
    motion = rigid_modes((points(system)[node] - (3, 2.5, 12)) / 12)[np.arange(3), axis][:, [0, 1, 5]]
    assert np.linalg.svd(motion, compute_uv=False).min() > 0.1


def test_pins_carry_nothing_and_change_nothing_but_the_rigid_motion():
    modulus = bar(0.2)
    fixed, displacement = pressed(modulus.shape)
    pinned = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    by_hand = fixed.copy()
    by_hand[0, 0, 0, :2] = by_hand[-1, 0, 0, 1] = True
    held = fe.solve(modulus, fixed=by_hand, displacement=displacement, tolerance=1e-10)
    assert pinned.stats["pinned"] == 3
    assert held.stats["pinned"] == 0
    assert pinned.stats["pin_force"] < 1e-7 * np.abs(pinned.force).max()
    np.testing.assert_allclose(pinned.force[fixed], held.force[fixed], atol=1e-7 * np.abs(held.force).max())
    assert "3 free rigid motions were pinned" in pinned.status
    # No net motion along the free motions.
    np.testing.assert_allclose(pinned.nodal_displacement[:, :2].mean(axis=0), 0, atol=1e-9)


def test_pins_cost_few_iterations_even_with_a_soft_end():
    modulus = bar(1e-4)
    pinned, held = (
        fe.solve(modulus, fixed=fixed, displacement=displacement)
        for fixed, displacement in (pressed(modulus.shape), pressed(modulus.shape, clamp=True))
    )
    assert pinned.iterations <= held.iterations + 12


def test_a_body_that_is_held_gets_no_pins():
    modulus = bar(1.0)
    assert build_system(modulus, pressed(modulus.shape, clamp=True)[0]).supports.pins.size == 0


# --- the sparse factor --------------------------------------------------------------------------------------------------


def noisy(shape=(9, 8, 10), seed=1):
    return np.exp(np.random.default_rng(seed).uniform(0, 9, shape))


def test_the_sparse_factor_is_the_inverse():
    modulus = noisy()
    system = build_system(modulus, pressed(modulus.shape, clamp=True)[0])
    assert DENSE_DOF < 3 * system.grid.n_nodes <= SPARSE_DOF
    direct = system.factorise()
    assert isinstance(direct, DirectCycle)
    x = np.where(system.free != 0, np.random.default_rng(2).standard_normal(system.free.size), 0.0)
    force = system.apply(x)
    out = np.full(x.size, np.float32(7))
    direct.cycle(np.where(system.free != 0, force, 0.0).astype(np.float32), out)
    np.testing.assert_allclose(out, x, atol=2e-4)
    assert (out[system.free == 0] == 0).all()


def test_a_model_that_defeats_the_cycle_is_factorised_and_has_the_same_answer(monkeypatch):
    modulus = noisy()
    fixed, displacement = pressed(modulus.shape, clamp=True)
    usual = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    assert usual.iterations > 8
    monkeypatch.setattr(systems, "PATIENCE", 2)
    made = []
    factorise = systems.factorise
    monkeypatch.setattr(systems, "factorise", lambda *a: made.append(factorise(*a)) or made[-1])
    fallen_back = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    assert len(made) == 1
    assert made[0] is not None
    assert fallen_back.converged
    assert fallen_back.iterations <= 8
    np.testing.assert_allclose(fallen_back.force, usual.force, atol=1e-8 * np.abs(usual.force).max())


def test_a_preconditioner_that_is_not_positive_is_replaced(monkeypatch):
    modulus = noisy()
    fixed, displacement = pressed(modulus.shape, clamp=True)
    usual = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    monkeypatch.setattr(systems.Multigrid, "cycle", lambda self, b, x: np.negative(b, out=x))
    other = fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-10)
    assert other.converged
    np.testing.assert_allclose(other.force, usual.force, atol=1e-8 * np.abs(usual.force).max())


def test_a_large_model_is_not_factorised():
    modulus = np.ones((19, 19, 19))
    system = build_system(modulus, pressed(modulus.shape, clamp=True)[0])
    assert np.count_nonzero(system.free) > SPARSE_DOF
    assert system.factorise() is None
