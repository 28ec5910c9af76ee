"""Memory, threads, start-up and roofline of the linear kernel; each measured in processes of its own.

Usage: python benchmarks/solver_resources.py [--parts memory,threads,startup,roofline] [--huge]

``--huge`` solves the vertebra with each voxel split 8³ (105 million degrees of freedom; 16 GB, minutes), its lower cap held in all directions.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from solver_models import DATA, Model, in_new_process, table, vertebra, warm_up

MEMORY_GOAL, HUGE_GOAL = 110.0, 16.0
BUSY_GOAL = 0.9
"""Two threads over one where another process is busy on every core."""
THREAD_GOAL = 1.5
FLOPS_PER_ELEMENT = 276
"""Forward and backward Walsh-Hadamard transform 72 + 66, 33 coefficients 69 with their sums, modulus 21, gather into rows 48."""
BYTES_PER_NODE = 116
"""Compulsory traffic of p = z + beta p, y = K p: z 12 in single precision, p read and written 48, y written with its cache lines 48, and
8 for the modulus of about one element per node."""


def peak_mb() -> float:
    """Largest resident memory of this process so far [MiB]; ``ru_maxrss`` would begin with the peak of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def save_lean(model: Model, folder: Path) -> None:
    """Arrays as a careful caller gives them: moduli in single precision, supports as booleans, one travel per layer of nodes."""
    np.save(folder / "modulus.npy", model.modulus.astype(np.float32))
    np.save(folder / "fixed.npy", model.fixed)
    layer = model.displacement.min(axis=(0, 1), keepdims=True)
    np.save(folder / "displacement.npy", np.ascontiguousarray(layer))
    (folder / "spacing").write_text(repr(model.spacing))


def split_lean(factor: int, folder: Path) -> None:
    """The same for a vertebra whose arrays would not fit beside the solve in double precision; the lower cap is held in all directions."""
    coarse = vertebra(1)
    fine = np.repeat(np.repeat(np.repeat(coarse.modulus.astype(np.float32), factor, 0), factor, 1), factor, 2)
    np.save(folder / "modulus.npy", fine)
    shape = tuple(n + 1 for n in fine.shape)
    del fine
    fixed = np.lib.format.open_memmap(folder / "fixed.npy", mode="w+", dtype=bool, shape=(*shape, 3))
    layer = np.zeros((1, 1, shape[2], 3))
    for k in np.flatnonzero(coarse.fixed[..., 2].any(axis=(0, 1))):
        top = bool(coarse.loaded[:, :, k].any())
        under = coarse.modulus[:, :, k - 1 if top else k] > 0
        held = coarse.fixed[:, :, k, 2]
        face = under & held[:-1, :-1] & held[1:, :-1] & held[:-1, 1:] & held[1:, 1:]
        fine_face = np.kron(face, np.ones((factor,) * 2, bool))
        for a in (0, 1):
            for b in (0, 1):
                fixed[a : a + fine_face.shape[0], b : b + fine_face.shape[1], factor * k, 2] |= fine_face
        if top:
            layer[..., factor * k, 2] = -0.2
        else:
            fixed[:, :, factor * k, :2] = fixed[:, :, factor * k, 2:]
    fixed.flush()
    np.save(folder / "displacement.npy", layer)
    (folder / "spacing").write_text(repr(1.0 / factor))


def load_lean(folder: Path) -> tuple[Any, Any, Any, float]:
    arrays = [np.load(folder / f"{name}.npy") for name in ("modulus", "fixed", "displacement")]
    return arrays[0], arrays[1], arrays[2], float((folder / "spacing").read_text())


def solve_lean(folder: Path, threads: int, repeat: int) -> dict[str, Any]:
    """A solve with its times (the quickest of ``repeat``), memory and answer."""
    from openbct import fe

    warm_up()
    baseline = peak_mb()
    modulus, fixed, displacement, spacing = load_lean(folder)
    given = (modulus.nbytes + fixed.nbytes + displacement.nbytes) / 2**20
    times = []
    for _ in range(repeat):
        started, used = time.perf_counter(), time.process_time()
        solution = fe.solve(modulus, spacing=(spacing,) * 3, fixed=fixed, displacement=displacement, threads=threads)
        times.append((time.perf_counter() - started, time.process_time() - used))
    wall, cpu = min(times)
    peak = peak_mb() - baseline
    force = solution.nodal_force
    return {
        "dof": int(solution.stats["n_dof"]), "peak_mb": peak, "arrays_mb": given, "baseline_mb": baseline, "wall_s": wall, "cpu_s": cpu,
        "force": float(np.maximum(force[:, 2], 0.0).sum()), "iterations": solution.iterations, "balance": float(abs(force[:, 2].sum())),
        "digest": float(np.abs(solution.nodal_displacement).sum()), "setup_s": solution.stats["setup_s"],
    }  # fmt: skip


