"""The vertebral body and its frame: hostile masks first, then bodies of known shape, then real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from openbct.anatomy import locate_vertebra
from openbct.anatomy.endplates import fit_endplates
from openbct.anatomy.vertebral_body import faces_front, isolate_body
from openbct.errors import GeometryError, SegmentationError
from openbct.phantoms import SimulatedScan, TorsoSettings, simulate_vertebra
from openbct.phantoms.spine import VertebraShape, vertebra
from openbct.records import BoneMask, CalibratedVolume, Step
from openbct.volume import Volume, bounding_box, crop, place_into, resample

NO_COVARIANCE = np.full((2, 2), np.nan)


def calibrated(density: Volume) -> CalibratedVolume:
    image = Volume(np.asarray(density.array, dtype=np.float32), density.affine, "mg/cm3 K2HPO4")
    return CalibratedVolume(image, "K2HPO4", "given", 1.0, 0.0, NO_COVARIANCE, (), Step("calibration", "Given."))


def bone_mask(mask: Volume, part: str, *, bone: str = "L1", touches_edge: bool = False) -> BoneMask:
    first, last = bounding_box(mask)
    box = crop(mask, first.tolist(), last.tolist())
    return BoneMask(bone, box, "body" if part == "body" else "whole", 1.0, touches_edge)


def make_body(
    *,
    size: tuple[float, float, float] = (44.0, 32.0, 26.0),
    wedge_deg: float = 0.0,
    tilt_deg: float = 0.0,
    spacing: float = 1.0,
    density: float = 150.0,
) -> tuple[Volume, Volume]:
    """Return mask and density of an elliptic body with a flat back wall; ``wedge_deg`` lowers its front, ``tilt_deg`` nods it."""
    n = int(np.ceil(80.0 / spacing))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (n - 1) / 2
    points = np.moveaxis(np.indices((n, n, n)), 0, -1) * spacing + affine[:3, 3]
    angle = np.radians(tilt_deg)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    x, y, z = np.moveaxis(points @ turn, -1, 0)
    bow = (2 * x / size[0]) ** 2 + np.where(y < 0, (2 * y / size[1]) ** 2, 0.0) <= 1.0
    half = size[2] / 2 + np.tan(np.radians(wedge_deg / 2)) * y
    mask = bow & (y <= size[1] / 2) & (np.abs(z) <= half)
    return Volume(mask, affine, "mask"), Volume(np.where(mask, density, 0.0), affine, "mg/cm3 K2HPO4")


@pytest.fixture(scope="module")
def simulated() -> SimulatedScan:
    return simulate_vertebra("L1", TorsoSettings(spacing=(1.0, 1.0, 1.0), field_of_view=150.0, centre=(0.0, 60.0)))


def label(simulated: SimulatedScan, name: str) -> Volume:
    labels = simulated.bodies if name.startswith("vertebral_body") else simulated.labels
    value = next(value for value, known in labels.names.items() if known == name)
    return Volume(labels.volume.array == value, labels.volume.affine, "mask")


@pytest.mark.parametrize("turn_deg", [(9.0, -6.0, 11.0), (-10.0, 8.0, -12.0)])
def test_heights_of_a_wedge_fracture_that_lies_turned(turn_deg: tuple[float, float, float]) -> None:
    """The back wall is not along the body's axis. What the heights are comes from the drawing's own surface, at 15, 50 and 85 % of its depth in the middle."""
    bone = vertebra(VertebraShape(losses=(0.35, 0.175, 0.0)))
    shape, affine = (70, 60, 25), np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = -affine.diagonal()[:3] * (np.array(shape) - 1) / 2
    matrix = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    points = (np.moveaxis(np.indices(shape), 0, -1) * (1.0, 1.0, 2.0) + affine[:3, 3]) @ matrix
    x, y, z = (points[..., axis].astype(np.float32) for axis in range(3))
    inside = np.maximum(bone.body((x, y, z))[0], y - 15.5) < 0
    lengths = locate_vertebra(
        bone_mask(Volume(inside, affine, "mask"), "body"), calibrated(Volume(np.where(inside, 150.0, 0.0), affine, "mg/cm3"))
    ).lengths
    line, zero = np.linspace(-17.0, 16.0, 661, dtype=np.float32), np.zeros(661, dtype=np.float32)
    depth = line[np.maximum(bone.body((zero, line, zero - 5))[0], line - 15.5) < 0]
    for place, share in (("anterior", 0.15), ("middle", 0.5), ("posterior", 0.85)):
        y = np.full(661, depth[0] + share * (depth[-1] - depth[0]), dtype=np.float32)
        true = (bone.body((zero, y, line))[0] < 0).sum() * 0.05
        # the middle height is the least, and here there are steps of 2 mm
        assert lengths[f"{place}_height"] == pytest.approx(true, abs=1.4 if place == "middle" else 1.0)


def test_planes_of_the_endplates_and_the_plane_between_them() -> None:
    mask, density = make_body(wedge_deg=10.0, tilt_deg=8.0)
    region = locate_vertebra(bone_mask(mask, "body"), calibrated(density))
    marks, up = region.landmarks, region.frame.axes[:, 2]
    slopes = []
    for name in ("superior", "inferior"):
        along = marks[f"{name}_plane_back"] - marks[f"{name}_plane_front"]
        assert np.linalg.norm(along) == pytest.approx(32.0, abs=1.5)
        slopes.append(np.degrees(np.arctan2(along @ up, along @ region.frame.axes[:, 1])))
        # the plane passes where the heights are taken
        for place, share in (("anterior", 0.15), ("posterior", 0.85)):
            on_plane = marks[f"{name}_plane_front"] + share * along
            assert (marks[f"{name}_{place}"] - on_plane) @ up == pytest.approx(0.0, abs=0.8)
    assert slopes[0] - slopes[1] == pytest.approx(10.0, abs=1.0)
    assert np.allclose(marks["mid_plane"], (marks["superior_endplate"] + marks["inferior_endplate"]) / 2)


class TestHostile:
    def test_cut_by_the_image(self) -> None:
        mask, density = make_body()
        keep = mask.shape[2] // 2 + 5
        low = crop(mask, (0, 0, 0), (*mask.shape[:2], keep))
        image = crop(density, (0, 0, 0), (*mask.shape[:2], keep))
        with pytest.raises(SegmentationError, match="L1 is cut by the upper edge of the image"):
            locate_vertebra(bone_mask(low, "body"), calibrated(image))

    def test_segmenter_says_cut(self) -> None:
        mask, density = make_body()
        with pytest.raises(SegmentationError, match="cut by the image edge"):
            locate_vertebra(bone_mask(mask, "body", touches_edge=True), calibrated(density))

    def test_empty(self) -> None:
        mask, density = make_body()
        empty = BoneMask("L1", mask.with_array(np.zeros(mask.shape, dtype=bool)), "body", 1.0, False)
        with pytest.raises(SegmentationError, match="no voxel in the mask of L1"):
            locate_vertebra(empty, calibrated(density))

    def test_mask_of_another_grid(self) -> None:
        mask, density = make_body()
        moved = mask.affine.copy()
        moved[0, 3] += 0.4
        with pytest.raises(GeometryError, match="sub-box"):
            locate_vertebra(bone_mask(Volume(mask.array, moved, "mask"), "body"), calibrated(density))

    def test_two_pieces(self) -> None:
        mask, density = make_body()
        split = mask.array.copy()
        split[:, :, 38:41] = False
        with pytest.raises(SegmentationError, match="2 pieces"):
            locate_vertebra(bone_mask(mask.with_array(split), "body"), calibrated(density))

    def test_holes(self) -> None:
        mask, density = make_body()
        hollow = mask.array & ~ndimage.binary_erosion(mask.array, iterations=5)
        with pytest.raises(SegmentationError, match="holes of"):
            locate_vertebra(bone_mask(mask.with_array(hollow), "body"), calibrated(density))

    def test_small_faults_are_mended_and_said(self) -> None:
        mask, density = make_body()
        broken = mask.array.copy()
        broken[35:45, 35:45, 35:45] = False
        broken[2:9, 2:9, 2:9] = True
        region = locate_vertebra(bone_mask(mask.with_array(broken), "body"), calibrated(density))
        assert region.mask.array.sum() == mask.array.sum()
        assert "was left out" in region.step.cautions[0] and "were filled" in region.step.cautions[1]

    @pytest.mark.parametrize(
        ("size", "said"), [((12.0, 9.0, 8.0), "expected 15 to 95"), ((70.0, 60.0, 60.0), "expected 15 to 95")]
    )
    def test_impossible_size(self, size: tuple[float, float, float], said: str) -> None:
        mask, density = make_body(size=size)
        with pytest.raises(SegmentationError, match=said):
            locate_vertebra(bone_mask(mask, "body"), calibrated(density))

    def test_metal(self) -> None:
        mask, density = make_body()
        screws = density.array.copy()
        screws[35:45, 25:50, 36:46] = 2500.0
        with pytest.raises(SegmentationError, match="metal or cement"):
            locate_vertebra(bone_mask(mask, "body"), calibrated(density.with_array(screws)))

    def test_screws_beside_the_body_are_a_caution(self) -> None:
        mask, density = make_body()
        rod = density.array.copy()
        back = int(np.flatnonzero(mask.array.any(axis=(0, 2)))[-1])
        rod[38:42, back + 4 : back + 8, :] = 2600.0
        region = locate_vertebra(bone_mask(mask, "body"), calibrated(density.with_array(rod)))
        (caution,) = [text for text in region.step.cautions if "screws, rods or a cage" in text]
        assert "within 12 mm of the body" in caution
        assert not any("screws" in text for text in locate_vertebra(bone_mask(mask, "body"), calibrated(density)).step.cautions)

    def test_mask_beside_the_bone(self) -> None:
        mask, density = make_body()
        with pytest.raises(SegmentationError, match="beside the bone or are flipped"):
            locate_vertebra(bone_mask(mask, "body"), calibrated(density.with_array(150.0 - density.array)))

    def test_tilt_beyond_the_limit(self) -> None:
        # seen from the start axis the endplates of a body on its side are its walls: any refusal will do, no number may come out
        mask, density = make_body(tilt_deg=70.0)
        with pytest.raises(SegmentationError):
            locate_vertebra(bone_mask(mask, "body"), calibrated(density))

    def test_voxels_too_coarse(self) -> None:
        mask, density = make_body(spacing=6.5)
        with pytest.raises(SegmentationError, match=r"6\.5 mm"):
            locate_vertebra(bone_mask(mask, "body"), calibrated(density))
        mask, density = make_body(spacing=3.0)
        region = locate_vertebra(bone_mask(mask, "body"), calibrated(density))
        assert "voxels of 3.0 mm" in region.step.cautions[0]

    def test_canal_filled_in(self, simulated: SimulatedScan) -> None:
        whole = label(simulated, "vertebrae_L1")
        closed = ndimage.binary_closing(np.pad(whole.array, 12), iterations=12)[12:-12, 12:-12, 12:-12]
        first, last = bounding_box(whole)
        with pytest.raises(SegmentationError, match="canal is closed"):
            isolate_body(crop(whole.with_array(closed), first.tolist(), last.tolist()))


class TestKnownShape:
    @pytest.mark.parametrize("tilt", [0.0, 12.0, 28.0])
    def test_frame_and_height(self, tilt: float) -> None:
        mask, density = make_body(tilt_deg=tilt)
        region = locate_vertebra(bone_mask(mask, "body"), calibrated(density))
        angle = np.radians(tilt)
        axis = np.array([0.0, -np.sin(angle), np.cos(angle)])
        assert np.degrees(np.arccos(region.frame.axes[:, 2] @ axis)) < 0.7
        assert region.lengths["tilt_deg"] == pytest.approx(tilt, abs=0.7)
        assert region.lengths["height"] == pytest.approx(26.0, abs=0.4)
        assert region.lengths["width"] == pytest.approx(44.0, abs=1.5)
        assert np.allclose(region.frame.axes.T @ region.frame.axes, np.eye(3), atol=1e-12)
        assert np.linalg.det(region.frame.axes) == pytest.approx(1.0)
        assert region.frame.axes[0, 0] > 0.99 and region.frame.axes[1, 1] > 0.8

    def test_wedge_lowers_the_front(self) -> None:
        mask, density = make_body(wedge_deg=20.0)
        region = locate_vertebra(bone_mask(mask, "body"), calibrated(density))
        heights = [region.lengths[f"{name}_height"] for name in ("anterior", "middle", "posterior")]
        for share, height in zip((0.15, 0.5, 0.85), heights):
            y = -16.0 + share * 32.0
            # the middle height is the least, and here there are steps of 1 mm
            assert height == pytest.approx(26.0 + 2 * np.tan(np.radians(10.0)) * y, abs=1.3 if share == 0.5 else 0.8)
        assert region.lengths["wedge_deg"] == pytest.approx(20.0, abs=1.0)
        text = " ".join(region.step.cautions)
        assert "endplates enclose" in text and "fracture" not in text, "heights are judged where all bones are known"
        assert "a crush of all of them together is not seen" in region.step.sentence

    def test_tilt_above_thirty_is_said(self) -> None:
        mask, density = make_body(tilt_deg=36.0)
        region = locate_vertebra(bone_mask(mask, "body"), calibrated(density))
        assert "tilted by 36°" in region.step.cautions[0]

    def test_mean_area_is_volume_over_height(self) -> None:
        mask, density = make_body()
        region = locate_vertebra(bone_mask(mask, "body"), calibrated(density))
        assert region.lengths["mean_area"] == pytest.approx(np.pi * 22 * 16 / 2 + 44 * 16, rel=0.02)

    def test_front_and_back_exchanged_is_told_from_the_wall(self) -> None:
        mask, density = make_body()
        flipped = Volume(mask.array[::-1, ::-1], mask.affine, "mask")
        region = locate_vertebra(bone_mask(flipped, "body"), calibrated(density.with_array(density.array[::-1, ::-1])))
        assert region.frame.axes[1, 1] < -0.99
        assert "front and back were exchanged" in region.step.cautions[0]

    @pytest.mark.parametrize("spacing", [1.0, 3.0])
    @pytest.mark.parametrize("lost", [0.4, 0.6])
    def test_a_front_that_has_sunk_stays_in_front(self, lost: float, spacing: float) -> None:
        bone = vertebra(VertebraShape(losses=(lost, lost / 2, 0.0)))
        shape, affine = (60, 48, int(42 / spacing)), np.diag([0.9, 0.9, spacing, 1.0])
        affine[:3, 3] = -affine.diagonal()[:3] * (np.array(shape) - 1) / 2
        for turn_deg in ((0.0, 0.0, 0.0), (20.0, 0.0, 0.0), (-20.0, 5.0, 0.0)):
            matrix = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
            points = (np.moveaxis(np.indices(shape), 0, -1) * affine.diagonal()[:3] + affine[:3, 3]) @ matrix
            x, y, z = (points[..., axis].astype(np.float32) for axis in range(3))
            drawn = Volume(np.maximum(bone.body((x, y, z))[0], y - 15.5) < 0, affine, "mask")
            axes = fit_endplates(drawn, np.eye(3)).frame.axes
            assert not faces_front(drawn, axes)

    def test_landmarks_lie_on_the_endplates(self) -> None:
        mask, density = make_body()
        region = locate_vertebra(bone_mask(mask, "body"), calibrated(density))
        assert region.landmarks["superior_endplate"][2] == pytest.approx(13.0, abs=0.4)
        assert region.landmarks["inferior_endplate"][2] == pytest.approx(-13.0, abs=0.4)
        assert region.landmarks["superior_anterior"][1] == pytest.approx(-16 + 0.15 * 32, abs=1.0)


class TestSimulated:
    def test_body_is_cut_from_the_whole(self, simulated: SimulatedScan) -> None:
        region = locate_vertebra(bone_mask(label(simulated, "vertebrae_L1"), "whole"), calibrated(simulated.density))
        truth = label(simulated, "vertebral_body_L1").array
        found = place_into(region.mask, simulated.image, False).array
        assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.98
        axis = simulated.landmarks["L1_superior_endplate"] - simulated.landmarks["L1_inferior_endplate"]
        assert np.degrees(np.arccos(region.frame.axes[:, 2] @ axis / np.linalg.norm(axis))) < 1.5
        assert np.abs(region.frame.origin - simulated.landmarks["L1_centre"]).max() < 1.0
        assert region.step.cautions == ()
        assert "cut from the whole vertebra" in region.step.sentence

    def test_body_as_labelled_gives_the_same_frame(self, simulated: SimulatedScan) -> None:
        density = calibrated(simulated.density)
        whole = locate_vertebra(bone_mask(label(simulated, "vertebrae_L1"), "whole"), density)
        body = locate_vertebra(bone_mask(label(simulated, "vertebral_body_L1"), "body"), density)
        assert whole.frame.axes[:, 2] @ body.frame.axes[:, 2] > np.cos(np.radians(1.0))
        assert whole.lengths["height"] == pytest.approx(body.lengths["height"], abs=0.3)

    def test_whole_whose_spinous_process_is_cut_keeps_its_body(self, simulated: SimulatedScan) -> None:
        whole = label(simulated, "vertebrae_L1")
        _, last = bounding_box(whole)
        end = (whole.shape[0], int(last[1]) - 8, whole.shape[2])
        image, part = crop(simulated.density, (0, 0, 0), end), crop(whole, (0, 0, 0), end)
        region = locate_vertebra(bone_mask(part, "whole", touches_edge=True), calibrated(image))
        assert region.lengths["height"] > 20.0

    def test_arch_in_front_is_said(self, simulated: SimulatedScan) -> None:
        whole = label(simulated, "vertebrae_L1")
        flipped = Volume(whole.array[::-1, ::-1], whole.affine, "mask")
        density = simulated.density.with_array(simulated.density.array[::-1, ::-1])
        region = locate_vertebra(bone_mask(flipped, "whole"), calibrated(density))
        assert "does not point to the patient's back" in region.step.cautions[0]
        assert region.frame.axes[1, 1] < -0.9

    def test_whole_label_without_arch(self, simulated: SimulatedScan) -> None:
        body = label(simulated, "vertebral_body_L1")
        region = locate_vertebra(bone_mask(body, "whole"), calibrated(simulated.density))
        assert "holds no vertebral arch" in region.step.cautions[0]
        assert region.mask.array.sum() == body.array.sum()


@pytest.mark.data
class TestReal:
    def test_bodies_against_drawn_bodies(self, data_dir: Path) -> None:
        from openbct.io import read_labels, read_scan
        from openbct.segmentation import GivenLabels

        folder = data_dir / "abdomen_pelvis"
        scan = read_scan(folder / "ct.nii.gz")
        wholes = GivenLabels((read_labels(folder / "labels_vertebrae.nii.gz"),))(scan)
        bodies = GivenLabels((read_labels(folder / "labels_vertebral_bodies.nii.gz"),))(scan)
        density = calibrated(scan.image)
        for level in ("L1", "L2", "L3", "L4"):
            found = place_into(locate_vertebra(wholes.bones[level], density).mask, scan.image, False).array
            drawn = place_into(bodies.bones[level].mask, scan.image, False).array
            assert 2 * (found & drawn).sum() / (found.sum() + drawn.sum()) > 0.90
        for labels in (wholes, bodies):
            with pytest.raises(SegmentationError, match="T12 is cut by the upper edge"):
                locate_vertebra(labels.bones["T12"], density)

    def test_one_mm_vertebra_whose_header_is_turned(self, data_dir: Path) -> None:
        from openbct.io import read_density
        from openbct.io.nifti import read_nifti

        density = calibrated(read_density(data_dir / "vertebra_l2" / "density.nii.gz").image)
        raw, _ = read_nifti(data_dir / "vertebra_l2" / "labels.nii.gz", "label")
        body = Volume(np.isin(raw.array, [1, 2]), raw.affine, "mask")
        whole = Volume(np.isin(raw.array, [1, 2, 3, 4]), raw.affine, "mask")
        cut = isolate_body(whole).body.array
        assert 2 * (cut & body.array).sum() / (cut.sum() + body.array.sum()) > 0.97
        regions = [
            locate_vertebra(bone_mask(mask, part, bone="L2"), density) for mask, part in ((whole, "whole"), (body, "body"))
        ]
        for region in regions:
            assert 26.0 < region.lengths["height"] < 28.0
            assert "orientation is doubtful" in region.step.cautions[0]
            assert region.frame.axes[1, 1] < -0.9
        assert regions[0].frame.axes[:, 2] @ regions[1].frame.axes[:, 2] > np.cos(np.radians(3.0))

    @pytest.mark.parametrize(
        ("turn_deg", "spacing"),
        [
            pytest.param((1.0, 23.0, -18.0), (0.8, 0.8, 2.5), marks=pytest.mark.slow),
            ((29.0, -9.0, -4.0), (3.0, 3.0, 3.0)),
            pytest.param((-41.0, 6.0, 21.0), (0.7, 0.7, 5.0), marks=pytest.mark.slow),
        ],
    )
    def test_cut_and_frame_do_not_depend_on_the_pose(
        self, data_dir: Path, turn_deg: tuple[float, float, float], spacing: tuple[float, float, float]
    ) -> None:
        from openbct.io.nifti import read_nifti

        raw, _ = read_nifti(data_dir / "vertebra_l2" / "labels.nii.gz", "label")
        array = np.pad(raw.array[::-1, ::-1], 30)  # the arch to the back
        image = Volume(array, np.eye(4), "label")
        centre = np.argwhere(np.isin(array, [1, 2])).mean(axis=0)
        axes = {}
        for name, turn, step in (("as it lies", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), ("turned", turn_deg, spacing)):
            matrix = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
            shape = np.ceil(120.0 / np.array(step)).astype(int)
            affine = np.diag([*step, 1.0])
            affine[:3, 3] = -np.array(step) * (shape - 1) / 2
            source = np.eye(4)
            source[:3, :3], source[:3, 3] = matrix, centre
            body, whole = (
                Volume(
                    resample(image.with_array(np.isin(array, parts)), shape.tolist(), source @ affine).array >= 0.5,
                    affine,
                    "mask",
                )
                for parts in ([1, 2], [1, 2, 3, 4])
            )
            density = calibrated(Volume(np.where(whole.array, 150.0, 0.0), affine, "mg/cm3 K2HPO4"))
            region = locate_vertebra(bone_mask(whole, "whole", bone="L2"), density)
            found = place_into(region.mask, whole, False).array
            assert 2 * (found & body.array).sum() / (found.sum() + body.array.sum()) > 0.97
            assert region.lengths["height"] == pytest.approx(26.6, abs=0.4)
            axes[name] = matrix @ region.frame.axes[:, 2]
        assert np.degrees(np.arccos(axes["as it lies"] @ axes["turned"])) < 1.0
