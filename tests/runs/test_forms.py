"""Raw runs whose names and values the catalogue cannot hold as they are, and documents of any kind."""

import datetime
import json
import uuid

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from event_model import compose_run
from ophyd.sim import det

from ainerd.documents import checked
from ainerd.runs import Journal, RawWriter, write_run
from ainerd.server import open_catalog
from tests.journals import left_in


@pytest.fixture(scope="module")
def raw(server):
    return open_catalog(server.client().create_container("forms"))[0]


def documents_of(rows, keys=(), start=(), stop=()):
    """Documents of a run with an event for each row; keys that are not given are numbers."""
    run, descriptor = str(uuid.uuid4()), str(uuid.uuid4())
    names = dict.fromkeys(key for row in rows for key in row)
    data_keys = {name: {"dtype": "number", "shape": [], "source": "sim"} for name in names} | dict(keys)
    yield "start", {"uid": run, "time": 1.0, **dict(start)}
    yield (
        "descriptor",
        {"uid": descriptor, "run_start": run, "time": 1.0, "name": "primary", "data_keys": data_keys, "hints": {}},
    )
    for number, row in enumerate(rows, 1):
        stamps = dict.fromkeys(row, float(number))
        doc = {"uid": str(uuid.uuid4()), "descriptor": descriptor, "time": float(number), "seq_num": number}
        yield "event", {**doc, "data": row, "timestamps": stamps}
    yield "stop", {"uid": str(uuid.uuid4()), "run_start": run, "time": 9.0, "exit_status": "success", **dict(stop)}


def array_of(*shape, **more):
    return {"dtype": "array", "shape": list(shape), "source": "sim", **more}


INTEGER = {"dtype": "integer", "shape": [], "source": "sim"}
NAN = float("nan")
LONG = "x" * 70
ROWS = [
    {"cell_Temp": 1.0, "cell_temp": 2.0, "a": 1.0, "ts_a": 2.0, "time": 3.0, "internal": 4.0, "_dataset_id": 5.0},
    {"stress": "OVERLOAD", "": 1, "a'b": 2, 'a"b': 3, "a\0b": 4, "1a": 5, "a/b": 6, LONG: 7, LONG + "y": 8},
    {"stress": 2.5, "whole": 2.5, "huge": 2**70, "flag": True, "nested": {"x": [1]}, "day": datetime.date(2026, 1, 1)},
    {"stress": 3, "whole": 3, "huge": 1, "flag": 2, "ragged": [1.0, 2.0], "pixels": np.arange(20), "none": None},
    {"ragged": [1.0, 2.0, 3.0], "pixels": np.arange(30), "mixed": [1, "x"], "bytes": b"x", "np": np.float32(0.5)},
]
COLUMNS = {
    "cell_Temp": [1, NAN, NAN, NAN, NAN], "cell_temp_": [2, NAN, NAN, NAN, NAN], "time_": [3, NAN, NAN, NAN, NAN],
    "ts_a_": [2, NAN, NAN, NAN, NAN], "internal_": [4, NAN, NAN, NAN, NAN], "key__dataset_id": [5, NAN, NAN, NAN, NAN],
    "stress": [NAN, NAN, 2.5, 3, NAN], "whole": [NAN, NAN, 2.5, 3, NAN], "flag": [NAN, NAN, 1, 2, NAN],
    "np": [NAN, NAN, NAN, NAN, 0.5], "a_b": [NAN, 2, NAN, NAN, NAN], "a_b_": [NAN, 3, NAN, NAN, NAN],
    "key_1a": [NAN, 5, NAN, NAN, NAN],
}  # fmt: skip
TEXTS = {"huge": {2: str(2**70), 3: "1"}, "nested": {2: '{"x": [1]}'}, "day": {2: "2026-01-01"}, "bytes": {4: "b'x'"}}