def memory(huge: bool) -> None:
    rows = []
    for factor in (3, 8) if huge else (3,):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
            folder = Path(name)
            if factor <= 3:
                save_lean(vertebra(factor), folder)
            else:
                split_lean(factor, folder)
            found = in_new_process([str(Path(__file__)), "--worker", "solve", "--folder", name, "--threads", "1"])
        per = found["peak_mb"] * 2**20 / found["dof"]
        own = (found["peak_mb"] - found["arrays_mb"]) * 2**20 / found["dof"]
        goal = f"≤ {MEMORY_GOAL:g} B per dof" if factor <= 3 else f"≤ {HUGE_GOAL:g} GB"
        met = per <= MEMORY_GOAL if factor <= 3 else found["peak_mb"] / 1024 <= HUGE_GOAL
        name = f"vertebra split {factor}³" + (", lower cap glued" if factor > 3 else "")
        rows.append([name, f"{found['dof'] / 1e6:.1f} M", f"{found['peak_mb'] / 1024:.2f}", f"**{per:.0f}**", f"{own:.0f}", goal,
                     "met" if met else "missed", found["iterations"], f"{found['cpu_s']:.1f}", f"{found['wall_s']:.1f}",
                     f"{found['force']:.3f}"])  # fmt: skip
    table(["problem", "dof", "peak less interpreter, GB", "B per dof", "without the caller's arrays", "goal", "", "iterations", "CPU s", "wall s",
           "force, N"], rows)  # fmt: skip


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """A process that computes without end on every core."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def time_threads(folder: str) -> dict[int, list[dict[str, Any]]]:
    """Eight processes with one and with two threads, in turn."""
    runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for _ in range(8):
        for count in runs:
            command = ["--worker", "solve", "--folder", folder, "--threads", str(count), "--repeat", "4"]
            runs[count].append(in_new_process([str(Path(__file__)), *command]))
    return runs


def threads() -> None:
    with tempfile.TemporaryDirectory() as name:
        save_lean(vertebra(2), Path(name))
        free = time_threads(name)
        load = os.getloadavg()[0]
        with busy_cores():
            busy = time_threads(name)
    if len({run["digest"] for runs in (free, busy) for count in runs for run in runs[count]}) != 1:
        raise SystemExit("the answer depends on the number of threads")
    rows = []
    for title, runs in (("as it was", free), ("a busy process on every core", busy)):
        best = {count: min(run["wall_s"] for run in runs[count]) for count in runs}
        middle = {count: statistics.median(run["wall_s"] for run in runs[count]) for count in runs}
        cpu = {count: statistics.median(run["cpu_s"] for run in runs[count]) for count in runs}
        speed, goal = (best[1] / best[2], THREAD_GOAL) if runs is free else (middle[1] / middle[2], BUSY_GOAL)
        rows.append([title, 1, f"{best[1]:.2f}", f"{middle[1]:.2f}", f"{cpu[1]:.2f}", "", "", ""])
        rows.append([title, 2, f"{best[2]:.2f}", f"{middle[2]:.2f}", f"{cpu[2]:.2f}", f"**{speed:.2f}×**", f"≥ {goal:g}×",
                     "met" if speed >= goal else "missed"])  # fmt: skip
    header = ["machine", "threads", "wall s, best of 8 processes", "wall s, median", "CPU s, median", "speed-up", "goal", ""]
    table(header, rows)
    print(
        f"Vertebra split 2³, {free[1][0]['dof'] / 1e6:.2f} M dof; identical answers; the quickest of four solves in each process, alternately with "
        f"one and two threads. The speed-up is that of the best where the cores were free, "
        f"that of the medians where they were busy. Load of the {os.cpu_count()} cores "
        f"before the busy processes: {load:.1f}.\n"
    )


def first_solve() -> dict[str, Any]:
    """CPU seconds from the start of the process to the answer, with all imports (also those of this script), and of a second solve."""
    folder = Path(os.environ["BENCH_FOLDER"])
    started = 0.0
    import numba  # noqa: F401
    import scipy.linalg
    import scipy.ndimage  # noqa: F401

    libraries = time.process_time()
    from openbct import fe

    modulus, fixed, displacement, spacing = load_lean(folder)
    times = []
    for _ in range(3):
        fe.solve(modulus, spacing=(spacing,) * 3, fixed=fixed, displacement=displacement, threads=1)
        times.append(time.process_time() - started)
        started = time.process_time()
    return {"libraries_s": libraries, "first_s": times[0], "warm_s": min(times[1:])}


def startup() -> None:
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as cache:
        save_lean(vertebra(1), Path(name))
        worker = [str(Path(__file__)), "--worker", "first"]
        environment = {"NUMBA_CACHE_DIR": cache, "BENCH_FOLDER": name}
        fresh = in_new_process(worker, **environment)
        later = [in_new_process(worker, **environment) for _ in range(3)]
    again, warm = statistics.median(run["first_s"] for run in later), statistics.median(run["warm_s"] for run in later)
    libraries = statistics.median(run["libraries_s"] for run in later)
    beyond = fresh["first_s"] - warm
    rows = [
        [
            "after a fresh installation",
            f"{fresh['first_s']:.1f}",
            f"**{beyond:.1f}**",
            "≤ 10",
            "met" if beyond <= 10 else "missed",
        ],
        [
            "in a new process, compiled before",
            f"{again:.2f}",
            f"**{again - warm:.2f}**",
            "≤ 1",
            "met" if again - warm <= 1 else "missed",
        ],
        ["of this, the interpreter with numpy, scipy, numba and nibabel", "", f"{libraries:.2f}", "", ""],
        ["second solve of a process", f"{warm:.2f}", "0", "", ""],
    ]
    table(["vertebra, 0.23 M dof", "start of the process to the answer, CPU s", "beyond a warm solve, CPU s", "goal", ""], rows)


def measure_roofline() -> dict[str, Any]:
    """Bandwidth by a triad in this process, and the product of the vertebra split 3³."""
    import numba

    from openbct.fe.system import build_system

    @numba.njit
    def triad(a: Any, b: Any, c: Any) -> None:
        for n in range(a.size):
            a[n] = b[n] + 3.0 * c[n]

    size = 8_000_000
    a, b, c = np.zeros(size), np.ones(size), np.ones(size)
    triad(a, b, c)
    found: dict[str, Any] = {"problems": {}}
    with tempfile.TemporaryDirectory() as name:
        for factor in (1, 3):
            save_lean(vertebra(factor), Path(name))
            modulus, fixed, _, spacing = load_lean(Path(name))
            system = build_system(modulus, fixed, spacing=(spacing,) * 3)
            p = np.random.default_rng(0).normal(size=3 * system.stride)
            z, y = np.zeros(p.size, np.float32), np.zeros_like(p)
            times, rates, cycles = [], [], []
            system.product(z, 1.0, p, y)
            for _ in range(9):
                started = time.process_time()
                triad(a, b, c)
                rates.append(32 * size / (time.process_time() - started))
                started = time.process_time()
                for _ in range(10 if factor == 1 else 2):
                    system.product(z, 1.0, p, y)
                times.append((time.process_time() - started) / (10 if factor == 1 else 2))
                started = time.process_time()
                system.precondition(y)
                cycles.append(time.process_time() - started)
            found["problems"][f"vertebra split {factor}³" if factor > 1 else "vertebra"] = {
                "elements": system.grid.n_elements, "nodes": system.grid.n_nodes, "product_s": min(times), "cycle_s": min(cycles), "bandwidth": max(rates),
            }  # fmt: skip
    return found


def roofline() -> None:
    found = in_new_process([str(Path(__file__)), "--worker", "roofline"])
    rows = []
    for name, item in found["problems"].items():
        flops, moved = FLOPS_PER_ELEMENT * item["elements"], BYTES_PER_NODE * item["nodes"]
        seconds = item["product_s"]
        rows.append([name, f"{1e3 * seconds:.2f}", f"{3e-6 * item['nodes'] / seconds:.0f}", f"{flops / seconds / 1e9:.1f}", f"{moved / seconds / 1e9:.1f}",
                     f"{item['bandwidth'] / 1e9:.1f}", f"**{100 * moved / seconds / item['bandwidth']:.0f} %**", f"{flops / moved:.2f}",
                     f"{item['cycle_s'] / seconds:.1f}"])  # fmt: skip
    table(["product in double precision", "ms", "Mdof/s", "GFlop/s", "GB/s, compulsory", "triad GB/s, same run", "of the bandwidth", "flop per byte",
           "multigrid cycle, in products"], rows)  # fmt: skip
    print(
        f"{FLOPS_PER_ELEMENT} flops per element and {BYTES_PER_NODE} bytes per node; the triad counts the line that a write fetches (32 B).\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="memory,threads,startup,roofline")
    parser.add_argument("--huge", action="store_true")
    parser.add_argument("--worker")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1)
    chosen = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"no data in {DATA}: set OPENBCT_TEST_DATA to the folder with vertebra_l2")
    workers = {
        "solve": lambda: solve_lean(chosen.folder, chosen.threads, chosen.repeat),
        "first": first_solve,
        "roofline": measure_roofline,
    }
    if chosen.worker:
        print(json.dumps(workers[chosen.worker]()))
        return
    parts = chosen.parts.split(",")
    if "memory" in parts:
        memory(chosen.huge)
    if "threads" in parts:
        threads()
    if "startup" in parts:
        startup()
    if "roofline" in parts:
        roofline()


if __name__ == "__main__":
    main()
