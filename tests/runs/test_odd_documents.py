"""Documents that hold anything, and those of older programs: a run has one result, with numbers or with a reason."""

import h5py
import numpy as np
import pytest
from run_parts import Toy

from ainerd.results import ResultStore
from ainerd.runs import RecordedKeys
from ainerd.server import open_catalog
from tests.documents.test_described_detector import GOOD, KEYS, flown


@pytest.fixture
def keys():
    return KEYS


@pytest.fixture
def results(place, worker_on, tmp_path):
    """Send documents to a worker, and return the metadata of the results of their run."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["d"] = np.ones((4, 2, 3), "u2")
    _, ainerd = open_catalog(place.client())
    work = worker_on(Toy(unit="event"), ResultStore(ainerd), tmp_path, RecordedKeys(positions=("x",)))

    def send(documents):
        documents = list(documents)
        for name, doc in documents:
            work(name, doc)
        assert work.jobs.drain(30) and not work.backlog
        nodes = [node.metadata for node in ainerd["results"].values()]
        return [node for node in nodes if node["raw_uid"] == documents[0][1]["uid"]]

    return send


@pytest.mark.parametrize("number", ["4", None])
def test_a_bad_setting_is_one_failed_result(results, tmp_path, number):
    (node,) = results(flown(GOOD | {"cam_num_images": number}, folder=tmp_path))
    assert node["status"] == "failed" and "the configuration 'cam_num_images' is" in node["reason"]
    assert not node.get("retake")


def changed(documents, kind, change):
    return [(name, change(doc) if name == kind else doc) for name, doc in documents]


def without(*keys):
    return lambda doc: {key: value for key, value in doc.items() if key not in keys}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("descriptor", without("object_keys", "hints", "time")),
        ("stream_datum", without("seq_nums", "uid")),
        ("stop", without("num_events", "time", "exit_status")),
    ],
)
def test_documents_of_older_programs_are_read(results, tmp_path, kind, change):
    (node,) = results(changed(flown(GOOD, folder=tmp_path), kind, change))
    assert node["n_frames"] == 4 and node["status"] in ("complete", "partial")


@pytest.mark.fault(
    "A document lacks a key, or holds something else than expected", "One failed result names the document"
)
@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("stream_datum", without("indices"), "stream_datum document: 'indices' is a required property"),
        ("stream_resource", without("parameters"), "stream_resource document: 'parameters' is a required"),
        ("stream_resource", lambda doc: {**doc, "uri": None}, "frames at None are not a local file"),
        ("stop", lambda doc: {**doc, "time": float("nan")}, ""),
    ],
)
def test_a_document_that_cannot_be_used_is_named(results, tmp_path, kind, change, message):
    (node,) = results(changed(flown(GOOD, folder=tmp_path), kind, change))
    assert message in (node.get("reason") or "") and node["status"] == ("failed" if message else "complete")
