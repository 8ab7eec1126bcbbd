"""The simulated instrument as an EPICS IOC: ``python -m sim_devices.ioc``.

The IOC serves the devices of `sim_devices.SimulatedInstrument` over Channel Access, with the process variables of
areaDetector's ADLambda and NDFileHDF5, of motor records, and of a rheometer, a shutter and an attenuator. It needs the
extra ``epics``. `start_ioc` starts it as a child process; this needs no EPICS.
"""

from sim_devices.ioc._start import IOC, start_ioc

__all__ = ["IOC", "start_ioc"]
