"""All public names, for `sim_devices` on first use."""

from sim_devices._acquire import Rigaku3M, acquire, write_metadata
from sim_devices._basics import SimClock
from sim_devices._beam import Attenuator, Dose, Shutter, Source, flicker
from sim_devices._blocks import Blocks
from sim_devices._cycling import Cycled
from sim_devices._cycling_instrument import CyclingInstrument
from sim_devices._diffraction import Crystal, DiffractionDetector, TemperatureController, Transition
from sim_devices._eiger import Eiger, ManualEiger, write_series
from sim_devices._frames import DATASET, FrameFile, FrameMaker, StreamingDetector
from sim_devices._geometry import Geometry, form_factor, scattering, structure_factor, verlet_weis
from sim_devices._instrument import SimulatedInstrument, read_hardware
from sim_devices._lambda750k import AcquisitionStopped, Lambda750k
from sim_devices._lambda_cam import LambdaCam
from sim_devices._oscillating_rheometer import OscillatingRheometer
from sim_devices._oscillation import Oscillation, SoftSolid, frame_times, write_oscillation
from sim_devices._particles import Crowd, FlowField
from sim_devices._recording import Recording
from sim_devices._rheometer import Rheometer, Yielding
from sim_devices._rigaku import Rigaku, rigaku_words, sparse_speckle, write_rigaku, write_rigaku_3m, write_words
from sim_devices._sample import SAMPLES, hidden_sample
from sim_devices._scattering import ScatteredMovie
from sim_devices._speckle import Grain, SpeckleMovie, mode_weights
from sim_devices._stage import Stage
from sim_devices._writers import WrittenElsewhere, WrittenFile

__all__ = [
    "AcquisitionStopped", "Attenuator", "Blocks", "Crowd", "Crystal", "Cycled", "CyclingInstrument", "DATASET",
    "DiffractionDetector", "Dose", "Eiger", "FlowField", "FrameFile", "FrameMaker", "Geometry", "Grain", "Lambda750k",
    "LambdaCam", "ManualEiger", "OscillatingRheometer", "Oscillation", "Recording", "Rheometer", "Rigaku", "Rigaku3M",
    "SAMPLES", "ScatteredMovie", "Shutter", "SimClock", "SimulatedInstrument", "SoftSolid", "Source", "SpeckleMovie",
    "Stage", "StreamingDetector", "TemperatureController", "Transition", "WrittenElsewhere",
    "WrittenFile", "Yielding", "acquire", "flicker", "form_factor", "frame_times", "hidden_sample", "mode_weights",
    "read_hardware", "rigaku_words", "scattering", "sparse_speckle", "structure_factor", "verlet_weis",
    "write_metadata", "write_oscillation", "write_rigaku", "write_rigaku_3m", "write_series", "write_words",
]  # fmt: skip
