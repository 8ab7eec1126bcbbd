"""Startup files that `ainerd init --startup` writes: the agent beside a RunEngine and devices that exist."""

import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from string import Template


class Layout(StrEnum):
    """Kinds of sessions."""

    ophyd = "ophyd"
    ophyd_async = "ophyd-async"
    bits = "bits"


HEAD = '''"""The agent of $toml. $how

Written by ``ainerd init``; change it as you like.
"""
'''
IMPORTS = """
import atexit
import os
import sys
from pathlib import Path

$more
from bluesky.callbacks.buffer import BufferingWrapper
from bluesky_tiled_plugins import TiledWriter

from ainerd.agent import build_agent, open_tiled
from ainerd.config import Settings

TOML = (Path(__file__).resolve().parent / "$toml").resolve()
"""
FLOWN = '''
FRAMES, LIVETIME_S = 5000, 0.01  # of an exposure, and of each frame


def acquire(devices, md):
    """Plan of an exposure: the detector flies."""
    detector, *readables = devices

    def frames():
        yield from bps.kickoff(detector, wait=True)
        yield from bps.collect_while_completing([detector], [detector], 0.2, detector.name)

    @bpp.stage_decorator(devices)
    @bpp.run_decorator(md=dict(md))
    def inner():
        if readables:
            yield from bps.trigger_and_read(readables)
        yield from bps.prepare(detector, TriggerInfo(number_of_events=FRAMES, livetime=LIVETIME_S), wait=True)
        yield from bps.declare_stream(detector, name=detector.name, collect=True)
        yield from bpp.rewindable_wrapper(frames(), False)  # after a pause or a loss of beam it goes on

    return (yield from inner())

'''
IN_SESSION = """
if missing := [name for name in ("RE", $roots) if name not in globals()]:
    sys.exit(f"ainerd: no {', '.join(missing)}: a startup file before this one must define it, or change {__file__}")
$start
"""
IN_PACKAGE = '''

def start_agent(RE, devices):
    """Return the agent, attached to the RunEngine; `devices` is the registry of the instrument (``oregistry``).

    ``agent.explore`` keeps a run open around those of its exposures. The SPEC writer of apstools ends such a plan with
    an error: set ``SPEC_DATA_FILES: ENABLE: false`` in ``configs/iconfig.yml``.
    """
    try:
        detector, motors = devices["$detector"], [devices[name] for name in ($names,)]
        beside = [devices[name] for name in ($others)]
    except KeyError as error:
        sys.exit(f"ainerd: no device {error}: name those of devices.yml in {__file__}")
    $start
    return agent
'''
START = """try:
    settings = Settings.load(os.environ.get("AINERD_CONFIG", TOML))
    client, close_tiled = open_tiled(settings.storage)
    atexit.register(close_tiled)
    agent = build_agent(
        settings,
        client,
        detector=$device,  # noqa: F821
        actuators=$actuators,  # noqa: F821
        beside=$beside,  # noqa: F821
        acquire=$acquire,
    )
except ValueError as error:  # settings, devices or a server that do not fit
    sys.exit(f"ainerd: {error}")
backup = str(settings.storage.unwritten)
writer = TiledWriter(client["raw"], batch_size=20, max_array_size=0, backup_directory=backup)
RE.subscribe(BufferingWrapper(writer))  # noqa: F821
agent.attach(RE)  # noqa: F821
agent.catch_up()
agent.warm_up()"""
IN_IPYTHON = "IPython runs it after the files that define RE and the devices."
IN_BITS = "Last in startup.py: ``from .ainerd_agent import start_agent; agent = start_agent(RE, oregistry)``."
FLYING = """import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from ophyd_async.core import TriggerInfo"""


def startup_file(
    layout: Layout, toml: Path, folder: Path, image: str, motors: Sequence[str], recorded: Iterable[str] = ()
) -> tuple[Path, str]:
    """Return the path and the text of a startup file.

    Parameters
    ----------
    layout : Layout
    toml : Path
        The settings.
    folder : Path
        Folder of the startup file.
    image : str
        Data key of the frames; the device of its first part is taken for the detector.
    motors : sequence of str
        Names of the motors, as in ``steering.bounds``.
    recorded : iterable of str
        Data keys of readings and series; the devices of their first parts are read with the detector.
    """
    detector = image.removesuffix("_image").replace("-", ".")
    axes = [_expression(name) for name in motors]
    flies, in_package = layout is Layout.ophyd_async, layout is Layout.bits
    start = START.replace("  # noqa: F821", "").replace("\n", "\n    ") if in_package else START
    text = "".join([HEAD, IMPORTS, FLOWN * flies, IN_PACKAGE if in_package else IN_SESSION]).replace("$start", start)
    others = (key.partition("_")[0] for key in recorded if not key.startswith((detector, *motors)))
    beside = [*dict.fromkeys(name for name in others if name.isidentifier())]
    roots = dict.fromkeys(axis.partition(".")[0] for axis in (detector, *axes, *beside))
    device, actuators = ("detector", "motors") if in_package else (detector, f"[{', '.join(axes)}]")
    text = Template(text).substitute(
        toml=os.path.relpath(toml.resolve(), folder.resolve()).replace("\\", "/"),
        how=IN_BITS if in_package else IN_IPYTHON,
        more=FLYING if flies else "import bluesky.plans as bp",
        detector=detector,
        device=device,
        actuators=actuators,
        beside="beside" if in_package else f"[{', '.join(beside)}]",
        others="".join(f'"{name}", ' for name in beside),
        acquire="acquire" if flies else f'None if hasattr({device}, "kickoff") else bp.count',
        names=", ".join(f'"{name}"' for name in motors),
        roots=", ".join(f'"{root}"' for root in roots),
    )
    return folder / ("ainerd_agent.py" if in_package else "90_ainerd.py"), text


def _expression(name: str) -> str:
    """Guess the variable of a motor from its name; raise ValueError if no variable can have that name."""
    variable = name.replace("-", ".")
    if not all(part.isidentifier() for part in variable.split(".")):
        raise ValueError(f"steering.bounds: {name!r} cannot be the name of a device")
    return variable
