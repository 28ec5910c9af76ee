"""The kernel against CalculiX, another finite-element program, on random heterogeneous voxel bodies.

CalculiX (seen on 2.20) computes its fully integrated brick C3D8 with the plain shape functions: it agrees with ``bbar=False`` to
the digits that it prints, and not with ``bbar=True`` (test below). Its iterative solvers stop too early for a comparison;
SPOOLES, its direct solver, is used here.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess

import numpy as np
import pytest
from scipy import ndimage

from openbct import fe

CCX = shutil.which("ccx")
pytestmark = pytest.mark.skipif(CCX is None, reason="CalculiX is not installed (Debian package calculix-ccx)")

BRICK = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))


def deck(modulus, ratio, spacing, fixed, displacement, force=None, strength=None, steps=1):
    """Text of a CalculiX input file: one material per element."""
    shape = tuple(n + 1 for n in modulus.shape)
    number = np.arange(np.prod(shape)).reshape(shape) + 1
    elements = np.argwhere(modulus > 0)
    used = np.zeros(shape, bool)
    for a, b, c in BRICK:
        used[tuple((elements + (a, b, c)).T)] = True
    lines = ["*NODE, NSET=ALL"]
    lines += [f"{number[tuple(n)]},{','.join(repr(float(x)) for x in n * np.asarray(spacing))}" for n in np.argwhere(used)]
    lines += ["*ELEMENT, TYPE=C3D8, ELSET=BODY"]
    for count, element in enumerate(elements, start=1):
        lines.append(f"{count}," + ",".join(str(number[tuple(element + corner)]) for corner in BRICK))
    for count, element in enumerate(elements, start=1):
        place = tuple(element)
        lines += [f"*ELSET, ELSET=E{count}", str(count), f"*MATERIAL, NAME=M{count}", "*ELASTIC"]
        lines.append(f"{float(modulus[place])!r},{float(ratio[place])!r}")
        if strength is not None:
            lines += ["*PLASTIC", f"{float(strength[place])!r},0."]
        lines.append(f"*SOLID SECTION, ELSET=E{count}, MATERIAL=M{count}")
    lines += ["*STEP, INC=1000", "*STATIC, SOLVER=SPOOLES" + (", DIRECT" if steps > 1 else "")]
    if steps > 1:
        lines.append(f"{1 / steps!r},1.")
    held = np.argwhere(fixed & used[..., None])
    lines += ["*BOUNDARY"]
    lines += [f"{number[i, j, k]},{a + 1},{a + 1},{float(displacement[i, j, k, a])!r}" for i, j, k, a in held]
    if force is not None:
        lines += ["*CLOAD"]
        free = np.argwhere(~fixed & used[..., None] & (force != 0))
        lines += [f"{number[i, j, k]},{a + 1},{float(force[i, j, k, a])!r}" for i, j, k, a in free]
    lines += ["*NODE PRINT, NSET=ALL", "U,RF", "*END STEP", ""]
    return "\n".join(lines), number


def run(folder, *arguments, **options):
    """Displacement and reaction ``(steps i+1 j+1 k+1 3)`` from CalculiX."""
    text, number = deck(*arguments, **options)
    (folder / "model.inp").write_text(text)
    done = subprocess.run([CCX, "model"], cwd=folder, capture_output=True, text=True, timeout=120, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout[-2000:]
    blocks = re.split(r"\n (displacements|forces) .*\n\n", (folder / "model.dat").read_text())
    found = {"displacements": [], "forces": []}
    for name, block in zip(blocks[1::2], blocks[2::2], strict=True):
        values = np.zeros((number.size, 3))
        for line in block.splitlines():
            parts = line.split()
            if len(parts) == 4:
                values[int(parts[0]) - 1] = [float(x) for x in parts[1:]]
        found[name].append(values.reshape(*number.shape, 3))
    return np.array(found["displacements"]), np.array(found["forces"])


def random_case(seed):
    """A random connected body with its supports and loads."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(4, 8, 3))
    body = rng.random(shape) < (1.0, 0.85, 0.8)[seed % 3]
    label, _ = ndimage.label(body)
    body = label == np.bincount(label[label > 0]).argmax()
    modulus = np.where(body, 10 ** rng.uniform(1, 4, shape), 0.0)
    ratio = rng.uniform(0.1, 0.4, shape) if seed % 2 else np.full(shape, 0.3)
    spacing = (1.0, 1.0, 1.0) if seed % 3 == 0 else tuple(rng.uniform(0.5, 2.0, 3))
    fixed = np.zeros((*(n + 1 for n in shape), 3), bool)
    displacement = np.zeros(fixed.shape)
    fixed[:, :, :2] = fixed[:, :, -2:] = True
    displacement[:, :, -2:] = rng.normal(0, 0.03, 3) + (0, 0, -0.1)
    return modulus, ratio, spacing, fixed, displacement, rng


