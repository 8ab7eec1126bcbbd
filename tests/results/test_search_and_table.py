"""Search by values and words, the table that people see, and which result a scan number means."""

import numpy as np
import pandas as pd
import pytest
from tiled.queries import Key

from ainerd.results import AtlasRecord, ResultStore

NUMBERS = [-1e-5, 1.2345e-10, -4.0, 9.5, 10.0, 100.0, 3.0, 1e20, 1 / 3, 0.0]


@pytest.fixture
def numbers(ainerd, record):
    for i, x in enumerate(NUMBERS):
        made = record(status="complete", embedding=[0.0], scan_id=i, summary={"x": x})
        ainerd["results"].create_container(made.key, metadata=made.metadata())
    return ainerd["results"]


def test_numbers_are_compared_as_numbers_but_tiled_sorts_them_as_text(store, numbers):
    for limit in (-1e-5, 9.6):
        for table, wanted, tiled in (
            (store.search(x=(limit, None)), [x >= limit for x in NUMBERS], Key("x") >= limit),
            (store.search(x=(None, limit)), [x <= limit for x in NUMBERS], Key("x") <= limit),
            (store.search(x=limit), [x == limit for x in NUMBERS], Key("x") == limit),
        ):
            expected = set(np.flatnonzero(wanted))
            assert set(table["scan_id"]) == expected
            assert {node.metadata["scan_id"] for node in numbers.search(tiled).values()} == expected
    # the one limit that the page on queries states
    in_tiled = [node.metadata["x"] for node in numbers.sort(("x", 1)).values()]
    assert in_tiled != sorted(NUMBERS) and sorted(in_tiled) == sorted(NUMBERS)
    assert store.table()["x"].sort_values().to_list() == sorted(NUMBERS)


def test_a_condition_that_cannot_hold_is_refused(night):
    _, store, _ = night
    for message, conditions in {
        "sample_x is a number, got '2 mm'": {"sample_x": (None, "2 mm")},
        "technique is a text, got 4": {"technique": 4},
        "novel is True or False, got 'yes'": {"novel": "yes"},
        "regime is a number, got 'one'": {"regime": "one"},
        "sample_x=(5, 2) is the wrong way round: give (low, high)": {"sample_x": (5, 2)},
        "sample_x=(1, 2, 3) is not a range": {"sample_x": (1, 2, 3)},
        "run_time is a time, such as '2026-11-19 18:00Z', got 'yesterday evening'": {"run_time": "yesterday evening"},
        "run_time: 2026-01-01 00:00:00 has no time zone": {"run_time": ("2026-01-01", None)},
    }.items():
        with pytest.raises(ValueError) as refused:
            store.search(**conditions)
        assert str(refused.value).startswith(message)
    when = store.table()["run_time"].iloc[-1]
    since = store.search(run_time=(str(when), None))
    assert since["run_time"].eq(when).any() and len(since) == store.table()["run_time"].ge(when).sum()
    assert since.equals(store.search(run_time=(when, None)))
    assert store.search(run_time=(str(when + pd.Timedelta(1, "h")), None)).empty


def test_tables_have_the_units_of_their_columns(night):
    _, store, keys = night
    assert store.rows(keys[0], "stress").attrs["units"]["stress"] == "Pa"
    assert store.tables("stress").attrs["units"]["stress"] == "Pa"
    assert store.table().attrs["units"]["frame_time_s"] == "s"
    with pytest.raises(KeyError, match="'tau' is an array: read it with array"):
        store.rows(keys[0], "tau")
    with pytest.raises(KeyError, match="no table 'tau' in"):
        store.tables("tau")
    assert {*store[keys[0]].to_xarray("tau").coords} <= {"tau"}


def test_an_unknown_name_is_refused_with_similar_ones(night):
    _, store, _ = night
    assert store.search(no_claim="few counts").empty  # another result may have it
    assert store.search(cycle="4").empty  # no run has it, another one may
    with pytest.raises(ValueError, match=r"no result has 'sampel_x': did you mean sample_x"):
        store.search(sampel_x=(0, 1))
    with pytest.raises(ValueError, match=r"no result has 'zzz': results.table\(all=True\).columns has all names"):
        store.search(zzz=1)


