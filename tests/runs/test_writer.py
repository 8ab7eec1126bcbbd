"""Results of runs, events and series, written to a store that only remembers records."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from run_parts import Growing, Sums, Toy, movie, scan

from ainerd.config import Detector
from ainerd.results import Away, Refused, ResultRecord
from ainerd.runs import RecordedKeys, RunInProgress, Writer, write_run
from ainerd.server import open_catalog
from ainerd.technique import Series
from tests.documents.flights import sent_to
from tests.waiting import until

WANTED = RecordedKeys(
    positions=("x",), series={"warmth": "temperature"}, readings={"age": "temperature"}, units={"x": "mm"}
)


@pytest.fixture
def worker(worker_on, store, tmp_path):
    """Starts a worker with a technique."""
    return lambda technique, raw=None: worker_on(technique, store, tmp_path, WANTED, raw=raw)


def deliver(worker, documents):
    """Give the documents of one run to a worker; return its last outcome."""
    documents = [(name, dict(doc)) for name, doc in documents]
    for name, doc in documents:
        worker(name, doc)
    return worker.outcomes(documents[0][1]["uid"]).result(60)[-1]


def test_a_run_is_begun_completed_and_absorbed(worker, store, campaign):
    mine = worker(Toy(p=0.01))
    outcome = deliver(mine, scan(movie(1, 2), num_points=2, suggestion_id="s1"))
    (record,) = store.records.values()
    assert record.status == "complete" and record.n_frames == 2 and record.positions == {"x": 10.0}
    assert (outcome.status, outcome.regime, outcome.novel, outcome.trial_id) == ("complete", 3, True, "s1")
    assert campaign.absorbed[0].key == outcome.key
    times, values = store.complete.call_args.kwargs["series"]["warmth"]
    assert values.tolist() == [300, 301] and times == pytest.approx(np.array([100.0, 101.0]) - record.run_time)
    assert record.summary == {"age": 300.0} and record.units == {"x": "mm"}
    assert record.raw_path == f"raw/{record.raw_uid}"
    assert (record.technique, record.agent, record.suggestion_id, record.scan_id) == ("toy", "me", "s1", 1)
    documents = list(scan(movie(1, 2), num_points=2))
    documents[0][1]["time"] = "noon"  # then the first reading begins
    deliver(mine, documents)
    assert store.complete.call_args.kwargs["series"]["warmth"][0].tolist() == [0, 1]


def test_the_length_of_an_exposure_is_that_of_its_frames(store):
    writer = Writer(Toy(), store, Detector(image="det", frame_time_s="dt"), WANTED, (), "me")
    documents = list(scan(movie(1, 2, 3)))
    documents[1][1]["configuration"] = {"det": {"data": {"dt": 0.5}, "timestamps": {}, "data_keys": {}}}
    documents[1][1]["object_keys"] = {"det": ["det"]}
    run = sent_to(RunInProgress(writer), documents)
    assert [result.exposure_s for result in run.results] == [1.5]
    (record,) = store.records.values()
    assert record.frame_time_s == 0.5 and record.n_frames == 3


def test_a_known_result_is_recalled_as_it_is_in_tiled(keys, store):
    run = SimpleNamespace(uid="a", start_doc={})
    writer = Writer(Toy(), store, keys, WANTED, (), "me")
    unit = writer.unit(run, None)
    about = {
        "suggestion_id": "s", "scan_id": 5, "embedding": [1.0, 2.0], "novelty_p": 0.2, "novel": False, "own_p": 0.3,
        "regime": 4, "summary": {"age": 7, "tau": 3.0}, "positions": {"x": 1.5},
    }  # fmt: skip
    store.records[unit.key] = ResultRecord(
        raw_uid="a", technique="toy", agent="me", parameters=writer.parameters, status="partial", **about
    )
    result = writer.begin(unit).known
    assert (result.raw_uid, result.key, result.status, result.is_recalled) == ("a", unit.key, "partial", True)
    assert (result.trial_id, result.scan_id, result.novelty_p, result.novel) == ("s", 5, 0.2, False)
    assert (result.own_p, result.regime, result.positions) == (0.3, 4, {"x": 1.5})
    assert result.embedding.tolist() == [1, 2] and result.embedding.dtype == np.float32


def test_a_series_grows_takes_each_run_once_and_is_closed(worker, store):
    technique = Toy(unit=Series("ramp"), analysis=Growing)
    mine = worker(technique)
    first = list(scan(movie(1, 2), ramp="a"))
    grown = deliver(mine, first)
    again = deliver(mine, first)
    (record,) = store.records.values()
    assert grown.status == "growing" and again.is_recalled and record.raw_uids == [first[0][1]["uid"]]
    last = list(scan(movie(3), ramp="a", ramp_ends=True))
    done = deliver(mine, last)
    (record,) = store.records.values()
    assert done.status == record.status == "complete" and record.n_frames == 3
    assert record.raw_uids == [first[0][1]["uid"], last[0][1]["uid"]] == technique.made[0].runs
    late = deliver(mine, scan(movie(4), ramp="a"))
    assert late.status == "failed" and "series ramp=a is closed" in late.reason
    assert len(technique.made) == 1 and store.records[record.key].status == "complete"


def test_a_series_is_closed_by_a_command(worker, store):
    mine = worker(Toy(unit=Series("ramp")))
    outcome = deliver(mine, scan(movie(1, 2), ramp=7))
    assert mine.close_series("7").result(60) and store.records[outcome.key].status == "complete"
    with pytest.raises(ValueError, match="no series"):
        worker(Toy()).close_series("7").result(60)


def test_a_series_with_too_little_yet_says_so(worker, store):
    mine = worker(Toy(unit=Series("ramp")))
    outcome = deliver(mine, scan(movie(), ramp="a"))
    assert outcome.status == "growing" and outcome.reason == "no frames" and outcome.embedding is None
    assert deliver(mine, scan(movie(), ramp="a")).reason == "no frames"
    assert [call.kwargs["retake"] for call in store.fail.call_args_list] == [None, None]  # no error of the code


def test_a_series_of_several_runs_goes_on_with_all_that_are_in_tiled(worker, store, place, caplog):
    earlier = [list(scan(movie(*sums), ramp="a")) for sums in ((1, 2), (30,), (4, 5))]
    mine = worker(Toy(unit=Series("ramp"), analysis=Growing))
    for run in earlier:
        deliver(mine, run)
    uids = [run[0][1]["uid"] for run in earlier]
    raw, _ = open_catalog(place.client())
    for run in (earlier[0], earlier[2]):
        write_run(raw, run)
    technique = Toy(unit=Series("ramp"), analysis=Growing)
    outcome = deliver(worker(technique, raw), scan(movie(6), ramp="a"))
    (analysis,) = technique.made
    assert analysis.sums == [1, 2, 4, 5, 6] and analysis.runs == [uids[0], uids[2], outcome.raw_uid]
    assert f"series ramp=a goes on without run {uids[1]}, which is not in Tiled" in caplog.text


def test_a_run_whose_file_changed_has_another_key_and_is_not_done(keys, store):
    technique, run = Toy(), SimpleNamespace(uid="a", start_doc={"uid": "a"}, metadata={"start": {"uid": "a"}})
    writer = Writer(technique, store, keys, WANTED, (), "me")
    found = {}
    for content in ("", "one", "two"):
        technique.files_digest = lambda start, content=content: content
        found[content] = writer.unit(run, None)
        done = {ResultRecord.identity_of("a", files_digest=content): 1}
        assert [writer.has_all(run, done), writer.has_all(run, {"a:three": 1})] == [True, False]
        assert writer._record(found[content]).key == found[content].key
    assert found[""].key == ResultRecord.key_of(technique.parameters, "a")
    assert len({unit.key for unit in found.values()}) == 3


@pytest.mark.fault("Tiled does not answer when a result is written", "The result waits in memory until it does")
def test_a_result_waits_in_memory_while_tiled_is_away(worker, store, caplog):
    complete, mine = store.complete.side_effect, worker(Toy())
    store.complete.side_effect, store.answers.return_value = Away("nobody there"), False
    documents = list(scan(movie(1), num_points=1))
    for name, doc in documents:
        mine(name, dict(doc))
    until(lambda: "the analysis waits: nobody there" in caplog.text)
    assert mine.backlog == 1 and store.complete.call_count == 1  # Tiled gets no further request
    store.complete.side_effect, store.answers.return_value = complete, True
    (outcome,) = mine.outcomes(documents[0][1]["uid"]).result(60)
    assert outcome.status == "complete" and len(mine.writer.technique.made) == 1


@pytest.mark.fault("A session ends while Tiled does not answer", "One line says what is left to `agent.catch_up()`")
def test_a_session_that_ends_while_tiled_is_away_says_what_is_left(worker, store, caplog):
    mine = worker(Toy())
    store.take.side_effect, store.answers.return_value = Away("nobody there"), False
    for _ in range(2):
        for name, doc in scan(movie(1), num_points=1):
            mine(name, dict(doc))
    until(lambda: "the analysis waits: nobody there" in caplog.text)
    mine.close()
    assert "Tiled took no result of 2 runs: agent.catch_up() in the next session analyses them" in caplog.text
    assert not store.records


def test_a_server_that_fails_at_one_result_delays_the_others_only_for_a_while(worker, store, monkeypatch):
    monkeypatch.setattr("ainerd.runs._patience.PAUSES_S", (0.0, 0.0))
    take, mine = store.take.side_effect, worker(Toy())
    store.take.side_effect = [Away("no", 500)] * 3
    outcome = deliver(mine, scan(movie(1, 2)))
    assert (outcome.status, outcome.is_in_tiled, mine.n_left) == ("failed", False, 1)
    store.take.side_effect = take
    assert deliver(mine, scan(movie(1, 2))).status == "complete"


@pytest.mark.parametrize("error", [MemoryError("enough"), SystemExit("enough")], ids=["memory", "exit"])
def test_an_analysis_that_dies_is_repeated_at_the_next_start(worker, store, error):
    class Dies(Sums):
        def finish(self):
            raise error

    outcome = deliver(worker(Toy(analysis=Dies)), scan(movie(1, 2), num_points=2))
    assert (outcome.status, outcome.reason) == ("failed", f"{type(error).__name__}: enough")
    assert store.fail.call_args.kwargs["retake"] is True


def test_an_error_in_the_campaign_costs_no_result(worker, store, campaign, caplog):
    campaign.answer = MagicMock(side_effect=RuntimeError("no regimes"))
    outcome = deliver(worker(Toy()), scan(movie(1), num_points=1))
    assert (outcome.status, outcome.regime) == ("complete", -1) and "no regimes" in caplog.text
    assert [record.status for record in store.records.values()] == ["complete"]


@pytest.mark.fault("Metadata of a run have the wrong type", "They are left out of its result and named")
@pytest.mark.parametrize(
    ("name", "value", "field"),
    [("suggestion_id", 5, "suggestion_id"), ("scan_id", 2**63, "scan_id"), ("time", "noon", "run_time")],
)
def test_odd_metadata_of_a_run_are_left_out(worker, store, caplog, name, value, field):
    documents = list(scan(movie(1, 2)))
    documents[0][1][name] = value
    outcome = deliver(worker(Toy()), documents)
    (record,) = store.records.values()
    assert (outcome.status, record.status, getattr(record, field)) == ("complete", "complete", None)
    assert outcome.trial_id == outcome.key and f"its {name} is left out" in caplog.text


@pytest.mark.fault(
    "Tiled refuses one result because of its content",
    "The result is failed, with the reason; no other run waits for it",
)
@pytest.mark.parametrize("call", ["complete", "take"])
def test_a_result_that_tiled_refuses_for_good_is_failed(worker, store, call):
    no = Refused("413: too large", 413)
    mock = getattr(store, call)
    mock.side_effect, usual = no, mock.side_effect
    mine = worker(Toy())
    outcome = deliver(mine, scan(movie(1, 2)))
    assert outcome.status == "failed" and "413: too large" in outcome.reason
    assert [record.status for record in store.records.values()] == ["failed"]
    mock.side_effect = usual
    assert deliver(mine, scan(movie(1, 2))).status == "complete"


def test_a_run_that_could_not_be_begun_has_a_failed_result(worker, store):
    store.take.side_effect = RuntimeError("at first")
    outcome = deliver(worker(Toy()), scan(movie(1, 2)))
    (record,) = store.records.values()
    assert outcome.status == record.status == "failed" and record.reason == "RuntimeError: at first"
