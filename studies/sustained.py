"""Runs back to back, as fast as a detector at 2 kHz delivers them: how far the agent falls behind.

A run of 5000 full frames is taken once with the simulated instrument and written to a file. Its documents are emitted
again and again, in the time that the detector would take, each time as another run, so that each is read from disk,
correlated and written to Tiled. Every run must have all frames and one complete result; the exit code is 1 otherwise.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.progress import track

from studies._tools import Row, Study, report
from studies.latency import Bench, Documents, bench_in

study = Study(__doc__)


@study.part
def sustained(rate: float = 2000.0, frames: int = 5000, minutes: float = 5.0) -> None:
    """Emit the runs; `rate` is in frames per second, `minutes` of acquisition."""
    with tempfile.TemporaryDirectory() as folder, bench_in(Path(folder)) as bench:
        rows, nothing_skipped = lags(bench, rate, frames, minutes)
    wrong = [] if nothing_skipped else ["a run has no complete result of all frames"]
    report("sustained", rows, wrong=wrong, rate=rate, frames=frames)


def lags(bench: Bench, rate: float, frames: int, minutes: float) -> tuple[list[Row], bool]:
    """Return the lag by quarter of the time, and whether every run has its one complete result."""
    duration, agent = frames / rate, bench.agent
    n, (_, taken) = max(4, round(60 * minutes / duration)), bench.expose(frames, duration)
    for name, doc in copied(taken, "warm"):
        agent(name, doc)
    agent.drain(600)  # calibrations are made with the first run
    stops: list[float] = []
    bench.done.clear()
    began, worst = time.monotonic(), 0.0
    for i in track(range(n), description=f"{n} runs of {duration:g} s"):
        documents = copied(taken, f"{i:04d}")
        for (name, doc), at in zip(documents, np.linspace(0, duration, len(documents)), strict=True):
            time.sleep(max(0.0, began + i * duration + at - time.monotonic()))
            agent(name, doc)
        stops.append(time.monotonic())
        worst = max(worst, agent.status()["lag_s"])
    agent.drain(3600)
    pace = n * frames / (time.monotonic() - began)
    table = agent.results.table(all=True)
    whole = bool((table["status"] == "complete").all() and (table["n_frames"] == frames).all() and len(table) == n + 1)
    print(f"{pace:.0f} frames/s; furthest behind {worst:.1f} s; nothing skipped: {whole}")
    lag_s = np.array([at.clock_s for at in bench.done]) - np.array(stops)[: len(bench.done)]
    rows = [
        {
            "runs": f"{part[0] + 1} to {part[-1] + 1}",
            "stop to result, median (s)": np.median(lag_s[part]),
            "worst (s)": lag_s[part].max(),
            "frames/s over all": pace,
        }
        for part in np.array_split(np.arange(len(lag_s)), 4)
    ]
    return rows, whole


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
