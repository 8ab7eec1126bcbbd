"""A page shows the run in progress; no picture is made while no page is open."""

import json
import queue
import threading

import httpx
import numpy as np
import pytest

from ainerd.agent._live import SIDE, LivePicture
from ainerd.documents._frames import BLOCK
from ainerd.results import digest
from tests.end_to_end.sessions import Session
from tests.waiting import until

PATIENCE_S = 60
FRAMES = 8 * BLOCK


class Steps:
    """Stops the worker after each block of frames, until it may go on."""

    def __init__(self, on_block):
        self._on_block, self._stopped, self._go, self._ends = on_block, queue.Queue(), queue.Queue(), False

    def __call__(self, live, subject):
        before = live._next
        self._on_block(live, subject)
        if not self._ends:
            self._stopped.put((subject.n_read, live._next != before))
            self._go.get(timeout=PATIENCE_S)

    def until_it_stops(self):
        """Return the number of frames read, and whether a picture was made."""
        return self._stopped.get(timeout=PATIENCE_S)

    def until_a_picture(self):
        """Return the number of frames read when a picture is made."""
        while True:
            self._go.put(None)
            read, made = self.until_it_stops()
            if made:
                return read

    def to_the_end(self):
        self._ends = True
        self._go.put(None)


@pytest.fixture
def stepped(server, tmp_path, monkeypatch):
    """A session whose worker stops after each block, and a function that requests the picture as a page does."""
    steps = Steps(LivePicture.on_block)
    monkeypatch.setattr(LivePicture, "on_block", lambda live, subject: steps(live, subject))
    monkeypatch.setattr("ainerd.agent._live.PICTURE_EVERY_S", 0.0)
    monkeypatch.setattr("ainerd.agent._live.SHARE", 1e9)
    monkeypatch.setattr("ainerd.agent._live.BUSY", 10**6)
    monkeypatch.setattr("ainerd.agent._state.LOOK_S", 0.05)
    session = Session(tmp_path / "progress", server)
    session.expect(FRAMES)
    session.RE.context_managers = []
    session.agent.quiet = True
    key = digest({"agent": session.settings.name})
    path = "/".join([*session.client.path_parts, "ainerd", "agents", key])
    with httpx.Client(trust_env=False, timeout=30, headers={"Authorization": f"Apikey {server.api_key}"}) as http:
        yield (
            session,
            steps,
            lambda n=-1: http.get(f"{server.uri.removesuffix('/api/v1')}/custom/ainerd/live/{path}", params={"n": n}),
        )
    session.close()


def test_a_run_fills_in_while_a_page_looks(stepped):
    session, steps, look = stepped
    done = threading.Thread(target=lambda: session.RE(session.agent.explore(1)))
    done.start()
    try:
        assert steps.until_it_stops()[1] is False
        assert look().status_code == 204  # nobody had looked, so that there is nothing
        until(lambda: session.agent._analysis.live._is_wanted)
        read = steps.until_a_picture()
        first = until(lambda: answer if (answer := look()).status_code == 200 else None)
        about, of = json.loads(first.headers["x-picture"]), session.detector.cam.num_images.get()
        assert (about["read"], about["of"]) == (read, of) and 0 < read < of
        picture = np.frombuffer(first.content, "<f4").reshape(about["shape"])
        assert max(picture.shape) <= SIDE and np.isfinite(picture).any()
        np.testing.assert_allclose(picture, picture.T, rtol=1e-3)  # of a two-time correlation
        n = int(first.headers["x-n"])
        assert look(n).status_code == 204
        read = steps.until_a_picture()
        second = until(lambda: answer if (answer := look(n)).status_code == 200 else None)
        assert json.loads(second.headers["x-picture"])["read"] == read and int(second.headers["x-n"]) == n + 1
    finally:
        steps.to_the_end()
        done.join(PATIENCE_S)
    (key,) = session.table().index
    assert key == about["key"]
    until(lambda: look().status_code == 204)
