"""Whole raw runs, and those that lie in the backup of a TiledWriter."""

import json

import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from ophyd.sim import det

from ainerd.documents import MIMETYPES
from ainerd.runs import write_backup, write_run
from ainerd.server import open_catalog
from tests.documents.flights import Flight, image


@pytest.fixture(scope="module")
def raw(server):
    return open_catalog(server.client().create_container("raw-runs"))[0]


@pytest.fixture
def run():
    """Documents of a run of three readings."""
    documents = []
    RunEngine({})(count([det], 3), lambda name, doc: documents.append((name, dict(doc))))
    return documents


def keep(folder, documents):
    path = folder / f"{documents[0][1]['uid'][:8]}.jsonl"
    path.write_text("".join(json.dumps({"name": name, "doc": doc}) + "\n" for name, doc in documents))
    return path


def test_a_run_of_which_a_part_is_there_is_written_anew(raw, run, tmp_path):
    uid = run[0][1]["uid"]
    write = TiledWriter(raw, batch_size=1)
    for name, doc in run[:3]:  # one reading
        write(name, doc)
    assert len(raw[uid]["primary"].read()) == 1 and "stop" not in raw[uid].metadata
    keep(tmp_path, run + run)  # a source gave it twice
    write_backup(raw, tmp_path)
    assert not list(tmp_path.iterdir()) and raw[uid].metadata["stop"]["exit_status"] == "success"
    assert len(raw[uid]["primary"].read()["det"]) == 3


def test_a_run_that_is_there_stays_as_it_is(raw, run, tmp_path):
    write_run(raw, run)
    raw[run[0][1]["uid"]].update_metadata({"note": "by a person"})
    keep(tmp_path, run)
    write_backup(raw, tmp_path)
    assert not list(tmp_path.iterdir()) and raw[run[0][1]["uid"]].metadata["note"] == "by a person"


def flown(mimetype):
    """Documents of a run with two frames in a file of this type."""
    made = Flight()
    primary = made.stream("primary", {"det": image(4, 4)})
    file = made.file("/a.bin", mimetype=mimetype)
    for i in range(2):
        made.frames(file, primary, i, i + 1)
    return made.stop()


@pytest.mark.fault("Tiled refuses a raw run", "It stays in the backup, and is named; the others are written")
def test_a_run_that_tiled_refuses_stays_in_the_backup(raw, run, tmp_path, caplog):
    write_run(raw, flown("application/x-nobody"), tmp_path)
    (path,) = tmp_path.iterdir()
    cut, whole = keep(tmp_path, run[:-1]), compose_run()
    keep(tmp_path, [("start", whole.start_doc), ("stop", whole.compose_stop())])
    write_backup(raw, tmp_path)
    assert {*tmp_path.iterdir()} == {path, cut} and whole.start_doc["uid"] in raw
    assert all(f"the raw run in {each} is not written" in caplog.text for each in (path, cut))


def test_a_run_whose_files_tiled_cannot_read_keeps_their_type(raw):
    documents = flown(MIMETYPES["RIGAKU"])
    write_run(raw, documents)
    node = raw[documents[0][1]["uid"]]["primary"].base["det"]
    assert node.shape == (2, 4, 4)
    assert node.include_data_sources().data_sources()[0].parameters["mimetype"] == MIMETYPES["RIGAKU"]
