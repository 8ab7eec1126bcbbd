"""The interfaces of databroker on the same server: ``cat.v2`` and, with its extras, Broker."""

import subprocess
import sys

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import det1

from ainerd.server import open_catalog


@pytest.fixture(scope="module")
def run(server):
    """The catalogue of raw runs, and the uid of one in it."""
    raw, _ = open_catalog(server.client().create_container("databroker"))
    RE = RunEngine({})
    RE.subscribe(TiledWriter(raw, batch_size=1))
    (uid,) = RE(count([det1], 3))
    return server.client()["databroker/raw"], uid


USERS = """
import sys, warnings
from tiled.client import from_uri
uid = sys.argv[2]
cat = from_uri(sys.argv[1], api_key=sys.stdin.read())["databroker/raw"]
assert cat.v2[-1].metadata["start"]["uid"] == cat.v2[uid].metadata["start"]["uid"] == uid
assert cat.v2[-1]["primary"].read()["det1"].values.tolist() == [5.0, 5.0, 5.0]
warnings.simplefilter("ignore")
from databroker import Broker
from tiled.client.utils import ClientError
broker = Broker(cat)
assert broker[-1].start["uid"] == cat.v1[uid].start["uid"] == uid
assert broker[uid].table()["det1"].to_list() == [5.0, 5.0, 5.0]
assert [header.start["uid"] for header in broker(plan_name="count")] == [uid]
try:
    list(broker[-1].documents())
except ClientError as error:
    print("no documents", "406" in str(error))
"""


def test_runs_by_uid_scan_id_and_recency(run):
    cat, uid = run
    for run in (cat[uid], cat[uid[:8]], cat[1], cat[-1]):
        assert run.metadata["start"]["uid"] == uid


def test_runs_as_version_2_and_broker_show_them(run, server):
    """In a process of its own, as both change all Tiled clients."""
    command = [sys.executable, "-c", USERS, server.uri, run[1]]
    ran = subprocess.run(command, input=server.api_key, capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "no documents True", ran.stderr
