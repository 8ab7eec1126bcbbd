"""Ranges of frames that a run in Tiled announces, and how long a follower waits."""

from ainerd.documents._tiled_runs import Quiet, _numbered


def test_frames_whose_events_have_gaps_are_announced_range_by_range():
    datum = {
        "uid": "r/0",
        "stream_resource": "r",
        "indices": {"start": 2, "stop": 7},
        "seq_nums": {"start": 0, "stop": 0},
    }
    datums = [doc for _, doc in _numbered(datum, [1, 2, 3, 4, 7, 8, 20])]
    ranges = [(*doc["indices"].values(), *doc["seq_nums"].values()) for doc in datums]
    assert ranges == [(2, 4, 3, 5), (4, 6, 7, 9), (6, 7, 20, 21)]
    assert [doc["uid"] for doc in datums] == ["r/0/2", "r/0/4", "r/0/6"] and {
        doc["stream_resource"] for doc in datums
    } == {"r"}
    for numbers in ([1, 2, 3], [*range(1, 9)]):
        assert [*_numbered(datum, numbers)] == [("stream_datum", datum)]  # not each index has one


def test_silence_counts_while_somebody_looks(monkeypatch):
    now = [50.0]
    monkeypatch.setattr("ainerd.documents._tiled_runs.time.monotonic", lambda: now[0])
    quiet, silences = Quiet(), []
    for step in (4.0, 9.0, 3600.0, 2.0):
        now[0] += step
        silences.append(quiet.look())
    assert silences == [4, 13, 23, 25]  # of an hour without a look ten seconds count
    quiet.over()
    now[0] += 3.0
    assert quiet.look() == 3
