"""``python -m sim_devices.ioc --directory FRAMES``: serve the simulated instrument until Ctrl-C.

It listens on 127.0.0.1 alone, and ends when the process that started it ends.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from types import ModuleType

from sim_devices.ioc._start import (
    BEGUN,
    DEFAULT_PORT,
    LOOPBACK,
    READY,
    client_environment,
    free_port,
    is_free,
    server_environment,
)

WATCH_S = 0.2


def options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m sim_devices.ioc", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--directory", type=Path, required=True, help="folder that the HDF5 plugin may write to")
    parser.add_argument("--hardware", type=Path, help="TOML of the instrument, such as agent.instrument.toml")
    parser.add_argument("--prefix", default="SIM:", help="beginning of the records' names")
    parser.add_argument("--speed", type=float, default=60.0, help="simulated seconds in one second")
    parser.add_argument("--sample", default="inclusions", help="name of the hidden sample")
    parser.add_argument("--sample-seed", type=int, default=3, help="seed of the hidden sample")
    parser.add_argument("--port", type=int, default=0, help=f"default: {DEFAULT_PORT}, or a free one")
    return parser.parse_args()


class Unused(ModuleType):
    """A module that is not loaded; all its names are None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def load_only_what_is_used() -> None:
    """Save 80 MB: leave out ophyd's devices of EPICS, numpy's Fortran, and numba's extensions of other packages."""
    import numpy
    from numba.core import entrypoints

    entrypoints.init_all = lambda: None
    sys.modules |= {name: Unused(name) for name in ("ophyd.areadetector", "ophyd.mca", "ophyd.quadem", "numpy.f2py")}
    vars(numpy)["f2py"] = sys.modules["numpy.f2py"]  # SciPy imports all of numpy


def main() -> None:
    """Serve, and print `READY` once the records answer."""
    given, parent = options(), os.getppid()
    if os.environ.get(BEGUN) is None:  # the settings of memory are read as a process begins: begin anew
        port = given.port or (DEFAULT_PORT if is_free(DEFAULT_PORT) else free_port())
        command = [sys.executable, "-m", __spec__.parent, *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | server_environment(port))
    port = int(os.environ["EPICS_CAS_SERVER_PORT"])
    try:
        load_only_what_is_used()
        from sim_devices._instrument import read_hardware
        from sim_devices._sample import hidden_sample
        from sim_devices.ioc._serve import serve
    except ImportError as error:
        sys.exit(f"ioc: {error}: install the extra epics")
    hardware = read_hardware(given.hardware) if given.hardware else {}
    sample = hidden_sample(given.sample, given.sample_seed)
    serve(given.prefix, given.directory, sample=sample, speed=given.speed, **hardware)
    variables = " ".join(f"{name}={value}" for name, value in client_environment(port).items())
    print(f"{READY}: {given.prefix} on {LOOPBACK}. Clients need: export {variables}", flush=True)
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(0)  # EPICS threads would go on


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        os._exit(0)
