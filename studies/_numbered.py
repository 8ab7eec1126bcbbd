"""A beamline whose frames carry their number and the position of the motor, and a technique that reads both.

So every result can be compared with the frames that it names, whatever happened while they were taken.
"""

import itertools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
from bluesky import RunEngine
from numpy.typing import NDArray
from ophyd import Component, Signal
from ophyd.sim import SynAxis
from ophyd.status import DeviceStatus
from tiled.client.container import Container

from agents.session import raw_writer
from ainerd.agent import Agent
from ainerd.config import Settings
from ainerd.novelty import find_regimes
from ainerd.plans import Devices
from ainerd.results import ResultStore
from ainerd.server import open_catalog
from ainerd.technique import Analysis, AnalysisError, Regimes, RunAnalysis, RunInfo, Technique
from sim_devices import StreamingDetector

SHAPE = (4, 5)
DATASET = "entry/data/data"
FRAME_S = 0.002  # on the clock
SCALE = 5000  # of the position in a pixel: .2 um if it is in mm


class Numbered(Technique):
    """Reads number and position from each frame of an event."""

    name, unit, alpha, embedding_size, regime_width = "numbered", "event", 0.05, 2, 1.0

    parameters = {"technique": "numbered"}

    def begin(self, run: RunInfo) -> "Numbers":
        """Take frames of one shape."""
        if run.frame_shape != SHAPE:
            raise AnalysisError(f"frames of {run.frame_shape}, not of {SHAPE}")
        return Numbers()

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Group results by the position in their frames."""
        return find_regimes(embeddings, previous, width=self.regime_width)


class Numbers(RunAnalysis):
    """Numbers and positions of the frames of an event."""

    def __init__(self) -> None:
        self.pixels = np.arange(SHAPE[0] * SHAPE[1])
        self._frames: list[NDArray[Any]] = []

    def push(self, block: NDArray[Any], first: int) -> None:
        """Add frames."""
        self._frames.append(np.array(block))

    def finish(self) -> Analysis:
        """Return numbers and positions."""
        if not self._frames:
            raise AnalysisError("no frames")
        frames = np.concatenate(self._frames)
        numbers = frames[:, 0].astype(np.int64) + 65_536 * frames[:, 1].astype(np.int64)
        x = frames[:, 2] / SCALE
        embedding = np.array([x.mean(), np.ptp(numbers)], np.float32)
        summary = {"first": int(numbers[0]), "x_seen": float(x[-1])}
        return Analysis(embedding=embedding, novelty_p=None, arrays={"numbers": numbers, "x": x}, summary=summary)


class FrameMaker:
    """Makes frames with numbers that no other process of a study uses, at the position of a motor."""

    def __init__(self, axis: Callable[[], float], first: int) -> None:
        self._axis, self._numbers = axis, itertools.count(first)

    def frame(self) -> NDArray[np.uint16]:
        """Return the next frame."""
        number, x = next(self._numbers), round(self._axis() * SCALE)
        frame = np.ones(SHAPE, np.uint16)
        frame.flat[:3] = number % 65_536, number // 65_536, x
        return frame


class Stack(StreamingDetector):
    """A detector that writes the frames of an exposure to a file."""

    n_frames = Component(Signal, value=3, kind="config")

    def __init__(self, maker: FrameMaker, folder: Path, **options: Any) -> None:
        super().__init__("", **options)
        self._maker, self._folder = maker, folder
        self._file: Any = None

    def stage(self) -> list[object]:
        """Open a new file."""
        staged = super().stage()
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{os.getpid()}-{time.time_ns()}.h5"
        self._file = h5py.File(path, "w", libver="latest")
        self._file.create_dataset(DATASET, shape=(0, *SHAPE), maxshape=(None, *SHAPE), chunks=(1, *SHAPE), dtype="<u2")
        self._file.swmr_mode = True
        self.restart(path, 1, 1, *SHAPE)
        return staged

    def unstage(self) -> list[object]:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return super().unstage()

    def trigger(self) -> DeviceStatus:
        """Take an exposure."""
        self._frames_per_index = int(self.n_frames.get())
        data, status = self._file[DATASET], DeviceStatus(self)
        for _ in range(int(self.n_frames.get())):
            time.sleep(FRAME_S)
            data.resize(len(data) + 1, axis=0)
            data[-1] = self._maker.frame()
            data.flush()
            self._written += 1
        status.set_finished()
        return status

    def describe(self) -> dict[str, Any]:
        """Describe an exposure."""
        return {**super().describe(), **self.describe_image(int(self.n_frames.get()), *SHAPE)}


class Beamline:
    """A motor, a detector, a RunEngine and, after `start_agent`, an agent of these frames.

    Parameters
    ----------
    folder : Path
        ``frames`` is in it.
    storage : Path
        Folder of the embedded server, and of documents that it did not accept.
    client : Container
        Root of the catalog.
    first : int
        Number of the first frame.
    """

    def __init__(self, folder: Path, storage: Path, client: Container, first: int = 0) -> None:
        open_catalog(client)
        self.client, self.folder, self.storage = client, folder, storage
        self.x = SynAxis(name="sample_x")
        maker = FrameMaker(lambda: float(self.x.position), first)
        self.stack = Stack(maker, folder / "frames", name="stack")
        self.RE = RunEngine({}, context_managers=[])
        self.agents: list[Agent] = []
        self._writer = raw_writer(client, settings_of(folder, storage))
        self.RE.subscribe(self._writer)

    def start_agent(self) -> Agent:
        """Start an agent of the detector, and attach it."""
        settings = settings_of(self.folder, self.storage)
        devices = Devices(self.stack, [self.x], acquire=lambda devices, md: bp.count(devices, md=md))
        agent = Agent(Numbered(), self.client, settings, None, devices)
        agent.start()
        agent.quiet = True
        agent.attach(self.RE)
        self.agents.append(agent)
        return agent

    def close(self) -> None:
        """Close the agents and end the RunEngine's thread."""
        for agent in self.agents:
            agent.close()
        self._writer.shutdown()
        self.RE.loop.call_soon_threadsafe(self.RE.loop.stop)
        self.RE._th.join()  # noqa: SLF001 (it has no public name)
        self.RE.loop.close()


def settings_of(folder: Path, storage: Path) -> Settings:
    """Return the settings of the agent."""
    described = {
        "name": "numbers of stack",
        "technique": "numbered",
        "detector": {"image": "stack_image", "n_frames": "stack_n_frames"},
        "steering": {"bounds": {"sample_x": [0.0, 10.0]}, "beam_size": 0.01},  # room for many exposures
        "storage": {"directory": str(storage), "frames": [str(folder / "frames")], "late_s": 1.0},
    }
    return Settings.of(described, folder)


def mismatch(store: ResultStore, row: Mapping[str, Any], key: str) -> str | None:
    """Return in which way a complete result does not belong to its frames; None if it does."""
    numbers, x = store.array(key, "numbers"), store.array(key, "x")
    if (np.diff(numbers) != 1).any():
        return f"frames {numbers.tolist()} are not one exposure"
    if np.isfinite(row["sample_x"]) and not np.isclose(row["sample_x"], x, atol=2 / SCALE).all():
        return f"the result says x = {row['sample_x']}, its frames {x.tolist()}"
    return None