@pytest.mark.fault(
    "Names and values of a run that a database cannot hold: names that differ in case, text among numbers, …",
    "The run is written once: names are changed, text or nothing stands in place of a value, the log names both",
    lost="the values that the log names",
)
def test_names_and_values_that_a_database_cannot_hold_are_changed(raw, caplog):
    keys = {"whole": INTEGER, "pixels": array_of(20), "ragged": array_of(2)}
    start = {"limit": float("inf"), "large": 2**80, "sample": {"a.b": NAN}, "scan_id": "seven", "text": "a\0b"}
    documents = list(documents_of(ROWS, keys, start, {"large": 2**90}))
    write_run(raw, documents)
    run = raw[documents[0][1]["uid"]]
    table = run["primary"].base["internal"].read()
    for name, values in COLUMNS.items():
        np.testing.assert_equal(table[name].astype(float).tolist(), values, err_msg=name)
    for name, texts in TEXTS.items():
        assert {i: text for i, text in enumerate(table[name]) if isinstance(text, str)} == texts
    assert len([name for name in table.columns if name.startswith("xxx")]) == 2
    assert [json.loads(text) for text in table["pixels"][3:]] == [[*range(20)], [*range(30)]]
    start, stop = run.metadata["start"], run.metadata["stop"]
    assert (start["limit"], start["large"], start["sample"]) == ("inf", str(2**80), {"a_b": "nan"})
    assert start["text"] == "a\ufffdb" and "scan_id" not in start and stop["large"] == str(2**90)
    (line,) = [each for each in caplog.messages if "is written with changes" in each]
    assert documents[0][1]["uid"] in line and "stress is 'OVERLOAD' in event 2 of primary" in line
    assert "'cell_temp' in primary is called 'cell_temp_'" in run.metadata["notes"]


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("stream_resource", {"data_key": "nobody's"}, 'KeyError: "nobody\'s"'),
        ("stream_resource", {"mimetype": "a"}, "mimetype, a, is not one"),
        ("stream_datum", {"indices": {"start": 5, "stop": 1}}, "422"),
        ("stream_datum", {"indices": {"start": 0, "stop": "x"}}, "'x' is not of type 'integer'"),
    ],
)
def test_a_run_whose_files_tiled_refuses_is_written_without_them(raw, tmp_path, name, change, reason):
    run = compose_run()
    camera = array_of(1, 2, 3, external="STREAM:", dtype_numpy="<u2")
    described = run.compose_descriptor(name="primary", data_keys={"x": {**INTEGER, "dtype": "number"}, "cam": camera})
    file = run.compose_stream_resource(
        "application/x-hdf5", f"file://localhost{tmp_path}/f.h5", "cam", {"dataset": "/data", "chunk_shape": (1,)}
    )
    datum = file.compose_stream_datum({"start": 0, "stop": 1}, {"start": 1, "stop": 2}, described.descriptor_doc)
    event = described.compose_event({"x": 3.0}, {"x": 1.0}, time=1.0, validate=False)
    names = ("start", "descriptor", "stream_resource", "stream_datum", "event", "stop")
    docs = (run.start_doc, described.descriptor_doc, file.stream_resource_doc, datum, event, run.compose_stop())
    write_run(raw, [(kind, {**doc, **change} if kind == name else doc) for kind, doc in zip(names, docs, strict=True)])
    node = raw[run.start_doc["uid"]]
    assert node.metadata["stop"]["exit_status"] == "success" and node["primary"]["x"].read().tolist() == [3.0]
    (note,) = node.metadata["notes"]
    assert note.startswith("frames in files are left out: ") and reason in note


def test_an_array_whose_axes_are_not_described_has_those_of_its_values(raw):
    frames = np.arange(48).reshape(2, 6, 4).tolist()
    unknown = {**array_of(), "shape": [None]}
    keys = {"det": unknown, "ragged": unknown}
    rows = [{"det": frame, "ragged": [1.0] * n} for frame, n in zip(frames, (20, 30), strict=True)]
    documents = list(documents_of(rows, keys))
    write_run(raw, documents)
    stream = raw[documents[0][1]["uid"]]["primary"]
    assert stream["det"].read().tolist() == frames
    assert [len(row) for row in stream["ragged"].read()] == [20, 30]
    notes = raw[documents[0][1]["uid"]].metadata["notes"]
    assert "det in primary is stored as array of shape (6, 4), not as it is described" in notes


class Odd(dict):
    def get(self, *_):
        raise RuntimeError("of somebody's own")


