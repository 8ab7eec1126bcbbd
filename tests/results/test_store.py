"""A store writes results, suggestions, atlases and the log."""

import json
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiled.queries import Key

from ainerd.results import Away, ResultStore, SuggestionRecord
from ainerd.server import connect
from tests.proxy import proxy_of


def assert_holds(node, analysis):
    for name, array in analysis.arrays.items():
        np.testing.assert_array_equal(node[name].read(), array)


def put(store, record, analysis, **changes):
    key = store.begin(record)
    assert store.complete(key, analysis, **changes)
    return key


def test_a_result_is_metadata_and_arrays(store, ainerd, record, analysis):
    result, times = analysis(novelty_p=0.01), np.arange(5) * 0.5
    stress = np.array([100.0, 90.0, np.nan, 70.0, 80.0])
    begun = record(scan_id=7, run_time=1.7e9)
    key = store.begin(begun)
    assert key == begun.key and store.status(key) == "computing" and len(store) == 0
    changes = {"n_frames": 500, "regime": 3, "summary": {"time_since_shear": 12.0}}
    assert store.complete(key, result, series={"stress": (times, stress)}, **changes)

    node = ainerd["results"][key]
    assert_holds(node, result)
    pd.testing.assert_frame_equal(store.rows(key, "stress"), pd.DataFrame({"time": times, "stress": stress}))
    np.testing.assert_array_equal(node["stress"]["stress"].read(), stress)
    assert node["c2"].metadata["dims"] == "azimuth,t1,t2"
    assert [spec.name for spec in node.specs] == ["AinerdResult"]
    metadata = node.metadata
    assert metadata["stress_mean"] == 85 and metadata["stress_min"] == 70
    assert metadata["stress_max"] == 100 and metadata["stress_last"] == 80
    assert metadata["time_since_shear"] == 12 and metadata["n_frames"] == 500 and metadata["novel"] is True
    of_stress = {f"stress_{what}": "Pa" for what in ("mean", "min", "max", "last")}
    assert dict(metadata["units"]) == dict(begun.units) | dict(result.units) | {"time": "s"} | of_stress
    assert metadata["arrays"] == {name: list(array.shape) for name, array in result.arrays.items()}
    assert metadata["series"] == {"stress": 5} and metadata["software"]["numpy"] == np.__version__
    assert "tau_s" not in metadata and "reason" not in metadata
    np.testing.assert_array_equal(store.array(key, "c2"), result.arrays["c2"])
    assert len(store) == 1 and store.status(key) == "complete" and store.status("nothing") is None
    kept = store.record(key)
    assert kept.positions == begun.positions and kept.summary["stress_last"] == 80 and kept.key == key
    np.testing.assert_array_equal(np.float32(kept.embedding), result.embedding)


@pytest.mark.parametrize(
    "tables", [{"a.b": {"x": np.ones(2)}}, {"bins": {"x": np.ones(2), "y": np.ones(3)}}, {"c2": {"x": np.ones(2)}}]
)
def test_invalid_tables_are_refused(analysis, tables):
    with pytest.raises(ValueError, match="table"):
        replace(analysis(), tables=tables)


def test_a_failed_result_may_be_replaced(store, ainerd, record, analysis):
    begun = record()
    key = store.begin(begun)
    assert store.fail(key, "500 frames announced, 3 came", n_frames=3)
    row = store.table(all=True).loc[key]
    assert (row["status"], row["reason"], row["n_frames"]) == ("failed", "500 frames announced, 3 came", 3)
    assert len(store) == 1 and store.analysed(begun.digest) == {begun.raw_uid: 1}
    put(store, begun, analysis(), n_frames=500)
    metadata = ainerd["results"][key].metadata
    assert metadata["status"] == "complete" and metadata["n_frames"] == 500 and "reason" not in metadata
    assert len(store) == 1


def test_no_claim_is_neither_novel_nor_not(store, ainerd, record, analysis):
    key = put(store, record(), analysis(novelty_p=None))
    assert not {"novelty_p", "novel"} & set(ainerd["results"][key].metadata)
    assert pd.isna(store.table(all=True).loc[key, "novel"])
    key = store.begin(record())
    with pytest.raises(ValueError, match="alpha"):
        store.complete(key, analysis(alpha=None))
    assert store.status(key) == "computing"