def active_nodes(modulus):
    used = np.zeros([n + 1 for n in modulus.shape], bool)
    for a, b, c in itertools.product((0, 1), repeat=3):
        used[a : a + modulus.shape[0], b : b + modulus.shape[1], c : c + modulus.shape[2]] |= modulus > 0
    return used


@pytest.mark.parametrize("seed", range(6))
def test_linear_displacements_and_reactions_agree_to_the_printed_digits(tmp_path, seed):
    modulus, ratio, spacing, fixed, displacement, rng = random_case(seed)
    force = None
    if seed % 2:
        force = np.where(active_nodes(modulus)[..., None], rng.normal(0, 5.0, displacement.shape), 0.0)
    u, reaction = run(tmp_path, modulus, ratio, spacing, fixed, displacement, force)
    solution = fe.solve(
        modulus, poisson_ratio=ratio, spacing=spacing, fixed=fixed, displacement=displacement, force=force, tolerance=1e-11
    )
    held = fixed & active_nodes(modulus)[..., None]
    np.testing.assert_allclose(solution.displacement, u[-1], atol=1e-6 * np.abs(u).max())
    np.testing.assert_allclose(solution.force[held], reaction[-1][held], atol=1e-6 * np.abs(reaction).max())


def test_the_brick_of_calculix_is_the_plain_one(tmp_path):
    modulus, _, spacing, fixed, displacement, _ = random_case(0)
    ratio = np.full(modulus.shape, 0.45)
    _, reaction = run(tmp_path, modulus, ratio, spacing, fixed, displacement)
    plain, mean_dilatation = (
        fe.solve(modulus, poisson_ratio=0.45, spacing=spacing, fixed=fixed, displacement=displacement, bbar=bbar, tolerance=1e-10)
        .force[:, :, -2:, 2]
        .sum()
        for bbar in (False, True)
    )
    expected = np.where(fixed, reaction[-1], 0.0)[:, :, -2:, 2].sum()
    assert plain == pytest.approx(expected, rel=1e-6)
    assert abs(mean_dilatation / expected - 1) > 0.1


def plastic_curves(folder, seed, n=8):
    """Force of CalculiX and ours at each of ``n`` steps, the displacement of CalculiX and our solution."""
    modulus, ratio, spacing, fixed, displacement, rng = random_case(seed)
    modulus = np.where(modulus > 0, 1000 * rng.uniform(0.5, 2.0, modulus.shape), 0.0)
    # So small that the finite strains, which CalculiX may count, do not matter.
    strength = 1e-4 * modulus * rng.uniform(0.5, 1.5, modulus.shape)
    fixed[:], displacement[:] = False, 0.0
    fixed[:, :, [0, -1]] = True
    displacement[:, :, -1, 2] = -4e-4 * modulus.shape[2] * spacing[2]
    u, reaction = run(folder, modulus, ratio, spacing, fixed, displacement, strength=strength, steps=n)
    loaded = np.zeros(fixed.shape[:3], bool)
    loaded[:, :, -1] = True
    travels = np.arange(1, n + 1) / n
    solution = fe.solve_plastic(
        modulus, yield_stress=strength, criterion="von_mises", poisson_ratio=ratio, spacing=spacing, fixed=fixed,
        displacement=displacement, travels=travels, loaded=loaded, direction=(0, 0, -1.0), bbar=False, tolerance=1e-6,
    )  # fmt: skip
    return -reaction[:, :, :, -1, 2].sum(axis=(1, 2)), np.interp(travels, *solution.curve.T), u, solution


@pytest.mark.parametrize("seed", range(3))
def test_perfect_plasticity_gives_the_same_curve(tmp_path, seed):
    expected, force, u, solution = plastic_curves(tmp_path, seed)
    assert len(expected) == 8
    assert solution.converged
    assert solution.failed_fraction[-1] > 0.5
    assert force[-1] < 0.6 * 8 * force[0]
    # Asked for are 0.1 %; measured are 5e-6 at the worst point.
    np.testing.assert_allclose(force, expected, rtol=1e-4)
    np.testing.assert_allclose(solution.displacement[-1], u[-1], atol=1e-3 * np.abs(u[-1]).max())
