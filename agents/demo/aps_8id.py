"""A beamline without Bluesky, in the manner of APS 8-ID: acquire, call a hook, and so on.

``python -m agents.demo.aps_8id FOLDER N --hook FILE`` leaves N acquisitions of the small simulated detector in FOLDER.
The hook fetches the next position from ainerd and moves there. A line of JSON is printed for each acquisition. With
N = 0 it makes the folder, and the q map beside it.
"""

import importlib.util
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.config import Settings
from ainerd_xpcs.technique import RheoXPCS
from sim_devices import SimulatedInstrument, acquire

SMALL = TOML.with_name("small.toml")
HOOK = TOML.parents[2] / "docs" / "how-to" / "files" / "folder" / "next_position.py"
N_FRAMES, PERIOD_S = 100, 0.5


def small_instrument(folder: Path, speed: float = 1000.0) -> SimulatedInstrument:
    """Return the small simulated instrument, set to 100 frames; its detector writes to a hidden part of a folder."""
    instrument = simulated_instrument(folder / ".detector", hardware_beside(SMALL), speed=speed)
    cam = instrument.detector.cam
    for signal, value in ((cam.num_images, N_FRAMES), (cam.acquire_period, PERIOD_S), (cam.acquire_time, PERIOD_S)):
        signal.put(value)
    return instrument


def load_hook(path: Path, instrument: SimulatedInstrument, moved: list[float]) -> Any:
    """Return the module of a hook, which moves the simulated stage, and adds the times of its moves to `moved`."""
    spec = importlib.util.spec_from_file_location("hook", path)
    assert spec is not None and spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)

    def move(position: dict[str, float]) -> None:
        moved.append(time.monotonic())
        axes = {axis.name: axis for axis in (instrument.stage.x, instrument.stage.y)}
        for name, x in position.items():
            axes[name].set(x).wait(60)

    vars(hook)["move"] = move
    return hook


def write_qmap(path: Path) -> None:
    """Write the q map of the small simulated detector."""
    RheoXPCS.from_settings(Settings.load(SMALL).section, SMALL.parent).partition.save(path)


def series(
    folder: Path,
    n: int,
    hook: Annotated[Path, typer.Option(help="Its run() is called after each acquisition but the last.")] = HOOK,
    speed: Annotated[float, typer.Option(help="Of the simulated clock: an exposure lasts 50 s by it.")] = 1000.0,
) -> None:
    """Take N acquisitions, and call the hook after each but the last. Make folder and q map if they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (qmap := folder.parent / "qmap.hdf").exists():
        write_qmap(qmap)
    instrument = small_instrument(folder, speed)
    moved: list[float] = []
    called = load_hook(hook, instrument, moved)
    for i in range(n):
        name = f"A{i + 1:04d}_f{N_FRAMES:06d}_r00001"
        position = [instrument.stage.x.position, instrument.stage.y.position]
        acquire(instrument, folder, name)
        complete = time.monotonic()
        answer = called.run() if i + 1 < n else None
        seconds = None if answer is None else moved[-1] - complete
        print(json.dumps({"name": name, "position": position, "next": answer, "s": seconds}), flush=True)


if __name__ == "__main__":
    typer.run(series)