def test_the_table_is_by_time_and_has_the_labels_of_the_newest_atlas(night):
    _, store, keys = night
    table = store.table(all=True)
    assert list(table.index) == [keys[0], keys[8], *keys[1:8], *keys[9:]]
    assert table.loc[keys[:9], "regime"].to_list() == [0, 1, 2, 1, 1, pd.NA, pd.NA, 0, 0]
    assert table.loc[keys[:5], "regime_then"].to_list() == [0, 1, 0, 1, 0]
    assert str(table["run_time"].dtype) == "datetime64[ns, UTC]"
    assert table.loc[keys[0], "run_time"].timestamp() == store.record(keys[0]).run_time
    assert list(store.table("failed").index) == [keys[5], keys[12]]
    assert repr(store).startswith("12 results, 2 failed, 1 novel, 3 regimes (it may be 1 to 3)")


def test_search(night):
    _, store, keys = night

    def numbers_of(**query):
        return sorted(keys.index(key) for key in store.search(**query).index)

    assert numbers_of(novel=True) == numbers_of(scan_id=3) == [3]
    assert numbers_of(novel=False) == [0, 1, 2, 4, 8, 9, 10, 11]
    assert numbers_of(regime=0) == [0, 7, 8] and numbers_of(regime=0, novel=False) == [0, 8]
    assert numbers_of(sample_x=(2.5, 3.75)) == [2, 3] and numbers_of(sample_x=5) == [4]
    assert numbers_of(sample_x=(None, 0.5), status="complete") == [0, 8]
    assert numbers_of(text="photons, SHUTTER open") == [5] and numbers_of(text="bubble") == [4, 10]
    assert numbers_of(text="shutter opened") == numbers_of(text="n_frames") == []
    assert numbers_of(technique=("q", "s")) == [*range(13)] and numbers_of(technique=("s", None)) == []
    assert numbers_of(**{"model.name": "encoder"}) == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]


def test_results_similar_to_a_result(night):
    _, store, keys = night
    near = store.similar(keys[3], n=2)
    assert list(near.index) == list(store.similar(3, n=2).index) == [keys[2], keys[4]]
    np.testing.assert_allclose(near["distance"], [1.640625, 1.796875])
    assert store.similar(keys[8]).empty  # of other parameters, not comparable
    points = store.embeddings(store.record(keys[0]).digest)
    assert list(points.index) == [keys[i] for i in (0, 1, 2, 3, 4, 7, 9, 10, 11)]
    np.testing.assert_array_equal(points[1:3], np.float32([[1.328125, 0], [2.8125, 0]]))
    assert store.embeddings().equals(points)  # of the newest
    with pytest.raises(KeyError, match="no complete result"):
        store.similar(keys[5])


ANALYST = """
import json, sys
from tiled.client import from_uri
from tiled.queries import Key
uri, api_key = json.loads(sys.stdin.read())
client = from_uri(uri, api_key=api_key)
results = client["night/ainerd/results"]
novel = results.search(Key("novel") == True).search(Key("novelty_p") <= 0.05)
assert [node.metadata["sample_x"] for node in novel.values()] == [3.75]
assert results.search(Key("scan_id") == 2).values().first()["c2"].read().shape == (18, 16, 16)
times = [node.metadata["run_time"] for node in results.sort(("run_time", 1)).values()]
assert len(times) == 13 and times == sorted(times)
assert not [name for name in sys.modules if name.startswith("ainerd")]
client.context.http_client.close()
"""


@pytest.mark.usefixtures("night")
def test_an_analyst_needs_only_tiled(server, tmp_path):
    for package in Path(sysconfig.get_path("purelib")).iterdir():  # an environment without us
        if not package.name.startswith(("ainerd", "__editable__")):
            (tmp_path / package.name).symlink_to(package)
    command, paths = [sys.executable, "-S", "-c", ANALYST], {"PYTHONPATH": str(tmp_path), "PATH": ""}
    given = json.dumps([server.uri, server.api_key])
    ran = subprocess.run(command, input=given, capture_output=True, text=True, env=paths)
    assert ran.returncode == 0, ran.stderr


def test_an_empty_store(store):
    assert len(store) == 0 and store.table(all=True).empty and store.embeddings().empty
    assert store.suggestions().empty and store.logbook().empty and store.newest_atlas() is None
    assert "0 results, 0 failed, 0 novel, no regimes yet" in repr(store)


