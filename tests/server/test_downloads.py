"""Tiled's export and downloads of every kind of node that agents write, in every format offered."""

import csv
import io
import uuid

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ainerd.results import AtlasRecord, ConfigurationRecord, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import open_catalog
from ainerd.server.downloads import array_as_csv
from ainerd.technique import Analysis

LIVE = '=HYPERLINK("http://evil")'
C2 = np.arange(24.0).reshape(2, 3, 4)


@pytest.fixture(scope="module")
def catalogue(server):
    """A node of each kind, with text that a spreadsheet would run as a formula."""
    client = server.client().create_container(f"downloads-{uuid.uuid4()}")
    raw, ainerd = open_catalog(client)
    raw.create_container("run", metadata={"start": {"uid": "run", "motors": ["x"], "sample": None}})
    store = ResultStore(ainerd)
    arrays = {"c2": C2, "flat": np.array([[1.0, np.nan], [3, 4]]), "names": np.array(["a", LIVE])}
    analysis = Analysis(
        embedding=np.zeros(2, np.float32),
        novelty_p=None,
        arrays=arrays,
        dims={"c2": ("roi", "t1", "t2")},
        tables={"left_out": {"what": np.array(["pixel", LIVE]), "index": np.array([-3, 4])}},
        units={"c2": "1", "index": "1"},
    )
    key = store.begin(
        ResultRecord(
            raw_uid="run", technique="t", agent="a", parameters={"deep": {"a": [1, None]}}, units={"stress": "Pa"}
        )
    )
    store.complete(key, analysis, series={"stress": ([0.0, 1.0], [2.0, 3.0])})
    store.fail(store.begin(ResultRecord(raw_uid="dark", technique="t", agent="a", parameters={})), "dark")
    store.add_suggestion(SuggestionRecord(positions={"x": 1.0}, reason=LIVE, terms={"unexplored": 0.5}))
    labels = {str(uuid.uuid4()): 0 for _ in range(3000)}  # more than 64 kB of them
    store.add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels=labels))
    store.log("a line", raw_uid="run")
    store.add_configuration(ConfigurationRecord(technique="t", parameters={}), {"roi_map": np.ones((2, 2), int)})
    return client, key


def nodes(node):
    yield node
    if node.structure_family == "container":
        for child in node.values():
            yield from nodes(child)


def got(node, media_type):
    link = node.item["links"].get("full") or node.item["links"]["self"]
    return node.context.http_client.get(link, params={"format": media_type})


def test_every_node_downloads_in_every_offered_format(catalogue):
    client, _ = catalogue
    about = client.context.http_client.get(str(client.context.api_uri)).json()
    seen, refused = set(), set()
    for node in nodes(client):
        kind = node.structure_family
        for media_type in about["formats"][kind]:
            answer = got(node, media_type)
            seen.add((kind, media_type))
            if answer.status_code != 200:
                refused.add((node.path_parts[-1], media_type, answer.status_code))
    assert {("container", "application/x-hdf5"), ("table", "text/csv"), ("array", "image/tiff")} <= seen
    # A picture has two dimensions and is of numbers; the answer says so.
    assert refused == {("c2", "image/png", 406), ("names", "image/png", 406), ("names", "image/tiff", 406)}


def test_a_download_equals_the_node(catalogue, tmp_path):
    client, key = catalogue
    client["ainerd"].export(str(tmp_path / "all.h5"))
    with h5py.File(tmp_path / "all.h5") as file:
        result = file["results"][key]
        np.testing.assert_array_equal(result["c2"], C2)
        assert result["c2"].attrs["dims"] == "roi,t1,t2" and result.attrs["parameters"] == '{"deep": {"a": [1, null]}}'
        assert result["stress/stress"][()].tolist() == [2, 3] and result["stress/stress"].attrs["units"] == "Pa"
        assert result["names"][1].decode() == LIVE  # HDF5 runs nothing
        assert len(file["atlas/000001"].attrs["labels"]) > 100_000
    table = h5py.File(io.BytesIO(got(client["ainerd/results", key, "stress"], "application/x-hdf5").content))
    assert table["time"][()].tolist() == [0, 1]
    rows = np.loadtxt(io.BytesIO(got(client["ainerd/results", key, "c2"], "text/csv").content), delimiter=",")
    np.testing.assert_array_equal(rows.reshape(C2.shape), C2)
    picture = Image.open(io.BytesIO(got(client["ainerd/results", key, "flat"], "image/png").content))
    assert np.asarray(picture).shape == (2, 2) and np.asarray(picture)[0, 1] == 0


def test_no_download_holds_a_live_formula(catalogue):
    client, key = catalogue
    node = client["ainerd/results", key]
    csv = got(node["left_out"], "text/csv").text
    assert "'=HYPERLINK" in csv and "\n=" not in csv and ',"=' not in csv
    assert pd.read_csv(io.StringIO(csv))["index"].tolist() == [-3, 4]  # a number is no formula
    sheet = got(node["left_out"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet").content
    import openpyxl

    cells = [cell for row in openpyxl.load_workbook(io.BytesIO(sheet)).active.iter_rows() for cell in row]
    assert "f" not in {cell.data_type for cell in cells} and f"'{LIVE}" in {cell.value for cell in cells}
    names = pd.read_csv(io.StringIO(got(node["names"], "text/csv").text), header=None)
    assert names[0].tolist() == ["a", f"'{LIVE}"]


def test_an_array_of_texts_as_csv_has_one_cell_per_text():
    texts = np.array([["a,=1+1", "b\n=cmd|x"], ['"', LIVE]])
    for array in (texts, texts.astype(object), texts.astype("S")):
        rows = [*csv.reader(io.StringIO(array_as_csv("text/csv", array, {}).decode(), newline=""))]
        assert rows == [["a,=1+1", "b\n=cmd|x"], ['"', f"'{LIVE}"]]


@pytest.mark.parametrize(
    ("array", "text"),
    [(np.array(1.5), "1.5\n"), (np.array("a"), "a\n"), (np.array([1, 2]), "1\n2\n"), (np.empty((2, 0, 3)), "")],
)
def test_an_array_of_any_shape_downloads_as_csv(array, text):
    assert array_as_csv("text/csv", array, {}).decode() == text