@pytest.fixture
def shift(store, record, analysis):
    """A count of three events and a failed scan, of a sample with a name."""
    fields = {"start": {"sample": "PEG \x1b[2J3", "plan": "count"}, "scan_id": 12, "run_time": 1.8e9, "raw_uid": "a"}
    keys = [store.begin(record(event=event, event_time=1.8e9 + event, **fields)) for event in (1, 2, 3)]
    for key, p in zip(keys, (0.003, 0.4, None), strict=True):
        store.complete(key, analysis(novelty_p=p, tau_s=11.6539, only=["tau"]), regime=1, summary={"tau_s_err": 0.421})
    keys.append(store.begin(record(scan_id=13, run_time=1.8e9 + 60, raw_uid="b")))
    store.fail(keys[3], "zero photons")
    return keys


def test_the_store_shows_a_short_table(store, shift, variables):
    variables(COLUMNS=160)
    store.note("a bubble", raw_uid="a", scan="12")
    store.note("the shutter", raw_uid="b", scan="13", result=shift[3])
    head, first, names, *rows = repr(store).splitlines()
    assert head.startswith("4 results, 1 failed, 1 novel")
    assert names.split() == "scan time sample sample_y (mm) regime p tau (s) note status key".split()
    assert first.strip() == "sample_x,"
    assert [row.split()[0] for row in rows] == ["12", "12.2", "12.3", "13"]
    assert "1.00, 2.00" in rows[0] and "0.003" in rows[0] and "●" in rows[0] and "11.7 ± 0.4" in rows[0]
    assert all("a bubble" in row for row in rows[:3]) and shift[1][:8] in rows[1] and "●" not in rows[1]
    assert "failed: zero photons" in rows[3] and "the shutter" in rows[3] and "tau" not in rows[3]
    assert "\x1b" not in repr(store) and "PEG �[2J3" in rows[0]
    assert "a bubble" in store._repr_html_()
    noted = [f"a person noted on scan {note}" for note in ("12: a bubble", "13: the shutter")]
    assert store.logbook()["text"].tolist() == noted


def test_names_of_regimes_and_results_that_are_left_out_are_in_the_table(store, shift, ainerd):
    (agent,) = store.table()["agent"].unique()
    own, other = ResultStore(ainerd, agent=agent), ResultStore(ainerd, agent="other")
    atlas = AtlasRecord(n_regimes=2, supported_range=(2, 2), labels={shift[0]: 1, shift[1]: 0, shift[2]: -1})
    own.add_atlas(atlas.changed(names={agent: {"1": "gel"}}, left_out={shift[2]: "Ann: a bubble"}))
    other.add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={}, names={"other": {"0": "sol"}}))
    table = store.table()
    assert table["regime_name"].fillna("").tolist() == ["gel", "", "", ""]  # regime 0 of this agent has no name
    assert table["left_out"].fillna("").tolist() == ["", "", "Ann: a bubble", ""]
    text = table.text()
    assert text["regime"].tolist()[:3] == ["1 gel", "0", "–"] and text["status"][2].endswith("by Ann: a bubble")
    own.add_atlas(atlas)  # taken back; the other agent keeps its names
    assert store.table()["left_out"].isna().all()
    assert store.newest_atlas().names == {"other": {"0": "sol"}, agent: {"1": "gel"}}


def test_a_narrow_terminal_shows_scan_position_regime_p_and_status(store, shift, variables):
    variables(COLUMNS=(width := 60))
    lines = repr(store.table()).splitlines()
    assert max(map(len, lines)) <= width and "zero photons" not in lines[1]
    head = " ".join(lines[:2]).split()
    assert {"scan", "sample_x,", "regime", "p", "status"} <= {*head} and "complete" in lines[2]
    left_out = [name for name in ("time", "tau", "key") if name not in head]
    assert left_out and all(name in " ".join(lines[-3:]) for name in left_out)


