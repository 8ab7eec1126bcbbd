"""A simulated rheo-XPCS instrument: ophyd devices around a sample whose dynamics vary from place to place.

Nothing here knows of the agent; what the agent learns of the sample it learns from Bluesky documents.
"""

from sim_devices._beam import Attenuator, DetectorArm, Shutter, Source
from sim_devices._blocks import Blocks
from sim_devices._clock import SimClock
from sim_devices._diffraction_crystal import Crystal, Transition
from sim_devices._diffraction_detector import DiffractionDetector
from sim_devices._flow_field import FlowField
from sim_devices._geometry import Geometry
from sim_devices._hardware import read_hardware
from sim_devices._instrument import SimulatedInstrument
from sim_devices._lambda750k import AcquisitionStopped, Lambda750k
from sim_devices._particles import Crowd
from sim_devices._rheometer import Rheometer
from sim_devices._sample import HiddenSample, Layout
from sim_devices._samples import SAMPLES, hidden_sample
from sim_devices._scattering import Motion, ScatteredMovie
from sim_devices._speckle import SpeckleMovie
from sim_devices._stage import Stage
from sim_devices._temperature_controller import TemperatureController
from sim_devices._yielding import Yielding

__all__ = [
    "SAMPLES",
    "AcquisitionStopped",
    "Attenuator",
    "Blocks",
    "Crowd",
    "Crystal",
    "DetectorArm",
    "DiffractionDetector",
    "FlowField",
    "Geometry",
    "HiddenSample",
    "Lambda750k",
    "Layout",
    "Motion",
    "Rheometer",
    "ScatteredMovie",
    "Shutter",
    "SimClock",
    "SimulatedInstrument",
    "Source",
    "SpeckleMovie",
    "Stage",
    "TemperatureController",
    "Transition",
    "Yielding",
    "hidden_sample",
    "read_hardware",
]
