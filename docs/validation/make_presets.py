"""Write docs/validation/presets.md: every built-in preset, and the options of its cortex and supports, on the two public bones.

    python docs/validation/make_presets.py

Needs the real bones (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). About fifteen minutes of one core.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from openbct.io import read_density, read_labels
from openbct.pipeline import analyze
from openbct.records import BoneResult
from openbct.segmentation import GivenLabels
from openbct.settings import Settings, built_in, override, protocol_names

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("OPENBCT_TEST_DATA", HERE.parents[2] / "shared" / "data"))
BODY = '1 = "vertebral_body_L2"\n2 = "vertebral_body_L2"\n3 = "vertebrae_L2"\n4 = "vertebrae_L2"\n'
WHOLE = "".join(f'{n} = "vertebrae_L2"\n' for n in (1, 2, 3, 4)) + '5 = "cement_inferior_L2"\n6 = "cement_superior_L2"\n'
FEMUR = '2 = "femur_left"\n'
PUBLISHED = (
    "The benchmark publishes 12 362 N/mm and 2437.8 N for this vertebra, with the shift; an independent program gave 10 442 N/mm with right bins and "
    "10 547 without any. Its nonlinear load is discussed on [the kernel's page](kernel.md)."
)
INDEPENDENT = (
    "An independent program at 2 mm, with the upper pad bonded, found transverse isotropy worth −7.8 % of K and −7.3 % of the force at "
    "1.9 %."
)
DISC_WORDS = (
    "Measured whole discs have an effective modulus of 5.8 to 42.7 MPa and 2.9 to 9.3 mm of height (Yang 2016, abstract seen); specimens were 22 % stronger "
    "between cement than between discs (Maquer 2015, abstract seen). K and strength are those of the bone between its endplates."
)
SOFTENING_WORDS = (
    "The same bone, law, pose and supports as in the default, which has 1 mm, no softening, and reads the force at 4 %. Softening gathers in one layer of "
    "voxels; the law's falling branch is made for their edge, and the rest of the change with it is what voxels of that size cannot carry."
)
LINEAR = {"test": "linear", "rule": "height", "coefficient": 0.0068}

HEAD = """# Presets on public bones

This page is written by `python docs/validation/make_presets.py`: L2 of `vertebra_l2` (VerSe 004) and the femur of `hip_crop`, calibrated density given. Newtons
of different presets are **not comparable**: that is what the tables show. What each preset is, and what it leaves out of its source, `openbct protocols` says.

"""


def run(settings: Settings, bone: str, labels: str) -> BoneResult:
    """One bone under one protocol."""
    folder = DATA / ("hip_crop" if bone.startswith("femur") else "vertebra_l2")
    scan = read_density(folder / "density.nii.gz", mineral="K2HPO4")
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "labels.toml"
        table.write_text(labels, encoding="utf-8")
        drawn = read_labels(folder / "labels.nii.gz", mapping=table, like=scan.image)
    given = override(settings, {"calibration": {"method": "given"}}, "validation")
    (result,) = analyze(scan, GivenLabels((drawn,), (bone,)), settings=given).bones
    return result


def row(title: str, result: BoneResult) -> tuple[str, ...]:
    """Stiffness, strength and criterion of a result, or why there is none."""
    strength = result.strength
    if strength is None:
        return (title, "–", "–", result.reason or "")
    return (title, f"{strength.stiffness:,.0f}", f"{strength.strength:,.0f}", strength.criterion)


def presets(site: str, bone: str) -> list[tuple[str, ...]]:
    """Every preset that is made for a site."""
    rows = []
    for name in protocol_names():
        settings = built_in(name)
        if site not in settings.about.sites:
            continue
        labels = FEMUR if site == "femur" else WHOLE if settings.vertebra.pose == "as_scanned" else BODY
        rows.append(row(f"`{settings.title}`", run(settings, bone, labels)))
        if settings.vertebra.bin_shift:
            for words, change in (("right bins", {"bin_shift": False}), ("no bins", {"bin_shift": False, "bins": 0})):
                rows.append(
                    row(f"`{settings.title}`, {words}", run(override(settings, {"vertebra": change}, name), bone, labels))
                )
    return rows


def options(site: str, bone: str, changes: Mapping[str, Mapping[str, Any]], base: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The default preset with one change each, against itself."""
    labels = FEMUR if site == "femur" else BODY
    default = override(built_in(), {site: base}, "validation") if base else built_in()
    first = run(default, bone, labels).strength
    assert first is not None
    rows = [("default" + (", linear" if base else ""), f"{first.stiffness:,.0f}", f"{first.strength:,.0f}", "", "")]
    for title, change in changes.items():
        result = run(override(default, {site: change}, "validation"), bone, labels)
        strength = result.strength
        if strength is None:
            rows.append((title, "–", "–", "", result.reason or ""))
            continue
        effect = [100 * (a / b - 1) for a, b in ((strength.stiffness, first.stiffness), (strength.strength, first.strength))]
        signs = [f"{value:+.1f} %".replace("-", "−") for value in effect]
        rows.append((title, f"{strength.stiffness:,.0f}", f"{strength.strength:,.0f}", *signs))
    return rows


