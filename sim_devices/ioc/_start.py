"""An IOC as a child process, with ports of its own."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
DEFAULT_PORT, DEFAULT_BEACON_PORT = 5064, 5065  # of Channel Access
READY = "ready"
BEGUN = "AINERD_IOC_BEGUN"


def is_free(port: int) -> bool:
    """Return whether nothing on this machine has the port, for TCP and UDP."""
    with ExitStack() as stack:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            tried = stack.enter_context(socket.socket(socket.AF_INET, kind))
            if kind == socket.SOCK_STREAM:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server that has ended
            try:
                tried.bind((LOOPBACK, port))
            except OSError:
                return False
    return True


def free_port() -> int:
    """Return a port that nothing on this machine has, for TCP and UDP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
            taken.bind((LOOPBACK, 0))
            port = int(taken.getsockname()[1])
        if is_free(port):
            return port


def client_environment(port: int) -> dict[str, str]:
    """Return the environment variables of a client of an IOC at a port of this machine."""
    return {
        "EPICS_CA_ADDR_LIST": LOOPBACK,
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
    }


def server_environment(port: int) -> dict[str, str]:
    """Return the environment variables of an IOC on this machine alone, which is no client itself.

    At the usual port, beacons go to the usual port, too: by them clients learn at once that an IOC is back.
    """
    beacons = DEFAULT_BEACON_PORT if port == DEFAULT_PORT else free_port()
    return {
        "EPICS_CAS_INTF_ADDR_LIST": LOOPBACK,
        "EPICS_CAS_BEACON_ADDR_LIST": LOOPBACK,
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CAS_SERVER_PORT": str(port),
        "EPICS_CAS_BEACON_PORT": str(beacons),
        "OPHYD_CONTROL_LAYER": "dummy",
        "MALLOC_MMAP_THRESHOLD_": "1000000",  # memory of arrays is given back
        "MALLOC_ARENA_MAX": "1",  # threads share one heap
        "OPENBLAS_NUM_THREADS": "1",  # products are small
        BEGUN: "1",
    }


@dataclass(frozen=True)
class IOC:
    """An IOC that runs as a child of this process.

    Attributes
    ----------
    process : subprocess.Popen
    port : int
        Of Channel Access, on this machine alone.
    """

    process: subprocess.Popen[str]
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of its clients; they must be set before a client loads EPICS."""
        return client_environment(self.port)

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()


def start_ioc(directory: Path, *options: str, port: int = 0, log: Path | None = None) -> IOC:
    """Start ``python -m sim_devices.ioc``, and return once it answers.

    Parameters
    ----------
    directory : Path
        Folder that it may write frames to.
    *options : str
        Further options of the command.
    port : int
        Of Channel Access; 0 is any free port.
    log : Path, optional
        File to which its stderr is appended; without it, stderr is discarded.

    Raises
    ------
    RuntimeError
        If it ends before it answers.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "sim_devices.ioc", "--directory", str(directory), *options]
    paths = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | server_environment(port) | {"PYTHONPATH": os.pathsep.join(paths)}
    with open(log or os.devnull, "a") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        if not any(line.startswith(READY) for line in output):
            status = process.wait()
            raise RuntimeError(f"the IOC ended with status {status} before it answered; log: {log or 'none is kept'}")
    return IOC(process, port)
