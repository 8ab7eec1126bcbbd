"""Answers that are none of Tiled: nothing that was measured or decided is lost, and nothing is there twice."""

import bluesky.plans as bp
import pytest

from ainerd.agent import build_observer
from ainerd.jobs import in_background
from ainerd.results import ResultStore
from ainerd.server import connect
from tests.proxy import proxy_of
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("installed_toy")

N, MANY = 3, 10**6
OF_MODE = {"3 s": 4}  # requests that go wrong; of the other modes all, until the proxy is healed


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for name in ("ATTEMPTS", "TIMEOUT"):
        monkeypatch.setattr(f"tiled.client.utils.TILED_RETRY_{name}", 2)  # else a call waits 45 s for the server


@pytest.fixture
def session(server, beamline, monkeypatch):
    """A session whose agent, but not the writer of raw runs, asks Tiled through a proxy."""
    monkeypatch.setattr("ainerd.results._store.PAUSE_S", 1.0)
    b = beamline(starts=False)
    with proxy_of(b.client.uri) as proxy:
        store, direct = ResultStore(b.client["ainerd"], agent="toy beamline"), b.client
        b.client = connect(proxy.through(direct.uri), server.api_key)
        b.start_agent(acquire=bp.count)
        b.agent.quiet = True
        yield b, proxy, store
        b.agent.close()
        b.client.context.http_client.close()


@pytest.mark.fault(
    "A proxy before Tiled answers with a page (200 or 404), nothing, 502, half an answer, or late",
    "Results and decisions wait; once Tiled answers, each is written once",
)
@pytest.mark.timeout(600)
def test_answers_that_are_none_lose_no_run_and_no_decision(session, caplog):
    b, proxy, store = session
    for i, mode in enumerate(["html", "empty", "404", "502", "cut", "3 s"]):
        assert until(b.agent.drain)
        proxy.fail(mode, n := OF_MODE.get(mode, MANY))
        for x in range(N):
            b.agent.add(0.01 * i + 0.1 + x * 0.9, reason=f"{mode}: scratch {x}")
            b.RE(bp.count([b.camera, b.x, b.temperature]))
        if mode in OF_MODE:
            until(lambda: proxy.left <= 0)
        else:
            assert until(lambda n=n: proxy.left < n) and not b.agent.drain(0.5)
        proxy.heal()
        assert until(b.agent.drain)
        until(lambda: not b.agent.optimizer.journal.is_behind)
        table, lines, suggestions = store.table(all=True), store.logbook(), store.suggestions()
        assert len(table) == N * (i + 1) and (table["status"] == "complete").all() and table["raw_uid"].is_unique
        assert table["regime"].notna().all(), mode
        of_results = lines["result"][lines["text"].str.contains("regime", regex=False) & lines["result"].notna()]
        assert {*of_results} == {*table.index} and of_results.is_unique, mode
        asked = lines["text"][lines["text"].str.contains(f"{mode}: scratch", regex=False)]
        assert len(asked) == N and asked.is_unique, mode
        mine = suggestions[suggestions["reason"].str.contains(f"{mode}: scratch", regex=False)]
        assert len(mine) == N and (mine["status"] == "proposed").all(), mode
    assert not [record for record in caplog.records if record.exc_info]


@pytest.fixture
def behind(server, beamline):
    """Settings, a client of an empty catalog behind a proxy, and the proxy."""
    b = beamline(starts=False)
    with proxy_of(b.client.uri) as proxy:
        client = connect(proxy.through(b.client.uri), server.api_key)
        yield b.settings, client, proxy
        client.context.http_client.close()


@pytest.mark.fault(
    "Tiled is away, or behind a page of a login, while a session starts", "The start waits, with one line"
)
def test_a_start_waits_for_tiled(behind, capsys):
    settings, client, proxy = behind
    proxy.fail("html")
    n = proxy.left
    building = in_background("start", lambda: build_observer(settings, client))
    until(lambda: proxy.left < n - 1 and "waiting for Tiled" in capsys.readouterr().err)
    proxy.fail("502", 1)  # once more
    observer = building.result(120)
    try:
        assert observer.steers and "waiting for Tiled" not in capsys.readouterr().err
    finally:
        observer.close()


def test_a_start_with_a_refused_key_ends_with_one_line(behind):
    settings, client, _ = behind
    client.context.api_key = "0" * 64
    with pytest.raises(ValueError, match=r"^[^\n]*(refuses|does not allow)[^\n]*$"):
        build_observer(settings, client)