CORTEX: dict[str, dict[str, Any]] = {
    '`cortex = "surface"`': {"cortex": "surface"},
    '`cortex = "shell"`, 0.2 mm': {"cortex": "shell", "shell_mm": 0.2},
    '`cortex = "shell"`, 0.4 mm': {"cortex": "shell", "shell_mm": 0.4},
    '`edge = "bone"`': {"edge": "bone"},
}
VERTEBRA: dict[str, dict[str, Any]] = CORTEX | {
    '`superior = "bonded"`': {"superior": "bonded"},
    '`inferior = "sliding"`': {"inferior": "sliding"},
    "pads that yield at 70 MPa": {"pad_yield_mpa": 70.0},
    "pads of 500 MPa": {"pad_mpa": 500.0},
}
HIP: dict[str, dict[str, Any]] = CORTEX | {
    '`head = "bonded"`': {"head": "bonded"},
    '`head` and `trochanter = "bonded"`': {"head": "bonded", "trochanter": "bonded"},
    "shaft held over 3 mm": {"distal_support_mm": 3.0},
    "shaft held over 12 mm": {"distal_support_mm": 12.0},
}
ELASTIC: dict[str, dict[str, Any]] = {
    '`superior = "tilting"`': {"superior": "tilting"},
    '`elasticity = "transverse"`': {"elasticity": "transverse"},
    "both": {"superior": "tilting", "elasticity": "transverse"},
}

DISCS: dict[str, dict[str, Any]] = {
    "discs of 5.8 MPa, the least measured": {"pad_mpa": 5.8},
    "discs of 42.7 MPa, the most measured": {"pad_mpa": 42.7},
    "discs of 4 mm": {"cap_mm": 4.0},
}
SOFTENING: dict[str, dict[str, Any]] = {
    "voxels of 2 mm": {"voxel_mm": 2.0},
    "half the increment": {"increment_mm": 0.05},
}


def variants(name: str, site: str, bone: str, changes: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The default's strength, a preset's, and that of its variants, against the default."""
    labels = FEMUR if site == "femur" else BODY
    first = run(built_in(), bone, labels).strength
    assert first is not None
    rows = [("default", f"{first.stiffness:,.0f}", f"{first.strength:,.0f}", "")]
    for title, change in {f"`{name}`": {}, **changes}.items():
        strength = run(override(built_in(name), {site: change}, "validation"), bone, labels).strength
        assert strength is not None
        effect = f"{100 * (strength.strength / first.strength - 1):+.1f} %".replace("-", "−")
        rows.append((title, f"{strength.stiffness:,.0f}", f"{strength.strength:,.0f}", effect))
    return rows


def markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A table."""
    return [
        "| " + " | ".join(header) + " |",
        "| " + " | ".join("---" for _ in header) + " |",
        *("| " + " | ".join(cells) + " |" for cells in rows),
        "",
    ]


def main() -> None:
    """Write the page."""
    if not DATA.is_dir():
        raise SystemExit("no real bones here: set OPENBCT_TEST_DATA to their folder")
    heads = ("preset", "K, N/mm", "strength, N", "criterion")
    changed = ("change", "K, N/mm", "strength, N", "K", "strength")
    against = ("preset", "K, N/mm", "strength, N", "strength against the default")
    parts = [
        ["## Vertebra", ""],
        markdown(heads, presets("vertebra", "L2")),
        [PUBLISHED, "", "## Femur", ""],
        markdown(heads, presets("femur", "femur_left")),
        ["## Options of the vertebra", "", "One change each of the default preset.", ""],
        markdown(changed, options("vertebra", "L2", VERTEBRA, {})),
        ["## Tilting platen and transverse isotropy", "", "In the default's load history:", ""],
        markdown(changed, options("vertebra", "L2", ELASTIC, {})),
        [INDEPENDENT, ""],
        ["In the linear test of `crawford-linear`'s rule:", ""],
        markdown(changed, options("vertebra", "L2", ELASTIC, LINEAR)),
        ["## Options of the femur", ""],
        markdown(changed, options("femur", "femur_left", HIP, {})),
        ["## Through discs", "", DISC_WORDS, ""],
        markdown(against, variants("vertebra-through-disc", "vertebra", "L2", DISCS)),
        ["## Softening", "", SOFTENING_WORDS, ""],
        markdown(against, variants("keyak2005-softening-like", "femur", "femur_left", SOFTENING)),
    ]
    lines = [line for part in parts for line in part]
    text = HEAD + "\n".join(lines).rstrip() + "\n"
    (HERE / "presets.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
