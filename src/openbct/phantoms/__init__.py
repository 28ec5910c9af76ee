"""Simulated CT scans and bones with known truth."""

from .body import BodyShape
from .cohort import cohort
from .column import Fracture
from .femur import FemurShape
from .from_labels import BonePart, LabelSettings, SoftPart, parts_from_tables, simulate_labels
from .pelvis import PelvisShape
from .persons import Person, torso_of
from .phantomscan import PhantomScan, simulate_phantom
from .regions import SimulatedBone, femur_region, vertebra_region
from .rods import CalibrationPhantom, Rod, calibration_phantom, calibration_phantoms, phantom_from_table
from .scanner import ScannerSettings
from .simulated import SimulatedScan
from .softtissue import Girth
from .spine import VertebraShape
from .torso import TorsoSettings, as_scan, simulate_hip, simulate_torso, simulate_vertebra

__all__ = [
    "BodyShape",
    "BonePart",
    "CalibrationPhantom",
    "FemurShape",
    "Fracture",
    "Girth",
    "LabelSettings",
    "PelvisShape",
    "Person",
    "PhantomScan",
    "Rod",
    "ScannerSettings",
    "SimulatedBone",
    "SimulatedScan",
    "SoftPart",
    "TorsoSettings",
    "VertebraShape",
    "as_scan",
    "calibration_phantom",
    "calibration_phantoms",
    "cohort",
    "femur_region",
    "parts_from_tables",
    "phantom_from_table",
    "simulate_hip",
    "simulate_labels",
    "simulate_phantom",
    "simulate_torso",
    "simulate_vertebra",
    "torso_of",
    "vertebra_region",
]
