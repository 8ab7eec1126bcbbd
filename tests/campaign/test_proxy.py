"""A proxy answers in place of Tiled, or not at all: decisions of people are kept, and results are written once."""

import threading
import uuid
from urllib.parse import urlsplit

import numpy as np
import pytest
from campaign_toys import BOUNDS, Toy
from tiled.client import from_uri

from ainerd.agent import CommandReader
from ainerd.campaign import Campaign
from ainerd.config import Steering
from ainerd.jobs import Jobs
from ainerd.results import AgentNode, ResultRecord, ResultStore, commands
from ainerd.runs._patience import Patience
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from tests.proxy import proxy_before
from tests.waiting import until

FAULTS = [(404, False), (502, False), ("nothing", False), (400, True), (405, True), (401, True), ("lost", True)]


@pytest.fixture
def through(server, monkeypatch):
    """A catalog on the server, the proxy before it, and the same catalog through the proxy."""
    for name in ("ATTEMPTS", "TIMEOUT"):
        monkeypatch.setattr(f"tiled.client.utils.TILED_RETRY_{name}", 2)
    monkeypatch.setattr("ainerd.runs._patience.LOOK_S", 0.05)
    monkeypatch.setattr("ainerd.runs._patience.PAUSES_S", (0.1,) * 100)
    monkeypatch.setattr("ainerd.runs._patience.FORBIDDEN", ())
    key = f"proxy-{uuid.uuid4().hex[:8]}"
    _, direct = open_catalog(server.client().create_container(key))
    with proxy_before(urlsplit(server.uri).port) as (proxy, port):
        client = from_uri(f"http://127.0.0.1:{port}/api/v1", api_key=server.api_key)
        yield direct, proxy, client[key]["ainerd"]
        client.context.http_client.close()


def session(ainerd):
    """A campaign that steers, and what reads its commands."""
    store, own, tiled = ResultStore(ainerd, agent="toy"), Jobs("own"), Jobs("tiled", 0.1)
    campaign, node = Campaign(Toy(), store, Steering(bounds=BOUNDS), own, tiled), AgentNode(ainerd, "toy")
    node.open()
    campaign.take_over()
    tiled.when_idle(campaign.catalogue.catch_up)
    own.start(), tiled.start()
    return campaign, CommandReader(store, node, campaign, lambda: None)


@pytest.mark.fault(
    "A proxy answers 400, 401, 404, 405 or 502 in place of Tiled, not at all, or loses the answer",
    "Decisions of people are obeyed at once and written later, once; so are results",
)
def test_what_people_decide_outlasts_a_proxy(through):
    direct, proxy, ainerd = through
    campaign, reader = session(ainerd)
    sender, store, patience = AgentNode(direct, "toy"), campaign._store, Patience(campaign._store.answers)
    boxes, sent = [], []
    for i, (fault, spares_reads) in enumerate(FAULTS):
        record = ResultRecord(raw_uid=f"run {i}", agent="toy", technique="toy", parameters=Toy.parameters)
        store.begin(record)
        analysis = Analysis(embedding=np.array([3.0, i], np.float32), novelty_p=None, arrays={"a": np.ones(3)})
        proxy.n_faults, proxy.fault, proxy.spares_reads = 0, fault, spares_reads
        boxes.append({"x": (9.0, 9.1 + i / 100)})
        assert campaign.apply(commands.Exclude(region=boxes[-1], by="Ann")).status == "done"
        writing = threading.Thread(target=patience, args=(lambda r=record, a=analysis: store.complete(r.key, a),))
        writing.start()
        sent.append(commands.Exclude(region=(box := {"y": (9.0, 9.1 + i / 100)}), by="Bob"))
        sender.send(sent[-1])
        reader.look()
        until(lambda: proxy.n_faults > 3)
        proxy.fault = None
        writing.join(30)
        until(lambda: store.answers() and (reader.look() or not sender.commands()), patience_s=30)
        boxes.append(box)
    assert sorted(map(str, campaign.state.window.excluded)) == sorted(map(str, boxes))
    until(lambda: not (campaign.catalogue.is_behind or campaign.catalogue._due))
    again = Campaign(Toy(), ResultStore(direct, agent="toy"), Steering(bounds=BOUNDS), Jobs(), Jobs())
    assert again.state.window.excluded == campaign.state.window.excluded
    lines = ResultStore(direct).logbook()["text"].tolist()
    assert len([line for line in lines if "excluded" in line]) == len(boxes)
    assert {direct["agents", sender._key, "commands", each.id].metadata["status"] for each in sent} == {"done"}
    table = ResultStore(direct).table()
    assert len(table) == len(FAULTS) and set(table["status"]) == {"complete"}
    assert len(direct["results"].keys()) == len(FAULTS)
    for jobs in (campaign.own, campaign.tiled):
        jobs.finish()
