"""Runs back to back, as fast as a detector at 2 kHz delivers them: how far behind the agent falls.

A run of 5000 full frames is taken once with the simulated instrument and written to a file. Its documents come again
and again, in the time that the detector would take, each as a run of its own; so each is read from disk, correlated and
written to Tiled. Nothing is skipped: every run must have all frames and one complete result.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from rich.progress import track

from agents.demo.simulated import simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.agent import build_observer, open_tiled
from ainerd.config import Settings
from ainerd.steering import expose
from studies._report import report

Documents = list[tuple[str, dict[str, Any]]]


def main() -> None:
    """Measure, print, write; exit code 1 if a run was skipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=2000.0, help="frames per second")
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=5.0, help="of acquisition")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, whole = sustained(Path(folder), arguments.rate, arguments.frames, arguments.minutes)
    report("sustained", rows, rate=arguments.rate, frames=arguments.frames)
    sys.exit(not whole)


def sustained(folder: Path, rate: float, frames: int, minutes: float) -> tuple[list[dict[str, Any]], bool]:
    """Lag by part of the time, and whether every run has its one complete result."""
    settings = Settings.load(TOML)
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
    client, close = open_tiled(settings.storage)
    taken = a_run(folder, frames, 1 / rate)
    duration = frames / rate
    n = max(4, round(60 * minutes / duration))
    observer = build_observer(settings, client)
    observer.quiet = True
    with closing(observer):
        for name, doc in copy_of(taken, "warm"):
            observer(name, doc)
        observer.drain(600)  # calibrations are made with the first run
        lags, last = np.full(n, np.nan), {}
        complete = observer.results.complete

        def noted(key: str, *args: Any, **kwargs: Any) -> bool:
            written = complete(key, *args, **kwargs)
            i = len(done)
            done.append(key)
            lags[i] = time.monotonic() - last[i]
            return written

        done: list[str] = []
        observer.results.complete = noted  # type: ignore[method-assign]
        begun = time.monotonic()
        worst = 0.0
        for i in track(range(n), description=f"{n} runs of {duration:g} s"):
            documents = copy_of(taken, f"{i:04d}")
            for (name, doc), at in zip(documents, np.linspace(0, duration, len(documents)), strict=True):
                time.sleep(max(0.0, begun + i * duration + at - time.monotonic()))
                if name == "stop":
                    last[i] = time.monotonic()
                observer(name, doc)
            worst = max(worst, observer.health()["lag_s"])
        observer.drain(3600)
        took = time.monotonic() - begun
        table = observer.results.table()
    close()
    whole = bool((table["status"] == "complete").all() and (table["n_frames"] == frames).all() and len(table) == n + 1)
    parts = [
        {
            "runs": f"{part[0] + 1} to {part[-1] + 1}",
            "stop to result, median (s)": float(np.median(lags[part])),
            "worst (s)": float(lags[part].max()),
        }
        for part in np.array_split(np.arange(n), 4)
    ]
    pace = n * frames / took
    print(f"{pace:.0f} frames/s over {took:.0f} s; furthest behind {worst:.1f} s; nothing skipped: {whole}")
    return [row | {"frames/s over all": pace} for row in parts], whole


def a_run(folder: Path, frames: int, frame_time_s: float) -> Documents:
    """Documents of a run of full frames, which are in a file."""
    instrument = simulated_instrument(folder / "frames", speed=1e6)
    cam, stage = instrument.detector.cam, instrument.stage
    cam.num_images.put(frames), cam.acquire_period.put(frame_time_s), cam.acquire_time.put(frame_time_s)
    documents: Documents = []
    RE = RunEngine({})
    plan = expose(
        instrument.detector,
        beside=[stage.x, stage.y, instrument.rheometer],
        monitored=[instrument.rheometer.stress],
        shutter=instrument.shutter,
    )
    RE(plan, lambda name, doc: documents.append((name, dict(doc))))
    return documents


def copy_of(documents: Documents, mark: str) -> Documents:
    """The documents of a run as those of another: all uids are others, the file is the same."""
    uids = {
        uid for _, doc in documents for name in ("uid", "stream_resource", "run_start") for uid in _texts(doc, name)
    }
    text = json.dumps(documents, default=_plain)
    for uid in uids:
        text = text.replace(uid, f"{uid}-{mark}")
    return [(name, doc) for name, doc in json.loads(text)]


def _texts(doc: dict[str, Any], name: str) -> Iterator[str]:
    if isinstance(doc.get(name), str):
        yield doc[name].partition("/")[0]  # a datum's uid begins with that of its resource


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else np.asarray(value).tolist()


if __name__ == "__main__":
    main()
