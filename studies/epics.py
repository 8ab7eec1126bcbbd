"""The delay of the RunEngine by the agent, and the time from an exposure to its result in Tiled, over EPICS.

As `studies.latency`, with ophyd's own classes and the simulated instrument behind an IOC in a process of its own. The
time of a result counts from the event, which follows the last frame.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

PORT = 45064
os.environ.update(  # before EPICS is loaded
    EPICS_CA_ADDR_LIST="127.0.0.1", EPICS_CA_AUTO_ADDR_LIST="NO", EPICS_CA_SERVER_PORT=str(PORT),
    BLUESKY_PREDECLARE="1",  # as in profiles/epics
)  # fmt: skip

from bluesky import RunEngine  # noqa: E402
from bluesky.plans import count  # noqa: E402

from agents import epics  # noqa: E402
from agents.rheo_xpcs import TOML  # noqa: E402
from ainerd.agent import build_agent  # noqa: E402
from ainerd.server import embedded_server  # noqa: E402
from sim_devices.ioc import start_ioc  # noqa: E402
from studies._session import settings_in  # noqa: E402
from studies._tools import Study, report  # noqa: E402
from studies.latency import EXPOSURE_S, Moment, completions_of, gaps, results  # noqa: E402

HARDWARE = TOML.with_name("agent.instrument.toml")
WAIT_S = 10.0

study = Study(__doc__)


@study.part
def latency_over_epics(frames: int = 1000, rounds: int = 5) -> None:
    """Measure gaps of the loop, latencies of results, and the memory of the IOC."""
    with tempfile.TemporaryDirectory() as folder, bench_in(Path(folder)) as bench:
        report("epics_gaps", gaps(bench, frames, rounds), most={"added (ms)": 250.0}, frames=frames)
        report("epics_results", results(bench, (frames // 5, frames), rounds), most={"median (s)": 3.0})
        report("epics_memory", [bench.memory()], most={"IOC, peak (MB)": 400.0})


class Bench:
    """ophyd's devices, a RunEngine and an agent, which is not attached yet; as `studies.latency.Bench`."""

    def __init__(self, folder: Path, client: Any) -> None:
        frames = folder / "frames"
        self.ioc = start_ioc(frames, "--hardware", str(HARDWARE), "--speed", "1e6", port=PORT)
        self.client, self.settings = client, settings_in(folder, TOML)
        self.detector = epics.lambda750k("SIM:", frames)
        stage = epics.Stage("SIM:stage:", name="sample")
        stage.wait_for_connection(timeout=WAIT_S)
        shutter = epics.Shutter("SIM:shutter:Position", name="shutter")
        shutter.wait_for_connection(timeout=WAIT_S)
        shutter.set("open").wait(WAIT_S)
        self.actuators = [stage.x, stage.y]
        self.agent = build_agent(
            self.settings, client, detector=self.detector, actuators=self.actuators, acquire=epics.counted
        )
        self.RE, self.done = RunEngine({}), completions_of(self.agent)

    def expose(self, frames: int) -> tuple[Moment, list[Any]]:
        """Take a run, and return when its event came and its documents."""
        for file in self.settings.storage.frames[0].glob("*.h5"):
            file.unlink()  # of earlier runs, which are analysed
        cam, documents, times = self.detector.cam, list[Any](), list[Moment]()
        for setting, value in ((cam.num_images, frames), (cam.acquire_period, EXPOSURE_S / frames)):
            setting.set(value).wait(WAIT_S)

        def note(name: str, doc: Any) -> None:
            documents.append((name, dict(doc)))
            if name == "event":
                times.append(Moment.now())

        self.RE(count([self.detector, *self.actuators]), note)
        return times[-1], documents

    def memory(self) -> dict[str, Any]:
        """Return the memory of the IOC after these runs, in MB.

        Pages of files that other processes have, too, count for this one by its share.
        """
        values = dict[str, float]()
        for name in ("status", "smaps_rollup"):
            for line in Path(f"/proc/{self.ioc.process.pid}/{name}").read_text().splitlines():
                key, _, rest = line.partition(":")
                if rest.endswith("kB"):
                    values[key] = int(rest.split()[0]) / 1024
        shared = values["Rss"] - values["Pss"]
        return {
            "IOC, peak (MB)": values["VmHWM"],
            "peak by shares (MB)": values["VmHWM"] - shared,
            "at rest (MB)": values["Rss"],
            "own, without files (MB)": values["RssAnon"],
        }

    def close(self) -> None:
        """End the agent and the IOC."""
        self.agent.close()
        self.ioc.kill()


@contextmanager
def bench_in(folder: Path) -> Iterator[Bench]:
    """Yield a session with a server and an IOC of its own."""
    with (
        embedded_server(folder / "tiled", readable_storage=[folder / "frames"]) as server,
        closing(Bench(folder, server.client())) as bench,
    ):
        yield bench


if __name__ == "__main__":
    study()
    os._exit(0)  # pyepics would close channels of an IOC that has ended
