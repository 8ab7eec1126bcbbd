"""RunEngine, devices, plans and the writer of runs for an RE Manager; the agent is `ainerd steer`, in its own process.

Here the simulated instrument; a beamline puts its own devices in this file. Plans have no annotations but those the
RE Manager understands: without any it makes devices of their names.
"""

import atexit
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ.setdefault("SILX_OPENCL", "0")  # pyFAI's helper warns where there is none

import bluesky.plan_stubs as bps  # noqa: E402
from bluesky import RunEngine  # noqa: E402
from bluesky.callbacks.buffer import BufferingWrapper  # noqa: E402
from bluesky.plans import count  # noqa: E402, F401
from bluesky.suspenders import SuspendFloor  # noqa: E402
from bluesky_tiled_plugins import TiledWriter  # noqa: E402

import ainerd.plans  # noqa: E402
from agents.demo.simulated import hardware_beside, simulated_instrument  # noqa: E402
from agents.rheo_xpcs import TOML  # noqa: E402
from ainerd.agent import open_tiled  # noqa: E402
from ainerd.config import Settings  # noqa: E402
from ainerd.server import open_catalog  # noqa: E402

settings = Settings.load(os.environ.get("AINERD_CONFIG", TOML))
client, close_tiled = open_tiled(settings.storage)
unwritten = settings.storage.unwritten
unwritten.mkdir(parents=True, exist_ok=True)
raw, _ = open_catalog(client)
writer = BufferingWrapper(TiledWriter(raw, batch_size=20, max_array_size=0, backup_directory=str(unwritten)))

RE = RunEngine({})
RE.subscribe(writer)
hardware = hardware_beside(os.environ.get("AINERD_CONFIG"))  # parameters of the instrument, apart from the settings
instrument = simulated_instrument(settings.storage.frames[0], hardware, speed=60)  # a minute of its time in a second
lambda750k, rheometer, shutter = instrument.detector, instrument.rheometer, instrument.shutter
sample_x, sample_y = instrument.stage.x, instrument.stage.y  # by the names that steering.bounds has

RE.install_suspender(SuspendFloor(instrument.source.i0, 0.5))  # plans wait while there is no beam
acquire = ainerd.plans.visit(None, beside=[rheometer], monitored=[rheometer.stress], shutter=shutter)


def measure(suggestions, actuators, sensors, md=None):
    """Expose each suggested position: the plan that `ainerd steer` puts into the queue."""
    return (yield from acquire(suggestions, actuators, sensors, md))


def measure_at(x, y):
    """Expose a position of your choice, in mm."""
    yield from bps.mv(sample_x, x, sample_y, y)
    return (
        yield from ainerd.plans.expose(
            lambda750k, beside=[sample_x, sample_y, rheometer], monitored=[rheometer.stress], shutter=shutter
        )
    )


def close():
    """Write all runs, and disconnect from Tiled."""
    writer.shutdown()
    close_tiled()


atexit.register(close)
