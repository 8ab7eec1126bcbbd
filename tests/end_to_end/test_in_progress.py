"""The picture of the run in progress is an array in Tiled, which fills in with the run."""

import queue
import threading
from contextlib import suppress

import numpy as np

from ainerd.agent._live import SIDE, LivePicture
from tests.end_to_end.sessions import Session
from tests.waiting import until

BLOCK = 50  # frames that are read at a time

PATIENCE_S = 60
FRAMES = 8 * BLOCK


def test_a_run_fills_in(server, tmp_path, monkeypatch):
    stopped, go, on_block = queue.Queue(), queue.Queue(), LivePicture.on_block

    def step(live, subject):  # the worker waits after each block of frames
        on_block(live, subject)
        stopped.put(None)
        go.get(timeout=PATIENCE_S)

    monkeypatch.setattr(LivePicture, "on_block", step)
    for name, value in {"EVERY_S": 0.0, "BUSY": 10**6}.items():
        monkeypatch.setattr(f"ainerd.agent._live.{name}", value)
    for name, value in {"LOOK_S": 0.05, "EVERY_S": 0.1}.items():
        monkeypatch.setattr(f"ainerd.agent._state.{name}", value)
    session = Session(tmp_path / "progress", server)
    session.expect(FRAMES)
    session.RE.context_managers = []
    session.agent.quiet = True
    agents = session.client["ainerd/agents"]
    done = threading.Thread(target=lambda: session.RE(session.agent.explore(1)))
    done.start()
    pictures = []

    def fills_in():
        """Return another picture than the last one; until there is one, let the worker go on."""
        if (run := agents.values().first().metadata["health"].get("run")) and run["picture"]:
            assert 0 < run["read"] <= run["of"] == FRAMES
            picture = agents.values().first()["picture"].read()
            if not pictures or not np.array_equal(picture, pictures[-1], equal_nan=True):
                return picture
        with suppress(queue.Empty):
            stopped.get_nowait()
            go.put(None)
        return None

    try:
        for _ in range(2):
            pictures.append(until(lambda: None if (picture := fills_in()) is None else [picture])[0])
            assert pictures[-1].shape == (SIDE, SIDE) and np.isfinite(pictures[-1]).any()
            np.testing.assert_allclose(pictures[-1], pictures[-1].T, rtol=1e-3)  # of a two-time correlation
    finally:
        for _ in range(FRAMES):
            go.put(None)
        done.join(PATIENCE_S)
        session.close()
