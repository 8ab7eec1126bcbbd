"""Runs back to back, as fast as a detector at 2 kHz delivers them: how far the agent falls behind.

A run of 5000 full frames is taken once with the simulated instrument and written to a file. Its documents are emitted
again and again, in the time that the detector would take, each time as another run, so that each is read from disk,
correlated and written to Tiled. Every run must have all frames and one complete result; the exit code is 1 otherwise.
"""

import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from rich.progress import track

from agents.demo.simulated import simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.agent import build_observer
from ainerd.server import embedded_server
from ainerd.steering import expose
from studies._session import settings_in
from studies._tools import Row, Study, report

Documents = list[tuple[str, dict[str, Any]]]

study = Study(__doc__)


@study.part
def sustained(rate: float = 2000.0, frames: int = 5000, minutes: float = 5.0) -> None:
    """Emit the runs; `rate` is in frames per second, `minutes` of acquisition."""
    with tempfile.TemporaryDirectory() as folder:
        rows, nothing_skipped = lags(Path(folder), rate, frames, minutes)
    report("sustained", rows, rate=rate, frames=frames)
    sys.exit(not nothing_skipped)


def lags(folder: Path, rate: float, frames: int, minutes: float) -> tuple[list[Row], bool]:
    """Return the lag by quarter of the time, and whether every run has its one complete result."""
    settings = settings_in(folder, TOML)
    taken, duration = documents_of_a_run(folder, frames, 1 / rate), frames / rate
    n = max(4, round(60 * minutes / duration))
    with (
        embedded_server(settings.storage.directory, readable_storage=settings.storage.frames) as server,
        closing(build_observer(settings, server.client())) as observer,
    ):
        observer.quiet = True
        for name, doc in copied(taken, "warm"):
            observer(name, doc)
        observer.drain(600)  # calibrations are made with the first run
        lag_s, last, complete = [], {}, observer.results.complete

        def noted(key: str, *args: Any, **kwargs: Any) -> bool:
            written = complete(key, *args, **kwargs)
            lag_s.append(time.monotonic() - last[len(lag_s)])
            return written

        observer.results.complete = noted  # type: ignore[method-assign]
        began = time.monotonic()
        worst = 0.0
        for i in track(range(n), description=f"{n} runs of {duration:g} s"):
            documents = copied(taken, f"{i:04d}")
            for (name, doc), at in zip(documents, np.linspace(0, duration, len(documents)), strict=True):
                time.sleep(max(0.0, began + i * duration + at - time.monotonic()))
                if name == "stop":
                    last[i] = time.monotonic()
                observer(name, doc)
            worst = max(worst, observer.health()["lag_s"])
        observer.drain(3600)
        pace = n * frames / (time.monotonic() - began)
        table = observer.results.table()
    whole = bool((table["status"] == "complete").all() and (table["n_frames"] == frames).all() and len(table) == n + 1)
    print(f"{pace:.0f} frames/s; furthest behind {worst:.1f} s; nothing skipped: {whole}")
    rows = [
        {
            "runs": f"{part[0] + 1} to {part[-1] + 1}",
            "stop to result, median (s)": float(np.median(np.array(lag_s)[part])),
            "worst (s)": max(lag_s[i] for i in part),
            "frames/s over all": pace,
        }
        for part in np.array_split(np.arange(len(lag_s)), 4)
    ]
    return rows, whole


def documents_of_a_run(folder: Path, frames: int, frame_time_s: float) -> Documents:
    """Take a run of full frames, which are in a file, and return its documents."""
    instrument = simulated_instrument(folder / "frames", speed=1e6)
    cam, stage = instrument.detector.cam, instrument.stage
    cam.num_images.put(frames), cam.acquire_period.put(frame_time_s), cam.acquire_time.put(frame_time_s)
    documents: Documents = []
    plan = expose(
        instrument.detector,
        beside=[stage.x, stage.y, instrument.rheometer],
        monitored=[instrument.rheometer.stress],
        shutter=instrument.shutter,
    )
    RunEngine({})(plan, lambda name, doc: documents.append((name, dict(doc))))
    return documents


def copied(documents: Documents, mark: str) -> Documents:
    """Return the documents of a run as those of another run: all uids differ, the file is the same."""
    text = json.dumps(documents, default=lambda x: x.item() if isinstance(x, np.generic) else np.asarray(x).tolist())
    names = ("uid", "stream_resource", "run_start")
    uids = {str(doc[name]).partition("/")[0] for _, doc in documents for name in names if name in doc}
    for uid in uids:  # the uid of a datum begins with that of its resource
        text = text.replace(uid, f"{uid}-{mark}")
    return [(name, doc) for name, doc in json.loads(text)]


if __name__ == "__main__":
    study()
