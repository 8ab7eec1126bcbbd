"""Pages that are open while runs come: the load of session and server, and the longest gap of the RunEngine's loop.

Runs come every second while viewers in another process follow the campaign: each asks for changes once a second, as a
page does, and one in four listens to Tiled's stream of the results. A heartbeat on the loop is due every 5 ms; its
longest delay is the longest gap. Memory, open files and threads of the session and of the server are those of the last
quarter over those of the second.
"""

import os
import signal
import tempfile
import threading
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import httpx
import numpy as np
from tiled.client.container import Container

from ainerd.server import connect
from studies._numbered import beamline
from studies._tools import Row, Study, memory_mb, report, spread
from studies.latency import BEAT_S, heartbeat

study = Study(__doc__)


@study.part
def viewers(viewers: int = 20, minutes: float = 10.0) -> None:
    """Let viewers follow a campaign."""
    with beamline() as (line, server), tempfile.TemporaryDirectory() as name:
        agent = line.start_agent()
        line.RE(bp.count([line.stack, line.x]))
        agent.drain(60)
        answers = Path(name) / "answers.npy"
        watching = watched(line.client, viewers, 60 * minutes, answers)
        used, end = list[Row](), time.monotonic() + 60 * minutes
        with heartbeat(line.RE) as beats:
            while time.monotonic() < end:
                line.RE(bp.count([line.stack, line.x]))
                used.append(usage(server))
                time.sleep(1.0)
        watching.join(120)
        took, n, n_left = np.load(answers), len(used), agent.status()["backlog"]
        gap = 1e3 * float(np.diff([at for at, _ in beats]).max() - BEAT_S)
        row = {
            "viewers": viewers,
            "requests": len(took),
            "refused": int(np.isnan(took).sum()),
            "runs": n,
            "gap (ms)": gap,
        }
        row["documents that wait"] = n_left
        row |= {f"answer, {k} (s)": v for k, v in spread(took[np.isfinite(took)].tolist()).items()}
        report("load_viewers", [row], most={"refused": 0})
        report("load_viewers_usage", growth(used), most={"ratio": 1.1}, viewers=viewers, minutes=minutes)


def watched(client: Container, viewers: int, seconds: float, answers: Path) -> Any:
    """Start a process of viewers, which writes its answers to a file."""
    options = (client.context.api_uri, client.context.api_key, viewers, seconds, answers)
    watching = get_context("spawn").Process(target=watch, args=tuple(map(str, options)))
    watching.start()
    return watching


def usage(server: int) -> Row:
    """Return memory, open files and threads of this process and of the server."""
    row: Row = {}
    for who, pid in {"session": os.getpid(), "server": server}.items():
        row[f"{who}: memory (MB)"] = memory_mb(process=pid)
        row[f"{who}: open files"] = len(os.listdir(f"/proc/{pid}/fd"))
        row[f"{who}: threads"] = len(os.listdir(f"/proc/{pid}/task"))
    return row


def growth(used: list[Row]) -> list[Row]:
    """Return the median of the second and of the last quarter, and their ratio, of each value."""
    rows = []
    for name in used[0]:
        quarters = [float(np.median(part)) for part in np.array_split([row[name] for row in used], 4)]
        rows.append(
            {"what": name, "second quarter": quarters[1], "last": quarters[3], "ratio": quarters[3] / quarters[1]}
        )
    return rows


def watch(uri: str, key: str, n: str, seconds: str, answers: str) -> None:
    """Follow a campaign with `n` viewers, and write the time of each answer; NaN if it is an error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    took: list[float] = []
    streams: list[Any] = []
    threads = [threading.Thread(target=_view, args=(uri, key, float(seconds), took)) for _ in range(int(n))]
    for thread in threads:
        thread.start()
    for _ in range(int(n) // 4):
        streams.append(connect(uri, key)["ainerd/results"].subscribe())
        streams[-1].start_in_thread()
    for thread in threads:
        thread.join()
    for stream in streams:
        stream.disconnect()
    np.save(answers, took)


def _view(uri: str, key: str, seconds: float, took: list[float]) -> None:
    """Look at the counters of the agents, and read the newest results when they have grown, as a page does."""
    end, counters = time.monotonic() + seconds, None
    address = f"{uri.rstrip('/')}/search/ainerd"
    select = {"select_metadata": "{counters: counters, health: health}", "fields": "metadata", "omit_links": True}
    newest = {"fields": "metadata", "omit_links": True, "sort": "-", "page[limit]": 60}
    headers = {"Authorization": f"Apikey {key}"}
    with httpx.Client(trust_env=False, timeout=60, headers=headers) as http:
        while time.monotonic() < end:
            began = time.monotonic()
            answer = http.get(f"{address}/agents", params=select)
            seen = [each["attributes"]["metadata"]["selected"]["counters"] for each in answer.json().get("data", ())]
            if seen != counters:
                counters, answer = seen, http.get(f"{address}/results", params=newest)
            took.append(time.monotonic() - began if answer.is_success else float("nan"))
            time.sleep(max(began + 2.0 - time.monotonic(), 0))


if __name__ == "__main__":
    study()
