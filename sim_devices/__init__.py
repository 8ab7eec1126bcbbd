"""A simulated rheo-XPCS instrument: ophyd devices around a sample whose dynamics depend on the position.

The devices do not know the agent; it learns about the sample only from Bluesky documents.
Modules are imported on first use: the IOC needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim_devices._acquire import acquire, write_metadata
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
    from sim_devices._rigaku import (
        Rigaku,
        Rigaku3M,
        rigaku_words,
        sparse_speckle,
        write_rigaku,
        write_rigaku_3m,
        write_words,
    )
    from sim_devices._sample import SAMPLES, hidden_sample
    from sim_devices._scattering import ScatteredMovie
    from sim_devices._speckle import Grain, SpeckleMovie, mode_weights
    from sim_devices._stage import Stage
    from sim_devices._steady_shear import SteadyShear
    from sim_devices._writers import WrittenElsewhere, WrittenFile

__all__ = [
    "AcquisitionStopped", "Attenuator", "Blocks", "Crowd", "Crystal", "Cycled", "CyclingInstrument", "DATASET",
    "DiffractionDetector", "Dose", "Eiger", "FlowField", "FrameFile", "FrameMaker", "Geometry", "Grain", "Lambda750k",
    "LambdaCam", "ManualEiger", "OscillatingRheometer", "Oscillation", "Recording", "Rheometer", "Rigaku", "Rigaku3M",
    "SAMPLES", "ScatteredMovie", "Shutter", "SimClock", "SimulatedInstrument", "SoftSolid", "Source", "SpeckleMovie",
    "Stage", "SteadyShear", "StreamingDetector", "TemperatureController", "Transition", "WrittenElsewhere",
    "WrittenFile", "Yielding", "acquire", "flicker", "form_factor", "frame_times", "hidden_sample", "mode_weights",
    "read_hardware", "rigaku_words", "scattering", "sparse_speckle", "structure_factor", "verlet_weis",
    "write_metadata", "write_oscillation", "write_rigaku", "write_rigaku_3m", "write_series", "write_words",
]  # fmt: skip

_MODULE_OF = {
    "AcquisitionStopped": "_lambda750k", "Attenuator": "_beam", "Blocks": "_blocks", "Crowd": "_particles",
    "Crystal": "_diffraction", "Cycled": "_cycling", "CyclingInstrument": "_cycling_instrument",
    "DATASET": "_frames", "DiffractionDetector": "_diffraction",
    "Dose": "_beam", "Eiger": "_eiger", "FlowField": "_particles", "FrameFile": "_frames", "FrameMaker": "_frames",
    "Geometry": "_geometry", "Grain": "_speckle", "Lambda750k": "_lambda750k", "LambdaCam": "_lambda_cam",
    "ManualEiger": "_eiger", "OscillatingRheometer": "_oscillating_rheometer", "Oscillation": "_oscillation",
    "Recording": "_recording", "Rheometer": "_rheometer", "Rigaku": "_rigaku", "Rigaku3M": "_rigaku",
    "SAMPLES": "_sample", "ScatteredMovie": "_scattering", "Shutter": "_beam", "SimClock": "_basics",
    "SimulatedInstrument": "_instrument", "SoftSolid": "_oscillation", "Source": "_beam", "SpeckleMovie": "_speckle",
    "Stage": "_stage", "SteadyShear": "_steady_shear", "StreamingDetector": "_frames",
    "TemperatureController": "_diffraction", "Transition": "_diffraction", "WrittenElsewhere": "_writers",
    "WrittenFile": "_writers", "Yielding": "_rheometer",
    "acquire": "_acquire", "flicker": "_beam", "form_factor": "_geometry", "frame_times": "_oscillation",
    "hidden_sample": "_sample", "mode_weights": "_speckle", "read_hardware": "_instrument", "rigaku_words": "_rigaku",
    "scattering": "_geometry", "sparse_speckle": "_rigaku", "structure_factor": "_geometry",
    "verlet_weis": "_geometry", "write_metadata": "_acquire", "write_oscillation": "_oscillation",
    "write_rigaku": "_rigaku", "write_rigaku_3m": "_rigaku", "write_series": "_eiger", "write_words": "_rigaku",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use."""
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