def test_a_long_reason_for_no_tau_wraps(store, put, variables):
    variables(COLUMNS=80)
    reason = "the sample jumps, and does not relax in between"
    put(scan_id=1, summary={"no_tau": reason}, units={"sample_x": "mm", "sample_y": "mm"}, novelty_p=0.5)
    lines = repr(store).splitlines()
    assert max(map(len, lines)) <= 80 and "tau (s)" in lines[2] and "wider" not in repr(store)
    assert " ".join(line[35:52].strip() for line in lines[3:]).startswith("the sample jumps")


def test_the_table_has_all_columns(store, shift):
    table = store.table(all=True)
    assert {"raw_uid", "digest", "tau_s_err", "sample", "plan"} <= set(table) and store.table(all=True).equals(table)
    assert type(table) is pd.DataFrame and set(store.search(all=True)) == set(table)
    assert list(store.table("complete", columns=["tau_s", "plan"])) == ["tau_s", "plan"]
    assert set(store.search(sample="PEG \x1b[2J3").index) == set(shift[:3])
    assert list(store) == shift and len(store.search(text="bubble")) == 0
    with pytest.raises(KeyError, match="tau_ms"):
        store.table(columns=["tau_ms"])


def test_the_first_columns_are_thirty_and_no_statistics(store, ainerd, record):
    numbers = {f"number_{i}": float(i) for i in range(60)}
    tested = {"strangeness_steps": 0.1, "whole_frames": 3, "flow_p": 0.5}
    summary = {**tested, **numbers, "tau_s": 1.2, "tau_s_err": 0.1, "dynamics": "slows"}
    about = {"positions": {"x": 1.0}, "summary": summary, "units": {"tau_s": "s"}}
    made = record(status="complete", embedding=[0.0], own_p=0.5, **about)
    ainerd["results"].create_container(made.key, metadata=made.metadata())
    table, whole = store.table(), store.table(all=True)
    assert len(table.columns) == 30 and {"scan_id", "x", "regime_name", "tau_s", "tau_s_err", "dynamics"} <= {*table}
    assert not {"digest", "own_p", *tested} & {*table} and {"digest", "own_p", *tested, *numbers} <= {*whole}
    assert list(store.search(x=(0, 2))) == list(table) and repr(table) == repr(store.search(all=True))


def test_a_result_is_found_by_its_scan_or_its_short_key(store, shift):
    assert [store.key(run) for run in (12, "12.2", 12.3, shift[3][:8])] == shift
    assert store.record(12).key == shift[0] and store.array("12.2", "tau").shape == (40,)
    assert store[13].metadata["reason"] == "zero photons"
    with pytest.raises(ValueError, match="there is no status 'bogus', only computing, complete, partial"):
        store.table("bogus")
    for run, message in {
        14: "scan 14 has none",
        "12.4": "scan 12 has 12.1, 12.2, 12.3",
        "13.2": "scan 13 has only 13",
        "zz": "no result has such",
    }.items():
        with pytest.raises(KeyError, match=message):
            store[run]


def test_a_person_chooses_between_two_scans_with_one_number(store, record):
    def add(status, uid, scan=3, **changes):
        made = record(scan_id=scan, status=status, raw_uid=uid, embedding=[0.0], **changes)
        store.container["results"].create_container(made.key, metadata=made.metadata())
        return made.key

    add("failed", "a", run_time=1.0)
    complete = add("complete", "b", run_time=2.0)
    assert store.key(3) == complete  # not the failed one of another agent
    add("complete", "c", run_time=2.0)
    with pytest.raises(KeyError, match=rf"scan 3 was taken 2 times: give one by its key, {complete[:8]} \("):
        store.key(3)
    first, second, tenth = (add("complete", "d", 4, event=event) for event in (1, 2, 10))
    assert [store.key(run) for run in (4, 4.2, "4.10", "4.1")] == [first, second, tenth, first]
    with pytest.raises(KeyError, match=r"4\.1 is '4\.1' or '4\.10': write it in quotes"):
        store.key(4.10)
    for key in ("zz1", "zz2"):
        store.container["results"].create_container(key, metadata=record().metadata())
    with pytest.raises(KeyError, match="2 results have keys"):
        store.key("zz")
