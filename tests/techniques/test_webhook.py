"""A web address gets a message at each claim, alarm, failure in a row and end of a session; nothing waits for it."""

import http.server
import json
import logging
import threading

import bluesky.plans as bp
import pytest
from ophyd.sim import NullStatus

from ainerd.agent._webhook import Webhook
from ainerd.config import Settings, SettingsError
from tests.waiting import until

TOKEN = "T0KEN"


class Chat(http.server.ThreadingHTTPServer):
    """Answers with the statuses in `answers`, then with 200. While `opens` is not set, it does not answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Request)
        self.answers, self.got, self.opens, self.came = [], [], threading.Event(), threading.Semaphore(0)
        self.opens.set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook/{TOKEN}"

    def wait_for(self, n):
        for _ in range(n):
            assert self.came.acquire(timeout=60)


class Request(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.came.release()
        self.server.opens.wait(60)
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.got.append((self.path, status, message))
        self.send_response(status)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def chat():
    with Chat() as chat:
        thread = threading.Thread(target=chat.serve_forever, args=(0.01,))
        thread.start()
        yield chat
        chat.opens.set()
        chat.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def log(caplog):
    """The whole log; it never has the token."""
    caplog.set_level(logging.DEBUG)
    yield lambda: [record.getMessage() for record in caplog.records if record.name.startswith("ainerd")]
    assert TOKEN not in caplog.text


def sent(url, *texts):
    webhook = Webhook(url, "flow")
    for text in texts:
        webhook.post("new", text, scan="12")
    webhook.close()


def test_an_accepted_message_comes_once(chat, log):
    sent(chat.url, "regime 1 is new", "x" * 9000)
    (path, _, message), (_, _, long) = chat.got
    assert path == f"/hook/{TOKEN}" and len(long["text"]) == 2000 and log() == []
    assert {**message, "time": ""} == {
        "event": "new", "agent": "flow", "time": "", "text": "regime 1 is new", "scan": "12"
    }  # fmt: skip


def test_messages_that_are_not_accepted_are_named_in_the_log(chat, log):
    chat.answers = [307, 200, 404]  # a redirect is not followed
    sent(chat.url, *"abc")
    assert [(path, message["text"]) for path, _, message in chat.got] == [(f"/hook/{TOKEN}", x) for x in "abc"]
    assert log() == [f"the webhook did not accept a message: it answers {status}" for status in (307, 404)]


def test_a_server_that_hangs_delays_nothing(chat, log, monkeypatch):
    """Messages are queued at once, and the end of the session does not wait for the answer."""
    monkeypatch.setattr("ainerd.agent._webhook.CLOSE_S", 0.01)
    chat.opens.clear()
    webhook = Webhook(chat.url, "flow")
    webhook.post("new", "a")
    chat.wait_for(1)
    webhook.post("new", "b")
    webhook.close()
    assert chat.got == []
    chat.opens.set()
    chat.wait_for(1)
    assert until(lambda: [message["text"] for _, _, message in chat.got] == ["a", "b"]) and log() == []


@pytest.mark.usefixtures("installed_toy")
def test_a_session_sends_its_failures_in_a_row_and_its_end(beamline, chat, variables):
    variables(AINERD_WEBHOOK=chat.url)
    b = beamline()
    b.camera.trigger = NullStatus  # dark frames
    b.RE(bp.count([b.camera]))
    uid, *_ = b.RE(bp.count([b.camera]))
    b.agent.close()
    failure, end = (message for _, _, message in chat.got)
    assert (failure["event"], failure["run"], end["event"]) == ("failure", uid, "end")
    assert failure["text"].startswith("the last 2 exposures gave no result: 1 frames without finite counts")
    assert end["text"] == "the session ended: it analysed 2 runs; 0 regimes called new"


def test_an_address_that_is_none_is_refused_and_not_shown(variables):
    variables(AINERD_WEBHOOK="ftp://chat/T0KEN")
    with pytest.raises(SettingsError, match="webhook: it is not the address of a web server") as refused:
        Settings.load("profiles/rheo_xpcs/small.toml")
    assert TOKEN not in str(refused.value) and TOKEN not in repr(refused.value.__cause__)
