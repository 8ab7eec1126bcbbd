"""Documents stay on disk until Tiled has them."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit
from types import SimpleNamespace

import pytest

from ainerd.documents import file_documents
from ainerd.runs import Journal, Kept, RawWriter
from tests.journals import left_in

START = {"uid": "a", "time": 1.0}
DESCRIPTOR = {"uid": "d", "run_start": "a", "time": 1.0, "name": "primary", "data_keys": {}, "object_keys": {}}
EVENT = {"uid": "e", "descriptor": "d", "time": 1.0, "seq_num": 1, "data": {}, "timestamps": {}}
STOP = {"uid": "s", "run_start": "a", "time": 2.0, "exit_status": "success", "num_events": {"primary": 1}}

SESSION = """
import json, os, sys
from pathlib import Path
from ainerd.runs import Journal
journal = Journal(Path(sys.argv[1]))
for name, doc in json.loads(sys.argv[2]):
    journal(name, doc)
os._exit(0)
"""


@contextmanager
def full_disk():
    """As if there were no more room: no file grows beyond 100 bytes."""
    soft, hard = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        setrlimit(RLIMIT_FSIZE, (soft, hard))


def killed(folder, *documents):
    subprocess.run([sys.executable, "-c", SESSION, str(folder), json.dumps(documents)], check=True)


def test_a_run_is_left_when_its_session_has_died(tmp_path):
    journal = Journal(tmp_path)
    for document in (("start", START), ("descriptor", DESCRIPTOR)):
        journal(*document)
    assert Journal(tmp_path).left() == []  # its session is alive
    journal.close()
    ((path, documents),) = left_in(tmp_path)
    assert [name for name, _ in documents] == ["start", "descriptor", "stop"] and path.parent.parent == tmp_path
    stop = documents[-1][1]
    assert (stop["run_start"], stop["exit_status"], stop["reason"]) == ("a", "abort", "the session was killed")


def test_a_killed_session_leaves_whole_documents(tmp_path):
    killed(tmp_path, ("start", START), ("descriptor", DESCRIPTOR), ("event", EVENT), ("stop", STOP))
    ((path, documents),) = left_in(tmp_path)
    assert documents == [("start", START), ("descriptor", DESCRIPTOR), ("event", EVENT), ("stop", STOP)]
    text = path.read_text()
    path.write_text(text[: len(text) - 30])  # it was killed in the middle of a line
    ((_, documents),) = left_in(tmp_path)
    assert [name for name, _ in documents] == ["start", "descriptor", "event", "stop"] and documents[-1][1] != STOP


def test_the_file_of_a_run_that_tiled_has_is_deleted(tmp_path):
    journal = Journal(tmp_path)
    for document in (("start", START), ("descriptor", DESCRIPTOR), ("stop", STOP)):
        journal(*document)
    journal.done("a")
    journal.done("b")  # never came
    journal.close()
    assert Journal(tmp_path).left() == [] and list(tmp_path.iterdir()) == []


@pytest.mark.fault(
    "A file of the journal does not begin with a run, is nested 100,000 deep, or is a folder",
    "It is set aside and named; the other runs are written",
)
@pytest.mark.parametrize(
    "text", ["", '{"name": "start", "d', '{"name": "stop", "doc": {}}\n', "[" * 100_000 + "\n", None]
)
def test_a_journal_without_the_beginning_of_a_run_is_set_aside(tmp_path, caplog, monkeypatch, text):
    journal = Journal(tmp_path / "journal")
    for uid, began in (("a", 2.0), ("b", 3.0), ("c", 1.0)):
        journal("start", START | {"uid": uid, "time": began})
    journal.close()
    (cut,) = tmp_path.glob("*/*/*-a.jsonl")
    if text is None:
        cut.unlink()
        cut.mkdir()
    else:
        cut.write_text(text)  # empty: the session was killed before it wrote a line
    written = []
    monkeypatch.setattr("ainerd.runs._raw.write_run", lambda raw, documents: written.append(documents[0][1]["uid"]))
    RawWriter(None, tmp_path, lambda: True).make_up()
    assert written == ["c", "b"] and not cut.exists()
    aside = list(tmp_path.glob("*.unreadable"))
    assert [path.stem for path in aside] == ([] if text == "" else [cut.stem])
    assert text == "" or f"set aside as {aside[0]}" in caplog.text
    assert not Journal(tmp_path / "journal").left() and not list((tmp_path / "journal").iterdir())


def test_a_run_with_a_damaged_line_is_set_aside_after_it_is_in_tiled(tmp_path, caplog):
    kept, path = Kept(tmp_path), tmp_path / "a.jsonl"
    lines = [json.dumps({"name": name, "doc": doc}) for name, doc in (("start", START), ("stop", STOP))]
    path.write_text("\n".join([lines[0], '{"name": "eve\0\0', lines[1], ""]))
    assert kept.documents(path) == [("start", START), ("stop", STOP)]
    kept.remove(path)
    assert (tmp_path / "a.unreadable").exists() and not path.exists() and "was damaged" in caplog.text


def open_files(folder):
    """Return the files in a folder that this process has open; other threads may open files elsewhere."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            names.append(os.readlink(link))
    return [name for name in names if name.startswith(str(folder))]