def test_errors_name_missing_parts(store, ainerd, record, analysis):
    key = put(store, record(), analysis())
    with pytest.raises(KeyError, match="has no 'saxs': there are c2"):
        store.array(key, "saxs")
    with pytest.raises(KeyError, match="has no 'pins': there are .*bins"):
        store.rows(key, "pins")
    for call in (lambda: store.array("nothing", "c2"), lambda: store.fail("nothing", "why")):
        with pytest.raises(KeyError, match="no result 'nothing'"):
            call()
    with pytest.raises(ValueError, match="open_catalog"):
        ResultStore(ainerd["results"])


def test_suggestions_and_their_status(store, ainerd):
    made = SuggestionRecord(positions={"sample_x": 4.0}, reason="edge of regime 2", terms={"boundary": 0.7})
    assert store.add_suggestion(made) == store.add_suggestion(made) == made.id
    other = store.add_suggestion(SuggestionRecord(positions={"sample_x": 5.0}, reason="nobody was there"))
    store.set_status(made.id, "measured", raw_uid="run")
    store.set_status(other, "rejected", reason="bubble")
    table = store.suggestions()
    assert table["status"].to_dict() == {made.id: "measured", other: "rejected"}
    assert table.loc[made.id, ["raw_uid", "terms.boundary", "sample_x"]].to_list() == ["run", 0.7, 4.0]
    assert table.loc[other, "status_reason"] == "bubble"
    assert list(ainerd["suggestions"].search(Key("terms.boundary") > 0.5)) == [made.id]
    row = table.loc[other]
    assert row["status_by"] == "person" and row["created"] < row["status_time"]
    assert not store.set_status(other, "superseded", instead_of=["proposed"])
    with pytest.raises(KeyError, match="no suggestion 'nothing'"):
        store.set_status("nothing", "accepted")
    with pytest.raises(ValueError, match="proposed"):
        store.set_status(other, "forgotten")


def test_the_next_suggestion_is_the_newest_that_is_open(store):
    assert store.next_suggestion() is None
    made = [SuggestionRecord(positions={"sample_x": float(i)}, reason=f"place {i}") for i in range(4)]
    for suggestion in made:
        store.add_suggestion(suggestion)
    assert store.next_suggestion() == made[3]
    store.set_status(made[3].id, "accepted")
    store.set_status(made[2].id, "rejected", "a bubble")
    assert store.next_suggestion() == made[1]


@pytest.fixture
def behind(server, ainerd):
    """A store whose requests pass a proxy, and the proxy."""
    with proxy_of(ainerd.uri) as proxy:
        client = connect(proxy.through(ainerd.uri), server.api_key)
        store = ResultStore(client)
        assert store.status("none") is None  # the limits of its requests are there
        yield store, proxy
        client.context.http_client.close()


@pytest.mark.fault("The server has an error of its own when a result is written", "The result is sent once more")
def test_a_result_is_sent_again_after_an_error_of_the_server(behind, record):
    store, proxy = behind
    store.take(record())
    proxy.fail("502", 1)
    assert store.take(wanted := record()) is None and proxy.left < 0
    assert store.status(wanted.key) == "computing"


@pytest.mark.fault("Tiled hangs or has gone", "One short request detects it; results wait in memory")
@pytest.mark.parametrize("mode", ["3 s", "502"])
def test_a_server_that_does_not_answer_is_noticed_quickly(behind, record, monkeypatch, mode):
    store, proxy = behind
    store.take(record())
    if mode == "3 s":
        monkeypatch.setattr("ainerd.results._places.QUICK_S", 0.2)
    proxy.fail(mode, n := 10**6)
    with pytest.raises(Away):
        store.take(record())
    assert n - proxy.left <= 2 and store.seems_away
    assert mode == "3 s" or "Tiled does not answer at http" in repr(store)
    proxy.heal()
    assert store.answers() and not store.seems_away  # before the next result: commands are read only then
    assert store.take(record()) is None


def test_a_line_of_the_log_is_one_line_whatever_people_write(store):
    store.log("Ann holds the campaign: tea\n2026-11-30 12:00:00  Bob released\r\n\u202eit", by="Ann")
    store.note("dry\u2029\x85sample", raw_uid="r", scan="3")
    assert store.logbook()["text"].tolist() == [
        "Ann holds the campaign: tea 2026-11-30 12:00:00  Bob released \ufffdit",
        "a person noted on scan 3: dry sample",
    ]
