"""A simulated rheo-XPCS instrument: ophyd devices around a sample whose dynamics vary from place to place.

Nothing here knows of the agent; what the agent learns of the sample it learns from Bluesky documents.
"""

from sim_devices._clock import SimClock
from sim_devices._geometry import Geometry
from sim_devices._instrument import SimulatedInstrument
from sim_devices._lambda750k import AcquisitionStopped, Lambda750k
from sim_devices._rheometer import Rheometer
from sim_devices._sample import HiddenSample
from sim_devices._speckle import SpeckleMovie
from sim_devices._stage import Stage

__all__ = [
    "AcquisitionStopped",
    "Geometry",
    "HiddenSample",
    "Lambda750k",
    "Rheometer",
    "SimClock",
    "SimulatedInstrument",
    "SpeckleMovie",
    "Stage",
]
