"""Tiled for people and services, with PostgreSQL and Redis, configured as in docs/how-to/server.md."""

import os
import re
import secrets
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template

import httpx
import pytest
import yaml
from tiled.client.utils import ClientError
from tiled.queries import Key

from ainerd.agent import build_observer
from ainerd.results import Away, ResultStore
from ainerd.server import SCOPES, ServerError, connect
from tests.end_to_end.sessions import Session
from tests.tiled_servers import POSTGRES, free_port, logged_in, postgres, tiled

DOCS = Path(__file__).resolve().parents[2] / "docs" / "how-to"
FILES = DOCS / "files" / "tiled"
REDIS = shutil.which("redis-server")
pytestmark = [
    pytest.mark.timeout(600),  # the servers and the first run take minutes on a busy machine
    pytest.mark.skipif(not (POSTGRES and REDIS), reason="PostgreSQL or Redis is not installed"),
]
PASSWORDS = {"operator": "spiegel", "deputy": "blende", "analyst": "lupe"}


@contextmanager
def redis():
    """A Redis with a password, which is in no argument of a process."""
    port, password = free_port(), secrets.token_hex(8)
    settings = f'bind 127.0.0.1\nport {port}\nsave ""\nrequirepass {password}\n'
    with subprocess.Popen([REDIS, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            server.stdin.write(settings)
            server.stdin.close()
            assert any("Ready to accept connections" in line for line in server.stdout)
            yield f"redis://:{password}@127.0.0.1:{port}"
        finally:
            server.terminate()


def configured(folder):
    """Configuration of the page."""
    config = yaml.safe_load((FILES / "config.yml").read_text())
    config["authentication"]["providers"][0]["args"]["users_to_passwords"]["deputy"] = "${DEPUTY_PASSWORD}"
    config["access_control"]["args"]["may_steer"].append("deputy")
    shutil.copy(FILES / "services_write.py", folder)
    (folder / "private.yml").write_text(yaml.safe_dump(config))
    return folder / "private.yml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    for name in ("frames", "data"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="module")
def server(folder):
    """The address of Tiled with PostgreSQL and Redis."""
    with ExitStack() as stack:
        config, database = configured(folder), stack.enter_context(postgres("fsync=off"))
        filled = database | {
            "TILED_SECRET_KEY": secrets.token_hex(32),
            "STREAMING_CACHE": stack.enter_context(redis()),
            "DATA_DIRECTORY": str(folder / "data"),
            "FRAMES_DIRECTORY": str(folder / "frames"),
            **{f"{name.upper()}_PASSWORD": password for name, password in PASSWORDS.items()},
        }  # fmt: skip
        config.write_text(Template(config.read_text()).substitute(filled))  # as envsubst does
        (folder / "pgpass").write_text(f"*:*:*:*:{database.pop('PGPASSWORD')}\n")
        (folder / "pgpass").chmod(0o600)
        environment = os.environ | database | {"PGPASSFILE": str(folder / "pgpass")}
        yield stack.enter_context(tiled(config, environment=environment))


@pytest.fixture(scope="module")
def page(server):
    """Names defined by the page's Python code, after its operator has typed name and password."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (DOCS / "server.md").read_text(), re.MULTILINE | re.DOTALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILED_FORCE_PROMPT", "1")
        patch.setattr("builtins.input", lambda prompt: "operator")
        patch.setattr("getpass.getpass", lambda *prompt: PASSWORDS["operator"])
        names = {}
        exec(code.replace("http://127.0.0.1:8000", server), names)
    yield names
    names["admin"].context.http_client.close()


@pytest.fixture
def client(server):
    """Returns clients with a key."""
    with ExitStack() as stack:

        def with_key(key):
            client = connect(server, key)
            stack.callback(client.context.http_client.close)
            return client

        yield with_key


@pytest.fixture(scope="module")
def explored(server, page, folder):
    """A session whose results are on the server, and their table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_STORAGE__URI", server)
        patch.setenv("AINERD_STORAGE__API_KEY", page["engine"])
        session = Session(folder)
    session.RE(session.agent.explore(1))
    table = session.table()
    session.agent.detach()  # so that all of the raw runs is written
    yield session, table
    session.close()


def test_an_agent_writes_to_postgresql(explored, page, client):
    session, table = explored
    assert table["status"].tolist() == ["complete"]
    results = client(page["reader"])["ainerd/results"]
    assert len(results.search(Key("novelty_p") <= 1.0)) == len(results.search(Key("sample_x") >= 0.0)) == 1
    assert len(results.search(Key("sample_x") > 100.0)) == 0
    assert len(session.agent.results.rows(table.index[0], "stress")) > 0
    assert results[table.index[0]].data_sources() == []  # each array is a node: the server reads no folder of results
    assert results[table.index[0], "c2"].dims == ("roi", "t1", "t2")
    for secret in (*PASSWORDS.values(), page["engine"], page["agent"], page["reader"]):
        assert secret not in (session.settings.storage.directory.parent / "tiled.log").read_text()


@pytest.mark.fault("An agent starts with a read-only key", "One line names the scopes that it needs")
def test_an_agent_without_write_access_is_refused(explored, page, client):
    session, _ = explored
    with pytest.raises(ServerError) as error:
        build_observer(session.settings, client(page["reader"]))
    message = str(error.value)
    assert "does not allow writing" in message and "create:node" in message
    assert "\n" not in message and page["reader"] not in message


@pytest.mark.fault("A user with a read-only key tries to write", "The server refuses; reading continues")
def test_a_read_only_key_is_enough_for_an_analyst(explored, page, client):
    session, table = explored
    root = client(page["reader"])
    store, key = ResultStore(root["ainerd"]), table.index[0]
    assert store.table(all=True)["raw_uid"].tolist() == table["raw_uid"].tolist()
    assert store.array(key, "c2").shape == (18, 256, 256) and store.similar(key).empty and "1 result," in repr(store)
    assert len(store.logbook()) > 0 and store.newest_atlas() is not None
    run = root["raw"][table["raw_uid"].iloc[0]]
    assert run.metadata["stop"]["exit_status"] == "success"
    assert run["lambda750k"].base["lambda750k_image"][:2, 0].sum() > 0  # the server reads the detector's files
    for write in (
        lambda: store.log("written by an analyst"),
        lambda: root["ainerd/results", key].update_metadata({"novel": True}),
        lambda: root["ainerd/results"].delete_contents(key, recursive=True, external_only=False),
    ):
        with pytest.raises((Away, ClientError), match="40[13]"):
            write()
    assert "written by an analyst" not in store.logbook()["text"].tolist() and store.status(key) == "complete"


def test_the_policy_lets_people_read_and_services_write(server, client, explored):
    command = {
        "structure_family": "container",
        "data_sources": [],
        "specs": [],
        "metadata": {"do": "hold", "by": "deputy"},
    }
    with httpx.Client(base_url=f"{server}/api/v1", trust_env=False) as http:
        analyst, deputy = (logged_in(http, "beamline", name, PASSWORDS[name]) for name in ("analyst", "deputy"))
        all_they_may = {"scopes": None, "expires_in": None}
        key = http.post("/auth/apikey", json=all_they_may, headers=analyst).json()["secret"]
        assert http.get("/metadata/").status_code == 401
        assert http.post("/metadata/ainerd", json=command, headers=deputy).is_success  # who may steer
    root = client(key)
    assert len(ResultStore(root["ainerd"])) == 1
    with pytest.raises(ClientError, match="403"):
        root.create_container("mine")


def test_the_scopes_of_the_page_are_enough_for_the_agent(page):
    assert page["write"] == [*SCOPES]


def test_the_compose_file_publishes_no_port_and_no_secret():
    path = DOCS / "files" / "compose.yml"
    services = yaml.safe_load(path.read_text())["services"]
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    assert services["tiled"]["environment"] == {"PGUSER": "tiled", "PGPASSFILE": "/deploy/config/pgpass"}
    assert services["postgres"]["environment"] == {"POSTGRES_USER": "tiled", "POSTGRES_PASSWORD": "${PGPASSWORD:?}"}
    for service in services.values():
        mounted = [volume.split(":")[0] for volume in service["volumes"] if volume.startswith("./")]
        assert mounted and all((path.parent / name).exists() for name in mounted)
