"""Simulated CT scans and bones with known truth."""

from .femur import FemurShape
from .pelvis import PelvisShape
from .regions import SimulatedBone, femur_region, vertebra_region
from .scanner import ScannerSettings
from .spine import VertebraShape
from .torso import SimulatedScan, TorsoSettings, as_scan, simulate_hip, simulate_torso, simulate_vertebra

__all__ = [
    "FemurShape",
    "PelvisShape",
    "ScannerSettings",
    "SimulatedBone",
    "SimulatedScan",
    "TorsoSettings",
    "VertebraShape",
    "as_scan",
    "femur_region",
    "simulate_hip",
    "simulate_torso",
    "simulate_vertebra",
    "vertebra_region",
]
