"""Threads of the linear kernel: the same bits for any number of them, on bodies that really are divided."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from openbct import fe
from openbct.fe import team as teams
from openbct.fe.coarsen import coarsen
from openbct.fe.grid import find_rows, number_voxels
from openbct.fe.multigrid import slab_cuts
from openbct.fe.system import build_system
from openbct.fe.team import Team, default_threads, plane_cuts


def sponge(shape, seed=0):
    """A body with many holes, soft and stiff voxels, held below and pressed from above."""
    rng = np.random.default_rng(seed)
    modulus = np.where(rng.random(shape) < 0.85, rng.uniform(10, 1000, shape), 0.0)
    fixed = np.zeros((*(n + 1 for n in shape), 3), dtype=bool)
    displacement = np.zeros(fixed.shape)
    fixed[:, :, [0, -1]] = True
    displacement[:, :, -1, 2] = -0.1
    return modulus, fixed, displacement


def test_the_body_of_these_tests_is_divided_on_two_levels():
    modulus, fixed, _ = sponge((40, 21, 22))
    system = build_system(modulus, fixed, threads=2)
    assert system.cuts.size - 1 >= 4
    assert np.diff(system.cuts).min() >= 2
    assert len(system.preconditioner.levels[0].slabs.elements) - 1 == 1
    big, held, _ = sponge((72, 34, 34))
    slabs = build_system(big, held, threads=1).preconditioner.levels[0].slabs
    assert len(slabs.elements) - 1 >= 6
    assert len(slabs.phases) == 3


@pytest.mark.parametrize("shape", [(40, 21, 22), (72, 34, 34)])
def test_any_number_of_threads_gives_the_same_bits(shape):
    modulus, fixed, displacement = sponge(shape)
    one, *others = (fe.solve(modulus, fixed=fixed, displacement=displacement, tolerance=1e-8, threads=n) for n in (1, 2, 3, 7))
    for other in others:
        assert np.array_equal(one.displacement, other.displacement)
        assert np.array_equal(one.force, other.force)
        assert one.residual == other.residual


def test_the_helpers_do_work(monkeypatch):
    """Results that are equal prove nothing if the second thread never runs."""
    both = threading.Barrier(2, timeout=20)
    seen = set()

    def work(begin, end):
        seen.add((threading.get_ident(), begin, end))
        both.wait()

    Team(2).each(work, 2)
    assert len({thread for thread, _, _ in seen}) == 2
    assert {(begin, end) for _, begin, end in seen} == {(0, 1), (1, 2)}


def test_an_error_in_any_part_reaches_the_caller():
    def work(begin, end):
        if begin <= 3 < end:
            raise ZeroDivisionError

    for threads in (1, 2):
        with pytest.raises(ZeroDivisionError):
            Team(threads).each(work, 8)


def test_slabs_do_not_depend_on_threads_and_balance_an_uneven_body():
    modulus = np.zeros((60, 30, 30))
    modulus[:40, 14:16, 14:16] = 1.0
    modulus[40:] = 1.0
    rows = find_rows(number_voxels(modulus > 0))
    cuts = slab_cuts(rows)
    share = np.diff(rows.plane_nodes[cuts])
    assert (cuts[1:-1] % 2 == 0).all()
    assert share.max() <= 0.25 * share.sum()


def test_a_thin_body_is_one_slab_or_has_two_planes_in_each():
    for planes in range(2, 12):
        ends = np.arange(planes + 1) * 5000
        cuts = plane_cuts(ends, planes)
        assert cuts[0] == 0
        assert cuts[-1] == planes
        assert np.diff(cuts).min() >= min(2, planes)


def test_slabs_of_one_phase_share_no_neighbour():
    modulus, _, _ = sponge((100, 40, 40), seed=3)
    grid = number_voxels(modulus > 0)
    step = coarsen(grid.cells(), grid.element_nodes(), grid.n_nodes)
    slab_of = np.repeat(np.arange(step.slabs.nodes.size - 1), np.diff(step.slabs.nodes))
    in_element = slab_of[step.nodes]
    for first, last in step.slabs.phases:
        here = (in_element >= first) & (in_element < last)
        low = np.where(here, in_element, 10**6).min(axis=1)
        high = np.where(here, in_element, -1).max(axis=1)
        assert (high <= low)[here.any(axis=1)].all()
        # Rows that are scattered to belong to an earlier phase: no two slabs of this one may reach the same node.
        if first > 0:
            owner = {}
            for row in np.flatnonzero(here.any(axis=1)).tolist():
                for node, slab in zip(step.nodes[row].tolist(), in_element[row].tolist(), strict=True):
                    if slab < first:
                        assert owner.setdefault(node, int(low[row])) == int(low[row])


def test_small_bodies_get_one_thread(monkeypatch):
    monkeypatch.setattr(teams.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert default_threads(100_000) == 1
    assert default_threads(5_000_000) == 4
    monkeypatch.setattr(teams.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert default_threads(5_000_000) == 1
