"""A vertebra as it was scanned, between cement drawn with it; and the bins of the benchmark that has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.anatomy import take_vertebra
from openbct.binning import Binning
from openbct.errors import ModelError, SegmentationError
from openbct.femodel import build_model
from openbct.linear import CRAWFORD_2003, LinearTest, measure_linear
from openbct.loadcases import AsScanned
from openbct.materials import KEYAK_2005, MATERIALS
from openbct.measures import measure_whole_vertebra
from openbct.records import (
    Acquisition,
    Array,
    BoneMask,
    CalibratedVolume,
    LabelMap,
    LoadCase,
    Patient,
    Scan,
    Segmentation,
    Step,
)
from openbct.segmentation import GivenLabels
from openbct.volume import Volume

SHAPE = (20, 20, 30)
NAMES = {1: "vertebrae_L2", 5: "cement_inferior_L2", 6: "cement_superior_L2"}


def drawn(names: dict[int, str] = NAMES, *, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Segmentation:
    """A block of 10 x 10 x 14 with cement of 4 below and above, as labels on a scan."""
    labels: Array = np.zeros(SHAPE, dtype=np.int16)
    labels[5:15, 5:15, 4:8], labels[5:15, 5:15, 8:22], labels[5:15, 5:15, 22:26] = 5, 1, 6
    affine = np.diag([*spacing, 1.0])
    image = Volume(density(labels), affine, "mg/cm3 K2HPO4")
    scan = Scan(image, Patient(), Acquisition(), "a test", "0", Step("reading", "Made."))
    return GivenLabels((LabelMap(Volume(labels, affine, "label"), names, "drawn"),), ("L2",))(scan)


def density(labels: Array) -> Array:
    graded = np.broadcast_to(100.0 + 10.0 * np.arange(SHAPE[2]), SHAPE)
    return np.where(labels == 1, graded, 0.0)


def calibrated(mask: BoneMask, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> CalibratedVolume:
    labels: Array = np.zeros(SHAPE, dtype=np.int16)
    labels[5:15, 5:15, 8:22] = 1
    image = Volume(density(labels), np.diag([*spacing, 1.0]), "mg/cm3 K2HPO4")
    return CalibratedVolume(image, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "Given."))


def test_cement_is_taken_from_the_labels_where_both_ends_have_it() -> None:
    mask = drawn().bones["L2"]
    assert mask.pads is not None and [int(pad.array.sum()) for pad in mask.pads] == [400, 400]
    assert drawn({1: "vertebrae_L2", 5: "cement_inferior_L2"}).bones["L2"].pads is None


def test_nothing_is_cut_turned_or_interpolated() -> None:
    mask = drawn().bones["L2"]
    region = take_vertebra(mask, calibrated(mask))
    case: LoadCase = AsScanned()
    specimen = case.mount(region)
    assert specimen.mask.shape == (10, 10, 22) and specimen.mask.sum() == 1400 and specimen.pad.sum() == 800
    np.testing.assert_array_equal(specimen.density[0, 0], [0.0] * 4 + [100.0 + 10.0 * k for k in range(8, 22)] + [0.0] * 4)
    np.testing.assert_allclose(specimen.to_patient[:3, 3], [5.0, 5.0, 4.0])
    assert specimen.gauge_length == pytest.approx(18.0)  # between the middles of the layers of cement
    boundary = case.constrain(specimen)
    assert boundary.fixed.sum() == 2 * 11 * 11 and boundary.fixed[..., 2].sum() == 2 * 11 * 11  # along the load alone
    model = build_model(specimen, boundary, MATERIALS["kopperdahl2002-unclipped"])
    stiffness = measure_linear(model, LinearTest("height", "a test", CRAWFORD_2003, bbar=False)).stiffness
    layers = [2980.0 * (0.1 + 0.01 * k) ** 1.05 for k in range(8, 22)] + [2500.0] * 8
    springs = 100.0 / sum(1.0 / modulus for modulus in layers)
    assert (
        springs < stiffness < 1.03 * springs
    )  # in series, stiffened a little where layers of one Poisson ratio hold one another
    values = measure_whole_vertebra(region, calibrated(mask)).values
    assert values["volume"].value == pytest.approx(1.4) and values["whole_vbmd"].value == pytest.approx(245.0)


def test_what_cannot_be_taken_as_it_is_is_refused() -> None:
    bare = replace(drawn().bones["L2"], pads=None)
    with pytest.raises(SegmentationError, match="expected labels cement_inferior_L2"):
        take_vertebra(bare, calibrated(bare))
    mask = drawn().bones["L2"]
    assert mask.pads is not None
    swapped = replace(mask, pads=(mask.pads[1], mask.pads[0]))
    with pytest.raises(SegmentationError, match="exchange their labels"):
        take_vertebra(swapped, calibrated(swapped))
    flat = drawn(spacing=(1.0, 1.0, 2.0)).bones["L2"]
    with pytest.raises(SegmentationError, match="expected cubes"):
        take_vertebra(flat, calibrated(flat, (1.0, 1.0, 2.0)))
    with pytest.raises(SegmentationError, match="found no cement"):
        AsScanned().mount(replace(take_vertebra(mask, calibrated(mask)), pads=None))


def test_bins_hold_their_middle_and_the_shift_is_one_bin() -> None:
    values = np.array([-100.0, -5.0, 0.4, 10.9, 97.0])
    plain, kept = Binning(4)(values)
    edges = np.linspace(-31.0, 97.0, 5)
    middles = (edges[:-1] + edges[1:]) / 2
    np.testing.assert_allclose(plain[kept], middles[[0, 0, 1, 3]])
    assert kept.tolist() == [True, True, False, True, True]  # what truncates to zero is background
    shifted, _ = Binning(4, shift=True)(values)
    np.testing.assert_allclose(shifted[kept], middles[[1, 1, 2, 0]])
    with pytest.raises(ModelError, match="found one density"):
        Binning(4)(np.full(3, 7.0))


def test_binned_voxels_of_no_density_are_no_elements_and_kinds_do_not_mix() -> None:
    mask = drawn().bones["L2"]
    specimen = AsScanned().mount(take_vertebra(mask, calibrated(mask)))
    holed = specimen.density.copy()
    holed[3, 3, 10] = 0.5
    specimen = replace(specimen, density=holed)
    boundary = AsScanned().constrain(specimen)
    model = build_model(specimen, boundary, MATERIALS["kopperdahl2002-unclipped"], binning=Binning(128))
    assert model.youngs_modulus[3, 3, 10] == 0.0 and model.mask.sum() == 1399
    assert "put into 128 bins" in model.step.sentence
    with pytest.raises(ModelError, match="expected one kind"):
        build_model(specimen, boundary, KEYAK_2005, binning=Binning(128))