def odd_documents():
    """Documents of a run in progress that no schema allows, and others of no run."""
    deep, around = [], []
    for _ in range(100_000):
        deep = [deep]
    around += [around, around]
    yield "event_page", {"descriptor": "d", "uid": [], "seq_num": [], "time": [], "data": {}, "timestamps": {}}
    page = {"descriptor": "d", "uid": ["a"], "seq_num": [5, 6], "time": [], "data": {"x": [1.0]}, "timestamps": {}}
    yield "event_page", page
    for value in (deep, around, 10**5000, b"x", {1}, "\ud800", {(1, 2): 3}, np.array([object()]), NAN, "x" * 10**6):
        yield "event", {"descriptor": "d", "uid": "e", "seq_num": 7, "time": value, "data": {"x": value}}
    yield "descriptor", {"uid": "d", "run_start": "r", "data_keys": {"x": {"dtype": "number"}}}
    yield "descriptor", {"uid": "d2", "run_start": "r", "data_keys": {"y": None}, "name": "primary"}
    yield "datum_page", {"resource": "nobody's", "datum_id": ["a"], "datum_kwargs": {"x": []}}
    for name in ("event", "datum", "resource", "stream_datum", "stream_resource", "stop", "new kind", "start"):
        for doc in ({}, None, [], Odd(uid="a"), {"uid": [], "descriptor": {}, "run_start": []}):
            yield name, doc


@pytest.mark.fault(
    "Documents of any kind: empty and uneven pages, repeated descriptors, values nested 100,000 deep, unknown names",
    "The RunEngine goes on, and the raw run is in Tiled, with nothing in place of what cannot be read",
)
def test_no_document_disturbs_the_run_engine_or_the_raw_run(raw, tmp_path):
    odd = str(uuid.uuid4())
    writer, engine = RawWriter(raw, tmp_path, lambda: True).attach(RunEngine({})), RunEngine({})
    writer("start", {"uid": odd, "time": 1.0})
    described = {"uid": "d", "run_start": odd, "time": 1.0, "data_keys": {"x": INTEGER}}
    writer("descriptor", described)
    for name, doc in odd_documents():
        if type(doc) is dict and doc.get("run_start") == "r":
            doc = doc | {"run_start": odd}
        writer(name, doc)
    writer("stop", {"uid": "s", "run_start": odd, "time": 2.0, "exit_status": "success"})
    writer("event", {"descriptor": "d", "data": {"x": 1}})  # after the end
    (uid,) = engine(count([det], 1), writer)
    writer.detach()
    writer.close()
    run = raw[odd]
    assert run.metadata["stop"] and raw[uid].metadata["stop"] and not list(tmp_path.rglob("*.*l*"))
    assert run["primary"].base["internal"].read()["seq_num"].tolist()[:2] == [5, 6]


def test_a_document_is_the_same_in_the_journal_and_in_tiled(tmp_path):
    journal = Journal(tmp_path)
    for document in documents_of([{"x": np.float32(0.5), "image": np.eye(2), "file": tmp_path}]):
        journal(*document)
    journal.close()
    ((path, documents),) = left_in(tmp_path)
    assert documents[2][1]["data"] == {"x": 0.5, "image": [[1.0, 0.0], [0.0, 1.0]], "file": str(tmp_path)}
    assert len(path.read_text().splitlines()) == 4 and all(map(json.loads, path.read_text().splitlines()))
    with pytest.raises(ValueError, match="event document"):
        checked("event", {})


def test_a_configuration_without_data_keys_is_written(raw):
    documents = list(documents_of([{"x": 1.0}]))
    documents[1][1]["configuration"] = {"det": {"data": {"gain": 2.0}, "timestamps": {"gain": 1.0}}}
    write_run(raw, documents)
    stream = raw[documents[0][1]["uid"]]["primary"]
    assert stream.metadata["configuration"]["det"]["data"] == {"gain": 2.0} and stream["x"].read().tolist() == [1.0]


def test_a_descriptor_may_lack_any_number_of_sources(raw):
    keys = {f"x{i}": {"dtype": "number", "shape": []} for i in range(201)}
    documents = list(documents_of([dict.fromkeys(keys, 1.0)], keys))
    write_run(raw, documents)
    table = raw[documents[0][1]["uid"]]["primary"].base["internal"].read()
    assert table["x0"].tolist() == table["x200"].tolist() == [1.0]


def test_a_descriptor_that_comes_again_for_another_stream_costs_no_reading(raw):
    documents = list(documents_of([{"x": 1.0}]))
    documents[1][1]["data_keys"] = {}
    documents.insert(2, ("descriptor", documents[1][1] | {"name": "other"}))
    write_run(raw, documents)
    assert raw[documents[0][1]["uid"]]["primary"]["x"].read().tolist() == [1.0]