@pytest.mark.fault(
    "Runs come faster than Tiled takes them, a thousand and more", "The runs that wait hold no file open"
)
def test_runs_that_wait_for_tiled_hold_no_file_open(tmp_path):
    journal, numbers = Journal(tmp_path), []
    for i in range(30):
        journal("start", START | {"uid": f"run {i}", "time": float(i)})
        journal("stop", STOP | {"uid": f"stop {i}", "run_start": f"run {i}"})
        numbers.append(len(open_files(tmp_path)))
    assert len(set(numbers)) == 1 and len(list(tmp_path.glob("*/*.jsonl"))) == 30
    assert Journal(tmp_path).left() == []  # its session is alive
    journal.close()
    assert [documents[0][1]["uid"] for _, documents in left_in(tmp_path)] == [f"run {i}" for i in range(30)]


@pytest.mark.fault(
    "The disk is full while documents arrive", "The log reports it; the journal of the run continues in memory"
)
def test_a_full_disk_does_not_stop_a_run(tmp_path, caplog, monkeypatch):
    journal, kept = Journal(tmp_path / "journal"), Kept(tmp_path)
    documents = [("start", START), ("descriptor", DESCRIPTOR), ("event", EVENT), ("stop", STOP)]
    journal(*documents[0])
    with full_disk():
        for document in documents[1:]:
            journal(*document)
        assert "the journal of run 0000000001.000000-a continues in memory" in caplog.text
        journal.keep("a", kept)
        (path,) = kept.paths()
        in_memory = kept.documents(path)
        assert in_memory == documents and not path.exists()
    kept.save()
    assert list(file_documents(path)) == in_memory and not list(tmp_path.glob("*/*/*.jsonl"))
    shutil.rmtree(tmp_path)
    journal("start", START | {"uid": "b"})
    assert "the journal of run b is only in memory" in caplog.text
    monkeypatch.setattr("ainerd.runs._spool.MOST_IN_MEMORY", 50)
    journal("stop", STOP | {"run_start": "b"})
    assert "the journal of run b ends early" in caplog.text
    journal.keep("b", kept)
    assert "raw run b is not kept" in caplog.text
    journal.close()


def test_runs_in_memory_are_written_when_the_session_ends_or_named(tmp_path, caplog):
    journal = Journal(tmp_path)
    for uid in "ab":
        journal("start", START | {"uid": uid})
    with full_disk():
        for uid in "ab":
            journal("descriptor", DESCRIPTOR | {"uid": f"d {uid}", "run_start": uid})
    assert not list(tmp_path.glob("*/*.jsonl"))
    journal.done("b")
    journal.close()
    ((_, documents),) = left_in(tmp_path)
    assert [name for name, _ in documents] == ["start", "descriptor", "stop"] and documents[0][1]["uid"] == "a"
    with full_disk():
        journal("start", START | {"uid": "c", "note": "x" * 100})
        journal.close()
    assert "the journal of run c is lost" in caplog.text and "of run a is lost" not in caplog.text


@pytest.mark.parametrize("why", ["unreadable", "large"])
def test_a_journal_that_cannot_continue_in_memory_ends(tmp_path, caplog, monkeypatch, why):
    journal, kept = Journal(tmp_path / "journal"), Kept(tmp_path)
    journal("start", START)
    (path,) = tmp_path.glob("journal/*/*.jsonl")
    if why == "large":
        monkeypatch.setattr("ainerd.runs._spool.MOST_IN_MEMORY", path.stat().st_size - 1)
        monkeypatch.setattr("pathlib.Path.read_text", lambda path: pytest.fail("the whole file is read"))
    else:
        monkeypatch.setattr("pathlib.Path.read_text", lambda path: os.read(-1, 1))  # OSError: no such file is open
    with full_disk():
        journal("descriptor", DESCRIPTOR)
    assert "the journal of run a ends early" in caplog.text
    journal("stop", STOP)
    journal.keep("a", kept)
    assert "raw run a is not kept: it has no journal" in caplog.text and not kept.paths()
    journal.close()


def test_a_run_that_cannot_be_moved_stays_in_the_journal(tmp_path, caplog, monkeypatch):
    journal, kept = Journal(tmp_path / "journal"), Kept(tmp_path / "kept")  # a folder that does not exist
    for name, doc in (("start", START), ("stop", STOP)):
        journal(name, doc)
    journal.keep("a", kept)
    (path,) = tmp_path.glob("journal/*/*-a.jsonl")
    assert f"raw run a stays in {path} until the next session" in caplog.text and "not kept" not in caplog.text
    journal.close()
    assert Journal(tmp_path / "journal").left() == [path]


def test_the_last_space_of_a_disk_stays_free(tmp_path, monkeypatch):
    kept, free = Kept(tmp_path), [3]
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free[0]))
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.open", lambda path, mode: pytest.fail("it is written"))
        kept.add("a.jsonl", ["1\n", "2\n"])
        kept.save()
    free[0] = 4
    kept.save()
    assert (tmp_path / "a.jsonl").read_text() == "1\n2\n"


def test_a_run_that_another_process_writes_meanwhile_is_passed_over(tmp_path, caplog, monkeypatch):
    journal = Journal(tmp_path / "journal")
    for uid, began in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        journal("start", START | {"uid": uid, "time": began})
    journal.close()
    written = []

    def write(raw, documents):
        written.append(documents[0][1]["uid"])
        for path in tmp_path.glob("journal/*/*-b.jsonl"):
            path.unlink()

    monkeypatch.setattr("ainerd.runs._raw.write_run", write)
    RawWriter(None, tmp_path, lambda: True).make_up()
    assert written == ["a", "c"] and not caplog.text
