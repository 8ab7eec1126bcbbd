"""Tiled with tags of access: who sees a run sees its result, and nobody else."""

import asyncio
import warnings
from contextlib import ExitStack

import httpx
import pytest
from bluesky_tiled_plugins import TiledWriter
from run_parts import Toy, movie, scan
from tiled.access_control.access_tags import AccessTagsCompiler
from tiled.access_control.scopes import ALL_SCOPES
from tiled.commandline._catalog import init
from tiled.server.settings import DatabaseSettings

from ainerd.documents import documents_of
from ainerd.results import ResultStore
from ainerd.runs import RecordedKeys
from ainerd.server import connect, open_catalog
from tests.tiled_servers import logged_in, tiled, written

READ = ["read:metadata", "read:data"]
PEOPLE = {"operator": "spiegel", "ann": "lupe", "bob": "linse"}
WRITE = [*READ, "write:metadata", "write:data", "create:node", "delete:node", "delete:revision", "register"]


def definitions(service, stranger):
    """Everybody sees the campaign of the beamline, Ann the runs of proposal 1, Bob those of proposal 2."""

    def tag(*readers, writers=(service, stranger)):
        users = [{"name": name, "scopes": READ} for name in readers]
        return {"users": users + [{"name": name, "scopes": WRITE} for name in writers]}

    tags = {"beamline": tag("ann", "bob"), "pass-1": tag("ann"), "pass-2": tag("bob", writers=[service])}
    owners = {name: {"users": [{"name": service}]} for name in tags}
    owners["beamline"]["users"].append({"name": stranger})
    return {"tags": tags, "tag_owners": owners}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of a Tiled server with Tiled's own policy of tags, and keys of people and services."""
    folder = tmp_path_factory.mktemp("tags")
    catalog = f"sqlite:///{folder}/catalog.db"
    parser = "tiled.access_control.access_tags:AccessTagsParser"
    policy = "tiled.access_control.access_policies:TagBasedAccessPolicy"
    config = written(
        folder, "beamline", PEOPLE,
        authentication={"tiled_admins": [{"provider": "beamline", "id": "operator"}]},
        access_control={"access_policy": policy, "args": {"provider": "beamline", "access_tags_parser": parser}},
        catalog={"top_level_access_tags": ["beamline"]},
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore"):  # of alembic
        init(catalog)  # Tiled would start another interpreter for it
    with tiled(config) as uri:
        yield uri, made_keys(f"{uri}/api/v1", catalog)


def made_keys(api, catalog):
    """Keys of Ann, Bob, the service that writes, and one that owns no tag of proposal 1."""
    with httpx.Client(base_url=api, trust_env=False) as http:

        def token(name):
            return logged_in(http, "beamline", name, PEOPLE[name])

        def key(path, name, scopes=READ):
            return http.post(path, json={"scopes": scopes, "expires_in": None}, headers=token(name)).json()["secret"]

        services = [
            http.post("/auth/principal", params={"role": "admin"}, headers=token("operator")).json()["uuid"]
            for _ in range(2)
        ]
        tags = definitions(*services)
        compiler = AccessTagsCompiler(
            ALL_SCOPES, tags, DatabaseSettings(uri=catalog.replace("sqlite", "sqlite+aiosqlite")), lambda group: []
        )
        compiler.load_tag_config()
        asyncio.run(compiler.compile())
        asyncio.run(compiler._engine.dispose())
        keys = {name: key("/auth/apikey", name) for name in ("ann", "bob")}
        for name, uuid in zip(("service", "stranger"), services, strict=True):
            keys[name] = key(f"/auth/principal/{uuid}/apikey", "operator", WRITE)
        return keys


@pytest.fixture
def client(served):
    """Returns clients of people and services."""
    uri, keys = served
    with ExitStack() as stack:

        def of(name):
            client = connect(uri, keys[name])
            stack.callback(client.context.http_client.close)
            return client

        yield of


def names(container):
    return set(container)


def analysed(worker, raw, documents):
    """Give a run to a worker, and to Tiled without its events; return the outcome."""
    writer = TiledWriter(raw)
    for name, doc in documents:
        worker(name, dict(doc))
        if name in ("start", "stop"):
            writer(name, dict(doc))
    return worker.outcomes(documents[0][1]["uid"]).result(60)[-1]


def test_a_result_is_seen_by_those_who_see_its_run(client, worker_on, tmp_path):
    raw, ainerd = open_catalog(client("service"))
    worker = worker_on(Toy(), ResultStore(ainerd), tmp_path, RecordedKeys(positions=("x",)))
    keys, uids = {}, {}
    for tag in ("pass-1", "pass-2"):
        start = {"sample": f"sample of {tag}", "tiled_access_tags": [tag]}
        documents = list(scan(movie(1, 2), num_points=2, **start))
        keys[tag], uids[tag] = analysed(worker, raw, documents).key, documents[0][1]["uid"]
        assert next(documents_of(raw[uids[tag]]))[1]["tiled_access_tags"] == [tag]  # as a replay from Tiled reads it
    assert worker.jobs.drain()
    for person, tags in {"ann": {"pass-1"}, "bob": {"pass-2"}, "service": {*uids}}.items():
        root = client(person)
        assert {tag for tag, uid in uids.items() if uid in root["raw"]} == tags, person
        assert {*root["ainerd/results"]} == {keys[tag] for tag in tags} == {*ResultStore(root["ainerd"])}, person
    store = ResultStore(client("ann")["ainerd"])
    assert store.array(keys["pass-1"], "sums").tolist() == [1, 2]
    with pytest.raises(KeyError):
        store.array(keys["pass-2"], "sums")


@pytest.mark.fault(
    "A run has an access tag that the agent's key may not give", "Its result is refused, with one line in the log"
)
def test_a_tag_that_the_agent_may_not_give_is_refused(client, worker_on, tmp_path):
    raw, ainerd = open_catalog(client("stranger"))
    before = {*ainerd["results"]}
    worker = worker_on(Toy(), ResultStore(ainerd), tmp_path, RecordedKeys(positions=("x",)))
    documents = list(scan(movie(1, 2), num_points=2, tiled_access_tags=["pass-2"]))
    for name, doc in documents:
        worker(name, dict(doc))
    outcome = worker.outcomes(documents[0][1]["uid"]).result(60)[-1]
    assert outcome.status == "failed" and "not an owner of tag='pass-2'" in outcome.reason
    assert {*ainerd["results"]} == before and worker.n_left == 1
