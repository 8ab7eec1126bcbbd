"""The environment of the RE Manager that `studies.chaos` starts: a beamline of numbered frames, and a plan."""

import os
from pathlib import Path
from typing import Any

import bluesky.plans as bp

from ainerd.plans import visit
from studies._killed import Witness, connected
from studies._numbered import Beamline

folder, storage, uri, key = os.environ["AINERD_CHAOS"].split("\n")
line = Beamline(Path(folder), Path(storage), connected((uri, key)), first=10**9)
RE, stack, sample_x = line.RE, line.stack, line.x
RE.subscribe(Witness(Path(folder, "queue.witness")))
acquire = visit(None, acquire=lambda devices, md: bp.count(devices, md=md))


def measure(suggestions, actuators, sensors, md=None) -> Any:  # type: ignore[no-untyped-def]
    """Expose each suggested position."""
    return (yield from acquire(suggestions, actuators, sensors, md))
