"""What people who come from databroker use, on the same server: ``cat.v2`` and, with its extras, Broker."""

import subprocess
import sys

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import det1
from tiled.client.utils import ClientError

from ainerd.server import open_catalog


@pytest.fixture(scope="module")
def run(server):
    """The catalogue of raw runs, and the uid of one in it."""
    raw, _ = open_catalog(server.client().create_container("databroker"))
    RE = RunEngine({})
    RE.subscribe(TiledWriter(raw, batch_size=1))
    (uid,) = RE(count([det1], 3))
    return server.client()["databroker/raw"], uid


def test_runs_by_uid_scan_id_and_recency(run):
    cat, uid = run
    for found in (cat[uid], cat[uid[:8]], cat[1], cat[-1]):
        assert found.metadata["start"]["uid"] == uid


def test_runs_as_version_2_shows_them(run, server):
    cat, uid = run
    # in a process of its own: `v2` changes what every Tiled client of its process makes of a run
    script = """
import sys
from tiled.client import from_uri
cat = from_uri(sys.argv[1], api_key=sys.stdin.read())["databroker/raw"]
assert cat.v2[-1].metadata["start"]["uid"] == cat.v2[sys.argv[2]].metadata["start"]["uid"] == sys.argv[2]
print(cat.v2[-1]["primary"].read()["det1"].values.tolist())
"""
    command = [sys.executable, "-c", script, server.uri, uid]
    ran = subprocess.run(command, input=server.api_key, capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[5.0, 5.0, 5.0]", ran.stderr


@pytest.mark.filterwarnings("ignore")
def test_broker(run):
    from databroker import Broker

    cat, uid = run
    broker = Broker(cat)
    assert broker[-1].start["uid"] == cat.v1[uid].start["uid"] == uid
    assert broker[uid].table()["det1"].to_list() == [5.0, 5.0, 5.0]
    assert [header.start["uid"] for header in broker(plan_name="count")] == [uid]
    with pytest.raises(ClientError, match="406"):
        list(broker[-1].documents())
