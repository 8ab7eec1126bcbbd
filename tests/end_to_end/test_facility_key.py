"""The key of a facility: it may not subscribe, and it is revoked and replaced."""

import json
import logging

import httpx
import pytest
from typer.testing import CliRunner

import ainerd.cli
from ainerd.agent import build_observer
from ainerd.config import Settings
from ainerd.results import AgentNode
from ainerd.results.commands import Hold
from ainerd.server import SCOPES, connect
from tests.techniques.installing import TOY, installed
from tests.tiled_servers import logged_in, tiled, written
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facility")
    (folder / "data").mkdir()
    with tiled(written(folder, "beamline", {"service": "blende"}, streaming_cache={"uri": "memory"})) as uri:
        yield uri


@pytest.fixture(scope="module", autouse=True)
def toy(tmp_path_factory):
    with installed(TOY, tmp_path_factory.mktemp("site")):
        yield


def test_check_names_a_missing_scope_and_leaves_no_node(address, tmp_path):
    (tmp_path / "agent.toml").write_text(
        (TOY / "toy.toml").read_text().replace('directory = "tiled"', f'directory = "t"\nuri = "{address}"')
    )
    with httpx.Client(base_url=f"{address}/api/v1", trust_env=False) as http:
        login = logged_in(http, "beamline", "service", "blende")

        def checked(*scopes):
            answer = http.post("/auth/apikey", json={"scopes": [*scopes], "expires_in": None}, headers=login)
            command = ["check", str(tmp_path / "agent.toml"), "--server", "--json"]
            done = CliRunner(env={"AINERD_STORAGE__API_KEY": answer.json()["secret"]}).invoke(ainerd.cli.app, command)
            return [each for each in json.loads(done.stdout) if each["subject"] in ("key", "write", "server")]

        wrong = checked(*(scope for scope in SCOPES if scope != "write:data"))
        assert [each["state"] for each in wrong if not each["ok"]] == ["lacks the scope write:data"]
        assert all(each["ok"] for each in checked(*SCOPES))
        keys = [node["id"] for node in http.get("/search/", headers=login).json()["data"]]
        assert not [key for key in keys if key.startswith("check-")]


@pytest.mark.fault(
    "A facility's key may not subscribe; it is revoked and replaced",
    "One line of the log, commands are answered; `agent.results` names the revoked key, and the next session goes on",
)
def test_a_key_of_a_facility(address, tmp_path, caplog, monkeypatch):
    (tmp_path / "agent.toml").write_text((TOY / "toy.toml").read_text())
    settings = Settings.load(tmp_path / "agent.toml")
    with httpx.Client(base_url=f"{address}/api/v1", trust_env=False) as http:
        login = logged_in(http, "beamline", "service", "blende")

        def new_key():
            answer = http.post("/auth/apikey", json={"scopes": [*SCOPES], "expires_in": None}, headers=login)
            return answer.json()["secret"]

        key = new_key()
        client = connect(address, key)
        observer = build_observer(settings, client)
        node, hold = AgentNode(client["ainerd"], observer.results.agent), Hold(by="Ann", why="tea")
        until(lambda: "may not subscribe" in caplog.text)
        assert node.send(hold)
        until(lambda: node.state().get("held"))  # Tiled has it before the key is revoked
        said = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(said) == 1 and "every five" in said[0].getMessage()
        assert http.delete("/auth/apikey", params={"first_eight": key[:8]}, headers=login).is_success
        until(lambda: "Tiled refuses the key" in repr(observer.results))
        observer.close()
        monkeypatch.setattr("ainerd.results._agents.SILENT_S", 0.0)  # the first session could not say that it ended
        again = connect(address, new_key())
        second = build_observer(settings, again)
        assert second.steers and second.optimizer.state.held.by == "Ann"
        second.close()
        for each in (client, again):
            each.context.http_client.close()
