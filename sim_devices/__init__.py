"""A simulated rheo-XPCS instrument: ophyd devices around a sample whose dynamics depend on the position.

The devices do not know the agent; it learns about the sample only from Bluesky documents.
"""

from sim_devices._beam import Attenuator, DetectorArm, Dose, Shutter, Source, flicker, unlit
from sim_devices._blocks import Blocks
from sim_devices._cam import LambdaCam
from sim_devices._clock import SimClock
from sim_devices._diffraction import Crystal, DiffractionDetector, TemperatureController, Transition
from sim_devices._flow_field import FlowField
from sim_devices._frames import DATASET, FrameFile, FrameMaker
from sim_devices._geometry import Geometry, form_factor, scattering, structure_factor, verlet_weis
from sim_devices._instrument import SimulatedInstrument, read_hardware
from sim_devices._lambda750k import AcquisitionStopped, Lambda750k
from sim_devices._particles import Crowd
from sim_devices._rheometer import Rheometer, Yielding
from sim_devices._sample import HiddenSample, Layout
from sim_devices._samples import SAMPLES, hidden_sample
from sim_devices._scattering import Motion, ScatteredMovie
from sim_devices._speckle import Grain, SpeckleMovie, mode_weights
from sim_devices._stage import Stage

__all__ = [
    "DATASET",
    "SAMPLES",
    "AcquisitionStopped",
    "Attenuator",
    "Blocks",
    "Crowd",
    "Crystal",
    "DetectorArm",
    "DiffractionDetector",
    "Dose",
    "FlowField",
    "FrameFile",
    "FrameMaker",
    "Geometry",
    "Grain",
    "HiddenSample",
    "Lambda750k",
    "LambdaCam",
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
    "flicker",
    "form_factor",
    "hidden_sample",
    "mode_weights",
    "read_hardware",
    "scattering",
    "structure_factor",
    "unlit",
    "verlet_weis",
]
