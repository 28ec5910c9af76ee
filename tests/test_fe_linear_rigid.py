"""Rigid faces: platens that press, tilt and carry loads."""

from __future__ import annotations

import numpy as np
import pytest

from openbct import fe
from openbct.errors import ModelError
from openbct.fe.rigid import FREE, RigidFace


def block(shape, seed=0):
    modulus = np.random.default_rng(seed).uniform(10, 100, shape)
    fixed = np.zeros((*(n + 1 for n in shape), 3), dtype=bool)
    fixed[:, :, 0] = True
    top = np.zeros(fixed.shape[:3], dtype=bool)
    top[:, :, -1] = True
    return modulus, fixed, top


def test_faces_that_cannot_be_meant_are_refused():
    modulus, fixed, top = block((3, 3, 3))
    press = (0.0, 0.0, -0.1, 0.0, 0.0, 0.0)
    with pytest.raises(ModelError, match="node grid"):
        fe.solve(modulus, fixed=fixed, displacement=0.0, rigid=[RigidFace(top[:-1], press)])
    with pytest.raises(ModelError, match="ties no degree"):
        fe.solve(modulus, fixed=fixed, displacement=0.0, rigid=[RigidFace(np.zeros_like(top), press)])
    with pytest.raises(ModelError, match="another face"):
        fe.solve(modulus, fixed=fixed, displacement=0.0, rigid=[RigidFace(top, press), RigidFace(top, press)])
    fixed[0, 0, -1, 2] = True
    with pytest.raises(ModelError, match="also fixed"):
        fe.solve(modulus, fixed=fixed, displacement=0.0, rigid=[RigidFace(top, press)])


def test_a_free_motion_that_nothing_resists_is_refused():
    modulus, fixed, top = block((3, 3, 3))
    bottom = np.zeros_like(top)
    bottom[:, :, 0] = True
    fixed[:] = False
    fixed[1, 1, 1] = True
    faces = [RigidFace(top, (FREE,) * 6), RigidFace(bottom, (FREE,) * 6)]
    with pytest.raises(ModelError, match="no resistance"):
        fe.solve(modulus, fixed=fixed, displacement=0.0, rigid=faces, tolerance=1e-10)


def test_a_prescribed_platen_is_the_same_as_prescribed_displacements():
    modulus, fixed, top = block((4, 3, 5))
    solution = fe.solve(modulus, fixed=fixed, displacement=0.0, rigid=[RigidFace(top, (0.01, 0, -0.1, 0, 0, 0))], tolerance=1e-10)
    both, moved = fixed.copy(), np.zeros(fixed.shape)
    both[top] = True
    moved[top] = (0.01, 0, -0.1)
    expected = fe.solve(modulus, fixed=both, displacement=moved, tolerance=1e-10)
    np.testing.assert_allclose(solution.force, expected.force, atol=1e-7)
    assert solution.rigid_motion == ((0.01, 0.0, -0.1, 0.0, 0.0, 0.0),)


@pytest.mark.parametrize("follows", [(True, True, True), (False, False, True)])
def test_a_tilting_platen_carries_no_moment(follows):
    modulus, fixed, top = block((4, 5, 5))
    modulus[:2] *= 5
    face = RigidFace(top, (0, 0, -0.1, FREE, FREE, 0), follows=follows)
    solution = fe.solve(modulus, fixed=fixed, displacement=0.0, rigid=[face], tolerance=1e-10)
    points = np.argwhere(top) - np.argwhere(top).mean(axis=0)
    force = solution.force[top]
    moment = np.cross(points, force).sum(axis=0)
    arm = np.abs(force[:, 2]).sum()
    np.testing.assert_allclose(moment[:2], 0.0, atol=1e-6 * arm)
    tilt = solution.rigid_motion[0][3:5]
    assert abs(tilt[1]) > 1e-3
    lifted = solution.displacement[top][:, 2]
    np.testing.assert_allclose(lifted, -0.1 + tilt[0] * points[:, 1] - tilt[1] * points[:, 0], atol=1e-12)
    stiff = fe.solve(
        modulus, fixed=fixed, displacement=0.0, rigid=[RigidFace(top, (0, 0, -0.1, 0, 0, 0), follows=follows)], tolerance=1e-10
    )
    assert solution.stats["energy"] < stiff.stats["energy"]


def test_a_load_on_a_platen_arrives_at_the_support():
    modulus, fixed, top = block((4, 4, 5))
    face = RigidFace(top, (FREE, FREE, FREE, FREE, FREE, FREE), load=(1.0, -2.0, -30.0, 4.0, 0.0, 2.0))
    solution = fe.solve(modulus, fixed=fixed, displacement=0.0, rigid=[face], tolerance=1e-10)
    np.testing.assert_allclose(solution.force[:, :, 0].sum(axis=(0, 1)), [-1, 2, 30], atol=1e-5)
    np.testing.assert_allclose(solution.force[top].sum(axis=0), [1, -2, -30], atol=1e-5)
