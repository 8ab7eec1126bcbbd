"""The simulated rheo-XPCS instrument, a RunEngine and an agent."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from tiled.client.container import Container

from agents.demo.simulated import agent_of, hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML
from agents.session import raw_writer
from ainerd.config import Settings
from ainerd.server import embedded_server

SMALL = TOML.with_name("small.toml")


def settings_in(folder: Path, toml: Path = SMALL) -> Settings:
    """Return the settings in `toml`, with catalogue and frames in `folder`."""
    settings = Settings.load(toml)
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
    return settings


class Session:
    """The simulated instrument, a RunEngine and an agent, which is not attached yet.

    Parameters
    ----------
    folder : Path
        Frames are written to ``frames`` in it.
    client : Container
        Root of a Tiled server that may read `folder`.
    toml : Path
        Settings of the agent; the instrument is described beside them.
    series : dict, optional
        More signals that are monitored.
    **instrument
        Options of `agents.demo.simulated.simulated_instrument`. At a speed of 1e6 the sample soon is years old.
    """

    def __init__(
        self,
        folder: Path,
        client: Container,
        *,
        toml: Path = SMALL,
        series: dict[str, str] | None = None,
        **instrument: Any,
    ) -> None:
        self.client, self.settings = client, settings_in(folder, toml)
        self.settings.recorded.series.update(series or {})
        self.instrument = simulated_instrument(
            folder / "frames", hardware_beside(toml), **{"speed": 1000.0, **instrument}
        )
        self.detector, self.stage = self.instrument.detector, self.instrument.stage
        self.actuators = [self.stage.x, self.stage.y]
        self.RE = RunEngine({})
        self.agent = agent_of(self.client, self.settings, self.instrument)
        self.agent.quiet = True

    def frames(self, n: int, exposure_s: float) -> None:
        """Set the number of frames of an exposure, and its length."""
        cam = self.detector.cam
        cam.num_images.put(n), cam.acquire_period.put(exposure_s / n), cam.acquire_time.put(exposure_s / n)

    def explore(self, n: int) -> None:
        """Let the attached agent choose and take `n` runs, and wait for their results."""
        self.RE(self.agent.explore(n))
        if not self.agent.drain(600):
            raise TimeoutError("the analysis takes longer than ten minutes")

    def close(self) -> None:
        """Close the agent; the server continues."""
        self.agent.close()


@contextmanager
def attached_session(folder: Path, **options: Any) -> Iterator[Session]:
    """Yield a session on an embedded server in `folder`, with its agent attached; options of `Session`."""
    with (
        embedded_server(folder / "tiled", readable_storage=[folder / "frames"]) as server,
        closing(Session(folder, server.client(), **options)) as session,
    ):
        session.RE.subscribe(writer := raw_writer(session.client, session.settings))
        session.agent.attach(session.RE)
        yield session
        writer.shutdown()
